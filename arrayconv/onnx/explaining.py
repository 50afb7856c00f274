"""Explaining a score of a network: saliency maps and Grad-CAM."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import arrayconv as ac
from arrayconv.arguments import integer
from arrayconv.namespace import Array, array_namespace, placement, to_numpy
from arrayconv.onnx.net import Net


def saliency(net: Net, x: Array, target: int) -> NDArray[Any]:
    """The saliency map of a score: the absolute gradient at each pixel, the largest of its channels.

    Parameters
    ----------
    net : Net
        With one input, an image. Of several outputs the first is used.
    x : array, shape (1, C, H, W) or (1, H, W, C)
        The image, in the net's layout.
    target : int
        The index of the score in the flattened output.

    Returns
    -------
    numpy.ndarray, shape (H, W)
        Not negative.

    Raises
    ------
    TypeError, ValueError
        If ``x`` does not fit the input, or the output has no such index.

    Notes
    -----
    K. Simonyan, A. Vedaldi and A. Zisserman, "Deep inside convolutional networks: visualising image
    classification models and saliency maps", arXiv:1312.6034, section 3.

    Examples
    --------
    See notebook 09.
    """
    dx = to_numpy(net.vjp(_pick("saliency", net, x, target), x))[0]
    return np.asarray(np.max(np.abs(dx), axis=channel_axis(net) - 1))


def class_activation(net: Net, x: Array, target: int) -> NDArray[Any] | None:
    """The Grad-CAM heat map of a score: which regions of the image raise it.

    The feature maps of the last convolution, each multiplied by the mean gradient of the score over it, are summed;
    negative sums become 0. The result is resized to the image and divided by its maximum.

    Parameters
    ----------
    net, x, target
        As for `saliency`.

    Returns
    -------
    numpy.ndarray, shape (H, W), or None
        Between 0 and 1; None if the score depends on no convolution whose maps are at least 2 by 2.

    Raises
    ------
    TypeError, ValueError
        If ``x`` does not fit the input, or the output has no such index.

    Notes
    -----
    R. R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
    localization", ICCV 2017, equations 1 and 2.

    Examples
    --------
    See notebook 09.
    """
    dy = _pick("class_activation", net, x, target)
    for name in reversed(net.values("Conv")):
        name = net.activated(name)
        maps = to_numpy(net.cut(name)(x))
        if maps.ndim != 4 or min(maps.shape[2:]) < 2:
            continue
        slopes = to_numpy(net.vjp(dy, x, wrt=(name,))[name])
        if not slopes.any():
            # the score does not depend on it
            continue
        seen = np.maximum(np.sum(slopes.mean((2, 3), keepdims=True) * maps, axis=1), 0.0)
        size = tuple(n for i, n in enumerate(x.shape) if i not in (0, channel_axis(net)))
        large: NDArray[Any] = ac.resize(seen[..., None], size=size, method="linear")[0, ..., 0]
        return large / (large.max() or 1.0)
    return None


def channel_axis(net: Net) -> int:
    """The channel axis of the input: 3 if only its declared size is 1 or 3, else 1."""
    shape = net.inputs[0].shape or ()
    return 3 if len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3) else 1


def _pick(op: str, net: Net, x: Array, target: int) -> Any:
    """An upstream gradient that is 1 at one score and 0 elsewhere."""
    found = net(x)
    ys = found if isinstance(found, tuple) else (found,)
    xp = array_namespace("net", y=ys[0])
    host = np.zeros(tuple(ys[0].shape), np.float64)
    at = integer(op, "target", target)
    if not -host.size <= at < host.size:
        raise ValueError(
            f"{op}: target must be one of the {host.size} scores of {host.shape}, got {at}"
        )
    host.reshape(-1)[at] = 1
    one = xp.astype(xp.asarray(host, **placement(ys[0])), ys[0].dtype)
    return (one, *[None] * (len(ys) - 1)) if len(ys) > 1 else one

"""What a network looks at: the gradient of a score in the pixels, and in the last convolution's maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import arrayconv as ac
from arrayconv.namespace import Array, array_namespace, placement, to_numpy
from arrayconv.onnx.net import Net


def saliency(net: Net, x: Array, target: int) -> NDArray[Any]:
    """How much each pixel would change a score: the size of the gradient, the largest of the channels.

    Parameters
    ----------
    net : Net
        Of one input, an image, and one output; where there are several, the first counts.
    x : array, shape (1, C, H, W) or (1, H, W, C)
        The image, in the net's layout.
    target : int
        The score's place in the output of the image, its axes joined.

    Returns
    -------
    numpy.ndarray, shape (H, W)
        Not negative.

    Raises
    ------
    IndexError
        A `target` that the output has not.

    Notes
    -----
    K. Simonyan, A. Vedaldi and A. Zisserman, "Deep inside convolutional networks: visualising image
    classification models and saliency maps", arXiv:1312.6034, section 3.

    Examples
    --------
    See notebook 09.
    """
    dx = to_numpy(net.vjp(_pick(net, x, target), x))[0]
    return np.asarray(np.max(np.abs(dx), axis=channel_axis(net) - 1))


def class_activation(net: Net, x: Array, target: int) -> NDArray[Any] | None:
    """Where the last convolution's maps speak for a score (Grad-CAM), at the image's size.

    Each map is weighted by the mean of the score's gradient over it; what the sum has below zero
    speaks for something else and is cut.

    Parameters
    ----------
    net, x, target
        As for `saliency`.

    Returns
    -------
    numpy.ndarray, shape (H, W), or None
        Between 0 and 1; None where no convolution has maps of more than one cell.

    Raises
    ------
    IndexError
        A `target` that the output has not.

    Notes
    -----
    R. R. Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based
    localization", ICCV 2017, equations 1 and 2.

    Examples
    --------
    See notebook 09.
    """
    dy = _pick(net, x, target)
    for name in reversed(net.values("Conv")):
        name = net.activated(name)
        maps = to_numpy(net.cut(name)(x))
        if maps.ndim != 4 or min(maps.shape[2:]) < 2:
            continue
        slopes = to_numpy(net.vjp(dy, x, wrt=(name,))[name])
        if not slopes.any():
            # behind the score, or of another output
            continue
        seen = np.maximum(np.sum(slopes.mean((2, 3), keepdims=True) * maps, axis=1), 0.0)
        size = tuple(n for i, n in enumerate(x.shape) if i not in (0, channel_axis(net)))
        large: NDArray[Any] = ac.resize(seen[..., None], size=size, method="linear")[0, ..., 0]
        return large / (large.max() or 1.0)
    return None


def channel_axis(net: Net) -> int:
    """The axis of an image's colours: 1, or 3 where the file says that the last one has them."""
    shape = net.inputs[0].shape or ()
    return 3 if len(shape) == 4 and shape[3] in (1, 3) and shape[1] not in (1, 3) else 1


def _pick(net: Net, x: Array, target: int) -> Any:
    """An upstream gradient of one score alone."""
    found = net(x)
    ys = found if isinstance(found, tuple) else (found,)
    xp = array_namespace("net", y=ys[0])
    host = np.zeros(tuple(ys[0].shape), np.float64)
    host.reshape(-1)[target] = 1
    one = xp.astype(xp.asarray(host, **placement(ys[0])), ys[0].dtype)
    return (one, *[None] * (len(ys) - 1)) if len(ys) > 1 else one

"""Group and instance normalization: each image by the statistics of some of its channels."""

from __future__ import annotations

from functools import partial
from typing import Any

from arrayconv.arguments import integer, suggesting
from arrayconv.namespace import Array
from arrayconv.ops.layout import check_layout
from arrayconv.ops.normalization.samples import Sets, sample_norm, sample_norm_vjp
from arrayconv.ops.normalization.statistics import NormGradients, channel_axis, check_axes


@suggesting
def group_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    groups: int,
    eps: float = 1e-5,
    data_format: str = "channels_last",
) -> Array:
    r"""Mean 0 and variance 1 over each group of channels of each image, then scaled and shifted.

    .. math::

        y = \gamma \, \hat x + \beta, \quad \hat x = \frac{x - mean}{\sqrt{var + \epsilon}}

    with the mean and the biased variance over the positions and the ``C / groups`` channels of a
    group.

    Parameters
    ----------
    x : array, shape (N, *S, C), or (N, C, *S) for ``"channels_first"``
        Real floating. There may be no spatial axes.
    gamma, beta : array, shape (C,), optional
        Scale and shift of every channel; 1 and 0 if ``None``. Further axes of length 1 are allowed.
    groups : int
        A divisor of ``C``; neighbouring channels share a group.
    eps : float
        Added to the variance: 1e-5 as in PyTorch (Keras has 1e-3).
    data_format : {"channels_last", "channels_first"}
        Layout of ``x`` and of the result.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of the arguments, computed in at least float32.

    Raises
    ------
    TypeError
        An array that is not real floating, arrays of two libraries, ``groups`` that is not integer,
        an ``eps`` that is no number.
    ValueError
        Channels that ``groups`` does not divide, groups without values, ``gamma`` or ``beta`` of
        another length, a negative ``eps``, an unknown format.

    See Also
    --------
    group_norm_vjp : Its gradients.

    Notes
    -----
    Y. Wu and K. He, "Group normalization", ECCV 2018, equations 1 to 5.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 3.0, 0.0, 8.0]).reshape(1, 1, 4)
    >>> ac.group_norm(x, groups=2, eps=0.0)[0, 0, :]
    array([-1.,  1., -1.,  1.])
    """
    sets = partial(_groups, groups=groups, data_format=data_format)
    return sample_norm("group_norm", x, gamma, beta, eps, sets)


@suggesting
def group_norm_vjp(
    dy: Array,
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    groups: int,
    eps: float = 1e-5,
    data_format: str = "channels_last",
) -> NormGradients:
    r"""The gradients of ``group_norm`` with respect to ``x``, ``gamma`` and ``beta``.

    .. math::

        dx &= \frac{g - \overline{g} - \hat x \; \overline{g \, \hat x}}{\sqrt{var + \epsilon}}, \quad g = \gamma \, dy

        d\gamma &= \sum dy \, \hat x

        d\beta &= \sum dy

    The means, overlined, run over the positions and channels of a group; the sums over the images
    and positions of a channel.

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x, gamma, beta, groups, eps, data_format
        As for ``group_norm``.

    Returns
    -------
    NormGradients
        The named tuple ``(dx, dgamma, dbeta)``, each gradient of the shape of its argument and in
        the promoted dtype; ``None`` for a ``gamma`` or ``beta`` that is ``None``.

    Raises
    ------
    TypeError, ValueError
        As ``group_norm``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    group_norm : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x, dy = np.asarray([[1.0, 3.0, 2.0, 4.0]]), np.asarray([[16.0, 0.0, 0.0, 0.0]])
    >>> dx, dgamma, dbeta = ac.group_norm_vjp(dy, x, np.ones(4), groups=2, eps=3.0)
    >>> dx
    array([[ 3., -3.,  0.,  0.]])
    >>> dgamma
    array([-8.,  0.,  0.,  0.])
    """
    sets = partial(_groups, groups=groups, data_format=data_format)
    return sample_norm_vjp("group_norm_vjp", dy, x, gamma, beta, eps, sets)


@suggesting
def instance_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    eps: float = 1e-5,
    data_format: str = "channels_last",
) -> Array:
    r"""Mean 0 and variance 1 over each channel of each image, then scaled and shifted.

    .. math::

        y = \gamma \, \hat x + \beta, \quad \hat x = \frac{x - mean}{\sqrt{var + \epsilon}}

    with the mean and the biased variance over the positions: ``group_norm`` with a group for every
    channel.

    Parameters
    ----------
    x : array, shape (N, *S, C), or (N, C, *S) for ``"channels_first"``
        Real floating.
    gamma, beta : array, shape (C,), optional
        Scale and shift of every channel; 1 and 0 if ``None``. Further axes of length 1 are allowed.
    eps : float
        Added to the variance: 1e-5 as in PyTorch.
    data_format : {"channels_last", "channels_first"}
        Layout of ``x`` and of the result.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of the arguments, computed in at least float32.

    Raises
    ------
    TypeError
        An array that is not real floating, arrays of two libraries, an ``eps`` that is no number.
    ValueError
        No spatial axes, or an empty one, ``gamma`` or ``beta`` of another length, a negative
        ``eps``, an unknown format.

    See Also
    --------
    instance_norm_vjp : Its gradients.

    Notes
    -----
    D. Ulyanov, A. Vedaldi and V. Lempitsky, "Instance normalization: the missing ingredient for
    fast stylization", arXiv:1607.08022. One position gives ``y = beta``.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([[1.0, 0.0], [3.0, 8.0]]).reshape(1, 2, 2)
    >>> ac.instance_norm(x, np.asarray([1.0, 10.0]), eps=0.0)[0]
    array([[ -1., -10.],
           [  1.,  10.]])
    """
    sets = partial(_instances, data_format=data_format)
    return sample_norm("instance_norm", x, gamma, beta, eps, sets)


@suggesting
def instance_norm_vjp(
    dy: Array,
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    eps: float = 1e-5,
    data_format: str = "channels_last",
) -> NormGradients:
    r"""The gradients of ``instance_norm`` with respect to ``x``, ``gamma`` and ``beta``.

    .. math::

        dx &= \frac{g - \overline{g} - \hat x \; \overline{g \, \hat x}}{\sqrt{var + \epsilon}}, \quad g = \gamma \, dy

        d\gamma &= \sum dy \, \hat x

        d\beta &= \sum dy

    The means, overlined, run over the positions of a channel of an image; the sums over the images
    and positions of a channel.

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x, gamma, beta, eps, data_format
        As for ``instance_norm``.

    Returns
    -------
    NormGradients
        The named tuple ``(dx, dgamma, dbeta)``, each gradient of the shape of its argument and in
        the promoted dtype; ``None`` for a ``gamma`` or ``beta`` that is ``None``.

    Raises
    ------
    TypeError, ValueError
        As ``instance_norm``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    instance_norm : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([[[1.0, 2.0], [3.0, 4.0]]])
    >>> dy = np.asarray([[[16.0, 0.0], [0.0, 0.0]]])
    >>> dx, dgamma, dbeta = ac.instance_norm_vjp(dy, x, np.ones(2), eps=3.0)
    >>> dx
    array([[[ 3.,  0.],
            [-3.,  0.]]])
    >>> dgamma
    array([-8.,  0.])
    """
    sets = partial(_instances, data_format=data_format)
    return sample_norm_vjp("instance_norm_vjp", dy, x, gamma, beta, eps, sets)


def _groups(op: str, x: Array, *, groups: Any, data_format: str) -> Sets:
    count = integer(op, "groups", groups, least=1)
    at = channel_axis(op, x.shape, data_format)
    if x.shape[at] % count:
        raise ValueError(f"{op}: groups must divide the {x.shape[at]} channels of x, got {count}")
    return _sets(op, x, at, count)


def _instances(op: str, x: Array, *, data_format: str) -> Sets:
    check_layout(op, x.shape, data_format)
    at = channel_axis(op, x.shape, data_format)
    return _sets(op, x, at, x.shape[at])


def _sets(op: str, x: Array, at: int, count: int) -> Sets:
    """``count`` neighbouring sets of the channels, which are on the axis ``at``."""
    channels = x.shape[at]
    # instances of no channels are as many as their channels: none, and none is empty
    split = (*x.shape[:at], count, channels // count if count else 1, *x.shape[at + 1 :])
    axes = tuple(axis for axis in range(1, len(split)) if axis != at)
    if 0 in (split[axis] for axis in axes):
        check_axes(op, x.shape, range(1, x.ndim))
    full = tuple(n if a in (at, at + 1) else 1 for a, n in enumerate(split))
    return Sets(split, axes, (channels,), full)

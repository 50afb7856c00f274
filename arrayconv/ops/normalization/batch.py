"""Batch normalization: by the statistics of a batch, or by given ones."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from arrayconv.arguments import suggesting
from arrayconv.namespace import Array, Namespace, accumulator, cast, floating
from arrayconv.ops.layout import check_gradient
from arrayconv.ops.normalization.statistics import (
    NormGradients,
    along,
    channel_axis,
    check_axes,
    check_eps,
    inverse_deviation,
    moments,
    moments_vjp,
    normalized,
    parameter,
    scaled,
    shaped,
    total,
    total_of,
)


class BatchNorm(NamedTuple):
    """A normalized batch with its statistics, which serve running averages and have no gradient."""

    y: Array
    mean: Array
    var: Array


class InferenceGradients(NamedTuple):
    """The gradients of ``batch_norm_inference``'s arguments; ``None`` where one was ``None``."""

    dx: Array
    dgamma: Array | None
    dbeta: Array | None
    dmean: Array
    dvar: Array


@suggesting
def batch_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    eps: float = 1e-5,
    data_format: str = "channels_last",
) -> BatchNorm:
    r"""Every channel at mean 0 and variance 1 over the batch, then scaled and shifted.

    .. math::

        y = \gamma \, \hat x + \beta, \quad \hat x = \frac{x - mean}{\sqrt{var + \epsilon}}

    with the mean and the biased variance of each channel over the images and positions.

    Parameters
    ----------
    x : array, shape (N, *S, C), or (N, C, *S) for ``"channels_first"``
        Real floating. There may be no spatial axes.
    gamma, beta : array, shape (C,), optional
        Scale and shift; 1 and 0 if ``None``. Further axes of length 1 are allowed.
    eps : float
        Added to the variance: 1e-5 as in PyTorch (Keras has 1e-3).
    data_format : {"channels_last", "channels_first"}
        Layout of ``x`` and of ``y``.

    Returns
    -------
    BatchNorm
        ``y``, of the shape of ``x``; ``mean`` and ``var``, of shape (C,). All in the promoted dtype
        of the arguments, computed in at least float32 (in float16 a variance above 65504 is
        infinite). PyTorch keeps the unbiased variance in its running average: that is
        ``var * m / (m - 1)`` for ``m`` values of a channel.

    Raises
    ------
    TypeError
        An array that is not real floating, arrays of two libraries, an ``eps`` that is no number.
    ValueError
        A channel without values, ``gamma`` or ``beta`` of another length, a negative ``eps``, an
        unknown format.

    See Also
    --------
    batch_norm_vjp : Its gradients.

    Notes
    -----
    S. Ioffe and C. Szegedy, "Batch normalization: accelerating deep network training by reducing
    internal covariate shift", ICML 2015, algorithm 1. The variance takes a second pass over
    ``x - mean``, so a large mean costs it no digits. One value per channel gives ``y = beta``.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 2.0, 3.0, 6.0]).reshape(2, 2, 1)
    >>> y, mean, var = ac.batch_norm(x, np.asarray([2.0]), np.asarray([1.0]), eps=0.5)
    >>> y[:, :, 0]
    array([[-1.,  0.],
           [ 1.,  4.]])
    >>> mean, var
    (array([3.]), array([3.5]))
    """
    op = "batch_norm"
    xp, x, gamma, beta = floating(op, x=x, gamma=gamma, beta=beta)
    eps = check_eps(op, eps)
    axes, full = _channels(op, x, data_format)
    check_axes(op, x.shape, axes)
    scale, shift = _given(op, xp, full, gamma=gamma, beta=beta)
    wide = cast(xp, x, accumulator(xp, x.dtype))
    mean, var = moments(xp, wide, axes)
    inverse = inverse_deviation(xp, var, eps)
    y = normalized(xp, wide, mean, inverse if scale is None else inverse * scale, shift)
    mean, var = (cast(xp, xp.reshape(part, (-1,)), x.dtype) for part in (mean, var))
    return BatchNorm(cast(xp, y, x.dtype), mean, var)


@suggesting
def batch_norm_vjp(
    dy: Array,
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    eps: float = 1e-5,
    data_format: str = "channels_last",
) -> NormGradients:
    r"""The gradients of ``batch_norm`` with respect to ``x``, ``gamma`` and ``beta``.

    .. math::

        dx &= \frac{\gamma}{\sqrt{var + \epsilon}} \, (dy - \overline{dy} - \hat x \; \overline{dy \, \hat x})

        d\gamma &= \sum dy \, \hat x

        d\beta &= \sum dy

    The sums and the means, overlined, run over the images and positions of a channel. ``y`` is
    differentiated through its ``mean`` and ``var``; these serve running averages, and have no
    upstream gradients of their own.

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient, that of ``y`` alone.
    x, gamma, beta, eps, data_format
        As for ``batch_norm``.

    Returns
    -------
    NormGradients
        The named tuple ``(dx, dgamma, dbeta)``, each gradient of the shape of its argument and in
        the promoted dtype; ``None`` for a ``gamma`` or ``beta`` that is ``None``.

    Raises
    ------
    TypeError, ValueError
        As ``batch_norm``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    batch_norm : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x, dy = np.asarray([[1.0], [3.0]]), np.asarray([[16.0], [0.0]])
    >>> dx, dgamma, dbeta = ac.batch_norm_vjp(dy, x, np.ones(1), np.zeros(1), eps=3.0)
    >>> dx
    array([[ 3.],
           [-3.]])
    >>> dgamma, dbeta
    (array([-8.]), array([16.]))
    """
    op = "batch_norm_vjp"
    xp, dy, x, gamma, beta = floating(op, dy=dy, x=x, gamma=gamma, beta=beta)
    eps = check_eps(op, eps)
    axes, full = _channels(op, x, data_format)
    check_axes(op, x.shape, axes)
    check_gradient(op, dy, x.shape)
    scale, _ = _given(op, xp, full, gamma=gamma, beta=beta)
    dtype = accumulator(xp, x.dtype)
    wide = cast(xp, x, dtype)
    mean, var = moments(xp, wide, axes)
    inverse = inverse_deviation(xp, var, eps)
    # gamma is one number per channel, so it may wait until after the means
    factor = inverse if scale is None else inverse * scale
    dx, sum_g, sum_gx = moments_vjp(xp, cast(xp, dy, dtype), wide, mean, inverse, factor, axes)
    dgamma, dbeta = shaped(xp, sum_gx, gamma), shaped(xp, sum_g, beta)
    return NormGradients(cast(xp, dx, x.dtype), dgamma, dbeta)


@suggesting
def batch_norm_inference(
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    mean: Array,
    var: Array,
    *,
    eps: float = 1e-5,
    data_format: str = "channels_last",
) -> Array:
    r"""Every channel normalized by a given mean and variance, then scaled and shifted.

    .. math::

        y = \gamma \, \frac{x - mean}{\sqrt{var + \epsilon}} + \beta

    Parameters
    ----------
    x : array, shape (N, *S, C), or (N, C, *S) for ``"channels_first"``
        Real floating. There may be no spatial axes.
    gamma, beta : array, shape (C,), or None
        Scale and shift; 1 and 0 if ``None``. Further axes of length 1 are allowed, here and below.
    mean, var : array, shape (C,)
        The statistics, as a rule the running averages of a training run.
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
        An array that is not real floating, a statistic that is ``None``, arrays of two libraries,
        an ``eps`` that is no number.
    ValueError
        A parameter of another length, a negative ``eps``, an unknown format.

    See Also
    --------
    batch_norm_inference_vjp : Its gradients.

    Notes
    -----
    S. Ioffe and C. Szegedy, "Batch normalization: accelerating deep network training by reducing
    internal covariate shift", ICML 2015, algorithm 2. The mean is subtracted first, and not folded
    into the shift, so that data with a large mean keeps its digits.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 2.0, 3.0]).reshape(1, 3, 1)
    >>> mean, var = np.asarray([1.0]), np.asarray([3.5])
    >>> ac.batch_norm_inference(x, None, None, mean, var, eps=0.5)[0, :, 0]
    array([0. , 0.5, 1. ])
    """
    op = "batch_norm_inference"
    xp, x, gamma, beta, mean, var = floating(op, x=x, gamma=gamma, beta=beta, mean=mean, var=var)
    eps = check_eps(op, eps)
    _, full = _channels(op, x, data_format)
    gamma, beta, mean, var = _given(op, xp, full, gamma=gamma, beta=beta, mean=mean, var=var)
    inverse = inverse_deviation(xp, var, eps)
    factor = inverse if gamma is None else inverse * gamma
    return cast(xp, normalized(xp, cast(xp, x, mean.dtype), mean, factor, beta), x.dtype)


@suggesting
def batch_norm_inference_vjp(
    dy: Array,
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    mean: Array,
    var: Array,
    *,
    eps: float = 1e-5,
    data_format: str = "channels_last",
) -> InferenceGradients:
    r"""The gradients of ``batch_norm_inference`` with respect to its five arrays.

    .. math::

        dx &= \gamma s \, dy, \quad s = \frac{1}{\sqrt{var + \epsilon}}

        d\gamma &= s \sum dy \, (x - mean)

        d\beta &= \sum dy

        dmean &= -\gamma s \sum dy

        dvar &= -\frac{\gamma s^3}{2} \sum dy \, (x - mean)

    The sums run over the images and positions of a channel. Unlike in ``batch_norm``, ``mean`` and
    ``var`` do not depend on ``x``.

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x, gamma, beta, mean, var, eps, data_format
        As for ``batch_norm_inference``.

    Returns
    -------
    InferenceGradients
        The named tuple ``(dx, dgamma, dbeta, dmean, dvar)``, each gradient of the shape of its
        argument and in the promoted dtype; ``None`` for a ``gamma`` or ``beta`` that is ``None``.

    Raises
    ------
    TypeError, ValueError
        As ``batch_norm_inference``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    batch_norm_inference : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x, dy = np.asarray([[1.0], [2.0], [3.0]]), np.asarray([[1.0], [10.0], [100.0]])
    >>> mean, var = np.asarray([1.0]), np.asarray([3.5])
    >>> g = ac.batch_norm_inference_vjp(dy, x, None, None, mean, var, eps=0.5)
    >>> g.dx[:, 0]
    array([ 0.5,  5. , 50. ])
    >>> g.dmean, g.dvar
    (array([-55.5]), array([-13.125]))
    """
    op = "batch_norm_inference_vjp"
    arrays = {"dy": dy, "x": x, "gamma": gamma, "beta": beta, "mean": mean, "var": var}
    xp, dy, x, *parameters = floating(op, **arrays)
    eps = check_eps(op, eps)
    axes, full = _channels(op, x, data_format)
    check_gradient(op, dy, x.shape)
    named = dict(zip(("gamma", "beta", "mean", "var"), parameters, strict=True))
    scale, _, middle, spread = _given(op, xp, full, **named)
    inverse = inverse_deviation(xp, spread, eps)
    factor = inverse if scale is None else inverse * scale
    g = cast(xp, dy, middle.dtype)
    sum_g = total(xp, g, axes)
    sum_gx = total_of(xp, along, axes, g, cast(xp, x, middle.dtype), middle)
    slopes = (sum_gx * inverse, sum_g, -factor * sum_g, -0.5 * factor * inverse**2 * sum_gx)
    dx = cast(xp, scaled(xp, g, factor), x.dtype)
    return InferenceGradients(
        dx, *(shaped(xp, slope, p) for slope, p in zip(slopes, parameters, strict=True))
    )


def _channels(op: str, x: Array, data_format: str) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes other than the channels', and the shape of a parameter beside ``x``."""
    channel = channel_axis(op, x.shape, data_format)
    axes = tuple(axis for axis in range(x.ndim) if axis != channel)
    return axes, tuple(x.shape[axis] if axis == channel else 1 for axis in range(x.ndim))


def _given(
    op: str, xp: Namespace, full: tuple[int, ...], **parameters: Array | None
) -> tuple[Any, ...]:
    size = (math.prod(full),)
    return tuple(parameter(op, xp, name, p, size, full) for name, p in parameters.items())

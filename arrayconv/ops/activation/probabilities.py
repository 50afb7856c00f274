"""Softmax and its logarithm along one axis."""

from __future__ import annotations

import math

from arrayconv.arguments import integer
from arrayconv.namespace import (
    Array,
    Namespace,
    accumulator,
    array_namespace,
    cast,
    copied,
    promoted,
)
from arrayconv.ops.layout import check_gradient, scalar


def softmax(x: Array, *, axis: int = -1) -> Array:
    """``exp(x)`` divided by its sum along ``axis``.

    ``softmax_vjp`` is ``y * (dy - sum(dy * y))``, the sum taken along ``axis``.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of ``x`` (``softmax_vjp`` only).
    x : array
        Of any shape with one axis or more; real floating.
    axis : int
        The axis of the classes.
    y : array, optional
        The result of ``softmax``, if it is at hand (``softmax_vjp`` only).

    Returns
    -------
    array
        Of the shape and dtype of ``x``; positive, with sum 1 along ``axis``. NaN where there is a
        NaN or plus infinity along ``axis``, or minus infinity alone, as in PyTorch.

    Raises
    ------
    TypeError
        If ``x`` is not real floating, or ``axis`` is not an int.
    ValueError
        If ``x`` has no such axis, or ``dy`` or ``y`` another shape than ``x``.

    Notes
    -----
    The largest element is subtracted first, so that nothing overflows.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.softmax(np.log(np.asarray([1.0, 2.0, 5.0])))
    array([0.125, 0.25 , 0.625])
    """
    xp = array_namespace("softmax", x=x)
    (x,) = promoted("softmax", xp, x=x)
    axis = _check_axis("softmax", x, axis)
    return cast(xp, _softmax(xp, cast(xp, x, accumulator(xp, x.dtype)), axis), x.dtype)


def softmax_vjp(dy: Array, x: Array, *, axis: int = -1, y: Array | None = None) -> Array:
    op = "softmax_vjp"
    xp = array_namespace(op, dy=dy, x=x, y=y)
    dy, x, y = promoted(op, xp, dy=dy, x=x, y=y)
    axis = _check_axis(op, x, axis)
    check_gradient(op, dy, x.shape)
    if 0 in x.shape:
        return copied(xp, dy)
    dtype = x.dtype
    wide = accumulator(xp, dtype)
    if y is None:
        y = _softmax(xp, cast(xp, x, wide), axis)
    else:
        check_gradient(op, y, x.shape, name="y")
        y = cast(xp, y, wide)
    dy = cast(xp, dy, wide)
    return cast(xp, (dy - xp.sum(dy * y, axis=axis, keepdims=True)) * y, dtype)


softmax_vjp.__doc__ = softmax.__doc__


def log_softmax(x: Array, *, axis: int = -1) -> Array:
    """The logarithm of `softmax`: ``x - log(sum(exp(x)))``, the sum taken along ``axis``.

    ``log_softmax_vjp`` is ``dy - softmax(x) * sum(dy)``.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of ``x`` (``log_softmax_vjp`` only).
    x : array
        Of any shape with one axis or more; real floating.
    axis : int
        The axis of the classes.
    y : array, optional
        The result of ``log_softmax``, if it is at hand (``log_softmax_vjp`` only).

    Returns
    -------
    array
        Of the shape and dtype of ``x``; finite for finite ``x``, where ``log(softmax(x))`` may not
        be. NaN as in `softmax`.

    Raises
    ------
    TypeError
        If ``x`` is not real floating, or ``axis`` is not an int.
    ValueError
        If ``x`` has no such axis, or ``dy`` or ``y`` another shape than ``x``.

    Notes
    -----
    P. Blanchard, D. J. Higham and N. J. Higham, "Accurately computing the log-sum-exp and softmax
    functions", IMA Journal of Numerical Analysis 41 (2021), equation 4.1.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.log_softmax(np.asarray([0.0, 1e4]))
    array([-10000., 0.])
    """
    xp = array_namespace("log_softmax", x=x)
    (x,) = promoted("log_softmax", xp, x=x)
    axis = _check_axis("log_softmax", x, axis)
    if 0 in x.shape:
        return copied(xp, x)
    wide = _shifted(xp, cast(xp, x, accumulator(xp, x.dtype)), axis)
    total = xp.sum(xp.exp(wide), axis=axis, keepdims=True)
    return cast(xp, wide - xp.log(total), x.dtype)


def log_softmax_vjp(dy: Array, x: Array, *, axis: int = -1, y: Array | None = None) -> Array:
    op = "log_softmax_vjp"
    xp = array_namespace(op, dy=dy, x=x, y=y)
    dy, x, y = promoted(op, xp, dy=dy, x=x, y=y)
    axis = _check_axis(op, x, axis)
    check_gradient(op, dy, x.shape)
    if 0 in x.shape:
        return copied(xp, dy)
    dtype = x.dtype
    wide = accumulator(xp, dtype)
    if y is None:
        probabilities = _softmax(xp, cast(xp, x, wide), axis)
    else:
        check_gradient(op, y, x.shape, name="y")
        probabilities = xp.exp(cast(xp, y, wide))
    dy = cast(xp, dy, wide)
    return cast(xp, dy - probabilities * xp.sum(dy, axis=axis, keepdims=True), dtype)


log_softmax_vjp.__doc__ = log_softmax.__doc__


def _softmax(xp: Namespace, x: Array, axis: int) -> Array:
    # Dask gives sums and maxima of nothing another shape
    if 0 in x.shape:
        return copied(xp, x)
    y = xp.exp(_shifted(xp, x, axis))
    return y / xp.sum(y, axis=axis, keepdims=True)


def _shifted(xp: Namespace, x: Array, axis: int) -> Array:
    """``x`` minus its largest element along ``axis``; NaN where that is infinite."""
    top = xp.max(x, axis=axis, keepdims=True)
    # NaN now, since the difference of two infinities is NaN with a warning
    return x - xp.where(xp.abs(top) < math.inf, top, scalar(xp, math.nan, x))


def _check_axis(op: str, x: Array, axis: int) -> int:
    axis = integer(op, "axis", axis)
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(
            f"{op}: axis must be one of the {x.ndim} axes of x, got {axis} for shape {tuple(x.shape)}"
        )
    return axis

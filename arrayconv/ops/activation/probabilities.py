"""Softmax and its logarithm along one axis."""

from __future__ import annotations

import math

from arrayconv.arguments import Shape, integer, once, suggesting
from arrayconv.engine.blockwise import blockwise
from arrayconv.namespace import (
    Array,
    Namespace,
    accumulator,
    cast,
    copied,
    floating,
    fused,
    scalar,
    widened,
)
from arrayconv.ops.layout import check_gradient


@suggesting
def softmax(x: Array, *, axis: int = -1) -> Array:
    r"""Scores as probabilities: positive, with the sum 1 along ``axis``.

    .. math::

        y_k = \frac{e^{x_k}}{\sum_j e^{x_j}}

    Parameters
    ----------
    x : array
        Of any shape with one axis or more; real floating.
    axis : int
        The axis of the classes.

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
        If ``x`` has no such axis.

    See Also
    --------
    softmax_vjp : Its gradient.

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
    xp, x = floating("softmax", x=x)
    axis = _check_axis("softmax", tuple(x.shape), axis)

    def forward(x: Array) -> Array:
        return cast(xp, _softmax(xp, cast(xp, x, accumulator(xp, x.dtype)), axis), x.dtype)

    return blockwise(xp, forward, x, whole=(axis,))


@suggesting
def softmax_vjp(dy: Array, x: Array, *, axis: int = -1, y: Array | None = None) -> Array:
    r"""The gradient of ``softmax``.

    .. math::

        dx = y \, (dy - \sum y \, dy)

    The sum is taken along ``axis``.

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x, axis
        As for ``softmax``.
    y : array, optional
        The result of ``softmax``, if it is at hand: it saves computing that.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``softmax``; and for a ``dy`` or ``y`` that has not the shape of ``x``.

    See Also
    --------
    softmax : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.log(np.asarray([1.0, 1.0, 2.0]))
    >>> ac.softmax_vjp(np.asarray([16.0, 0.0, 0.0]), x).round(4)
    array([ 3., -1., -2.])
    """
    op = "softmax_vjp"
    xp, dy, x, y = floating(op, dy=dy, x=x, y=y)
    axis = _check_axis(op, tuple(x.shape), axis)
    check_gradient(op, dy, x.shape)
    if 0 in x.shape:
        return copied(xp, dy)
    dtype = x.dtype

    def backward(dy: Array, x: Array, y: Array | None = None) -> Array:
        if y is None:
            y = _softmax(xp, widened(xp, x)[0], axis)
        dy, y = widened(xp, dy, y)
        along = xp.sum(dy * y, axis=axis, keepdims=True)
        return cast(xp, fused(xp, lambda dy, along, y: (dy - along) * y, dy, along, y), dtype)

    if y is None:
        return blockwise(xp, backward, dy, x, whole=(axis,))
    check_gradient(op, y, x.shape, name="y")
    return blockwise(xp, backward, dy, x, y, whole=(axis,))


@suggesting
def log_softmax(x: Array, *, axis: int = -1) -> Array:
    r"""The logarithm of ``softmax`` along ``axis``.

    .. math::

        y_k = x_k - \log \sum_j e^{x_j}

    Parameters
    ----------
    x : array
        Of any shape with one axis or more; real floating.
    axis : int
        The axis of the classes.

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
        If ``x`` has no such axis.

    See Also
    --------
    log_softmax_vjp : Its gradient.

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
    xp, x = floating("log_softmax", x=x)
    axis = _check_axis("log_softmax", tuple(x.shape), axis)
    if 0 in x.shape:
        return copied(xp, x)

    def forward(x: Array) -> Array:
        wide = cast(xp, x, accumulator(xp, x.dtype))
        top = xp.max(wide, axis=axis, keepdims=True)
        wide = fused(xp, lambda x, top: _shifted(xp, x, top), wide, top)
        total = xp.sum(xp.exp(wide), axis=axis, keepdims=True)
        return cast(xp, fused(xp, lambda x, total: x - xp.log(total), wide, total), x.dtype)

    return blockwise(xp, forward, x, whole=(axis,))


@suggesting
def log_softmax_vjp(dy: Array, x: Array, *, axis: int = -1, y: Array | None = None) -> Array:
    r"""The gradient of ``log_softmax``.

    .. math::

        dx = dy - e^y \sum dy

    The sum is taken along ``axis``; ``exp(y)`` is the softmax of ``x``.

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x, axis
        As for ``log_softmax``.
    y : array, optional
        The result of ``log_softmax``, if it is at hand: it saves computing that.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``log_softmax``; and for a ``dy`` or ``y`` that has not the shape of ``x``.

    See Also
    --------
    log_softmax : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.log(np.asarray([1.0, 1.0, 2.0]))
    >>> ac.log_softmax_vjp(np.asarray([4.0, 0.0, 0.0]), x).round(4)
    array([ 3., -1., -2.])
    """
    op = "log_softmax_vjp"
    xp, dy, x, y = floating(op, dy=dy, x=x, y=y)
    axis = _check_axis(op, tuple(x.shape), axis)
    check_gradient(op, dy, x.shape)
    if 0 in x.shape:
        return copied(xp, dy)
    dtype = x.dtype
    wide = accumulator(xp, dtype)

    def backward(dy: Array, x: Array, y: Array | None = None) -> Array:
        shares = _softmax(xp, cast(xp, x, wide), axis) if y is None else xp.exp(cast(xp, y, wide))
        dy = cast(xp, dy, wide)
        total = xp.sum(dy, axis=axis, keepdims=True)
        dx = fused(xp, lambda dy, p, total: dy - p * total, dy, shares, total)
        return cast(xp, dx, dtype)

    if y is None:
        return blockwise(xp, backward, dy, x, whole=(axis,))
    check_gradient(op, y, x.shape, name="y")
    return blockwise(xp, backward, dy, x, y, whole=(axis,))


def _softmax(xp: Namespace, x: Array, axis: int) -> Array:
    # Dask gives sums and maxima of nothing another shape
    if 0 in x.shape:
        return copied(xp, x)
    top = xp.max(x, axis=axis, keepdims=True)
    y = fused(xp, lambda x, top: xp.exp(_shifted(xp, x, top)), x, top)
    return y / xp.sum(y, axis=axis, keepdims=True)


def _shifted(xp: Namespace, x: Array, top: Array) -> Array:
    """``x`` minus its largest element; NaN where that is infinite."""
    # NaN now, since the difference of two infinities is NaN with a warning
    return x - xp.where(xp.abs(top) < math.inf, top, scalar(xp, math.nan, top))


@once
def _check_axis(op: str, shape: Shape, axis: int) -> int:
    axis, ndim = integer(op, "axis", axis), len(shape)
    if not -ndim <= axis < ndim:
        raise ValueError(
            f"{op}: axis must be one of the {ndim} axes of x, got {axis} for shape {shape}"
        )
    return axis % ndim

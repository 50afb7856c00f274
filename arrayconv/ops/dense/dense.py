"""The fully connected layer."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

from arrayconv.arguments import Shape, known_shape, once, suggesting
from arrayconv.engine.products import over_rows, product
from arrayconv.namespace import (
    Array,
    Namespace,
    cast,
    floating,
    placement,
    traits,
    widened,
)
from arrayconv.ops.layout import check_gradient, check_wrt, summed

ARGUMENTS = ("x", "w", "b")


class DenseGradients(NamedTuple):
    """The gradients of the array arguments of `dense`; ``None`` where absent or not asked for."""

    dx: Array | None
    dw: Array | None
    db: Array | None


@suggesting
def dense(x: Array, w: Array, b: Array | None = None) -> Array:
    """Multiply the last axis of ``x`` by the matrix ``w``, and add ``b``: ``x @ w + b``.

    Parameters
    ----------
    x : array, shape (..., in)
        Real floating, with any number of leading axes.
    w : array, shape (in, out)
        The weights.
    b : array, optional
        Anything that reshapes to ``(out,)``.

    Returns
    -------
    array, shape (..., out)
        In the promoted dtype of the arguments.

    Raises
    ------
    TypeError
        Arrays of two libraries or devices; a dtype that is not real floating.
    ValueError
        A ``w`` that is no matrix or does not fit ``x``, or a bias of another length.

    See Also
    --------
    dense_vjp : Its gradients.

    Notes
    -----
    Products accumulate in at least float32.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x, w = np.asarray([[1.0, 2.0]]), np.asarray([[1.0, 0.0, 3.0], [0.0, 1.0, 1.0]])
    >>> ac.dense(x, w, np.asarray([10.0, 20.0, 30.0]))
    array([[11., 22., 35.]])
    """
    xp, x, w, b = floating("dense", x=x, w=w, b=b)
    _check("dense", tuple(x.shape), tuple(w.shape), None if b is None else tuple(b.shape))
    dtype = x.dtype
    x, w, b = widened(xp, x, w, b)
    y = product(xp, _rows(xp, x), w)
    if b is not None:
        y = y + xp.reshape(b, (1, -1))
    return cast(xp, _reshaped(xp, y, (*x.shape[:-1], w.shape[1])), dtype)


@suggesting
def dense_vjp(
    dy: Array,
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    wrt: Collection[str] = ARGUMENTS,
) -> DenseGradients:
    r"""The gradients of ``dense`` with respect to ``x``, ``w`` and ``b``.

    .. math::

        dx &= dy \, w^T

        dw &= x^T dy

        db &= \sum_n dy_n

    The leading axes of ``x`` and ``dy`` are taken as one axis, ``n``.

    Parameters
    ----------
    dy : array, shape (..., out)
        Upstream gradient.
    x, w, b
        As for ``dense``.
    wrt : collection of {"x", "w", "b"}
        The gradients wanted; the others are ``None`` and cost nothing.

    Returns
    -------
    DenseGradients
        The named tuple ``(dx, dw, db)``, each gradient of the shape of its argument and in the
        promoted dtype. ``None`` for what ``wrt`` leaves out, and for ``db`` where ``b`` is
        ``None``.

    Raises
    ------
    TypeError, ValueError
        As ``dense``; and for a ``dy`` that has not the shape of the result, or a ``wrt`` that is no
        collection of these names.

    See Also
    --------
    dense : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x, w = np.asarray([[1.0, 2.0]]), np.asarray([[1.0, 0.0, 3.0], [0.0, 1.0, 1.0]])
    >>> dx, dw, db = ac.dense_vjp(np.asarray([[1.0, 10.0, 100.0]]), x, w)
    >>> dx
    array([[301., 110.]])
    >>> dw
    array([[  1.,  10., 100.],
           [  2.,  20., 200.]])
    """
    op = "dense_vjp"
    xp, dy, x, w, b = floating(op, dy=dy, x=x, w=w, b=b)
    check_wrt(op, wrt, ARGUMENTS)
    _check(op, tuple(x.shape), tuple(w.shape), None if b is None else tuple(b.shape))
    check_gradient(op, dy, (*x.shape[:-1], w.shape[1]))
    dtype, shape = x.dtype, x.shape
    dy, x, w = widened(xp, dy, x, w)
    dy = _rows(xp, dy)
    dx = dw = db = None
    if "x" in wrt:
        dx = cast(xp, _reshaped(xp, product(xp, dy, w.T), shape), dtype)
    if "w" in wrt:
        rows, mutable = _rows(xp, x), traits(xp, dy).mutable
        dw = cast(xp, over_rows(xp, rows[None, ...], dy[None, ...], mutable)[0, ...], dtype)
    if b is not None and "b" in wrt:
        db = cast(xp, xp.reshape(summed(xp, dy, 0), b.shape), dtype)
    return DenseGradients(dx, dw, db)


def _rows(xp: Namespace, x: Array) -> Array:
    # (..., n) -> (prod(...), n): one large product instead of one per leading index
    return x if x.ndim == 2 else _reshaped(xp, x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _reshaped(xp: Namespace, x: Array, shape: tuple[int, ...]) -> Array:
    # Dask cannot join or split the axes of an array without elements
    if 0 in shape:
        return xp.zeros(shape, dtype=x.dtype, **placement(x))
    return xp.reshape(x, shape)


@once
def _check(op: str, x: Shape, w: Shape, b: Shape | None) -> None:
    known_shape(op, "x", x)
    known_shape(op, "w", w)
    if not x:
        raise ValueError(f"{op}: x must have a last axis of features, (..., in), got shape ()")
    if len(w) != 2:
        raise ValueError(f"{op}: w must be a matrix (in, out), got shape {w}")
    if x[-1] != w[0]:
        raise ValueError(f"{op}: w expects {w[0]} input features, x has {x[-1]} (x: {x}, w: {w})")
    if b is not None and math.prod(b) != w[1]:
        raise ValueError(
            f"{op}: b must have {w[1]} elements, one per output feature, got shape {b}"
        )

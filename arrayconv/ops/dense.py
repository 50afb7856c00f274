"""The fully connected layer, and what stands around it: flattening and dropout."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import NamedTuple

from arrayconv.arguments import known_shape, number
from arrayconv.namespace import (
    Array,
    Namespace,
    accumulator,
    array_namespace,
    cast,
    contracted,
    is_floating,
    promoted,
    real,
)
from arrayconv.ops.layout import check_gradient, check_wrt, scalar, summed

ARGUMENTS = ("x", "w", "b")


class DenseGradients(NamedTuple):
    """The gradients of the array arguments of `dense`; ``None`` where absent or not asked for."""

    dx: Array | None
    dw: Array | None
    db: Array | None


class DropoutGradients(NamedTuple):
    """The gradients of the array arguments of `dropout`; the mask has none."""

    dx: Array
    dmask: None


def dense(x: Array, w: Array, b: Array | None = None) -> Array:
    """Multiply the last axis of ``x`` by the matrix ``w``, and add ``b``: ``x @ w + b``.

    ``dense_vjp`` gives the gradients for an upstream gradient ``dy`` of the result, the leading axes
    of ``x`` and ``dy`` taken as one: ``dx = dy @ w^T``, ``dw = x^T @ dy``, and ``db`` sums ``dy``.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of the result (``dense_vjp`` only).
    x : array, shape (..., in)
        Real floating, with any number of leading axes.
    w : array, shape (in, out)
        The weights.
    b : array, optional
        Anything that reshapes to ``(out,)``; its gradient has its shape.
    wrt : collection of {"x", "w", "b"}
        The gradients wanted (``dense_vjp`` only); the others are ``None`` and cost nothing.

    Returns
    -------
    array, shape (..., out)
        In the promoted dtype of the arguments. ``dense_vjp`` returns ``DenseGradients(dx, dw, db)``.

    Raises
    ------
    TypeError
        Arrays of two libraries or devices; a dtype that is not real floating; a ``wrt`` that is no
        collection.
    ValueError
        A ``w`` that is no matrix or does not fit ``x``, a bias of another length, ``dy`` of the
        wrong shape, an unknown name in ``wrt``.

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
    >>> dx, dw, db = ac.dense_vjp(np.ones((1, 3)), x, w)
    >>> dx
    array([[4., 2.]])
    """
    xp = array_namespace("dense", x=x, w=w, b=b)
    x, w, b = promoted("dense", xp, x=x, w=w, b=b)
    _check("dense", x, w, b)
    dtype = x.dtype
    x, w = (cast(xp, a, accumulator(xp, dtype)) for a in (x, w))
    y = xp.matmul(_rows(xp, x), w)
    if b is not None:
        y = y + xp.reshape(cast(xp, b, y.dtype), (1, -1))
    return cast(xp, xp.reshape(y, (*x.shape[:-1], w.shape[1])), dtype)


def dense_vjp(
    dy: Array,
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    wrt: Collection[str] = ARGUMENTS,
) -> DenseGradients:
    op = "dense_vjp"
    xp = array_namespace(op, dy=dy, x=x, w=w, b=b)
    dy, x, w, b = promoted(op, xp, dy=dy, x=x, w=w, b=b)
    check_wrt(op, wrt, ARGUMENTS)
    _check(op, x, w, b)
    check_gradient(op, dy, (*x.shape[:-1], w.shape[1]))
    dtype, shape = x.dtype, x.shape
    dy, x, w = (cast(xp, a, accumulator(xp, dtype)) for a in (dy, x, w))
    dy = _rows(xp, dy)
    dx = dw = db = None
    if "x" in wrt:
        dx = cast(xp, xp.reshape(xp.matmul(dy, w.T), shape), dtype)
    if "w" in wrt:
        dw = cast(xp, contracted(xp, _rows(xp, x), dy, ((0,), (0,))), dtype)
    if b is not None and "b" in wrt:
        db = cast(xp, xp.reshape(summed(xp, dy, 0), b.shape), dtype)
    return DenseGradients(dx, dw, db)


dense_vjp.__doc__ = dense.__doc__


def _rows(xp: Namespace, x: Array) -> Array:
    # (..., n) -> (prod(...), n): one large product instead of one per leading index
    return x if x.ndim == 2 else xp.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


def _check(op: str, x: Array, w: Array, b: Array | None) -> None:
    known_shape(op, "x", x.shape)
    known_shape(op, "w", w.shape)
    if x.ndim < 1:
        raise ValueError(f"{op}: x must have a last axis of features, (..., in), got shape ()")
    if w.ndim != 2:
        raise ValueError(f"{op}: w must be a matrix (in, out), got shape {tuple(w.shape)}")
    if x.shape[-1] != w.shape[0]:
        raise ValueError(
            f"{op}: w expects {w.shape[0]} input features, x has {x.shape[-1]} "
            f"(x: {tuple(x.shape)}, w: {tuple(w.shape)})"
        )
    if b is not None and math.prod(b.shape) != w.shape[1]:
        raise ValueError(
            f"{op}: b must have {w.shape[1]} elements, one per output feature, got shape {tuple(b.shape)}"
        )


def flatten(x: Array) -> Array:
    """Join all axes of ``x`` but the first, in C order.

    ``flatten_vjp(dy, x)`` gives ``dy`` the shape of ``x`` again.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of the result (``flatten_vjp`` only).
    x : array, shape (N, ...)
        Real floating or integer (the gradient of an integer ``x`` is ``None``).

    Returns
    -------
    array, shape (N, prod(...))
        A copy, in the dtype of ``x``; one feature where ``x`` has one axis.

    Raises
    ------
    TypeError
        A boolean or complex ``x``.
    ValueError
        An ``x`` without axes, or ``dy`` of the wrong shape.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.flatten(np.arange(8.0).reshape(2, 2, 2))
    array([[0., 1., 2., 3.],
           [4., 5., 6., 7.]])
    """
    xp = array_namespace("flatten", x=x)
    real("flatten", xp, x=x)
    return xp.reshape(x, _flat("flatten", x), copy=True)


def flatten_vjp(dy: Array, x: Array) -> Array | None:
    xp = array_namespace("flatten_vjp", dy=dy, x=x)
    flat = _flat("flatten_vjp", x)
    if not is_floating(xp, x.dtype):
        real("flatten_vjp", xp, x=x)
        return None
    dy, x = promoted("flatten_vjp", xp, dy=dy, x=x)
    check_gradient("flatten_vjp", dy, flat)
    return xp.reshape(dy, x.shape, copy=True)


flatten_vjp.__doc__ = flatten.__doc__


def _flat(op: str, x: Array) -> tuple[int, int]:
    known_shape(op, "x", x.shape)
    if x.ndim < 1:
        raise ValueError(f"{op}: x must have a batch axis, (N, ...), got shape ()")
    return (x.shape[0], math.prod(x.shape[1:]))


def dropout(x: Array, mask: Array, *, rate: float) -> Array:
    """Keep the cells of ``x`` that ``mask`` names, scaled by ``1 / (1 - rate)``; the others become 0.

    The randomness is the caller's, so the operation is a function of its arguments, as under a
    compiler: draw ``mask = uniform >= rate``. ``dropout_vjp`` does to ``dy`` what the forward pass
    does to ``x``.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of ``x`` (``dropout_vjp`` only).
    x : array
        Of any shape; real floating.
    mask : array
        Boolean, True keeps; of the shape of ``x``, or with length 1 along axes that share a draw.
    rate : float
        Share of the cells that are dropped, at least 0 and less than 1.

    Returns
    -------
    array
        Of the shape and dtype of ``x``. ``dropout_vjp`` returns ``DropoutGradients(dx, None)``.

    Raises
    ------
    TypeError
        A mask that is not boolean, an ``x`` that is not real floating, a rate that is no number.
    ValueError
        A mask that does not fit ``x``, a rate outside ``[0, 1)``, ``dy`` of the wrong shape.

    Notes
    -----
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR
    15 (2014), section 10: the scaling at training time, as in Keras and PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.dropout(np.asarray([1.0, 2.0, 3.0]), np.asarray([True, False, True]), rate=0.5)
    array([2., 0., 6.])
    """
    xp = array_namespace("dropout", x=x, mask=mask)
    (x,) = promoted("dropout", xp, x=x)
    rate = _check_dropout("dropout", xp, x, mask, rate)
    return _dropped(xp, x, mask, rate)


def dropout_vjp(dy: Array, x: Array, mask: Array, *, rate: float) -> DropoutGradients:
    xp = array_namespace("dropout_vjp", dy=dy, x=x, mask=mask)
    dy, x = promoted("dropout_vjp", xp, dy=dy, x=x)
    rate = _check_dropout("dropout_vjp", xp, x, mask, rate)
    check_gradient("dropout_vjp", dy, x.shape)
    return DropoutGradients(_dropped(xp, dy, mask, rate), None)


dropout_vjp.__doc__ = dropout.__doc__


def _dropped(xp: Namespace, x: Array, mask: Array, rate: float) -> Array:
    return xp.where(mask, x * (1 / (1 - rate)), scalar(xp, 0, x))


def _check_dropout(op: str, xp: Namespace, x: Array, mask: Array, rate: float) -> float:
    if not xp.isdtype(mask.dtype, "bool"):
        raise TypeError(
            f"{op}: mask must be boolean (True keeps), got {mask.dtype}; write mask != 0"
        )
    known_shape(op, "x", x.shape)
    known_shape(op, "mask", mask.shape)
    fits = mask.ndim == x.ndim and all(
        m in (1, n) for m, n in zip(mask.shape, x.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{op}: mask must have the shape of x, {tuple(x.shape)}, or length 1 along some of its axes, got "
            f"{tuple(mask.shape)}"
        )
    return number(op, "rate", rate, least=0, below=1)

"""What operations share: data formats (all compute on channels-last, ``(N, *S, C)``), and checks of shapes."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from arrayconv.arguments import choice, known_shape
from arrayconv.engine.blockwise import blockwise
from arrayconv.namespace import Array, DType, Namespace, is_lazy, traits

# Cells of a long sum that are added one after the other.
PIECE = 128

DATA_FORMATS = ("channels_last", "channels_first")


def check_layout(op: str, shape: tuple[int, ...], data_format: str) -> None:
    """Raise ``ValueError`` for an unknown format, a shape without spatial axes, or one that is not known."""
    choice(op, "data_format", data_format, DATA_FORMATS)
    known_shape(op, "x", shape)
    if len(shape) < 3:
        order = "(N, *S, C)" if data_format == "channels_last" else "(N, C, *S)"
        raise ValueError(
            f"{op}: x must have a batch axis, one or more spatial axes and a channel axis, {order}, got shape "
            f"{tuple(shape)}"
        )


def to_last(xp: Namespace, x: Array, data_format: str) -> Array:
    """``x`` as ``(N, *S, C)``; a view where the library has views."""
    if data_format == "channels_last":
        return x
    return xp.permute_dims(x, (0, *range(2, x.ndim), 1))


def from_last(xp: Namespace, x: Array, data_format: str) -> Array:
    """``(N, *S, C)`` in ``data_format``."""
    if data_format == "channels_last":
        return x
    return xp.permute_dims(x, (0, x.ndim - 1, *range(1, x.ndim - 1)))


def spatial(shape: tuple[int, ...], data_format: str) -> tuple[int, ...]:
    """The spatial part of the shape of ``(N, *S, C)`` or ``(N, C, *S)``."""
    return tuple(shape[1:-1] if data_format == "channels_last" else shape[2:])


def check_gradient(op: str, dy: Array, expected: tuple[int, ...], *, name: str = "dy") -> None:
    """Raise ``ValueError`` unless ``dy`` has the shape of the forward result, and both are known."""
    shape, expected = tuple(dy.shape), tuple(expected)
    if shape == expected and {*map(type, shape)} == {int}:
        return
    # a shape of NaN may be equal to another
    known_shape(op, name, shape)
    known_shape(op, "x", expected)
    if shape != expected:
        raise ValueError(f"{op}: {name} must have the shape of the result, {expected}, got {shape}")


def check_wrt(op: str, wrt: Collection[str], names: tuple[str, ...]) -> None:
    """Raise ``ValueError`` for a ``wrt`` that names no argument, ``TypeError`` for no collection."""
    if not isinstance(wrt, Collection):
        raise TypeError(f"{op}: wrt must be a collection of names out of {names}, got {wrt!r}")
    for name in wrt:
        if name not in names:
            raise ValueError(f"{op}: wrt names the array arguments {names}, got {wrt!r}")


def summed(xp: Namespace, x: Array, axis: int, dtype: DType = None) -> Array:
    """The sum over ``axis``, which keeps length 1, a long one in pieces; in ``dtype`` if that is given.

    NumPy adds the cells of an axis that is not the last one after the other, and every addition
    rounds; sums of short pieces, themselves summed so, do that far less often in a row.
    """
    # lazy arrays first: the size may be a symbol, of which nothing is known
    if is_lazy(x) or x.shape[axis] < 2 * PIECE or axis == x.ndim - 1:
        return xp.sum(x, axis=axis, keepdims=True, dtype=dtype)
    if traits(xp, x).calling:
        return blockwise(xp, partial(_in_pieces, xp, axis, dtype), x, whole=(axis,))
    return _in_pieces(xp, axis, dtype, x)


def _in_pieces(xp: Namespace, axis: int, dtype: DType, x: Array) -> Array:
    n = x.shape[axis]
    whole = n // PIECE * PIECE
    before = (slice(None),) * axis
    split = (*x.shape[:axis], n // PIECE, PIECE, *x.shape[axis + 1 :])
    parts = xp.sum(xp.reshape(x[(*before, slice(whole), ...)], split), axis=axis + 1, dtype=dtype)
    total = summed(xp, parts, axis, dtype)
    if whole == n:
        return total
    return total + xp.sum(x[(*before, slice(whole, n), ...)], axis=axis, keepdims=True, dtype=dtype)

"""Slice and Gather."""

from __future__ import annotations

import math

from arrayconv.namespace import Array, Namespace, constant_pad, placement
from arrayconv.onnx.operators.shared import (
    Attributes,
    at,
    last_axis,
    namespace,
    normalized,
    one_hot,
)
from arrayconv.onnx.table import register

Ints = tuple[int, ...]


def sliced(
    x: Array, starts: Ints, ends: Ints, axes: Ints | None = None, steps: Ints | None = None
) -> Array:
    xp = namespace(x)
    for axis, cells in _cells(x, starts, ends, axes, steps):
        x = _taken(xp, x, axis, cells)
    return x


def sliced_vjp(
    dy: Array,
    x: Array,
    starts: Ints,
    ends: Ints,
    axes: Ints | None = None,
    steps: Ints | None = None,
) -> Array:
    xp = namespace(dy)
    for axis, cells in _cells(x, starts, ends, axes, steps):
        dy = _given_back(xp, dy, axis, cells, x.shape[axis])
    return dy


def _cells(
    x: Array, starts: Ints, ends: Ints, axes: Ints | None, steps: Ints | None
) -> list[tuple[int, range]]:
    chosen = normalized(range(len(starts)) if axes is None else axes, x.ndim)
    jumps = steps or (1,) * len(starts)
    return [
        # slicing a range clips what is out of range as NumPy does
        (axis, range(x.shape[axis])[start : _end(end, step) : step])
        for axis, start, end, step in zip(chosen, starts, ends, jumps, strict=True)
    ]


def _end(end: int, step: int) -> int | None:
    # with a negative step, ONNX uses the smallest integer for "up to and including index 0"
    return None if step < 0 and end < -(2**30) else end


def _taken(xp: Namespace, x: Array, axis: int, cells: range) -> Array:
    if len(cells) == x.shape[axis] and cells.step == 1:
        return x
    if cells.step > 0 or len(cells) == 0:
        return x[at(axis, slice(cells.start, max(cells.stop, cells.start), abs(cells.step)))]
    # torch has no negative steps
    first, last = cells[-1], cells[0]
    return xp.flip(x[at(axis, slice(first, last + 1, -cells.step))], axis=axis)


def _given_back(xp: Namespace, dy: Array, axis: int, cells: range, n: int) -> Array:
    """The adjoint of `_taken`: ``dy`` at the indices ``cells`` of an axis of length ``n``, zeros elsewhere."""
    if len(cells) == n and cells.step == 1:
        return dy
    if len(cells) == 0:
        shape = tuple(n if i == axis else m for i, m in enumerate(dy.shape))
        return xp.zeros(shape, dtype=dy.dtype, **placement(dy))
    if cells.step < 0:
        dy, cells = xp.flip(dy, axis=axis), cells[::-1]
    step, before = cells.step, dy.shape[:axis]
    if step > 1:
        # (..., m, ...) -> (..., m, step, ...) -> (..., m * step, ...)
        dy = xp.expand_dims(dy, axis=axis + 1)
        dy = constant_pad(
            xp, dy, tuple((0, step - 1 if i == axis + 1 else 0) for i in range(dy.ndim)), 0
        )
        dy = xp.reshape(dy, (*before, len(cells) * step, *dy.shape[axis + 2 :]))
        dy = dy[at(axis, slice(0, min(dy.shape[axis], n - cells.start)))]
    around = (cells.start, n - cells.start - dy.shape[axis])
    return constant_pad(xp, dy, tuple(around if i == axis else (0, 0) for i in range(dy.ndim)), 0)


def gather(x: Array, indices: Array, *, axis: int = 0) -> Array:
    xp = namespace(x, indices)
    (axis,) = normalized((axis,), x.ndim)
    rows = xp.reshape(_counted(xp, indices, x.shape[axis]), (-1,))
    found = xp.take(x, rows, axis=axis)
    return xp.reshape(found, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))


def gather_vjp(dy: Array, x: Array, indices: Array, *, axis: int = 0) -> tuple[Array, None]:
    """A product with the one-hot matrix of the indices, since the array API has no scatter that adds duplicates."""
    xp = namespace(dy, x, indices)
    (axis,) = normalized((axis,), x.ndim)
    before, after, k = x.shape[:axis], x.shape[axis + 1 :], math.prod(indices.shape)
    rows = xp.reshape(_counted(xp, indices, x.shape[axis]), (k,))
    took = one_hot(xp, rows, x.shape[axis], dy.dtype)
    # (A, k, B) -> (A, B, k) @ (k, n) -> (A, B, n) -> (A, n, B)
    g = xp.reshape(dy, (math.prod(before), k, math.prod(after)))
    g = xp.matmul(xp.reshape(xp.permute_dims(g, (0, 2, 1)), (-1, k)), took)
    g = xp.reshape(g, (math.prod(before), math.prod(after), x.shape[axis]))
    return xp.reshape(xp.permute_dims(g, (0, 2, 1)), x.shape), None


def _counted(xp: Namespace, indices: Array, n: int) -> Array:
    """The indices with negative ones counted from the start."""
    return xp.where(indices < 0, indices + n, indices)


def _last(attributes: Attributes, ndim: int) -> Attributes | None:
    if "starts" not in attributes or "ends" not in attributes:
        return None
    axes = attributes.get("axes") or range(len(attributes["starts"]))
    return attributes | {"axes": tuple(last_axis(axis, ndim) for axis in axes)}


register(
    "Slice",
    sliced,
    sliced_vjp,
    static=("starts", "ends", "axes", "steps"),
    channels_last=_last,
)
register("Gather", gather, gather_vjp)

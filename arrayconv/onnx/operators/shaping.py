"""Shape, Reshape, Transpose, Concat, Split and others that rearrange elements."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np

from arrayconv.namespace import Array, is_chunked, to_numpy, unchunked
from arrayconv.onnx.operators.shared import (
    Attributes,
    at,
    moved_axis,
    namespace,
    normalized,
    permuted,
    summed_to,
    with_rank,
)
from arrayconv.onnx.table import register

Ints = tuple[int, ...]


def shape(x: Array, *, start: int = 0, end: int | None = None) -> Array:
    """The shape of ``x``, always as a NumPy array, so that it stays known while a function is traced."""
    return np.asarray(tuple(x.shape)[start:end], np.int64)


def size(x: Array) -> Array:
    return np.asarray(math.prod(x.shape), np.int64)


def reshape(x: Array, shape: Ints, *, allowzero: int = 0) -> Array:
    target = list(shape)
    if not allowzero:
        # 0 means the length of the same axis of the input
        for i, n in enumerate(target):
            if n == 0:
                if i >= x.ndim:
                    raise ValueError(
                        f"a 0 at axis {i} of shape {shape} keeps an axis that is not there"
                    )
                target[i] = x.shape[i]
    if -1 in target:
        known = math.prod(n for n in target if n != -1)
        target[target.index(-1)] = math.prod(x.shape) // known if known else 0
    xp = namespace(x)
    if is_chunked(x) and x.ndim > 1 and target[:1] == [x.shape[0]]:
        # Dask can join axes or split one, but not both in one reshape
        x = xp.reshape(x, (x.shape[0], math.prod(x.shape[1:])))
    return xp.reshape(x, tuple(target))


def as_before(dy: Array, x: Array, *rest: Any, **attributes: Any) -> Array:
    """The vjp of every operator that only reshapes."""
    return namespace(dy).reshape(dy, x.shape)


def flatten(x: Array, *, axis: int = 1) -> Array:
    rows = math.prod(x.shape[: axis + x.ndim if axis < 0 else axis])
    return namespace(x).reshape(x, (rows, math.prod(x.shape) // rows if rows else 0))


def squeeze(x: Array, axes: Ints | None = None) -> Array:
    gone = normalized(axes or (), x.ndim) if axes is not None else ()
    if axes is None:
        gone = tuple(i for i, n in enumerate(x.shape) if n == 1)
    return namespace(x).squeeze(x, axis=gone)


def unsqueeze(x: Array, axes: Ints) -> Array:
    new = set(normalized(axes, x.ndim + len(axes)))
    sizes = iter(x.shape)
    full = tuple(1 if i in new else next(sizes) for i in range(x.ndim + len(axes)))
    return namespace(x).reshape(x, full)


def transpose(x: Array, *, perm: Ints | None = None) -> Array:
    return permuted(namespace(x), x, perm or tuple(reversed(range(x.ndim))))


def transpose_vjp(dy: Array, x: Array, *, perm: Ints | None = None) -> Array:
    order = perm or tuple(reversed(range(x.ndim)))
    return permuted(namespace(dy), dy, sorted(range(x.ndim), key=lambda i: order[i]))


def expand(x: Array, shape: Ints) -> Array:
    xp = namespace(x)
    full = np.broadcast_shapes(tuple(x.shape), shape)
    return xp.broadcast_to(with_rank(xp, x, len(full)), full)


def expand_vjp(dy: Array, x: Array, shape: Ints) -> tuple[Array, None]:
    return summed_to(namespace(dy), dy, x.shape), None


def tile(x: Array, repeats: Ints) -> Array:
    xp = namespace(x)
    single = tuple(m for n in x.shape for m in (1, n))
    wide = tuple(m for r, n in zip(repeats, x.shape, strict=True) for m in (r, n))
    full = tuple(r * n for r, n in zip(repeats, x.shape, strict=True))
    return xp.reshape(xp.broadcast_to(xp.reshape(x, single), wide), full)


def tile_vjp(dy: Array, x: Array, repeats: Ints) -> tuple[Array, None]:
    xp = namespace(dy)
    wide = tuple(m for r, n in zip(repeats, x.shape, strict=True) for m in (r, n))
    return xp.sum(xp.reshape(dy, wide), axis=tuple(range(0, 2 * x.ndim, 2))), None


def concat(*arrays: Array, axis: int) -> Array:
    # networks mostly join channels, over which the next convolution sums
    y = namespace(*arrays).concat(list(arrays), axis=axis)
    (axis,) = normalized((axis,), y.ndim)
    return unchunked(y, axis) if axis else y


def concat_vjp(dy: Array, *arrays: Array, axis: int) -> tuple[Array, ...]:
    (axis,) = normalized((axis,), dy.ndim)
    ends = np.cumsum([0] + [x.shape[axis] for x in arrays]).tolist()
    return tuple(dy[at(axis, slice(*span))] for span in pairwise(ends))


def split(
    x: Array,
    split: Ints | None = None,
    *,
    axis: int = 0,
    num_outputs: int | None = None,
    outputs: int,
) -> tuple[Array, ...]:
    (axis,) = normalized((axis,), x.ndim)
    n = x.shape[axis]
    if split is None:
        each = -(-n // (num_outputs or outputs))
        # the last part may be smaller
        split = tuple(min(each, n - start) for start in range(0, n, each))
    ends = np.cumsum([0, *split]).tolist()
    if ends[-1] != n:
        raise ValueError(f"split {split} does not add up to the {n} cells of axis {axis}")
    return tuple(x[at(axis, slice(*span))] for span in pairwise(ends))


def split_vjp(
    dy: tuple[Array, ...], x: Array, split: Ints | None = None, *, axis: int = 0, **attributes: Any
) -> tuple[Array, None]:
    return namespace(*dy).concat(list(dy), axis=axis), None


def depth_to_space(
    x: Array, *, blocksize: int, mode: str = "DCR", data_format: str = "channels_first"
) -> Array:
    xp, b = namespace(x), blocksize
    if data_format == "channels_last":
        n, h, w, c = x.shape
        inner = (b, b, c // b**2) if mode == "DCR" else (c // b**2, b, b)
        order = (0, 1, 3, 2, 4, 5) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
        # (N, H, W, [b, b, C]) -> (N, H, b, W, b, C)
        blocks = xp.permute_dims(xp.reshape(x, (n, h, w, *inner)), order)
        return xp.reshape(blocks, (n, h * b, w * b, c // b**2))
    n, c, h, w = x.shape
    inner = (b, b, c // b**2) if mode == "DCR" else (c // b**2, b, b)
    order = (0, 3, 4, 1, 5, 2) if mode == "DCR" else (0, 1, 4, 2, 5, 3)
    # (N, [b, b, C], H, W) -> (N, C, H, b, W, b)
    blocks = xp.permute_dims(xp.reshape(x, (n, *inner, h, w)), order)
    return xp.reshape(blocks, (n, c // b**2, h * b, w * b))


def depth_to_space_vjp(dy: Array, x: Array, **attributes: Any) -> Array:
    return space_to_depth(dy, **attributes)


def space_to_depth(
    x: Array, *, blocksize: int, mode: str = "DCR", data_format: str = "channels_first"
) -> Array:
    xp, b = namespace(x), blocksize
    if data_format == "channels_last":
        n, h, w, c = x.shape
        blocks = xp.reshape(x, (n, h // b, b, w // b, b, c))
        order = (0, 1, 3, 2, 4, 5) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
        return xp.reshape(xp.permute_dims(blocks, order), (n, h // b, w // b, c * b**2))
    n, c, h, w = x.shape
    blocks = xp.reshape(x, (n, c, h // b, b, w // b, b))
    order = (0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4)
    return xp.reshape(xp.permute_dims(blocks, order), (n, c * b**2, h // b, w // b))


def space_to_depth_vjp(dy: Array, x: Array, **attributes: Any) -> Array:
    return depth_to_space(dy, **attributes)


def constant_of_shape(shape: Ints, *, value: Any = None) -> Array:
    fill = np.zeros((), np.float32) if value is None else np.reshape(value, ())
    return np.broadcast_to(fill, shape)


def cells(start: Array, limit: Array, delta: Array, *, stash_type: int = 1) -> Array:
    """ONNX's Range, always as a NumPy array, since its length depends on the values."""
    bounds: list[Any] = [to_numpy(v) for v in (start, limit, delta)]
    return np.arange(*bounds, dtype=bounds[0].dtype)


def _last_concat(attributes: Attributes, ndim: int) -> Attributes:
    return moved_axis(attributes, ndim, 0)


def _last_blocks(attributes: Attributes, ndim: int) -> Attributes | None:
    return attributes | {"data_format": "channels_last"} if ndim == 4 else None


register("Shape", shape)
register("Size", size)
register("Reshape", reshape, as_before, since=5, static=("shape",))
register("Flatten", flatten, as_before)
register("Squeeze", squeeze, as_before, static=("axes",))
register("Unsqueeze", unsqueeze, as_before, static=("axes",))
register("Transpose", transpose, transpose_vjp)
register("Expand", expand, expand_vjp, since=8, static=("shape",))
register("Tile", tile, tile_vjp, since=6, static=("repeats",))
register("Concat", concat, concat_vjp, since=4, channels_last=_last_concat)
register(
    "Split", split, split_vjp, since=2, static=("split",), outputs=2**31, channels_last=_last_concat
)
register("DepthToSpace", depth_to_space, depth_to_space_vjp, channels_last=_last_blocks)
register("SpaceToDepth", space_to_depth, space_to_depth_vjp, channels_last=_last_blocks)
register("ConstantOfShape", constant_of_shape, since=9, static=("shape",))
register("Range", cells, since=11)

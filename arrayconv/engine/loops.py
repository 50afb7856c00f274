"""The blocks of arrays that cannot be written: one after the other, or as a loop of the compiled program.

Where a function is traced for a compiler, blocks written out one by one take long to compile and
keep the temporaries of all. There the spans of images are a loop, and the strips of rows of an
image are another inside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial, reduce
from operator import add
from typing import Any, TypeAlias

from arrayconv.engine.blocks import Block, Blocks, largest
from arrayconv.engine.windows import pad
from arrayconv.namespace import Array, DType, Namespace, constant_pad, placement, rolled_loop
from arrayconv.window import Window

# ``compute(window, *parts)``: the parts of ``x``, of ``dy``, or of both that belong to a block.
Compute: TypeAlias = Callable[..., Array]
Loop: TypeAlias = Callable[..., Any]


def joined(
    xp: Namespace,
    blocks: Blocks,
    compute: Compute,
    *,
    x: Array | None = None,
    dy: Array | None = None,
) -> Array:
    """The results of ``compute`` for all blocks of ``x`` or ``dy``, put together."""
    loop = _loop(xp, blocks, x, dy)
    if loop is None:
        rows = (
            _concat(xp, (compute(block.window, *_parts(block, x, dy)) for block in row), 1)
            for row in blocks.by_images()
        )
        return _concat(xp, rows, 0)

    def each(f: Compute, stacks: tuple[Array, ...], images: int) -> Array:
        def step(_: None, parts: tuple[Array, ...]) -> tuple[None, Array]:
            y = f(*_with_images(parts, images))
            return None, y[0, ...] if images == 1 else y

        return loop(step, None, stacks)[1]

    def of_images(*images: Array) -> Array:
        if blocks.pieces == 1:
            return compute(blocks.window, *images)
        strips, window, last = _strips(xp, blocks, *images)
        y = each(partial(compute, window), strips, 1)
        y = xp.reshape(y, (1, -1, *y.shape[2:]))
        return _concat(xp, (y, *(compute(*parts) for parts in last)), 1)

    spans, last = _spans(xp, blocks, x, dy)
    y = each(of_images, spans, blocks.images)
    if blocks.images > 1:
        y = xp.reshape(y, (-1, *y.shape[2:]))
    return _concat(xp, (y, *(of_images(*images) for images in last)), 0)


def added(
    xp: Namespace,
    blocks: Blocks,
    compute: Compute,
    shape: tuple[int, ...],
    dtype: DType,
    *,
    x: Array,
    dy: Array,
) -> Array:
    """The sum of the results of ``compute``, of ``shape`` and ``dtype``, for all blocks of ``x`` and ``dy``."""
    loop = _loop(xp, blocks, x, dy)
    if loop is None:
        return reduce(add, (compute(block.window, *_parts(block, x, dy)) for block in blocks))

    def each(f: Compute, stacks: tuple[Array, ...], images: int) -> Array:
        def step(total: Array, parts: tuple[Array, ...]) -> tuple[Array, None]:
            return total + f(*_with_images(parts, images)), None

        zeros = xp.zeros(shape, dtype=dtype, **placement(x))
        # inside shard_map the sum so far must vary over the devices, as what is added does
        for a in (x, dy):
            zeros = zeros + xp.sum(a[:0, ...], dtype=dtype)
        return loop(step, zeros, stacks)[0]

    def of_images(*images: Array) -> Array:
        if blocks.pieces == 1:
            return compute(blocks.window, *images)
        strips, window, last = _strips(xp, blocks, *images)
        total = each(partial(compute, window), strips, 1)
        return reduce(add, (compute(*parts) for parts in last), total)

    spans, last = _spans(xp, blocks, x, dy)
    total = each(of_images, spans, blocks.images)
    return reduce(add, (of_images(*images) for images in last), total)


def _loop(xp: Namespace, blocks: Blocks, *arrays: Array | None) -> Loop | None:
    return rolled_loop(xp, *arrays) if blocks.divisible and len(blocks) > 1 else None


def _parts(block: Block, x: Array | None, dy: Array | None) -> Iterator[Array]:
    for array, rows in ((x, block.cells), (dy, block.rows)):
        if array is not None:
            yield array[block.images, rows, ...]


def _with_images(parts: tuple[Array, ...], images: int) -> Iterator[Array]:
    # an axis of length 1 in what a loop runs over would make XLA copy it all
    return (part[None, ...] for part in parts) if images == 1 else iter(parts)


def _spans(
    xp: Namespace, blocks: Blocks, *arrays: Array | None
) -> tuple[tuple[Array, ...], list[tuple[Array, ...]]]:
    """The spans of images along a new first axis, or single images as they are, and those of a last, shorter one."""
    done = blocks.batch - blocks.batch % blocks.images
    given = [a for a in arrays if a is not None]
    stacks = (a[:done, ...] for a in given)
    if blocks.images > 1:
        stacks = (xp.reshape(a, (-1, blocks.images, *a.shape[1:])) for a in stacks)
    last = [tuple(a[done:, ...] for a in given)] if done < blocks.batch else []
    return tuple(stacks), last


def _strips(
    xp: Namespace, blocks: Blocks, x: Array, dy: Array | None = None
) -> tuple[tuple[Array, ...], Window, list[tuple[Any, ...]]]:
    """The strips of rows along a new first axis, their window, and window and parts of a last, shorter one."""
    window, lines = blocks.window, blocks.lines
    strip = largest(window, lines)
    count = window.output[0] // lines
    # with its padding all strips are alike
    widths = (window.reach[0], *((0, 0),) * (len(window.size) - 1))
    padded = pad(xp, x, widths, lead=1, mutable=False)
    stacks = [_overlapping(xp, padded, count, lines * window.stride[0], strip.size[0])]
    if dy is not None:
        stacks.append(_overlapping(xp, dy, count, lines, lines))
    last = [
        (block.window, *_parts(block, x, dy))
        for block in blocks.by_rows(slice(None))
        if block.rows.start >= count * lines
    ]
    return tuple(stacks), strip, last


def _overlapping(xp: Namespace, image: Array, count: int, step: int, length: int) -> Array:
    """``count`` strips of ``length`` rows, ``step`` apart: ``(1, rows, ...)`` to ``(count, length, ...)``."""
    parts = []
    for start in range(0, length, step):
        rows = min(step, length - start)
        part = image[0, start : start + (count - 1) * step + rows, ...]
        part = constant_pad(xp, part, ((0, step - rows), *((0, 0),) * (part.ndim - 1)), 0)
        parts.append(xp.reshape(part, (count, step, *part.shape[1:]))[:, :rows, ...])
    return _concat(xp, parts, 1)


def _concat(xp: Namespace, parts: Iterable[Array], axis: int) -> Array:
    first, *rest = parts
    return xp.concat([first, *rest], axis=axis) if rest else first

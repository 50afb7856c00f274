"""Pooling in blocks that stay in the cache, where results can be written in place."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

from arrayconv.engine.blocks import Block, Blocks, fit, grid, whole
from arrayconv.engine.settings import current
from arrayconv.namespace import (
    Array,
    Namespace,
    copied,
    itemsize,
    placement,
    traits,
)
from arrayconv.window import Window

# Input of a block on a CPU; its passes are many and cheap, so they should find it in the second-level cache.
BLOCK_BYTES = 2 * 2**20
# Arrays of the size of a block's input that a pool or its gradient holds at once.
PASSES = 16


def pooled(xp: Namespace, x: Array, window: Window, compute: Callable[[Block], Array]) -> Array:
    """What ``compute`` gives for every block of ``x``, as ``(N, *out, C)``."""
    blocks = _blocks(xp, x, window)
    if blocks is None:
        y = compute(whole(window))
        # windows that see one cell each would hand out a view of the caller's array
        return copied(xp, y) if _sees_one_cell(window) else y
    y = xp.empty((x.shape[0], *window.output, x.shape[-1]), dtype=x.dtype, **placement(x))
    for block in blocks:
        y[block.images, block.rows, ...] = compute(block)
    return y


def unpooled(
    xp: Namespace, dy: Array, window: Window, compute: Callable[[Block, Array | None], Array]
) -> Array:
    """The sum of what ``compute`` adds for every block of ``dy``, as ``(N, *size, C)``.

    ``compute(block, into)`` adds its part to ``into``, or returns it where that is ``None``.
    """
    blocks = _blocks(xp, dy, window)
    if blocks is None:
        return compute(whole(window), None)
    make = xp.empty if window.tiles else xp.zeros
    dx = make((dy.shape[0], *window.size, dy.shape[-1]), dtype=dy.dtype, **placement(dy))
    for block in blocks:
        compute(block, dx[block.images, block.cells, ...])
    return dx


@lru_cache(maxsize=1024)
def _sees_one_cell(window: Window) -> bool:
    """Whether every window has one cell inside the input, its others lying in the padding."""
    return all(len(cells) == 1 for segments in window.segments for cells in segments)


def _blocks(xp: Namespace, x: Array, window: Window) -> Blocks | None:
    """``None`` where arrays are small or immutable, or on an accelerator, whose launches cost more."""
    # lazy arrays first: their batch may be a symbol, of which nothing is known
    at = traits(xp, x)
    if not at.mutable or at.accelerator:
        return None
    batch = x.shape[0]
    size: int = x.shape[-1] * itemsize(xp, x.dtype)
    budget = min(BLOCK_BYTES, max(1, current().room(accelerator=False) // PASSES))

    def cost(part: Window) -> int:
        return size * math.prod(part.padded)

    if batch * cost(window) <= budget:
        return None
    blocks = grid(window, batch, *fit(window, batch, cost, budget))
    return blocks if len(blocks) > 1 else None

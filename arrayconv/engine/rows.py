"""Rows: columns along the last axis only, then one product per remaining cell of the window, summed.

The copies shrink by the kernel's other sizes, and each product reads whole image rows where they
lie. One spatial axis is split into groups of neighbouring cells instead: columns within a group,
products over the groups.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from functools import lru_cache, reduce

from arrayconv.engine import halos
from arrayconv.engine.products import from_rows, joins_images, over_rows
from arrayconv.engine.strategy import Strategy
from arrayconv.engine.windows import (
    gather,
    merge_axes,
    overlap_add,
    pad,
    plus,
    reach,
    scatter,
    split_axis,
    sum_pieces,
    tap_views,
)
from arrayconv.namespace import Array, Namespace
from arrayconv.window import Window


def declines(window: Window, channels: int, features: int) -> str | None:
    """Nothing: rows serve every window, if slowly where the last axis but one has a stride."""
    return None


def temporaries(kind: str, window: Window, channels: int, features: int) -> int:
    """Elements per group and image: the padded input, its columns along the last axis, two products or gradients."""
    inner, _ = _split(window)
    depth = inner.cells * channels
    numbers = math.prod(inner.size) * channels + math.prod(inner.output) * depth
    cells = math.prod(window.output)
    if kind == "correlate":
        return numbers + 2 * cells * features
    if kind == "input_vjp":
        return numbers + cells * (depth + features)
    return numbers + cells * features + sum_pieces(window.output[-2:]) * depth * features


def correlate(xp: Namespace, x: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, C)`` and ``(G, *kernel, C, O)`` to ``(G, N, *out, O)``."""
    groups, batch, features = x.shape[0], x.shape[1], w.shape[-1]
    if not mutable and halos.serves(xp, x):
        last = window.kernel[-1] * x.shape[-1]
        weights = _regrouped(xp, w, (window.cells // window.kernel[-1], last))
        rows = enumerate(halos.rows(xp, x, window, lead=2))
        return reduce(
            operator.add, (from_rows(xp, row, weights[:, k, ...], False) for k, row in rows)
        )
    inner, outer = _split(window)
    weights = _regrouped(xp, w, (outer.cells, inner.cells * x.shape[-1]))
    y = None
    if joins_images(xp, x, mutable):
        for k, (part, along) in enumerate(_parts(xp, x, window)):
            # in one expression, so that nothing is kept while the next columns are made
            y = plus(
                y,
                from_rows(xp, _columns(xp, part, along, mutable), weights[:, k, ...], mutable),
                mutable,
            )
        return y
    columns = _columns(xp, reach(xp, x, window, lead=2, mutable=mutable), inner, mutable)
    for k, view in enumerate(tap_views(columns, outer, lead=2)):
        rows = _rows(xp, view, window)
        part = weights[:, k, ...]
        # one matrix per image and outer position: (G, N, *outer, rows, depth) @ (G, 1, *1, depth, O)
        part = xp.reshape(part, (groups, *(1,) * (rows.ndim - 3), *part.shape[1:]))
        y = plus(y, xp.matmul(rows, part), mutable)
    return xp.reshape(y, (groups, batch, *window.output, features))


def input_vjp(xp: Namespace, dy: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *out, O)`` and ``(G, *kernel, C, O)`` to ``(G, N, *size, C)``."""
    channels = w.shape[-2]
    inner, outer = _split(window)
    depth = inner.cells * channels
    weights = _regrouped(xp, w, (outer.cells, depth))
    parts = (
        from_rows(xp, dy, xp.matrix_transpose(weights[:, k, ...]), mutable)
        for k in range(outer.cells)
    )
    columns = overlap_add(xp, parts, outer, lead=2, mutable=mutable)
    cells = xp.reshape(columns, (*columns.shape[:-1], inner.cells, channels))
    padded = scatter(xp, cells, inner, lead=2, mutable=mutable)
    back = tuple((-before, -after) for before, after in window.reach)
    return pad(xp, padded, back, lead=2, mutable=mutable)


def weight_vjp(xp: Namespace, x: Array, dy: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, C)`` and ``(G, N, *out, O)`` to ``(G, *kernel, C, O)``."""
    channels = x.shape[-1]
    inner, outer = _split(window)
    if not mutable and halos.serves(xp, x):
        rows = halos.rows(xp, x, window, lead=2)
        products = [over_rows(xp, row, dy, mutable) for row in rows]
    elif joins_images(xp, x, mutable):
        products = [
            over_rows(xp, _columns(xp, part, along, mutable), dy, mutable)
            for part, along in _parts(xp, x, window)
        ]
    else:
        columns = _columns(xp, reach(xp, x, window, lead=2, mutable=mutable), inner, mutable)
        products = []
        pieces = sum_pieces(window.output[-2:]) if mutable else 1
        gradient = _rows(xp, dy, window, pieces)
        for view in tap_views(columns, outer, lead=2):
            rows = _rows(xp, view, window, pieces)
            product = xp.matmul(xp.matrix_transpose(rows), gradient)
            products.append(xp.sum(product, axis=tuple(range(1, product.ndim - 2))))
    dw = xp.stack(products, axis=1)  # (G, outer cells, inner cells * C, O)
    return _regrouped(xp, dw, (*window.kernel, channels))


def _regrouped(xp: Namespace, w: Array, sizes: tuple[int, ...]) -> Array:
    """``w`` with other axes of ``sizes`` between its first and its last."""
    first, last = w.shape[0], w.shape[-1]
    # Dask cannot make (4, 2) of (2, 4) in one step where it lies in chunks
    flat = xp.reshape(w, (first, math.prod(sizes), last))
    return xp.reshape(flat, (first, *sizes, last))


@lru_cache(maxsize=1024)
def _split(window: Window) -> tuple[Window, Window]:
    if len(window.size) == 1:
        return window.split(0, inner=group(window.kernel[0]))
    return window.split(len(window.size) - 1)


def group(kernel: int) -> int:
    """The largest divisor of ``kernel`` not above its square root."""
    return max(k for k in range(1, math.isqrt(kernel) + 1) if kernel % k == 0)


def _columns(xp: Namespace, x: Array, window: Window, mutable: bool) -> Array:
    columns = gather(xp, x, window, lead=2, mutable=mutable)
    return xp.reshape(columns, (*columns.shape[:-2], columns.shape[-2] * columns.shape[-1]))


def _parts(xp: Namespace, x: Array, window: Window) -> Iterator[tuple[Array, Window]]:
    """For each cell of the outer window, of what array and by what window its columns alone are made."""
    inner, outer = _split(window)
    padded = reach(xp, x, window, lead=2, mutable=True)
    none = ((0, 0),) * len(window.size)
    for cell in outer.taps:
        after = (slice(d * k, None) for d, k in zip(outer.dilation, cell, strict=True))
        part = padded[(slice(None), slice(None), *after, ...)]
        size = tuple(part.shape[2:-1])
        yield part, Window(size, inner.kernel, window.stride, inner.dilation, none, window.output)


def _rows(xp: Namespace, view: Array, window: Window, pieces: int = 1) -> Array:
    # (G, N, *S, rows, columns, D) -> (G, N, *S, pieces, rows * columns / pieces, D), without a copy where the rows
    # follow one another; one axis is one row
    if len(window.size) > 1:
        view = merge_axes(xp, view, view.ndim - 3)
    if pieces == 1:
        return view
    return split_axis(xp, view, view.ndim - 2, (pieces, view.shape[-2] // pieces))


STRATEGY = Strategy(correlate, input_vjp, weight_vjp, declines, temporaries)

"""Winograd: kernels of 3 cells along every axis by tiles of 4 outputs, a quarter of the products in two dimensions.

An output tile and a kernel are polynomials, multiplied by their values at the points 0, 2/3, -2/3,
3/2, -3/2 and infinity: six products along an axis in place of twelve. The values of a tile are a
few sums of slices, made for all tiles of a block at once, and one batched product over the channels
joins them.

The transforms round, so this is for ``options(precision="fast")``: in float32 the error is two
to ten times that of columns. A tile mixes all the cells it reads, so NaN and inf reach every
output of the tile (4 along each axis) of which one window contains them.

A. Lavin and S. Gray, "Fast algorithms for convolutional neural networks", arXiv:1509.09308, with
the points chosen as in B. Barabasz et al., "Error analysis and improving the accuracy of Winograd
convolution for deep neural networks", arXiv:1803.10986: reciprocal pairs keep the coefficients
near 1, and err five times less than 1, -1, 2, -2.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import product

from arrayconv.engine.strategy import Strategy
from arrayconv.engine.windows import flipped, gather, interleave
from arrayconv.namespace import Array, Namespace, placement
from arrayconv.window import Window

KERNEL, TILE = 3, 4
# Tiles in a block, where the workspace allows it.
TILES = 128
POINTS = KERNEL + TILE - 1
# The finite points are 0, +-NEAR and +-FAR; their product of 1 keeps coefficients out of the first and last row.
NEAR, FAR = 2 / 3, 3 / 2
NEAR2, FAR2 = NEAR**2, FAR**2


def declines(window: Window, channels: int, features: int) -> str | None:
    """A kernel other than 3, a stride or a dilation other than 1, along any axis."""
    if any(k != KERNEL for k in window.kernel):
        return f"the kernel must be {KERNEL} along every axis, it is {window.kernel}"
    if any(step != 1 for step in (*window.stride, *window.dilation)):
        return "stride and dilation must be 1"
    return None


def temporaries(kind: str, window: Window, channels: int, features: int) -> int:
    """Elements per group and image: the cells by place, the values of tiles and products, the parts of a transform."""
    ndim = len(window.output)
    values = POINTS**ndim * math.prod(_counts(window))
    cells = TILE**ndim * math.prod(n + 1 for n in _counts(window)) * channels
    return int(cells + values * min(channels, features) + 5 * values * max(channels, features) // 2)


def tile(window: Window, channels: int, features: int) -> tuple[int, ...]:
    """Outputs of a tile along each axis."""
    return (TILE,) * len(window.size)


def enough(window: Window, features: int) -> int:
    """Windows in a block: those of so many tiles that reading the kernel does not count."""
    return int(TILES * TILE ** len(window.size))


def prepared(window: Window, channels: int, features: int) -> int:
    """Elements of the kernel's values at the points, per group."""
    return int(POINTS ** len(window.size) * channels * features)


def prepare(xp: Namespace, w: Array, window: Window) -> Array:
    """The kernel at all points: ``(G, *kernel, C, O)`` to ``(points, G, C, O)``."""
    groups, channels, features = w.shape[0], w.shape[-2], w.shape[-1]
    # (G, *kernel, C, O) -> (G, K, C * O) -> (G, P, C * O)
    values = xp.matmul(
        _evaluation(xp, w, len(window.size)), xp.reshape(w, (groups, -1, channels * features))
    )
    values = xp.reshape(values, (groups, -1, channels, features))
    return xp.permute_dims(values, (1, 0, 2, 3))


def correlate(xp: Namespace, x: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, C)`` and a prepared kernel to ``(G, N, *out, O)``."""
    values = _tiles(xp, x, window, mutable)
    lead = values.shape[: values.ndim - 1]
    # (P, G, N * tiles, C) @ (P, G, C, O)
    values = xp.matmul(xp.reshape(values, (*w.shape[:2], -1, w.shape[-2])), w)
    values = xp.reshape(values, (*lead, w.shape[-1]))
    ndim = len(window.size)
    for axis in range(ndim - 1):
        values = _joined(xp, _from_points(_along(values, axis)), axis, TILE, mutable)
    return _untiled(xp, _from_points(_along(values, ndim - 1)), window, mutable)


def input_vjp(xp: Namespace, dy: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *out, O)`` and ``(G, *kernel, C, O)`` to ``(G, N, *size, C)``: a correlation with the kernel flipped."""
    (phase,) = window.phases
    kernel = prepare(xp, flipped(xp, w, phase.taps), phase.window)
    return correlate(xp, dy, kernel, phase.window, mutable)


def weight_vjp(xp: Namespace, x: Array, dy: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, C)`` and ``(G, N, *out, O)`` to ``(G, *kernel, C, O)``: each step's adjoint in turn."""
    groups, channels, features = x.shape[0], x.shape[-1], dy.shape[-1]
    ndim = len(window.size)
    inputs = _tiles(xp, x, window, mutable)
    gradient = _cells(xp, dy, window.output, _counts(window), (0,) * ndim, mutable)
    for axis in range(ndim):
        gradient = _joined(xp, _to_points(_along(gradient, axis)), axis, POINTS, mutable)
    inputs = xp.reshape(inputs, (POINTS**ndim, groups, -1, channels))
    gradient = xp.reshape(gradient, (POINTS**ndim, groups, -1, features))
    values = xp.matmul(xp.matrix_transpose(inputs), gradient)  # (P, G, C, O)
    values = xp.reshape(xp.permute_dims(values, (1, 0, 2, 3)), (groups, -1, channels * features))
    dw = xp.matmul(xp.matrix_transpose(_evaluation(xp, x, ndim)), values)
    return xp.reshape(dw, (groups, *window.kernel, channels, features))


def _counts(window: Window) -> tuple[int, ...]:
    return tuple(-(-o // TILE) for o in window.output)


def _tiles(xp: Namespace, x: Array, window: Window, mutable: bool) -> Array:
    """All tiles at all points: ``(*points, G, N, *tiles, C)``."""
    counts = _counts(window)
    # a tile reads 6 cells: 4 of its own and the first 2 of the next
    before = tuple(pair[0] for pair in window.padding)
    cells = _cells(xp, x, window.size, tuple(n + 1 for n in counts), before, mutable)
    for axis, count in enumerate(counts):
        whole = (slice(None),) * axis
        rest = (slice(None),) * (len(counts) + 1)
        parts = [
            cells[(*whole, k % TILE, *rest, slice(k // TILE, k // TILE + count), ...)]
            for k in range(POINTS)
        ]
        cells = _joined(xp, _evaluated(parts), axis, POINTS, mutable)
    return cells


def _cells(
    xp: Namespace,
    x: Array,
    size: tuple[int, ...],
    counts: tuple[int, ...],
    before: tuple[int, ...],
    mutable: bool,
) -> Array:
    # (G, N, *size, C) -> (4, ..., 4, G, N, *counts, C): by place within the tile, so that tiles are runs in memory
    ndim = len(size)
    tiling = Window(
        size, (TILE,) * ndim, (TILE,) * ndim, (1,) * ndim, tuple((b, 0) for b in before), counts
    )
    if not mutable:
        cells = gather(xp, x, tiling, lead=2, mutable=mutable, at=0)
        return xp.reshape(cells, (*tiling.kernel, *cells.shape[1:]))
    cells = xp.zeros(
        (*tiling.kernel, *x.shape[:2], *counts, x.shape[-1]), dtype=x.dtype, **placement(x)
    )
    lead = (slice(None), slice(None))
    for place, (read, written) in zip(tiling.taps, tiling.tap_inside, strict=True):
        cells[(*place, *lead, *written, ...)] = x[(*lead, *read, ...)]
    return cells


def _along(x: Array, axis: int) -> list[Array]:
    whole = (slice(None),) * axis
    return [x[(*whole, k, ...)] for k in range(x.shape[axis])]


def _joined(xp: Namespace, parts: Iterable[Array], axis: int, count: int, mutable: bool) -> Array:
    """The ``count`` parts of a transform stacked, each written where it belongs as soon as it is there."""
    if not mutable:
        return xp.stack(list(parts), axis=axis)
    whole = (slice(None),) * axis
    result = None
    for k, part in enumerate(parts):
        if result is None:
            shape = (*part.shape[:axis], count, *part.shape[axis:])
            result = xp.empty(shape, dtype=part.dtype, **placement(part))
        result[(*whole, k, ...)] = part
    return result


def _untiled(xp: Namespace, parts: Iterable[Array], window: Window, mutable: bool) -> Array:
    """The outputs, from one part per place along the last axis, ``(4, ..., 4, G, N, *tiles, O)``."""
    ndim = len(window.output)
    if not mutable:
        last = list(enumerate(parts))
        places = product(range(TILE), repeat=ndim - 1)
        cells = {(*place, k): part[(*place, ...)] for place in places for k, part in last}
        y = interleave(xp, cells, (TILE,) * ndim, lead=2)
        return y[(slice(None), slice(None), *map(slice, window.output), ...)]
    y = None
    for k, part in enumerate(parts):
        if y is None:
            shape = (*part.shape[ndim - 1 : ndim + 1], *window.output, part.shape[-1])
            y = xp.empty(shape, dtype=part.dtype, **placement(part))
        for place in product(range(TILE), repeat=ndim - 1):
            at = (*place, k)
            if any(i >= o for i, o in zip(at, window.output, strict=True)):
                continue
            # the last tile may hang over the border
            kept = (
                slice((o - i + TILE - 1) // TILE) for i, o in zip(at, window.output, strict=True)
            )
            steps = (slice(i, None, TILE) for i in at)
            whole = (slice(None), slice(None))
            y[(*whole, *steps, ...)] = part[(*place, *whole, *kept, ...)]
    return y


def _evaluated(d: list[Array]) -> Iterator[Array]:
    """What the products at the six points take from the six cells that a tile reads along an axis."""
    d0, d1, d2, d3, d4, d5 = d
    value = d2 * -(NEAR2 + FAR2)
    value += d0
    value += d4
    yield value
    for point, other in ((NEAR, FAR2), (FAR, NEAR2)):
        even = d2 * -other
        even += d4
        odd = d1 * -other
        odd += d3
        odd *= point
        yield even + odd
        yield even - odd
    value = d3 * -(NEAR2 + FAR2)
    value += d1
    value += d5
    yield value


def _from_points(m: list[Array]) -> Iterator[Array]:
    """The four outputs of a tile along an axis from its products at the six points."""
    m0, m1, m2, m3, m4, m5 = m
    even, odd, far_even, far_odd = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    value = even + far_even
    value += m0
    yield value
    odd *= NEAR
    far_odd *= FAR
    yield odd + far_odd
    even *= NEAR2
    far_even *= FAR2
    even += far_even
    yield even
    odd *= NEAR2
    far_odd *= FAR2
    odd += far_odd
    odd += m5
    yield odd


def _to_points(y: list[Array]) -> Iterator[Array]:
    """The adjoint of ``_from_points``: a polynomial of four coefficients at the six points."""
    y0, y1, y2, y3 = y
    yield y0
    for point, square in ((NEAR, NEAR2), (FAR, FAR2)):
        even = y2 * square
        even += y0
        odd = y3 * square
        odd += y1
        odd *= point
        yield even + odd
        yield even - odd
    yield y3


def _evaluation(xp: Namespace, like: Array, ndim: int) -> Array:
    """The matrix ``(points, kernel cells)`` that takes a kernel to its values."""
    return xp.asarray(_kernel_values(ndim), dtype=like.dtype, **placement(like))


@lru_cache
def _kernel_values(ndim: int) -> tuple[tuple[float, ...], ...]:
    near, far = 2 * NEAR2 * (NEAR2 - FAR2), 2 * FAR2 * (FAR2 - NEAR2)
    points = ((0.0, 1.0), (NEAR, near), (-NEAR, near), (FAR, far), (-FAR, far))
    along = [[p**k / norm for k in range(KERNEL)] for p, norm in points] + [[0.0, 0.0, 1.0]]
    rows = product(along, repeat=ndim)
    return tuple(tuple(math.prod(cell) for cell in product(*row)) for row in rows)


STRATEGY = Strategy(
    correlate,
    input_vjp,
    weight_vjp,
    declines,
    temporaries,
    fast=True,
    enough=enough,
    tile=tile,
    prepare=prepare,
    prepared=prepared,
)

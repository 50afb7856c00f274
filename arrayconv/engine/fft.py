"""FFT: large kernels by the convolution theorem, over tiles that overlap by the kernel (overlap-save).

The cost per output hardly grows with the kernel, so it wins where the kernel is large; one batched
product over the channels joins the frequencies. It needs the namespace's ``fft`` extension.

A transform mixes all the cells of a tile, so this is for ``options(precision="fast")``: the error of
every output of a tile is one of rounding the tile's largest values, and NaN and inf reach every
output of each tile that holds one.

A. V. Oppenheim and R. W. Schafer, "Discrete-Time Signal Processing", section 8.7.3 (overlap-save).
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import product

from arrayconv.engine.strategy import Strategy
from arrayconv.engine.windows import flipped, pad
from arrayconv.namespace import Array, Namespace, cast, placement
from arrayconv.window import Window

# Images that one transform of the kernel is taken to serve when a tile size is chosen.
BATCH = 4


def declines(window: Window, channels: int, features: int) -> str | None:
    """A stride or a dilation other than 1, along any axis."""
    if any(step != 1 for step in (*window.stride, *window.dilation)):
        return "stride and dilation must be 1"
    return None


def temporaries(kind: str, window: Window, channels: int, features: int) -> int:
    """Elements per group and image: tiles, their frequencies in two layouts, and the same of the products."""
    size = _size(window, channels, features)
    cells = math.prod(size) * math.prod(_counts(window, size))
    return math.prod(window.padded) * channels + 8 * cells * (channels + features)


def tile(window: Window, channels: int, features: int) -> tuple[int, ...]:
    """Outputs of a tile along each axis."""
    return _steps(window, _size(window, channels, features))


def enough(window: Window, features: int) -> int:
    """Windows in a block: those of an image, since blocks of rows would cut tiles."""
    return math.prod(window.output)


def prepared(window: Window, channels: int, features: int) -> int:
    """Elements of the kernel's frequencies per group, complex and in two layouts."""
    return 2 * math.prod(_size(window, channels, features)) * channels * features


@lru_cache(maxsize=1024)
def _size(window: Window, channels: int, features: int) -> tuple[int, ...]:
    """Cells that a tile reads: of the even products of 2, 3 and 5, the cheapest to transform."""

    def cost(size: tuple[int, ...]) -> float:
        images = BATCH * (channels + features) * math.prod(_counts(window, size))
        return (images + channels * features) * math.prod(size) * math.log2(math.prod(size))

    return min(product(*map(_choices, window.output, window.kernel)), key=cost)


@lru_cache(maxsize=1024)
def _choices(output: int, kernel: int) -> tuple[int, ...]:
    # the smallest size for each number of tiles
    best: dict[int, int] = {}
    n = 2 * -(-kernel // 2)
    while 1 not in best:
        if _is_smooth(n):
            best.setdefault(-(-output // (n - kernel + 1)), n)
        n += 2
    return tuple(best.values())


def _is_smooth(n: int) -> bool:
    for factor in (2, 3, 5):
        while n % factor == 0:
            n //= factor
    return n == 1


def prepare(xp: Namespace, w: Array, window: Window) -> Array:
    """The kernel's frequencies: ``(G, *kernel, C, O)`` to ``(*frequencies, G, C, O)``."""
    ndim = len(window.kernel)
    size = _size(window, w.shape[-2], w.shape[-1])
    # (G, *kernel, C, O) -> (G, C, O, *kernel)
    cells = xp.permute_dims(w, (0, ndim + 1, ndim + 2, *range(1, ndim + 1)))
    values = xp.conj(_transformed(xp, cells, size))
    return xp.permute_dims(values, (*range(3, ndim + 3), 0, 1, 2))


def correlate(xp: Namespace, x: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, C)`` and a prepared kernel to ``(G, N, *out, O)``."""
    ndim = len(window.size)
    size = (*w.shape[: ndim - 1], 2 * (w.shape[ndim - 1] - 1))
    counts = _counts(window, size)
    values = _frequencies(xp, _tiles(xp, x, window, size, mutable), size)
    weights = xp.reshape(w, (-1, *w.shape[ndim:]))
    # (F, G, N * tiles, C) @ (F, G, C, O)
    values = xp.matmul(values, weights) if x.shape[-1] > 1 else values * weights
    values = xp.reshape(values, (*w.shape[:ndim], *values.shape[1:]))
    # (*frequencies, G, N * tiles, O) -> (G, O, N * tiles, *frequencies)
    values = xp.permute_dims(values, (ndim, ndim + 2, ndim + 1, *range(ndim)))
    y = _back(xp, values, size, x)
    y = xp.reshape(y, (*y.shape[:2], x.shape[1], *counts, *size))
    return _untiled(xp, y, window, size, mutable)


def input_vjp(xp: Namespace, dy: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *out, O)`` and ``(G, *kernel, C, O)`` to ``(G, N, *size, C)``: a correlation with the kernel flipped."""
    (phase,) = window.phases
    kernel = prepare(xp, flipped(xp, w, phase.taps), phase.window)
    return correlate(xp, dy, kernel, phase.window, mutable)


def weight_vjp(xp: Namespace, x: Array, dy: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, C)`` and ``(G, N, *out, O)`` to ``(G, *kernel, C, O)``."""
    ndim = len(window.size)
    size = _size(window, x.shape[-1], dy.shape[-1])
    inputs = _frequencies(xp, _tiles(xp, x, window, size, mutable), size)
    gradient = _frequencies(xp, _pieces(xp, dy, window, size, mutable), size)
    # (F, G, C, N * tiles) @ (F, G, N * tiles, O)
    values = xp.matmul(xp.matrix_transpose(inputs), xp.conj(gradient))
    values = xp.reshape(values, (*size[:-1], size[-1] // 2 + 1, *values.shape[1:]))
    # (*frequencies, G, C, O) -> (G, C, O, *frequencies)
    values = xp.permute_dims(values, (*range(ndim, ndim + 3), *range(ndim)))
    dw = _back(xp, values, size, x)[(..., *map(slice, window.kernel))]
    return xp.permute_dims(dw, (0, *range(3, ndim + 3), 1, 2))


def _steps(window: Window, size: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(n - k + 1 for n, k in zip(size, window.kernel, strict=True))


def _counts(window: Window, size: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-o // step) for o, step in zip(window.output, _steps(window, size), strict=True))


def _tiles(xp: Namespace, x: Array, window: Window, size: tuple[int, ...], mutable: bool) -> Array:
    """What each tile of outputs reads: ``(G, N, *size, C)`` to ``(G, C, N * tiles, *tile)``."""
    steps, counts = _steps(window, size), _counts(window, size)
    widths = tuple(
        (before, (count - 1) * step + n - before - cells)
        for (before, _), count, step, n, cells in zip(
            window.padding, counts, steps, size, window.size, strict=True
        )
    )
    return _cut(xp, pad(xp, x, widths, lead=2, mutable=mutable), counts, steps, size, mutable)


def _pieces(
    xp: Namespace, dy: Array, window: Window, size: tuple[int, ...], mutable: bool
) -> Array:
    """The tiles of an upstream gradient, side by side: ``(G, C, N * tiles, *steps)``."""
    steps, counts = _steps(window, size), _counts(window, size)
    widths = tuple(
        (0, count * step - o) for count, step, o in zip(counts, steps, window.output, strict=True)
    )
    return _cut(xp, pad(xp, dy, widths, lead=2, mutable=mutable), counts, steps, steps, mutable)


def _cut(
    xp: Namespace,
    x: Array,
    counts: tuple[int, ...],
    steps: tuple[int, ...],
    size: tuple[int, ...],
    mutable: bool,
) -> Array:
    ndim = len(size)
    # (G, N, *S, C) -> (G, C, N, *S)
    x = xp.permute_dims(x, (0, ndim + 2, *range(1, ndim + 2)))
    # one axis for all tiles: Dask tries a transform out on 8 cells for each axis
    joined = (*x.shape[:2], -1, *size)
    places = list(product(*map(range, counts)))
    parts = (
        x[(..., *(slice(p * s, p * s + n) for p, s, n in zip(place, steps, size, strict=True)))]
        for place in places
    )
    if not mutable:
        return xp.reshape(xp.stack(list(parts), axis=3), joined)
    tiles = xp.empty((*x.shape[:3], *counts, *size), dtype=x.dtype, **placement(x))
    lead = (slice(None),) * 3
    for place, part in zip(places, parts, strict=True):
        tiles[(*lead, *place, ...)] = part
    return xp.reshape(tiles, joined)


def _transformed(xp: Namespace, x: Array, size: tuple[int, ...]) -> Array:
    return xp.fft.rfftn(x, s=size, axes=tuple(range(x.ndim - len(size), x.ndim)))


def _frequencies(xp: Namespace, tiles: Array, size: tuple[int, ...]) -> Array:
    """``(G, C, N * tiles, *cells)`` to ``(frequencies, G, N * tiles, C)``."""
    ndim = len(size)
    values = xp.permute_dims(_transformed(xp, tiles, size), (*range(3, ndim + 3), 0, 2, 1))
    return xp.reshape(values, (-1, *values.shape[ndim:]))


def _back(xp: Namespace, values: Array, size: tuple[int, ...], like: Array) -> Array:
    cells = xp.fft.irfftn(values, s=size, axes=tuple(range(values.ndim - len(size), values.ndim)))
    return cast(xp, cells, like.dtype)


def _untiled(
    xp: Namespace, y: Array, window: Window, size: tuple[int, ...], mutable: bool
) -> Array:
    """``(G, O, N, *counts, *tile)`` to ``(G, N, *out, O)``: the outputs that did not wrap round, side by side."""
    ndim = len(size)
    steps, counts = _steps(window, size), _counts(window, size)
    y = y[(..., *map(slice, steps))]
    if not mutable:
        # (G, O, N, *counts, *steps) -> (G, N, count, step, ..., O)
        pairs = (axis for a in range(ndim) for axis in (3 + a, 3 + ndim + a))
        joined = (c * s for c, s in zip(counts, steps, strict=True))
        y = xp.permute_dims(y, (0, 2, *pairs, 1))
        y = xp.reshape(y, (*y.shape[:2], *joined, y.shape[-1]))
        return y[(slice(None), slice(None), *map(slice, window.output), ...)]
    # (G, O, N, ...) -> (G, N, ..., O)
    y = xp.permute_dims(y, (0, *range(2, y.ndim), 1))
    result = xp.empty((*y.shape[:2], *window.output, y.shape[-1]), dtype=y.dtype, **placement(y))
    whole = (slice(None), slice(None))
    for place in product(*map(range, counts)):
        at = [
            slice(p * s, min((p + 1) * s, o))
            for p, s, o in zip(place, steps, window.output, strict=True)
        ]
        kept = (slice(cells.stop - cells.start) for cells in at)
        result[(*whole, *at, ...)] = y[(*whole, *place, *kept, ...)]
    return result


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

"""The only N-d indexing: pad and crop, step and interleave, gather windows and overlap-add, as adjoint pairs.

An array here has ``lead`` axes, then the window's spatial axes, then its channels. Each function
has one form for arrays that can be written in place and one, made of whole-array expressions, for
those that cannot (JAX, Dask).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, reduce
from itertools import product

from arrayconv.namespace import Array, Namespace, constant_pad, placement
from arrayconv.window import Pairs, Window

# Windows that one product of a weight gradient sums over: no library adds up a long sum as well as short ones.
SUM_LENGTHS = 64, 1024
# Numbers in columns up to which one look-up costs less than a copy for each cell of the window.
FEW_CELLS = 4096


def reach(
    xp: Namespace, x: Array, window: Window, *, lead: int, mutable: bool, value: float = 0
) -> Array:
    """The part of ``x`` that the windows span, with cells of ``value`` where they leave it; ``x`` itself if it fits."""
    return x if window.fits else pad(xp, x, window.reach, lead=lead, mutable=mutable, value=value)


def pad(
    xp: Namespace, x: Array, widths: Pairs, *, lead: int, mutable: bool, value: float = 0
) -> Array:
    """``x`` with ``widths`` cells of ``value`` added to its spatial axes; negative widths crop."""
    if all(width == (0, 0) for width in widths):
        return x
    if any(before < 0 or after < 0 for before, after in widths):
        x = x[
            (
                *_whole(lead),
                *(_kept(n, w) for n, w in zip(x.shape[lead:-1], widths, strict=True)),
                ...,
            )
        ]
        widths = tuple((max(before, 0), max(after, 0)) for before, after in widths)
        if all(width == (0, 0) for width in widths):
            return x
    if not mutable:
        return constant_pad(xp, x, ((0, 0),) * lead + widths + ((0, 0),), value)
    shape = tuple(
        n + before + after for n, (before, after) in zip(x.shape[lead:-1], widths, strict=True)
    )
    inner = tuple(
        slice(before, before + n) for n, (before, _) in zip(x.shape[lead:-1], widths, strict=True)
    )
    padded = xp.full((*x.shape[:lead], *shape, x.shape[-1]), value, dtype=x.dtype, **placement(x))
    padded[(*_whole(lead), *inner, ...)] = x
    return padded


def _kept(n: int, width: tuple[int, int]) -> slice:
    before, after = width
    return slice(min(n, max(0, -before)), max(0, n + min(0, after)))


def _whole(lead: int) -> tuple[slice, ...]:
    return (slice(None),) * lead


def crop(x: Array, widths: Pairs, *, lead: int) -> Array:
    """The adjoint of ``pad``: what is left without ``widths`` cells around the spatial axes (none negative)."""
    inner = tuple(
        slice(before, n - after)
        for n, (before, after) in zip(x.shape[lead:-1], widths, strict=True)
    )
    return x[(*_whole(lead), *inner, ...)]


def tap_views(padded: Array, window: Window, *, lead: int) -> Iterator[Array]:
    """For each cell of the window in C order, that cell of every window; views where the library has them."""
    whole = _whole(lead)
    for cells in window.tap_slices:
        yield padded[(*whole, *cells, ...)]


def channels_as_images(xp: Namespace, x: Array) -> Array:
    """``(G, N, *size, C)`` as ``(G, C, N, *size, 1)``: every channel an image of one."""
    ndim = x.ndim
    return xp.expand_dims(xp.permute_dims(x, (0, ndim - 1, *range(1, ndim - 1))), axis=-1)


def flipped(xp: Namespace, w: Array, taps: tuple[slice, ...]) -> Array:
    """The kernel of a phase of the input gradient, backwards: ``(G, *kernel, C, O)`` to ``(G, *taps, O, C)``."""
    ndim = len(taps)
    part = xp.flip(w[(slice(None), *taps, ...)], axis=tuple(range(1, ndim + 1)))
    return xp.permute_dims(part, (*range(ndim + 1), ndim + 2, ndim + 1))


def gather(
    xp: Namespace, x: Array, window: Window, *, lead: int, mutable: bool, at: int = -2
) -> Array:
    """Every window of ``x``, zero outside: ``(*lead, *out, C)`` with an axis for the cells of the window at ``at``."""
    padded = reach(xp, x, window, lead=lead, mutable=mutable)
    taps = len(window.taps)
    if taps == 1:
        (view,) = tap_views(padded, window, lead=lead)
        return xp.expand_dims(view, axis=at)
    shape = [*x.shape[:lead], *window.output, x.shape[-1]]
    at %= len(shape) + 1
    shape.insert(at, taps)
    if mutable and at == len(shape) - 2 and math.prod(shape) <= FEW_CELLS:
        size = tuple(padded.shape[lead:-1])
        cells = xp.reshape(padded, (*x.shape[:lead], math.prod(size), x.shape[-1]))
        places = _places(xp, window, size, placement(x))
        return xp.reshape(xp.take(cells, places, axis=lead), tuple(shape))
    if not mutable:
        joined = xp.concat(list(tap_views(padded, window, lead=lead)), axis=at)
        return xp.reshape(joined, tuple(shape))
    columns = xp.empty(tuple(shape), dtype=x.dtype, **placement(x))
    whole = _whole(at)
    for k, view in enumerate(tap_views(padded, window, lead=lead)):
        columns[(*whole, k, ...)] = view
    return columns


def _places(
    xp: Namespace, window: Window, size: tuple[int, ...], where: dict[str, object]
) -> Array:
    """Where in the flat image of ``size`` that ``reach`` made lie the cells of every window, window by window."""
    known = _known_places(xp, window, size)
    for place, found in known:
        if place == where:
            return found
    places = xp.asarray(_flat_places(window, size), **where)
    known.append((where, places))
    return places


@lru_cache(maxsize=256)
def _known_places(
    xp: Namespace, window: Window, size: tuple[int, ...]
) -> list[tuple[dict[str, object], Array]]:
    """The places on every device that they were asked for on; devices can be compared, CuPy's not hashed."""
    return []


def _flat_places(window: Window, size: tuple[int, ...]) -> list[int]:
    steps = [math.prod(size[axis + 1 :]) for axis in range(len(size))]

    def flat(cell: tuple[int, ...]) -> int:
        return sum(map(operator.mul, cell, steps))

    taps = [flat(tuple(map(operator.mul, tap, window.dilation))) for tap in window.taps]
    corners = (
        flat(tuple(map(operator.mul, cell, window.stride)))
        for cell in product(*map(range, window.output))
    )
    return [corner + tap for corner in corners for tap in taps]


@lru_cache(maxsize=1024)
def sum_pieces(output: tuple[int, ...]) -> int:
    """Into how many equal pieces, of whole rows, the windows of an image are cut to be summed over; 1 if none suit."""
    rows, columns = (math.prod(output[:-1]), output[-1]) if len(output) > 1 else (output[0], 1)
    shortest, longest = SUM_LENGTHS
    suiting = (
        p
        for p in range(1, rows + 1)
        if rows % p == 0 and rows // p * columns in range(shortest, longest + 1)
    )
    return next(suiting, 1)


def reduce_windows(
    xp: Namespace, x: Array, window: Window, combine: Callable[[Array, Array], Array]
) -> Array:
    """Every window of ``(N, *size, C)`` combined into one cell, axis by axis; cells outside the input take no part.

    No window may lie outside altogether. No padding is made: near the borders fewer cells are
    combined.
    """
    for axis, segments in enumerate(window.segments, start=1):
        before = _whole(axis)
        parts = [
            reduce(combine, [x[(*before, cells, ...)] for cells in segment]) for segment in segments
        ]
        x = parts[0] if len(parts) == 1 else xp.concat(parts, axis=axis)
    return x


def shifted_sum(parts: Sequence[Array], window: Window, *, lead: int, mutable: bool) -> Array:
    """The sum over the cells of the window of that cell of every window, each taken from a part of its own."""
    whole = _whole(lead)
    views = [
        part[(*whole, *cells, ...)] for part, cells in zip(parts, window.tap_slices, strict=True)
    ]
    if len(views) == 1:
        return views[0]
    total = views[0] + views[1]
    for view in views[2:]:
        if mutable:
            total += view
        else:
            total = total + view
    return total


def overlap_add(
    xp: Namespace,
    parts: Iterable[Array],
    window: Window,
    *,
    lead: int,
    mutable: bool,
    into: Array | None = None,
) -> Array:
    """The adjoint of ``gather``: ``parts`` (one ``(*lead, *out, C)`` per cell of the window, in C order) summed where
    they overlap, as ``(*lead, *size, C)``, added to ``into`` if that is given."""
    if not mutable:
        return _interleaved_sum(xp, list(parts), window, lead=lead)
    for (cells, outputs), part in zip(window.tap_inside, parts, strict=True):
        if into is None:
            shape = (*part.shape[:lead], *window.size, part.shape[-1])
            make = xp.empty if window.tiles else xp.zeros
            into = make(shape, dtype=part.dtype, **placement(part))
        at, inside = (*_whole(lead), *cells, ...), part[(*_whole(lead), *outputs, ...)]
        if window.disjoint:
            into[at] = inside
        else:
            into[at] += inside
    return into


def _interleaved_sum(xp: Namespace, parts: list[Array], window: Window, *, lead: int) -> Array:
    # cell t = d*k + s*o of the padded input has quotient d*k//s + o and residue d*k%s: sum by residue, then interleave
    shifts = [
        tuple(divmod(d * k, s) for k, d, s in zip(tap, window.dilation, window.stride, strict=True))
        for tap in window.taps
    ]
    depth = tuple(
        max(shift[axis][0] for shift in shifts) + o for axis, o in enumerate(window.output)
    )
    sums: dict[tuple[int, ...], Array] = {}
    for part, shift in zip(parts, shifts, strict=True):
        widths = tuple(
            (q, m - q - o) for (q, _), m, o in zip(shift, depth, window.output, strict=True)
        )
        moved = pad(xp, part, widths, lead=lead, mutable=False)
        residue = tuple(r for _, r in shift)
        sums[residue] = moved if residue not in sums else sums[residue] + moved
    padded = interleave(xp, sums, window.stride, lead=lead)
    # pad crops where the reach is positive and adds zeros where windows left cells unread
    start = tuple(-before for before, _ in window.reach)
    widths = tuple(
        (b, n - p - b) for b, n, p in zip(start, window.size, padded.shape[lead:-1], strict=True)
    )
    return pad(xp, padded, widths, lead=lead, mutable=False)


def interleave(
    xp: Namespace, parts: dict[tuple[int, ...], Array], steps: tuple[int, ...], *, lead: int
) -> Array:
    """One array whose cells ``r::steps`` are ``parts[r]``, zero where a residue ``r`` is missing."""
    if all(step == 1 for step in steps):
        (whole,) = parts.values()
        return whole
    some = next(iter(parts.values()))
    empty = None
    ordered = []
    for residue in product(*map(range, steps)):
        part = parts.get(residue)
        if part is None:
            empty = xp.zeros_like(some) if empty is None else empty
            part = empty
        ordered.append(part)
    ndim = len(steps)
    shape = some.shape[lead:-1]
    stacked = xp.reshape(xp.stack(ordered, axis=0), (*steps, *some.shape))
    # (*steps, *lead, *shape, C) -> (*lead, shape0, step0, shape1, step1, ..., C)
    order = [ndim + a for a in range(lead)]
    for axis in range(ndim):
        order += [ndim + lead + axis, axis]
    order.append(2 * ndim + lead)
    merged = tuple(n * step for n, step in zip(shape, steps, strict=True))
    return xp.reshape(
        xp.permute_dims(stacked, tuple(order)), (*some.shape[:lead], *merged, some.shape[-1])
    )

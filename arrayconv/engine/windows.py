"""The only N-d indexing: pad and crop, step and interleave, gather windows and overlap-add, as adjoint pairs.

An array here has ``lead`` axes, then the window's spatial axes, then its channels. Each function
has one form for arrays that can be written in place and one, made of whole-array expressions, for
those that cannot (JAX, Dask).
"""

from __future__ import annotations

import math
import operator
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, reduce
from itertools import product

from arrayconv.engine import halos
from arrayconv.namespace import (
    Array,
    Namespace,
    constant_pad,
    fused,
    memory_steps,
    placement,
    places_itself,
    strided,
    traits,
)
from arrayconv.window import Pairs, Window

# Windows that one product of a weight gradient sums over: no library adds up a long sum as well as short ones.
SUM_LENGTHS = 64, 1024
# Cells and channels of neighbouring outputs that are read as one: enough to outlast the step to the next, and few
# enough that a kernel's rows of them stay in the first-level cache.
SHORTEST_RUN, LONGEST_RUN = 32, 8192
# Of which a sum of products has two each, out of 52.
MOST_AXES = 25
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
        kept = tuple(_kept(n, width) for n, width in zip(x.shape[lead:-1], widths, strict=True))
        x = x[(*_whole(lead), *(cells for cells, _ in kept), ...)]
        widths = tuple(width for _, width in kept)
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


def _kept(n: int, width: tuple[int, int]) -> tuple[slice, tuple[int, int]]:
    """The cells of an axis of ``n`` that negative widths leave, and the widths that remain to be added."""
    start, stop = -width[0], n + width[1]
    low, high = max(start, 0), min(stop, n)
    if low >= high:
        # nothing of the axis is left, and all the cells are new
        return slice(0, 0), (0, max(0, stop - start))
    return slice(low, high), (low - start, stop - high)


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
    """For each cell ``k`` of the window in C order, ``padded[o * stride + dilation * k]`` for all windows ``o``.

    These are views where the library has them.
    """
    whole = _whole(lead)
    for cells in window.tap_slices:
        yield padded[(*whole, *cells, ...)]


def taps(xp: Namespace, x: Array, window: Window, *, lead: int, mutable: bool) -> Iterator[Array]:
    """``tap_views`` of what ``reach`` makes of ``x``, or without it where ``x`` may lie in pieces."""
    if not mutable and halos.serves(xp, x):
        return halos.tap_views(xp, x, window, lead=lead)
    return tap_views(reach(xp, x, window, lead=lead, mutable=mutable), window, lead=lead)


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
    """Every window of ``x``, which is 0 outside: ``(*lead, *out, C)`` with an axis at ``at`` for its cells."""
    shape = [*x.shape[:lead], *window.output, x.shape[-1]]
    at %= len(shape) + 1
    shape.insert(at, window.cells)
    if by_patches(window):
        return xp.reshape(_patches(xp, x, window, lead, mutable, at), tuple(shape))
    if window.cells == 1:
        (view,) = taps(xp, x, window, lead=lead, mutable=mutable)
        return xp.expand_dims(view, axis=at)
    if not mutable and halos.serves(xp, x):
        joined = xp.concat(list(halos.tap_views(xp, x, window, lead=lead)), axis=at)
        return xp.reshape(joined, tuple(shape))
    padded = reach(xp, x, window, lead=lead, mutable=mutable)
    if not mutable:
        return xp.reshape(_stacked_by_axis(xp, padded, window, lead, at), tuple(shape))
    if at == len(shape) - 2 and math.prod(shape) <= FEW_CELLS:
        size = tuple(padded.shape[lead:-1])
        cells = xp.reshape(padded, (*x.shape[:lead], math.prod(size), x.shape[-1]))
        known = _flat_places(window, size)
        # what torch makes of a buffer is no tensor of its tracers
        numbers = known if places_itself(x) else list(known)
        places = xp.asarray(numbers, dtype=xp.int64, **placement(x))
        return xp.reshape(xp.take(cells, places, axis=lead), tuple(shape))
    where = traits(xp, x)
    if (where.accelerator or where.calling) and (steps := memory_steps(xp, padded)) is not None:
        # all the windows by one copy: each is a launch, or hands over the interpreter
        view = _window_view(xp, padded, steps, window, lead, at)
        columns = xp.empty(view.shape, dtype=x.dtype, **placement(x))
        columns[...] = view
        return xp.reshape(columns, tuple(shape))
    columns = xp.empty(tuple(shape), dtype=x.dtype, **placement(x))
    whole = _whole(at)
    for k, view in enumerate(tap_views(padded, window, lead=lead)):
        columns[(*whole, k, ...)] = view
    return columns


def _stacked_by_axis(xp: Namespace, x: Array, window: Window, lead: int, at: int) -> Array:
    """Every window of what ``reach`` gave, with the kernel's axes at ``at``, made along one axis after the other.

    That is few slices: a compiler takes long over one for each cell of a window.
    """
    for done, (axis, step) in enumerate(reversed(list(enumerate(window.axes)))):
        before = _whole(lead + axis + (done if at <= lead else 0))
        cells = [tap[axis] for tap in step.tap_slices]
        x = xp.stack([x[(*before, cell, ...)] for cell in cells], axis=at)
    return x


def _window_view(
    xp: Namespace, padded: Array, steps: tuple[int, ...], window: Window, lead: int, at: int
) -> Array:
    """Every window of what ``reach`` gave, where it lies: ``(*lead, *out, C)`` with the kernel's axes at ``at``."""
    spatial = steps[lead:-1]
    between = map(operator.mul, spatial, window.stride)
    within = map(operator.mul, spatial, window.dilation)
    shape = [*padded.shape[:lead], *window.output, padded.shape[-1]]
    shape[at:at] = window.kernel
    strides = [*steps[:lead], *between, steps[-1]]
    strides[at:at] = within
    return strided(xp, padded, tuple(shape), tuple(strides))


def runs(xp: Namespace, padded: Array, window: Window) -> Array | None:
    """Every window of what ``reach`` gave, where it lies, with runs of neighbouring outputs beside the channels.

    The shape is ``(N, *out, *kernel, run * C)``, the last of ``out`` divided by the length of a run.
    ``None`` where a library has no such views, or runs would be short.
    """
    if not traits(xp, padded).calling or (steps := memory_steps(xp, padded)) is None:
        return None
    if len(window.size) > MOST_AXES:
        return None
    *outputs, last = window.output
    channels, run = padded.shape[-1], 1
    if window.stride[-1] == 1 and steps[-2] == channels * steps[-1]:
        run = max((k for k in range(1, LONGEST_RUN // channels + 1) if last % k == 0), default=1)
    if run * channels < SHORTEST_RUN:
        return None
    between = map(operator.mul, steps[1:-1], (*window.stride[:-1], window.stride[-1] * run))
    within = map(operator.mul, steps[1:-1], window.dilation)
    shape = (padded.shape[0], *outputs, last // run, *window.kernel, run * channels)
    return strided(xp, padded, shape, (steps[0], *between, *within, steps[-1]))


@lru_cache(maxsize=256)
def _flat_places(window: Window, size: tuple[int, ...]) -> array[int]:
    """The places of the cells of every window, window by window, in the flattened image of ``size`` from ``reach``.

    As a buffer, from which libraries make an array without looking at each number.
    """
    steps = [math.prod(size[axis + 1 :]) for axis in range(len(size))]

    def flat(cell: tuple[int, ...]) -> int:
        return sum(map(operator.mul, cell, steps))

    cells = [flat(tuple(map(operator.mul, tap, window.dilation))) for tap in window.taps]
    corners = (
        flat(tuple(map(operator.mul, cell, window.stride)))
        for cell in product(*map(range, window.output))
    )
    return array("q", (corner + cell for corner in corners for cell in cells))


def by_patches(window: Window) -> bool:
    """Whether the windows are better cut out by one reshape than cell by cell."""
    return window.disjoint and window.cells > 1 and 2 * window.cells > math.prod(window.stride)


def _patches(xp: Namespace, x: Array, window: Window, lead: int, mutable: bool, at: int) -> Array:
    """``gather`` for windows that do not overlap, with the kernel's axes at ``at``."""
    ndim = len(window.size)
    widths = tuple(
        (before, o * s - before - n)
        for n, s, o, (before, _) in zip(
            window.size, window.stride, window.output, window.padding, strict=True
        )
    )
    x = pad(xp, x, widths, lead=lead, mutable=mutable)
    for axis in range(ndim):
        x = split_axis(xp, x, lead + 2 * axis, (window.output[axis], window.stride[axis]))
    cells = (slice(0, e, d) for e, d in zip(window.extent, window.dilation, strict=True))
    x = x[(*_whole(lead), *(part for cut in cells for part in (slice(None), cut)), ...)]
    return xp.permute_dims(x, _patch_order(lead, ndim, at))


def _patch_order(lead: int, ndim: int, at: int) -> tuple[int, ...]:
    # (*lead, out0, step0, out1, step1, ..., C) -> (*lead, *out, C) with the steps at `at`
    order = [*range(lead), *range(lead, lead + 2 * ndim, 2), lead + 2 * ndim]
    order[at:at] = range(lead + 1, lead + 2 * ndim, 2)
    return tuple(order)


def scatter(
    xp: Namespace, columns: Array, window: Window, *, lead: int, mutable: bool, at: int = -2
) -> Array:
    """The adjoint of ``gather``: ``(*lead, *size, C)`` from ``(*lead, *out, C)`` with the cells at ``at``."""
    at %= columns.ndim
    if not by_patches(window):
        whole = _whole(at)
        parts = (columns[(*whole, k, ...)] for k in range(window.cells))
        return overlap_add(xp, parts, window, lead=lead, mutable=mutable)
    ndim = len(window.size)
    shape = columns.shape
    x = xp.reshape(columns, (*shape[:at], *window.kernel, *shape[at + 1 :]))
    order = _patch_order(lead, ndim, at)
    x = xp.permute_dims(x, tuple(order.index(axis) for axis in range(len(order))))
    # the cells between those of a window, and between windows, take nothing
    for axis, (k, d, s) in enumerate(
        zip(window.kernel, window.dilation, window.stride, strict=True)
    ):
        x = _widened(xp, x, lead + 2 * axis + 1, k, d, s)
    for axis in range(lead, lead + ndim):
        x = merge_axes(xp, x, axis)
    widths = tuple(
        (-before, n - o * s + before)
        for n, s, o, (before, _) in zip(
            window.size, window.stride, window.output, window.padding, strict=True
        )
    )
    return pad(xp, x, widths, lead=lead, mutable=mutable)


def split_axis(xp: Namespace, x: Array, axis: int, sizes: tuple[int, int]) -> Array:
    """One axis as two, alone in its reshape: of several at once JAX does not follow where a sharded array lies."""
    return xp.reshape(x, (*x.shape[:axis], *sizes, *x.shape[axis + 1 :]))


def merge_axes(xp: Namespace, x: Array, axis: int) -> Array:
    """An axis and the next as one, alone in its reshape."""
    merged = x.shape[axis] * x.shape[axis + 1]
    return xp.reshape(x, (*x.shape[:axis], merged, *x.shape[axis + 2 :]))


def _widened(xp: Namespace, x: Array, axis: int, kernel: int, dilation: int, step: int) -> Array:
    """``x`` with the ``kernel`` cells of an axis ``dilation`` apart, and zeros up to ``step`` cells."""
    if kernel == step:
        return x
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    if dilation > 1:
        x = xp.reshape(x, (*before, kernel, 1, *after))
        x = _lengthened(xp, x, axis + 1, dilation - 1)
        x = xp.reshape(x, (*before, kernel * dilation, *after))
    if kernel * dilation > step:
        return x[(*_whole(axis), slice(0, step), ...)]
    return _lengthened(xp, x, axis, step - kernel * dilation)


def _lengthened(xp: Namespace, x: Array, axis: int, count: int) -> Array:
    """``x`` with ``count`` zeros at the end of an axis."""
    if count == 0:
        return x
    widths = ((0, 0),) * axis + ((0, count),) + ((0, 0),) * (x.ndim - axis - 1)
    return constant_pad(xp, x, widths, 0)


@lru_cache(maxsize=1024)
def sum_pieces(output: tuple[int, ...]) -> int:
    """How many equal pieces of whole rows a sum over the windows of an image is made of; 1 if no number suits."""
    rows, columns = (math.prod(output[:-1]), output[-1]) if len(output) > 1 else (output[0], 1)
    shortest, longest = SUM_LENGTHS
    suiting = (
        p
        for p in range(1, rows + 1)
        if rows % p == 0 and rows // p * columns in range(shortest, longest + 1)
    )
    return next(suiting, 1)


def reduce_windows(
    xp: Namespace,
    x: Array,
    window: Window,
    combine: Callable[[Array, Array], Array],
    neutral: float,
) -> Array:
    """Every window of ``(N, *size, C)`` combined into one cell, axis by axis; cells outside the input take no part.

    No window may lie outside altogether. No padding is made: near the borders fewer cells are
    combined. Where ``x`` may lie in pieces, cells outside are ``neutral`` instead.
    """
    if halos.serves(xp, x):
        return halos.reduce_windows(xp, x, window, combine, neutral)

    def combined(*cells: Array) -> Array:
        return reduce(combine, cells)

    for axis, segments in enumerate(window.segments, start=1):
        before = _whole(axis)
        parts = [
            fused(xp, combined, *[x[(*before, cells, ...)] for cells in segment])
            if len(segment) > 1
            else x[(*before, *segment, ...)]
            for segment in segments
        ]
        x = parts[0] if len(parts) == 1 else xp.concat(parts, axis=axis)
    return x


def shifted_sum(parts: Sequence[Array], window: Window, *, lead: int, mutable: bool) -> Array:
    """For every window ``o`` the sum over its cells ``k`` of ``parts[k][o * stride + dilation * k]``."""
    whole = _whole(lead)
    views = [
        part[(*whole, *cells, ...)] for part, cells in zip(parts, window.tap_slices, strict=True)
    ]
    if len(views) == 1:
        return views[0]
    return reduce(lambda total, view: plus(total, view, mutable), views[2:], views[0] + views[1])


def plus(total: Array | None, part: Array | None, mutable: bool) -> Array:
    """``total``, an array made by the caller, plus ``part``; what is ``None`` adds nothing."""
    if total is None or part is None:
        return part if total is None else total
    if not mutable:
        return total + part
    total += part
    return total


def overlap_add(
    xp: Namespace,
    parts: Iterable[Array],
    window: Window,
    *,
    lead: int,
    mutable: bool,
    into: Array | None = None,
    alone: bool = True,
) -> Array:
    """The adjoint of ``tap_views``: ``parts`` back in place, summed where windows overlap.

    ``parts`` has an array ``(*lead, *out, C)`` for each cell of the window, in C order; the result
    is ``(*lead, *size, C)``. It is ``into``, added to, if that is given; where windows do not
    overlap and nothing else adds to the cells of ``into`` (``alone``), they are written instead.
    """
    if not mutable:
        parts = list(parts)
        if halos.serves(xp, parts[0]):
            return halos.overlap_add(xp, parts, window, interleave, lead=lead)
        return _interleaved_sum(xp, parts, window, lead=lead)
    written = window.disjoint and (alone or into is None)
    for (cells, outputs), part in zip(window.tap_inside, parts, strict=True):
        if into is None:
            shape = (*part.shape[:lead], *window.size, part.shape[-1])
            make = xp.empty if window.tiles else xp.zeros
            into = make(shape, dtype=part.dtype, **placement(part))
        at, inside = (*_whole(lead), *cells, ...), part[(*_whole(lead), *outputs, ...)]
        if written:
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
    """One array whose cells ``r::steps`` are ``parts[r]``; zero along an axis where no part has that residue."""
    residues = [sorted({r[axis] for r in parts}) for axis in range(len(steps))]
    some = next(iter(parts.values()))
    if all(step == 1 for step in steps):
        return some
    ndim = len(steps)
    counts = tuple(map(len, residues))
    stacked = xp.stack([parts[r] for r in product(*residues)], axis=0)
    stacked = xp.reshape(stacked, (*counts, *some.shape))
    # (*counts, *lead, *shape, C) -> (*lead, shape0, count0, shape1, count1, ..., C)
    order = [ndim + a for a in range(lead)]
    for axis in range(ndim):
        order += [ndim + lead + axis, axis]
    order.append(2 * ndim + lead)
    x = xp.permute_dims(stacked, tuple(order))
    for axis, (present, step) in enumerate(zip(residues, steps, strict=True)):
        x = _spaced(xp, x, lead + 2 * axis + 1, present, step)
    for axis in range(lead, lead + ndim):
        x = merge_axes(xp, x, axis)
    return x


def _spaced(xp: Namespace, x: Array, axis: int, places: list[int], length: int) -> Array:
    """``x`` with the cells of an axis at ``places`` of ``length``, and zeros elsewhere."""
    if len(places) == length:
        return x
    whole = _whole(axis)
    ends = [*places[1:], length]
    parts = [
        _lengthened(xp, x[(*whole, slice(i, i + 1), ...)], axis, end - place - 1)
        for i, (place, end) in enumerate(zip(places, ends, strict=True))
    ]
    joined = parts[0] if len(parts) == 1 else xp.concat(parts, axis=axis)
    if places[0] == 0:
        return joined
    widths = ((0, 0),) * axis + ((places[0], 0),) + ((0, 0),) * (x.ndim - axis - 1)
    return constant_pad(xp, joined, widths, 0)

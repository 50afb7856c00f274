"""Arrays that may lie in pieces along an image axis (JAX's, on several devices): only the cells at the borders move.

To pad an image and to slice it for each cell of the window makes 58 rows of 56, which lie otherwise on the devices, so
that all of them move, there and back. Here every cell of the window is a pad of the image itself that adds at one end
what it crops at the other: rows stay where they are, and the compiler hands on those few that neighbours read. Axes
are taken one by one, so that rows move once for each row of the window and not for each of its cells.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from functools import reduce

from arrayconv.namespace import Array, Namespace, cropping_pad, fused, traits
from arrayconv.window import Window

# ``(xp, {residue: part}, stride, lead=...)``
Interleave = Callable[..., Array]


def serves(xp: Namespace, x: Array) -> bool:
    """Whether ``x`` may lie in pieces, and the library has a pad that crops."""
    return cropping_pad(xp) is not None and traits(xp, x).pieces > 1


def tap_views(
    xp: Namespace,
    x: Array,
    window: Window,
    *,
    lead: int,
    axes: Sequence[int] | None = None,
) -> Iterator[Array]:
    """For each cell of the window in C order what it meets of ``x``, 0 outside; along some ``axes`` alone if given."""
    first, *others = range(len(window.size)) if axes is None else axes
    for k in range(window.kernel[first]):
        view = _tap(xp, x, window, lead, first, k)
        if others:
            yield from tap_views(xp, view, window, lead=lead, axes=others)
        else:
            yield view


def columns(xp: Namespace, x: Array, window: Window, *, lead: int, axes: Sequence[int]) -> Array:
    """``x`` with what all the cells along some axes meet as its channels."""
    return xp.concat(list(tap_views(xp, x, window, lead=lead, axes=axes)), axis=-1)


def rows(xp: Namespace, x: Array, window: Window, *, lead: int) -> Iterator[Array]:
    """For each cell along all axes but the last what it meets, as columns along the last."""
    *outer, last = range(len(window.size))
    for view in tap_views(xp, x, window, lead=lead, axes=outer) if outer else [x]:
        yield columns(xp, view, window, lead=lead, axes=[last])


def _tap(xp: Namespace, x: Array, window: Window, lead: int, axis: int, k: int) -> Array:
    """What cell ``k`` of the window meets along one axis; 0 outside."""
    s, o = window.stride[axis], window.output[axis]
    start = window.dilation[axis] * k - window.padding[axis][0]
    stop = start + (o - 1) * s + 1
    if start >= 0 and stop <= x.shape[lead + axis]:
        return x[(*(slice(None),) * (lead + axis), slice(start, stop, s), ...)]
    # whole steps, so that the rows of a device stay whole steps
    x = _moved(xp, x, lead + axis, -start, o * s)
    return x if s == 1 else x[(*(slice(None),) * (lead + axis), slice(None, None, s), ...)]


def _moved(xp: Namespace, x: Array, axis: int, by: int, length: int) -> Array:
    """``x`` moved along an axis, which gets ``length`` cells; always with zeros.

    Where an array is padded with two values, XLA's partitioner gives both the halo that it made for the first.
    """
    after = length - x.shape[axis] - by
    if by == 0 and after == 0:
        return x
    pad = cropping_pad(xp)
    assert pad is not None  # for whom it serves
    widths = tuple((by, after) if a == axis else (0, 0) for a in range(x.ndim))
    return pad(x, widths)


def shifted_sum(
    xp: Namespace, parts: Sequence[Array], window: Window, *, lead: int, axis: int
) -> Array:
    """The sum over the window's cells ``k`` along one axis of what they meet of ``parts[k]``."""
    return reduce(
        operator.add,
        (_tap(xp, part, window, lead, axis, k) for k, part in enumerate(parts)),
    )


def overlap_add(
    xp: Namespace,
    parts: Sequence[Array],
    window: Window,
    interleave: Interleave,
    *,
    lead: int,
) -> Array:
    """The adjoint of ``tap_views``; ``interleave`` puts together the residues of the stride."""
    for axis, step in reversed(list(enumerate(window.axes))):
        parts = [
            _overlap_add(xp, parts[i : i + step.cells], step, interleave, lead, axis)
            for i in range(0, len(parts), step.cells)
        ]
    return parts[0]


def _overlap_add(
    xp: Namespace,
    parts: Sequence[Array],
    window: Window,
    interleave: Interleave,
    lead: int,
    axis: int,
) -> Array:
    # output o adds to cell s*o + start: cells of one residue of s are neighbours, and there it is moved by the quotient
    n, s, before = window.size[axis], window.stride[axis], window.padding[axis][0]
    sums: dict[tuple[int, ...], Array] = {}
    for k, part in enumerate(parts):
        quotient, r = divmod(window.dilation[axis] * k - before, s)
        moved = _moved(xp, part, lead + axis, quotient, -(-n // s))
        residue = tuple(r if a == axis else 0 for a in range(len(window.size)))
        sums[residue] = moved if residue not in sums else sums[residue] + moved
    return _moved(xp, interleave(xp, sums, window.stride, lead=lead), lead + axis, 0, n)


def reduce_windows(
    xp: Namespace,
    x: Array,
    window: Window,
    combine: Callable[[Array, Array], Array],
    neutral: float,
) -> Array:
    """Every window of ``(N, *size, C)`` combined into one cell, axis by axis; cells outside are ``neutral``."""

    def combined(*cells: Array) -> Array:
        return reduce(combine, cells)

    for axis, cells in enumerate(window.kernel):
        parts = [_tap(xp, x, window, 1, axis, k) for k in range(cells)]
        if neutral != 0:
            parts = _without_outside(xp, parts, window, axis, neutral)
        x = fused(xp, combined, *parts)
    return x


def _without_outside(
    xp: Namespace, parts: list[Array], window: Window, axis: int, neutral: float
) -> list[Array]:
    """What cells meet along an axis; ``neutral`` outside, or what a cell meets that never lies there."""
    masks = [_inside(xp, window, axis, k) for k in range(len(parts))]
    dtype = parts[0].dtype
    within = next((k for k, mask in enumerate(masks) if mask is None), None)
    if within is not None:
        # on a CPU a sixth of the time that the constant takes
        outside = parts[within]
    else:
        if xp.isdtype(dtype, "integral"):
            neutral = max(neutral, xp.iinfo(dtype).min)
        outside = xp.asarray(neutral, dtype=dtype)
    return [
        part if mask is None else xp.where(mask, part, outside)
        for part, mask in zip(parts, masks, strict=True)
    ]


def inside(xp: Namespace, window: Window) -> Iterator[Array | None]:
    """For each cell of the window in C order, for which windows it lies inside the input: ``(1, *out, 1)``.

    ``None`` for all of them. Numbers that are compared, and no array that is padded: CPUs do the one in long runs.
    """
    for tap in window.taps:
        axes = (_inside(xp, window, axis, k) for axis, k in enumerate(tap))
        known = [along for along in axes if along is not None]
        yield reduce(operator.and_, known) if known else None


def _inside(xp: Namespace, window: Window, axis: int, k: int) -> Array | None:
    outputs, count = window.inside(axis, k)[1], window.output[axis]
    if outputs == slice(0, count):
        return None
    shape = tuple(count if a == axis + 1 else 1 for a in range(len(window.size) + 2))
    places = xp.reshape(xp.arange(count), shape)
    return (places >= outputs.start) & (places < outputs.stop)

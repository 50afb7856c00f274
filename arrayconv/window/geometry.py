"""``Window``: which input cells each output cell reads, and the parts such a window splits into.

Along one axis, output ``o`` reads the input cells ``o * stride + dilation * k - before`` for
``k = 0 .. kernel - 1``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from typing import Generic, TypeVar

from arrayconv.window.arguments import Pairs

# Cells of a window and phases of its stride up to which what is derived from them is kept with it.
SMALL = 64

T = TypeVar("T")


class kept_while_small(Generic[T]):  # noqa: N801 (a decorator, named as functools' own)
    """``functools.cached_property`` for small windows: those of a million cells would fill the caches."""

    def __init__(self, derive: Callable[[Window], T]) -> None:
        self.derive, self.__doc__ = derive, derive.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    def __get__(self, window: Window, owner: type | None = None) -> T:
        found = self.derive(window)
        if window.cells + math.prod(window.stride) <= SMALL:
            # in the place where Python looks before it asks a descriptor without __set__
            window.__dict__[self.name] = found
        return found


@dataclass(frozen=True)
class Window:
    """A window and the array it slides over, one entry per spatial axis.

    Attributes
    ----------
    size : tuple of int
        Spatial shape of the input.
    kernel, stride, dilation : tuple of int
        Cells of the window, step between windows, step between the cells of one window.
    padding : tuple of (int, int)
        Cells added before and after the input; negative (made by ``rows`` and ``phases`` only)
        means cells left out.
    output : tuple of int
        Number of windows.
    """

    size: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    padding: Pairs
    output: tuple[int, ...]

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.size, self.kernel, self.stride, self.dilation, self.padding, self.output))

    @cached_property
    def extent(self) -> tuple[int, ...]:
        """Input cells from the first to the last that one window spans."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @cached_property
    def reach(self) -> Pairs:
        """Cells to add at both ends (where negative, to leave out), so that the windows span exactly the rest."""
        return tuple(
            (before, (o - 1) * s + e - before - n)
            for n, s, e, (before, _), o in zip(
                self.size, self.stride, self.extent, self.padding, self.output, strict=True
            )
        )

    @cached_property
    def padded(self) -> tuple[int, ...]:
        """Cells from the first one of the first window to the last one of the last window, padding included."""
        return tuple(
            (o - 1) * s + e for o, s, e in zip(self.output, self.stride, self.extent, strict=True)
        )

    @cached_property
    def axes(self) -> tuple[Window, ...]:
        """A window for each axis, sliding along that alone: a maximum or a sum may be taken by one after the other."""
        return self._in_turn(range(len(self.size)))

    @cached_property
    def axes_last_first(self) -> tuple[Window, ...]:
        """The same from the last axis to the first, which keeps the first of equal cells in C order the first."""
        return self._in_turn(reversed(range(len(self.size))))

    def _in_turn(self, order: Iterable[int]) -> tuple[Window, ...]:
        size = self.size
        parts = []
        for axis in order:
            output = (*size[:axis], self.output[axis], *size[axis + 1 :])
            parts.append(
                Window(
                    size,
                    _only(axis, self.kernel),
                    _only(axis, self.stride),
                    _only(axis, self.dilation),
                    tuple(p if a == axis else (0, 0) for a, p in enumerate(self.padding)),
                    output,
                )
            )
            size = output
        return tuple(parts)

    def split(self, axis: int, inner: int | None = None) -> tuple[Window, Window]:
        """Two windows in place of one: along the axes from ``axis`` on over the padded input, then along the others.

        With ``inner``, the only spatial axis is split: the first window has ``inner`` neighbouring
        cells of the kernel, and the second steps from one such group to the next.
        """
        padded = self.padded
        none = ((0, 0),) * len(padded)
        if inner is not None:
            (n,), (d,), (o,) = padded, self.dilation, self.output
            middle = n - d * (inner - 1)
            return (
                Window(padded, (inner,), (1,), (d,), none, (middle,)),
                Window(
                    (middle,), (self.kernel[0] // inner,), self.stride, (d * inner,), none, (o,)
                ),
            )
        ones = (1,) * len(padded)
        middles = (*padded[:axis], *self.output[axis:])
        return (
            Window(
                padded,
                (*ones[:axis], *self.kernel[axis:]),
                (*ones[:axis], *self.stride[axis:]),
                (*ones[:axis], *self.dilation[axis:]),
                none,
                middles,
            ),
            Window(
                middles,
                (*self.kernel[:axis], *ones[axis:]),
                (*self.stride[:axis], *ones[axis:]),
                (*self.dilation[:axis], *ones[axis:]),
                none,
                self.output,
            ),
        )

    @property
    def taps(self) -> Iterator[tuple[int, ...]]:
        """Every cell of the window, in C order."""
        return product(*map(range, self.kernel))

    @cached_property
    def cells(self) -> int:
        """How many cells the window has."""
        return math.prod(self.kernel)

    @kept_while_small
    def tap_slices(self) -> tuple[tuple[slice, ...], ...]:
        """For each cell of the window, where that cell of every window lies in the array that ``reach`` made."""
        axes = (
            [slice(d * k, d * k + s * (o - 1) + 1, s) for k in range(cells)]
            for cells, s, d, o in zip(
                self.kernel, self.stride, self.dilation, self.output, strict=True
            )
        )
        return tuple(product(*axes))

    @kept_while_small
    def tap_inside(self) -> tuple[tuple[tuple[slice, ...], tuple[slice, ...]], ...]:
        """For each cell of the window, the input cells it meets and the windows for which it lies inside."""
        axes = [[self.inside(axis, k) for k in range(n)] for axis, n in enumerate(self.kernel)]
        return tuple(
            (tuple(cells for cells, _ in pairs), tuple(windows for _, windows in pairs))
            for pairs in product(*axes)
        )

    @kept_while_small
    def tap_outside(self) -> tuple[Pairs, ...]:
        """For each cell of the window, how many windows along each axis it lies outside for; ``()`` if for none."""
        widths = [
            tuple((o.start, n - o.stop) for o, n in zip(windows, self.output, strict=True))
            for _, windows in self.tap_inside
        ]
        return tuple(pairs if any(map(any, pairs)) else () for pairs in widths)

    def inside(self, axis: int, k: int) -> tuple[slice, slice]:
        """The input cells that window cell ``k`` meets along ``axis``, and the outputs that meet them there."""
        n, s, d, o = self.size[axis], self.stride[axis], self.dilation[axis], self.output[axis]
        offset = d * k - self.padding[axis][0]
        first = max(0, -(offset // s))
        stop = min(o, (n - 1 - offset) // s + 1)
        if stop <= first:
            return slice(0, 0), slice(0, 0)
        return slice(first * s + offset, (stop - 1) * s + offset + 1, s), slice(first, stop)

    @kept_while_small
    def segments(self) -> tuple[tuple[tuple[slice, ...], ...], ...]:
        """For each axis, runs of outputs that have the same cells of their window inside the input.

        A run is given by what its outputs read: a slice of the input for each of those cells.
        """
        axes = []
        for axis, (k, s, d) in enumerate(zip(self.kernel, self.stride, self.dilation, strict=True)):
            before = self.padding[axis][0]
            inside = [self.inside(axis, cell)[1] for cell in range(k)]
            cuts = sorted({0, self.output[axis], *(e for o in inside for e in (o.start, o.stop))})
            segments = []
            for a, b in pairwise(cuts):
                starts = [
                    a * s + d * c - before for c, o in enumerate(inside) if o.start <= a < o.stop
                ]
                segments.append(tuple(slice(t, t + (b - a - 1) * s + 1, s) for t in starts))
            axes.append(tuple(segments))
        return tuple(axes)

    def rows(self, first: int, stop: int) -> tuple[slice, Window]:
        """What outputs ``first:stop`` of the first axis read, a slice of the input, and their window over it."""
        return self.along(0, first, stop)

    def along(self, axis: int, first: int, stop: int) -> tuple[slice, Window]:
        """The same for outputs of any axis."""
        n, s, e = self.size[axis], self.stride[axis], self.extent[axis]
        before, _ = self.padding[axis]
        start, end = first * s - before, (stop - 1) * s + e - before
        low, high = max(start, 0), min(end, n)
        if low >= high:
            low = high = 0
        before = low - start if high else end - start
        pads = before, end - start - before - (high - low)
        part = Window(
            _replaced(axis, self.size, high - low),
            self.kernel,
            self.stride,
            self.dilation,
            _replaced(axis, self.padding, pads),
            _replaced(axis, self.output, stop - first),
        )
        return slice(low, high), part

    @cached_property
    def disjoint(self) -> bool:
        """Whether windows do not overlap; the gaps that a dilation leaves in a window belong to it."""
        return all(e <= s for e, s in zip(self.extent, self.stride, strict=True))

    @cached_property
    def tiles(self) -> bool:
        """Whether every cell of the input is in exactly one window."""
        return self.kernel == self.stride and all(
            d == 1 and n == o * k and padding == (0, 0)
            for d, n, o, k, padding in zip(
                self.dilation, self.size, self.output, self.kernel, self.padding, strict=True
            )
        )

    @cached_property
    def fits(self) -> bool:
        """Whether the windows span exactly the input."""
        return all(width == (0, 0) for width in self.reach)

    @cached_property
    def unpadded(self) -> Window:
        """The same windows over the padded input, its sizes made multiples of the stride."""
        size = tuple(
            -(-(n + before) // s) * s
            for n, (before, _), s in zip(self.size, self.padding, self.stride, strict=True)
        )
        return Window(
            size, self.kernel, self.stride, self.dilation, ((0, 0),) * len(size), self.output
        )

    @kept_while_small
    def phases(self) -> tuple[Phase, ...]:
        """The input gradient as correlations of ``dy``, one per residue of the stride."""
        return tuple(
            Phase(
                tuple(p.target for p in parts),
                tuple(p.taps for p in parts),
                Window(
                    self.output,
                    tuple(p.kernel for p in parts),
                    (1,) * len(parts),
                    tuple(p.dilation for p in parts),
                    tuple((p.before, 0) for p in parts),
                    tuple(p.count for p in parts),
                ),
            )
            for parts in product(*(self._axis_phases(a) for a in range(len(self.size))))
        )

    def _axis_phases(self, axis: int) -> Iterator[_AxisPhase]:
        # dx[r + s*q - before] = sum over j of dy[q + (r - d*k)/s] * w[k], where k = first + j*step solves
        # d*k = r mod s; running j backwards makes that a correlation of stride 1 and dilation d/gcd.
        n, s, d = self.size[axis], self.stride[axis], self.dilation[axis]
        kernel, (before, _) = self.kernel[axis], self.padding[axis]
        common = math.gcd(s, d)
        step = s // common
        for r in range(s):
            low, high = -((r - before) // s), (n - 1 + before - r) // s
            if high < low:
                continue
            target = slice(r + s * low - before, r + s * high - before + 1, s)
            first = next((k for k in range(min(step, kernel)) if (r - d * k) % s == 0), kernel)
            cells = len(range(first, kernel, step))
            shift = (cells - 1) * (d // common) - (r - d * first) // s - low if cells else 0
            taps = slice(first, kernel, step)
            yield _AxisPhase(target, taps, cells, d // common, shift, high - low + 1)


def _replaced(axis: int, values: tuple[T, ...], value: T) -> tuple[T, ...]:
    return (*values[:axis], value, *values[axis + 1 :])


def _only(axis: int, values: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(value if a == axis else 1 for a, value in enumerate(values))


@dataclass(frozen=True)
class Phase:
    """One residue of the stride: ``dx[target]`` is the correlation of ``dy`` with the flipped ``w[taps]``."""

    target: tuple[slice, ...]
    taps: tuple[slice, ...]
    window: Window


@dataclass(frozen=True)
class _AxisPhase:
    target: slice
    taps: slice
    kernel: int
    dilation: int
    before: int
    count: int

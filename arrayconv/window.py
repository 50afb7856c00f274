"""The geometry of a window that slides over spatial axes: every size and every geometry error.

Plain integers only. ``Window`` says which input cells each output cell reads; along one axis,
output ``o`` reads the input cells ``o * stride + dilation * k - before`` for ``k = 0 .. kernel -
1``.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise, product
from typing import Any, NamedTuple, TypeAlias

Ints: TypeAlias = int | Sequence[int]
Padding: TypeAlias = int | str | Sequence[int] | Sequence[tuple[int, int]]
Pairs: TypeAlias = tuple[tuple[int, int], ...]

NAMED_PADDINGS = ("valid", "same", "same_lower", "causal")


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
        """Cells to add (or, where negative, leave out) so that exactly what the windows span remains."""
        return tuple(
            (before, (o - 1) * s + e - before - n)
            for n, s, e, (before, _), o in zip(
                self.size, self.stride, self.extent, self.padding, self.output, strict=True
            )
        )

    @cached_property
    def axes(self) -> tuple[Window, ...]:
        """The same windows as one sliding along each axis in turn, for what can be reduced axis by axis."""
        ndim = len(self.size)
        parts = []
        for axis in range(ndim):
            sizes = (*self.output[:axis], *self.size[axis:])
            parts.append(
                Window(
                    sizes,
                    _only(axis, self.kernel),
                    _only(axis, self.stride),
                    _only(axis, self.dilation),
                    tuple(p if a == axis else (0, 0) for a, p in enumerate(self.padding)),
                    (*self.output[: axis + 1], *self.size[axis + 1 :]),
                )
            )
        return tuple(parts)

    def split(self, axis: int, inner: int | None = None) -> tuple[Window, Window]:
        """The windows in two steps over the padded input: along the axes from ``axis`` on, then along the others.

        One spatial axis is split itself: ``inner`` neighbouring cells first, then steps over the
        groups of them.
        """
        padded = tuple(
            n + before + after for n, (before, after) in zip(self.size, self.reach, strict=True)
        )
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

    @cached_property
    def taps(self) -> tuple[tuple[int, ...], ...]:
        """Every cell of the window, in C order."""
        return tuple(product(*map(range, self.kernel)))

    @cached_property
    def tap_slices(self) -> tuple[tuple[slice, ...], ...]:
        """For each cell of the window, where that cell of every window lies in the array that ``reach`` made."""
        return tuple(
            tuple(
                slice(d * k, d * k + s * (o - 1) + 1, s)
                for k, s, d, o in zip(tap, self.stride, self.dilation, self.output, strict=True)
            )
            for tap in self.taps
        )

    @cached_property
    def tap_inside(self) -> tuple[tuple[tuple[slice, ...], tuple[slice, ...]], ...]:
        """For each cell of the window, the input cells it meets and the windows for which it lies inside."""
        axes = [[self.inside(axis, k) for k in range(n)] for axis, n in enumerate(self.kernel)]
        return tuple(
            (tuple(cells for cells, _ in pairs), tuple(windows for _, windows in pairs))
            for pairs in product(*axes)
        )

    def inside(self, axis: int, k: int) -> tuple[slice, slice]:
        """The input cells that window cell ``k`` meets along ``axis``, and the outputs that meet them there."""
        n, s, d, o = self.size[axis], self.stride[axis], self.dilation[axis], self.output[axis]
        offset = d * k - self.padding[axis][0]
        first = max(0, -(offset // s))
        stop = min(o, (n - 1 - offset) // s + 1)
        if stop <= first:
            return slice(0, 0), slice(0, 0)
        return slice(first * s + offset, (stop - 1) * s + offset + 1, s), slice(first, stop)

    @cached_property
    def segments(self) -> tuple[tuple[tuple[slice, ...], ...], ...]:
        """For each axis, the outputs cut where the set of window cells inside the input changes.

        A segment is the input cells that its outputs read there, one slice per window cell inside.
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
        """The part of the first axis that outputs ``first:stop`` read, and their window over that part alone."""
        n, s, (before, _), e = self.size[0], self.stride[0], self.padding[0], self.extent[0]
        start, end = first * s - before, (stop - 1) * s + e - before
        low, high = max(start, 0), min(end, n)
        if low >= high:
            low = high = 0
        before = low - start if high else end - start
        part = Window(
            (high - low, *self.size[1:]),
            self.kernel,
            self.stride,
            self.dilation,
            ((before, end - start - before - (high - low)), *self.padding[1:]),
            (stop - first, *self.output[1:]),
        )
        return slice(low, high), part

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

    @cached_property
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


def per_axis(op: str, name: str, value: Any, ndim: int, *, least: int = 1) -> tuple[int, ...]:
    """``value``, an int or one int per spatial axis, as a tuple of ``ndim`` ints, none below ``least``."""
    if type(value) is int:
        values: tuple[int, ...] = (value,) * ndim
    else:
        entries = value if isinstance(value, tuple | list) else (value,) * ndim
        if len(entries) != ndim:
            raise ValueError(
                f"{op}: {name} expects an int or {ndim} ints, one per spatial axis, got {value!r}"
            )
        values = tuple(_int(op, name, entry, value) for entry in entries)
    for entry in values:
        if entry < least:
            raise ValueError(f"{op}: {name} must be at least {least}, got {value!r}")
    return values


def _int(op: str, name: str, entry: Any, given: Any) -> int:
    # bool is an int to Python, and a stride of True is a mistake
    if isinstance(entry, bool):
        raise TypeError(f"{op}: {name} expects ints, got {given!r}")
    try:
        return operator.index(entry)
    except TypeError:
        raise TypeError(f"{op}: {name} expects ints, got {given!r}") from None


def pad_pairs(op: str, padding: Any, ndim: int, *, named: Sequence[str] = ()) -> Pairs | str:
    """``padding`` as one ``(before, after)`` pair per spatial axis, or the name it is."""
    if type(padding) is int and padding >= 0:
        return ((padding, padding),) * ndim
    if isinstance(padding, str):
        if padding not in named:
            choices = "".join(f", {name!r}" for name in named)
            raise ValueError(
                f"{op}: padding expects an int, {ndim} ints, {ndim} pairs of ints{choices}, got {padding!r}"
            )
        if padding == "causal" and ndim != 1:
            raise ValueError(f"{op}: padding 'causal' is for one spatial axis, x has {ndim}")
        return padding
    if isinstance(padding, tuple | list):
        if len(padding) != ndim:
            raise ValueError(
                f"{op}: padding expects {ndim} entries, one per spatial axis, got {padding!r}"
            )
        pairs = tuple(_pair(op, entry, padding) for entry in padding)
    else:
        pairs = (_pair(op, padding, padding),) * ndim
    if any(width < 0 for pair in pairs for width in pair):
        raise ValueError(f"{op}: padding must not be negative, got {padding!r}")
    return pairs


def _pair(op: str, entry: Any, given: Any) -> tuple[int, int]:
    if not isinstance(entry, tuple | list):
        width = _int(op, "padding", entry, given)
        return width, width
    if len(entry) != 2:
        raise ValueError(f"{op}: padding expects (before, after) pairs, got {given!r}")
    return _int(op, "padding", entry[0], given), _int(op, "padding", entry[1], given)


def known_size(op: str, size: Sequence[Any]) -> tuple[int, ...]:
    """The spatial shape, if every entry of it is known."""
    for n in size:
        if not isinstance(n, int):
            raise ValueError(f"{op}: the spatial sizes of x must be known, got {tuple(size)}")
    return tuple(size)


def sliding(
    op: str,
    size: Sequence[int],
    kernel: tuple[int, ...],
    stride: Any,
    padding: Any,
    dilation: Any,
    *,
    ceil_mode: bool = False,
    inside: bool = False,
) -> Window:
    """The window over an input of spatial shape ``size``.

    ``inside`` demands, as pooling does, that no padding is as wide as the dilated window.
    """
    ndim = len(size)
    return _sliding(
        op,
        known_size(op, size),
        kernel,
        per_axis(op, "stride", stride, ndim),
        pad_pairs(op, padding, ndim, named=NAMED_PADDINGS),
        per_axis(op, "dilation", dilation, ndim),
        ceil_mode,
        inside,
    )


@lru_cache(maxsize=4096)
def _sliding(
    op: str,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs | str,
    dilation: tuple[int, ...],
    ceil_mode: bool,
    inside: bool,
) -> Window:
    if min(kernel) < 1:
        raise ValueError(f"{op}: the window must have at least one cell per axis, got {kernel}")
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    pairs = _named(padding, size, extent, stride) if isinstance(padding, str) else padding
    output = []
    for axis, (n, e, s, (before, after)) in enumerate(
        zip(size, extent, stride, pairs, strict=True)
    ):
        if inside and max(before, after) >= e:
            raise ValueError(
                f"{op}: padding must be narrower than the window, so that each window meets the input: axis {axis} "
                f"has padding ({before}, {after}) and a window that spans {e}"
            )
        room = n + before + after - e
        if room < 0:
            raise ValueError(
                f"{op}: the window is larger than the padded input on spatial axis {axis}: it spans {e} cells "
                f"(kernel {kernel[axis]}, dilation {dilation[axis]}), the input has {n} + {before} + {after}"
            )
        count = room // s + 1
        # PyTorch's rule: a window that would start in the padding after the input is dropped
        if ceil_mode and room % s and count * s < n + before:
            count += 1
        output.append(count)
    window = Window(size, kernel, stride, dilation, pairs, tuple(output))
    if inside and max(dilation) > 1:
        for axis in range(len(size)):
            if min(counts(window, axis, include_pad=False)) < 1:
                raise ValueError(
                    f"{op}: a window of kernel {kernel[axis]} and dilation {dilation[axis]} "
                    f"has all its cells in the padding {pairs[axis]} on spatial axis {axis}, "
                    f"whose input has {size[axis]}"
                )
    return window


def _named(name: str, size: Sequence[int], extent: Sequence[int], stride: Sequence[int]) -> Pairs:
    if name == "valid":
        return ((0, 0),) * len(size)
    if name == "causal":
        return tuple((e - 1, 0) for e in extent)
    totals = [
        max(0, (-(-n // s) - 1) * s + e - n) for n, e, s in zip(size, extent, stride, strict=True)
    ]
    if name == "same_lower":
        return tuple((t - t // 2, t // 2) for t in totals)
    return tuple((t // 2, t - t // 2) for t in totals)


def transposed(
    op: str,
    size: Sequence[int],
    kernel: tuple[int, ...],
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
) -> Window:
    """The window of the convolution whose adjoint maps spatial shape ``size`` to ``result.size``."""
    ndim = len(size)
    return _transposed(
        op,
        known_size(op, size),
        kernel,
        per_axis(op, "stride", stride, ndim),
        pad_pairs(op, padding, ndim, named=("valid", "same", "same_lower")),
        per_axis(op, "output_padding", output_padding, ndim, least=0),
        per_axis(op, "dilation", dilation, ndim),
    )


@lru_cache(maxsize=4096)
def _transposed(
    op: str,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs | str,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Window:
    if min(kernel) < 1:
        raise ValueError(f"{op}: the window must have at least one cell per axis, got {kernel}")
    if isinstance(padding, str) and any(output_padding):
        raise ValueError(
            f"{op}: output_padding needs explicit padding, got output_padding={output_padding} with padding={padding!r}"
        )
    for axis, extra in enumerate(output_padding):
        if extra and extra >= max(stride[axis], dilation[axis]):
            raise ValueError(
                f"{op}: output_padding must be smaller than stride or dilation, got {extra} on spatial axis {axis} "
                f"with stride {stride[axis]} and dilation {dilation[axis]}"
            )
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    if padding in ("same", "same_lower"):
        full = tuple(n * s for n, s in zip(size, stride, strict=True))
        pairs = _named(str(padding), full, extent, stride)
    else:
        pairs = ((0, 0),) * len(size) if isinstance(padding, str) else padding
        full = tuple(
            (n - 1) * s - before - after + e + extra
            for n, s, e, (before, after), extra in zip(
                size, stride, extent, pairs, output_padding, strict=True
            )
        )
    for axis, n in enumerate(full):
        if n < 1 or size[axis] < 1:
            raise ValueError(
                f"{op}: the result would have {n} cells on spatial axis {axis} "
                f"(input {size[axis]}, stride {stride[axis]}, padding {pairs[axis]}, "
                f"kernel {kernel[axis]}, dilation {dilation[axis]})"
            )
    return Window(full, kernel, stride, dilation, pairs, size)


def counts(window: Window, axis: int, *, include_pad: bool) -> list[int]:
    """Cells of each window along ``axis`` that lie in the input, or in the padded input; never those of ceil_mode."""
    n, (before, after) = window.size[axis], window.padding[axis]
    low, high = (-before, n + after) if include_pad else (0, n)
    k, d = window.kernel[axis], window.dilation[axis]
    starts = (o * window.stride[axis] - before for o in range(window.output[axis]))
    return [len(range(max(s, s + d * -(-(low - s) // d)), min(s + d * k, high), d)) for s in starts]


class Run(NamedTuple):
    """Consecutive cells of a padded axis that copy ``source``: forwards (step 1), backwards (-1), or one cell (0)."""

    target: slice
    source: slice
    step: int


@lru_cache(maxsize=1024)
def extension(n: int, before: int, after: int, mode: str) -> tuple[Run, ...]:
    """Where the cells of an axis of ``n``, padded as ``numpy.pad`` does in ``mode``, come from, in order."""

    def source(t: int) -> int:
        if mode == "edge":
            return min(max(t, 0), n - 1)
        if mode == "wrap":
            return t % n
        if mode == "reflect":
            period = max(1, 2 * (n - 1))
            return min(t % period, period - t % period) if n > 1 else 0
        return min(t % (2 * n), 2 * n - 1 - t % (2 * n))

    runs = []
    for low, high in ((-before, 0), (0, n), (n, n + after)):
        cells = [source(t) for t in range(low, high)] if (low, high) != (0, n) else list(range(n))
        start = 0
        while start < len(cells):
            step = cells[start + 1] - cells[start] if start + 1 < len(cells) else 1
            step = step if step in (-1, 0, 1) else 1
            stop = start + 1
            while stop < len(cells) and cells[stop] - cells[stop - 1] == step:
                stop += 1
            ends = sorted((cells[start], cells[stop - 1]))
            runs.append(
                Run(
                    slice(low + before + start, low + before + stop),
                    slice(ends[0], ends[1] + 1),
                    step,
                )
            )
            start = stop
    return tuple(runs)


def bins(n: int, output: int) -> list[tuple[int, int]]:
    """The adaptive pools' bins, ``[floor(i * n / output), ceil((i + 1) * n / output))``, as in PyTorch."""
    return [(i * n // output, -(-(i + 1) * n // output)) for i in range(output)]

"""Arrays in chunks (Dask's): every chunk is a task that computes with the library of its chunks.

Chunks stay as they came, along the batch and along space. Where windows reach over the end of a chunk, Dask's
``overlap`` brings what is needed of its neighbours. A sum over chunks is a tree.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from arrayconv.engine import windows
from arrayconv.engine.settings import Settings, current, options
from arrayconv.namespace import Array, DType, array_namespace, is_chunked, placement
from arrayconv.window import Window

Sizes = tuple[int, ...]
Range = tuple[int, int]
# ``(xp, *arrays, window=window, **more)`` with the arrays of a chunk and their window
Compute = Callable[..., Array]


class Piece(NamedTuple):
    """What a chunk has along one axis: ranges of cells and of outputs."""

    cells: Range
    outputs: Range


class Layout(NamedTuple):
    """How the cells and the outputs of a window lie in chunks: an output is where the middle of its window is."""

    window: Window
    axes: tuple[tuple[Piece, ...], ...]

    def sizes(self, what: str) -> tuple[Sizes, ...]:
        """The sizes of chunks along each spatial axis, of the ``"cells"`` or the ``"outputs"``."""
        ranges = [[getattr(piece, what) for piece in pieces] for pieces in self.axes]
        return tuple(tuple(stop - start for start, stop in along) for along in ranges)


class _Part(NamedTuple):
    """Along one axis: the cells and outputs that a task takes of what it is given, and which outputs these are."""

    cells: slice
    outputs: slice
    range: Range
    # for results over cells: which of them are the chunk's own, and how many before and after no window meets
    own: slice = slice(None)
    missing: Range = (0, 0)


def layout(window: Window, x: Array, *, outputs: bool = False) -> Layout:
    """That of the chunks of ``x``, the input of the window, or with ``outputs`` its result.

    Chunks that are too short for what the windows reach over are joined to their neighbours.
    """
    axes = (_pieces(window, axis, x.chunks[axis + 1], outputs) for axis in range(len(window.size)))
    return Layout(window, tuple(axes))


def serves(window: Window, x: Array) -> bool:
    """Whether ``x``, cells or outputs of the window, lies in chunks that tasks can be made of."""
    if not is_chunked(x) or 0 in x.shape:
        return False
    reads = (_reads(window, axis, Piece((0, 0), (0, o))) for axis, o in enumerate(window.output))
    return all(start < stop for start, stop in reads)


def gathered(
    compute: Compute, x: Array, at: Layout, features: Sizes, dtype: DType, **more: Any
) -> Array:
    """Outputs: what ``compute`` makes of the cells that those of each chunk read.

    ``features`` are the chunks of the last axis of the result. An array in ``more`` comes whole to each task; of
    ``by_output``, numbers for each output along each axis, a task gets those of its own.
    """
    x, parts = _reading(x, at)
    chunks = (x.chunks[0], *at.sizes("outputs"), features)
    return _mapped(_gather, (x,), chunks, dtype, compute=compute, at=(at.window, parts), **more)


def spread(
    compute: Compute,
    arrays: Sequence[Array],
    at: Layout,
    features: Sizes,
    dtype: DType,
    x: Array | None = None,
    **more: Any,
) -> Array:
    """Cells: what ``compute`` makes, for those of a chunk, of the outputs that they are in (``arrays``), and ``x``."""
    if x is not None:
        arrays = [a.rechunk({0: x.chunks[0], x.ndim - 1: x.chunks[-1]}) for a in arrays]
    reach, around = _halos(at, _meets), _halos(at, _surroundings)
    given = [_with_halo(a, at.sizes("outputs"), reach) for a in arrays]
    if x is not None:
        given.append(_with_halo(x, at.sizes("cells"), around))
    parts = tuple(
        tuple(_spreading(at.window, axis, piece, reach[axis], around[axis]) for piece in pieces)
        for axis, pieces in enumerate(at.axes)
    )
    chunks = (given[0].chunks[0], *at.sizes("cells"), features)
    more |= {"compute": compute, "at": (at.window, parts), "sizes": chunks[1:], "dtype_": dtype}
    return _mapped(_spread, given, chunks, dtype, with_cells=x is not None, **more)


def added(
    compute: Compute, x: Array, dy: Array, at: Layout, shape: Sizes, dtype: DType, **more: Any
) -> Array:
    """The sum over all chunks of what ``compute`` makes of outputs and the cells that they read."""
    x, parts = _reading(x, at)
    dy = _with_halo(dy.rechunk({0: x.chunks[0]}), at.sizes("outputs"), None)
    lead = x.ndim - 1
    # (N, *S, C) to a cell for each chunk of (N, *S), and the shape of the sum
    axes = {"drop_axis": lead, "new_axis": list(range(lead, lead + len(shape)))}
    chunks = (*((1,) * n for n in x.numblocks[:-1]), *((n,) for n in shape))
    more |= {"compute": compute, "at": (at.window, parts)}
    terms = _mapped(_add, (x, dy), chunks, dtype, **axes, **more)
    return terms.sum(axis=tuple(range(lead)), dtype=dtype)


def example(window: Window, x: Array, *, outputs: bool) -> tuple[Array, int, Window]:
    """An empty array like the chunks of ``x``, the images of the first one, and the window of one amid the others."""
    axes = layout(window, x, outputs=outputs).axes
    for axis, pieces in enumerate(axes):
        _, window = window.along(axis, *pieces[len(pieces) // 2].outputs)
    return x._meta, x.chunks[0][0], window


def _mapped(
    task: Callable[..., Array], arrays: Sequence[Array], chunks: Any, dtype: DType, **more: Any
) -> Array:
    dask = sys.modules["dask.array"]
    meta = dask.utils.meta_from_array(arrays[0], ndim=len(chunks), dtype=dtype)
    return dask.map_blocks(
        task, *arrays, chunks=chunks, dtype=dtype, meta=meta, settings=current(), **more
    )


def _gather(
    *arrays: Array, compute: Compute, at: Any, settings: Settings, block_id: Sizes, **more: Any
) -> Array:
    x, *others = arrays
    window, parts = _here(at, block_id)
    cells = x[(slice(None), *(part.cells for part in parts), ...)]
    xp = array_namespace("chunk", x=x)
    with options(**settings._asdict()):
        return compute(xp, cells, *others, window=window, **_own(more, parts))


def _add(*arrays: Array, block_id: Sizes, **more: Any) -> Array:
    term = _gather(*arrays, block_id=block_id, **more)
    return term[(*(None,) * (arrays[0].ndim - 1), ...)]


def _spread(
    *arrays: Array,
    compute: Compute,
    at: Any,
    sizes: tuple[Sizes, ...],
    dtype_: DType,
    with_cells: bool,
    settings: Settings,
    block_id: Sizes,
    **more: Any,
) -> Array:
    xp = array_namespace("chunk", dy=arrays[0])
    own = tuple(along[i] for along, i in zip(sizes, block_id[1:], strict=True))
    shape = (arrays[0].shape[0], *own)
    if any(along[i] is None for along, i in zip(at[1], block_id[1:], strict=False)):
        return xp.zeros(shape, dtype=dtype_, **placement(arrays[0]))
    window, parts = _here(at, block_id)
    outputs = (slice(None), *(part.outputs for part in parts), ...)
    cells = (slice(None), *(part.cells for part in parts), ...)
    last = len(arrays) - 1
    taken = [a[cells if with_cells and i == last else outputs] for i, a in enumerate(arrays)]
    with options(**settings._asdict()):
        found = compute(xp, *taken, window=window, **_own(more, parts))
    found = found[(slice(None), *(part.own for part in parts), ...)]
    return windows.pad(xp, found, tuple(part.missing for part in parts), lead=1, mutable=True)


def _here(at: Any, block_id: Sizes) -> tuple[Window, tuple[_Part, ...]]:
    """The window of one chunk, and its parts along each axis."""
    window, axes = at
    parts = tuple(along[i] for along, i in zip(axes, block_id[1:], strict=False))
    for axis, part in enumerate(parts):
        _, window = window.along(axis, *part.range)
    return window, parts


def _own(more: dict[str, Any], parts: tuple[_Part, ...]) -> dict[str, Any]:
    if "by_output" not in more:
        return more
    pairs = zip(more["by_output"], parts, strict=True)
    return more | {"by_output": tuple(values[slice(*part.range)] for values, part in pairs)}


def _with_halo(x: Array, sizes: tuple[Sizes, ...], halo: Sequence[Range] | None) -> Array:
    """``x`` in chunks of these sizes, each with what ``halo`` says of its neighbours, before and after."""
    x = x.rechunk((x.chunks[0], *sizes, x.chunks[-1]))
    if halo is None or not any(map(any, halo)):
        return x
    depth = dict.fromkeys(range(x.ndim), (0, 0)) | dict(enumerate(halo, start=1))
    overlap = sys.modules["dask.array"].overlap.overlap
    return overlap(x, depth=depth, boundary=dict.fromkeys(depth, "none"), allow_rechunk=False)


def _reading(x: Array, at: Layout) -> tuple[Array, tuple[tuple[_Part, ...], ...]]:
    """``x``, each chunk with the cells that its outputs read, and where these lie in it."""
    halos = _halos(at, _reads)
    parts = tuple(
        tuple(
            _Part(
                _within(_reads(at.window, axis, piece), piece.cells, halos[axis]),
                slice(None),
                piece.outputs,
            )
            for piece in pieces
        )
        for axis, pieces in enumerate(at.axes)
    )
    return _with_halo(x, at.sizes("cells"), halos), parts


def _spreading(
    window: Window, axis: int, piece: Piece, reach: Range, around: Range
) -> _Part | None:
    met = _meets(window, axis, piece)
    if met[0] >= met[1]:
        return None
    (low, high), (start, stop) = _surroundings(window, axis, piece), piece.cells
    first, last = max(start, low), min(stop, high)
    return _Part(
        _within((low, high), piece.cells, around),
        _within(met, piece.outputs, reach),
        met,
        slice(first - low, last - low),
        (first - start, stop - last),
    )


def _within(wanted: Range, own: Range, halo: Range) -> slice:
    """Where a range lies in a chunk that begins ``halo[0]`` before its own range, but at the first end of all."""
    begin = max(own[0] - halo[0], 0)
    return slice(wanted[0] - begin, wanted[1] - begin)


def _reads(window: Window, axis: int, piece: Piece) -> Range:
    """The cells that the outputs of a chunk read."""
    s, e, n = window.stride[axis], window.extent[axis], window.size[axis]
    before, (first, last) = window.padding[axis][0], piece.outputs
    return max(0, first * s - before), min(n, (last - 1) * s + e - before)


def _meets(window: Window, axis: int, piece: Piece) -> Range:
    """The outputs whose windows reach over cells of a chunk."""
    s, e, o = window.stride[axis], window.extent[axis], window.output[axis]
    before, (start, stop) = window.padding[axis][0], piece.cells
    return max(0, -((e - 1 - start - before) // s)), min(o, (stop - 1 + before) // s + 1)


def _surroundings(window: Window, axis: int, piece: Piece) -> Range:
    """The cells that these outputs read."""
    met = _meets(window, axis, piece)
    return _reads(window, axis, Piece(piece.cells, met)) if met[0] < met[1] else piece.cells


_Need = Callable[[Window, int, Piece], Range]


def _halos(at: Layout, need: _Need) -> list[Range]:
    """How far, along each axis, what is needed reaches before and after a chunk's own."""
    return [_halo(at.window, axis, pieces, need) for axis, pieces in enumerate(at.axes)]


def _halo(window: Window, axis: int, pieces: Sequence[Piece], need: _Need) -> Range:
    before = after = 0
    for piece in pieces:
        own = piece.outputs if need is _meets else piece.cells
        start, stop = need(window, axis, piece)
        if start < stop:
            before, after = max(before, own[0] - start), max(after, stop - own[1])
    return before, after


def _pieces(window: Window, axis: int, sizes: Sizes, outputs: bool) -> tuple[Piece, ...]:
    for chunks in _coarser(sizes, window, axis, outputs):
        ends = [0]
        for size in chunks:
            ends.append(ends[-1] + size)
        pieces = tuple(_matched(window, axis, ends, outputs))
        if len(pieces) == 1 or _sound(window, axis, pieces):
            break
    return pieces


def _coarser(sizes: Sizes, window: Window, axis: int, outputs: bool) -> Iterator[Sizes]:
    yield sizes
    s, e = window.stride[axis], window.extent[axis]
    joined = sys.modules["dask.array"].overlap.ensure_minimum_chunksize
    for least in (e + s, 2 * (e + s)):
        least = -(-least // s) if outputs else least
        if least <= sum(sizes):
            yield joined(least, sizes)
    yield (sum(sizes),)


def _matched(window: Window, axis: int, ends: Sequence[int], outputs: bool) -> Iterator[Piece]:
    """The pieces between these ends, of cells or outputs, the others being where the middles of windows are."""
    s, n, o = window.stride[axis], window.size[axis], window.output[axis]
    offset = (window.extent[axis] - 1) // 2 - window.padding[axis][0]
    if outputs:
        others = [min(max(end * s + offset, 0), n) for end in ends]
        others[0], others[-1] = 0, n
    else:
        others = [min(max(-((offset - end) // s), 0), o) for end in ends]
        others[0], others[-1] = 0, o
    for i in range(len(ends) - 1):
        one, other = (ends[i], ends[i + 1]), (others[i], others[i + 1])
        yield Piece(other, one) if outputs else Piece(one, other)


def _sound(window: Window, axis: int, pieces: Sequence[Piece]) -> bool:
    """Whether no chunk is empty, nor needs more than its neighbours have."""
    least = [min(stop - start for start, stop in along) for along in zip(*pieces, strict=True)]
    reach = max(_halo(window, axis, pieces, _meets))
    around = max(
        (*_halo(window, axis, pieces, _reads), *_halo(window, axis, pieces, _surroundings))
    )
    return bool(min(least) > 0 and around <= least[0] and reach <= least[1])

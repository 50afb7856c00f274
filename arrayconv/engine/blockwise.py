"""Functions that treat all cells alike, in blocks that stay in the cache."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import product
from typing import Any, TypeAlias

from arrayconv import namespace
from arrayconv.namespace import Array, Namespace, is_lazy, placement, traits

_Place: TypeAlias = tuple[slice, ...]

# Elements of a block on a CPU: a few temporaries of it fit the second-level cache.
BLOCK = 2**16
# Neighbours in memory that are not set apart.
SHORTEST_RUN = 2**10


class _Here(threading.local):
    # whether a function is computed in blocks already, which are not cut again
    cutting = False


_here = _Here()


def fused(xp: Namespace, compute: Callable[..., Any], *arrays: Array) -> Any:
    """``compute(*arrays)``, a function of single elements: a kernel where the library makes one, else in blocks.

    As ``namespace.fused``; arrays may be of shapes that broadcast, or numbers.
    """
    # lazy arrays first: their size may be a symbol, of which nothing is known
    if not is_lazy(arrays[0]):
        x = max(arrays, key=_size)
        if _size(x) > BLOCK and traits(xp, x).calling:
            return _cut(xp, compute, x, arrays, ())
    return namespace.fused(xp, compute, *arrays)


def blockwise(
    xp: Namespace,
    compute: Callable[..., Any],
    *arrays: Array,
    whole: Collection[int] = (),
    threaded: bool = False,
) -> Any:
    """``compute(*arrays)``, where each part of the result is that of the same part of the arrays.

    The first array is cut along all axes but ``whole``, along which the result may be of another
    length; the others have its shape, or broadcast to it. ``compute`` gives one array or several.
    Arrays that are small, lazy or on an accelerator are not cut, and where the library has threads of
    its own only if ``threaded``: what is written block by block costs its autograd a copy for each.
    """
    x = arrays[0]
    if is_lazy(x) or _size(x) <= BLOCK:
        return compute(*arrays)
    at = traits(xp, x)
    if not (at.calling or (threaded and at.mutable and not at.accelerator)):
        return compute(*arrays)
    return _cut(xp, compute, x, arrays, whole)


def _size(x: Any) -> int:
    return math.prod(getattr(x, "shape", ()))


def _cut(
    xp: Namespace,
    compute: Callable[..., Any],
    x: Array,
    arrays: tuple[Array, ...],
    whole: Collection[int],
) -> Any:
    """``compute(*arrays)`` a block of ``x`` at a time."""
    first, *others = _places(tuple(x.shape), whole)
    if _here.cutting or not others or not all(_broadcasts(a, x) for a in arrays):
        return compute(*arrays)
    _here.cutting = True
    try:
        return _by_place(xp, compute, x, arrays, whole, first, others)
    finally:
        _here.cutting = False


def _by_place(
    xp: Namespace,
    compute: Callable[..., Any],
    x: Array,
    arrays: tuple[Array, ...],
    whole: Collection[int],
    first: _Place,
    others: Iterable[_Place],
) -> Any:
    # what there is to be written, and where, shows in the first block
    found = compute(*(_part(a, first) for a in arrays))
    several = isinstance(found, tuple)
    blocks = found if several else (found,)
    results = [
        xp.empty(
            tuple(
                n if axis in whole else m
                for axis, (n, m) in enumerate(zip(b.shape, x.shape, strict=True))
            ),
            dtype=b.dtype,
            **placement(x),
        )
        for b in blocks
    ]

    def put(at: _Place, values: tuple[Array, ...]) -> None:
        at = tuple(slice(None) if axis in whole else s for axis, s in enumerate(at))
        for result, value in zip(results, values, strict=True):
            result[at] = value

    put(first, blocks)
    del found, blocks
    for at in others:
        values = compute(*(_part(a, at) for a in arrays))
        put(at, values if several else (values,))
    return tuple(results) if several else results[0]


def _places(shape: tuple[int, ...], whole: Collection[int]) -> Iterator[_Place]:
    """Blocks of about ``BLOCK`` elements, in the order of memory."""
    size = math.prod(shape)
    along = []
    for axis, n in enumerate(shape):
        step = n
        if size > BLOCK and axis not in whole:
            size //= n
            step = max(1 if axis < len(shape) - 1 else SHORTEST_RUN, BLOCK // size)
            step = min(n, step)
            size *= step
        along.append([slice(i, min(i + step, n)) for i in range(0, n, step)])
    return product(*along)


def _broadcasts(a: Any, x: Array) -> bool:
    shape = getattr(a, "shape", ())
    return len(shape) <= x.ndim and all(
        n in (1, m) for n, m in zip(reversed(shape), reversed(x.shape), strict=False)
    )


def _part(a: Any, at: _Place) -> Any:
    """What of ``a`` meets a block: axes of length 1, and those that it lacks, are repeated."""
    shape = getattr(a, "shape", ())
    if not shape:
        return a
    own = zip(shape, at[len(at) - len(shape) :], strict=True)
    return a[tuple(slice(None) if n == 1 else cells for n, cells in own)]

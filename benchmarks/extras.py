"""Memory, the cost of a tiny call, and how the cost grows."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks import numpy_peers, ours
from benchmarks.cases import BATCH32, TINY_CALL, Conv, Pool
from benchmarks.sections import Results, compare, conv_contenders
from benchmarks.timing import Contender, measure

SWEEP = Conv("sweep", 4, (32, 32), 32, 32, (3, 3))
SWEPT = {
    "batch": (1, 2, 4, 8, 16, 32, 64),
    "size": (8, 16, 32, 64, 128),
    "channels": (4, 8, 16, 32, 64, 128, 256),
}
GROWING = (
    "arrayconv numpy",
    "product",
    "torch channels_last",
    "arrayconv jax",
    "lax",
)


def peak_beyond(call: Callable[[], Any]) -> int:
    """Return the bytes that NumPy arrays took at the peak of ``call``, its result left out."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = call()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    arrays = result if isinstance(result, tuple) else (result,)
    # a result that is a view keeps its whole base alive
    kept = sum(a.nbytes if a.base is None else a.base.nbytes for a in arrays)
    return int(max(0, peak - before - kept))


def memory(results: Results, convs: Iterable[Conv], pools: Iterable[Pool]) -> None:
    """Measure the memory taken beyond input and output; add rows with ``MiB`` to ``results``."""
    # what is imported and planned once is not a call's memory
    ours.conv(ours.NUMPY, TINY_CALL, TINY_CALL.data(), True).call()
    batches = [replace(BATCH32, name=f"batch{n}", batch=n) for n in (8, 32, 128)]
    for case, backward in _both_ways([*batches, *convs]):
        data = case.data()
        contenders = [
            ours.conv(ours.NUMPY, case, data, backward),
            ours.conv(ours.NUMPY, case, data, backward, "fast"),
        ]
        if case == BATCH32:
            contenders += numpy_peers.conv(case, data, backward)[:1]
        arrays = sum(a.nbytes for a in (data.x, data.w, data.dy))
        _note(results, case, backward, contenders, peak_beyond, arrays)
        if find_spec("jax"):
            _note(results, case, backward, _compiled(case, backward), lambda call: call(), arrays)
    for pool, backward in _both_ways(pools):
        data = pool.data()
        contenders = [ours.pool(ours.NUMPY, pool, data, backward)]
        arrays = data.x.nbytes + data.dy.nbytes
        _note(results, pool, backward, contenders, peak_beyond, arrays)


def _both_ways(cases: Iterable[Any]) -> Iterator[tuple[Any, bool]]:
    for case in cases:
        yield case, False
        yield case, True


def _compiled(case: Conv, backward: bool) -> list[Contender]:
    from benchmarks import jax_peers

    data = case.data()
    library = jax_peers.library()._replace(prepare=jax_peers.memory)
    found = [ours.conv(library, case, data, backward)]
    if case == BATCH32:
        found += jax_peers.conv(case, data, backward, prepare=jax_peers.memory)
    return found


def _note(
    results: Results,
    case: Conv | Pool,
    backward: bool,
    contenders: Iterable[Contender],
    taken: Callable[[Callable[[], Any]], int],
    arrays: int,
) -> None:
    section = "memory backward" if backward else "memory forward"
    print(f"{section}: {case.name}", file=sys.stderr, flush=True)
    for contender in contenders:
        try:
            size = taken(contender.call)
        # a contender that cannot take part is reported and must not end a run of minutes
        except Exception as error:
            results.failed(section, case.name, contender.name, error)
            continue
        results.rows.append(
            {
                "section": section,
                "case": case.name,
                "contender": contender.name,
                "MiB": round(size / 2**20, 2),
                "of arrays": round(size / arrays, 3),
            }
        )


def tiny(results: Results, **timing: Any) -> None:
    """Time a call that is all overhead, against the shortest im2col."""
    case, data = TINY_CALL, TINY_CALL.data()
    contenders = [c for c in conv_contenders(case, data, False) if c.name != "im2col"]
    contenders.append(
        Contender(
            "im2col",
            numpy_peers.POOL,
            lambda: numpy_peers.textbook(data.x, data.w),
            lambda y: (y,),
        )
    )
    expected = numpy_peers.conv_reference(case, data, False)
    compare(results, "tiny call", case.name, contenders, expected, **timing)


def scaling(results: Results, quick: bool, **timing: Any) -> None:
    """Time `conv` as batch, image and channels grow; add rows with ``axis`` and ``value``."""
    for axis, values in SWEPT.items():
        for value in values[::2] if quick else values:
            case = swept(axis, value)
            print(f"scaling: {case.label}", file=sys.stderr, flush=True)
            everybody = conv_contenders(case, case.data(), False)
            contenders = [c for c in everybody if c.name in GROWING]
            for contender in contenders:
                # a first call compiles, and would pass for a slow one
                contender.finish(contender.call())
            for name, seconds in measure(contenders, **timing).items():
                results.rows.append(
                    {
                        "section": "scaling",
                        "axis": axis,
                        "value": value,
                        "contender": name,
                        "ms": round(float(np.median(seconds)) * 1e3, 5),
                    }
                )


def swept(axis: str, value: int) -> Conv:
    """Return the convolution of a sweep at one value of the axis that grows.

    Examples
    --------
    >>> swept("size", 64).label
    '4x64x64, 32 -> 32, 3x3'
    """
    if axis == "batch":
        return replace(SWEEP, batch=value)
    if axis == "size":
        return replace(SWEEP, size=(value, value))
    return replace(SWEEP, channels=value, features=value)

"""What a GPU does besides convolutions: ``python -m benchmarks.gpu_parts PART [rehearsal]`` prints its rows as JSON.

A part yields after each comparison, and what there is then is printed: who is stopped loses the rest alone.
Pools, batch norm and training beside their peers; two habits of CuPy's that the plan rests on; and
the launches and synchronisations of a call, which torch's profiler sees whichever library made them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import arrayconv as ac
from benchmarks import numpy_peers, ours, train
from benchmarks.cases import BATCH32, POOLS
from benchmarks.gpu import NO_GPU, say, usable
from benchmarks.gpu_libraries import MODES, NAMES, Usable
from benchmarks.sections import Results, compare
from benchmarks.timing import Contender

TIMING: dict[str, Any] = {"rounds": 3, "budget": 0.02, "spin": 0.0}
Libraries = dict[str, Usable]


def clock_of(libraries: Libraries) -> Callable[[str], Any]:
    """Return the clock of each pool."""
    return lambda pool: libraries[NAMES[pool]].clock


def pools(results: Results, libraries: Libraries, rehearsal: bool) -> Iterator[None]:
    """Compare the pools and their gradients."""
    for case in POOLS:
        case = case.tiny() if rehearsal else case
        data = case.data()
        for backward in (False, True):
            expected = numpy_peers.pool_reference(case, data, backward)
            y = None
            if backward and case.kind == "max":
                (forward,) = numpy_peers.pool_reference(case, data, False)
                y = forward.astype(np.float32)
            found = [ours.pool(one.library, case, data, backward, y) for one in libraries.values()]
            if "torch" in libraries:
                from benchmarks import torch_peers

                device = "cpu" if rehearsal else "cuda"
                found += torch_peers.pool(case, data, backward, device=device)
            if "jax" in libraries:
                from benchmarks import jax_peers

                found += jax_peers.pool(case, data, backward)
            section = f"pool {'backward' if backward else 'forward'}"
            clock = clock_of(libraries)
            compare(results, section, case.name, found, expected, clock=clock, **TIMING)
            yield


def norms(results: Results, libraries: Libraries, rehearsal: bool) -> Iterator[None]:
    """Compare batch norm and its gradient; the reference is arrayconv's in float64 on NumPy, which the tests verify."""
    case = BATCH32.tiny() if rehearsal else BATCH32
    x = case.data().x
    dy = np.flip(x).copy()
    gamma, beta = (np.linspace(low, 2, x.shape[-1], dtype=np.float32) for low in (0.5, -1))
    wide = [a.astype(np.float64) for a in (dy, x, gamma, beta)]
    for backward in (False, True):
        arrays = (dy, x, gamma, beta) if backward else (x, gamma, beta)
        f = ac.batch_norm_vjp if backward else _normalized
        expected = tuple(ac.batch_norm_vjp(*wide)) if backward else (_normalized(*wide[1:]),)
        found = [_contender(one, f, arrays) for one in libraries.values()]
        if "torch" in libraries:
            found.append(_torch_norm(arrays, backward, "cpu" if rehearsal else "cuda"))
        section = f"batch norm {'backward' if backward else 'forward'}"
        clock = clock_of(libraries)
        compare(results, section, case.label, found, expected, clock=clock, **TIMING)
        yield


def _normalized(x: Any, gamma: Any, beta: Any) -> Any:
    return ac.batch_norm(x, gamma, beta)[0]


def _contender(one: Usable, f: Callable[..., Any], arrays: tuple[np.ndarray, ...]) -> Contender:
    library = one.library
    there = [library.place(a) for a in arrays]
    prepared = library.prepare(f)
    return Contender(
        f"arrayconv {library.name}",
        library.pool,
        lambda: prepared(*there),
        lambda found: tuple(map(ac.to_numpy, found if isinstance(found, tuple) else (found,))),
        library.finish,
    )


def _torch_norm(arrays: tuple[np.ndarray, ...], backward: bool, device: str) -> Contender:
    import torch

    *dy, x, gamma, beta = (torch.from_numpy(a).to(device) for a in arrays)
    # (N, H, W, C) in memory, (N, C, H, W) in name: torch's channels_last
    x, *dy = (a.permute(0, 3, 1, 2) for a in (x, *dy))

    def values() -> Any:
        return torch.nn.functional.batch_norm(x, None, None, gamma, beta, True, 0.0, 1e-5)

    def gradients() -> Any:
        return torch.ops.aten.native_batch_norm_backward(
            dy[0], x, gamma, None, None, mean, rstd, True, 1e-5, [True, True, True]
        )

    def read(found: Any) -> tuple[np.ndarray, ...]:
        first, *rest = found if backward else (found,)
        return tuple(map(ac.to_numpy, (first.permute(0, 2, 3, 1), *rest)))

    if backward:
        _, mean, rstd = torch.native_batch_norm(x, gamma, beta, None, None, True, 0.0, 1e-5)
    return Contender("torch channels_last", "torch", gradients if backward else values, read)


def training(results: Results, libraries: Libraries, rehearsal: bool) -> Iterator[None]:
    """Time an epoch of MNIST-5k on the arrays of each library; without the digits, of as many random images."""
    rng = np.random.default_rng(0)
    data = train.Digits(rng.random((4000, 28, 28, 1), dtype=np.float32), rng.integers(0, 10, 4000))
    case = "random images"
    if not rehearsal:
        try:
            data, case = train.digits(), train.CASE
        except train.DataError as error:
            results.failed(train.SECTION, train.CASE, "the digits", error)
    if rehearsal:
        data = train.Digits(data.x[:64], data.y[:64])
    found = [
        train.ours(f"arrayconv {name}", one.library.pool, data, _labelled(one.library.place))
        for name, one in libraries.items()
    ]
    # an epoch ends with a number, so the wall clock is right
    timing = TIMING | {"rounds": 2}
    expected = train.expected(data)
    compare(results, train.SECTION, case, found, expected, tolerance=train.TOLERANCE, **timing)
    yield


def _labelled(place: Callable[[Any], Any]) -> Callable[[Any], Any]:
    # labels stay integers, and go where images go
    def placed(a: Any) -> Any:
        return place(a) if a.dtype.kind == "f" else a

    return placed


def habits(results: Results, libraries: Libraries, rehearsal: bool) -> Iterator[None]:
    """Time, on CuPy alone, sums to few channels and the two ways to gather columns."""
    if "cupy" not in libraries:
        raise RuntimeError("CuPy has no GPU here")
    import cupy

    one = libraries["cupy"]
    shape = (2, 6, 6, 4) if rehearsal else (BATCH32.batch, *BATCH32.size, BATCH32.channels)
    host = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    x = cupy.asarray(host)
    cells = x.reshape(-1, shape[-1])
    ones = cupy.ones((1, cells.shape[0]), dtype=cupy.float32)
    sums = {
        "one sum": lambda: x.sum(axis=(0, 1, 2)),
        "axis by axis": lambda: x.sum(axis=0).sum(axis=0).sum(axis=0),
        "axis by axis, last first": lambda: x.sum(axis=2).sum(axis=1).sum(axis=0),
        "product with ones": lambda: (ones @ cells)[0],
    }
    total = (host.sum(axis=(0, 1, 2), dtype=np.float64),)
    clock = clock_of({"cupy": one})
    found = [Contender(name, "cupy", f, _read) for name, f in sums.items()]
    # sums of both signs cancel
    compare(
        results, "sum to channels", str(shape), found, total, tolerance=1e-3, clock=clock, **TIMING
    )
    yield
    n, height, width, channels = shape
    taps = [(i, j) for i in range(3) for j in range(3)]
    rows, columns = cupy.arange(height - 2), cupy.arange(width - 2)
    at = cupy.stack([(rows[:, None] + i) * width + columns + j for i, j in taps], axis=-1)

    def slices() -> Any:
        out = cupy.empty((n, height - 2, width - 2, 9, channels), dtype=cupy.float32)
        for k, (i, j) in enumerate(taps):
            out[..., k, :] = x[:, i : i + height - 2, j : j + width - 2, :]
        return out

    def take() -> Any:
        return cupy.take(x.reshape(n, height * width, channels), at, axis=1)

    windows = np.lib.stride_tricks.sliding_window_view(host, (3, 3), axis=(1, 2))
    # (N, oh, ow, C, 3, 3) -> (N, oh, ow, 9, C)
    gathered = (np.moveaxis(windows.reshape(*windows.shape[:4], 9), 3, 4),)
    found = [
        Contender("nine slices", "cupy", slices, _read),
        Contender("take", "cupy", take, _read),
    ]
    compare(results, "gather columns", str(shape), found, gathered, clock=clock, **TIMING)
    yield


def _read(x: Any) -> tuple[np.ndarray, ...]:
    return (ac.to_numpy(x),)


def calls(rehearsal: bool) -> Iterator[tuple[str, Callable[..., Any], tuple[Any, ...]]]:
    """Yield what is counted: a name, a function and its NumPy arrays."""
    case = BATCH32.tiny() if rehearsal else BATCH32
    x, w, dy = case.data()
    config = case.config
    channels = np.ones(x.shape[-1], dtype=np.float32)
    half = x[:, : x.shape[1] // 2, : x.shape[2] // 2, :]
    yield "conv", lambda x, w: ac.conv(x, w, **config), (x, w)
    yield "conv_vjp", lambda dy, x, w: ac.conv_vjp(dy, x, w, **config), (dy, x, w)
    yield "max_pool 2", lambda x: ac.max_pool(x, 2), (x,)
    yield "max_pool_vjp 2", lambda dy, x: ac.max_pool_vjp(dy, x, 2), (half, x)
    pool = {"stride": 2, "padding": 1}
    half = x[:, : (x.shape[1] + 1) // 2, : (x.shape[2] + 1) // 2, :]
    yield "max_pool_vjp 3, stride 2", lambda dy, x: ac.max_pool_vjp(dy, x, 3, **pool), (half, x)
    yield "batch_norm", ac.batch_norm, (x, channels, channels)
    yield "batch_norm_vjp", ac.batch_norm_vjp, (x, x, channels, channels)
    yield "relu_vjp", ac.relu_vjp, (x, x)
    yield "gelu", ac.gelu, (x,)


def launches(results: Results, libraries: Libraries, rehearsal: bool) -> Iterator[None]:
    """Count what calls ask of the device: by torch's profiler, or in a rehearsal by the emulated device."""
    for name, one in libraries.items():
        if rehearsal and name != "cupy":
            continue
        count = _counted_emulated if rehearsal else _counted_by_profiler
        for op, f, arrays in calls(rehearsal):
            try:
                contender = _contender(one, f, arrays)
                one.library.finish(contender.call())
                found = count(contender)
            # a call that fails is reported and must not end the others
            except Exception as error:
                results.failed("launches", op, name, error)
                continue
            row = {"section": "launches", "case": op, "contender": f"arrayconv {name}"}
            results.rows.append(row | found)
            yield


def _counted_emulated(contender: Contender) -> dict[str, Any]:
    from cupy_emulated import recording

    with recording() as record:
        contender.call()
    return {"launches": len(record.launches), "synchronisations": record.synchronisations}


def _counted_by_profiler(contender: Contender) -> dict[str, Any]:
    import torch
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        contender.finish(contender.call())
        torch.cuda.synchronize()
    events = seen.events()
    on_device = [e for e in events if e.device_type == torch.autograd.DeviceType.CUDA]
    waits = sum("Synchronize" in e.name for e in events)
    # the two after the call are ours
    return {
        "launches": len(on_device),
        "synchronisations": max(0, waits - 2),
        "device ms": round(sum(e.time_range.elapsed_us() for e in on_device) / 1e3, 4),
        "names": sorted({e.name for e in on_device})[:20],
    }


PARTS = {
    "pools": pools,
    "norms": norms,
    "training": training,
    "habits": habits,
    "launches": launches,
}


def main(part: str, rehearsal: bool) -> dict[str, Any]:
    """Run one part on every library that has a GPU here."""
    libraries = usable(MODES["float32"], rehearsal)
    if not libraries:
        return {"skipped": NO_GPU}
    results = Results()
    device = next(iter(libraries.values())).device
    run = {"device": device, "rows": results.rows, "failures": results.failures}
    for _ in PARTS[part](results, libraries, rehearsal):
        say(run)
    return run


if __name__ == "__main__":
    say(main(sys.argv[1], sys.argv[2:] == ["rehearsal"]))

"""The libraries that have a GPU here: arrayconv's contender on each, its peers, and its clock.

A rehearsal goes the same way without a GPU: JAX and torch on the CPU, CuPy on the emulated device.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from benchmarks.timing import Clock, Contender


@dataclass(frozen=True)
class Mode:
    """An arithmetic: the dtype of the arrays, the environment, the error it may have, and who convolves."""

    dtype: str
    tf32: bool
    tolerance: float
    engine: str = "portable"


MODES = {
    "float32": Mode("float32", False, 1e-4),
    "native": Mode("float32", False, 1e-4, "native"),
    "tf32": Mode("float32", True, 1e-2),
    "float16": Mode("float16", False, 2e-2),
    "bfloat16": Mode("bfloat16", False, 1e-1),
}
IN_A_ROW = 10


@dataclass(frozen=True)
class Usable:
    """A library that has a GPU here: arrayconv's contender, its peers, its clock."""

    library: Any
    peers: Callable[[Any, Any, bool], list[Contender]]
    clock: Clock
    device: str


NAMES = {"cupy": "cupy", "torch": "torch", "xla": "jax"}


def by_events(make: Callable[[], Any], elapsed: Callable[[Any, Any], float]) -> Clock:
    """Return a clock of device events around calls in a row."""

    def clock(contender: Contender, number: int) -> float:
        start, end = make(), make()
        number *= IN_A_ROW
        start.record()
        for _ in range(number):
            contender.call()
        end.record()
        end.synchronize()
        return elapsed(start, end) / 1e3 / number

    return clock


def by_waiting(contender: Contender, number: int) -> float:
    """Seconds a call by the wall clock, calls in a row waited for once."""
    number *= IN_A_ROW
    start = time.perf_counter()
    for _ in range(number):
        result = contender.call()
    contender.finish(result)
    return (time.perf_counter() - start) / number


def cupy(mode: Mode, rehearsal: bool = False) -> Usable | None:
    """CuPy, on a GPU or on the emulated device."""
    try:
        if rehearsal:
            from cupy_emulated.installation import install

            install()
        import cupy
    except (ImportError, RuntimeError):
        return None
    if not cupy.cuda.is_available():
        return None
    from benchmarks import ours

    def place(x: Any) -> Any:
        if mode.dtype == "bfloat16":
            import ml_dtypes

            return cupy.asarray(x.astype(ml_dtypes.bfloat16))
        return cupy.asarray(x.astype(mode.dtype))

    def finish(result: Any) -> None:
        cupy.cuda.get_current_stream().synchronize()

    clock = by_events(cupy.cuda.Event, cupy.cuda.get_elapsed_time)
    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    library = ours.Library("cupy", "cupy", place, finish=finish)
    return Usable(library, lambda case, data, backward: [], clock, name)


def torch(mode: Mode, rehearsal: bool = False) -> Usable | None:
    """PyTorch, with cuDNN and the bare product as its peers."""
    try:
        import numpy
        import torch
    except ImportError:
        return None
    if not (rehearsal or torch.cuda.is_available()):
        return None
    from benchmarks import torch_peers

    torch.backends.cuda.matmul.allow_tf32 = mode.tf32
    torch.backends.cudnn.allow_tf32 = mode.tf32
    torch.backends.cudnn.benchmark = True
    device, dtype = "cpu" if rehearsal else "cuda", getattr(torch, mode.dtype)

    def peers(case: Any, data: Any, backward: bool) -> list[Contender]:
        found = torch_peers.conv(case, data, backward, device=device, dtype=dtype)
        return found if case.groups > 1 else [*found, product(case, backward)]

    def product(case: Any, backward: bool) -> Contender:
        # values do not matter to a product, and its columns can be made where they are used
        m, k = case.batch * prod(case.output), prod(case.kernel) * case.channels
        left, right, d = (
            torch.randn(shape, device=device, dtype=dtype)
            for shape in ((m, k), (k, case.features), (m, case.features))
        )
        nothing = numpy.empty(0)
        if backward:
            return Contender(
                "product", "torch", lambda: (left.T @ d, d @ right.T), lambda _: (nothing, nothing)
            )
        return Contender("product", "torch", lambda: left @ right, lambda _: (nothing,))

    library = torch_peers.library(device, dtype)
    if rehearsal:
        return Usable(library, peers, by_waiting, "the CPU")
    clock = by_events(
        lambda: torch.cuda.Event(enable_timing=True), lambda start, end: start.elapsed_time(end)
    )
    return Usable(library, peers, clock, torch.cuda.get_device_name())


def jax(mode: Mode, rehearsal: bool = False) -> Usable | None:
    """JAX, with XLA's convolution as its peer; it has no events."""
    try:
        import jax
    except ImportError:
        return None
    if not rehearsal and jax.default_backend() != "gpu":
        return None
    from benchmarks import jax_peers

    dtype = getattr(jax.numpy, mode.dtype)

    def peers(case: Any, data: Any, backward: bool) -> list[Contender]:
        return jax_peers.conv(case, data, backward, dtype=dtype)

    return Usable(jax_peers.library(dtype), peers, by_waiting, jax.devices()[0].device_kind)


LIBRARIES: dict[str, Callable[[Mode, bool], Usable | None]] = {
    "cupy": cupy,
    "torch": torch,
    "jax": jax,
}

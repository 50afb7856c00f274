"""The convolutions on a GPU: arrayconv on CuPy, torch and JAX, against cuDNN and the bare product.

Each mode of arithmetic is a process of its own, since CuPy reads ``CUPY_TF32`` once and libraries
share the GPU's memory best when they start with it empty. CuPy and torch are timed by device
events over calls in a row; JAX has no events, so its calls in a row are waited for once, at the
end, by the wall clock.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

from benchmarks.timing import Clock, Contender


@dataclass(frozen=True)
class Mode:
    """An arithmetic: the dtype of the arrays, the environment, and the error it may have."""

    dtype: str
    tf32: bool
    tolerance: float


MODES = {
    "float32": Mode("float32", False, 1e-4),
    "tf32": Mode("float32", True, 1e-2),
    "float16": Mode("float16", False, 2e-2),
    "bfloat16": Mode("bfloat16", False, 1e-1),
}
IN_A_ROW = 10


def run_modes(only: str, quick: bool) -> dict[str, Any]:
    """Run every mode in a process of its own; without a GPU, say why nothing was run."""
    found: dict[str, Any] = {}
    for name, mode in MODES.items():
        command = [sys.executable, "-m", "benchmarks.gpu", name, only, "quick" if quick else ""]
        done = subprocess.run(
            command, env=_environment(mode), stdout=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            found[name] = {"skipped": f"the process ended with status {done.returncode}"}
            continue
        # a library may print of its own; the result is the last line
        found[name] = json.loads(done.stdout.splitlines()[-1])
        if "skipped" in found[name]:
            return {"skipped": found[name]["skipped"]}
    return found


def page(run: dict[str, Any]) -> str:
    """Return the part of the page about the GPU."""
    from benchmarks.goals import geometric_mean, ratios, times_of
    from benchmarks.report import LABELS, number, table

    if "skipped" in run:
        return f"## GPU\n\nNot run: {run['skipped']}."
    pairs = [
        (f"arrayconv {ours}", peer)
        for ours in ("cupy", "torch", "jax")
        for peer in ("torch", "product")
    ]
    pairs += [("arrayconv jax", "lax"), ("lax", "torch")]
    parts = ["## GPU"]
    for mode, found in run.items():
        parts.append(f"### {mode}")
        if "skipped" in found:
            parts.append(f"Not run: {found['skipped']}.")
            continue
        parts.append(f"{found['device']}.")
        for section in ("conv forward", "conv backward"):
            times = times_of([row for row in found["rows"] if row["section"] == section])
            present = [pair for pair in pairs if ratios(times, *pair)]
            if not present:
                continue
            columns = [ratios(times, *pair) for pair in present]
            lines = [
                (
                    LABELS[case],
                    *(number(column[case]) if case in column else "-" for column in columns),
                )
                for case in times
            ]
            means = [number(geometric_mean(list(column.values()))) for column in columns]
            lines.append(("geometric mean", *means))
            parts.append(table((section, *(f"{a} / {b}" for a, b in present)), lines))
        parts += [
            f"- {f['section']}, {f['case']}, {f['contender']} not timed: {f['why']}"
            for f in found["failures"]
        ]
    return "\n\n".join(parts)


def _environment(mode: Mode) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "JAX_PLATFORMS"}
    return environment | {
        "CUPY_TF32": "1" if mode.tf32 else "0",
        "JAX_DEFAULT_MATMUL_PRECISION": "tensorfloat32" if mode.tf32 else "highest",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }


def measured(name: str, only: str, quick: bool) -> dict[str, Any]:
    """Run one mode in this process, on every library that has a GPU here."""
    libraries = {
        library: usable
        for library, find in LIBRARIES.items()
        if (usable := find(MODES[name])) is not None
    }
    if not libraries:
        return {"skipped": "no GPU that CuPy, torch or JAX can use was found"}
    from benchmarks import numpy_peers, ours
    from benchmarks.cases import CONVS
    from benchmarks.sections import Results, compare

    results = Results()
    for case in (case for case in CONVS if only in case.name):
        data = case.data()
        for backward in (False, True):
            expected = numpy_peers.conv_reference(case, data, backward)
            section = "conv backward" if backward else "conv forward"
            contenders: list[Contender] = []
            for library, usable in libraries.items():
                # a dtype that a library lacks shows when its first array is made
                try:
                    contenders.append(ours.conv(usable.library, case, data, backward))
                    contenders += usable.peers(case, data, backward)
                except Exception as error:
                    results.failed(section, case.name, library, error)
            compare(
                results,
                section,
                case.name,
                contenders,
                expected,
                tolerance=MODES[name].tolerance,
                clock=lambda pool: libraries[_NAMES[pool]].clock,
                rounds=2 if quick else 5,
                spin=0.0,
            )
    device = next(iter(libraries.values())).device
    return {"device": device, "rows": results.rows, "failures": results.failures}


@dataclass(frozen=True)
class Usable:
    """A library that has a GPU here: arrayconv's contender, its peers, its clock."""

    library: Any
    peers: Callable[[Any, Any, bool], list[Contender]]
    clock: Clock
    device: str


_NAMES = {"cupy": "cupy", "torch": "torch", "xla": "jax"}


def _cupy(mode: Mode) -> Usable | None:
    try:
        import cupy
    except ImportError:
        return None
    if not cupy.cuda.is_available():
        return None
    from benchmarks import ours

    def place(x: Any) -> Any:
        if mode.dtype == "bfloat16":
            import ml_dtypes

            return cupy.asarray(x.astype(ml_dtypes.bfloat16))
        return cupy.asarray(x.astype(mode.dtype))

    def clock(contender: Contender, number: int) -> float:
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        number *= IN_A_ROW
        start.record()
        for _ in range(number):
            contender.call()
        end.record()
        end.synchronize()
        return float(cupy.cuda.get_elapsed_time(start, end)) / 1e3 / number

    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    library = ours.Library("cupy", "cupy", place)
    return Usable(library, lambda case, data, backward: [], clock, name)


def _torch(mode: Mode) -> Usable | None:
    try:
        import numpy
        import torch
    except ImportError:
        return None
    if not torch.cuda.is_available():
        return None
    from benchmarks import torch_peers

    torch.backends.cuda.matmul.allow_tf32 = mode.tf32
    torch.backends.cudnn.allow_tf32 = mode.tf32
    torch.backends.cudnn.benchmark = True
    dtype = getattr(torch, mode.dtype)

    def peers(case: Any, data: Any, backward: bool) -> list[Contender]:
        found = torch_peers.conv(case, data, backward, device="cuda", dtype=dtype)
        return found if case.groups > 1 else [*found, product(case, backward)]

    def product(case: Any, backward: bool) -> Contender:
        # values do not matter to a product, and its columns can be made where they are used
        m, k = case.batch * prod(case.output), prod(case.kernel) * case.channels
        left, right, d = (
            torch.randn(shape, device="cuda", dtype=dtype)
            for shape in ((m, k), (k, case.features), (m, case.features))
        )
        nothing = numpy.empty(0)
        if backward:
            return Contender(
                "product", "torch", lambda: (left.T @ d, d @ right.T), lambda _: (nothing, nothing)
            )
        return Contender("product", "torch", lambda: left @ right, lambda _: (nothing,))

    def clock(contender: Contender, number: int) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        number *= IN_A_ROW
        start.record()
        for _ in range(number):
            contender.call()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3 / number

    library = torch_peers.library("cuda", dtype)
    return Usable(library, peers, clock, torch.cuda.get_device_name())


def _jax(mode: Mode) -> Usable | None:
    try:
        import jax
    except ImportError:
        return None
    if jax.default_backend() != "gpu":
        return None
    from benchmarks import jax_peers

    dtype = getattr(jax.numpy, mode.dtype)

    def clock(contender: Contender, number: int) -> float:
        number *= IN_A_ROW
        start = time.perf_counter()
        for _ in range(number):
            result = contender.call()
        contender.finish(result)
        return (time.perf_counter() - start) / number

    def peers(case: Any, data: Any, backward: bool) -> list[Contender]:
        return jax_peers.conv(case, data, backward, dtype=dtype)

    return Usable(jax_peers.library(dtype), peers, clock, jax.devices()[0].device_kind)


LIBRARIES: dict[str, Callable[[Mode], Usable | None]] = {
    "cupy": _cupy,
    "torch": _torch,
    "jax": _jax,
}

if __name__ == "__main__":
    mode, only, quick = sys.argv[1:]
    print(json.dumps(measured(mode, only, quick == "quick")))

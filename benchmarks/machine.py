"""Where a run took place, and whether it had the processor to itself."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BUSY = 0.15
"""Share of the processor that others may take before a run, or a case, is marked."""

PACKAGES = ("arrayconv", "numpy", "array-api-compat", "torch", "jax", "jaxlib", "keras", "cupy")
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def settle(threads: int) -> None:
    """Give every thread pool the same ``threads``; to be called before any of them is imported."""
    if "numpy" in sys.modules:
        raise RuntimeError("benchmarks: numpy was imported before its threads were set")
    os.environ.update(dict.fromkeys(THREADS, str(threads)))
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    os.environ.setdefault("KERAS_BACKEND", "jax")
    if hasattr(os, "sched_setaffinity"):
        # XLA sizes its pool by the processors that it may use
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def facts(threads: int) -> dict[str, Any]:
    """Processor, memory, threads and versions; no host name and no path."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": threads,
        "memory GiB": _memory(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "blas": _blas(),
        "versions": _versions(),
        "commit": _commit(),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "load before": load(),
    }


def load() -> float | None:
    """Return the one-minute load average, where the system keeps one."""
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


class Watch:
    """Measure, over a ``with`` block, the share of this process's processors that others took.

    ``others`` is None where the system does not say (``/proc/stat``).
    """

    others: float | None = None

    def __enter__(self) -> Self:
        self._start = self._state()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        end = self._state()
        if self._start is None or end is None:
            return
        busy, total, own = (b - a for a, b in zip(self._start, end, strict=True))
        self.others = max(0.0, busy - own) / total if total > 0 else 0.0

    @staticmethod
    def _state() -> tuple[float, float, float] | None:
        try:
            text = Path("/proc/stat").read_text()
        except OSError:
            return None
        times = os.times()
        busy, total = processor_seconds(text, os.sched_getaffinity(0), os.sysconf("SC_CLK_TCK"))
        return busy, total, times.user + times.system + times.children_user + times.children_system


def processor_seconds(stat: str, processors: set[int], tick: int) -> tuple[float, float]:
    """Return busy and all seconds of some processors, from the text of ``/proc/stat``.

    Of the columns (user, nice, system, idle, iowait, irq, softirq, steal, ...) idle and iowait
    are not busy, and the guest columns, already counted in user, are left out.
    """
    busy = total = 0
    for line in stat.splitlines():
        name, *values = line.split() or [""]
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in processors:
            ticks = [int(value) for value in values[:8]]
            total += sum(ticks)
            busy += sum(ticks) - ticks[3] - ticks[4]
    return busy / tick, total / tick


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line.split() for line in lines if line.startswith("flags")), [])
    vectors = next((name for name in ("avx512f", "avx2", "avx") if name in flags), "")
    return " ".join(filter(None, (names[0] if names else platform.machine(), vectors)))


def _memory() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def _versions() -> dict[str, str]:
    found = {}
    for distribution in importlib.metadata.distributions():
        name = str(distribution.metadata["Name"]).lower()
        if name in PACKAGES or name.startswith("cupy-cuda"):
            found[name] = distribution.version
    return dict(sorted(found.items()))


def _blas() -> str:
    import numpy as np

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{blas.get('name')} {blas.get('version')}"


def _commit() -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None

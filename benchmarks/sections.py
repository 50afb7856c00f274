"""The convolutions and pools, forward and backward: every contender checked, then timed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks import numpy_peers, ours
from benchmarks.cases import Conv, Data, Floats, Pool
from benchmarks.machine import Watch
from benchmarks.timing import Clock, Contender, measure, wall

TOLERANCE = 1e-4
"""Error, relative to the largest value of the reference, above which a contender is not timed."""


@dataclass
class Results:
    """What a run has found: one row per (section, case, contender), and who failed and why."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, str]] = field(default_factory=list)

    def failed(self, section: str, case: str, contender: str, error: Exception) -> None:
        why = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        self.failures.append({"section": section, "case": case, "contender": contender, "why": why})


def conv_contenders(case: Conv, data: Data, backward: bool) -> list[Contender]:
    """Everybody who convolves and is installed here."""
    found = [
        ours.conv(ours.NUMPY, case, data, backward),
        ours.conv(ours.NUMPY, case, data, backward, "fast"),
        *numpy_peers.conv(case, data, backward),
    ]
    if find_spec("torch"):
        from benchmarks import torch_peers

        found.append(ours.conv(torch_peers.library(), case, data, backward))
        found.append(ours.conv(torch_peers.library(), case, data, backward, "fast"))
        found += torch_peers.conv(case, data, backward)
    if find_spec("jax"):
        from benchmarks import jax_peers

        found.append(ours.conv(jax_peers.library(), case, data, backward))
        found.append(ours.conv(jax_peers.library(), case, data, backward, "fast"))
        found += jax_peers.conv(case, data, backward)
    return found


def pool_contenders(case: Pool, data: Data, backward: bool) -> list[Contender]:
    """Everybody who pools and is installed here."""
    y = None
    if case.kind == "max" and backward:
        y = numpy_peers.pool_reference(case, data, False)[0].astype(np.float32)
    found = [ours.pool(ours.NUMPY, case, data, backward, y)]
    if find_spec("torch"):
        from benchmarks import torch_peers

        found.append(ours.pool(torch_peers.library(), case, data, backward, y))
        found += torch_peers.pool(case, data, backward)
    if find_spec("jax"):
        from benchmarks import jax_peers

        found.append(ours.pool(jax_peers.library(), case, data, backward, y))
        found += jax_peers.pool(case, data, backward)
    return found


def errors(
    contender: Contender, expected: Sequence[Floats], tolerance: float = TOLERANCE
) -> list[float]:
    """Run a contender once and return its largest error in each array.

    Parameters
    ----------
    contender : Contender
        An array without elements stands for one that it does not compute.
    expected : sequence of arrays
        The values in float64.
    tolerance : float
        The largest error allowed, relative to the largest value expected.

    Raises
    ------
    ValueError
        If a shape differs or an error is larger than ``tolerance``.
    """
    result = contender.call()
    contender.finish(result)
    worst = []
    for got, want in zip(contender.read(result), expected, strict=True):
        if got.size == 0:
            continue
        if got.shape != want.shape:
            raise ValueError(f"shape {got.shape}, expected {want.shape}")
        worst.append(float(np.max(np.abs(got - want)) / np.max(np.abs(want))))
        # written so that a NaN is an error too
        if not worst[-1] <= tolerance:
            raise ValueError(f"off by {worst[-1]:.1e} of the largest value")
    return worst


def compare(
    results: Results,
    section: str,
    case: str,
    contenders: Iterable[Contender],
    expected: Sequence[Floats],
    *,
    tolerance: float = TOLERANCE,
    clock: Callable[[str], Clock] = lambda pool: wall,
    **timing: Any,
) -> None:
    """Check and time the contenders of one case; add their rows to ``results``."""
    print(f"{section}: {case}", file=sys.stderr, flush=True)
    sound, worst = [], {}
    for contender in contenders:
        try:
            worst[contender.name] = errors(contender, expected, tolerance)
        # a contender that cannot take part is reported and must not end a run of minutes
        except Exception as error:
            results.failed(section, case, contender.name, error)
        else:
            sound.append(contender)
    with Watch() as watch:
        times = measure(sound, clock=clock, **timing)
    for name, seconds in times.items():
        results.rows.append(
            {
                "section": section,
                "case": case,
                "contender": name,
                "ms": round(float(np.median(seconds)) * 1e3, 5),
                "rounds": [round(value * 1e3, 5) for value in seconds],
                "errors": worst[name],
                "others": None if watch.others is None else round(watch.others, 3),
            }
        )


def convolutions(results: Results, cases: Iterable[Conv], backward: bool, **timing: Any) -> None:
    """Compare everybody on the convolutions."""
    section = "conv backward" if backward else "conv forward"
    for case in cases:
        data = case.data()
        expected = numpy_peers.conv_reference(case, data, backward)
        compare(
            results, section, case.name, conv_contenders(case, data, backward), expected, **timing
        )


def pools(results: Results, cases: Iterable[Pool], backward: bool, **timing: Any) -> None:
    """Compare everybody on the pools."""
    section = "pool backward" if backward else "pool forward"
    for case in cases:
        data = case.data()
        expected = numpy_peers.pool_reference(case, data, backward)
        compare(
            results, section, case.name, pool_contenders(case, data, backward), expected, **timing
        )

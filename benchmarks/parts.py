"""Where the time of a convolution on NumPy goes: products, copies of windows, sums, and the rest."""

from __future__ import annotations

import cProfile
import pstats
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import arrayconv as ac
from benchmarks import ours
from benchmarks.cases import Conv
from benchmarks.sections import Results

PARTS = ("product", "copies", "sums", "rest")
SECONDS = 0.3
"""How long a case is profiled at least."""

_ENGINE = Path(ac.__file__).parent / "engine"
_STRATEGIES = {_ENGINE / f"{name}.py" for name in ac.engine.STRATEGIES}
_COPIES = {"gather", "pad", "reshape", "take", "_wrapfunc", "stack", "concat", "concatenate"}


def part_of(file: str, function: str) -> str:
    """Return the part that the own time of a function belongs to.

    An assignment, an addition in place or a product of arrays has no frame of its own, so it counts where it is
    written: in `windows`, which copies, or in a strategy, which adds up.

    Examples
    --------
    >>> part_of("~", "<method 'reshape' of 'numpy.ndarray' objects>")
    'copies'
    >>> part_of("numpy/_core/numeric.py", "matmul")
    'product'
    """
    if "matmul" in function:
        return "product"
    path = Path(file)
    if any(name in function for name in _COPIES) or path == _ENGINE / "__init__.py":
        return "copies"
    if (
        function in ("overlap_add", "shifted_sum", "add", "sum", "reduce")
        or "einsum" in function
        or path in _STRATEGIES
    ):
        return "sums"
    return "copies" if path == _ENGINE / "windows.py" else "rest"


def shares(call: Callable[[], Any]) -> dict[str, float]:
    """Return, by part, the share of the time of ``call``."""
    profile = cProfile.Profile()
    spent = 0.0
    # a profile sees one thread
    with ac.options(threads=1):
        call()
        while spent < SECONDS:
            profile.enable()
            call()
            profile.disable()
            stats = pstats.Stats(profile)
            spent = stats.total_tt
    found = dict.fromkeys(PARTS, 0.0)
    for (file, _, function), (_, _, own, _, _) in stats.stats.items():
        found[part_of(file, function)] += own / spent
    return found


def parts(results: Results, convs: Iterable[Conv]) -> None:
    """Profile `conv` and both its gradients on NumPy; add rows with a share for each part."""
    for case in convs:
        for backward in (False, True):
            direction = "backward" if backward else "forward"
            print(f"parts {direction}: {case.name}", file=sys.stderr, flush=True)
            found = shares(ours.conv(ours.NUMPY, case, case.data(), backward).call)
            rounded = {part: round(share, 4) for part, share in found.items()}
            results.rows.append({"section": f"parts {direction}", "case": case.name, **rounded})

"""The convolutions on a GPU: arrayconv on CuPy, torch and JAX, against cuDNN and the bare product.

Each mode of arithmetic is a process of its own, since CuPy reads ``CUPY_TF32`` once and libraries
share the GPU's memory best when they start with it empty. CuPy and torch are timed by device
events over calls in a row; JAX has no events, so its calls in a row are waited for once, at the
end, by the wall clock.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu_libraries import LIBRARIES, MODES, NAMES, Mode
from benchmarks.timing import Contender

NO_GPU = "no GPU that CuPy, torch or JAX can use was found"


def run_modes(only: str, quick: bool) -> dict[str, Any]:
    """Run every mode in a process of its own; without a GPU, say why nothing was run."""
    found: dict[str, Any] = {}
    for name, mode in MODES.items():
        command = [sys.executable, "-m", "benchmarks.gpu", name, only, "quick" if quick else ""]
        done = subprocess.run(
            command, env=environment(mode), stdout=subprocess.PIPE, text=True, check=False
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
        (f"arrayconv {ours}{engine}", peer)
        for ours in ("cupy", "torch", "jax")
        for engine in ("", " native")
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
        for section in dict.fromkeys(row["section"] for row in found["rows"]):
            rows = [row for row in found["rows"] if row["section"] == section]
            if "launches" in rows[0]:
                counts = ("case", "contender", "launches", "synchronisations")
                parts.append(table(counts, [[str(row[c]) for c in counts] for row in rows]))
                continue
            times = times_of(rows)
            present = [pair for pair in pairs if ratios(times, *pair)]
            if not present:
                lines = [(row["case"], row["contender"], number(row["ms"])) for row in rows]
                parts.append(table((section, "contender", "ms"), lines))
                continue
            columns = [ratios(times, *pair) for pair in present]
            lines = [
                (
                    LABELS.get(case, case),
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


def environment(mode: Mode) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name != "JAX_PLATFORMS"}
    return environment | {
        "CUPY_TF32": "1" if mode.tf32 else "0",
        "JAX_DEFAULT_MATMUL_PRECISION": "tensorfloat32" if mode.tf32 else "highest",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    }


def usable(mode: Mode, rehearsal: bool, names: str = "") -> dict[str, Any]:
    """Return, by name, the libraries (of `names`, if given) that have a GPU here, or could in a rehearsal."""
    chosen = names.split(",") if names else LIBRARIES
    found = {name: LIBRARIES[name](mode, rehearsal) for name in chosen}
    return {name: one for name, one in found.items() if one is not None}


def measured(
    name: str,
    only: str,
    quick: bool,
    rehearsal: bool = False,
    names: str = "",
    note: Callable[[dict[str, Any]], None] = lambda found: None,
) -> dict[str, Any]:
    """Run one mode in this process, on every library that has a GPU here; `note` is told of every case."""
    mode = MODES[name]
    libraries = usable(mode, rehearsal, names)
    if not libraries:
        return {"skipped": NO_GPU}
    from benchmarks import ours
    from benchmarks.cases import CONVS
    from benchmarks.sections import Results, compare

    results = Results()
    device = next(iter(libraries.values())).device
    run = {"device": device, "rows": results.rows, "failures": results.failures}
    for case in (case for case in CONVS if only in case.name):
        # a rehearsal is of the way, not of the times
        case = case.tiny() if rehearsal else case
        data = case.data()
        for backward in (False, True):
            expected = reference(case, data, backward)
            section = "conv backward" if backward else "conv forward"
            contenders: list[Contender] = []
            for library, found in libraries.items():
                # a dtype that a library lacks shows when its first array is made
                try:
                    contenders.append(
                        ours.conv(found.library, case, data, backward, engine=mode.engine)
                    )
                    contenders += found.peers(case, data, backward)
                except Exception as error:
                    results.failed(section, case.name, library, error)
            compare(
                results,
                section,
                case.name,
                contenders,
                expected,
                tolerance=mode.tolerance,
                clock=lambda pool: libraries[NAMES[pool]].clock,
                rounds=2 if quick else 5,
                budget=0.02 if quick else 0.1,
                spin=0.0,
            )
            note(run)
    return run


def reference(case: Any, data: Any, backward: bool) -> tuple[Any, ...]:
    """Return the values in float64, the same for every mode: kept in the folder ``BENCHMARK_REFERENCES``, if set."""
    import numpy as np

    from benchmarks import numpy_peers

    folder = os.environ.get("BENCHMARK_REFERENCES")
    if folder is None:
        return numpy_peers.conv_reference(case, data, backward)
    path = Path(folder, f"{case.name}-{'backward' if backward else 'forward'}.npz")
    if not path.exists():
        found = numpy_peers.conv_reference(case, data, backward)
        # who is stopped while writing leaves no half of a file under this name
        written = path.with_suffix(f".{os.getpid()}.npz")
        np.savez(written, *found)
        written.rename(path)
    with np.load(path) as kept:
        return tuple(kept[name] for name in kept.files)


def say(found: dict[str, Any]) -> None:
    """Print a result as one line, which the next one replaces."""
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    # what a native kernel declines
    logging.basicConfig(format="%(message)s")
    logging.getLogger("arrayconv").setLevel(logging.INFO)
    mode, only, quick, *rest = sys.argv[1:]
    rehearsal, names = (*rest, "", "")[:2]
    say(measured(mode, only, quick == "quick", rehearsal == "rehearsal", names, say))

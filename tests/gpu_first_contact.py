"""The first minutes on a GPU: ``python3 tests/gpu_first_contact.py`` tests, measures and writes what it found.

It needs Python's standard library alone to start, no network and nothing installed: put the wheels
that the machine may lack into a folder and name it with ``--wheels``; those that are missing there,
and only those, are unpacked beside the results. Every part is a process of its own with a limit of its
own, and what is known is written after each, so that a part that fails or hangs loses nothing of
the others. In all it takes eight minutes at most.

``--rehearse`` goes the same way without a GPU: JAX and PyTorch on the CPU, CuPy on the emulated device.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

PYTEST = (
    "-m",
    "pytest",
    "-v",
    "--tb=short",
    "-p",
    "no:cacheprovider",
    "--continue-on-collection-errors",
)
# Seconds in all, and those that an interrupted part has to say what it found.
LIMIT, GRACE = 480, 10
FACTS = "import json; from benchmarks import gpu_facts; print(json.dumps(gpu_facts.facts()))"


@dataclass(frozen=True)
class Part:
    """A process: its name in the results, the arguments of Python, its limit, and what it needs of the environment."""

    name: str
    arguments: tuple[str, ...]
    seconds: float
    environment: dict[str, str] = field(default_factory=dict)


def parts(rehearse: bool) -> list[list[Part]]:
    """Return what is run, most wanted first; the parts of a group run side by side."""
    tests = ("cupy-emulated", "jax", "torch") if rehearse else ("cupy", "jax-gpu", "torch-gpu")
    # a rehearsal is of the way alone
    chosen = ("-k", "test_library and pool or test_bfloat16") if rehearse else ()
    spread = ("-n", "4") if find_spec("xdist") else ()
    threads = {"OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    sessions = [
        Part(f"tests {name}", (*PYTEST, "--backend", name, *spread, *chosen, "tests"), 100, threads)
        for name in tests
    ]
    from benchmarks.gpu import environment
    from benchmarks.gpu_libraries import MODES

    word = "rehearsal" if rehearse else ""
    # JAX, which compiles for long, is compared with its own peer alone
    modes = {
        "float32": ("cupy,torch", 45),
        "native": ("cupy,torch", 30),
        "float32 jax": ("jax", 60),
        "tf32": ("cupy,torch", 30),
        "float16": ("cupy,torch", 25),
        "bfloat16": ("cupy,torch", 25),
    }
    benchmark = [
        Part(
            f"conv {name}",
            ("-m", "benchmarks.gpu", mode, "", "quick", word, libraries),
            seconds,
            environment(MODES[mode]),
        )
        for name, (libraries, seconds) in modes.items()
        for mode in name.split()[:1]
    ]
    full = environment(MODES["float32"])
    others = {"launches": 25, "pools": 30, "norms": 15, "habits": 15, "training": 35}
    measured = [
        Part(name, ("-m", "benchmarks.gpu_parts", name, word), seconds, full)
        for name, seconds in others.items()
    ]
    facts = Part("facts", ("-c", FACTS), 20)
    return [[facts], sessions, *([part] for part in (*benchmark, *measured))]


def unpack(wheels: Path, site: Path) -> dict[str, str]:
    """Unpack the wheels whose distribution is not installed here; say of each what became of it."""
    said = {}
    for wheel in sorted(wheels.glob("*.whl")):
        name = wheel.name.split("-")[0]
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            if not fits(wheel.name):
                said[wheel.name] = "is for another machine or Python"
                continue
            zipfile.ZipFile(wheel).extractall(site)
            said[wheel.name] = "unpacked"
        else:
            said[wheel.name] = f"not needed, {found} is installed"
    return said


def fits(wheel: str) -> bool:
    """Whether a wheel's name is for this Python, system and processor."""
    python, abi, place = wheel.removesuffix(".whl").split("-")[-3:]
    here = f"cp{sys.version_info.major}{sys.version_info.minor}"
    pure = any(tag in ("py3", here) for tag in python.split("."))
    stable = abi == "abi3" and any(
        int(minor) <= sys.version_info.minor for minor in re.findall(r"cp3(\d+)", python)
    )
    machine = platform.machine()
    system = "linux" if sys.platform == "linux" else sys.platform
    local = place == "any" or (machine in place and system in place)
    return local and (pure or stable)


def run(group: Sequence[Part], site: Path, logs: Path) -> Iterator[tuple[Part, dict[str, Any]]]:
    """Run parts side by side, and yield each with what came of it."""
    started = []
    for part in group:
        env = os.environ | {
            # of the carried packages none is installed, so nothing is hidden by them
            "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "tests", site))),
            "BENCHMARK_REFERENCES": str(logs),
            "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
            "TF_CPP_MIN_LOG_LEVEL": "2",
        }
        # in the background of a script interrupts are ignored, and a process inherits that
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        out, err = (logs / f"{part.name}.{kind}" for kind in ("out", "err"))
        with out.open("w") as output, err.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, *part.arguments],
                cwd=ROOT,
                env=env | part.environment,
                stdout=output,
                stderr=errors,
                start_new_session=True,
            )
        started.append((part, process, out, err, time.monotonic()))
    for part, process, out, err, start in started:
        late = stopped(process, part.seconds - (time.monotonic() - start))
        seconds = round(time.monotonic() - start, 1)
        text, log = (path.read_text(errors="replace") for path in (out, err))
        found = {"status": process.returncode, "late": late, "seconds": seconds}
        yield part, {**found, **outcome(part, text), "log": log[-3000:]}


def stopped(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a process to end, and end it where it does not; return whether that was needed."""
    # an interrupt lets pytest say what it has found so far
    for end, patience in ((None, max(0.1, seconds)), (signal.SIGINT, GRACE), (signal.SIGKILL, 30)):
        if end is not None:
            os.killpg(process.pid, end)
        try:
            process.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            continue
        return end is not None
    return True


def outcome(part: Part, out: str) -> dict[str, Any]:
    """Return what a part has printed: its result as JSON, or pytest's summary and failures."""
    lines = out.splitlines()
    if part.name.startswith("tests"):
        failed = dict.fromkeys(re.findall(r"(?:FAILED|ERROR) \S+|\S+ (?:FAILED|ERROR)\b", out))
        ends = [
            line for line in lines if re.search(r"\d+ (passed|failed|error|skipped).* in ", line)
        ]
        # who was killed has said of each test how it went, and no more
        counts = ", ".join(f"{out.count(word)} {word.lower()}" for word in ("PASSED", "FAILED"))
        summary = ends[-1].strip("= ") if ends else f"{counts}, then no summary"
        return {"summary": summary, "failed": list(failed), "output": out[-8000:]}
    # a library may print of its own, and a part that was stopped has printed what it had so far
    for line in reversed(lines):
        if line.startswith("{"):
            with suppress(ValueError):
                return {"result": json.loads(line)}
    return {"output": out[-3000:]}


def write(found: dict[str, Any], folder: Path) -> None:
    """Write results.json and report.md."""
    (folder / "results.json").write_text(json.dumps(found, indent=1) + "\n")
    (folder / "report.md").write_text(report(found))


def report(found: dict[str, Any]) -> str:
    """Return the page: what ran, the facts, the tests, then the tables of the benchmark."""
    lines = ["# First contact with a GPU", ""]
    lines += ["| part | seconds | outcome |", "|---|---|---|"]
    for name, part in found["parts"].items():
        lines.append(f"| {name} | {part['seconds']} | {said(part)} |")
    lines += ["", "## Facts", ""]
    facts = found["parts"].get("facts", {}).get("result", {})
    lines += [f"- {name}: {value}" for name, value in facts.items()]
    lines += [f"- {name}: {value}" for name, value in found["wheels"].items()]
    for name, part in found["parts"].items():
        if part.get("failed"):
            lines += ["", f"## {name}", "", *(f"- `{line}`" for line in part["failed"])]
    results = {
        name: part["result"]
        for name, part in found["parts"].items()
        if isinstance(part.get("result"), dict)
        and ("rows" in part["result"] or "skipped" in part["result"])
    }
    try:
        from benchmarks.gpu import page

        lines += ["", page(results)]
    # the numbers are in results.json whatever becomes of the page
    except Exception as error:
        lines += ["", f"The tables could not be made: {type(error).__name__}: {error}"]
    return "\n".join(lines) + "\n"


def said(part: dict[str, Any]) -> str:
    """Return, in a few words, what came of a part."""
    late = "stopped at its limit; " if part["late"] else ""
    if "summary" in part and (part["output"] or late):
        return late + str(part["summary"])
    result = part.get("result")
    if isinstance(result, dict) and "skipped" in result:
        return f"skipped: {result['skipped']}"
    if isinstance(result, dict) and "rows" in result:
        return f"{late}{len(result['rows'])} rows, {len(result['failures'])} failures"
    if part["status"] or result is None:
        last = part["log"].strip().splitlines()[-1:] or ["no output"]
        return f"{late}failed with {part['status']}: {last[0][:200]}"
    return "done"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run everything; 0 when the results are written, whatever they say."""
    parser = argparse.ArgumentParser(prog="gpu_first_contact", description=__doc__.splitlines()[0])
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="folder of carried wheels")
    out = os.environ.get("OUT", "gpu-first-contact")
    parser.add_argument("--out", type=Path, default=Path(out), metavar="DIR", help=f"({out})")
    parser.add_argument("--only", default="", metavar="TEXT", help="parts with TEXT in their name")
    parser.add_argument("--rehearse", action="store_true", help="without a GPU, and small")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    end = time.monotonic() + LIMIT
    with TemporaryDirectory() as place:
        site, logs = Path(place, "carried"), Path(place, "logs")
        logs.mkdir()
        wheels = unpack(options.wheels, site) if options.wheels else {}
        # this process makes the page and the picture
        sys.path.append(str(site))
        found: dict[str, Any] = {"wheels": wheels, "parts": {}}
        for group in parts(options.rehearse):
            left = end - time.monotonic() - GRACE
            chosen = [
                replace(part, seconds=min(part.seconds, left))
                for part in group
                if options.only in part.name and left > 0
            ]
            for part, came in run(chosen, site, logs):
                found["parts"][part.name] = came
                print(f"{part.name}: {said(came)}", flush=True)
                write(found, options.out)
        draw(found, options.out)
    return 0


def draw(found: dict[str, Any], folder: Path) -> None:
    """Draw picture.png, where matplotlib is there."""
    try:
        from benchmarks.plots import plot_gpu

        plot_gpu(found["parts"], str(folder / "picture.png"))
    # a picture is the least that a machine may lack the means for
    except Exception as error:
        print(f"no picture: {type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main())

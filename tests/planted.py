"""Plant the faults of ``planted.toml`` one at a time and see that a test of the NumPy session turns red.

``python tests/planted.py [WORD ...]`` takes those that a word occurs in, by default all. Each is planted in a copy of
the tree in a temporary folder. The tests that should notice run first, then all others; the one that failed must pass
without the fault. Exit status 1 if a fault survived, 2 if the table is out of date.

Neither mutmut nor cosmic-ray serves: both change every place where an operator of theirs fits, and neither takes a
list of chosen changes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from itertools import count
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE = Path(__file__).with_suffix(".toml")
# Seconds for one run of tests; a fault may make a loop endless.
LIMIT = 1800
ENDLESS = f"no end within {LIMIT} s"


@dataclass(frozen=True)
class Fault:
    """One change of the package, as ``planted.toml`` describes its fields."""

    breaks: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    added: str = ""

    def planted(self, package: Path) -> str:
        """Return the text of its file with the fault in it."""
        text = (package / self.file).read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise LookupError(
                f"{self.breaks}: {self.file} has {text.count(self.old)} times {self.old!r}"
            )
        return text.replace(self.old, self.new)


def faults() -> list[Fault]:
    """Return the table."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))["fault"]
    return [Fault(**{**row, "tests": tuple(row["tests"])}) for row in table]


def red(copy: Path, *tests: str) -> str | None:
    """Return the first test that fails, or None where all pass."""
    one = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "JAX_PLATFORMS": "cpu"}
    # commands that tests start elsewhere must find the copy too
    env = {**os.environ, **one, "PYTHONPATH": str(copy)}
    quiet = ("-x", "-q", "-rfE", "--tb=no", "-p", "no:cacheprovider")
    command = [sys.executable, "-m", "pytest", "--backend", "numpy", *quiet, *tests]
    try:
        done = subprocess.run(
            command, cwd=copy, env=env, capture_output=True, text=True, timeout=LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return ENDLESS
    if done.returncode == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) (.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
    if found is None:
        raise LookupError(f"no test failed, but pytest did:\n{done.stdout}{done.stderr}")
    return found[1]


def first_red(copy: Path, fault: Fault) -> str | None:
    """Return the test that notices, looking first where it should be."""
    first = [f"tests/{name}.py" for name in fault.tests]
    others = sorted(
        f"tests/{path.name}"
        for path in (copy / "tests").glob("test_*.py")
        if path.stem not in fault.tests
    )
    return red(copy, *first) or red(copy, *others)


def main(words: list[str]) -> int:
    """Plant what was chosen, print a line for each and return the exit status."""
    chosen = [f for f in faults() if not words or any(word in f.breaks for word in words)]
    for fault in chosen:
        fault.planted(ROOT / "arrayconv")
    survivors = 0
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "_build"))
        for number, fault in zip(count(1), chosen):
            path = copy / "arrayconv" / fault.file
            sound, start = path.read_text(encoding="utf-8"), time.perf_counter()
            # a time of its own for each version: Python compiles again where the time differs, in whole seconds
            path.write_text(fault.planted(copy / "arrayconv"), encoding="utf-8")
            os.utime(path, (2 * number, 2 * number))
            test = first_red(copy, fault)
            path.write_text(sound, encoding="utf-8")
            os.utime(path, (2 * number + 1, 2 * number + 1))
            if test not in (None, ENDLESS) and red(copy, test):
                raise LookupError(f"{test} fails without the fault as well")
            survivors += test is None
            verdict = f"killed by {test}" if test else "SURVIVED"
            print(f"{time.perf_counter() - start:6.0f} s  {fault.breaks}: {verdict}", flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} faults were noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except LookupError as error:
        print(error, file=sys.stderr)
        sys.exit(2)

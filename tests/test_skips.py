"""What a skip is worth: only a missing library or device excuses one, as ``conftest.py`` has it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

TESTS = """
import pytest
from conftest import missing

def test_one_without_a_reason():
    pytest.skip("it is late")

@pytest.mark.skipif(True, reason="a mark is no excuse")
def test_one_by_a_mark():
    raise AssertionError

def test_one_without_a_library():
    pytest.importorskip("no_such_library")

def test_one_without_a_device():
    missing("a device")

@pytest.mark.xfail(strict=True)
def test_one_that_is_known_to_fail():
    raise AssertionError

@pytest.mark.backends("jax")
def test_one_of_a_library_that_was_not_asked_for(xp):
    raise AssertionError

@pytest.mark.full
def test_one_that_takes_long():
    raise AssertionError

@pytest.mark.where(lambda n: n > 1)
@pytest.mark.parametrize("n", [1, 2])
def test_one_that_applies_to_some(n):
    assert n == 2
"""


def test_a_skip_is_a_failure_unless_something_is_missing(tmp_path):
    for name in ("conftest.py", "poison.py"):
        shutil.copy(Path(__file__).with_name(name), tmp_path)
    (tmp_path / "test_skipping.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "--backend", "numpy"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    counts = "1 failed, 1 passed, 2 skipped, 3 deselected, 1 xfailed, 1 error"
    assert counts in done.stdout, done.stdout
    assert "no library or device is missing: it is late" in done.stdout
    assert "no library or device is missing: a mark is no excuse" in done.stdout

"""The table of planted faults fits the package; whether a test notices each is for ``nox -s planted``."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import planted
import pytest

PACKAGE = planted.ROOT / "arrayconv"
FAULTS = planted.faults()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.breaks)
def test_a_fault_can_be_planted(fault):
    sound = (PACKAGE / fault.file).read_text(encoding="utf-8")
    text = fault.planted(PACKAGE)
    assert ast.dump(ast.parse(text)) != ast.dump(ast.parse(sound))
    for name in fault.tests:
        assert Path(__file__).with_name(f"{name}.py").exists()


def test_each_has_a_name_of_its_own():
    assert max(Counter(fault.breaks for fault in FAULTS).values()) == 1


@pytest.mark.parametrize("old", ["return 7", "return"])
def test_a_text_that_does_not_occur_once_is_an_error(tmp_path, old):
    (tmp_path / "a.py").write_text("def f():\n    return 1\n\n\ndef g():\n    return 2\n")
    fault = planted.Fault("it", "a.py", old, "pass", ("test_planted",))
    with pytest.raises(LookupError, match="a.py has [02] times"):
        fault.planted(tmp_path)

"""The notebooks run from top to bottom, and what they assert is true on every library."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.py"))


@pytest.mark.backends("numpy", "jax", "torch")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook(path, xp, capsys):
    source = path.read_text()
    library = {"jax": "jax.numpy"}.get(xp.name, xp.name)
    importlib.import_module(library)
    chosen = source.replace("import numpy as xp", f"import {library} as xp", 1)
    assert chosen.count(f"import {library} as xp") >= 1
    exec(compile(chosen, str(path), "exec"), {"__name__": path.stem})
    assert capsys.readouterr().out


def test_there_are_notebooks():
    assert NOTEBOOKS

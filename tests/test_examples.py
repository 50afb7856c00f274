"""The scripts in ``examples/`` run, and reach what they promise."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).parent.parent / "examples" / "training_loop.py"


@pytest.fixture
def script():
    pytest.importorskip("sklearn")
    spec = importlib.util.spec_from_file_location("training_loop", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_training_loop_reads_digits(script, capsys):
    assert script.train() >= 0.97
    assert "epoch 20: 9" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["jax.numpy", "torch"])
def test_the_training_loop_on_another_library(script, monkeypatch, name):
    pytest.importorskip(name)
    on_numpy = script.train(epochs=1)
    monkeypatch.setattr(script, "xp", importlib.import_module(name))
    # single digits may fall the other way by rounding
    assert script.train(epochs=1) == pytest.approx(on_numpy, abs=0.01)
    assert on_numpy > 0.7


def test_the_training_loop_has_twenty_lines_at_most():
    text = SCRIPT.read_text(encoding="utf-8")
    (loop,) = [
        node
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.For) and ast.unparse(node.target) == "batch"
    ]
    lines = text.splitlines()[loop.lineno - 2 : loop.end_lineno]
    assert lines[0].strip() == "for epoch in range(epochs):"
    assert np.sum([bool(line.strip()) for line in lines]) <= 20

"""The scripts in ``examples/`` run, and reach what they promise."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from arrayconv import models
from arrayconv.data import Batches

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPT = EXAMPLES / "training_loop.py"


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def script():
    pytest.importorskip("sklearn")
    return loaded(SCRIPT)


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


@pytest.mark.backends("jax")
def test_two_processes_train_one_model(xp, tmp_path):
    pytest.importorskip("sklearn")
    path, script = tmp_path / "several.safetensors", EXAMPLES / "train_on_several.py"
    command = [sys.executable, script, path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    # each epoch is printed once
    assert [line[:9] for line in done.stdout.splitlines() if line.startswith("Epoch")] == [
        f"Epoch {n}/5" for n in range(1, 6)
    ]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    example = loaded(script)
    alone, (x, y) = example.network(), example.digits()[0]
    alone.fit(Batches(x, y, batch_size=64), epochs=5, verbose=0)
    together = models.load(path)
    for name, weight in alone.weights.items():
        np.testing.assert_allclose(together.weights[name], weight, atol=1e-4)

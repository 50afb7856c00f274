"""JAX arrays sharded along their batch or an image axis: what moves is sums that devices owe each other, and halos."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("sharded_calls.py")
IMAGES = Path(__file__).with_name("sharded_images.py")
TRAINING = Path(__file__).with_name("sharded_training.py")


def names(script):
    """Return the names of a script's calls, read and not imported: importing would make eight devices here."""
    tree = ast.parse(script.read_text(encoding="utf-8"))
    (table,) = (
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and getattr(node.target, "id", "") == "CALLS"
    )
    return [key.value for key in table.keys]


@cache
def report(script, mesh):
    command = [sys.executable, str(script), mesh]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.backends("jax")
@pytest.mark.parametrize("mesh", ["Auto", "Explicit"])
@pytest.mark.parametrize("name", names(SCRIPT))
def test_nothing_moves_but_sums(xp, name, mesh):
    found = report(SCRIPT, mesh)[name]
    sums = found["moved"].pop("all-reduce", 0)
    assert not found["moved"]
    assert sums == found["wanted"]
    assert found["kept"]
    assert found["error"] < 1e-4


@pytest.mark.backends("jax")
@pytest.mark.parametrize("mesh", ["Auto", "Explicit"])
@pytest.mark.parametrize("name", names(IMAGES))
def test_images_hand_on_halos(xp, name, mesh):
    found = report(IMAGES, mesh)[name]
    assert found["moved"].pop("all-reduce", 0) == found["sums"]
    # a row once for each row of the kernel that reads it, and no more
    assert found["moved"].pop("collective-permute", 0) <= 4 * found["halo"]
    assert not found["moved"]
    assert found["kept"]
    assert found["error"] < 1e-5


@pytest.mark.backends("jax")
@pytest.mark.parametrize("mesh", ["Auto", "Explicit"])
def test_training_moves_gradients_and_statistics(xp, mesh):
    found = report(TRAINING, mesh)
    # batch normalization sums 8 channels twice forward and twice backward; the loss and the accuracy are a number each
    assert found["moved"].pop("all-reduce") == found["gradients"] + 4 * 8 + 2
    assert not found["moved"]
    # one for whole batches, one for the last
    assert found["programs"] == 2
    assert found["whole"]


@pytest.mark.backends("jax")
@pytest.mark.parametrize("mesh", ["Auto", "Explicit"])
def test_training_on_many_devices_is_that_on_one(xp, mesh):
    found = report(TRAINING, mesh)
    assert max(found["losses"]) < 1e-12
    assert found["scores"] < 1e-12
    assert found["predicted"] < 1e-11
    assert found["kept"]
    assert found["shuffled"] == found["wanted"]

"""What the README says is so: its blocks run from nothing, and its table is the benchmark's."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib

import numpy as np
import pytest
from readme import README, blocks, commands, extras

import arrayconv as ac
from arrayconv.cli import main
from benchmarks.goals import geometric_mean, ratios, times_of

ON_CPU = [block for block in blocks("python") if "import cupy" not in block]
ON_GPU = [block for block in blocks("python") if "import cupy" in block]


def fresh(code, folder):
    """Return what a block prints in a process of its own."""
    command = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_page_has_these_blocks():
    assert len(ON_CPU) == 4
    assert len(ON_GPU) == 1
    assert extras() == "train,jax"


def test_the_first_block_needs_numpy_alone(tmp_path):
    others = "import sys; print({'jax', 'torch', 'sklearn', 'matplotlib'} & set(sys.modules))"
    assert fresh(f"{ON_CPU[0]}\n{others}", tmp_path) == "(8, 16, 16, 16)\nset()\n"


def test_numpy_and_compiled_jax_agree(tmp_path):
    pytest.importorskip("jax")
    assert 0 < float(fresh(ON_CPU[1], tmp_path)) < 1e-5


def test_the_gradients_are_those_of_jax(tmp_path):
    pytest.importorskip("jax")
    assert fresh(ON_CPU[2], tmp_path) == "True\n"


def test_the_model_reads_digits_as_well_as_it_says(tmp_path):
    pytest.importorskip("sklearn")
    printed = fresh(f"{ON_CPU[3]}\nprint(round(accuracy, 2))", tmp_path)
    (said,) = re.findall(r"# accuracy: ([\d.]+)", ON_CPU[3])
    assert float(printed.split()[-1]) == pytest.approx(float(said), abs=0.011)


@pytest.mark.backends("cupy", "cupy-emulated")
def test_the_lines_for_a_gpu(xp):
    names = {}
    exec(ON_GPU[0], names)
    x, w, y = (ac.to_numpy(names[name]) for name in "xwy")
    np.testing.assert_allclose(y, ac.conv(x, w, padding="same"), rtol=1e-10)


@pytest.mark.parametrize("arguments", commands(), ids=" ".join)
def test_the_commands_are_understood(arguments, capsys):
    assert main([*arguments, "--help"]) == 0
    assert f"arrayconv {arguments[0]}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "row",
    [
        ("convolution on NumPy", "PyTorch", "conv", "arrayconv numpy", "torch"),
        ("convolution on NumPy", "the textbook's im2col", "conv", "arrayconv numpy", "im2col"),
        ("convolution on JAX under `jit`", "`jax.lax`", "conv", "arrayconv jax", "lax"),
        ("pools on NumPy", "PyTorch", "pool", "arrayconv numpy", "torch"),
        ("pools on JAX under `jit`", "`jax.lax`", "pool", "arrayconv jax", "lax"),
    ],
    ids=lambda row: f"{row[0]}, {row[1]}",
)
def test_the_table_of_speed_is_that_of_the_committed_run(row, request):
    ours, beside, kind, contender, peer = row
    rows = json.loads((request.config.rootpath / "benchmarks/results/cpu.json").read_text())["rows"]
    means = [
        geometric_mean(
            list(
                ratios(
                    times_of([r for r in rows if r["section"] == section]), contender, peer
                ).values()
            )
        )
        for section in (f"{kind} forward", f"{kind} backward")
    ]
    assert f"| {ours} | {beside} | {means[0]:.2f} | {means[1]:.2f} |" in README


def test_its_links_lead_somewhere(request):
    root = request.config.rootpath
    found = re.findall(r"\]\(([^)#]+?)\)", README)
    local = [link for link in found if not link.startswith("http")]
    assert len(local) > 10
    assert not [link for link in local if not (root / link).exists()]
    for name in re.findall(r"\[([\w,]+)\]\"", README):
        text = (root / "pyproject.toml").read_text()
        assert all(f"\n{extra} = [" in text for extra in name.split(",")), name


def test_the_version_is_said_once_in_two_places(request):
    project = tomllib.loads((request.config.rootpath / "pyproject.toml").read_text())["project"]
    assert project["version"] == ac.__version__

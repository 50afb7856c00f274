"""Ctrl-C at any moment of a command: status 130, one line, and every file whole or not there."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import arrayconv as ac
from arrayconv import models

LINE = "arrayconv: interrupted\n"
FILES = ["history.csv", "history.json", "history.png", "model.png", "weights.safetensors"]
# Ctrl-C is ignored in what a shell starts in the background, and so in what that starts.
START = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from arrayconv import interrupt
interrupt.install()
"""
COMMAND = f"""{START}
print("ready", flush=True)
from arrayconv.__main__ import main
sys.exit(main())
"""
# By name: the arguments, and seconds after which it may be through, or is well under way.
RUNS = {
    "demo-numpy": ("demo", "{photo}", "--backend=numpy", 2.0),
    "demo-jax": ("demo", "{photo}", "--backend=jax-cpu", 5.0),
    "check-numpy": ("check", "--backend=numpy", 5.0),
    "check-jax": ("check", "--backend=jax-cpu", 5.0),
    "train-numpy": ("train", "--data={data}", "--model=signs", "--epochs=9999", "--out=t", 4.0),
    "train-jax": (
        "train", "--data={data}", "--model=signs", "--epochs=9999", "--out=t", "--backend=jax-cpu", 5.0,
    ),
}  # fmt: skip
MOMENTS = 9


def program(code, *argv, cwd):
    """Start Python with a program that the command's own handler protects."""
    return subprocess.Popen(
        [sys.executable, "-c", code, *argv],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(ac.__file__).parents[1])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(run):
    out, err = run.communicate(timeout=120)
    return run.returncode, out, err


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Return a small photograph and a small data set."""
    h5py = pytest.importorskip("h5py")
    image = pytest.importorskip("PIL.Image")
    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    image.fromarray(rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)).save(folder / "photo.png")
    with h5py.File(folder / "data.h5", "w") as file:
        for part, n in (("train", 64), ("test", 16)):
            file[f"{part}_set_x"] = rng.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
            file[f"{part}_set_y"] = np.arange(n) % 2
    return {"photo": folder / "photo.png", "data": folder / "data.h5"}


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        # in the default run, early and late; fifty and more with --full
        pytest.param(name, i, marks=[] if i in (2, MOMENTS - 1) else pytest.mark.full)
        for name in RUNS
        for i in range(MOMENTS)
    ],
)
def test_any_moment_is_right_for_ctrl_c(tmp_path, inputs, name, moment):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jax")
    *argv, longest = RUNS[name]
    run = program(COMMAND, *(part.format(**inputs) for part in argv), cwd=tmp_path)
    assert run.stdout.readline() == "ready\n"
    time.sleep(longest * moment / (MOMENTS - 1))
    run.send_signal(signal.SIGINT)
    status, out, err = ended(run)
    # what had been done when the signal came is no failure
    through = (
        status == 0 and name.startswith("demo") and out.endswith("picture: arrayconv-demo.png\n")
    )
    assert through or (status, err) == (130, LINE)
    whole(tmp_path, out)


def whole(folder, out):
    """Assert that every file of a run is whole, and none is there that is not announced."""
    names = sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())
    if "written to t" in out:
        assert names == [f"t/{name}" for name in FILES]
        models.load(folder / "t" / "weights.safetensors")
    elif names:
        assert names == ["arrayconv-demo.png"]
        import PIL.Image

        with PIL.Image.open(folder / names[0]) as picture:
            picture.load()
    else:
        assert list(folder.iterdir()) == []


def test_a_training_keeps_its_epochs_and_then_stops(tmp_path, inputs):
    pytest.importorskip("matplotlib")
    argv = ("train", f"--data={inputs['data']}", "--model=signs", "--epochs=9999", "--out=t")
    run = program(COMMAND, *argv, cwd=tmp_path)
    for line in run.stdout:
        if line.split()[:1] == ["3"]:
            break
    run.send_signal(signal.SIGINT)
    status, out, err = ended(run)
    assert (status, err) == (130, LINE)
    assert "written to t" in out
    whole(tmp_path, out)


def after(code, cwd):
    """Return status, output and errors of a program with the handler, which does as ``code`` says."""
    return ended(
        program(f"{START}\ndef ctrl_c(): os.kill(os.getpid(), signal.SIGINT)\n{code}", cwd=cwd)
    )


def test_a_file_half_written_goes_and_the_old_one_stays(tmp_path):
    (tmp_path / "table.csv").write_text("old")
    code = """
from arrayconv.data.files import writing
with writing("table.csv") as draft:
    draft.write_text("half of the n")
    print("printed before", end="")
    ctrl_c()
"""
    assert after(code, tmp_path) == (130, "printed before", LINE)
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]
    assert (tmp_path / "table.csv").read_text() == "old"


def test_nothing_swallows_it(tmp_path):
    # as JAX's callback of the garbage collector did
    code = """
import gc
gc.callbacks.append(lambda *a: ctrl_c())
gc.collect()
print("went on")
"""
    assert after(code, tmp_path) == (130, "", LINE)


def test_the_first_is_noted_where_there_is_something_to_keep(tmp_path):
    code = """
interrupt.check()
interrupt.postpone()
ctrl_c()
print("still here")
try:
    interrupt.check()
except KeyboardInterrupt:
    print("noted")
"""
    assert after(f"{code}sys.exit(interrupt.finish(0))", tmp_path) == (
        130, "still here\nnoted\n", LINE,
    )  # fmt: skip
    assert after(f"{code}ctrl_c()\nprint('deaf')", tmp_path) == (130, "still here\nnoted\n", LINE)


def test_a_command_that_is_through_is_not_interrupted(tmp_path):
    code = "import atexit\natexit.register(ctrl_c)\nsys.exit(interrupt.finish(1))"
    assert after(code, tmp_path) == (1, "", "")


def test_a_command_in_the_background_is_not_interrupted(tmp_path):
    code = """
import os, signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from arrayconv import interrupt
interrupt.install()
os.kill(os.getpid(), signal.SIGINT)
print("goes on")
"""
    assert ended(program(code, cwd=tmp_path)) == (0, "goes on\n", "")


def test_the_benchmarks_end_with_the_command(tmp_path):
    child = tmp_path / "child"
    sleep = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(600)\n"
    child.write_text(f"#!{sys.executable}\n{sleep}")
    child.chmod(0o755)
    code = f"{START}\nfrom arrayconv import cli\nsys.executable = './child'\nsys.exit(cli.main(['bench']))"
    run = program(code, cwd=tmp_path)
    pid = int(run.stdout.readline())
    # a terminal sends it to both; the traceback of the benchmarks would be a second line
    for process in (pid, run.pid):
        os.kill(process, signal.SIGINT)
    status, _, err = ended(run)
    assert (status, err) == (130, LINE)
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the benchmarks go on")

"""The commands, run in this process: what they print and write, and what they refuse."""

import importlib
import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from conftest import missing

import arrayconv as ac
from arrayconv import backends, cases, demo, verify
from arrayconv.cli import commands, main
from arrayconv.demo import pipeline
from arrayconv.filters import KERNELS, apply_filter

Image = pytest.importorskip("PIL.Image")
rng = np.random.default_rng(0)


@pytest.fixture
def photo(tmp_path):
    """Return the path of a small photograph."""
    path = tmp_path / "photo.png"
    demo.write_image(path, demo.read_image(demo.photograph(), side=40)[:32])
    return path


def fails(capsys, *argv, status=2):
    """Return the one line of error that a command ends with."""
    assert main([str(a) for a in argv]) == status
    captured = capsys.readouterr()
    assert captured.err.startswith("arrayconv: error: ")
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.mark.parametrize(
    "command", [None, "demo", "check", "backends", "filter", "plan", "predict", "run"]
)
def test_help(capsys, command):
    assert main([command, "--help"] if command else ["--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: arrayconv")
    assert max(map(len, text.splitlines())) <= 100


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"arrayconv {ac.__version__}\n"


def test_backends(capsys):
    assert main(["backends"]) == 0
    text = capsys.readouterr().out
    for name in backends.NAMES:
        assert re.search(rf"^{name} ", text, re.MULTILINE)
    assert f"NumPy {np.__version__}" in text


def test_demo(capsys, tmp_path, photo):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jax")
    out, table = tmp_path / "picture.png", tmp_path / "table.json"
    argv = ["demo", photo, "--backend", "numpy", "--backend", "jax-cpu"]
    assert main([*map(str, argv), "--out", str(out), "--json", str(table)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[2:6]] == ["NumPy", "NumPy", "JAX", "JAX"]
    with Image.open(out) as picture:
        assert np.asarray(picture).std() > 20
    report = json.loads(table.read_text())
    assert report["shape"] == [1, 32, 40, 3]
    assert [row["dtype"] for row in report["rows"]] == ["float32", "float64"] * 2
    for row in report["rows"]:
        bound = 1e-5 if row["dtype"] == "float32" else 1e-12
        assert 0 <= row["difference"] < bound
        assert 0 <= row["gradient_difference"] < bound
        assert row["forward_ms"] > 0
        assert row["backward_ms"] > 0
        assert row["error"] is None
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photo.png", "picture.png", "table.json"]


def test_the_steps_of_the_demo_are_the_gradient_of_its_loss(photo):
    network = demo.prepare(demo.read_image(photo))
    kept = pipeline.forward(network.x, network.w, network.b)
    got = pipeline.backward(network.dy, network.x, network.w, network.b, kept)
    for name, i in (("dx", 0), ("dw", 1), ("db", 2)):
        arrays = [network.x, network.w, network.b]
        v = rng.standard_normal(arrays[i].shape)

        def loss(step, arrays=arrays, i=i, v=v):
            moved = [a + step * v if j == i else a for j, a in enumerate(arrays)]
            return np.sum(network.dy * pipeline.forward(*moved)["pooled"])

        slope = (loss(1e-6) - loss(-1e-6)) / 2e-6
        np.testing.assert_allclose(np.sum(got[name] * v), slope, rtol=1e-6)


def test_windows_without_a_clear_maximum_get_no_gradient():
    flat = demo.prepare(np.full((16, 16, 3), 0.5, dtype=np.float32))
    assert not np.any(flat.dy)
    assert 0.3 < flat.undecided <= 1.0
    clear = demo.prepare(rng.random((16, 16, 3), dtype=np.float32))
    assert np.mean(clear.dy > 0) > 0.5
    assert clear.undecided < 0.01


def test_demo_goes_on_where_one_library_fails(capsys, tmp_path, photo, monkeypatch):
    pytest.importorskip("matplotlib")
    real = pipeline.measure

    def measure(backend, *args, **kwargs):
        if backend.name == "strict":
            raise RuntimeError("out of luck\nand more")
        return real(backend, *args, **kwargs)

    monkeypatch.setattr(pipeline, "measure", measure)
    monkeypatch.setattr(pipeline, "jax_gradients", lambda network: None)
    out = tmp_path / "picture.png"
    argv = ["demo", str(photo), "--backend=strict", "--backend=numpy", "--out", str(out)]
    assert main(argv) == 1
    captured = capsys.readouterr()
    assert "strict float32 failed: RuntimeError: out of luck\n" in captured.err
    assert re.search(r"^array-api-strict .* failed +- +- +-$", captured.out, re.MULTILINE)
    assert re.search(r"^NumPy .* 0 +-$", captured.out, re.MULTILINE)
    assert "JAX is not usable" in captured.out
    assert out.exists()


def test_filter(capsys, tmp_path, photo):
    out = tmp_path / "out.png"
    for name in KERNELS:
        assert main(["filter", str(photo), "--kernel", name, "--out", str(out), "--force"]) == 0
        want = apply_filter(demo.read_image(photo), name)
        if name in ("sobel", "sobel-y", "prewitt", "prewitt-y", "edge", "laplacian"):
            want = 0.5 + want / np.max(np.abs(want)) / 2
        np.testing.assert_allclose(demo.read_image(out), np.clip(want, 0, 1), atol=0.5 / 255 + 1e-5)
    assert "laplacian" in capsys.readouterr().out


@pytest.fixture
def broken(tmp_path, photo):
    """Return a folder of files that are no usable images."""
    whole = photo.read_bytes()
    (tmp_path / "truncated.png").write_bytes(whole[: len(whole) // 2])
    jpeg = demo.photograph().read_bytes()
    (tmp_path / "truncated.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (tmp_path / "text.png").write_text("not an image")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.new("1", (9000, 9000)).save(tmp_path / "enormous.png")
    Image.new("1", (20000, 20000)).save(tmp_path / "bomb.png")
    Image.fromarray(np.ones((20, 20), dtype=np.int32)).save(tmp_path / "deep.tiff")
    (tmp_path / "folder.png").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.png", "there is no such file"),
        ("truncated.png", "damaged or truncated"),
        ("truncated.jpg", "damaged or truncated"),
        ("text.png", "not an image"),
        ("empty.png", "not an image"),
        ("enormous.png", "9000 x 9000 pixels; more than 50 million"),
        ("bomb.png", "more than 50 million pixels are too many"),
        ("deep.tiff", "32 bits have no fixed range"),
        ("folder.png", "this is a folder"),
    ],
)
def test_broken_images(capsys, broken, name, message):
    before = sorted(broken.iterdir())
    out = broken / "out.png"
    line = fails(capsys, "filter", broken / name, "--kernel", "blur", "--out", out)
    assert name in line
    assert message in line
    pytest.importorskip("matplotlib")
    assert message in fails(capsys, "demo", broken / name, "--out", out)
    assert sorted(broken.iterdir()) == before


@pytest.mark.parametrize(
    ("out", "message"),
    [
        ("nowhere/out.png", "there is no folder"),
        ("out.nonsense", "suffix '.nonsense' names no image format"),
        ("out", "suffix '' names no image format"),
        (".", "this is a folder"),
        ("/dev/null", "not a plain file"),
    ],
)
def test_places_that_cannot_be_written(capsys, tmp_path, photo, out, message):
    pytest.importorskip("matplotlib")
    argv = ["filter", photo, "--kernel", "blur", "--out", tmp_path / out]
    assert message in fails(capsys, *argv)
    expected = message.replace("names no image format", "names no")
    assert expected in fails(capsys, "demo", photo, "--out", tmp_path / out)
    assert list(tmp_path.iterdir()) == [photo]


def test_an_interrupted_file_keeps_its_old_contents(tmp_path):
    from arrayconv.demo.images import writing

    path = tmp_path / "table.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), writing(path) as draft:  # noqa: PT012
        draft.write_text("half of the n")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_small_images_are_refused_by_the_demo_alone(capsys, tmp_path):
    path = tmp_path / "dot.png"
    Image.new("RGB", (1, 1), "white").save(path)
    assert main(["filter", str(path), "--kernel=blur", "--out", str(tmp_path / "o.png")]) == 0
    pytest.importorskip("matplotlib")
    line = fails(capsys, "demo", path, "--out", tmp_path / "p.png")
    assert "at least 16 x 16 pixels, got 1 x 1" in line


def test_large_images_are_reduced_for_the_demo(tmp_path):
    path = tmp_path / "wide.png"
    Image.new("RGB", (3000, 600), "white").save(path)
    assert demo.read_image(path).shape == (600, 3000, 3)
    assert demo.read_image(path, side=512).shape == (102, 512, 3)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_every_common_mode_is_read(tmp_path, mode):
    path = tmp_path / "image.tiff"
    Image.new("RGB", (4, 3), (255, 255, 255)).convert(mode).save(path)
    image = demo.read_image(path)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, np.ones((3, 4, 3)))


def test_without_the_plot_extra(capsys, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert 'pip install "arrayconv[plot]"' in fails(capsys, "demo", "--out", tmp_path / "p.png")
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    argv = ["filter", demo.photograph(), "--kernel=blur", "--out", tmp_path / "p.png"]
    assert 'pip install "arrayconv[plot]"' in fails(capsys, *argv)


def few(op):
    chosen = [c for c in cases.cases() if c.op == op][:2]
    return lambda: tuple(chosen)


def test_check(capsys, monkeypatch):
    monkeypatch.setattr(cases, "cases", few("pad"))
    assert main(["check", "--backend", "numpy", "--backend", "strict", "--full"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["4 checks on numpy, strict: about 5 seconds", ""]
    assert lines[2].split() == ["worst", "error", "numpy", "strict"]
    assert lines[4].split()[0] == "pad"
    assert all(float(cell) < 1e-10 for cell in lines[4].split()[1:])
    assert lines[-1] == "4 checks passed, 0 failed"


@pytest.mark.parametrize(
    ("checks", "said"), [(1, "5 seconds"), (273, "20 seconds"), (2541, "3 minutes")]
)
def test_check_says_how_long_it_takes(checks, said):
    assert commands._duration(commands.CHECK * checks) == f"about {said}"


def test_check_finds_a_wrong_gradient(capsys, monkeypatch):
    monkeypatch.setattr(cases, "cases", few("relu"))
    monkeypatch.setattr(ac, "relu_vjp", lambda dy, x: dy)
    # the pair of an operation is looked up beside it too
    monkeypatch.setattr(sys.modules[ac.relu.__module__], "relu_vjp", lambda dy, x: dy)
    assert main(["check", "--backend", "numpy"]) == 1
    captured = capsys.readouterr()
    assert "FAILED" in captured.out
    assert "arrayconv: numpy: relu" in captured.err
    assert re.search(r"0 checks passed, [12] failed", captured.out)


def test_check_reports_any_failure_of_a_library(capsys, monkeypatch):
    def check_case(case, xp, device=None):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(cases, "cases", few("pad"))
    monkeypatch.setattr(verify, "check_case", check_case)
    assert main(["check", "--backend", "numpy"]) == 1
    assert "no such kernel" in capsys.readouterr().err


def test_wrong_backend(capsys, monkeypatch):
    assert "unknown name 'tpu'; expected numpy" in fails(capsys, "check", "--backend", "tpu")
    monkeypatch.setitem(sys.modules, "cupy", None)
    line = fails(capsys, "check", "--backend", "cupy")
    assert "CuPy: it is not installed" in line
    assert "arrayconv[cupy13]" in line


def test_one_name_stands_for_all_devices_of_a_library():
    pytest.importorskip("torch")
    names = [backend.name for backend in commands.chosen_backends(["torch", "numpy", "torch-cpu"])]
    assert [n for n in names if n != "torch-gpu"] == ["torch-cpu", "numpy"]


@pytest.mark.parametrize(
    ("argv", "kinds"),
    [
        (["2,8,8,4", "3,3,4,6"], ["correlate"]),
        (["2,8,8,4", "3,3,4,6", "--backward"], ["input_vjp", "weight_vjp"]),
        (["2,4,8", "3,2,6", "--stride", "2", "--padding", "same", "--groups", "2",
          "--data-format", "channels_first"], ["correlate"]),
        (["2,4,4,6", "3,3,4,6", "--transpose", "--stride", "2,1", "--padding", "1"], ["input_vjp"]),
    ],
)  # fmt: skip
def test_plan(capsys, argv, kinds):
    assert main(["plan", *argv]) == 0
    text = capsys.readouterr().out
    assert re.findall(r"^(\w+): ", text, re.MULTILINE) == kinds


def test_plan_of_wrong_shapes(capsys):
    assert "w expects 3 input channels" in fails(capsys, "plan", "2,8,8,4", "3,3,3,6")
    assert main(["plan", "2,8,x", "3,3,3,6"]) == 2
    assert "expected ints such as 8,56,56,64, got '2,8,x'" in capsys.readouterr().err
    assert main(["plan", "2,8,8,4", "3,3,4,6", "--groups", "a"]) == 2


def test_wrong_arguments(capsys):
    for argv in ([], ["paint"], ["filter", "x.png"], ["filter", "x", "--kernel=no", "--out=y"]):
        assert main(argv) == 2
        assert "usage: arrayconv" in capsys.readouterr().err


def test_ctrl_c_is_clean(capsys, monkeypatch):
    def stop():
        raise KeyboardInterrupt

    monkeypatch.setattr(commands, "find_backends", stop)
    assert main(["backends"]) == 130
    assert capsys.readouterr().err == "arrayconv: interrupted\n"


def test_a_reader_that_leaves_is_no_error():
    code = "import sys; from arrayconv.cli import main; sys.exit(main(['plan', '--help']))"
    run = f"'{sys.executable}' -c \"{code}\" | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", run], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_imports_no_array_library_but_numpy():
    code = (
        "import sys; from arrayconv.cli import main; main(['plan', '1,4,4,1', '3,3,1,1']);"
        "print({'jax', 'torch', 'cupy', 'dask', 'matplotlib', 'PIL'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("dashes", [[], ["--"]])
@pytest.mark.parametrize("arguments", [["--quick"], ["tiny", "--quick"], ["--help"], ["-h"], []])
def test_bench_hands_its_arguments_on(monkeypatch, tmp_path, arguments, dashes):
    calls = []

    class Run:
        def __init__(self, command, env):
            calls.append((command, env))

        def wait(self):
            return 3

        def kill(self):
            pass

    monkeypatch.setattr("subprocess.Popen", Run)
    assert main(["bench", *dashes, *arguments]) == 3
    ((command, env),) = calls
    assert command[1:] == ["-m", "benchmarks", *arguments]
    assert (Path(env["PYTHONPATH"].split(os.pathsep)[0]) / "benchmarks" / "__main__.py").exists()


def test_bench_runs_in_the_folder_it_was_started_in(monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "--help"]) == 0
    assert "--quick" in capfd.readouterr().out


def test_python_runs_the_package_as_the_command():
    command = [sys.executable, "-m", "arrayconv", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"arrayconv {ac.__version__}\n"
    scripts = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    module, _, name = scripts["project"]["scripts"]["arrayconv"].partition(":")
    assert getattr(importlib.import_module(module), name).__module__ == "arrayconv.__main__"


def test_what_is_there_is_not_overwritten_without_force(capsys, tmp_path, photo):
    pytest.importorskip("matplotlib")
    before = photo.read_bytes()
    for argv in (
        ["filter", photo, "--kernel=blur", "--out", photo],
        ["demo", photo, "--out", photo],
        ["demo", photo, "--json", photo, "--out", tmp_path / "new.png"],
    ):
        assert f"{photo}: this file is there already; --force" in fails(capsys, *argv)
    same = tmp_path / "same.png"
    line = fails(capsys, "demo", photo, "--out", same, "--json", same)
    assert "the picture is written there" in line
    assert photo.read_bytes() == before
    assert list(tmp_path.iterdir()) == [photo]
    assert main(["filter", str(photo), "--kernel=blur", "--out", str(photo), "--force"]) == 0
    assert photo.read_bytes() != before


def test_the_demo_overwrites_its_own_picture_but_not_its_image(
    capsys, tmp_path, photo, monkeypatch
):
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    own = tmp_path / commands.PICTURE
    own.write_text("an older picture")
    assert main(["demo", str(photo), "--backend=numpy"]) == 0
    with Image.open(own) as picture:
        assert picture.width > 1000
    before = own.read_bytes()
    assert "this file is there already" in fails(capsys, "demo", own.name)
    assert own.read_bytes() == before


def test_a_place_that_cannot_be_written_is_named_before_the_work(capsys, monkeypatch, photo):
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(commands, "read_image", lambda *a, **k: pytest.fail("it has begun"))
    monkeypatch.setattr(commands, "read_levels", lambda *a, **k: pytest.fail("it has begun"))
    # no permission says that no file can be made there, not even to an administrator
    if not Path("/proc/self").exists():
        missing("there is no /proc")
    monkeypatch.chdir("/proc")
    assert "nothing can be written in /proc (" in fails(capsys, "demo")
    assert "nothing can be written in /proc (" in fails(
        capsys, "demo", "--out", str(photo.with_name("p.png")), "--json", "/proc/t.json"
    )
    argv = ("filter", photo, "--kernel=blur", "--out", "x.png")
    assert "x.png: nothing can be written in /proc (" in fails(capsys, *argv)

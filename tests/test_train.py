"""The course's networks, and `arrayconv train` from data to weights, history and plots."""

import csv
import json
import re
import shutil
import sys

import numpy as np
import pytest
from conftest import missing

import arrayconv as ac
from arrayconv import data, models
from arrayconv.cli import main
from arrayconv.models import networks

rng = np.random.default_rng(0)
pytest.importorskip("matplotlib")
Image = pytest.importorskip("PIL.Image")
FILES = ["history.csv", "history.json", "history.png", "model.png", "weights.safetensors"]


def test_the_line_detector_finds_the_line(xp):
    image = np.zeros((1, 8, 8, 1))
    image[0, :, 3:5, 0] = 1
    np.testing.assert_array_equal(networks.line_image(), image)
    found = xp.to_numpy(networks.line_detector()(xp.array(image)))
    assert found.shape == (1, 6, 6, 1)
    for row in found[0, :, :, 0]:
        np.testing.assert_array_equal(row, [0, 0, 3, 3, 0, 0])
    pooled = xp.to_numpy(networks.line_detector(pooling=True)(xp.array(image)))
    assert pooled.shape == (1, 3, 3, 1)
    for row in pooled[0, :, :, 0]:
        np.testing.assert_array_equal(row, [0, 3, 0])


@pytest.mark.parametrize(
    ("network", "kinds", "shapes", "parameters"),
    [
        (
            networks.happy(),
            "ZeroPadding Conv BatchNormalization ReLU MaxPool Flatten Dense",
            [(70, 70, 3), (64, 64, 32), (64, 64, 32), (64, 64, 32), (32, 32, 32), (32768,), (1,)],
            37_633,
        ),
        (
            networks.signs(),
            "InputLayer Conv ReLU MaxPool Conv ReLU MaxPool Flatten Dense",
            [(64, 64, 3), (64, 64, 8), (64, 64, 8), (8, 8, 8), (8, 8, 16), (8, 8, 16), (2, 2, 16),
             (64,), (6,)],
            1_310,
        ),
        (
            networks.same_stack((28, 28, 1)),
            "Conv Conv Conv Flatten Dense Dense",
            [(28, 28, 32), (28, 28, 64), (28, 28, 128), (100_352,), (256,), (10,)],
            320 + 18_496 + 73_856 + 25_690_368 + 2_570,
        ),
        (
            networks.torch_net((32, 32, 3)),
            "Conv BatchNormalization ReLU Conv ReLU AveragePool Flatten Dense",
            [(30, 30, 16), (30, 30, 16), (30, 30, 16), (14, 14, 32), (14, 14, 32), (7, 7, 32),
             (1568,), (10,)],
            448 + 64 + 4_640 + 15_690,
        ),
    ],
)  # fmt: skip
def test_networks(network, kinds, shapes, parameters):
    assert [type(layer).__name__ for layer in network.layers] == kinds.split()
    assert [layer.output.sample for layer in network.layers] == shapes
    assert network.count_params() == parameters


def test_torch_net_is_that_of_torch():
    torch = pytest.importorskip("torch")
    nn = torch.nn
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2),
        nn.ReLU(),
        nn.AvgPool2d(2, 2, padding=(0, 0), ceil_mode=True, count_include_pad=False),
        nn.Flatten(),
        nn.Linear(32 * 7 * 8, 5),
        nn.Softmax(dim=1),
    )
    net = net.double().train()
    with torch.no_grad():
        net(torch.from_numpy(rng.standard_normal((4, 3, 31, 33))))
    net.eval()
    x = rng.standard_normal((3, 31, 33, 3))
    ours = networks.torch_net((31, 33, 3), 5)
    ours(x)
    models.load_torch_weights(ours, net.state_dict())
    with torch.no_grad():
        want = net(torch.from_numpy(np.moveaxis(x, -1, 1).copy())).numpy()
    np.testing.assert_allclose(ours(x), want, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("network", [networks.signs, networks.same_stack, networks.small])
def test_networks_learn(network):
    y = np.arange(60) % 2
    x = rng.standard_normal((60, 4, 4, 1)) + y[:, None, None, None]
    model = network((4, 4, 1), 2)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=20, verbose=0).history
    assert history["loss"][-1] < 0.8 * history["loss"][0]


def train(*argv):
    return main(["train", *map(str, argv)])


@pytest.fixture
def photos(tmp_path):
    """Return a folder of red and of blue images."""
    for name, colour in (("red", (200, 30, 30)), ("blue", (30, 30, 200))):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(10):
            pixels = np.clip(rng.normal(colour, 20, (12, 12, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    return tmp_path / "photos"


@pytest.fixture
def course_file(tmp_path):
    """Return an h5 file of the course's layout: 8x8 images, dark and light."""
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "happy.h5"
    with h5py.File(path, "w") as file:
        for part, n in (("train", 24), ("test", 8)):
            y = np.arange(n) % 2
            x = rng.integers(0, 100, (n, 8, 8, 3)) + 150 * y[:, None, None, None]
            file[f"{part}_set_x"], file[f"{part}_set_y"] = x.astype(np.uint8), y
        file["list_classes"] = np.asarray([b"sad", b"happy"])
    return path


def test_train_writes_weights_history_and_plots(capsys, tmp_path):
    pytest.importorskip("sklearn")
    out = tmp_path / "deep" / "run"
    assert train("--data", "digits", "--epochs", 2, "--out", out, "--batch-size", 64) == 0
    text = capsys.readouterr().out
    assert "parameters: 53,290" in text
    assert "1437 images to train on and 360 to test, 10 classes, float32 on NumPy (cpu)" in text
    rows = re.findall(
        r"^ +(\d) +[\d.]+ +([\d.]+) +([\d.]+) +([\d.]+) +([\d.]+)$", text, re.MULTILINE
    )
    assert [row[0] for row in rows] == ["1", "2"]
    assert sorted(p.name for p in out.iterdir()) == FILES
    # what was written predicts as the last line says
    model = models.load(out / "weights.safetensors")
    held = data.digits()
    right = np.mean(np.argmax(model.predict(held.x_test), axis=-1) == held.y_test)
    report = json.loads((out / "history.json").read_text())
    assert report["test_accuracy"] == pytest.approx(right, abs=1e-6)
    assert f"test accuracy {right:.2%} ({round(right * 360)} of 360) after 2 epochs" in text
    assert (report["model"], report["seed"], report["dtype"]) == ("small", 0, "float32")
    with (out / "history.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["epoch"] for row in table] == ["0", "1"]
    for name, values in report["history"].items():
        np.testing.assert_allclose([float(row[name]) for row in table], values)
    for cell, name in zip(
        rows[1][1:], ("loss", "accuracy", "val_loss", "val_accuracy"), strict=True
    ):
        assert float(cell) == pytest.approx(report["history"][name][1], abs=6e-5)
    for name in ("history.png", "model.png"):
        with Image.open(out / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 10


def test_the_seed_repeats_a_training(tmp_path, photos):
    found = []
    for i, seed in enumerate((3, 3, 4)):
        argv = ("--data", photos, "--model", "signs", "--epochs", 1, "--seed", seed)
        assert train(*argv, "--out", tmp_path / str(i)) == 0
        found.append((tmp_path / str(i) / "weights.safetensors").read_bytes())
    assert found[0] == found[1] != found[2]


def test_a_folder_of_images(capsys, tmp_path, photos):
    argv = ("--data", photos, "--model", "signs", "--epochs", 8, "--batch-size", 4)
    assert train(*argv, "--out", tmp_path / "out") == 0
    report = json.loads((tmp_path / "out" / "history.json").read_text())
    assert report["classes"] == ["blue", "red"]
    assert report["test_accuracy"] == 1.0


@pytest.mark.parametrize("model", ["happy", "small", "signs", "same_stack", "torch_net"])
def test_an_h5_file_with_every_network(capsys, tmp_path, course_file, model):
    argv = ("--data", course_file, "--model", model, "--epochs", 2, "--out", tmp_path / "out")
    assert train(*argv, "--dtype", "float64") == 0
    assert "24 images to train on and 8 to test, 2 classes, float64" in capsys.readouterr().out
    again = models.load(tmp_path / "out" / "weights.safetensors")
    assert again.name == model
    assert {w.dtype.name for w in again.get_weights()} == {"float64"}


def test_bytes_are_scaled_and_other_numbers_kept():
    place = sys.modules["arrayconv.cli.train"]._placed(ac.backends.find_backend("numpy"), "float32")
    y = np.asarray([1, 0])
    x, labels = place(np.asarray([[0], [255]], dtype=np.uint8), y)
    assert (x.dtype, x.tolist(), labels.tolist()) == (np.float32, [[0.0], [1.0]], [1, 0])
    assert place(np.asarray([[65535]], dtype=np.uint16), y)[0].tolist() == [[1.0]]
    x, _ = place(np.asarray([[-3.0], [700.0]]), y)
    assert (x.dtype, x.tolist()) == (np.float32, [[-3.0], [700.0]])


@pytest.mark.parametrize("backend", ["jax-cpu", "torch-cpu", "strict"])
def test_every_library_trains_alike(capsys, tmp_path, course_file, backend):
    module = {"jax-cpu": "jax", "torch-cpu": "torch", "strict": "array_api_strict"}[backend]
    pytest.importorskip(module)
    found = {}
    for name in ("numpy", backend):
        argv = ("--data", course_file, "--epochs", 2, "--batch-size", 8, "--dtype", "float64")
        assert train(*argv, "--model=torch_net", "--backend", name, "--out", tmp_path / name) == 0
        report = json.loads((tmp_path / name / "history.json").read_text())
        found[name] = report["history"]["loss"] + report["history"]["val_loss"]
        assert report["backend"] == name
    np.testing.assert_allclose(found[backend], found["numpy"], rtol=1e-8)


def test_ctrl_c_leaves_the_epochs_done(capsys, tmp_path, course_file, monkeypatch):
    table = sys.modules["arrayconv.cli.train"]._Table
    real = table.on_epoch_begin

    def stop(self, epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt
        return real(self, epoch, logs)

    monkeypatch.setattr(table, "on_epoch_begin", stop)
    argv = ("--data", course_file, "--model", "signs", "--epochs", 9, "--out", tmp_path / "out")
    assert train(*argv) == 130
    captured = capsys.readouterr()
    assert captured.err == "arrayconv: interrupted\n"
    assert "after 2 epochs" in captured.out
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == FILES
    # what is left of it equals a training without a stop to the last digit
    monkeypatch.setattr(table, "on_epoch_begin", real)
    resume = ("--data", course_file, "--resume", tmp_path / "out")
    assert train(*resume) == 0
    assert train(*argv[:-1], tmp_path / "whole") == 0
    for name in ("history.csv", "weights.safetensors"):
        ours, whole = ((tmp_path / folder / name).read_bytes() for folder in ("out", "whole"))
        assert ours == whole
    capsys.readouterr()
    assert train(*resume) == 2
    assert "its training is finished, 9 of 9 epochs" in capsys.readouterr().err
    (tmp_path / "out" / "history.json").write_text("{}")
    assert train(*resume) == 2
    assert "history.json is not a report of a training" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--data", "mnist"), "mnist: expected digits, mnist5k, fashion"),
        (("--data", "digits", "--model", "happy"), "--model happy: is for two classes, and .* 10"),
        (("--data", "digits", "--backend", "tpu"), "--backend: unknown name 'tpu'"),
        (("--data", "digits", "--seed", "-1"), "--seed: expected at least 0, got -1"),
        (("--data", "{h5}", "--out", "{h5}"), "--out .*happy.h5: it cannot be made a folder"),
        (("--data", "{h5}", "--out", "{h5}/deep"), "nothing can be written in .*deep"),
        (("--data", "{h5}", "--size", "9"), "size is for a folder of images"),
        (("--data", "{h5}x.h5"), "happy.h5x.h5: there is no such file"),
        (("--data", "{nan}"), "x of .* holds NaN or inf"),
        (("--data", "{grey}"), r"images must have shape \(N, H, W, C\), got \(24, 8, 8\); x\[..., None\]"),
        (("--data", "{wide}"), "uint8 or uint16, which are scaled to .0, 1., or floating, got int64"),
    ],
)  # fmt: skip
def test_one_line_says_what_is_wrong(capsys, tmp_path, course_file, monkeypatch, argv, message):
    h5py = pytest.importorskip("h5py")
    monkeypatch.chdir(tmp_path)
    images = {
        "nan": np.full((24, 8, 8, 3), np.nan),
        "grey": np.zeros((24, 8, 8), dtype=np.uint8),
        "wide": np.zeros((24, 8, 8, 3), dtype=np.int64),
    }
    files = {"h5": course_file}
    for name, values in images.items():
        files[name] = shutil.copy(course_file, tmp_path / f"{name}.h5")
        with h5py.File(files[name], "a") as file:
            del file["train_set_x"], file["test_set_x"]
            file["train_set_x"], file["test_set_x"] = values, values[:8]
    assert train(*(part.format(**files) for part in argv)) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert re.search(message, captured.err)
    # not even an empty folder
    assert all(path.suffix == ".h5" for path in tmp_path.iterdir())


def test_wrong_arguments(capsys):
    for argv in (
        [],
        ["--data=digits", "--epochs=0"],
        ["--data=digits", "--batch-size=x"],
        ["--data=digits", "--model=vgg"],
        ["--data=digits", "--dtype=int8"],
        ["--data=digits", "--lr=0"],
        ["--data=digits", "--lr=nan"],
        ["--data=digits", "--size=0"],
        ["--data=digits", "--size=8,8,8"],
    ):
        assert train(*argv) == 2
        assert "usage: arrayconv train" in capsys.readouterr().err
    assert train("--help") == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 100
    assert "small, happy, signs, same_stack, torch_net" in " ".join(text.split())


def test_damaged_images_are_named_before_the_first_epoch(capsys, tmp_path, photos):
    broken = [photos / "red" / "3.png", photos / "blue" / "0.png"]
    for path in broken:
        path.write_bytes(path.read_bytes()[:60])
    assert train("--data", photos, "--model", "signs", "--out", tmp_path / "out") == 2
    captured = capsys.readouterr()
    for path in broken:
        assert f"{path}: the image is damaged or truncated" in captured.err
    assert captured.err.count("\n") == 1
    assert "epoch" not in captured.out
    assert not (tmp_path / "out").exists()
    for path in (photos / "red").iterdir():
        path.write_bytes(path.read_bytes()[:60])
    assert train("--data", photos, "--model", "signs", "--out", tmp_path / "out") == 2
    assert capsys.readouterr().err.endswith("; and 6 more\n")


def test_the_table_is_aligned(capsys, tmp_path, course_file):
    assert train("--data", course_file, "--epochs", 2, "--out", tmp_path / "out") == 0
    lines = capsys.readouterr().out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.split()[:2] == ["epoch", "seconds"])
    ends = [[cell.end() for cell in re.finditer(r"\S+( \S+)?", lines[head])]]
    ends += [
        [cell.end() for cell in re.finditer(r"\S+", line)] for line in lines[head + 1 : head + 4]
    ]
    assert ends[0] == ends[1] == ends[2] == ends[3]
    assert len(ends[0]) == 6


def test_one_epoch_is_one_epoch(capsys, tmp_path, course_file):
    assert train("--data", course_file, "--epochs", 1, "--out", tmp_path / "out") == 0
    assert re.search(
        r"test accuracy [\d.]+% \(\d of 8\) after 1 epoch and", capsys.readouterr().out
    )


def test_a_second_training_spares_the_first(capsys, tmp_path, course_file):
    argv = ("--data", course_file, "--epochs", 1, "--out", tmp_path / "out")
    assert train(*argv) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    capsys.readouterr()
    assert train(*argv, "--seed", 1) == 2
    captured = capsys.readouterr()
    assert re.search(
        "a training is there already .*; name another folder, or --force", captured.err
    )
    assert captured.out == ""
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert train(*argv, "--seed", 1, "--force") == 0
    after = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert list(after) == list(before)
    assert after["weights.safetensors"] != before["weights.safetensors"]


def test_a_folder_of_other_things_may_take_a_training(tmp_path, course_file):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    assert train("--data", course_file, "--epochs", 1, "--out", out) == 0
    assert sorted(p.name for p in out.iterdir()) == sorted([*FILES, "notes.txt"])


def test_a_training_that_cannot_be_written_leaves_no_folder(
    capsys, tmp_path, course_file, monkeypatch
):
    def full(self, path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(models.Model, "save", full)
    argv = ("--data", course_file, "--epochs", 1, "--out", tmp_path / "deep" / "out")
    assert train(*argv) == 2
    assert "No space left on device" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == [course_file]


def test_the_plot_is_of_training_and_test(tmp_path, course_file, monkeypatch):
    from matplotlib.figure import Figure

    drawn = []
    save = Figure.savefig
    monkeypatch.setattr(
        Figure, "savefig", lambda f, *a, **k: (drawn.append(f), save(f, *a, **k))[1]
    )
    assert train("--data", course_file, "--epochs", 3, "--out", tmp_path / "out") == 0
    figure = drawn[0]
    history = json.loads((tmp_path / "out" / "history.json").read_text())["history"]
    assert re.fullmatch(
        r"small on .*happy.h5: test accuracy [\d.]+% after 3 epochs", figure.get_suptitle()
    )
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    for axes in figure.axes:
        assert [text.get_text() for text in axes.get_legend().get_texts()] == ["training", "test"]
        for line, prefix in zip(axes.lines, ("", "val_"), strict=True):
            np.testing.assert_array_equal(line.get_ydata(), history[prefix + axes.get_ylabel()])
            assert list(line.get_xdata()) == [1, 2, 3]


def test_the_learning_rate_is_that_asked_for(tmp_path, course_file, monkeypatch):
    rates = []
    real = models.CosineDecay
    monkeypatch.setattr(
        models, "CosineDecay", lambda rate, n: (rates.append(rate), real(rate, n))[1]
    )
    argv = ("--data", course_file, "--epochs", 1, "--model", "signs")
    assert train(*argv, "--out", tmp_path / "a", "--lr", "0.05") == 0
    assert train(*argv, "--out", tmp_path / "b") == 0
    assert rates == [0.05, 2e-3]
    assert json.loads((tmp_path / "a" / "history.json").read_text())["learning_rate"] == 0.05


def predict(*argv):
    return main(["predict", *map(str, argv)])


def test_predict_says_what_the_network_says(capsys, tmp_path, photos):
    out = tmp_path / "out"
    argv = ("--data", photos, "--model", "signs", "--epochs", 8, "--batch-size", 4, "--lr", 0.01)
    assert train(*argv, "--size", "16,24", "--out", out) == 0
    text = capsys.readouterr().out
    assert "every image is resized to 16 x 24 pixels (--size)" in text
    model = models.load(out / "weights.safetensors")
    assert model.inputs[0].sample == (16, 24, 3)
    images = [photos / "red" / "1.png", photos / "blue" / "2.png"]
    assert predict(out, *images) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[:2] for row in rows] == [[str(images[0]), "red"], [str(images[1]), "blue"]]
    for row, path, label in zip(rows, images, (1, 0), strict=True):
        with Image.open(path) as image:
            pixels = np.asarray(image.resize((24, 16), Image.Resampling.BILINEAR), np.float32) / 255
        want = model.predict(pixels[None])[0, label]
        assert float(row[2].rstrip("%")) == pytest.approx(100 * want, abs=0.06)
    # weights of another name are not those that the report is about
    shutil.copy(out / "weights.safetensors", out / "mine.safetensors")
    assert predict(out / "mine.safetensors", images[0]) == 0
    assert capsys.readouterr().out.splitlines()[2].split()[1] == "1"


def test_predict_with_one_output_and_with_one_channel(capsys, tmp_path, photos):
    images = [photos / "red" / "1.png", photos / "blue" / "2.png"]
    argv = ("--data", photos, "--model", "happy", "--epochs", 6, "--lr", 0.01, "--size", 8)
    assert train(*argv, "--out", tmp_path / "happy", "--dtype", "float64") == 0
    capsys.readouterr()
    assert predict(tmp_path / "happy", *images) == 0
    model = models.load(tmp_path / "happy" / "weights.safetensors")
    for line, path in zip(capsys.readouterr().out.splitlines()[2:], images, strict=True):
        with Image.open(path) as image:
            pixels = np.asarray(image.resize((8, 8), Image.Resampling.BILINEAR)) / 255
        red = model.predict(pixels[None])[0, 0]
        assert line.split()[1] == ("red" if red > 0.5 else "blue")
        assert float(line.split()[2].rstrip("%")) == pytest.approx(
            100 * max(red, 1 - red), abs=0.06
        )
    grey = networks.small((8, 8, 1), 3)
    grey.save(tmp_path / "grey.safetensors")
    assert predict(tmp_path / "grey.safetensors", images[0]) == 0
    with Image.open(images[0]) as image:
        pixels = np.asarray(image.resize((8, 8), Image.Resampling.BILINEAR).convert("L")) / 255
    want = grey.predict(pixels[None, :, :, None].astype(np.float32))[0]
    row = capsys.readouterr().out.splitlines()[2].split()
    assert int(row[1]) == np.argmax(want)
    assert float(row[2].rstrip("%")) == pytest.approx(100 * want.max(), abs=0.5)


def test_what_predict_refuses(capsys, tmp_path, photos):
    image = photos / "red" / "1.png"
    networks.small((8, 8, 1), 3).save(tmp_path / "weights.safetensors")
    models.Sequential([models.Dense(2, input_shape=(3,))]).save(tmp_path / "dense.safetensors")
    logits = [models.Flatten(input_shape=(4, 4, 3)), models.Dense(2, kernel_initializer="ones")]
    models.Sequential(logits).save(tmp_path / "logits.safetensors")
    (tmp_path / "text.safetensors").write_text("no weights")
    reports = {
        "this is not a report of `arrayconv train`": (
            "{",
            "[]",
            "{}",
            '{"classes": 3}',
            "[" * 10**5,
            " " * (2**20 + 1),
        ),
        "2 names for the 3 classes": ('{"classes": ["a", "b"]}',),
    }
    for message, texts in reports.items():
        for text in texts:
            (tmp_path / "history.json").write_text(text)
            assert predict(tmp_path, image) == 2
            line = capsys.readouterr().err
            assert message in line
            assert line.count("\n") == 1
    (tmp_path / "history.json").unlink()
    (tmp_path / "broken.png").write_bytes(image.read_bytes()[:60])
    for argv, message in (
        ((tmp_path / "nowhere", image), "there is no such file or folder"),
        ((photos, image), "there is no weights.safetensors in this folder"),
        ((tmp_path / "text.safetensors", image), "text.safetensors"),
        ((tmp_path / "dense.safetensors", image), "not a network that takes one image"),
        ((tmp_path / "logits.safetensors", image), "its outputs are not probabilities"),
        ((tmp_path, image, tmp_path / "no.png"), "no.png: there is no such file"),
        ((tmp_path, image, tmp_path / "broken.png"), "broken.png: the image is damaged"),
    ):
        assert predict(*argv) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert captured.err.count("\n") == 1
        assert captured.out == ""


def goal(name, backend, out):
    assert train("--data", name, "--backend", backend, "--out", out) == 0
    return json.loads((out / "history.json").read_text())["test_accuracy"]


def test_digits(tmp_path):
    pytest.importorskip("sklearn")
    assert goal("digits", "numpy", tmp_path) >= 0.98


@pytest.mark.full
@pytest.mark.parametrize("backend", ["numpy", "jax-cpu"])
@pytest.mark.parametrize(
    ("name", "least"), [("digits", 0.98), ("mnist5k", 0.96), ("fashion", 0.88)]
)
def test_goals(tmp_path, name, least, backend):
    try:
        data.load(name)
        ac.backends.find_backend(backend)
    except (data.DataError, ac.backends.BackendError) as error:
        missing(error)
    assert goal(name, backend, tmp_path) >= least

"""``arrayconv run``: what it prints, what it draws, what it refuses."""

from pathlib import Path

import numpy as np
import pytest

import arrayconv as ac
from arrayconv import demo
from arrayconv.cli import main, run

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("onnx")

DIGITS = Path(__file__).parents[1] / "notebooks" / "digits.onnx"


def model(text):
    from onnx.parser import parse_model

    return parse_model(f'<ir_version: 8, opset_import: ["": 17]> net {text}').SerializeToString()


@pytest.fixture
def photo(tmp_path):
    """Return the path of a photograph whose left half is black and right half is white."""
    path = tmp_path / "photo.png"
    image = np.zeros((20, 30, 3), np.float32)
    image[:, 15:] = 1
    demo.write_image(path, image)
    return path


KERNEL = ", ".join(["0.01"] * 96)


@pytest.fixture
def halves(tmp_path):
    """Return a network of two scores: the light of the left half, and of the right."""
    body = (
        "(float[N, 3, 8, 8] x) => (float[N, 2] y)"
        f" <float[1, 3, 8, 4] k = {{{KERNEL}}}>"
        " { maps = Conv <strides = [1, 4]> (x, k) light = Relu(maps) y = Flatten(light) }"
    )
    path = tmp_path / "halves.onnx"
    path.write_bytes(model(body))
    return path


def test_classes_and_labels(capsys, tmp_path, photo, halves):
    labels = tmp_path / "labels.txt"
    labels.write_text("left\nright\n", encoding="utf-8")
    assert main(["run", str(halves), str(photo), "--labels", str(labels), "--top", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("halves.onnx on NumPy, cpu: ")
    x, _ = run.prepared(ac.onnx.load(halves), demo.read_image(photo))
    light = [0.01 * float(part.sum()) for part in np.split(x, 2, axis=3)]
    share = float(1 / (1 + np.exp(light[0] - light[1])))
    assert 0.7 < share < 0.73
    assert lines[1] == f"{share:7.2%}  right"
    assert lines[2] == f"{1 - share:7.2%}  left"


def test_on_another_library(capsys, photo, halves):
    pytest.importorskip("torch")
    assert main(["run", str(halves), str(photo), "--backend", "torch-cpu"]) == 0
    assert "on PyTorch, cpu" in capsys.readouterr().out


def test_normalization(photo):
    net = ac.onnx.load(model("(float[N, 3, H, W] x) => (float[N, 3, H, W] y) { y = Relu(x) }"))
    image = demo.read_image(photo)
    x, shown = run.prepared(net, image, (10, 15), 2.0, (0.5, 1.0, 0.25), (1.0, 2.0, 4.0))
    assert x.shape == (1, 3, 10, 15)
    assert shown.shape == (10, 15, 3)
    want = (2 * shown - np.asarray([0.5, 1.0, 0.25])) / np.asarray([1.0, 2.0, 4.0])
    assert np.allclose(np.moveaxis(x[0], 0, -1), want, atol=1e-6)
    # half the size: every cell is the mean of four, with the triangle's tails at the edge in the middle
    assert np.allclose(shown[:, :6], 0)
    assert np.allclose(shown[:, 9:], 1)


def test_channels_last_and_grey(photo):
    net = ac.onnx.load(model("(float[N, 6, 7, 1] x) => (float[N, 6, 7, 1] y) { y = Relu(x) }"))
    image = np.broadcast_to(np.asarray([1.0, 0.0, 0.0], np.float32), (20, 30, 3))
    x, _ = run.prepared(net, image)
    assert x.shape == (1, 6, 7, 1)
    assert np.allclose(x, 0.299)


def test_shapes_where_there_are_no_classes(capsys, tmp_path, photo):
    path = tmp_path / "image.onnx"
    path.write_bytes(model("(float[N, 3, H, W] x) => (float[N, 3, H, W] y) { y = Neg(x) }"))
    assert main(["run", str(path), str(photo), "--size", "4,6"]) == 0
    assert "y: float32 (1, 3, 4, 6), from -1 to -0" in capsys.readouterr().out


def test_explain(capsys, tmp_path, photo, halves):
    pytest.importorskip("matplotlib")
    out = tmp_path / "why.png"
    assert main(["run", str(halves), str(photo), "--explain", str(out)]) == 0
    assert f"picture: {out}" in capsys.readouterr().out
    with Image.open(out) as picture:
        assert min(picture.size) > 300


def test_saliency_is_the_gradient():
    net = ac.onnx.load(DIGITS)
    x = np.random.default_rng(0).standard_normal((1, 1, 28, 28)).astype(np.float32)
    dy = np.zeros((1, 10), np.float32)
    dy[0, 3] = 1
    assert np.array_equal(ac.onnx.saliency(net, x, 3), np.abs(net.vjp(dy, x))[0, 0])
    for explain, score, error in (
        (ac.onnx.saliency, 10, ValueError),
        (ac.onnx.class_activation, "cat", TypeError),
    ):
        with pytest.raises(error, match=f"^{explain.__name__}: target must be .* got '?{score}"):
            explain(net, x, score)


def test_class_activation_by_hand():
    """Two maps, one for the score and one against: only where the first is seen, at the image's size."""
    net = ac.onnx.load(
        model(
            "(float[1, 2, 2, 2] x) => (float[1, 1] y)"
            " <float[2, 2, 1, 1] k = {1, 0, 0, 1}, float[2, 1] w = {4, -4}>"
            " { maps = Conv(x, k) ink = Relu(maps) mean = GlobalAveragePool(ink) flat = Flatten(mean)"
            " y = MatMul(flat, w) }"
        )
    )
    x = np.asarray([[[[1.0, 2.0], [3.0, 4.0]], [[0.0, 1.0], [9.0, 0.0]]]], np.float32)
    # the slope of each map's cells is 1 and -1, so the sum is the difference, cut at 0, over its largest
    assert np.allclose(ac.onnx.class_activation(net, x, 0), [[0.25, 0.25], [0, 1]])
    plain = ac.onnx.load(model("(float[1, 2] x) => (float[1, 2] y) { y = Relu(x) }"))
    assert ac.onnx.class_activation(plain, x[0, 0, :1], 0) is None


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["none.onnx", "{photo}"], "there is no such file"),
        (["{photo}", "{photo}"], "ONNX model"),
        (["{net}", "none.jpg"], "there is no such file"),
        (["{net}", "{photo}", "--labels", "none.txt"], "--labels none.txt: it cannot be read"),
        (["{net}", "{photo}", "--top", "0"], "--top must be at least 1"),
        (["{net}", "{photo}", "--mean", "1,2"], "--mean takes one number or 3"),
        (["{net}", "{photo}", "--std", "0"], "not 0 for std"),
        (["{net}", "{photo}", "--explain", "why.txt"], "names no image format"),
        (["{net}", "{photo}", "--backend", "tpu"], "unknown name 'tpu'"),
        (["{net}", "{photo}", "--size", "1,2,3"], "--size takes one number or two"),
    ],
)
def test_refused(capsys, photo, halves, arguments, message):
    names = {"photo": photo, "net": halves}
    assert main(["run", *(a.format(**names) for a in arguments)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_not_an_image_network(capsys, tmp_path, photo):
    path = tmp_path / "vector.onnx"
    path.write_bytes(model("(float[N, 3] x) => (float[N, 3] y) { y = Relu(x) }"))
    assert main(["run", str(path), str(photo)]) == 2
    assert "networks of one image" in capsys.readouterr().err

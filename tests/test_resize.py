"""Resizing against onnxruntime and jax.image, non-finite cells, halves, errors, and what it costs."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
from conftest import strict_jax
from halves import every_half, exact
from reference_norms import resize as naive_resize

import arrayconv as ac

FIRST = {"data_format": "channels_first"}
MODES = {
    ("half_pixel", "half_up"): {"nearest_mode": "round_prefer_ceil"},
    ("half_pixel", "half_down"): {"nearest_mode": "round_prefer_floor"},
    ("align_corners", "half_up"): {"nearest_mode": "round_prefer_ceil"},
    ("align_corners", "half_down"): {"nearest_mode": "round_prefer_floor"},
    ("asymmetric", "half_up"): {"nearest_mode": "floor"},
}
SPACES = [
    ((8,), (4,)),
    ((5,), (7,)),
    ((3,), (8,)),
    ((5,), (1,)),
    ((8, 5), (4, 7)),
    ((3, 6), (8, 9)),
]


def onnx_resize(x, *, sizes=None, scales=None, **attributes):
    onnx = pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    given = np.asarray(sizes, np.int64) if scales is None else np.asarray(scales, np.float32)
    inputs = ["x", "", "", "sizes"] if scales is None else ["x", "", "scales"]
    node = onnx.helper.make_node("Resize", inputs, ["y"], **attributes)
    kinds = {"float32": onnx.TensorProto.FLOAT, "int64": onnx.TensorProto.INT64}
    feeds = {"x": x, inputs[-1]: given}
    graph = onnx.helper.make_graph(
        [node],
        "g",
        [
            onnx.helper.make_tensor_value_info(name, kinds[a.dtype.name], a.shape)
            for name, a in feeds.items()
        ],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
    )
    opset = [onnx.helper.make_opsetid("", 18)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)[0]


def matrix(n, m, **config):
    """Return what every cell of an axis of n gives to each of m cells, (m, n), by naive loops."""
    return naive_resize(np.eye(n)[..., None], size=m, **config)[..., 0].T


def image(space, dtype=np.float32):
    return np.random.default_rng(0).standard_normal((2, 3, *space)).astype(dtype)


@pytest.mark.parametrize(("coordinates", "rounding"), MODES)
@pytest.mark.parametrize(("space", "size"), SPACES)
def test_nearest_is_that_of_onnx(space, size, coordinates, rounding):
    x = image(space)
    config = {"coordinates": coordinates, "rounding": rounding, **FIRST}
    attributes = {"coordinate_transformation_mode": coordinates, **MODES[coordinates, rounding]}
    want = onnx_resize(x, sizes=(2, 3, *size), mode="nearest", **attributes)
    np.testing.assert_array_equal(ac.resize(x, size=size, **config), want)
    # Factors that float32 holds exactly.
    for factors in ((1.5, 0.75), (2.0, 0.5), (0.625, 2.25)):
        want = onnx_resize(x, scales=(1, 1, *factors[: len(space)]), mode="nearest", **attributes)
        got = ac.resize(x, scale=factors[: len(space)], **config)
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize(("space", "size"), SPACES)
def test_linear_is_that_of_onnx(space, size, coordinates):
    x = image(space)
    config = {"method": "linear", "coordinates": coordinates, **FIRST}
    attributes = {"mode": "linear", "coordinate_transformation_mode": coordinates}
    want = onnx_resize(x, sizes=(2, 3, *size), **attributes)
    np.testing.assert_allclose(ac.resize(x, size=size, **config), want, rtol=1e-5, atol=1e-6)
    for factors in ((1.5, 0.75), (2.0, 0.5), (0.625, 2.25)):
        want = onnx_resize(x, scales=(1, 1, *factors[: len(space)]), **attributes)
        got = ac.resize(x, scale=factors[: len(space)], **config)
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["nearest", "linear"])
@pytest.mark.parametrize(("space", "size"), SPACES)
def test_the_default_is_that_of_jax_image(space, size, method):
    jax = pytest.importorskip("jax")
    x = image(space, np.float64)
    with strict_jax():
        want = jax.image.resize(x, (2, 3, *size), method, antialias=False)
        np.testing.assert_allclose(
            ac.resize(x, size=size, method=method, **FIRST), want, rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_the_default_is_that_of_keras(interpolation, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    x = np.random.default_rng(0).standard_normal((2, 4, 3, 2)).astype(np.float32)
    layer = keras.layers.UpSampling2D((2, 3), interpolation=interpolation)
    method = "nearest" if interpolation == "nearest" else "linear"
    got = ac.resize(x, scale=(2, 3), method=method)
    np.testing.assert_allclose(got, np.asarray(layer(x)), rtol=1e-5, atol=1e-6)


def test_which_cell_is_nearest():
    x = np.arange(8.0).reshape(1, 8, 1)

    def cells(**config):
        return ac.resize(x, size=4, **config)[0, :, 0].tolist()

    assert cells() == [1, 3, 5, 7]
    assert cells(rounding="half_down") == [0, 2, 4, 6]
    assert cells(coordinates="asymmetric") == [0, 2, 4, 6]
    assert cells(coordinates="asymmetric", rounding="half_down") == [0, 2, 4, 6]
    assert cells(coordinates="align_corners") == [0, 2, 5, 7]


def test_a_given_scale_maps_the_coordinates():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(0).standard_normal((1, 1, 5))
    want = torch.nn.functional.interpolate(torch.asarray(x), scale_factor=1.3, mode="linear")
    got = ac.resize(x, scale=1.3, method="linear", **FIRST)
    assert got.shape == (1, 1, 6)
    np.testing.assert_allclose(got, want.numpy(), rtol=1e-12, atol=1e-12)
    assert np.abs(got - ac.resize(x, size=6, method="linear", **FIRST)).max() > 1e-3


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("coordinates", ["half_pixel", "align_corners", "asymmetric"])
@pytest.mark.parametrize("method", ["nearest", "linear"])
@pytest.mark.parametrize("size", [10, 7, 3, 2])
def test_a_value_that_is_not_finite_reaches_the_cells_that_read_it(
    xp, value, coordinates, method, size
):
    config = {"size": size, "method": method, "coordinates": coordinates}
    # weights that are 0 but for rounding are no reads
    reads = matrix(5, size, method=method, coordinates=coordinates) > 1e-12
    for cell in range(5):
        x = np.zeros((1, 5, 1))
        x[0, cell, 0] = value
        got = xp.to_numpy(ac.resize(xp.array(x), **config))
        np.testing.assert_array_equal(np.isfinite(got[0, :, 0]), ~reads[:, cell])
    for cell in range(size):
        dy = np.zeros((1, size, 1))
        dy[0, cell, 0] = value
        x = xp.array(np.zeros((1, 5, 1)))
        got = xp.to_numpy(ac.resize_vjp(xp.array(dy), x, **config))
        np.testing.assert_array_equal(np.isfinite(got[0, :, 0]), ~reads[cell])


@every_half
@pytest.mark.parametrize("method", ["nearest", "linear"])
def test_halves_sum_in_float32(half, method):
    rng = np.random.default_rng(0)
    config = {"size": 128, "method": method}
    with strict_jax(x64=False):
        # 4096 gradients on one cell: a half sum stops growing
        x = half.array(rng.standard_normal((1, 2, 2, 1)))
        dy = half.array(rng.uniform(0.5, 1, (1, 128, 128, 1)))
        y, dx = ac.resize(x, **config), ac.resize_vjp(dy, x, **config)
    a = matrix(2, 128, method=method)
    for got, want in (
        (y, np.einsum("ih,jw,nhwc->nijc", a, a, exact(x))),
        (dx, np.einsum("ih,jw,nijc->nhwc", a, a, exact(dy))),
    ):
        assert half.dtype in str(got.dtype)
        assert np.max(np.abs(exact(got) - want)) <= 1.01 * half.eps * np.max(np.abs(want))


def test_enlarging_by_whole_numbers_copies_once():
    x = np.ones((32, 64, 64, 16), np.float32)
    ac.resize(x, scale=2)
    tracemalloc.start()
    try:
        y = ac.resize(x, scale=2)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.05 * y.nbytes


def test_vmap():
    jax = pytest.importorskip("jax")
    x = image((4, 3))
    config = {"scale": (2, 1.5), "method": "linear", **FIRST}
    with strict_jax(x64=False):
        one = jax.jit(jax.vmap(lambda image: ac.resize(image[None], **config)[0]))
        want = naive_resize(x.astype(np.float64), **config)
        np.testing.assert_allclose(one(x), want, rtol=1e-6, atol=1e-6)


X = np.zeros((1, 4, 3, 2))
ERRORS = [
    ({}, ValueError, r"one of size and scale is expected, got size=None, scale=None"),
    ({"size": 2, "scale": 2}, ValueError, r"one of size and scale is expected"),
    ({"size": 0}, ValueError, r"size must be at least 1, got 0"),
    ({"size": (2, 2, 2)}, ValueError, r"size expects an int or 2 ints"),
    ({"size": 2.0}, TypeError, r"size expects ints, got 2\.0"),
    ({"scale": 0.2}, ValueError, r"spatial axis 0: floor\(4 \* 0\.2\) is 0"),
    ({"scale": (1, 0.3)}, ValueError, r"spatial axis 1: floor\(3 \* 0\.3\) is 0"),
    ({"scale": -1}, ValueError, r"scale must be greater than 0 and finite, got -1"),
    ({"scale": math.inf}, ValueError, r"scale must be greater than 0 and finite"),
    ({"scale": math.nan}, ValueError, r"scale must be greater than 0 and finite"),
    ({"scale": True}, TypeError, r"scale must be a number, got True"),
    ({"scale": "2"}, TypeError, r"scale must be a number, got '2'"),
    ({"scale": (1, 2, 3)}, ValueError, r"scale expects a number or 2 numbers"),
    ({"size": 2, "method": "bilinear"}, ValueError, r"method must be one of 'nearest', 'linear'"),
    ({"size": 2, "coordinates": "pytorch"}, ValueError, r"coordinates must be one of"),
    ({"size": 2, "rounding": "up"}, ValueError, r"rounding must be one of 'half_up', 'half_down'"),
    ({"size": 2, "data_format": "NHWC"}, ValueError, r"data_format must be"),
]


@pytest.mark.parametrize(("config", "error", "message"), ERRORS)
def test_errors(config, error, message):
    with pytest.raises(error, match=f"^resize: .*{message}"):
        ac.resize(X, **config)
    with pytest.raises(error, match=f"^resize_vjp: .*{message}"):
        ac.resize_vjp(X, X, **config)


def test_errors_of_arrays():
    with pytest.raises(TypeError, match=r"^resize: x must have a real floating dtype, got int64"):
        ac.resize(X.astype(np.int64), scale=2)
    with pytest.raises(ValueError, match=r"^resize: x must have a batch axis, one or more spatial"):
        ac.resize(X[0, 0], scale=2)
    with pytest.raises(ValueError, match=r"^resize: x has an empty spatial axis: \(0, 3\)"):
        ac.resize(X[:, :0], size=2)
    with pytest.raises(ValueError, match=r"^resize_vjp: dy must have .*\(1, 8, 6, 2\), got \(1, 4"):
        ac.resize_vjp(X, X, scale=2)
    with pytest.raises(TypeError, match=r"^resize: x must be an array"):
        ac.resize([[1.0]], scale=2)


def test_a_numpy_number_is_a_number():
    want = naive_resize(image((4, 3)), scale=1.5, **FIRST)
    got = ac.resize(image((4, 3)), scale=np.float64(1.5), **FIRST)
    np.testing.assert_array_equal(got, want)
    assert got.dtype == np.float32
    for size in (np.int64(5), (np.int32(5), 6)):
        assert ac.resize(image((4, 3)), size=size, **FIRST).shape[2] == 5
    assert ac.resize(image((4, 3)), scale=np.float32(2), **FIRST).shape == (2, 3, 8, 6)

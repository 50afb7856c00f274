"""What models promise: data does not change them, and a layer of one's own that breaks its contract is named."""

import numpy as np
import pytest

from arrayconv import models

X = np.random.default_rng(0).standard_normal((32, 3))


def large():
    """One weight that float16 does not hold, and one that float32 rounds."""
    model = models.Sequential([models.Dense(1, input_shape=(2,))])
    model.set_weights([[[1e6], [1 / 3]], [0.1]])
    return model


RUNS = {
    "predict": lambda model, x: model.predict(x),
    "call": lambda model, x: model(x),
    "evaluate": lambda model, x: model.evaluate(x, x[:, :1], verbose=0),
    "test_on_batch": lambda model, x: model.test_on_batch(x, x[:, :1]),
    "layer": lambda model, x: model.layers[0](x),
}


@pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "int64", "longdouble"])
def test_data_does_not_change_a_model(run, dtype):
    model = large()
    model.compile("sgd", "mse")
    before, x = model.weights, np.full((4, 2), 0.001).astype(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        run(model, x)
    for name, w in model.weights.items():
        assert w is before[name]


@pytest.mark.parametrize("library", ["jax.numpy", "torch"])
def test_another_library_does_not_change_a_model(library):
    namespace = pytest.importorskip(library)
    model = large()
    before = model.weights
    y = model.predict(namespace.ones((2, 2), dtype=namespace.float32))
    assert type(y) is type(namespace.ones(1))
    np.testing.assert_allclose(np.asarray(y), 1e6 + 1 / 3 + 0.1, rtol=1e-7)
    assert all(w is before[name] for name, w in model.weights.items())


def test_moving_averages_keep_their_dtype():
    model = models.Sequential([models.BatchNormalization(input_shape=(2,))])
    model.to(like=np.ones((), dtype=np.float64))
    model(np.asarray([[1.0, 3.0], [3.0, 7.0]], dtype=np.float16), training=True)
    mean = model.weights["batch_normalization/moving_mean"]
    assert mean.dtype == np.float64
    np.testing.assert_allclose(mean, [0.02, 0.05], rtol=1e-3)
    layer = model.layers[0]
    layer(np.asarray([[1.0, 3.0]], dtype=np.float32), training=True)
    assert layer.weights["moving_mean"].dtype == np.float64


def test_validation_of_another_dtype_does_not_change_the_training():
    def trained(**more):
        model = large()
        model.compile(models.SGD(0.0), "mse")
        model.fit(X[:, :2], X[:, 2:], epochs=2, verbose=0, **more)
        return model.get_weights()

    x, y = X[:, :2].astype(np.float16), X[:, 2:]
    with np.errstate(over="ignore", invalid="ignore"):
        held = trained(validation_data=[(x, y)])
    for got, want in zip(held, trained(), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.skipif(np.dtype(np.longdouble) == np.float64, reason="long doubles are doubles here")
def test_integers_after_long_doubles():
    model = models.Sequential([models.Dense(1, kernel_initializer="ones", input_shape=(2,))])
    model.predict(np.ones((2, 2), dtype=np.longdouble))
    y = model.predict(np.ones((2, 2), dtype=np.int64))
    assert y.dtype == np.longdouble
    np.testing.assert_array_equal(y, [[2], [2]])


class Scale(models.Layer):
    """Right, but for what a test puts in place of its results."""

    def __init__(self, broken=None, **common):
        super().__init__(**common)
        self.broken = broken or {}

    def build(self, shape):
        return {
            "s": models.WeightSpec(shape, "ones"),
            "seen": models.WeightSpec((), "zeros", trainable=False),
        }

    def forward(self, w, x, *, training):
        y = x * w["s"]
        right = (y, {"seen": w["seen"] + 1}) if training else y
        return self.broken.get("forward", lambda y: right)(y)

    def backward(self, dy, w, x):
        dx, ds = dy * w["s"], (dy * x).sum(0)
        return self.broken.get("backward", lambda dx, ds: (dx, {"s": ds}))(dx, ds)


MISTAKES = [
    ({"forward": lambda y: (y, None)}, TypeError, "forward must return y, .*, got a tuple of 2"),
    ({"forward": lambda y: (y, y)}, TypeError, r"forward must return y, or \(y, updates\)"),
    ({"forward": lambda y: (y, {}, {})}, TypeError, "forward must return y, .*got a tuple of 3"),
    ({"forward": lambda y: None}, TypeError, "forward must return the output as an array"),
    ({"forward": lambda y: 1.0}, TypeError, "the output as an array, got a float"),
    ({"forward": lambda y: y[:, :2]}, ValueError, r"output in the shape \(8, 3\), got \(8, 2"),
    ({"forward": lambda y: y.sum()}, ValueError, r"output in the shape \(8, 3\), got \(\)"),
    ({"forward": lambda y: y[:1]}, ValueError, r"output in the shape \(8, 3\), got \(1, 3\)"),
    ({"forward": lambda y: (y, {"sen": y})}, ValueError, r"new value of 'sen'.*weights \('seen'\)"),
    ({"forward": lambda y: (y, {"s": y[0]})}, ValueError, "new value of 's', and may return those"),
    ({"forward": lambda y: (y, {"seen": y})}, ValueError, r"new 'seen' in the shape \(\), got"),
    ({"backward": lambda dx, ds: dx}, TypeError, r"must return \(dx, dws\).*got an array of shape"),
    ({"backward": lambda dx, ds: (dx,)}, TypeError, r"must return \(dx, dws\).*a tuple of 1"),
    ({"backward": lambda dx, ds: (dx, ds)}, TypeError, r"must return \(dx, dws\).*a tuple of 2"),
    (
        {"backward": lambda dx, ds: ((dx,), {"s": ds})},
        TypeError,
        "the gradient of its one input before the dict, got a tuple of 1",
    ),
    (
        {"backward": lambda dx, ds: (None, {"s": ds})},
        TypeError,
        "backward must return the gradient of the input as an array, got None",
    ),
    (
        {"backward": lambda dx, ds: (ds, {"s": ds})},
        ValueError,
        r"the gradient of the input in the shape \(8, 3\), got \(3,\)",
    ),
    ({"backward": lambda dx, ds: (dx, {})}, ValueError, "returned no gradient of 's', which wo"),
    (
        {"backward": lambda dx, ds: (dx, {"S": ds})},
        ValueError,
        "returned a gradient of 'S', and the layer's weights are 's', 'seen'",
    ),
    (
        {"backward": lambda dx, ds: (dx, {"s": dx})},
        ValueError,
        r"the gradient of 's' in the shape \(3,\), got \(8, 3\)",
    ),
    (
        {"backward": lambda dx, ds: (dx, {"s": ds.sum()})},
        ValueError,
        r"the gradient of 's' in the shape \(3,\), got \(\)",
    ),
    (
        {"backward": lambda dx, ds: (dx, {"s": None})},
        TypeError,
        "the gradient of 's' as an array, got None",
    ),
    (
        {"backward": lambda dx, ds: (dx, {"s": 1.0})},
        TypeError,
        "the gradient of 's' as an array, got a float",
    ),
]


@pytest.mark.parametrize("library", ["numpy", "jax.numpy", "torch"])
@pytest.mark.parametrize(
    ("broken", "kind", "message"), MISTAKES, ids=[message for *_, message in MISTAKES]
)
def test_a_layer_that_breaks_its_contract_is_named(broken, kind, message, library):
    namespace = pytest.importorskip(library)
    model = models.Sequential(
        [models.Input((3,)), models.Dense(3), Scale(broken, name="mine"), models.Dense(1)]
    )
    model.compile("sgd", "mse")
    before = model.get_weights()
    x = namespace.asarray(X.astype(np.float32))
    with pytest.raises(kind, match=f"^Scale 'mine': .*{message}"):
        model.fit(x, X[:, :1], batch_size=8, verbose=0)
    for got, want in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(got, want.astype(got.dtype))
    if "forward" in broken:
        with pytest.raises(kind, match=f"^Scale: .*{message}"):
            Scale(broken)(X[:8])


def test_a_layer_that_keeps_its_contract_trains():
    layer = Scale(name="mine")
    model = models.Sequential([models.Input((3,)), layer])
    model.compile(models.SGD(0.5), "mse")
    model.fit(X, X * [2.0, 3.0, 4.0], epochs=60, verbose=0)
    np.testing.assert_allclose(model.weights["mine/s"], [2, 3, 4], rtol=1e-3)
    assert float(model.weights["mine/seen"]) == 60
    layer.trainable = False
    model(X, training=True)
    assert float(model.weights["mine/seen"]) == 61


def test_a_frozen_layer_needs_no_gradients_of_its_weights():
    first, frozen = models.Dense(3), Scale({"backward": lambda dx, ds: (dx, {})})
    frozen.trainable = False
    model = models.Sequential([models.Input((3,)), first, frozen])
    model.compile("sgd", "mse")
    before = first.get_weights()
    model.fit(X, X, verbose=0)
    assert any((a != b).any() for a, b in zip(before, first.get_weights(), strict=True))


BUILDS = [
    (lambda shape: None, "Odd: build must return a dict of name to WeightSpec, got None"),
    (lambda shape: [], "Odd: build must return a dict"),
    (lambda shape: {"s": models.WeightSpec(3, "ones")}, "Odd: s: a shape is a tuple"),
    (lambda shape: {"s": models.WeightSpec((None,))}, "Odd: s: a shape is a tuple"),
]


@pytest.mark.parametrize(("build", "message"), BUILDS, ids=[m for _, m in BUILDS])
def test_what_build_must_return(build, message):
    odd = type("Odd", (models.Layer,), {"build": lambda self, shape: build(shape)})
    with pytest.raises((TypeError, ValueError), match=message):
        odd()(X)


def test_the_layer_of_another_library_is_told_the_names_here():
    class OfKeras(models.Layer):
        def call(self, x):
            return x

    with pytest.raises(NotImplementedError, match=r"Keras's call\(x\) is forward\(w, x\)"):
        OfKeras()(X)
    with pytest.raises(ValueError, match=r"got \(N, 28, 28\); x\[..., None\] adds the axis"):
        models.layers.Conv2D(3, 3)(np.ones((2, 28, 28)))


def test_initializers_and_regularizers_may_be_classes():
    layer = models.Dense(2, kernel_initializer=models.Ones, kernel_regularizer=models.L2)
    layer(X)
    assert (layer.get_weights()[0] == 1).all()
    assert isinstance(layer.specs["kernel"].regularizer, models.L2)

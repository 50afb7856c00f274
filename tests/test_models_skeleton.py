"""The graph, its program and the step of training: what every layer and every loop relies on."""

import weakref

import numpy as np
import pytest

from arrayconv import models
from arrayconv.models import layers
from arrayconv.models.graph import Graph

RNG = np.random.default_rng(0)


class Scale(models.Layer):
    """The layer of one's own that the documentation shows."""

    def build(self, shape):
        return {"s": models.WeightSpec((shape[-1],), "ones")}

    def forward(self, w, x):
        return x * w["s"]

    def backward(self, dy, w, x):
        return dy * w["s"], {"s": (dy * x).sum(tuple(range(x.ndim - 1)))}


def skip():
    start = models.Input((6, 6, 2))
    left = models.Conv(3, 3, padding="same", activation="gelu", name="left")(start)
    right = Scale()(models.BatchNormalization()(models.Conv(3, 1, use_bias=False)(start)))
    pooled = models.MaxPool(2)(left + right)
    return Graph([start], [models.Dense(2)(models.Flatten()(models.Dropout(0.5)(pooled)))], "skip")


def shared():
    start, other = models.Input((4,)), models.Input((4,))
    dense = models.Dense(4, activation="tanh")
    first = dense(dense(start))
    return Graph([start, other], [first, models.Add()([dense(other), first])], "shared")


@pytest.mark.parametrize("make", [skip, shared])
def test_gradients_are_those_of_central_differences(make):
    graph = make()
    graph.draw()
    program, weights = graph.program, graph.weights
    x = [RNG.standard_normal((5, *node.sample)) for node in graph.inputs]
    dys = [RNG.standard_normal((5, *node.sample)) for node in graph.outputs]
    noise = program.noise(5, 0)

    def total(weights):
        outputs, _, _ = program.forward(weights, x, training=True, noise=noise)
        return sum(float((y * dy).sum()) for y, dy in zip(outputs, dys, strict=True))

    _, tape, _ = program.forward(weights, x, training=True, noise=noise)
    gradients = program.backward(dys, weights, tape)
    assert set(gradients) == set(graph.trainable)
    for (layer, name), got in gradients.items():
        for at in [(0,) * got.ndim, tuple(n - 1 for n in got.shape)]:
            moved = []
            for sign in (1, -1):
                w = weights[layer][name].copy()
                w[at] += sign * 1e-6
                moved.append(total({**weights, layer: {**weights[layer], name: w}}))
            np.testing.assert_allclose(got[at], (moved[0] - moved[1]) / 2e-6, rtol=1e-5, atol=1e-7)


def test_the_tape_keeps_what_backward_names():
    graph = skip()
    graph.draw()
    x = [RNG.standard_normal((5, 6, 6, 2))]
    _, tape, _ = graph.program.forward(
        graph.weights, x, training=True, noise=graph.program.noise(5, 0)
    )
    kept = {type(step.layer).__name__: (len(inputs), sorted(given)) for step, inputs, given in tape}
    assert kept == {
        "Conv": (1, ["wrt"]),
        "GELU": (1, []),
        "BatchNormalization": (1, ["training"]),
        "Scale": (1, []),
        "Add": (2, []),
        "MaxPool": (1, ["y"]),
        "Dropout": (0, ["noise"]),
        "Flatten": (1, []),
        "Dense": (1, ["wrt"]),
    }
    assert all(step.wrt == ("w", "b") for step, *_ in tape if isinstance(step.layer, models.Conv))


def test_a_tape_serves_once():
    graph = skip()
    graph.draw()
    program, x = graph.program, [RNG.standard_normal((2, 6, 6, 2))]
    _, tape, _ = program.forward(graph.weights, x, training=True)
    program.backward([np.ones((2, 2))], graph.weights, tape)
    with pytest.raises(ValueError, match="the tape is empty"):
        program.backward([np.ones((2, 2))], graph.weights, tape)


def test_freezing_makes_another_program():
    graph = skip()
    before = graph.program
    graph.layers[-1].trainable = False
    assert ("dense", "kernel") not in graph.program.trainable
    graph.layers[-1].trainable = True
    assert graph.program is before


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (
            {"backward": lambda self, dy, w, *, mask: dy},
            "Odd: backward names 'mask'; it may name y",
        ),
        ({"forward": lambda self, w, x, *, y: x}, "Odd: forward names 'y'; it may name training"),
        ({"forward": lambda self, w, x, training=False: x}, "must name 'training' after \\*"),
        ({"forward": lambda self, w, x, **more: x}, "Odd: forward names 'more'"),
    ],
)
def test_a_method_may_name_only_what_there_is(methods, message):
    with pytest.raises(TypeError, match=message):
        type("Odd", (models.Layer,), methods)


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        (models.WeightSpec((3,), "one"), ValueError, "Odd: the initializer of 's' must .* 'ones'"),
        (((3,), "ones"), TypeError, "Odd: build must return a dict of name to WeightSpec, got 's'"),
        (models.WeightSpec((3,), regularizer="l3"), ValueError, "Odd: the regularizer of 's' must"),
    ],
)
def test_a_wrong_weight_is_named(spec, kind, message):
    odd = type("Odd", (models.Layer,), {"build": lambda self, shape: {"s": spec}})
    with pytest.raises(kind, match=message):
        odd()(models.Input((3,)))


def pictures(library):
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((96, 8, 8, 1)).astype("float32"), rng.integers(0, 3, 96)
    return library.asarray(x), y


def classifier():
    return models.Sequential(
        [
            models.Conv(4, 3, padding="same", activation="relu", input_shape=(8, 8, 1)),
            models.BatchNormalization(),
            models.MaxPool(),
            models.Flatten(),
            models.Dropout(0.25),
            models.Dense(3, activation="softmax", kernel_regularizer="l2"),
        ]
    )


def losses(library, **how):
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x, y = pictures(library)
    return model, model.fit(x, y, epochs=3, verbose=0, **how).history["loss"]


@pytest.mark.parametrize("library", ["jax.numpy", "torch"])
def test_libraries_train_alike(library):
    model, got = losses(pytest.importorskip(library), batch_size=40)
    other, want = losses(np, batch_size=40)
    np.testing.assert_allclose(got, want, rtol=1e-4)
    assert got[-1] < got[0]
    assert list(model.weights) == list(other.weights)


def test_an_epoch_depends_on_the_seed_and_the_step_alone():
    x, y = pictures(np)

    def trained(*epochs):
        model = classifier()
        model.compile("adam", "sparse_categorical_crossentropy")
        found = [model.fit(x, y, epochs=n, verbose=0).history["loss"] for n in epochs]
        return [loss for part in found for loss in part]

    assert trained(4) == trained(1, 3)


def test_an_activation_may_be_a_layer_or_a_pair():
    def cube(x):
        return x**3

    def cube_vjp(dy, x):
        return dy * 3 * x**2

    x = np.asarray([[2.0, -1.0]])
    ones = {"kernel_initializer": "ones", "use_bias": False}
    assert models.Dense(1, activation=(cube, cube_vjp), **ones)(x) == 1
    assert models.Dense(1, activation=layers.LeakyReLU(0.5), **ones)(-x) == -0.5
    with pytest.raises(ValueError, match="activation must be a layer without weights, got Scale"):
        models.Dense(1, activation=Scale())(x)
    assert models.Dense(1, activation="swish").get_config()["activation"] == "swish"


def test_a_loss_may_be_a_pair():
    def half(y, p):
        return ((p - y) ** 2).sum(-1) / 2

    def half_vjp(dy, y, p):
        return dy[:, None] * (p - y)

    x = RNG.standard_normal((64, 1))
    model = models.Sequential([models.Dense(1, input_shape=(1,))])
    model.compile(models.SGD(0.5), loss=(half, half_vjp))
    model.fit(x, 3 * x + 1, epochs=30, verbose=0)
    np.testing.assert_allclose(np.concatenate(model.get_weights(), None), [3, 1], rtol=1e-4)


def test_a_regularizer_adds_to_loss_and_gradient():
    model = models.Sequential(
        [models.Dense(1, kernel_initializer="ones", kernel_regularizer="l2", input_shape=(2,))]
    )
    model.compile(models.SGD(1.0), "mse")
    x = np.zeros((4, 2))
    np.testing.assert_allclose(model.evaluate(x, x[:, :1], verbose=0), 0.02)
    model.fit(x, x[:, :1], verbose=0)
    np.testing.assert_allclose(model.get_weights()[0], [[0.98], [0.98]])


def test_a_shared_normalization_goes_on_from_its_first_update():
    start = models.Input((2,))
    norm = models.BatchNormalization(momentum=0.5)
    graph = Graph([start], [norm(norm(start))], "twice")
    graph.draw()
    x = np.asarray([[1.0, 3.0], [3.0, 7.0]])
    _, _, updates = graph.program.forward(graph.weights, [x], training=True)
    # the mean of the batch, then that of its normalized values, which is 0
    np.testing.assert_allclose(
        updates["batch_normalization"]["moving_mean"], [0.5, 1.25], atol=1e-12
    )


def test_values_are_freed_once_they_are_read():
    alive = []

    class Watch(models.Layer):
        def forward(self, w, x):
            y = x + 1
            alive.append(weakref.ref(y))
            seen.append(sum(a() is not None for a in alive))
            return y

    seen = []
    x = node = models.Input((2,))
    for _ in range(5):
        node = Watch()(node)
    Graph([x], [node], "chain").program.forward(
        {f"watch{i}": {} for i in ("", "_1", "_2", "_3", "_4")}, [np.ones((2, 2))]
    )
    assert max(seen) == 2

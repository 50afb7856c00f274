"""Optimizers, schedules, losses, metrics and whole steps against Keras 3."""

import numpy as np
import pytest
from reference_keras import keras_in

from arrayconv import models
from arrayconv.namespace import array_namespace

RNG = np.random.default_rng(5)
X = RNG.standard_normal((8, 6, 6, 2))
LABELS = RNG.integers(0, 4, 8)
SHAPES = {"kernel": (3, 4), "bias": (4,)}
WEIGHTS = {name: RNG.standard_normal(shape) for name, shape in SHAPES.items()}
GRADIENTS = [
    {name: 3 * RNG.standard_normal(shape) for name, shape in SHAPES.items()} for _ in range(3)
]


OPTIMIZERS = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.3, "momentum": 0.9}),
    ("SGD", {"momentum": 0.8, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"clipnorm": 1.5}),
    ("SGD", {"clipnorm": 1e3}),
    ("SGD", {"clipvalue": 0.7}),
    ("SGD", {"global_clipnorm": 2.0}),
    ("RMSprop", {}),
    ("RMSprop", {"rho": 0.7, "momentum": 0.5, "epsilon": 1e-3}),
    ("Adam", {}),
    ("Adam", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.3, "global_clipnorm": 1.0}),
    ("Nadam", {}),
    ("Nadam", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-2}),
    ("Adagrad", {}),
    ("Adagrad", {"learning_rate": 0.3, "initial_accumulator_value": 0.0, "weight_decay": 0.1}),
    ("Lion", {}),
    ("Lion", {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.7, "clipnorm": 1.0}),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", OPTIMIZERS, ids=lambda case: f"{case[0]}-{case[1]}")
def test_steps_of_optimizers(case, dtype):
    name, arguments = case
    ours = getattr(models.optimizers, name)(**arguments)
    weights = {key: w.astype(dtype) for key, w in WEIGHTS.items()}
    state = ours.init(weights)
    with keras_in(dtype) as keras:
        theirs = getattr(keras.optimizers, name)(**arguments)
        variables = [keras.Variable(w) for w in weights.values()]
        for step, gradients in enumerate(GRADIENTS):
            gradients = {key: g.astype(dtype) for key, g in gradients.items()}
            weights, state = ours.update(gradients, state, weights, ours.coefficients(step))
            tensors = [keras.ops.convert_to_tensor(g) for g in gradients.values()]
            theirs.apply_gradients(zip(tensors, variables, strict=True))
            for ours_w, theirs_w in zip(weights.values(), variables, strict=True):
                assert ours_w.dtype == dtype
                tolerance = 1e-5 if dtype == "float32" else 1e-10
                np.testing.assert_allclose(
                    ours_w, np.asarray(theirs_w), rtol=tolerance, atol=tolerance
                )


SCHEDULES = [
    ("ExponentialDecay", (0.1, 5, 0.7), {}),
    ("ExponentialDecay", (0.1, 5, 0.7), {"staircase": True}),
    ("PolynomialDecay", (0.5, 8), {"end_learning_rate": 0.1, "power": 2.0}),
    ("PolynomialDecay", (0.5, 4), {"power": 2.0, "cycle": True}),
    ("PiecewiseConstantDecay", ([3, 7], [1.0, 0.5, 0.1]), {}),
    ("CosineDecay", (0.2, 6), {"alpha": 0.1}),
    ("CosineDecay", (0.05, 6), {"warmup_target": 0.4, "warmup_steps": 4}),
]


@pytest.mark.parametrize("case", SCHEDULES, ids=lambda case: case[0])
def test_schedules(case):
    name, args, kwargs = case
    ours = getattr(models, name)(*args, **kwargs)
    with keras_in("float64") as keras:
        theirs = getattr(keras.optimizers.schedules, name)(*args, **kwargs)
        for step in range(14):
            assert ours(step) == pytest.approx(float(theirs(step)), rel=1e-12, abs=1e-15), step


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


P = softmax(RNG.standard_normal((6, 4)))
# Not a distribution, and past the clip of Keras.
ROUGH = np.asarray([[0.5, 1e-9, 0.2, 0.1], [1 - 1e-9, 1e-10, 1e-10, 1e-10]])
ONE_HOT = np.eye(4)
LOSSES = [
    ("MeanSquaredError", {}, RNG.standard_normal((6, 4)), RNG.standard_normal((6, 4))),
    ("MeanSquaredError", {}, RNG.standard_normal((3, 2, 4)), RNG.standard_normal((3, 2, 4))),
    ("MeanSquaredError", {}, RNG.standard_normal(6), RNG.standard_normal((6, 1))),
    ("MeanAbsoluteError", {}, RNG.standard_normal((6, 4)), RNG.standard_normal((6, 4))),
    ("BinaryCrossentropy", {}, RNG.integers(0, 2, (6, 4)), P),
    ("BinaryCrossentropy", {}, RNG.random((2, 4)), ROUGH),
    ("BinaryCrossentropy", {"from_logits": True}, RNG.random((6, 4)), 9 * P),
    ("CategoricalCrossentropy", {}, ONE_HOT[RNG.integers(0, 4, 6)], P),
    ("CategoricalCrossentropy", {}, RNG.random((2, 4)), ROUGH),
    ("CategoricalCrossentropy", {"from_logits": True}, ONE_HOT[RNG.integers(0, 4, 6)], 9 * P),
    ("SparseCategoricalCrossentropy", {}, RNG.integers(0, 4, 6), P),
    ("SparseCategoricalCrossentropy", {}, RNG.integers(0, 4, (6, 1)), P),
    ("SparseCategoricalCrossentropy", {}, np.asarray([1.0, 0.0]), ROUGH),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, RNG.integers(0, 4, 6), 9 * P),
    ("SparseCategoricalCrossentropy", {}, RNG.integers(0, 4, (3, 2)), P.reshape(3, 2, 4)),
    ("BinaryCrossentropy", {"label_smoothing": 0.2}, RNG.integers(0, 2, (6, 4)), P),
    (
        "BinaryCrossentropy",
        {"from_logits": True, "label_smoothing": 0.3},
        RNG.integers(0, 2, (6, 1)),
        RNG.standard_normal((6, 1)),
    ),
    ("CategoricalCrossentropy", {"label_smoothing": 0.2}, ONE_HOT[RNG.integers(0, 4, 6)], P),
    (
        "CategoricalCrossentropy",
        {"from_logits": True, "label_smoothing": 0.1},
        ONE_HOT[RNG.integers(0, 4, (3, 2))],
        9 * P.reshape(3, 2, 4),
    ),
    ("Huber", {}, RNG.standard_normal((6, 4)), 3 * RNG.standard_normal((6, 4))),
    ("Huber", {"delta": 0.4}, RNG.standard_normal((3, 2, 4)), RNG.standard_normal((3, 2, 4))),
    ("Hinge", {}, RNG.integers(0, 2, (6, 4)), 2 * RNG.standard_normal((6, 4))),
    ("Hinge", {}, 2 * RNG.integers(0, 2, 6) - 1, 2 * RNG.standard_normal((6, 1))),
    ("Hinge", {}, RNG.integers(0, 2, (3, 2, 4)), 2 * RNG.standard_normal((3, 2, 4))),
    ("KLDivergence", {}, softmax(RNG.standard_normal((6, 4))), P),
    ("KLDivergence", {}, RNG.random((2, 4)), ROUGH),
    ("KLDivergence", {}, ONE_HOT[RNG.integers(0, 4, (3, 2))], P.reshape(3, 2, 4)),
    ("CosineSimilarity", {}, RNG.standard_normal((6, 4)), RNG.standard_normal((6, 4))),
    ("CosineSimilarity", {}, RNG.standard_normal((3, 2, 4)), RNG.standard_normal((3, 2, 4))),
    ("CosineSimilarity", {}, RNG.standard_normal((2, 4)), np.asarray([[1e-9] * 4, [3.0] * 4])),
]


@pytest.mark.parametrize("case", LOSSES, ids=lambda case: f"{case[0]}-{case[1]}-{case[3].shape}")
def test_losses_and_their_gradients(xp, case):
    name, arguments, y, p = case
    ours = getattr(models.losses, name)(**arguments)
    with keras_in("float64") as keras:
        import jax

        theirs = getattr(keras.losses, name)(**arguments)
        value, gradient = map(np.asarray, jax.value_and_grad(lambda q: theirs(y, q))(p))
    labels, there = xp.array(y), xp.array(p)
    np.testing.assert_allclose(xp.to_numpy(ours(labels, there)), value, rtol=1e-12)
    y_true = ours.targets(array_namespace("", y=there), labels, there)
    dy = xp.array(np.full(len(p), 1 / len(p)))
    found = xp.to_numpy(ours.gradient(dy, y_true, there))
    np.testing.assert_allclose(found, gradient, rtol=1e-9, atol=1e-12)


BINARY = RNG.integers(0, 2, (9, 1))
Q = RNG.random((9, 1))
METRICS = [
    ("BinaryAccuracy", BINARY, Q, {}),
    ("BinaryAccuracy", BINARY, Q, {"threshold": 0.3}),
    ("CategoricalAccuracy", ONE_HOT[RNG.integers(0, 4, 6)], P, {}),
    ("SparseCategoricalAccuracy", RNG.integers(0, 4, (6, 1)), P, {}),
    ("SparseTopKCategoricalAccuracy", RNG.integers(0, 4, 6), P, {"k": 2}),
    ("TopKCategoricalAccuracy", ONE_HOT[RNG.integers(0, 4, 6)], P, {"k": 2}),
    ("Precision", BINARY, Q, {}),
    ("Recall", BINARY, Q, {}),
    ("Precision", BINARY, 0 * Q, {}),
    ("Recall", BINARY, Q, {"thresholds": 0.2}),
]


@pytest.mark.parametrize("case", METRICS, ids=lambda case: f"{case[0]}-{case[3]}")
def test_metrics(xp, case):
    name, y, p, arguments = case
    found = getattr(models, name)(**arguments)(xp.array(y), xp.array(p))
    with keras_in("float64") as keras:
        theirs = getattr(keras.metrics, name)(**arguments)
        theirs.update_state(y, p)
        expected = float(theirs.result())
    np.testing.assert_allclose(xp.to_numpy(found), expected, rtol=1e-12)


def values(model):
    return [np.asarray(v.value) for v in model.weights]


def pair(keras, dtype):
    """The same small network here and there, with the same weights.

    No bias before the normalization: its gradient is rounding alone, which Adam makes large.
    """
    k, m = keras.layers, models
    theirs = keras.Sequential(
        [
            keras.Input((6, 6, 2), dtype=dtype),
            k.Conv2D(3, 3, padding="same", use_bias=False),
            k.BatchNormalization(),
            k.ReLU(),
            k.MaxPooling2D(2),
            k.Flatten(),
            k.Dense(4, activation="softmax"),
        ]
    )
    ours = m.Sequential(
        [
            m.Input((6, 6, 2)),
            m.Conv(3, 3, padding="same", use_bias=False),
            m.BatchNormalization(),
            m.ReLU(),
            m.MaxPool(2),
            m.Flatten(),
            m.Dense(4, activation="softmax"),
        ]
    )
    rng = np.random.default_rng(9)
    weights = [w + 0.1 * rng.random(w.shape) for w in ours.get_weights()]
    ours.set_weights(weights)
    theirs.set_weights(weights)
    return ours, theirs


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("SGD", {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True}),
        ("RMSprop", {}),
        ("Adam", {"clipnorm": 0.1}),
        ("AdamW", {}),
    ],
)
def test_steps_of_a_network(name, arguments, dtype):
    x = X.astype(dtype)
    weight = np.linspace(0.5, 2, 8).astype(dtype)
    tolerance = 1e-5 if dtype == "float32" else 1e-10
    with keras_in(dtype) as keras:
        ours, theirs = pair(keras, dtype)
        for model, library in ((ours, models), (theirs, keras.optimizers)):
            model.compile(
                getattr(library, name)(**arguments),
                loss="sparse_categorical_crossentropy",
                metrics=["accuracy"],
            )
        for given in (None, weight):
            mine = ours.train_on_batch(x, LABELS, sample_weight=given)
            theirs.reset_metrics()
            other = theirs.train_on_batch(x, LABELS, sample_weight=given)
            np.testing.assert_allclose(mine, [float(v) for v in other], rtol=tolerance)
            for a, b in zip(ours.get_weights(), values(theirs), strict=True):
                assert a.dtype == dtype
                np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_two_outputs():
    with keras_in("float64") as keras:
        k, m = keras.layers, models
        a = keras.Input((5,), name="x")
        h = k.Dense(3, activation="tanh")(a)
        theirs = keras.Model(
            a, [k.Dense(1, name="p")(h), k.Dense(4, activation="softmax", name="q")(h)]
        )
        a = m.Input((5,), name="x")
        h = m.Dense(3, activation="tanh")(a)
        ours = m.Model(a, [m.Dense(1, name="p")(h), m.Dense(4, activation="softmax", name="q")(h)])
        theirs.set_weights(ours.get_weights())
        x, t = X[:, 0, 0].repeat(3, -1)[:, :5], X[:, 1, 1, :1]
        chosen = {
            "loss": {"p": "mse", "q": "sparse_categorical_crossentropy"},
            "loss_weights": {"p": 0.3, "q": 1.0},
            "metrics": {"p": ["mae"], "q": ["accuracy"]},
        }
        found = []
        for model in (ours, theirs):
            model.compile("sgd", **chosen)
            found.append(model.train_on_batch(x, {"p": t, "q": LABELS}, return_dict=True))
        mine, other = found
        assert set(mine) == set(other)
        for name, value in mine.items():
            assert value == pytest.approx(float(other[name]), rel=1e-10), name
        for w, v in zip(ours.get_weights(), values(theirs), strict=True):
            np.testing.assert_allclose(w, v, rtol=1e-10, atol=1e-10)


def test_class_weight():
    weights = {0: 2.0, 2: 0.5}
    with keras_in("float64") as keras:
        ours, theirs = pair(keras, "float64")
        for model in (ours, theirs):
            model.compile("sgd", loss="sparse_categorical_crossentropy")
            model.train_on_batch(X, LABELS, class_weight=weights)
        for w, v in zip(ours.get_weights(), values(theirs), strict=True):
            np.testing.assert_allclose(w, v, rtol=1e-10, atol=1e-10)


def test_a_probability_of_one_half_is_not_above_the_threshold():
    half, no = np.full((3, 1), 0.5), np.zeros((3, 1))
    with keras_in("float64") as keras:
        for name in ("BinaryAccuracy", "Precision", "Recall"):
            for y in (no, 1 - no):
                theirs = getattr(keras.metrics, name)()
                theirs.update_state(y, half)
                assert float(getattr(models, name)()(y, half)) == float(theirs.result()), name

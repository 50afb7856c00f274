"""What training says of data, labels and arguments that do not fit, and of losses that are not finite."""

import numpy as np
import pytest
from small_networks import LABELS, LOSS, X, compiled, dense_network

from arrayconv import models


@pytest.mark.backends("numpy", "jax", "torch", "cupy", "cupy-emulated")
@pytest.mark.parametrize(
    ("spoilt", "culprit"),
    [
        ("x", "The cause is in the data: x of Input 'images' holds NaN or inf"),
        ("weight", "The weight 'last/kernel' of layer 'last' is not finite"),
        ("output", r"output is not finite is 'batch_normalization' \(BatchNormalization\)"),
    ],
)
def test_a_loss_that_is_not_finite(xp, spoilt, culprit):
    x = X.copy()
    model = compiled()
    model.fit(xp.array(X), LABELS, verbose=0)
    if spoilt == "x":
        x[25] = np.nan
    elif spoilt == "weight":
        model.weights = {**model.weights, "last/kernel": model.weights["last/kernel"] * np.inf}
    else:
        gamma = model.weights["batch_normalization/gamma"]
        model.weights = {**model.weights, "batch_normalization/gamma": gamma * 1e308}
        x = x * 1e10
    before = model.get_weights()
    number = 4 if spoilt == "x" else 1
    with pytest.raises(
        FloatingPointError, match=f"not finite in epoch 1, batch {number}. .*{culprit}"
    ):
        model.fit(xp.array(x), LABELS, batch_size=8, epochs=3, verbose=0, shuffle=False)
    for w, v in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(w, v)
    assert model.history.epoch == []


@pytest.mark.parametrize("library", ["numpy", "jax.numpy"])
def test_a_learning_rate_that_explodes(library):
    namespace = pytest.importorskip(library)
    model = models.Sequential([models.Dense(1, input_shape=(1,))])
    model.compile(models.SGD(1e30), "mse")
    x = namespace.asarray(np.ones((8, 1), np.float32))
    with pytest.raises(FloatingPointError, match="'dense'.*learning rate, or clipnorm"):
        model.fit(x, 3 * x, epochs=30, batch_size=8, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())


WRONG = [
    (LOSS, LABELS + 1, "y holds values from 1 to 4, and sparse_.* expects whole numbers from 0"),
    (LOSS, LABELS - 1, "y holds values from -1 to 2"),
    (LOSS, LABELS + 0.5, "whole numbers"),
    (LOSS, np.eye(4)[LABELS], "for one-hot labels use loss='categorical_crossentropy'"),
    (LOSS, LABELS[:39], "numbers of rows differ"),
    ("categorical_crossentropy", LABELS, "use loss='sparse_categorical_crossentropy'"),
    ("categorical_crossentropy", 2 * np.eye(4)[LABELS], "probabilities between 0 and 1"),
    ("binary_crossentropy", LABELS, r"Dense\(1, activation='sigmoid'\)"),
    (
        "mse",
        np.zeros((40, 3)),
        "mean_squared_error: y must have the shape of the model's output",
    ),
]


@pytest.mark.parametrize(("loss", "y", "message"), WRONG)
@pytest.mark.parametrize("library", ["numpy", "jax.numpy"])
def test_wrong_labels_change_nothing(loss, y, message, library):
    namespace = pytest.importorskip(library)
    model = dense_network()
    model.compile("adam", loss)
    before = model.get_weights()
    x = namespace.asarray(X.astype(np.float32))
    with pytest.raises(ValueError, match=message):
        model.fit(x, y, verbose=0)
    if len(y) == 40:
        with pytest.raises(ValueError, match=message):
            model.fit([(x[:20], y[:20]), (x[20:], y[20:])], verbose=0)
        with pytest.raises(ValueError, match=message):
            model.evaluate([(x, y)], verbose=0)
        good = LABELS if loss == LOSS else np.eye(4)[LABELS]
        with pytest.raises(ValueError, match=message):
            model.fit(x, good, validation_data=(x, y), verbose=0)
    for w, v in zip(model.get_weights(), before, strict=True):
        # moved beside the data, in float32
        np.testing.assert_array_equal(w, v.astype(w.dtype))


CALLS = [
    (
        lambda: dense_network().fit(X, LABELS),
        ValueError,
        "fit: Sequential 'sequential' is not compiled yet",
    ),
    (lambda: dense_network().evaluate(X, LABELS), ValueError, "evaluate: .* call compile"),
    (lambda: dense_network().compile("adam"), ValueError, "compile: loss is missing"),
    (lambda: dense_network().compile("adma", "mse"), ValueError, "optimizer .*did you mean 'adam'"),
    (lambda: dense_network().compile("adam", "cross"), ValueError, "compile: loss must be one of"),
    (
        lambda: dense_network().compile("adam", "mse", metrics=["accurcy"]),
        ValueError,
        "mean 'accuracy'",
    ),
    (
        lambda: dense_network().compile("adam", "mse", metrics=["mse", "mse"]),
        ValueError,
        "two metrics are called 'mse'",
    ),
    (
        lambda: dense_network().compile("adam", lambda a, b: a),
        TypeError,
        "not differentiated automatically",
    ),
    (lambda: dense_network().compile("adam", ["mse", "mse"]), ValueError, "must have 1 entries"),
    (lambda: compiled().fit(X), ValueError, "fit: y is missing"),
    (lambda: compiled().fit((X, LABELS)), ValueError, "x and y are two arguments"),
    (lambda: compiled().fit(X, LABELS.astype("U")), TypeError, "fit: y must be real floating, int"),
    (lambda: compiled().fit(3), TypeError, "x must be an array"),
    (lambda: compiled().fit([X[:3]], LABELS), ValueError, "numbers of rows differ"),
    (lambda: compiled().fit(X[..., 0], LABELS), ValueError, r"x\[..., None\] adds"),
    (lambda: compiled().fit([(X, LABELS)], LABELS), ValueError, "y goes with arrays"),
    (lambda: compiled().fit([(X,)]), ValueError, r"each batch of x must be \(x, y\)"),
    (lambda: compiled().fit([]), ValueError, "x gave no batches"),
    (lambda: compiled().fit({}, LABELS), TypeError, "fit: x must be an array, .*, got {}"),
    (lambda: compiled().fit([({}, LABELS)]), ValueError, "the inputs are called images, got $"),
    (lambda: compiled().train_on_batch([], []), TypeError, "train_on_batch: x must be an array"),
    (
        lambda: compiled().fit([(X, LABELS)], validation_split=0.2),
        ValueError,
        "x is an iterable of batches; give validation_data",
    ),
    (
        lambda: dense_network().compile("adam", LOSS, ["accuracy"]),
        TypeError,
        r"loss_weights must be numbers, got 'accuracy'; .* write metrics=\[",
    ),
    (lambda: compiled().fit(X, LABELS, epochs=1.5), TypeError, "epochs must be an int"),
    (
        lambda: compiled().fit(X, LABELS, initial_epoch=-1),
        ValueError,
        "initial_epoch must be an int",
    ),
    (
        lambda: compiled().fit(X, LABELS, initial_epoch="0"),
        TypeError,
        "initial_epoch must be an int",
    ),
    (
        lambda: compiled().fit([(X, LABELS)], steps_per_epoch=0),
        ValueError,
        "int of at least 1, got 0",
    ),
    (
        lambda: compiled().fit(X, LABELS, validation_split="0.2"),
        TypeError,
        "validation_split must be a number, got '0.2'",
    ),
    (
        lambda: compiled().fit(X, LABELS, class_weight=[1, 2]),
        TypeError,
        "class_weight must be a dict",
    ),
    (lambda: compiled().fit(X, LABELS, class_weight={0: None}), TypeError, "got 0: None"),
    (
        lambda: compiled().fit(X, LABELS, class_weight={0: 1.0, 1: np.nan}),
        ValueError,
        "class_weight must have finite factors, got 1: nan",
    ),
    (
        lambda: compiled().fit(X, LABELS, sample_weight=np.where(LABELS == 1, np.inf, 1.0)),
        FloatingPointError,
        "The cause is in the data: sample_weight holds NaN or inf",
    ),
    (lambda: compiled().fit(X, LABELS, shuffle="no"), TypeError, "fit: shuffle must be True or"),
    (
        lambda: dense_network().compile("adam", LOSS, loss_weights=np.nan),
        ValueError,
        "compile: loss_weights must be a finite number, got nan",
    ),
    (lambda: compiled().fit(X, LABELS, verbose=3), ValueError, "verbose must be"),
    (lambda: compiled().fit(X, LABELS, batch_size=0), ValueError, "fit: batch_size must be an"),
    (lambda: compiled().fit(X, LABELS, validation_split=1.0), ValueError, "validation_split must"),
    (lambda: compiled().fit(X[:1], LABELS[:1], validation_split=0.1), ValueError, "both need some"),
    (
        lambda: compiled().fit(X, LABELS, callbacks=[models.callbacks.EarlyStopping]),
        TypeError,
        r"EarlyStopping\(\) makes one",
    ),
    (
        lambda: compiled().fit(X, LABELS, validation_data=(X,)),
        ValueError,
        "validation_data must be",
    ),
    (
        lambda: compiled().fit(X, LABELS, sample_weight=np.ones((40, 2))),
        ValueError,
        "one number per sample",
    ),
    (lambda: compiled().predict(5), TypeError, "predict: x must be an array"),
    (lambda: compiled().predict([]), ValueError, "predict: x has no batches"),
    (
        lambda: compiled().train_on_batch([[1, 2]], [1]),
        TypeError,
        "train_on_batch: x must be an array",
    ),
    (lambda: models.SGD(-1), ValueError, "SGD: learning_rate must be at least 0"),
    (lambda: models.SGD("a"), TypeError, "SGD: learning_rate must be a number, got 'a'"),
    (lambda: models.SGD(np.inf), ValueError, "SGD: learning_rate must be a finite number"),
    (lambda: models.SGD(clipnorm="1"), TypeError, "SGD: clipnorm must be a number, got '1'"),
    (lambda: models.SGD(momentum="1"), TypeError, "SGD: momentum must be a number, got '1'"),
    (lambda: models.SGD(nesterov="no"), TypeError, "SGD: nesterov must be True or False"),
    (
        lambda: models.CosineDecay(0.1, "10"),
        TypeError,
        "CosineDecay: decay_steps must be a number, got '10'",
    ),
    (lambda: models.SGD(clipnorm=1, clipvalue=1), ValueError, "give one of clipnorm"),
    (lambda: models.SGD(momentum=1.0), ValueError, "momentum must be at least 0 and less than 1"),
    (
        lambda: models.Adam(lr=0.1),
        TypeError,
        "Adam: unknown argument 'lr'; did you mean 'learning_rate'",
    ),
    (
        lambda: models.AdamW(beta1=0.1),
        TypeError,
        "AdamW: unknown argument 'beta1'; did you mean 'beta_1'",
    ),
    (lambda: compiled().fit(X, LABELS + 9), ValueError, "from 0 to 3, the output having 4 classes"),
    (lambda: compiled().fit(X, LABELS[None]), ValueError, r"fit: .* y has 1; y\.T turns"),
    (
        lambda: compiled().fit(X, LABELS, sample_weight=np.ones(7)),
        ValueError,
        "fit: .* x has 40, sample_weight has 7",
    ),
    (lambda: compiled().predict(X, steps=0), ValueError, "predict: steps must be an int"),
    (lambda: models.PiecewiseConstantDecay([1], [1]), ValueError, "one number more"),
    (lambda: models.CosineDecay(0.1, 0), ValueError, "decay_steps must be greater than 0"),
]


@pytest.mark.parametrize("call, kind, message", CALLS, ids=[message for *_, message in CALLS])
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
@pytest.mark.parametrize("library", ["numpy", "jax.numpy", "torch"])
def test_wide_labels_do_not_wrap_round(library, dtype):
    namespace = pytest.importorskip(library)
    x = namespace.asarray(X.astype(np.float32))
    compiled().fit(x, LABELS.astype(dtype), verbose=0)
    with pytest.raises(ValueError, match="expects whole numbers from 0"):
        compiled().fit(x, LABELS.astype(dtype) + dtype(2**32), verbose=0)


@pytest.mark.parametrize(
    ("loss", "metric", "message"),
    [
        (LOSS, "categorical_accuracy", "use 'sparse_categorical_accuracy'"),
        (LOSS, "top_k_categorical_accuracy", "use 'sparse_top_k_categorical_accuracy'"),
        ("mse", "sparse_categorical_accuracy", "use 'categorical_accuracy'"),
        ("mse", "sparse_top_k_categorical_accuracy", "use 'top_k_categorical_accuracy'"),
    ],
)
def test_metrics_of_targets_of_another_kind(loss, metric, message):
    model = dense_network()
    model.compile("adam", loss, metrics=[metric])
    y = LABELS if loss == LOSS else np.eye(4)[LABELS]
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, verbose=0)


def test_labels_of_two_classes_for_one_output():
    model = models.Sequential([models.Dense(1, activation="sigmoid", input_shape=(2,))])
    model.compile("adam", LOSS)
    with pytest.raises(ValueError, match="use loss='binary_crossentropy'"):
        model.fit(np.ones((2, 2)), np.asarray([0, 1]), verbose=0)

"""Training that goes on, hooks of tests, learning rates that callbacks change, and losses of one's own."""

import json
import pickle

import numpy as np
import pytest
import threadpoolctl
from reference_keras import keras_in
from small_networks import LABELS, X, compiled

from arrayconv import models
from arrayconv.data import Batches
from arrayconv.models import callbacks
from arrayconv.models.training.trainer import Trainer

LINE = np.linspace(-1, 1, 64)[:, None]


def line(optimizer="sgd"):
    model = models.Sequential([models.Dense(1, kernel_initializer="ones", input_shape=(1,))])
    model.compile(optimizer, "mse")
    return model


@pytest.mark.parametrize("optimizer", ["adam", "nadam", "lion"])
@pytest.mark.parametrize("batches", [False, True])
def test_a_training_that_goes_on_equals_one_without_a_stop(optimizer, batches):
    def fit(model, **how):
        data = (Batches(X, LABELS, batch_size=8),) if batches else (X, LABELS, 8)
        return model.fit(*data, verbose=0, **how).history["loss"]

    def made():
        models.set_seed(4)
        model = compiled(dropout=0.5)
        model.compile(optimizer, "sparse_categorical_crossentropy")
        return model

    whole = made()
    want = fit(whole, epochs=4)
    model = made()
    got = fit(model, epochs=2)
    state = model._trainer
    config = json.loads(json.dumps(state.config()))
    weights, slots = model.get_weights(), state.slots
    # as after a load: another model, the weights and slots as they were, the rest from plain data
    again = made()
    again.set_weights(weights)
    again._trainer = Trainer.from_config(config, ["output"])
    again._trainer.slots = slots
    got += fit(again, epochs=4, initial_epoch=again._trainer.epoch)
    assert got == want
    assert again._trainer.step == whole._trainer.step
    assert again._trainer.epoch == 4
    models.set_seed(0)


@pytest.mark.backends("numpy", "jax", "torch")
def test_fit_after_load_goes_on_to_the_last_digit(xp, tmp_path):
    def made():
        models.set_seed(4)
        layers = [
            models.Dropout(0.3),
            models.Dropout(0.2, seed=5),
            models.Dense(3, kernel_regularizer="l2"),
        ]
        model = models.Sequential([models.Input((4,)), models.BatchNormalization(), *layers])
        loss = models.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(models.Nadam(models.CosineDecay(0.1, 15)), loss, metrics=["accuracy"])
        return model

    rng = np.random.default_rng(0)
    x, y = xp.array(rng.random((22, 4)).astype("float32")), rng.integers(0, 3, 22)
    want = made().fit(x, y, 8, epochs=4, verbose=0).history
    model = made()
    got = model.fit(x, y, 8, epochs=1, verbose=0).history
    for epoch in (1, 2, 3):
        model.save(path := tmp_path / "half.safetensors")
        # whatever was chosen since: the file has the seed
        models.set_seed(0)
        model = models.load(path)
        more = model.fit(x, y, 8, epochs=epoch + 1, initial_epoch=epoch, verbose=0).history
        got = {name: [*got[name], *more[name]] for name in got}
    assert got == want


def test_a_copied_model_goes_on_alike():
    model = compiled()
    model.fit(X, LABELS, verbose=0)
    other = pickle.loads(pickle.dumps(model))
    first, second = (m.fit(X, LABELS, epochs=2, verbose=0).history for m in (model, other))
    assert first == second


def test_what_a_trainer_cannot_hold_is_said():
    pair = (lambda y, p: ((y - p) ** 2).sum(-1), lambda dy, y, p: 2 * dy[:, None] * (p - y))
    model = line(models.SGD(models.CosineDecay(0.1, 9)))
    assert model._trainer.config()["missing"] == []
    model.compile("sgd", pair, metrics=[lambda y, p: y])
    config = model._trainer.config()
    assert config["missing"] == ["loss", "metrics"]
    with pytest.raises(ValueError, match="the optimizer or the loss is missing; call compile"):
        Trainer.from_config(config, ["output"])
    good = line()._trainer.config()
    for bad, message in [
        ({"class": "Exploit"}, "class must be one of"),
        ({"class": "SGD", "slots": []}, "SGD has no argument 'slots'"),
    ]:
        with pytest.raises(ValueError, match=message):
            Trainer.from_config({**good, "compile": {"optimizer": bad, "loss": "mse"}}, ["output"])


def test_flags_of_numpy_are_held(tmp_path):
    rate = models.PolynomialDecay(0.5, 8, cycle=np.True_)
    assert rate.cycle is True
    network = models.Sequential([models.Input((2,)), models.Dense(1)])
    sgd = models.SGD(rate, momentum=0.9)
    sgd.nesterov = np.True_
    network.compile(sgd, "mse")
    network.save(path := tmp_path / "net.safetensors")
    again = models.load(path).optimizer
    assert again.learning_rate.cycle is True
    assert again.nesterov is True


def test_an_epoch_that_fails_does_not_count():
    model = line()
    model.fit(LINE, LINE, epochs=3, verbose=0)
    with pytest.raises(FloatingPointError):
        model.fit(LINE, LINE * np.inf, verbose=0)
    assert (model._trainer.epoch, model._trainer.step) == (3, 6)


def test_the_epochs_that_are_validated():
    for given, epochs in ((1, [0, 1, 2, 3]), (2, [1, 3]), ([1, 4], [0, 3])):
        seen = []
        hook = callbacks.LambdaCallback(
            on_epoch_end=lambda e, logs, seen=seen: "val_loss" in logs and seen.append(e)
        )
        how = {"validation_data": (LINE, LINE), "epochs": 4, "verbose": 0, "callbacks": [hook]}
        history = line().fit(LINE, LINE, validation_freq=given, **how)
        assert seen == epochs
        assert len(history.history["val_loss"]) == len(epochs)
    for bad in (0, "all", [0], 1.5):
        with pytest.raises((ValueError, TypeError), match="validation_freq"):
            line().fit(LINE, LINE, validation_data=(LINE, LINE), validation_freq=bad)


def test_callbacks_where_an_epoch_was_not_validated(tmp_path):
    path = tmp_path / "log.csv"
    stop = callbacks.EarlyStopping("val_loss", patience=1)
    how = {"validation_data": (LINE, -LINE), "validation_freq": 3, "epochs": 9, "verbose": 0}
    history = line(models.SGD(0.5)).fit(
        LINE, LINE, callbacks=[callbacks.CSVLogger(path), stop], **how
    )
    assert history.epoch == list(range(6))
    rows = [row.split(",")[-1] for row in path.read_text().splitlines()[1:]]
    assert [bool(row) for row in rows] == [False, False, True] * 2


def test_hooks_of_tests_and_predictions():
    calls = []
    hooks = {
        name: lambda *given, name=name: calls.append((name[3:], *given[:-1], sorted(given[-1])))
        for name in dir(models.Callback)
        if name.startswith(("on_test", "on_predict", "on_epoch"))
    }
    hook = callbacks.LambdaCallback(**hooks)
    model = line()
    model.evaluate(LINE[:40], LINE[:40], verbose=0, callbacks=[hook])
    test = [
        ("test_begin", []),
        ("test_batch_begin", 0, []),
        ("test_batch_end", 0, ["loss"]),
        ("test_batch_begin", 1, []),
        ("test_batch_end", 1, ["loss"]),
        ("test_end", ["loss"]),
    ]
    assert calls == test
    assert hook.model is model
    calls.clear()
    model.fit(LINE, LINE, verbose=0, callbacks=hook, validation_data=(LINE[:40], LINE[:40]))
    both = ["loss", "val_loss"]
    assert calls == [("epoch_begin", 0, []), *test, ("epoch_end", 0, both)]
    calls.clear()
    model.predict(LINE, 64, callbacks=[hook])
    assert [name for name, *_ in calls] == [
        "predict_begin",
        "predict_batch_begin",
        "predict_batch_end",
        "predict_end",
    ]
    assert calls[2][-1] == ["outputs"]


def rates(keras, model, *given):
    model.set_weights([np.ones((1, 1)), np.zeros(1)])
    model.compile(keras.optimizers.SGD(0.4), loss="mse")
    y = 2 * LINE + 0.1 * np.random.default_rng(0).standard_normal((64, 1))
    how = {"epochs": 12, "batch_size": 16, "shuffle": False, "verbose": 0}
    return model.fit(LINE, y, callbacks=list(given), **how).history


# Keras's own
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("LearningRateScheduler", {"schedule": lambda epoch, rate: rate * (0.5 + epoch / 10)}),
        ("ReduceLROnPlateau", {"monitor": "loss", "patience": 2, "factor": 0.3}),
        ("ReduceLROnPlateau", {"monitor": "loss", "patience": 1, "min_delta": 0.05}),
        ("ReduceLROnPlateau", {"monitor": "loss", "patience": 0, "cooldown": 3, "min_delta": 0.1}),
        (
            "ReduceLROnPlateau",
            {"monitor": "loss", "patience": 1, "mode": "max", "min_lr": 0.05, "cooldown": 1},
        ),
    ],
)
def test_learning_rates_that_callbacks_change(name, arguments):
    with keras_in("float64") as keras:
        theirs = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        want = rates(keras, theirs, getattr(keras.callbacks, name)(**arguments))
    got = rates(models, line(), getattr(callbacks, name)(**arguments))
    assert len({round(float(rate), 9) for rate in want["learning_rate"]}) > 1
    np.testing.assert_allclose(got["learning_rate"], want["learning_rate"], rtol=1e-6)
    np.testing.assert_allclose(got["loss"], want["loss"], rtol=1e-6)


def test_errors_of_learning_rates():
    scheduled = line(models.SGD(models.CosineDecay(0.1, 9)))
    for hook in (
        callbacks.ReduceLROnPlateau("loss"),
        callbacks.LearningRateScheduler(lambda epoch, rate: rate),
    ):
        with pytest.raises(TypeError, match="SGD: learning_rate is a schedule, CosineDecay"):
            scheduled.fit(LINE, LINE, verbose=0, callbacks=[hook])
    with pytest.raises(TypeError, match="LearningRateScheduler: schedule must be a number"):
        line().fit(
            LINE, LINE, verbose=0, callbacks=[callbacks.LearningRateScheduler(lambda e, r: None)]
        )
    with pytest.raises(
        ValueError, match="ReduceLROnPlateau: factor must be at least 0 and less than 1"
    ):
        callbacks.ReduceLROnPlateau(factor=1.0)
    with pytest.raises(TypeError, match="schedule must be callable"):
        callbacks.LearningRateScheduler(0.1)


def test_terminate_on_nan(capsys):
    class Explode(models.Callback):
        def on_epoch_begin(self, epoch, logs):
            if epoch == 2:
                self.model.optimizer.learning_rate = 1e300

    model = line()
    hooks = [Explode(), callbacks.TerminateOnNaN()]
    history = model.fit(LINE, LINE * 3, epochs=9, batch_size=8, verbose=0, callbacks=hooks)
    assert history.epoch == [0, 1]
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert "the loss is not finite in epoch 3, batch" in capsys.readouterr().out
    with pytest.raises(FloatingPointError):
        model.fit(LINE, LINE * 3, epochs=9, batch_size=8, verbose=0, callbacks=hooks[:1])


@pytest.mark.backends("numpy", "jax", "torch")
def test_a_loss_given_as_a_pair(xp):
    def half(y, p):
        return ((p - y) ** 2).sum(-1) / 2

    def half_vjp(dy, y, p):
        return dy[:, None] * (p - y)

    x, y = xp.array(LINE), xp.array(3 * LINE)
    pair, named = line(), line()
    pair.compile(models.SGD(0.5), (half, half_vjp), metrics=["mse"])
    named.compile(models.SGD(0.25), "mse")
    how = {"epochs": 3, "verbose": 0}
    history, other = pair.fit(x, y, **how).history, named.fit(x, y, **how).history
    np.testing.assert_allclose(history["mse"], other["loss"])
    np.testing.assert_allclose(2 * np.asarray(history["loss"]), other["loss"])


def test_arguments_that_are_keras_own():
    with pytest.raises(TypeError, match="compile: unknown argument 'run_eagerly'; leave it out"):
        line().compile("sgd", "mse", run_eagerly=True)
    with pytest.raises(TypeError, match="unknown argument 'metric'; did you mean 'metrics'"):
        line().compile("sgd", "mse", metric=["mae"])


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_small_products_are_not_shared_among_threads(library):
    xp = pytest.importorskip(library)
    seen = []

    def look(batch, logs):
        seen.append({pool["num_threads"] for pool in threadpoolctl.threadpool_info()})

    hook = callbacks.LambdaCallback(on_train_batch_end=look, on_test_batch_end=look)
    with threadpoolctl.threadpool_limits(2):
        before = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
        small = {"batch_size": 40, "verbose": 0, "callbacks": [hook]}
        x, y = xp.asarray(X), xp.asarray(LABELS)
        model = compiled()
        model.fit(x, y, validation_data=(x, y), **small)
        assert seen == [{1}, {1}]
        seen.clear()
        wide = models.Sequential([models.Dense(2048, input_shape=(2048,)), models.Dense(1)])
        wide.compile("sgd", "mse")
        wide.fit(xp.zeros((32, 2048)), xp.zeros((32, 1)), **small)
        assert seen == [before]
        after = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
        assert after == before == {2}

"""What `fit`, `evaluate` and `predict` do with data, libraries and interruptions."""

import numpy as np
import pytest
from small_networks import LABELS, LOSS, RNG, X, compiled

from arrayconv import models
from arrayconv.data import Batches
from arrayconv.models.program import Program


def network(dropout=0.3):
    return models.Sequential(
        [
            models.Input((6, 6, 1)),
            models.Conv(4, 3, activation="relu"),
            models.BatchNormalization(),
            models.MaxPool(2),
            models.Dropout(dropout),
            models.Flatten(),
            models.Dense(4, activation="softmax"),
        ]
    )


class Losses(models.Callback):
    """The loss of every batch."""

    def on_epoch_begin(self, epoch, logs):
        self.sums = [0.0]

    def on_train_batch_end(self, batch, logs):
        self.sums.append(logs["loss"] * (batch + 1))
        self.found.append(self.sums[-1] - self.sums[-2])

    def on_train_begin(self, logs):
        self.found = []


def twenty_steps(x):
    losses = Losses()
    history = compiled(make=network).fit(
        x, LABELS, batch_size=8, epochs=4, verbose=0, callbacks=[losses]
    )
    return losses.found, history.history


@pytest.mark.backends("numpy", "strict", "jax", "torch")
def test_every_library_gives_the_same_losses(xp):
    found, history = twenty_steps(xp.array(X))
    expected, reference = twenty_steps(X)
    assert len(found) == 20
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-9)
    # without a callback by batch, JAX gives its buffers away and looks at results later
    again = compiled(make=network)
    quiet = again.fit(xp.array(X), LABELS, batch_size=8, epochs=4, verbose=0).history
    for name, values in reference.items():
        np.testing.assert_allclose(history[name], values, rtol=0, atol=1e-9)
        np.testing.assert_allclose(quiet[name], values, rtol=0, atol=1e-9)


@pytest.mark.backends("numpy", "strict", "jax", "torch")
def test_evaluate_and_predict(xp):
    model = compiled()
    x = xp.array(X)
    model.fit(x, LABELS, epochs=2, batch_size=16, verbose=0)
    loss, accuracy = model.evaluate(x, LABELS, batch_size=16, verbose=0)
    p = model.predict(x, batch_size=16)
    assert type(p) is type(x)
    p = xp.to_numpy(p)
    assert p.shape == (40, 4)
    assert loss == pytest.approx(-np.log(p[np.arange(40), LABELS]).mean(), rel=1e-9)
    assert accuracy == pytest.approx((p.argmax(1) == LABELS).mean())
    named = model.evaluate(x, LABELS, batch_size=40, verbose=0, return_dict=True)
    assert named["loss"] == pytest.approx(loss, rel=1e-9)
    assert model.test_on_batch(x, LABELS, return_dict=True) == pytest.approx(named)


def test_iterables_of_batches():
    expected = compiled().fit(X, LABELS, batch_size=16, epochs=2, verbose=0, shuffle=False)
    batches = [(X[i : i + 16], LABELS[i : i + 16]) for i in range(0, 40, 16)]
    endless = (batches[i % 3] for i in range(1000))
    for x, steps in (
        (batches, None),
        (Batches(X, LABELS, batch_size=16, shuffle=False), None),
        (endless, 3),
    ):
        model = compiled()
        history = model.fit(x, epochs=2, verbose=0, steps_per_epoch=steps)
        assert history.history == expected.history
        np.testing.assert_array_equal(
            model.predict([x for x, _ in batches]), model.predict(X, batch_size=16)
        )
    model = compiled()
    with pytest.raises(ValueError, match="no batches in epoch 2: an iterator is used up"):
        model.fit(iter(batches), epochs=2, verbose=0)
    assert len(model.history.epoch) == 1


def test_validation():
    split = compiled().fit(X, LABELS, epochs=2, verbose=0, validation_split=0.25)
    model = compiled()
    given = model.fit(
        X[:30], LABELS[:30], epochs=2, verbose=0, validation_data=(X[30:], LABELS[30:])
    )
    assert split.history == given.history
    assert list(given.history) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    last = model.evaluate(X[30:], LABELS[30:], verbose=0)
    assert [given.history["val_loss"][-1], given.history["val_accuracy"][-1]] == last
    batches = compiled().fit(
        X[:30],
        LABELS[:30],
        epochs=2,
        verbose=0,
        validation_data=Batches(X[30:], LABELS[30:], batch_size=10, shuffle=False),
    )
    np.testing.assert_allclose(batches.history["val_loss"], given.history["val_loss"])


def test_validation_data_of_numpy_beside_jax():
    jnp = pytest.importorskip("jax.numpy")
    model = compiled()
    x = jnp.asarray(X.astype(np.float32))
    history = model.fit(x, LABELS, epochs=1, verbose=0, validation_data=(X, LABELS))
    assert history.history["val_loss"][0] > 0
    assert {str(w.dtype) for w in model.weights.values()} == {"float32"}
    assert {type(w) for w in model.weights.values()} == {type(x)}


def test_images_of_bytes_and_labels_of_floats():
    images = RNG.integers(0, 256, (20, 6, 6, 1), dtype=np.uint8)
    model = compiled()
    model.fit(images, LABELS[:20].astype(np.float64), verbose=0)
    assert {w.dtype for w in model.weights.values()} == {np.dtype("float32")}
    plain = compiled()
    plain.fit(images.astype(np.float32), LABELS[:20].tolist(), verbose=0)
    np.testing.assert_array_equal(model.predict(images), plain.predict(images))


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_seeds_of_the_order_and_of_dropout(dropout):
    def history(seed):
        model = compiled(dropout=dropout)
        models.set_seed(seed)
        try:
            # with dropout the order stays
            return model.fit(X, LABELS, verbose=0, shuffle=not dropout).history
        finally:
            models.set_seed(0)

    assert history(0) == history(0) != history(1)


def test_fit_goes_on_where_it_stopped():
    model = compiled(dropout=0.0)
    model.fit(X, LABELS, epochs=2, verbose=0, batch_size=40)
    again = model.fit(X, LABELS, epochs=3, initial_epoch=2, verbose=0, batch_size=40)
    whole = compiled(dropout=0.0).fit(X, LABELS, epochs=3, verbose=0, batch_size=40)
    assert again.epoch == [2]
    assert again.history["loss"][0] == pytest.approx(whole.history["loss"][2], rel=1e-10)


def test_schedule_counts_steps():
    seen = []

    class Seen(models.LearningRateSchedule):
        def __call__(self, step):
            seen.append(step)
            return 0.01

    model = compiled(models.SGD(Seen()))
    model.fit(X, LABELS, epochs=2, batch_size=20, verbose=0)
    model.optimizer.learning_rate = Seen()
    model.train_on_batch(X, LABELS)
    assert seen == [0, 1, 2, 3, 4]


def test_every_step_drops_other_cells():
    last = models.Dense(int(LABELS.max()) + 1, activation="softmax")
    model = models.Sequential([models.Flatten(), models.Dropout(0.5), last])
    # of weights that stay, the loss says which cells were dropped
    model.compile(models.SGD(0.0), "sparse_categorical_crossentropy")
    losses = [
        loss
        for _ in range(2)
        for loss in model.fit(X, LABELS, epochs=2, batch_size=40, shuffle=False, verbose=0).history[
            "loss"
        ]
    ]
    assert len(set(losses)) == 4


def test_frozen_layers_stay():
    model = compiled()
    # frozen before the first step, thawed, and frozen again
    for frozen in (True, False, True):
        model.layers[1].trainable = not frozen
        before = model.get_weights()
        model.fit(X, LABELS, verbose=0)
        after = model.get_weights()
        same = [np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
        assert same[:2] == [frozen, frozen]
        assert not any(same[2:])


def stop(at):
    def hook(batch, logs):
        if hook.left == 0:
            raise KeyboardInterrupt
        hook.left -= 1

    hook.left = at
    return hook


@pytest.mark.backends("numpy", "jax")
@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_train_batch_end"])
def test_interruption_leaves_the_epochs_done(xp, hook):
    x = xp.array(X)
    expected = compiled()
    expected.fit(x, LABELS, epochs=2, batch_size=8, verbose=0)
    model = compiled()
    callback = models.LambdaCallback(**{hook: stop(2 if "epoch" in hook else 13)})
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, LABELS, epochs=5, batch_size=8, verbose=0, callbacks=[callback])
    assert len(model.history.history["loss"]) == 2
    for w, v in zip(model.get_weights(), expected.get_weights(), strict=True):
        np.testing.assert_array_equal(w, v)
    model.fit(x, LABELS, verbose=0)


def test_interruption_while_validating():
    model, kept = compiled(), []

    class Keep(models.Callback):
        def on_epoch_begin(self, epoch, logs):
            kept.append(self.model.get_weights())

    class Batches:
        def __iter__(self):
            if len(kept) == 2:
                raise KeyboardInterrupt
            yield X, LABELS

    with pytest.raises(KeyboardInterrupt):
        model.fit(X, LABELS, epochs=3, verbose=0, callbacks=[Keep()], validation_data=Batches())
    assert model.history.epoch == [0]
    for w, v in zip(model.get_weights(), kept[1], strict=True):
        np.testing.assert_array_equal(w, v)
    # the optimizer is back there too
    assert model._trainer.step == 2


def test_interruption_amid_a_step_of_jax(monkeypatch):
    jnp = pytest.importorskip("jax.numpy")
    x = jnp.asarray(X.astype(np.float32))
    model = compiled()
    model.fit(x, LABELS, batch_size=8, verbose=0)
    before = model.get_weights()
    count = iter(range(100))

    def noise(program, batch, step=None, seed=0):
        if next(count) == 3:
            raise KeyboardInterrupt
        return drawn(program, batch, step, seed)

    drawn = Program.noise
    monkeypatch.setattr(Program, "noise", noise)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, LABELS, batch_size=8, verbose=0)
    for w, v in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(w, v)


def test_several_inputs_and_outputs():
    a, b = models.Input((3,), name="a"), models.Input((3,), name="b")
    h = models.Add()([models.Dense(3)(a), b])
    model = models.Model([a, b], [models.Dense(1, name="p")(h), models.Dense(2, name="q")(h)])
    model.compile("sgd", ["mse", "mae"], metrics={"q": "mse"})
    x = RNG.standard_normal((2, 10, 3))
    y = [x[0, :, :1], x[1, :, :2]]
    history = model.fit([x[0], x[1]], y, verbose=0, batch_size=4, validation_split=0.2)
    names = ["loss", "p_loss", "q_loss", "q_mse"]
    assert list(history.history) == [*names, *(f"val_{name}" for name in names)]
    by_name = {"a": x[0], "b": x[1]}
    found = model.evaluate(by_name, {"p": y[0], "q": y[1]}, verbose=0)
    assert found == model.evaluate([x[0], x[1]], y, verbose=0)
    assert found[0] == pytest.approx(found[1] + found[2])
    assert [p.shape for p in model.predict(by_name)] == [(10, 1), (10, 2)]
    assert model.fit([((x[0], x[1]), y)], verbose=0).epoch == [0]


def test_own_loss_and_metric():
    class Quartic(models.Loss):
        name = "quartic"

        def values(self, y_true, y_pred):
            return np.mean((y_pred - y_true) ** 4, axis=-1)

        def gradient(self, dy, y_true, y_pred):
            return dy[:, None] * 4 * (y_pred - y_true) ** 3 / y_pred.shape[-1]

    def largest(y_true, y_pred):
        return np.max(np.abs(y_true - y_pred), axis=-1)

    x = np.linspace(-1, 1, 50)[:, None]
    model = models.Sequential([models.Dense(1)])
    model.compile(models.Adam(0.1), Quartic(), metrics=[largest, models.MeanAbsoluteError()])
    history = model.fit(x, 2 * x, epochs=60, verbose=0).history
    assert history["loss"][-1] < 1e-4 * history["loss"][0]
    assert history["largest"][-1] == pytest.approx(history["mean_absolute_error"][-1])


def test_step_is_compiled_once_per_shape(monkeypatch):
    jnp = pytest.importorskip("jax.numpy")
    model = compiled()
    traces = []
    forward = Program.forward

    def traced(*given, **how):
        traces.append(1)
        return forward(*given, **how)

    monkeypatch.setattr(Program, "forward", traced)
    x = jnp.asarray(X.astype(np.float32))
    model.fit(x, LABELS, epochs=3, batch_size=16, verbose=0)
    model.optimizer.learning_rate = 0.5
    model.fit(x, LABELS, epochs=2, batch_size=16, verbose=0)
    # batches of 16 and of 8
    assert len(traces) == 2


def test_a_compiled_epoch_gives_its_buffers_away():
    jnp = pytest.importorskip("jax.numpy")
    from arrayconv.models.training.loop import begin
    from arrayconv.models.training.step import copied, train_step

    model = compiled()
    x, y = jnp.asarray(X.astype(np.float32)), jnp.asarray(LABELS)
    model.fit(x, LABELS, batch_size=40, verbose=0)
    graph, trainer = model.graph, model._trainer
    state = copied(begin(jnp, graph, trainer, x))
    own = model.weights
    noise = {at: jnp.asarray(m) for at, m in graph.program.noise(40).items()}
    rates = model.optimizer.coefficients(0)
    train_step(jnp, graph, trainer, True)(state, (x,), (y,), None, noise, rates)
    assert all(w.is_deleted() for layer in state.weights.values() for w in layer.values())
    assert not any(w.is_deleted() for w in own.values())


@pytest.mark.parametrize("endless", [False, True])
def test_a_model_built_by_its_data_goes_back_to_its_first_weights(endless):
    def made():
        models.set_seed(3)
        model = models.Sequential([models.Dense(4, activation="softmax")])
        model.compile("adam", LOSS)
        return model

    first = made()
    first.build((5,))
    x = np.random.default_rng(0).normal(size=(20, 5))
    y = np.arange(20) % 4
    batches = [(x[:10], y[:10]), (x[10:], y[10:])]
    model = made()
    with pytest.raises(ValueError, match="expects whole numbers"):
        model.fit(
            iter(batches) if endless else batches,
            steps_per_epoch=2 if endless else None,
            validation_data=[(x, y + 9)],
            verbose=0,
        )
    for got, want in zip(model.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)
    # the batch that was looked at is not lost
    model.fit(iter(batches), verbose=0)
    assert model._trainer.step == 2


def test_integers_of_numpy_are_integers():
    compiled().fit(X, LABELS, batch_size=np.int64(4), verbose=0)


def test_steps_and_the_size_of_batches_of_validation():
    model = compiled()
    assert model.predict(X, batch_size=8, steps=2).shape[0] == 16
    np.testing.assert_array_equal(model.predict_on_batch(X), model.predict(X, batch_size=40))
    first = model.evaluate(X[:8], LABELS[:8], verbose=0)
    np.testing.assert_allclose(model.evaluate(X, LABELS, 8, 0, steps=1), first, rtol=1e-6)
    seen = []
    hook = models.LambdaCallback(on_test_batch_begin=lambda batch, logs: seen.append(batch))
    model.fit(
        X, LABELS, 8, verbose=0, validation_split=0.5, validation_batch_size=5, callbacks=[hook]
    )
    assert seen == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="batch_size"):
        model.fit(X, LABELS, 8, verbose=0, validation_split=0.5, validation_batch_size=0)


def test_validation_steps():
    def endless():
        while True:
            yield X[:8], LABELS[:8]

    whole = compiled().fit(X, LABELS, validation_data=(X[:8], LABELS[:8]), epochs=2, verbose=0)
    for data in (endless(), [(X[:8], LABELS[:8]), (X[8:], LABELS[8:])]):
        history = compiled().fit(
            X, LABELS, validation_data=data, validation_steps=1, epochs=2, verbose=0
        )
        np.testing.assert_allclose(history.history["val_loss"], whole.history["val_loss"])


def test_top_k_of_more_classes_than_a_half_type_counts():
    p = np.zeros((1, 3000), dtype=np.float16)
    p[0, 2500] = 1
    for y, found in ((2500, 1), (2502, 0)):
        assert models.SparseTopKCategoricalAccuracy(k=1)(np.asarray([y]), p) == found

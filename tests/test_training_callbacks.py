"""Callbacks, the history and its picture, and the display in a terminal, a notebook and a file."""

import csv
import io
import os
import subprocess
import sys

import numpy as np
import pytest

from arrayconv import models
from arrayconv.models import callbacks
from arrayconv.models.training.progress import Progress

X = np.linspace(-1, 1, 64)[:, None]
Y = 2 * X + 1


def line(optimizer=None):
    model = models.Sequential([models.Dense(1, input_shape=(1,))])
    model.compile(optimizer or models.SGD(0.1), "mse", metrics=["mae"])
    return model


class Scripted(models.Callback):
    """Overwrite a number of the history, so that a test knows when it is best."""

    def __init__(self, name, values):
        self.name, self.values = name, values

    def on_epoch_end(self, epoch, logs):
        logs[self.name] = self.values[epoch]


def run(values, *others, name="val_loss", model=None):
    model = model or line()
    hooks = [Scripted(name, values), *others]
    history = model.fit(X, Y, epochs=len(values), verbose=0, callbacks=hooks, validation_split=0.25)
    return model, history


@pytest.mark.parametrize(
    ("values", "arguments", "epochs"),
    [
        ([3, 2, 2.5, 1, 0], {}, 3),
        ([3, 2, 2.5, 1, 0], {"patience": 1}, 3),
        ([3, 2, 2.5, 1, 0], {"patience": 2}, 5),
        ([3, 2, 1.95, 1.9, 0], {"patience": 2, "min_delta": 0.2}, 4),
        ([3, 2, 2, 2, 2], {"patience": 2}, 4),
        ([1, 2, 3, 2, 1], {"patience": 1, "mode": "max"}, 4),
        ([3, 4, 5, 6, 7], {"patience": 1, "start_from_epoch": 3}, 5),
        ([3, 2, 1, 0.5, 0.1], {"patience": 2, "baseline": 0.6}, 5),
        ([3, 2, 2.5, 0.5, 0.1], {"patience": 1, "baseline": 0.01}, 3),
        ([3, np.nan, np.nan, 1, 0], {"patience": 2}, 3),
    ],
)
def test_early_stopping(values, arguments, epochs):
    _, history = run(values, callbacks.EarlyStopping(**arguments))
    assert len(history.epoch) == epochs


def test_early_stopping_knows_which_way_is_better():
    model = models.Sequential([models.Dense(2, activation="softmax", input_shape=(1,))])
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    stop = callbacks.EarlyStopping("val_accuracy", patience=1)
    hooks = [Scripted("val_accuracy", [0.1, 0.2, 0.1, 0.3]), stop]
    labels = (X[:, 0] > 0).astype(np.int64)
    history = model.fit(
        X, labels, epochs=4, verbose=0, callbacks=hooks, validation_data=(X, labels)
    )
    assert len(history.epoch) == 3
    assert stop.best == 0.2


@pytest.mark.parametrize("interrupted", [False, True])
def test_best_weights_come_back(interrupted):
    kept = []

    class Keep(models.Callback):
        def on_epoch_end(self, epoch, logs):
            kept.append(self.model.get_weights())
            if interrupted and epoch == 3:
                raise KeyboardInterrupt

    stop = callbacks.EarlyStopping(patience=9, restore_best_weights=True)
    model = line()
    if interrupted:
        with pytest.raises(KeyboardInterrupt):
            run([3, 1, 2, 2, 2], stop, Keep(), model=model)
    else:
        run([3, 1, 2, 2, 2], stop, Keep(), model=model)
    assert len(kept) == 5 - interrupted
    for w, best, last in zip(model.get_weights(), kept[1], kept[-1], strict=True):
        np.testing.assert_array_equal(w, best)
        assert not np.array_equal(w, last)


@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (
            callbacks.EarlyStopping("val_los"),
            "monitor='val_los' is not among .* loss, mae, val_loss",
        ),
        (callbacks.EarlyStopping("accuracy"), "EarlyStopping: monitor='accuracy'"),
        (
            callbacks.ModelCheckpoint("{acc}.safetensors"),
            "filepath .*'acc'; it reports epoch, loss",
        ),
        (
            callbacks.ModelCheckpoint("a", "acc", save_best_only=True),
            "ModelCheckpoint: monitor='acc'",
        ),
    ],
)
def test_wrong_names_fail_before_the_first_epoch(callback, message):
    model = line()
    with pytest.raises(ValueError, match=message):
        model.fit(X, Y, verbose=0, callbacks=[callback], validation_split=0.5)
    assert model.history.epoch == []
    with pytest.raises(ValueError, match="it needs validation_data"):
        model.fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping()])
    with pytest.raises(ValueError, match="EarlyStopping: mode must be"):
        callbacks.EarlyStopping(mode="best")


def test_a_metric_of_the_user_needs_a_mode():
    def distance(y_true, y_pred):
        return np.abs(y_true - y_pred)

    model = models.Sequential([models.Dense(1, input_shape=(1,))])
    model.compile("sgd", "mse", metrics=[distance])
    with pytest.raises(ValueError, match="give mode='min' or mode='max': .*'distance'"):
        model.fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping("distance")])
    model.fit(X, Y, verbose=0, callbacks=[callbacks.EarlyStopping("distance", mode="min")])


def test_checkpoint_keeps_the_best(tmp_path):
    path = tmp_path / "new" / "best.safetensors"
    kept = []

    class Keep(models.Callback):
        def on_epoch_end(self, epoch, logs):
            kept.append(self.model.get_weights())

    checkpoint = callbacks.ModelCheckpoint(path, save_best_only=True)
    run([3, 1, 2, 0.5, 4], checkpoint, Keep())
    for w, best in zip(models.load(path).get_weights(), kept[3], strict=True):
        np.testing.assert_array_equal(w, best)


def test_checkpoint_of_every_epoch(tmp_path):
    run([3, 1, 2], callbacks.ModelCheckpoint(tmp_path / "m-{epoch:02d}-{val_loss:.1f}.safetensors"))
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["m-01-3.0.safetensors", "m-02-1.0.safetensors", "m-03-2.0.safetensors"]


def test_csv(tmp_path):
    path = tmp_path / "log.csv"
    _, history = run([3, 1, 2], callbacks.CSVLogger(path))
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "mae", "val_loss", "val_mae"]
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    assert [float(row["loss"]) for row in rows] == history.history["loss"]
    line().fit(
        X, Y, verbose=0, validation_split=0.5, callbacks=[callbacks.CSVLogger(path, append=True)]
    )
    assert len(path.read_text().splitlines()) == 5
    with pytest.raises(ValueError, match="CSVLogger: .*log.csv has the columns"):
        line().fit(X, Y, verbose=0, callbacks=[callbacks.CSVLogger(path, append=True)])
    line().fit(X, Y, verbose=0, callbacks=[callbacks.CSVLogger(path, separator=";")])
    assert path.read_text().splitlines()[0] == "epoch;loss;mae"


def test_hooks_and_what_they_are_given():
    calls = []
    names = [
        "on_train_begin",
        "on_train_end",
        "on_epoch_begin",
        "on_epoch_end",
        "on_train_batch_begin",
        "on_train_batch_end",
    ]
    hooks = {
        n: lambda *given, n=n: calls.append((n, *given[:-1], sorted(given[-1]))) for n in names
    }
    callback = models.LambdaCallback(**hooks)
    line().fit(X, Y, batch_size=40, verbose=0, callbacks=callback)
    both = ["loss", "mae"]
    assert calls == [
        ("on_train_begin", []),
        ("on_epoch_begin", 0, []),
        ("on_train_batch_begin", 0, []),
        ("on_train_batch_end", 0, both),
        ("on_train_batch_begin", 1, []),
        ("on_train_batch_end", 1, both),
        ("on_epoch_end", 0, both),
        ("on_train_end", both),
    ]
    assert callback.params["steps"] == 2
    assert callback.params["epochs"] == 1
    with pytest.raises(TypeError, match="unknown hook 'on_epoch'; expected"):
        models.LambdaCallback(on_epoch=print)
    with pytest.raises(TypeError, match="on_epoch_end must be callable"):
        models.LambdaCallback(on_epoch_end=3)


@pytest.mark.backends("numpy", "jax")
def test_a_callback_sees_and_sets_weights_after_a_batch(xp):
    seen = []

    class Zero(models.Callback):
        def on_train_batch_end(self, batch, logs):
            seen.append(self.model.get_weights())
            self.model.set_weights([np.zeros((1, 1)), np.zeros(1)])

    model = line()
    model.fit(xp.array(X), xp.array(Y), batch_size=32, verbose=0, callbacks=[Zero()])
    assert len(seen) == 2
    assert all(w[0] != 0 for w in seen)
    assert all((w == 0).all() for w in model.get_weights())


def test_callbacks_end_after_an_error():
    ended = []
    x = X.copy()
    x[3] = np.inf
    callback = models.LambdaCallback(on_train_end=lambda logs: ended.append(logs))
    with pytest.raises(FloatingPointError):
        line().fit(x, Y, verbose=0, callbacks=[callback])
    assert ended == [{}]


def test_history_and_its_picture(tmp_path):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    _, history = run([3, 1, 2])
    assert repr(history).startswith("History(3 epochs, last: loss=")
    axes = history.plot()
    assert [a.get_ylabel() for a in axes] == ["loss", "mae"]
    lines = {drawn.get_label(): drawn for drawn in axes[0].get_lines()}
    np.testing.assert_array_equal(lines["validation"].get_xdata(), [1, 2, 3])
    np.testing.assert_array_equal(lines["validation"].get_ydata(), [3, 1, 2])
    np.testing.assert_array_equal(lines["training"].get_ydata(), history.history["loss"])
    plt.close("all")
    history.plot(tmp_path / "history.png")
    assert (tmp_path / "history.png").read_bytes()[:4] == b"\x89PNG"
    assert not plt.get_fignums()
    with pytest.raises(ValueError, match="no epoch to plot"):
        models.History().plot()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_a_file_gets_one_line_per_epoch(capsys):
    for verbose in ("auto", 1, 2):
        line().fit(X, Y, epochs=2, batch_size=16, verbose=verbose)
        out, err = capsys.readouterr()
        assert err == ""
        first, second = out.splitlines()
        assert first.startswith("Epoch 1/2: 4 batches, ")
        assert second.startswith("Epoch 2/2: 4 batches, ")
        assert "\r" not in out
        assert "loss " in first
    line().fit(X, Y, epochs=2, verbose=0)
    line().predict(X)
    assert capsys.readouterr() == ("", "")
    line().evaluate(X, Y)
    assert capsys.readouterr().out.startswith("evaluate: 2 batches, ")


@pytest.mark.parametrize(("verbose", "bar"), [("auto", True), (1, True), (2, False), (0, False)])
def test_a_terminal_gets_a_bar(monkeypatch, capsys, verbose, bar):
    pytest.importorskip("tqdm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    line().fit(X, Y, epochs=1, batch_size=16, verbose=verbose)
    shown = terminal.getvalue()
    assert ("Epoch 1/1" in shown and "\r" in shown) == bar
    if bar:
        # the bar is gone before the line comes
        assert shown.rpartition("\r")[2].strip() == ""
        assert shown.rpartition("\r")[0].rpartition("\r")[2].strip() == ""
    assert capsys.readouterr().out.count("\n") == (0 if verbose == 0 else 1)


def test_a_terminal_without_tqdm(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setitem(sys.modules, "tqdm", None)
    line().fit(X, Y, verbose=1)
    assert capsys.readouterr().out.startswith("Epoch 1/1: 2 batches")
    assert sys.stderr.getvalue() == ""


def test_running_numbers_are_fetched_seldom(monkeypatch):
    pytest.importorskip("tqdm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    clock = [0.0]
    monkeypatch.setattr("time.perf_counter", lambda: clock[0])

    class Logs(dict):
        looked = 0

        def items(self):
            Logs.looked += 1
            return super().items()

    progress = Progress("fit", 1)
    progress.begin("Epoch 1/1", 1000)
    for _ in range(1000):
        clock[0] += 0.001
        progress.step(lambda: Logs(loss=1.0))
    progress.close()
    assert 2 <= Logs.looked <= 5


def test_a_notebook_gets_one_line_that_is_replaced():
    pytest.importorskip("ipykernel")
    pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    from nbclient import NotebookClient

    code = (
        "import numpy as np\n"
        "from arrayconv import models\n"
        "model = models.Sequential([models.Dense(1, input_shape=(1,))])\n"
        "model.compile('sgd', 'mse')\n"
        "_ = model.fit(np.ones((8, 1)), np.ones((8, 1)), epochs=2, batch_size=2)"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = notebook.cells[0].outputs
    shown = [output["data"]["text/plain"] for output in outputs]
    assert [text.partition(",")[0] for text in shown] == [
        "Epoch 1/2: 4 batches",
        "Epoch 2/2: 4 batches",
    ]


def test_a_killed_fit_leaves_the_lines_of_its_epochs():
    code = (
        "import os, numpy as np\n"
        "from arrayconv import models\n"
        "model = models.Sequential([models.Dense(1, input_shape=(1,))])\n"
        "model.compile('sgd', 'mse')\n"
        "stop = models.LambdaCallback(on_epoch_begin=lambda e, l: e == 2 and os._exit(9))\n"
        "model.fit(np.ones((8, 1)), np.ones((8, 1)), epochs=5, callbacks=[stop])"
    )
    buffered = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=buffered)
    assert done.returncode == 9
    assert [text[:9] for text in done.stdout.splitlines()] == ["Epoch 1/5", "Epoch 2/5"]


def test_checkpoint_in_a_file_that_is_not_written():
    checkpoint = callbacks.ModelCheckpoint("b.h5", save_weights_only=True)
    with pytest.raises(
        ValueError,
        match="ModelCheckpoint: path must end in .safetensors, .keras or .weights.h5, got b.h5",
    ):
        run([1], checkpoint)

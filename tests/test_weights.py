"""Models in files of our own, and what a broken one says."""

import json
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from reference_weights import filled, snapshot

from arrayconv import models
from arrayconv.models import networks
from arrayconv.models.files.tensors import read_tensors, write_tensors

safetensors = pytest.importorskip("safetensors")
rng = np.random.default_rng(0)


def small(filters=4, name=None):
    """Return a model with every kind of weight, and values in all of them."""
    model = models.Sequential(
        [
            models.Input((8, 8, 3)),
            models.Conv(filters, 3, activation="relu"),
            models.BatchNormalization(),
            models.MaxPool(2),
            models.Flatten(),
            models.Dense(5, activation="softmax"),
        ],
        name=name,
    )
    return filled(model)


def test_save_and_load_on_every_library(xp, tmp_path):
    x = xp.array(rng.standard_normal((4, 8, 8, 3)))
    model = small(name="little").to(like=x)
    want = xp.to_numpy(model(x))
    with xp.computing():
        model.save(path := tmp_path / "little.safetensors")
    again = models.load(path)
    assert isinstance(again, models.Sequential)
    assert again.name == "little"
    np.testing.assert_array_equal(xp.to_numpy(again(x)), want)
    other = small().to(like=x)
    other.load_weights(path)
    assert type(next(iter(other.weights.values()))) is type(x)
    np.testing.assert_array_equal(xp.to_numpy(other(x)), want)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["little.safetensors"]


def test_a_graph_with_two_inputs_and_a_shared_layer(tmp_path):
    a, b = models.Input((6, 6, 2), name="a"), models.Input((6, 6, 2), name="b")
    shared = models.Conv(3, 3, activation="relu")
    joined = models.Concatenate()([shared(a), shared(b)])
    flat = models.Flatten()(joined)
    model = models.Model([a, b], [models.Dense(2)(flat), models.Dense(1)(flat)])
    model.save(path := tmp_path / "two.safetensors")
    again = models.load(path)
    x = [rng.standard_normal((3, 6, 6, 2)) for _ in "ab"]
    for want, got in zip(model(x), again(x), strict=True):
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("network", sorted(networks.NETWORKS))
def test_the_networks_survive_a_file(tmp_path, network):
    model = filled(networks.NETWORKS[network](input_shape=(12, 12, 3)))
    model.save(path := tmp_path / "net.safetensors")
    x = rng.standard_normal((2, 12, 12, 3))
    np.testing.assert_array_equal(models.load(path)(x), model(x))


def test_what_the_file_holds(tmp_path):
    model = small().to(like=np.ones((), dtype=np.float32))
    model.save(path := tmp_path / "small.safetensors")
    with safetensors.safe_open(path, "numpy") as file:
        assert set(file.keys()) == set(model.weights)
        assert file.metadata()["format"] == "arrayconv"
        assert json.loads(file.metadata()["model"]) == json.loads(json.dumps(model.get_config()))
        np.testing.assert_array_equal(file.get_tensor("dense/bias"), model.get_weights()[-1])
        assert file.get_tensor("dense/bias").dtype == np.float32


def test_weights_keep_the_dtype_and_library_of_the_model(tmp_path):
    jax = pytest.importorskip("jax")
    model = small()
    model(np.ones((1, 8, 8, 3)))
    model.save(path := tmp_path / "small.safetensors")
    other = small().to(like=jax.numpy.ones((), dtype=jax.numpy.bfloat16))
    other.load_weights(path)
    assert {(type(w).__module__.split(".")[0], str(w.dtype)) for w in other.weights.values()} == {
        ("jaxlib", "bfloat16")
    }
    other.save(path)
    np.testing.assert_array_equal(models.load(path).get_weights()[0], other.get_weights()[0])


def test_a_model_without_an_input_shape_says_so(tmp_path):
    model = models.Sequential([models.Dense(2)])
    with pytest.raises(ValueError, match="has no input shape yet"):
        model.save(tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []
    small().save(path := tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="has no input shape yet"):
        model.load_weights(path)


@pytest.mark.parametrize("name", ["m", "m.h5", "m.pt"])
def test_other_suffixes_are_refused(tmp_path, name):
    with pytest.raises(
        ValueError,
        match=rf"save: path must end in .safetensors, .keras or .weights.h5, got .*{name}$",
    ):
        small().save(tmp_path / name)


def test_places_that_cannot_be_written(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"save: .*none.m.safetensors: there is no folder"):
        small().save(tmp_path / "none" / "m.safetensors")
    (tmp_path / "m.safetensors").mkdir()
    with pytest.raises(OSError):
        small().save(tmp_path / "m.safetensors")
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_link_stays_one(tmp_path):
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "there.safetensors")
    small().save(tmp_path / "link.safetensors")
    assert (tmp_path / "link.safetensors").is_symlink()
    models.load(tmp_path / "there.safetensors")


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    model = small()
    model.save(path := tmp_path / "m.safetensors")
    before = path.read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        filled(model).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_killed_save_leaves_a_whole_file(tmp_path):
    path = tmp_path / "m.safetensors"
    code = (
        "from arrayconv import models\n"
        "m = models.Sequential([models.Dense(1500, input_shape=(1500,))])\n"
        f"while True: m.save({str(path)!r})"
    )
    for wait in (0.0, 0.013, 0.029):
        process = subprocess.Popen([sys.executable, "-c", code])
        while not path.exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(wait)
        process.kill()
        process.wait()
        assert models.load(path).count_params() == 1500 * 1501


def test_threads_that_save_to_one_path(tmp_path):
    path = tmp_path / "m.safetensors"
    problems, done = [], threading.Event()

    def writes(value, times=15):
        model = small()
        model.set_weights([np.full(w.shape, value) for w in model.get_weights()])
        for _ in range(times):
            try:
                model.save(path)
            except Exception as error:
                problems.append(error)

    def reads():
        while not done.is_set():
            try:
                values = {float(v) for w in models.load(path).get_weights() for v in w.flat}
                assert len(values) == 1
            except Exception as error:
                problems.append(error)

    writes(1.0, times=1)
    readers = [threading.Thread(target=reads) for _ in range(2)]
    writers = [threading.Thread(target=writes, args=(value,)) for value in (1.0, 2.0, 3.0, 4.0)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert problems == []
    assert list(tmp_path.iterdir()) == [path]
    assert models.load(path).get_weights()[-1][0] in (1.0, 2.0, 3.0, 4.0)


def test_another_architecture_is_listed_and_changes_nothing(tmp_path):
    model = small()
    model.save(path := tmp_path / "m.safetensors")
    other = models.Sequential(
        [
            models.Input((8, 8, 3)),
            models.Conv(6, 3, activation="relu"),
            models.MaxPool(2),
            models.Flatten(),
            models.Dense(5, activation="softmax", name="head"),
        ]
    )
    before = snapshot(other)
    with pytest.raises(ValueError) as caught:
        other.load_weights(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: its weights are not those of this model: ")
    for difference in (
        "conv/kernel is (3, 3, 3, 4) in the file and (3, 3, 3, 6) here",
        "conv/bias is (4,) in the file and (6,) here",
        "the file has no head/kernel (54, 5)",
        "the file has no head/bias (5,)",
        "the model has no dense/kernel (36, 5)",
        "the model has no batch_normalization/moving_variance (4,)",
    ):
        assert difference in text
    assert "\n" not in text
    assert snapshot(other) == before


def changed(path, change):
    """Rewrite the metadata of a file of ours."""

    tensors, metadata = read_tensors(path)
    change(tensors, metadata)
    write_tensors(path, tensors, metadata)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, m: m.pop("format"), "holds no structure; build the model and use load_weights"),
        (lambda t, m: m.pop("model"), "structure is damaged or of another version: 'model'"),
        (lambda t, m: m.update(model="{"), "structure is damaged or of another version: "),
        (lambda t, m: m.update(model="[]"), "structure is damaged or of another version: "),
        (lambda t, m: t.pop("conv/bias"), r"the file has no conv/bias \(4,\)"),
        (lambda t, m: m.update(model=m["model"].replace("MaxPool", "Pool")), "'Pool'"),
        (lambda t, m: m.update(model=m["model"].replace("filters", "filtres")), "'filters'"),
    ],
)
def test_a_damaged_structure(tmp_path, change, message):
    small().save(path := tmp_path / "m.safetensors")
    changed(path, change)
    with pytest.raises(ValueError, match=message) as caught:
        models.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_truncated_and_foreign_files(tmp_path):
    model = small()
    model.save(tmp_path / "whole.safetensors")
    whole = (tmp_path / "whole.safetensors").read_bytes()
    before = snapshot(model)
    contents = {
        "empty": b"",
        "short": whole[:5],
        "header": whole[:100],
        "half": whole[: len(whole) // 2],
        "longer": whole + b"0",
        "text": b"hello, this is text" * 99,
        "pickle": b"\x80\x04\x95" + bytes(400),
        "picture": b"\x89PNG\r\n\x1a\n" + bytes(400),
    }
    for name, content in contents.items():
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(content)
        for read in (models.load, model.load_weights):
            with pytest.raises(
                ValueError, match="this is not a complete safetensors file"
            ) as caught:
                read(path)
            assert str(caught.value).startswith(f"{path}: ")
            assert "\n" not in str(caught.value)
        assert path.read_bytes() == content
    for read in (models.load, model.load_weights):
        with pytest.raises(FileNotFoundError):
            read(tmp_path / "missing.safetensors")
        for suffix in (".pt", ".pth", ".bin"):
            with pytest.raises(
                ValueError, match=r"pickles are not read.*safetensors.torch.save_file"
            ):
                read(tmp_path / f"net{suffix}")
    with pytest.raises(ValueError, match="it holds weights alone; build the model and use load_w"):
        models.load(tmp_path / "net.weights.h5")
    assert snapshot(model) == before


def test_without_safetensors(tmp_path, monkeypatch):
    small().save(path := tmp_path / "m.safetensors")
    monkeypatch.setitem(sys.modules, "safetensors", None)
    monkeypatch.setitem(sys.modules, "safetensors.numpy", None)
    for act in (models.load, small().save):
        with pytest.raises(
            ValueError, match=r'needs safetensors: pip install "arrayconv\[train\]"'
        ):
            act(path)


def test_a_layer_that_nobody_defined():
    config = models.Sequential([models.Dense(2, input_shape=(3,))]).get_config()
    config["layers"][0]["class"] = "Qwxyz"
    with pytest.raises(ValueError, match="got 'Qwxyz'; define or import a layer of your own first"):
        models.from_config(config)


@pytest.mark.parametrize("length", range(1, 9))
def test_the_numbers_of_a_file_are_aligned(tmp_path, length):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"a": np.arange(3.0)}, {"note": "x" * length})
    # the header says its own length in 8 bytes, and maps of memory want what follows at a multiple of 8
    assert int.from_bytes(path.read_bytes()[:8], "little") % 8 == 0
    np.testing.assert_array_equal(safetensors.deserialize(path.read_bytes())[0][1]["shape"], [3])


X, LABELS = rng.standard_normal((40, 8, 8, 3)), rng.integers(0, 5, 40)


def trainable(optimizer="adam", loss="sparse_categorical_crossentropy", **how):
    """Return a model with dropout, compiled."""
    layers = [models.Conv(3, 3, activation="relu"), models.BatchNormalization(), models.Flatten()]
    layers += [models.Dropout(0.4), models.Dense(5, activation="softmax")]
    model = models.Sequential([models.Input((8, 8, 3)), *layers])
    model.compile(optimizer, loss, **how)
    return model


def fit(model, x, **how):
    history = model.fit(x, LABELS, batch_size=8, epochs=4, verbose=0, **how).history
    return [[float(value).hex() for value in values] for values in history.values()]


@pytest.mark.parametrize(
    "optimizer",
    [
        "sgd",
        "adam",
        models.SGD(0.05, momentum=0.9, clipnorm=1.0),
        models.AdamW(models.CosineDecay(0.01, 20)),
    ],
    ids=["sgd", "adam", "momentum", "schedule"],
)
@pytest.mark.backends("numpy", "jax", "torch")
def test_a_training_goes_on_after_load_to_the_last_digit(xp, tmp_path, optimizer):
    x = xp.array(X)
    models.set_seed(3)
    whole = fit(trainable(optimizer, metrics=["accuracy"]), x)
    model = trainable(optimizer, metrics=["accuracy"])
    halves = [
        [float(value).hex() for value in values]
        for values in model.fit(x, LABELS, 8, 2, verbose=0).history.values()
    ]
    model.save(path := tmp_path / "half.safetensors")
    # another process has another seed until it is told
    models.set_seed(0)
    again = models.load(path)
    assert (again._trainer.epoch, again._trainer.step) == (2, 10)
    rest = fit(again, x, initial_epoch=2)
    assert [a + b for a, b in zip(halves, rest, strict=True)] == whole


def test_a_training_with_functions_goes_on_once_it_is_compiled(tmp_path):
    def squares(y, p):
        return ((p - y[:, None]) ** 2).sum(-1)

    def squares_vjp(dy, y, p):
        return 2 * dy[:, None] * (p - y[:, None])

    class Squares(models.Loss):
        name = "squares"

        def targets(self, xp, y, y_pred):
            return xp.astype(y, y_pred.dtype)

        values = staticmethod(squares)
        gradient = staticmethod(squares_vjp)

    whole = fit(trainable("adam", Squares()), X)
    model = trainable("adam", Squares())
    first = model.fit(X, LABELS, 8, 2, verbose=0).history["loss"]
    model.save(path := tmp_path / "half.safetensors")
    again = models.load(path)
    with pytest.raises(ValueError, match="is not compiled yet"):
        again.fit(X, LABELS)
    again.compile("adam", Squares())
    rest = fit(again, X, initial_epoch=2)
    assert [float(v).hex() for v in first] + rest[0] == whole[0]
    # a second call begins anew, and so does one on a model that was read without its training
    again.compile("adam", Squares())
    assert again._trainer.step == 0
    other = models.load(path, compile=False)
    other.compile("adam", Squares())
    assert (other._trainer.step, other._trainer.slots) == (0, {})


def test_weights_are_read_from_a_file_with_a_training(tmp_path):
    model = trainable()
    model.fit(X, LABELS, verbose=0)
    model.save(path := tmp_path / "m.safetensors")
    other = trainable("sgd")
    other.load_weights(path)
    np.testing.assert_array_equal(other(X), model(X))
    assert other._trainer.step == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda t, m: t.update({"optimizer:velocity:conv/bias": np.ones(4)}),
            "belongs to no weight",
        ),
        (lambda t, m: t.update({"optimizer:velocity:no/bias": np.ones(3)}), "belongs to no weight"),
        (lambda t, m: t.update({"optimizer:velocity:conv/bias": np.ones(3, int)}), "no weight"),
        (lambda t, m: m.update(training="[]"), "structure is damaged"),
        (lambda t, m: m.update(training=m["training"].replace("Adam", "Popen")), "'Popen'"),
        (lambda t, m: m.update(training=m["training"].replace("beta_1", "__class__")), "beta_1|__"),
        (lambda t, m: m.update(training=m["training"].replace('"step": 2', '"step": -2')), "step"),
    ],
)
def test_a_damaged_training(tmp_path, change, message):
    model = trainable()
    model.fit(X, LABELS, verbose=0)
    model.save(path := tmp_path / "m.safetensors")
    changed(path, change)
    with pytest.raises(ValueError, match=message) as caught:
        models.load(path)
    assert str(caught.value).startswith(f"{path}: ")

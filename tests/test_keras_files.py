"""Whole models in Keras's files: read, run as Keras runs them, and written so that Keras opens them."""

import io
import json
import zipfile

import h5py
import numpy as np
import pytest
from reference_keras import keras_in
from reference_weights import filled

from arrayconv import models

rng = np.random.default_rng(0)
# what Keras itself does with NumPy
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def mnist(keras):
    """Return the convolutional network of Keras's introduction."""
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(8, kernel_size=(3, 3), activation="relu", kernel_regularizer="l2"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Conv2D(8, 3, activation="swish", kernel_initializer="he_normal"),
            layers.AveragePooling2D(2, padding="same"),
            layers.BatchNormalization(epsilon=0.01),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ],
        name="mnist",
    )


def skip(keras):
    layers = keras.layers
    x = inputs = keras.Input((16, 16, 3), name="img")
    for filters in (4, 8):
        x = layers.Conv2D(filters, 3, activation="relu")(x)
    before = layers.MaxPooling2D(3)(x)
    x = layers.Conv2D(8, 3, activation="relu", padding="same")(before)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
    x = layers.add([layers.PReLU()(x), before])
    x = layers.Concatenate()([layers.LeakyReLU()(x), layers.SeparableConv2D(2, 1)(x)])
    x = layers.GlobalAveragePooling2D()(layers.Conv2DTranspose(3, 2, strides=2)(x))
    return keras.Model(inputs, layers.Dense(10)(x), name="toy")


def two(keras):
    layers = keras.layers
    a, b = keras.Input((8,), name="a"), keras.Input((5,), name="b")
    shared = layers.Dense(4, activation="tanh", name="shared")
    x = layers.concatenate([shared(a), layers.Dense(8)(b)])
    y = layers.multiply([shared(layers.Dense(8)(x)), shared(a)])
    y = layers.average([y, layers.minimum([y, shared(a)])])
    one = layers.Dense(1, activation="sigmoid", name="one")(y)
    return keras.Model([b, a], [one, layers.LayerNormalization(name="all")(x)], name="two")


def nested(keras):
    layers = keras.layers
    start = keras.Input((6, 6, 4))
    halves = keras.Model(start, [layers.Conv2D(4, 1, name="c")(start), layers.ReLU(6.0)(start)])
    row = keras.Sequential([keras.Input((6, 6, 4)), layers.Conv2D(4, 1, name="c")], name="row")
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, activation="relu", name="c")(inputs)
    left, right = halves(row(x))
    x = layers.subtract([row(left), right])
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(x)))


def signal(keras):
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((12, 4)),
            layers.ZeroPadding1D((1, 2)),
            layers.Conv1D(6, 3, dilation_rate=2, activation="gelu"),
            layers.UpSampling1D(2),
            layers.Cropping1D(1),
            layers.Permute((2, 1)),
            layers.Reshape((-1, 3)),
            layers.Rescaling(0.5, offset=0.1),
            layers.Activation("hard_sigmoid"),
            layers.SpatialDropout1D(0.5),
            layers.Identity(),
            layers.GlobalMaxPooling1D(),
        ]
    )


MAKERS = (mnist, skip, two, nested, signal)


def listed(values):
    return values if isinstance(values, list) else [values]


def inputs_of(keras_model):
    x = [rng.standard_normal((4, *i.shape[1:])).astype("float32") for i in keras_model.inputs]
    return x if len(x) > 1 else x[0]


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.backends("numpy", "jax")
def test_a_model_of_keras_predicts_as_there_and_goes_back(xp, make, tmp_path):
    jax = pytest.importorskip("jax")
    # Keras is not written for the strict rules of the tests
    with keras_in("float32") as keras, jax.numpy_rank_promotion("allow"):
        theirs = make(keras)
        least = [0.3 if "variance" in w.path else -0.5 for w in theirs.weights]
        drawn = zip(least, theirs.weights, strict=True)
        theirs.set_weights([rng.uniform(low, 0.7, w.shape) for low, w in drawn])
        theirs.save(path := tmp_path / "theirs.keras")
        x = inputs_of(theirs)
        want = listed(theirs.predict(x, verbose=0))
        ours = models.load(path)
        given = [xp.array(part) for part in x] if isinstance(x, list) else xp.array(x)
        for w, got in zip(want, listed(ours.predict(given)), strict=True):
            assert not isinstance(got, np.ndarray) or xp.name == "numpy"
            np.testing.assert_allclose(xp.to_numpy(got), w, rtol=1e-5, atol=1e-5)
        ours.save(back := tmp_path / "ours.keras")
        again = keras.saving.load_model(back)
        assert (again.name, type(again)) in {(theirs.name, type(theirs)), (ours.name, keras.Model)}
        for w, got in zip(want, listed(again.predict(x, verbose=0)), strict=True):
            np.testing.assert_allclose(got, w, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("network", ["small", "happy", "signs", "same_stack", "torch_net"])
def test_the_networks_open_in_keras(network, tmp_path):
    make = models.networks.NETWORKS[network]
    model = filled(make(input_shape=(12, 12, 3))).to(like=np.ones((), np.float32))
    model.save(path := tmp_path / "net.keras")
    x = rng.standard_normal((2, 12, 12, 3)).astype("float32")
    with keras_in("float32") as keras:
        again = keras.saving.load_model(path)
        np.testing.assert_allclose(again.predict(x, verbose=0), model(x), rtol=1e-4, atol=1e-5)


def test_the_file_of_a_layer_that_keras_has_not(tmp_path):
    class Twice(models.ReLU):
        pass

    model = models.Sequential([models.Input((3,)), Twice()])
    with pytest.raises(ValueError, match=r"Keras has no Twice; save to .safetensors"):
        model.save(tmp_path / "m.keras")
    start = models.Input((4, 4, 4, 1))
    model = models.Model(start, models.DepthwiseConv(2)(start))
    with pytest.raises(ValueError, match="Keras has no DepthwiseConv3D"):
        model.save(tmp_path / "m.keras")
    assert list(tmp_path.iterdir()) == []


def test_a_class_upon_one_of_keras_does_not_take_its_place(tmp_path):
    class Double(models.layers.Conv2D):
        def forward(self, w, x):
            return 2 * super().forward(w, x)

    x = rng.standard_normal((2, 4, 4, 2)).astype("float32")
    for kind in (models.layers.Conv2D, models.Conv):
        model = models.Sequential([models.Input((4, 4, 2)), kind(2, 3)])
        model.save(path := tmp_path / "net.keras")
        np.testing.assert_array_equal(models.load(path)(x), model(x))
    model = models.Sequential([models.Input((4, 4, 2)), Double(2, 3)])
    with pytest.raises(ValueError, match="Keras has no Double"):
        model.save(tmp_path / "double.keras")


def changed(path, change):
    """Rewrite the config in a ``.keras`` file."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    change(config)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**members, "config.json": json.dumps(config)}.items():
            archive.writestr(name, content)


def set_in(number, **given):
    return lambda config: config["config"]["layers"][number]["config"].update(given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c["config"]["layers"][1].update(class_name="Lambda"), "no such layer here"),
        (lambda c: c["config"]["layers"][1].update(class_name="_Pair"), "no such layer here"),
        (lambda c: c.update(class_name="Mine"), "it is a Mine, and only Functional and Sequ"),
        (
            set_in(1, kernel_constraint={"class_name": "MaxNorm"}),
            "Dense 'dense': kernel_constraint",
        ),
        (set_in(1, units=3), "no layer here for dense"),
        (set_in(1, units=10**9), "no layer here for dense"),
        (set_in(1, dtype={"config": {"name": "mixed_float16"}}), "dtype 'mixed_float16'"),
        (set_in(0, batch_shape=[None, None]), "a size is not known"),
        (
            set_in(1, activation={"class_name": "function", "config": "mine", "module": "os"}),
            "activation='mine' is a user-defined function",
        ),
        (lambda c: c["config"]["layers"].pop(0), "before its input shape was known"),
    ],
)
def test_what_is_not_here_is_named(tmp_path, change, message):
    model = models.Sequential([models.Input((4,)), models.Dense(2)])
    model.save(path := tmp_path / "m.keras")
    changed(path, change)
    with pytest.raises(ValueError, match=message) as caught:
        models.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def bomb(depth):
    """Return a config in which each model calls the one within it twice."""
    tensor = {"class_name": "__keras_tensor__"}

    def at(name, number=0):
        return {"args": [{**tensor, "config": {"keras_history": [name, number, 0]}}], "kwargs": {}}

    start = {"class_name": "InputLayer", "config": {"name": "i", "batch_shape": [None, 2]}}
    start["inbound_nodes"] = []
    inner = {"class_name": "ReLU", "config": {"name": "r"}}
    for _ in range(depth):
        name = inner["config"]["name"]
        twice = {**inner, "inbound_nodes": [at("i"), at(name)]}
        ends = {"input_layers": ["i", 0, 0], "output_layers": [name, 1, 0]}
        inner = {"class_name": "Functional", "config": {"name": "m", "layers": [start, twice]}}
        inner["config"] |= ends
    return inner


def test_models_that_call_models_end(tmp_path):
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        file.create_group("layers")
    for depth, fine in ((3, True), (40, False)):
        with zipfile.ZipFile(path := tmp_path / "bomb.keras", "w") as archive:
            archive.writestr("config.json", json.dumps(bomb(depth)))
            archive.writestr("model.weights.h5", held.getvalue())
        if fine:
            assert len(models.load(path).graph.nodes) == 9
        else:
            with pytest.raises(ValueError, match="it has more than 10000 nodes"):
                models.load(path)


LARGE = ("EfficientNetV2B0", "ResNet50V2", "VGG16")
APPLICATIONS = (
    "DenseNet121",
    "MobileNetV2",
    *(pytest.param(name, marks=pytest.mark.full) for name in LARGE),
)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_the_applications_of_keras(name, tmp_path):
    jax = pytest.importorskip("jax")
    with keras_in("float32") as keras, jax.numpy_rank_promotion("allow"):
        make = getattr(keras.applications, name)
        theirs = make(weights=None, input_shape=(32, 32, 3), classes=5)
        # spread so that the outputs of a hundred layers differ and do not blow up
        for w in theirs.weights:
            fan = 9 if "depthwise" in w.path else np.prod(w.shape[:-1])
            if "variance" in w.path:
                w.assign(rng.uniform(0.5, 1.5, w.shape))
            elif len(w.shape) > 1:
                w.assign(rng.standard_normal(w.shape) * np.sqrt(2 / fan))
            elif "seed" not in w.path:
                w.assign(np.asarray(w) + rng.uniform(-0.2, 0.2, w.shape))
        theirs.save(path := tmp_path / "app.keras")
        x = rng.uniform(0, 255 if "Efficient" in name else 1, (3, 32, 32, 3)).astype("float32")
        want = theirs.predict(x, verbose=0)
        assert np.ptp(want) > 0.01
        ours = models.load(path)
        assert ours.count_params() == theirs.count_params()
        for library in (np, jax.numpy):
            np.testing.assert_allclose(ours.predict(library.asarray(x)), want, atol=1e-5)

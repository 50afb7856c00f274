"""Files that Keras 3 wrote, read into the same architecture."""

import re
import zipfile

import numpy as np
import pytest
from reference_keras import keras_in
from reference_weights import filled, snapshot

from arrayconv import models

h5py = pytest.importorskip("h5py")
rng = np.random.default_rng(0)
# Keras's own arrays
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


@pytest.fixture(scope="module")
def keras():
    with keras_in("float32") as keras:
        yield keras


def keras_layers(keras, scale=1):
    layers = keras.layers
    return [
        layers.Conv2D(4 * scale, 3, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.SeparableConv2D(4, 3, depth_multiplier=2),
        layers.DepthwiseConv2D(3, depth_multiplier=2),
        layers.PReLU(shared_axes=(1, 2)),
        layers.LayerNormalization(),
        layers.Conv2DTranspose(3, 3, strides=2),
        layers.MaxPooling2D(2),
        layers.Dropout(0.5, seed=3),
        layers.Conv2D(4, 3, padding="same", use_bias=False),
        layers.Flatten(),
        layers.Dense(7, activation="tanh"),
        layers.Dense(7),
        layers.Dense(3, activation="softmax"),
    ]


def our_layers():
    return [
        models.Conv(4, 3, padding="same", activation="relu"),
        models.BatchNormalization(),
        models.SeparableConv(4, 3, depth_multiplier=2),
        models.DepthwiseConv(3, depth_multiplier=2),
        models.PReLU(shared_axes=(1, 2)),
        models.LayerNormalization(),
        models.ConvTranspose(3, 3, strides=2),
        models.MaxPool(2),
        models.Dropout(0.5),
        models.Conv(4, 3, padding="same", use_bias=False),
        models.Flatten(),
        models.Dense(7, activation="tanh"),
        models.Dense(7),
        models.Dense(3, activation="softmax"),
    ]


def keras_file(model, path):
    (model.save_weights if path.name.endswith(".weights.h5") else model.save)(path)
    return path


FILES = ("m.weights.h5", "m.keras")


def agrees(ours, theirs, path, shape):
    filled(theirs)
    ours.load_weights(keras_file(theirs, path))
    for got, want in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_array_equal(got, want)
    x = rng.standard_normal((2, *shape)).astype(np.float32)
    np.testing.assert_allclose(ours(x), np.asarray(theirs(x)), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", FILES)
def test_keras_sequential(keras, tmp_path, name):
    theirs = keras.Sequential([keras.Input((9, 9, 3)), *keras_layers(keras)])
    ours = models.Sequential([models.Input((9, 9, 3)), *our_layers()])
    agrees(ours, theirs, tmp_path / name, (9, 9, 3))


@pytest.mark.parametrize("name", FILES)
def test_keras_functional_with_branches_and_a_compiled_optimizer(keras, tmp_path, name):
    # made in another order than joined, so that Keras's automatic names lead astray
    layers = keras.layers
    last, first = layers.Dense(4), layers.Dense(4)
    inputs = keras.Input((4,))
    shared = layers.Dense(4, activation="tanh")
    x = shared(shared(first(inputs)))
    theirs = keras.Model(inputs, last(layers.Add()([x, layers.Dense(4)(inputs)])))
    theirs.compile("adam", "mse")
    theirs.fit(np.ones((4, 4)), np.ones((4, 4)), verbose=0)

    start = models.Input((4,))
    again = models.Dense(4, activation="tanh")
    y = again(again(models.Dense(4)(start)))
    ours = models.Model(start, models.Dense(4)(models.Add()([y, models.Dense(4)(start)])))
    agrees(ours, theirs, tmp_path / name, (4,))


@pytest.mark.parametrize("name", FILES)
def test_names_that_were_given_count(keras, tmp_path, name):
    theirs = keras.Sequential(
        [keras.Input((3,)), *(keras.layers.Dense(3, name=n) for n in ("left", "right"))]
    )
    filled(theirs)
    keras_file(theirs, path := tmp_path / name)
    ours = models.Sequential(
        [models.Input((3,)), *(models.Dense(3, name=n) for n in ("right", "left"))]
    )
    ours.load_weights(path)
    want = theirs.get_weights()
    for got, w in zip(ours.get_weights(), want[2:] + want[:2], strict=True):
        np.testing.assert_array_equal(got, w)


def nested(keras):
    layers = keras.layers
    block = keras.Sequential([layers.Dense(3), layers.Dense(3)])
    return keras.Sequential([keras.Input((3,)), layers.Dense(3), block, layers.Dense(3)])


def test_models_in_a_keras_model(keras, tmp_path):
    ours = models.Sequential([models.Input((3,)), *(models.Dense(3) for _ in range(4))])
    agrees(ours, nested(keras), tmp_path / "m.keras", (3,))
    before = snapshot(ours)
    nested(keras).save_weights(path := tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match="does not say which comes first; read the .keras file"):
        ours.load_weights(path)
    assert snapshot(ours) == before


@pytest.mark.parametrize("rank", [1, 3])
def test_keras_in_one_and_three_dimensions(keras, tmp_path, rank):
    kinds = [getattr(keras.layers, f"Conv{rank}D"), getattr(keras.layers, f"Conv{rank}DTranspose")]
    shape = (*(5, 6, 4)[:rank], 2)
    theirs = keras.Sequential([keras.Input(shape), kinds[0](3, 2), kinds[1](2, 3)])
    ours = models.Sequential([models.Input(shape), models.Conv(3, 2), models.ConvTranspose(2, 3)])
    agrees(ours, theirs, tmp_path / "m.weights.h5", shape)


@pytest.mark.parametrize("name", FILES)
def test_another_keras_architecture(keras, tmp_path, name):
    theirs = keras.Sequential([keras.Input((9, 9, 3)), *keras_layers(keras, scale=2)[:2]])
    path = keras_file(theirs, tmp_path / name)
    ours = models.Sequential([models.Input((9, 9, 3)), *our_layers()[:2], models.Dense(2)])
    before = snapshot(ours)
    with pytest.raises(ValueError) as caught:
        ours.load_weights(path)
    text = str(caught.value)
    assert "no weights in the file for Conv 'conv', kernel (3, 3, 3, 4), bias (4,)" in text
    assert "no weights in the file for Dense 'dense'" in text
    assert re.search(r"no layer here for conv2d(_\d+)?, 0 \(3, 3, 3, 8\), 1 \(8,\)", text)
    assert "batch_normalization" in text
    assert snapshot(ours) == before


def test_keras_files_that_are_broken(keras, tmp_path):
    theirs = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    ours = models.Sequential([models.Dense(3, input_shape=(3,))])
    before = snapshot(ours)
    for name in FILES:
        whole = keras_file(theirs, tmp_path / name).read_bytes()
        for content in (b"", b"hello", whole[:200], whole[:-300]):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(ValueError, match=r"this is not a complete (h5|.keras) file"):
                ours.load_weights(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "other.keras", "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(ValueError, match=r"not a complete .keras file .*config.json"):
        ours.load_weights(tmp_path / "other.keras")
    with h5py.File(tmp_path / "data.h5", "w") as file:
        file["train_set_x"] = np.ones(3)
    with pytest.raises(ValueError, match="no group 'layers', so it holds no weights of Keras 3"):
        ours.load_weights(tmp_path / "data.h5")
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.create_group("model_weights")
    with pytest.raises(
        ValueError, match=r"this is the older h5 format; save_weights\('x.weights.h5'"
    ):
        ours.load_weights(tmp_path / "old.h5")
    assert snapshot(ours) == before


def test_keras_weights_of_a_half_type(keras, tmp_path):
    for dtype in ("float16", "bfloat16"):
        theirs = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, dtype=dtype)])
        path = keras_file(theirs, tmp_path / f"{dtype}.weights.h5")
        ours = models.Sequential([models.Dense(3, input_shape=(3,))])
        ours.load_weights(path)
        want = np.asarray(theirs.get_weights()[0], dtype=np.float64)
        np.testing.assert_array_equal(ours.get_weights()[0], want)


@pytest.mark.parametrize(
    "key", ["layers", "layers/dense/vars", "layers/dense/vars/kernel", "layers/dense/vars/0/a"]
)
def test_h5_files_of_another_layout(tmp_path, key):
    path = tmp_path / "strange.weights.h5"
    with h5py.File(path, "w") as file:
        file[key] = np.ones(3)
    ours = models.Sequential([models.Dense(3, input_shape=(3,))])
    with pytest.raises(
        ValueError, match=r"strange.weights.h5: this is not a weights file of Keras 3"
    ):
        ours.load_weights(path)

"""Programs written for Keras, run there and, with their import lines changed, here."""

import re

import numpy as np
import pytest
from reference_keras import keras_in

from arrayconv import models

# what Keras itself does with NumPy and with arguments that it calls old
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Do not pass an `input_shape`:UserWarning"),
    pytest.mark.filterwarnings("ignore:The structure of `inputs`:UserWarning"),
    # Keras's metrics, on JAX from 0.11 on
    pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning"),
]

HEAD = """
import keras
import numpy as np
from keras import layers, Sequential, Model, Input
rng = np.random.default_rng(0)
def data(*shape):
    return rng.random(shape).astype("float32")
def labels(count, classes):
    return rng.integers(0, classes, count)
def fill(model):
    model.set_weights([rng.uniform(0, 0.3, w.shape).astype("float32") for w in model.get_weights()])
"""

PROGRAMS = {}

PROGRAMS["the introduction's convnet on MNIST"] = """
x_train, y_train = data(48, 28, 28)[..., None], keras.utils.to_categorical(labels(48, 10), 10)
model = keras.Sequential(
    [
        keras.Input(shape=(28, 28, 1)),
        layers.Conv2D(4, kernel_size=(3, 3), activation="relu"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.Conv2D(8, kernel_size=(3, 3), activation="relu"),
        layers.MaxPooling2D(pool_size=(2, 2)),
        layers.Flatten(),
        layers.Dropout(0.0),
        layers.Dense(10, activation="softmax"),
    ]
)
fill(model)
model.summary()
model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
history = model.fit(x_train, y_train, batch_size=16, epochs=2, validation_split=0.25, shuffle=False, verbose=0)
names = sorted(history.history)
numbers = [history.history[name] for name in names] + [model.evaluate(x_train, y_train, verbose=0)]
facts = names, model.count_params(), model.output_shape, [w.shape for w in model.trainable_variables]
"""

PROGRAMS["the engineers' introduction, with callbacks and files"] = """
model = keras.Sequential(
    [
        keras.layers.Input(shape=(12, 12, 1)),
        keras.layers.Conv2D(4, kernel_size=(3, 3), activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(3, activation="softmax"),
    ]
)
fill(model)
model.compile(
    loss=keras.losses.SparseCategoricalCrossentropy(),
    optimizer=keras.optimizers.Adam(learning_rate=1e-3, amsgrad=False),
    metrics=[keras.metrics.SparseCategoricalAccuracy(name="acc")],
)
callbacks = [
    keras.callbacks.ModelCheckpoint(filepath=FOLDER + "/at_{epoch}.keras", save_freq="epoch"),
    keras.callbacks.ModelCheckpoint(FOLDER + "/only.weights.h5", save_weights_only=True),
    keras.callbacks.EarlyStopping(monitor="val_loss", patience=2),
    keras.callbacks.LearningRateScheduler(lambda epoch: 0.01 / (epoch + 1)),
]
x, y = data(40, 12, 12, 1), labels(40, 3)
history = model.fit(
    x, y, batch_size=10, epochs=2, validation_split=0.2, shuffle=False, verbose=0, callbacks=callbacks
)
model.save(FOLDER + "/final.keras")
again = keras.saving.load_model(FOLDER + "/final.keras")
again.load_weights(FOLDER + "/only.weights.h5")
names = sorted(history.history)
numbers = [history.history[name] for name in names] + [again.predict(x, verbose=0)]
import os
facts = names, sorted(os.listdir(FOLDER))
"""

PROGRAMS["the functional guide's toy ResNet"] = """
inputs = keras.Input(shape=(16, 16, 3), name="img")
x = layers.Conv2D(4, 3, activation="relu")(inputs)
block_1_output = layers.MaxPooling2D(3)(x)
x = layers.Conv2D(4, 3, activation="relu", padding="same")(block_1_output)
block_2_output = layers.add([x, block_1_output])
x = layers.Conv2D(4, 3, activation="relu", padding="same")(block_2_output) + block_2_output
x = layers.GlobalAveragePooling2D()(x)
x = layers.Dense(8, activation="relu", kernel_regularizer=keras.regularizers.l2(0.01))(x)
model = keras.Model(inputs, layers.Dense(10)(x), name="toy_resnet")
fill(model)
model.compile(
    optimizer=keras.optimizers.RMSprop(1e-3),
    loss=keras.losses.CategoricalCrossentropy(from_logits=True),
    metrics=["acc"],
)
features = x.shape
x, y = data(20, 16, 16, 3), keras.utils.to_categorical(labels(20, 10), 10)
history = model.fit(x, y, epochs=2, shuffle=False, verbose=0)
numbers = [history.history["loss"]]
facts = model.name, model.input_shape, block_1_output.shape, features, sorted(history.history)
"""

PROGRAMS["the functional guide's two inputs, outputs by name"] = """
title, body = keras.Input(shape=(12,), name="title"), keras.Input(shape=(20,), name="body")
x = layers.concatenate([layers.Dense(8)(title), layers.Dense(8)(body), title])
priority = layers.Dense(1, name="priority")(x)
department = layers.Dense(4, name="department")(x)
model = keras.Model(inputs=[title, body], outputs={"urgent": priority, "department": department})
fill(model)
model.compile(
    optimizer=keras.optimizers.RMSprop(1e-3),
    loss={
        "urgent": keras.losses.BinaryCrossentropy(from_logits=True),
        "department": keras.losses.CategoricalCrossentropy(from_logits=True),
    },
    loss_weights={"urgent": 1.0, "department": 0.2},
)
x = {"title": data(32, 12), "body": data(32, 20)}
y = {"urgent": labels(32, 2).reshape(32, 1), "department": keras.utils.to_categorical(labels(32, 4), 4)}
history = model.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0)
model.save(FOLDER + "/two.keras")
told = keras.models.load_model(FOLDER + "/two.keras").predict(x, verbose=0)
numbers = [history.history["loss"], told["urgent"], told["department"]]
facts = sorted(history.history), sorted(told), sorted(model.output_shape)
"""

PROGRAMS["the course's residual block"] = """
from keras.layers import Input, Add, Dense, Activation, ZeroPadding2D, BatchNormalization, Flatten, Conv2D
from keras.layers import AveragePooling2D, MaxPooling2D, GlobalMaxPooling2D
from keras.models import Model, load_model
from keras.initializers import random_uniform, glorot_uniform, constant
def identity_block(X, f, filters, stage, block):
    base = "res" + str(stage) + block + "_branch"
    X_shortcut = X
    X = Conv2D(filters=filters, kernel_size=(1, 1), strides=(1, 1), padding="valid", name=base + "2a",
               kernel_initializer=glorot_uniform(seed=0))(X)
    X = BatchNormalization(axis=3, name="bn" + base)(X)
    X = Activation("relu")(X)
    X = Conv2D(filters=filters, kernel_size=(f, f), padding="same", kernel_initializer=random_uniform(seed=0))(X)
    X = Add()([X, X_shortcut])
    return Activation("relu")(X)
X_input = Input((8, 8, 4))
X = identity_block(ZeroPadding2D((1, 1))(X_input), 3, 4, 1, "a")
X = Flatten()(AveragePooling2D((2, 2), name="avg_pool")(X))
model = Model(inputs=X_input, outputs=Dense(6, activation="softmax", name="fc")(X), name="ResNet")
fill(model)
model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
x, y = data(8, 8, 8, 4), np.eye(6)[labels(8, 6)]
history = model.fit(x=x, y=y, epochs=2, batch_size=4, shuffle=False, verbose=0)
numbers = [history.history["loss"], model.evaluate(x, y, verbose=0)]
facts = model.count_params(), [len(layer.weights) for layer in model.layers]
"""

PROGRAMS["the sequential guide, with pop"] = """
model = keras.Sequential(name="my_sequential")
model.add(keras.Input(shape=(30, 30, 3)))
model.add(layers.Conv2D(4, 5, strides=2, activation="relu"))
model.add(layers.Conv2D(4, 3, activation="relu", name="my_intermediate_layer"))
model.add(layers.Dense(7))
model.pop()
model.add(layers.GlobalMaxPooling2D())
fill(model)
x = data(1, 30, 30, 3)
extractor = keras.Model(inputs=model.inputs, outputs=[layer.output for layer in model.layers])
one = keras.Model(inputs=model.inputs, outputs=[model.get_layer(name="my_intermediate_layer").output])
numbers = [np.asarray(part) for part in extractor(x)] + [np.asarray(one(x))]
for layer in model.layers[:1]:
    layer.trainable = False
twin = keras.models.clone_model(model)
facts = (
    model.output_shape, len(model.layers), len(model.trainable_weights), len(model.non_trainable_weights),
    len(model.layers[0].trainable_weights), twin.count_params(), model.layers[-1].output.shape,
)
"""

PROGRAMS["activations, configs and scores"] = """
from keras import activations
model = Sequential([
    Input((6, 6, 2)),
    layers.Conv2D(3, 3, activation=activations.relu),
    layers.Conv2D(3, 1, activation=activations.get("leaky_relu")),
    layers.SpatialDropout2D(0.0), layers.Identity(), layers.GlobalAveragePooling2D(),
    layers.Dense(4, activation=activations.softmax),
])
twin = Sequential.from_config(model.get_config())
fill(twin)
dense = layers.Dense(4, activation="tanh", use_bias=False, name="mine")
again = layers.Dense.from_config(dense.get_config())
wanted = ("name", "units", "activation", "use_bias")
facts = [type(layer).__name__ for layer in twin.layers], [again.get_config()[key] for key in wanted]
x, y = data(16, 6, 6, 2), np.eye(4)[labels(16, 4)].astype("float32")
branches = [layers.average([x, 2 * x, -x]), layers.minimum([x, 1 - x]), activations.relu(x - 0.5, negative_slope=0.2)]
twin.compile(
    keras.optimizers.get("sgd"), keras.losses.get("categorical_crossentropy"),
    metrics=[keras.metrics.F1Score(), keras.metrics.MeanSquaredError(name="squares"), "mae"],
)
history = twin.fit(x, y, epochs=2, batch_size=8, shuffle=False, verbose=0).history
facts = facts, sorted(history)
numbers = [np.asarray(part) for part in branches] + [np.asarray(history[name]) for name in sorted(history)]
"""

PROGRAMS["calls on arrays"] = """
x = data(4, 28, 28, 3)
made = [
    layers.Conv2D(filters=6, kernel_size=(2, 2), input_shape=x.shape[1:], bias_constraint=None)(x),
    layers.MaxPool2D()(x), layers.AvgPool2D(2)(x), layers.GlobalMaxPool2D()(x),
    layers.ZeroPadding2D(((1, 2), (3, 4)))(x), layers.multiply([x, x]), layers.concatenate([x, x]),
]
facts = [tuple(part.shape) for part in made]
numbers = [np.asarray(part) for part in made[1:]]
drops = [np.asarray(layers.Dropout(0.5, seed=3)(x, training=True)) for _ in range(2)]
facts.append(bool((drops[0] == drops[1]).all()))
"""


def ran(program, folder):
    """Return the names that a program leaves."""
    folder.mkdir()
    found = {"FOLDER": str(folder)}
    exec(compile(program, "program", "exec"), found)
    return found


def changed(program):
    """Return a program with its import lines changed, and nothing else."""
    program = re.sub(
        r"^import keras$", "from arrayconv import models as keras", program, flags=re.M
    )
    return re.sub(r"^from keras\b", "from arrayconv.models", program, flags=re.M)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_program_of_keras_runs_when_its_import_lines_change(name, tmp_path, capsys):
    jax = pytest.importorskip("jax")
    program = HEAD + PROGRAMS[name]
    with keras_in("float32"), jax.numpy_rank_promotion("allow"):
        theirs = ran(program, tmp_path / "theirs")
    ours = ran(changed(program), tmp_path / "ours")
    assert ours["keras"] is models
    assert str(ours["facts"]) == str(theirs["facts"])
    for got, want in zip(ours["numbers"], theirs["numbers"], strict=True):
        np.testing.assert_allclose(got, want, rtol=2e-4, atol=2e-5)


def test_outputs_by_key_go_through_files_and_clones(tmp_path):
    start = models.Input((3,), name="in")
    hidden = models.Dense(2, name="hidden")(start)
    model = models.Model(start, {"b": hidden, "a": models.Dense(1, name="last")(hidden)})
    x = np.ones((2, 3), np.float32)
    want = model(x)
    assert list(want) == ["a", "b"]
    assert list(models.clone_model(model)(x)) == ["a", "b"]
    for name in ("m.safetensors", "m.keras"):
        model.save(tmp_path / name)
        again = models.load(tmp_path / name).predict(x)
        assert all(np.array_equal(again[key], want[key]) for key in ("a", "b"))
    model.compile("sgd", {"a": "mse", "b": "mae"})
    assert list(model.evaluate(x, want, return_dict=True)) == ["loss", "a_loss", "b_loss"]


def test_pop():
    model = models.Sequential([models.Dense(3, input_shape=(4,)), models.Dense(2)])
    model.compile("adam", "mse")
    x = np.ones((8, 4))
    model.fit(x, np.ones((8, 2)), verbose=0)
    kept = model.layers[0].get_weights()
    last = model.pop()
    assert (model.output_shape, last.nodes) == ((None, 3), [])
    for a, b in zip(model.get_weights(), kept, strict=True):
        assert np.array_equal(a, b)
    np.testing.assert_allclose(model(x), x @ kept[0] + kept[1])
    model.add(last)
    assert model.output_shape == (None, 2)
    model.fit(x, np.ones((8, 2)), verbose=0)
    model.pop()
    model.pop()
    assert model.layers == []
    with pytest.raises(ValueError, match="has no layer to take away"):
        model.pop()


REFUSED = [
    (lambda: models.losses.categorical_crossentropy, "loss='categorical_crossentropy'"),
    (lambda: models.metrics.CosineSimilarity, r"minus losses\.CosineSimilarity\(\)"),
    (lambda: models.metrics.MeanIoU, "derives from Metric"),
    (lambda: models.losses.Dice, "derives from Loss"),
    (lambda: models.optimizers.Ftrl, "derives from Optimizer"),
    (lambda: models.optimizers.schedules.InverseTimeDecay, "derives from LearningRateSchedule"),
    (lambda: models.callbacks.SwapEMAWeights, "derives from Callback"),
    (lambda: models.activations.mish, r"a pair \(f, f_vjp\)"),
    (lambda: models.metrics.mae, r"metrics=\['mae'\]"),
    (lambda: models.layers.LSTM, "derives from Layer"),
    (lambda: models.layers.RandomFlip, r"any iterable of \(x, y\)"),
    (lambda: models.layers.GroupNormalization, "group_norm_vjp"),
    (lambda: models.utils.image_dataset_from_directory, "open_folder"),
    (lambda: models.constraints, "weights are not constrained"),
    (lambda: models.datasets, "arrayconv.data"),
    (lambda: models.Dense(2, kernel_constraint="max_norm"), "weights are not constrained"),
    (lambda: models.Dense(2, input_dim=3), r"input_shape=\(input_dim,\)"),
    (lambda: models.Adam(lr=0.1), "did you mean 'learning_rate'"),
    (lambda: models.Adam(amsgrad=True), "Nadam or AdamW"),
    (lambda: models.SGD(decay=0.1), "ExponentialDecay"),
    (lambda: models.MeanSquaredError(reduction="sum"), "sample_weight"),
    (lambda: models.CategoricalCrossentropy(axis=1), "last axis"),
    (lambda: models.Huber(delat=1), "did you mean 'delta'"),
    (lambda: models.Sequential().summary(line_length=80), "always has the layers"),
    (lambda: models.Sequential().summary(10, 20), r"Model\.summary\(\) takes"),
    (lambda: models.Sequential().predict(), r"Model\.predict\(\) missing"),
    (lambda: models.Dense(2).set_weights(), r"Layer\.set_weights\(\) missing"),
    (lambda: models.Input(batch_shape=(None, 3)), "without the batch axis"),
    (lambda: models.Input((3,), dtype="int32"), "dtype of the data"),
    (lambda: models.layers.LeakyReLU(alpha=0.3), "it is negative_slope"),
    (lambda: models.callbacks.BackupAndRestore, "ModelCheckpoint"),
    (lambda: models.plot_model(models.Sequential(), dpi=96), "the picture always shows"),
    (lambda: models.ModelCheckpoint("a.keras", save_freq=100), "save_freq must be 'epoch'"),
]


@pytest.mark.parametrize(("call", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_is_refused_says_what_to_do(call, message):
    with pytest.raises((AttributeError, TypeError, ValueError), match=message):
        call()


def test_what_asks_for_nothing_is_taken():
    models.Dense(2, kernel_constraint=None, activity_regularizer=None, dtype="float32")
    models.Input((3,), dtype="float32")
    assert models.InputLayer(input_shape=(3,)).node().shape == (None, 3)
    models.Adam(amsgrad=False, use_ema=False, decay=0.0)
    models.CosineSimilarity(axis=-1, reduction="sum_over_batch_size")

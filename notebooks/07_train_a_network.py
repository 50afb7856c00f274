# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 7. Train a network
#
# Everything so far, put to work: convolution, pooling, and their backward passes train networks that read digits,
# tell faces from other things, and name a texture. `arrayconv.models` has layers, models, optimizers and `fit`, under
# the names that Keras uses; below them are the functions of the other notebooks and nothing else.
#
# The next line picks the array library: a model computes where its data is, so `import torch as xp` or
# `import jax.numpy as xp` is all it takes to train there.

# %%
import numpy as xp

# %%
import matplotlib.pyplot as plt
import numpy as np
import skimage.data

import arrayconv as ac
from arrayconv import data, models
from arrayconv.lessons import AMOUNT, SIGNED, check, picture, style

style()

# %% [markdown]
# ## Digits
#
# 1797 handwritten digits of 8 x 8 pixels come with scikit-learn. Four fifths are for training, the rest is kept
# aside.

# %%
digits = data.digits()
x_train, x_test = xp.asarray(digits.x_train), xp.asarray(digits.x_test)
print("train", tuple(x_train.shape), " test", tuple(x_test.shape))
assert x_train.shape == (1437, 8, 8, 1)
assert x_test.shape == (360, 8, 8, 1)

figure, axes = plt.subplots(1, 10, figsize=(11, 1.5))
for ax, image, label in zip(axes, digits.x_train, digits.y_train, strict=False):
    picture(ax, image[:, :, 0], str(label), cmap="gray_r")
plt.show()

# %% [markdown]
# The network: 16 filters of 3 x 3 find strokes, 32 filters find combinations of them, a dense layer decides.
# `set_seed` makes the initial weights, the order of the samples and the dropout the same every time, on every
# library.

# %%
models.set_seed(0)
network = models.Sequential(
    [
        models.Input((8, 8, 1)),
        models.Conv(16, 3, padding="same", activation="relu", name="strokes"),
        models.Conv(32, 3, padding="same", activation="relu", name="parts"),
        models.MaxPool(2),
        models.Flatten(),
        models.Dropout(0.3),
        models.Dense(10, activation="softmax"),
    ]
)
network.summary()
before = np.asarray(network.get_layer("strokes").get_weights()[0])
assert network.count_params() == (9 * 16 + 16) + (9 * 16 * 32 + 32) + (4 * 4 * 32 * 10 + 10)

# %% [markdown]
# `compile` chooses the optimizer, the loss and what to report; `fit` takes batches of 64 through the forward pass,
# the loss, and the backward passes of notebook 4, and moves the weights a little against their gradients.

# %% tags=["varies"]
network.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = network.fit(
    x_train,
    digits.y_train,
    batch_size=64,
    epochs=15,
    validation_data=(x_test, digits.y_test),
    verbose=0,
)
loss, accuracy = network.evaluate(x_test, digits.y_test, verbose=0)
print(f"accuracy on digits never seen: {accuracy:.3f}")
assert accuracy > 0.95
assert history.history["loss"][-1] < history.history["loss"][0] / 5

# %% tags=["varies"]
history.plot()
plt.show()

# %% [markdown]
# The validation loss lies below the training loss: dropout makes training harder than testing, and the
# training loss is a mean over an epoch in which the network was still getting better.
#
# ### Where it errs

# %% tags=["varies"]
probabilities = ac.to_numpy(network.predict(x_test, verbose=0))
answers = probabilities.argmax(axis=-1)
wrong = np.nonzero(answers != digits.y_test)[0]
print(f"{wrong.size} of {answers.size} wrong")

figure, axes = plt.subplots(1, 8, figsize=(11, 1.9))
for ax in axes:
    ax.set_axis_off()
for ax, i in zip(axes, wrong, strict=False):
    picture(
        ax, digits.x_test[i, :, :, 0], f"{digits.y_test[i]}, read as {answers[i]}", cmap="gray_r"
    )
    ax.set_axis_on()
plt.show()

# %% [markdown]
# ### What the filters learned
#
# The first layer's kernels before and after training, and what they make of a digit. They began as noise. Now some
# are strokes in one direction, others edges: the hand-made kernels of notebook 1 come out of the data.

# %% tags=["varies"]
after = np.asarray(network.get_layer("strokes").get_weights()[0])
largest = abs(after).max()
figure, axes = plt.subplots(3, 12, figsize=(12, 3.4))
one = xp.asarray(digits.x_test[:1])
weights = [xp.asarray(value) for value in network.get_layer("strokes").get_weights()]
maps = ac.to_numpy(ac.relu(ac.conv(one, *weights, padding="same")))[0]
for k in range(12):
    limits = {"cmap": SIGNED, "vmin": -largest, "vmax": largest}
    picture(axes[0, k], before[:, :, 0, k], f"{k}", **limits)
    picture(axes[1, k], after[:, :, 0, k], f"{k}", **limits)
    picture(axes[2, k], maps[:, :, k], f"{k}", cmap=AMOUNT)
for row, name in enumerate(("before", "after", "its map")):
    axes[row, 0].set_ylabel(name)
plt.show()
assert abs(after - before).max() > 0.05

# %% [markdown]
# ## The course's first model: yes or no
#
# `networks.happy` is the sequential network of the course, which tells happy faces from others: padding, 32 filters
# of 7 x 7, batch normalization, ReLU, max pooling, one output. On 64 x 64 colour images it has 37,633 parameters.
# Written out, for small grey images:

# %%
assert models.networks.happy().count_params() == 37633

faces = skimage.data.lfw_subset().astype("float32")[..., None]  # 100 faces, 100 other things
labels = np.repeat([1.0, 0.0], 100).astype("float32")
order = np.random.default_rng(0).permutation(200)
faces, labels = faces[order], labels[order]

models.set_seed(0)
happy = models.Sequential(
    [
        models.Input((25, 25, 1)),
        models.ZeroPadding(3),
        models.Conv(32, 7),
        models.BatchNormalization(),
        models.ReLU(),
        models.MaxPool(2),
        models.Flatten(),
        models.Dense(1, activation="sigmoid"),
    ],
    name="happy",
)
happy.summary()
assert happy.get_config() == models.networks.happy((25, 25, 1)).get_config()

figure, axes = plt.subplots(1, 8, figsize=(11, 1.8))
for ax, image, label in zip(axes, faces, labels, strict=False):
    picture(ax, image[:, :, 0], "a face" if label else "no face", cmap="gray")
plt.show()

# %% [markdown]
# The happy-house photographs of the course are not free to pass on, so it learns on 200 small images that come with
# scikit-image: is this a face?

# %% tags=["varies"]
# a learning rate that falls to zero: what counts is the last epoch, and with so few images one may be an accident
falling = models.CosineDecay(1e-3, decay_steps=20 * 10)
happy.compile(models.Adam(falling), loss="binary_crossentropy", metrics=["accuracy"])
history = happy.fit(
    xp.asarray(faces[:150]),
    labels[:150, None],
    batch_size=16,
    epochs=20,
    validation_data=(xp.asarray(faces[150:]), labels[150:, None]),
    verbose=0,
)
loss, accuracy = happy.evaluate(xp.asarray(faces[150:]), labels[150:, None], verbose=0)
print(f"accuracy on 50 images never seen: {accuracy:.2f}")
assert accuracy > 0.85

history.plot()
plt.show()

# %% [markdown]
# The validation curve starts badly, and that is batch normalization: in training it uses the mean and the variance of
# the batch, afterwards moving averages of them. With Keras's momentum of 0.99 and 10 batches an epoch, the averages
# need some epochs to catch up.
#
# ## The course's second model: one of several
#
# `networks.signs` is the functional model of the course, which reads the fingers of a hand. It learns here to tell
# brick from grass from gravel, in patches of 64 x 64 pixels cut from three photographs; the right fifth of each
# photograph is kept for testing. So few images make noisy steps; a learning rate that falls to zero calms them.
#
# With the functional API, each layer is called on what the one before gave, and `Model` takes the two ends. That also
# writes networks that fork and join; this one is a row, as `plot_model` shows.

# %%
names = ("brick", "grass", "gravel")


def patches(columns, count, rng):
    """Cut ``count`` patches of 64 x 64 out of some columns of each photograph."""
    images, classes = [], []
    for label, name in enumerate(names):
        photograph = getattr(skimage.data, name)()[:, columns].astype("float32") / 255
        for _ in range(count):
            top = rng.integers(photograph.shape[0] - 63)
            left = rng.integers(photograph.shape[1] - 63)
            images.append(photograph[top : top + 64, left : left + 64, None])
            classes.append(label)
    return np.stack(images), np.asarray(classes)


rng = np.random.default_rng(0)
x, y = patches(slice(0, 400), 60, rng)
x_new, y_new = patches(slice(400, 512), 20, rng)
print("train", x.shape, " test", x_new.shape)

models.set_seed(0)
inputs = models.Input((64, 64, 1))
hidden = models.Conv(8, 4, padding="same")(inputs)
hidden = models.ReLU()(hidden)
hidden = models.MaxPool(8, padding="same")(hidden)
hidden = models.Conv(16, 2, padding="same")(hidden)
hidden = models.ReLU()(hidden)
hidden = models.MaxPool(4, padding="same")(hidden)
outputs = models.Dense(3, activation="softmax")(models.Flatten()(hidden))
signs = models.Model(inputs, outputs, name="signs")
signs.summary()
assert signs.get_config() == models.networks.signs((64, 64, 1), classes=3).get_config()
assert models.networks.signs().count_params() == (16 * 3 * 8 + 8) + (4 * 8 * 16 + 16) + (64 * 6 + 6)

# %%
models.plot_model(signs)

# %% tags=["varies"]
falling = models.CosineDecay(0.01, decay_steps=20 * 12)  # 20 epochs of 12 batches
signs.compile(models.Adam(falling), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
history = signs.fit(
    xp.asarray(x),
    y,
    batch_size=16,
    epochs=20,
    validation_data=(xp.asarray(x_new), y_new),
    verbose=0,
)
loss, accuracy = signs.evaluate(xp.asarray(x_new), y_new, verbose=0)
print(f"accuracy on 60 new patches: {accuracy:.2f}")
assert accuracy > 0.85

history.plot()
plt.show()

# %% tags=["varies"]
answers = ac.to_numpy(signs.predict(xp.asarray(x_new), verbose=0)).argmax(axis=-1)
figure, axes = plt.subplots(1, 6, figsize=(11, 2.2))
for ax, i in zip(axes, range(0, 60, 10), strict=True):
    title = f"{names[y_new[i]]}, read as {names[answers[i]]}"
    picture(ax, x_new[i, :, :, 0], title, cmap="gray", vmin=0, vmax=1)
    ax.title.set_fontsize(8)
plt.show()

# %% [markdown]
# ## The same numbers on every library
#
# Weights are drawn with NumPy from the seed and then moved to where the data is, so a network starts from the same
# numbers everywhere; only the rounding differs. `arrayconv train --help` does all this from the command line, on your
# own images too.
#
# ## What to take along
#
# - A network is functions and their vjps, in order and back.
# - Look at the history, at the errors, and at the filters.
#
# ## Exercises
#
# Put your answer in place of the dots and run the cell: it says whether it is right. One answer is folded up below it.

# %% [markdown]
# **1.** How many numbers does `Conv(32, 5)` learn on images of 3 channels, its bias included?

# %%
answer = ...

layer = models.Sequential([models.Conv(32, 5, input_shape=(16, 16, 3))])
check(answer, layer.count_params())

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = 5 * 5 * 3 * 32 + 32
# ```
#
# </details>

# %% [markdown]
# **2.** A network that reads ten digits has learned nothing yet: each of its outputs is 0.1, whatever it is shown. What
# is its cross entropy?

# %%
answer = ...

check(answer, ac.sparse_categorical_cross_entropy(np.full((4, 10), 0.1), np.arange(4)))

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = np.log(10)
# ```
#
# </details>

# %% [markdown]
# **3.** One step by hand. A layer multiplies its input by a weight `w`, and the loss is the squared error for one
# sample with input `x` and target `y`. Write the weight after one step of gradient descent at learning rate `rate`.


# %%
def answer(w, x, y, rate):
    return ...


line = models.Sequential([models.Dense(1, use_bias=False, input_shape=(1,))])
line.set_weights([[[2.0]]])
line.compile(models.SGD(0.1), loss="mean_squared_error")
line.fit(np.asarray([[3.0]]), np.asarray([[1.0]]), verbose=0)
check(answer(2.0, 3.0, 1.0, 0.1), line.get_weights()[0][0, 0])

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# def answer(w, x, y, rate):
#     return w - rate * 2 * (w * x - y) * x
# ```
#
# </details>

# %% [markdown]
# Next: [coming from Keras, PyTorch or TensorFlow](08_coming_from_keras_pytorch_tensorflow.ipynb).

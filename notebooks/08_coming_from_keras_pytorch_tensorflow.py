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
# # 8. Coming from Keras, PyTorch or TensorFlow
#
# The same padding, convolution and pooling in each, side by side, with the results compared where the other library
# is installed. At the end: a table of names, and the conventions that differ and hurt.
#
# The next line picks the array library that arrayconv runs on here.

# %%
import numpy as xp

# %%
import importlib.util
import os
import tempfile

import matplotlib.pyplot as plt
import numpy as np

import arrayconv as ac
from arrayconv import models
from arrayconv.lessons import BLUE, check, style

style()

os.environ.setdefault("KERAS_BACKEND", "jax")
keras = torch = None
if importlib.util.find_spec("keras") and importlib.util.find_spec(os.environ["KERAS_BACKEND"]):
    import keras
if importlib.util.find_spec("torch"):
    import torch


def same(name, theirs, ours):
    """Compare a result with another library's, in float32."""
    theirs, ours = np.asarray(theirs), ac.to_numpy(ours)
    assert theirs.shape == ours.shape, (theirs.shape, ours.shape)
    assert np.allclose(theirs, ours, rtol=1e-4, atol=1e-4), abs(theirs - ours).max()
    print(f"{name}: equal, {ours.shape}")


# %% tags=["varies"]
for name, module in (("keras", keras), ("torch", torch)):
    print(name, module.__version__ if module else "is not installed here")

# %% [markdown]
# ## The two layouts
#
# Keras and TensorFlow keep channels last, `(N, H, W, C)`; PyTorch keeps them first, `(N, C, H, W)`. Here
# `data_format` says which; channels last is the default. **Weights are `(*kernel, C_in, C_out)` in both**, as in
# Keras; PyTorch's are `(C_out, C_in, *kernel)`. Two lines translate:


# %%
def to_torch(w):
    """Keras's and arrayconv's ``(h, w, C_in, C_out)`` to PyTorch's ``(C_out, C_in, h, w)``."""
    return np.transpose(w, (w.ndim - 1, w.ndim - 2, *range(w.ndim - 2))).copy()


def from_torch(w):
    return np.transpose(w, (*range(2, w.ndim), 1, 0)).copy()


w = np.random.default_rng(0).standard_normal((3, 3, 4, 8))
assert to_torch(w).shape == (8, 4, 3, 3)
assert (from_torch(to_torch(w)) == w).all()

# %% [markdown]
# ## Padding
#
# **TensorFlow** pads any axis of any array: `tf.pad(t, [[2, 2], [2, 2]])`. `ac.pad` pads the spatial axes, so a bare
# matrix gets a batch and a channel axis first.

# %%
t = np.asarray([[1, 2], [3, 4]])
padded = ac.pad(xp.reshape(xp.asarray(t), (1, 2, 2, 1)), 2)
padded = ac.to_numpy(padded)[0, :, :, 0]
print(padded)
assert padded.shape == (6, 6)
assert (padded == np.pad(t, 2)).all()

# %% tags=["tensorflow"]
import tensorflow as tf

same("tf.pad", tf.pad(t, [[2, 2], [2, 2]]), padded)

# %% [markdown]
# **Keras**: `ZeroPadding2D(padding=1)` on `(1, 1, 2, 2)`, batch, height, width, channels. The course's `zero_pad` is
# the same.

# %%
x = np.arange(4.0, dtype="float32").reshape(1, 1, 2, 2)
padded = ac.pad(xp.asarray(x), 1)
print(ac.to_numpy(padded)[0])
assert padded.shape == (1, 3, 4, 2)
assert np.array_equal(ac.to_numpy(padded), ac.to_numpy(ac.zero_pad(xp.asarray(x), 1)))
if keras:
    same("keras ZeroPadding2D(1)", keras.layers.ZeroPadding2D(padding=1)(x), padded)

# %% [markdown]
# **PyTorch**: `ZeroPad2d(2)` on `(1, 2, 2)`, channels, height, width. Its other paddings are modes of `ac.pad`:
# `ReflectionPad2d` is `mode="reflect"`, `ReplicationPad2d` is `"edge"`, `CircularPad2d` is `"wrap"`.

# %%
image = np.asarray([[[1.0, 2.0], [3.0, 4.0]]], dtype="float32")  # (C, H, W)
padded = ac.pad(xp.asarray(image[None]), 2, data_format="channels_first")
print(ac.to_numpy(padded)[0])
assert padded.shape == (1, 1, 6, 6)
if torch:
    same("torch ZeroPad2d(2)", torch.nn.ZeroPad2d(2)(torch.asarray(image))[None], padded)

wide = np.random.default_rng(0).standard_normal((1, 2, 5, 6)).astype("float32")
if torch:
    modes = {"ReflectionPad2d": "reflect", "ReplicationPad2d": "edge", "CircularPad2d": "wrap"}
    for name, mode in modes.items():
        theirs = getattr(torch.nn, name)(2)(torch.asarray(wide))
        ours = ac.pad(xp.asarray(wide), 2, mode=mode, data_format="channels_first")
        same(f"torch {name}(2)", theirs, ours)

# %% [markdown]
# ## Convolution
#
# Keras's three examples: 6 filters of 2 x 2 with `padding="same"`; 4 filters of 2 x 2 with stride 2, `"valid"`; 2
# filters of 3 x 3 on a small image. Keras keeps the weights in the layer; here they are arguments.

# %%
rng = np.random.default_rng(1)
examples = [
    ((4, 128, 128, 3), 6, 2, {"padding": "same"}, (4, 128, 128, 6)),
    ((4, 128, 128, 3), 4, 2, {"stride": 2, "padding": "valid"}, (4, 64, 64, 4)),
    ((4, 28, 28, 3), 2, 3, {}, (4, 26, 26, 2)),
]
for shape, filters, size, options, expected in examples:
    x = rng.standard_normal(shape).astype("float32")
    w = rng.standard_normal((size, size, 3, filters)).astype("float32")
    b = rng.standard_normal(filters).astype("float32")
    y = ac.conv(xp.asarray(x), xp.asarray(w), xp.asarray(b), **options)
    print(shape, f"{filters} filters {size} x {size}", options, "->", tuple(y.shape))
    assert y.shape == expected
    if keras:
        stride, padding = options.get("stride", 1), options.get("padding", "valid")
        layer = keras.layers.Conv2D(filters, size, strides=stride, padding=padding)
        layer.build(shape)
        layer.set_weights([w, b])
        same("    keras Conv2D", layer(x), y)

# %% [markdown]
# PyTorch's `Conv2d(4, 16, 6, stride=2)`: 4 channels in, 16 out, 6 x 6 window.

# %%
x = rng.standard_normal((2, 4, 20, 24)).astype("float32")
w = rng.standard_normal((6, 6, 4, 16)).astype("float32") / 12
b = rng.standard_normal(16).astype("float32")
y = ac.conv(xp.asarray(x), xp.asarray(w), xp.asarray(b), stride=2, data_format="channels_first")
print(tuple(y.shape))
assert y.shape == (2, 16, 8, 10)
if torch:
    layer = torch.nn.Conv2d(4, 16, 6, stride=2)
    with torch.no_grad():
        layer.weight.copy_(torch.asarray(to_torch(w)))
        layer.bias.copy_(torch.asarray(b))
        same("torch Conv2d(4, 16, 6, stride=2)", layer(torch.asarray(x)), y)

# %% [markdown]
# TensorFlow's `tf.nn.conv2d(x, w, strides=2, padding="SAME")` is `ac.conv(x, w, stride=2, padding="same")`, with the
# same weights:

# %%
x = rng.standard_normal((1, 7, 8, 3)).astype("float32")
w = rng.standard_normal((3, 3, 3, 5)).astype("float32")
y = ac.conv(xp.asarray(x), xp.asarray(w), stride=2, padding="same")
assert y.shape == (1, 4, 4, 5)
if keras:
    same("keras.ops.conv", keras.ops.conv(x, w, strides=2, padding="same"), y)

# %% tags=["tensorflow"]
same("tf.nn.conv2d", tf.nn.conv2d(x, w, strides=2, padding="SAME"), y)

# %% [markdown]
# Depthwise convolution is `groups=C_in`, with weights `(*kernel, 1, C_in * multiplier)`. Transposed convolution:

# %%
x = rng.standard_normal((1, 5, 6, 3)).astype("float32")
w = rng.standard_normal((3, 3, 4, 3)).astype("float32")  # (h, w, C_out, C_in), as in Keras
y = ac.conv_transpose(xp.asarray(x), xp.asarray(w), stride=2)
print("transposed:", tuple(y.shape))
assert y.shape == (1, 11, 13, 4)
if keras:
    same("keras.ops.conv_transpose", keras.ops.conv_transpose(x, w, strides=2), y)
if torch:
    # PyTorch keeps (C_in, C_out, h, w) for it
    there = torch.asarray(np.moveaxis(x, -1, 1).copy()), torch.asarray(to_torch(w))
    theirs = torch.nn.functional.conv_transpose2d(*there, stride=2)
    same("torch conv_transpose2d", np.moveaxis(theirs.numpy(), 1, -1), y)

# %% [markdown]
# ## Pooling
#
# One function for any number of axes. Keras's `MaxPooling1D`, `2D` and `3D`:

# %%
for axes in (1, 2, 3):
    x = rng.standard_normal((2, *(8, 6, 4)[:axes], 3)).astype("float32")
    y = ac.max_pool(xp.asarray(x), 2)
    print(f"MaxPooling{axes}D(2): {x.shape} -> {tuple(y.shape)}")
    assert y.shape == (2, *(4, 3, 2)[:axes], 3)
    if keras:
        layer = getattr(keras.layers, f"MaxPooling{axes}D")(pool_size=2)
        same("    keras", layer(x), y)

# %% [markdown]
# PyTorch's `AvgPool2d(4, 4, count_include_pad=False)`. Zeros of the padding do not count in the mean; that is the
# default here, and not in PyTorch.

# %%
x = rng.standard_normal((1, 3, 10, 10)).astype("float32")
y = ac.avg_pool(xp.asarray(x), 4, stride=4, padding=1, data_format="channels_first")
print(tuple(y.shape))
assert y.shape == (1, 3, 3, 3)
if torch:
    layer = torch.nn.AvgPool2d(4, 4, padding=1, count_include_pad=False)
    same("torch AvgPool2d(4, 4, count_include_pad=False)", layer(torch.asarray(x)), y)
    layer = torch.nn.AvgPool2d(4, 4, count_include_pad=False)
    y = ac.avg_pool(xp.asarray(x), 4, data_format="channels_first")
    same("the same without padding", layer(torch.asarray(x)), y)

# %% [markdown]
# ## Rectification
#
# `rectified` is `relu` under the name the course uses: negative values become 0.

# %%
values = [1.0, 1000.0, 0.0, -1.0, -1000.0]
for value in values:
    print(f"rectified({value}) is {float(ac.rectified(value))}")
assert [float(ac.rectified(value)) for value in values] == [1.0, 1000.0, 0.0, 0.0, 0.0]

series = np.arange(-10.0, 11.0)
line = ac.to_numpy(ac.rectified(xp.asarray(series)))
assert (line == np.maximum(series, 0)).all()
if torch:
    same("torch relu", torch.relu(torch.asarray(series)), line)

figure, ax = plt.subplots(figsize=(5, 3.2))
ax.plot(series, line, "o-", markersize=4, color=BLUE)
ax.set(xlabel="x", ylabel="rectified(x)", title="rectified from -10 to 10")
plt.show()

# %% [markdown]
# ## A whole program
#
# `arrayconv.models` has Keras's modules, classes and arguments, so that a Keras program runs when its import lines
# change: `from arrayconv import models as keras`, `from arrayconv.models import layers`. Here is the network of Keras's
# introduction, smaller; `program` gets the module that the import line would choose. From the same weights both make
# the same steps.


# %%
def program(keras):
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input(shape=(12, 12, 1)),
            layers.Conv2D(8, kernel_size=(3, 3), activation="relu"),
            layers.MaxPooling2D(pool_size=(2, 2)),
            layers.Flatten(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", optimizer="adam", metrics=["accuracy"])
    return model


images = rng.random((64, 12, 12, 1)).astype("float32")
labels = models.utils.to_categorical(rng.integers(0, 3, 64), 3)
training = {"batch_size": 16, "epochs": 3, "shuffle": False, "verbose": 0}

ours = program(models)
weights = ours.get_weights()
losses = ours.fit(xp.asarray(images), labels, **training).history["loss"]
print([round(loss, 4) for loss in losses])
assert losses == sorted(losses, reverse=True)
if keras:
    theirs = program(keras)
    theirs.set_weights(weights)
    same("three epochs of keras", theirs.fit(images, labels, **training).history["loss"], losses)

# %% [markdown]
# A `.keras` file goes both ways, architecture and weights:

# %%
if keras:
    with tempfile.TemporaryDirectory() as folder:
        theirs.save(f"{folder}/theirs.keras")
        loaded = models.load(f"{folder}/theirs.keras")
        wanted = theirs.predict(images, verbose=0)
        same("what keras saved", wanted, loaded.predict(xp.asarray(images)))
        ours.save(f"{folder}/ours.keras")
        there = keras.models.load_model(f"{folder}/ours.keras").predict(images, verbose=0)
        same("what keras opens", there, ours.predict(xp.asarray(images)))

# %% [markdown]
# The losses, optimizers and callbacks are Keras's too; the how-to guide "Move a Keras program here" says what differs.
#
# ## A table of names
#
# | arrayconv | Keras 3 | PyTorch | TensorFlow |
# |---|---|---|---|
# | `pad(x, 1)` | `ZeroPadding2D(1)` | `ZeroPad2d(1)` | `tf.pad` |
# | `pad(x, 1, mode="reflect")` | `ops.pad(..., mode="reflect")` | `ReflectionPad2d(1)` | `tf.pad(..., "REFLECT")` |
# | `conv(x, w, b, stride=2)` | `Conv2D(..., strides=2)`, `ops.conv` | `Conv2d(..., stride=2)` | `tf.nn.conv2d` |
# | `conv(..., groups=C)` | `DepthwiseConv2D` | `Conv2d(..., groups=C)` | `tf.nn.depthwise_conv2d` |
# | `conv(..., padding="causal")` | `Conv1D(..., padding="causal")` | pad by hand | pad by hand |
# | `conv_transpose(x, w)` | `Conv2DTranspose` | `ConvTranspose2d` | `tf.nn.conv2d_transpose` |
# | `max_pool(x, 2)` | `MaxPooling2D(2)` | `MaxPool2d(2)` | `tf.nn.max_pool2d` |
# | `avg_pool(x, 2)` | `AveragePooling2D(2)` | `AvgPool2d(2, count_include_pad=False)` | `tf.nn.avg_pool2d` |
# | `global_avg_pool(x)` | `GlobalAveragePooling2D` | `AdaptiveAvgPool2d(1)`, flattened | `tf.reduce_mean` |
# | `adaptive_avg_pool(x, 7)` | `AdaptiveAveragePooling2D(7)` | `AdaptiveAvgPool2d(7)` | none |
# | `im2col(x, 3)` | `ops.image.extract_patches` | `Unfold(3)` | `tf.image.extract_patches` |
# | `relu(x)` | `ops.relu` | `relu` | `tf.nn.relu` |
# | `models.layers.Conv2D(8, 3)` | `layers.Conv2D(8, 3)` | `nn.Conv2d(C, 8, 3)` | `tf.keras.layers.Conv2D(8, 3)` |
# | `conv_vjp(dy, x, w)` | by the backend | `torch.autograd` | `tf.GradientTape` |
#
# ## Conventions that differ, and hurt
#
# | what | arrayconv | Keras, TensorFlow | PyTorch |
# |---|---|---|---|
# | layout | channels last, or first | last (Keras: or first) | first |
# | weights | `(*k, C_in / groups, C_out)` | the same | `(C_out, C_in / groups, *k)` |
# | transposed weights | `(*k, C_out / groups, C_in)` | the same | `(C_in, C_out / groups, *k)` |
# | `"same"` and stride 2 | `ceil(n / 2)`, the odd zero at the end | the same | not allowed |
# | padding as numbers | in every operation | a layer of its own (`tf.nn`: pairs) | the same on both sides |
# | "convolution" | correlation; `flip_kernel=True` for the other | correlation | correlation |
# | mean with padding | the cells of the input | the cells of the input | all, unless `count_include_pad=False` |
# | last, partial window | dropped; `ceil_mode=True` keeps it | dropped; `"same"` keeps it | `ceil_mode=True` |
# | ties in max pooling | the first; or `ties=` | up to the backend | the first |
# | gradient | a function, `conv_vjp` | automatic | automatic |
#
# `"same"` with a stride is where ported networks go wrong most often: 6 cells, window 3, stride 2 need one zero, and
# it goes to the *end*.

# %%
x = xp.reshape(xp.asarray([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), (1, 6, 1))
w = xp.reshape(xp.asarray([1.0, 1.0, 1.0]), (3, 1, 1))
at_the_end = ac.to_numpy(ac.conv(x, w, stride=2, padding="same"))[0, :, 0]
on_both_sides = ac.to_numpy(ac.conv(x, w, stride=2, padding=1))[0, :, 0]
print("same:     ", at_the_end)
print("padding=1:", on_both_sides)
assert at_the_end.tolist() == [6, 12, 11]
assert on_both_sides.tolist() == [3, 9, 15]

# %% [markdown]
# ## Exercises
#
# Put your answer in place of the dots and run the cell: it says whether it is right. One answer is folded up below it.

# %% [markdown]
# **1.** Weights come from PyTorch, `(C_out, C_in, *k)`. Write the function that turns them into those of `conv`.


# %%
def answer(weights):
    return ...


from_torch = rng.standard_normal((5, 3, 2, 4))
check(answer(from_torch), np.moveaxis(from_torch, (0, 1), (3, 2)))

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# def answer(weights):
#     return weights.transpose(2, 3, 1, 0)
# ```
#
# </details>

# %% [markdown]
# **2.** Which padding, before and after, is `"same"` for 7 cells, a window of 4 and stride 2?

# %%
answer = ...

row, window = np.arange(1.0, 8.0).reshape(1, 7, 1), np.ones((4, 1, 1))
same_padding = ac.conv(row, window, stride=2, padding="same")
check(answer, same_padding, through=lambda ends: ac.conv(row, window, stride=2, padding=[ends]))

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = (1, 2)  # 4 windows span 3 * 2 + 4 = 10 cells, 3 more than there are
# ```
#
# </details>

# %% [markdown]
# **3.** What is the first number of PyTorch's `AvgPool2d(2, padding=1)` on the image `[[1, 2], [3, 4]]`?

# %%
answer = ...

image = np.asarray([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 2, 2, 1)
check(answer, ac.avg_pool(image, 2, padding=1, count_include_pad=True)[0, 0, 0, 0])

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = 1 / 4  # the three zeros of the padding are counted
# ```
#
# </details>

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
# # 3. Pooling
#
# A pooling layer slides a window over each channel and keeps one number for each position: the largest, or the mean.
# It has no weights. It makes the image smaller, and what comes after it less sensitive to where exactly something
# was.
#
# The next line picks the array library: `import jax.numpy as xp`, `import torch as xp` and `import cupy as xp` work
# as well.

# %%
import numpy as xp

# %%
import matplotlib.pyplot as plt
import numpy as np

import arrayconv as ac
from arrayconv import models
from arrayconv.lessons import AMOUNT, check, matrix, picture, style

style()

# %% [markdown]
# ## Maximum and mean of a window
#
# A 4 x 4 image and a window of 2 x 2 that moves by 2: four windows, four numbers.

# %%
image = np.asarray([[1, 3, 2, 1], [4, 6, 6, 8], [3, 1, 1, 0], [1, 2, 2, 4]], dtype=float)
x = xp.reshape(xp.asarray(image), (1, 4, 4, 1))
largest = ac.to_numpy(ac.max_pool(x, 2))[0, :, :, 0]
mean = ac.to_numpy(ac.avg_pool(x, 2))[0, :, :, 0]
print(largest)
print(mean)
assert largest.tolist() == [[6, 8], [3, 4]]
assert mean.tolist() == [[3.5, 4.25], [1.75, 1.75]]

figure, axes = plt.subplots(1, 3, figsize=(9, 3.2), width_ratios=(4, 2, 2))
matrix(axes[0], image, "4 x 4", mark=image == np.kron(largest, np.ones((2, 2))))
matrix(axes[1], largest, "largest of each 2 x 2")
matrix(axes[2], mean, "mean of each 2 x 2")
plt.show()

# %% [markdown]
# ## Forward, with the course's names and values
#
# The size is $n_H = \lfloor (n_{H,prev} - f) / stride \rfloor + 1$. First as loops, which are the definition: one
# window for each output cell and channel.


# %%
def pool_forward_loops(A_prev, f, stride, mode):
    m, n_H_prev, n_W_prev, n_C = A_prev.shape
    n_H, n_W = (n_H_prev - f) // stride + 1, (n_W_prev - f) // stride + 1
    A = np.zeros((m, n_H, n_W, n_C))
    for i in range(m):
        for h in range(n_H):
            for w in range(n_W):
                top, left = h * stride, w * stride
                for c in range(n_C):
                    window = A_prev[i, top : top + f, left : left + f, c]
                    A[i, h, w, c] = window.max() if mode == "max" else window.mean()
    return A


# %% [markdown]
# `pool_forward(A_prev, hparameters, mode)` is the course's function, without a loop:

# %%
np.random.seed(1)
A_prev = xp.asarray(np.random.randn(2, 5, 5, 3))
hparameters = {"stride": 1, "f": 3}

A, cache = ac.pool_forward(A_prev, hparameters)
print("mode = max, stride 1: A.shape =", tuple(A.shape))
print("A[1, 1] =\n", ac.to_numpy(A)[1, 1])
expected = [[1.96710175, 0.84616065, 1.27375593], [1.96710175, 0.84616065, 1.23616403]]
expected += [[1.62765075, 1.12141771, 1.2245077]]
assert A.shape == (2, 3, 3, 3)
assert np.allclose(ac.to_numpy(A)[1, 1], expected, atol=1e-6)
assert np.allclose(ac.to_numpy(A), pool_forward_loops(ac.to_numpy(A_prev), 3, 1, "max"))

A, cache = ac.pool_forward(A_prev, hparameters, mode="average")
print("mode = average, stride 1: A.shape =", tuple(A.shape))
print("A[1, 1] =\n", ac.to_numpy(A)[1, 1])
expected = [[0.44497696, -0.00261695, -0.31040307], [0.50811474, -0.23493734, -0.23961183]]
expected += [[0.11872677, 0.17255229, -0.22112197]]
assert A.shape == (2, 3, 3, 3)
assert np.allclose(ac.to_numpy(A)[1, 1], expected, atol=1e-6)

# %%
hparameters = {"stride": 2, "f": 3}

A, cache = ac.pool_forward(A_prev, hparameters)
print("mode = max, stride 2: A.shape =", tuple(A.shape))
print("A[0] =\n", ac.to_numpy(A)[0])
assert A.shape == (2, 2, 2, 3)
assert np.allclose(ac.to_numpy(A)[0, 0, 0], [1.74481176, 0.90159072, 1.65980218], atol=1e-6)

A, cache = ac.pool_forward(A_prev, hparameters, mode="average")
print("mode = average, stride 2: A.shape =", tuple(A.shape))
print("A[1] =\n", ac.to_numpy(A)[1])
assert A.shape == (2, 2, 2, 3)
assert np.allclose(ac.to_numpy(A)[1, 0, 0], [-0.17313416, 0.32377198, -0.34317572], atol=1e-6)
loops = pool_forward_loops(ac.to_numpy(A_prev), 3, 2, "average")
assert np.allclose(ac.to_numpy(A), loops, atol=1e-6)

# %% [markdown]
# The first edition of the course pools images of 4 x 4, where a window of 3 and a stride of 2 fit once:

# %%
np.random.seed(1)
A_prev = xp.asarray(np.random.randn(2, 4, 4, 3))
A, cache = ac.pool_forward(A_prev, {"stride": 2, "f": 3})
print("mode = max")
print(ac.to_numpy(A))
expected = [[1.74481176, 0.86540763, 1.13376944], [1.13162939, 1.51981682, 2.18557541]]
assert A.shape == (2, 1, 1, 3)
assert np.allclose(ac.to_numpy(A)[:, 0, 0, :], expected, atol=1e-6)

A, cache = ac.pool_forward(A_prev, {"stride": 2, "f": 3}, mode="average")
print("mode = average")
print(ac.to_numpy(A))
windows = ac.to_numpy(A_prev)[:, :3, :3, :]
assert np.allclose(ac.to_numpy(A)[:, 0, 0, :], windows.mean(axis=(1, 2)), atol=1e-6)

# %% [markdown]
# ## Backward: who takes the gradient?
#
# The gradient of the cost arrives with one number for each window. For the **maximum**, only the cell that won has a
# say: moving any other cell a little changes nothing. So the winner takes all of it. `create_mask_from_window` marks
# the winner.

# %%
np.random.seed(1)
window = xp.asarray(np.random.randn(2, 3))
mask = ac.create_mask_from_window(window)
print("x =\n", ac.to_numpy(window))
print("mask =\n", ac.to_numpy(mask))
assert ac.to_numpy(mask).tolist() == [[True, False, False], [False, False, False]]

# %% [markdown]
# For the **mean** every cell has the same say, $1 / (f \cdot f)$: `distribute_value` shares the gradient out.

# %%
shared = ac.distribute_value(2, (2, 2))
print("distributed value =\n", shared)
assert shared.tolist() == [[0.5, 0.5], [0.5, 0.5]]

# %% [markdown]
# `pool_backward` does so for every window, and adds up where windows overlap.

# %%
np.random.seed(1)
A_prev = xp.asarray(np.random.randn(5, 5, 3, 2))
A, cache = ac.pool_forward(A_prev, {"stride": 1, "f": 2})
dA = xp.asarray(np.random.randn(5, 4, 2, 2))

for mode in ("max", "average"):
    dA_prev = ac.to_numpy(ac.pool_backward(dA, cache, mode=mode))
    print("mode =", mode)
    print("mean of dA =", round(float(ac.to_numpy(dA).mean()), 9))
    print("dA_prev[1, 1] =\n", dA_prev[1, 1])
    expected = {
        "max": [[0, 0], [5.05844394, -1.68282702], [0, 0]],
        "average": [[0.08485462, 0.2787552], [1.26461098, -0.25749373], [1.17975636, -0.53624893]],
    }
    assert np.allclose(dA_prev[1, 1], expected[mode], atol=1e-6)
    assert dA_prev.shape == (5, 5, 3, 2)
assert np.isclose(ac.to_numpy(dA).mean(), 0.145713902729)

# %% [markdown]
# ## Ties
#
# Two cells may share first place, and after a `relu`, which makes many zeros, they often do. Then the derivative does
# not exist, and a rule is needed. `max_pool_vjp` knows three: `"first"`, the first winner takes all (PyTorch, and the
# default here); `"split"`, the winners share (as for `jax.numpy.max`); `"all"`, each takes the full gradient (the
# course). Only with `"all"` does more come out than went in.

# %%
x = xp.reshape(xp.asarray([2.0, 7.0, 7.0, 7.0]), (1, 2, 2, 1))
dy = xp.ones((1, 1, 1, 1), dtype=x.dtype)
figure, axes = plt.subplots(1, 4, figsize=(10, 2.9))
matrix(axes[0], ac.to_numpy(x)[0, :, :, 0], "x: three winners")
totals = {}
for ax, ties in zip(axes[1:], ("first", "split", "all"), strict=True):
    dx = ac.to_numpy(ac.max_pool_vjp(dy, x, 2, ties=ties))[0, :, :, 0]
    totals[ties] = round(float(dx.sum()), 5)
    matrix(ax, dx, f'dx, ties="{ties}"', form="{:.3g}")
plt.show()
print("sum of dx:", totals)
assert totals == {"first": 1.0, "split": 1.0, "all": 3.0}

# %% [markdown]
# ## Windows that overlap
#
# With a stride smaller than the window, a cell is in several windows. A cell that wins them all takes all their
# gradients; in the mean, a cell receives a share from each window it is in. Below, the number of windows that each
# cell of a 6 x 6 image belongs to, times 1/9: the gradient of a mean over 3 x 3 with a gradient of 1 for each window.

# %%
x = xp.reshape(xp.asarray(np.arange(36.0)), (1, 6, 6, 1))
figure, axes = plt.subplots(1, 3, figsize=(11, 3.8))
for ax, stride in zip(axes, (1, 2, 3), strict=True):
    y = ac.avg_pool(x, 3, stride=stride)
    dx = ac.avg_pool_vjp(xp.ones_like(y), x, 3, stride=stride)
    ninths = ac.to_numpy(dx)[0, :, :, 0] * 9
    matrix(ax, ninths.round(4), f"stride {stride}: {y.shape[1]} x {y.shape[2]} windows")
    assert np.isclose(ninths.sum(), 9 * y.shape[1] * y.shape[2])
figure.suptitle("windows that each cell belongs to (9 times its gradient)")
plt.show()

# %% [markdown]
# With stride 2 the last row and column belong to no window: pooling dropped them. `ceil_mode=True` keeps a last,
# smaller window:

# %%
kept = ac.avg_pool(x, 3, stride=2, ceil_mode=True)
print("floor:", tuple(ac.avg_pool(x, 3, stride=2).shape), " ceil:", tuple(kept.shape))
assert kept.shape == (1, 3, 3, 1)

# %% [markdown]
# ## The vertical-line detector
#
# An image with a vertical line two cells wide, a filter that looks for one, `rectified`, and pooling: the smallest
# convolutional network there is. The arrays are integers, as in the course; the step-by-step names cast them.

# %%
line = np.zeros((8, 8), dtype=int)
line[:, 3:5] = 1
detector = np.asarray([[0, 1, 0], [0, 1, 0], [0, 1, 0]])

image = xp.reshape(xp.asarray(line), (1, 8, 8, 1))
filters = xp.reshape(xp.asarray(detector), (3, 3, 1, 1))
bias = xp.reshape(xp.asarray([0.0]), (1, 1, 1, 1))
Z, _ = ac.conv_forward(image, filters, bias, {"stride": 1, "pad": 0})
Z = ac.rectified(Z)
A, _ = ac.pool_forward(Z, {"stride": 2, "f": 2}, mode="average")
Z, A = ac.to_numpy(Z)[0, :, :, 0], ac.to_numpy(A)[0, :, :, 0]
print(Z)
print(A)
assert Z.tolist() == [[0, 0, 3, 3, 0, 0]] * 6
assert A.tolist() == [[0, 3, 0]] * 3

figure, axes = plt.subplots(1, 4, figsize=(12, 3.6), width_ratios=(8, 3, 6, 3))
matrix(axes[0], line, "a vertical line")
matrix(axes[1], detector, "the detector")
matrix(axes[2], Z, "what it finds")
matrix(axes[3], A, "pooled")
plt.show()

# %% [markdown]
# ### The same as a model
#
# A model is a list of layers. This one has a single filter; `set_weights` gives it the detector instead of random
# numbers, and `predict` runs it. Nothing is trained. With each kind of pooling after it:

# %%
picture_of_a_line = xp.asarray(line[None, :, :, None].astype("float32"))
endings = {
    "no pooling": [],
    "average": [models.AveragePool(2)],
    "max": [models.MaxPool(2)],
    "global average": [models.GlobalAveragePool(keepdims=True)],
    "global max": [models.GlobalMaxPool(keepdims=True)],
}
found = {}
for name, ending in endings.items():
    convolution = models.Conv(1, 3, activation="relu", input_shape=(8, 8, 1))
    model = models.Sequential([convolution, *ending])
    model.set_weights([detector[:, :, None, None].astype("float32"), np.zeros(1, dtype="float32")])
    found[name] = ac.to_numpy(model.predict(picture_of_a_line))[0, :, :, 0]
    print(f"{name:15} {found[name].shape[0]} x {found[name].shape[1]}")
assert found["no pooling"].tolist() == Z.tolist()
assert found["average"].tolist() == found["max"].tolist() == A.tolist()
assert found["global average"].tolist() == [[1]]
assert found["global max"].tolist() == [[3]]

figure, axes = plt.subplots(1, 5, figsize=(13, 3.2), width_ratios=(6, 3, 3, 1.5, 1.5))
for ax, (name, values) in zip(axes, found.items(), strict=True):
    matrix(ax, values, name)
plt.show()

# %% [markdown]
# Average and maximum agree here, because both columns of a window answer alike. Global pooling forgets *where* the line
# is: the maximum says that there is one, the average how much of the image it fills.
#
# ## Sizes through a whole network
#
# Two networks of the course. `same_stack` pads every convolution, so that the image keeps its size to the end;
# `torch_net`, from the course's PyTorch part, does not, and strides and pools as well. Each line is a layer, with
# `None` for the number of images, and each size follows from the formula above.

# %%
for network in (models.networks.same_stack((28, 28, 1)), models.networks.torch_net((32, 32, 3))):
    print(network.name)
    for layer in network.layers:
        print(f"    {type(layer).__name__:20} {layer.output.shape}")
    print(f"    {network.count_params():,} numbers are learned or kept")
    shapes = [layer.output.shape for layer in network.layers]
    if network.name == "same_stack":
        assert shapes[:3] == [(None, 28, 28, 32), (None, 28, 28, 64), (None, 28, 28, 128)]
        # a fully connected layer on so many cells holds nearly all of the network's numbers
        assert network.count_params() > 25_000_000
    else:
        sizes = [shape[1] for shape in shapes if len(shape) == 4]
        assert sizes == [32 - 2, 30, 30, (30 - 3) // 2 + 1, 14, 7]
        assert network.count_params() < 25_000

# %% [markdown]
# That is what pooling is for: the first network spends 25 million numbers on one fully connected layer, the second
# needs a thousandth of them.
#
# ## Translation invariance, and how far it goes
#
# Move the image by a cell: how much of the pooled result changes? Within a window, the maximum does not notice. But a
# move that takes the largest cell to the next window does show. So pooling makes a network *less sensitive* to small
# moves, not blind to them; the larger the windows, the less it notices.

# %%
grey = ac.demo.read_image(ac.demo.photograph()).mean(axis=-1)
edges = abs(ac.to_numpy(ac.filters.apply_filter(xp.asarray(grey), "sobel")))
shifts = range(9)
change = {}
for window in (1, 4, 8, 16):
    still = ac.max_pool(xp.asarray(edges[None, :, :192, None]), window)
    change[window] = []
    for shift in shifts:
        moved = xp.asarray(edges[None, :, shift : shift + 192, None])
        difference = ac.to_numpy(ac.max_pool(moved, window)) - ac.to_numpy(still)
        change[window].append(float(abs(difference).mean() / ac.to_numpy(still).mean()))
print("moved by one cell:", {k: round(v[1], 3) for k, v in change.items()})
assert all(v[0] == 0 for v in change.values())
assert change[1][1] > change[4][1] > change[8][1] > change[16][1]

figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.4), width_ratios=(1, 1, 1.4))
picture(left, edges, "edges of the photograph", cmap=AMOUNT, vmax=2)
pooled = ac.to_numpy(ac.max_pool(xp.asarray(edges[None, :, :, None]), 8))[0, :, :, 0]
picture(middle, pooled, "largest of each 8 x 8", cmap=AMOUNT, vmax=2)
for window, line_style in zip(change, ("-", "--", "-.", ":"), strict=True):
    right.plot(shifts, change[window], line_style, label=f"window {window} x {window}")
right.set(xlabel="image moved by (cells)", ylabel="share of the result that changes", ylim=(0, 1.9))
right.legend(fontsize=8, ncols=2, loc="upper left")
plt.show()

# %% [markdown]
# The other kind of moving is exact: when the image moves by a whole stride, the pooled result moves by one cell. That
# is called **equivariance**; convolution has it for every move.

# %%
moved = xp.asarray(np.roll(line, 2, axis=1).reshape(1, 8, 8, 1).astype(float))
still = xp.asarray(line.reshape(1, 8, 8, 1).astype(float))
before = ac.to_numpy(ac.max_pool(still, 2))[0, 0, :, 0]
after = ac.to_numpy(ac.max_pool(moved, 2))[0, 0, :, 0]
print("pooled:       ", before)
print("moved, pooled:", after)
assert after[1:].tolist() == before[:-1].tolist()

# %% [markdown]
# ## What to take along
#
# - Maximum: the winner takes the gradient. Mean: everyone gets a share. Overlap: add up.
# - Ties need a rule, and libraries differ in it.
# - Pooling is equivariant to moves by its stride, and only less sensitive to smaller ones.

# %% [markdown]
# ## Exercises
#
# Put your answer in place of the dots and run the cell: it says whether it is right. One answer is folded up below it.

# %% [markdown]
# **1.** A window of 2 x 2 lies on the rows $(1, 5)$ and $(5, 2)$, and the gradient that arrives is 6. What is the
# gradient of the four cells with `ties="split"`?

# %%
answer = ...

x = xp.reshape(xp.asarray([1.0, 5.0, 5.0, 2.0]), (1, 2, 2, 1))
dy = 6 * xp.ones((1, 1, 1, 1), dtype=x.dtype)
check(answer, ac.max_pool_vjp(dy, x, 2, ties="split")[0, :, :, 0])

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = [[0, 3], [3, 0]]
# ```
#
# </details>

# %% [markdown]
# **2.** Global average pooling is an average pool with a large window. How large, for images of 6 x 9? One number per
# axis.

# %%
answer = ...

x = xp.asarray(np.random.default_rng(0).standard_normal((2, 6, 9, 3)))
check(answer, ac.global_avg_pool(x), through=lambda window: ac.avg_pool(x, window)[:, 0, 0, :])

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = (6, 9)
# ```
#
# </details>

# %% [markdown]
# **3.** Two convolutions of 3 x 3 without padding, each followed by a 2 x 2 max pool that moves by 2: what is left of
# an image of 32 x 32 along one axis?

# %%
answer = ...

x, w = xp.ones((1, 32, 32, 1)), xp.ones((3, 3, 1, 1))
for _ in range(2):
    x = ac.max_pool(ac.conv(x, w), 2)
check(answer, x.shape[1])

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = ((32 - 2) // 2 - 2) // 2  # 32 -> 30 -> 15 -> 13 -> 6
# ```
#
# </details>

# %% [markdown]
# Next: [the backward pass, derived by hand](04_backward_by_hand.ipynb).

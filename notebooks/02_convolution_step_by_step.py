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
# # 2. Convolution, step by step
#
# A convolutional layer is four small steps: put zeros around the image, cut out a window, multiply and add, and do
# that for every window and every filter. We write the loops first, then call the function that does it all at once,
# and see that they agree. Names and values are those of the well-known course notebook, so that you can hold them
# side by side.
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
from arrayconv.lessons import AMOUNT, SIGNED, check, matrix, picture, volume, style

style()

# %% [markdown]
# ## First, a product of matrices
#
# Everything below comes down to it, so here it is as three loops: the cell in row $i$ and column $j$ is row $i$ of the
# one times column $j$ of the other, cell by cell, and added up.


# %%
def matmul_loops(a, b):
    rows, inner = a.shape
    columns = b.shape[1]
    product = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            for k in range(inner):
                product[i, j] += a[i, k] * b[k, j]
    return product


left, right = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
print(matmul_loops(left, right))
assert matmul_loops(left, right).tolist() == (left @ right).tolist()
assert np.allclose(ac.to_numpy(xp.matmul(xp.asarray(left), xp.asarray(right))), left @ right)

# %% [markdown]
# `ac.dense`, the fully connected layer, is this product and a bias. How a convolution becomes one is at the end of this
# lesson.
#
# ## Zero padding
#
# A 3 x 3 window fits fewer times into an image than the image has cells, and the cells of the border are seen less
# often than those of the middle. Zeros around the image mend both. `zero_pad` takes a batch of images,
# `(m, n_H, n_W, n_C)`, and pads height and width.

# %%
np.random.seed(1)
images = np.random.randn(4, 3, 3, 2)
x = xp.asarray(images)
x_pad = ac.zero_pad(x, 2)

print("x.shape =", tuple(x.shape))
print("x_pad.shape =", tuple(x_pad.shape))
print("x[1, 1] =\n", ac.to_numpy(x)[1, 1])
print("x_pad[1, 1] =\n", ac.to_numpy(x_pad)[1, 1])

assert x_pad.shape == (4, 7, 7, 2)
expected = [[0.90085595, -0.68372786], [-0.12289023, -0.93576943], [-0.26788808, 0.53035547]]
assert np.allclose(ac.to_numpy(x)[1, 1], expected)
assert (ac.to_numpy(x_pad)[1, 1] == np.zeros((7, 2))).all()
assert ac.zero_pad(x, 3).shape == (4, 9, 9, 2)
assert ac.zero_pad(x, 0).shape == (4, 3, 3, 2)

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), width_ratios=(3, 7))
matrix(left, images[0, :, :, 0], "x", form="{:.1f}")
matrix(right, ac.to_numpy(x_pad)[0, :, :, 0], "x_pad, pad = 2", form="{:.1f}")
plt.show()

# %% [markdown]
# ## A single step
#
# One window, one filter of the same shape: multiply cell by cell, add everything up, add the bias.
#
# $$ z = \sum_{h, w, c} a_{hwc}\, W_{hwc} + b $$

# %%
np.random.seed(1)
a_slice_prev = np.random.randn(4, 4, 3)
W = np.random.randn(4, 4, 3)
b = np.random.randn(1, 1, 1)

Z = ac.conv_single_step(xp.asarray(a_slice_prev), xp.asarray(W), xp.asarray(b))
print("Z =", round(float(Z), 6))
assert np.isclose(float(Z), -6.99908945068)
assert np.isclose(float(Z), (a_slice_prev * W).sum() + b.item())

# %% [markdown]
# ## The forward pass, with loops
#
# `A_prev` is the batch, `(m, n_H_prev, n_W_prev, n_C_prev)`; `W` holds `n_C` filters, `(f, f, n_C_prev, n_C)`; `b`
# one bias for each, `(1, 1, 1, n_C)`. The result has the size
#
# $$ n_H = \left\lfloor \frac{n_{H,prev} - f + 2 \cdot pad}{stride} \right\rfloor + 1, $$
#
# and $n_W$ alike. The loops write into an array cell by cell, which NumPy can and JAX cannot, so this cell is
# NumPy's. It is the definition: slow, and easy to believe.


# %%
def conv_forward_loops(A_prev, W, b, stride, pad):
    m, n_H_prev, n_W_prev, _ = A_prev.shape
    f, _, _, n_C = W.shape
    n_H = (n_H_prev - f + 2 * pad) // stride + 1
    n_W = (n_W_prev - f + 2 * pad) // stride + 1
    A_prev_pad = np.pad(A_prev, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    Z = np.zeros((m, n_H, n_W, n_C))
    for i in range(m):
        for h in range(n_H):
            for w in range(n_W):
                top, left = h * stride, w * stride
                window = A_prev_pad[i, top : top + f, left : left + f, :]
                for c in range(n_C):
                    Z[i, h, w, c] = (window * W[:, :, :, c]).sum() + b[0, 0, 0, c]
    return Z


# %% [markdown]
# What the two inner loops do, drawn: the window moves over the padded image, and each place fills one cell of the
# result.

# %%
small = np.asarray([[1, 2, 0, 1], [0, 1, 3, 1], [2, 0, 1, 0], [1, 1, 0, 2]], dtype=float)
around = np.pad(small, 1)
adding = np.ones((2, 2))
moving = conv_forward_loops(
    small[None, :, :, None], adding[:, :, None, None], np.zeros((1, 1, 1, 1)), stride=2, pad=1
)[0, :, :, 0]
assert moving.tolist() == [[1, 2, 1], [2, 5, 1], [1, 1, 2]]

figure, axes = plt.subplots(2, 9, figsize=(14, 3.6), height_ratios=(6, 3))
for step, (h, w) in enumerate(np.ndindex(3, 3)):
    seen = np.zeros(around.shape, dtype=bool)
    seen[2 * h : 2 * h + 2, 2 * w : 2 * w + 2] = True
    matrix(axes[0, step], around, f"step {step + 1}", mark=seen)
    filled = np.where(np.arange(9).reshape(3, 3) <= step, moving, np.nan)
    matrix(
        axes[1, step],
        np.nan_to_num(filled),
        "result so far",
        mark=np.arange(9).reshape(3, 3) == step,
    )
    for row, column in np.argwhere(np.isnan(filled)):
        axes[1, step].texts[3 * row + column].set_text("")
plt.show()

# %% [markdown]
# An image with channels is a block of numbers, and so is each filter: it has as many channels as the image, sees them
# all at once, and makes one map. Two filters, two maps.

# %%
rng = np.random.default_rng(3)
block, filters = rng.standard_normal((5, 5, 3)), rng.standard_normal((3, 3, 3, 2))
maps = conv_forward_loops(block[None], filters, np.zeros((1, 1, 1, 2)), stride=1, pad=0)[0]
assert maps.shape == (3, 3, 2)

figure, axes = plt.subplots(1, 4, figsize=(12, 3.4), width_ratios=(8, 5, 5, 5))
volume(axes[0], block, "the image: 5 x 5 x 3")
volume(axes[1], filters[..., 0], "filter 0: 3 x 3 x 3", limit=2)
volume(axes[2], filters[..., 1], "filter 1: 3 x 3 x 3", limit=2)
volume(axes[3], maps, "the maps: 3 x 3 x 2")
plt.show()

# %% [markdown]
# ## The forward pass, at once
#
# `conv_forward` of the library has the course's arguments and the course's return values: `Z`, and a `cache` for the
# backward pass. It runs on any array library, and there is no loop over pixels in it.

# %%
np.random.seed(1)
A_prev = np.random.randn(10, 4, 4, 3)
W = np.random.randn(2, 2, 3, 8)
b = np.random.randn(1, 1, 1, 8)
hparameters = {"pad": 2, "stride": 2}

Z, cache = ac.conv_forward(xp.asarray(A_prev), xp.asarray(W), xp.asarray(b), hparameters)
Z = ac.to_numpy(Z)
print("Z's mean =", round(float(Z.mean()), 10))
print("Z[3, 2, 1] =", Z[3, 2, 1])
print("cache_conv[0][1][2][3] =", ac.to_numpy(cache[0])[1, 2, 3])

assert Z.shape == (10, 4, 4, 8)
assert np.isclose(Z.mean(), 0.0489952035289, atol=1e-6)
row = [-0.61490741, -6.7439236, -2.55153897, 1.75698377]
row += [3.56208902, 0.53036437, 5.18531798, 8.75898442]
assert np.allclose(Z[3, 2, 1], row, atol=1e-5)
assert np.allclose(ac.to_numpy(cache[0])[1, 2, 3], [-0.20075807, 0.18656139, 0.41005165])
assert np.allclose(Z, conv_forward_loops(A_prev, W, b, stride=2, pad=2), atol=1e-4)

# %% [markdown]
# The later edition of the course uses an image that is not square, and `pad` 1:

# %%
np.random.seed(1)
A_prev = np.random.randn(2, 5, 7, 4)
W = np.random.randn(3, 3, 4, 8)
b = np.random.randn(1, 1, 1, 8)
hparameters = {"pad": 1, "stride": 2}

Z, cache = ac.conv_forward(xp.asarray(A_prev), xp.asarray(W), xp.asarray(b), hparameters)
Z = ac.to_numpy(Z)
print("Z's mean =", round(float(Z.mean()), 10))
print("Z[0, 2, 1] =", Z[0, 2, 1])
print("cache_conv[0][1][2][3] =", ac.to_numpy(cache[0])[1, 2, 3])

assert Z.shape == (2, 3, 4, 8)
assert np.isclose(Z.mean(), 0.5511276474566768, atol=1e-6)
row = [-2.17796037, 8.07171329, -0.5772704, 3.36286738]
row += [4.48113645, -2.89198428, 10.99288867, 3.03171932]
assert np.allclose(Z[0, 2, 1], row, atol=1e-5)
row = [-1.1191154, 1.9560789, -0.3264995, -1.34267579]
assert np.allclose(ac.to_numpy(cache[0])[1, 2, 3], row)
assert np.allclose(Z, conv_forward_loops(A_prev, W, b, stride=2, pad=1), atol=1e-4)

# %% [markdown]
# ## The same, for any number of axes: `conv`
#
# `conv_forward` is a few lines around `ac.conv`, which goes further: one, two, three or more spatial axes, dilation,
# groups, both memory layouts, named paddings.

# %%
Z_conv = ac.conv(xp.asarray(A_prev), xp.asarray(W), xp.asarray(b), stride=2, padding=1)
assert np.allclose(ac.to_numpy(Z_conv), Z, atol=1e-5)

signal = ac.conv(xp.ones((1, 10, 1)), xp.ones((3, 1, 4)))
volume = ac.conv(xp.ones((1, 6, 6, 6, 1)), xp.ones((3, 3, 3, 1, 4)))
print("1-D:", tuple(signal.shape), " 3-D:", tuple(volume.shape))
assert signal.shape == (1, 8, 4)
assert volume.shape == (1, 4, 4, 4, 4)

# %% [markdown]
# ## Output sizes
#
# With dilation $d$, the step between the cells of one window, the window is $d (k - 1) + 1$ cells long, and
#
# $$ out = \left\lfloor \frac{n + before + after - d\,(k - 1) - 1}{stride} \right\rfloor + 1 . $$
#
# `padding="same"` pads as much as it takes for $out = \lceil n / stride \rceil$; where that is odd, the extra zero
# goes to the end.

# %%
x = xp.ones((1, 7, 7, 1))
w = xp.ones((3, 3, 1, 1))
settings = [
    {},
    {"padding": 1},
    {"padding": "same"},
    {"stride": 2},
    {"stride": 2, "padding": 1},
    {"stride": 3, "padding": "same"},
    {"dilation": 2},
    {"dilation": 3},
    {"dilation": 2, "padding": "same"},
]
sizes = []
for setting in settings:
    y = ac.conv(x, w, **setting)
    sizes.append(y.shape[1])
    print(f"7 x 7, kernel 3 x 3, {setting!s:36} -> {y.shape[1]} x {y.shape[2]}")
assert sizes == [5, 7, 7, 3, 4, 3, 3, 1, 7]

# %% [markdown]
# A window that does not fit is an error that says why, and not an empty or a made-up result:

# %%
try:
    ac.conv(xp.ones((1, 2, 2, 1)), w)
except ValueError as error:
    print(error)
else:
    raise AssertionError("a 3 x 3 window fitted into a 2 x 2 image")

# %% [markdown]
# ## A convolution is a product of matrices
#
# Write each window as a row: `im2col` does. The filters are the columns of a second matrix. Then one product computes
# every window with every filter, and processors are built for such products.

# %%
A_prev = xp.asarray(np.random.default_rng(4).standard_normal((2, 5, 5, 3)))
W = xp.asarray(np.random.default_rng(5).standard_normal((3, 3, 3, 4)))
rows = ac.im2col(A_prev, 3)
print("windows as rows:", tuple(rows.shape), " filters as columns:", (3 * 3 * 3, 4))
product = matmul_loops(ac.to_numpy(rows).reshape(-1, 27), ac.to_numpy(W).reshape(27, 4))
assert np.allclose(product.reshape(2, 3, 3, 4), ac.to_numpy(ac.conv(A_prev, W)), atol=1e-4)

# %% [markdown]
# ## Which cells a window sees
#
# Ask the gradient: give one output cell the gradient 1 and all others 0, and the cells of the input that receive
# something are those that the window saw. `conv_vjp` is the backward pass (the fourth notebook derives it).

# %%
figure, axes = plt.subplots(1, 4, figsize=(12, 3.3))
shown = [{}, {"padding": "same"}, {"stride": 2}, {"dilation": 2}]
seen_cells = []
for ax, setting in zip(axes, shown, strict=True):
    y = ac.to_numpy(ac.conv(x, w, **setting))
    one = np.zeros_like(y)
    one[0, 1, 1, 0] = 1
    seen = ac.conv_vjp(xp.asarray(one), x, w, **setting).dx
    seen = ac.to_numpy(seen)[0, :, :, 0]
    seen_cells.append(int(seen.sum()))
    matrix(ax, seen, str(setting or "no setting"))
figure.suptitle("what output cell (1, 1) sees of a 7 x 7 image, kernel 3 x 3")
plt.show()
assert seen_cells == [9, 9, 9, 9]

# %% [markdown]
# ## What a layer makes of a photograph
#
# A filter bank of four kernels: the same sliding window, four numbers for each position instead of one. Stride 2
# halves height and width.

# %%
photograph = ac.demo.read_image(ac.demo.photograph())[16:144, 40:168]
grey = photograph.mean(axis=-1, keepdims=True)
names = ("gaussian", "sharpen", "sobel", "sobel-y")
kernels = [ac.filters.KERNELS[name]() for name in names]
kernels[0] = ac.filters.gaussian(3)
bank = np.stack(kernels, axis=-1)[:, :, None, :].astype("float32")  # (3, 3, 1, 4)

maps = ac.conv(xp.asarray(grey[None]), xp.asarray(bank), stride=2, padding="same")
maps = ac.to_numpy(maps)
print("image", grey.shape, " filters", bank.shape, " maps", maps.shape)
assert maps.shape == (1, 64, 64, 4)

figure, axes = plt.subplots(1, 5, figsize=(12, 2.9))
picture(axes[0], grey, "in: 128 x 128 x 1", cmap="gray")
for k, (ax, name) in enumerate(zip(axes[1:], names, strict=True)):
    signed = name.startswith("sobel")
    limits = {"vmin": -2, "vmax": 2} if signed else {"vmin": 0, "vmax": 1}
    picture(ax, maps[0, :, :, k], f"map {k}: {name}", cmap=SIGNED if signed else AMOUNT, **limits)
plt.show()

# %% [markdown]
# The lines at the right and lower borders of the Sobel maps are the padding's: to a derivative, the step from the
# image to the zeros around it is an edge. `ac.pad(x, 1, mode="symmetric")` before a `"valid"` convolution avoids
# them.
#
# ## How much faster?
#
# The loops make one product per output cell and filter; the library makes a few large matrix products. Try a larger
# batch with both and see; the sixth notebook measures properly.
#
# ## What to take along
#
# - `zero_pad`, `conv_single_step`, `conv_forward` are the course's; `conv` is the general form.
# - `out = (n + before + after - dilation * (k - 1) - 1) // stride + 1`: one formula for every axis.
# - Filters are the last axis of `W`, channels the axis before: every filter sees all channels.

# %% [markdown]
# ## Exercises
#
# Put your answer in place of the dots and run the cell: it says whether it is right. One answer is folded up below it.

# %% [markdown]
# **1.** An axis of 6 cells, a kernel of 3 and a stride of 2, with `padding="same"`: how many zeros does it put before
# and after? Two numbers.

# %%
answer = ...

six, three = xp.ones((1, 6, 1)), xp.ones((3, 1, 1))


def padded(pair):
    return ac.conv(six, three, stride=2, padding=[tuple(pair)])[0, :, 0]


check(answer, ac.conv(six, three, stride=2, padding="same")[0, :, 0], through=padded)

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = (0, 1)  # three cells out need 2 * 2 + 3 = 7 in; the odd one goes to the end
# ```
#
# </details>

# %% [markdown]
# **2.** How many numbers does a layer learn that makes 128 maps out of 64 by windows of 3 x 3, its biases counted?

# %%
answer = ...

layer = models.Sequential([models.Conv(128, 3, input_shape=(8, 8, 64))])
check(answer, layer.count_params())

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = 3 * 3 * 64 * 128 + 128
# ```
#
# </details>

# %% [markdown]
# **3.** How many multiplications does the first forward pass above take: ten images of 4 x 4 x 3, `pad` 2, stride 2,
# eight filters of 2 x 2?

# %%
answer = ...

(plan,) = ac.explain(ac.conv, (10, 4, 4, 3), (2, 2, 3, 8), stride=2, padding=2)
check(answer, plan.flops // 2)

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = 10 * 4 * 4 * 8 * (2 * 2 * 3)  # cells of the result, times cells of a window
# ```
#
# </details>

# %% [markdown]
# Next: [pooling](03_pooling.ipynb).

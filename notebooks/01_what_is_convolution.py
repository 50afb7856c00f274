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
# # 1. What is convolution?
#
# Slide a small pattern over a signal, multiply what lies on top of each other, add it up, write the sum down, move
# on. That is all. This notebook shows it for functions, for lists of numbers, for a matrix you can check by hand, and
# for a photograph.
#
# The next line picks the array library. Change it to `import jax.numpy as xp`, `import torch as xp` or
# `import cupy as xp`, and run everything again: nothing else changes.

# %%
import numpy as xp

# %%
import matplotlib.pyplot as plt
import numpy as np

import arrayconv as ac
from arrayconv.lessons import AMOUNT, SIGNED, check, matrix, picture, style

style()

# %% [markdown]
# NumPy (`np`) is here too, for plots and for numbers typed by hand; `ac.to_numpy` brings a result of any library back
# to it.
#
# ## An image is a matrix
#
# A grey image is a matrix of brightnesses: 0 is black, 1 is white. A colour image is three of them: its shape is
# `(height, width, 3)`. Here is a photograph, and a few of its numbers, between the hair and an eyebrow.

# %%
photograph = ac.demo.read_image(ac.demo.photograph())
grey = photograph.mean(axis=-1)
print("colour:", photograph.shape, " grey:", grey.shape)
assert photograph.shape == (256, 256, 3)

rows, columns = slice(40, 48), slice(92, 100)
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.5, 3.6))
picture(left, photograph, "a photograph, 256 x 256 x 3")
left.add_patch(plt.Rectangle((91.5, 39.5), 8, 8, fill=False, color="white", lw=2))
picture(middle, grey[rows, columns], "the frame in grey", cmap="gray", vmin=0, vmax=1)
matrix(right, grey[rows, columns], "and as numbers", form="{:.1f}")
plt.show()

# %% [markdown]
# ## Convolution of functions
#
# For two functions $f$ and $g$ of a real variable,
#
# $$(f * g)(t) = \int_{-\infty}^{\infty} f(\tau)\, g(t - \tau)\, d\tau .$$
#
# $g(t - \tau)$ is $g$ turned around and shifted by $t$. So the integral asks: when $g$ is turned around and moved
# to $t$, how much of it lies under $f$? Let $f$ be a box, 1 between 0 and 1, and $g$ the same box. They begin to
# overlap at $t = 0$, overlap fully at $t = 1$, and no longer at $t = 2$: the result is a triangle.
#
# On a computer the integral is a sum over small steps $\Delta$, and the sum is a convolution of two lists: `conv`
# with one spatial axis. Its arrays have a batch axis and a channel axis too, `(N, length, C)`, and its kernels
# `(length, C_in, C_out)`. `flip_kernel=True` turns the kernel around, as the formula says.

# %%
step = 0.01
f = xp.reshape(xp.asarray([1.0] * 100), (1, 100, 1))  # the box, 100 steps long
g = xp.reshape(xp.asarray([1.0] * 100), (100, 1, 1))

overlap = ac.conv(f, g, padding=99, flip_kernel=True) * step
overlap = ac.to_numpy(overlap)[0, :, 0]
print("values:", overlap.size, " largest:", round(float(overlap.max()), 6))
assert overlap.size == 199
assert abs(overlap.max() - 1.0) < 1e-5

t = step * np.arange(1, 200)
assert np.allclose(overlap, np.minimum(t, 2 - t), atol=1e-5)

# %%
figure, axes = plt.subplots(1, 3, figsize=(12, 2.8), sharey=True)
for ax, now in zip(axes, (0.4, 1.0, 1.6), strict=True):
    ax.fill_between([0, 1], 1, alpha=0.35, label=r"$f(\tau)$")
    ax.fill_between([now - 1, now], 1, alpha=0.35, label=r"$g(t - \tau)$")
    ax.plot(t, overlap, color="black", label="$(f * g)(t)$")
    ax.plot(now, min(now, 2 - now), "o", color="black")
    ax.set(xlabel=r"$\tau$ (boxes), $t$ (triangle)", title=f"t = {now}", xlim=(-0.8, 2.2))
axes[0].set_ylabel("value")
axes[2].legend(loc="upper right", fontsize=8)
plt.show()

# %% [markdown]
# ## Convolution of lists
#
# With whole numbers in place of $t$ and $\tau$ the integral is a sum:
#
# $$(f * g)[n] = \sum_m f[m]\, g[n - m] .$$
#
# Take $f = (1, 2, 3)$ and $g = (0, 1, 0.5)$. By hand: $1 \cdot 0 = 0$; $1 \cdot 1 + 2 \cdot 0 = 1$;
# $1 \cdot 0.5 + 2 \cdot 1 + 3 \cdot 0 = 2.5$; $2 \cdot 0.5 + 3 \cdot 1 = 4$; $3 \cdot 0.5 = 1.5$.

# %%
f = xp.reshape(xp.asarray([1.0, 2.0, 3.0]), (1, 3, 1))
g = xp.reshape(xp.asarray([0.0, 1.0, 0.5]), (3, 1, 1))
result = ac.to_numpy(ac.conv(f, g, padding=2, flip_kernel=True))[0, :, 0]
print(result)
assert result.tolist() == [0.0, 1.0, 2.5, 4.0, 1.5]
assert np.allclose(result, np.convolve([1, 2, 3], [0, 1, 0.5]))

# %% [markdown]
# ## Correlation, and the flipped kernel
#
# Without the minus sign, that is without turning $g$ around, the sum is called **cross-correlation**:
#
# $$(f \star g)[n] = \sum_m f[n + m]\, g[m] .$$
#
# Deep learning uses this one and calls it convolution: the weights are learned, so a network would learn them turned
# around just as well. `ac.conv` does the same; `flip_kernel=True` gives the convolution of mathematics.
#
# The difference shows with a single 1 (an impulse). Convolution copies the kernel to where the 1 is; correlation
# copies it upside down and mirrored.

# %%
impulse = np.zeros((5, 5))
impulse[2, 2] = 1.0
kernel = np.asarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])

x = xp.reshape(xp.asarray(impulse), (1, 5, 5, 1))
w = xp.reshape(xp.asarray(kernel), (3, 3, 1, 1))
correlated = ac.to_numpy(ac.conv(x, w, padding="same"))[0, :, :, 0]
convolved = ac.to_numpy(ac.conv(x, w, padding="same", flip_kernel=True))[0, :, :, 0]
assert (convolved[1:4, 1:4] == kernel).all()
assert (correlated[1:4, 1:4] == kernel[::-1, ::-1]).all()

figure, axes = plt.subplots(1, 4, figsize=(12, 3.2), width_ratios=(5, 3, 5, 5))
matrix(axes[0], impulse, "an impulse")
matrix(axes[1], kernel, "the kernel")
matrix(axes[2], correlated, "correlation: turned around")
matrix(axes[3], convolved, "convolution: a copy")
plt.show()

# %% [markdown]
# ## A matrix you can check by hand
#
# A 7 x 7 image, a 3 x 3 kernel, and a **stride** of 2: the window moves two cells at a time. It fits
# $\lfloor (7 - 3) / 2 \rfloor + 1 = 3$ times along each axis.

# %%
image = np.asarray(
    [
        [2, 3, 7, 4, 6, 2, 9],
        [6, 6, 9, 8, 7, 4, 3],
        [3, 4, 8, 3, 8, 9, 7],
        [7, 8, 3, 6, 6, 3, 4],
        [4, 2, 1, 8, 3, 4, 6],
        [3, 2, 4, 1, 9, 8, 3],
        [0, 1, 3, 9, 2, 1, 4],
    ],
    dtype=float,
)
kernel = np.asarray([[3, 4, 4], [1, 0, 2], [-1, 0, 3]], dtype=float)

x = xp.reshape(xp.asarray(image), (1, 7, 7, 1))
w = xp.reshape(xp.asarray(kernel), (3, 3, 1, 1))
y = ac.to_numpy(ac.conv(x, w, stride=2))[0, :, :, 0]
print(y)
assert y.tolist() == [[91, 100, 88], [69, 91, 117], [44, 72, 74]]

# %% [markdown]
# The last cell, by hand: the framed window, times the kernel, cell by cell, and added up.

# %%
window = image[4:7, 4:7]
print(window * kernel)
print("sum:", (window * kernel).sum())
assert (window * kernel).sum() == y[2, 2] == 74

framed = np.zeros((7, 7), dtype=bool)
framed[4:7, 4:7] = True
last = np.zeros((3, 3), dtype=bool)
last[2, 2] = True
figure, axes = plt.subplots(1, 3, figsize=(11, 4), width_ratios=(7, 3, 3))
matrix(axes[0], image, "the image, and the last window", mark=framed)
matrix(axes[1], kernel, "the kernel")
matrix(axes[2], y, "the result: 74 in the last cell", mark=last)
plt.show()

# %% [markdown]
# ## Kernels on a photograph
#
# A kernel whose numbers add up to 1 keeps the brightness: all equal, it **blurs**; with a large number in the middle
# and negative ones around it, it **sharpens**. One whose numbers add up to 0 is blind to even areas and answers to
# change: the **Sobel** kernels are derivatives along one axis. **Emboss** is a derivative along the diagonal, plus
# the image.

# %%
for name in ("blur", "sharpen", "emboss", "sobel", "sobel-y"):
    kernel = ac.filters.KERNELS[name]()
    print(f"{name:8} sum {kernel.sum():g}")
    print(kernel.round(3))

assert np.isclose(ac.filters.blur().sum(), 1)
assert ac.filters.sharpen().sum() == ac.filters.emboss().sum() == 1
assert ac.filters.sobel().sum() == 0

# %% [markdown]
# `ac.filters.apply_filter` is `ac.pad` (the image is mirrored at its border) and `ac.conv`, nothing more. Written out
# once:

# %%
x = xp.reshape(xp.asarray(grey), (1, 256, 256, 1))
w = xp.reshape(xp.asarray(ac.filters.sobel().astype("float32")), (3, 3, 1, 1))
by_hand = ac.conv(ac.pad(x, 1, mode="symmetric"), w)
short = ac.filters.apply_filter(xp.asarray(grey), "sobel")
assert np.allclose(ac.to_numpy(by_hand)[0, :, :, 0], ac.to_numpy(short), atol=1e-5)

# %%
colour = xp.asarray(photograph)
head = (slice(16, 116), slice(60, 160))
figure, axes = plt.subplots(2, 3, figsize=(10, 7))
picture(axes[0, 0], photograph[head], "a part of the photograph")
for ax, name in zip(axes.flat[1:4], ("blur", "sharpen", "emboss"), strict=True):
    kernel = ac.filters.blur(7) if name == "blur" else name
    filtered = ac.to_numpy(ac.filters.apply_filter(colour, kernel))
    picture(ax, filtered[head].clip(0, 1), name)

down = ac.to_numpy(ac.filters.apply_filter(xp.asarray(grey), "sobel-y"))
across = ac.to_numpy(short)
picture(axes[1, 1], across[head], "Sobel: change across", cmap=SIGNED, vmin=-2, vmax=2)
picture(axes[1, 2], np.hypot(across, down)[head], "Sobel: both, as a length", cmap=AMOUNT, vmax=2)
plt.show()

# an edge is where the change is large: the even wall behind her shows nearly none
assert np.hypot(across, down).max() > 2
assert abs(ac.to_numpy(ac.filters.apply_filter(xp.ones((8, 8)), "sobel"))).max() == 0

# %% [markdown]
# ## What to take along
#
# - Convolution: turn the kernel around, slide, multiply, add. Correlation: the same without turning around; deep
#   learning calls it convolution, and `ac.conv` computes it.
# - A stride skips windows; along each axis there are $\lfloor (n - k) / s \rfloor + 1$ of them.
# - What a kernel does can be read off its numbers. A network learns the numbers.

# %% [markdown]
# ## Exercises
#
# Put your answer in place of the dots and run the cell: it says whether it is right. One answer is folded up below it.

# %% [markdown]
# **1.** Convolve $(1, 2)$ with $(3, 4, 5)$ by hand: four numbers.

# %%
answer = ...

f = xp.reshape(xp.asarray([1.0, 2.0]), (1, 2, 1))
g = xp.reshape(xp.asarray([3.0, 4.0, 5.0]), (3, 1, 1))
check(answer, ac.conv(f, g, padding=2, flip_kernel=True)[0, :, 0])

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = [3, 4 + 6, 5 + 8, 10]
# ```
#
# </details>

# %% [markdown]
# **2.** A window of 5 x 5 moves over the photograph of 256 x 256, three cells at a time. How many cells has the result
# along one axis?

# %%
answer = ...

check(answer, ac.conv(xp.ones((1, 256, 256, 1)), xp.ones((5, 5, 1, 1)), stride=3).shape[1])

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = (256 - 5) // 3 + 1
# ```
#
# </details>

# %% [markdown]
# **3.** Write a 3 x 3 kernel under which `ac.conv` moves an image one cell to the right. (Correlation: which cell does
# the new cell look at?)

# %%
answer = ...

image = np.arange(25.0).reshape(5, 5)
moved = np.pad(image, ((0, 0), (1, 0)))[:, :5]
x = xp.reshape(xp.asarray(image), (1, 5, 5, 1))


def by_the_kernel(kernel):
    kernel = xp.reshape(xp.asarray(np.asarray(kernel, dtype=float)), (3, 3, 1, 1))
    return ac.conv(x, kernel, padding=1)[0, :, :, 0]


check(answer, moved, through=by_the_kernel)

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = [[0, 0, 0], [1, 0, 0], [0, 0, 0]]
# ```
#
# </details>

# %% [markdown]
# Next: [the same, step by step](02_convolution_step_by_step.ipynb), with padding, channels, many filters, and every
# size.

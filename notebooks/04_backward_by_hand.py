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
# # 4. The backward pass, by hand
#
# Training asks of every number in the network: if it grew a little, how would the cost change? The answers are
# gradients, and a layer computes them backwards: it is told how the cost changes with its *output*, and works out how
# it changes with its *inputs*. Here is the derivation, the loops that follow it line by line, and five mistakes that
# nearly everybody makes once, each caught by a check.
#
# The next line picks the array library: `import jax.numpy as xp`, `import torch as xp` and `import cupy as xp` work
# as well.

# %%
import numpy as xp

# %%
import matplotlib.pyplot as plt
import numpy as np

import arrayconv as ac
from arrayconv.lessons import check, matrix, style

style()

# %% [markdown]
# ## Convolution: three sums from one
#
# Write $A$ for the padded input, $s$ for the stride. The forward pass is, for image $i$, position $(h, w)$ and
# filter $c$,
#
# $$ Z_{ihwc} = \sum_{u, v, k} A_{i,\, hs + u,\, ws + v,\, k}\; W_{uvkc} + b_c . $$
#
# Let $L$ be the cost, and $dZ_{ihwc} = \partial L / \partial Z_{ihwc}$ what arrives from above. The chain rule says:
# add up, over all outputs, the output's gradient times how that output depends on the number in question. Now just
# look at which outputs a number occurs in, and with what factor.
#
# **The bias** $b_c$ occurs in every output of filter $c$, with the factor 1:
#
# $$ db_c = \sum_{i, h, w} dZ_{ihwc} . $$
#
# **A weight** $W_{uvkc}$ occurs in every output of filter $c$, with the factor $A_{i, hs+u, ws+v, k}$, the cell that
# it was multiplied with:
#
# $$ dW_{uvkc} = \sum_{i, h, w} A_{i,\, hs + u,\, ws + v,\, k}\; dZ_{ihwc} . $$
#
# **A cell of the input** occurs in every window that contains it, with the weight that lay on it:
#
# $$ dA_{iyxk} = \sum_{h, w, c} \ \sum_{u, v\,:\ hs + u = y,\ ws + v = x} W_{uvkc}\; dZ_{ihwc} . $$
#
# Nobody wants to solve $hs + u = y$. Turn the sum around: walk over the *outputs*, and let each add its weights,
# times its gradient, to the window it came from. At the end, cut off the padding, since nobody asked how the cost
# changes with the zeros.


# %%
def conv_backward_loops(dZ, A_prev, W, stride, pad):
    m, n_H, n_W, n_C = dZ.shape
    f = W.shape[0]
    A = np.pad(A_prev, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    dA, dW, db = np.zeros(A.shape), np.zeros(W.shape), np.zeros((1, 1, 1, n_C))
    for i in range(m):
        for h in range(n_H):
            for w in range(n_W):
                top, left = h * stride, w * stride
                window = (i, slice(top, top + f), slice(left, left + f))
                for c in range(n_C):
                    dA[window] += W[:, :, :, c] * dZ[i, h, w, c]
                    dW[:, :, :, c] += A[window] * dZ[i, h, w, c]
                    db[:, :, :, c] += dZ[i, h, w, c]
    n_H_prev, n_W_prev = A_prev.shape[1:3]
    return dA[:, pad : pad + n_H_prev, pad : pad + n_W_prev, :], dW, db


# %% [markdown]
# The course takes $Z$ itself for $dZ$ and prints the means:

# %%
np.random.seed(1)
A_prev = np.random.randn(10, 4, 4, 3)
W = np.random.randn(2, 2, 3, 8)
b = np.random.randn(1, 1, 1, 8)

Z, cache = ac.conv_forward(
    xp.asarray(A_prev), xp.asarray(W), xp.asarray(b), {"pad": 2, "stride": 2}
)
dA, dW, db = (ac.to_numpy(gradient) for gradient in ac.conv_backward(Z, cache))
print("dA_mean =", round(float(dA.mean()), 8))
print("dW_mean =", round(float(dW.mean()), 8))
print("db_mean =", round(float(db.mean()), 8))

assert dA.shape == (10, 4, 4, 3)
assert dW.shape == (2, 2, 3, 8)
assert db.shape == (1, 1, 1, 8)
assert np.isclose(dA.mean(), 1.45243777754)
assert np.isclose(dW.mean(), 1.72699145831)
assert np.isclose(db.mean(), 7.83923256462)

loops = conv_backward_loops(ac.to_numpy(Z), A_prev, W, stride=2, pad=2)
for ours, by_hand in zip((dA, dW, db), loops, strict=True):
    assert np.allclose(ours, by_hand, rtol=1e-4, atol=1e-3)

# %% [markdown]
# ## Seen with a single 1
#
# Let the gradient be 1 for one output cell and 0 for the others. Then $dA$ is the kernel, laid where the window was,
# and $dW$ is the window itself. That is the whole backward pass; real gradients are sums of such pictures.

# %%
image = np.asarray(
    [[1, 2, 0, 1, 3], [0, 1, 2, 1, 0], [2, 0, 1, 3, 1], [1, 1, 0, 2, 2], [0, 3, 1, 0, 1]]
)
image = image.astype(float)
kernel = np.asarray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])
one = np.zeros((2, 2))
one[1, 0] = 1.0

x = xp.reshape(xp.asarray(image), (1, 5, 5, 1))
w = xp.reshape(xp.asarray(kernel), (3, 3, 1, 1))
dy = xp.reshape(xp.asarray(one), (1, 2, 2, 1))
dx, dw, _ = ac.conv_vjp(dy, x, w, stride=2)
dx, dw = ac.to_numpy(dx)[0, :, :, 0], ac.to_numpy(dw)[:, :, 0, 0]
assert (dx[2:5, 0:3] == kernel).all()
assert (dw == image[2:5, 0:3]).all()

window = np.zeros((5, 5), dtype=bool)
window[2:5, 0:3] = True
figure, axes = plt.subplots(1, 5, figsize=(13, 3.2), width_ratios=(5, 3, 2, 5, 3))
matrix(axes[0], image, "A, and the window of the 1", mark=window)
matrix(axes[1], kernel, "W")
matrix(axes[2], one, "dZ, stride 2")
matrix(axes[3], dx, "dA: W, where it lay", mark=window)
matrix(axes[4], dw, "dW: the window")
plt.show()

# %% [markdown]
# ## The input gradient is a convolution too
#
# With stride 1, the cell $(y, x)$ collects $W_{uv}\, dZ_{y - u,\, x - v}$: a *minus* sign, so this is the convolution
# of mathematics. Slide the kernel, **turned around**, over $dZ$ with $f - 1$ zeros around it. Channels and filters
# swap roles. (With a stride it is the transposed convolution, `ac.conv_transpose`.)

# %%
np.random.seed(2)
x = xp.asarray(np.random.randn(2, 6, 6, 3))
w = xp.asarray(np.random.randn(3, 3, 3, 4))
dy = xp.asarray(np.random.randn(2, 4, 4, 4))

dx = ac.conv_vjp(dy, x, w).dx
swapped = xp.asarray(np.swapaxes(ac.to_numpy(w), 2, 3).copy())  # (3, 3, 3, 4) -> (3, 3, 4, 3)
as_convolution = ac.conv(dy, swapped, padding=2, flip_kernel=True)
transposed = ac.conv_transpose(dy, w)
print(
    "largest difference:", round(float(abs(ac.to_numpy(dx) - ac.to_numpy(as_convolution)).max()), 4)
)
assert np.allclose(ac.to_numpy(dx), ac.to_numpy(as_convolution), atol=1e-4)
assert np.allclose(ac.to_numpy(dx), ac.to_numpy(transposed), atol=1e-4)

# %% [markdown]
# ## Pooling
#
# **Mean.** $A_{hw} = \frac{1}{f^2} \sum_{u, v} X_{hs + u,\, ws + v}$: each cell of the window occurs with the factor
# $1 / f^2$, so $dX$ of the window grows by $dA_{hw} / f^2$ in each cell.
#
# **Maximum.** Near a point without ties $A_{hw}$ *is* the largest cell: the factor is 1 for it and 0 for the others.
# So $dX$ of the window grows by $dA_{hw}$ times the mask of the largest.


# %%
def pool_backward_loops(dA, A_prev, f, stride, mode):
    dA_prev = np.zeros(A_prev.shape)
    m, n_H, n_W, n_C = dA.shape
    for i in range(m):
        for h in range(n_H):
            for w in range(n_W):
                top, left = h * stride, w * stride
                for c in range(n_C):
                    window = (i, slice(top, top + f), slice(left, left + f), c)
                    if mode == "max":
                        mask = A_prev[window] == A_prev[window].max()
                        dA_prev[window] += mask * dA[i, h, w, c]
                    else:
                        dA_prev[window] += dA[i, h, w, c] / (f * f)
    return dA_prev


np.random.seed(1)
A_prev = np.random.randn(5, 7, 6, 2)
dA = np.random.randn(5, 3, 2, 2)
for mode in ("max", "average"):
    _, cache = ac.pool_forward(xp.asarray(A_prev), {"stride": 2, "f": 3}, mode=mode)
    ours = ac.to_numpy(ac.pool_backward(xp.asarray(dA), cache, mode=mode))
    by_hand = pool_backward_loops(dA, A_prev, 3, 2, mode)
    print(f"{mode:8} sum of dA {dA.sum():.6f}, sum of dA_prev {ours.sum():.6f}")
    assert np.allclose(ours, by_hand, atol=1e-5)
    assert np.isclose(ours.sum(), dA.sum(), atol=1e-4)

# %% [markdown]
# Both sums are equal: pooling hands the gradient on and loses none (where there are no ties). Worth remembering: it
# is a check that costs nothing.
#
# ## Five classic mistakes
#
# Each of the next functions is wrong, runs without an error, and has been handed in many times. Each check after it
# is one that you can use on your own code.
#
# ### 1. `dA[pad:-pad]` with a padding of 0
#
# `-0` is `0`, so the slice `0:-0` is empty. The check is the simplest there is: **a gradient has the shape of what
# it is the gradient of.**

# %%
dA_padded = np.ones((1, 4, 4, 3))
for pad in (1, 0):
    wrong = dA_padded[:, pad:-pad, pad:-pad, :]
    print(f"pad {pad}: {wrong.shape}")
right = dA_padded[:, 0 : 0 + 4, 0 : 0 + 4, :]
assert wrong.shape == (1, 0, 0, 3)
assert right.shape == (1, 4, 4, 3)

_, cache = ac.conv_forward(
    xp.ones((1, 4, 4, 3)), xp.ones((3, 3, 3, 2)), xp.ones((1, 1, 1, 2)), {"pad": 0, "stride": 1}
)
assert ac.conv_backward(xp.ones((1, 2, 2, 2)), cache)[0].shape == (1, 4, 4, 3)

# %% [markdown]
# ### 2. The forgotten stride
#
# The forward pass multiplies by the stride, the backward pass does not. With stride 1 nobody notices. The check:
# **compare with central differences**, with a stride that is not 1. `check_directional` moves the input a little
# along a random direction and looks whether the output moves as the gradient says.


# %%
def pool_backward_without_stride(dA, A_prev, f):
    dA_prev = np.zeros(A_prev.shape)
    for i, h, w, c in np.ndindex(*dA.shape):
        window = (i, slice(h, h + f), slice(w, w + f), c)  # h * stride, it should be
        mask = A_prev[window] == A_prev[window].max()
        dA_prev[window] += mask * dA[i, h, w, c]
    return dA_prev


def pool(x):
    return ac.max_pool(x, 2, stride=2)


def caught(check, *args, **options):
    """Return what the check has to say about a wrong gradient."""
    try:
        check(*args, **options)
    except ac.verify.GradientMismatch as mismatch:
        return str(mismatch)
    raise AssertionError("the check did not notice")


x = np.random.default_rng(0).standard_normal((1, 6, 6, 1))
print(
    caught(
        ac.verify.check_directional,
        pool,
        x,
        vjp=lambda dy, x: pool_backward_without_stride(dy, x, 2),
    )
)
error = ac.verify.check_directional(pool, x, vjp=lambda dy, x: ac.max_pool_vjp(dy, x, 2, stride=2))
assert error < 1e-6

# %% [markdown]
# ### 3. The phantom output
#
# `int((n - f) / stride) + 1` rounds *towards zero*, not down. A window of 3 on 2 cells, with stride 2:
# $(2 - 3) / 2 = -0.5$, rounded towards zero 0, plus 1: an output cell for a window that does not exist. Its slice is
# cut short without a word. The check: **try a window that is too large**; floor division says 0.

# %%
n, f, stride = 2, 3, 2
print("int(...) + 1 =", int((n - f) / stride) + 1, "   // + 1 =", (n - f) // stride + 1)
assert int((n - f) / stride) + 1 == 1
assert (n - f) // stride + 1 == 0

try:
    ac.pool_forward(xp.ones((1, 2, 2, 1)), {"f": 3, "stride": 2})
except ValueError as error:
    print(error)
else:
    raise AssertionError("a phantom")

# %% [markdown]
# ### 4. `=` where windows overlap
#
# `dA[window] = ...` instead of `+=`: the last window wins. Right when windows do not overlap, and that is how it is
# usually tried. The check: **the adjoint test**. Convolution is linear in $x$, and the backward pass of a linear map
# $f$ is its transpose, so for any $x$ and $y$
#
# $$ \langle f(x), y \rangle = \langle x, f^T(y) \rangle . $$
#
# Two numbers, one line, and hardly a mistake passes it.


# %%
def conv_backward_overwriting(dZ, A_prev, W):
    dA = np.zeros(A_prev.shape)
    f = W.shape[0]
    for i, h, w, c in np.ndindex(*dZ.shape):
        dA[i, h : h + f, w : w + f, :] = W[:, :, :, c] * dZ[i, h, w, c]
    return dA


rng = np.random.default_rng(0)
x, w = rng.standard_normal((1, 6, 6, 2)), rng.standard_normal((3, 3, 2, 3))
y = rng.standard_normal((1, 4, 4, 3))
left = float((ac.conv(x, w) * y).sum())
wrong = float((x * conv_backward_overwriting(y, x, w)).sum())
right = float((x * ac.conv_vjp(y, x, w).dx).sum())
print(f"<f(x), y> = {left:.6f}   overwriting: {wrong:.6f}   adding: {right:.6f}")
assert np.isclose(left, right)
assert not np.isclose(left, wrong)

print(
    caught(
        ac.verify.check_adjoint,
        ac.conv,
        x,
        w,
        adjoint=lambda y: conv_backward_overwriting(y, x, w),
    )
)

# %% [markdown]
# ### 5. The kernel that was not turned around
#
# "The input gradient is a convolution of $dZ$ with $W$": true, and in a library whose `conv` is a correlation,
# wrong. Every shape is right. And with a **symmetric** kernel, such as a blur, every value is right too. The check:
# **random weights, never nice ones.**


# %%
def dx_without_turning(dy, w):
    swapped = np.swapaxes(w, 2, 3)
    return ac.conv(dy, swapped, padding=2)  # flip_kernel=True is missing


blur = np.full((3, 3, 1, 1), 1 / 9)
x = rng.standard_normal((1, 6, 6, 1))
passed = ac.verify.check_adjoint(ac.conv, x, blur, adjoint=lambda y: dx_without_turning(y, blur))
print(f"with a blur it passes: {passed < 1e-12}")
assert passed < 1e-12

w = rng.standard_normal((3, 3, 1, 1))
print(caught(ac.verify.check_adjoint, ac.conv, x, w, adjoint=lambda y: dx_without_turning(y, w)))
assert ac.verify.check_adjoint(ac.conv, x, w) < 1e-12

# %% [markdown]
# ## What to take along
#
# - Ask of each number which outputs it occurs in, and with what factor: the sums write themselves.
# - Walk over outputs and *add* to windows.
# - Check shapes; check with strides, overlaps and random weights; use differences and the adjoint test.

# %% [markdown]
# ## Exercises
#
# Put your answer in place of the dots and run the cell: it says whether it is right. One answer is folded up below it.

# %% [markdown]
# **1.** All numbers of $dZ$ are 1, for 2 images and an output of 5 x 4 with 3 filters. What is $db$, one number per
# filter?

# %%
answer = ...

x, w, b = xp.zeros((2, 6, 5, 1)), xp.zeros((2, 2, 1, 3)), xp.zeros((3,))
check(answer, ac.conv_vjp(xp.ones((2, 5, 4, 3)), x, w, b).db)

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = [2 * 5 * 4] * 3  # every output of a filter has its bias once
# ```
#
# </details>

# %% [markdown]
# **2.** A kernel of 3 x 3 ones slides over an image of 5 x 5, and all numbers of $dZ$ are 1. What is $dA$ in the corner
# and in the middle of the image? Two numbers.

# %%
answer = ...

dx = ac.conv_vjp(xp.ones((1, 3, 3, 1)), xp.ones((1, 5, 5, 1)), xp.ones((3, 3, 1, 1))).dx
check(answer, ac.to_numpy(dx)[0, [0, 2], [0, 2], 0])

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = (1, 9)  # the corner is in one window, the middle in all nine
# ```
#
# </details>

# %% [markdown]
# **3.** Write the gradient of $y = s\,x^2$ with respect to $x$; $s$ is a number, and `dy` the gradient of $y$.


# %%
def answer(dy, x, s):
    return ...


x, dy = np.asarray([1.0, -2.0, 3.0]), np.asarray([1.0, 10.0, 100.0])
h = 1e-6
slope = ((x + h) ** 2 * 4 - (x - h) ** 2 * 4) / (2 * h)
check(answer(dy, x, 4), dy * slope)

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# def answer(dy, x, s):
#     return dy * 2 * x * s
# ```
#
# </details>

# %% [markdown]
# Next: [checking every element against JAX](05_verify_with_jax.ipynb).

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
# # 5. Is the gradient right? Verify with JAX
#
# A wrong gradient does not crash. The network trains, only worse, and nobody knows why. So every backward pass in
# this library is checked, element by element, against JAX, which differentiates the *forward* code by itself and has
# never seen ours. Here are the checks, from the simplest to the strictest, and a planted bug that they find. They
# work on your own layers too.
#
# The next line picks the array library: `import jax.numpy as xp`, `import torch as xp` and `import cupy as xp` work
# as well. JAX is needed in any case: it is the judge.

# %%
import numpy as xp

# %%
import jax
import matplotlib.pyplot as plt
import numpy as np

import arrayconv as ac
from arrayconv.lessons import SIGNED, check, picture, style

style()

# %% [markdown]
# ## What is to be checked
#
# A layer is a function $y = f(x, w)$. Its **vector-Jacobian product** (vjp) takes the gradient $dy$ of the cost with
# respect to $y$ and returns those with respect to $x$ and $w$. In this library each `f` has its `f_vjp`: $dy$
# first, then the arguments of `f`.

# %%
rng = np.random.default_rng(0)
x = rng.standard_normal((2, 7, 7, 3))
w = rng.standard_normal((3, 3, 3, 4))
dy = rng.standard_normal((2, 4, 4, 4))
setting = {"stride": 2, "padding": 1}

dx, dw, _ = ac.conv_vjp(xp.asarray(dy), xp.asarray(x), xp.asarray(w), **setting)
print("dx", tuple(dx.shape), " dw", tuple(dw.shape))
assert dx.shape == x.shape
assert dw.shape == w.shape

# %% [markdown]
# ## 1. Finite differences
#
# The definition of a derivative, with a small step $h$ instead of the limit: move $x$ along a direction $v$ and
# back, and compare how much the cost $\langle f(x), dy \rangle$ moves with what the gradient promises,
#
# $$ \frac{\langle f(x + h v), dy\rangle - \langle f(x - h v), dy \rangle}{2 h} \;\approx\; \langle dx, v \rangle . $$
#
# How small should $h$ be? Too large, and the curve is not straight (the error falls as $h^2$); too small, and the
# rounding of the two costs, divided by $h$, drowns the answer (the error grows as $1 / h$). A convolution is
# straight everywhere, so let a `tanh` follow it. The valley in the picture is why finite differences never confirm
# all digits: in float32 about five, in float64 about eleven, and only if you hit the right step.


# %%
def cost(x, precision):
    y = np.tanh(ac.conv(x.astype(precision), w.astype(precision), **setting))
    return float((y * dy.astype(precision)).sum())


y = ac.conv(x, w, **setting)
promised = ac.conv_vjp(dy * (1 - np.tanh(y) ** 2), x, w, **setting).dx
v = rng.standard_normal(x.shape)
slope = float((promised * v).sum())

steps = 10.0 ** np.arange(-10, 0.1, 0.5)
errors = {}
for precision in ("float32", "float64"):
    differences = [cost(x + h * v, precision) - cost(x - h * v, precision) for h in steps]
    errors[precision] = abs(np.asarray(differences) / (2 * steps) / slope - 1)

figure, ax = plt.subplots(figsize=(6.5, 3.8))
ax.loglog(steps, errors["float32"], "s--", label="float32")
ax.loglog(steps, errors["float64"], "o-", label="float64")
ax.set(xlabel="step h", ylabel="relative error of the difference", title="Central differences")
ax.legend()
plt.show()
errors_of_differences = errors["float64"]
best = {precision: float(error.min()) for precision, error in errors.items()}
print(
    f"best: 1e{np.log10(best['float64']):.0f} in float64, 1e{np.log10(best['float32']):.0f} in float32"
)
assert best["float64"] < 1e-8 < best["float32"] < 1e-3

# %% [markdown]
# `ac.verify.check_directional` does this, in float64, for every argument and several directions, on the arrays' own
# library. It returns the worst error.

# %%
error = ac.verify.check_directional(ac.conv, xp.asarray(x), xp.asarray(w), **setting)
print("below 1e-6:", error < 1e-6)
assert error < 1e-6

# %% [markdown]
# ## 2. The adjoint test
#
# A convolution is linear in $x$. The vjp of a linear map is its transpose, so
# $\langle f(x), y \rangle = \langle x, f^T(y) \rangle$ for any $x$ and $y$ whatever. There is no step to choose,
# and it holds to the last digits:

# %%
left = float((ac.conv(x, w, **setting) * dy).sum())
right = float((x * ac.conv_vjp(dy, x, w, **setting).dx).sum())
print(f"<f(x), y> = {left:.10f}")
print(f"<x, f'y>  = {right:.10f}")
assert np.isclose(left, right, rtol=1e-12)

error = ac.verify.check_adjoint(ac.conv, xp.asarray(x), xp.asarray(w), **setting)
print("below 1e-12:", error < 1e-12)
assert error < 1e-12

# %% [markdown]
# ## 3. `jax.vjp`: every element
#
# JAX runs the forward function once, notes each elementary step, and multiplies the Jacobians of the steps backwards.
# It needs nothing but the forward pass, so it is an independent judge of the hand-written backward pass. The
# operations are written against the array API, so the same `ac.conv` takes JAX arrays.

# %%
with jax.enable_x64(True):
    arrays = jax.numpy.asarray(x), jax.numpy.asarray(w)
    y, back = jax.vjp(lambda x, w: ac.conv(x, w, **setting), *arrays)
    dx_jax, dw_jax = (np.asarray(gradient) for gradient in back(jax.numpy.asarray(dy)))
    by_hand = ac.conv_vjp(jax.numpy.asarray(dy), *arrays, **setting)

dx_hand, dw_hand = np.asarray(by_hand.dx), np.asarray(by_hand.dw)
print("dx agrees:", np.allclose(dx_hand, dx_jax, rtol=1e-12, atol=1e-12))
print("dw agrees:", np.allclose(dw_hand, dw_jax, rtol=1e-12, atol=1e-12))
assert np.allclose(dx_hand, dx_jax, rtol=1e-12, atol=1e-12)
assert np.allclose(dw_hand, dw_jax, rtol=1e-12, atol=1e-12)
assert np.allclose(ac.to_numpy(dx), dx_jax, atol=1e-4)

# %% [markdown]
# `ac.verify.check_vjp` is these lines, for any function and its vjp, with the largest difference as its answer:

# %%
image, kernel = xp.asarray(x), xp.asarray(w)
kernel_up = xp.asarray(rng.standard_normal((3, 3, 5, 3)))  # (h, w, C_out, C_in)
errors = {
    "conv, stride 2, same": ac.verify.check_vjp(ac.conv, image, kernel, stride=2, padding="same"),
    "conv, dilation 2": ac.verify.check_vjp(ac.conv, image, kernel, dilation=2),
    "conv_transpose": ac.verify.check_vjp(ac.conv_transpose, image, kernel_up, stride=2),
    "max_pool": ac.verify.check_vjp(ac.max_pool, image, 3, stride=2, padding=1),
    "avg_pool, ceil mode": ac.verify.check_vjp(ac.avg_pool, image, 3, stride=2, ceil_mode=True),
    "pad, reflect": ac.verify.check_vjp(ac.pad, image, 2, mode="reflect"),
}
for name, error in errors.items():
    print(f"{name:22} below 1e-12: {error < 1e-12}")
    assert error < 1e-12

# %% [markdown]
# ## A planted bug
#
# A layer of your own: it scales each image by its root mean square, $y = x / r$ with
# $r = \sqrt{\mathrm{mean}(x^2) + \epsilon}$. By hand,
#
# $$ dx = \frac{1}{r} \left( dy - y \cdot \mathrm{mean}(y \cdot dy) \right) . $$
#
# Someone takes the mean over the batch as well. It is easy to write: an `axis` is missing. All shapes are right, and
# with one image in the batch all values.

# %%
AXES = (1, 2, 3)
EPSILON = 1e-6


def scale(x):
    root = (x * x).mean(AXES, keepdims=True) + EPSILON
    return x / root**0.5


def scale_vjp(dy, x):
    root = ((x * x).mean(AXES, keepdims=True) + EPSILON) ** 0.5
    y = x / root
    return (dy - y * (y * dy).mean(AXES, keepdims=True)) / root


def scale_vjp_with_a_bug(dy, x):
    root = ((x * x).mean(AXES, keepdims=True) + EPSILON) ** 0.5
    y = x / root
    return (dy - y * (y * dy).mean()) / root


assert ac.verify.check_vjp(scale, x, vjp=scale_vjp) < 1e-12
assert ac.verify.check_vjp(scale, x[:1], vjp=scale_vjp_with_a_bug) < 1e-12
print("one image: no check can tell")

found = None
try:
    ac.verify.check_vjp(scale, x, vjp=scale_vjp_with_a_bug)
except ac.verify.GradientMismatch as mismatch:
    found = mismatch
print(found)
assert found is not None
assert found.argument == "x"

# %% [markdown]
# The message names the argument, the element, and both values. A picture of the difference often says what kind of
# mistake it is: here it looks like the image itself, scaled, so the factor of $y$ is wrong. A forgotten stride looks
# like a pattern of holes, a border mistake like a frame.

# %%
photograph = ac.demo.read_image(ac.demo.photograph(), side=64).astype("float64")
batch = np.stack([photograph.mean(axis=-1), photograph[::-1].mean(axis=-1) ** 2])[..., None]
batch = batch - batch.mean(axis=(1, 2, 3), keepdims=True)
upstream = rng.standard_normal(batch.shape) + batch

with jax.enable_x64(True):
    _, back = jax.vjp(scale, jax.numpy.asarray(batch))
    want = np.asarray(back(jax.numpy.asarray(upstream))[0])
difference = scale_vjp_with_a_bug(upstream, batch) - want
assert np.allclose(scale_vjp(upstream, batch), want, rtol=1e-10)

figure, axes = plt.subplots(1, 4, figsize=(12, 3.3))
picture(axes[0], batch[0, :, :, 0], "x, the first image", cmap="gray")
picture(axes[1], want[0, :, :, 0], "dx by JAX", cmap=SIGNED)
limits = {"cmap": SIGNED, "vmin": -abs(difference).max(), "vmax": abs(difference).max()}
picture(axes[2], difference[0, :, :, 0], "wrong dx minus JAX's", **limits)
picture(axes[3], (scale_vjp(upstream, batch) - want)[0, :, :, 0], "right dx minus JAX's", **limits)
plt.show()

# %% [markdown]
# ## Where a check may rightly fail
#
# At a **kink** (`relu` at 0) and at a **tie** (two largest cells) there is no derivative, and two right programs may
# give different answers. Draw inputs that keep off them; the tests here use distinct values for maxima, and test the
# rule for ties on its own:

# %%
tied = np.zeros((1, 2, 2, 1))
try:
    ac.verify.check_vjp(ac.max_pool, tied, 2, vjp_config={"ties": "first"})
except ac.verify.GradientMismatch:
    print("with four equal cells JAX and this library choose differently")
else:
    print("even with four equal cells both choose the same")
distinct = rng.permutation(np.arange(16.0)).reshape(1, 4, 4, 1)
assert ac.verify.check_vjp(ac.max_pool, distinct, 2) == 0

# %% [markdown]
# ## Which check when?
#
# | check | needs | sees | catches |
# |---|---|---|---|
# | shapes | nothing | sizes | `dA[pad:-pad]`, transposed arguments |
# | adjoint | a linear map | one number | nearly everything in a linear layer, to the last digits |
# | directional differences | nothing | one number a direction | wrong formulas, to about six digits |
# | `jax.vjp` | a forward pass that JAX can run | every element | everything but the same mistake in the forward pass |
#
# The last line is a warning: all of these compare the backward pass with the *forward* pass. Whether the forward pass
# is right is another question; notebook 8 answers it with other libraries.
#
# `arrayconv check` on the command line runs the third for every operation and every option of this library.

# %% [markdown]
# ## Exercises
#
# Put your answer in place of the dots and run the cell: it says whether it is right. One answer is folded up below it.

# %% [markdown]
# **1.** Write the vjp of $y = x^3$, so that JAX agrees with it in every element.


# %%
def cube_vjp(dy, x):
    return ...


def largest_difference(vjp):
    return ac.verify.check_vjp(lambda x: x**3, x, vjp=vjp)


answered = cube_vjp(1.0, 1.0) is not ...
check(cube_vjp if answered else ..., 0, through=largest_difference)

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# def cube_vjp(dy, x):
#     return dy * 3 * x**2
# ```
#
# </details>

# %% [markdown]
# **2.** The vjp of $y = |x|$ is `dy * sign(x)`. At which $x$ must a check not be drawn?

# %%
answer = ...

check(answer, 0.0)

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = 0  # the kink: there is no derivative, and two right programs may differ
# ```
#
# </details>

# %% [markdown]
# **3.** Central differences in float64: near which power of ten is the best step, by the picture above? Write the
# exponent.

# %%
answer = ...

best_step = np.log10(steps[errors_of_differences.argmin()])
check(answer, True, through=lambda exponent: abs(exponent - best_step) <= 0.5)

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = -5
# ```
#
# </details>

# %% [markdown]
# Next: [the same code on a GPU](06_same_code_on_gpu.ipynb).

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
# # 6. The same code on a GPU
#
# One function, written once, on every array library of this machine: on the CPU through NumPy, JAX and PyTorch, on a
# GPU through CuPy, JAX and PyTorch where there is one. Then: how to time such a thing without fooling yourself, and
# what the library decides behind the scenes.
#
# The next line picks the array library of the first part; the second part runs on all that are installed.

# %%
import numpy as xp

# %%
import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import arrayconv as ac
from arrayconv.lessons import BLUE, GREEN, ORANGE, check, style

style()

# %% [markdown]
# ## One function
#
# Three layers of a small network. There is no library's name in it, and no device.


# %%
def features(x, w, b):
    return ac.max_pool(ac.relu(ac.conv(x, w, b, padding="same")), 2)


rng = np.random.default_rng(0)
x = rng.standard_normal((8, 56, 56, 16)).astype("float32")
w = rng.standard_normal((3, 3, 16, 32)).astype("float32") / 12
b = rng.standard_normal(32).astype("float32")

y = features(xp.asarray(x), xp.asarray(w), xp.asarray(b))
print(type(y).__module__.split(".")[0], tuple(y.shape), y.dtype)
assert y.shape == (8, 28, 28, 32)

# %% [markdown]
# ## What is here
#
# `ac.backends.find_backends()` looks for every library and device, and says why one cannot be used. (The command line
# says the same: `arrayconv backends`.)

# %% tags=["varies"]
backends = []
for name, library, found in ac.backends.find_backends():
    if isinstance(found, ac.backends.BackendError):
        print(f"{name:10} no: {found}")
    else:
        print(f"{name:10} {library} {found.version}, {found.device}")
        if name not in ("strict", "dask"):
            backends.append(found)

# %% [markdown]
# ## The same result everywhere
#
# Each library computes with its own matrix product, in its own order of additions, so the last digits of a float32
# differ.

# %% tags=["varies"]
want = features(x.astype("float64"), w.astype("float64"), b.astype("float64"))
for backend in backends:
    with backend.exact():
        arrays = [backend.asarray(a) for a in (x, w, b)]
        result = ac.to_numpy(features(*arrays))
    error = abs(result - want).max() / abs(want).max()
    print(f"{backend.name:10} largest error {error:.1e}")
    assert result.dtype == np.float32
    assert error < 1e-5

# %% [markdown]
# Arrays of two libraries in one call are an error, not a slow copy behind your back:

# %%
try:
    import torch

    ac.conv(torch.asarray(x), w)
except ImportError:
    print("torch is not installed here")
except TypeError as error:
    print(error)

# %% [markdown]
# ## Timing, honestly
#
# Three ways to fool yourself:
#
# 1. **The first call** includes what happens once: imports, memory, and with `jax.jit` the whole compilation. Warm
#    up.
# 2. **Asynchrony.** JAX, CuPy and PyTorch on CUDA return before the work is done. Whoever stops the clock then has
#    measured how fast work can be *ordered*. Wait for the result: `jax.block_until_ready(y)`,
#    `cupy.cuda.get_current_stream().synchronize()`, `torch.cuda.synchronize()`. A backend's `finish` is that.
# 3. **One measurement.** Machines are noisy. Take several and report the median.


# %%
def milliseconds(backend, f, arrays, repeat=7):
    """Return the time of the first call, and the median of later ones."""
    times = []
    for _ in range(repeat + 1):
        start = time.perf_counter()
        backend.finish((f(*arrays),))
        times.append(1e3 * (time.perf_counter() - start))
    return times[0], float(np.median(times[1:]))


# %% tags=["varies"]
first, later = {}, {}
for backend in backends:
    arrays = [backend.asarray(a) for a in (x, w, b)]
    first[backend.name], later[backend.name] = milliseconds(backend, features, arrays)
    if backend.library == "JAX":
        compiled = backend.jit(features)
        name = f"{backend.name}, jit"
        first[name], later[name] = milliseconds(backend, compiled, arrays)

print(f"{'':16} first call     later")
for name in later:
    print(f"{name:16} {first[name]:7.1f} ms {later[name]:6.2f} ms")
assert all(value > 0 for value in later.values())

# %% tags=["varies"]
figure, ax = plt.subplots(figsize=(7, 0.6 + 0.6 * len(later)))
places = np.arange(len(later))
ax.barh(places - 0.2, list(first.values()), 0.38, color=ORANGE, label="first call")
ax.barh(places + 0.2, list(later.values()), 0.38, color=BLUE, label="median of later calls")
ax.set(yticks=places, yticklabels=list(later), xscale="log", xlabel="milliseconds (log scale)")
ax.set_xlim(left=1)
ax.set_title("conv, relu, max_pool: 8 x 56 x 56, 16 -> 32 channels")
ax.invert_yaxis()
ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
plt.show()

# %% [markdown]
# The numbers are those of the machine that ran this last, while other programs were running on it; run it on yours.
#
# ## The plan
#
# How to compute a convolution best depends on its shape and on where it runs. The library looks at the shapes, the
# dtype, whether arrays can be written in place, and whether they are on an accelerator, never at the name of the
# library, and picks a *strategy* and *blocks*. `ac.explain` tells what it would do, without doing it.

# %%
with ac.options(threads=2):  # by default as many as there are cores
    print(ac.explain(ac.conv, (8, 56, 56, 64), (3, 3, 64, 64), padding=1))
    print(ac.explain(ac.conv, (8, 56, 56, 64), (1, 1, 64, 256)))
    print(ac.explain(ac.conv, (8, 56, 56, 128), (3, 3, 1, 128), padding=1, groups=128))
plans = ac.explain(ac.conv, (8, 56, 56, 64), (3, 3, 64, 64), padding=1)
assert plans[0].flops == 2 * 8 * 56 * 56 * 9 * 64 * 64

# %% [markdown]
# On a CPU it works in blocks that fit the cache; on a GPU, where each array operation costs a launch, in a few large
# operations. `ac.options` sets the memory it may take, or asks for one strategy:

# %%
with ac.options(workspace=2**20):
    small = ac.explain(ac.conv, (8, 56, 56, 64), (3, 3, 64, 64), padding=1)
print(f"workspace 1 MiB: {len(small[0].blocks)} blocks, {small[0].memory / 2**20:.2f} MiB")
assert small[0].memory <= 2**20 < plans[0].memory

with ac.options(strategy="taps"):
    by_taps = features(x, w, b)
assert np.allclose(by_taps, features(x, w, b), atol=1e-4)

# %% [markdown]
# ## Measured properly
#
# `arrayconv bench` times each case beside its peers in one process, takes turns, and keeps the thread pools apart.
# Its results on a CPU with two cores are committed in `benchmarks/results`; here is the forward convolution. Left of
# the line is faster than the peer, right of it slower. Both are in the picture.

# %%
results = Path("../benchmarks/results/cpu.json")
if not results.exists():
    results = Path("cpu.json")  # downloaded with this notebook
run = json.loads(results.read_text())
times = {}
for row in run["rows"]:
    if row["section"] == "conv forward":
        times.setdefault(row["case"], {})[row["contender"]] = row["ms"]
for of_case in times.values():
    layouts = [ms for name, ms in of_case.items() if name.startswith("torch")]
    of_case["torch"] = min(layouts)

pairs = {
    ("arrayconv numpy", "torch"): (BLUE, "o"),
    ("arrayconv numpy", "im2col"): (ORANGE, "s"),
    ("arrayconv jax", "lax"): (GREEN, "^"),
}
figure, ax = plt.subplots(figsize=(8, 4.6))
for (ours, peer), (colour, marker) in pairs.items():
    cases = [case for case in times if ours in times[case] and peer in times[case]]
    ratios = [times[case][ours] / times[case][peer] for case in cases]
    ax.plot(ratios, cases, marker, color=colour, label=f"{ours} / {peer}", alpha=0.85)
    print(f"{ours} / {peer}: geometric mean {np.exp(np.mean(np.log(ratios))):.2f}")
ax.axvline(1, color="grey", lw=1)
ax.set(
    xscale="log", xlabel="time / time of the peer", ylabel="case", title=run["facts"]["processor"]
)
ax.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
plt.show()

# %% [markdown]
# ## What to take along
#
# - Write a function with array operations only, and the caller chooses library and device by the arrays.
# - Time warm, wait for the result, take a median, and compare within one run.
# - `explain` says what will be done; `options` changes it.
#
# The how-to *Run on a GPU* in the documentation lists what to install.

# %% [markdown]
# ## Exercises
#
# Put your answer in place of the dots and run the cell: it says whether it is right. One answer is folded up below it.

# %% [markdown]
# **1.** Write a function that pools by the mean instead of the maximum, in windows of 2, and takes no `relu`. It must
# run on every library, so let it call nothing but `ac`.


# %%
def answer(x, w, b):
    return ...


arrays = [xp.asarray(a) for a in (x, w, b)]
smooth = ac.to_numpy(ac.conv(*arrays, padding="same"))
check(answer(*arrays), smooth.reshape(8, 28, 2, 28, 2, 32).mean(axis=(2, 4)))

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# def answer(x, w, b):
#     return ac.avg_pool(ac.conv(x, w, b, padding="same"), 2)
# ```
#
# </details>

# %% [markdown]
# **2.** How many additions and multiplications does a convolution of one image of 56 x 56 x 64 with 128 filters of
# 1 x 1 take, a multiplication and an addition counted as two?

# %%
answer = ...

(plan,) = ac.explain(ac.conv, (1, 56, 56, 64), (1, 1, 64, 128))
check(answer, plan.flops)

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = 2 * 56 * 56 * 64 * 128
# ```
#
# </details>

# %% [markdown]
# **3.** A colleague measures 3.1 ms for the first call under `jax.jit`, later 0.4, 0.5, 0.4, 9.0 and 0.4 ms. What do
# you report?

# %%
answer = ...

check(answer, np.median([0.4, 0.5, 0.4, 9.0, 0.4]))

# %% [markdown]
# <details><summary>Answer</summary>
#
# ```python
# answer = 0.4  # the median of the later calls
# ```
#
# </details>

# %% [markdown]
# Next: [train a network](07_train_a_network.ipynb).

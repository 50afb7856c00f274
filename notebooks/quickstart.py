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
# # One function, any array library
#
# Change the next line to `import jax.numpy as xp`, `import torch as xp` or `import cupy as xp`: nothing
# below it changes.

# %%
import numpy as xp

import arrayconv as ac

# %% [markdown]
# ## Convolve
#
# A 7 x 7 image, a 3 x 3 kernel, a stride of 2. The last window holds 40, 41, 42, 47, 48, 49 and so on;
# the kernel takes its left column from its right one.

# %%
x = xp.reshape(xp.asarray([float(i) for i in range(49)]), (1, 7, 7, 1))
w = xp.reshape(xp.asarray([1.0, 0.0, -1.0] * 3), (3, 3, 1, 1))
y = ac.conv(x, w, stride=2)
print(ac.to_numpy(y)[0, :, :, 0])
assert y.shape == (1, 3, 3, 1)
assert float(y[0, 2, 2, 0]) == -6.0

# %% [markdown]
# ## Pool, and go back
#
# Every operation `f` has a twin `f_vjp`: the upstream gradient first, then the arguments of `f`.

# %%
pooled = ac.max_pool(x, 2, stride=2)
dx = ac.max_pool_vjp(xp.ones_like(pooled), x, 2, stride=2)
print(ac.to_numpy(dx)[0, :, :, 0])
# the image grows to the right and downwards, so the last cell of each window wins
assert float(dx[0, 1, 1, 0]) == 1.0
assert float(ac.to_numpy(dx).sum()) == 9.0

dx, dw, db = ac.conv_vjp(xp.ones_like(y), x, w, stride=2)
print(ac.to_numpy(dw)[:, :, 0, 0])
assert float(dw[0, 0, 0, 0]) == 9 * 16.0

# %% [markdown]
# ## See how it will be computed

# %%
print(ac.explain(ac.conv, (8, 56, 56, 64), (3, 3, 64, 64), padding=1))

"""The promise of default precision: in float32, at most twice the error of a one-shot im2col product on NumPy."""

import numpy as np
import pytest

import arrayconv as ac

# Many windows to sum over in a weight gradient, in many images and in one; many channels; a long axis.
SHAPES = {
    "many images": ((40, 28, 28, 1), (3, 3, 1, 8)),
    "a large image": ((1, 128, 128, 3), (15, 15, 3, 8)),
    "few features": ((2, 96, 96, 16), (5, 5, 16, 8)),
    "many channels": ((8, 14, 14, 128), (3, 3, 128, 64)),
    "one axis": ((4, 4096, 8), (9, 8, 16)),
}


def rows_of(x, kernel):
    """Return every window of ``x``, padded to "same" for an odd kernel, as a row: im2col."""
    rank = len(kernel)
    padded = np.pad(x, ((0, 0), *((k // 2, k // 2) for k in kernel), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, kernel, range(1, rank + 1))
    # (N, *out, C, *K) -> (N * prod(out), prod(K) * C)
    return np.moveaxis(windows, rank + 1, -1).reshape(-1, np.prod(kernel) * x.shape[-1])


def one_shot(dy, x, w):
    """Return the convolution and its gradients, each as one product over all its terms."""
    kernel, axes = w.shape[:-2], tuple(range(w.ndim - 2))
    rows = rows_of(x, kernel)
    y = rows @ w.reshape(rows.shape[1], -1)
    # the input gradient is the convolution of dy with the kernel backwards, its channels exchanged
    back = np.swapaxes(np.flip(w, axes), -1, -2)
    dx = rows_of(dy, kernel) @ back.reshape(-1, x.shape[-1])
    dw = rows.T @ dy.reshape(rows.shape[0], -1)
    return y.reshape(dy.shape), dx.reshape(x.shape), dw.reshape(w.shape)


def errors(found, true):
    return [np.max(np.abs(a - b)) / np.max(np.abs(b)) for a, b in zip(found, true, strict=True)]


@pytest.mark.parametrize("name", SHAPES)
# Dask multiplies chunk by chunk, and BLAS adds up such narrow products one after another
@pytest.mark.where(lambda xp: xp != "dask")
def test_twice_the_error_of_im2col_at_most(xp, name):
    rng = np.random.default_rng(0)
    x, w = (rng.standard_normal(shape).astype(np.float32) for shape in SHAPES[name])
    dy = rng.standard_normal((*x.shape[:-1], w.shape[-1])).astype(np.float32)
    true = one_shot(*(a.astype(np.float64) for a in (dy, x, w)))
    plain = errors(one_shot(dy, x, w), true)
    dy, x, w = map(xp.array, (dy, x, w))
    found = ac.conv(x, w, padding="same"), *ac.conv_vjp(dy, x, w, padding="same")[:2]
    for ours, theirs in zip(errors(map(xp.to_numpy, found), true), plain, strict=True):
        assert 0 < ours <= 2 * theirs

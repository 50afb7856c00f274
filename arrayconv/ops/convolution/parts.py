"""What convolution and its transpose share beside the engine: a kernel run backwards, and the bias's gradient."""

from __future__ import annotations

from arrayconv.namespace import Array, Namespace, accumulator, cast, traits
from arrayconv.ops.layout import summed


def flipped(xp: Namespace, w: Array, flip_kernel: bool) -> Array:
    """The kernel, run backwards if ``flip_kernel``."""
    return xp.flip(w, axis=tuple(range(w.ndim - 2))) if flip_kernel else w


def bias_gradient(xp: Namespace, dy: Array, b: Array) -> Array:
    """The sum of ``dy`` over images and positions, in the shape of ``b``."""
    wide = accumulator(xp, dy.dtype)
    # NumPy's sums take no dtype of the other byte order
    dtype = None if wide == dy.dtype else wide
    total = dy
    # axis by axis on accelerators too, where one sum over all to a few channels would occupy a few blocks of threads
    if traits(xp, dy).mutable:
        for axis in reversed(range(dy.ndim - 1)):
            total = summed(xp, total, axis, dtype)
    else:
        total = xp.sum(total, axis=tuple(range(dy.ndim - 1)), dtype=dtype)
    return xp.reshape(cast(xp, total, dy.dtype), b.shape)

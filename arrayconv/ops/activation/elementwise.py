"""How a function of single elements is computed: in at least float32, in blocks that stay in the cache or as a kernel.

A choice between two values by a random mask costs NumPy more than five arithmetic passes, so the functions multiply by
a `step` where `where` would read more easily.
"""

from __future__ import annotations

from collections.abc import Callable

from arrayconv.engine.blockwise import blockwise
from arrayconv.namespace import (
    Array,
    Namespace,
    cast,
    fused,
    is_symbol,
    places_itself,
    scalar,
    traits,
    widened,
)


def elementwise(xp: Namespace, compute: Callable[..., Array], *arrays: Array) -> Array:
    """``compute(*arrays)``, the arrays having one shape and one dtype, which is the result's too."""
    dtype = arrays[0].dtype

    def run(*parts: Array) -> Array:
        return cast(xp, fused(xp, compute, *widened(xp, *parts)), dtype)

    return blockwise(xp, run, *arrays, threaded=True)


def step(xp: Namespace, mask: Array, like: Array) -> Array:
    """1 where ``mask`` is True and 0 elsewhere, in the dtype of ``like``."""
    return xp.astype(mask, like.dtype)


def sign(xp: Namespace, x: Array) -> Array:
    """-1, 0 or 1 as ``x`` is negative, zero or positive; NaN stays NaN."""
    if not is_symbol(x) and places_itself(x):
        return xp.sign(x)
    # the compatibility layer's writes NaN by a mask, for which CuPy waits and which torch's vmap cannot
    return fused(xp, lambda x: xp.where(x == x, step(xp, x > 0, x) - step(xp, x < 0, x), x), x)


def kept(xp: Namespace, on: Array, dy: Array) -> Array:
    """``dy`` where ``on`` is True and 0 elsewhere, whatever ``dy`` is there."""
    zero = scalar(xp, 0, dy)
    at = traits(xp, dy)
    if not at.mutable or at.accelerator:
        return xp.where(on, dy, zero)
    # by a product where branches are guessed, but for what is not finite, which a product would turn into NaN
    finite = xp.isfinite(dy)
    return xp.where(on & ~finite, dy, xp.where(finite, dy, zero) * step(xp, on, dy))


def clipped(xp: Namespace, x: Array, low: float, high: float) -> Array:
    """``x`` cut off at two numbers; NaN stays NaN."""
    return xp.minimum(xp.maximum(x, scalar(xp, low, x)), scalar(xp, high, x))

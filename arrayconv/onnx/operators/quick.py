"""Activations with fewer passes over memory, for libraries in which each operation is one: NumPy and torch on a CPU.

Measured on NumPy with 800 000 float32 elements: ``maximum`` with a number takes 0.24 ms, ``clip`` 0.06 ms; a
sigmoid by ``where`` 1.0 ms, by one ``exp`` 0.45 ms; an error function accurate to float64 5.3 ms, to float32 0.9 ms.
"""

from __future__ import annotations

import math

import arrayconv as ac
from arrayconv.namespace import Array, is_floating, is_lazy, itemsize, traits
from arrayconv.onnx.operators.shared import namespace


def passes(x: Array) -> bool:
    """Whether every operation on ``x`` is a pass over memory: ``x`` is floating, not lazy, and on a CPU."""
    xp = namespace(x)
    return is_floating(xp, x.dtype) and not is_lazy(x) and not traits(xp, x).accelerator


def relu(x: Array) -> Array:
    return namespace(x).clip(x, 0.0, math.inf) if passes(x) else ac.relu(x)


def sigmoid(x: Array) -> Array:
    xp = namespace(x)
    if not passes(x) or itemsize(xp, x.dtype) < 4:
        return ac.sigmoid(x)
    # below this, exp(-x) would overflow; the result is 0 to within rounding
    low = -math.log(float(xp.finfo(x.dtype).max)) + 1
    y = xp.exp(-xp.clip(x, low, math.inf))
    y += 1
    return 1 / y


def silu(x: Array) -> Array:
    if not passes(x):
        return ac.silu(x)
    y = sigmoid(x)
    y *= x
    return y


# M. Abramowitz and I. Stegun, Handbook of Mathematical Functions, 7.1.26: erf with an error below 1.5e-7.
P = 0.3275911
A = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def gelu(x: Array) -> Array:
    """``(x + |x| erf(|x| / sqrt(2))) / 2``; for float32 by a formula whose error is about a rounding of ``x``."""
    xp = namespace(x)
    if not passes(x) or itemsize(xp, x.dtype) != 4:
        return ac.gelu(x)
    size = xp.abs(x)
    # the tail, 1 - erf, is 0 beyond 20; without clipping, infinity times 0 would be NaN
    near = xp.clip(size, 0.0, 20.0)
    t = near * (P / math.sqrt(2))
    t += 1
    t = 1 / t
    total = t * A[0]
    for a in A[1:]:
        total += a
        total *= t
    t = near * near
    t *= -0.5
    total *= xp.exp(t)
    # |x| erf(...) is |x| minus |x| times the tail
    total *= near
    size -= total
    size += x
    size *= 0.5
    return size

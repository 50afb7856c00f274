"""Activations as fewer passes over memory, where each operation is one: NumPy and torch on a CPU.

Measured on NumPy, 800 000 float32 cells: ``maximum`` with a number takes 0.24 ms and ``clip`` 0.06; a
logistic function by ``where`` 1.0 ms, by one ``exp`` 0.45; an error function good to float64 5.3 ms,
one good to float32 0.9.
"""

from __future__ import annotations

import math

import arrayconv as ac
from arrayconv.namespace import Array, is_floating, is_lazy, itemsize, traits
from arrayconv.onnx.operators.shared import namespace


def passes(x: Array) -> bool:
    """Whether every operation on ``x`` is a pass over memory: nothing is fused, and nothing waits."""
    xp = namespace(x)
    return is_floating(xp, x.dtype) and not is_lazy(x) and not traits(xp, x).accelerator


def relu(x: Array) -> Array:
    return namespace(x).clip(x, 0.0, math.inf) if passes(x) else ac.relu(x)


def sigmoid(x: Array) -> Array:
    xp = namespace(x)
    if not passes(x) or itemsize(xp, x.dtype) < 4:
        return ac.sigmoid(x)
    # what is below has exp beyond the largest number, and a result below the least
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


# M. Abramowitz and I. Stegun, Handbook of Mathematical Functions, 7.1.26: an error below 1.5e-7
P = 0.3275911
A = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)


def gelu(x: Array) -> Array:
    """``(x + |x| erf(|x| / sqrt(2))) / 2``, in float32 with an error of a rounding of ``x``."""
    xp = namespace(x)
    if not passes(x) or itemsize(xp, x.dtype) != 4:
        return ac.gelu(x)
    size = xp.abs(x)
    # beyond, the tail is 0, and infinity has a product with it
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
    # |x| erf is |x| less the tail
    total *= near
    size -= total
    size += x
    size *= 0.5
    return size

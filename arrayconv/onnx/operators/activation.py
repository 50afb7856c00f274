"""Activations: those of arrayconv under ONNX's attributes, and some that only ONNX has."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import arrayconv as ac
from arrayconv.namespace import Array, cast, placement
from arrayconv.onnx.operators import quick
from arrayconv.onnx.operators.shared import (
    Attributes,
    elementwise,
    moved_axis,
    namespace,
    with_rank,
)
from arrayconv.onnx.table import register


def leaky_relu(x: Array, *, alpha: float = 0.01) -> Array:
    return ac.leaky_relu(x, negative_slope=alpha)


def leaky_relu_vjp(dy: Array, x: Array, *, alpha: float = 0.01) -> Array:
    return ac.leaky_relu_vjp(dy, x, negative_slope=alpha)


def prelu(x: Array, slope: Array) -> Array:
    return ac.prelu(x, with_rank(namespace(x, slope), slope, x.ndim))


def prelu_vjp(dy: Array, x: Array, slope: Array) -> tuple[Array, Array]:
    xp = namespace(dy, x, slope)
    dx, dslope = ac.prelu_vjp(dy, x, with_rank(xp, slope, x.ndim))
    return dx, xp.reshape(dslope, slope.shape)


def elu(x: Array, *, alpha: float = 1.0) -> Array:
    return ac.elu(x, alpha=alpha)


def elu_vjp(dy: Array, x: Array, *, alpha: float = 1.0) -> Array:
    return ac.elu_vjp(dy, x, alpha=alpha)


ALPHA, GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


def selu(x: Array, *, alpha: float = ALPHA, gamma: float = GAMMA) -> Array:
    return gamma * ac.elu(x, alpha=alpha)


def selu_vjp(dy: Array, x: Array, *, alpha: float = ALPHA, gamma: float = GAMMA) -> Array:
    return gamma * ac.elu_vjp(dy, x, alpha=alpha)


def celu(x: Array, *, alpha: float = 1.0) -> Array:
    return alpha * ac.elu(x / alpha)


def celu_vjp(dy: Array, x: Array, *, alpha: float = 1.0) -> Array:
    return ac.elu_vjp(dy, x / alpha)


def thresholded_relu(x: Array, *, alpha: float = 1.0) -> Array:
    xp = namespace(x)
    return xp.where(x > alpha, x, xp.zeros_like(x))


def thresholded_relu_vjp(dy: Array, x: Array, *, alpha: float = 1.0) -> Array:
    xp = namespace(dy, x)
    return xp.where(x > alpha, dy, xp.zeros_like(dy))


def hard_sigmoid(x: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Array:
    return ac.hard_sigmoid(x, slope=alpha, offset=beta)


def hard_sigmoid_vjp(dy: Array, x: Array, *, alpha: float = 0.2, beta: float = 0.5) -> Array:
    return ac.hard_sigmoid_vjp(dy, x, slope=alpha, offset=beta)


def mish(x: Array) -> Array:
    return x * ac.tanh(ac.softplus(x))


def mish_vjp(dy: Array, x: Array) -> Array:
    t = ac.tanh(ac.softplus(x))
    return dy * (t + x * (1 - t * t) * ac.sigmoid(x))


def swish(x: Array, *, alpha: float = 1.0) -> Array:
    return quick.silu(x) if alpha == 1 else x * ac.sigmoid(alpha * x)


def swish_vjp(dy: Array, x: Array, *, alpha: float = 1.0) -> Array:
    s = ac.sigmoid(alpha * x)
    return dy * (s + alpha * x * s * (1 - s))


def gelu(x: Array, *, approximate: str = "none") -> Array:
    return ac.gelu(x, approximate=True) if approximate == "tanh" else quick.gelu(x)


def gelu_vjp(dy: Array, x: Array, *, approximate: str = "none") -> Array:
    return ac.gelu_vjp(dy, x, approximate=approximate == "tanh")


def softsign(x: Array) -> Array:
    return x / (1 + namespace(x).abs(x))


def softsign_vjp(dy: Array, x: Array) -> Array:
    return dy / (1 + namespace(x).abs(x)) ** 2


def shrink(x: Array, *, bias: float = 0.0, lambd: float = 0.5) -> Array:
    xp = namespace(x)
    zero = xp.zeros_like(x)
    return xp.where(x < -lambd, x + bias, xp.where(x > lambd, x - bias, zero))


def shrink_vjp(dy: Array, x: Array, *, bias: float = 0.0, lambd: float = 0.5) -> Array:
    xp = namespace(dy, x)
    return xp.where((x < -lambd) | (x > lambd), dy, xp.zeros_like(dy))


def sigmoid_vjp(dy: Array, x: Array, *, y: Array) -> Array:
    return ac.sigmoid_vjp(dy, x, y=y)


def tanh_vjp(dy: Array, x: Array, *, y: Array) -> Array:
    return ac.tanh_vjp(dy, x, y=y)


def probabilities(log: bool, x: Array, *, axis: int = -1) -> Array:
    return (ac.log_softmax if log else ac.softmax)(x, axis=axis)


def probabilities_vjp(log: bool, dy: Array, x: Array, *, y: Array, axis: int = -1) -> Array:
    return (ac.log_softmax_vjp if log else ac.softmax_vjp)(dy, x, axis=axis, y=y)


def flat_probabilities(log: bool, x: Array, *, axis: int = 1) -> Array:
    """Softmax or log softmax as before opset 13: over all axes from ``axis`` on together."""
    return namespace(x).reshape(probabilities(log, _flat(x, axis)), x.shape)


def flat_probabilities_vjp(log: bool, dy: Array, x: Array, *, y: Array, axis: int = 1) -> Array:
    dx = probabilities_vjp(log, _flat(dy, axis), _flat(x, axis), y=_flat(y, axis))
    return namespace(x).reshape(dx, x.shape)


def _flat(x: Array, axis: int) -> Array:
    rows = math.prod(x.shape[: axis % x.ndim if axis < 0 else axis])
    return namespace(x).reshape(x, (rows, math.prod(x.shape) // max(rows, 1)))


def hardmax(x: Array, *, axis: int = -1) -> Array:
    """1 at the first maximum along ``axis``, else 0."""
    xp = namespace(x)
    first = xp.expand_dims(xp.argmax(x, axis=axis), axis=axis)
    cells = xp.arange(x.shape[axis], dtype=first.dtype, **placement(first))
    shape = tuple(n if i == axis % x.ndim else 1 for i, n in enumerate(x.shape))
    return cast(xp, xp.reshape(cells, shape) == first, x.dtype)


def _last_axis(attributes: Attributes, ndim: int) -> Attributes:
    return moved_axis(attributes, ndim, -1)


PLAIN: dict[str, tuple[int, Any, Any]] = {
    "Relu": (6, quick.relu, ac.relu_vjp),
    "LeakyRelu": (6, leaky_relu, leaky_relu_vjp),
    "PRelu": (7, prelu, prelu_vjp),
    "Elu": (6, elu, elu_vjp),
    "Selu": (6, selu, selu_vjp),
    "Celu": (12, celu, celu_vjp),
    "ThresholdedRelu": (10, thresholded_relu, thresholded_relu_vjp),
    "Sigmoid": (6, quick.sigmoid, sigmoid_vjp),
    "HardSigmoid": (6, hard_sigmoid, hard_sigmoid_vjp),
    "HardSwish": (14, ac.hard_swish, ac.hard_swish_vjp),
    "Tanh": (6, ac.tanh, tanh_vjp),
    "Softplus": (1, ac.softplus, ac.softplus_vjp),
    "Softsign": (1, softsign, softsign_vjp),
    "Mish": (18, mish, mish_vjp),
    "Swish": (24, swish, swish_vjp),
    "Gelu": (20, gelu, gelu_vjp),
    "Shrink": (9, shrink, shrink_vjp),
}
for _name, (_since, _f, _vjp) in PLAIN.items():
    register(_name, _f, _vjp, since=_since, channels_last=elementwise)
for _name, _log in (("Softmax", False), ("LogSoftmax", True)):
    register(
        _name,
        partial(flat_probabilities, _log),
        partial(flat_probabilities_vjp, _log),
        until=12,
    )
    register(
        _name,
        partial(probabilities, _log),
        partial(probabilities_vjp, _log),
        since=13,
        channels_last=_last_axis,
    )
register("Hardmax", hardmax, since=13)

"""Dense layers and activations in plain float64 loops over Python's own `math`.

Nothing here imports arrayconv. `LAYERS` maps an operation's name to a function with its signature.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np


def _pointwise(f: Callable[..., float]) -> Callable[..., Any]:
    def call(x: Any, **config: Any) -> Any:
        values = [f(float(value), **config) for value in x.reshape(-1)]
        return np.asarray(values, np.float64).reshape(x.shape)

    return call


def _gelu(x: float, approximate: bool = False) -> float:
    if approximate:
        return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x / 2 * math.erfc(-x / math.sqrt(2))


def _elu(x: float, alpha: float = 1.0) -> float:
    return x if x > 0 else alpha * math.expm1(x)


def _selu(x: float) -> float:
    return 1.0507009873554804934193349852946 * _elu(x, 1.6732632423543772848170429916717)


def _hard_sigmoid(x: float, slope: float = 1 / 6, offset: float = 0.5) -> float:
    return min(max(slope * x + offset, 0.0), 1.0)


def _prelu(x: Any, alpha: Any) -> Any:
    y = np.zeros(x.shape)
    slopes = np.broadcast_to(alpha, x.shape)
    for i in product(*map(range, x.shape)):
        y[i] = x[i] if x[i] > 0 else slopes[i] * x[i]
    return y


def _softmax(x: Any, axis: int = -1) -> Any:
    y = np.zeros(x.shape)
    rows, results = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
    for i in product(*map(range, rows.shape[:-1])):
        terms = [math.exp(value) for value in rows[i]]
        results[i] = [term / math.fsum(terms) for term in terms]
    return y


def _log_softmax(x: Any, axis: int = -1) -> Any:
    y = np.zeros(x.shape)
    rows, results = np.moveaxis(x, axis, -1), np.moveaxis(y, axis, -1)
    for i in product(*map(range, rows.shape[:-1])):
        total = math.fsum(math.exp(value) for value in rows[i])
        results[i] = [value - math.log(total) for value in rows[i]]
    return y


def _dense(x: Any, w: Any, b: Any = None) -> Any:
    y = np.zeros((*x.shape[:-1], w.shape[1]))
    for *i, o in product(*map(range, y.shape)):
        terms = [x[(*i, c)] * w[c, o] for c in range(w.shape[0])]
        y[(*i, o)] = math.fsum(terms) + (0.0 if b is None else b.reshape(-1)[o])
    return y


def _flatten(x: Any) -> Any:
    rows = [[row[i] for i in product(*map(range, x.shape[1:]))] for row in x]
    return np.asarray(rows, np.float64).reshape(x.shape[0], math.prod(x.shape[1:]))


def _dropout(x: Any, mask: Any, *, rate: float) -> Any:
    y = np.zeros(x.shape)
    kept = np.broadcast_to(mask, x.shape)
    for i in product(*map(range, x.shape)):
        y[i] = x[i] / (1 - rate) if kept[i] else 0.0
    return y


LAYERS: dict[str, Callable[..., Any]] = {
    "dense": _dense,
    "flatten": _flatten,
    "dropout": _dropout,
    "leaky_relu": _pointwise(lambda x, negative_slope=0.01: x if x > 0 else negative_slope * x),
    "prelu": _prelu,
    "elu": _pointwise(_elu),
    "selu": _pointwise(_selu),
    "gelu": _pointwise(_gelu),
    "silu": _pointwise(lambda x: x / (1 + math.exp(-x))),
    "softplus": _pointwise(lambda x: math.log1p(math.exp(x))),
    "sigmoid": _pointwise(lambda x: 1 / (1 + math.exp(-x))),
    "hard_sigmoid": _pointwise(_hard_sigmoid),
    "hard_swish": _pointwise(lambda x: x * _hard_sigmoid(x)),
    "tanh": _pointwise(math.tanh),
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "erf": _pointwise(math.erf),
}

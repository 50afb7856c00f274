"""Naive float64 loops of the normalizations, of resizing and of the losses."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np


def _cells(sizes: Any) -> Any:
    return product(*(range(n) for n in sizes))


def _moments(values: Any) -> tuple[float, float]:
    """Return mean and biased variance by exactly rounded sums."""
    values = [float(v) for v in values]
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((v - mean) ** 2 for v in values) / len(values)


def _at(p: Any, channel: int, otherwise: float) -> float:
    return otherwise if p is None else float(p.reshape(-1)[channel])


def _channel(x: Any, data_format: str) -> int:
    return x.ndim - 1 if data_format == "channels_last" else 1


def batch_norm(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    *,
    eps: float = 1e-5,
    data_format: str = "channels_last",
) -> tuple[Any, Any, Any]:
    at = _channel(x, data_format)
    found = [_moments(np.take(x, c, axis=at).reshape(-1)) for c in range(x.shape[at])]
    mean, var = np.asarray([m for m, _ in found]), np.asarray([v for _, v in found])
    y = batch_norm_inference(x, gamma, beta, mean, var, eps=eps, data_format=data_format)
    return y, mean, var


def batch_norm_inference(
    x: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    *,
    eps: float = 1e-5,
    data_format: str = "channels_last",
) -> Any:
    at = _channel(x, data_format)
    y = np.zeros(x.shape)
    for i in _cells(x.shape):
        c = i[at]
        xhat = (x[i] - mean.reshape(-1)[c]) / math.sqrt(var.reshape(-1)[c] + eps)
        y[i] = _at(gamma, c, 1.0) * xhat + _at(beta, c, 0.0)
    return y


def layer_norm(
    x: Any, gamma: Any = None, beta: Any = None, *, axes: Any = -1, eps: float = 1e-5
) -> Any:
    chosen = sorted(a % x.ndim for a in (axes if isinstance(axes, Sequence) else (axes,)))
    y = np.zeros(x.shape)
    for i in _cells(n for a, n in enumerate(x.shape) if a not in chosen):
        rest = iter(i)
        where = tuple(slice(None) if a in chosen else next(rest) for a in range(x.ndim))
        part = x[where]
        mean, var = _moments(part.reshape(-1))
        xhat = (part - mean) / math.sqrt(var + eps)
        xhat = xhat if gamma is None else xhat * gamma.reshape(part.shape)
        y[where] = xhat if beta is None else xhat + beta.reshape(part.shape)
    return y


def group_norm(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    *,
    groups: int,
    eps: float = 1e-5,
    data_format: str = "channels_last",
) -> Any:
    at = _channel(x, data_format)
    width = x.shape[at] // groups
    y = np.zeros(x.shape)
    for n, g in product(range(x.shape[0]), range(groups)):
        channels = range(g * width, (g + 1) * width)
        cells = [i for i in _cells(x.shape) if i[0] == n and i[at] in channels]
        mean, var = _moments(x[i] for i in cells)
        for i in cells:
            xhat = (x[i] - mean) / math.sqrt(var + eps)
            y[i] = _at(gamma, i[at], 1.0) * xhat + _at(beta, i[at], 0.0)
    return y


def instance_norm(
    x: Any, gamma: Any = None, beta: Any = None, *, data_format: str = "channels_last", **eps: Any
) -> Any:
    groups = x.shape[_channel(x, data_format)]
    return group_norm(x, gamma, beta, groups=groups, data_format=data_format, **eps)


def _position(i: int, n: int, m: int, s: float, coordinates: str) -> float:
    if coordinates == "align_corners":
        return i * (n - 1) / (m - 1) if m > 1 else 0.0
    return (i + 0.5) / s - 0.5 if coordinates == "half_pixel" else i / s


def _weights(n: int, m: int, s: float, method: str, coordinates: str, rounding: str) -> Any:
    """Return the matrix (m, n) of one axis, by the distance of every cell to the source."""
    matrix = np.zeros((m, n))
    for i in range(m):
        source = _position(i, n, m, s, coordinates)
        if method == "linear":
            for j in range(n):
                matrix[i, j] = max(0.0, 1.0 - abs(min(max(source, 0.0), n - 1.0) - j))
            matrix[i] /= matrix[i].sum()
            continue
        # Ties are decided on the decimals that floating noise does not reach.
        source = round(source, 9)
        cells = sorted(range(n), key=lambda j: (abs(source - j), -j))
        if rounding == "half_down":
            cells = sorted(range(n), key=lambda j: (abs(source - j), j))
        if coordinates == "asymmetric":
            cells = sorted((j for j in range(n) if j <= source), reverse=True)
        matrix[i, cells[0]] = 1.0
    return matrix


def resize(
    x: Any,
    *,
    size: Any = None,
    scale: Any = None,
    method: str = "nearest",
    coordinates: str = "half_pixel",
    rounding: str = "half_up",
    data_format: str = "channels_last",
) -> Any:
    first = 1 if data_format == "channels_last" else 2
    for axis in range(x.ndim - 2):
        n = x.shape[first + axis]
        if scale is None:
            m = size[axis] if isinstance(size, Sequence) else size
            s = m / n
        else:
            s = scale[axis] if isinstance(scale, Sequence) else scale
            m = math.floor(n * s)
        matrix = _weights(n, m, s, method, coordinates, rounding)
        x = np.moveaxis(np.tensordot(matrix, x, (1, first + axis)), 0, first + axis)
    return x


def _reduced(values: Any, reduction: str) -> Any:
    each = [math.fsum(v.reshape(-1)) / v.size for v in values]
    if reduction == "none":
        return np.asarray(each, float).reshape(-1)
    total = math.fsum(each)
    return np.asarray(total / len(each) if reduction == "mean" else total)


def mean_squared_error(y_pred: Any, y_true: Any, *, reduction: str = "mean") -> Any:
    return _reduced((y_pred - y_true) ** 2, reduction)


def mean_absolute_error(y_pred: Any, y_true: Any, *, reduction: str = "mean") -> Any:
    return _reduced(np.abs(y_pred - y_true), reduction)


def binary_cross_entropy(
    y_pred: Any, y_true: Any, *, reduction: str = "mean", from_logits: bool = False
) -> Any:
    values = np.zeros(y_pred.shape)
    for i in _cells(y_pred.shape):
        p = 1 / (1 + math.exp(-y_pred[i])) if from_logits else y_pred[i]
        t = float(y_true[i])
        values[i] = -t * math.log(p) - (1 - t) * math.log(1 - p)
    return _reduced(values, reduction)


def _log_probabilities(row: Any, from_logits: bool) -> list[float]:
    if not from_logits:
        return [math.log(p) for p in row]
    total = math.fsum(math.exp(z) for z in row)
    return [z - math.log(total) for z in row]


def categorical_cross_entropy(
    y_pred: Any, y_true: Any, *, reduction: str = "mean", from_logits: bool = False
) -> Any:
    values = np.zeros(y_pred.shape[:-1])
    for i in _cells(values.shape):
        logs = _log_probabilities(y_pred[i], from_logits)
        values[i] = -math.fsum(float(t) * log for t, log in zip(y_true[i], logs, strict=True))
    return _reduced(values, reduction)


def sparse_categorical_cross_entropy(
    y_pred: Any, y_true: Any, *, reduction: str = "mean", from_logits: bool = False
) -> Any:
    values = np.zeros(y_true.shape)
    for i in _cells(values.shape):
        values[i] = -_log_probabilities(y_pred[i], from_logits)[y_true[i]]
    return _reduced(values, reduction)


NORMS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        batch_norm,
        batch_norm_inference,
        layer_norm,
        group_norm,
        instance_norm,
        resize,
        mean_squared_error,
        mean_absolute_error,
        binary_cross_entropy,
        categorical_cross_entropy,
        sparse_categorical_cross_entropy,
    )
}

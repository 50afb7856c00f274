"""Comparisons, logic, casts, Identity and Dropout; only the last three have gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from arrayconv.namespace import Array, Namespace, cast, scalar
from arrayconv.onnx.operators.shared import aligned, dtype_of, elementwise, namespace
from arrayconv.onnx.table import register

Compare = Callable[[Namespace, Array, Array], Array]


def _binary(f: Compare) -> Callable[[Array, Array], Array]:
    def forward(a: Array, b: Array) -> Array:
        xp = namespace(a, b)
        return f(xp, *aligned(xp, a, b))

    return forward


def negated(x: Array) -> Array:
    return namespace(x).logical_not(x)


def is_nan(x: Array) -> Array:
    return namespace(x).isnan(x)


def is_inf(x: Array, *, detect_negative: int = 1, detect_positive: int = 1) -> Array:
    xp = namespace(x)
    found = xp.isinf(x)
    zero = scalar(xp, 0, x)
    if not detect_negative:
        found = found & (x > zero)
    return found if detect_positive else found & (x < zero)


def to_type(x: Array, *, to: np.dtype[Any], saturate: int = 1, round_mode: str = "up") -> Array:
    xp = namespace(x)
    return cast(xp, x, dtype_of(xp, x, to))


def to_type_vjp(dy: Array, x: Array, **attributes: Any) -> Array:
    return cast(namespace(dy), dy, x.dtype)


def to_type_of(x: Array, target: Array, **attributes: Any) -> Array:
    return cast(namespace(x, target), x, target.dtype)


def to_type_of_vjp(dy: Array, x: Array, target: Array, **attributes: Any) -> tuple[Array, None]:
    return cast(namespace(dy), dy, x.dtype), None


def identity(x: Array) -> Array:
    return x


def identity_vjp(dy: Array, x: Array) -> Array:
    return dy


def dropout(
    x: Array,
    ratio: float = 0.5,
    training_mode: bool = False,
    *,
    seed: int = 0,
    is_test: int = 1,
    outputs: int = 1,
) -> Any:
    if training_mode and ratio:
        raise ValueError(
            "Dropout in training mode draws random numbers; export the network for inference"
        )
    return (x, namespace(x).ones_like(x, dtype=namespace(x).bool)) if outputs == 2 else x


def dropout_vjp(dy: Any, x: Array, *rest: Any, **attributes: Any) -> Array:
    return dy[0] if isinstance(dy, tuple) else dy


COMPARISONS: dict[str, Compare] = {
    "And": lambda xp, a, b: xp.logical_and(a, b),
    "Equal": lambda xp, a, b: a == b,
    "Greater": lambda xp, a, b: a > b,
    "GreaterOrEqual": lambda xp, a, b: a >= b,
    "Less": lambda xp, a, b: a < b,
    "LessOrEqual": lambda xp, a, b: a <= b,
    "Or": lambda xp, a, b: xp.logical_or(a, b),
    "Xor": lambda xp, a, b: xp.logical_xor(a, b),
}
for _name, _f in COMPARISONS.items():
    register(_name, _binary(_f), since=7, channels_last=elementwise)
register("Not", negated, channels_last=elementwise)
register("IsNaN", is_nan, since=9, channels_last=elementwise)
register("IsInf", is_inf, since=10, channels_last=elementwise)
register("Cast", to_type, to_type_vjp, since=6, channels_last=elementwise)
register("CastLike", to_type_of, to_type_of_vjp, since=15)
register("Dropout", dropout, dropout_vjp, static=("ratio", "training_mode"), outputs=2)
register("Identity", identity, identity_vjp, channels_last=elementwise)

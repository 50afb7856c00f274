"""Arithmetic with broadcasting, and elementwise functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

import arrayconv as ac
from arrayconv.namespace import Array, Namespace, accumulator, cast, is_floating, scalar
from arrayconv.onnx.operators.quick import passes
from arrayconv.onnx.operators.shared import (
    aligned,
    elementwise,
    floating,
    namespace,
    summed_to,
    with_rank,
)
from arrayconv.onnx.table import register
from arrayconv.ops.activation.elementwise import sign

Unary = Callable[[Namespace, Array], Array]
Slope = Callable[[Namespace, Array, Array], Array]


def unary(f: Unary, slope: Slope | None = None, *, wide: bool = True) -> tuple[Any, Any]:
    """An elementwise function ``f(xp, x)`` and its vjp, None without ``slope``, its derivative ``slope(xp, x, y)``.

    With ``wide``, half types are computed in float32.
    """

    def forward(x: Array) -> Array:
        xp = namespace(x)
        return cast(xp, f(xp, cast(xp, x, accumulator(xp, x.dtype))), x.dtype) if wide else f(xp, x)

    def backward(dy: Array, x: Array, *, y: Array) -> Array:
        xp = namespace(dy, x)
        assert slope is not None
        return dy * slope(xp, x, y)

    return forward, backward if slope is not None else None


def _both(a: Array, b: Array) -> tuple[Namespace, Array, Array]:
    xp = namespace(a, b)
    return xp, *aligned(xp, a, b)


def _sides(
    da: Callable[[], Array], db: Callable[[], Array], a: Array, b: Array, wrt: Any
) -> tuple[Array | None, ...]:
    """The gradients of both operands, summed over the axes along which they were broadcast."""
    xp = namespace(a, b)
    return tuple(
        summed_to(xp, d(), x.shape) if name in wrt else None
        for name, d, x in (("a", da, a), ("b", db, b))
    )


def add(a: Array, b: Array) -> Array:
    _, a, b = _both(a, b)
    return a + b


def add_vjp(dy: Array, a: Array, b: Array, *, wrt: Any = ("a", "b")) -> Any:
    return _sides(lambda: dy, lambda: dy, a, b, wrt)


def sub(a: Array, b: Array) -> Array:
    _, a, b = _both(a, b)
    return a - b


def sub_vjp(dy: Array, a: Array, b: Array, *, wrt: Any = ("a", "b")) -> Any:
    return _sides(lambda: dy, lambda: -dy, a, b, wrt)


def mul(a: Array, b: Array) -> Array:
    _, a, b = _both(a, b)
    return a * b


def mul_vjp(dy: Array, a: Array, b: Array, *, wrt: Any = ("a", "b")) -> Any:
    _, wide_a, wide_b = _both(a, b)
    return _sides(lambda: dy * wide_b, lambda: dy * wide_a, a, b, wrt)


def div(a: Array, b: Array) -> Array:
    xp, a, b = _both(a, b)
    if is_floating(xp, a.dtype):
        return a / b
    # ONNX truncates the quotient of integers, where // rounds down
    quotient = a // b
    if not xp.isdtype(a.dtype, "signed integer"):
        return quotient
    low = (quotient * b != a) & ((a < 0) != (b < 0))
    return quotient + xp.astype(low, quotient.dtype)


def div_vjp(dy: Array, a: Array, b: Array, *, wrt: Any = ("a", "b")) -> Any:
    _, wide_a, wide_b = _both(a, b)
    return _sides(lambda: dy / wide_b, lambda: -dy * wide_a / (wide_b * wide_b), a, b, wrt)


def power(a: Array, b: Array) -> Array:
    """``a ** b`` in the dtype of ``a``."""
    xp, a, b = _both(a, b)
    if is_floating(xp, b.dtype) and not is_floating(xp, a.dtype):
        return xp.astype(cast(xp, a, b.dtype) ** b, a.dtype)
    return a ** cast(xp, b, a.dtype)


def power_vjp(dy: Array, a: Array, b: Array, *, y: Array, wrt: Any = ("a", "b")) -> Any:
    xp, wide_a, wide_b = _both(a, b)
    wide_b = cast(xp, wide_b, a.dtype)

    def slope() -> Array:
        # the derivative for exponent 0 is 0, also at base 0, where 0 * 0 ** -1 would be NaN
        zero = wide_b == 0
        ones = xp.ones_like(wide_b)
        return xp.where(
            zero, xp.zeros_like(dy), dy * wide_b * wide_a ** xp.where(zero, ones, wide_b - 1)
        )

    def exponent() -> Array:
        base = xp.where(wide_a > 0, wide_a, xp.ones_like(wide_a))
        return dy * y * xp.log(base)

    return _sides(slope, exponent, a, b, wrt if floating(b) else tuple(set(wrt) - {"b"}))


def modulo(a: Array, b: Array, *, fmod: int = 0) -> Array:
    xp, a, b = _both(a, b)
    if not fmod:
        return a % b
    if not is_floating(xp, a.dtype):
        # the result has the sign of a, where that of % has the sign of b
        rest = a % b
        return rest - b * xp.astype((rest != 0) & ((a < 0) != (b < 0)), a.dtype)
    rest = xp.abs(a) % xp.abs(b)
    return xp.where(xp.isinf(b) & xp.isfinite(a), a, xp.copysign(rest, a))


def modulo_vjp(dy: Array, a: Array, b: Array, *, fmod: int = 0, wrt: Any = ("a", "b")) -> Any:
    xp, wide_a, wide_b = _both(a, b)
    whole = xp.trunc if fmod else xp.floor
    return _sides(lambda: dy, lambda: -dy * whole(wide_a / wide_b), a, b, wrt)


def _variadic(op: Callable[[Array, Array], Array], arrays: tuple[Array, ...]) -> Array:
    return reduce(op, aligned(namespace(*arrays), *arrays))


def add_all(*arrays: Array) -> Array:
    return _variadic(lambda a, b: a + b, arrays)


def add_all_vjp(dy: Array, *arrays: Array) -> tuple[Array, ...]:
    return tuple(summed_to(namespace(dy), dy, x.shape) for x in arrays)


def mean_all(*arrays: Array) -> Array:
    return add_all(*arrays) / len(arrays)


def mean_all_vjp(dy: Array, *arrays: Array) -> tuple[Array, ...]:
    return add_all_vjp(dy / len(arrays), *arrays)


def largest(*arrays: Array) -> Array:
    return _variadic(namespace(*arrays).maximum, arrays)


def smallest(*arrays: Array) -> Array:
    return _variadic(namespace(*arrays).minimum, arrays)


def extreme_vjp(dy: Array, *arrays: Array, y: Array) -> tuple[Array, ...]:
    """The gradient of a maximum or minimum goes to the input that has it, in equal parts if several do."""
    xp = namespace(dy, *arrays)
    won = [xp.astype(a == y, dy.dtype) for a in aligned(xp, *arrays)]
    share = dy / reduce(lambda a, b: a + b, won)
    return tuple(summed_to(xp, share * w, x.shape) for w, x in zip(won, arrays, strict=True))


def clip(x: Array, min: Array | None = None, max: Array | None = None) -> Array:
    xp = namespace(x)
    numbers = all(not hasattr(bound, "ndim") for bound in (min, max))
    if numbers and passes(x):
        return xp.clip(x, -math.inf if min is None else min, math.inf if max is None else max)
    for bound, cut in ((min, xp.maximum), (max, xp.minimum)):
        if bound is not None:
            x = cut(x, _bound(xp, bound, x))
    return x


def clip_vjp(dy: Array, x: Array, min: Any = None, max: Any = None) -> tuple[Array | None, ...]:
    xp = namespace(dy, x)
    zero, raised = xp.zeros_like(dy), clip(x, min)
    dmin = dmax = None
    if max is not None:
        cut = raised > _bound(xp, max, x)
        dmax = _bound_gradient(xp, xp.where(cut, dy, zero), max)
        dy = xp.where(cut, zero, dy)
    if min is not None:
        cut = x < _bound(xp, min, x)
        dmin = _bound_gradient(xp, xp.where(cut, dy, zero), min)
        dy = xp.where(cut, zero, dy)
    return dy, dmin, dmax


def _bound_gradient(xp: Namespace, g: Array, bound: Any) -> Array | None:
    return summed_to(xp, g, bound.shape) if hasattr(bound, "ndim") else None


def _bound(xp: Namespace, bound: Any, x: Array) -> Array:
    # bounds are numbers before opset 11, arrays later
    known = hasattr(bound, "ndim")
    return with_rank(xp, bound, x.ndim) if known else scalar(xp, bound, x)


def where(condition: Array, a: Array, b: Array) -> Array:
    xp = namespace(condition, a, b)
    return xp.where(*aligned(xp, condition, a, b))


def where_vjp(dy: Array, condition: Array, a: Array, b: Array) -> tuple[Array | None, ...]:
    xp = namespace(dy, condition, a, b)
    on, zero = with_rank(xp, condition, dy.ndim), xp.zeros_like(dy)
    da, db = xp.where(on, dy, zero), xp.where(on, zero, dy)
    return None, summed_to(xp, da, a.shape), summed_to(xp, db, b.shape)


BINARY = {
    "Add": (add, add_vjp),
    "Sub": (sub, sub_vjp),
    "Mul": (mul, mul_vjp),
    "Div": (div, div_vjp),
}
VARIADIC: dict[str, tuple[Any, Any]] = {
    "Sum": (add_all, add_all_vjp),
    "Mean": (mean_all, mean_all_vjp),
    "Max": (largest, extreme_vjp),
    "Min": (smallest, extreme_vjp),
}
TWO_BY_ROOT_PI = 2 / math.sqrt(math.pi)
UNARY: dict[str, tuple[Unary, Slope | None]] = {
    "Acos": (lambda xp, x: xp.acos(x), lambda xp, x, y: -1 / xp.sqrt(1 - x * x)),
    "Acosh": (lambda xp, x: xp.acosh(x), lambda xp, x, y: 1 / xp.sqrt(x * x - 1)),
    "Asin": (lambda xp, x: xp.asin(x), lambda xp, x, y: 1 / xp.sqrt(1 - x * x)),
    "Asinh": (lambda xp, x: xp.asinh(x), lambda xp, x, y: 1 / xp.sqrt(x * x + 1)),
    "Atan": (lambda xp, x: xp.atan(x), lambda xp, x, y: 1 / (x * x + 1)),
    "Atanh": (lambda xp, x: xp.atanh(x), lambda xp, x, y: 1 / (1 - x * x)),
    "Cos": (lambda xp, x: xp.cos(x), lambda xp, x, y: -xp.sin(x)),
    "Cosh": (lambda xp, x: xp.cosh(x), lambda xp, x, y: xp.sinh(x)),
    "Erf": (lambda xp, x: ac.erf(x), lambda xp, x, y: TWO_BY_ROOT_PI * xp.exp(-x * x)),
    "Exp": (lambda xp, x: xp.exp(x), lambda xp, x, y: y),
    "Log": (lambda xp, x: xp.log(x), lambda xp, x, y: 1 / x),
    "Reciprocal": (lambda xp, x: 1 / x, lambda xp, x, y: -y * y),
    "Sin": (lambda xp, x: xp.sin(x), lambda xp, x, y: xp.cos(x)),
    "Sinh": (lambda xp, x: xp.sinh(x), lambda xp, x, y: xp.cosh(x)),
    "Sqrt": (lambda xp, x: xp.sqrt(x), lambda xp, x, y: 0.5 / y),
    "Tan": (lambda xp, x: xp.tan(x), lambda xp, x, y: 1 + y * y),
}
# These also take integers, and are exact in every dtype.
PLAIN: dict[str, tuple[Unary, Slope | None]] = {
    "Abs": (lambda xp, x: xp.abs(x), lambda xp, x, y: sign(xp, x)),
    "Neg": (lambda xp, x: -x, lambda xp, x, y: -xp.ones_like(x)),
    "Ceil": (lambda xp, x: xp.ceil(x), None),
    "Floor": (lambda xp, x: xp.floor(x), None),
    "Round": (lambda xp, x: xp.round(x), None),
    "Sign": (lambda xp, x: sign(xp, x), None),
}

# broadcasting had other rules before opset 7, and before opset 8 for operators with any number of inputs
for _name, _pair in BINARY.items():
    register(_name, *_pair, since=7, channels_last=elementwise)
for _name, _several in VARIADIC.items():
    register(_name, *_several, since=8, channels_last=elementwise)
for _name, (_f, _slope) in UNARY.items():
    register(_name, *unary(_f, _slope), since=6, channels_last=elementwise)
for _name, (_f, _slope) in PLAIN.items():
    register(_name, *unary(_f, _slope, wide=False), since=6, channels_last=elementwise)
register("Pow", power, power_vjp, since=7, channels_last=elementwise)
register("Mod", modulo, modulo_vjp, since=10, channels_last=elementwise)
register("Clip", clip, clip_vjp, since=6, channels_last=elementwise)
register("Where", where, where_vjp, since=9, channels_last=elementwise)

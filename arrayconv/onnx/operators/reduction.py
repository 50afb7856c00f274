"""Reductions over axes, ArgMax and ArgMin."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from arrayconv.namespace import Array, Namespace, accumulator, cast, is_floating, placement
from arrayconv.onnx.operators.shared import (
    Attributes,
    last_axis,
    moved_axis,
    namespace,
    normalized,
)
from arrayconv.onnx.table import register
from arrayconv.ops.activation.elementwise import sign

Axes = tuple[int, ...] | None
Total = Callable[[Namespace, Array, tuple[int, ...]], Array]
# back(xp, x, y, dy, axes): the reduction y and the upstream gradient dy keep the reduced axes with length 1
Back = Callable[[Namespace, Array, Array, Array, tuple[int, ...]], Array]


def reduction(total: Total, back: Back) -> tuple[Any, Any]:
    """A reduction over axes and its vjp; ``total(xp, x, axes)`` keeps the axes with length 1."""

    def forward(
        x: Array, axes: Axes = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Array:
        xp = namespace(x)
        chosen = _axes(x, axes, noop_with_empty_axes)
        y = cast(xp, total(xp, cast(xp, x, accumulator(xp, x.dtype)), chosen), x.dtype)
        return y if keepdims else xp.squeeze(y, axis=chosen)

    def backward(
        dy: Array,
        x: Array,
        axes: Axes = None,
        *,
        y: Array,
        keepdims: int = 1,
        noop_with_empty_axes: int = 0,
    ) -> Array:
        xp = namespace(dy, x)
        chosen = _axes(x, axes, noop_with_empty_axes)
        kept = tuple(1 if i in chosen else n for i, n in enumerate(x.shape))
        g = back(xp, x, xp.reshape(y, kept), xp.reshape(dy, kept), chosen)
        return xp.broadcast_to(g, x.shape)

    return forward, backward


def _axes(x: Array, axes: Axes, noop: int) -> tuple[int, ...]:
    if axes:
        return normalized(axes, x.ndim)
    return () if noop else tuple(range(x.ndim))


def _count(x: Array, axes: tuple[int, ...]) -> int:
    return math.prod(x.shape[i] for i in axes)


def _extreme(name: str) -> Total:
    def total(xp: Namespace, x: Array, axes: tuple[int, ...]) -> Array:
        if not axes:
            return x
        if _count(x, axes) == 0:
            shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
            return xp.full(shape, _least(xp, x, name), dtype=x.dtype, **placement(x))
        if xp.isdtype(x.dtype, "bool"):
            return (xp.any if name == "max" else xp.all)(x, axis=axes, keepdims=True)
        return getattr(xp, name)(x, axis=axes, keepdims=True)

    return total


def _least(xp: Namespace, x: Array, name: str) -> Any:
    """The maximum (or minimum) of nothing: the smallest (or largest) number of the dtype."""
    if xp.isdtype(x.dtype, "bool"):
        return name == "min"
    if is_floating(xp, x.dtype):
        return -math.inf if name == "max" else math.inf
    info = xp.iinfo(x.dtype)
    return int(info.min if name == "max" else info.max)


def _sum(xp: Namespace, x: Array, axes: tuple[int, ...]) -> Array:
    return xp.sum(x, axis=axes, keepdims=True, dtype=x.dtype)


def _mean(xp: Namespace, x: Array, axes: tuple[int, ...]) -> Array:
    if is_floating(xp, x.dtype):
        return xp.mean(x, axis=axes, keepdims=True)
    return _sum(xp, x, axes) // _count(x, axes)


def _prod(xp: Namespace, x: Array, axes: tuple[int, ...]) -> Array:
    return xp.prod(x, axis=axes, keepdims=True, dtype=x.dtype)


def _others(xp: Namespace, x: Array, y: Array, dy: Array, axes: tuple[int, ...]) -> Array:
    """The vjp of a product: each element's gradient is ``dy`` times the product of the others, also among zeros."""
    zero = x == 0
    rest = _prod(xp, xp.where(zero, xp.ones_like(x), x), axes)
    zeros = _sum(xp, xp.astype(zero, x.dtype), axes)
    # with exactly one zero, only its gradient is not 0
    alone = dy * rest * xp.astype(zero & (zeros == 1), x.dtype)
    return xp.where(zeros == 0, dy * y / xp.where(zero, xp.ones_like(x), x), alone)


def _log_sum_exp(xp: Namespace, x: Array, axes: tuple[int, ...]) -> Array:
    top = _extreme("max")(xp, x, axes)
    finite = xp.where(xp.isfinite(top), top, xp.zeros_like(top))
    return xp.log(_sum(xp, xp.exp(x - finite), axes)) + finite


def _shared(xp: Namespace, x: Array, y: Array, dy: Array, axes: tuple[int, ...]) -> Array:
    """The gradient of a maximum or minimum goes to the element that has it, in equal parts if several do."""
    won = xp.astype(x == y, dy.dtype)
    return dy * won / _sum(xp, won, axes)


def _by_norm(xp: Namespace, x: Array, y: Array, dy: Array, axes: tuple[int, ...]) -> Array:
    return dy * x / xp.where(y == 0, xp.ones_like(y), y)


REDUCTIONS: dict[str, tuple[Total, Back]] = {
    "ReduceSum": (_sum, lambda xp, x, y, dy, axes: dy),
    "ReduceMean": (_mean, lambda xp, x, y, dy, axes: dy / _count(x, axes)),
    "ReduceMax": (_extreme("max"), _shared),
    "ReduceMin": (_extreme("min"), _shared),
    "ReduceProd": (_prod, _others),
    "ReduceL1": (
        lambda xp, x, axes: _sum(xp, xp.abs(x), axes),
        lambda xp, x, y, dy, axes: dy * sign(xp, x),
    ),
    "ReduceL2": (lambda xp, x, axes: xp.sqrt(_sum(xp, x * x, axes)), _by_norm),
    "ReduceLogSum": (
        lambda xp, x, axes: xp.log(_sum(xp, x, axes)),
        lambda xp, x, y, dy, axes: dy / xp.exp(y),
    ),
    "ReduceLogSumExp": (_log_sum_exp, lambda xp, x, y, dy, axes: dy * xp.exp(x - y)),
    "ReduceSumSquare": (
        lambda xp, x, axes: _sum(xp, x * x, axes),
        lambda xp, x, y, dy, axes: 2 * dy * x,
    ),
}


def position(
    name: str, x: Array, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0
) -> Array:
    """The index of the first maximum or minimum along ``axis``, or of the last."""
    xp = namespace(x)
    find = getattr(xp, name)
    if not select_last_index:
        return find(x, axis=axis, keepdims=bool(keepdims))
    return x.shape[axis] - 1 - find(xp.flip(x, axis=axis), axis=axis, keepdims=bool(keepdims))


def argmax(x: Array, **attributes: Any) -> Array:
    return position("argmax", x, **attributes)


def argmin(x: Array, **attributes: Any) -> Array:
    return position("argmin", x, **attributes)


def _last(attributes: Attributes, ndim: int) -> Attributes | None:
    axes = attributes.get("axes")
    # without keepdims, the channel axis of the result is not known to be the last
    if not axes or not attributes.get("keepdims", 1):
        return None
    return attributes | {"axes": tuple(last_axis(axis, ndim) for axis in axes)}


def _last_position(attributes: Attributes, ndim: int) -> Attributes | None:
    return moved_axis(attributes, ndim, 0) if attributes.get("keepdims", 1) else None


for _name, _both in REDUCTIONS.items():
    register(_name, *reduction(*_both), static=("axes",), channels_last=_last)
for _name, _f in (("ArgMax", argmax), ("ArgMin", argmin)):
    register(_name, _f, channels_last=_last_position)

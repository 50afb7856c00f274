"""Pooling over windows, and over all spatial axes."""

from __future__ import annotations

import math
from typing import Any

import arrayconv as ac
from arrayconv.namespace import Array, Namespace, placement
from arrayconv.onnx.operators.convolution import Ints, windowed
from arrayconv.onnx.operators.shared import data_format as last
from arrayconv.onnx.operators.shared import namespace
from arrayconv.onnx.table import register
from arrayconv.ops.activation.elementwise import sign
from arrayconv.window import sliding


def _config(
    x: Array,
    *,
    kernel_shape: Ints,
    auto_pad: str = "NOTSET",
    ceil_mode: int = 0,
    dilations: Ints = None,
    pads: Ints = None,
    strides: Ints = None,
    data_format: str = "channels_first",
) -> dict[str, Any]:
    config = windowed(x.ndim - 2, auto_pad, pads, strides, dilations)
    window = tuple(kernel_shape or ())
    return config | {"window": window, "ceil_mode": bool(ceil_mode), "data_format": data_format}


def max_pool(x: Array, *, storage_order: int = 0, **attributes: Any) -> Array:
    return ac.max_pool(x, **_config(x, **attributes))


def max_pool_vjp(
    dy: Array, x: Array, *, y: Array, storage_order: int = 0, **attributes: Any
) -> Array:
    return ac.max_pool_vjp(dy, x, **_config(x, **attributes), y=y)


def average_pool(x: Array, *, count_include_pad: int = 0, **attributes: Any) -> Array:
    return ac.avg_pool(x, count_include_pad=bool(count_include_pad), **_config(x, **attributes))


def average_pool_vjp(
    dy: Array, x: Array, *, count_include_pad: int = 0, **attributes: Any
) -> Array:
    config = _config(x, **attributes)
    return ac.avg_pool_vjp(dy, x, count_include_pad=bool(count_include_pad), **config)


def lp_pool(x: Array, *, p: int = 2, **attributes: Any) -> Array:
    _, total, _ = _power_sums(namespace(x), x, p, attributes)
    return total if p == 1 else total ** (1 / p)


def lp_pool_vjp(dy: Array, x: Array, *, y: Array, p: int = 2, **attributes: Any) -> Array:
    xp = namespace(dy, x)
    powers, _, config = _power_sums(xp, x, p, attributes)
    g = dy if p == 1 else _divided(xp, dy, y ** (p - 1))
    rows, ones = powers
    g = xp.reshape(g, (-1, *g.shape[2:], 1))
    dx, _, _ = ac.conv_vjp(g, rows, ones, wrt=("x",), **config)
    return xp.reshape(dx, x.shape) * _slope(xp, x, p)


def _power_sums(
    xp: Namespace, x: Array, p: int, attributes: dict[str, Any]
) -> tuple[tuple[Array, Array], Array, dict[str, Any]]:
    """The sums of ``|x|**p`` over the windows, by a convolution of each channel with ones.

    Returns the operands of the convolution, the sums, and the convolution's keywords.
    """
    config = _config(x, **attributes)
    config.pop("data_format")
    window, ceil_mode = config.pop("window"), config.pop("ceil_mode")
    size = tuple(x.shape[2:])
    if ceil_mode:
        config["padding"] = _hanging(size, window, config)
    rows = xp.reshape(xp.abs(x) ** p, (math.prod(x.shape[:2]), *size, 1))
    ones = xp.ones((*window, 1, 1), dtype=x.dtype, **placement(x))
    total = ac.conv(rows, ones, **config)
    return (rows, ones), xp.reshape(total, (*x.shape[:2], *total.shape[1:-1])), config


def _hanging(
    size: tuple[int, ...], window: Any, config: dict[str, Any]
) -> tuple[tuple[int, int], ...]:
    """The padding, extended by what the last windows under ``ceil_mode`` reach beyond it."""
    exact = sliding(
        "LpPool",
        size,
        window,
        config["stride"],
        config["padding"],
        config["dilation"],
        ceil_mode=True,
    )
    return tuple((before, max(after, 0)) for before, after in exact.reach)


def global_average_pool(x: Array, *, data_format: str = "channels_first") -> Array:
    return ac.global_avg_pool(x, keepdims=True, data_format=data_format)


def global_average_pool_vjp(dy: Array, x: Array, *, data_format: str = "channels_first") -> Array:
    return ac.global_avg_pool_vjp(dy, x, keepdims=True, data_format=data_format)


def global_max_pool(x: Array, *, data_format: str = "channels_first") -> Array:
    return ac.global_max_pool(x, keepdims=True, data_format=data_format)


def global_max_pool_vjp(
    dy: Array, x: Array, *, y: Array, data_format: str = "channels_first"
) -> Array:
    return ac.global_max_pool_vjp(dy, x, keepdims=True, data_format=data_format, y=y)


def global_lp_pool(x: Array, *, p: int = 2) -> Array:
    xp = namespace(x)
    total = xp.sum(xp.abs(x) ** p, axis=tuple(range(2, x.ndim)), keepdims=True)
    return total if p == 1 else total ** (1 / p)


def global_lp_pool_vjp(dy: Array, x: Array, *, y: Array, p: int = 2) -> Array:
    xp = namespace(dy, x)
    return (dy if p == 1 else _divided(xp, dy, y ** (p - 1))) * _slope(xp, x, p)


def _divided(xp: Namespace, dy: Array, by: Array) -> Array:
    """``dy / by``, and 0 where ``by`` is 0: the gradient of a window of zeros is taken as 0."""
    zero = xp.zeros_like(dy)
    return xp.where(by == 0, zero, dy / xp.where(by == 0, xp.ones_like(by), by))


def _slope(xp: Namespace, x: Array, p: int) -> Array:
    """The derivative of ``|x|**p / p``."""
    return sign(xp, x) * xp.abs(x) ** (p - 1) if p > 1 else sign(xp, x)


register("MaxPool", max_pool, max_pool_vjp, channels_last=last)
register("AveragePool", average_pool, average_pool_vjp, channels_last=last)
register("LpPool", lp_pool, lp_pool_vjp, since=2)
register("GlobalAveragePool", global_average_pool, global_average_pool_vjp, channels_last=last)
register("GlobalMaxPool", global_max_pool, global_max_pool_vjp, channels_last=last)
register("GlobalLpPool", global_lp_pool, global_lp_pool_vjp, since=2)

"""Normalizations; ``x`` is (N, C, *S)."""

from __future__ import annotations

import math
from typing import Any

import arrayconv as ac
from arrayconv.namespace import Array, accumulator, cast
from arrayconv.onnx.operators.shared import data_format as last
from arrayconv.onnx.operators.shared import namespace, normalized, summed_to
from arrayconv.onnx.table import register
from arrayconv.ops.activation.elementwise import sign


def batch_norm(
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    spatial: int = 1,
    training_mode: int = 0,
    data_format: str = "channels_first",
) -> Any:
    if not spatial:
        raise ValueError("BatchNormalization with spatial=0 is not supported")
    config: dict[str, Any] = {"eps": epsilon, "data_format": data_format}
    if not training_mode:
        return ac.batch_norm_inference(x, scale, bias, mean, var, **config)
    y, now, spread = ac.batch_norm(x, scale, bias, **config)
    rest = 1 - momentum
    return y, momentum * mean + rest * now, momentum * var + rest * spread


def batch_norm_vjp(
    dy: Any,
    x: Array,
    scale: Array,
    bias: Array,
    mean: Array,
    var: Array,
    *,
    epsilon: float = 1e-5,
    training_mode: int = 0,
    data_format: str = "channels_first",
    **attributes: Any,
) -> Any:
    config: dict[str, Any] = {"eps": epsilon, "data_format": data_format}
    if not training_mode:
        return ac.batch_norm_inference_vjp(dy, x, scale, bias, mean, var, **config)
    # the running averages are not differentiated
    return (*ac.batch_norm_vjp(dy[0], x, scale, bias, **config), None, None)


def instance_norm(
    x: Array,
    scale: Array,
    bias: Array,
    *,
    epsilon: float = 1e-5,
    data_format: str = "channels_first",
) -> Array:
    return ac.instance_norm(x, scale, bias, eps=epsilon, data_format=data_format)


def instance_norm_vjp(
    dy: Array,
    x: Array,
    scale: Array,
    bias: Array,
    *,
    epsilon: float = 1e-5,
    data_format: str = "channels_first",
) -> Any:
    return ac.instance_norm_vjp(dy, x, scale, bias, eps=epsilon, data_format=data_format)


def group_norm(
    x: Array,
    scale: Array,
    bias: Array,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: int = 1,
    data_format: str = "channels_first",
) -> Array:
    return ac.group_norm(x, scale, bias, groups=num_groups, eps=epsilon, data_format=data_format)


def group_norm_vjp(
    dy: Array,
    x: Array,
    scale: Array,
    bias: Array,
    *,
    num_groups: int,
    epsilon: float = 1e-5,
    stash_type: int = 1,
    data_format: str = "channels_first",
) -> Any:
    config: dict[str, Any] = {"groups": num_groups, "eps": epsilon, "data_format": data_format}
    return ac.group_norm_vjp(dy, x, scale, bias, **config)


def _per_channel(p: Array, channels: int) -> Array:
    """Parameters of opsets before 21, one number per group, repeated for the channels of each group."""
    xp = namespace(p)
    return xp.reshape(
        xp.broadcast_to(xp.expand_dims(p, axis=1), (p.shape[0], channels // p.shape[0])),
        (channels,),
    )


def old_group_norm(x: Array, scale: Array, bias: Array, **attributes: Any) -> Array:
    scale, bias = (_per_channel(p, x.shape[1]) for p in (scale, bias))
    return group_norm(x, scale, bias, **attributes)


def old_group_norm_vjp(dy: Array, x: Array, scale: Array, bias: Array, **attributes: Any) -> Any:
    xp = namespace(dy, x, scale, bias)
    wide = (_per_channel(p, x.shape[1]) for p in (scale, bias))
    dx, *rest = group_norm_vjp(dy, x, *wide, **attributes)
    return dx, *(
        xp.sum(xp.reshape(g, (p.shape[0], -1)), axis=1)
        for g, p in zip(rest, (scale, bias), strict=True)
    )


def _parameters(
    x: Array, scale: Array, bias: Array | None, axis: int
) -> tuple[tuple[int, ...], tuple[Array | None, ...]]:
    """The axes from ``axis`` on, and the parameters broadcast to them; None for one that has their shape already."""
    xp = namespace(x, scale, bias)
    axes = tuple(range(normalized((axis,), x.ndim)[0], x.ndim))
    shape = tuple(x.shape[i] for i in axes)
    return axes, tuple(
        None if p is None or tuple(p.shape) == shape else xp.broadcast_to(p, shape)
        for p in (scale, bias)
    )


def layer_norm(
    x: Array,
    scale: Array,
    bias: Array | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    stash_type: int = 1,
    outputs: int = 1,
) -> Any:
    axes, wide = _parameters(x, scale, bias, axis)
    gamma, beta = (w if w is not None else p for w, p in zip(wide, (scale, bias), strict=True))
    y = ac.layer_norm(x, gamma, beta, axes=axes, eps=epsilon)
    if outputs == 1:
        return y
    xp = namespace(x)
    rows = cast(xp, x, accumulator(xp, x.dtype))
    mean = xp.mean(rows, axis=axes, keepdims=True)
    var = xp.mean((rows - mean) ** 2, axis=axes, keepdims=True)
    return (y, mean, 1 / xp.sqrt(var + epsilon))[:outputs]


def layer_norm_vjp(
    dy: Any,
    x: Array,
    scale: Array,
    bias: Array | None = None,
    *,
    axis: int = -1,
    epsilon: float = 1e-5,
    **attributes: Any,
) -> Any:
    xp = namespace(x)
    dy = dy[0] if isinstance(dy, tuple) else dy
    axes, wide = _parameters(x, scale, bias, axis)
    gamma, beta = (w if w is not None else p for w, p in zip(wide, (scale, bias), strict=True))
    dx, *rest = ac.layer_norm_vjp(dy, x, gamma, beta, axes=axes, eps=epsilon)
    return dx, *(
        None if p is None else summed_to(xp, g, p.shape)
        for g, p in zip(rest, (scale, bias), strict=True)
    )


def rms_norm(
    x: Array, scale: Array, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> Array:
    return cast(namespace(x), _by_root_mean_square(x, axis, epsilon)[0], scale.dtype) * _wide(
        scale, x
    )


def rms_norm_vjp(
    dy: Array, x: Array, scale: Array, *, axis: int = -1, epsilon: float = 1e-5, stash_type: int = 1
) -> tuple[Array, Array]:
    xp = namespace(dy, x, scale)
    y, inverse, axes = _by_root_mean_square(x, axis, epsilon)
    g = cast(xp, dy * _wide(scale, x), y.dtype)
    dx = inverse * (g - y * xp.mean(g * y, axis=axes, keepdims=True))
    return cast(xp, dx, x.dtype), summed_to(xp, dy * cast(xp, y, dy.dtype), scale.shape)


def _by_root_mean_square(x: Array, axis: int, epsilon: float) -> tuple[Array, Array, Any]:
    xp = namespace(x)
    axes = tuple(range(normalized((axis,), x.ndim)[0], x.ndim))
    rows = cast(xp, x, accumulator(xp, x.dtype))
    inverse = 1 / xp.sqrt(xp.mean(rows * rows, axis=axes, keepdims=True) + epsilon)
    return rows * inverse, inverse, axes


def _wide(p: Array, x: Array) -> Array:
    return namespace(p).reshape(p, (1,) * (x.ndim - p.ndim) + tuple(p.shape))


def lrn(
    x: Array,
    *,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    bias: float = 1.0,
    data_format: str = "channels_first",
) -> Array:
    xp = namespace(x)
    return x * (bias + alpha * _over_channels(xp, x * x, size, data_format)) ** -beta


def lrn_vjp(
    dy: Array,
    x: Array,
    *,
    size: int,
    alpha: float = 1e-4,
    beta: float = 0.75,
    bias: float = 1.0,
    data_format: str = "channels_first",
) -> Array:
    xp = namespace(dy, x)
    spread = bias + alpha * _over_channels(xp, x * x, size, data_format)
    inner = dy * x * spread ** (-beta - 1)
    back = _over_channels(xp, inner, size, data_format, back=True)
    return dy * spread**-beta - 2 * alpha * beta * x * back


def _over_channels(xp: Any, x: Array, size: int, data_format: str, back: bool = False) -> Array:
    """The mean over ``size`` neighbouring channels, with zeros outside; with ``back`` its adjoint."""
    shape = x.shape
    if data_format == "channels_last":
        # (N, *S, C) -> (N * prod(S), C, 1)
        rows = xp.reshape(x, (math.prod(shape[:-1]), shape[-1], 1))
    else:
        # (N, C, *S) -> (N, C, prod(S))
        rows = xp.reshape(x, (*shape[:2], math.prod(shape[2:])))
    config: dict[str, Any] = {
        "stride": 1,
        "padding": (((size - 1) // 2, size // 2),),
        "count_include_pad": True,
    }
    if back:
        return xp.reshape(ac.avg_pool_vjp(rows, rows, size, **config), shape)
    return xp.reshape(ac.avg_pool(rows, size, **config), shape)


def lp_norm(x: Array, *, axis: int = -1, p: int = 2) -> Array:
    xp = namespace(x)
    norm = _norm(xp, x, axis, p)
    return xp.where(norm == 0, xp.zeros_like(x), x / xp.where(norm == 0, xp.ones_like(norm), norm))


def lp_norm_vjp(dy: Array, x: Array, *, y: Array, axis: int = -1, p: int = 2) -> Array:
    xp = namespace(dy, x)
    norm = _norm(xp, x, axis, p)
    along = xp.sum(dy * y, axis=axis, keepdims=True)
    g = dy - along * (y if p == 2 else sign(xp, x))
    return xp.where(norm == 0, xp.zeros_like(dy), g / xp.where(norm == 0, xp.ones_like(norm), norm))


def _norm(xp: Any, x: Array, axis: int, p: int) -> Array:
    if p == 1:
        return xp.sum(xp.abs(x), axis=axis, keepdims=True)
    return xp.sqrt(xp.sum(x * x, axis=axis, keepdims=True))


register("BatchNormalization", batch_norm, batch_norm_vjp, since=7, outputs=3, channels_last=last)
register("InstanceNormalization", instance_norm, instance_norm_vjp, since=6, channels_last=last)
register("GroupNormalization", old_group_norm, old_group_norm_vjp, since=18, until=20)
register("GroupNormalization", group_norm, group_norm_vjp, since=21, channels_last=last)
register("LayerNormalization", layer_norm, layer_norm_vjp, since=17, outputs=3)
register("RMSNormalization", rms_norm, rms_norm_vjp, since=23)
register("LRN", lrn, lrn_vjp, channels_last=last)
register("LpNormalization", lp_norm, lp_norm_vjp)

"""What convolutions take and give: their arguments checked, their geometry, their gradients."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from arrayconv.arguments import flag, integer, known_shape
from arrayconv.namespace import Array, is_chunked
from arrayconv.ops.layout import check_layout, spatial
from arrayconv.window import Window, sliding, transposed

ARGUMENTS = ("x", "w", "b")


class ConvGradients(NamedTuple):
    """The gradients of a convolution's array arguments; ``None`` where absent or not asked for."""

    dx: Array | None
    dw: Array | None
    db: Array | None


def check_conv(
    op: str,
    x: Array,
    w: Array,
    b: Array | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    flip_kernel: Any,
    data_format: str,
) -> Window:
    """The geometry of ``conv``, its arguments checked."""
    check_layout(op, x.shape, data_format)
    channels = x.shape[-1] if data_format == "channels_last" else x.shape[1]
    _check_weights(op, x, w, groups, data_format)
    flag(op, "flip_kernel", flip_kernel)
    if channels % groups or w.shape[-1] % groups:
        raise ValueError(
            f"{op}: groups must divide the channels of x and the output channels of w, got groups={groups} with "
            f"{channels} and {w.shape[-1]}" + _pytorch_hint(w.shape, 1, channels // groups)
        )
    if w.shape[-2] != channels // groups:
        raise ValueError(
            f"{op}: w expects {w.shape[-2]} input channels per group, x has {channels // groups} "
            f"(x: {tuple(x.shape)}, w: {tuple(w.shape)}, groups={groups})"
            + _pytorch_hint(w.shape, 1, channels // groups)
        )
    _check_bias(op, b, w.shape[-1])
    size = spatial(x.shape, data_format)
    return sliding(op, size, tuple(w.shape[:-2]), stride, padding, dilation)


def check_transpose(
    op: str,
    x: Array,
    w: Array,
    b: Array | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: Any,
    flip_kernel: Any,
    data_format: str,
) -> Window:
    """The geometry of ``conv_transpose``, its arguments checked."""
    check_layout(op, x.shape, data_format)
    channels = x.shape[-1] if data_format == "channels_last" else x.shape[1]
    _check_weights(op, x, w, groups, data_format)
    flag(op, "flip_kernel", flip_kernel)
    if channels % groups:
        raise ValueError(
            f"{op}: groups must divide the channels of x, got groups={groups} with {channels}"
        )
    if w.shape[-1] != channels:
        raise ValueError(
            f"{op}: w expects {w.shape[-1]} input channels, x has {channels} "
            f"(x: {tuple(x.shape)}, w: {tuple(w.shape)}, the kernel of the convolution that is transposed)"
            + _pytorch_hint(w.shape, 0, channels)
        )
    _check_bias(op, b, w.shape[-2] * groups)
    size = spatial(x.shape, data_format)
    return transposed(op, size, tuple(w.shape[:-2]), stride, padding, output_padding, dilation)


def _check_weights(op: str, x: Array, w: Array, groups: Any, data_format: str) -> None:
    if w.ndim != x.ndim:
        raise ValueError(
            f"{op}: w must have {x.ndim} axes, {x.ndim - 2} spatial ones and two of channels, for x of shape "
            f"{tuple(x.shape)} ({data_format}); got shape {tuple(w.shape)}"
        )
    known_shape(op, "w", w.shape)
    axis = x.ndim - 1 if data_format == "channels_last" else 1
    pieces = x.chunks[axis] if is_chunked(x) else ()
    if len(pieces) > 1:
        raise ValueError(
            f"{op}: the channels of x, axis {axis}, lie in chunks of {pieces}, and a convolution sums over all of "
            f"them: x.rechunk({{{axis}: -1}}) puts them together"
        )
    integer(op, "groups", groups, least=1)
    if 0 in w.shape:
        raise ValueError(f"{op}: w must not be empty, got shape {tuple(w.shape)}")


def _pytorch_hint(shape: tuple[int, ...], axis: int, channels: int) -> str:
    """What to do with weights whose input channels are on ``axis``, where PyTorch has them."""
    if shape[axis] != channels:
        return ""
    theirs, ours = ("in, out", "out, in") if axis == 0 else ("out, in", "in, out")
    order = (*range(2, len(shape)), 1, 0)
    return (
        f"; w looks like ({theirs}, *K): permute to (*K, {ours}), as permute_dims(w, {order}) does"
    )


def _check_bias(op: str, b: Array | None, features: int) -> None:
    if b is not None and math.prod(b.shape) != features:
        raise ValueError(
            f"{op}: b must have {features} elements, one per output channel, got shape {tuple(b.shape)}"
        )


def result_shape(
    batch: int, size: tuple[int, ...], channels: int, data_format: str
) -> tuple[int, ...]:
    """The shape of a result of spatial shape ``size``."""
    return (batch, *size, channels) if data_format == "channels_last" else (batch, channels, *size)

"""What convolutions take and give: their arguments checked, their geometry, their gradients."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from arrayconv.arguments import Shape, flag, integer, known_shape, once
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
    shapes = tuple(x.shape), tuple(w.shape), None if b is None else tuple(b.shape)
    window = _conv(op, *shapes, stride, padding, dilation, groups, flip_kernel, data_format)
    if is_chunked(x):
        _check_chunks(op, x, data_format)
    return window


@once
def _conv(
    op: str,
    x: Shape,
    w: Shape,
    b: Shape | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    flip_kernel: Any,
    data_format: str,
) -> Window:
    channels = _check_weights(op, x, w, groups, flip_kernel, data_format)
    if channels % groups or w[-1] % groups:
        raise ValueError(
            f"{op}: groups must divide the channels of x and the output channels of w, got groups={groups} with "
            f"{channels} and {w[-1]}" + _pytorch_hint(w, 1, channels // groups)
        )
    if w[-2] != channels // groups:
        raise ValueError(
            f"{op}: w expects {w[-2]} input channels per group, x has {channels // groups} "
            f"(x: {x}, w: {w}, groups={groups})" + _pytorch_hint(w, 1, channels // groups)
        )
    _check_bias(op, b, w[-1])
    return sliding(op, spatial(x, data_format), w[:-2], stride, padding, dilation)


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
    shapes = tuple(x.shape), tuple(w.shape), None if b is None else tuple(b.shape)
    plain = stride, padding, output_padding, dilation, groups, flip_kernel, data_format
    window = _transpose(op, *shapes, *plain)
    if is_chunked(x):
        _check_chunks(op, x, data_format)
    return window


@once
def _transpose(
    op: str,
    x: Shape,
    w: Shape,
    b: Shape | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: Any,
    flip_kernel: Any,
    data_format: str,
) -> Window:
    channels = _check_weights(op, x, w, groups, flip_kernel, data_format)
    if channels % groups:
        raise ValueError(
            f"{op}: groups must divide the channels of x, got groups={groups} with {channels}"
        )
    if w[-1] != channels:
        raise ValueError(
            f"{op}: w expects {w[-1]} input channels, x has {channels} "
            f"(x: {x}, w: {w}, the kernel of the convolution that is transposed)"
            + _pytorch_hint(w, 0, channels)
        )
    _check_bias(op, b, w[-2] * groups)
    size = spatial(x, data_format)
    return transposed(op, size, w[:-2], stride, padding, output_padding, dilation)


def _check_weights(
    op: str, x: Shape, w: Shape, groups: Any, flip_kernel: Any, data_format: str
) -> int:
    """Check what a convolution and its transpose share; return the channels of ``x``."""
    check_layout(op, x, data_format)
    if len(w) != len(x):
        raise ValueError(
            f"{op}: w must have {len(x)} axes, {len(x) - 2} spatial ones and two of channels, for x of shape "
            f"{x} ({data_format}); got shape {w}"
        )
    known_shape(op, "w", w)
    integer(op, "groups", groups, least=1)
    if 0 in w:
        raise ValueError(f"{op}: w must not be empty, got shape {w}")
    flag(op, "flip_kernel", flip_kernel)
    return x[-1] if data_format == "channels_last" else x[1]


def _check_chunks(op: str, x: Array, data_format: str) -> None:
    axis = x.ndim - 1 if data_format == "channels_last" else 1
    pieces = x.chunks[axis]
    if len(pieces) > 1:
        raise ValueError(
            f"{op}: the channels of x, axis {axis}, lie in chunks of {pieces}, and a convolution sums over all of "
            f"them: x.rechunk({{{axis}: -1}}) puts them together"
        )


def _pytorch_hint(shape: tuple[int, ...], axis: int, channels: int) -> str:
    """What to do with weights whose input channels are on ``axis``, where PyTorch has them."""
    if shape[axis] != channels:
        return ""
    theirs, ours = ("in, out", "out, in") if axis == 0 else ("out, in", "in, out")
    order = (*range(2, len(shape)), 1, 0)
    return (
        f"; w looks like ({theirs}, *K): permute to (*K, {ours}), as permute_dims(w, {order}) does"
    )


def _check_bias(op: str, b: Shape | None, features: int) -> None:
    if b is not None and math.prod(b) != features:
        raise ValueError(
            f"{op}: b must have {features} elements, one per output channel, got shape {b}"
        )


def result_shape(
    batch: int, size: tuple[int, ...], channels: int, data_format: str
) -> tuple[int, ...]:
    """The shape of a result of spatial shape ``size``."""
    return (batch, *size, channels) if data_format == "channels_last" else (batch, channels, *size)

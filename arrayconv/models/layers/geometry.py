"""The spatial axes and the channels of a layer's input, and the size that a sliding window leaves."""

from __future__ import annotations

from typing import Any

from arrayconv.models.checks import Shape, batched
from arrayconv.window import per_axis, sliding


def split(layer: Any, shape: Shape) -> tuple[Shape, int]:
    """The spatial part of a shape without batch axis, and the channels, by the layer's ``data_format``."""
    last = layer.data_format == "channels_last"
    if len(shape) < 2:
        order = "(N, *S, C)" if last else "(N, C, *S)"
        raise ValueError(
            f"{layer.label}: expects an input with one or more spatial axes and channels, {order}, got {batched(shape)}"
        )
    return (shape[:-1], shape[-1]) if last else (shape[1:], shape[0])


def join(layer: Any, size: Shape, channels: int) -> Shape:
    """A shape without batch axis from its spatial part and its channels."""
    return (*size, channels) if layer.data_format == "channels_last" else (channels, *size)


def kernel_size(layer: Any, size: Shape) -> Shape:
    """The cells of the layer's window along each spatial axis."""
    return per_axis(layer.label, "kernel_size", layer.kernel_size, len(size))


def convolved(layer: Any, size: Shape) -> Shape:
    """The spatial part of the output of a convolution."""
    window = sliding(
        layer.label,
        size,
        kernel_size(layer, size),
        layer.strides,
        layer.padding,
        layer.dilation_rate,
    )
    return window.output


def pooled(layer: Any, size: Shape) -> Shape:
    """The spatial part of the output of a pool, whose windows must touch the input."""
    window = per_axis(layer.label, "pool_size", layer.pool_size, len(size))
    strides = window if layer.strides is None else layer.strides
    return sliding(layer.label, size, window, strides, layer.padding, 1, inside=True).output

"""Helpers of layers with windows: their arguments, and shapes split into spatial axes and channels."""

from __future__ import annotations

from typing import Any

from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.window import per_axis, sliding


def keep_window(
    layer: Any, kernel_size: Any, strides: Any, padding: Any, data_format: Any, dilation_rate: Any
) -> dict[str, Any]:
    """Set a convolution's arguments as attributes; return all but the first under the names of `arrayconv.conv`."""
    layer.kernel_size, layer.strides = checks.as_tuple(kernel_size), checks.as_tuple(strides)
    layer.padding, layer.dilation_rate = checks.as_tuple(padding), checks.as_tuple(dilation_rate)
    layer.data_format = checks.data_format(layer.label, data_format)
    return {
        "stride": layer.strides,
        "padding": layer.padding,
        "dilation": layer.dilation_rate,
        "data_format": layer.data_format,
    }


def split(layer: Any, shape: Shape) -> tuple[Shape, int]:
    """The spatial part and the number of channels of a shape without batch axis, by the layer's ``data_format``."""
    last = layer.data_format == "channels_last"
    if len(shape) < 2:
        order = "(N, *S, C)" if last else "(N, C, *S)"
        raise ValueError(
            f"{layer.label}: expects an input with one or more spatial axes and channels, {order}, got "
            f"{checks.batched(shape)}"
        )
    return (shape[:-1], shape[-1]) if last else (shape[1:], shape[0])


def join(layer: Any, size: Shape, channels: int) -> Shape:
    """The inverse of `split`: a shape without batch axis from its spatial part and its number of channels."""
    return (*size, channels) if layer.data_format == "channels_last" else (channels, *size)


def kernel_size(layer: Any, size: Shape) -> Shape:
    """The size of the layer's window along each spatial axis."""
    return per_axis(layer.label, "kernel_size", layer.kernel_size, len(size))


def convolved(layer: Any, shape: Shape, channels: int) -> Shape:
    """The shape of a convolution's output, without batch axis."""
    size = split(layer, shape)[0]
    window, rate = kernel_size(layer, size), layer.dilation_rate
    found = sliding(layer.label, size, window, layer.strides, layer.padding, rate)
    return join(layer, found.output, channels)

"""Helpers of layers with windows: their arguments, and shapes split into spatial axes and channels."""

from __future__ import annotations

from typing import Any

from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.window import NAMED_PADDINGS, pad_pairs, per_axis, sliding


def ints(layer: Any, argument: str, value: Any, least: int = 1) -> Any:
    """An int, or one per spatial axis, checked as far as the class and the value tell how many axes there are."""
    value = checks.as_tuple(value)
    per_axis(layer.label, argument, value, _ndim(layer, value), least=least)
    return value


def window_padding(layer: Any, value: Any) -> Any:
    """The ``padding`` of a window, checked as in `ints`."""
    value = checks.as_tuple(value)
    pad_pairs(layer.label, value, _ndim(layer, value), named=NAMED_PADDINGS)
    return value


def pairs(layer: Any, argument: str, ndim: int | None = None) -> tuple[tuple[int, int], ...]:
    """How much an argument adds to or cuts off each spatial axis; in 1-D it may be a single pair of ints."""
    value = getattr(layer, argument)
    ndim = _ndim(layer, value) if ndim is None else ndim
    pair = ndim == 1 and isinstance(value, tuple) and len(value) == 2
    found = pad_pairs(layer.label, (value,) if pair else value, ndim, argument=argument)
    assert not isinstance(found, str)
    return found


def _ndim(layer: Any, value: Any) -> int:
    return layer.rank or (max(1, len(value)) if isinstance(value, tuple) else 1)


def keep_window(
    layer: Any, kernel_size: Any, strides: Any, padding: Any, data_format: Any, dilation_rate: Any
) -> dict[str, Any]:
    """Set a convolution's arguments as attributes; return all but the first under the names of `arrayconv.conv`."""
    layer.kernel_size = ints(layer, "kernel_size", kernel_size)
    layer.strides = ints(layer, "strides", strides)
    layer.padding = window_padding(layer, padding)
    layer.dilation_rate = ints(layer, "dilation_rate", dilation_rate)
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


def along(layer: Any, argument: str, size: Shape) -> Shape:
    """One of the layer's arguments as an int for each spatial axis."""
    return per_axis(layer.label, argument, getattr(layer, argument), len(size))


def convolved(layer: Any, shape: Shape, channels: int) -> Shape:
    """The shape of a convolution's output, without batch axis."""
    size = split(layer, shape)[0]
    window, strides, rate = (
        along(layer, argument, size) for argument in ("kernel_size", "strides", "dilation_rate")
    )
    found = sliding(layer.label, size, window, strides, layer.padding, rate)
    return join(layer, found.output, channels)

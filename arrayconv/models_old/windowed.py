"""The geometry that layers with a sliding kernel share."""

from __future__ import annotations

from typing import Any

from arrayconv.models_old.linear import Kernel
from arrayconv.models_old.shapes import Shape, checked_format, tidy
from arrayconv.window import per_axis, sliding


class Windowed(Kernel):
    """What the four convolutions share: the geometry of their window."""

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: Any,
        data_format: Any,
        dilation_rate: Any,
        activation: Any,
        use_bias: bool,
        bias_initializer: Any,
        **common: Any,
    ) -> None:
        super().__init__(activation, use_bias, bias_initializer, **common)
        self.kernel_size, self.strides = tidy(kernel_size), tidy(strides)
        self.padding, self.dilation_rate = tidy(padding), tidy(dilation_rate)
        self.data_format = checked_format(self.label, data_format)

    def kernel_shape(self, size: Shape) -> Shape:
        return per_axis(self.label, "kernel_size", self.kernel_size, len(size))

    def output_size(self, size: Shape) -> Shape:
        window = sliding(
            self.label,
            size,
            self.kernel_shape(size),
            self.strides,
            self.padding,
            self.dilation_rate,
        )
        return window.output

    def options(self) -> dict[str, Any]:
        return {
            "stride": self.strides,
            "padding": self.padding,
            "dilation": self.dilation_rate,
            "data_format": self.data_format,
        }

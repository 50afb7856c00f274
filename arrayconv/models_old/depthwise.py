"""Convolutions of each channel apart as layers: 1-D to 3-D by the input's rank."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.models_old.initializers import initializer
from arrayconv.models_old.layer import Stage, Weights, WeightSpec
from arrayconv.models_old.linear import Linear, named
from arrayconv.models_old.shapes import Shape, checked_count, join, split
from arrayconv.models_old.windowed import Windowed
from arrayconv.namespace import Array, array_namespace


class DepthwiseConv(Windowed):
    """A convolution of each channel apart: `arrayconv.conv` with a group per channel, then the activation.

    Parameters
    ----------
    kernel_size : int or sequence of int
    strides, dilation_rate : int or sequence of int
    padding : {"valid", "same", "causal"}, or what `arrayconv.conv` takes
    depth_multiplier : int
        Filters per channel; output ``c * depth_multiplier + m`` is filter ``m`` of channel ``c``.
    data_format : {"channels_last", "channels_first"}
    activation : str, optional
    use_bias : bool
    depthwise_initializer, bias_initializer : str or Initializer
        How the weights start: the kernel is ``(*K, C_in, depth_multiplier)``.

    Raises
    ------
    ValueError
        As `Conv`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> models.DepthwiseConv(3, depth_multiplier=2)(np.ones((1, 5, 5, 4))).shape
    (1, 3, 3, 8)
    """

    kernel_name = "kernel"

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: str | None = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **common: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            bias_initializer,
            **common,
        )
        self.depth_multiplier = checked_count(self.label, "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = initializer(
            self.label, "depthwise_initializer", depthwise_initializer
        )

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        size, channels = split(self.label, shapes[0], self.data_format)
        kernel = (*self.kernel_shape(size), channels, self.depth_multiplier)
        features = channels * self.depth_multiplier
        specs = self.with_bias((kernel, self.depthwise_initializer), features)
        return join(self.output_size(size), features, self.data_format), specs

    def _bias(self, w: Weights) -> Array | None:
        return w.get("bias")

    def _run(self, w: Weights, x: Array) -> Array:
        kernel = w[self.kernel_name]
        groups = kernel.shape[-2]
        return ac.conv(x, _grouped(kernel), self._bias(w), groups=groups, **self.options())

    def _vjp(
        self, dy: Array, w: Weights, x: Array, need: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        kernel, bias = w[self.kernel_name], self._bias(w)
        dx, dw, db = ac.conv_vjp(
            dy,
            x,
            _grouped(kernel),
            bias,
            groups=kernel.shape[-2],
            wrt=self.wrt(need),
            **self.options(),
        )
        if dw is not None:
            dw = array_namespace("depthwise", dw=dw).reshape(dw, kernel.shape)
        return dx, named(dw, db, kernel=self.kernel_name)


class SeparableConv(DepthwiseConv):
    """A convolution of each channel apart, then one across the channels with a window of one cell.

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size : int or sequence of int
    strides, dilation_rate : int or sequence of int
    padding : {"valid", "same", "causal"}, or what `arrayconv.conv` takes
    data_format : {"channels_last", "channels_first"}
    depth_multiplier : int
        Filters per channel of the first of the two.
    activation : str, optional
    use_bias : bool
        Whether to add a bias, at the end.
    depthwise_initializer, pointwise_initializer, bias_initializer : str or Initializer
        How the weights start: the kernels are ``(*K, C_in, depth_multiplier)`` and
        ``(*ones, C_in * depth_multiplier, filters)``.

    Raises
    ------
    ValueError
        As `Conv`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> models.SeparableConv(6, 3)(np.ones((1, 5, 5, 4))).shape
    (1, 3, 3, 6)
    """

    kernel_name = "depthwise_kernel"

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: str | None = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **common: Any,
    ) -> None:
        super().__init__(
            kernel_size,
            strides,
            padding,
            depth_multiplier,
            data_format,
            dilation_rate,
            activation,
            use_bias,
            depthwise_initializer,
            bias_initializer,
            **common,
        )
        self.filters = checked_count(self.label, "filters", filters)
        self.pointwise_initializer = initializer(
            self.label, "pointwise_initializer", pointwise_initializer
        )

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        size, channels = split(self.label, shapes[0], self.data_format)
        deep = channels * self.depth_multiplier
        depthwise = (*self.kernel_shape(size), channels, self.depth_multiplier)
        pointwise = (*(1 for _ in size), deep, self.filters), self.pointwise_initializer
        specs = {
            "depthwise_kernel": WeightSpec(depthwise, self.depthwise_initializer),
            **self.with_bias(pointwise, self.filters, name="pointwise_kernel"),
        }
        return join(self.output_size(size), self.filters, self.data_format), specs

    def linear(self) -> tuple[Stage, ...]:
        return (*super().linear(), Linear(self._mix, self._mix_vjp))

    def _bias(self, w: Weights) -> Array | None:
        # the bias is added by the second stage
        return None

    def _mix(self, w: Weights, x: Array) -> Array:
        return ac.conv(x, w["pointwise_kernel"], w.get("bias"), data_format=self.data_format)

    def _mix_vjp(
        self, dy: Array, w: Weights, x: Array, need: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        kernel, b, layout = w["pointwise_kernel"], w.get("bias"), self.data_format
        dx, dw, db = ac.conv_vjp(dy, x, kernel, b, wrt=self.wrt(need), data_format=layout)
        return dx, named(dw, db, kernel="pointwise_kernel")


def _grouped(kernel: Array) -> Array:
    # (*K, C_in, M) -> (*K, 1, C_in * M): each channel is a group of its own
    xp = array_namespace("depthwise", kernel=kernel)
    return xp.reshape(kernel, (*kernel.shape[:-2], 1, kernel.shape[-2] * kernel.shape[-1]))

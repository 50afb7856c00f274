"""Convolutions of each channel apart as layers: 1-D to 3-D by the input's rank."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.initializers import initializer
from arrayconv.models.layers.activation import as_activation
from arrayconv.models.layers.base import Layer, Weights, WeightSpec
from arrayconv.models.layers.geometry import convolved, join, kernel_size, split
from arrayconv.models.regularizers import regularizer
from arrayconv.namespace import Array, array_namespace


class DepthwiseConv(Layer):
    """A convolution of each channel apart: `arrayconv.conv` with a group per channel, then the activation.

    Parameters
    ----------
    kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias
        As `Conv` takes them.
    depth_multiplier : int
        Filters per channel; output ``c * depth_multiplier + m`` is filter ``m`` of channel ``c``.
    depthwise_initializer, bias_initializer : str or Initializer
        How the weights start: the kernel is ``(*K, C_in, depth_multiplier)``.
    depthwise_regularizer, bias_regularizer : str or Regularizer, optional
        What the weights add to the loss.

    Raises
    ------
    ValueError
        As `Conv`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models import layers
    >>> layers.DepthwiseConv(3, depth_multiplier=2)(np.ones((1, 5, 5, 4))).shape
    (1, 3, 3, 8)
    """

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        label = self.label
        self.kernel_size, self.strides = checks.as_tuple(kernel_size), checks.as_tuple(strides)
        self.padding = checks.as_tuple(padding)
        self.depth_multiplier = checks.count(label, "depth_multiplier", depth_multiplier)
        self.data_format = checks.data_format(label, data_format)
        self.dilation_rate = checks.as_tuple(dilation_rate)
        self.activation = as_activation(label, activation)
        self.use_bias = checks.flag(label, "use_bias", use_bias)
        self.depthwise_initializer = initializer(
            label, "depthwise_initializer", depthwise_initializer
        )
        self.bias_initializer = initializer(label, "bias_initializer", bias_initializer)
        self.depthwise_regularizer = regularizer(
            label, "depthwise_regularizer", depthwise_regularizer
        )
        self.bias_regularizer = regularizer(label, "bias_regularizer", bias_regularizer)
        self.geometry = _geometry(self)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        channels = split(self, shape)[1]
        specs = {"kernel": _depthwise(self, shape)}
        if self.use_bias:
            features = (channels * self.depth_multiplier,)
            specs["bias"] = WeightSpec(
                features, self.bias_initializer, regularizer=self.bias_regularizer
            )
        return specs

    def output_shape(self, shape: Shape) -> Shape:
        size, channels = split(self, shape)
        return join(self, convolved(self, size), channels * self.depth_multiplier)

    def forward(self, w: Weights, x: Array) -> Array:
        kernel = w["kernel"]
        groups = kernel.shape[-2]
        return ac.conv(x, _grouped(kernel), w.get("bias"), groups=groups, **self.geometry)

    def backward(self, dy: Array, w: Weights, x: Array, *, wrt: tuple[str, ...]) -> Any:
        kernel, bias = w["kernel"], w.get("bias")
        groups = kernel.shape[-2]
        dx, dw, db = ac.conv_vjp(
            dy, x, _grouped(kernel), bias, groups=groups, wrt=wrt, **self.geometry
        )
        return dx, {"kernel": _ungrouped(dw, kernel), "bias": db}


class SeparableConv(Layer):
    """A convolution of each channel apart, then one across the channels with a window of one cell.

    What lies between the two is not kept: ``backward`` computes it again.

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size, strides, padding, data_format, dilation_rate, activation
        As `Conv` takes them.
    depth_multiplier : int
        Filters per channel of the first of the two.
    use_bias : bool
        Whether to add a bias, at the end.
    depthwise_initializer, pointwise_initializer, bias_initializer : str or Initializer
        How the weights start: the kernels are ``(*K, C_in, depth_multiplier)`` and
        ``(*ones, C_in * depth_multiplier, filters)``.
    depthwise_regularizer, pointwise_regularizer, bias_regularizer : str or Regularizer, optional
        What the weights add to the loss.

    Raises
    ------
    ValueError
        As `Conv`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models import layers
    >>> layers.SeparableConv(6, 3)(np.ones((1, 5, 5, 4))).shape
    (1, 3, 3, 6)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        label = self.label
        self.filters = checks.count(label, "filters", filters)
        self.kernel_size, self.strides = checks.as_tuple(kernel_size), checks.as_tuple(strides)
        self.padding = checks.as_tuple(padding)
        self.data_format = checks.data_format(label, data_format)
        self.dilation_rate = checks.as_tuple(dilation_rate)
        self.depth_multiplier = checks.count(label, "depth_multiplier", depth_multiplier)
        self.activation = as_activation(label, activation)
        self.use_bias = checks.flag(label, "use_bias", use_bias)
        self.depthwise_initializer = initializer(
            label, "depthwise_initializer", depthwise_initializer
        )
        self.pointwise_initializer = initializer(
            label, "pointwise_initializer", pointwise_initializer
        )
        self.bias_initializer = initializer(label, "bias_initializer", bias_initializer)
        self.depthwise_regularizer = regularizer(
            label, "depthwise_regularizer", depthwise_regularizer
        )
        self.pointwise_regularizer = regularizer(
            label, "pointwise_regularizer", pointwise_regularizer
        )
        self.bias_regularizer = regularizer(label, "bias_regularizer", bias_regularizer)
        self.geometry = _geometry(self)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        size, channels = split(self, shape)
        pointwise = (*(1 for _ in size), channels * self.depth_multiplier, self.filters)
        specs = {
            "depthwise_kernel": _depthwise(self, shape),
            "pointwise_kernel": WeightSpec(
                pointwise, self.pointwise_initializer, regularizer=self.pointwise_regularizer
            ),
        }
        if self.use_bias:
            specs["bias"] = WeightSpec(
                (self.filters,), self.bias_initializer, regularizer=self.bias_regularizer
            )
        return specs

    def output_shape(self, shape: Shape) -> Shape:
        return join(self, convolved(self, split(self, shape)[0]), self.filters)

    def _apart(self, w: Weights, x: Array) -> Array:
        kernel = w["depthwise_kernel"]
        return ac.conv(x, _grouped(kernel), groups=kernel.shape[-2], **self.geometry)

    def forward(self, w: Weights, x: Array) -> Array:
        between, layout = self._apart(w, x), self.data_format
        return ac.conv(between, w["pointwise_kernel"], w.get("bias"), data_format=layout)

    def backward(self, dy: Array, w: Weights, x: Array, *, wrt: tuple[str, ...]) -> Any:
        kernel, across = w["depthwise_kernel"], w["pointwise_kernel"]
        dbetween, dacross, db = ac.conv_vjp(
            dy,
            self._apart(w, x),
            across,
            w.get("bias"),
            wrt=("x", *wrt),
            data_format=self.data_format,
        )
        dx, dw, _ = ac.conv_vjp(
            dbetween, x, _grouped(kernel), groups=kernel.shape[-2], wrt=wrt, **self.geometry
        )
        gradients = {"depthwise_kernel": _ungrouped(dw, kernel), "pointwise_kernel": dacross}
        return dx, {**gradients, "bias": db}


def _geometry(layer: Any) -> dict[str, Any]:
    return {
        "stride": layer.strides,
        "padding": layer.padding,
        "dilation": layer.dilation_rate,
        "data_format": layer.data_format,
    }


def _depthwise(layer: Any, shape: Shape) -> WeightSpec:
    size, channels = split(layer, shape)
    kernel = (*kernel_size(layer, size), channels, layer.depth_multiplier)
    return WeightSpec(kernel, layer.depthwise_initializer, regularizer=layer.depthwise_regularizer)


def _grouped(kernel: Array) -> Array:
    # (*K, C_in, M) -> (*K, 1, C_in * M): each channel is a group of its own
    xp = array_namespace("depthwise", kernel=kernel)
    return xp.reshape(kernel, (*kernel.shape[:-2], 1, kernel.shape[-2] * kernel.shape[-1]))


def _ungrouped(dw: Array | None, kernel: Array) -> Array | None:
    # (*K, 1, C_in * M) -> (*K, C_in, M)
    return (
        None if dw is None else array_namespace("depthwise", dw=dw).reshape(dw, tuple(kernel.shape))
    )

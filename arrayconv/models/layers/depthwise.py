"""Depthwise and separable convolutions as layers, for 1-D, 2-D and 3-D data."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.layers.activation import as_activation
from arrayconv.models.layers.base import Layer, Weights, WeightSpec
from arrayconv.models.layers.dense import bias_of
from arrayconv.models.layers.geometry import along, convolved, keep_window, split
from arrayconv.namespace import Array, array_namespace


class DepthwiseConv(Layer):
    """A depthwise convolution: `arrayconv.conv` with one group per input channel, then the activation.

    Parameters
    ----------
    kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias
        As for `Conv`, and so are ``bias_initializer`` and ``bias_regularizer``.
    depth_multiplier : int
        Filters per input channel; output channel ``c * depth_multiplier + m`` is filter ``m`` of input channel ``c``.
    depthwise_initializer, depthwise_regularizer : str, Initializer or Regularizer
        Initial values of the kernel ``(*K, C_in, depth_multiplier)``, and the penalty on it.

    Raises
    ------
    TypeError, ValueError
        As for `Conv`.

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
        self.geometry = keep_window(self, kernel_size, strides, padding, data_format, dilation_rate)
        self.depth_multiplier = checks.count(self.label, "depth_multiplier", depth_multiplier)
        self.activation = as_activation(self.label, activation)
        self.use_bias = checks.flag(self.label, "use_bias", use_bias)
        self._keep("depthwise", depthwise_initializer, depthwise_regularizer)
        self._keep("bias", bias_initializer, bias_regularizer)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        features = split(self, shape)[1] * self.depth_multiplier
        return {"kernel": _depthwise(self, shape), **bias_of(self, features)}

    def output_shape(self, shape: Shape) -> Shape:
        return convolved(self, shape, split(self, shape)[1] * self.depth_multiplier)

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
    """A depthwise convolution followed by a pointwise one, whose window is a single cell; then the activation.

    To save memory, ``backward`` computes the depthwise result anew.

    Parameters
    ----------
    filters, kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias
        As for `Conv`, and so are ``bias_initializer`` and ``bias_regularizer``.
    depth_multiplier : int
        Filters per input channel of the depthwise convolution.
    depthwise_initializer, pointwise_initializer, depthwise_regularizer, pointwise_regularizer
        Initial values of the depthwise kernel ``(*K, C_in, depth_multiplier)`` and of the pointwise kernel
        ``(1, ..., 1, C_in * depth_multiplier, filters)``, and the penalties on them.

    Raises
    ------
    TypeError, ValueError
        As for `Conv`.

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
        self.filters = checks.count(self.label, "filters", filters)
        self.geometry = keep_window(self, kernel_size, strides, padding, data_format, dilation_rate)
        self.depth_multiplier = checks.count(self.label, "depth_multiplier", depth_multiplier)
        self.activation = as_activation(self.label, activation)
        self.use_bias = checks.flag(self.label, "use_bias", use_bias)
        self._keep("depthwise", depthwise_initializer, depthwise_regularizer)
        self._keep("pointwise", pointwise_initializer, pointwise_regularizer)
        self._keep("bias", bias_initializer, bias_regularizer)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        size, channels = split(self, shape)
        pointwise = (*(1 for _ in size), channels * self.depth_multiplier, self.filters)
        return {
            "depthwise_kernel": _depthwise(self, shape),
            "pointwise_kernel": self._spec("pointwise", pointwise),
            **bias_of(self, self.filters),
        }

    def output_shape(self, shape: Shape) -> Shape:
        return convolved(self, shape, self.filters)

    def _apart(self, w: Weights, x: Array) -> Array:
        kernel = w["depthwise_kernel"]
        return ac.conv(x, _grouped(kernel), groups=kernel.shape[-2], **self.geometry)

    def forward(self, w: Weights, x: Array) -> Array:
        across, layout = w["pointwise_kernel"], self.geometry["data_format"]
        return ac.conv(self._apart(w, x), across, w.get("bias"), data_format=layout)

    def backward(self, dy: Array, w: Weights, x: Array, *, wrt: tuple[str, ...]) -> Any:
        kernel, across, layout = (
            w["depthwise_kernel"],
            w["pointwise_kernel"],
            self.geometry["data_format"],
        )
        dbetween, dacross, db = ac.conv_vjp(
            dy, self._apart(w, x), across, w.get("bias"), wrt=("x", *wrt), data_format=layout
        )
        dx, dw, _ = ac.conv_vjp(
            dbetween, x, _grouped(kernel), groups=kernel.shape[-2], wrt=wrt, **self.geometry
        )
        dw = _ungrouped(dw, kernel)
        return dx, {"depthwise_kernel": dw, "pointwise_kernel": dacross, "bias": db}


def _depthwise(layer: Any, shape: Shape) -> WeightSpec:
    size, channels = split(layer, shape)
    kernel = (*along(layer, "kernel_size", size), channels, layer.depth_multiplier)
    spec: WeightSpec = layer._spec("depthwise", kernel)
    return spec


def _grouped(kernel: Array) -> Array:
    # (*K, C_in, M) -> (*K, 1, C_in * M): each channel is a group of its own
    xp = array_namespace("depthwise", kernel=kernel)
    return xp.reshape(kernel, (*kernel.shape[:-2], 1, kernel.shape[-2] * kernel.shape[-1]))


def _ungrouped(dw: Array | None, kernel: Array) -> Array | None:
    # (*K, 1, C_in * M) -> (*K, C_in, M)
    if dw is None:
        return None
    return array_namespace("depthwise", dw=dw).reshape(dw, tuple(kernel.shape))

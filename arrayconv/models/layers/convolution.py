"""Convolutions as layers: 1-D to 3-D by the input's rank."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.initializers import initializer
from arrayconv.models.layers.activation import as_activation
from arrayconv.models.layers.base import Layer, Weights, WeightSpec
from arrayconv.models.layers.dense import kernel_and_bias
from arrayconv.models.layers.geometry import convolved, join, kernel_size, split
from arrayconv.models.regularizers import regularizer
from arrayconv.namespace import Array


class Conv(Layer):
    """A convolution: `arrayconv.conv`, then the activation.

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size : int or sequence of int
        Cells of the window, one or one per spatial axis.
    strides, dilation_rate : int or sequence of int
        Steps between windows, and between the cells of one.
    padding : {"valid", "same", "causal"}, or what `arrayconv.conv` takes
    data_format : {"channels_last", "channels_first"}
        Layout of the input and of the output.
    groups : int
        Blocks of channels convolved apart.
    activation : str, Layer or pair, optional
        What `Activation` takes.
    use_bias : bool
        Whether to add a bias.
    kernel_initializer, bias_initializer : str or Initializer
        How the weights start: the kernel is ``(*K, C_in / groups, filters)``.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        What the weights add to the loss.

    Raises
    ------
    ValueError
        Counts below 1, an unknown name, and, once the input's shape is known, what does not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models_old as models
    >>> models.Conv(6, 2, padding="same")(np.ones((4, 12, 12, 3))).shape
    (4, 12, 12, 6)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        label = self.label
        self.filters = checks.count(label, "filters", filters)
        self.groups = checks.count(label, "groups", groups)
        self.kernel_size, self.strides = checks.as_tuple(kernel_size), checks.as_tuple(strides)
        self.padding = checks.as_tuple(padding)
        self.dilation_rate = checks.as_tuple(dilation_rate)
        self.data_format = checks.data_format(label, data_format)
        self.activation = as_activation(label, activation)
        self.use_bias = checks.flag(label, "use_bias", use_bias)
        self.kernel_initializer = initializer(label, "kernel_initializer", kernel_initializer)
        self.bias_initializer = initializer(label, "bias_initializer", bias_initializer)
        self.kernel_regularizer = regularizer(label, "kernel_regularizer", kernel_regularizer)
        self.bias_regularizer = regularizer(label, "bias_regularizer", bias_regularizer)
        self.geometry = {
            "stride": self.strides,
            "padding": self.padding,
            "dilation": self.dilation_rate,
            "groups": self.groups,
            "data_format": self.data_format,
        }

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        size, channels = split(self, shape)
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(
                f"{self.label}: groups must divide the input's channels and filters, got groups={self.groups} "
                f"with {channels} and {self.filters}"
            )
        kernel = (*kernel_size(self, size), channels // self.groups, self.filters)
        return kernel_and_bias(self, kernel, self.filters)

    def output_shape(self, shape: Shape) -> Shape:
        return join(self, convolved(self, split(self, shape)[0]), self.filters)

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.conv(x, w["kernel"], w.get("bias"), **self.geometry)

    def backward(self, dy: Array, w: Weights, x: Array, *, wrt: tuple[str, ...]) -> Any:
        dx, dw, db = ac.conv_vjp(dy, x, w["kernel"], w.get("bias"), wrt=wrt, **self.geometry)
        return dx, {"kernel": dw, "bias": db}

"""Convolutions and their transposes as layers: 1-D to 3-D by the input's rank."""

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
from arrayconv.window import per_axis, transposed


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
    >>> from arrayconv import models
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


class ConvTranspose(Layer):
    """A transposed convolution: `arrayconv.conv_transpose`, then the activation.

    Along each axis of ``n`` cells and a window that spans ``e = dilation_rate * (kernel_size - 1) + 1``,
    the output has, as in Keras, ``(n - 1) * strides + max(e, strides)`` cells for ``"valid"`` and
    ``n * strides`` for ``"same"``; with ``output_padding``, ``(n - 1) * strides + e + output_padding`` and
    ``(n - 1) * strides + e % 2 + output_padding``.

    Parameters
    ----------
    filters, kernel_size, strides, data_format, dilation_rate, activation, use_bias
        As `Conv` takes them.
    padding : {"valid", "same"}
    output_padding : int or sequence of int, optional
        Cells added at the end of each axis, fewer than the stride.
    kernel_initializer, bias_initializer : str or Initializer
        How the weights start: the kernel is ``(*K, filters, C_in)``.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        What the weights add to the loss.

    Raises
    ------
    ValueError
        As `Conv`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models import layers
    >>> layers.ConvTranspose(2, 3, strides=2, padding="same")(np.ones((1, 5, 5, 4))).shape
    (1, 10, 10, 2)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: Any = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
        dilation_rate: Any = 1,
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
        self.kernel_size, self.strides = checks.as_tuple(kernel_size), checks.as_tuple(strides)
        self.padding = checks.as_tuple(padding)
        if self.padding not in ("valid", "same"):
            raise ValueError(f"{label}: padding must be 'valid' or 'same', got {padding!r}")
        self.output_padding = checks.as_tuple(output_padding)
        self.dilation_rate = checks.as_tuple(dilation_rate)
        self.data_format = checks.data_format(label, data_format)
        self.activation = as_activation(label, activation)
        self.use_bias = checks.flag(label, "use_bias", use_bias)
        self.kernel_initializer = initializer(label, "kernel_initializer", kernel_initializer)
        self.bias_initializer = initializer(label, "bias_initializer", bias_initializer)
        self.kernel_regularizer = regularizer(label, "kernel_regularizer", kernel_regularizer)
        self.bias_regularizer = regularizer(label, "bias_regularizer", bias_regularizer)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        size, channels = split(self, shape)
        kernel = (*kernel_size(self, size), self.filters, channels)
        return kernel_and_bias(self, kernel, self.filters)

    def output_shape(self, shape: Shape) -> Shape:
        size = split(self, shape)[0]
        kernel = kernel_size(self, size)
        pairs, extra = self._cut(kernel)
        result = transposed(
            self.label, size, kernel, self.strides, pairs, extra, self.dilation_rate
        )
        return join(self, result.size, self.filters)

    def _cut(self, kernel: Shape) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
        """Cells cut from the full result at both ends, and cells added at the end, as Keras does."""
        ndim = len(kernel)
        strides = per_axis(self.label, "strides", self.strides, ndim)
        dilation = per_axis(self.label, "dilation_rate", self.dilation_rate, ndim)
        asked: tuple[int | None, ...] = (None,) * ndim
        if self.output_padding is not None:
            asked = per_axis(self.label, "output_padding", self.output_padding, ndim, least=0)
        pairs, added = [], []
        for k, s, d, more in zip(kernel, strides, dilation, asked, strict=True):
            extent = d * (k - 1) + 1
            if more is not None and more >= s:
                raise ValueError(
                    f"{self.label}: output_padding must be smaller than strides, got {more} with {s}"
                )
            if self.padding == "valid":
                before, last = 0, max(extent, s) if more is None else extent + more
            else:
                last = s if more is None else extent % 2 + more
                before = max(0, extent - 1 - (last + extent - 1) // 2)
            after = extent - last - before
            pairs.append((before, max(0, after)))
            added.append(max(0, -after))
        return tuple(pairs), tuple(added)

    def _geometry(self, kernel: Array) -> dict[str, Any]:
        pairs, extra = self._cut(tuple(kernel.shape[:-2]))
        return {
            "stride": self.strides,
            "padding": pairs,
            "output_padding": extra,
            "dilation": self.dilation_rate,
            "data_format": self.data_format,
        }

    def forward(self, w: Weights, x: Array) -> Array:
        kernel = w["kernel"]
        return ac.conv_transpose(x, kernel, w.get("bias"), **self._geometry(kernel))

    def backward(self, dy: Array, w: Weights, x: Array, *, wrt: tuple[str, ...]) -> Any:
        kernel, bias = w["kernel"], w.get("bias")
        dx, dw, db = ac.conv_transpose_vjp(dy, x, kernel, bias, wrt=wrt, **self._geometry(kernel))
        return dx, {"kernel": dw, "bias": db}

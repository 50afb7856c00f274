"""Convolutions and transposed convolutions as layers, for 1-D, 2-D and 3-D data."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.layers.activation import as_activation
from arrayconv.models.layers.base import Layer, Weights, WeightSpec
from arrayconv.models.layers.dense import bias_of
from arrayconv.models.layers.geometry import along, convolved, ints, join, keep_window, split
from arrayconv.namespace import Array
from arrayconv.window import per_axis, transposed


class Conv(Layer):
    """A convolution: `arrayconv.conv`, then the activation.

    Takes inputs ``(N, *S, C_in)`` with one, two, three or more spatial axes and returns ``(N, *S_out, filters)``; with
    "channels_first" ``(N, C_in, *S)`` and ``(N, filters, *S_out)``.

    Parameters
    ----------
    filters : int
        The number of output channels.
    kernel_size : int or sequence of int
        The size of the window: one for all spatial axes, or one each.
    strides, dilation_rate : int or sequence of int
        The step between windows, and the step between the cells of a window.
    padding : {"valid", "same", "causal"}, or what `arrayconv.conv` takes
    data_format : {"channels_last", "channels_first"}
        The layout of input and output; channels_last by default.
    groups : int
        The number of groups that the channels are divided into, each convolved separately.
    activation : str, Layer or pair, optional
        As for `Activation`.
    use_bias : bool
        Whether to add a bias.
    kernel_initializer, bias_initializer : str or Initializer
        Initial weights: the kernel ``(*K, C_in / groups, filters)`` and the bias ``(filters,)``.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        Penalties on the weights, added to the loss.

    Raises
    ------
    TypeError
        An argument of a wrong type.
    ValueError
        Numbers below 1, an unknown name; once the input shape is known, arguments that do not fit it.

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
        self.filters = checks.count(self.label, "filters", filters)
        self.groups = checks.count(self.label, "groups", groups)
        window = keep_window(self, kernel_size, strides, padding, data_format, dilation_rate)
        self.geometry = {**window, "groups": self.groups}
        self.activation = as_activation(self.label, activation)
        self.use_bias = checks.flag(self.label, "use_bias", use_bias)
        self._keep("kernel", kernel_initializer, kernel_regularizer)
        self._keep("bias", bias_initializer, bias_regularizer)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        size, channels = split(self, shape)
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(
                f"{self.label}: groups must divide the input's channels and filters, got groups={self.groups} "
                f"with {channels} and {self.filters}"
            )
        kernel = (*along(self, "kernel_size", size), channels // self.groups, self.filters)
        return {"kernel": self._spec("kernel", kernel), **bias_of(self, self.filters)}

    def output_shape(self, shape: Shape) -> Shape:
        return convolved(self, shape, self.filters)

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.conv(x, w["kernel"], w.get("bias"), **self.geometry)

    def backward(self, dy: Array, w: Weights, x: Array, *, wrt: tuple[str, ...]) -> Any:
        dx, dw, db = ac.conv_vjp(dy, x, w["kernel"], w.get("bias"), wrt=wrt, **self.geometry)
        return dx, {"kernel": dw, "bias": db}


class ConvTranspose(Layer):
    """A transposed convolution: `arrayconv.conv_transpose`, then the activation.

    Along an axis of length ``n``, with a window that spans ``e = dilation_rate * (kernel_size - 1) + 1``, the
    output has the same length as in Keras: for "valid" ``(n - 1) * strides + max(e, strides)``, for "same"
    ``n * strides``. If ``output_padding`` is given, it is ``(n - 1) * strides + e + output_padding`` for "valid"
    and ``(n - 1) * strides + e % 2 + output_padding`` for "same".

    Parameters
    ----------
    filters, kernel_size, strides, data_format, dilation_rate, activation, use_bias
        As for `Conv`, and so are ``bias_initializer``, ``kernel_regularizer`` and ``bias_regularizer``.
    padding : {"valid", "same"}
    output_padding : int or sequence of int, optional
        Less than the stride; see above.
    kernel_initializer : str or Initializer
        Initial values of the kernel ``(*K, filters, C_in)``.

    Raises
    ------
    TypeError, ValueError
        As for `Conv`; a ``ValueError`` also if ``output_padding`` is not less than the stride.

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
        self.filters = checks.count(self.label, "filters", filters)
        self.geometry = keep_window(self, kernel_size, strides, padding, data_format, dilation_rate)
        if self.geometry["padding"] not in ("valid", "same"):
            raise ValueError(f"{self.label}: padding must be 'valid' or 'same', got {padding!r}")
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = ints(self, "output_padding", output_padding, least=0)
        self.activation = as_activation(self.label, activation)
        self.use_bias = checks.flag(self.label, "use_bias", use_bias)
        self._keep("kernel", kernel_initializer, kernel_regularizer)
        self._keep("bias", bias_initializer, bias_regularizer)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        size, channels = split(self, shape)
        kernel = (*along(self, "kernel_size", size), self.filters, channels)
        return {"kernel": self._spec("kernel", kernel), **bias_of(self, self.filters)}

    def output_shape(self, shape: Shape) -> Shape:
        size = split(self, shape)[0]
        kernel = along(self, "kernel_size", size)
        found = self.cropped(kernel)
        cut = (found[name] for name in ("stride", "padding", "output_padding", "dilation"))
        return join(self, transposed(self.label, size, kernel, *cut).size, self.filters)

    def cropped(self, kernel: Shape) -> dict[str, Any]:
        """The options of `arrayconv.conv_transpose` that crop and extend its result to the size that Keras's has."""
        ndim, geometry = len(kernel), self.geometry
        strides = per_axis(self.label, "strides", geometry["stride"], ndim)
        dilation = per_axis(self.label, "dilation_rate", geometry["dilation"], ndim)
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
            if geometry["padding"] == "valid":
                before, last = 0, max(extent, s) if more is None else extent + more
            else:
                last = s if more is None else extent % 2 + more
                before = max(0, extent - 1 - (last + extent - 1) // 2)
            after = extent - last - before
            pairs.append((before, max(0, after)))
            added.append(max(0, -after))
        return {**geometry, "padding": tuple(pairs), "output_padding": tuple(added)}

    def forward(self, w: Weights, x: Array) -> Array:
        kernel = w["kernel"]
        options = self.cropped(kernel.shape[:-2])
        return ac.conv_transpose(x, kernel, w.get("bias"), **options)

    def backward(self, dy: Array, w: Weights, x: Array, *, wrt: tuple[str, ...]) -> Any:
        kernel, bias = w["kernel"], w.get("bias")
        options = self.cropped(kernel.shape[:-2])
        dx, dw, db = ac.conv_transpose_vjp(dy, x, kernel, bias, wrt=wrt, **options)
        return dx, {"kernel": dw, "bias": db}

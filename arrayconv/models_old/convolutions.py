"""Convolutions and their transposes as layers: 1-D to 3-D by the input's rank."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.models_old.initializers import initializer
from arrayconv.models_old.layer import Weights, WeightSpec
from arrayconv.models_old.linear import named
from arrayconv.models_old.shapes import Shape, checked_count, join, split, tidy
from arrayconv.models_old.windowed import Windowed
from arrayconv.namespace import Array
from arrayconv.window import per_axis, transposed


class Conv(Windowed):
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
    activation : str, optional
        A name that `Activation` takes.
    use_bias : bool
        Whether to add a bias.
    kernel_initializer, bias_initializer : str or Initializer
        How the weights start: the kernel is ``(*K, C_in / groups, filters)``.

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
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
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
        self.filters = checked_count(self.label, "filters", filters)
        self.groups = checked_count(self.label, "groups", groups)
        self.kernel_initializer = initializer(self.label, "kernel_initializer", kernel_initializer)

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        size, channels = split(self.label, shapes[0], self.data_format)
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(
                f"{self.label}: groups must divide the input's channels and filters, got groups={self.groups} "
                f"with {channels} and {self.filters}"
            )
        kernel = (*self.kernel_shape(size), channels // self.groups, self.filters)
        specs = self.with_bias((kernel, self.kernel_initializer), self.filters)
        return join(self.output_size(size), self.filters, self.data_format), specs

    def options(self) -> dict[str, Any]:
        return {**super().options(), "groups": self.groups}

    def _run(self, w: Weights, x: Array) -> Array:
        return ac.conv(x, w["kernel"], w.get("bias"), **self.options())

    def _vjp(
        self, dy: Array, w: Weights, x: Array, need: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        b = w.get("bias")
        dx, dw, db = ac.conv_vjp(dy, x, w["kernel"], b, wrt=self.wrt(need), **self.options())
        return dx, named(dw, db)


class ConvTranspose(Windowed):
    """A transposed convolution: `arrayconv.conv_transpose`, then the activation.

    Along each axis of ``n`` cells and a window that spans ``e = dilation_rate * (kernel_size - 1) + 1``,
    the output has, as in Keras, ``(n - 1) * strides + max(e, strides)`` cells for ``"valid"`` and
    ``n * strides`` for ``"same"``; with ``output_padding``, ``(n - 1) * strides + e + output_padding`` and
    ``(n - 1) * strides + e % 2 + output_padding``.

    Parameters
    ----------
    filters : int
        Channels of the output.
    kernel_size : int or sequence of int
    strides, dilation_rate : int or sequence of int
    padding : {"valid", "same"}
    output_padding : int or sequence of int, optional
        Cells added at the end of each axis, fewer than the stride.
    data_format : {"channels_last", "channels_first"}
    activation : str, optional
    use_bias : bool
    kernel_initializer, bias_initializer : str or Initializer
        How the weights start: the kernel is ``(*K, filters, C_in)``.

    Raises
    ------
    ValueError
        As `Conv`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> models.ConvTranspose(2, 3, strides=2, padding="same")(np.ones((1, 5, 5, 4))).shape
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
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
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
        self.filters = checked_count(self.label, "filters", filters)
        self.output_padding = tidy(output_padding)
        if self.padding not in ("valid", "same"):
            raise ValueError(f"{self.label}: padding must be 'valid' or 'same', got {padding!r}")
        self.kernel_initializer = initializer(self.label, "kernel_initializer", kernel_initializer)

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        size, channels = split(self.label, shapes[0], self.data_format)
        kernel = self.kernel_shape(size)
        pairs, extra = self._cut(kernel)
        result = transposed(
            self.label, size, kernel, self.strides, pairs, extra, self.dilation_rate
        )
        weight = (*kernel, self.filters, channels), self.kernel_initializer
        specs = self.with_bias(weight, self.filters)
        return join(result.size, self.filters, self.data_format), specs

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

    def _arguments(self, w: Weights, x: Array) -> dict[str, Any]:
        pairs, extra = self._cut(tuple(w["kernel"].shape[:-2]))
        return {**self.options(), "padding": pairs, "output_padding": extra}

    def _run(self, w: Weights, x: Array) -> Array:
        return ac.conv_transpose(x, w["kernel"], w.get("bias"), **self._arguments(w, x))

    def _vjp(
        self, dy: Array, w: Weights, x: Array, need: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        dx, dw, db = ac.conv_transpose_vjp(
            dy, x, w["kernel"], w.get("bias"), wrt=self.wrt(need), **self._arguments(w, x)
        )
        return dx, named(dw, db)

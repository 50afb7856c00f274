"""Pooling layers, for 1-D, 2-D and 3-D data."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Weights
from arrayconv.models.layers.geometry import along, ints, join, split, window_padding
from arrayconv.namespace import Array
from arrayconv.window import sliding


class _Pool(Layer):
    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: Any = "valid",
        data_format: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.pool_size = ints(self, "pool_size", pool_size)
        self.strides = None if strides is None else ints(self, "strides", strides)
        self.padding = window_padding(self, padding)
        self.data_format = checks.data_format(self.label, data_format)
        self.geometry = {
            "window": self.pool_size,
            "stride": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
        }

    def output_shape(self, shape: Shape) -> Shape:
        size, channels = split(self, shape)
        window = along(self, "pool_size", size)
        strides = window if self.strides is None else along(self, "strides", size)
        # every window must contain a cell of the input
        found = sliding(self.label, size, window, strides, self.padding, 1, inside=True)
        return join(self, found.output, channels)


class _GlobalPool(Layer):
    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **common: Any
    ) -> None:
        super().__init__(**common)
        self.data_format = checks.data_format(self.label, data_format)
        self.keepdims = checks.flag(self.label, "keepdims", keepdims)
        self.geometry: dict[str, Any] = {"keepdims": self.keepdims, "data_format": self.data_format}

    def output_shape(self, shape: Shape) -> Shape:
        size, channels = split(self, shape)
        return join(self, (1,) * len(size) if self.keepdims else (), channels)


class MaxPool(_Pool):
    """The maximum of each window, in each channel: `arrayconv.max_pool`.

    Parameters
    ----------
    pool_size : int or sequence of int
        The size of the window: one for all spatial axes, or one each.
    strides : int or sequence of int, optional
        The step between windows; by default ``pool_size``, so that they do not overlap.
    padding : {"valid", "same"}, or what `arrayconv.max_pool` takes
    data_format : {"channels_last", "channels_first"}
        The layout of input and output, ``(N, *S, C)`` or ``(N, C, *S)``; channels_last by default.

    Raises
    ------
    TypeError, ValueError
        If the window, the strides or the padding are invalid, or, once the input shape is known, do not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> models.MaxPool(2)(np.ones((4, 12, 12, 3))).shape
    (4, 6, 6, 3)
    """

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.max_pool(x, **self.geometry)

    def backward(self, dy: Array, w: Weights, x: Array, *, y: Array) -> Array:
        return ac.max_pool_vjp(dy, x, y=y, **self.geometry)


class AveragePool(_Pool):
    """The mean of each window, in each channel, without the padding: `arrayconv.avg_pool`.

    Parameters
    ----------
    pool_size, strides, padding, data_format
        As for `MaxPool`.

    Raises
    ------
    TypeError, ValueError
        As for `MaxPool`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> models.AveragePool((2, 3), padding="same")(np.ones((4, 12, 11, 3))).shape
    (4, 6, 4, 3)
    """

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.avg_pool(x, **self.geometry)

    def backward(self, dy: Array, w: Weights, x: Array) -> Array:
        return ac.avg_pool_vjp(dy, x, **self.geometry)


class GlobalMaxPool(_GlobalPool):
    """The maximum of each channel over all spatial axes: `arrayconv.global_max_pool`.

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}
        The layout of the input, ``(N, *S, C)`` or ``(N, C, *S)``; the output is ``(N, C)``.
    keepdims : bool
        Whether to keep the spatial axes, with length 1.
    """

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.global_max_pool(x, **self.geometry)

    def backward(self, dy: Array, w: Weights, x: Array, *, y: Array) -> Array:
        return ac.global_max_pool_vjp(dy, x, y=y, **self.geometry)


class GlobalAveragePool(_GlobalPool):
    """The mean of each channel over all spatial axes: `arrayconv.global_avg_pool`.

    Parameters
    ----------
    data_format, keepdims
        As for `GlobalMaxPool`.
    """

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.global_avg_pool(x, **self.geometry)

    def backward(self, dy: Array, w: Weights, x: Array) -> Array:
        return ac.global_avg_pool_vjp(dy, x, **self.geometry)

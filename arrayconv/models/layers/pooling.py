"""Pools as layers: 1-D to 3-D by the input's rank."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Weights
from arrayconv.models.layers.geometry import join, split
from arrayconv.namespace import Array
from arrayconv.window import per_axis, sliding


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
        self.pool_size, self.strides = checks.as_tuple(pool_size), checks.as_tuple(strides)
        self.padding = checks.as_tuple(padding)
        self.data_format = checks.data_format(self.label, data_format)
        self.geometry = {
            "window": self.pool_size,
            "stride": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
        }

    def output_shape(self, shape: Shape) -> Shape:
        size, channels = split(self, shape)
        window = per_axis(self.label, "pool_size", self.pool_size, len(size))
        strides = window if self.strides is None else self.strides
        # a window must touch the input
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
    """The largest cell of every window: `arrayconv.max_pool`.

    Parameters
    ----------
    pool_size : int or sequence of int
        Cells of the window, one or one per spatial axis.
    strides : int or sequence of int, optional
        Step between windows; the window itself if not given.
    padding : {"valid", "same"}, or what `arrayconv.max_pool` takes
    data_format : {"channels_last", "channels_first"}

    Raises
    ------
    ValueError
        Once the input's shape is known: a window that does not fit it.

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
    """The mean of every window, cells of the padding not counting: `arrayconv.avg_pool`.

    Parameters
    ----------
    pool_size, strides, padding, data_format
        As `MaxPool` takes them.

    Raises
    ------
    ValueError
        As `MaxPool`.

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
    """The largest cell of every channel: `arrayconv.global_max_pool`.

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}
    keepdims : bool
        Keep the spatial axes, with length 1.
    """

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.global_max_pool(x, **self.geometry)

    def backward(self, dy: Array, w: Weights, x: Array, *, y: Array) -> Array:
        return ac.global_max_pool_vjp(dy, x, y=y, **self.geometry)


class GlobalAveragePool(_GlobalPool):
    """The mean of every channel: `arrayconv.global_avg_pool`.

    Parameters
    ----------
    data_format, keepdims
        As `GlobalMaxPool` takes them.
    """

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.global_avg_pool(x, **self.geometry)

    def backward(self, dy: Array, w: Weights, x: Array) -> Array:
        return ac.global_avg_pool_vjp(dy, x, **self.geometry)

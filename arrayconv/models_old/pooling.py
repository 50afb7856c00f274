"""Pools as layers: 1-D to 3-D by the input's rank."""

from __future__ import annotations

from typing import Any

from arrayconv.models_old.kinds import Weightless
from arrayconv.models_old.layer import WeightSpec
from arrayconv.models_old.shapes import Shape, checked_flag, checked_format, join, split, tidy
from arrayconv.namespace import Array
from arrayconv.window import per_axis, sliding


class _Pool(Weightless):
    def __init__(
        self,
        pool_size: Any = 2,
        strides: Any = None,
        padding: Any = "valid",
        data_format: str | None = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.pool_size, self.strides, self.padding = tidy(pool_size), tidy(strides), tidy(padding)
        self.data_format = checked_format(self.label, data_format)

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        size, channels = split(self.label, shapes[0], self.data_format)
        kernel = per_axis(self.label, "pool_size", self.pool_size, len(size))
        strides = kernel if self.strides is None else self.strides
        window = sliding(self.label, size, kernel, strides, self.padding, 1, inside=True)
        return join(window.output, channels, self.data_format), {}

    def keywords(self, x: Array) -> dict[str, Any]:
        return {
            "window": self.pool_size,
            "stride": self.strides,
            "padding": self.padding,
            "data_format": self.data_format,
        }


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

    op = "max_pool"


class AveragePool(_Pool):
    """The mean of every window, cells of the padding not counting: `arrayconv.avg_pool`.

    Parameters
    ----------
    pool_size : int or sequence of int
        Cells of the window, one or one per spatial axis.
    strides : int or sequence of int, optional
        Step between windows; the window itself if not given.
    padding : {"valid", "same"}, or what `arrayconv.avg_pool` takes
    data_format : {"channels_last", "channels_first"}

    Raises
    ------
    ValueError
        Once the input's shape is known: a window that does not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> models.AveragePool((2, 3), padding="same")(np.ones((4, 12, 11, 3))).shape
    (4, 6, 4, 3)
    """

    op = "avg_pool"
    uses = ("x",)


class _GlobalPool(Weightless):
    def __init__(
        self, data_format: str | None = None, keepdims: bool = False, **common: Any
    ) -> None:
        super().__init__(**common)
        self.data_format = checked_format(self.label, data_format)
        self.keepdims = checked_flag(self.label, "keepdims", keepdims)

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        size, channels = split(self.label, shapes[0], self.data_format)
        ones = tuple(1 for _ in size) if self.keepdims else ()
        return join(ones, channels, self.data_format), {}

    def keywords(self, x: Array) -> dict[str, Any]:
        return {"keepdims": self.keepdims, "data_format": self.data_format}


class GlobalMaxPool(_GlobalPool):
    """The largest cell of every channel: `arrayconv.global_max_pool`.

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}
    keepdims : bool
        Keep the spatial axes, with length 1.
    """

    op = "global_max_pool"


class GlobalAveragePool(_GlobalPool):
    """The mean of every channel: `arrayconv.global_avg_pool`.

    Parameters
    ----------
    data_format : {"channels_last", "channels_first"}
    keepdims : bool
        Keep the spatial axes, with length 1.
    """

    op = "global_avg_pool"
    uses = ("x",)

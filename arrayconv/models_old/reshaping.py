"""Layers that change the shape: padding, enlarging and flattening."""

from __future__ import annotations

import math
from typing import Any

from arrayconv.models_old.kinds import Weightless
from arrayconv.models_old.layer import WeightSpec
from arrayconv.models_old.names import lookup
from arrayconv.models_old.shapes import Shape, checked_format, join, split, tidy
from arrayconv.namespace import Array
from arrayconv.window import pad_pairs, per_axis


class ZeroPadding(Weightless):
    """Zeros around the spatial axes: `arrayconv.pad`.

    Parameters
    ----------
    padding : int, sequence of int, or sequence of (int, int)
        One number, one per axis, or a pair ``(before, after)`` per axis; for one axis also the pair alone.
    data_format : {"channels_last", "channels_first"}

    Raises
    ------
    ValueError
        Once the input's shape is known: padding that is negative or does not fit its axes.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> models.ZeroPadding(3)(np.ones((2, 64, 64, 3))).shape
    (2, 70, 70, 3)
    """

    op = "pad"
    uses = ("x",)

    def __init__(self, padding: Any = 1, data_format: str | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.padding = tidy(padding)
        self.data_format = checked_format(self.label, data_format)

    def _pairs(self, ndim: int) -> tuple[tuple[int, int], ...]:
        pair = ndim == 1 and isinstance(self.padding, tuple) and len(self.padding) == 2
        pairs = pad_pairs(self.label, (self.padding,) if pair else self.padding, ndim)
        assert not isinstance(pairs, str)
        return pairs

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        size, channels = split(self.label, shapes[0], self.data_format)
        wide = tuple(n + a + b for n, (a, b) in zip(size, self._pairs(len(size)), strict=True))
        return join(wide, channels, self.data_format), {}

    def keywords(self, x: Array) -> dict[str, Any]:
        return {"padding": self._pairs(x.ndim - 2), "data_format": self.data_format}


class UpSampling(Weightless):
    """Each cell enlarged: `arrayconv.resize`.

    Parameters
    ----------
    size : int or sequence of int
        The factor, one or one per spatial axis.
    data_format : {"channels_last", "channels_first"}
    interpolation : {"nearest", "bilinear"}
        Repeat cells, or interpolate along each spatial axis, however many there are.

    Raises
    ------
    ValueError
        An unknown interpolation; once the input's shape is known, a size that does not fit its axes.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> models.UpSampling(2)(np.asarray([[[1.0], [2.0]]]))[0, :, 0]
    array([1., 1., 2., 2.])
    """

    op = "resize"
    uses = ("x",)

    def __init__(
        self,
        size: Any = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.size, self.interpolation = tidy(size), interpolation
        methods = {"nearest": "nearest", "bilinear": "linear"}
        self._method = lookup(self.label, "interpolation", interpolation, methods)
        self.data_format = checked_format(self.label, data_format)

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        size, channels = split(self.label, shapes[0], self.data_format)
        factors = per_axis(self.label, "size", self.size, len(size))
        large = tuple(n * f for n, f in zip(size, factors, strict=True))
        return join(large, channels, self.data_format), {}

    def keywords(self, x: Array) -> dict[str, Any]:
        # whole factors: the floor of the source coordinate repeats each cell equally often
        coordinates = "asymmetric" if self._method == "nearest" else "half_pixel"
        return {
            "scale": self.size,
            "method": self._method,
            "coordinates": coordinates,
            "data_format": self.data_format,
        }


class Flatten(Weightless):
    """All axes but the batch joined to one, in C order: `arrayconv.flatten`."""

    op = "flatten"
    uses = ("x",)

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        return (math.prod(shapes[0]),), {}

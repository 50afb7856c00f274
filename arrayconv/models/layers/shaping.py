"""Layers that change the shape."""

from __future__ import annotations

import math
from typing import Any

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Weights
from arrayconv.models.layers.geometry import join, split
from arrayconv.namespace import Array
from arrayconv.window import pad_pairs, per_axis


class Flatten(Layer):
    """All axes but the batch joined to one, in C order: `arrayconv.flatten`."""

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.flatten(x)

    def backward(self, dy: Array, w: Weights, x: Array) -> Array:
        return ac.flatten_vjp(dy, x)


class ZeroPadding(Layer):
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
    >>> from arrayconv.models import layers
    >>> layers.ZeroPadding(3)(np.ones((2, 64, 64, 3))).shape
    (2, 70, 70, 3)
    """

    def __init__(self, padding: Any = 1, data_format: str | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.padding = checks.as_tuple(padding)
        self.data_format = checks.data_format(self.label, data_format)

    def output_shape(self, shape: Shape) -> Shape:
        size, channels = split(self, shape)
        pairs = _pairs(self.label, self.padding, len(size))
        wide = tuple(n + a + b for n, (a, b) in zip(size, pairs, strict=True))
        return join(self, wide, channels)

    def forward(self, w: Weights, x: Array) -> Array:
        pairs = _pairs(self.label, self.padding, x.ndim - 2)
        return ac.pad(x, pairs, data_format=self.data_format)

    def backward(self, dy: Array, w: Weights, x: Array) -> Any:
        pairs = _pairs(self.label, self.padding, x.ndim - 2)
        return ac.pad_vjp(dy, x, pairs, data_format=self.data_format)


class UpSampling(Layer):
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
    >>> from arrayconv.models import layers
    >>> layers.UpSampling(2)(np.asarray([[[1.0], [2.0]]]))[0, :, 0]
    array([1., 1., 2., 2.])
    """

    def __init__(
        self,
        size: Any = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.size, self.interpolation = checks.as_tuple(size), interpolation
        # whole factors: the floor of the source coordinate repeats each cell equally often
        methods = {"nearest": ("nearest", "asymmetric"), "bilinear": ("linear", "half_pixel")}
        method, coordinates = checks.choice(self.label, "interpolation", interpolation, methods)
        self.data_format = checks.data_format(self.label, data_format)
        self.geometry: dict[str, Any] = {
            "scale": self.size,
            "method": method,
            "coordinates": coordinates,
            "data_format": self.data_format,
        }

    def output_shape(self, shape: Shape) -> Shape:
        size, channels = split(self, shape)
        factors = per_axis(self.label, "size", self.size, len(size))
        return join(self, tuple(n * f for n, f in zip(size, factors, strict=True)), channels)

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.resize(x, **self.geometry)

    def backward(self, dy: Array, w: Weights, x: Array) -> Any:
        return ac.resize_vjp(dy, x, **self.geometry)


def _pairs(label: str, given: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    pair = ndim == 1 and isinstance(given, tuple) and len(given) == 2
    pairs = pad_pairs(label, (given,) if pair else given, ndim)
    assert not isinstance(pairs, str)
    return pairs

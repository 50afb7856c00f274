"""Layers that change the shape."""

from __future__ import annotations

import math
from typing import Any

import arrayconv as ac
from arrayconv import arguments
from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Weights
from arrayconv.models.layers.geometry import along, ints, join, pairs, split
from arrayconv.namespace import Array, array_namespace


class Flatten(Layer):
    """Flatten each sample in C order, ``(N, ...)`` to ``(N, features)``: `arrayconv.flatten`."""

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.flatten(x)

    def backward(self, dy: Array, w: Weights, x: Array) -> Array:
        return ac.flatten_vjp(dy, x)


class ZeroPadding(Layer):
    """Pad the spatial axes with zeros: `arrayconv.pad`.

    Parameters
    ----------
    padding : int, sequence of int, or sequence of (int, int)
        One number for all sides, one per spatial axis, or a pair ``(before, after)`` per spatial axis; a single pair
        of ints for 1-D data.
    data_format : {"channels_last", "channels_first"}

    Raises
    ------
    TypeError, ValueError
        If the padding is not ints, is negative, or, once the input shape is known, does not fit its axes.

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
        pairs(self, "padding")
        self.data_format = checks.data_format(self.label, data_format)

    def output_shape(self, shape: Shape) -> Shape:
        size, channels = split(self, shape)
        widths = pairs(self, "padding", len(size))
        wide = tuple(n + a + b for n, (a, b) in zip(size, widths, strict=True))
        return join(self, wide, channels)

    def forward(self, w: Weights, x: Array) -> Array:
        widths = pairs(self, "padding", x.ndim - 2)
        return ac.pad(x, widths, data_format=self.data_format)

    def backward(self, dy: Array, w: Weights, x: Array) -> Any:
        widths = pairs(self, "padding", x.ndim - 2)
        return ac.pad_vjp(dy, x, widths, data_format=self.data_format)


class Cropping(Layer):
    """Crop the spatial axes.

    Parameters
    ----------
    cropping : int, sequence of int, or sequence of (int, int)
        How much to cut off, in the forms of ``padding`` of `ZeroPadding`.
    data_format : {"channels_last", "channels_first"}

    Raises
    ------
    TypeError, ValueError
        As for `ZeroPadding`; once the input shape is known, also if nothing would be left.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models import layers
    >>> layers.Cropping(((1, 0), (2, 3)))(np.ones((2, 8, 8, 3))).shape
    (2, 7, 3, 3)
    """

    def __init__(self, cropping: Any, data_format: str | None = None, **common: Any) -> None:
        super().__init__(**common)
        self.cropping = checks.as_tuple(cropping)
        pairs(self, "cropping")
        self.data_format = checks.data_format(self.label, data_format)

    def output_shape(self, shape: Shape) -> Shape:
        size, channels = split(self, shape)
        widths = pairs(self, "cropping", len(size))
        left = tuple(n - a - b for n, (a, b) in zip(size, widths, strict=True))
        if min(left) < 1:
            raise ValueError(f"{self.label}: cropping {widths} leaves nothing of {size}")
        return join(self, left, channels)

    def forward(self, w: Weights, x: Array) -> Array:
        widths = pairs(self, "cropping", x.ndim - 2)
        lead = 1 if self.data_format == "channels_last" else 2
        spatial = x.shape[lead : lead + len(widths)]
        kept = [slice(a, n - b) for n, (a, b) in zip(spatial, widths, strict=True)]
        return x[(*(slice(None),) * lead, *kept, ...)]

    def backward(self, dy: Array, w: Weights) -> Array:
        widths = pairs(self, "cropping", dy.ndim - 2)
        return ac.pad(dy, widths, data_format=self.data_format)


class Reshape(Layer):
    """Reshape each sample, in C order.

    Parameters
    ----------
    target_shape : sequence of int
        The shape without the batch axis; one length may be -1, and is then computed from the others.

    Raises
    ------
    ValueError
        If it is not a shape; once the input shape is known, if the numbers of elements differ.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models import layers
    >>> layers.Reshape((2, -1))(np.ones((5, 6))).shape
    (5, 2, 3)
    """

    def __init__(self, target_shape: Any, **common: Any) -> None:
        super().__init__(**common)
        if not isinstance(target_shape, list | tuple):
            raise TypeError(
                f"{self.label}: target_shape must be a tuple of ints, got {target_shape!r}"
            )
        self.target_shape = checks.as_tuple(target_shape)
        known = [n for n in self.target_shape if n != -1]
        checks.shape(self.label, known)
        if len(self.target_shape) > len(known) + 1:
            raise ValueError(f"{self.label}: one length may be -1, got {self.target_shape}")

    def output_shape(self, shape: Shape) -> Shape:
        known = math.prod(n for n in self.target_shape if n != -1)
        rest = math.prod(shape) // known
        target = tuple(rest if n == -1 else int(n) for n in self.target_shape)
        if math.prod(target) != math.prod(shape):
            raise ValueError(f"{self.label}: target_shape {self.target_shape} does not fit {shape}")
        return target

    def forward(self, w: Weights, x: Array) -> Array:
        target = (x.shape[0], *self.output_shape(x.shape[1:]))
        return array_namespace(self.label, x=x).reshape(x, target)

    def backward(self, dy: Array, w: Weights, x: Array) -> Array:
        return array_namespace(self.label, dy=dy).reshape(dy, x.shape)


class Permute(Layer):
    """Permute the axes of each sample.

    Parameters
    ----------
    dims : sequence of int
        The input axis for each output axis, counted from 1 since 0 is the batch: ``(2, 1)`` swaps two axes.

    Raises
    ------
    TypeError
        If an entry is not an int.
    ValueError
        If it is not a permutation of 1, 2, ...; once the input shape is known, if it has another number of axes.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models import layers
    >>> layers.Permute((3, 1, 2))(np.ones((5, 28, 32, 3))).shape
    (5, 3, 28, 32)
    """

    def __init__(self, dims: Any, **common: Any) -> None:
        super().__init__(**common)
        entries = dims if isinstance(dims, list | tuple) else ()
        self.dims = tuple(arguments.integer(self.label, "dims", entry) for entry in entries)
        if not isinstance(dims, list | tuple) or {*self.dims} != {*range(1, len(dims) + 1)}:
            raise ValueError(f"{self.label}: dims must hold 1 to the number of axes, got {dims!r}")

    def output_shape(self, shape: Shape) -> Shape:
        if len(shape) != len(self.dims):
            raise ValueError(f"{self.label}: dims {self.dims} do not fit an input of {shape}")
        return tuple(shape[axis - 1] for axis in self.dims)

    def forward(self, w: Weights, x: Array) -> Array:
        return array_namespace(self.label, x=x).permute_dims(x, (0, *self.dims))

    def backward(self, dy: Array, w: Weights) -> Array:
        back = [self.dims.index(axis) + 1 for axis in range(1, dy.ndim)]
        return array_namespace(self.label, dy=dy).permute_dims(dy, (0, *back))


class UpSampling(Layer):
    """Enlarge the spatial axes by whole factors: `arrayconv.resize`.

    Parameters
    ----------
    size : int or sequence of int
        The factor: one for all spatial axes, or one each.
    data_format : {"channels_last", "channels_first"}
    interpolation : {"nearest", "bilinear"}
        "nearest" repeats each element; "bilinear" interpolates linearly along every spatial axis, of 1-D and 3-D
        data too.

    Raises
    ------
    TypeError, ValueError
        If the interpolation is unknown or ``size`` is not ints; once the input shape is known, if it does not fit it.

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
        self.size, self.interpolation = ints(self, "size", size), interpolation
        # with whole factors, the floor of the source coordinate repeats each element equally often
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
        factors = along(self, "size", size)
        return join(self, tuple(n * f for n, f in zip(size, factors, strict=True)), channels)

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.resize(x, **self.geometry)

    def backward(self, dy: Array, w: Weights, x: Array) -> Any:
        return ac.resize_vjp(dy, x, **self.geometry)

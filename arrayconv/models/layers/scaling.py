"""Fixed scales and offsets of the data."""

from __future__ import annotations

from typing import Any

import numpy as np

from arrayconv.models import checks
from arrayconv.models.arrays import moved
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Weights, WeightSpec
from arrayconv.models.layers.normalization import checked_axes
from arrayconv.namespace import Array, array_namespace, to_numpy


class Rescaling(Layer):
    """``x * scale + offset``: pixels to [0, 1] by ``Rescaling(1 / 255)``.

    Parameters
    ----------
    scale, offset : float or sequence of float
        One number, or one for each place of the last axis.

    Raises
    ------
    TypeError
        What is no number.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models import layers
    >>> layers.Rescaling(1 / 2, offset=-1)(np.asarray([[0.0, 4.0]]))
    array([[-1.,  1.]])
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **common: Any) -> None:
        super().__init__(**common)
        for argument, given in (("scale", scale), ("offset", offset)):
            for value in given if isinstance(given, list | tuple) else (given,):
                checks.number(self.label, argument, value)
        self.scale, self.offset = checks.as_tuple(scale), checks.as_tuple(offset)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        for given in (self.scale, self.offset):
            if isinstance(given, tuple) and shape[-1:] != (len(given),):
                raise ValueError(f"{self.label}: {len(given)} numbers do not fit {shape}")
        return {}

    def forward(self, w: Weights, x: Array) -> Array:
        return x * _beside(self.scale, x) + _beside(self.offset, x)

    def backward(self, dy: Array, w: Weights) -> Array:
        return dy * _beside(self.scale, dy)


class Normalization(Layer):
    """``(x - mean) / sqrt(variance)`` with the mean and variance of the data, which no training changes.

    Parameters
    ----------
    axis : int or sequence of int, optional
        The axes that have a mean each, the last by default; ``None`` for one mean of everything.
    mean, variance : float or nested sequence of float, optional
        Of the lengths of ``axis``; without them `adapt` finds them.
    invert : bool
        Whether to undo the normalization: ``x * sqrt(variance) + mean``.

    Raises
    ------
    ValueError
        Only one of ``mean`` and ``variance``; once the input's shape is known, an axis that it lacks.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models import layers
    >>> layer = layers.Normalization()
    >>> layer.adapt(np.asarray([[1.0], [3.0]]))
    >>> layer(np.asarray([[5.0]]))
    array([[3.]])
    """

    def __init__(
        self,
        axis: Any = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if (mean is None) != (variance is None):
            raise ValueError(f"{self.label}: mean and variance are given together or not at all")
        self.axis = checks.as_tuple(axis)
        self.mean: Any = None if mean is None else np.asarray(mean, dtype=float).tolist()
        self.variance: Any = None if mean is None else np.asarray(variance, dtype=float).tolist()
        self.invert = checks.flag(self.label, "invert", invert)

    def _axes(self, shape: Shape) -> tuple[int, ...]:
        return () if self.axis in (None, ()) else checked_axes(self.label, self.axis, shape)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        kept = tuple(shape[axis - 1] for axis in self._axes(shape))
        if self.mean is not None:
            for numbers in (self.mean, self.variance):
                np.broadcast_to(numbers, kept)
            return {}
        starts = {"mean": (kept, "zeros"), "variance": (kept, "ones"), "count": ((), "zeros")}
        return {name: WeightSpec(*given, trainable=False) for name, given in starts.items()}

    def adapt(self, data: Array) -> None:
        """Take over the mean and the variance of an array of samples."""
        values = np.asarray(to_numpy(data), dtype=np.float64)
        self.declare(values.shape[1:])
        self.draw(0)
        kept = self._axes(values.shape[1:])
        axes = tuple(i for i in range(values.ndim) if i not in kept)
        mean = values.mean(axes)
        self.set_weights([mean, values.var(axes), values.size / mean.size])

    def _numbers(self, w: Weights, x: Array) -> tuple[Array, Array]:
        axes = self._axes(tuple(x.shape[1:]))
        lengths = tuple(n for i, n in enumerate(x.shape) if i in axes)
        shape = tuple(n if i in axes else 1 for i, n in enumerate(x.shape))
        xp = array_namespace(self.label, x=x)
        if w:
            mean, variance = (xp.reshape(w[name], shape) for name in ("mean", "variance"))
        else:
            mean, variance = (
                moved(np.broadcast_to(numbers, lengths).reshape(shape), x)
                for numbers in (self.mean, self.variance)
            )
        deviation = xp.sqrt(variance)
        # Keras's guard against a variance of 0
        return mean, xp.maximum(deviation, xp.full_like(deviation, 1e-7))

    def forward(self, w: Weights, x: Array) -> Array:
        mean, deviation = self._numbers(w, x)
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def backward(self, dy: Array, w: Weights) -> Any:
        deviation = self._numbers(w, dy)[1]
        dx = dy * deviation if self.invert else dy / deviation
        return (dx, {}) if w else dx


def _beside(numbers: Any, x: Array) -> Any:
    if not isinstance(numbers, tuple):
        return numbers
    # (C) -> (1, ..., 1, C), for libraries that promote no ranks
    return moved(np.asarray(numbers).reshape((1,) * (x.ndim - 1) + (-1,)), x)

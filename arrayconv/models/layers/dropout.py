"""Dropout as a layer."""

from __future__ import annotations

from typing import Any

import numpy as np

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Weights, WeightSpec
from arrayconv.models.layers.geometry import join, split
from arrayconv.namespace import Array


class Dropout(Layer):
    """In training, set each element to 0 with probability ``rate`` and scale the others by ``1 / (1 - rate)``.

    Parameters
    ----------
    rate : float
        In [0, 1).
    noise_shape : sequence of int or None, optional
        The shape of the mask, with the batch axis: along an axis of length 1 all elements share it, and
        ``None`` is the length of the input. By default the input's shape.
    seed : int, optional
        Used for the mask instead of the seed of `set_seed`.

    Raises
    ------
    TypeError
        If ``rate`` is not a number, or ``seed`` not an int.
    ValueError
        If ``rate`` or ``seed`` is out of range; once the input shape is known, if ``noise_shape`` does not fit it.

    Notes
    -----
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014.
    """

    def __init__(
        self, rate: float, noise_shape: Any = None, seed: int | None = None, **common: Any
    ) -> None:
        super().__init__(**common)
        self.rate = checks.number(self.label, "rate", rate, least=0, below=1)
        self.noise_shape = checks.as_tuple(noise_shape)
        self.seed = None if seed is None else checks.count(self.label, "seed", seed, least=0)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        given = self.noise_shape or (None,) * (len(shape) + 1)
        fits = len(given) == len(shape) + 1 and all(
            n in (None, 1, m) for n, m in zip(given[1:], shape, strict=True)
        )
        if not fits:
            raise ValueError(
                f"{self.label}: noise_shape {given} does not fit {checks.batched(shape)}"
            )
        return {}

    def noise(self, rng: np.random.Generator, *shapes: Shape) -> np.ndarray[Any, Any] | None:
        if not self.rate:
            return None
        (shape,) = shapes
        return np.broadcast_to(rng.random(self._mask_shape(shape)) >= self.rate, shape)

    def _mask_shape(self, shape: Shape) -> Shape:
        given = self.noise_shape or shape
        return tuple(n if m is None else m for n, m in zip(shape, given, strict=True))

    def forward(self, w: Weights, x: Array, *, noise: Array | None) -> Array:
        return x if noise is None else ac.dropout(x, noise, rate=self.rate)

    def backward(self, dy: Array, w: Weights, *, noise: Array | None) -> Array:
        # the derivative does not depend on x, so dy stands in for it
        return dy if noise is None else ac.dropout_vjp(dy, dy, noise, rate=self.rate)[0]


class SpatialDropout(Dropout):
    """`Dropout` of whole channels: all cells of a channel share the mask.

    Parameters
    ----------
    rate, seed
        As for `Dropout`.
    data_format : {"channels_last", "channels_first"}

    Raises
    ------
    TypeError, ValueError
        As for `Dropout`.

    Notes
    -----
    J. Tompson et al., "Efficient object localization using convolutional networks", arXiv:1411.4280, section 3.2.
    """

    fields = ("rate", "data_format", "seed")

    def __init__(
        self, rate: float, data_format: str | None = None, seed: int | None = None, **common: Any
    ) -> None:
        if "noise_shape" in common:
            raise TypeError(
                f"{type(self).__name__}: unknown argument 'noise_shape'; a mask has one number for each channel, and "
                "Dropout takes masks of other shapes"
            )
        super().__init__(rate, None, seed, **common)
        self.data_format = checks.data_format(self.label, data_format)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        split(self, shape)
        return {}

    def _mask_shape(self, shape: Shape) -> Shape:
        size, channels = split(self, shape[1:])
        return (shape[0], *join(self, (1,) * len(size), channels))

"""Dropout as a layer."""

from __future__ import annotations

from typing import Any

import numpy as np

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Weights, WeightSpec
from arrayconv.namespace import Array


class Dropout(Layer):
    """In training each cell is 0 with probability ``rate``, and the others are scaled by ``1 / (1 - rate)``.

    Parameters
    ----------
    rate : float
        In [0, 1).
    noise_shape : sequence of int or None, optional
        With the batch axis: where it has 1, cells are dropped together; ``None`` is the input's own length.
    seed : int, optional
        Of what is dropped, instead of the one of `set_seed`.

    Raises
    ------
    TypeError
        A rate that is no number.
    ValueError
        A rate out of range; once the input's shape is known, a noise shape that does not fit it.

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
        given = self.noise_shape or shape
        drawn = tuple(n if m is None else m for n, m in zip(shape, given, strict=True))
        return np.broadcast_to(rng.random(drawn) >= self.rate, shape)

    def forward(self, w: Weights, x: Array, *, noise: Array | None) -> Array:
        return x if noise is None else ac.dropout(x, noise, rate=self.rate)

    def backward(self, dy: Array, w: Weights, *, noise: Array | None) -> Array:
        # the derivative does not depend on the input, so dy lends its shape
        return dy if noise is None else ac.dropout_vjp(dy, dy, noise, rate=self.rate)[0]

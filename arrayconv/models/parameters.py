"""The weights of a layer: declared, drawn, moved, read and replaced."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from arrayconv.models.arrays import moved
from arrayconv.models.initializers import Initializer
from arrayconv.models.shapes import Shape
from arrayconv.namespace import Array, to_numpy


class WeightSpec(NamedTuple):
    """A weight before it has values."""

    shape: Shape
    initializer: Initializer
    trainable: bool = True


class Parameters:
    """What a layer knows of its weights."""

    def __init__(self) -> None:
        self.specs: dict[str, WeightSpec] = {}
        self.weights: dict[str, Array] = {}
        self.built = False
        # Whether the weights have met data and so have its library, device and dtype.
        self.placed = False

    @property
    def label(self) -> str:
        """How errors call this layer."""
        return type(self).__name__

    def draw(self, position: int) -> None:
        """Give the weights their first values, unless they have some; ``position`` is the layer's in its model."""
        if not self.weights:
            self.weights = {
                name: spec.initializer(spec.shape, position, i)
                for i, (name, spec) in enumerate(self.specs.items())
            }

    def to(self, like: Array) -> None:
        """Move the weights to the library, device and floating dtype of the array ``like``."""
        self.weights = {name: moved(w, like) for name, w in self.weights.items()}
        self.placed = True

    def _drawn(self, op: str) -> dict[str, Array]:
        if len(self.weights) < len(self.specs) or not self.built:
            raise ValueError(
                f"{self.label}: {op} needs weights, and it has none yet: put the layer in a model whose "
                "input shape is known, or call it on an array"
            )
        return self.weights

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """The weights as NumPy arrays, in Keras's order."""
        return [to_numpy(w) for w in self._drawn("get_weights").values()]

    def set_weights(self, weights: Any) -> None:
        """Replace the weights by NumPy arrays in the order of `get_weights`.

        Raises
        ------
        ValueError
            Another number of arrays, or another shape; the layer is then unchanged.
        """
        self.weights = self.fitted(list(weights))

    def fitted(self, values: list[Any]) -> dict[str, Array]:
        """``values`` as this layer's weights: checked, and where the present ones are."""
        have = self._drawn("set_weights")
        if len(values) != len(have):
            raise ValueError(
                f"{self.label}: set_weights expects {len(have)} arrays ({_listed(self.specs)}), got {len(values)}"
            )
        new = {}
        for (name, old), value in zip(have.items(), values, strict=True):
            value = to_numpy(value)
            if value.shape != tuple(old.shape):
                raise ValueError(
                    f"{self.label}: {name} has the shape {tuple(old.shape)}, got {value.shape}"
                )
            new[name] = moved(value, old)
        return new

    def count_params(self) -> int:
        """The number of elements of all weights, trained or not."""
        if not self.built:
            raise ValueError(f"{self.label}: count_params needs an input shape; build it first")
        return sum(math.prod(spec.shape) for spec in self.specs.values())


def _listed(specs: Mapping[str, WeightSpec]) -> str:
    return ", ".join(f"{name} {spec.shape}" for name, spec in specs.items()) or "it has no weights"

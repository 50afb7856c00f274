"""Layers that change the shape."""

from __future__ import annotations

import math

import arrayconv as ac
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Weights
from arrayconv.namespace import Array


class Flatten(Layer):
    """All axes but the batch joined to one, in C order: `arrayconv.flatten`."""

    def output_shape(self, shape: Shape) -> Shape:
        return (math.prod(shape),)

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.flatten(x)

    def backward(self, dy: Array, w: Weights, x: Array) -> Array:
        return ac.flatten_vjp(dy, x)

"""Layers that join several inputs to one."""

from __future__ import annotations

from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Node, Weights
from arrayconv.namespace import Array


class Add(Layer):
    """The sum of two or more inputs of one shape, given as a list; on nodes also ``a + b``."""

    arity = None

    def output_shape(self, *shapes: Shape) -> Shape:
        if len(set(shapes)) > 1:
            raise ValueError(
                f"{self.label}: needs inputs of one shape, got {', '.join(map(str, shapes))}"
            )
        return shapes[0]

    def forward(self, w: Weights, *x: Array) -> Array:
        total = x[0]
        for term in x[1:]:
            total = total + term
        return total

    def backward(self, dy: Array, w: Weights, *x: Array) -> tuple[Array, ...]:
        return (dy,) * len(x)


Node.operators["+"] = Add

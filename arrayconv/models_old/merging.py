"""Layers that join several inputs to one."""

from __future__ import annotations

from typing import Any

from arrayconv.models_old.layer import Backward, Forward, Layer, Weights, WeightSpec
from arrayconv.models_old.shapes import Shape, checked_axis
from arrayconv.namespace import Array, array_namespace


class Add(Layer):
    """The sum of two or more inputs of one shape, given as a list."""

    arity = None
    uses = ()

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        if len(set(shapes)) > 1:
            raise ValueError(
                f"{self.label}: needs inputs of one shape, got {', '.join(map(str, shapes))}"
            )
        return shapes[0], {}

    def forward(
        self, w: Weights, *x: Array, training: bool = False, mask: Array | None = None
    ) -> Forward:
        total = x[0]
        for term in x[1:]:
            total = total + term
        return total, {}

    def backward(
        self,
        dy: Array,
        w: Weights,
        *x: Array,
        y: Array,
        training: bool = False,
        mask: Array | None = None,
        need: bool = True,
    ) -> Backward:
        return tuple(dy if need else None for _ in x), {}


class Concatenate(Layer):
    """Two or more inputs, given as a list, one after the other along an axis.

    Parameters
    ----------
    axis : int
        The batch is axis 0, and cannot be it.

    Raises
    ------
    ValueError
        Once the inputs' shapes are known: shapes that differ elsewhere, or an axis that they lack.
    """

    arity = None
    uses = ("x",)

    def __init__(self, axis: int = -1, **common: Any) -> None:
        super().__init__(**common)
        self.axis = axis

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        axis = checked_axis(self.label, self.axis, shapes[0]) - 1
        rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
        if len(rest) > 1 or len({len(shape) for shape in shapes}) > 1:
            raise ValueError(
                f"{self.label}: needs inputs that differ along axis {self.axis} alone, "
                f"got {', '.join(map(str, shapes))}"
            )
        first = shapes[0]
        length = sum(shape[axis] for shape in shapes)
        return (*first[:axis], length, *first[axis + 1 :]), {}

    def forward(
        self, w: Weights, *x: Array, training: bool = False, mask: Array | None = None
    ) -> Forward:
        xp = array_namespace(self.label, **{f"input {i}": a for i, a in enumerate(x)})
        return xp.concat(x, axis=self.axis), {}

    def backward(
        self,
        dy: Array,
        w: Weights,
        *x: Array,
        y: Array,
        training: bool = False,
        mask: Array | None = None,
        need: bool = True,
    ) -> Backward:
        if not need:
            return tuple(None for _ in x), {}
        axis, start, parts = self.axis % dy.ndim, 0, []
        for a in x:
            stop = start + a.shape[axis]
            parts.append(dy[(slice(None),) * axis + (slice(start, stop), ...)])
            start = stop
        return tuple(parts), {}

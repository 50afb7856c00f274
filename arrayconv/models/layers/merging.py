"""Layers that merge several inputs into one output."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any, ClassVar

from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Node, Weights
from arrayconv.namespace import Array, array_namespace, unchunked


class _CellByCell(Layer):
    arity: ClassVar[int | None] = None

    def output_shape(self, *shapes: Shape) -> Shape:
        widest = tuple(max(lengths) for lengths in zip(*shapes, strict=False))
        for shape in shapes:
            fits = (n in (1, m) for n, m in zip(shape, widest, strict=False))
            if len(shape) != len(widest) or not all(fits):
                raise ValueError(
                    f"{self.label}: needs inputs of one shape, got {', '.join(map(str, shapes))}; "
                    "only lengths of 1 are repeated"
                )
        return widest


class Add(_CellByCell):
    """The sum of two or more inputs, given as a list; for two nodes also ``a + b``.

    The inputs have the same number of axes; apart from the batch, axes of length 1 are broadcast.

    Raises
    ------
    ValueError
        Once the input shapes are known: if they cannot be broadcast, or there is only one input.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> models.Add()([np.ones((2, 3)), np.ones((2, 1))])
    array([[2., 2., 2.],
           [2., 2., 2.]])
    """

    def forward(self, w: Weights, *x: Array) -> Array:
        return reduce(operator.add, x)

    def backward(self, dy: Array, w: Weights, *x: Array) -> tuple[Array, ...]:
        return tuple([_folded(dy, a) for a in x])


class Average(Add):
    """The mean of two or more inputs, given as a list. Shapes and errors as for `Add`."""

    def forward(self, w: Weights, *x: Array) -> Array:
        return super().forward(w, *x) / len(x)

    def backward(self, dy: Array, w: Weights, *x: Array) -> tuple[Array, ...]:
        return super().backward(dy / len(x), w, *x)


class Subtract(_CellByCell):
    """The first of two inputs minus the second; for nodes also ``a - b``. Shapes and errors as for `Add`."""

    arity = 2

    def forward(self, w: Weights, a: Array, b: Array) -> Array:
        return a - b

    def backward(self, dy: Array, w: Weights, a: Array, b: Array) -> tuple[Array, ...]:
        return _folded(dy, a), _folded(-dy, b)


class Multiply(_CellByCell):
    """The product of two or more inputs, given as a list; for nodes also ``a * b``. Shapes and errors as for `Add`."""

    def forward(self, w: Weights, *x: Array) -> Array:
        return reduce(operator.mul, x)

    def backward(self, dy: Array, w: Weights, *x: Array) -> tuple[Array, ...]:
        found = []
        for i, a in enumerate(x):
            dx = reduce(operator.mul, (*x[:i], *x[i + 1 :]), dy)
            found.append(_folded(dx, a))
        return tuple(found)


class Maximum(_CellByCell):
    """The elementwise maximum of two or more inputs, given as a list. Shapes and errors as for `Add`.

    Where several inputs have the maximum, each gets an equal share of the gradient.
    """

    def forward(self, w: Weights, *x: Array) -> Array:
        return reduce(array_namespace(self.label, x=x[0]).maximum, x)

    def backward(self, dy: Array, w: Weights, *x: Array, y: Array) -> tuple[Array, ...]:
        xp = array_namespace(self.label, dy=dy)
        chosen = [xp.astype(a == y, dy.dtype) for a in x]
        share = dy / sum(chosen[1:], chosen[0])
        return tuple([_folded(share * c, a) for a, c in zip(x, chosen, strict=True)])


class Minimum(Maximum):
    """The elementwise minimum of two or more inputs, given as a list. Shapes, errors and ties as for `Maximum`."""

    def forward(self, w: Weights, *x: Array) -> Array:
        return reduce(array_namespace(self.label, x=x[0]).minimum, x)


class Concatenate(Layer):
    """Two or more inputs, given as a list, concatenated along an axis.

    Parameters
    ----------
    axis : int
        Not 0, which is the batch.

    Raises
    ------
    ValueError
        Once the input shapes are known: if they differ along another axis, or have no such axis.
    """

    arity = None

    def __init__(self, axis: int = -1, **common: Any) -> None:
        super().__init__(**common)
        self.axis = axis

    def output_shape(self, *shapes: Shape) -> Shape:
        axis = checks.axis(self.label, self.axis, shapes[0]) - 1
        rest = {(*shape[:axis], *shape[axis + 1 :]) for shape in shapes}
        if len(rest) > 1 or len({len(shape) for shape in shapes}) > 1:
            raise ValueError(
                f"{self.label}: needs inputs that differ along axis {self.axis} alone, "
                f"got {', '.join(map(str, shapes))}"
            )
        first = shapes[0]
        length = sum(shape[axis] for shape in shapes)
        return (*first[:axis], length, *first[axis + 1 :])

    def forward(self, w: Weights, *x: Array) -> Array:
        y = array_namespace(self.label, x=x[0]).concat(x, axis=self.axis)
        return unchunked(y, self.axis)

    def backward(self, dy: Array, w: Weights, *x: Array) -> tuple[Array, ...]:
        axis, start, parts = self.axis % dy.ndim, 0, []
        for a in x:
            stop = start + a.shape[axis]
            parts.append(dy[(slice(None),) * axis + (slice(start, stop), ...)])
            start = stop
        return tuple(parts)


def _function(kind: type[Layer]) -> Callable[..., Any]:
    def call(inputs: Any, *arguments: Any, **named: Any) -> Any:
        return kind(*arguments, **named)(inputs)

    call.__name__ = call.__qualname__ = kind.__name__.lower()
    call.__doc__ = f"The same as ``{kind.__name__}(*arguments, **named)(inputs)``."
    return call


add, average, concatenate, maximum, minimum, multiply, subtract = map(
    _function, (Add, Average, Concatenate, Maximum, Minimum, Multiply, Subtract)
)


def _folded(dy: Array, x: Array) -> Array:
    """``dy`` summed over the axes along which ``x`` was broadcast."""
    if dy.shape == x.shape:
        return dy
    # the batch is never broadcast, and lazy libraries may not know its length
    axes = tuple(i for i in range(1, x.ndim) if x.shape[i] == 1 != dy.shape[i])
    xp = array_namespace("merge", dy=dy)
    return xp.sum(dy, axis=axes, keepdims=True) if axes else dy


Node.operators.update({"+": Add, "-": Subtract, "*": Multiply})

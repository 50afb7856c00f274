"""Nodes of a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from arrayconv.models import checks
from arrayconv.models.checks import Shape


@dataclass(frozen=True, eq=False)
class Node:
    """The symbolic output of a layer called on other nodes, or of an `Input`: a shape without values.

    Attributes
    ----------
    layer : Layer
        The layer that was called.
    inputs : tuple of Node
        What it was called on; empty for an `Input`.
    sample : tuple of int
        The shape without the batch axis.
    """

    # the layers for +, - and *, which layers.merging fills in
    operators: ClassVar[dict[str, Any]] = {}

    layer: Any
    inputs: tuple[Node, ...]
    sample: Shape

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape as in Keras, with ``None`` for the batch axis."""
        return (None, *self.sample)

    def __add__(self, other: Any) -> Any:
        return self._joined("+", other)

    def __sub__(self, other: Any) -> Any:
        return self._joined("-", other)

    def __mul__(self, other: Any) -> Any:
        return self._joined("*", other)

    def _joined(self, sign: str, other: Any) -> Any:
        if isinstance(other, int | float):
            raise TypeError(f"{self!r} {sign} {other}: Rescaling(scale, offset) takes numbers")
        if sign not in self.operators or not isinstance(other, Node):
            return NotImplemented
        return self.operators[sign]()([self, other])

    def __repr__(self) -> str:
        return f"Node({self.layer.label}, shape={checks.batched(self.sample)})"

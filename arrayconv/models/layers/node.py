"""A place in a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from arrayconv.models import checks
from arrayconv.models.checks import Shape


@dataclass(frozen=True, eq=False)
class Node:
    """What a layer called on other nodes gives: a place in a graph, with a shape (no batch axis) and no values."""

    # the layer behind each sign between two nodes, filled where these layers are
    operators: ClassVar[dict[str, Any]] = {}

    layer: Any
    inputs: tuple[Node, ...]
    shape: Shape

    def __add__(self, other: Any) -> Any:
        return self._joined("+", other)

    def __sub__(self, other: Any) -> Any:
        return self._joined("-", other)

    def __mul__(self, other: Any) -> Any:
        return self._joined("*", other)

    def _joined(self, sign: str, other: Any) -> Any:
        if sign not in self.operators or not isinstance(other, Node):
            return NotImplemented
        return self.operators[sign]()([self, other])

    def __repr__(self) -> str:
        return f"Node({self.layer.label}, shape={checks.batched(self.shape)})"

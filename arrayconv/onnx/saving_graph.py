"""The graph of an ONNX file while it is written: nodes, constants and the layout of each value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Config = Mapping[str, Any]


class Value(NamedTuple):
    """A value by its name; ``first`` says whether its layout is channels first, as ONNX's operators expect."""

    name: str
    ndim: int
    first: bool


class Writer:
    """The graph being written, to which each layer adds its nodes."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.turned: dict[tuple[str, bool], Value] = {}
        self.count = 0

    def node(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        self.count += 1
        name = f"{operator.lower()}_{self.count}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, value: NDArray[Any], name: str) -> str:
        name = (
            name if all(t.name != name for t in self.constants) else f"{name}:{len(self.constants)}"
        )
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(self, config: Config, name: str) -> NDArray[Any] | None:
        found = self.weights.get(f"{config['name']}/{name}")
        return None if found is None else found.astype(np.float32)

    def order(self, value: Value, first: bool) -> Value:
        """The value in channels_first layout, or in channels_last, transposed if needed."""
        if value.ndim < 3 or value.first == first:
            return value._replace(first=first)
        key = value.name, first
        if key not in self.turned:
            last = (0, *range(2, value.ndim), 1)
            perm = (0, value.ndim - 1, *range(1, value.ndim - 1)) if first else last
            self.turned[key] = Value(
                self.node("Transpose", [value.name], perm=perm), value.ndim, first
            )
            self.turned[self.turned[key].name, value.first] = value
        return self.turned[key]

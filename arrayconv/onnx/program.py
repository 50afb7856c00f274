"""A graph ready to run, and what it keeps from one call to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arrayconv.namespace import Array
from arrayconv.onnx.faster import settled
from arrayconv.onnx.graph import Graph
from arrayconv.onnx.running import deaths

SETTLED = 2**20
"""Elements of what follows from the shapes of inputs, above which it is computed again in every call."""


@dataclass(eq=False)
class Program:
    """A graph ready to run: when values die, and its constants in the last place it ran."""

    graph: Graph
    deaths: list[list[str]]
    placed: tuple[Any, dict[str, Array]] | None = None
    settled: dict[tuple[tuple[int, ...], ...], Program] = field(default_factory=dict)

    def settle(self, shapes: tuple[tuple[int, ...], ...], values: dict[str, Any]) -> None:
        """Keep a program for inputs of these shapes, in which what follows from them is constant."""
        if sum(np.size(value) for value in values.values()) > SETTLED:
            self.settled[shapes] = self
            return
        graph = settled(self.graph, values)
        found = Program(graph, deaths(graph))
        if self.placed is not None:
            # the same arrays, not copies of them
            found.placed = (self.placed[0], dict(self.placed[1]))
        while len(self.settled) >= 4:
            self.settled.pop(next(iter(self.settled)))
        self.settled[shapes] = found

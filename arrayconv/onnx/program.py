"""A graph ready to run, with what it caches between calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from arrayconv.namespace import Array
from arrayconv.onnx.faster import settled
from arrayconv.onnx.graph import Graph
from arrayconv.onnx.running import deaths

SETTLED = 2**20
"""The largest number of elements cached of values that depend only on the shapes of inputs; more are recomputed."""


@dataclass(eq=False)
class Program:
    """A graph ready to run.

    Attributes
    ----------
    graph : Graph
    deaths : list of list of str
        For each step the values that no later one needs.
    placed : tuple or None
        The library and device of the last call, and the constants there.
    settled : dict
        By shapes of the inputs, the program specialized to them.
    """

    graph: Graph
    deaths: list[list[str]]
    placed: tuple[Any, dict[str, Array]] | None = None
    settled: dict[tuple[tuple[int, ...], ...], Program] = field(default_factory=dict)

    def settle(self, shapes: tuple[tuple[int, ...], ...], values: dict[str, Any]) -> None:
        """Cache a program for inputs of these shapes, in which the values that depend only on them are constants."""
        if sum(np.size(value) for value in values.values()) > SETTLED:
            self.settled[shapes] = self
            return
        graph = settled(self.graph, values)
        found = Program(graph, deaths(graph))
        if self.placed is not None:
            # share the arrays that are on the device already
            found.placed = (self.placed[0], dict(self.placed[1]))
        while len(self.settled) >= 4:
            self.settled.pop(next(iter(self.settled)))
        self.settled[shapes] = found

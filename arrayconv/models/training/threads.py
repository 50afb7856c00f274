"""Limiting the thread pools of NumPy and torch while all matrix products are too small to gain from threads."""

from __future__ import annotations

import math
from contextlib import ExitStack

from arrayconv.models.graph import Graph
from arrayconv.namespace import Array, array_namespace, library

# The multiplications in a product below which one thread is used. On two busy cores two threads took 30 times as
# long as one at 1e6 to 1e7, 5 times at 2e7, and as long from 4e8 on; below 1e6 the libraries use one anyway.
_SMALL = 5e7


class Threads(ExitStack):
    """A context in which `suit` may limit NumPy's and torch's products to one thread."""

    def suit(self, graph: Graph, x: Array) -> None:
        """Use one thread if every product in a batch like ``x`` is small; else change nothing."""
        if library(array_namespace("fit", x=x)) not in ("numpy", "torch") or "cpu" not in str(
            getattr(x, "device", "cpu")
        ):
            return
        if largest_product(graph, int(x.shape[0])) > _SMALL:
            return
        import threadpoolctl

        self.enter_context(threadpoolctl.threadpool_limits(1))


def largest_product(graph: Graph, batch: int) -> int:
    """The number of multiplications in the largest matrix product for ``batch`` samples."""
    return max(
        (
            batch * math.prod(node.sample) * math.prod(spec.shape[:-1])
            for node in graph.nodes
            for spec in node.layer.specs.values()
            if len(spec.shape) > 1
        ),
        default=0,
    )

"""Pools of threads, which small products on a busy machine only wait for."""

from __future__ import annotations

import math
from contextlib import ExitStack

from arrayconv.models.graph import Graph
from arrayconv.namespace import Array, array_namespace, library

# Multiplications of one product in a batch. On two busy cores two threads took 30 times as long as one at
# 1e6 to 1e7, 5 times at 2e7, and as long as one from 4e8 on; below 1e6 the libraries use one by themselves.
_SMALL = 5e7


class Threads(ExitStack):
    """While it is open, no more threads than the products of a batch are worth; needs threadpoolctl, else nothing."""

    def suit(self, graph: Graph, x: Array) -> None:
        """Choose for batches like ``x``: one thread where every product is small, and as it was elsewhere."""
        if library(array_namespace("fit", x=x)) not in ("numpy", "torch") or "cpu" not in str(
            getattr(x, "device", "cpu")
        ):
            return
        if largest_product(graph, int(x.shape[0])) > _SMALL:
            return
        try:
            import threadpoolctl
        except ImportError:
            return
        self.enter_context(threadpoolctl.threadpool_limits(1))


def largest_product(graph: Graph, batch: int) -> int:
    """How many multiplications the largest matrix product of a batch of so many samples makes."""
    return max(
        (
            batch * math.prod(node.sample) * math.prod(spec.shape[:-1])
            for node in graph.nodes
            for spec in node.layer.specs.values()
            if len(spec.shape) > 1
        ),
        default=0,
    )

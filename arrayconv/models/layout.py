"""Where each node of a graph stands in a picture: rows from the inputs down, few crossings."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

from arrayconv.models.layers.base import Node

# How wide a line is that passes a row, where a box is 1.
_PASSING = 0.25
_SWEEPS = 4


def arranged(
    nodes: Sequence[Node], inputs: Sequence[Node]
) -> tuple[dict[Any, tuple[float, int]], list[list[Any]]]:
    """Place ``nodes``, which come in an order in which each is after its inputs.

    Returns
    -------
    places : dict
        Of each node, and of each point at which an edge passes a row: how far from the middle, in widths of a
        box, and the row, counted from the top.
    edges : list of list
        A node, the points that the line passes on its way, and the node it ends at.
    """
    parents = {node: () if node in inputs else node.inputs for node in nodes}
    rows: dict[Any, int] = {}
    for node in nodes:
        rows[node] = 1 + max((rows[parent] for parent in parents[node]), default=-1)
    for start in inputs:
        # an input that is read late stands just above its first reader
        rows[start] = min((rows[n] for n in nodes if start in parents[n]), default=1) - 1
    edges: list[list[Any]] = []
    for child in nodes:
        for parent in parents[child]:
            between = range(rows[parent] + 1, rows[child])
            edges.append([parent, *((len(edges), row) for row in between), child])
    rows |= {point: point[1] for edge in edges for point in edge[1:-1]}
    above, below = defaultdict(list), defaultdict(list)
    for edge in edges:
        for upper, lower in pairwise(edge):
            above[lower].append(upper)
            below[upper].append(lower)
    standing: list[list[Any]] = [[] for _ in range(max(rows.values()) + 1)]
    for item, row in rows.items():
        standing[row].append(item)
    xs: dict[Any, float] = {}
    for items in standing:
        _spread(items, xs)
    # alternately by the mean place of what stands above and below (Sugiyama et al., 1981)
    for _ in range(_SWEEPS):
        for order, beside in ((standing, above), (standing[::-1], below)):
            for items in order:
                means = {i: fmean([xs[n] for n in beside[i]] or [xs[i]]) for i in items}
                items.sort(key=means.__getitem__)
                _spread(items, xs)
    return {item: (xs[item], row) for item, row in rows.items()}, edges


def _spread(items: list[Any], xs: dict[Any, float]) -> None:
    widths = [1.0 if isinstance(item, Node) else _PASSING for item in items]
    left = -sum(widths) / 2
    for item, width in zip(items, widths, strict=True):
        xs[item] = left + width / 2
        left += width

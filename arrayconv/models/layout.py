"""Where each node of a graph stands in a picture: rows from the inputs down, few crossings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from arrayconv.models.layers.base import Node

# How wide a line is that passes a row, where a box is 1.
_PASSING = 0.25
_SWEEPS = 4


class Place(NamedTuple):
    """A row, counted from the top, and a place in it, in widths of a box from the middle."""

    row: int
    x: float


class Layout(NamedTuple):
    """The places of the nodes, and for each edge the places that its line passes on its way."""

    places: dict[Node, Place]
    edges: list[tuple[Node, Node, list[Place]]]
    width: float
    height: int


def arranged(nodes: Sequence[Node], inputs: Sequence[Node]) -> Layout:
    """Place ``nodes``, which come in an order in which each is after its inputs."""
    rows = _rows(nodes, inputs)
    height = max(rows.values()) + 1
    # what stands in each row, left to right: a node, or an edge (its number and its row) that passes
    standing: list[list[Node | tuple[int, int]]] = [[] for _ in range(height)]
    for node in nodes:
        standing[rows[node]].append(node)
    above: dict[Node | tuple[int, int], list[Node | tuple[int, int]]] = {n: [] for n in nodes}
    edges: list[tuple[Node, Node]] = []
    for child in nodes:
        for parent in () if child in inputs else child.inputs:
            before: Node | tuple[int, int] = parent
            for row in range(rows[parent] + 1, rows[child]):
                passing = len(edges), row
                standing[row].append(passing)
                above[passing] = [before]
                before = passing
            above[child].append(before)
            edges.append((parent, child))
    xs = _ordered(standing, above)
    places = {node: Place(rows[node], xs[node]) for node in nodes}
    lines = [
        (
            parent,
            child,
            [Place(row, xs[number, row]) for row in range(rows[parent] + 1, rows[child])],
        )
        for number, (parent, child) in enumerate(edges)
    ]
    return Layout(places, lines, 2 * max(map(abs, xs.values())) + 1, height)


def _rows(nodes: Sequence[Node], inputs: Sequence[Node]) -> dict[Node, int]:
    rows: dict[Node, int] = {}
    for node in nodes:
        parents = () if node in inputs else node.inputs
        rows[node] = 1 + max((rows[parent] for parent in parents), default=-1)
    for start in inputs:
        # an input that is read late stands just above its first reader
        readers = [rows[n] for n in nodes if n not in inputs and start in n.inputs]
        rows[start] = min(readers, default=1) - 1
    return rows


def _ordered(
    standing: list[list[Node | tuple[int, int]]],
    above: dict[Node | tuple[int, int], list[Node | tuple[int, int]]],
) -> dict[Node | tuple[int, int], float]:
    below: dict[Node | tuple[int, int], list[Node | tuple[int, int]]] = {}
    for item, parents in above.items():
        for parent in parents:
            below.setdefault(parent, []).append(item)
    xs: dict[Node | tuple[int, int], float] = {}
    for row in standing:
        _spread(row, xs)
    # alternately by the mean place of what stands above and below (Sugiyama et al., 1981)
    for _ in range(_SWEEPS):
        for rows, neighbours in ((standing, above), (standing[::-1], below)):
            for row in rows:
                means = {
                    item: _mean([xs[other] for other in neighbours.get(item, [])], xs[item])
                    for item in row
                }
                row.sort(key=means.__getitem__)
                _spread(row, xs)
    return xs


def _spread(row: list[Node | tuple[int, int]], xs: dict[Node | tuple[int, int], float]) -> None:
    widths = [1.0 if isinstance(item, Node) else _PASSING for item in row]
    left = -sum(widths) / 2
    for item, width in zip(row, widths, strict=True):
        xs[item] = left + width / 2
        left += width


def _mean(values: list[float], default: float) -> float:
    return sum(values) / len(values) if values else default

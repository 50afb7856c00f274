"""The table that ``summary`` prints, and the picture that `plot_model` draws."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from statistics import fmean
from typing import Any

from arrayconv.models.checks import batched, refuse
from arrayconv.models.config import Described
from arrayconv.models.graph import Graph
from arrayconv.models.layers.base import Node
from arrayconv.models.topology import snake

# Colour-blind safe (Okabe and Ito), pale enough for black text.
_INPUT, _WEIGHTED, _PLAIN = "#cfe8f7", "#fbe3b5", "#f2f2f2"
_LINE = "#555555"
# In inches: a row, a line of text, the frame around it, the width of a letter, the space between boxes.
_ROW, _TEXT, _FRAME, _LETTER, _GAP = 1.0, 0.146, 0.055, 0.075, 0.35
# The width of a line that passes through a row, in boxes, and the number of sweeps that reorder the rows.
_PASSING, _SWEEPS = 0.25, 4

# Arguments of Keras's plot_model that this one does not have.
_REFUSED = dict.fromkeys(
    (
        *("dpi", "expand_nested", "rankdir", "show_dtype", "show_layer_activations"),
        *("show_layer_names", "show_trainable"),
    ),
    "leave it out: the picture always shows the layers' names, also those of nested models",
)


def table(model: Described) -> str:
    """Layers, output shapes and parameter counts as text.

    A shared layer has a row for each of its calls, and its parameters are counted in the first. If the
    layers are not a chain, another column names the inputs of each.

    Raises
    ------
    ValueError
        If the input shape is not known yet.
    """
    graph = model.graph
    chain = len(graph.inputs) == 1 and len(graph.layers) == len(graph.nodes)
    chain = chain and all(node.inputs == (before,) for before, node in pairwise(graph.nodes))
    rows = [["layer", "kind", "output shape", "parameters", "reads"]]
    for node in graph.nodes:
        layer, key = node.layer, graph.keys[node]
        kind = "Input" if not node.inputs and not layer.specs else type(layer).__name__
        count = f"{layer.count_params():,}" if key == graph.names[layer] else "shared"
        reads = ", ".join(graph.keys[parent] for parent in node.inputs if parent in graph.keys)
        if node.inputs or not chain:
            rows.append([key, kind, batched(node.sample), count, reads])
    if chain:
        rows = [row[:-1] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[3] = row[3].rjust(widths[3])
        lines.append("  ".join(cells).rstrip())
    rule = "-" * max(map(len, lines))
    total = graph.count_params()
    trained = sum(
        math.prod(spec.shape)
        for layer in graph.layers
        if layer.trainable
        for spec in layer.specs.values()
        if spec.trainable
    )
    counts = f"parameters: {total:,}, trained: {trained:,}, not trained: {total - trained:,}"
    return "\n".join([f"Model: {model.name}", lines[0], rule, *lines[1:], rule, counts])


def plot_model(
    model: Described, to_file: Any = None, show_shapes: bool = True, **unknown: Any
) -> Any:
    """Draw a model's layers as boxes with output shapes and parameter counts, joined by arrows.

    Parameters
    ----------
    model : Model
        Its input shape must be known.
    to_file : path, optional
        Where to save the picture; the suffix chooses the format.
    show_shapes : bool
        Whether to show output shapes.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    TypeError
        An argument of Keras's ``plot_model`` that is not supported here.
    ValueError
        If the input shape is not known yet.

    Examples
    --------
    >>> from arrayconv import models
    >>> model = models.Sequential([models.Dense(3, input_shape=(4,))])
    >>> models.plot_model(model)  # doctest: +SKIP
    <Figure size ...>
    """
    refuse("plot_model", unknown, ("model", "to_file", "show_shapes"), _REFUSED)
    graph = model.graph
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("plot_model needs matplotlib: pip install 'arrayconv[plot]'") from error
    labels = {node: _label(graph, node, show_shapes) for node in graph.nodes}
    letters = max(len(line) for text in labels.values() for line in text.split("\n"))
    column = _LETTER * letters + _GAP
    places, edges = _arranged(graph.nodes, graph.inputs)
    # one unit is one inch
    points = {item: (x * column, 0.1 - (row + 0.5) * _ROW) for item, (x, row) in places.items()}
    halves = {n: (text.count("\n") + 1) * _TEXT / 2 + _FRAME for n, text in labels.items()}
    width = 2 * max(abs(x) for x, _ in points.values()) + column + 0.2
    height = (max(row for _, row in places.values()) + 1) * _ROW + 0.1
    figure = Figure(figsize=(width, height))
    # the user's matplotlibrc may ask for a layout engine, which would move these axes
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(-width / 2, width / 2)
    axes.set_ylim(0.15 - height, 0.15)
    for parent, *passed, child in edges:
        x, y = points[parent]
        line = [(x, y - halves[parent]), *(points[point] for point in passed)]
        axes.plot(*zip(*line, strict=True), color=_LINE, linewidth=1.2, zorder=1)
        x, y = points[child]
        axes.annotate(
            "",
            xy=(x, y + halves[child]),
            xytext=line[-1],
            arrowprops={"arrowstyle": "-|>", "color": _LINE, "shrinkA": 0, "shrinkB": 0},
            zorder=1,
        )
    for node, text in labels.items():
        colour = _INPUT if not node.inputs else _WEIGHTED if node.layer.specs else _PLAIN
        box = {"boxstyle": "round,pad=0.35", "facecolor": colour, "edgecolor": _LINE}
        x, y = points[node]
        axes.text(x, y, text, ha="center", va="center", fontsize=9, bbox=box, zorder=2)
    if to_file is not None:
        figure.savefig(to_file, dpi=150)
    return figure


def _label(graph: Graph, node: Node, shapes: bool) -> str:
    layer = node.layer
    kind = type(layer).__name__
    named = not node.inputs or graph.keys[node].startswith(snake(kind))
    lines = [graph.keys[node], *(() if named else (kind,))]
    if shapes:
        lines.append(batched(node.sample))
    if layer.specs:
        shared = graph.keys[node] != graph.names[layer]
        lines.append("shared" if shared else f"{layer.count_params():,} parameters")
    return "\n".join(lines)


def _arranged(
    nodes: Sequence[Node], inputs: Sequence[Node]
) -> tuple[dict[Any, tuple[float, int]], list[list[Any]]]:
    """Arrange ``nodes``, in topological order, in rows from the inputs down, with few crossing edges.

    Returns
    -------
    places : dict
        For each node, and for each point where an edge passes through a row: the distance from the middle in
        widths of a box, and the row counted from the top.
    edges : list of list
        For each edge its start node, the points it passes through, and its end node.
    """
    parents = {node: () if node in inputs else node.inputs for node in nodes}
    rows: dict[Any, int] = {}
    for node in nodes:
        rows[node] = 1 + max((rows[parent] for parent in parents[node]), default=-1)
    for start in inputs:
        # an input that is first used further down stands just above that layer
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
    # order each row by the mean position of its neighbours, alternately above and below (Sugiyama et al., 1981)
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

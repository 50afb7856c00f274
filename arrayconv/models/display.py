"""What a model looks like: the table of `summary`, and a picture of its graph."""

from __future__ import annotations

import math
from typing import Any

from arrayconv.models.checks import batched, refuse
from arrayconv.models.config import Described
from arrayconv.models.graph import Graph
from arrayconv.models.layers.base import Node
from arrayconv.models.layout import Place, arranged
from arrayconv.models.topology import snake

# Colour-blind safe (Okabe and Ito), pale enough for black text.
_INPUT, _WEIGHTED, _PLAIN = "#cfe8f7", "#fbe3b5", "#f2f2f2"
_LINE = "#555555"
# In inches: a row, a line of text, the frame around it, the width of a letter, the space between boxes.
_ROW, _TEXT, _FRAME, _LETTER, _GAP = 1.0, 0.146, 0.055, 0.075, 0.35

# What Keras's picture can be told and this one cannot.
_REFUSED = dict.fromkeys(
    (
        *("dpi", "expand_nested", "rankdir", "show_dtype", "show_layer_activations"),
        *("show_layer_names", "show_trainable"),
    ),
    "leave it out: the picture has one form, with the layers' names and of models inside",
)


def table(model: Described) -> str:
    """Layers, output shapes and numbers of parameters as text.

    A layer that is shared has a row for each of its calls; its parameters count in the first. A graph
    that is not a chain has a column that says what each layer reads.

    Parameters
    ----------
    model : Model
        With its input shape known.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the input shape is not known yet.
    """
    graph = model.graph
    chain = all(len(node.inputs) < 2 for node in graph.nodes) and len(graph.inputs) == 1
    chain = chain and len(set(graph.keys.values())) == len(graph.layers)
    chain = chain and all(
        node.inputs == (before,) for before, node in zip(graph.nodes, graph.nodes[1:], strict=False)
    )
    shown = [node for node in graph.nodes if node.inputs] if chain else graph.nodes
    header = ["layer", "kind", "output shape", "parameters", *([] if chain else ["reads"])]
    rows = [
        header,
        *(
            [
                *_row(node, graph.keys[node], graph.names[node.layer]),
                *([] if chain else [_reads(node, graph.keys)]),
            ]
            for node in shown
        ),
    ]
    widths = [max(len(row[i]) for row in rows) for i in range(len(header))]
    lines = [_line(row, widths) for row in rows]
    rule = "-" * max(map(len, lines))
    total = graph.count_params()
    trained = sum(
        math.prod(spec.shape)
        for layer in graph.layers
        if layer.trainable
        for spec in layer.specs.values()
        if spec.trainable
    )
    return "\n".join(
        [
            f"Model: {model.name}",
            lines[0],
            rule,
            *lines[1:],
            rule,
            f"parameters: {total:,}, trained: {trained:,}, not trained: {total - trained:,}",
        ]
    )


def _row(node: Node, key: str, name: str) -> list[str]:
    layer = node.layer
    first = key == name
    kind = "Input" if not node.inputs and not layer.specs else type(layer).__name__
    return [key, kind, batched(node.sample), f"{layer.count_params():,}" if first else "shared"]


def _reads(node: Node, keys: dict[Node, str]) -> str:
    return ", ".join(keys[parent] for parent in node.inputs if parent in keys)


def _line(row: list[str], widths: list[int]) -> str:
    cells = [
        cell.rjust(width) if i == 3 else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def plot_model(
    model: Described, to_file: Any = None, show_shapes: bool = True, **unknown: Any
) -> Any:
    """Draw the layers of a model, with output shapes and numbers of parameters, and the arrows between them.

    Parameters
    ----------
    model : Model
        With its input shape known.
    to_file : path, optional
        Where to save the picture; its suffix chooses the format.
    show_shapes : bool
        Whether to write the shapes of the outputs.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        Without matplotlib.
    TypeError
        An argument of Keras's that is not here.
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
    layout = arranged(graph.nodes, graph.inputs)
    size = (layout.width * column + 0.2, layout.height * _ROW + 0.1)
    figure = Figure(figsize=size)
    # the user's settings may ask for a layout of axes in a grid, which there is not
    figure.set_layout_engine("none")
    # one unit is one inch
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_xlim(-figure.get_figwidth() / 2, figure.get_figwidth() / 2)
    axes.set_ylim(0.05 - layout.height * _ROW, 0.15)
    for parent, child, passed in layout.edges:
        start, *way = (_point(p, column) for p in (layout.places[parent], *passed))
        end = _point(layout.places[child], column)
        line = [(start[0], start[1] - _half(labels[parent])), *way]
        axes.plot(*zip(*line, strict=True), color=_LINE, linewidth=1.2, zorder=1)
        axes.annotate(
            "",
            xy=(end[0], end[1] + _half(labels[child])),
            xytext=line[-1],
            arrowprops={"arrowstyle": "-|>", "color": _LINE, "shrinkA": 0, "shrinkB": 0},
            zorder=1,
        )
    for node, text in labels.items():
        axes.text(
            *_point(layout.places[node], column),
            text,
            ha="center",
            va="center",
            fontsize=9,
            bbox={"boxstyle": "round,pad=0.35", "facecolor": _colour(node), "edgecolor": _LINE},
            zorder=2,
        )
    if to_file is not None:
        figure.savefig(to_file, dpi=150)
    return figure


def _point(place: Place, column: float) -> tuple[float, float]:
    return place.x * column, -(place.row + 0.5) * _ROW + 0.1


def _half(text: str) -> float:
    return (text.count("\n") + 1) * _TEXT / 2 + _FRAME


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


def _colour(node: Node) -> str:
    if not node.inputs:
        return _INPUT
    return _WEIGHTED if node.layer.specs else _PLAIN

"""A picture of a model's graph."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from arrayconv.models_old.layer import Node
from arrayconv.models_old.layout import Place, arranged
from arrayconv.models_old.names import snake

if TYPE_CHECKING:
    from arrayconv.models_old.graph import Graph
    from arrayconv.models_old.model import Model

# Colour-blind safe (Okabe and Ito), pale enough for black text.
_INPUT, _WEIGHTED, _PLAIN = "#cfe8f7", "#fbe3b5", "#f2f2f2"
_LINE = "#555555"
# In inches: a row, a line of text, the frame around it, the width of a letter, the space between boxes.
_ROW, _TEXT, _FRAME, _LETTER, _GAP = 1.0, 0.146, 0.055, 0.075, 0.35


def plot_model(model: Model, to_file: Any = None, show_shapes: bool = True) -> Any:
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
    ValueError
        If the input shape is not known yet.

    Examples
    --------
    >>> from arrayconv import models
    >>> model = models.Sequential([models.Dense(3, input_shape=(4,))])
    >>> models.plot_model(model)  # doctest: +SKIP
    <Figure size ...>
    """
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
        lines.append(f"({', '.join(['N', *map(str, node.shape)])})")
    if layer.specs:
        shared = graph.keys[node] != graph.names[layer]
        lines.append("shared" if shared else f"{layer.count_params():,} parameters")
    return "\n".join(lines)


def _colour(node: Node) -> str:
    if not node.inputs:
        return _INPUT
    return _WEIGHTED if node.layer.specs else _PLAIN

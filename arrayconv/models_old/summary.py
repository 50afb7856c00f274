"""The table of a model."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from arrayconv.models_old.layer import Node
    from arrayconv.models_old.model import Model
    from arrayconv.models_old.shapes import Shape


def table(model: Model) -> str:
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
    total = model.count_params()
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
    return [key, kind, _shape(node.shape), f"{layer.count_params():,}" if first else "shared"]


def _reads(node: Node, keys: dict[Node, str]) -> str:
    return ", ".join(keys[parent] for parent in node.inputs if parent in keys)


def _line(row: list[str], widths: list[int]) -> str:
    cells = [
        cell.rjust(width) if i == 3 else cell.ljust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _shape(shape: Shape) -> str:
    return f"({', '.join(['N', *map(str, shape)])})"

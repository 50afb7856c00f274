"""Where a loss that is not finite, or a label out of range, comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from arrayconv.models.graph import Graph
from arrayconv.models.layers.base import Node
from arrayconv.models.program import GraphWeights, Program
from arrayconv.models.training.objective import Objective
from arrayconv.namespace import Array, array_namespace

ADVICE = "A smaller learning rate, or clipnorm in the optimizer, often helps"


def first_not_finite(
    graph: Graph,
    weights: GraphWeights,
    x: Sequence[Array],
    y: Sequence[Array],
    weight: Array | None,
    noise: Mapping[int, Array],
) -> str:
    """Where a loss that is not finite comes from, in a sentence or two: the data, a weight, a layer or the loss."""
    xp = array_namespace("fit", x=x[0])

    def finite(a: Array) -> bool:
        return bool(xp.all(xp.isfinite(a))) if xp.isdtype(a.dtype, "real floating") else True

    for node, part in zip(graph.inputs, x, strict=True):
        if not finite(part):
            return f"The data are not: x of {node.layer.label} holds NaN or inf"
    if not all(map(finite, y)):
        return "The data are not: y holds NaN or inf"
    if weight is not None and not finite(weight):
        return "The data are not: sample_weight holds NaN or inf"
    for layer, own in weights.items():
        for name, w in own.items():
            if not finite(w):
                return f"The first layer that is not is {layer!r}: its weight '{layer}/{name}' is not finite. {ADVICE}"
    nodes = [node for node in graph.nodes if node not in graph.inputs]
    values = graph_values(graph, nodes, weights, x, noise)
    for node, value in values.items():
        if not finite(value):
            name, kind = graph.names[node.layer], type(node.layer).__name__
            return f"The first layer whose output is not is {name!r} ({kind}). {ADVICE}"
    last = max(graph.outputs, key=lambda node: float(xp.max(xp.abs(values[node]))))
    largest = float(xp.max(xp.abs(values[last])))
    name = graph.names[last.layer]
    return (
        f"Every layer is, but the loss overflows: the output of {name!r} is as large as {largest:.3g}. "
        f"{ADVICE}"
    )


def graph_values(
    graph: Graph,
    nodes: Sequence[Node],
    weights: GraphWeights,
    x: Sequence[Array],
    noise: Mapping[int, Array],
) -> dict[Node, Array]:
    """The output of every node in training, with the noise of the graph's own program."""
    # both programs number the nodes and the activations alike, whatever their outputs
    whole = Program(graph.label, graph.inputs, nodes, graph.nodes, graph.names)
    outputs, _, _ = whole.forward(weights, x, training=True, noise=noise, record=False)
    return dict(zip(nodes, outputs, strict=True))


def bad_labels(objective: Objective, graph: Graph, targets: Sequence[Array]) -> str:
    """What is wrong with the targets of a batch."""
    try:
        dtype = next(w.dtype for own in graph.weights.values() for w in own.values())
        shapes = [node.sample for node in graph.outputs]
        objective.check("", shapes, dtype, targets)
    except ValueError as error:
        return str(error).removeprefix(": ")
    return "y is out of range"

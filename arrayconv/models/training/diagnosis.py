"""Where a loss that is not finite, or a label out of range, comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from arrayconv.models.graph import Graph
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

    given = [(f"x of {node.layer.label}", a) for node, a in zip(graph.inputs, x, strict=True)]
    given += [("y", a) for a in y]
    given += [] if weight is None else [("sample_weight", weight)]
    for name, part in given:
        if not finite(part):
            return f"The data are not: {name} holds NaN or inf"
    for layer, own in weights.items():
        for name, w in own.items():
            if not finite(w):
                return f"The first layer that is not is {layer!r}: its weight '{layer}/{name}' is not finite. {ADVICE}"
    # the same graph with every node for an output; both number the nodes alike, and so the noise
    nodes = [node for node in graph.nodes if node not in graph.inputs]
    whole = Program(graph.label, graph.inputs, nodes, graph.nodes, graph.names)
    outputs, _, _ = whole.forward(weights, x, training=True, noise=noise, record=False)
    values = dict(zip(nodes, outputs, strict=True))
    for node, value in values.items():
        if not finite(value):
            name, kind = graph.names[node.layer], type(node.layer).__name__
            return f"The first layer whose output is not is {name!r} ({kind}). {ADVICE}"
    largest, name = max(
        (float(xp.max(xp.abs(values[node]))), graph.names[node.layer]) for node in graph.outputs
    )
    return f"Every layer is, but the loss overflows: the output of {name!r} is as large as {largest:.3g}. {ADVICE}"


def bad_labels(objective: Objective, graph: Graph, targets: Sequence[Array]) -> str:
    """What is wrong with the targets of a batch."""
    try:
        dtype = next(w.dtype for own in graph.weights.values() for w in own.values())
        objective.check("", graph.output_shapes, dtype, targets)
    except ValueError as error:
        return str(error).removeprefix(": ")
    return "y is out of range"

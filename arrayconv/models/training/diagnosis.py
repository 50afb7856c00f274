"""Finding the cause of a loss that is not finite, or of a label out of range."""

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
    """The cause of a loss that is not finite, in a sentence or two: the data, a weight, a layer or the loss."""
    xp = array_namespace("fit", x=x[0])

    def finite(a: Array) -> bool:
        return bool(xp.all(xp.isfinite(a))) if xp.isdtype(a.dtype, "real floating") else True

    given = [(f"x of {node.layer.label}", a) for node, a in zip(graph.inputs, x, strict=True)]
    given += [("y", a) for a in y]
    given += [] if weight is None else [("sample_weight", weight)]
    for name, part in given:
        if not finite(part):
            return f"The cause is in the data: {name} holds NaN or inf"
    for layer, own in weights.items():
        for name, w in own.items():
            if not finite(w):
                return f"The weight '{layer}/{name}' of layer {layer!r} is not finite. {ADVICE}"
    # the same graph with every node as an output; the nodes keep their numbers, so the noise fits
    nodes = [node for node in graph.nodes if node not in graph.inputs]
    whole = Program(graph.label, graph.inputs, nodes, graph.nodes, graph.names)
    outputs, _, _ = whole.forward(weights, x, training=True, noise=noise, record=False)
    values = dict(zip(nodes, outputs, strict=True))
    for node, value in values.items():
        if not finite(value):
            name, kind = graph.names[node.layer], type(node.layer).__name__
            return f"The first layer whose output is not finite is {name!r} ({kind}). {ADVICE}"
    largest, name = max(
        (float(xp.max(xp.abs(values[node]))), graph.names[node.layer]) for node in graph.outputs
    )
    return f"All outputs are finite, but the loss is not: the output of {name!r} reaches {largest:.3g}. {ADVICE}"


def bad_labels(objective: Objective, graph: Graph, targets: Sequence[Array]) -> str:
    """What is wrong with the targets of a batch, in words."""
    try:
        dtype = next(w.dtype for own in graph.weights.values() for w in own.values())
        objective.check("", graph.output_shapes, dtype, targets)
    except ValueError as error:
        return str(error).removeprefix(": ")
    return "y is out of range"

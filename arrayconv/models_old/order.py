"""The order of nodes and layers in a graph, which is Keras's, so that lists of weights agree."""

from __future__ import annotations

from collections.abc import Sequence

from arrayconv.models_old.layer import Layer, Node


def ordered(
    label: str, inputs: Sequence[Node], outputs: Sequence[Node]
) -> tuple[tuple[Node, ...], tuple[Layer, ...]]:
    """The nodes, each after its inputs, and the layers, those farthest from the outputs first.

    Layers at one distance come in the order in which a depth-first walk from the outputs meets them.

    Raises
    ------
    ValueError
        If a path from the outputs ends in an `Input` that is not among ``inputs``.
    """
    nodes, met = _walk(label, inputs, outputs)
    node_depth: dict[Node, int] = {}
    depths: dict[Layer, int] = {}
    for node in reversed(nodes):
        # a shared layer lies as far out as the farthest of its nodes seen so far
        depth = max(node_depth.get(node, 0), depths.get(node.layer, 0))
        node_depth[node] = depths[node.layer] = depth
        for parent in () if node in inputs else node.inputs:
            node_depth[parent] = max(node_depth.get(parent, 0), depth + 1)
    layers = sorted(met, key=lambda layer: (-depths[layer], met[layer]))
    unread = [node for node in inputs if node not in node_depth]
    return (*unread, *nodes), (*(node.layer for node in unread), *layers)


def _walk(
    label: str, inputs: Sequence[Node], outputs: Sequence[Node]
) -> tuple[list[Node], dict[Layer, int]]:
    done: dict[Node, None] = {}
    met: dict[Layer, int] = {}
    # depth first with a stack of its own: a network may be deeper than Python's recursion
    stack = [(node, False) for node in reversed(outputs)]
    while stack:
        node, ready = stack.pop()
        if ready:
            done[node] = None
        elif node not in done:
            if node in inputs and node.inputs:
                # a model that starts within another: the layer before its start is not its own
                done[node] = None
                continue
            met.setdefault(node.layer, len(met))
            if node in inputs:
                done[node] = None
                continue
            if not node.inputs:
                raise ValueError(
                    f"{label}: the graph is disconnected: the outputs depend on {node.layer.label}, "
                    "which is not among inputs"
                )
            stack.append((node, True))
            stack.extend((parent, False) for parent in reversed(node.inputs))
    return list(done), met

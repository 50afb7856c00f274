"""The order of nodes and layers in a graph, the same as Keras's so that lists of weights agree, and their names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from arrayconv.models.layers.base import Layer, Node


def ordered(
    label: str, inputs: Sequence[Node], outputs: Sequence[Node]
) -> tuple[tuple[Node, ...], tuple[Layer, ...]]:
    """The nodes in topological order, and the layers sorted by depth, those farthest from the outputs first.

    Layers at the same depth are in the order in which a depth-first walk from the outputs visits them.

    Raises
    ------
    ValueError
        If a path from the outputs ends in an `Input` that is not among ``inputs``.
    """
    nodes, met = _walk(label, inputs, outputs)
    node_depth: dict[Node, int] = {}
    depths: dict[Layer, int] = {}
    for node in reversed(nodes):
        # a shared layer has the greatest depth of its nodes
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
    # with an explicit stack, since a network may be deeper than Python's recursion limit
    stack = [(node, False) for node in reversed(outputs)]
    while stack:
        node, ready = stack.pop()
        if ready:
            done[node] = None
        elif node not in done:
            if node in inputs and node.inputs:
                # a model may start at an inner node of another, whose layer does not belong to it
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


def name_layers(label: str, layers: Sequence[Layer]) -> dict[Layer, str]:
    """A unique name for each layer of a model: the name given to it, or else one made from its class.

    A layer without a name keeps the made one; in another model, where that is taken, it gets a different one.

    Raises
    ------
    ValueError
        If two layers were given the same name.
    """
    names: dict[Layer, str] = {}
    owners: dict[str, Layer] = {}
    for layer in layers:
        if not layer.name or layer.named_by_class:
            continue
        if owners.setdefault(layer.name, layer) is not layer:
            raise ValueError(
                f"{label}: two layers are called {layer.name!r}; give one of them another name, "
                f"for example {type(layer).__name__}(..., name='{layer.name}_b')"
            )
        names[layer] = layer.name
    # the next free number for each base name
    numbers: dict[str, int] = {}
    # layers with a name first, so that a layer shared by two models has the same name in both if possible
    for layer in sorted(layers, key=lambda layer: not layer.name):
        if layer in names:
            continue
        base = snake(type(layer).__name__)
        name, number = layer.name or base, numbers.get(base, 0)
        while name in owners:
            name = f"{base}_{number}" if number else base
            number += 1
        numbers[base] = number
        names[layer], owners[name] = name, layer
        if not layer.name:
            layer.name, layer.named_by_class = name, True
    return names


def node_keys(nodes: Sequence[Node], names: Mapping[Layer, str]) -> dict[Node, str]:
    """A unique name for each node: its layer's, with ``:1``, ``:2``, ... for further calls of a shared layer."""
    calls: dict[Layer, int] = {}
    keys = {}
    for node in nodes:
        call = calls.get(node.layer, 0)
        calls[node.layer] = call + 1
        keys[node] = f"{names[node.layer]}:{call}" if call else names[node.layer]
    return keys


def is_class_name(kind: type, name: str) -> bool:
    """Whether ``name`` may have been made from the class: ``conv`` or ``conv_1`` for a `Conv`."""
    return re.fullmatch(rf"{snake(kind.__name__)}(_\d+)?", name) is not None


def snake(name: str) -> str:
    """A class's name in snake case: ``conv_transpose``, ``leaky_relu``, and ``conv2d`` for ``Conv2D``."""
    name = re.sub(r"(\d)D", r"\1d", name).replace("eLU", "elu").replace("iLU", "ilu")
    parts = re.findall(r"[A-Z]+(?=[A-Z][a-z]|$)|[A-Z]?[a-z0-9]+", name)
    return "_".join(part.lower() for part in parts)

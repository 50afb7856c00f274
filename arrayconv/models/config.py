"""Layers and graphs to plain data that JSON can hold, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from arrayconv.models.checks import choice
from arrayconv.models.graph import Graph
from arrayconv.models.layers.base import LAYERS, Layer, Node
from arrayconv.models.layers.input import InputLayer
from arrayconv.models.layers.registry import class_name
from arrayconv.models.topology import is_class_name
from arrayconv.models.training.trainer import Trainer
from arrayconv.namespace import Array


class Described(Protocol):
    """The part of a model that saving, loading and drawing use."""

    name: str
    _trainer: Trainer | None

    @property
    def graph(self) -> Graph: ...
    @property
    def weights(self) -> dict[str, Array]: ...
    def get_config(self) -> dict[str, Any]: ...


def layer_config(layer: Layer, name: str) -> dict[str, Any]:
    """A layer's class and arguments, with the name that it has in its model."""
    return {"class": class_name(layer), **layer.get_config(), "name": name}


def layer_from_config(config: Mapping[str, Any]) -> Layer:
    """The layer that `layer_config` described, without weights."""
    arguments = dict(config)
    try:
        kind = choice("from_config", "class", arguments.pop("class", None), LAYERS)
    except ValueError as error:
        raise ValueError(f"{error}; define or import a layer of your own first") from None
    layer: Layer = kind.from_config(arguments)
    layer.named_by_class = is_class_name(kind, layer.name)
    return layer


def graph_config(graph: Graph) -> dict[str, Any]:
    """The layers, the nodes as calls of layers on earlier nodes, and which nodes are inputs and outputs."""
    # a model may start at an inner node of another, whose layer an InputLayer then replaces
    stands = {n: InputLayer(n.sample, name=n.layer.name) for n in graph.inputs if n.inputs}
    names = graph.names | {stand: graph.names[node.layer] for node, stand in stands.items()}
    layers = [*stands.values(), *graph.layers]
    numbers = {layer: i for i, layer in enumerate(layers)}
    places = {node: i for i, node in enumerate(graph.nodes)}
    nodes: list[list[Any]] = []
    for node in graph.nodes:
        parents = () if node in graph.inputs else node.inputs
        nodes.append([numbers[stands.get(node, node.layer)], [places[p] for p in parents]])
    return {
        "layers": [layer_config(layer, names[layer]) for layer in layers],
        "nodes": nodes,
        "inputs": [places[node] for node in graph.inputs],
        "outputs": [places[node] for node in graph.outputs],
    }


def chain_config(
    start: Layer | None, layers: Sequence[Layer], names: Mapping[Layer, str]
) -> dict[str, Any]:
    """The config of a Sequential: its input, if known, and its layers."""
    return {
        "input": None if start is None else layer_config(start, names.get(start, start.name)),
        "layers": [layer_config(layer, names[layer]) for layer in layers],
    }


def nodes_from_config(config: Mapping[str, Any]) -> tuple[list[Node], Any]:
    """The input nodes, and the output node or nodes, of what `graph_config` described."""
    _complete(config, "Model", "layers", "nodes", "inputs", "outputs")
    layers = [layer_from_config(item) for item in config["layers"]]
    nodes: list[Node] = []
    for number, parents in config["nodes"]:
        layer = layers[number]
        given = [nodes[parent] for parent in parents]
        nodes.append(layer.node() if isinstance(layer, InputLayer) else layer(given))
    return placed(list(config["inputs"]), nodes), placed(config["outputs"], nodes)


def placed(ends: Any, values: Sequence[Any]) -> Any:
    """``values[ends]`` for an index, and a list or dict of values for a list or dict of indices."""
    if isinstance(ends, Mapping):
        return {key: values[i] for key, i in ends.items()}
    return [values[i] for i in ends] if isinstance(ends, list) else values[ends]


def layers_from_config(config: Mapping[str, Any]) -> list[Layer]:
    """The layers that `chain_config` described."""
    _complete(config, "Sequential", "input", "layers")
    start = [] if config["input"] is None else [config["input"]]
    return [layer_from_config(item) for item in [*start, *config["layers"]]]


def _complete(config: Mapping[str, Any], kind: str, *keys: str) -> None:
    found = config.get("class") if isinstance(config, Mapping) else None
    if found != kind:
        raise ValueError(
            f"from_config: class must be {kind!r}, got {found!r}; models.from_config makes a model of either class"
        )
    for key in ("name", *keys):
        if key not in config:
            raise ValueError(f"from_config: the {kind} config has no {key!r}")

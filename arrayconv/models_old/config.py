"""A model as plain data, ready for JSON, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from arrayconv.models_old.inputs import InputLayer
from arrayconv.models_old.layer import LAYERS, Layer, Node
from arrayconv.models_old.names import is_class_name, lookup

if TYPE_CHECKING:
    from arrayconv.models_old.graph import Graph
    from arrayconv.models_old.model import Model


def layer_config(layer: Layer, name: str) -> dict[str, Any]:
    """A layer's class and its arguments, under the name that it has in a model."""
    return {"class": type(layer).__name__, **layer.config(), "name": name}


def layer_from_config(config: Mapping[str, Any]) -> Layer:
    """The layer that `layer_config` described, without weights."""
    arguments = dict(config)
    # a class that others are made from is none that can be in a model
    kinds = {name: kind for name, kind in LAYERS.items() if kind.plan is not Layer.plan}
    try:
        kind = lookup("from_config", "class", arguments.pop("class", None), kinds)
    except ValueError as error:
        raise ValueError(f"{error}; define or import a layer of your own first") from None
    layer = kind(**arguments)
    layer.named_by_class = is_class_name(kind, layer.name)
    return layer


def graph_config(graph: Graph) -> dict[str, Any]:
    """The layers, the nodes as calls of layers on earlier nodes, and which nodes are inputs and outputs."""
    # where a model starts within another, an Input stands in for the layer before
    starts = {node: node.layer for node in graph.inputs if not node.inputs}
    starts |= {n: InputLayer(n.shape, name=n.layer.name) for n in graph.inputs if n.inputs}
    layers = [*(layer for n, layer in starts.items() if n.inputs), *graph.layers]
    own = {stand: node.layer for node, stand in starts.items()}
    numbers = {layer: i for i, layer in enumerate(layers)}
    places = {node: i for i, node in enumerate(graph.nodes)}
    nodes: list[list[Any]] = []
    for node in graph.nodes:
        start = starts.get(node)
        parents = () if start is not None else node.inputs
        nodes.append([numbers[start or node.layer], [places[p] for p in parents]])
    return {
        "layers": [layer_config(layer, graph.names[own.get(layer, layer)]) for layer in layers],
        "nodes": nodes,
        "inputs": [places[node] for node in graph.inputs],
        "outputs": [places[node] for node in graph.outputs],
    }


def nodes_from_config(config: Mapping[str, Any]) -> tuple[list[Node], Any]:
    """The input nodes, and the output node or nodes, of what `graph_config` described."""
    layers = [layer_from_config(item) for item in config["layers"]]
    nodes: list[Node] = []
    for number, parents in config["nodes"]:
        layer = layers[number]
        given = [nodes[parent] for parent in parents]
        nodes.append(layer.node() if isinstance(layer, InputLayer) else layer(given))
    ends = config["outputs"]
    outputs = nodes[ends] if isinstance(ends, int) else [nodes[i] for i in ends]
    return [nodes[i] for i in config["inputs"]], outputs


def from_config(config: Mapping[str, Any]) -> Model:
    """Make the model that ``model.config()`` described, with new weights.

    Parameters
    ----------
    config : mapping
        As `Model.config` gives it; plain data, so that it may have been through JSON.

    Returns
    -------
    Model or Sequential

    Raises
    ------
    ValueError
        A class or an argument that does not exist here, a key that is missing.

    Examples
    --------
    >>> from arrayconv import models
    >>> model = models.Sequential([models.Dense(3, input_shape=(4,))], name="small")
    >>> models.from_config(model.config())
    <Sequential 'small'>
    """
    model = undrawn(config)
    model._draw()
    return model


def undrawn(config: Mapping[str, Any]) -> Model:
    """The model of `from_config`, its weights declared and without values."""
    from arrayconv.models_old.model import Model
    from arrayconv.models_old.sequential import Sequential

    kind = config.get("class") if isinstance(config, Mapping) else None
    needed = {
        "Model": ("name", "layers", "nodes", "inputs", "outputs"),
        "Sequential": ("name", "input", "layers"),
    }
    for key in lookup("from_config", "class", kind, needed):
        if key not in config:
            raise ValueError(f"from_config: the {kind} config has no {key!r}")
    if kind == "Model":
        return Model._undrawn(*nodes_from_config(config), config["name"])
    start = [] if config["input"] is None else [config["input"]]
    layers = [layer_from_config(item) for item in [*start, *config["layers"]]]
    return Sequential._undrawn_chain(layers, config["name"])

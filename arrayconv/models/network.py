"""The structure and the weights of a model, without prediction and training."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from arrayconv.models import checks
from arrayconv.models.config import graph_config, nodes_from_config
from arrayconv.models.display import table
from arrayconv.models.files.native import load_weights, save
from arrayconv.models.graph import Graph
from arrayconv.models.layers.base import Layer, Node
from arrayconv.models.topology import name_layers
from arrayconv.models.training.trainer import Trainer
from arrayconv.namespace import Array

# Arguments of Keras's summary that this one does not take.
_SUMMARY = dict.fromkeys(
    ("expand_nested", "layer_range", "line_length", "positions", "show_trainable"),
    "leave it out: the table always has the layers of nested models and the number of trained weights",
)


@checks.part_of("Model")
class Network:
    """The part of `Model` that holds the graph, its layers and its weights; the parameters are those of `Model`."""

    _graph: Graph | None = None
    # the keys of the outputs, if they were given as a dict
    _keys: tuple[str, ...] | None = None
    # optimizer, loss and metrics, once compiled
    _trainer: Trainer | None = None

    def __init__(self, inputs: Any = None, outputs: Any = None, name: str | None = None) -> None:
        if inputs is None or outputs is None:
            raise TypeError(
                "Model: needs inputs and outputs, the nodes of Input(...) and of layers called on it; "
                "a model is not a class with call here"
            )
        self._connect(inputs, outputs, name)
        self.draw()

    def _connect(self, inputs: Any, outputs: Any, name: str | None) -> None:
        self.name = "model" if name is None else checks.name(type(self).__name__, name)
        if isinstance(outputs, Mapping):
            outputs = dict(sorted(outputs.items()))
            self._keys = tuple(outputs)
        self._graph = Graph(_nodes(inputs), _nodes(outputs), self.label, output_names=self._keys)

    @classmethod
    def undrawn(cls, config: Mapping[str, Any]) -> Self:
        """The model of `from_config`, with its weights declared but not drawn, to be filled from a file."""
        model = cls.__new__(cls)
        model._connect(*nodes_from_config(config), config["name"])
        return model

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The model that `get_config` described, with newly drawn weights; a ``ValueError`` if of another class."""
        model = cls.undrawn(config)
        model.draw()
        return model

    def draw(self) -> None:
        """Draw initial weights for the layers that have none, if the input shapes are known."""
        if self._graph is not None:
            self._graph.draw()

    @property
    def label(self) -> str:
        """The model's name in error messages."""
        return f"{type(self).__name__} {self.name!r}"

    @property
    def graph(self) -> Graph:
        """The graph of the layers, with their names and weights; a ``ValueError`` while there is no input shape."""
        if self._graph is None:
            raise ValueError(
                f"{self.label}: has no input shape yet: start it with Input(shape=...) or give its first layer "
                "input_shape=..., call build((28, 28, 1)), or call fit or the model on data"
            )
        return self._graph

    @property
    def built(self) -> bool:
        """Whether the input shapes are known, and so the shapes of the weights."""
        return self._graph is not None

    def build(self, input_shapes: Any) -> None:
        """Check that ``input_shapes`` are those of the model; a ``ValueError`` if not."""
        shapes = checks.shapes(self.label, input_shapes)
        have = tuple(node.sample for node in self.graph.inputs)
        if shapes != have:
            raise ValueError(f"{self.label}: was built for inputs of shape {have}, got {shapes}")

    @property
    def layers(self) -> list[Layer]:
        """The layers, each once, in Keras's order."""
        return list(self.graph.layers)

    @property
    def inputs(self) -> list[Node]:
        """The nodes of the inputs."""
        return list(self.graph.inputs)

    @property
    def outputs(self) -> list[Node]:
        """The nodes of the outputs."""
        return list(self.graph.outputs)

    @property
    def output(self) -> Any:
        """The node, or the list or dict of nodes, of the outputs."""
        return self._arranged(self.outputs)

    @property
    def input(self) -> Any:
        """The node, or the list of nodes, of the inputs."""
        return self.inputs[0] if len(self.inputs) == 1 else self.inputs

    @property
    def input_shape(self) -> Any:
        """The shape of the input, ``None`` for the batch axis; a list of them for several inputs."""
        shapes = [node.shape for node in self.inputs]
        return shapes[0] if len(shapes) == 1 else shapes

    @property
    def output_shape(self) -> Any:
        """The shape of the output, ``None`` for the batch axis; a list of them for several outputs."""
        shapes = [node.shape for node in self.outputs]
        return shapes[0] if len(shapes) == 1 else shapes

    def _arranged(self, values: Sequence[Any]) -> Any:
        """The values, one per output, in the form in which the model returns them: a single one, a list, or a dict."""
        if self._keys is not None:
            return dict(zip(self._keys, values, strict=True))
        return values[0] if len(values) == 1 else list(values)

    def chain(self) -> list[Layer]:
        """The layers in order, for a model in which each layer feeds only the next.

        Raises
        ------
        ValueError
            If the model is not such a chain.
        """
        nodes = [node for node in self.graph.nodes if node.inputs]
        before = [*self.inputs, *nodes]
        if any(node.inputs != (parent,) for node, parent in zip(nodes, before, strict=False)):
            raise ValueError(
                f"{self.label}: is not a chain of layers; use Model(inputs, outputs), and call it on nodes"
            )
        return [node.layer for node in nodes]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer with the given name, or at the given index in `layers`.

        Raises
        ------
        ValueError
            If there is no such layer.
        """
        layers, names = self.layers, self._names()
        if index is not None and -len(layers) <= index < len(layers):
            return layers[index]
        for layer in layers:
            if name is not None and names[layer] == name:
                return layer
        asked = repr(name) if index is None else f"with index {index}"
        raise ValueError(
            f"{self.label}: has no layer {asked}; it has {', '.join(names[layer] for layer in layers)}"
        )

    def _names(self) -> dict[Layer, str]:
        """The names of the layers in this model."""
        return self.graph.names if self.built else name_layers(self.label, self.layers)

    @property
    def weights(self) -> dict[str, Array]:
        """All weights as a dict with keys ``"layer/weight"``, in Keras's order; assign such a dict to replace them."""
        own = self.graph.weights
        return {f"{layer}/{name}": own[layer][name] for layer, name in self.graph.weight_names}

    @weights.setter
    def weights(self, weights: Mapping[str, Array]) -> None:
        nested: dict[str, dict[str, Array]] = {}
        for full, value in weights.items():
            layer, _, name = full.rpartition("/")
            nested.setdefault(layer, {})[name] = value
        self.graph.weights = nested

    @property
    def trainable(self) -> tuple[str, ...]:
        """The names of the weights that ``fit`` changes; assign False to freeze every layer, True to unfreeze them."""
        return tuple(f"{layer}/{name}" for layer, name in self.graph.trainable)

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers:
            layer.trainable = checks.flag(self.label, "trainable", value)

    @property
    def trainable_variables(self) -> list[Array]:
        """The weights that ``fit`` changes, in Keras's order; `trainable` has their names."""
        own = self.graph.weights
        return [own[layer][name] for layer, name in self.graph.trainable]

    @property
    def non_trainable_variables(self) -> list[Array]:
        """The other weights: those of frozen layers, and moving averages."""
        own, trained = self.graph.weights, set(self.graph.trainable)
        return [own[key[0]][key[1]] for key in self.graph.weight_names if key not in trained]

    # Keras has both names
    trainable_weights = trainable_variables
    non_trainable_weights = non_trainable_variables

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """All weights as NumPy arrays, in Keras's order."""
        return [w for layer in self.graph.layers for w in layer.get_weights()]

    def set_weights(self, weights: Any) -> None:
        """Replace all weights by arrays in the order of `get_weights`; library, device and dtype stay as they are.

        Raises
        ------
        ValueError
            If the number of arrays or a shape differs; the model is then unchanged.
        """
        values, layers = list(weights), self.graph.layers
        names = [f"{layer}/{name}" for layer, name in self.graph.weight_names]
        if len(values) != len(names):
            raise ValueError(
                f"{self.label}: set_weights expects {len(names)} arrays ({', '.join(names)}), got {len(values)}"
            )
        rest = iter(values)
        new = [layer.fitted(list(itertools.islice(rest, len(layer.specs)))) for layer in layers]
        for layer, fitted in zip(layers, new, strict=True):
            layer.weights = fitted

    def get_config(self) -> dict[str, Any]:
        """The layers and their connections as plain data, for JSON and for `from_config`; no weights."""
        graph = graph_config(self.graph)
        graph["outputs"] = self._arranged(graph["outputs"])
        return {"class": "Model", "name": self.name, **graph}

    def summary(self, print_fn: Callable[[str], Any] | None = None, **unknown: Any) -> None:
        """Print a table of the layers with output shapes and parameter counts.

        Parameters
        ----------
        print_fn : callable, optional
            Called with the table, a string, instead of ``print``.

        Raises
        ------
        TypeError
            If an argument of Keras is not supported here.
        ValueError
            If the input shape is not known yet.
        """
        checks.known("summary", unknown, _SUMMARY, type(self).summary)
        (print_fn or print)(table(self))

    def save(self, path: Any) -> None:
        """Write the model to a ``.safetensors``, ``.keras`` or ``.weights.h5`` file; see `arrayconv.models.save`."""
        save(self, path)

    def save_weights(self, path: Any) -> None:
        """The same as `save`; only a ``.weights.h5`` file holds the weights alone."""
        self.save(path)

    def load_weights(self, path: Any) -> None:
        """Load weights from a file; see `arrayconv.models.load_weights`."""
        load_weights(self, path)

    def count_params(self) -> int:
        """The number of elements of all weights, trained or not."""
        return self.graph.count_params()

    def to(self, *, like: Array) -> Self:
        """Move the weights to the library, device and floating dtype of ``like``; return the model.

        ``like`` is an array of any shape; if its dtype is not floating, the weights keep theirs.
        """
        self.graph.to(like)
        return self

    def __repr__(self) -> str:
        return f"<{self.label}>"


def _nodes(given: Any) -> tuple[Any, ...]:
    if isinstance(given, Mapping):
        given = tuple(given.values())
    return tuple(given) if isinstance(given, list | tuple) else (given,)

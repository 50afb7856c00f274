"""A graph of layers with weights: what is called, saved and trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from arrayconv.models_old.arrays import beside, float_name, holds_arrays, moved, same_place
from arrayconv.models_old.config import graph_config
from arrayconv.models_old.graph import Graph, name_layers
from arrayconv.models_old.inputs import InputLayer
from arrayconv.models_old.layer import Layer, Node
from arrayconv.models_old.shapes import Shape, checked_flag, checked_name, checked_shape
from arrayconv.models_old.summary import table
from arrayconv.models_old.training import Trainer
from arrayconv.models_old.weights import load_weights, save
from arrayconv.namespace import Array, array_namespace, cast, is_floating, is_real, placement


class Model(Trainer):
    """A network with any number of inputs and outputs.

    The library, device and floating dtype are those of the data. `fit` moves the weights there, and so do the
    first data of all; else `predict`, `evaluate` and calls work on copies of weights that are elsewhere or of
    another dtype, and `to` moves them for good. A model called on nodes becomes part of a larger one, whose
    weights it shares.

    Parameters
    ----------
    inputs, outputs : Node or sequence of Node
        What ``Input(...)`` and the layers called on it gave.
    name : str, optional

    Raises
    ------
    TypeError
        Inputs or outputs that are not nodes.
    ValueError
        A graph whose outputs depend on an input that is not listed; two layers of one name.

    Notes
    -----
    Layers without a name are named by their class: ``conv``, ``conv_1``, ... Weights and layers come in
    Keras's order.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> inputs = models.Input(shape=(8, 8, 1))
    >>> hidden = models.Conv(4, 3, activation="relu")(inputs)
    >>> outputs = models.Dense(2, activation="softmax")(models.Flatten()(hidden))
    >>> model = models.Model(inputs, outputs)
    >>> model(np.ones((5, 8, 8, 1))).shape
    (5, 2)
    >>> model.count_params()
    330
    """

    def __init__(self, inputs: Any, outputs: Any, name: str | None = None) -> None:
        self._connect(inputs, outputs, name)
        self._draw()

    def _connect(self, inputs: Any, outputs: Any, name: str | None) -> None:
        self.name = "model" if name is None else checked_name("Model", name)
        self._single_output = isinstance(outputs, Node)
        self._graph: Graph | None = Graph(_nodes(inputs), _nodes(outputs), self.label)

    @classmethod
    def _undrawn(cls, inputs: Any, outputs: Any, name: str | None) -> Model:
        """A model whose weights have no values yet, which a file then gives."""
        model = cls.__new__(cls)
        model._connect(inputs, outputs, name)
        return model

    def _draw(self) -> None:
        # inputs do not count, so that a Sequential with and without one draws the same weights
        layers = self._graph.layers if self._graph is not None else ()
        drawn = [layer for layer in layers if not isinstance(layer, InputLayer)]
        for position, layer in enumerate(drawn):
            layer.draw(position)

    @property
    def label(self) -> str:
        """How errors call this model."""
        return f"{type(self).__name__} {self.name!r}"

    @property
    def graph(self) -> Graph:
        """The layers as a pure function."""
        if self._graph is None:
            raise ValueError(
                f"{self.label}: has no input shape yet: start it with Input(shape=...) or give its first layer "
                "input_shape=..., call build((28, 28, 1)), or call fit or the model on data"
            )
        return self._graph

    @property
    def built(self) -> bool:
        """Whether the input shapes are known, and so the weights."""
        return self._graph is not None

    def build(self, input_shapes: Any) -> None:
        """Check ``input_shapes`` against those the model was made with."""
        shapes = as_shapes(self.label, input_shapes)
        have = tuple(node.shape for node in self.graph.inputs)
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
        """The node, or the list of nodes, of the outputs."""
        return self.outputs[0] if self._single_output else self.outputs

    @property
    def input(self) -> Any:
        """The node, or the list of nodes, of the inputs."""
        return self.inputs[0] if len(self.inputs) == 1 else self.inputs

    def chain(self) -> list[Layer]:
        """The layers one after the other, for a model that is such a chain.

        Raises
        ------
        ValueError
            If a layer has another number of inputs or readers than one.
        """
        nodes = [node for node in self.graph.nodes if node.inputs]
        before = [*self.inputs, *nodes]
        if any(node.inputs != (parent,) for node, parent in zip(nodes, before, strict=False)):
            raise ValueError(
                f"{self.label}: is no chain of layers; use Model(inputs, outputs) to put it into another model"
            )
        return [node.layer for node in nodes]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """The layer of that name, or at that place in `layers`.

        Raises
        ------
        ValueError
            If there is none.
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
        """What the layers are called in this model."""
        return self.graph.names if self.built else name_layers(self.label, self.layers)

    @property
    def weights(self) -> dict[str, Array]:
        """Every weight by ``"layer/weight"``, in Keras's order; assign such a dict to replace them."""
        return {
            f"{self.graph.names[layer]}/{name}": w
            for layer in self.graph.layers
            for name, w in layer.weights.items()
        }

    @weights.setter
    def weights(self, weights: Mapping[str, Array]) -> None:
        wanted = set(self.graph.weight_names)
        if set(weights) != wanted:
            raise ValueError(
                f"{self.label}: weights lacks {sorted(wanted - set(weights))} "
                f"and should not have {sorted(set(weights) - wanted)}"
            )
        for layer in self.graph.layers:
            own = self.graph.names[layer]
            layer.weights = {name: weights[f"{own}/{name}"] for name in layer.specs}

    @property
    def trainable(self) -> tuple[str, ...]:
        """The names of the weights that ``fit`` changes; assign a bool to free or freeze every layer."""
        return self.graph.trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        for layer in self.layers:
            layer.trainable = checked_flag(self.label, "trainable", value)

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """All weights as NumPy arrays, in Keras's order."""
        return [w for layer in self.graph.layers for w in layer.get_weights()]

    def set_weights(self, weights: Any) -> None:
        """Replace all weights by NumPy arrays in the order of `get_weights`.

        Raises
        ------
        ValueError
            Another number of arrays or another shape; the model is then unchanged.
        """
        values = list(weights)
        names = self.graph.weight_names
        if len(values) != len(names):
            raise ValueError(
                f"{self.label}: set_weights expects {len(names)} arrays ({', '.join(names)}), got {len(values)}"
            )
        new = []
        for layer in self.graph.layers:
            count = len(layer.specs)
            new.append(layer.fitted(values[:count]))
            values = values[count:]
        for layer, fitted in zip(self.graph.layers, new, strict=True):
            layer.weights = fitted

    def count_params(self) -> int:
        """The number of elements of all weights, trained or not."""
        return self.graph.count_params()

    def summary(self) -> None:
        """Print a table of the layers, their output shapes and their numbers of parameters."""
        print(table(self))

    def config(self) -> dict[str, Any]:
        """The layers and how they are joined, ready for JSON and for `from_config`."""
        graph = graph_config(self.graph)
        if self._single_output:
            graph["outputs"] = graph["outputs"][0]
        return {"class": "Model", "name": self.name, **graph}

    def to(self, *, like: Array) -> Model:
        """Move the weights to the library, device and floating dtype of the array ``like``.

        Parameters
        ----------
        like : array
            Of any shape. An integer array keeps the floating dtype.

        Returns
        -------
        Model
            This model.
        """
        xp = array_namespace(self.label, like=like)
        if not is_floating(xp, like.dtype):
            like = xp.zeros((), dtype=getattr(xp, self._float(), xp.float32), **placement(like))
        for layer in self.graph.layers:
            if not layer.placed or not all(same_place(w, like) for w in layer.weights.values()):
                layer.to(like)
        return self

    def _float(self) -> str:
        for layer in self.graph.layers if self.built else ():
            for w in layer.weights.values() if layer.placed else ():
                return float_name(array_namespace(self.label, w=w), w.dtype)
        return "float32"

    def weights_beside(self, like: Array) -> dict[str, Array]:
        """The weights in the library, on the device and in the floating dtype of ``like``; the model keeps its own."""
        return {
            f"{self.graph.names[layer]}/{name}": w
            for layer in self.graph.layers
            for name, w in layer.weights_beside(like).items()
        }

    def prepare(self, x: Any) -> tuple[Array, ...]:
        """`as_inputs`, and the weights moved beside them."""
        arrays = self.as_inputs(x)
        self.to(like=arrays[0])
        return arrays

    def as_inputs(self, x: Any) -> tuple[Array, ...]:
        """The inputs as a tuple in one floating dtype.

        Parameters
        ----------
        x : array, sequence of array or dict of str to array
            One array per input, or a dict by the inputs' names. Integer arrays are cast to the dtype
            of the weights, float32 at first.

        Raises
        ------
        TypeError
            What is not an array; arrays of two libraries.
        ValueError
            Shapes that the model does not take.
        """
        arrays = self._arrays(x)
        xp = array_namespace(self.label, **{f"input {i}": a for i, a in enumerate(arrays)})
        floats = [a.dtype for a in arrays if is_floating(xp, a.dtype)]
        dtype = xp.result_type(*floats) if floats else getattr(xp, self._float(), xp.float32)
        for a in arrays:
            if not is_real(xp, a.dtype) and not xp.isdtype(a.dtype, "bool"):
                raise TypeError(
                    f"{self.label}: the inputs must be real floating, integer or boolean, got {a.dtype}"
                )
        if not self.built:
            self.build(tuple(tuple(a.shape[1:]) for a in arrays))
        self.graph.check_inputs(arrays)
        return tuple(cast(xp, a, dtype) for a in arrays)

    def _arrays(self, x: Any) -> tuple[Array, ...]:
        if isinstance(x, Mapping):
            names = [self.graph.keys[node] for node in self.graph.inputs]
            if set(x) != set(names):
                raise ValueError(
                    f"{self.label}: the inputs are called {', '.join(names)}, got {', '.join(map(str, x))}"
                )
            return tuple(x[name] for name in names)
        if isinstance(x, list | tuple) and holds_arrays(tuple(x)):
            return tuple(x)
        return (x,)

    def masks(self, rng: np.random.Generator, batch: int) -> dict[str, np.ndarray[Any, Any]]:
        """Random masks for one batch in training, as NumPy arrays: for each dropout, True where a cell stays."""
        return self.graph.draw_masks(rng, batch)

    def __call__(self, x: Any, training: bool = False) -> Any:
        """Compute the outputs, or on nodes: join this model's layers to another graph.

        Parameters
        ----------
        x : array, Node, or a list or dict of them
            As `as_inputs` takes them.
        training : bool
            Whether batch normalization uses its batch and dropout drops.

        Returns
        -------
        array or Node, or a list of them for a model with a list of outputs
        """
        given = tuple(x) if isinstance(x, list | tuple) else (x,)
        if given and all(isinstance(item, Node) for item in given):
            outputs = self._join(given)
        else:
            inputs = self.as_inputs(x)
            masks = None
            if training:
                xp = array_namespace(self.label, x=inputs[0])
                drawn = self.masks(np.random.default_rng(), inputs[0].shape[0])
                masks = {key: beside(xp, mask, inputs[0]) for key, mask in drawn.items()}
            outputs, _, updates = self.graph.forward(
                self.weights_beside(inputs[0]), inputs, training=training, masks=masks, record=False
            )
            if updates:
                own = self.weights
                self.weights = own | {n: moved(value, own[n]) for n, value in updates.items()}
        return outputs[0] if self._single_output else list(outputs)

    def _join(self, given: tuple[Node, ...]) -> tuple[Node, ...]:
        if not self.built:
            self.build(tuple(node.shape for node in given))
        graph = self.graph
        if len(given) != len(graph.inputs):
            raise ValueError(f"{self.label}: takes {len(graph.inputs)} inputs, got {len(given)}")
        new = dict(zip(graph.inputs, given, strict=True))
        for node in graph.nodes:
            if node not in new:
                parents = [new[parent] for parent in node.inputs]
                new[node] = node.layer(parents if len(parents) > 1 else parents[0])
        return tuple(new[node] for node in graph.outputs)

    def save(self, path: Any) -> None:
        """Write structure and weights to one safetensors file; see `arrayconv.models_old.save`."""
        save(self, path)

    def save_weights(self, path: Any) -> None:
        """The same as `save`: the file holds the weights, and the structure beside them."""
        self.save(path)

    def load_weights(self, path: Any) -> None:
        """Read weights from a file; see `arrayconv.models_old.load_weights`."""
        load_weights(self, path)

    def __repr__(self) -> str:
        return f"<{self.label}>"


def as_shapes(label: str, given: Any) -> tuple[Shape, ...]:
    """One shape, or a sequence of them, as a tuple of shapes; Keras's leading ``None`` is dropped."""
    several = isinstance(given, list | tuple) and all(isinstance(s, list | tuple) for s in given)
    shapes = tuple(given) if several and given else (given,)
    return tuple(
        checked_shape(
            label, s[1:] if isinstance(s, list | tuple) and s[:1] in ((None,), [None]) else s
        )
        for s in shapes
    )


def _nodes(given: Any) -> tuple[Any, ...]:
    return tuple(given) if isinstance(given, list | tuple) else (given,)

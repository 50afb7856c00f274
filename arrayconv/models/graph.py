"""Layers joined to a graph, and the program that runs it: forward, and backward that frees as it goes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from arrayconv.models import checks
from arrayconv.models.arrays import float_name, holds_arrays, same_place
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Node
from arrayconv.models.layers.input import InputLayer
from arrayconv.models.program import GraphWeights, Program
from arrayconv.models.topology import name_layers, node_keys, ordered
from arrayconv.namespace import Array, array_namespace, cast, is_floating, placement


class Graph:
    """Layers joined to a graph: their order, their names and their weights.

    The graph owns the layers and the layers own their weights; `program` is the same graph as a pure function
    of weights, which training, testing and prediction run.

    Parameters
    ----------
    inputs, outputs : sequence of Node
        Every path from the outputs down must end in ``inputs``.
    label : str
        How errors call the model.
    names : dict of Layer to str, optional
        Those of another graph of the same layers.
    output_names : sequence of str, optional
        By which losses and targets are given for each output; their keys if not given.

    Attributes
    ----------
    nodes : tuple of Node
        In an order in which each comes after its inputs.
    layers : tuple of Layer
        Each once, in Keras's order.
    names : dict of Layer to str
        What each layer is called here, as `topology.name_layers` gives it.
    keys : dict of Node to str
        The layer's name, with the number of the call where the layer is shared.

    Raises
    ------
    TypeError
        Ends that are not nodes.
    ValueError
        No ends; a path that ends elsewhere; two layers of one name.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models.graph import Graph
    >>> from arrayconv.models.layers import Dense, Input
    >>> start = Input((2,))
    >>> graph = Graph([start], [Dense(1, kernel_initializer="ones")(start)], "Model")
    >>> graph.draw()
    >>> x = graph.as_inputs(np.asarray([[1.0, 2.0]]))
    >>> outputs, tape, updates = graph.program.forward(graph.beside(x[0]), x)
    >>> outputs[0]
    array([[3.]])
    """

    def __init__(
        self,
        inputs: Sequence[Node],
        outputs: Sequence[Node],
        label: str,
        names: dict[Layer, str] | None = None,
        output_names: Sequence[str] | None = None,
    ) -> None:
        self.label = label
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        _check_ends(label, self.inputs, self.outputs)
        self.nodes, self.layers = ordered(label, self.inputs, self.outputs)
        starts = (node.layer for node in self.inputs if node.layer not in self.layers)
        self.names = name_layers(label, [*self.layers, *starts]) if names is None else names
        self.keys = node_keys(self.nodes, self.names)
        self.output_names = tuple(output_names or (self.keys[node] for node in self.outputs))
        self.output_shapes = tuple(node.sample for node in self.outputs)
        self._programs: dict[tuple[bool, ...], Program] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_programs": {}}

    @property
    def program(self) -> Program:
        """The graph as a pure function, for the layers' present ``trainable``."""
        frozen = tuple([layer.trainable for layer in self.layers])
        if (found := self._programs.get(frozen)) is None:
            found = Program(self.label, self.inputs, self.outputs, self.nodes, self.names)
            self._programs[frozen] = found
        return found

    @property
    def weight_names(self) -> tuple[tuple[str, str], ...]:
        """``(layer, weight)`` of every weight, in Keras's order."""
        return tuple((self.names[layer], name) for layer in self.layers for name in layer.specs)

    @property
    def trainable(self) -> tuple[tuple[str, str], ...]:
        """``(layer, weight)`` of the weights that are trained, in Keras's order."""
        return tuple(
            (self.names[layer], name)
            for layer in self.layers
            if layer.trainable
            for name, spec in layer.specs.items()
            if spec.trainable
        )

    @property
    def weights(self) -> GraphWeights:
        """The layers' own dicts of weights, by the layers' names; assign such a mapping to replace them."""
        return {self.names[layer]: layer.weights for layer in self.layers}

    @weights.setter
    def weights(self, weights: GraphWeights) -> None:
        have = {(layer, name) for layer, values in weights.items() for name in values}
        wanted = set(self.weight_names)
        if have != wanted:
            lacks, extra = (
                [f"{a}/{b}" for a, b in sorted(s)] for s in (wanted - have, have - wanted)
            )
            raise ValueError(f"{self.label}: weights lacks {lacks} and should not have {extra}")
        for layer in self.layers:
            if layer.specs:
                # a compiled step hands dicts back in another order
                own = weights[self.names[layer]]
                layer.weights = {name: own[name] for name in layer.specs}

    def draw(self) -> None:
        """Give layers that have none their first weights."""
        # inputs do not count, so that a Sequential with and without one draws the same weights
        drawn = [layer for layer in self.layers if not isinstance(layer, InputLayer)]
        for position, layer in enumerate(drawn):
            layer.draw(position)

    def beside(self, like: Array) -> dict[str, dict[str, Array]]:
        """The weights in the library, on the device and in the floating dtype of ``like``; the graph keeps its own.

        First values alone move there for good.
        """
        return {self.names[layer]: layer.weights_beside(like) for layer in self.layers}

    def to(self, like: Array) -> None:
        """Move the weights to the library, device and floating dtype of ``like``; integers keep the dtype."""
        xp = array_namespace(self.label, like=like)
        if not is_floating(xp, like.dtype):
            like = xp.zeros((), dtype=getattr(xp, self.float_name(), xp.float32), **placement(like))
        for layer in self.layers:
            if not layer.placed or not all(same_place(w, like) for w in layer.weights.values()):
                layer.to(like)

    def float_name(self) -> str:
        """What the floating dtype of the weights is called; float32 before they have a place."""
        for layer in self.layers:
            for w in layer.weights.values() if layer.placed else ():
                return float_name(array_namespace(self.label, w=w), w.dtype)
        return "float32"

    def count_params(self) -> int:
        """The number of elements of all weights."""
        return sum(layer.count_params() for layer in self.layers)

    def as_inputs(self, x: Any) -> tuple[Array, ...]:
        """The inputs as a tuple in one floating dtype.

        Parameters
        ----------
        x : array, sequence of array or dict of str to array
            One array per input, or a dict by the inputs' names. Integer arrays are cast to the dtype of the
            weights, float32 at first.

        Raises
        ------
        TypeError
            What is not an array; arrays of two libraries.
        ValueError
            Shapes that the graph does not take.
        """
        arrays = self._arrays(x)
        xp = array_namespace(self.label, **{f"input {i}": a for i, a in enumerate(arrays)})
        if len(arrays) != len(self.inputs):
            names = ", ".join(self.keys[node] for node in self.inputs)
            raise ValueError(
                f"{self.label}: takes {len(self.inputs)} inputs ({names}), got {len(arrays)}"
            )
        floats = []
        for node, a in zip(self.inputs, arrays, strict=True):
            if is_floating(xp, a.dtype):
                floats.append(a.dtype)
            elif not xp.isdtype(a.dtype, ("integral", "bool")):
                raise TypeError(
                    f"{self.label}: the inputs must be real floating, integer or boolean, got {a.dtype}"
                )
            if tuple(a.shape[1:]) != node.sample or a.ndim < 1:
                raise ValueError(
                    f"{self.label}: {node.layer.label} expects an array of shape {checks.batched(node.sample)}, "
                    f"got {tuple(a.shape)}{_hint(tuple(a.shape), node.sample)}"
                )
            if a.shape[0] != arrays[0].shape[0]:
                lengths = sorted({int(part.shape[0]) for part in arrays})
                raise ValueError(
                    f"{self.label}: the inputs must have equally many samples, got {lengths}"
                )
        dtype = xp.result_type(*floats) if floats else getattr(xp, self.float_name(), xp.float32)
        return tuple([cast(xp, a, dtype) for a in arrays])

    def _arrays(self, x: Any) -> tuple[Array, ...]:
        if isinstance(x, Mapping):
            names = [self.keys[node] for node in self.inputs]
            if set(x) != set(names):
                raise ValueError(
                    f"{self.label}: the inputs are called {', '.join(names)}, got {', '.join(map(str, x))}"
                )
            return tuple(x[name] for name in names)
        return tuple(x) if isinstance(x, list | tuple) and holds_arrays(tuple(x)) else (x,)


def _check_ends(label: str, inputs: tuple[Node, ...], outputs: tuple[Node, ...]) -> None:
    for what, nodes in (("inputs", inputs), ("outputs", outputs)):
        if not nodes:
            raise ValueError(f"{label}: {what} must hold at least one node")
        for node in nodes:
            if not isinstance(node, Node):
                raise TypeError(
                    f"{label}: {what} must be what Input(...) or a layer called on nodes gave, got {node!r}"
                )
    if len(set(inputs)) < len(inputs):
        raise ValueError(f"{label}: the same node occurs twice in inputs")


def _hint(got: Shape, expected: Shape) -> str:
    if got == expected:
        return "; the first axis counts the samples: x[None, ...] makes a batch of one"
    if (*got[1:], 1) == expected:
        return "; x[..., None] adds the axis of one channel"
    if math.prod(got[1:]) == math.prod(expected) and len(got) > 0:
        return "; it has as many elements, so xp.reshape may be what is missing"
    return ""

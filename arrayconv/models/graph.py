"""The graph of a model's layers: their order, names and weights, and its inputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from arrayconv.models import checks
from arrayconv.models.arrays import common_dtype, float_name, holds_arrays, same_place
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Node
from arrayconv.models.layers.input import InputLayer
from arrayconv.models.program import GraphWeights, Program
from arrayconv.models.topology import name_layers, node_keys, ordered
from arrayconv.namespace import Array, array_namespace, cast, is_floating, placement


class Graph:
    """The graph of a model's layers: their order, names and weights.

    The layers hold their weights; `program` is the same graph as a pure function of the weights, which
    training, evaluation and prediction run.

    Parameters
    ----------
    inputs, outputs : sequence of Node
        Every path from ``outputs`` back must end in ``inputs``.
    label : str
        The model's name in error messages.
    names : dict of Layer to str, optional
        The ``names`` of another graph of the same layers; made anew if not given.
    output_names : sequence of str, optional
        The keys of losses and targets for each output; by default the nodes' ``keys``.

    Attributes
    ----------
    nodes : tuple of Node
        In topological order: each after its inputs.
    layers : tuple of Layer
        Each once, in Keras's order.
    names : dict of Layer to str
        The name of each layer in this model, unique; see `topology.name_layers`.
    keys : dict of Node to str
        The layer's name; for a shared layer with the number of the call.

    Raises
    ------
    TypeError
        If an input or output is not a node.
    ValueError
        If there are no inputs or no outputs, a path ends elsewhere, or two layers have the same name.

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
        """The graph as a pure function, for the current ``trainable`` of the layers."""
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
        """Each layer's dict of weights by the layer's name, not copied; assign such a mapping to replace them."""
        return {self.names[layer]: layer.weights for layer in self.layers}

    @weights.setter
    def weights(self, weights: GraphWeights) -> None:
        have = {(layer, name) for layer, values in weights.items() for name in values}
        wanted = set(self.weight_names)
        if have != wanted:
            lacks, extra = (
                [f"{a}/{b}" for a, b in sorted(s)] for s in (wanted - have, have - wanted)
            )
            raise ValueError(
                f"{self.label}: weights must have the model's names: missing {lacks}, unknown {extra}"
            )
        for layer in self.layers:
            if layer.specs:
                # a compiled step returns dicts in another order
                own = weights[self.names[layer]]
                layer.weights = {name: own[name] for name in layer.specs}

    def draw(self) -> None:
        """Draw initial weights for the layers that have none."""
        # positions leave out InputLayers, so that a Sequential draws the same weights with and without one
        drawn = [layer for layer in self.layers if not isinstance(layer, InputLayer)]
        for position, layer in enumerate(drawn):
            layer.draw(position)

    def beside(self, like: Array) -> dict[str, dict[str, Array]]:
        """The weights in the library, on the device and in the floating dtype of ``like``.

        The layers keep theirs where they are; only initial values, which have no place yet, move for good.
        """
        return {self.names[layer]: layer.weights_beside(like) for layer in self.layers}

    def to(self, like: Array) -> None:
        """Move the weights to the library and device of ``like``, and to its dtype if that is floating."""
        xp = array_namespace(self.label, like=like)
        if not is_floating(xp, like.dtype):
            like = xp.zeros((), dtype=getattr(xp, self.float_name(), xp.float32), **placement(like))
        for layer in self.layers:
            if not layer.placed or not all(same_place(w, like) for w in layer.weights.values()):
                layer.to(like)

    def float_name(self) -> str:
        """The name of the weights' dtype; ``"float32"`` before they have a place."""
        for layer in self.layers:
            for w in layer.weights.values() if layer.placed else ():
                return float_name(array_namespace(self.label, w=w), w.dtype)
        return "float32"

    def count_params(self) -> int:
        """The number of elements of all weights."""
        return sum(layer.count_params() for layer in self.layers)

    def as_inputs(self, x: Any) -> tuple[Array, ...]:
        """The inputs as a tuple of arrays of one floating dtype, checked.

        Parameters
        ----------
        x : array, sequence of array or dict of str to array
            One array per input, or a dict by the inputs' names. If none is floating, integers are cast to the
            dtype of the weights, float32 at first; else all to the promoted dtype of the floating ones.

        Raises
        ------
        TypeError
            If an input is not an array or is complex, or if the arrays are of two libraries.
        ValueError
            If the number of inputs, their names or their shapes are wrong.
        """
        arrays = self._arrays(x)
        xp = array_namespace(self.label, **{f"input {i}": a for i, a in enumerate(arrays)})
        if len(arrays) != len(self.inputs):
            names = ", ".join(self.keys[node] for node in self.inputs)
            raise ValueError(
                f"{self.label}: takes {len(self.inputs)} inputs ({names}), got {len(arrays)}"
            )
        default = getattr(xp, self.float_name(), xp.float32)
        dtype = common_dtype(self.label, xp, arrays, default)
        for node, a in zip(self.inputs, arrays, strict=True):
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
        return "; the numbers of elements agree, so xp.reshape may help"
    return ""

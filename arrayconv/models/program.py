"""A graph as a pure function of weights and inputs: the forward and backward passes over its layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Node
from arrayconv.models.layers.returned import (
    check_input_gradient,
    check_weight_gradients,
    checked_forward,
    split_backward,
)
from arrayconv.models.regularizers import Regularizer
from arrayconv.namespace import Array, Namespace, array_namespace

# By layer, then by weight, so that a layer gets its own dict as it is.
GraphWeights = Mapping[str, Mapping[str, Array]]
# (layer, weight)
Key = tuple[str, str]


class Step(NamedTuple):
    """One call of a layer, or of its activation, in a graph."""

    layer: Layer
    # the key of its weights in GraphWeights; empty for an activation
    name: str
    # the numbers of the values that it reads, and of the one that it makes
    sources: tuple[int, ...]
    target: int
    # of the output and of the inputs, without the batch axis
    shape: Shape
    shapes: tuple[Shape, ...]
    wrt: tuple[str, ...]
    # the weights that need a gradient
    trained: frozenset[str]
    # for each input, whether it needs a gradient
    wanted: tuple[bool, ...]

    @property
    def active(self) -> bool:
        """Whether the backward pass needs this step."""
        return bool(self.trained) or any(self.wanted)


# For each step of the forward pass: its inputs, or () if its backward does not take them, and its keyword arguments.
Tape = list[tuple[Step, Sequence[Array], dict[str, Any]]]


class Program:
    """A graph with a fixed set of trainable weights, as a pure function.

    Made by `Graph.program`. The shapes that layers return are compared here, which is cheap; on a mismatch
    `layers.returned` decides whether it is an error and words the message.

    Parameters
    ----------
    label : str
    inputs, outputs, nodes : sequence of Node
    names : dict of Layer to str

    Attributes
    ----------
    steps : tuple of Step
    trainable : tuple of (layer, weight)
        The keys of the gradients.
    regularizers : dict of (layer, weight) to Regularizer
        For the trained weights that have one.
    compiled : dict
        Compiled prediction functions by library.
    """

    def __init__(
        self,
        label: str,
        inputs: Sequence[Node],
        outputs: Sequence[Node],
        nodes: Sequence[Node],
        names: Mapping[Layer, str],
    ) -> None:
        self.label = label
        index = {node: i for i, node in enumerate(nodes)}
        self.steps = _steps([n for n in nodes if n not in inputs], index, names)
        self._starts = tuple(index[node] for node in inputs)
        self._ends = tuple(index[node] for node in outputs)
        self._readers = [0] * max([len(index), *(step.target + 1 for step in self.steps)])
        for value in (*self._ends, *(s for step in self.steps for s in step.sources)):
            self._readers[value] += 1
        self.compiled: dict[Any, Callable[..., Any]] = {}
        self._active = frozenset(step.target for step in self.steps if step.active)
        specs = {
            (names[layer], name): spec
            for layer in dict.fromkeys(node.layer for node in nodes)
            if layer.trainable
            for name, spec in layer.specs.items()
            if spec.trainable
        }
        self.trainable: tuple[Key, ...] = tuple(specs)
        self.regularizers: dict[Key, Regularizer] = {
            key: spec.regularizer
            for key, spec in specs.items()
            if isinstance(spec.regularizer, Regularizer)
        }

    def penalty(self, xp: Namespace, weights: GraphWeights) -> Any:
        """The sum of the regularizers' penalties, which is added to the loss."""
        total: Any = 0.0
        for (layer, name), regularizer in self.regularizers.items():
            total = total + regularizer.value(xp, weights[layer][name])
        return total

    def noise(
        self, batch: int, step: int | None = None, seed: int = 0
    ) -> dict[int, np.ndarray[Any, Any]]:
        """The random values of a training step, NumPy arrays by `Step.target`.

        Parameters
        ----------
        batch : int
            The number of samples.
        step : int, optional
            The number of the training step; step and seed determine the values. Without it every call
            draws other values.
        seed : int
        """
        found: dict[int, np.ndarray[Any, Any]] = {}
        shared: np.random.Generator | None = None
        for at in self.steps:
            if "noise" not in at.layer.reads.forward:
                continue
            if step is not None and at.layer.seed is not None:
                rng = np.random.default_rng((at.layer.seed, step))
            else:
                if shared is None:
                    shared = np.random.default_rng(None if step is None else (seed, 1, step))
                rng = shared
            drawn = at.layer.noise(rng, *((batch, *shape) for shape in at.shapes))
            if drawn is not None:
                found[at.target] = drawn
        return found

    def forward(
        self,
        weights: GraphWeights,
        inputs: Sequence[Array],
        *,
        training: bool = False,
        noise: Mapping[int, Array] | None = None,
        record: bool | None = None,
    ) -> tuple[tuple[Array, ...], Tape, dict[str, dict[str, Array]]]:
        """The outputs, a tape for `backward`, and new values of untrained weights such as moving averages.

        Parameters
        ----------
        weights : mapping of str to mapping of str to array
            By layer, then by weight.
        inputs : sequence of array
            One per input, as `Graph.as_inputs` returns them.
        training : bool
            Whether batch normalization uses batch statistics and dropout is active.
        noise : mapping of int to array, optional
            What `noise` drew, moved to where the inputs are; without it nothing is dropped.
        record : bool, optional
            Whether to keep what `backward` needs; by default ``training``.

        Raises
        ------
        TypeError, ValueError
            If a layer returned a wrong type or shape; the message names the layer.
        """
        record = training if record is None else record
        drawn = noise if training and noise else {}
        tape: Tape = []
        updates: dict[str, dict[str, Array]] = {}
        values = dict(zip(self._starts, inputs, strict=True))
        left = list(self._readers)
        batch = inputs[0].shape[0]
        for step in self.steps:
            layer, sources = step.layer, step.sources
            x: Sequence[Array] = (
                (values[sources[0]],) if len(sources) == 1 else [values[s] for s in sources]
            )
            known: dict[str, Any] = {
                "training": training,
                "noise": drawn.get(step.target),
                "wrt": step.wrt,
                "x": x,
            }
            given: dict[str, Any] = {}
            for name in layer.reads.forward:
                given[name] = known[name]
            given.pop("x", None)
            w = weights[step.name] if step.name else {}
            if step.name in updates:
                # the second call of a shared layer sees the update of the first
                w = {**w, **updates[step.name]}
            y = layer.forward(w, *x, **given)
            if type(y) is tuple or getattr(y, "shape", None) != (batch, *step.shape):
                y, new = checked_forward(layer, y, batch, step.shape)
                if new:
                    updates[step.name] = {**updates.get(step.name, {}), **new}
            values[step.target] = y
            if record and step.target in self._active:
                known["y"], kept = y, {}
                for name in layer.reads.backward:
                    kept[name] = known[name]
                tape.append((step, kept.pop("x", ()), kept))
            for source in sources:
                left[source] -= 1
                if not left[source]:
                    del values[source]
            del x, y, known
        return tuple([values[end] for end in self._ends]), tape, updates

    def backward(
        self, dys: Sequence[Array | None], weights: GraphWeights, tape: Tape
    ) -> dict[Key, Array]:
        """The gradient of every trainable weight, by ``(layer, weight)``.

        Parameters
        ----------
        dys : sequence of array
            The gradient with respect to each output; ``None`` for an output without a loss.
        weights : mapping of str to mapping of str to array
            Those of the forward pass.
        tape : Tape
            From `forward` with ``record``; it is emptied, so that each value is freed after its last use.

        Raises
        ------
        TypeError, ValueError
            If the tape is empty, the number of gradients is not that of the outputs, or a layer returned a
            wrong type or shape; the message names the layer.
        """
        if not tape and self._active:
            raise ValueError(
                f"{self.label}: the tape is empty: a tape serves one backward pass, and forward records "
                "one under training=True or record=True"
            )
        if len(dys) != len(self._ends):
            raise ValueError(
                f"{self.label}: has {len(self._ends)} outputs, got {len(dys)} gradients"
            )
        records = tape[:]
        tape.clear()
        upstream: dict[int, Array] = {}
        for end, dy in zip(self._ends, dys, strict=True):
            if dy is not None:
                upstream[end] = upstream[end] + dy if end in upstream else dy
        gradients: dict[Key, Array] = {}
        while records:
            step, x, given = records.pop()
            dy = upstream.pop(step.target, None)
            if dy is None:
                continue
            layer, batch = step.layer, dy.shape[0]
            w = weights[step.name] if step.name else {}
            returned = layer.backward(dy, w, *x, **given)
            several = len(step.sources) > 1
            dxs: Any = returned
            dws: Any = None if layer.specs else {}
            if dws is None and type(returned) is tuple and len(returned) == 2:
                dxs, dws = returned
            if type(dws) is not dict or (type(dxs) is tuple) != several:
                dxs, dws = split_backward(layer, returned, len(step.sources))
            elif not several:
                dxs = (dxs,)
            elif len(dxs) != len(step.sources):
                split_backward(layer, returned, len(step.sources))
            del x, dy, given, returned
            for name in step.trained:
                dw = dws.get(name)
                if getattr(dw, "shape", None) != w[name].shape:
                    check_weight_gradients(layer, dws, step.trained)
                key = step.name, name
                gradients[key] = gradients[key] + dw if key in gradients else dw
            for i, source in enumerate(step.sources):
                if step.wanted[i]:
                    dx = dxs[i]
                    if getattr(dx, "shape", None) != (batch, *step.shapes[i]):
                        number = i if len(dxs) > 1 else None
                        check_input_gradient(layer, dx, (batch, *step.shapes[i]), number)
                    upstream[source] = upstream[source] + dx if source in upstream else dx
            del dxs, dws
        for owner, name in self.trainable:
            if (owner, name) not in gradients:
                w = weights[owner][name]
                gradients[owner, name] = array_namespace("backward", w=w).zeros_like(w)
        return gradients


def _steps(
    nodes: Sequence[Node], index: Mapping[Node, int], names: Mapping[Layer, str]
) -> tuple[Step, ...]:
    steps: list[Step] = []
    active: set[int] = set()
    extra = len(index)

    def add(layer: Layer, name: str, sources: tuple[int, ...], target: int, node: Node) -> None:
        specs = layer.specs if name and layer.trainable else {}
        trained = frozenset(n for n, spec in specs.items() if spec.trainable)
        wanted = tuple(source in active for source in sources)
        wrt = (("x",) if any(wanted) else ()) + (("w", "b") if trained else ())
        shapes = tuple(parent.sample for parent in node.inputs) if name else (node.sample,)
        steps.append(Step(layer, name, sources, target, node.sample, shapes, wrt, trained, wanted))
        if steps[-1].active:
            active.add(target)

    for node in nodes:
        sources, target = tuple(index[parent] for parent in node.inputs), index[node]
        then = node.layer.activation
        add(node.layer, names[node.layer], sources, target if then is None else extra, node)
        if then is not None:
            add(then, "", (extra,), target, node)
            extra += 1
    return tuple(steps)

"""Layers joined to a graph: its order, its forward pass, and the backward pass that frees as it goes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from arrayconv.models_old.layer import Layer, Node, Stage
from arrayconv.models_old.names import snake
from arrayconv.models_old.order import ordered
from arrayconv.models_old.returned import check_all_trained, checked_backward, checked_forward
from arrayconv.models_old.shapes import Shape
from arrayconv.namespace import Array, array_namespace


class Step(NamedTuple):
    """One stage of one layer at one node: which values it reads and which it makes."""

    stage: Stage
    layer: Layer
    key: str
    names: tuple[str, ...]
    sources: tuple[int, ...]
    target: int
    # Without the batch axis; None between two stages of one layer.
    shapes: tuple[Shape | None, ...]
    shape: Shape | None


class Record(NamedTuple):
    """What the backward pass of a step reads."""

    step: Step
    x: tuple[Array | None, ...]
    y: Array | None
    mask: Array | None


@dataclass
class Tape:
    """The values that a backward pass will need, in order; `Graph.backward` empties it."""

    training: bool
    records: list[Record] = field(default_factory=list)
    used: bool = False


class Graph:
    """A graph of layers as a pure function of its weights and inputs.

    Parameters
    ----------
    inputs, outputs : sequence of Node
        Every path from the outputs down must end in ``inputs``.
    label : str
        How errors call the model.
    names : dict of Layer to str, optional
        Those of another graph of the same layers.

    Attributes
    ----------
    nodes : tuple of Node
        In an order in which each comes after its inputs.
    layers : tuple of Layer
        Each once, in Keras's order.
    names : dict of Layer to str
        What each layer is called here, as `name_layers` gives it.
    weight_names : tuple of str
        ``"layer/weight"``, in Keras's order.
    """

    def __init__(
        self,
        inputs: Sequence[Node],
        outputs: Sequence[Node],
        label: str,
        names: dict[Layer, str] | None = None,
    ) -> None:
        self.label = label
        self.inputs, self.outputs = tuple(inputs), tuple(outputs)
        _check_ends(label, self.inputs, self.outputs)
        self.nodes, self.layers = ordered(label, self.inputs, self.outputs)
        starts = (node.layer for node in self.inputs if node.layer not in self.layers)
        self.names = name_layers(label, [*self.layers, *starts]) if names is None else names
        self.weight_names = tuple(
            f"{self.names[layer]}/{name}" for layer in self.layers for name in layer.specs
        )
        self.keys = _keys(self.nodes, self.names)
        self._index = {node: i for i, node in enumerate(self.nodes)}
        self.steps = self._steps()
        self._ends = tuple(self._index[node] for node in self.outputs)
        self._readers = [0] * max([len(self.nodes), *(step.target + 1 for step in self.steps)])
        for value in (*self._ends, *(s for step in self.steps for s in step.sources)):
            self._readers[value] += 1

    def _steps(self) -> tuple[Step, ...]:
        steps = []
        extra = len(self.nodes)
        for node in self.nodes:
            if node in self.inputs:
                continue
            layer = node.layer
            sources = tuple(self._index[parent] for parent in node.inputs)
            names = tuple(layer.specs)
            shapes: tuple[Shape | None, ...] = tuple(parent.shape for parent in node.inputs)
            for i, stage in enumerate(layer.stages):
                last = i + 1 == len(layer.stages)
                target = self._index[node] if last else extra
                shape = node.shape if last else None
                steps.append(
                    Step(stage, layer, self.keys[node], names, sources, target, shapes, shape)
                )
                if not last:
                    sources, shapes, extra = (extra,), (None,), extra + 1
        return tuple(steps)

    def noise(self) -> dict[str, tuple[Shape, float]]:
        """For each place that drops: its key, the mask's shape (no batch axis) and the rate."""
        found = {}
        for node in self.nodes:
            shape = node.layer.noise(*(parent.shape for parent in node.inputs))
            if shape is not None:
                found[self.keys[node]] = shape, node.layer.rate
        return found

    def draw_masks(self, rng: np.random.Generator, batch: int) -> dict[str, np.ndarray[Any, Any]]:
        """A random mask for each place that drops, True where a cell stays, drawn in the nodes' order."""
        return {
            key: rng.random((batch, *shape)) >= rate for key, (shape, rate) in self.noise().items()
        }

    def check_inputs(self, inputs: Sequence[Array]) -> None:
        """Raise ``ValueError`` unless ``inputs`` have the shapes that the graph was built for."""
        if len(inputs) != len(self.inputs):
            raise ValueError(
                f"{self.label}: takes {len(self.inputs)} inputs "
                f"({', '.join(self.keys[node] for node in self.inputs)}), got {len(inputs)}"
            )
        for node, x in zip(self.inputs, inputs, strict=True):
            if tuple(x.shape[1:]) != node.shape or x.ndim < 1:
                shown = ", ".join(["N", *map(str, node.shape)])
                raise ValueError(
                    f"{self.label}: {node.layer.label} expects an array of shape ({shown}), got {tuple(x.shape)}"
                    + _hint(tuple(x.shape), node.shape)
                )
        lengths = {int(x.shape[0]) for x in inputs}
        if len(lengths) > 1:
            raise ValueError(
                f"{self.label}: the inputs must have equally many samples, got {sorted(lengths)}"
            )

    def forward(
        self,
        weights: Mapping[str, Array],
        inputs: Sequence[Array],
        *,
        training: bool = False,
        masks: Mapping[str, Array] | None = None,
        record: bool | None = None,
    ) -> tuple[tuple[Array, ...], Tape, dict[str, Array]]:
        """The outputs, a tape for `backward`, and new values of the weights that are not trained.

        Parameters
        ----------
        weights : mapping of str to array
            By ``"layer/weight"``.
        inputs : sequence of array
            One per input node, of one library, device and floating dtype.
        training : bool
            Whether batch normalization uses its batch and dropout drops.
        masks : mapping of str to array, optional
            As `draw_masks` draws them; needed to train with dropout.
        record : bool, optional
            Whether to keep what `backward` needs; as ``training`` if not given.

        Raises
        ------
        ValueError
            Inputs of other shapes than the graph was built for, a missing weight or mask.
        """
        self.check_inputs(inputs)
        record = training if record is None else record
        active = self._active() if record else []
        tape = Tape(training)
        updates: dict[str, Array] = {}
        readers = list(self._readers)
        values = {self._index[n]: x for n, x in zip(self.inputs, inputs, strict=True)}
        for step in self.steps:
            x = tuple(values[source] for source in step.sources)
            mask = self._mask(step, masks) if training else None
            # a layer that occurs twice goes on from its first update
            name = self.names[step.layer]
            w = _local(step, name, weights, updates)
            returned = step.stage.forward(w, *x, training=training, mask=mask)
            y, new = checked_forward(step.layer, returned, inputs[0].shape[0], step.shape)
            updates |= {f"{name}/{weight}": value for weight, value in new.items()}
            values[step.target] = y
            if record and active[step.target]:
                uses = step.stage.uses
                kept = x if "x" in uses else (None,) * len(x)
                tape.records.append(Record(step, kept, y if "y" in uses else None, mask))
            for source in step.sources:
                readers[source] -= 1
                if not readers[source]:
                    del values[source]
            del x, y, returned
        return tuple(values[end] for end in self._ends), tape, updates

    def backward(
        self, dys: Sequence[Array | None], weights: Mapping[str, Array], tape: Tape
    ) -> dict[str, Array]:
        """The gradient of every trainable weight.

        Parameters
        ----------
        dys : sequence of array
            The gradient of each output; ``None`` for an output that counts for nothing.
        weights : mapping of str to array
            Those of the forward pass.
        tape : Tape
            From `forward` with ``record``; it is emptied from its end, so that each value is freed
            as soon as it has been used.

        Raises
        ------
        ValueError
            A tape that is used up or was not recorded, or gradients that do not fit the outputs.
        """
        active = self._active()
        if tape.used or (not tape.records and any(active)):
            raise ValueError(
                f"{self.label}: the tape is empty: a tape serves one backward pass, and forward records "
                "one under training=True or record=True"
            )
        if len(dys) != len(self.outputs):
            raise ValueError(
                f"{self.label}: has {len(self.outputs)} outputs, got {len(dys)} gradients"
            )
        tape.used = True
        upstream: dict[int, Array] = {}
        for end, dy in zip(self._ends, dys, strict=True):
            if dy is not None:
                _add(upstream, end, dy)
        gradients: dict[str, Array] = {}
        trained: dict[Layer, str] = {}
        while tape.records:
            step, x, y, mask = tape.records.pop()
            dy = upstream.pop(step.target, None)
            if dy is None:
                continue
            wanted = [active[source] for source in step.sources]
            layer = self.names[step.layer]
            w = _local(step, layer, weights, {})
            returned = step.stage.backward(
                dy, w, *x, y=y, training=tape.training, mask=mask, need=any(wanted)
            )
            dxs, dws = checked_backward(step.layer, returned, dy.shape[0], step.shapes, wanted)
            del x, y, dy, returned
            if step.layer.trainable:
                trained[step.layer] = layer
            for name, dw in dws.items():
                if step.layer.trainable:
                    _add(gradients, f"{layer}/{name}", dw)
            for source, dx, want in zip(step.sources, dxs, wanted, strict=True):
                if want:
                    _add(upstream, source, dx)
            del dxs
        for owner, name in trained.items():
            check_all_trained(owner, gradients, name)
        return {name: _or_zeros(gradients, name, weights) for name in self.trainable}

    @property
    def trainable(self) -> tuple[str, ...]:
        """The names of the weights that are trained."""
        return tuple(
            f"{self.names[layer]}/{name}"
            for layer in self.layers
            if layer.trainable
            for name, spec in layer.specs.items()
            if spec.trainable
        )

    def _active(self) -> list[bool]:
        """For each value, whether a weight that is trained had a part in it."""
        active = [False] * len(self._readers)
        for step in self.steps:
            own = step.layer.trainable and any(s.trainable for s in step.layer.specs.values())
            active[step.target] = own or any(active[source] for source in step.sources)
        return active

    def _mask(self, step: Step, masks: Mapping[str, Array] | None) -> Array | None:
        if step.layer.rate == 0.0:
            return None
        if masks is None or step.key not in masks:
            raise ValueError(
                f"{self.label}: {step.layer.label} needs a mask to train: pass masks={{{step.key!r}: ...}}"
            )
        return masks[step.key]

    def count_params(self) -> int:
        """The number of elements of all weights."""
        return sum(layer.count_params() for layer in self.layers)


def name_layers(label: str, layers: Sequence[Layer]) -> dict[Layer, str]:
    """What each layer is called in a model of them: by its own name, which one without gets from its class.

    A layer whose own name was made up may be called otherwise here, where another has that name.

    Raises
    ------
    ValueError
        If two layers were given one name.
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
    # how far the numbers behind each base have been given out
    numbers: dict[str, int] = {}
    # those that have a name keep it where they can: a layer that two models share is called alike in both
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


def _keys(nodes: Sequence[Node], names: Mapping[Layer, str]) -> dict[Node, str]:
    """A name for each node: its layer's, with the number of the call where the layer is shared."""
    calls: dict[Layer, int] = {}
    keys = {}
    for node in nodes:
        call = calls.get(node.layer, 0)
        calls[node.layer] = call + 1
        keys[node] = f"{names[node.layer]}:{call}" if call else names[node.layer]
    return keys


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


def _local(
    step: Step, layer: str, weights: Mapping[str, Array], updates: Mapping[str, Array]
) -> dict[str, Array]:
    found = {}
    for name in step.names:
        full = f"{layer}/{name}"
        if full not in updates and full not in weights:
            raise ValueError(f"{step.layer.label}: weights has no {full!r}")
        found[name] = updates[full] if full in updates else weights[full]
    return found


def _add(totals: dict[Any, Array], key: Any, value: Array) -> None:
    totals[key] = totals[key] + value if key in totals else value


def _or_zeros(gradients: dict[str, Array], name: str, weights: Mapping[str, Array]) -> Array:
    if name in gradients:
        return gradients[name]
    return array_namespace("backward", weights=weights[name]).zeros_like(weights[name])

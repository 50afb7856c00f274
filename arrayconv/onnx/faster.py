"""Graphs that compute the same in less time: constants folded, batch norms too, channels last inside.

Each pass takes a graph and returns one of the same operators, so that the walk back works on the result.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.onnx.graph import Graph, Step, live
from arrayconv.onnx.operators.convolution import KERNEL_LAST
from arrayconv.onnx.operators.shared import data_format
from arrayconv.onnx.running import on_host, plain
from arrayconv.onnx.table import NEWEST, find

CONVOLUTIONS = ("Conv", "ConvTranspose")


def faster(graph: Graph) -> Graph:
    """All passes, in their order; the graph is in its float type already, so that each rounds once."""
    for one in (bind, fold, fold_batch_norms, fuse, channels_last, lay_out_kernels):
        graph = live(one(graph))
    return graph


def bind(graph: Graph) -> Graph:
    """Constants that decide shapes become attributes, and are plain numbers once for all."""
    steps = []
    for step in graph.steps:
        inputs, attributes = list(step.inputs), dict(step.attributes)
        names, static = step.operator.parameters, step.operator.static
        while inputs and len(inputs) <= len(names) and names[len(inputs) - 1] in static:
            if inputs[-1] and inputs[-1] not in graph.constants:
                break
            value = inputs.pop()
            if value:
                name = names[len(inputs)]
                attributes[name] = plain(graph.constants[value], step, name)
        if step.operator.name == "Clip" and set(inputs[1:]) <= {"", *graph.constants}:
            # numbers, as before opset 11
            bounds = zip(names[1:], inputs[1:], strict=False)
            attributes |= {k: float(graph.constants[v].item()) for k, v in bounds if v}
            inputs = inputs[:1]
        steps.append(replace(step, inputs=tuple(inputs), attributes=attributes))
    return replace(graph, steps=tuple(steps))


def fold(graph: Graph) -> Graph:
    """Steps of constants alone, weights included, are taken now."""
    constants, steps = dict(graph.constants), []
    for step in graph.steps:
        given = [name for name in step.inputs if name]
        small = sum(constants[name].size for name in given if name in constants) < 2**26
        if given and small and step.operator.name not in GROWING and set(given) <= set(constants):
            values = on_host(step, [constants.get(name) for name in step.inputs])
            constants |= dict(zip(step.outputs, values, strict=False))
        else:
            steps.append(step)
    return replace(graph, constants=constants, steps=tuple(steps))


# A file may ask for results of any size.
GROWING = ("Expand", "Tile", "Pad", "Resize", "Upsample", "Range", "ConstantOfShape", *CONVOLUTIONS)


def fold_batch_norms(graph: Graph) -> Graph:
    """A batch norm by known statistics: into the convolution before it, else one product and one sum."""
    constants = dict(graph.constants)
    uses = _uses(graph)
    made: dict[str, int] = {}
    steps: list[Step] = []
    for step in graph.steps:
        folded = False
        if _is_inference(step, constants):
            scale, shift = _affine(step, constants)
            x = step.inputs[0]
            before = steps[made[x]] if x in made else None
            if before is not None and uses[x] == 1 and _takes_affine(before, constants):
                steps[made[x]] = _into(before, scale, shift, step.outputs[0], constants)
                made[step.outputs[0]] = made[x]
                folded = True
            elif x in graph.shapes:
                shape = (1, -1, *(1,) * (len(graph.shapes[x]) - 2))
                names = [f"{step.outputs[0]}@{part}" for part in ("scale", "scaled", "shift")]
                dtype = constants[step.inputs[1]].dtype
                constants[names[0]] = scale.reshape(shape).astype(dtype)
                constants[names[2]] = shift.reshape(shape).astype(dtype)
                graph.shapes[names[1]] = graph.shapes[x]
                steps.append(_new("Mul", (x, names[0]), names[1]))
                steps.append(_new("Add", (names[1], names[2]), step.outputs[0]))
                folded = True
        if not folded:
            steps.append(step)
        for name in steps[-1].outputs if not folded or step.outputs[0] not in made else ():
            made[name] = len(steps) - 1
    return replace(graph, constants=constants, steps=tuple(steps))


def _is_inference(step: Step, constants: dict[str, NDArray[Any]]) -> bool:
    plainly = step.operator.name == "BatchNormalization" and not step.attributes.get(
        "training_mode"
    )
    known = all(name in constants for name in step.inputs[1:])
    return plainly and known and len(step.outputs) == 1 and step.attributes.get("spatial", 1) == 1


def _affine(step: Step, constants: dict[str, NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """The factor and the summand of each channel, rounded once."""
    wide = [constants[name].astype(np.float64) for name in step.inputs[1:5]]
    gamma, beta, mean, var = wide
    scale = gamma / np.sqrt(var + step.attributes.get("epsilon", 1e-5))
    return scale, beta - mean * scale


def _takes_affine(step: Step, constants: dict[str, NDArray[Any]]) -> bool:
    grouped = step.operator.name == "ConvTranspose" and step.attributes.get("group", 1) > 1
    known = all(not name or name in constants for name in step.inputs[1:])
    return step.operator.name in CONVOLUTIONS and known and not grouped


def _into(
    step: Step,
    scale: NDArray[Any],
    shift: NDArray[Any],
    output: str,
    constants: dict[str, NDArray[Any]],
) -> Step:
    w = constants[step.inputs[1]]
    # (O, I, *K) of Conv, (I, O, *K) of ConvTranspose
    across = (
        (-1, *(1,) * (w.ndim - 1))
        if step.operator.name == "Conv"
        else (1, -1, *(1,) * (w.ndim - 2))
    )
    bias = step.inputs[2] if len(step.inputs) > 2 else ""
    b = constants[bias].astype(np.float64) * scale + shift if bias else shift
    names = f"{output}@w", f"{output}@b"
    constants[names[0]] = (w * scale.reshape(across)).astype(w.dtype)
    constants[names[1]] = b.astype(w.dtype)
    return replace(step, inputs=(step.inputs[0], *names), outputs=(output,))


def _uses(graph: Graph) -> dict[str, int]:
    count = {spec.name: 1 for spec in graph.outputs}
    for step in graph.steps:
        for name in step.inputs:
            count[name] = count.get(name, 0) + 1
    return count


def _new(operator: str, inputs: tuple[str, ...], output: str, **attributes: Any) -> Step:
    line = find("", operator, NEWEST)
    assert line is not None
    return Step(line, output, inputs, (output,), attributes)


def fuse(graph: Graph) -> Graph:
    """What exporters write out in other operators, where the standard has one: Swish and Gelu."""
    made = {name: step for step in graph.steps for name in step.outputs}

    def before(name: str | None, operator: str, number: float | None = None) -> str | None:
        """The input of the step that gives ``name``, if it is this operator, with this number."""
        step = made.get(name or "")
        if step is None or step.operator.name != operator or step.operator.domain:
            return None
        if number is None:
            return step.inputs[0]
        for x, y in (step.inputs, step.inputs[::-1]):
            value = graph.constants.get(y)
            if value is not None and value.size == 1 and abs(value.item() - number) < 1e-6:
                return x
        return None

    def gated(name: str | None) -> str | None:
        """``x`` where a value is ``x * (1 + erf(x / sqrt(2)))``."""
        step = made.get(name or "")
        if step is None or step.operator.name != "Mul":
            return None
        for x, y in (step.inputs, step.inputs[::-1]):
            inner = before(before(y, "Add", 1.0), "Erf")
            root = before(inner, "Div", 2**0.5) or before(inner, "Mul", 0.5**0.5)
            if root is not None and root in (x, before(x, "Mul", 0.5)):
                return x
        return None

    steps = []
    for step in graph.steps:
        new = step
        if step.operator.name == "Mul" and not step.operator.domain:
            y = step.outputs[0]
            x = gated(before(y, "Mul", 0.5)) or before(gated(y), "Mul", 0.5)
            if x is not None:
                new = _new("Gelu", (x,), y)
            for x, gate in (step.inputs, step.inputs[::-1]):
                if before(gate, "Sigmoid") == x:
                    new = _new("Swish", (x,), y)
        steps.append(new)
    return replace(graph, steps=tuple(steps))


def channels_last(graph: Graph) -> Graph:
    """Between the first image operator and whatever needs ONNX's own order, channels are last."""
    return _Layouts(graph).graph()


class _Layouts:
    """Which values exist in which order of axes, while the steps are gone through."""

    def __init__(self, graph: Graph) -> None:
        self.old = graph
        self.constants = dict(graph.constants)
        self.shapes = graph.shapes
        self.steps: list[Step] = []
        # names of the same value with its channels second, as in the file, and last
        self.first = {spec.name: spec.name for spec in graph.inputs}
        self.last: dict[str, str] = {}

    def graph(self) -> Graph:
        for step in self.old.steps:
            if not (self._turned(step) or self._moved(step)):
                inputs = tuple(self._first(name) if name else name for name in step.inputs)
                self.steps.append(replace(step, inputs=inputs))
                self.first |= {name: name for name in step.outputs}
        for spec in self.old.outputs:
            if self._first(spec.name) != spec.name:
                self.steps.append(_new("Identity", (self._first(spec.name),), spec.name))
        return replace(self.old, constants=self.constants, steps=tuple(self.steps))

    def _rank(self, name: str) -> int | None:
        if name in self.constants:
            return self.constants[name].ndim
        return len(self.shapes[name]) if name in self.shapes else None

    def _first(self, name: str) -> str:
        if name in self.constants or name in self.first or name not in self.last:
            return self.first.get(name, name)
        ndim = self._rank(name)
        assert ndim is not None
        order = (0, ndim - 1, *range(1, ndim - 1))
        self.steps.append(_new("Transpose", (self.last[name],), name, perm=order))
        self.first[name] = name
        return name

    def _last(self, name: str, ndim: int) -> str:
        if name in self.last:
            return self.last[name]
        moved = f"{name}@last"
        if name in self.constants:
            value = self.constants[name]
            if value.size == 1:
                return name
            value = value.reshape((1,) * (ndim - value.ndim) + value.shape)
            self.constants[moved] = np.ascontiguousarray(np.moveaxis(value, 1, -1))
        else:
            order = (0, *range(2, ndim), 1)
            self.steps.append(_new("Transpose", (self._first(name),), moved, perm=order))
        self.last[name] = moved
        return moved

    def _turned(self, step: Step) -> bool:
        """A transposition between the two orders is only another name."""
        if step.operator.name != "Transpose" or step.operator.domain:
            return False
        x, y, perm = step.inputs[0], step.outputs[0], step.attributes.get("perm")
        ndim = self._rank(x)
        if perm is None or ndim is None or ndim < 3:
            return False
        if x in self.last and perm == (0, *range(2, ndim), 1):
            self.first[y] = self.last[x]
            return True
        if x not in self.constants and perm == (0, ndim - 1, *range(1, ndim - 1)):
            self.last[y] = self._first(x)
            return True
        return False

    def _moved(self, step: Step) -> bool:
        """Take a step with its channels last, where it can and its input is so, or it is about images."""
        change = step.operator.channels_last
        if change is None:
            return False
        images = change is data_format
        names = step.arrays()[:1] if images else step.arrays()
        ranks = [self._rank(name) for name in names if not self._small(name)]
        ndim = max((rank or 0 for rank in ranks), default=0)
        values = [name for name in names if name not in self.constants]
        if ndim < 3 or any(self._rank(name) != ndim for name in values if not self._small(name)):
            return False
        if not any(name in self.last for name in values) and not images:
            return False
        attributes = change(step.attributes, ndim)
        if attributes is None:
            return False
        new = {name: self._last(name, ndim) for name in names if not self._small(name)}
        inputs = tuple(new.get(name) or self._first(name) for name in step.inputs)
        outputs = tuple(f"{name}@last" if name else name for name in step.outputs)
        self.steps.append(replace(step, inputs=inputs, outputs=outputs, attributes=attributes))
        self.last |= {name: f"{name}@last" for name in step.outputs if name}
        return True

    def _small(self, name: str) -> bool:
        """Whether a value has one element, which needs no order of axes."""
        if name in self.constants:
            return self.constants[name].size == 1 and self.constants[name].ndim < 2
        return self._rank(name) == 0


def lay_out_kernels(graph: Graph) -> Graph:
    """Known kernels are put into the operations' own order, (*K, I, O), once."""
    constants, steps = dict(graph.constants), []
    for step in graph.steps:
        if step.operator.name in CONVOLUTIONS and step.inputs[1] in constants:
            name = f"{step.inputs[1]}@kernel"
            if name not in constants:
                w = constants[step.inputs[1]]
                constants[name] = np.ascontiguousarray(w.transpose((*range(2, w.ndim), 1, 0)))
            attributes = step.attributes | {"kernel": KERNEL_LAST}
            inputs = (step.inputs[0], name, *step.inputs[2:])
            step = replace(step, inputs=inputs, attributes=attributes)
        steps.append(step)
    return replace(graph, constants=constants, steps=tuple(steps))

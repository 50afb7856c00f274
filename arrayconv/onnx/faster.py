"""Optimizing a graph: folding constants and batch norms, fusing activations, and channels last inside.

Each pass takes a graph and returns one made of the same operators, so that gradients work on the result too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.onnx.graph import Graph, Step, live, new_step
from arrayconv.onnx.layouts import channels_last
from arrayconv.onnx.operators.convolution import KERNEL_LAST
from arrayconv.onnx.running import on_host, plain

CONVOLUTIONS = ("Conv", "ConvTranspose")
LAST = "channels_last"


def faster(graph: Graph) -> Graph:
    """Apply all passes; the graph must have its final floating dtype already, so that constants are rounded once."""
    # again after channels_last, which removes transpositions between a convolution and its batch norm
    for one in (bind, fold, fold_affine, fuse, channels_last, fold_affine, lay_out_kernels):
        graph = live(one(graph))
    return graph


def bind(graph: Graph) -> Graph:
    """Turn constant inputs that are static for an operator, such as shapes, into attributes with plain numbers."""
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
            # plain numbers, as attributes were before opset 11
            bounds = zip(names[1:], inputs[1:], strict=False)
            attributes |= {k: float(graph.constants[v].item()) for k, v in bounds if v}
            inputs = inputs[:1]
        steps.append(replace(step, inputs=tuple(inputs), attributes=attributes))
    return replace(graph, steps=tuple(steps))


def fold(graph: Graph) -> Graph:
    """Compute steps whose inputs are all constants, weights included."""
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


# Not folded: small inputs can give results of any size.
GROWING = ("Expand", "Tile", "Pad", "Resize", "Upsample", "Range", "ConstantOfShape", *CONVOLUTIONS)


def fold_affine(graph: Graph) -> Graph:
    """Fold scales and shifts per channel, as of batch norms, into the convolution before; else simplify batch norms."""
    constants, shapes = dict(graph.constants), dict(graph.shapes)
    uses = _uses(graph)
    made: dict[str, int] = {}
    steps: list[Step] = []
    for step in graph.steps:
        x, before = _through(step, constants), None
        if x is not None and x in made and uses[x] == 1:
            before = _takes_affine(steps[made[x]], constants)
        last = before is not None and steps[made[x or ""]].attributes.get("data_format") == LAST
        found = None if x is None else _affine(step, constants, before, last)
        if x is not None and found is not None and before is not None:
            place = made[x]
            steps[place] = _into(steps[place], *found, step.outputs[0], constants)
            made[step.outputs[0]] = place
            continue
        if found is not None and step.operator.name == "BatchNormalization" and x in shapes:
            steps += _apart(step, *found, constants, shapes)
        else:
            steps.append(step)
        made |= {name: len(steps) - 1 for name in step.outputs}
    return replace(graph, constants=constants, shapes=shapes, steps=tuple(steps))


Constants = dict[str, NDArray[Any]]
Affine = tuple[NDArray[Any], NDArray[Any]]


def _through(step: Step, constants: Constants) -> str | None:
    """The one input of a step that is not a constant, if there is exactly one; else None."""
    if step.operator.domain or len(step.outputs) != 1:
        return None
    free = [name for name in step.inputs if name not in constants]
    second = step.operator.name in ("Sub", "Div") and free != list(step.inputs[:1])
    return free[0] if len(free) == 1 and not second else None


def _affine(
    step: Step, constants: Constants, like: NDArray[Any] | None, last: bool
) -> Affine | None:
    """The scale and the shift that a step applies to each channel, or None.

    ``like`` is the kernel, shape (C, ...), of the convolution before the step, if there is one.
    """
    known = [constants[name].astype(np.float64) for name in step.inputs if name in constants]
    if step.operator.name == "BatchNormalization":
        if step.attributes.get("training_mode") or step.attributes.get("spatial", 1) != 1:
            return None
        gamma, beta, mean, var = known
        scale = gamma / np.sqrt(var + step.attributes.get("epsilon", 1e-5))
        return scale, beta - mean * scale
    if step.operator.name not in ("Add", "Sub", "Mul", "Div") or like is None:
        return None
    (value,) = known
    full = (1,) * (like.ndim - value.ndim) + value.shape
    rest = (1,) * (like.ndim - 2)
    if full != ((1, *rest, value.size) if last else (1, value.size, *rest)):
        return None
    if value.size not in (1, like.shape[0]):
        return None
    each = np.broadcast_to(value.reshape(-1), like.shape[:1])
    ones, zeros = np.ones(like.shape[0]), np.zeros(like.shape[0])
    if step.operator.name in ("Add", "Sub"):
        return ones, each if step.operator.name == "Add" else -each
    return each if step.operator.name == "Mul" else 1 / each, zeros


def _takes_affine(step: Step, constants: Constants) -> NDArray[Any] | None:
    """The kernel, output channels first, of a convolution that a scale and a shift can be folded into; else None."""
    known = all(not name or name in constants for name in step.inputs[1:])
    if step.operator.name not in CONVOLUTIONS or step.operator.domain or not known:
        return None
    w = constants[step.inputs[1]]
    if step.operator.name == "Conv":
        return w
    return w.swapaxes(0, 1) if step.attributes.get("group", 1) == 1 else None


def _into(
    step: Step, scale: NDArray[Any], shift: NDArray[Any], output: str, constants: Constants
) -> Step:
    w = constants[step.inputs[1]]
    # (O, I, *K) of Conv, (I, O, *K) of ConvTranspose
    rest = (1,) * (w.ndim - 2)
    across = (-1, 1, *rest) if step.operator.name == "Conv" else (1, -1, *rest)
    bias = step.inputs[2] if len(step.inputs) > 2 else ""
    b = constants[bias].astype(np.float64) * scale + shift if bias else shift
    names = f"{output}@w", f"{output}@b"
    constants[names[0]] = (w * scale.reshape(across)).astype(w.dtype)
    constants[names[1]] = b.astype(w.dtype)
    return replace(step, inputs=(step.inputs[0], *names), outputs=(output,))


def _apart(
    step: Step,
    scale: NDArray[Any],
    shift: NDArray[Any],
    constants: Constants,
    shapes: dict[str, Any],
) -> list[Step]:
    """A Mul and an Add in place of a batch norm."""
    x, y, dtype = step.inputs[0], step.outputs[0], constants[step.inputs[1]].dtype
    each = (1, -1, *(1,) * (len(shapes[x]) - 2))
    factor, scaled, summand = (f"{y}@{part}" for part in ("scale", "scaled", "shift"))
    constants[factor] = scale.reshape(each).astype(dtype)
    constants[summand] = shift.reshape(each).astype(dtype)
    shapes[scaled] = shapes[x]
    return [new_step("Mul", (x, factor), scaled), new_step("Add", (scaled, summand), y)]


def _uses(graph: Graph) -> dict[str, int]:
    count = {spec.name: 1 for spec in graph.outputs}
    for step in graph.steps:
        for name in step.inputs:
            count[name] = count.get(name, 0) + 1
    return count


def fuse(graph: Graph) -> Graph:
    """Replace Swish and Gelu that exporters have written out in elementary operators by those operators."""
    made = {name: step for step in graph.steps for name in step.outputs}

    def before(name: str | None, operator: str, number: float | None = None) -> str | None:
        """The input of the step that makes ``name``, if it is this operator, with this constant if one is given."""
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
        """``x`` if the value is ``x * (1 + erf(x / sqrt(2)))``, else None."""
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
                new = new_step("Gelu", (x,), y)
            for x, gate in (step.inputs, step.inputs[::-1]):
                if before(gate, "Sigmoid") == x:
                    new = new_step("Swish", (x,), y)
        steps.append(new)
    return replace(graph, steps=tuple(steps))


def lay_out_kernels(graph: Graph) -> Graph:
    """Transpose constant kernels to the layout of `arrayconv.conv`, (*K, I, O), once."""
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


def of_shapes(graph: Graph) -> set[str]:
    """The values that depend only on the shapes of the inputs."""
    found: set[str] = set()
    for step in graph.steps:
        shapes = step.operator.name in ("Shape", "Size") and not step.operator.domain
        if shapes or all(n in found or n in graph.constants for n in step.inputs if n):
            found.update(name for name in step.outputs if name)
    return found


def settled(graph: Graph, values: dict[str, NDArray[Any]]) -> Graph:
    """The graph specialized to one shape of the inputs; ``values`` are those that depend only on it."""
    steps = tuple(step for step in graph.steps if not values.keys() >= set(step.outputs))
    return live(bind(replace(graph, constants=graph.constants | values, steps=steps)))

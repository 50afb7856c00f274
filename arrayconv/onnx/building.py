"""Building a graph from a checked model: operators looked up, attributes read, constants folded."""

from __future__ import annotations

import inspect
import math
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from arrayconv.onnx import reading
from arrayconv.onnx.graph import Graph, Size, Spec, Step, known, live
from arrayconv.onnx.running import on_host
from arrayconv.onnx.table import find, reason

FOLDED = 2**24
"""The largest number of elements of an array that is computed while loading."""

# Attributes that hold ONNX's number of an element type.
TYPES = {"Cast": "to", "EyeLike": "dtype"}
ALIASES = ("Identity", "Dropout")


def build(model: onnx.ModelProto, folder: Path | None, title: str) -> Graph:
    """The graph of a model.

    Raises
    ------
    ValueError
        If operators are not supported (all are listed with their nodes), or an element type or an attribute
        is not.
    """
    graph = model.graph
    if graph.sparse_initializer:
        raise ValueError(f"{title}: sparse weights are not supported")
    versions = {o.domain.replace("ai.onnx", ""): o.version for o in model.opset_import}
    constants = {t.name: reading.array(t, folder, title) for t in graph.initializer}
    shapes = {v.name: _shape(v.type) for v in (*graph.input, *graph.output, *graph.value_info)}
    shapes |= {name: value.shape for name, value in constants.items()}
    types = _types(graph) | {name: value.dtype for name, value in constants.items()}
    trained = {name for name, value in constants.items() if value.dtype.kind == "f" and value.size}
    aliases: dict[str, str] = {}
    steps: list[Step] = []
    missing: dict[str, list[str]] = {}
    for number, node in enumerate(graph.node):
        name = node.name or (node.output[0] if node.output else f"#{number}")
        if node.op_type == "Constant" and node.domain in ("", "ai.onnx"):
            constants[node.output[0]] = _constant(node, folder, title)
            continue
        step = _step(node, name, versions, folder, title, missing)
        if step is None:
            continue
        inputs = tuple(aliases.get(i, i) for i in step.inputs)
        step = Step(step.operator, name, inputs, step.outputs, step.attributes)
        if _changes_nothing(step, constants, types):
            aliases[step.outputs[0]] = inputs[0]
            continue
        found = _folded(step, constants, trained, shapes)
        if found is not None:
            constants |= found
        else:
            steps.append(step)
    if missing:
        raise ValueError(_report(missing, title))
    free = tuple(_spec(v, title) for v in graph.input if v.name not in constants)
    outputs = tuple(_spec(v, title) for v in graph.output)
    steps += _renamed(outputs, aliases)
    used = {value for step in steps for value in step.arrays()}
    weights = tuple(t.name for t in graph.initializer if t.name in trained & used)
    return live(Graph(free, outputs, constants, weights, tuple(steps), _clean(shapes)))


def _step(
    node: onnx.NodeProto,
    name: str,
    versions: dict[str, int],
    folder: Path | None,
    title: str,
    missing: dict[str, list[str]],
) -> Step | None:
    domain = node.domain.replace("ai.onnx", "") if node.domain == "ai.onnx" else node.domain
    version = versions.get(domain, 1)
    operator = find(domain, node.op_type, version)
    outputs = tuple(node.output)
    while outputs and not outputs[-1]:
        outputs = outputs[:-1]
    if operator is None or len(outputs) > operator.outputs:
        why = reason(domain, node.op_type, version) if operator is None else "only its first output"
        key = f"{node.op_type} ({why})" if why else node.op_type
        missing.setdefault(key, []).append(name)
        return None
    attributes = {}
    for attribute in node.attribute:
        where = f"{title}: {node.op_type} (node {name!r})"
        value = _attribute(attribute, folder, where)
        if TYPES.get(node.op_type) == attribute.name:
            value = reading.dtype_of(value, where)
        takes = inspect.signature(operator.function).parameters
        open_ended = any(p.kind is p.VAR_KEYWORD for p in takes.values())
        if attribute.name not in takes and not open_ended:
            raise ValueError(f"{where}: attribute {attribute.name!r} is not supported")
        attributes[attribute.name] = value
    if "outputs" in operator.keywords:
        attributes["outputs"] = len(outputs)
    return Step(operator, name, tuple(node.input), outputs, attributes)


def _report(missing: dict[str, list[str]], title: str) -> str:
    lines = [f"{title}: these operators are not supported:"]
    for operator, nodes in missing.items():
        more = f" and {len(nodes) - 5} more" if len(nodes) > 5 else ""
        lines.append(f"  {operator}: {', '.join(map(repr, nodes[:5]))}{more}")
    lines.append("arrayconv.onnx.register(name, function, vjp) adds one")
    return "\n".join(lines)


def _attribute(attribute: onnx.AttributeProto, folder: Path | None, where: str) -> Any:
    if attribute.type == onnx.AttributeProto.TENSOR:
        return reading.array(attribute.t, folder, where)
    if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
        raise ValueError(
            f"{where}: attribute {attribute.name!r} is a graph, which is not supported"
        )
    value = onnx.helper.get_attribute_value(attribute)
    if attribute.type in (onnx.AttributeProto.FLOAT, onnx.AttributeProto.FLOATS):
        several = attribute.type == onnx.AttributeProto.FLOATS
        return tuple(map(_meant, value)) if several else _meant(value)
    try:
        if isinstance(value, bytes):
            return value.decode()
        if isinstance(value, list | tuple):
            return tuple(v.decode() if isinstance(v, bytes) else v for v in value)
    except UnicodeDecodeError:
        raise ValueError(f"{where}: attribute {attribute.name!r} is not UTF-8 text") from None
    return value


def _meant(value: float) -> float:
    """A float32 of the file as the shortest decimal number that rounds to it: 0.1, not 0.10000000149."""
    return float(str(np.float32(value)))


def _constant(node: onnx.NodeProto, folder: Path | None, title: str) -> NDArray[Any]:
    (attribute,) = node.attribute
    where = f"{title}: Constant (node {node.name!r})"
    value = _attribute(attribute, folder, where)
    kind = attribute.name
    if kind == "value":
        return np.asarray(value)
    if kind in ("value_int", "value_ints"):
        return np.asarray(value, np.int64)
    if kind in ("value_float", "value_floats"):
        return np.asarray(value, np.float32)
    raise ValueError(f"{where}: a constant given by {kind!r} is not supported")


def _types(graph: onnx.GraphProto) -> dict[str, np.dtype[Any]]:
    """The dtypes of the values that have a known one; types that NumPy does not have are left out."""
    found = {}
    for value in (*graph.input, *graph.output, *graph.value_info):
        with suppress(ValueError):
            found[value.name] = _spec(value, "").dtype
    return found


def _changes_nothing(
    step: Step, constants: dict[str, NDArray[Any]], types: dict[str, np.dtype[Any]]
) -> bool:
    """Whether the output is the input: an Identity, a Dropout outside training, or a Cast to the same type."""
    name = step.operator.name
    if step.operator.domain or len(step.outputs) != 1:
        return False
    if name == "Cast":
        return bool(types.get(step.inputs[0]) == step.attributes["to"])
    mode = step.inputs[2] if name == "Dropout" and len(step.inputs) > 2 else ""
    quiet = not mode or (mode in constants and not constants[mode].any())
    return name in ALIASES and quiet


def _folded(
    step: Step,
    constants: dict[str, NDArray[Any]],
    trained: set[str],
    shapes: dict[str, tuple[Size, ...] | None],
) -> dict[str, NDArray[Any]] | None:
    """The outputs of a step that depends only on untrained constants or on known shapes; else None."""
    if step.operator.name in ("Shape", "Size") and step.operator.domain == "":
        shape = known(shapes.get(step.inputs[0]))
        if shape is None:
            return None
        stand_in = np.broadcast_to(np.float32(0), shape)
        return {step.outputs[0]: step.operator.function(stand_in, **step.attributes)}
    if any(name and (name not in constants or name in trained) for name in step.inputs):
        return None
    sizes = [known(shapes.get(name)) for name in step.outputs]
    # results that are large, or of unknown size, are computed only when the network is called
    if any(size is None or math.prod(size) > FOLDED for size in sizes):
        return None
    values = on_host(step, [constants.get(name) for name in step.inputs])
    return dict(zip(step.outputs, values, strict=False))


def _renamed(outputs: tuple[Spec, ...], aliases: dict[str, str]) -> list[Step]:
    """Identity steps for outputs whose own step was dropped because it changes nothing."""
    identity = find("", "Identity", 1)
    assert identity is not None
    return [
        Step(identity, spec.name, (aliases[spec.name],), (spec.name,), {})
        for spec in outputs
        if spec.name in aliases
    ]


def _shape(kind: onnx.TypeProto) -> tuple[Size, ...] | None:
    if not kind.HasField("tensor_type") or not kind.tensor_type.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") else d.dim_param or None
        for d in kind.tensor_type.shape.dim
    )


def _spec(value: onnx.ValueInfoProto, title: str) -> Spec:
    where = f"{title}: {value.name!r}"
    if not value.type.HasField("tensor_type"):
        raise ValueError(f"{where} is not a tensor, and only tensors are supported")
    dtype = reading.dtype_of(value.type.tensor_type.elem_type, where)
    return Spec(value.name, _shape(value.type), dtype)


def _clean(shapes: dict[str, tuple[Size, ...] | None]) -> dict[str, tuple[Size, ...]]:
    return {name: shape for name, shape in shapes.items() if shape is not None}

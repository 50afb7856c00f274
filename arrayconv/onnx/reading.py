"""Reading and checking a model: no code is executed, and no file outside the model's folder is read."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.inliner
from numpy.typing import NDArray

from arrayconv.onnx.table import NEWEST

LARGEST = 2**31 - 1
"""The largest size in bytes of a file without its external data: protobuf's limit."""


def read(source: Any) -> tuple[onnx.ModelProto, Path | None]:
    """A checked model with inferred shapes, and the folder of its external data.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If ``source`` is not a path, bytes or a model.
    ValueError
        If the file is empty, truncated or not ONNX; external data are missing, too short or outside the
        folder; or the model is invalid or has an opset newer than those supported.
    """
    path = None
    if isinstance(source, onnx.ModelProto):
        model = onnx.ModelProto()
        model.CopyFrom(source)
        title = "model"
    elif isinstance(source, bytes):
        model, title = _parsed(source, "bytes"), "bytes"
    elif isinstance(source, str | os.PathLike):
        path = Path(source)
        title = str(path)
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "there is no such file"
            raise FileNotFoundError(f"{path}: {what}")
        if path.stat().st_size > LARGEST:
            raise ValueError(
                f"{path}: larger than 2 GB, the limit for an ONNX file without its external data"
            )
        model = _parsed(path.read_bytes(), title)
    else:
        raise TypeError(
            f"load: expected a path, bytes or an onnx.ModelProto, got {type(source).__name__}"
        )
    folder = None if path is None else path.resolve().parent
    _check_names(model, title)
    _check_versions(model, title)
    for tensor in tensors(model.graph):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            external(tensor, folder, title)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    # shapes of inner values that the file states are inferred anew, not trusted
    del model.graph.value_info[:]
    try:
        onnx.checker.check_model(model if path is None or model.functions else str(path))
        model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except Exception as error:
        # the checker raises exceptions of many types
        raise ValueError(f"{title}: {_first_line(error)}") from None
    return model, folder


def _parsed(data: bytes, title: str) -> onnx.ModelProto:
    if not data:
        raise ValueError(f"{title}: empty, not an ONNX model")
    try:
        model = onnx.load_model_from_string(data)
    except Exception as error:
        raise ValueError(
            f"{title}: truncated, or not an ONNX model ({_first_line(error)})"
        ) from None
    if not model.ir_version or not model.graph.node:
        raise ValueError(f"{title}: not an ONNX model, it has no graph with nodes")
    return model


def _check_names(model: onnx.ModelProto, title: str) -> None:
    """Raise for a name that is not UTF-8, which protobuf returns as bytes."""
    graph = model.graph
    names: list[object] = [graph.name, *(opset.domain for opset in model.opset_import)]
    names += [v.name for v in (*graph.input, *graph.output, *graph.initializer)]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    if not all(isinstance(name, str) for name in names):
        raise ValueError(f"{title}: damaged, or not an ONNX model: a name in it is not UTF-8")


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:3]) or type(error).__name__


def _check_versions(model: onnx.ModelProto, title: str) -> None:
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version > NEWEST:
            raise ValueError(
                f"{title}: opset {opset.version} is newer than {NEWEST}, the newest that is supported; "
                "export the network for an older one (opset_version=)"
            )


def tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    """All tensors of a graph, in initializers and in attributes."""
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield sparse.values
        yield sparse.indices
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for inner in (attribute.g, *attribute.graphs):
                yield from tensors(inner)


def external(tensor: onnx.TensorProto, folder: Path | None, title: str) -> tuple[Path, int, int]:
    """The file, offset and length in bytes of a tensor's external data, checked."""
    entries = {entry.key: entry.value for entry in tensor.external_data}
    location, name = entries.get("location", ""), tensor.name
    if folder is None:
        raise ValueError(
            f"{title}: weight {name!r} is in an external file, {location!r}; load the model by its path"
        )
    path = folder / location
    outside = os.path.isabs(location) or ".." in Path(location).parts or not location
    # a link may lead anywhere
    if outside or "\0" in location or path.resolve() != path:
        raise ValueError(
            f"{title}: weight {name!r} is in {location!r}, which is not a plain file in the model's folder"
        )
    if not path.is_file():
        raise ValueError(f"{title}: weight {name!r} is in {location!r}, and there is no such file")
    size = path.stat().st_size
    wanted = math.prod(tensor.dims) * _itemsize(tensor, title)
    try:
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", size - offset))
    except ValueError:
        raise ValueError(
            f"{title}: weight {name!r} has an offset or length that is not a number"
        ) from None
    if offset < 0 or length != wanted or offset + length > size:
        raise ValueError(
            f"{title}: weight {name!r} takes {wanted} bytes, and the file states {length} bytes at offset {offset} "
            f"of {location!r}, which has {size}"
        )
    return path, offset, length


def _itemsize(tensor: onnx.TensorProto, title: str) -> int:
    return dtype_of(tensor.data_type, f"{title}: weight {tensor.name!r}").itemsize


def dtype_of(element: int, what: str) -> np.dtype[Any]:
    """The NumPy dtype of an ONNX element type.

    Raises
    ------
    ValueError
        If the array API has no such type: strings, complex numbers, bfloat16, 8-bit floats, 4-bit numbers.
    """
    try:
        dtype: np.dtype[Any] = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(element))
    except KeyError:
        raise ValueError(f"{what}: element type {element} is unknown") from None
    if dtype.kind not in "fiub" or dtype.type.__module__ != "numpy":
        raise ValueError(
            f"{what}: elements of type {onnx.TensorProto.DataType.Name(element)} are not supported"
        )
    return dtype


def array(tensor: onnx.TensorProto, folder: Path | None, title: str) -> NDArray[Any]:
    """A tensor as a new NumPy array."""
    dtype = dtype_of(tensor.data_type, f"{title}: weight {tensor.name!r}")
    shape = tuple(tensor.dims)
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        path, offset, length = external(tensor, folder, title)
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
        little = np.frombuffer(data, dtype.newbyteorder("<"))
        return little.astype(dtype, copy=True).reshape(shape)
    try:
        return np.array(onnx.numpy_helper.to_array(tensor), dtype).reshape(shape)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{title}: weight {tensor.name!r} is damaged: {error}") from None

"""Reading safetensors files with checks, and writing them so that a killed process leaves the old file."""

from __future__ import annotations

import json
import operator
import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.data.files import read_whole, text_limit, writing
from arrayconv.data.rows import needs

_AXES = 64
_DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?",
}  # fmt: skip


def read_tensors(
    path: str | os.PathLike[str],
) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """The arrays of a safetensors file, as writable NumPy arrays, and its metadata; bfloat16 becomes float32.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read.
    ValueError
        If it is truncated, not of this format, not a regular file, or has a dtype that NumPy does not have.
    """
    library = needs("safetensors", "reading weights")
    content = read_whole(path)
    size = int.from_bytes(content[:8], "little")
    if text_limit(len(content)) < size < len(content):
        raise ValueError(
            f"{path}: its header of {size} bytes is too long for a file of {len(content)}"
        )
    try:
        found = library.deserialize(content)
        metadata = json.loads(content[8 : 8 + size]).get("__metadata__") or {}
    except (library.SafetensorError, ValueError) as error:
        raise ValueError(f"{path}: this is not a complete safetensors file ({error})") from None
    tensors = {}
    # the library returns the tensors in no fixed order
    for name, held in sorted(found, key=operator.itemgetter(0)):
        kind, shape, data = held["dtype"], held["shape"], held["data"]
        if len(shape) > _AXES:
            raise ValueError(f"{path}: {name} has {len(shape)} axes, and NumPy at most {_AXES}")
        if kind == "BF16":
            tensors[name] = widened(np.frombuffer(data, "<u2")).reshape(shape)
        elif kind in _DTYPES:
            tensors[name] = np.frombuffer(data, _DTYPES[kind]).reshape(shape).copy()
        else:
            raise ValueError(f"{path}: {name} is of type {kind}, which NumPy does not have")
    return tensors, metadata


def widened(bits: NDArray[np.uint16]) -> NDArray[np.float32]:
    """bfloat16 numbers, given as uint16 bits, as float32; the bits are its upper half."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def write_tensors(
    path: str | os.PathLike[str], tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]
) -> None:
    """Write a safetensors file under a temporary name, and rename it when it is complete and on the disk.

    Raises
    ------
    OSError
        If it cannot be written; an existing file is then unchanged.
    ValueError
        If the header is longer than `read_tensors` accepts.
    """
    library = needs("safetensors.numpy", "writing weights")
    whole = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    content: bytes = library.save(whole, metadata=dict(metadata))
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    # the library writes the metadata in a random order, and equal models should give equal files
    header["__metadata__"] = dict(metadata)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > (longest := text_limit(len(text) + len(content) - 8 - size)):
        raise ValueError(
            f"{path}: the names and the structure take {len(text)} bytes; in a file with so few weights, at most "
            f"{longest} could be read again"
        )
    with writing(path) as draft, draft.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        file.write(memoryview(content)[8 + size :])

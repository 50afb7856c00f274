"""The arguments of a call: binding inputs to names, checking them, and finding their floating dtype."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, TypeAlias

import numpy as np

from arrayconv.namespace import Array, array_namespace
from arrayconv.onnx.graph import Size, Spec
from arrayconv.onnx.operators.shared import dtype_of

# the floating dtype that the file declares and the one of the input; None if they are the same
Floats: TypeAlias = tuple[np.dtype[Any], np.dtype[Any]] | None


def text(shape: tuple[Size, ...] | None) -> str:
    if shape is None:
        return "?"
    return (
        "("
        + ", ".join("?" if n is None else str(n) for n in shape)
        + ("," if len(shape) == 1 else "")
        + ")"
    )


def arguments(arrays: Mapping[str, Array]) -> dict[str, Array]:
    # array_namespace accepts None under some names, but no input may be None
    return {f"input {name!r}": value for name, value in arrays.items()}


def bound(
    title: str, specs: tuple[Spec, ...], args: tuple[Array, ...], named: dict[str, Array]
) -> dict[str, Array]:
    names = [spec.name for spec in specs]
    if len(args) > len(names):
        raise TypeError(f"{title}: expected the inputs {', '.join(names)}, got {len(args)} arrays")
    given = dict(zip(names, args, strict=False))
    for name, value in named.items():
        if name not in names:
            raise TypeError(f"{title}: there is no input {name!r}, only {', '.join(names)}")
        if name in given:
            raise TypeError(f"{title}: input {name!r} was given twice")
        given[name] = value
    left = [name for name in names if name not in given]
    if left:
        raise TypeError(f"{title}: no array was given for {', '.join(map(repr, left))}")
    return given


def check(title: str, spec: Spec, x: Array, alone: bool) -> None:
    xp = array_namespace(title, **arguments({spec.name: x}))
    kind = {"f": "real floating", "i": "signed integer", "u": "unsigned integer", "b": "bool"}
    expected = kind[spec.dtype.kind]
    if not xp.isdtype(x.dtype, expected):
        raise TypeError(
            f"{title}: input {spec.name!r} must have dtype {spec.dtype} or another {expected} one, got {x.dtype}"
        )
    if spec.dtype.kind == "f" and isinstance(x, np.ndarray) and not alone:
        raise TypeError(
            f"{title}: input {spec.name!r} is a NumPy array beside arrays of another library; move it there first, or "
            "net.to(...) does"
        )
    if spec.shape is None:
        return
    shape = tuple(x.shape)
    fits = len(shape) == len(spec.shape) and all(
        not isinstance(n, int) or n == m for n, m in zip(spec.shape, shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{title}: input {spec.name!r} must have shape {text(spec.shape)}, got {shape}"
        )


def floats_of(declared: np.dtype[Any], x: Array) -> Floats:
    """The file's floating dtype and that of the input, or None if they are the same."""
    if isinstance(x, np.ndarray):
        return None if x.dtype == declared else (declared, x.dtype)
    xp = array_namespace("net", x=x)
    for dtype in map(np.dtype, (np.float32, np.float64, np.float16)):
        with suppress(TypeError):
            # array-api-strict has no float16
            if dtype_of(xp, x, dtype) == x.dtype:
                return None if dtype == declared else (declared, dtype)
    raise TypeError(f"inputs of dtype {x.dtype} are not supported; cast them to float32")

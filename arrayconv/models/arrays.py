"""Moving values to the library, device and floating dtype of a given array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from arrayconv.data.sharding import everywhere, is_traced, put, sharding_of
from arrayconv.namespace import (
    Array,
    Namespace,
    array_namespace,
    cast,
    fused,
    is_floating,
    is_real,
    placement,
    places_itself,
    scalar,
    to_numpy,
    traits,
)

_FLOATS = ("float64", "float32", "float16", "bfloat16", "longdouble")


def holds_arrays(values: tuple[Any, ...]) -> bool:
    """Whether every value is an array of some library."""
    return bool(values) and all(hasattr(x, "dtype") and hasattr(x, "shape") for x in values)


def check_batch(label: str, x: Sequence[Array]) -> None:
    """Raise ``ValueError`` unless all inputs have a first axis, of one length."""
    # lazy libraries may not know the number of samples
    lengths = {n for a in x for n in a.shape[:1] if isinstance(n, int)}
    if len(lengths) > 1 or not all(a.ndim for a in x):
        raise ValueError(
            f"{label}: the first axis is the batch, as long in every input, got "
            f"{', '.join(str(tuple(a.shape)) for a in x)}"
        )


def beside(xp: Namespace, values: np.ndarray[Any, Any], like: Array) -> Array:
    """A copy of NumPy's ``values`` in the library and on the device of ``like``, in their own dtype."""
    return xp.asarray(np.array(values), **placement(like))


def rows_beside(xp: Namespace, values: np.ndarray[Any, Any], like: Array) -> Array:
    """`beside` for samples: where ``like`` is sharded over several devices, the copy is sharded alike."""
    sharding = sharding_of(like)
    return beside(xp, values, like) if sharding is None else put(values, sharding)


def moved(values: Array, like: Array) -> Array:
    """``values`` in the library, on the device and in the floating dtype of ``like``.

    Where ``like`` is sharded over several devices, each of them gets a whole copy.
    """
    xp = array_namespace("to", like=like)
    if not is_floating(xp, like.dtype):
        raise TypeError(
            f"to: like must have a real floating dtype, got {like.dtype}; cast it first, for example "
            "xp.astype(like, xp.float32)"
        )
    if array_namespace("to", values=values) is xp and _together(values, like):
        return cast(xp, values, like.dtype)
    host = to_numpy(values)
    # NumPy has no bfloat16, so a wider type travels and the library narrows it
    name = float_name(xp, like.dtype)
    if name != "bfloat16":
        host = host.astype(name)
    sharding = sharding_of(like)
    there = beside(xp, host, like) if sharding is None else everywhere(np.asarray(host), sharding)
    return cast(xp, there, like.dtype)


def common_dtype(label: str, xp: Namespace, x: Sequence[Array], default: Any) -> Any:
    """The floating dtype that inputs are cast to; ``default`` if none is floating."""
    for a in x:
        if not is_real(xp, a.dtype) and not xp.isdtype(a.dtype, "bool"):
            raise TypeError(
                f"{label}: the inputs must be real floating, integer or boolean, got {a.dtype}"
            )
    floats = [a.dtype for a in x if is_floating(xp, a.dtype)]
    return xp.result_type(*floats) if floats else default


def float_name(xp: Namespace, dtype: Any) -> str:
    """The name of a floating dtype, the same in every library: ``"float32"``."""
    return next(name for name in _FLOATS if getattr(xp, name, None) == dtype)


def same_place(values: Array, like: Array) -> bool:
    """Whether ``values`` are of the library, device and dtype of ``like``."""
    return type(values) is type(like) and values.dtype == like.dtype and _together(values, like)


def _together(values: Array, like: Array) -> bool:
    """Whether two arrays of one library are on the same device or the same set of devices, however sharded."""
    if not places_itself(like):
        return placement(values) == placement(like)
    if is_traced(values) or is_traced(like):
        return True
    one, other = sharding_of(values), sharding_of(like)
    return one is other or (one is not None and other is not None and one.mesh == other.mesh)


def drawn_beside(xp: Namespace, values: np.ndarray[Any, Any], like: Array) -> Array:
    """Random NumPy ``values``, one for each sample of ``like``, moved to where it is; floats get its dtype."""
    if values.dtype.kind != "f":
        return rows_beside(xp, values, like)
    sharding = sharding_of(like)
    return moved(values, like) if sharding is None else cast(xp, put(values, sharding), like.dtype)


def clipped(xp: Namespace, x: Array, low: float, high: float) -> Array:
    """``x`` limited to ``[low, high]``; NaN stays NaN."""
    if not traits(xp, x).accelerator:
        return xp.clip(x, low, high)
    # the clip of array-api-compat reads the bounds back from the device, and waits for them
    return fused(
        xp, lambda x: xp.minimum(xp.maximum(x, scalar(xp, low, x)), scalar(xp, high, x)), x
    )

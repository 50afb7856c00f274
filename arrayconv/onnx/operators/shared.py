"""What the operators share: namespaces, broadcasting and its adjoint, axes, channels last."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from arrayconv.namespace import (
    Array,
    DType,
    Namespace,
    accumulator,
    array_namespace,
    cast,
    is_floating,
    placement,
)

Attributes = dict[str, Any]


def namespace(*arrays: Array | None) -> Namespace:
    """The one namespace of a node's arrays; inputs left out are None."""
    given = {f"input {i}": x for i, x in enumerate(arrays) if x is not None}
    return array_namespace("node", **given)


def dtype_of(xp: Namespace, like: Array, dtype: np.dtype[Any]) -> DType:
    """What a library calls a dtype of NumPy's; int32 for int64 where JAX has no 64-bit types."""
    return xp.asarray(np.zeros((), dtype), **placement(like)).dtype


def with_rank(xp: Namespace, x: Array, ndim: int) -> Array:
    """``x`` with axes of length 1 before its own."""
    return x if x.ndim == ndim else xp.reshape(x, (1,) * (ndim - x.ndim) + tuple(x.shape))


def aligned(xp: Namespace, *arrays: Array) -> tuple[Array, ...]:
    """The arrays with as many axes as the one that has most, which JAX's strictest mode asks for."""
    ndim = max(x.ndim for x in arrays)
    return tuple(with_rank(xp, x, ndim) for x in arrays)


def summed_to(xp: Namespace, g: Array, shape: tuple[int, ...]) -> Array:
    """The adjoint of broadcasting ``shape`` to ``g``'s: sums over the axes that were repeated."""
    if tuple(g.shape) == tuple(shape):
        return g
    lead = g.ndim - len(shape)
    axes = tuple(i for i, n in enumerate(g.shape) if i < lead or (shape[i - lead] == 1 and n != 1))
    if axes:
        g = cast(
            xp, xp.sum(cast(xp, g, accumulator(xp, g.dtype)), axis=axes, keepdims=True), g.dtype
        )
    return xp.reshape(g, tuple(shape))


def floating(x: Array | None) -> bool:
    """Whether ``x`` is an array that a gradient may be taken of."""
    return x is not None and is_floating(namespace(x), x.dtype)


def normalized(axes: Iterable[int], ndim: int) -> tuple[int, ...]:
    """Axes counted from the start; the errors are one place's."""
    found = tuple(int(axis) for axis in axes)
    for axis in found:
        if not -ndim <= axis < ndim:
            raise ValueError(f"axis {axis} is outside an array of {ndim} axes")
    return tuple(axis % ndim for axis in found)


def at(axis: int, part: Any) -> tuple[Any, ...]:
    """The index that takes ``part`` along ``axis`` and all of the others."""
    return (*(slice(None),) * axis, part, ...)


def elementwise(attributes: Attributes, ndim: int) -> Attributes:
    """Channels last, for functions of single elements: nothing changes."""
    return attributes


def data_format(attributes: Attributes, ndim: int) -> Attributes | None:
    """Channels last, for functions that take a ``data_format``."""
    return None if ndim < 3 else attributes | {"data_format": "channels_last"}


def last_axis(axis: int, ndim: int) -> int:
    """Where ``axis`` of an array with its channels second goes when they move to the end."""
    (axis,) = normalized((axis,), ndim)
    return axis if axis == 0 else ndim - 1 if axis == 1 else axis - 1


def moved_axis(attributes: Attributes, ndim: int, default: int) -> Attributes:
    """Channels last, for functions with one ``axis``."""
    return attributes | {"axis": last_axis(attributes.get("axis", default), ndim)}


def one_hot(xp: Namespace, indices: Array, n: int, dtype: DType) -> Array:
    """``(..., n)``: 1 where the last axis is the (non-negative) index, else 0."""
    cells = xp.arange(n, dtype=indices.dtype, **placement(indices))
    cells = xp.reshape(cells, (1,) * indices.ndim + (n,))
    return xp.astype(xp.expand_dims(indices, axis=-1) == cells, dtype)


def permuted(xp: Namespace, x: Array, order: Sequence[int]) -> Array:
    return x if list(order) == list(range(x.ndim)) else xp.permute_dims(x, tuple(order))

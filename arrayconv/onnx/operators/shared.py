"""Helpers of the operators: namespaces, broadcasting and its adjoint, axes, conversion to channels last."""

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
    """The namespace of a node's arrays; None stands for an optional input that is left out."""
    given = {f"input {i}": x for i, x in enumerate(arrays) if x is not None}
    return array_namespace("node", **given)


def dtype_of(xp: Namespace, like: Array, dtype: np.dtype[Any]) -> DType:
    """The library's counterpart of a NumPy dtype; for int64 it is int32 in JAX without 64-bit types."""
    return xp.asarray(np.zeros((), dtype), **placement(like)).dtype


def with_rank(xp: Namespace, x: Array, ndim: int) -> Array:
    """``x`` with axes of length 1 added in front, up to ``ndim`` axes."""
    return x if x.ndim == ndim else xp.reshape(x, (1,) * (ndim - x.ndim) + tuple(x.shape))


def aligned(xp: Namespace, *arrays: Array) -> tuple[Array, ...]:
    """The arrays with equally many axes, since JAX may be set to refuse rank promotion."""
    ndim = max(x.ndim for x in arrays)
    return tuple(with_rank(xp, x, ndim) for x in arrays)


def summed_to(xp: Namespace, g: Array, shape: tuple[int, ...]) -> Array:
    """The adjoint of broadcasting from ``shape`` to the shape of ``g``: sums over the broadcast axes."""
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
    """Whether ``x`` is a floating array, which has a gradient."""
    return x is not None and is_floating(namespace(x), x.dtype)


def normalized(axes: Iterable[int], ndim: int) -> tuple[int, ...]:
    """The axes counted from the start; a ``ValueError`` for one that does not exist."""
    found = tuple(int(axis) for axis in axes)
    for axis in found:
        if not -ndim <= axis < ndim:
            raise ValueError(f"axis {axis} is outside an array of {ndim} axes")
    return tuple(axis % ndim for axis in found)


def at(axis: int, part: Any) -> tuple[Any, ...]:
    """The index that takes ``part`` along ``axis`` and everything along the others."""
    return (*(slice(None),) * axis, part, ...)


def elementwise(attributes: Attributes, ndim: int) -> Attributes:
    """Convert attributes to channels last, for elementwise functions: nothing changes."""
    return attributes


def data_format(attributes: Attributes, ndim: int) -> Attributes | None:
    """Convert attributes to channels last, for functions that take a ``data_format``."""
    return None if ndim < 3 else attributes | {"data_format": "channels_last"}


def last_axis(axis: int, ndim: int) -> int:
    """The position of ``axis`` of a channels_first array after conversion to channels_last."""
    (axis,) = normalized((axis,), ndim)
    return axis if axis == 0 else ndim - 1 if axis == 1 else axis - 1


def moved_axis(attributes: Attributes, ndim: int, default: int) -> Attributes:
    """Convert attributes to channels last, for functions with one ``axis``."""
    return attributes | {"axis": last_axis(attributes.get("axis", default), ndim)}


def one_hot(xp: Namespace, indices: Array, n: int, dtype: DType) -> Array:
    """One-hot vectors of length ``n`` for non-negative indices, along a new last axis."""
    cells = xp.arange(n, dtype=indices.dtype, **placement(indices))
    cells = xp.reshape(cells, (1,) * indices.ndim + (n,))
    return xp.astype(xp.expand_dims(indices, axis=-1) == cells, dtype)


def permuted(xp: Namespace, x: Array, order: Sequence[int]) -> Array:
    return x if list(order) == list(range(x.ndim)) else xp.permute_dims(x, tuple(order))

"""TopK."""

from __future__ import annotations

from typing import Any

from arrayconv.namespace import Array, cast
from arrayconv.onnx.operators.shared import at, namespace, normalized, one_hot
from arrayconv.onnx.table import register


def top_k(
    x: Array, k: tuple[int, ...], *, axis: int = -1, largest: int = 1, sorted: int = 1
) -> tuple[Array, Array]:
    """The ``k`` largest or smallest elements and their indices, in order; of equal elements the first come first."""
    xp = namespace(x)
    (axis,) = normalized((axis,), x.ndim)
    (count,) = k
    if not 0 <= count <= x.shape[axis]:
        raise ValueError(f"k={count} is outside the {x.shape[axis]} cells of axis {axis}")
    order = {"axis": axis, "descending": bool(largest), "stable": True}
    part = at(axis, slice(0, count))
    return xp.sort(x, **order)[part], xp.argsort(x, **order)[part]


def top_k_vjp(
    dy: tuple[Array | None, Array | None], x: Array, k: Any, *, axis: int = -1, **attributes: Any
) -> tuple[Array | None, None]:
    xp = namespace(dy[0], x)
    (axis,) = normalized((axis,), x.ndim)
    _, places = top_k(x, k, axis=axis, **attributes)
    last = (*(i for i in range(x.ndim) if i != axis), axis)
    g, places = (xp.permute_dims(a, last) for a in (dy[0], places))
    # (..., k) times (..., k, n), summed over k
    took = one_hot(xp, places, x.shape[axis], x.dtype)
    dx = xp.sum(xp.expand_dims(cast(xp, g, x.dtype), axis=-1) * took, axis=-2)
    return xp.permute_dims(dx, tuple(last.index(i) for i in range(x.ndim))), None


def old_top_k(x: Array, *, k: int, axis: int = -1) -> tuple[Array, Array]:
    return top_k(x, (k,), axis=axis)


def old_top_k_vjp(dy: Any, x: Array, *, k: int, axis: int = -1) -> tuple[Array | None, None]:
    return top_k_vjp(dy, x, (k,), axis=axis)


register("TopK", old_top_k, old_top_k_vjp, until=9, outputs=2)
register("TopK", top_k, top_k_vjp, since=10, static=("k",), outputs=2)

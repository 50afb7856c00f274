"""Matrix products."""

from __future__ import annotations

from collections.abc import Collection

from arrayconv.engine.products import product
from arrayconv.namespace import Array, Namespace, accumulator, cast
from arrayconv.onnx.operators.shared import aligned, namespace, summed_to, with_rank
from arrayconv.onnx.table import register


def gemm(
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Array:
    """``alpha * a @ b + beta * c``; ``transA`` and ``transB`` transpose ``a`` and ``b``; integers stay integers."""
    xp = namespace(a, b, c)
    y = _product(xp, a.T if transA else a, b.T if transB else b)
    y = _scaled(y, alpha)
    return y if c is None else y + _scaled(with_rank(xp, c, 2), beta)


def gemm_vjp(
    dy: Array,
    a: Array,
    b: Array,
    c: Array | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
    wrt: Collection[str] = ("a", "b", "c"),
) -> tuple[Array | None, ...]:
    xp = namespace(dy, a, b, c)
    da = db = dc = None
    if "a" in wrt:
        da = _scaled(_product(xp, dy, b if transB else b.T), alpha)
        da = da.T if transA else da
    if "b" in wrt:
        db = _scaled(_product(xp, a if transA else a.T, dy), alpha)
        db = db.T if transB else db
    if c is not None and "c" in wrt:
        dc = summed_to(xp, _scaled(dy, beta), c.shape)
    return da, db, dc


def matmul(a: Array, b: Array) -> Array:
    xp = namespace(a, b)
    if a.ndim > 2 and b.ndim == 2:
        # one large product instead of one per leading index
        rows = xp.reshape(a, (-1, a.shape[-1]))
        return xp.reshape(_product(xp, rows, b), (*a.shape[:-1], b.shape[-1]))
    return _product(xp, *_same_rank(xp, a, b))


def matmul_vjp(
    dy: Array, a: Array, b: Array, *, wrt: Collection[str] = ("a", "b")
) -> tuple[Array | None, ...]:
    xp = namespace(dy, a, b)
    # a vector is a matrix with one row as the left operand, and with one column as the right
    wide_a = xp.expand_dims(a, axis=0) if a.ndim == 1 else a
    wide_b = xp.expand_dims(b, axis=-1) if b.ndim == 1 else b
    if a.ndim == 1:
        dy = xp.expand_dims(dy, axis=-1 if b.ndim == 1 else -2)
    if b.ndim == 1:
        dy = xp.expand_dims(dy, axis=-1)
    da = db = None
    if "a" in wrt:
        g = matmul(dy, _turned(xp, wide_b))
        da = xp.reshape(summed_to(xp, g, wide_a.shape), a.shape)
    if "b" in wrt:
        if wide_b.ndim == 2:
            rows = xp.reshape(wide_a, (-1, wide_a.shape[-1]))
            g = _product(xp, rows.T, xp.reshape(dy, (-1, dy.shape[-1])))
        else:
            g = matmul(_turned(xp, wide_a), dy)
        db = xp.reshape(summed_to(xp, g, wide_b.shape), b.shape)
    return da, db


def _product(xp: Namespace, a: Array, b: Array) -> Array:
    wide = accumulator(xp, a.dtype)
    dtype = a.dtype
    a, b = cast(xp, a, wide), cast(xp, b, wide)
    return cast(xp, product(xp, a, b) if a.ndim == b.ndim == 2 else xp.matmul(a, b), dtype)


def _scaled(x: Array, factor: float) -> Array:
    if factor == 1:
        return x
    return x * (int(factor) if factor == int(factor) else factor)


def _same_rank(xp: Namespace, a: Array, b: Array) -> tuple[Array, ...]:
    return aligned(xp, a, b) if min(a.ndim, b.ndim) > 1 else (a, b)


def _turned(xp: Namespace, x: Array) -> Array:
    return xp.permute_dims(x, (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


register("Gemm", gemm, gemm_vjp, since=7)
register("MatMul", matmul, matmul_vjp)

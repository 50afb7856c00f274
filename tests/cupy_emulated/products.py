"""cuBLAS by NumPy: products of column-major matrices, given as pointers and leading dimensions."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import numpy as np

from cupy_emulated import record

# cudaDataType: how it is stored
_STORED = {
    0: np.float32,
    1: np.float64,
    2: np.float16,
    4: np.complex64,
    5: np.complex128,
    14: np.uint16,  # bfloat16, which NumPy has not
}
_BFLOAT16, _HALF = 14, 2
VERSION = 130000


def _matrix(pointer: int, kind: int, rows: int, columns: int, leading: int) -> np.ndarray:
    dtype = np.dtype(_STORED[kind])
    cells = (columns - 1) * leading + rows if rows and columns else 0
    memory = (ctypes.c_char * (cells * dtype.itemsize)).from_address(pointer)
    strides = (dtype.itemsize, leading * dtype.itemsize)
    flat = np.frombuffer(memory, dtype)
    return np.lib.stride_tricks.as_strided(flat, (rows, columns), strides)


def _widened(m: np.ndarray, kind: int) -> np.ndarray:
    if kind == _BFLOAT16:
        return (m.astype(np.uint32) << 16).view(np.float32)
    return m.astype(np.float32) if kind == _HALF else m


def _narrowed(m: np.ndarray, kind: int) -> np.ndarray:
    if kind != _BFLOAT16:
        return m
    bits = np.ascontiguousarray(m, np.float32).view(np.uint32)
    # to the nearest, ties to even
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def _multiply(
    trans_a: int, trans_b: int, m: int, n: int, k: int, a: tuple, b: tuple, c: tuple
) -> None:
    """C = op(A) @ op(B), each matrix a (pointer, type, leading dimension); CuPy asks for alpha 1 and beta 0 alone."""
    (a_at, a_kind, a_leading), (b_at, b_kind, b_leading), (c_at, c_kind, c_leading) = a, b, c
    left = _matrix(a_at, a_kind, *((k, m) if trans_a else (m, k)), a_leading)
    right = _matrix(b_at, b_kind, *((n, k) if trans_b else (k, n)), b_leading)
    left, right = _widened(left, a_kind), _widened(right, b_kind)
    product = (left.T if trans_a else left) @ (right.T if trans_b else right)
    _matrix(c_at, c_kind, m, n, c_leading)[...] = _narrowed(product, c_kind)


def _note(name: str, m: int, n: int, k: int, count: int, kinds: tuple, compute: int) -> bool:
    sizes = [np.dtype(_STORED[kind]).itemsize for kind in kinds]
    moved = m * k * sizes[0] + k * n * sizes[1] + m * n * sizes[2]
    # a tile of 128 x 128 results to a block, as large products have
    blocks = count * -(-m // 128) * -(-n // 128)
    return record.current().note(record.Launch(name, blocks, count * moved, compute))


# fmt: off
def gemm_ex(handle, ta, tb, m, n, k, alpha, A, at, lda, B, bt, ldb, beta, C, ct, ldc, compute, algorithm):
    if _note("gemmEx", m, n, k, 1, (at, bt, ct), compute):
        _multiply(ta, tb, m, n, k, (A, at, lda), (B, bt, ldb), (C, ct, ldc))


def gemm_strided(handle, ta, tb, m, n, k, alpha, A, at, lda, sa, B, bt, ldb, sb, beta, C, ct, ldc, sc, count,
                 compute, algorithm):
    if _note("gemmStridedBatchedEx", m, n, k, count, (at, bt, ct), compute):
        a, b, c = (np.dtype(_STORED[kind]).itemsize for kind in (at, bt, ct))
        for i in range(count):
            matrices = (A + i * sa * a, at, lda), (B + i * sb * b, bt, ldb), (C + i * sc * c, ct, ldc)
            _multiply(ta, tb, m, n, k, *matrices)
# fmt: on


def _gemm_batched(kind: int, compute: int) -> Callable[..., None]:
    # fmt: off
    def gemm(handle, ta, tb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc, count):
        if _note("gemmBatched", m, n, k, count, (kind,) * 3, compute):
            lists = [np.ctypeslib.as_array((ctypes.c_uint64 * count).from_address(p)) for p in (A, B, C)]
            for a, b, c in zip(*(pointers.tolist() for pointers in lists), strict=True):
                _multiply(ta, tb, m, n, k, (a, kind, lda), (b, kind, ldb), (c, kind, ldc))
    # fmt: on

    return gemm


def _nothing(*_: Any) -> None:
    return None


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "create": lambda: 1,
    "destroy": _nothing,
    "gemmEx": gemm_ex,
    "gemmStridedBatchedEx": gemm_strided,
    "getMathMode": lambda handle: 0,
    "getPointerMode": lambda handle: 0,
    "getStream": lambda handle: 0,
    "getVersion": lambda handle: VERSION,
    "setMathMode": _nothing,
    "setPointerMode": _nothing,
    "setStream": _nothing,
    # CUBLAS_COMPUTE_32F and 64F
    "sgemmBatched": _gemm_batched(0, 68),
    "dgemmBatched": _gemm_batched(1, 70),
    "cgemmBatched": _gemm_batched(4, 68),
    "zgemmBatched": _gemm_batched(5, 70),
}

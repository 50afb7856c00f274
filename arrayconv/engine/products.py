"""The products that strategies are made of, groups apart: one large matrix product where arrays can be written.

Where they cannot (JAX, Dask), an array may lie in pieces along its batch, and to merge the batch with
other axes, or to split it off again, would move it between devices: there the axes stay as they are
and the compiler sees one contraction. One group is a product of two axes, the only form for which
CuPy reads ``CUPY_TF32`` and hands transposed operands to cuBLAS as they lie.
"""

from __future__ import annotations

import math

from arrayconv.engine import halos
from arrayconv.engine.threads import each, inside_shared_work, products_on_one_thread
from arrayconv.namespace import Array, Namespace, contracted, sum_of_products, traits

# Floating-point operations of a product that are worth a thread, and up to which no library gives it a second one.
SMALL_PRODUCT, TINY_PRODUCT = 2**24, 2**19
# Parts of a product that has no blocks.
MOST_PARTS = 8


def joins_images(xp: Namespace, x: Array, mutable: bool) -> bool:
    """Whether the rows of all images make one operand, at the price of a copy: on accelerators, not on a CPU."""
    return mutable and traits(xp, x).accelerator


def from_rows(xp: Namespace, rows: Array, matrix: Array, mutable: bool) -> Array:
    """``(G, *lead, D)`` and ``(G, D, O)`` to ``(G, *lead, O)``."""
    groups, depth, features = matrix.shape
    if mutable:
        y = _product(xp, xp.reshape(rows, (groups, -1, depth)), matrix)
        return xp.reshape(y, (*rows.shape[:-1], features))
    if groups == 1:
        return xp.matmul(rows[0, ...], matrix[0, ...])[None, ...]
    ones = (1,) * (rows.ndim - 3)
    return xp.matmul(rows, xp.reshape(matrix, (groups, *ones, depth, features)))


def from_columns(xp: Namespace, matrix: Array, columns: Array, mutable: bool) -> Array:
    """``(G, O, D)`` and ``(G, D, *lead)`` to ``(G, O, *lead)``."""
    groups, features, depth = matrix.shape
    if groups == 1 and not mutable:
        return xp.tensordot(matrix[0, ...], columns[0, ...], axes=1)[None, ...]
    y = _product(xp, matrix, xp.reshape(columns, (groups, depth, -1)))
    return xp.reshape(y, (groups, features, *columns.shape[2:]))


def over_rows(xp: Namespace, rows: Array, others: Array, mutable: bool) -> Array:
    """``(G, N, *lead, D)`` and ``(G, N, *lead, O)`` to ``(G, D, O)``, summed over the rows."""
    groups, batch = rows.shape[:2]
    if mutable:
        flat = xp.reshape(rows, (groups, -1, rows.shape[-1]))
        return _product(
            xp, xp.matrix_transpose(flat), xp.reshape(others, (groups, -1, others.shape[-1]))
        )
    if groups == 1:
        axes = tuple(range(rows.ndim - 2))
        return contracted(xp, rows[0, ...], others[0, ...], (axes, axes))[None, ...]
    if halos.serves(xp, rows):
        *along, depth, features = range(rows.ndim + 1)
        kept = [0, depth, features]
        return sum_of_products(xp, rows, [*along, depth], others, [*along, features], kept)
    by_image = (
        xp.reshape(a, (groups, batch, math.prod(a.shape[2:-1]), a.shape[-1]))
        for a in (rows, others)
    )
    first, second = by_image
    return xp.sum(xp.matmul(xp.matrix_transpose(first), second), axis=1)


def product(xp: Namespace, a: Array, b: Array) -> Array:
    """``xp.matmul`` of matrices: a large one in parts, where the library computes on the thread that calls it.

    The library's own threads wait for each other, which takes long wherever a core is busy.
    """
    at = traits(xp, a)
    if not at.calling:
        # its sizes may be symbols
        return xp.matmul(a, b)
    (rows, depth), columns = a.shape, b.shape[1]
    flops = 2 * rows * depth * columns
    if flops <= TINY_PRODUCT or inside_shared_work():
        return xp.matmul(a, b)
    length = max(rows, columns)
    step = -(-length // max(1, min(MOST_PARTS, flops // SMALL_PRODUCT)))
    y = xp.empty((rows, columns), dtype=xp.result_type(a, b))

    def compute(first: int) -> None:
        part = slice(first, first + step)
        if rows >= columns:
            xp.matmul(a[part, :], b, out=y[part, :])
        else:
            xp.matmul(a, b[:, part], out=y[:, part])

    with products_on_one_thread():
        each(compute, range(0, length, step), at)
    return y


def _product(xp: Namespace, a: Array, b: Array) -> Array:
    return product(xp, a[0, ...], b[0, ...])[None, ...] if a.shape[0] == 1 else xp.matmul(a, b)

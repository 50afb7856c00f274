"""Columns: copy every window into a row, then one product for all of them (im2col)."""

from __future__ import annotations

import math

from arrayconv.engine.products import from_rows, over_rows
from arrayconv.engine.strategy import Strategy
from arrayconv.engine.windows import gather, scatter
from arrayconv.namespace import Array, Namespace
from arrayconv.window import Window


def declines(window: Window, channels: int, features: int) -> str | None:
    """Nothing: columns serve every window."""
    return None


def temporaries(kind: str, window: Window, channels: int, features: int) -> int:
    """Elements per group and image: the padded input or its gradient, the columns, ``dy`` or the product."""
    columns = window.cells * channels + features
    return math.prod(window.output) * columns + math.prod(window.padded) * channels


def correlate(xp: Namespace, x: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, C)`` and ``(G, *kernel, C, O)`` to ``(G, N, *out, O)``."""
    columns = gather(xp, x, window, lead=2, mutable=mutable)
    depth = columns.shape[-2] * columns.shape[-1]
    # (G, N, *out, K, C) @ (G, K, C, O): rows are windows, columns are window cells and channels
    rows = xp.reshape(columns, (*columns.shape[:-2], depth))
    return from_rows(xp, rows, xp.reshape(w, (w.shape[0], depth, w.shape[-1])), mutable)


def input_vjp(xp: Namespace, dy: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *out, O)`` and ``(G, *kernel, C, O)`` to ``(G, N, *size, C)``."""
    groups, channels, features = w.shape[0], w.shape[-2], w.shape[-1]
    weights = xp.reshape(w, (groups, window.cells * channels, features))
    rows = from_rows(xp, dy, xp.matrix_transpose(weights), mutable)
    columns = xp.reshape(rows, (*dy.shape[:-1], window.cells, channels))
    return scatter(xp, columns, window, lead=2, mutable=mutable)


def weight_vjp(xp: Namespace, x: Array, dy: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, C)`` and ``(G, N, *out, O)`` to ``(G, *kernel, C, O)``."""
    columns = gather(xp, x, window, lead=2, mutable=mutable)
    depth = columns.shape[-2] * columns.shape[-1]
    rows = xp.reshape(columns, (*columns.shape[:-2], depth))
    dw = over_rows(xp, rows, dy, mutable)
    return xp.reshape(dw, (x.shape[0], *window.kernel, x.shape[-1], dy.shape[-1]))


STRATEGY = Strategy(correlate, input_vjp, weight_vjp, declines, temporaries)

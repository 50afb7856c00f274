"""Columns: copy every window into a row, then one product for all of them (im2col)."""

from __future__ import annotations

import math

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
    groups, batch, features = x.shape[0], x.shape[1], w.shape[-1]
    columns = gather(xp, x, window, lead=2, mutable=mutable)
    depth = columns.shape[-2] * columns.shape[-1]
    # (G, N, *out, K, C) @ (G, K, C, O): rows are windows, columns are window cells and channels
    y = xp.matmul(
        xp.reshape(columns, (groups, -1, depth)), xp.reshape(w, (groups, depth, features))
    )
    return xp.reshape(y, (groups, batch, *window.output, features))


def input_vjp(xp: Namespace, dy: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *out, O)`` and ``(G, *kernel, C, O)`` to ``(G, N, *size, C)``."""
    groups, batch, features = dy.shape[0], dy.shape[1], dy.shape[-1]
    channels = w.shape[-2]
    taps = window.cells
    weights = xp.reshape(w, (groups, taps * channels, features))
    rows = xp.matmul(xp.reshape(dy, (groups, -1, features)), xp.permute_dims(weights, (0, 2, 1)))
    columns = xp.reshape(rows, (groups, batch, *window.output, taps, channels))
    return scatter(xp, columns, window, lead=2, mutable=mutable)


def weight_vjp(xp: Namespace, x: Array, dy: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, C)`` and ``(G, N, *out, O)`` to ``(G, *kernel, C, O)``."""
    groups, channels, features = x.shape[0], x.shape[-1], dy.shape[-1]
    columns = gather(xp, x, window, lead=2, mutable=mutable)
    depth = columns.shape[-2] * channels
    rows = xp.reshape(columns, (groups, -1, depth))
    dw = xp.matmul(xp.permute_dims(rows, (0, 2, 1)), xp.reshape(dy, (groups, -1, features)))
    return xp.reshape(dw, (groups, *window.kernel, channels, features))

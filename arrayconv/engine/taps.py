"""Taps: one product per cell of the window, summed; no columns are made."""

from __future__ import annotations

import math
from collections.abc import Iterator

from arrayconv.engine.windows import overlap_add, plus, reach, tap_views
from arrayconv.namespace import Array, Namespace
from arrayconv.window import Window


def declines(window: Window, channels: int, features: int) -> str | None:
    """Nothing: taps serve every window."""
    return None


def temporaries(kind: str, window: Window, channels: int, features: int) -> int:
    """Elements per group and image: one cell of every window, its product, their sum, the padded input."""
    cells = math.prod(window.output)
    return cells * (channels + 2 * features) + math.prod(window.padded) * channels


def correlate(xp: Namespace, x: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, C)`` and ``(G, *kernel, C, O)`` to ``(G, N, *out, O)``."""
    groups, batch, features = x.shape[0], x.shape[1], w.shape[-1]
    padded = reach(xp, x, window, lead=2, mutable=mutable)
    y = None
    for view, weights in zip(tap_views(padded, window, lead=2), _by_tap(xp, w), strict=True):
        y = plus(y, xp.matmul(_rows(xp, view), weights), mutable)
    return xp.reshape(y, (groups, batch, *window.output, features))


def input_vjp(xp: Namespace, dy: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *out, O)`` and ``(G, *kernel, C, O)`` to ``(G, N, *size, C)``."""
    rows = _rows(xp, dy)
    shape = (*dy.shape[:-1], w.shape[-2])
    parts = (
        xp.reshape(xp.matmul(rows, xp.permute_dims(weights, (0, 2, 1))), shape)
        for weights in _by_tap(xp, w)
    )
    return overlap_add(xp, parts, window, lead=2, mutable=mutable)


def weight_vjp(xp: Namespace, x: Array, dy: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, C)`` and ``(G, N, *out, O)`` to ``(G, *kernel, C, O)``."""
    padded = reach(xp, x, window, lead=2, mutable=mutable)
    rows = _rows(xp, dy)
    products = [
        xp.matmul(xp.permute_dims(_rows(xp, view), (0, 2, 1)), rows)
        for view in tap_views(padded, window, lead=2)
    ]
    dw = xp.stack(products, axis=1)  # (G, prod(kernel), C, O)
    return xp.reshape(dw, (dw.shape[0], *window.kernel, *dw.shape[2:]))


def _rows(xp: Namespace, x: Array) -> Array:
    return xp.reshape(x, (x.shape[0], -1, x.shape[-1]))  # (G, N, *S, C) -> (G, N*S, C)


def _by_tap(xp: Namespace, w: Array) -> Iterator[Array]:
    flat = xp.reshape(w, (w.shape[0], -1, *w.shape[-2:]))  # (G, *kernel, C, O) -> (G, K, C, O)
    for k in range(flat.shape[1]):
        yield flat[:, k, ...]

"""Taps: one product per cell of the window, summed; no columns are made."""

from __future__ import annotations

import math
from collections.abc import Iterator

from arrayconv.engine.products import from_rows, over_rows
from arrayconv.engine.strategy import Strategy
from arrayconv.engine.windows import overlap_add, plus, taps
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
    views = taps(xp, x, window, lead=2, mutable=mutable)
    y = None
    for view, weights in zip(views, _by_tap(xp, w), strict=True):
        y = plus(y, from_rows(xp, view, weights, mutable), mutable)
    return y


def input_vjp(xp: Namespace, dy: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *out, O)`` and ``(G, *kernel, C, O)`` to ``(G, N, *size, C)``."""
    parts = (from_rows(xp, dy, xp.matrix_transpose(weights), mutable) for weights in _by_tap(xp, w))
    return overlap_add(xp, parts, window, lead=2, mutable=mutable)


def weight_vjp(xp: Namespace, x: Array, dy: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, C)`` and ``(G, N, *out, O)`` to ``(G, *kernel, C, O)``."""
    views = taps(xp, x, window, lead=2, mutable=mutable)
    products = [over_rows(xp, view, dy, mutable) for view in views]
    dw = xp.stack(products, axis=1)  # (G, prod(kernel), C, O)
    return xp.reshape(dw, (dw.shape[0], *window.kernel, *dw.shape[2:]))


def _by_tap(xp: Namespace, w: Array) -> Iterator[Array]:
    flat = xp.reshape(w, (w.shape[0], -1, *w.shape[-2:]))  # (G, *kernel, C, O) -> (G, K, C, O)
    for k in range(flat.shape[1]):
        yield flat[:, k, ...]


STRATEGY = Strategy(correlate, input_vjp, weight_vjp, declines, temporaries)

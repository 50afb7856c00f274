"""Planes: columns whose innermost run is an image row, for few channels.

A column copy moves runs of ``C`` numbers; with one or three channels that is a few bytes a time.
Here the channels come first, every copy moves whole rows of the image, and one product with the
transposed matrix gives channels-last results.
"""

from __future__ import annotations

import math

from arrayconv.engine.products import from_columns, from_rows, joins_images, over_rows
from arrayconv.engine.strategy import Strategy
from arrayconv.engine.windows import channels_as_images, gather, merge_axes, scatter, sum_pieces
from arrayconv.namespace import Array, Namespace, contracted
from arrayconv.window import Window

# Windows of an image from which its weight gradient is a product of its own.
MANY_WINDOWS = 256


def declines(window: Window, channels: int, features: int) -> str | None:
    """Nothing: planes serve every window."""
    return None


def temporaries(kind: str, window: Window, channels: int, features: int) -> int:
    """Elements per group and image: the columns, the padded planes, ``dy`` or the product; sums in pieces."""
    columns = window.cells * channels
    numbers = math.prod(window.output) * (columns + features)
    if kind == "weight_vjp":
        numbers += sum_pieces(window.output) * columns * features
    return numbers + 2 * math.prod(window.padded) * channels


def correlate(xp: Namespace, x: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, C)`` and ``(G, *kernel, C, O)`` to ``(G, N, *out, O)``."""
    groups, features = x.shape[0], w.shape[-1]
    columns = _columns(xp, x, window, mutable)
    weights = xp.reshape(w, (groups, -1, features))
    if mutable:
        # (G, N * out, D) @ (G, D, O): channels come last without another copy
        rows = xp.matrix_transpose(xp.reshape(columns, (*columns.shape[:2], -1)))
        y = from_rows(xp, rows, weights, mutable)
        return xp.reshape(y, (groups, x.shape[1], *window.output, features))
    y = from_columns(xp, xp.matrix_transpose(weights), columns, mutable)
    return xp.permute_dims(y, (0, *range(2, y.ndim), 1))  # (G, O, N, *out) -> (G, N, *out, O)


def input_vjp(xp: Namespace, dy: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *out, O)`` and ``(G, *kernel, C, O)`` to ``(G, N, *size, C)``."""
    groups, channels, features = w.shape[0], w.shape[-2], w.shape[-1]
    # (G, N, *out, O) -> (G, O, N, *out)
    gradient = xp.permute_dims(dy, (0, dy.ndim - 1, *range(1, dy.ndim - 1)))
    columns = from_columns(xp, xp.reshape(w, (groups, -1, features)), gradient, mutable)
    columns = xp.reshape(columns, (groups, window.cells, channels, *columns.shape[2:], 1))
    dx = scatter(xp, columns, window, lead=3, mutable=mutable, at=1)
    # (G, C, N, *size, 1) -> (G, N, *size, C)
    return xp.permute_dims(dx[..., 0], (0, *range(2, dx.ndim - 1), 1))


def weight_vjp(xp: Namespace, x: Array, dy: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, C)`` and ``(G, N, *out, O)`` to ``(G, *kernel, C, O)``."""
    groups, batch, channels, features = x.shape[0], x.shape[1], x.shape[-1], dy.shape[-1]
    columns = _columns(xp, x, window, mutable)
    by_image = math.prod(window.output) >= MANY_WINDOWS and not joins_images(xp, x, mutable)
    if mutable and by_image:
        parts = batch * sum_pieces(window.output)
        # (G, K * C, N, *out) -> (G, parts, K * C, N * out / parts)
        split = xp.reshape(columns, (groups, columns.shape[1], parts, -1))
        rows = xp.reshape(dy, (groups, parts, -1, features))
        dw = xp.sum(xp.matmul(xp.permute_dims(split, (0, 2, 1, 3)), rows), axis=1)
    elif not mutable and groups == 1:
        axes = tuple(range(1, columns.ndim - 1)), tuple(range(dy.ndim - 2))
        dw = contracted(xp, columns[0, ...], dy[0, ...], axes)
    elif not mutable:
        # (G, D, N, *out) -> (G, N, *out, D)
        rows = xp.permute_dims(columns, (0, *range(2, columns.ndim), 1))
        dw = over_rows(xp, rows, dy, mutable)
    else:
        flat = xp.reshape(columns, (*columns.shape[:2], -1))
        dw = from_columns(xp, flat, xp.reshape(dy, (groups, -1, features)), mutable)
    return xp.reshape(dw, (groups, *window.kernel, channels, features))


def _columns(xp: Namespace, x: Array, window: Window, mutable: bool) -> Array:
    """``(G, prod(kernel) * C, N, *out)``."""
    columns = gather(xp, channels_as_images(xp, x), window, lead=3, mutable=mutable, at=1)
    return merge_axes(xp, columns[..., 0], 1)


STRATEGY = Strategy(correlate, input_vjp, weight_vjp, declines, temporaries)

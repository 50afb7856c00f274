"""Stacked: the first axis of the kernel as output features of one product, then shifted sums.

Columns run over the other axes only, and the product makes, for every position along the first
axis, the contribution of each kernel row; added up, each shifted by its row, they are the
convolution. It pays where the kernel is large beside the channels, and wherever one large product
beats several. The gradients are those of ``rows``: stacked ones would need zeros beside ``dy``, and
zero times NaN would carry NaN to kernel cells that never met it.
"""

from __future__ import annotations

import math

from arrayconv.engine import halos, rows
from arrayconv.engine.products import from_columns, from_rows
from arrayconv.engine.rows import input_vjp, weight_vjp
from arrayconv.engine.strategy import Strategy
from arrayconv.engine.windows import channels_as_images, gather, reach, shifted_sum
from arrayconv.namespace import Array, Namespace
from arrayconv.window import Window

__all__ = ["correlate", "declines", "input_vjp", "temporaries", "weight_vjp"]

# With fewer channels, the image row is the longer run to copy.
FEW_CHANNELS = 16


def declines(window: Window, channels: int, features: int) -> str | None:
    """One spatial axis (there is no other to make columns of), and a stride along the first."""
    if len(window.size) == 1:
        return "there must be more than one spatial axis"
    return None if window.stride[0] == 1 else "the stride of the first axis must be 1"


def temporaries(kind: str, window: Window, channels: int, features: int) -> int:
    """Elements per group and image: the padded input, the columns, the stacked product, the sum; or as ``rows``."""
    if kind != "correlate":
        return rows.temporaries(kind, window, channels, features)
    inner, outer = window.split(1)
    columns = inner.cells * channels + outer.cells * features
    return (
        math.prod(inner.size) * channels
        + math.prod(inner.output) * columns
        + 2 * math.prod(window.output) * features
    )


def correlate(xp: Namespace, x: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, C)`` and ``(G, *kernel, C, O)`` to ``(G, N, *out, O)``."""
    in_pieces = not mutable and halos.serves(xp, x)
    if x.shape[-1] <= FEW_CHANNELS and not in_pieces:
        return _correlate_planes(xp, x, w, window, mutable)
    groups, features = x.shape[0], w.shape[-1]
    inner, outer = window.split(1)
    stack = outer.cells
    if in_pieces:
        rows = halos.columns(xp, x, window, lead=2, axes=range(1, len(window.size)))
    else:
        padded = reach(xp, x, window, lead=2, mutable=mutable)
        columns = gather(xp, padded, inner, lead=2, mutable=mutable)
        rows = xp.reshape(columns, (*columns.shape[:-2], columns.shape[-2] * columns.shape[-1]))
    depth = rows.shape[-1]
    # (G, K, depth, O) -> (G, depth, K * O)
    weights = xp.permute_dims(xp.reshape(w, (groups, stack, depth, features)), (0, 2, 1, 3))
    weights = xp.reshape(weights, (groups, depth, stack * features))
    product = from_rows(xp, rows, weights, mutable)
    product = xp.reshape(product, (*product.shape[:-1], stack, features))
    parts = [product[..., k, :] for k in range(stack)]
    if in_pieces:
        return halos.shifted_sum(xp, parts, window, lead=2, axis=0)
    return shifted_sum(parts, outer, lead=2, mutable=mutable)


def _correlate_planes(xp: Namespace, x: Array, w: Array, window: Window, mutable: bool) -> Array:
    groups, features = x.shape[0], w.shape[-1]
    inner, outer = window.split(1)
    stack = outer.cells
    padded = reach(xp, channels_as_images(xp, x), window, lead=3, mutable=mutable)
    columns = gather(xp, padded, inner, lead=3, mutable=mutable, at=1)
    depth = columns.shape[1] * columns.shape[2]
    # (G, K, depth, O) -> (G, K * O, depth)
    weights = xp.permute_dims(xp.reshape(w, (groups, stack, depth, features)), (0, 1, 3, 2))
    weights = xp.reshape(weights, (groups, stack * features, depth))
    columns = xp.reshape(columns, (groups, depth, *columns.shape[3:]))
    product = from_columns(xp, weights, columns, mutable)
    product = xp.reshape(product, (groups, stack, features, *product.shape[2:]))
    parts = [product[:, k, ...] for k in range(stack)]
    y = shifted_sum(parts, outer, lead=3, mutable=mutable)[..., 0]
    return xp.permute_dims(y, (0, *range(2, y.ndim), 1))  # (G, O, N, *out) -> (G, N, *out, O)


STRATEGY = Strategy(correlate, input_vjp, weight_vjp, declines, temporaries, whole=True)

"""Depthwise: one channel per group, so every cell of the window is a multiply-add of arrays.

On NumPy all cells of a window are added in one pass over runs of neighbouring outputs, which lie in memory as
they are read.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from arrayconv.engine.strategy import Strategy
from arrayconv.engine.windows import overlap_add, plus, reach, runs, tap_views, taps
from arrayconv.namespace import Array, Namespace, sum_of_products, traits
from arrayconv.window import Window


def declines(window: Window, channels: int, features: int) -> str | None:
    """More than one input channel per group."""
    return None if channels == 1 else f"it is for one input channel per group, there are {channels}"


def temporaries(kind: str, window: Window, channels: int, features: int) -> int:
    """Elements per group and image: the padded input or its gradient, the sum, a term of it and its factor.

    To these come the weights, or their gradient, along a run of outputs.
    """
    factors = 2 if features == 1 and kind != "input_vjp" else 3
    rows = window.cells * window.output[-1]
    return math.prod(window.padded) + (factors * math.prod(window.output) + rows) * features


def correlate(xp: Namespace, x: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, 1)`` and ``(G, *kernel, 1, O)`` to ``(G, N, *out, O)``."""
    x = _groups_last(xp, x)
    padded = reach(xp, x, window, lead=1, mutable=True) if mutable else None
    if mutable and w.shape[-1] == 1 and (view := runs(xp, padded, window)) is not None:
        at = _Axes(len(window.size))
        # (G, *kernel, 1, 1) -> (*kernel, G) -> (*kernel, run * G)
        weights = xp.permute_dims(w[..., 0, 0], (*range(1, w.ndim - 2), 0))
        weights = xp.tile(weights, view.shape[-1] // weights.shape[-1])
        y = sum_of_products(xp, view, at.windows, weights, at.kernel, at.outputs)
        return _groups_first(xp, xp.reshape(y, (x.shape[0], *window.output, -1)), 1)
    row = window.output[-1] if mutable else 1
    views = _views(xp, x, padded, window)
    y = None
    for view, weights in zip(views, _by_tap(xp, w, row), strict=True):
        y = plus(y, _outer(xp, view, w.shape[-1]) * weights, mutable)
    return _groups_first(xp, y, w.shape[-1])


def input_vjp(xp: Namespace, dy: Array, w: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *out, O)`` and ``(G, *kernel, 1, O)`` to ``(G, N, *size, 1)``."""
    gradient = _groups_last(xp, dy)
    groups, features = dy.shape[0], dy.shape[-1]
    row = window.output[-1] if mutable else 1
    parts = (gradient * weights for weights in _by_tap(xp, w, row))
    if features > 1:
        # (N, *out, G * O) -> (N, *out, G)
        parts = (
            xp.sum(xp.reshape(part, (*part.shape[:-1], groups, features)), axis=-1)
            for part in parts
        )
    return _groups_first(xp, overlap_add(xp, parts, window, lead=1, mutable=mutable), 1)


def weight_vjp(xp: Namespace, x: Array, dy: Array, window: Window, mutable: bool) -> Array:
    """``(G, N, *size, 1)`` and ``(G, N, *out, O)`` to ``(G, *kernel, 1, O)``."""
    groups, features = dy.shape[0], dy.shape[-1]
    x = _groups_last(xp, x)
    padded = reach(xp, x, window, lead=1, mutable=True) if mutable else None
    gradient = _groups_last(xp, dy)
    if mutable and features == 1 and (view := runs(xp, padded, window)) is not None:
        at = _Axes(len(window.size))
        outputs = xp.reshape(gradient, (*view.shape[: gradient.ndim - 1], view.shape[-1]))
        total = sum_of_products(xp, view, at.windows, outputs, at.outputs, at.kernel)
        # (*kernel, run * G) -> (*kernel, run, G) -> (G, *kernel, 1, 1)
        dw = xp.sum(xp.reshape(total, (*window.kernel, -1, groups)), axis=-2)
        return xp.permute_dims(dw, (dw.ndim - 1, *range(dw.ndim - 1)))[..., None, None]
    last = gradient.ndim - 1
    # the few channels alone would keep few of an accelerator's processors busy: there the last spatial axis waits
    waits = int(mutable and traits(xp, gradient).accelerator)
    first = tuple(range(last - waits))
    sums = [
        xp.sum(_outer(xp, view, features) * gradient, axis=first)
        for view in _views(xp, x, padded, window)
    ]
    total = xp.stack(sums, axis=0)
    if waits:
        total = xp.sum(total, axis=1)
    # (K, G * O) -> (G, *kernel, 1, O)
    dw = xp.reshape(total, (*window.kernel, 1, groups, features))
    ndim = dw.ndim
    return xp.permute_dims(dw, (ndim - 2, *range(ndim - 2), ndim - 1))


def _views(xp: Namespace, x: Array, padded: Array | None, window: Window) -> Iterator[Array]:
    """What the cells of the window meet: of ``padded``, which ``reach`` made, or of ``x``."""
    if padded is None:
        return taps(xp, x, window, lead=1, mutable=False)
    return tap_views(padded, window, lead=1)


class _Axes:
    """The axes of ``runs`` by number: the images and runs of outputs, the kernel, and the cells of a run."""

    def __init__(self, ndim: int) -> None:
        cells = 2 * ndim + 1
        self.windows = list(range(cells + 1))
        self.outputs = [*range(ndim + 1), cells]
        self.kernel = [*range(ndim + 1, cells), cells]


def _groups_last(xp: Namespace, x: Array) -> Array:
    # (G, N, *S, O) -> (N, *S, G, O) -> (N, *S, G * O)
    ndim = x.ndim
    moved = xp.permute_dims(x, (*range(1, ndim - 1), 0, ndim - 1))
    return xp.reshape(moved, (*moved.shape[:-2], moved.shape[-2] * moved.shape[-1]))


def _groups_first(xp: Namespace, y: Array, features: int) -> Array:
    # (N, *S, G * O) -> (N, *S, G, O) -> (G, N, *S, O)
    split = xp.reshape(y, (*y.shape[:-1], y.shape[-1] // features, features))
    ndim = split.ndim
    return xp.permute_dims(split, (ndim - 2, *range(ndim - 2), ndim - 1))


def _outer(xp: Namespace, view: Array, features: int) -> Array:
    # (N, *out, G) -> (N, *out, G * O), each group's channel once per feature
    return view if features == 1 else xp.repeat(view, features, axis=-1)


def _by_tap(xp: Namespace, w: Array, row: int) -> Iterator[Array]:
    """The weights of each kernel cell as ``(1, ..., row, G * O)``, repeated along a row for long inner loops."""
    groups, features = w.shape[0], w.shape[-1]
    # (G, *kernel, 1, O) -> (K, 1, G, O) -> (K, row, G * O)
    flat = xp.permute_dims(xp.reshape(w, (groups, -1, 1, features)), (1, 2, 0, 3))
    flat = xp.reshape(flat, (flat.shape[0], 1, groups * features))
    if row > 1:
        flat = xp.tile(flat, (1, row, 1))
    lead = (1,) * (w.ndim - 3)
    for k in range(flat.shape[0]):
        yield xp.reshape(flat[k, ...], (*lead, row, groups * features))


STRATEGY = Strategy(correlate, input_vjp, weight_vjp, declines, temporaries, fuses=True)

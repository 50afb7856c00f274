"""The gradient of every max pool in plain loops: the rules for ties, NaN and padding.

Nothing here imports arrayconv.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np
from reference import outputs, pairs, tuples

Cells = list[tuple[int, ...]]


def max_gradient(
    op: str,
    dy: Any,
    x: Any,
    *args: Any,
    ties: str = "first",
    data_format: str = "channels_last",
    keepdims: bool = False,
    **config: Any,
) -> Any:
    """Return dx of ``max_pool``, ``global_max_pool`` or ``adaptive_max_pool``."""
    if data_format == "channels_first":
        x, dy = np.moveaxis(x, 1, -1), np.moveaxis(dy, 1, -1) if dy.ndim == x.ndim else dy
    sizes = x.shape[1:-1]
    if op == "global_max_pool":
        windows = iter([((0,) * len(sizes), list(product(*map(range, sizes))))])
        dy = dy.reshape((x.shape[0], *(1 for _ in sizes), x.shape[-1]))
    else:
        windows = (
            _bins(sizes, *args) if op == "adaptive_max_pool" else _sliding(sizes, *args, **config)
        )
    dx = np.zeros(x.shape)
    for o, cells in windows:
        for n, c in product(range(x.shape[0]), range(x.shape[-1])):
            _share(dx[n, ..., c], dy[n, *o, c], x[n, ..., c], cells, ties)
    return np.moveaxis(dx, -1, 1) if data_format == "channels_first" else dx


def _share(dx: Any, dy: float, x: Any, cells: Cells, ties: str) -> None:
    values = [x[cell] for cell in cells]
    nans = [cell for cell, value in zip(cells, values, strict=True) if np.isnan(value)]
    winners = nans or [
        cell for cell, value in zip(cells, values, strict=True) if value == max(values)
    ]
    if ties == "first":
        winners = winners[:1]
    for cell in winners:
        dx[cell] += dy / len(winners) if ties == "split" else dy


def _bins(sizes: Sequence[int], output_size: Any) -> Iterator[tuple[tuple[int, ...], Cells]]:
    out = tuples(output_size, len(sizes))
    for o in product(*map(range, out)):
        ends = zip(o, sizes, out, strict=True)
        yield o, list(product(*(range(i * n // m, -(-(i + 1) * n // m)) for i, n, m in ends)))


def _sliding(
    sizes: Sequence[int],
    window: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Iterator[tuple[tuple[int, ...], Cells]]:
    k = tuples(window, len(sizes))
    s, d = tuples(stride or k, len(sizes)), tuples(dilation, len(sizes))
    p = pairs(padding, sizes, k, s, d)
    out = [outputs(*axis, ceil_mode) for axis in zip(sizes, p, k, s, d, strict=True)]
    for o in product(*map(range, out)):
        axes = [[o[a] * s[a] + d[a] * j - p[a][0] for j in range(k[a])] for a in range(len(sizes))]
        inside = [[i for i in axis if 0 <= i < n] for axis, n in zip(axes, sizes, strict=True)]
        yield o, list(product(*inside))

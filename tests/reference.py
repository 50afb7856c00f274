"""What every operation must return, twice: naive float64 loops, and PyTorch where it can say it.

Nothing here imports arrayconv. `NAIVE` and `TORCH` map an operation's name to a function with the
operation's own signature; one of `TORCH` returns None where PyTorch cannot express the case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from itertools import product
from math import prod
from typing import Any

import numpy as np
from reference_layers import LAYERS
from reference_norms import NORMS


def tuples(value: Any, ndim: int) -> tuple[Any, ...]:
    """Return one value per axis."""
    return tuple(value) if isinstance(value, Sequence) else (value,) * ndim


def pairs(padding: Any, sizes: Sequence[int], k: Any, s: Any, d: Any) -> list[tuple[int, int]]:
    """Return (before, after) per axis; for the named forms, what TF and Keras define."""
    if not isinstance(padding, str):
        given = tuples(padding, len(sizes))
        return [tuple(p) if isinstance(p, Sequence) else (p, p) for p in given]
    found = []
    for axis, n in enumerate(sizes):
        reach = d[axis] * (k[axis] - 1)
        total = max(0, (-(-n // s[axis]) - 1) * s[axis] + reach + 1 - n)
        less, more = total // 2, total - total // 2
        found.append(
            {
                "valid": (0, 0),
                "same": (less, more),
                "same_lower": (more, less),
                "causal": (reach, 0),
            }[padding]
        )
    return found


def outputs(n: int, pad: tuple[int, int], k: int, s: int, d: int, ceil: bool = False) -> int:
    """Count the windows of one axis by trying every start."""
    before, after = pad
    count = 0
    while count * s + d * (k - 1) < n + before + after:
        count += 1
    over = count * s + d * (k - 1) - (n + before + after) + 1
    # One more window where some of it is inside, unless it starts after the input.
    if ceil and over < s and count * s < n + before:
        count += 1
    return count


def last(f: Callable[..., Any]) -> Callable[..., Any]:
    """Let `f`, written for channels_last, take `data_format`."""

    @wraps(f)
    def call(x: Any, *args: Any, data_format: str = "channels_last", **config: Any) -> Any:
        if data_format == "channels_last":
            return f(x, *args, **config)
        y = f(np.moveaxis(x, 1, -1), *args, **config)
        return np.moveaxis(y, -1, 1) if y.ndim > 2 else y

    return call


def _geometry(
    sizes: Sequence[int], k: Any, stride: Any, padding: Any, dilation: Any, ceil: bool = False
) -> tuple[Any, ...]:
    s, d = tuples(stride, len(sizes)), tuples(dilation, len(sizes))
    p = pairs(padding, sizes, k, s, d)
    out = tuple(
        outputs(n, pad, ki, si, di, ceil)
        for n, pad, ki, si, di in zip(sizes, p, k, s, d, strict=True)
    )
    return s, d, p, out


def _cell(o: Any, j: Any, s: Any, d: Any, p: Any) -> tuple[int, ...]:
    """Return the input cell under cell `j` of window `o`, perhaps outside the input."""
    return tuple(
        oi * si - pi[0] + di * ji for oi, ji, si, di, pi in zip(o, j, s, d, p, strict=True)
    )


def _inside(i: Sequence[int], sizes: Sequence[int]) -> bool:
    return all(0 <= ii < n for ii, n in zip(i, sizes, strict=True))


def _cells(sizes: Sequence[int]) -> Any:
    return product(*(range(n) for n in sizes))


@last
def pad(x: Any, padding: Any, *, mode: str = "constant", value: float = 0) -> Any:
    sizes = x.shape[1:-1]
    p = pairs(padding, sizes, None, None, None)
    y = np.full(
        (x.shape[0], *(n + a + b for n, (a, b) in zip(sizes, p, strict=True)), x.shape[-1]),
        value,
        float,
    )

    def source(i: int, n: int) -> int:
        if mode == "edge":
            return min(max(i, 0), n - 1)
        if mode == "wrap":
            return i % n
        if mode == "symmetric":
            i %= 2 * n
            return i if i < n else 2 * n - 1 - i
        if mode == "reflect" and n > 1:
            i %= 2 * n - 2
            return i if i < n else 2 * n - 2 - i
        return 0 if mode == "reflect" else i

    for o in _cells(y.shape[1:-1]):
        i = tuple(source(oi - a, n) for oi, (a, _), n in zip(o, p, sizes, strict=True))
        if _inside(i, sizes):
            y[:, *o] = x[:, *i]
    return y


def _groups(x: Any, w: Any, groups: int) -> Any:
    """Multiply each group of the channels of `x` with its own columns of `w`."""
    c_in, c_out = w.shape[0], w.shape[1] // groups
    y = np.zeros((x.shape[0], w.shape[1]))
    for g in range(groups):
        columns = slice(g * c_out, (g + 1) * c_out)
        y[:, columns] = x[:, g * c_in : (g + 1) * c_in] @ w[:, columns]
    return y


def _meetings(windows: Any, k: Any, geometry: Any, sizes: Any, flip_kernel: bool) -> Any:
    """Yield (cell, window, tap) for every cell of every window that lies inside `sizes`."""
    for o, j in product(_cells(windows), _cells(k)):
        i = _cell(o, j, *geometry)
        if _inside(i, sizes):
            yield i, o, tuple(n - 1 - m for n, m in zip(k, j, strict=True)) if flip_kernel else j


def _transposed(
    x: Any, w: Any, stride: Any, padding: Any, output_padding: Any, dilation: Any
) -> tuple[Any, Any]:
    """Return the output size of a transposed convolution, and (stride, dilation, padding)."""
    sizes, k = x.shape[1:-1], w.shape[:-2]
    s, d, extra = (tuples(v, len(sizes)) for v in (stride, dilation, output_padding))
    if padding in ("same", "same_lower"):
        out = tuple(n * si for n, si in zip(sizes, s, strict=True))
        return out, (s, d, pairs(padding, out, k, s, d))
    p = pairs(padding, sizes, k, s, d)
    out = tuple(
        (n - 1) * s[a] - sum(p[a]) + d[a] * (k[a] - 1) + extra[a] + 1 for a, n in enumerate(sizes)
    )
    return out, (s, d, p)


def _swapped(w: Any, groups: int) -> Any:
    """Exchange the channel axes group by group: (*K, A / g, B) -> (*K, B / g, A)."""
    parts = np.split(w, groups, axis=-1)
    return np.concatenate([np.swapaxes(part, -1, -2) for part in parts], axis=-1)


@last
def conv(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    flip_kernel: bool = False,
) -> Any:
    sizes, k = x.shape[1:-1], w.shape[:-2]
    s, d, p, out = _geometry(sizes, k, stride, padding, dilation)
    y = np.zeros((x.shape[0], *out, w.shape[-1]))
    for i, o, tap in _meetings(out, k, (s, d, p), sizes, flip_kernel):
        y[:, *o] += _groups(x[:, *i], w[tap], groups)
    return y if b is None else y + b.reshape(-1)


@last
def conv_transpose(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    flip_kernel: bool = False,
) -> Any:
    out, geometry = _transposed(x, w, stride, padding, output_padding, dilation)
    y = np.zeros((x.shape[0], *out, w.shape[-2] * groups))
    w = _swapped(w, groups)
    for o, i, tap in _meetings(x.shape[1:-1], w.shape[:-2], geometry, out, flip_kernel):
        y[:, *o] += _groups(x[:, *i], w[tap], groups)
    return y if b is None else y + b.reshape(-1)


@last
def max_pool(
    x: Any,
    window: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    sizes = x.shape[1:-1]
    k = tuples(window, len(sizes))
    s, d, p, out = _geometry(sizes, k, stride or k, padding, dilation, ceil_mode)
    y = np.full((x.shape[0], *out, x.shape[-1]), -np.inf)
    for o, j in product(_cells(out), _cells(k)):
        i = _cell(o, j, s, d, p)
        if _inside(i, sizes):
            y[:, *o] = np.maximum(y[:, *o], x[:, *i])
    return y


@last
def avg_pool(
    x: Any,
    window: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
) -> Any:
    sizes = x.shape[1:-1]
    k = tuples(window, len(sizes))
    s, d, p, out = _geometry(sizes, k, stride or k, padding, dilation, ceil_mode)
    y = np.zeros((x.shape[0], *out, x.shape[-1]))
    for o in _cells(out):
        count = 0
        for j in _cells(k):
            i = _cell(o, j, s, d, p)
            if _inside(i, sizes):
                y[:, *o] += x[:, *i]
            padded = all(-a <= ii < n + b for ii, n, (a, b) in zip(i, sizes, p, strict=True))
            count += padded if count_include_pad else _inside(i, sizes)
        y[:, *o] /= count
    return y


def _global(reduce: Callable[[Any], Any], x: Any, keepdims: bool) -> Any:
    y = np.zeros((x.shape[0], x.shape[-1]))
    for n, c in _cells(y.shape):
        y[n, c] = reduce([x[n, *i, c] for i in _cells(x.shape[1:-1])])
    return y.reshape((x.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1])) if keepdims else y


@last
def global_max_pool(x: Any, *, keepdims: bool = False) -> Any:
    return _global(np.maximum.reduce, x, keepdims)


@last
def global_avg_pool(x: Any, *, keepdims: bool = False) -> Any:
    return _global(lambda cells: sum(cells) / len(cells), x, keepdims)


def _adaptive(reduce: Callable[[Any], Any], x: Any, output_size: Any) -> Any:
    sizes = x.shape[1:-1]
    out = tuples(output_size, len(sizes))
    y = np.zeros((x.shape[0], *out, x.shape[-1]))
    for o in _cells(out):
        bins = [
            range(oi * n // m, -(-(oi + 1) * n // m))
            for oi, n, m in zip(o, sizes, out, strict=True)
        ]
        y[:, *o] = reduce([x[:, *i] for i in product(*bins)])
    return y


@last
def adaptive_avg_pool(x: Any, output_size: Any) -> Any:
    return _adaptive(lambda cells: sum(cells) / len(cells), x, output_size)


@last
def adaptive_max_pool(x: Any, output_size: Any) -> Any:
    return _adaptive(lambda cells: np.maximum.reduce(cells), x, output_size)


@last
def im2col(x: Any, window: Any, stride: Any = 1, *, padding: Any = 0, dilation: Any = 1) -> Any:
    sizes = x.shape[1:-1]
    k = tuples(window, len(sizes))
    s, d, p, out = _geometry(sizes, k, stride, padding, dilation)
    y = np.zeros((x.shape[0] * prod(out), prod(k) * x.shape[-1]))
    for row, (n, *o) in enumerate(product(range(x.shape[0]), *map(range, out))):
        for column, (*j, c) in enumerate(product(*map(range, k), range(x.shape[-1]))):
            i = _cell(o, j, s, d, p)
            if _inside(i, sizes):
                y[row, column] = x[n, *i, c]
    return y


def col2im(
    columns: Any,
    shape: Any,
    window: Any,
    stride: Any = 1,
    *,
    padding: Any = 0,
    dilation: Any = 1,
    data_format: str = "channels_last",
) -> Any:
    first = data_format == "channels_first"
    sizes, channels = (shape[2:], shape[1]) if first else (shape[1:-1], shape[-1])
    k = tuples(window, len(sizes))
    s, d, p, out = _geometry(sizes, k, stride, padding, dilation)
    x = np.zeros((shape[0], *sizes, channels))
    for row, (n, *o) in enumerate(product(range(shape[0]), *map(range, out))):
        for column, (*j, c) in enumerate(product(*map(range, k), range(channels))):
            i = _cell(o, j, s, d, p)
            if _inside(i, sizes):
                x[n, *i, c] += columns[row, column]
    return np.moveaxis(x, -1, 1) if first else x


def relu(x: Any) -> Any:
    y = np.zeros(x.shape)
    for i in _cells(x.shape):
        y[i] = x[i] if x[i] > 0 else 0.0
    return y


def conv_gradients(
    dy: Any,
    x: Any,
    w: Any,
    b: Any = None,
    *,
    transpose: bool = False,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    flip_kernel: bool = False,
    data_format: str = "channels_last",
) -> tuple[Any, ...]:
    """Return (dx, dw, db) of a convolution or, with `transpose`, of a transposed one."""
    if data_format == "channels_first":
        dy, x = np.moveaxis(dy, 1, -1), np.moveaxis(x, 1, -1)
    sizes, k = x.shape[1:-1], w.shape[:-2]
    if transpose:
        out, geometry = _transposed(x, w, stride, padding, output_padding, dilation)
        w = _swapped(w, groups)
        met = ((i, o, tap) for o, i, tap in _meetings(sizes, k, geometry, out, flip_kernel))
    else:
        *geometry, out = _geometry(sizes, k, stride, padding, dilation)
        met = _meetings(out, k, geometry, sizes, flip_kernel)
    dx, dw = np.zeros(x.shape), np.zeros(w.shape)
    c_in, c_out = w.shape[-2], w.shape[-1] // groups
    for (i, o, tap), g in product(met, range(groups)):
        rows, columns = slice(g * c_in, (g + 1) * c_in), slice(g * c_out, (g + 1) * c_out)
        dx[:, *i][:, rows] += dy[:, *o][:, columns] @ w[tap][:, columns].T
        dw[tap][:, columns] += x[:, *i][:, rows].T @ dy[:, *o][:, columns]
    dx = np.moveaxis(dx, -1, 1) if data_format == "channels_first" else dx
    dw = _swapped(dw, groups) if transpose else dw
    db = None if b is None else dy.sum(axis=tuple(range(dy.ndim - 1))).reshape(b.shape)
    return dx, dw, db


NAIVE: dict[str, Callable[..., Any]] = (
    {
        f.__name__: f
        for f in (
            pad,
            conv,
            conv_transpose,
            max_pool,
            avg_pool,
            global_max_pool,
            global_avg_pool,
            adaptive_max_pool,
            adaptive_avg_pool,
            im2col,
            col2im,
            relu,
        )
    }
    | LAYERS
    | NORMS
)

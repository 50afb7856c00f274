"""Convolutions over padding written out as zeros, which NaN and inf meet as in PyTorch and JAX.

And where an adjoint may multiply weights with zeros that stand for windows that are not there.

Nothing here imports arrayconv.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from reference import _geometry, _transposed, conv, conv_gradients, conv_transpose, pairs, tuples


def convolution(
    op: str,
    dy: Any,
    x: Any,
    w: Any,
    b: Any = None,
    *,
    data_format: str = "channels_last",
    **config: Any,
) -> tuple[Any, ...]:
    """Return the result and (dx, dw, db) of ``conv`` or ``conv_transpose``."""
    first = data_format == "channels_first"
    if first:
        dy, x = np.moveaxis(dy, 1, -1), np.moveaxis(x, 1, -1)
    sizes, k = x.shape[1:-1], w.shape[:-2]
    given = (config.pop("stride", 1), config.pop("padding", 0))
    dilation, extra = config.pop("dilation", 1), config.pop("output_padding", 0)
    if op == "conv":
        s, d, p, _ = _geometry(sizes, k, *given, dilation)
        config |= {"stride": s, "dilation": d}
        x = np.pad(x, [(0, 0), *p, (0, 0)])
        y = conv(x, w, b, **config)
        dx, dw, db = conv_gradients(dy, x, w, b, **config)
        dx = dx[:, *_inside(p, sizes)]
    else:
        out, (s, d, p) = _transposed(x, w, *given, extra, dilation)
        extra = tuple(
            o + sum(p[a]) - (sizes[a] - 1) * s[a] - d[a] * (k[a] - 1) - 1 for a, o in enumerate(out)
        )
        config |= {"stride": s, "dilation": d, "output_padding": extra}
        y = conv_transpose(x, w, b, **config)[:, *_inside(p, out)]
        dx, dw, _ = conv_gradients(np.pad(dy, [(0, 0), *p, (0, 0)]), x, w, transpose=True, **config)
        db = None if b is None else dy.sum(axis=tuple(range(dy.ndim - 1))).reshape(b.shape)
    y, dx = (np.moveaxis(a, -1, 1) if first else a for a in (y, dx))
    return y, dx, dw, db


def beyond(
    shape: Any,
    windows: Any,
    w: Any,
    *,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
    flip_kernel: bool = False,
    data_format: str = "channels_last",
    between: bool = False,
    **_: Any,
) -> Any:
    """Return where in an adjoint's result of a shape a weight that is not finite lies on a window that is not there.

    The adjoint is the ``dx`` of ``conv``, or the result of ``conv_transpose``. What lies between
    windows, where a stride steps over it, counts only if asked for.
    """
    first = data_format == "channels_first"
    last = (shape[0], *shape[2:], shape[1]) if first else tuple(shape)
    found = np.zeros(last, bool)
    sizes, k = last[1:-1], w.shape[:-2]
    s, d = tuples(stride, len(sizes)), tuples(dilation, len(sizes))
    p = pairs(padding, sizes, k, s, d)
    for *tap, c, f in np.argwhere(~np.isfinite(w)):
        # `on` a window, were there windows without end, and on one that is `there`
        on, there = np.ones(sizes, bool), np.ones(sizes, bool)
        for a, n in enumerate(sizes):
            j = k[a] - 1 - tap[a] if flip_kernel else tap[a]
            start = np.arange(n) + p[a][0] - d[a] * j
            along = [n if a == other else 1 for other in range(len(sizes))]
            stepped = (start % s[a] == 0).reshape(along)
            on &= stepped | between
            there &= stepped & ((start >= 0) & (start < windows[a] * s[a])).reshape(along)
        group = f // (w.shape[-1] // groups)
        found[..., group * w.shape[-2] + c] |= on & ~there
    return np.moveaxis(found, -1, 1) if first else found


def _inside(padding: Any, sizes: Any) -> list[slice]:
    return [slice(before, before + n) for (before, _), n in zip(padding, sizes, strict=True)]

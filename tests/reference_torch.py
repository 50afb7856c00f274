"""The operations in PyTorch's own; None where PyTorch cannot say the case."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from math import prod
from typing import Any

import torch
from reference import pairs, tuples
from reference_torch_layers import TORCH_LAYERS
from reference_torch_norms import TORCH_NORMS
from torch.nn import functional

CONV = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}
CONV_TRANSPOSE = {
    1: functional.conv_transpose1d,
    2: functional.conv_transpose2d,
    3: functional.conv_transpose3d,
}
MAX_POOL = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
AVG_POOL = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}
ADAPTIVE_MAX = {
    1: functional.adaptive_max_pool1d,
    2: functional.adaptive_max_pool2d,
    3: functional.adaptive_max_pool3d,
}
ADAPTIVE_AVG = {
    1: functional.adaptive_avg_pool1d,
    2: functional.adaptive_avg_pool2d,
    3: functional.adaptive_avg_pool3d,
}
MODES = {"constant": "constant", "edge": "replicate", "reflect": "reflect", "wrap": "circular"}


def first(f: Callable[..., Any]) -> Callable[..., Any]:
    """Let `f`, written for channels_first as PyTorch is, take `data_format`."""

    @wraps(f)
    def call(x: Any, *args: Any, data_format: str = "channels_last", **config: Any) -> Any:
        if x.ndim > 5 or x.shape[0] == 0:
            return None
        if data_format == "channels_first":
            return f(x, *args, **config)
        y = f(torch.movedim(x, -1, 1), *args, **config)
        return torch.movedim(y, 1, -1) if y is not None and y.ndim > 2 else y

    return call


def _pad(x: Any, p: Any, **config: Any) -> Any:
    # functional.pad lists the last axis first
    return functional.pad(x, [n for pair in reversed(p) for n in pair], **config)


def _same(p: Any) -> list[int] | None:
    """Return one number per axis where before and after agree."""
    return [a for a, _ in p] if all(a == b for a, b in p) else None


@first
def pad(x: Any, padding: Any, *, mode: str = "constant", value: float = 0) -> Any:
    p, sizes = pairs(padding, x.shape[2:], None, None, None), x.shape[2:]
    if mode == "constant":
        return _pad(x, p, value=float(value))
    room = 1 if mode == "reflect" else 0
    if mode == "symmetric" or any(max(w) > n - room for w, n in zip(p, sizes, strict=True)):
        return None
    return _pad(x, p, mode=MODES[mode])


def _weight(w: Any, flip_kernel: bool) -> Any:
    axes = tuple(range(w.ndim - 2))
    w = torch.flip(w, axes) if flip_kernel else w
    # (*K, I, O) -> (O, I, *K)
    return torch.permute(w, (w.ndim - 1, w.ndim - 2, *axes))


@first
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
    ndim = x.ndim - 2
    s, d = tuples(stride, ndim), tuples(dilation, ndim)
    p = pairs(padding, x.shape[2:], w.shape[:-2], s, d)
    b = None if b is None else b.reshape(-1)
    if _same(p) is None:
        x, p = _pad(x, p), [(0, 0)] * ndim
    return CONV[ndim](x, _weight(w, flip_kernel), b, s, _same(p), d, groups)


@first
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
    ndim, k = x.ndim - 2, w.shape[:-2]
    s, d, extra = (tuples(v, ndim) for v in (stride, dilation, output_padding))
    # (*K, O / g, I) -> (I, O / g, *K)
    weight = _weight(w, flip_kernel)
    named = padding in ("same", "same_lower")
    out = tuple(n * si for n, si in zip(x.shape[2:], s, strict=True))
    p = pairs(padding, out if named else x.shape[2:], k, s, d)
    native = CONV_TRANSPOSE[ndim]
    if not named and _same(p) is not None:
        return native(x, weight, b, s, _same(p), extra, groups, d)
    whole = native(x, weight, None, s, 0, 0, groups, d)
    if not named:
        out = tuple(n - sum(pi) + ei for n, pi, ei in zip(whole.shape[2:], p, extra, strict=True))
    # A negative width crops.
    crop = [(-a, o + a - n) for (a, _), o, n in zip(p, out, whole.shape[2:], strict=True)]
    y = _pad(whole, crop)
    return y if b is None else y + b.reshape(-1, *(1 for _ in out))


@first
def max_pool(
    x: Any,
    window: Any,
    *,
    stride: Any = None,
    padding: Any = 0,
    dilation: Any = 1,
    ceil_mode: bool = False,
) -> Any:
    ndim = x.ndim - 2
    k = tuples(window, ndim)
    s, d = tuples(stride or k, ndim), tuples(dilation, ndim)
    p = pairs(padding, x.shape[2:], k, s, d)
    native = _same(p)
    if native is not None and all(a <= ki // 2 for a, ki in zip(native, k, strict=True)):
        return MAX_POOL[ndim](x, k, s, native, d, ceil_mode)
    if ceil_mode:
        return None
    return MAX_POOL[ndim](_pad(x, p, value=float("-inf")), k, s, 0, d)


@first
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
    ndim = x.ndim - 2
    k = tuples(window, ndim)
    s, d = tuples(stride or k, ndim), tuples(dilation, ndim)
    p = pairs(padding, x.shape[2:], k, s, d)
    if set(d) != {1}:
        return None
    native = _same(p)
    if native is not None and all(a <= ki // 2 for a, ki in zip(native, k, strict=True)):
        return AVG_POOL[ndim](x, k, s, native, ceil_mode, count_include_pad)
    if ceil_mode:
        return None
    share = AVG_POOL[ndim](_pad(x, p), k, s)
    if count_include_pad:
        return share
    return share / AVG_POOL[ndim](_pad(torch.ones_like(x), p), k, s)


def _spread(y: Any, keepdims: bool, ndim: int) -> Any:
    return y.reshape((*y.shape, *(1 for _ in range(ndim)))) if keepdims else y


@first
def global_max_pool(x: Any, *, keepdims: bool = False) -> Any:
    return _spread(torch.flatten(x, 2).max(-1).values, keepdims, x.ndim - 2)


@first
def global_avg_pool(x: Any, *, keepdims: bool = False) -> Any:
    return _spread(torch.flatten(x, 2).mean(-1), keepdims, x.ndim - 2)


@first
def adaptive_max_pool(x: Any, output_size: Any) -> Any:
    return ADAPTIVE_MAX[x.ndim - 2](x, output_size)


@first
def adaptive_avg_pool(x: Any, output_size: Any) -> Any:
    return ADAPTIVE_AVG[x.ndim - 2](x, output_size)


@first
def im2col(x: Any, window: Any, stride: Any = 1, *, padding: Any = 0, dilation: Any = 1) -> Any:
    if x.ndim != 4:
        return None
    k, s, d = (tuples(v, 2) for v in (window, stride, dilation))
    p = pairs(padding, x.shape[2:], k, s, d)
    y = functional.unfold(_pad(x, p), k, d, 0, s)
    # (N, C*K, L) -> (N*L, K*C)
    y = y.reshape((x.shape[0], x.shape[1], prod(k), -1)).permute((0, 3, 2, 1))
    return y.reshape((-1, prod(k) * x.shape[1]))


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
    if len(shape) != 4 or shape[0] == 0:
        return None
    last = data_format == "channels_last"
    sizes, channels = (shape[1:-1], shape[-1]) if last else (shape[2:], shape[1])
    k, s, d = (tuples(v, 2) for v in (window, stride, dilation))
    p = pairs(padding, sizes, k, s, d)
    padded = [n + a + b for n, (a, b) in zip(sizes, p, strict=True)]
    # (N*L, K*C) -> (N, C*K, L)
    y = columns.reshape((shape[0], -1, prod(k), channels)).permute((0, 3, 2, 1))
    y = functional.fold(y.reshape((shape[0], channels * prod(k), -1)), padded, k, d, 0, s)
    y = _pad(y, [(-a, -b) for a, b in p])
    return torch.movedim(y, 1, -1) if last else y


TORCH: dict[str, Callable[..., Any]] = {
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
    )
} | {"relu": torch.relu, **TORCH_LAYERS, **TORCH_NORMS}

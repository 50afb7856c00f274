"""Pad: along any axis, and cropping where widths are negative."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.namespace import Array, Namespace, constant_pad
from arrayconv.onnx.operators.convolution import pairs
from arrayconv.onnx.operators.shared import Attributes, namespace, normalized
from arrayconv.onnx.table import register

Ints = tuple[int, ...]
Widths = tuple[tuple[int, int], ...]


def pad(
    x: Array,
    pads: Ints,
    value: Any = None,
    axes: Ints | None = None,
    *,
    mode: str = "constant",
    channels_last: bool = False,
) -> Array:
    xp = namespace(x)
    widths = _widths(x, pads, axes, channels_last)
    x = _cropped(x, widths)
    given = tuple((max(a, 0), max(b, 0)) for a, b in widths)
    if mode == "constant":
        # a number, or an array of one
        (fill,) = value if isinstance(value, tuple) else (value or 0,)
        return constant_pad(xp, x, given, fill)
    # axes added before and after make all axes of x spatial ones
    y: Array = ac.pad(x[None, ..., None], given, mode=mode)
    return y[0, ..., 0]


def pad_vjp(
    dy: Array,
    x: Array,
    pads: Ints,
    value: Any = None,
    axes: Ints | None = None,
    *,
    mode: str = "constant",
    channels_last: bool = False,
) -> Array:
    xp = namespace(dy, x)
    widths = _widths(x, pads, axes, channels_last)
    given = tuple((max(a, 0), max(b, 0)) for a, b in widths)
    if mode == "constant":
        dy = _cropped(dy, tuple((-a, -b) for a, b in given))
    else:
        inner = _cropped(x, widths)[None, ..., None]
        dx: Array = ac.pad_vjp(dy[None, ..., None], inner, given, mode=mode)
        dy = dx[0, ..., 0]
    return _restored(xp, dy, tuple((max(-a, 0), max(-b, 0)) for a, b in widths))


def _restored(xp: Namespace, dy: Array, cut: Widths) -> Array:
    return constant_pad(xp, dy, cut, 0) if any(map(any, cut)) else dy


def _widths(x: Array, pads: Ints, axes: Ints | None, channels_last: bool) -> Widths:
    widths = [(0, 0)] * x.ndim
    chosen = normalized(range(x.ndim) if axes is None else axes, x.ndim)
    for axis, both in zip(chosen, pairs(pads), strict=True):
        widths[axis] = both
    # (N, C, *S) -> (N, *S, C)
    return (widths[0], *widths[2:], widths[1]) if channels_last else tuple(widths)


def _cropped(x: Array, widths: Widths) -> Array:
    if all(a >= 0 and b >= 0 for a, b in widths):
        return x
    return x[
        tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, widths, strict=True))
    ]


def old_pad(
    x: Array, *, pads: Ints, value: float = 0.0, mode: str = "constant", **more: Any
) -> Array:
    return pad(x, pads, value, mode=mode, **more)


def old_pad_vjp(
    dy: Array, x: Array, *, pads: Ints, value: float = 0.0, mode: str = "constant", **more: Any
) -> Array:
    return pad_vjp(dy, x, pads, value, mode=mode, **more)


def _last(attributes: Attributes, ndim: int) -> Attributes:
    return attributes | {"channels_last": True}


register("Pad", old_pad, old_pad_vjp, since=2, until=10, channels_last=_last)
register("Pad", pad, pad_vjp, since=11, static=("pads", "value", "axes"), channels_last=_last)

"""Resize and Upsample: by `arrayconv.resize` if it supports the attributes, else by one matrix product per axis."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

import arrayconv as ac
from arrayconv.namespace import Array, Namespace, accumulator, cast, is_floating, placement, scalar
from arrayconv.onnx.operators.shared import Attributes, last_axis, namespace, normalized
from arrayconv.onnx.table import register

HALF = Fraction(1, 2)
Row = tuple[tuple[int, float], ...]


class How(NamedTuple):
    """The attributes that determine the weights of the interpolation."""

    mode: str
    coordinates: str
    rounding: str
    cubic: float
    exclude_outside: bool
    antialias: bool


class Axis(NamedTuple):
    """An axis to resize from length ``n`` to ``m``: the given scale if any, and the region of interest."""

    axis: int
    n: int
    m: int
    scale: float | None
    start: float
    end: float


def resize(
    x: Array, roi: Any = None, scales: Any = None, sizes: Any = None, **attributes: Any
) -> Array:
    xp = namespace(x)
    axes, how, extrapolation, last = _plan(x, roi, scales, sizes, **attributes)
    keywords = _ours(x, axes, how, last)
    if keywords is not None and is_floating(xp, x.dtype):
        return ac.resize(x, **keywords)
    wide = xp.float32 if not is_floating(xp, x.dtype) else accumulator(xp, x.dtype)
    y = cast(xp, x, wide)
    for axis in axes:
        y = _product(xp, y, axis.axis, _matrix(xp, _rows(axis, how), axis.n, y))
    if how.coordinates == "tf_crop_and_resize":
        for axis in axes:
            y = xp.where(_outside(xp, axis, y), scalar(xp, extrapolation, y), y)
    return cast(xp, y, x.dtype)


def resize_vjp(
    dy: Array, x: Array, roi: Any = None, scales: Any = None, sizes: Any = None, **attributes: Any
) -> Array:
    xp = namespace(dy, x)
    axes, how, _, last = _plan(x, roi, scales, sizes, **attributes)
    keywords = _ours(x, axes, how, last)
    if keywords is not None:
        return ac.resize_vjp(dy, x, **keywords)
    g = cast(xp, dy, accumulator(xp, dy.dtype))
    for axis in axes:
        if how.coordinates == "tf_crop_and_resize":
            g = xp.where(_outside(xp, axis, g), xp.zeros_like(g), g)
    for axis in axes:
        g = _product(xp, g, axis.axis, _matrix(xp, _rows(axis, how), axis.n, g).T)
    return cast(xp, g, x.dtype)


def _plan(
    x: Array,
    roi: Sequence[float] | None,
    scales: Sequence[float] | None,
    sizes: Sequence[int] | None,
    *,
    antialias: int = 0,
    axes: Sequence[int] | None = None,
    coordinate_transformation_mode: str = "half_pixel",
    cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0,
    extrapolation_value: float = 0.0,
    keep_aspect_ratio_policy: str = "stretch",
    mode: str = "nearest",
    nearest_mode: str = "round_prefer_floor",
    data_format: str = "channels_first",
) -> tuple[list[Axis], How, float, bool]:
    how = How(
        mode,
        coordinate_transformation_mode,
        nearest_mode,
        cubic_coeff_a,
        bool(exclude_outside),
        bool(antialias),
    )
    last = data_format == "channels_last"
    given = normalized(range(x.ndim) if axes is None else axes, x.ndim)
    places = [last_axis(axis, x.ndim) if last else axis for axis in given]
    if bool(scales) == bool(sizes):
        raise ValueError(f"one of scales and sizes is expected, got {scales} and {sizes}")
    found = []
    if sizes and keep_aspect_ratio_policy != "stretch":
        pick = min if keep_aspect_ratio_policy == "not_larger" else max
        factor = pick(Fraction(m, x.shape[i]) for m, i in zip(sizes, places, strict=True))
        sizes = [math.floor(factor * x.shape[i] + HALF) for i in places]
        scales = [float(factor)] * len(places)
    for k, axis in enumerate(places):
        n = x.shape[axis]
        scale = scales[k] if scales else None
        m = sizes[k] if sizes else math.floor(n * scales[k])  # type: ignore[index]
        start, end = (roi[k], roi[k + len(places)]) if roi else (0.0, 1.0)
        cropped = how.coordinates == "tf_crop_and_resize" and (start, end) != (0.0, 1.0)
        if m != n or (scale or 1) != 1 or cropped:
            found.append(Axis(axis, n, m, scale, start, end))
    return found, how, extrapolation_value, last


def _ours(x: Array, axes: list[Axis], how: How, last: bool) -> dict[str, Any] | None:
    """The keywords for `arrayconv.resize`, or None if it cannot do this."""
    spatial = range(1, x.ndim - 1) if last else range(2, x.ndim)
    by_axis = {axis.axis: axis for axis in axes}
    if x.ndim < 3 or not set(by_axis) <= set(spatial) or how.antialias or how.exclude_outside:
        return None
    coordinates = how.coordinates
    if coordinates == "pytorch_half_pixel" and all(axis.m > 1 for axis in axes):
        coordinates = "half_pixel"
    if coordinates not in ("half_pixel", "align_corners", "asymmetric"):
        return None
    rounding = {"round_prefer_floor": "half_down", "round_prefer_ceil": "half_up"}.get(how.rounding)
    if how.mode == "nearest":
        if coordinates == "asymmetric":
            if how.rounding != "floor":
                return None
            rounding = "half_down"
        elif rounding is None:
            return None
    elif how.mode != "linear":
        return None
    chosen = [by_axis.get(i) for i in spatial]
    keywords: dict[str, Any] = {
        "method": how.mode,
        "coordinates": coordinates,
        "rounding": rounding or "half_down",
        "data_format": "channels_last" if last else "channels_first",
    }
    if all(a is None or a.scale is None or a.scale * a.n == a.m for a in chosen):
        sizes = (x.shape[i] if a is None else a.m for i, a in zip(spatial, chosen, strict=True))
        return keywords | {"size": tuple(sizes)}
    if coordinates == "align_corners":
        return None
    if all(a is None or (a.scale is not None and math.floor(a.scale * a.n) == a.m) for a in chosen):
        scales = (1.0 if a is None else a.scale for a in chosen)
        return keywords | {"scale": tuple(scales)}
    return None


def _source(i: int, axis: Axis, coordinates: str) -> Fraction:
    """The coordinate in the input of output cell ``i``."""
    _, n, m, given, start, end = axis
    scale = Fraction(m, n) if given is None else Fraction(given)
    if coordinates == "align_corners":
        # the ONNX standard divides by n * scale - 1, before rounding the length down to m
        return i * (n - 1) / (n * scale - 1) if m > 1 else Fraction(0)
    if coordinates == "asymmetric":
        return i / scale
    if coordinates == "tf_crop_and_resize":
        low, high = Fraction(start), Fraction(end)
        return (
            low * (n - 1) + i * (high - low) * (n - 1) / (m - 1)
            if m > 1
            else (low + high) * (n - 1) / 2
        )
    if coordinates == "pytorch_half_pixel" and m == 1:
        return Fraction(0)
    source = (i + HALF) / scale - HALF
    if coordinates == "half_pixel_symmetric":
        return Fraction(n, 2) * (1 - m / (scale * n)) + source
    if coordinates not in ("half_pixel", "pytorch_half_pixel"):
        raise ValueError(f"coordinate_transformation_mode is unknown: {coordinates!r}")
    return source


@lru_cache(maxsize=64)
def _rows(axis: Axis, how: How) -> tuple[Row, ...]:
    """For each output cell, the input cells that it is computed from, with their weights."""
    scale = float(axis.m / axis.n if axis.scale is None else axis.scale)
    return tuple(
        _row(
            _source(i, axis, how.coordinates),
            axis.n,
            min(scale, 1.0) if how.antialias else 1.0,
            how,
        )
        for i in range(axis.m)
    )


def _row(source: Fraction, n: int, scale: float, how: How) -> Row:
    if how.mode == "nearest":
        return ((min(max(_nearest(source, how.rounding), 0), n - 1), 1.0),)
    if how.mode not in ("linear", "cubic"):
        raise ValueError(f"mode is unknown: {how.mode!r}")
    reach = 1 if how.mode == "linear" else 2
    base = math.floor(source)
    first = math.floor(-reach / scale) + 1
    cells = range(base + first, base + reach - first + 1)
    weights = [_weight(abs(float(cell - source)) * scale, how) for cell in cells]
    if how.exclude_outside:
        weights = [w if 0 <= c < n else 0.0 for c, w in zip(cells, weights, strict=True)]
    total = sum(weights) if how.exclude_outside or how.antialias else 1.0
    row: dict[int, float] = {}
    for cell, weight in zip(cells, weights, strict=True):
        if weight:
            inside = min(max(cell, 0), n - 1)
            row[inside] = row.get(inside, 0.0) + weight / total
    return tuple(row.items())


def _nearest(source: Fraction, rounding: str) -> int:
    if rounding == "round_prefer_floor":
        return math.ceil(source - HALF)
    if rounding == "round_prefer_ceil":
        return math.floor(source + HALF)
    return math.floor(source) if rounding == "floor" else math.ceil(source)


def _weight(distance: float, how: How) -> float:
    """The weight of a cell: linear, or by R. Keys's cubic convolution kernel (IEEE ASSP 29, 1981)."""
    if how.mode == "linear":
        return max(0.0, 1.0 - distance)
    a = how.cubic
    if distance <= 1:
        return ((a + 2) * distance - (a + 3)) * distance**2 + 1
    return ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a if distance < 2 else 0.0


def _matrix(xp: Namespace, rows: tuple[Row, ...], n: int, like: Array) -> Array:
    matrix = np.zeros((len(rows), n))
    for i, row in enumerate(rows):
        for cell, weight in row:
            matrix[i, cell] = weight
    return cast(xp, xp.asarray(matrix, **placement(like)), like.dtype)


def _product(xp: Namespace, x: Array, axis: int, matrix: Array) -> Array:
    """The product of the matrix with ``x`` along ``axis``."""
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    # (A, n, B) -> (A, m, B)
    rows = xp.reshape(x, (math.prod(before), x.shape[axis], math.prod(after)))
    return xp.reshape(xp.matmul(matrix[None, ...], rows), (*before, matrix.shape[0], *after))


def _outside(xp: Namespace, axis: Axis, y: Array) -> Array:
    sources = [_source(i, axis, "tf_crop_and_resize") for i in range(axis.m)]
    mask = np.asarray([not 0 <= source <= axis.n - 1 for source in sources])
    shape = tuple(-1 if i == axis.axis else 1 for i in range(y.ndim))
    return xp.reshape(xp.asarray(mask, **placement(y)), shape)


def upsample(x: Array, scales: Any = None, *, mode: str = "nearest", **more: Any) -> Array:
    return resize(x, None, scales, **_upsampled(mode), **more)


def upsample_vjp(
    dy: Array, x: Array, scales: Any = None, *, mode: str = "nearest", **more: Any
) -> Array:
    return resize_vjp(dy, x, None, scales, **_upsampled(mode), **more)


def _upsampled(mode: str) -> dict[str, str]:
    how = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return how | {"mode": "linear" if mode == "bilinear" else mode}


def _last(attributes: Attributes, ndim: int) -> Attributes:
    return attributes | {"data_format": "channels_last"}


register(
    "Upsample", upsample, upsample_vjp, since=7, until=9, static=("scales",), channels_last=_last
)
register(
    "Resize", upsample, upsample_vjp, since=10, until=10, static=("scales",), channels_last=_last
)
register(
    "Resize",
    resize,
    resize_vjp,
    since=11,
    static=("roi", "scales", "sizes"),
    channels_last=_last,
)

"""Checks of what a layer was given, and the places of channels and spatial axes in a shape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Shape = tuple[int, ...]

_AXES = 63
DATA_FORMATS = ("channels_last", "channels_first")


def checked_count(label: str, argument: str, value: Any, least: int = 1) -> int:
    """An int of at least ``least``, NumPy's included: ``Dense(y.max() + 1)``."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{label}: {argument} must be an int of at least {least}, got {value!r}")
    if value < least:
        raise ValueError(f"{label}: {argument} must be an int of at least {least}, got {value!r}")
    return int(value)


def checked_number(label: str, argument: str, value: Any) -> float:
    """A finite real number, NumPy's included, as a float."""
    real = isinstance(value, int | float | np.integer | np.floating)
    if not real or isinstance(value, bool):
        raise TypeError(f"{label}: {argument} must be a number, got {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{label}: {argument} must be a finite number, got {value!r}")
    return float(value)


def checked_flag(label: str, argument: str, value: Any) -> bool:
    """True or False, NumPy's included: the string ``"no"`` is true to Python."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{label}: {argument} must be True or False, got {value!r}")
    return bool(value)


def checked_format(label: str, value: Any) -> str:
    """One of the two data formats; ``None`` is channels_last."""
    if value is None:
        return "channels_last"
    if value not in DATA_FORMATS:
        raise ValueError(
            f"{label}: data_format must be 'channels_last' or 'channels_first', got {value!r}"
        )
    return str(value)


def tidy(value: Any) -> Any:
    """Lists as tuples, and names in lower case, so that they hash and compare."""
    if isinstance(value, list | tuple):
        return tuple(tidy(item) for item in value)
    return value.lower() if isinstance(value, str) else value


def split(label: str, shape: Shape, data_format: str) -> tuple[Shape, int]:
    """The spatial part of a shape without batch axis, and the channels."""
    if len(shape) < 2:
        order = "(N, *S, C)" if data_format == "channels_last" else "(N, C, *S)"
        shown = ", ".join(["N", *map(str, shape)])
        raise ValueError(
            f"{label}: expects an input with one or more spatial axes and channels, {order}, got ({shown})"
        )
    if data_format == "channels_last":
        return shape[:-1], shape[-1]
    return shape[1:], shape[0]


def join(size: Shape, channels: int, data_format: str) -> Shape:
    """A shape without batch axis from its spatial part and its channels."""
    return (*size, channels) if data_format == "channels_last" else (channels, *size)


def checked_name(label: str, name: Any) -> str:
    """A name that can stand before the ``/`` of a weight's."""
    if not isinstance(name, str) or not name or "/" in name:
        raise ValueError(f"{label}: name must be a string without '/', got {name!r}")
    return name


def checked_shape(label: str, shape: Any) -> Shape:
    """A shape without the batch axis, as a tuple of positive ints; of no more axes than NumPy has."""
    if isinstance(shape, list | tuple) and len(shape) > _AXES:
        raise ValueError(f"{label}: a shape has at most {_AXES} axes, got {len(shape)}")
    if not isinstance(shape, list | tuple) or not all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 1 for n in shape
    ):
        raise ValueError(
            f"{label}: a shape is a tuple of positive ints, without the batch axis, such as (28, 28, 1); got {shape!r}"
        )
    return tuple(int(n) for n in shape)


def checked_axis(label: str, axis: Any, shape: Shape) -> int:
    """``axis``, which counts the batch as 0, as an int from 1 on."""
    ndim = len(shape) + 1
    whole = isinstance(axis, int | np.integer) and not isinstance(axis, bool)
    if not whole or not -ndim < axis < ndim or axis == 0:
        raise ValueError(
            f"{label}: axis must lie in 1..{ndim - 1} or -{ndim - 1}..-1 for an input of shape "
            f"(N, {', '.join(map(str, shape))}), got {axis!r}"
        )
    return int(axis) % ndim

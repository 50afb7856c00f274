"""Padding of the spatial axes."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

from arrayconv.arguments import choice, number, suggesting
from arrayconv.engine import windows
from arrayconv.namespace import (
    Array,
    Namespace,
    accumulator,
    array_namespace,
    cast,
    copied,
    is_floating,
    is_lazy,
    promoted,
    real,
)
from arrayconv.ops.layout import check_gradient, check_layout, from_last, spatial, to_last
from arrayconv.window import Ints, Pairs, extension, known_size, pad_pairs

MODES = ("constant", "edge", "reflect", "symmetric", "wrap")


@suggesting
def pad(
    x: Array,
    padding: Ints | tuple[tuple[int, int], ...],
    *,
    mode: str = "constant",
    value: float = 0,
    data_format: str = "channels_last",
) -> Array:
    """Pad the spatial axes of ``x``.

    Parameters
    ----------
    x : array, shape (N, *S, C), or (N, C, *S) for ``"channels_first"``
        Real floating or integer.
    padding : int, sequence of int, or sequence of (int, int)
        Cells around every spatial axis, before and after each, or ``(before, after)`` for each.
        None is negative.
    mode : {"constant", "edge", "reflect", "symmetric", "wrap"}
        What the new cells hold, as in ``numpy.pad``; padding wider than the axis folds again.
    value : number
        The cells of ``mode="constant"``; an integer where ``x`` is.
    data_format : {"channels_last", "channels_first"}
        Layout of ``x`` and of the result.

    Returns
    -------
    array, shape (N, *out, C) or (N, C, *out)
        ``out = before + n + after`` along each axis, in the dtype of ``x``.

    Raises
    ------
    TypeError
        A boolean or complex ``x``; widths that are not integer; a ``value`` that is no real number,
        or fractional for integers.
    ValueError
        Negative widths, an unknown mode or format, an empty axis to copy from, or a ``value`` beyond
        the range of the dtype.

    See Also
    --------
    pad_vjp : Its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 2.0, 3.0]).reshape(1, 3, 1)
    >>> ac.pad(x, 2)[0, :, 0]
    array([0., 0., 1., 2., 3., 0., 0.])
    >>> ac.pad(x, [(2, 1)], mode="reflect")[0, :, 0]
    array([3., 2., 1., 2., 3., 2.])
    """
    xp = array_namespace("pad", x=x)
    real("pad", xp, x=x)
    widths = _check("pad", x, padding, mode, data_format)
    fill = _fill("pad", xp, x, value)
    y = to_last(xp, x, data_format)
    if all(width == (0, 0) for width in widths):
        return copied(xp, x)
    if mode == "constant":
        y = windows.pad(xp, y, widths, lead=1, mutable=not is_lazy(x), value=fill)
        return from_last(xp, y, data_format)
    for axis, (before, after) in enumerate(widths, start=1):
        pieces = []
        for run in extension(y.shape[axis], before, after, mode):
            piece = y[_at(axis, run.source)]
            if run.step == 0:
                piece = xp.concat([piece] * (run.target.stop - run.target.start), axis=axis)
            pieces.append(xp.flip(piece, axis=axis) if run.step < 0 else piece)
        y = xp.concat(pieces, axis=axis) if len(pieces) > 1 else y
    return from_last(xp, y, data_format)


@suggesting
def pad_vjp(
    dy: Array,
    x: Array,
    padding: Ints | tuple[tuple[int, int], ...],
    *,
    mode: str = "constant",
    value: float = 0,
    data_format: str = "channels_last",
) -> Array | None:
    r"""The gradient of ``pad``: for every cell of ``x``, the sum over its copies.

    .. math::

        dx_i = \sum_{c(j) = i} dy_j

    ``c(j)`` is the cell of ``x`` that the padded cell ``j`` copies; the cells of
    ``mode="constant"`` copy none.

    Parameters
    ----------
    dy : array, shape (N, *out, C) or (N, C, *out)
        Upstream gradient, of the shape of ``pad``'s result.
    x, padding, mode, value, data_format
        As for ``pad``.

    Returns
    -------
    array or None
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``; ``None`` for an integer
        ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``pad``; and for a ``dy`` that has not the shape of the result.

    See Also
    --------
    pad : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 2.0, 3.0]).reshape(1, 3, 1)
    >>> ac.pad(x, [(2, 1)], mode="reflect")[0, :, 0]
    array([3., 2., 1., 2., 3., 2.])
    >>> dy = np.asarray([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).reshape(1, 6, 1)
    >>> ac.pad_vjp(dy, x, [(2, 1)], mode="reflect")[0, :, 0]
    array([ 3., 12.,  6.])
    """
    xp = array_namespace("pad_vjp", dy=dy, x=x)
    real("pad_vjp", xp, x=x)
    widths = _check("pad_vjp", x, padding, mode, data_format)
    _fill("pad_vjp", xp, x, value)
    if not is_floating(xp, x.dtype):
        return None
    dy, x = promoted("pad_vjp", xp, dy=dy, x=x)
    dtype = dy.dtype
    size = spatial(x.shape, data_format)
    full = tuple(n + before + after for n, (before, after) in zip(size, widths, strict=True))
    last = data_format == "channels_last"
    shape = (x.shape[0], *full, x.shape[-1]) if last else (*x.shape[:2], *full)
    check_gradient("pad_vjp", dy, shape)
    dx = to_last(xp, dy, data_format)
    if mode == "constant" or all(width == (0, 0) for width in widths):
        return from_last(xp, copied(xp, windows.crop(dx, widths, lead=1)), data_format)
    dx = cast(xp, dx, accumulator(xp, dtype))
    for axis in range(len(size), 0, -1):
        dx = _folded(xp, dx, size[axis - 1], widths[axis - 1], mode, axis)
    return from_last(xp, cast(xp, dx, dtype), data_format)


def _folded(
    xp: Namespace, dy: Array, n: int, width: tuple[int, int], mode: str, axis: int
) -> Array:
    before, after = width
    if before == after == 0:
        return dy
    mutable = not is_lazy(dy)
    dx = dy[_at(axis, slice(before, before + n))]
    if mutable:
        dx = copied(xp, dx)
    for run in extension(n, before, after, mode):
        if run.target.start == before:
            continue
        part = dy[_at(axis, run.target)]
        if run.step == 0:
            part = xp.sum(part, axis=axis, keepdims=True)
        elif run.step < 0:
            part = xp.flip(part, axis=axis)
        if mutable:
            dx[_at(axis, run.source)] += part
        else:
            outside = (run.source.start, n - run.source.stop)
            spread = tuple(outside if a == axis else (0, 0) for a in range(1, dy.ndim - 1))
            dx = dx + windows.pad(xp, part, spread, lead=1, mutable=False)
    return dx


def _at(axis: int, part: slice) -> tuple[object, ...]:
    return (*(slice(None),) * axis, part, ...)


def _check(op: str, x: Array, padding: object, mode: str, data_format: str) -> Pairs:
    check_layout(op, x.shape, data_format)
    choice(op, "mode", mode, MODES)
    size = known_size(op, spatial(x.shape, data_format))
    pairs = pad_pairs(op, padding, len(size))
    widths = () if isinstance(pairs, str) else pairs
    for axis, (n, width) in enumerate(zip(size, widths, strict=True)):
        if n == 0 and mode != "constant" and width != (0, 0):
            raise ValueError(
                f"{op}: mode {mode!r} has nothing to copy: spatial axis {axis} is empty"
            )
    return widths


def _fill(op: str, xp: Namespace, x: Array, value: Any) -> float:
    """``value`` as a number that the dtype of ``x`` holds: what does not fit, a library cuts off or wraps."""
    if type(value) is int and value == 0:
        return value
    floating = is_floating(xp, x.dtype)
    fill: float
    if isinstance(value, Integral) and not isinstance(value, bool) and not floating:
        fill = int(value)
    else:
        fill = number(op, "value", value)
        if not floating and not fill.is_integer():
            raise TypeError(
                f"{op}: value must be an integer for x of dtype {x.dtype}, got {value!r}"
            )
    info, kind = (xp.finfo(x.dtype), float) if floating else (xp.iinfo(x.dtype), int)
    low, high = kind(info.min), kind(info.max)
    if (fill < low or fill > high) and not (floating and math.isinf(fill)):
        raise ValueError(
            f"{op}: value must lie in what {x.dtype} holds, {low} to {high}, got {value!r}"
        )
    return kind(fill)

"""Nearest and linear interpolation, one axis after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from arrayconv.arguments import choice, number, suggesting
from arrayconv.engine.blockwise import blockwise
from arrayconv.engine.windows import merge_axes, split_axis
from arrayconv.namespace import (
    Array,
    Namespace,
    accumulator,
    cast,
    constant_pad,
    copied,
    floating,
    placement,
    traits,
)
from arrayconv.ops.layout import check_gradient, check_layout, spatial
from arrayconv.ops.resize.sources import Axis, Tap, plan_axis
from arrayconv.window import Ints, known_size, per_axis

METHODS = ("nearest", "linear")
COORDINATES = ("half_pixel", "align_corners", "asymmetric")
ROUNDINGS = ("half_up", "half_down")


@suggesting
def resize(
    x: Array,
    *,
    size: Ints | None = None,
    scale: float | Sequence[float] | None = None,
    method: str = "nearest",
    coordinates: str = "half_pixel",
    rounding: str = "half_up",
    data_format: str = "channels_last",
) -> Array:
    r"""An image on a finer or coarser grid, by its nearest cells or by linear interpolation.

    Along an axis, ``n`` cells become ``m``. Output cell ``i`` reads the input at the place

    .. math::

        \text{half_pixel:} \quad & \frac{i + 1/2}{s} - \frac12

        \text{asymmetric:} \quad & \frac{i}{s}

        \text{align_corners:} \quad & i \, \frac{n - 1}{m - 1}

    or at the nearest one inside the input. ``s`` is ``scale``, or ``m / n`` where ``size`` is given.
    An image that is made smaller is not smoothed first.

    Parameters
    ----------
    x : array, shape (N, *S, C), or (N, C, *S) for ``"channels_first"``
        Real floating.
    size : int or sequence of int, optional
        Cells per spatial axis of the result.
    scale : number or sequence of numbers, optional
        Factor per spatial axis. One of ``size`` and ``scale`` is given.
    method : {"nearest", "linear"}
        The value of the nearest cell, or a weighted mean of the two neighbours along each axis.
    coordinates : {"half_pixel", "align_corners", "asymmetric"}
        Where an output cell reads the input, as above.
    rounding : {"half_up", "half_down"}
        Which cell is the nearest to a place half-way between two: the later or the earlier one. Under
        ``"asymmetric"`` coordinates a place belongs to the cell before it, wherever it is between two.
    data_format : {"channels_last", "channels_first"}
        Layout of ``x`` and of the result.

    Returns
    -------
    array, shape (N, *out, C) or (N, C, *out)
        ``out`` is ``size``, or ``n * scale`` rounded down along each axis; the dtype of ``x``, accumulated
        in at least float32.

    Raises
    ------
    TypeError
        An ``x`` that is not real floating, a ``size`` that is not integer, a ``scale`` that is no
        number.
    ValueError
        Both or neither of ``size`` and ``scale``, one that is not positive or gives no cell, an
        empty spatial axis, an unknown name.

    See Also
    --------
    resize_vjp : Its gradient.

    Notes
    -----
    PyTorch's ``nearest`` is ``coordinates="asymmetric"``, its ``nearest-exact``, ``jax.image`` and
    Keras the default; ONNX rounds ``"half_down"`` by default, and the coordinates have its names
    (ONNX operator ``Resize``). Where an explicit scale such as 2.3 makes exactly 6 cells of 3,
    PyTorch's ``nearest`` of images (not of sequences) doubles every cell instead.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 3.0]).reshape(1, 2, 1)
    >>> ac.resize(x, scale=2)[0, :, 0]
    array([1., 1., 3., 3.])
    >>> ac.resize(x, size=4, method="linear")[0, :, 0]
    array([1. , 1.5, 2.5, 3. ])
    """
    xp, x = floating("resize", x=x)
    axes = _plan("resize", x, size, scale, method, coordinates, rounding, data_format)
    first = 1 if data_format == "channels_last" else 2

    def forward(x: Array) -> Array:
        y = x if method == "nearest" else cast(xp, x, accumulator(xp, x.dtype))
        # what shrinks goes first, so that the others have less to do
        for at in sorted(range(len(axes)), key=lambda i: axes[i].m / axes[i].n):
            if axes[at].copies is None:
                y = _sum_of_taps(xp, y, first + at, axes[at].taps)
        y = _copied(xp, y, first, axes)
        return cast(xp, y, x.dtype)

    if all(axis.copies is not None for axis in axes):
        # a copy alone is as fast as memory
        return forward(x)
    return blockwise(xp, forward, x, whole=range(first, first + len(axes)))


@suggesting
def resize_vjp(
    dy: Array,
    x: Array,
    *,
    size: Ints | None = None,
    scale: float | Sequence[float] | None = None,
    method: str = "nearest",
    coordinates: str = "half_pixel",
    rounding: str = "half_up",
    data_format: str = "channels_last",
) -> Array:
    r"""The gradient of ``resize``, which is linear: its adjoint.

    .. math::

        dx_i = \sum_j a_{j,i} \, dy_j

    The sum runs over the output cells ``j`` that read the input cell ``i``, and ``a[j, i]`` is the
    weight with which they do: 1 for the nearest cell, and what linear interpolation gives it.

    Parameters
    ----------
    dy : array, shape (N, *out, C) or (N, C, *out)
        Upstream gradient, of the shape of ``resize``'s result.
    x, size, scale, method, coordinates, rounding, data_format
        As for ``resize``.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``, accumulated in at least
        float32.

    Raises
    ------
    TypeError, ValueError
        As ``resize``; and for a ``dy`` that has not the shape of the result.

    See Also
    --------
    resize : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x, dy = np.zeros((1, 2, 1)), np.asarray([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1)
    >>> ac.resize_vjp(dy, x, scale=2)[0, :, 0]
    array([3., 7.])
    >>> ac.resize_vjp(dy, x, scale=2, method="linear")[0, :, 0]
    array([3.25, 6.75])
    """
    op = "resize_vjp"
    xp, dy, x = floating(op, dy=dy, x=x)
    axes = _plan(op, x, size, scale, method, coordinates, rounding, data_format)
    first = 1 if data_format == "channels_last" else 2
    ends = (x.shape[:first], x.shape[first + len(axes) :])
    check_gradient(op, dy, (*ends[0], *(axis.m for axis in axes), *ends[1]))

    def backward(dy: Array) -> Array:
        g = _copied_vjp(xp, cast(xp, dy, accumulator(xp, dy.dtype)), first, axes)
        for at in sorted(range(len(axes)), key=lambda i: axes[i].n / axes[i].m):
            if axes[at].copies is None:
                g = _sum_of_taps(xp, g, first + at, axes[at].back)
        return cast(xp, g, x.dtype)

    return blockwise(xp, backward, dy, whole=range(first, first + len(axes)))


def _plan(
    op: str,
    x: Array,
    size: Any,
    scale: Any,
    method: str,
    coordinates: str,
    rounding: str,
    data_format: str,
) -> tuple[Axis, ...]:
    check_layout(op, x.shape, data_format)
    for name, value, choices in (
        ("method", method, METHODS),
        ("coordinates", coordinates, COORDINATES),
        ("rounding", rounding, ROUNDINGS),
    ):
        choice(op, name, value, choices)
    if (size is None) == (scale is None):
        raise ValueError(
            f"{op}: one of size and scale is expected, got size={size!r}, scale={scale!r}"
        )
    cells = known_size(op, spatial(x.shape, data_format))
    if 0 in cells:
        raise ValueError(f"{op}: x has an empty spatial axis: {cells}")
    if scale is None:
        sizes = per_axis(op, "size", size, len(cells))
        return tuple(
            plan_axis(n, m, None, method, coordinates, rounding)
            for n, m in zip(cells, sizes, strict=True)
        )
    factors = _factors(op, scale, len(cells))
    sizes = tuple(math.floor(n * s) for n, s in zip(cells, factors, strict=True))
    for axis, (n, s, m) in enumerate(zip(cells, factors, sizes, strict=True)):
        if m < 1:
            raise ValueError(
                f"{op}: scale leaves no cell of spatial axis {axis}: floor({n} * {s}) is {m}"
            )
    return tuple(
        plan_axis(n, m, s, method, coordinates, rounding)
        for n, m, s in zip(cells, sizes, factors, strict=True)
    )


def _factors(op: str, scale: Any, ndim: int) -> tuple[float, ...]:
    given = tuple(scale) if isinstance(scale, tuple | list) else (scale,) * ndim
    if len(given) != ndim:
        raise ValueError(
            f"{op}: scale expects a number or {ndim} numbers, one per spatial axis, got {scale!r}"
        )
    return tuple(number(op, "scale", s, above=0, below=math.inf) for s in given)


def _sum_of_taps(xp: Namespace, x: Array, axis: int, taps: Sequence[Tap]) -> Array:
    """The sum over the taps of the cells they take along ``axis``, times their weights."""
    n = x.shape[axis]
    if any(cell == n for tap in taps for cell in tap.cells):
        x = constant_pad(xp, x, tuple((0, int(a == axis)) for a in range(x.ndim)), 0)
    shape = tuple(-1 if a == axis else 1 for a in range(x.ndim))
    y = None
    for cells, weights in taps:
        if len(cells) == 1:
            # Dask takes a single cell in a wrong shape, and a slice alone would be a view
            part = copied(xp, x[(*(slice(None),) * axis, slice(cells[0], cells[0] + 1), ...)])
        else:
            part = xp.take(x, xp.asarray(cells, **placement(x)), axis=axis)
        if weights is not None:
            part *= xp.reshape(xp.asarray(weights, dtype=x.dtype, **placement(x)), shape)
        if y is None:
            y = part
        else:
            y += part
    return y


def _copied(xp: Namespace, x: Array, first: int, axes: Sequence[Axis]) -> Array:
    """``x`` with each cell repeated along each axis as often as that axis has ``copies``, in one copy."""
    if all(axis.copies in (None, 1) for axis in axes):
        # an axis without copies was summed, into a new array
        return x if any(axis.copies is None for axis in axes) else copied(xp, x)
    wide = list(x.shape[:first])
    for axis in axes:
        wide += [axis.m, 1] if axis.copies is None else [axis.n, axis.copies]
    wide += x.shape[first + len(axes) :]
    for i in range(len(axes)):
        x = xp.expand_dims(x, axis=first + 2 * i + 1)
    if traits(xp, x).mutable:
        # a reshape of what is broadcast may be a view of the caller's array
        y = xp.empty(tuple(wide), dtype=x.dtype, **placement(x))
        y[...] = x
    else:
        y = xp.broadcast_to(x, tuple(wide))
    for i in range(len(axes)):
        y = merge_axes(xp, y, first + i)
    return y


def _copied_vjp(xp: Namespace, g: Array, first: int, axes: Sequence[Axis]) -> Array:
    for i, axis in enumerate(axes):
        copies = axis.copies or 1
        g = split_axis(xp, g, first + 2 * i, (axis.m // copies, copies))
    return xp.sum(g, axis=tuple(first + 2 * i + 1 for i in range(len(axes))))

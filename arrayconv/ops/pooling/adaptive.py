"""Adaptive pooling: as many bins as asked for, whatever the size of the input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise

from arrayconv.arguments import choice, suggesting
from arrayconv.namespace import (
    Array,
    Namespace,
    accumulator,
    array_namespace,
    cast,
    copied,
    floating,
    is_floating,
    placement,
    promoted,
    real,
)
from arrayconv.ops.layout import check_gradient, check_layout, from_last, spatial, to_last
from arrayconv.ops.pooling.maximum import TIES, window_maximum_vjp
from arrayconv.window import Ints, Window, bins, known_size, per_axis

Ranges = tuple[tuple[int, int], ...]


@suggesting
def adaptive_max_pool(x: Array, output_size: Ints, *, data_format: str = "channels_last") -> Array:
    r"""The largest cell of each of ``output_size`` bins along every spatial axis.

    Parameters
    ----------
    x : array, shape (N, *S, C), or (N, C, *S) for ``"channels_first"``
        Real floating or integer.
    output_size : int or sequence of int
        Bins per spatial axis, at least 1. As in PyTorch, bin ``i`` of ``o`` over ``n`` cells begins
        at cell :math:`\lfloor i \, n / o \rfloor` and ends before
        :math:`\lceil (i + 1) \, n / o \rceil`, so that neighbouring bins may share a cell.
    data_format : {"channels_last", "channels_first"}
        Layout of ``x`` and of the result.

    Returns
    -------
    array, shape (N, *output_size, C) or (N, C, *output_size)
        In the dtype of ``x``. NaN wins.

    Raises
    ------
    TypeError
        A boolean or complex ``x``, or a size that is not integer.
    ValueError
        An empty spatial axis, or an unknown format.

    See Also
    --------
    adaptive_max_pool_vjp : Its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 5.0, 4.0, 2.0, 3.0]).reshape(1, 5, 1)
    >>> ac.adaptive_max_pool(x, 2)[0, :, 0]
    array([5., 4.])
    """
    xp = array_namespace("adaptive_max_pool", x=x)
    real("adaptive_max_pool", xp, x=x)
    sizes = _check("adaptive_max_pool", x, output_size, data_format)
    y = to_last(xp, x, data_format)
    for axis, (n, o) in enumerate(sizes, start=1):
        y = _over_ranges(xp, y, _bins(n, o), axis, xp.maximum)
    if all(n == o for n, o in sizes):
        # bins of one cell are a view of the caller's array
        y = copied(xp, y)
    return from_last(xp, y, data_format)


@suggesting
def adaptive_max_pool_vjp(
    dy: Array,
    x: Array,
    output_size: Ints,
    *,
    data_format: str = "channels_last",
    ties: str = "first",
    y: Array | None = None,
) -> Array | None:
    r"""The gradient of ``adaptive_max_pool``: that of a bin goes to the cell that won it.

    .. math::

        dx_i = \sum_{o:\; i \text{ wins } o} dy_o

    The sum runs over the bins ``o`` whose maximum is the cell ``i``; ``ties`` says which cell that
    is where several are equal. A NaN wins, and takes the gradient.

    Parameters
    ----------
    dy : array, shape (N, *output_size, C) or (N, C, *output_size)
        Upstream gradient.
    x, output_size, data_format
        As for ``adaptive_max_pool``.
    ties : {"first", "split", "all"}
        The gradient goes to the first of equal maxima in C order, is shared equally among them, or
        goes to each in full (as in the course).
    y : array, optional
        The result of ``adaptive_max_pool``, if it is at hand.

    Returns
    -------
    array or None
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``; ``None`` for an integer
        ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``adaptive_max_pool``; and for an unknown tie rule, and a ``dy`` or ``y`` that has not
        the shape of the result.

    See Also
    --------
    adaptive_max_pool : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 5.0, 4.0, 2.0, 3.0]).reshape(1, 5, 1)
    >>> dy = np.asarray([10.0, 20.0]).reshape(1, 2, 1)
    >>> ac.adaptive_max_pool_vjp(dy, x, 2)[0, :, 0]
    array([ 0., 10., 20.,  0.,  0.])
    """
    op = "adaptive_max_pool_vjp"
    xp = array_namespace(op, dy=dy, x=x, y=y)
    choice(op, "ties", ties, TIES)
    if not is_floating(xp, x.dtype):
        real(op, xp, x=x)
        return None
    dy, x, y = promoted(op, xp, dy=dy, x=x, y=y)
    sizes = _check(op, x, output_size, data_format)
    if y is None:
        y = adaptive_max_pool(x, output_size, data_format=data_format)
    x, dy, y = (to_last(xp, a, data_format) for a in (x, dy, y))
    output = tuple(o for _, o in sizes)
    shape = (x.shape[0], *output, x.shape[-1])
    check_gradient(op, dy, shape)
    check_gradient(op, y, shape, name="y")
    # give every bin cells of its own, so that the bins become windows that do not overlap
    valid = None
    widths = []
    spread = x
    for axis, (n, o) in enumerate(sizes, start=1):
        ranges = _bins(n, o)
        width = max(stop - start for start, stop in ranges)
        widths.append(width)
        cells = [min(start + j, stop - 1) for start, stop in ranges for j in range(width)]
        spread = _take(xp, spread, cells, axis)
        real_cells = [start + j < stop for start, stop in ranges for j in range(width)]
        along = _along(xp, real_cells, axis, x)
        valid = along if valid is None else valid & along
    kernel, ones = tuple(widths), (1,) * len(widths)
    window = Window(
        tuple(o * width for o, width in zip(output, widths, strict=True)),
        kernel,
        kernel,
        ones,
        ((0, 0),) * len(widths),
        output,
    )
    dx = window_maximum_vjp(
        xp, cast(xp, dy, accumulator(xp, dy.dtype)), y, spread, window, ties, valid
    )
    for axis, (n, o) in enumerate(sizes, start=1):
        dx = _gather_sum(xp, dx, _copies(n, o), axis)
    return from_last(xp, cast(xp, dx, dy.dtype), data_format)


@suggesting
def adaptive_avg_pool(x: Array, output_size: Ints, *, data_format: str = "channels_last") -> Array:
    """The mean of each of ``output_size`` bins along every spatial axis.

    Parameters
    ----------
    x : array, shape (N, *S, C), or (N, C, *S) for ``"channels_first"``
        Real floating.
    output_size : int or sequence of int
        Bins per spatial axis, at least 1; the bins are those of ``adaptive_max_pool``.
    data_format : {"channels_last", "channels_first"}
        Layout of ``x`` and of the result.

    Returns
    -------
    array, shape (N, *output_size, C) or (N, C, *output_size)
        In the dtype of ``x``, accumulated in at least float32.

    Raises
    ------
    TypeError
        An ``x`` that is not real floating, or a size that is not integer.
    ValueError
        An empty spatial axis, or an unknown format.

    See Also
    --------
    adaptive_avg_pool_vjp : Its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 5.0, 4.0, 2.0, 3.0]).reshape(1, 5, 1)
    >>> ac.adaptive_avg_pool(x, 2)[0, :, 0]
    array([3.33333333, 3.        ])
    """
    xp, x = floating("adaptive_avg_pool", x=x)
    sizes = _check("adaptive_avg_pool", x, output_size, data_format)
    y = cast(xp, to_last(xp, x, data_format), accumulator(xp, x.dtype))
    for axis, (n, o) in enumerate(sizes, start=1):
        ranges = _bins(n, o)
        y = _gather_sum(xp, y, tuple(tuple(range(*r)) for r in ranges), axis)
        y = y / _along(xp, [float(stop - start) for start, stop in ranges], axis, y, y.dtype)
    return from_last(xp, cast(xp, y, x.dtype), data_format)


@suggesting
def adaptive_avg_pool_vjp(
    dy: Array, x: Array, output_size: Ints, *, data_format: str = "channels_last"
) -> Array:
    r"""The gradient of ``adaptive_avg_pool``: every cell takes its share of the bins it is in.

    .. math::

        dx_i = \sum_{o \ni i} \frac{dy_o}{m_o}

    The sum runs over the bins ``o`` that contain the cell ``i``, and ``m`` is the number of cells
    of a bin.

    Parameters
    ----------
    dy : array, shape (N, *output_size, C) or (N, C, *output_size)
        Upstream gradient.
    x, output_size, data_format
        As for ``adaptive_avg_pool``.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``, accumulated in at least
        float32.

    Raises
    ------
    TypeError, ValueError
        As ``adaptive_avg_pool``; and for a ``dy`` that has not the shape of the result.

    See Also
    --------
    adaptive_avg_pool : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> dy = np.asarray([3.0, 6.0]).reshape(1, 2, 1)
    >>> ac.adaptive_avg_pool_vjp(dy, np.zeros((1, 5, 1)), 2)[0, :, 0]
    array([1., 1., 3., 2., 2.])
    """
    op = "adaptive_avg_pool_vjp"
    xp, dy, x = floating(op, dy=dy, x=x)
    sizes = _check(op, x, output_size, data_format)
    channels = x.shape[-1] if data_format == "channels_last" else x.shape[1]
    g = to_last(xp, dy, data_format)
    check_gradient(op, g, (x.shape[0], *(o for _, o in sizes), channels))
    g = cast(xp, g, accumulator(xp, dy.dtype))
    for axis, (n, o) in enumerate(sizes, start=1):
        ranges = _bins(n, o)
        g = g / _along(xp, [float(stop - start) for start, stop in ranges], axis, g, g.dtype)
        g = _gather_sum(xp, g, _transposed(tuple(tuple(range(*r)) for r in ranges), n), axis)
    return from_last(xp, cast(xp, g, dy.dtype), data_format)


def _check(op: str, x: Array, output_size: Ints, data_format: str) -> list[tuple[int, int]]:
    check_layout(op, x.shape, data_format)
    size = known_size(op, spatial(x.shape, data_format))
    if 0 in size:
        raise ValueError(f"{op}: x has an empty spatial axis: {size}")
    return list(zip(size, per_axis(op, "output_size", output_size, len(size)), strict=True))


@lru_cache(maxsize=1024)
def _bins(n: int, o: int) -> Ranges:
    return tuple(bins(n, o))


@lru_cache(maxsize=1024)
def _copies(n: int, o: int) -> tuple[tuple[int, ...], ...]:
    """For each cell, where its copies lie when every bin has cells of its own."""
    ranges = _bins(n, o)
    width = max(stop - start for start, stop in ranges)
    places: list[list[int]] = [[] for _ in range(n)]
    for i, (start, stop) in enumerate(ranges):
        for j, cell in enumerate(range(start, stop)):
            places[cell].append(i * width + j)
    return tuple(map(tuple, places))


def _transposed(lists: Sequence[Sequence[int]], n: int) -> tuple[tuple[int, ...], ...]:
    """For each of ``n`` sources, the lists it is in."""
    result: list[list[int]] = [[] for _ in range(n)]
    for i, sources in enumerate(lists):
        for source in sources:
            result[source].append(i)
    return tuple(map(tuple, result))


def _over_ranges(
    xp: Namespace, x: Array, ranges: Ranges, axis: int, combine: Callable[[Array, Array], Array]
) -> Array:
    # a bin shorter than the longest reads its last cell again, which an idempotent reduction does not mind
    y = None
    for j in range(max(stop - start for start, stop in ranges)):
        cells = [min(start + j, stop - 1) for start, stop in ranges]
        view = _take(xp, x, cells, axis)
        y = view if y is None else combine(y, view)
    return y


def _gather_sum(xp: Namespace, x: Array, lists: Sequence[Sequence[int]], axis: int) -> Array:
    """Along ``axis``, element ``i`` of the result is the sum of the elements ``lists[i]`` of ``x``."""
    total = None
    zero = xp.zeros((), dtype=x.dtype, **placement(x))
    for j in range(max(map(len, lists))):
        cells = [entries[j] if j < len(entries) else 0 for entries in lists]
        part = _take(xp, x, cells, axis)
        present = [j < len(entries) for entries in lists]
        if not all(present):
            part = xp.where(_along(xp, present, axis, x), part, zero)
        total = part if total is None else total + part
    return total


def _take(xp: Namespace, x: Array, cells: Sequence[int], axis: int) -> Array:
    """The ``cells`` of ``x`` along ``axis``: a slice where they are evenly spaced, as in bins that divide the input."""
    step = cells[1] - cells[0] if len(cells) > 1 else 1
    if step > 0 and all(b - a == step for a, b in pairwise(cells)):
        return x[(*(slice(None),) * axis, slice(cells[0], cells[-1] + 1, step), ...)]
    return xp.take(x, xp.asarray(cells, **placement(x)), axis=axis)


def _along(
    xp: Namespace, values: Sequence[object], axis: int, like: Array, dtype: object = None
) -> Array:
    shape = tuple(len(values) if a == axis else 1 for a in range(like.ndim))
    return xp.reshape(xp.asarray(values, dtype=dtype, **placement(like)), shape)

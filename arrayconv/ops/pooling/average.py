"""Average pooling over windows."""

from __future__ import annotations

import math
import operator
from typing import TypeAlias

from arrayconv.arguments import flag, suggesting
from arrayconv.engine import chunks, windows
from arrayconv.engine.blocks import Block
from arrayconv.namespace import (
    Array,
    DType,
    Namespace,
    accumulator,
    cast,
    floating,
    is_lazy,
    placement,
)
from arrayconv.ops.layout import check_gradient, from_last, to_last
from arrayconv.ops.pooling.blocks import pooled, unpooled
from arrayconv.ops.pooling.maximum import check_pool
from arrayconv.window import Ints, Padding, Window, counts


@suggesting
def avg_pool(
    x: Array,
    window: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    data_format: str = "channels_last",
) -> Array:
    r"""The mean of every window, channel by channel.

    Parameters
    ----------
    x : array, shape (N, *S, C), or (N, C, *S) for ``"channels_first"``
        Real floating.
    window : int or sequence of int
        Cells per spatial axis.
    stride : int or sequence of int, optional
        Step between windows; the window itself if ``None``.
    padding : int, sequence of int, sequence of (int, int), or str
        Zeros around the input, narrower than the window; or a name, as for ``conv``.
    dilation : int or sequence of int
        Step between the cells of one window.
    ceil_mode : bool
        Keep a last window that hangs over the end, unless it would start in the padding there.
    count_include_pad : bool
        Divide by the cells inside the padded input, and not only by those inside the input. Cells
        that ``ceil_mode`` added never count.
    data_format : {"channels_last", "channels_first"}
        Layout of ``x`` and of the result.

    Returns
    -------
    array, shape (N, *out, C) or (N, C, *out)
        In the dtype of ``x``, accumulated in at least float32. Along each axis of ``n`` cells, for
        a window of ``k``, the dilation ``d`` and the stride ``s``,

        .. math::

            out = \left\lfloor \frac{n + before + after - d \, (k - 1) - 1}{s} \right\rfloor + 1

        rounded up in ``ceil_mode``.

    Raises
    ------
    TypeError
        An ``x`` that is not real floating, or geometry that is not integer.
    ValueError
        A window larger than the padded input, padding as wide as the window, or an unknown format.

    See Also
    --------
    avg_pool_vjp : Its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 3.0, 2.0, 4.0]).reshape(1, 4, 1)
    >>> ac.avg_pool(x, 2)[0, :, 0]
    array([2., 3.])
    >>> ac.avg_pool(x, 2, padding=1, count_include_pad=True)[0, :, 0]
    array([0.5, 2.5, 2. ])
    """
    xp, x = floating("avg_pool", x=x)
    geometry = check_pool(
        "avg_pool", tuple(x.shape), window, stride, padding, dilation, ceil_mode, data_format
    )
    flag("avg_pool", "count_include_pad", count_include_pad)
    last = to_last(xp, x, data_format)
    divisors = _divisors(geometry, count_include_pad)
    if chunks.serves(geometry, last):
        at = chunks.layout(geometry, last)
        y = chunks.gathered(_means, last, at, last.chunks[-1], x.dtype, by_output=divisors)
    else:
        y = _means(xp, last, geometry, divisors)
    return from_last(xp, y, data_format)


@suggesting
def avg_pool_vjp(
    dy: Array,
    x: Array,
    window: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    count_include_pad: bool = False,
    data_format: str = "channels_last",
) -> Array:
    r"""The gradient of ``avg_pool``: every cell takes its share of the windows it is in.

    .. math::

        dx_i = \sum_{o \ni i} \frac{dy_o}{m_o}

    The sum runs over the windows ``o`` that contain the cell ``i``, and ``m`` is the number of
    cells that the mean of a window was taken over.

    Parameters
    ----------
    dy : array, shape (N, *out, C) or (N, C, *out)
        Upstream gradient, of the shape of ``avg_pool``'s result.
    x, window, stride, padding, dilation, ceil_mode, count_include_pad, data_format
        As for ``avg_pool``.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``, accumulated in at least
        float32.

    Raises
    ------
    TypeError, ValueError
        As ``avg_pool``; and for a ``dy`` that has not the shape of the result.

    See Also
    --------
    avg_pool : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> dy = np.asarray([10.0, 20.0]).reshape(1, 2, 1)
    >>> ac.avg_pool_vjp(dy, np.zeros((1, 4, 1)), 2)[0, :, 0]
    array([ 5.,  5., 10., 10.])
    """
    op = "avg_pool_vjp"
    xp, dy, x = floating(op, dy=dy, x=x)
    geometry = check_pool(
        op, tuple(x.shape), window, stride, padding, dilation, ceil_mode, data_format
    )
    flag(op, "count_include_pad", count_include_pad)
    channels = x.shape[-1] if data_format == "channels_last" else x.shape[1]
    g = to_last(xp, dy, data_format)
    check_gradient(op, g, (x.shape[0], *geometry.output, channels))
    divisors = _divisors(geometry, count_include_pad)
    if chunks.serves(geometry, g):
        last = to_last(xp, x, data_format)
        g = g.rechunk({0: last.chunks[0], g.ndim - 1: last.chunks[-1]})
        at = chunks.layout(geometry, last)
        dx = chunks.spread(_shares, (g,), at, g.chunks[-1], g.dtype, by_output=divisors)
    else:
        dx = _shares(xp, g, geometry, divisors)
    return from_last(xp, dx, data_format)


def _means(xp: Namespace, x: Array, window: Window, by_output: _Divisors) -> Array:
    wide = accumulator(xp, x.dtype)
    divisor = _divisor(xp, x, wide, by_output)

    def mean(block: Block) -> Array:
        part = cast(xp, x[block.images, block.cells, ...], wide)
        total = windows.reduce_windows(xp, part, block.window, operator.add, 0)
        return cast(xp, total / _rows(divisor, block), x.dtype)

    return pooled(xp, x, window, mean)


def _shares(xp: Namespace, dy: Array, window: Window, by_output: _Divisors) -> Array:
    g = cast(xp, dy, accumulator(xp, dy.dtype))
    divisor = _divisor(xp, g, g.dtype, by_output)

    def spread(block: Block, into: Array | None) -> Array:
        part = g[block.images, block.rows, ...] / _rows(divisor, block)
        for i, along in enumerate(reversed(block.window.axes), start=1):
            last = i == len(block.window.axes)
            part = windows.overlap_add(
                xp,
                [part] * along.cells,
                along,
                lead=1,
                mutable=not is_lazy(g),
                into=into if last else None,
                alone=block.window.disjoint,
            )
        return part

    return cast(xp, unpooled(xp, g, window, spread), dy.dtype)


# The cells along each axis that each output is the mean of.
_Divisors: TypeAlias = tuple[tuple[int, ...], ...]


def _divisors(window: Window, include_pad: bool) -> _Divisors:
    axes = range(len(window.size))
    return tuple(tuple(counts(window, axis, include_pad=include_pad)) for axis in axes)


def _divisor(xp: Namespace, like: Array, dtype: DType, per_axis: _Divisors) -> Array | float:
    """Cells to divide each window's sum by: a number where all are equal, else ``(1, *out, 1)``."""
    ndim = len(per_axis)
    if all(len(set(values)) == 1 for values in per_axis):
        return float(math.prod(values[0] for values in per_axis))
    divisor = None
    for axis, values in enumerate(per_axis, start=1):
        shape = tuple(len(values) if a == axis else 1 for a in range(ndim + 2))
        along = xp.reshape(xp.asarray(values, dtype=dtype, **placement(like)), shape)
        divisor = along if divisor is None else divisor * along
    return divisor


def _rows(divisor: Array | float, block: Block) -> Array | float:
    return divisor if isinstance(divisor, float) else divisor[:, block.rows, ...]

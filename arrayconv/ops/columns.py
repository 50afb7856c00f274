"""Columns: every window of an array as a row of a matrix, and back."""

from __future__ import annotations

import math

from arrayconv.arguments import known_shape, suggesting
from arrayconv.engine import windows
from arrayconv.namespace import (
    Array,
    Namespace,
    accumulator,
    cast,
    copied,
    floating,
    is_lazy,
    placement,
)
from arrayconv.ops.layout import check_gradient, check_layout, from_last, spatial, to_last
from arrayconv.window import Ints, Padding, Window, per_axis, sliding


@suggesting
def im2col(
    x: Array,
    window: Ints,
    stride: Ints = 1,
    *,
    padding: Padding = 0,
    dilation: Ints = 1,
    data_format: str = "channels_last",
) -> Array:
    r"""Every window of ``x`` as a row.

    A product of this matrix and the kernels, ``reshape(w, (-1, C_out))``, is a convolution.

    Parameters
    ----------
    x : array, shape (N, *S, C), or (N, C, *S) for ``"channels_first"``
        Real floating.
    window, stride, dilation : int or sequence of int
        Cells of the window, step between windows, step between the cells of one window.
    padding : int, sequence of int, sequence of (int, int), or str
        Zeros around the spatial axes, as for ``conv``.
    data_format : {"channels_last", "channels_first"}
        Layout of ``x``; the columns are the same for both.

    Returns
    -------
    array, shape (N * prod(out), prod(K) * C)
        Rows by image, then output cell; columns by window cell, then channel.
        Along each axis of ``n`` cells, for a window of ``k``, the dilation ``d`` and the stride ``s``,

        .. math::

            out = \left\lfloor \frac{n + before + after - d \, (k - 1) - 1}{s} \right\rfloor + 1

    Raises
    ------
    TypeError
        An ``x`` that is not real floating, or geometry that is not integer.
    ValueError
        A window larger than the padded input, or an unknown name.

    See Also
    --------
    im2col_vjp : Its gradient.

    Notes
    -----
    K. Chellapilla, S. Puri and P. Simard, "High performance convolutional neural networks for
    document processing", 2006.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.im2col(np.arange(4.0).reshape(1, 4, 1), 2)
    array([[0., 1.],
           [1., 2.],
           [2., 3.]])
    """
    xp, x = floating("im2col", x=x)
    geometry = _geometry("im2col", x.shape, window, stride, padding, dilation, data_format)
    return _gathered(xp, to_last(xp, x, data_format), geometry)


@suggesting
def im2col_vjp(
    dy: Array,
    x: Array,
    window: Ints,
    stride: Ints = 1,
    *,
    padding: Padding = 0,
    dilation: Ints = 1,
    data_format: str = "channels_last",
) -> Array:
    r"""The gradient of ``im2col``, which is linear: ``col2im`` of ``dy``.

    .. math::

        dx_{n,i,c} = \sum_{s \cdot o + d \cdot k - p = i} dy_{(n,o),\,(k,c)}

    Every cell of ``x`` is in the row ``(n, o)`` of each window that reads it, in the column ``(k,
    c)`` of its place there; ``s`` is the stride, ``d`` the dilation and ``p`` the padding before.

    Parameters
    ----------
    dy : array, shape (N * prod(out), prod(K) * C)
        Upstream gradient.
    x, window, stride, padding, dilation, data_format
        As for ``im2col``.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``, accumulated in at least
        float32.

    Raises
    ------
    TypeError, ValueError
        As ``im2col``; and for a ``dy`` that has not the shape of the result.

    See Also
    --------
    im2col : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> dy = np.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    >>> ac.im2col_vjp(dy, np.zeros((1, 4, 1)), 2)[0, :, 0]
    array([1., 5., 9., 6.])
    """
    xp, dy, x = floating("im2col_vjp", dy=dy, x=x)
    geometry = _geometry("im2col_vjp", x.shape, window, stride, padding, dilation, data_format)
    batch, channels = _batch_and_channels(tuple(x.shape), data_format)
    check_gradient("im2col_vjp", dy, _columns_shape(batch, channels, geometry))
    return from_last(xp, _scattered(xp, dy, batch, channels, geometry), data_format)


@suggesting
def col2im(
    columns: Array,
    shape: tuple[int, ...],
    window: Ints,
    stride: Ints = 1,
    *,
    padding: Padding = 0,
    dilation: Ints = 1,
    data_format: str = "channels_last",
) -> Array:
    """The adjoint of ``im2col``: every row back in its window, summed where windows overlap.

    Parameters
    ----------
    columns : array, shape (N * prod(out), prod(K) * C)
        Real floating, as ``im2col`` makes them.
    shape : tuple of int
        Shape of the result: that of the array whose columns these are.
    window, stride, dilation, padding, data_format
        As for ``im2col``.

    Returns
    -------
    array, of ``shape``
        Accumulated in at least float32.

    Raises
    ------
    TypeError
        Columns that are not real floating, or geometry that is not integer.
    ValueError
        Columns that do not fit ``shape`` and the window.

    See Also
    --------
    col2im_vjp : Its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.col2im(np.ones((3, 2)), (1, 4, 1), 2)[0, :, 0]
    array([1., 2., 2., 1.])
    """
    xp, columns = floating("col2im", columns=columns)
    geometry = _geometry("col2im", shape, window, stride, padding, dilation, data_format)
    batch, channels = _check_columns("col2im", columns, shape, geometry, data_format)
    return from_last(xp, _scattered(xp, columns, batch, channels, geometry), data_format)


@suggesting
def col2im_vjp(
    dy: Array,
    columns: Array,
    shape: tuple[int, ...],
    window: Ints,
    stride: Ints = 1,
    *,
    padding: Padding = 0,
    dilation: Ints = 1,
    data_format: str = "channels_last",
) -> Array:
    r"""The gradient of ``col2im``, which is linear: ``im2col`` of ``dy``.

    .. math::

        dcolumns_{(n,o),\,(k,c)} = dy_{n, s \cdot o + d \cdot k - p, c}

    The row is the window at ``o`` of image ``n``, the column the cell ``k`` of the window and the
    channel ``c``; ``s`` is the stride, ``d`` the dilation and ``p`` the padding before, where
    ``dy`` is 0.

    Parameters
    ----------
    dy : array, of shape ``shape``
        Upstream gradient.
    columns, shape, window, stride, padding, dilation, data_format
        As for ``col2im``.

    Returns
    -------
    array, shape (N * prod(out), prod(K) * C)
        The gradient of ``columns``, in the promoted dtype of ``dy`` and ``columns``.

    Raises
    ------
    TypeError, ValueError
        As ``col2im``; and for a ``dy`` that has not the shape ``shape``.

    See Also
    --------
    col2im : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> dy = np.asarray([1.0, 2.0, 3.0, 4.0]).reshape(1, 4, 1)
    >>> ac.col2im_vjp(dy, np.zeros((3, 2)), (1, 4, 1), 2)
    array([[1., 2.],
           [2., 3.],
           [3., 4.]])
    """
    op = "col2im_vjp"
    xp, dy, columns = floating(op, dy=dy, columns=columns)
    geometry = _geometry(op, shape, window, stride, padding, dilation, data_format)
    _check_columns(op, columns, shape, geometry, data_format)
    check_gradient(op, dy, shape)
    return _gathered(xp, to_last(xp, dy, data_format), geometry)


def _geometry(
    op: str,
    shape: tuple[int, ...],
    window: Ints,
    stride: Ints,
    padding: Padding,
    dilation: Ints,
    data_format: str,
) -> Window:
    check_layout(op, shape, data_format)
    size = spatial(tuple(shape), data_format)
    return sliding(op, size, per_axis(op, "window", window, len(size)), stride, padding, dilation)


def _check_columns(
    op: str, columns: Array, shape: tuple[int, ...], window: Window, data_format: str
) -> tuple[int, int]:
    known_shape(op, "columns", columns.shape)
    batch, channels = _batch_and_channels(tuple(shape), data_format)
    expected = _columns_shape(batch, channels, window)
    if tuple(columns.shape) != expected:
        raise ValueError(
            f"{op}: columns must have shape {expected} for a result of shape {tuple(shape)}, "
            f"got {tuple(columns.shape)}"
        )
    return batch, channels


def _batch_and_channels(shape: tuple[int, ...], data_format: str) -> tuple[int, int]:
    return shape[0], shape[-1] if data_format == "channels_last" else shape[1]


def _columns_shape(batch: int, channels: int, window: Window) -> tuple[int, int]:
    return batch * math.prod(window.output), window.cells * channels


def _gathered(xp: Namespace, x: Array, window: Window) -> Array:
    if x.shape[0] == 0:
        # Dask merges no axes of nothing
        shape = _columns_shape(0, x.shape[-1], window)
        return xp.zeros(shape, dtype=x.dtype, **placement(x))
    columns = windows.gather(xp, x, window, lead=1, mutable=not is_lazy(x))
    if window.disjoint:
        # windows that do not overlap may be a view of the caller's array
        columns = copied(xp, columns)
    # (N, *out, K, C) -> (N * prod(out), K * C)
    columns = windows.merge_axes(xp, columns, columns.ndim - 2)
    for _ in window.output:
        columns = windows.merge_axes(xp, columns, 0)
    return columns


def _scattered(xp: Namespace, columns: Array, batch: int, channels: int, window: Window) -> Array:
    if batch == 0:
        shape = (0, *window.size, channels)
        return xp.zeros(shape, dtype=columns.dtype, **placement(columns))
    wide = cast(xp, columns, accumulator(xp, columns.dtype))
    # (N * prod(out), K * C) -> (N, *out, K, C)
    rest = math.prod(window.output)
    for axis, n in enumerate((batch, *window.output[:-1])):
        wide = windows.split_axis(xp, wide, axis, (n, rest))
        rest //= window.output[axis]
    wide = windows.split_axis(xp, wide, wide.ndim - 1, (window.cells, channels))
    x = cast(
        xp, windows.scatter(xp, wide, window, lead=1, mutable=not is_lazy(columns)), columns.dtype
    )
    return copied(xp, x) if window.disjoint else x

"""Columns: every window of an array as a row of a matrix, and back."""

from __future__ import annotations

import math

from arrayconv.engine import windows
from arrayconv.namespace import Array, accumulator, array_namespace, cast, is_lazy, promoted
from arrayconv.ops.layout import check_gradient, check_layout, from_last, spatial, to_last
from arrayconv.window import Ints, Padding, Window, per_axis, sliding


def im2col(
    x: Array,
    window: Ints,
    stride: Ints = 1,
    *,
    padding: Padding = 0,
    dilation: Ints = 1,
    data_format: str = "channels_last",
) -> Array:
    """Every window of ``x`` as a row, so that ``im2col(x, k) @ reshape(w, (-1, C_out))`` is ``conv``.

    The operation is linear; ``im2col_vjp(dy, x, window, ...)`` is ``col2im`` of ``dy``.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of the result (``im2col_vjp`` only).
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
        ``out = (n + before + after - dilation * (k - 1) - 1) // stride + 1`` along each axis.

    Raises
    ------
    TypeError
        An ``x`` that is not real floating, or geometry that is not integer.
    ValueError
        A window larger than the padded input, an unknown name, ``dy`` of the wrong shape.

    Notes
    -----
    K. Chellapilla, S. Puri and P. Simard, "High performance convolutional neural networks for document processing", 2006.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.im2col(np.arange(4.0).reshape(1, 4, 1), 2)
    array([[0., 1.],
           [1., 2.],
           [2., 3.]])
    """
    xp = array_namespace("im2col", x=x)
    (x,) = promoted("im2col", xp, x=x)
    geometry = _geometry("im2col", x.shape, window, stride, padding, dilation, data_format)
    columns = windows.gather(
        xp, to_last(xp, x, data_format), geometry, lead=1, mutable=not is_lazy(x)
    )
    batch, channels = columns.shape[0], columns.shape[-1]
    return xp.reshape(
        columns, (batch * math.prod(geometry.output), len(geometry.taps) * channels)
    )


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
    xp = array_namespace("im2col_vjp", dy=dy, x=x)
    dy, x = promoted("im2col_vjp", xp, dy=dy, x=x)
    return col2im(
        dy, tuple(x.shape), window, stride, padding=padding, dilation=dilation, data_format=data_format
    )


im2col_vjp.__doc__ = im2col.__doc__


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

    The operation is linear; ``col2im_vjp(dy, columns, shape, window, ...)`` is ``im2col`` of ``dy``.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of the result (``col2im_vjp`` only).
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

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.col2im(np.ones((3, 2)), (1, 4, 1), 2)[0, :, 0]
    array([1., 2., 2., 1.])
    """
    xp = array_namespace("col2im", columns=columns)
    (columns,) = promoted("col2im", xp, columns=columns)
    geometry = _geometry("col2im", shape, window, stride, padding, dilation, data_format)
    batch, channels = _check_columns("col2im", columns, shape, geometry, data_format)
    wide = cast(xp, columns, accumulator(xp, columns.dtype))
    taps = len(geometry.taps)
    parts = xp.reshape(wide, (batch, *geometry.output, taps, channels))
    x = windows.overlap_add(
        xp,
        (parts[..., k, :] for k in range(taps)),
        geometry,
        lead=1,
        mutable=not is_lazy(columns),
    )
    return from_last(xp, cast(xp, x, columns.dtype), data_format)


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
    op = "col2im_vjp"
    xp = array_namespace(op, dy=dy, columns=columns)
    dy, columns = promoted(op, xp, dy=dy, columns=columns)
    geometry = _geometry(op, shape, window, stride, padding, dilation, data_format)
    _check_columns(op, columns, shape, geometry, data_format)
    check_gradient(op, dy, shape)
    return im2col(dy, window, stride, padding=padding, dilation=dilation, data_format=data_format)


col2im_vjp.__doc__ = col2im.__doc__


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
    batch = shape[0]
    channels = shape[-1] if data_format == "channels_last" else shape[1]
    expected = (batch * math.prod(window.output), len(window.taps) * channels)
    if tuple(columns.shape) != expected:
        raise ValueError(
            f"{op}: columns must have shape {expected} for a result of shape {tuple(shape)}, got {tuple(columns.shape)}"
        )
    return batch, channels

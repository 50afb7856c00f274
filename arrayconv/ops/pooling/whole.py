"""Global pooling: one window that is the whole image."""

from __future__ import annotations

import math

from arrayconv.arguments import choice, flag, suggesting
from arrayconv.namespace import (
    Array,
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
from arrayconv.ops.pooling.maximum import TIES


@suggesting
def global_max_pool(
    x: Array, *, keepdims: bool = False, data_format: str = "channels_last"
) -> Array:
    """The largest cell of every channel of every image.

    Parameters
    ----------
    x : array, shape (N, *S, C), or (N, C, *S) for ``"channels_first"``
        Real floating or integer.
    keepdims : bool
        Keep the spatial axes, with length 1.
    data_format : {"channels_last", "channels_first"}
        Layout of ``x``.

    Returns
    -------
    array, shape (N, C)
        With ``keepdims``, of the rank of ``x``. NaN wins.

    Raises
    ------
    TypeError
        A boolean or complex ``x``.
    ValueError
        An empty spatial axis, or an unknown format.

    See Also
    --------
    global_max_pool_vjp : Its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([[1.0, 5.0], [4.0, 2.0]]).reshape(1, 2, 2, 1)
    >>> ac.global_max_pool(x)
    array([[5.]])
    """
    xp = array_namespace("global_max_pool", x=x)
    real("global_max_pool", xp, x=x)
    _check("global_max_pool", x, keepdims, data_format)
    if 0 in x.shape:
        # Dask gives maxima of nothing another shape
        shape = _result_shape(x, keepdims, data_format)
        return xp.zeros(shape, dtype=x.dtype, **placement(x))
    return xp.max(x, axis=_spatial_axes(x, data_format), keepdims=keepdims)


@suggesting
def global_max_pool_vjp(
    dy: Array,
    x: Array,
    *,
    keepdims: bool = False,
    data_format: str = "channels_last",
    ties: str = "first",
    y: Array | None = None,
) -> Array | None:
    r"""The gradient of ``global_max_pool``: it goes to the cell that won.

    .. math::

        dx_i = \begin{cases} dy & \text{if } i \text{ wins} \\ 0 & \text{elsewhere} \end{cases}

    This holds for every channel of every image; ``ties`` says which cell wins where several are
    equal. A NaN wins, and takes the gradient.

    Parameters
    ----------
    dy : array, shape (N, C)
        Upstream gradient, of the rank of ``x`` with ``keepdims``.
    x, keepdims, data_format
        As for ``global_max_pool``.
    ties : {"first", "split", "all"}
        The gradient goes to the first of equal maxima in C order, is shared equally among them, or
        goes to each in full (as in the course).
    y : array, optional
        The result of ``global_max_pool``, if it is at hand.

    Returns
    -------
    array or None
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``; ``None`` for an integer
        ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``global_max_pool``; and for an unknown tie rule, and a ``dy`` or ``y`` that has not the
        shape of the result.

    See Also
    --------
    global_max_pool : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([[1.0, 5.0], [4.0, 2.0]]).reshape(1, 2, 2, 1)
    >>> ac.global_max_pool_vjp(np.asarray([[10.0]]), x)[0, :, :, 0]
    array([[ 0., 10.],
           [ 0.,  0.]])
    """
    op = "global_max_pool_vjp"
    xp = array_namespace(op, dy=dy, x=x, y=y)
    choice(op, "ties", ties, TIES)
    if not is_floating(xp, x.dtype):
        real(op, xp, x=x)
        return None
    dy, x, y = promoted(op, xp, dy=dy, x=x, y=y)
    _check(op, x, keepdims, data_format)
    expected = _result_shape(x, keepdims, data_format)
    check_gradient(op, dy, expected)
    if y is not None:
        check_gradient(op, y, expected, name="y")
    if 0 in x.shape:
        return xp.zeros(x.shape, dtype=x.dtype, **placement(x))
    rows = to_last(xp, x, data_format)
    batch, *size, channels = rows.shape
    cells = math.prod(size)
    rows = xp.reshape(rows, (batch, cells, channels))
    dy = cast(xp, xp.reshape(dy, (batch, 1, channels)), accumulator(xp, x.dtype))
    y = xp.max(rows, axis=1, keepdims=True) if y is None else xp.reshape(y, (batch, 1, channels))
    hit = (rows == y) | (rows != rows)
    if ties == "first":
        order = xp.reshape(xp.arange(cells, **placement(x)), (1, cells, 1))
        past = xp.full((), cells, dtype=order.dtype, **placement(x))
        hit = order == xp.min(xp.where(hit, order, past), axis=1, keepdims=True)
    elif ties == "split":
        dy = dy / xp.sum(xp.astype(hit, dy.dtype), axis=1, keepdims=True)
    dx = xp.where(hit, dy, xp.zeros((), dtype=dy.dtype, **placement(dy)))
    return from_last(xp, xp.reshape(cast(xp, dx, x.dtype), (batch, *size, channels)), data_format)


@suggesting
def global_avg_pool(
    x: Array, *, keepdims: bool = False, data_format: str = "channels_last"
) -> Array:
    """The mean of every channel of every image.

    Parameters
    ----------
    x : array, shape (N, *S, C), or (N, C, *S) for ``"channels_first"``
        Real floating.
    keepdims : bool
        Keep the spatial axes, with length 1.
    data_format : {"channels_last", "channels_first"}
        Layout of ``x``.

    Returns
    -------
    array, shape (N, C)
        With ``keepdims``, of the rank of ``x``; accumulated in at least float32.

    Raises
    ------
    TypeError
        An ``x`` that is not real floating.
    ValueError
        An empty spatial axis, or an unknown format.

    See Also
    --------
    global_avg_pool_vjp : Its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([[1.0, 5.0], [4.0, 2.0]]).reshape(1, 2, 2, 1)
    >>> ac.global_avg_pool(x)
    array([[3.]])
    """
    xp, x = floating("global_avg_pool", x=x)
    _check("global_avg_pool", x, keepdims, data_format)
    wide = cast(xp, x, accumulator(xp, x.dtype))
    y = xp.mean(wide, axis=_spatial_axes(x, data_format), keepdims=keepdims)
    return cast(xp, y, x.dtype)


@suggesting
def global_avg_pool_vjp(
    dy: Array, x: Array, *, keepdims: bool = False, data_format: str = "channels_last"
) -> Array:
    r"""The gradient of ``global_avg_pool``: the cells share it equally.

    .. math::

        dx_i = \frac{dy}{m}

    This holds for every channel of every image, each of ``m`` cells.

    Parameters
    ----------
    dy : array, shape (N, C)
        Upstream gradient, of the rank of ``x`` with ``keepdims``.
    x, keepdims, data_format
        As for ``global_avg_pool``.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``global_avg_pool``; and for a ``dy`` that has not the shape of the result.

    See Also
    --------
    global_avg_pool : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.global_avg_pool_vjp(np.asarray([[8.0]]), np.zeros((1, 2, 2, 1)))[0, :, :, 0]
    array([[2., 2.],
           [2., 2.]])
    """
    op = "global_avg_pool_vjp"
    xp, dy, x = floating(op, dy=dy, x=x)
    _check(op, x, keepdims, data_format)
    check_gradient(op, dy, _result_shape(x, keepdims, data_format))
    dy = xp.reshape(dy, _result_shape(x, True, data_format))
    share = dy / math.prod(spatial(x.shape, data_format))
    return copied(xp, xp.broadcast_to(share, x.shape))


def _check(op: str, x: Array, keepdims: bool, data_format: str) -> None:
    check_layout(op, x.shape, data_format)
    flag(op, "keepdims", keepdims)
    size = spatial(x.shape, data_format)
    if 0 in size:
        raise ValueError(f"{op}: x has an empty spatial axis: {size}")


def _spatial_axes(x: Array, data_format: str) -> tuple[int, ...]:
    first = 1 if data_format == "channels_last" else 2
    return tuple(range(first, first + x.ndim - 2))


def _result_shape(x: Array, keepdims: bool, data_format: str) -> tuple[int, ...]:
    ones = (1,) * (x.ndim - 2) if keepdims else ()
    if data_format == "channels_last":
        return (x.shape[0], *ones, x.shape[-1])
    return (x.shape[0], x.shape[1], *ones)

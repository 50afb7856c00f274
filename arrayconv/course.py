"""The step-by-step names of the course notebooks, on any array library.

Signatures, argument order and return values are the course's. Arrays are channels last: ``A_prev``
is ``(m, n_H_prev, n_W_prev, n_C_prev)``, ``W`` is ``(f, f, n_C_prev, n_C)``, ``b`` is
``(1, 1, 1, n_C)``, and ``hparameters`` is a dict of ``"stride"``, ``"pad"`` and ``"f"``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

from arrayconv.namespace import (
    Array,
    array_namespace,
    cast,
    default_float,
    placement,
    to_numpy,
)
from arrayconv.ops.activation import relu
from arrayconv.ops.convolution import conv, conv_vjp
from arrayconv.ops.padding import pad as pad_spatial
from arrayconv.ops.pooling import avg_pool, avg_pool_vjp, max_pool, max_pool_vjp
from arrayconv.window import per_axis

__all__ = [
    "conv_backward",
    "conv_forward",
    "conv_single_step",
    "create_mask_from_window",
    "distribute_value",
    "pool_backward",
    "pool_forward",
    "rectified",
    "zero_pad",
]

Hparameters: TypeAlias = Mapping[str, Any]


def floating(op: str, **arrays: Array) -> tuple[Array, ...]:
    """Return the arrays, integer ones in the library's default float."""
    xp = array_namespace(op, **arrays)
    return tuple(
        cast(xp, x, default_float(xp)) if xp.isdtype(x.dtype, ("integral", "bool")) else x
        for x in arrays.values()
    )


def _settings(op: str, hparameters: Hparameters, *keys: str) -> tuple[Any, ...]:
    for key in keys:
        if key not in hparameters:
            raise ValueError(f"{op}: hparameters has no {key!r}, got {dict(hparameters)}")
    return tuple(hparameters[key] for key in keys)


def _unknown_mode(op: str, mode: object) -> ValueError:
    return ValueError(f"{op}: mode expects 'max' or 'average', got {mode!r}")


def zero_pad(X: Array, pad: int) -> Array:
    """Pad height and width of a batch of images with zeros.

    Parameters
    ----------
    X : array, (m, n_H, n_W, n_C)
        Real floating or integer; the dtype is kept.
    pad : int
        Cells added on each of the four sides.

    Returns
    -------
    array, (m, n_H + 2 * pad, n_W + 2 * pad, n_C)

    Raises
    ------
    ValueError
        If `pad` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.zero_pad(np.ones((1, 1, 2, 1)), 1)[0, :, :, 0]
    array([[0., 0., 0., 0.],
           [0., 1., 1., 0.],
           [0., 0., 0., 0.]])
    """
    return pad_spatial(X, pad)


def conv_single_step(a_slice_prev: Array, W: Array, b: Array | float) -> Array:
    """Apply one filter to one window: ``sum(a_slice_prev * W) + b``.

    Parameters
    ----------
    a_slice_prev, W : array, (f, f, n_C_prev)
        The window and the filter.
    b : array of one element, or number
        The bias, ``(1, 1, 1)`` in the course.

    Returns
    -------
    array, ()

    Raises
    ------
    ValueError
        If the window and the filter differ in shape.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> float(ac.conv_single_step(np.ones((2, 2, 3)), np.full((2, 2, 3), 0.5), np.ones((1, 1, 1))))
    7.0
    """
    op = "conv_single_step"
    number = isinstance(b, int | float)
    given = {"a_slice_prev": a_slice_prev, "W": W} | ({} if number else {"b": b})
    xp = array_namespace(op, **given)
    a, w, *bias = floating(op, **given)
    if a.shape != w.shape:
        raise ValueError(
            f"{op}: a_slice_prev and W must have the same shape, got {tuple(a.shape)} and "
            f"{tuple(w.shape)}"
        )
    if bias and math.prod(bias[0].shape) != 1:
        raise ValueError(f"{op}: b must have one element, got shape {tuple(bias[0].shape)}")
    z = xp.reshape(conv(a[None, ...], w[..., None]), ())
    return z + (b if number else xp.reshape(bias[0], ()))


def conv_forward(
    A_prev: Array, W: Array, b: Array, hparameters: Hparameters
) -> tuple[Array, tuple[Array, Array, Array, Hparameters]]:
    r"""Convolve a batch of images with a bank of filters.

    .. math::

        Z_{ihwc} = b_c + \sum_{u,v,k} A_{i, \, s h + u, \, s w + v, \, k} \; W_{uvkc}

    for image ``i``, row ``h``, column ``w`` and filter ``c``, where ``A`` is the padded ``A_prev``,
    ``s`` the stride, and the sum runs over the filter's rows ``u``, columns ``v`` and channels ``k``.

    Parameters
    ----------
    A_prev : array, (m, n_H_prev, n_W_prev, n_C_prev)
        The previous layer's output; integers are cast to the library's default float.
    W : array, (f, f, n_C_prev, n_C)
        The filters.
    b : array, (1, 1, 1, n_C)
        The biases.
    hparameters : dict
        ``"stride"`` and ``"pad"``.

    Returns
    -------
    Z : array, (m, n_H, n_W, n_C)
        :math:`n_H = \lfloor (n_{H,prev} - f + 2 \, pad) / stride \rfloor + 1`, and ``n_W`` alike.
    cache : tuple
        ``(A_prev, W, b, hparameters)``, for `conv_backward`.

    Raises
    ------
    ValueError
        If a hyperparameter is missing or out of range, the channels differ, or the filter is
        larger than the padded input.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> A_prev, W, b = np.ones((10, 4, 4, 3)), np.ones((2, 2, 3, 8)), np.zeros((1, 1, 1, 8))
    >>> Z, cache = ac.conv_forward(A_prev, W, b, {"stride": 2, "pad": 2})
    >>> Z.shape
    (10, 4, 4, 8)
    """
    stride, pad = _settings("conv_forward", hparameters, "stride", "pad")
    x, w, bias = floating("conv_forward", A_prev=A_prev, W=W, b=b)
    return conv(x, w, bias, stride=stride, padding=pad), (A_prev, W, b, hparameters)


def conv_backward(
    dZ: Array, cache: tuple[Array, Array, Array, Hparameters]
) -> tuple[Array, Array, Array]:
    r"""Propagate the gradient of `conv_forward`'s output to its arrays.

    .. math::

        dA_{iyxk} &= \sum_{s h + u = y, \; s w + v = x} \; \sum_c W_{uvkc} \; dZ_{ihwc}

        dW_{uvkc} &= \sum_{i,h,w} A_{i, \, s h + u, \, s w + v, \, k} \; dZ_{ihwc}

        db_c &= \sum_{i,h,w} dZ_{ihwc}

    The letters are those of `conv_forward`; ``dA_prev`` is ``dA`` without the padding.

    Parameters
    ----------
    dZ : array, (m, n_H, n_W, n_C)
        Gradient of the cost with respect to ``Z``.
    cache : tuple
        What `conv_forward` returned beside ``Z``.

    Returns
    -------
    dA_prev : array, (m, n_H_prev, n_W_prev, n_C_prev)
    dW : array, (f, f, n_C_prev, n_C)
    db : array, (1, 1, 1, n_C)

    Raises
    ------
    ValueError
        If the shape of `dZ` is not that of ``Z``.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> A_prev, W, b = np.ones((1, 3, 3, 1)), np.ones((2, 2, 1, 1)), np.zeros((1, 1, 1, 1))
    >>> Z, cache = ac.conv_forward(A_prev, W, b, {"stride": 1, "pad": 0})
    >>> dA_prev, dW, db = ac.conv_backward(np.ones(Z.shape), cache)
    >>> dA_prev[0, :, :, 0]
    array([[1., 2., 1.],
           [2., 4., 2.],
           [1., 2., 1.]])
    >>> db
    array([[[[4.]]]])
    """
    A_prev, W, b, hparameters = cache
    stride, pad = _settings("conv_backward", hparameters, "stride", "pad")
    dy, x, w, bias = floating("conv_backward", dZ=dZ, A_prev=A_prev, W=W, b=b)
    dx, dw, db = conv_vjp(dy, x, w, bias, stride=stride, padding=pad)
    return dx, dw, db


def pool_forward(
    A_prev: Array, hparameters: Hparameters, mode: str = "max"
) -> tuple[Array, tuple[Array, Hparameters]]:
    r"""Take the maximum or the mean of each window of a batch of images.

    The cell in row ``h`` and column ``w`` looks at the window of ``f`` rows from ``h * stride`` and
    ``f`` columns from ``w * stride``, in each channel by itself.

    Parameters
    ----------
    A_prev : array, (m, n_H_prev, n_W_prev, n_C_prev)
        The previous layer's output; integers are cast to the library's default float.
    hparameters : dict
        ``"f"``, the side of the window, and ``"stride"``.
    mode : {"max", "average"}

    Returns
    -------
    A : array, (m, n_H, n_W, n_C_prev)
        :math:`n_H = \lfloor (n_{H,prev} - f) / stride \rfloor + 1`, and ``n_W`` alike.
    cache : tuple
        ``(A_prev, hparameters)``, for `pool_backward`.

    Raises
    ------
    ValueError
        If `mode` is unknown, a hyperparameter is missing or out of range, or the window is larger
        than the input.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> A_prev = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> A, cache = ac.pool_forward(A_prev, {"f": 2, "stride": 2})
    >>> A[0, :, :, 0]
    array([[ 5.,  7.],
           [13., 15.]])
    """
    f, stride = _settings("pool_forward", hparameters, "f", "stride")
    (x,) = floating("pool_forward", A_prev=A_prev)
    if mode == "max":
        return max_pool(x, f, stride=stride), (A_prev, hparameters)
    if mode == "average":
        return avg_pool(x, f, stride=stride), (A_prev, hparameters)
    raise _unknown_mode("pool_forward", mode)


def create_mask_from_window(x: Array) -> Array:
    """Mark the maxima of a window; if it has NaNs, these are marked instead.

    Parameters
    ----------
    x : array, (f, f)

    Returns
    -------
    array of bool, (f, f)

    Raises
    ------
    ValueError
        If the window is empty.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.create_mask_from_window(np.asarray([[1.0, 3.0], [3.0, 2.0]]))
    array([[False,  True],
           [ True, False]])
    """
    xp = array_namespace("create_mask_from_window", x=x)
    if 0 in x.shape:
        raise ValueError(
            f"create_mask_from_window: x must not be empty, got shape {tuple(x.shape)}"
        )
    return (x == xp.max(x)) | (x != x)


def distribute_value(dz: Array | float, shape: tuple[int, int]) -> Array:
    """Share a value equally among the cells of a window: each gets ``dz / (n_H * n_W)``.

    Parameters
    ----------
    dz : number, or array of one element
    shape : tuple of int
        ``(n_H, n_W)``.

    Returns
    -------
    array, (n_H, n_W)
        A NumPy array where `dz` is a number.

    Raises
    ------
    ValueError
        If `shape` is not two positive ints.

    Examples
    --------
    >>> import arrayconv as ac
    >>> ac.distribute_value(2, (2, 2))
    array([[0.5, 0.5],
           [0.5, 0.5]])
    """
    n_H, n_W = per_axis("distribute_value", "shape", shape, 2)
    value = to_numpy(dz) if isinstance(dz, int | float) else dz
    xp = array_namespace("distribute_value", dz=value)
    (value,) = floating("distribute_value", dz=value)
    zeros = xp.zeros((n_H, n_W), dtype=value.dtype, **placement(value))
    return zeros + xp.reshape(value, ()) / (n_H * n_W)


def pool_backward(dA: Array, cache: tuple[Array, Hparameters], mode: str = "max") -> Array:
    """Propagate the gradient of `pool_forward`'s output to its input.

    The gradient :math:`dA_{ihwc}` of a window goes in full to every one of its maxima (``"max"``), or
    in equal shares, :math:`dA_{ihwc} / f^2`, to all its cells (``"average"``); where windows overlap,
    the parts add up.

    Parameters
    ----------
    dA : array, (m, n_H, n_W, n_C)
        Gradient of the cost with respect to ``A``.
    cache : tuple
        What `pool_forward` returned beside ``A``.
    mode : {"max", "average"}

    Returns
    -------
    array, (m, n_H_prev, n_W_prev, n_C)

    Raises
    ------
    ValueError
        If `mode` is unknown, or the shape of `dA` is not that of ``A``.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> A, cache = ac.pool_forward(np.arange(16.0).reshape(1, 4, 4, 1), {"f": 2, "stride": 2})
    >>> ac.pool_backward(A, cache)[0, :, :, 0]
    array([[ 0.,  0.,  0.,  0.],
           [ 0.,  5.,  0.,  7.],
           [ 0.,  0.,  0.,  0.],
           [ 0., 13.,  0., 15.]])
    """
    A_prev, hparameters = cache
    f, stride = _settings("pool_backward", hparameters, "f", "stride")
    dy, x = floating("pool_backward", dA=dA, A_prev=A_prev)
    if mode == "max":
        return max_pool_vjp(dy, x, f, stride=stride, ties="all")
    if mode == "average":
        return avg_pool_vjp(dy, x, f, stride=stride)
    raise _unknown_mode("pool_backward", mode)


def rectified(x: Array | float) -> Array:
    """The rectified linear function, ``max(0, x)``: `relu`, for a Python number too.

    Parameters
    ----------
    x : array or number

    Returns
    -------
    array
        A NumPy array where `x` is a number.

    Examples
    --------
    >>> import arrayconv as ac
    >>> [float(ac.rectified(x)) for x in (1.0, 1000.0, 0.0, -1.0, -1000.0)]
    [1.0, 1000.0, 0.0, 0.0, 0.0]
    """
    return relu(to_numpy(x) if isinstance(x, int | float) else x)

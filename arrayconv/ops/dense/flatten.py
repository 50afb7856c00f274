"""Flattening: all axes but the batch joined into one."""

from __future__ import annotations

import math

from arrayconv.arguments import Shape, known_shape, once
from arrayconv.namespace import (
    Array,
    Namespace,
    array_namespace,
    is_floating,
    placement,
    promoted,
    real,
)
from arrayconv.ops.layout import check_gradient


def flatten(x: Array) -> Array:
    """Join all axes of ``x`` but the first, in C order.

    Parameters
    ----------
    x : array, shape (N, ...)
        Real floating or integer.

    Returns
    -------
    array, shape (N, prod(...))
        A copy, in the dtype of ``x``; one feature where ``x`` has one axis.

    Raises
    ------
    TypeError
        A boolean or complex ``x``.
    ValueError
        An ``x`` without axes.

    See Also
    --------
    flatten_vjp : Its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.flatten(np.arange(8.0).reshape(2, 2, 2))
    array([[0., 1., 2., 3.],
           [4., 5., 6., 7.]])
    """
    xp = array_namespace("flatten", x=x)
    real("flatten", xp, x=x)
    return _reshaped(xp, x, _flat("flatten", tuple(x.shape)))


def flatten_vjp(dy: Array, x: Array) -> Array | None:
    r"""The gradient of ``flatten``: ``dy`` in the shape of ``x``.

    .. math::

        dx_{n,i,j,\ldots} = dy_{n,(i,j,\ldots)}

    Parameters
    ----------
    dy : array, shape (N, prod(...))
        Upstream gradient.
    x
        As for ``flatten``.

    Returns
    -------
    array or None
        A copy, of the shape of ``x`` and in the promoted dtype of ``dy`` and ``x``; ``None`` for an
        integer ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``flatten``; and for a ``dy`` that has not the shape of the result.

    See Also
    --------
    flatten : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.flatten_vjp(np.asarray([[1.0, 2.0, 3.0, 4.0]]), np.zeros((1, 2, 2)))
    array([[[1., 2.],
            [3., 4.]]])
    """
    xp = array_namespace("flatten_vjp", dy=dy, x=x)
    flat = _flat("flatten_vjp", tuple(x.shape))
    if not is_floating(xp, x.dtype):
        real("flatten_vjp", xp, x=x)
        return None
    dy, x = promoted("flatten_vjp", xp, dy=dy, x=x)
    check_gradient("flatten_vjp", dy, flat)
    return _reshaped(xp, dy, x.shape)


def _reshaped(xp: Namespace, x: Array, shape: tuple[int, ...]) -> Array:
    if 0 in shape:
        # Dask merges and splits no axes of nothing
        return xp.zeros(shape, dtype=x.dtype, **placement(x))
    return xp.reshape(x, shape, copy=True)


@once
def _flat(op: str, shape: Shape) -> Shape:
    known_shape(op, "x", shape)
    if not shape:
        raise ValueError(f"{op}: x must have a batch axis, (N, ...), got shape ()")
    return (shape[0], math.prod(shape[1:]))

"""Activations, each beside its derivative."""

from __future__ import annotations

from arrayconv.namespace import Array, array_namespace, is_floating, placement, promoted, real
from arrayconv.ops.layout import check_gradient


def relu(x: Array) -> Array:
    """The larger of ``x`` and 0, element by element.

    ``relu_vjp(dy, x)`` is 0 where ``x <= 0``, at 0 too, and ``dy`` elsewhere, as in PyTorch.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of ``x`` (``relu_vjp`` only).
    x : array
        Of any shape; real floating or integer (the gradient of an integer ``x`` is ``None``).

    Returns
    -------
    array
        Of the shape and dtype of ``x``; NaN stays NaN.

    Raises
    ------
    TypeError
        If ``x`` is boolean or complex.
    ValueError
        If ``dy`` has another shape than ``x``.

    Notes
    -----
    V. Nair and G. Hinton, "Rectified linear units improve restricted Boltzmann machines", ICML
    2010.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.relu(np.asarray([-1.0, 0.0, 2.0]))
    array([0., 0., 2.])
    >>> ac.relu_vjp(np.ones(3), np.asarray([-1.0, 0.0, 2.0]))
    array([0., 0., 1.])
    """
    xp = array_namespace("relu", x=x)
    real("relu", xp, x=x)
    return xp.maximum(x, xp.zeros((), dtype=x.dtype, **placement(x)))


def relu_vjp(dy: Array, x: Array) -> Array | None:
    xp = array_namespace("relu_vjp", dy=dy, x=x)
    if not is_floating(xp, x.dtype):
        real("relu_vjp", xp, x=x)
        return None
    dy, x = promoted("relu_vjp", xp, dy=dy, x=x)
    check_gradient("relu_vjp", dy, x.shape)
    return xp.where(x <= 0, xp.zeros((), dtype=dy.dtype, **placement(dy)), dy)


relu_vjp.__doc__ = relu.__doc__

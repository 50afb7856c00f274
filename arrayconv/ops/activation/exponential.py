"""Exponential linear units."""

from __future__ import annotations

from arrayconv.arguments import number
from arrayconv.namespace import Array, Namespace, array_namespace, promoted
from arrayconv.ops.activation.elementwise import elementwise, step
from arrayconv.ops.layout import check_gradient, scalar

# Klambauer et al., equation 14, to the digits of a float64
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def elu(x: Array, *, alpha: float = 1.0) -> Array:
    """``x`` where it is positive, ``alpha * (exp(x) - 1)`` elsewhere.

    ``elu_vjp`` is ``dy`` where ``x > 0`` and ``dy * alpha * exp(x)`` elsewhere, at 0 too, as in
    PyTorch.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of ``x`` (``elu_vjp`` only).
    x : array
        Of any shape; real floating.
    alpha : float
        The value approached far below zero is ``-alpha``.

    Returns
    -------
    array
        Of the shape and dtype of ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not real floating, or ``alpha`` is no number.
    ValueError
        If ``dy`` has another shape than ``x``.

    Notes
    -----
    D.-A. Clevert, T. Unterthiner and S. Hochreiter, "Fast and accurate deep network learning by
    exponential linear units (ELUs)", arXiv:1511.07289, equation 15.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.elu(np.asarray([-1.0, 0.0, 2.0])).round(4)
    array([-0.6321, 0. , 2. ])
    """
    xp = array_namespace("elu", x=x)
    (x,) = promoted("elu", xp, x=x)
    return _forward(xp, x, number("elu", "alpha", alpha), 1.0)


def elu_vjp(dy: Array, x: Array, *, alpha: float = 1.0) -> Array:
    xp = array_namespace("elu_vjp", dy=dy, x=x)
    dy, x = promoted("elu_vjp", xp, dy=dy, x=x)
    alpha = number("elu_vjp", "alpha", alpha)
    check_gradient("elu_vjp", dy, x.shape)
    return _backward(xp, dy, x, alpha, 1.0)


elu_vjp.__doc__ = elu.__doc__


def selu(x: Array) -> Array:
    """``scale * elu(x, alpha=alpha)`` with the two constants that keep mean 0 and variance 1.

    ``selu_vjp`` is ``scale * elu_vjp(dy, x, alpha=alpha)``.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of ``x`` (``selu_vjp`` only).
    x : array
        Of any shape; real floating.

    Returns
    -------
    array
        Of the shape and dtype of ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not real floating.
    ValueError
        If ``dy`` has another shape than ``x``.

    Notes
    -----
    G. Klambauer et al., "Self-normalizing neural networks", arXiv:1706.02515, equations 2 and 14.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.selu(np.asarray([-1.0, 0.0, 2.0])).round(4)
    array([-1.1113, 0. , 2.1014])
    """
    xp = array_namespace("selu", x=x)
    (x,) = promoted("selu", xp, x=x)
    return _forward(xp, x, SELU_ALPHA, SELU_SCALE)


def selu_vjp(dy: Array, x: Array) -> Array:
    xp = array_namespace("selu_vjp", dy=dy, x=x)
    dy, x = promoted("selu_vjp", xp, dy=dy, x=x)
    check_gradient("selu_vjp", dy, x.shape)
    return _backward(xp, dy, x, SELU_ALPHA, SELU_SCALE)


selu_vjp.__doc__ = selu.__doc__


def _forward(xp: Namespace, x: Array, alpha: float, scale: float) -> Array:
    def forward(x: Array) -> Array:
        zero = scalar(xp, 0, x)
        # one of the two is zero, and nothing overflows
        return xp.maximum(x, zero) * scale + xp.expm1(xp.minimum(x, zero)) * (alpha * scale)

    return elementwise(xp, forward, x)


def _backward(xp: Namespace, dy: Array, x: Array, alpha: float, scale: float) -> Array:
    def backward(dy: Array, x: Array) -> Array:
        slope = xp.exp(xp.minimum(x, scalar(xp, 0, x))) * (alpha * scale)
        if alpha != 1:
            slope = slope + step(xp, x > 0, x) * (scale - alpha * scale)
        return dy * slope

    return elementwise(xp, backward, dy, x)

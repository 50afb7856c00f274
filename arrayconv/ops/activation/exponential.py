"""Exponential linear units."""

from __future__ import annotations

from arrayconv.arguments import number, suggesting
from arrayconv.namespace import Array, Namespace, floating, scalar
from arrayconv.ops.activation.elementwise import elementwise, step
from arrayconv.ops.layout import check_gradient

# Klambauer et al., equation 14, to the digits of a float64
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


@suggesting
def elu(x: Array, *, alpha: float = 1.0) -> Array:
    r"""The exponential linear unit.

    .. math::

        y = \begin{cases} x & x > 0 \\ \alpha \, (e^x - 1) & \text{elsewhere} \end{cases}

    Parameters
    ----------
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

    See Also
    --------
    elu_vjp : Its gradient.

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
    xp, x = floating("elu", x=x)
    return _forward(xp, x, number("elu", "alpha", alpha), 1.0)


@suggesting
def elu_vjp(dy: Array, x: Array, *, alpha: float = 1.0) -> Array:
    r"""The gradient of ``elu``.

    .. math::

        dx = \begin{cases} dy & x > 0 \\ \alpha \, e^x \, dy & \text{elsewhere} \end{cases}

    At the kink it is ``alpha * dy``, as in PyTorch.

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x, alpha
        As for ``elu``.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``elu``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    elu : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> dy, x = np.asarray([1.0, 1.0, 3.0]), np.asarray([-1.0, 0.0, 5.0])
    >>> ac.elu_vjp(dy, x, alpha=2.0).round(4)
    array([0.7358, 2.    , 3.    ])
    """
    xp, dy, x = floating("elu_vjp", dy=dy, x=x)
    alpha = number("elu_vjp", "alpha", alpha)
    check_gradient("elu_vjp", dy, x.shape)
    return _backward(xp, dy, x, alpha, 1.0)


def selu(x: Array) -> Array:
    r"""The scaled exponential linear unit, whose constants keep mean 0 and variance 1.

    .. math::

        y = \begin{cases} \lambda \, x & x > 0 \\ \lambda \alpha \, (e^x - 1) & \text{elsewhere} \end{cases}

    with :math:`\lambda = 1.0507...` and :math:`\alpha = 1.6732...`.

    Parameters
    ----------
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

    See Also
    --------
    selu_vjp : Its gradient.

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
    xp, x = floating("selu", x=x)
    return _forward(xp, x, SELU_ALPHA, SELU_SCALE)


def selu_vjp(dy: Array, x: Array) -> Array:
    r"""The gradient of ``selu``.

    .. math::

        dx = \begin{cases} \lambda \, dy & x > 0 \\ \lambda \alpha \, e^x \, dy & \text{elsewhere} \end{cases}

    The two constants are the scale, ``lambda = 1.0507...``, and ``alpha = 1.6732...``.

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x
        As for ``selu``.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``selu``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    selu : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.selu_vjp(np.asarray([1.0, 1.0, 1.0]), np.asarray([-1.0, 0.0, 5.0])).round(4)
    array([0.6468, 1.7581, 1.0507])
    """
    xp, dy, x = floating("selu_vjp", dy=dy, x=x)
    check_gradient("selu_vjp", dy, x.shape)
    return _backward(xp, dy, x, SELU_ALPHA, SELU_SCALE)


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

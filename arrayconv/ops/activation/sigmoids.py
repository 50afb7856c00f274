"""The logistic function and its relatives."""

from __future__ import annotations

from arrayconv.namespace import Array, Namespace, floating, scalar
from arrayconv.ops.activation.elementwise import elementwise, step
from arrayconv.ops.layout import check_gradient


def sigmoid(x: Array) -> Array:
    r"""The logistic function, which rises from 0 to 1.

    .. math::

        y = \frac{1}{1 + e^{-x}}

    Parameters
    ----------
    x : array
        Of any shape; real floating.

    Returns
    -------
    array
        Of the shape and dtype of ``x``, accurate to the last digits on both sides.

    Raises
    ------
    TypeError
        If ``x`` is not real floating.

    See Also
    --------
    sigmoid_vjp : Its gradient.

    Notes
    -----
    Computed from :math:`e^{-|x|}`, which cannot overflow, and without the kink of :math:`|x|` at 0,
    so that the code may be differentiated too.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.sigmoid(np.asarray([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    xp, x = floating("sigmoid", x=x)
    return elementwise(xp, lambda x: logistic(xp, x), x)


def sigmoid_vjp(dy: Array, x: Array, *, y: Array | None = None) -> Array:
    r"""The gradient of ``sigmoid``.

    .. math::

        dx = y \, (1 - y) \, dy

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x
        As for ``sigmoid``.
    y : array, optional
        The result of ``sigmoid``, if it is at hand: it saves an exponential.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``sigmoid``; and for a ``dy`` or ``y`` that has not the shape of ``x``.

    See Also
    --------
    sigmoid : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.sigmoid_vjp(np.asarray([1.0, 4.0, 1.0]), np.asarray([-1e4, 0.0, 1e4]))
    array([0., 1., 0.])
    """
    op = "sigmoid_vjp"
    xp, dy, x, y = floating(op, dy=dy, x=x, y=y)
    check_gradient(op, dy, x.shape)
    if y is not None:
        check_gradient(op, y, x.shape, name="y")
        return elementwise(xp, lambda dy, y: dy * (y * (1 - y)), dy, y)

    def backward(dy: Array, x: Array) -> Array:
        # y * (1 - y), without the difference
        z = xp.exp(negated_size(xp, x))
        return dy * (z / ((z + 1) * (z + 1)))

    return elementwise(xp, backward, dy, x)


def logistic(xp: Namespace, x: Array) -> Array:
    """The sigmoid of an array that is not half."""
    on = step(xp, x >= 0, x)
    z = xp.exp(x * (1 - 2 * on))
    # 1 above zero and z below, which is the same function to all derivatives
    return (on + z * (1 - on)) / (z + 1)


def negated_size(xp: Namespace, x: Array) -> Array:
    """``-|x|``, with the slope of one side at 0 instead of none."""
    return x * (1 - 2 * step(xp, x >= 0, x))


def tanh(x: Array) -> Array:
    """The hyperbolic tangent.

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
    tanh_vjp : Its gradient.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.tanh(np.asarray([-1e4, 0.0, 1e4]))
    array([-1., 0., 1.])
    """
    xp, x = floating("tanh", x=x)
    return elementwise(xp, xp.tanh, x)


def tanh_vjp(dy: Array, x: Array, *, y: Array | None = None) -> Array:
    r"""The gradient of ``tanh``.

    .. math::

        dx = (1 - y^2) \, dy

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x
        As for ``tanh``.
    y : array, optional
        The result of ``tanh``, if it is at hand: it saves an exponential.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``tanh``; and for a ``dy`` or ``y`` that has not the shape of ``x``.

    See Also
    --------
    tanh : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.tanh_vjp(np.asarray([1.0, 4.0, 1.0]), np.asarray([-1e4, 0.0, 1e4]))
    array([0., 4., 0.])
    """
    op = "tanh_vjp"
    xp, dy, x, y = floating(op, dy=dy, x=x, y=y)
    check_gradient(op, dy, x.shape)
    if y is not None:
        check_gradient(op, y, x.shape, name="y")
        return elementwise(xp, lambda dy, y: dy * (1 - y * y), dy, y)

    def backward(dy: Array, x: Array) -> Array:
        # four times the slope of the sigmoid at 2x: 1 - y * y without the difference
        z = xp.exp(negated_size(xp, x))
        z = z * z
        return dy * (z * 4 / ((z + 1) * (z + 1)))

    return elementwise(xp, backward, dy, x)


def softplus(x: Array) -> Array:
    r"""A smooth ``relu``.

    .. math::

        y = \log(1 + e^x)

    Parameters
    ----------
    x : array
        Of any shape; real floating.

    Returns
    -------
    array
        Of the shape and dtype of ``x``. PyTorch returns ``x`` itself above 20, which is off by up
        to 2e-9; this does not.

    Raises
    ------
    TypeError
        If ``x`` is not real floating.

    See Also
    --------
    softplus_vjp : Its gradient.

    Notes
    -----
    C. Dugas et al., "Incorporating second-order functional knowledge for better option pricing",
    NIPS 2000. Computed as :math:`\max(x, 0) + \log(1 + e^{-|x|})`, which cannot overflow, both
    halves with their slopes from the right at 0.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.softplus(np.asarray([-1e4, 0.0, 1e4])).round(4)
    array([0.000e+00, 6.931e-01, 1.000e+04])
    """
    xp, x = floating("softplus", x=x)

    def forward(x: Array) -> Array:
        on = step(xp, x >= 0, x)
        # the product with what infinity cannot reach, as inf * 0 is NaN
        above = xp.maximum(x, scalar(xp, -1, x)) * on
        return xp.log1p(xp.exp(x * (1 - 2 * on))) + above

    return elementwise(xp, forward, x)


def softplus_vjp(dy: Array, x: Array) -> Array:
    r"""The gradient of ``softplus``.

    .. math::

        dx = \frac{dy}{1 + e^{-x}}

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x
        As for ``softplus``.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``softplus``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    softplus : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.softplus_vjp(np.asarray([1.0, 4.0, 1.0]), np.asarray([-1e4, 0.0, 1e4]))
    array([0., 2., 1.])
    """
    xp, dy, x = floating("softplus_vjp", dy=dy, x=x)
    check_gradient("softplus_vjp", dy, x.shape)
    return elementwise(xp, lambda dy, x: dy * logistic(xp, x), dy, x)

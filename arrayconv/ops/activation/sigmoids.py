"""The logistic function and its relatives."""

from __future__ import annotations

from arrayconv.namespace import Array, Namespace, array_namespace, promoted
from arrayconv.ops.activation.elementwise import elementwise, step
from arrayconv.ops.layout import check_gradient, scalar


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``.

    ``sigmoid_vjp`` is ``dy * y * (1 - y)``.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of ``x`` (``sigmoid_vjp`` only).
    x : array
        Of any shape; real floating.
    y : array, optional
        The result of ``sigmoid``, if it is at hand (``sigmoid_vjp`` only): it saves an exponential.

    Returns
    -------
    array
        Of the shape and dtype of ``x``, accurate to the last digits on both sides.

    Raises
    ------
    TypeError
        If ``x`` is not real floating.
    ValueError
        If ``dy`` or ``y`` has another shape than ``x``.

    Notes
    -----
    Computed from ``exp(-|x|)``, which cannot overflow, and without the kink of ``|x|`` at 0, so that
    the code may be differentiated too.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.sigmoid(np.asarray([-1e4, 0.0, 1e4]))
    array([0. , 0.5, 1. ])
    """
    xp = array_namespace("sigmoid", x=x)
    (x,) = promoted("sigmoid", xp, x=x)
    return elementwise(xp, lambda x: logistic(xp, x), x)


def sigmoid_vjp(dy: Array, x: Array, *, y: Array | None = None) -> Array:
    op = "sigmoid_vjp"
    xp = array_namespace(op, dy=dy, x=x, y=y)
    dy, x, y = promoted(op, xp, dy=dy, x=x, y=y)
    check_gradient(op, dy, x.shape)
    if y is not None:
        check_gradient(op, y, x.shape, name="y")
        return elementwise(xp, lambda dy, y: dy * (y * (1 - y)), dy, y)

    def backward(dy: Array, x: Array) -> Array:
        # y * (1 - y), without the difference
        z = xp.exp(negated_size(xp, x))
        return dy * (z / ((z + 1) * (z + 1)))

    return elementwise(xp, backward, dy, x)


sigmoid_vjp.__doc__ = sigmoid.__doc__


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

    ``tanh_vjp`` is ``dy * (1 - y * y)``.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of ``x`` (``tanh_vjp`` only).
    x : array
        Of any shape; real floating.
    y : array, optional
        The result of ``tanh``, if it is at hand (``tanh_vjp`` only): it saves an exponential.

    Returns
    -------
    array
        Of the shape and dtype of ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not real floating.
    ValueError
        If ``dy`` or ``y`` has another shape than ``x``.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.tanh(np.asarray([-1e4, 0.0, 1e4]))
    array([-1., 0., 1.])
    """
    xp = array_namespace("tanh", x=x)
    (x,) = promoted("tanh", xp, x=x)
    return elementwise(xp, xp.tanh, x)


def tanh_vjp(dy: Array, x: Array, *, y: Array | None = None) -> Array:
    op = "tanh_vjp"
    xp = array_namespace(op, dy=dy, x=x, y=y)
    dy, x, y = promoted(op, xp, dy=dy, x=x, y=y)
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


tanh_vjp.__doc__ = tanh.__doc__


def softplus(x: Array) -> Array:
    """``log(1 + exp(x))``, a smooth `relu`.

    ``softplus_vjp`` is ``dy * sigmoid(x)``.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of ``x`` (``softplus_vjp`` only).
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
    ValueError
        If ``dy`` has another shape than ``x``.

    Notes
    -----
    C. Dugas et al., "Incorporating second-order functional knowledge for better option pricing",
    NIPS 2000. Computed as ``max(x, 0) + log1p(exp(-|x|))``, which cannot overflow, both
    halves with their slopes from the right at 0.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.softplus(np.asarray([-1e4, 0.0, 1e4])).round(4)
    array([0.000e+00, 6.931e-01, 1.000e+04])
    """
    xp = array_namespace("softplus", x=x)
    (x,) = promoted("softplus", xp, x=x)

    def forward(x: Array) -> Array:
        on = step(xp, x >= 0, x)
        # the product with what infinity cannot reach, as inf * 0 is NaN
        above = xp.maximum(x, scalar(xp, -1, x)) * on
        return xp.log1p(xp.exp(x * (1 - 2 * on))) + above

    return elementwise(xp, forward, x)


def softplus_vjp(dy: Array, x: Array) -> Array:
    xp = array_namespace("softplus_vjp", dy=dy, x=x)
    dy, x = promoted("softplus_vjp", xp, dy=dy, x=x)
    check_gradient("softplus_vjp", dy, x.shape)
    return elementwise(xp, lambda dy, x: dy * logistic(xp, x), dy, x)


softplus_vjp.__doc__ = softplus.__doc__

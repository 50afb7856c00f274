"""Rectifiers: the identity on one side of zero, something smaller on the other."""

from __future__ import annotations

from typing import NamedTuple

from arrayconv.arguments import known_shape, number, suggesting
from arrayconv.namespace import (
    Array,
    Namespace,
    accumulator,
    array_namespace,
    cast,
    floating,
    fused,
    is_floating,
    is_lazy,
    promoted,
    real,
    scalar,
    traits,
)
from arrayconv.ops.activation.elementwise import elementwise, kept, step
from arrayconv.ops.layout import check_gradient, summed


class PReluGradients(NamedTuple):
    """The gradients of the array arguments of `prelu`."""

    dx: Array
    dalpha: Array


def relu(x: Array) -> Array:
    """The larger of ``x`` and 0, element by element.

    Parameters
    ----------
    x : array
        Of any shape; real floating or integer.

    Returns
    -------
    array
        Of the shape and dtype of ``x``; NaN stays NaN.

    Raises
    ------
    TypeError
        If ``x`` is boolean or complex.

    See Also
    --------
    relu_vjp : Its gradient.

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
    """
    xp = array_namespace("relu", x=x)
    real("relu", xp, x=x)
    return fused(xp, lambda x: xp.maximum(x, scalar(xp, 0, x)), x)


def relu_vjp(dy: Array, x: Array) -> Array | None:
    r"""The gradient of ``relu``.

    .. math::

        dx = \begin{cases} 0 & x \le 0 \\ dy & \text{elsewhere} \end{cases}

    At the kink it is 0, as in PyTorch.

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x
        As for ``relu``.

    Returns
    -------
    array or None
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``; ``None`` for an integer
        ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``relu``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    relu : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.relu_vjp(np.asarray([1.0, 2.0, 3.0]), np.asarray([-1.0, 0.0, 5.0]))
    array([0., 0., 3.])
    """
    xp = array_namespace("relu_vjp", dy=dy, x=x)
    if not is_floating(xp, x.dtype):
        real("relu_vjp", xp, x=x)
        return None
    dy, x = promoted("relu_vjp", xp, dy=dy, x=x)
    check_gradient("relu_vjp", dy, x.shape)
    return elementwise(xp, lambda dy, x: kept(xp, ~(x <= 0), dy), dy, x)


@suggesting
def leaky_relu(x: Array, *, negative_slope: float = 0.01) -> Array:
    r"""The identity above 0, a line of another slope below.

    .. math::

        y = \begin{cases} x & x > 0 \\ \alpha \, x & \text{elsewhere} \end{cases}

    where :math:`\alpha` is ``negative_slope``.

    Parameters
    ----------
    x : array
        Of any shape; real floating.
    negative_slope : float
        As PyTorch's; Keras's default is 0.3.

    Returns
    -------
    array
        Of the shape and dtype of ``x``.

    Raises
    ------
    TypeError
        If ``x`` is not real floating, or ``negative_slope`` is no number.

    See Also
    --------
    leaky_relu_vjp : Its gradient.

    Notes
    -----
    A. Maas, A. Hannun and A. Ng, "Rectifier nonlinearities improve neural network acoustic models",
    ICML 2013.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.leaky_relu(np.asarray([-1.0, 0.0, 2.0]), negative_slope=0.5)
    array([-0.5, 0. , 2. ])
    """
    xp, x = floating("leaky_relu", x=x)
    slope = number("leaky_relu", "negative_slope", negative_slope)

    def forward(x: Array) -> Array:
        if 0 < abs(slope) <= 1:
            return xp.maximum(x, x * slope)
        zero = scalar(xp, 0, x)
        # no positive x meets the slope, which might overflow it, or make NaN of infinity
        return xp.maximum(x, zero) + xp.minimum(x, zero) * slope

    return elementwise(xp, forward, x)


@suggesting
def leaky_relu_vjp(dy: Array, x: Array, *, negative_slope: float = 0.01) -> Array:
    r"""The gradient of ``leaky_relu``.

    .. math::

        dx = \begin{cases} dy & x > 0 \\ \alpha \, dy & \text{elsewhere} \end{cases}

    ``alpha`` stands for ``negative_slope``, which the gradient takes at the kink too, as in
    PyTorch.

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x, negative_slope
        As for ``leaky_relu``.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``leaky_relu``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    leaky_relu : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> dy, x = np.asarray([1.0, 2.0, 3.0]), np.asarray([-1.0, 0.0, 5.0])
    >>> ac.leaky_relu_vjp(dy, x, negative_slope=0.5)
    array([0.5, 1. , 3. ])
    """
    xp, dy, x = floating("leaky_relu_vjp", dy=dy, x=x)
    slope = number("leaky_relu_vjp", "negative_slope", negative_slope)
    check_gradient("leaky_relu_vjp", dy, x.shape)

    def backward(dy: Array, x: Array) -> Array:
        above = step(xp, x > 0, x)
        return dy * (above + (1 - above) * slope)

    return elementwise(xp, backward, dy, x)


def prelu(x: Array, alpha: Array) -> Array:
    r"""The identity above 0, a line below whose slope is learned.

    .. math::

        y = \begin{cases} x & x > 0 \\ \alpha \, x & \text{elsewhere} \end{cases}

    Parameters
    ----------
    x : array
        Of any shape; real floating.
    alpha : array
        Slopes; broadcasts against ``x``, so that ``(C,)`` is one per channel of channels_last and
        ``(C, 1, 1)`` of channels_first images.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype.

    Raises
    ------
    TypeError
        If ``x`` or ``alpha`` is not a real floating array.
    ValueError
        If ``alpha`` does not broadcast to the shape of ``x``.

    See Also
    --------
    prelu_vjp : Its gradients.

    Notes
    -----
    K. He et al., "Delving deep into rectifiers", arXiv:1502.01852, equations 1 and 3.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x, alpha = np.asarray([[-1.0, -1.0], [2.0, -3.0]]), np.asarray([0.5, 0.1])
    >>> ac.prelu(x, alpha)
    array([[-0.5, -0.1],
           [ 2. , -0.3]])
    """
    xp, x, alpha = floating("prelu", x=x, alpha=alpha)
    alpha = _slopes("prelu", xp, x, alpha)
    # the product of the negative part alone, since inf * 0 is NaN
    return xp.where(x > 0, x, alpha * xp.minimum(x, scalar(xp, 0, x)))


def prelu_vjp(dy: Array, x: Array, alpha: Array) -> PReluGradients:
    r"""The gradients of ``prelu`` with respect to ``x`` and ``alpha``.

    .. math::

        dx &= \begin{cases} dy & x > 0 \\ \alpha \, dy & \text{elsewhere} \end{cases}

        d\alpha &= \sum_{x \le 0} x \, dy

    The sum runs over the cells that share an ``alpha``.

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x, alpha
        As for ``prelu``.

    Returns
    -------
    PReluGradients
        The named tuple ``(dx, dalpha)``, each gradient of the shape of its argument and in the
        promoted dtype.

    Raises
    ------
    TypeError, ValueError
        As ``prelu``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    prelu : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x, alpha = np.asarray([[-1.0, -1.0], [2.0, -3.0]]), np.asarray([0.5, 0.1])
    >>> dx, dalpha = ac.prelu_vjp(np.ones((2, 2)), x, alpha)
    >>> dx
    array([[0.5, 0.1],
           [1. , 0.1]])
    >>> dalpha
    array([-1., -4.])
    """
    xp, dy, x, alpha = floating("prelu_vjp", dy=dy, x=x, alpha=alpha)
    slopes = _slopes("prelu_vjp", xp, x, alpha)
    check_gradient("prelu_vjp", dy, x.shape)
    # the slope meets nothing of the positive cells, where an infinite dy would make NaN of a zero
    below = xp.where(x > 0, scalar(xp, 0, dy), dy)
    dx = xp.where(x > 0, dy, slopes * below)
    wide = accumulator(xp, x.dtype)
    part = cast(xp, below, wide) * cast(xp, xp.minimum(x, scalar(xp, 0, x)), wide)
    shared = tuple(i for i, n in enumerate(slopes.shape) if n == 1)
    # axes are kept: of arrays without any, NumPy makes scalars
    if traits(xp, part).accelerator and not is_lazy(part):
        # all at once would be few sums, and keep few processors busy
        for axis in shared:
            part = summed(xp, part, axis)
        shared = ()
    total = xp.sum(part, axis=shared, keepdims=True) if shared else part
    return PReluGradients(dx, cast(xp, xp.reshape(total, alpha.shape), x.dtype))


def _slopes(op: str, xp: Namespace, x: Array, alpha: Array) -> Array:
    """``alpha`` with as many axes as ``x``, as JAX's strict rank promotion wants it."""
    shape = (1,) * (x.ndim - alpha.ndim) + tuple(alpha.shape)
    fits = len(shape) == x.ndim and all(a in (1, n) for a, n in zip(shape, x.shape, strict=True))
    if not fits:
        known_shape(op, "x", x.shape)
        raise ValueError(
            f"{op}: alpha must broadcast to the shape of x, {tuple(x.shape)}, got {tuple(alpha.shape)}"
        )
    return xp.reshape(alpha, shape)

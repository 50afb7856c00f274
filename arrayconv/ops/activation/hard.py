"""Piecewise linear stand-ins for the sigmoid and for silu."""

from __future__ import annotations

from arrayconv.arguments import number, suggesting
from arrayconv.namespace import Array, floating, scalar
from arrayconv.ops.activation.elementwise import clipped, elementwise, kept, step
from arrayconv.ops.layout import check_gradient


@suggesting
def hard_sigmoid(x: Array, *, slope: float = 1 / 6, offset: float = 0.5) -> Array:
    r"""A straight line cut off at 0 and 1, in place of the sigmoid.

    .. math::

        y = \min(\max(slope \cdot x + offset, 0), 1)

    Parameters
    ----------
    x : array
        Of any shape; real floating.
    slope, offset : float
        As in PyTorch and Keras 3; ONNX's defaults are 0.2 and 0.5.

    Returns
    -------
    array
        Of the shape and dtype of ``x``; NaN stays NaN.

    Raises
    ------
    TypeError
        If ``x`` is not real floating, or ``slope`` or ``offset`` is no number.

    See Also
    --------
    hard_sigmoid_vjp : Its gradient.

    Notes
    -----
    M. Courbariaux, Y. Bengio and J.-P. David, "BinaryConnect", arXiv:1511.00363, equation 3, with
    another slope.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.hard_sigmoid(np.asarray([-4.0, 0.0, 1.5]))
    array([0. , 0.5 , 0.75])
    """
    xp, x = floating("hard_sigmoid", x=x)
    slope = number("hard_sigmoid", "slope", slope)
    offset = number("hard_sigmoid", "offset", offset)
    return elementwise(xp, lambda x: clipped(xp, x * slope + offset, 0, 1), x)


@suggesting
def hard_sigmoid_vjp(dy: Array, x: Array, *, slope: float = 1 / 6, offset: float = 0.5) -> Array:
    r"""The gradient of ``hard_sigmoid``.

    .. math::

        dx = \begin{cases} slope \cdot dy & 0 < slope \cdot x + offset < 1 \\ 0 & \text{elsewhere} \end{cases}

    At the corners it is 0, as in PyTorch.

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x, slope, offset
        As for ``hard_sigmoid``.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``hard_sigmoid``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    hard_sigmoid : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> dy, x = np.asarray([4.0, 4.0, 4.0]), np.asarray([-2.0, 0.0, 1.5])
    >>> ac.hard_sigmoid_vjp(dy, x, slope=0.25)
    array([0., 1., 1.])
    """
    xp, dy, x = floating("hard_sigmoid_vjp", dy=dy, x=x)
    slope = number("hard_sigmoid_vjp", "slope", slope)
    offset = number("hard_sigmoid_vjp", "offset", offset)
    check_gradient("hard_sigmoid_vjp", dy, x.shape)

    def backward(dy: Array, x: Array) -> Array:
        y = x * slope + offset
        return kept(xp, (y > 0) & (y < 1), dy) * slope

    return elementwise(xp, backward, dy, x)


def hard_swish(x: Array) -> Array:
    r"""The argument times its hard sigmoid, in place of silu.

    .. math::

        y = x \cdot \min(\max(x / 6 + 1 / 2, 0), 1)

    Parameters
    ----------
    x : array
        Of any shape; real floating.

    Returns
    -------
    array
        Of the shape and dtype of ``x``; 0 at minus infinity, the limit (PyTorch gives NaN).

    Raises
    ------
    TypeError
        If ``x`` is not real floating.

    See Also
    --------
    hard_swish_vjp : Its gradient.

    Notes
    -----
    A. Howard et al., "Searching for MobileNetV3", arXiv:1905.02244, section 5.2.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.hard_swish(np.asarray([-4.0, -1.5, 6.0]))
    array([-0. , -0.375, 6. ])
    """
    xp, x = floating("hard_swish", x=x)

    def forward(x: Array) -> Array:
        # the result is 0 from -3 down, where infinity would meet a zero
        x = xp.maximum(x, scalar(xp, -3, x))
        return x * xp.minimum(x * (1 / 6) + 0.5, scalar(xp, 1, x))

    return elementwise(xp, forward, x)


def hard_swish_vjp(dy: Array, x: Array) -> Array:
    r"""The gradient of ``hard_swish``.

    .. math::

        dx = \begin{cases} 0 & x \le -3 \\ (x / 3 + 1 / 2) \, dy & -3 < x < 3 \\ dy & x \ge 3 \end{cases}

    At the corners it is 0 and ``dy``, as in PyTorch.

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x
        As for ``hard_swish``.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``hard_swish``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    hard_swish : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.hard_swish_vjp(np.asarray([2.0, 2.0, 2.0]), np.asarray([-4.0, 0.0, 6.0]))
    array([0., 1., 2.])
    """
    xp, dy, x = floating("hard_swish_vjp", dy=dy, x=x)
    check_gradient("hard_swish_vjp", dy, x.shape)

    def backward(dy: Array, x: Array) -> Array:
        line = clipped(xp, x, -3, 3) * (1 / 3) + 0.5
        between = step(xp, (x > -3) & (x < 3), x)
        return kept(xp, ~(x <= -3), dy) * (line * between + step(xp, x >= 3, x))

    return elementwise(xp, backward, dy, x)

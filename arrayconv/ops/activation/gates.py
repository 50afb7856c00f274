"""The argument times a smooth gate: silu and gelu."""

from __future__ import annotations

import math

from arrayconv.arguments import flag, suggesting
from arrayconv.namespace import Array, floating, scalar
from arrayconv.ops.activation.elementwise import clipped, elementwise
from arrayconv.ops.activation.error_function import normal
from arrayconv.ops.activation.sigmoids import logistic
from arrayconv.ops.layout import check_gradient

# Beyond this the gates are 0 and 1 in every dtype; a gate's own argument stops there, so that neither its square
# nor its cube overflows and infinity meets no zero.
FAR = 1000.0
# Hendrycks and Gimpel, equation 2
CUBIC = 0.044715


def silu(x: Array) -> Array:
    r"""The sigmoid linear unit, also called swish.

    .. math::

        y = \frac{x}{1 + e^{-x}}

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
    silu_vjp : Its gradient.

    Notes
    -----
    D. Hendrycks and K. Gimpel, "Gaussian error linear units", arXiv:1606.08415; P. Ramachandran et
    al., "Searching for activation functions", arXiv:1710.05941.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.silu(np.asarray([-1e4, 0.0, 1e4]))
    array([   -0.,     0., 10000.])
    """
    xp, x = floating("silu", x=x)

    def forward(x: Array) -> Array:
        x = xp.maximum(x, scalar(xp, -FAR, x))
        return x * logistic(xp, x)

    return elementwise(xp, forward, x)


def silu_vjp(dy: Array, x: Array) -> Array:
    r"""The gradient of ``silu``.

    .. math::

        dx = s \, (1 + x (1 - s)) \, dy, \quad s = \frac{1}{1 + e^{-x}}

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x
        As for ``silu``.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``silu``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    silu : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.silu_vjp(np.asarray([2.0, 3.0]), np.asarray([0.0, 1e4]))
    array([1., 3.])
    """
    xp, dy, x = floating("silu_vjp", dy=dy, x=x)
    check_gradient("silu_vjp", dy, x.shape)

    def backward(dy: Array, x: Array) -> Array:
        x = clipped(xp, x, -FAR, FAR)
        s = logistic(xp, x)
        return dy * (s * (x * (1 - s) + 1))

    return elementwise(xp, backward, dy, x)


@suggesting
def gelu(x: Array, *, approximate: bool = False) -> Array:
    r"""The Gaussian error linear unit.

    .. math::

        y = x \, \Phi(x), \quad \Phi(x) = \frac{1 + \operatorname{erf}(x / \sqrt 2)}{2}

    Parameters
    ----------
    x : array
        Of any shape; real floating.
    approximate : bool
        Take :math:`(1 + \tanh(\sqrt{2 / \pi} \, (x + 0.044715 \, x^3))) / 2` for
        :math:`\Phi(x)`: PyTorch's ``"tanh"``, where False is its ``"none"``.

    Returns
    -------
    array
        Of the shape and dtype of ``x``; 0 at minus infinity, the limit (PyTorch gives NaN).

    Raises
    ------
    TypeError
        If ``x`` is not real floating, or ``approximate`` is no bool.

    See Also
    --------
    gelu_vjp : Its gradient.

    Notes
    -----
    D. Hendrycks and K. Gimpel, "Gaussian error linear units", arXiv:1606.08415, section 2.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.gelu(np.asarray([-1.0, 0.0, 2.0])).round(4)
    array([-0.1587, 0. , 1.9545])
    >>> ac.gelu(np.asarray([-1.0, 0.0, 2.0]), approximate=True).round(4)
    array([-0.1588, 0. , 1.9546])
    """
    xp, x = floating("gelu", x=x)
    flag("gelu", "approximate", approximate)

    def forward(x: Array) -> Array:
        x = xp.maximum(x, scalar(xp, -FAR, x))
        near = xp.minimum(x, scalar(xp, FAR, x))
        return x * (logistic(xp, _doubled(near)) if approximate else normal(xp, near))

    return elementwise(xp, forward, x)


@suggesting
def gelu_vjp(dy: Array, x: Array, *, approximate: bool = False) -> Array:
    r"""The gradient of ``gelu``.

    .. math::

        dx = (\Phi(x) + x \, \varphi(x)) \, dy, \quad \varphi(x) = \frac{e^{-x^2 / 2}}{\sqrt{2 \pi}}

    With ``approximate`` it is the exact derivative of the approximation.

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x, approximate
        As for ``gelu``.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``gelu``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    gelu : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.gelu_vjp(np.asarray([2.0, 3.0]), np.asarray([0.0, 1e4]))
    array([1., 3.])
    """
    xp, dy, x = floating("gelu_vjp", dy=dy, x=x)
    flag("gelu_vjp", "approximate", approximate)
    check_gradient("gelu_vjp", dy, x.shape)

    def exact(dy: Array, x: Array) -> Array:
        x = clipped(xp, x, -FAR, FAR)
        density = xp.exp(x * x * -0.5) * (1 / math.sqrt(2 * math.pi))
        return dy * (normal(xp, x) + x * density)

    def approximated(dy: Array, x: Array) -> Array:
        x = clipped(xp, x, -FAR, FAR)
        s = logistic(xp, _doubled(x))
        inner = (x * x * (3 * CUBIC) + 1) * (2 * math.sqrt(2 / math.pi))
        return dy * (s * (x * inner * (1 - s) + 1))

    return elementwise(xp, approximated if approximate else exact, dy, x)


def _doubled(x: Array) -> Array:
    """Return the argument of the sigmoid that ``(1 + tanh(u)) / 2`` is, twice ``u``."""
    return x * (x * x * CUBIC + 1) * (2 * math.sqrt(2 / math.pi))

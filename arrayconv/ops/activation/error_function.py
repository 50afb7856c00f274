"""The error function, which the array API standard does not have."""

from __future__ import annotations

import math
from collections.abc import Sequence

from arrayconv.namespace import Array, Namespace, floating
from arrayconv.ops.activation.elementwise import clipped, elementwise, step
from arrayconv.ops.layout import check_gradient

# Highest power first: erf(x) = x * P(x^2) / Q(x^2) up to 1 ...
INNER_P = (
    9.60497373987051638749e0,
    9.00260197203842689217e1,
    2.23200534594684319226e3,
    7.00332514112805075473e3,
    5.55923013010394962768e4,
)
INNER_Q = (
    1.0,
    3.35617141647503099647e1,
    5.21357949780152679795e2,
    4.59432382970980127987e3,
    2.26290000613890934246e4,
    4.92673942608635921086e4,
)
# ... and erfc(x) = exp(-x^2) * P(x) / Q(x) above, to the last digits up to 8 and to seven digits wherever exp is not 0.
OUTER_P = (
    2.46196981473530512524e-10,
    5.64189564831068821977e-1,
    7.46321056442269912687e0,
    4.86371970985681366614e1,
    1.96520832956077098242e2,
    5.26445194995477358631e2,
    9.34528527171957607540e2,
    1.02755188689515710272e3,
    5.57535335369399327526e2,
)
OUTER_Q = (
    1.0,
    1.32281951154744992508e1,
    8.67072140885989742329e1,
    3.54937778887819891062e2,
    9.75708501743205489753e2,
    1.82390916687909736289e3,
    2.24633760818710981792e3,
    1.65666309194161350182e3,
    5.57535340817727675546e2,
)
# Beyond this erf is 1 and its slope 0 in every dtype; it stops there, so that no square overflows.
FAR = 30.0


def erf(x: Array) -> Array:
    r"""The error function, the integral of a bell curve.

    .. math::

        y = \frac{2}{\sqrt{\pi}} \int_0^x e^{-t^2} dt

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
    erf_vjp : Its gradient.

    Notes
    -----
    Two rational approximations in the form of W. J. Cody, "Rational Chebyshev approximations for the
    error function", Mathematics of Computation 23 (1969), with the coefficients of S. L. Moshier's
    Cephes library (``ndtr.c``, 1988; the second after J. F. Hart et al., "Computer approximations",
    1968, nos. 5705 to 5709).

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.erf(np.asarray([-np.inf, 0.0, 0.5])).round(4)
    array([-1. , 0. , 0.5205])
    """
    xp, x = floating("erf", x=x)

    def forward(x: Array) -> Array:
        x = clipped(xp, x, -FAR, FAR)
        a = xp.abs(x)
        inside = step(xp, a <= 1, x)
        sign = step(xp, x > 0, x) - step(xp, x < 0, x)
        return _inner(x) * inside + (1 - _outer(xp, a)) * sign * (1 - inside)

    return elementwise(xp, forward, x)


def erf_vjp(dy: Array, x: Array) -> Array:
    r"""The gradient of ``erf``.

    .. math::

        dx = \frac{2}{\sqrt{\pi}} \, e^{-x^2} \, dy

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x
        As for ``erf``.

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``erf``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    erf : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.erf_vjp(np.asarray([1.0, 1.0]), np.asarray([0.0, 40.0])).round(4)
    array([1.1284, 0.    ])
    """
    xp, dy, x = floating("erf_vjp", dy=dy, x=x)
    check_gradient("erf_vjp", dy, x.shape)

    def backward(dy: Array, x: Array) -> Array:
        x = clipped(xp, x, -FAR, FAR)
        return dy * (xp.exp(-(x * x)) * (2 / math.sqrt(math.pi)))

    return elementwise(xp, backward, dy, x)


def normal(xp: Namespace, x: Array) -> Array:
    """``(1 + erf(x / sqrt(2))) / 2`` of an array up to a thousand and not half; small values keep their digits."""
    x = x * math.sqrt(0.5)
    a = xp.abs(x)
    inside, above = step(xp, a <= 1, x), step(xp, x >= 0, x)
    # erfc / 2 below zero, and 1 - erfc / 2 above
    outer = above + (0.5 - above) * _outer(xp, a)
    return (_inner(x) * 0.5 + 0.5) * inside + outer * (1 - inside)


def _inner(x: Array) -> Array:
    square = x * x
    return x * (_polynomial(INNER_P, square) / _polynomial(INNER_Q, square))


def _outer(xp: Namespace, a: Array) -> Array:
    return xp.exp(-(a * a)) * (_polynomial(OUTER_P, a) / _polynomial(OUTER_Q, a))


def _polynomial(coefficients: Sequence[float], x: Array) -> Array:
    first, second, *rest = coefficients
    value = (x if first == 1.0 else x * first) + second
    for coefficient in rest:
        value = value * x + coefficient
    return value

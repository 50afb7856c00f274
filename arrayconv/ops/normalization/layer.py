"""Layer normalization: each sample by the statistics of its own features."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from arrayconv.arguments import integer, known_shape, suggesting
from arrayconv.namespace import Array
from arrayconv.ops.normalization.samples import Sets, sample_norm, sample_norm_vjp
from arrayconv.ops.normalization.statistics import NormGradients, check_axes


@suggesting
def layer_norm(
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    axes: int | Sequence[int] = -1,
    eps: float = 1e-5,
) -> Array:
    r"""Mean 0 and variance 1 over some axes of each sample, then scaled and shifted.

    .. math::

        y = \gamma \, \hat x + \beta, \quad \hat x = \frac{x - mean}{\sqrt{var + \epsilon}}

    with the mean and the biased variance over ``axes``.

    Parameters
    ----------
    x : array
        Real floating.
    gamma, beta : array, optional
        Scale and shift of every feature, of the lengths of ``axes`` in the order of ``x``; 1 and 0
        if ``None``. Further axes of length 1 are allowed.
    axes : int or sequence of int
        The axes to normalize over. PyTorch's ``normalized_shape`` is the last ones.
    eps : float
        Added to the variance: 1e-5 as in PyTorch (Keras has 1e-3).

    Returns
    -------
    array
        Of the shape of ``x``, in the promoted dtype of the arguments, computed in at least float32.

    Raises
    ------
    TypeError
        An array that is not real floating, arrays of two libraries, an axis that is not integer, an
        ``eps`` that is no number.
    ValueError
        An axis that ``x`` has not or that comes twice, axes without values, ``gamma`` or ``beta`` of
        another shape, a negative ``eps``.

    See Also
    --------
    layer_norm_vjp : Its gradients.

    Notes
    -----
    J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization", arXiv:1607.06450, equation 4.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([[1.0, 3.0], [0.0, 8.0]])
    >>> ac.layer_norm(x, np.asarray([1.0, 10.0]), eps=0.0)
    array([[-1., 10.],
           [-1., 10.]])
    """
    return sample_norm("layer_norm", x, gamma, beta, eps, partial(_features, axes=axes))


@suggesting
def layer_norm_vjp(
    dy: Array,
    x: Array,
    gamma: Array | None = None,
    beta: Array | None = None,
    *,
    axes: int | Sequence[int] = -1,
    eps: float = 1e-5,
) -> NormGradients:
    r"""The gradients of ``layer_norm`` with respect to ``x``, ``gamma`` and ``beta``.

    .. math::

        dx &= \frac{g - \overline{g} - \hat x \; \overline{g \, \hat x}}{\sqrt{var + \epsilon}}, \quad g = \gamma \, dy

        d\gamma &= \sum dy \, \hat x

        d\beta &= \sum dy

    The means, overlined, run over ``axes``; the sums over the other axes, which share a ``gamma``
    and a ``beta``.

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x, gamma, beta, axes, eps
        As for ``layer_norm``.

    Returns
    -------
    NormGradients
        The named tuple ``(dx, dgamma, dbeta)``, each gradient of the shape of its argument and in
        the promoted dtype; ``None`` for a ``gamma`` or ``beta`` that is ``None``.

    Raises
    ------
    TypeError, ValueError
        As ``layer_norm``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    layer_norm : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x, dy = np.asarray([[1.0, 3.0]]), np.asarray([[16.0, 0.0]])
    >>> dx, dgamma, dbeta = ac.layer_norm_vjp(dy, x, np.ones(2), np.zeros(2), eps=3.0)
    >>> dx
    array([[ 3., -3.]])
    >>> dgamma, dbeta
    (array([-8.,  0.]), array([16.,  0.]))
    """
    return sample_norm_vjp("layer_norm_vjp", dy, x, gamma, beta, eps, partial(_features, axes=axes))


def _features(op: str, x: Array, *, axes: Any) -> Sets:
    given = axes if isinstance(axes, tuple | list) else (axes,)
    known_shape(op, "x", x.shape)
    try:
        chosen = [integer(op, "axes", axis) for axis in given]
    except TypeError:
        raise TypeError(f"{op}: axes expects an int or ints, got {axes!r}") from None
    if not chosen or any(not -x.ndim <= axis < x.ndim for axis in chosen):
        raise ValueError(f"{op}: axes expects axes of x, which has {x.ndim}, got {axes!r}")
    ordered = tuple(sorted({axis % x.ndim for axis in chosen}))
    if len(ordered) < len(chosen):
        raise ValueError(f"{op}: axes expects every axis once, got {axes!r}")
    check_axes(op, x.shape, ordered)
    full = tuple(n if axis in ordered else 1 for axis, n in enumerate(x.shape))
    return Sets(tuple(x.shape), ordered, tuple(x.shape[axis] for axis in ordered), full)

"""Squared and absolute errors."""

from __future__ import annotations

from arrayconv.arguments import suggesting
from arrayconv.namespace import Array
from arrayconv.ops.activation.elementwise import sign
from arrayconv.ops.loss.reduction import LossGradients, arguments, gradients, reduced


@suggesting
def mean_squared_error(y_pred: Array, y_true: Array, *, reduction: str = "mean") -> Array:
    r"""The mean squared error of each sample, then its mean over the batch.

    .. math::

        \ell_n = \frac{1}{M} \sum_m (p_{n,m} - t_{n,m})^2

    for sample ``n`` of ``M`` elements, with ``p`` for ``y_pred`` and ``t`` for ``y_true``.

    Parameters
    ----------
    y_pred : array, shape (N, ...)
        Real floating.
    y_true : array, of the shape of ``y_pred``
        Real floating.
    reduction : {"mean", "sum", "none"}
        The mean or the sum of the samples' values, or one value per sample. ``"mean"`` is
        PyTorch's; its ``"sum"`` adds up elements, and this one samples, as Keras does.

    Returns
    -------
    array, shape () or (N,)
        In the promoted dtype of the arguments, computed in at least float32.

    Raises
    ------
    TypeError
        An array that is not real floating, or arrays of two libraries.
    ValueError
        Two shapes that differ, an empty ``y_pred``, an unknown reduction.

    See Also
    --------
    mean_squared_error_vjp : Its gradients.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> y_pred, y_true = np.asarray([[1.0, 2.0], [3.0, 4.0]]), np.asarray([[1.0, 0.0], [3.0, 3.0]])
    >>> ac.mean_squared_error(y_pred, y_true)
    array(1.25)
    >>> ac.mean_squared_error(y_pred, y_true, reduction="none")
    array([2. , 0.5])
    """
    a = arguments("mean_squared_error", y_pred, y_true, reduction, "values")
    error = a.pred - a.true
    return reduced(a, error * error, reduction)


@suggesting
def mean_squared_error_vjp(
    dy: Array, y_pred: Array, y_true: Array, *, reduction: str = "mean"
) -> LossGradients:
    r"""The gradients of ``mean_squared_error`` with respect to ``y_pred`` and ``y_true``.

    .. math::

        dp = 2 a \, (p - t), \quad dt = -dp

    ``p`` stands for ``y_pred`` and ``t`` for ``y_true``; ``a`` is the part of ``dy`` that falls to an
    element, with ``N`` samples of ``M`` elements: ``dy / (N * M)`` under ``"mean"``, ``dy / M``
    under ``"sum"`` and ``dy[n] / M`` under ``"none"``.

    Parameters
    ----------
    dy : array, shape () or (N,)
        Upstream gradient.
    y_pred, y_true, reduction
        As for ``mean_squared_error``.

    Returns
    -------
    LossGradients
        The named tuple ``(dy_pred, dy_true)``, that is ``(dp, dt)``, of the shapes of ``y_pred``
        and ``y_true`` and in the promoted dtype.

    Raises
    ------
    TypeError, ValueError
        As ``mean_squared_error``; and for a ``dy`` that has not the shape of the result.

    See Also
    --------
    mean_squared_error : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> y_pred, y_true = np.asarray([[1.0, 2.0], [3.0, 4.0]]), np.asarray([[1.0, 0.0], [3.0, 3.0]])
    >>> ac.mean_squared_error_vjp(np.asarray(1.0), y_pred, y_true).dy_pred
    array([[0. , 1. ],
           [0. , 0.5]])
    """
    a = arguments("mean_squared_error_vjp", y_pred, y_true, reduction, "values", dy)
    slope = 2.0 * (a.pred - a.true)
    return gradients(a, y_true, slope, -slope)


@suggesting
def mean_absolute_error(y_pred: Array, y_true: Array, *, reduction: str = "mean") -> Array:
    r"""The mean absolute error of each sample, then its mean over the batch.

    .. math::

        \ell_n = \frac{1}{M} \sum_m |p_{n,m} - t_{n,m}|

    for sample ``n`` of ``M`` elements, with ``p`` for ``y_pred`` and ``t`` for ``y_true``.

    Parameters
    ----------
    y_pred : array, shape (N, ...)
        Real floating.
    y_true : array, of the shape of ``y_pred``
        Real floating.
    reduction : {"mean", "sum", "none"}
        The mean or the sum of the samples' values, or one value per sample. ``"mean"`` is
        PyTorch's; its ``"sum"`` adds up elements, and this one samples, as Keras does.

    Returns
    -------
    array, shape () or (N,)
        In the promoted dtype of the arguments, computed in at least float32.

    Raises
    ------
    TypeError
        An array that is not real floating, or arrays of two libraries.
    ValueError
        Two shapes that differ, an empty ``y_pred``, an unknown reduction.

    See Also
    --------
    mean_absolute_error_vjp : Its gradients.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> y_pred, y_true = np.asarray([[1.0, 2.0], [3.0, 4.0]]), np.asarray([[1.0, 0.0], [3.0, 3.0]])
    >>> ac.mean_absolute_error(y_pred, y_true)
    array(0.75)
    """
    a = arguments("mean_absolute_error", y_pred, y_true, reduction, "values")
    return reduced(a, a.xp.abs(a.pred - a.true), reduction)


@suggesting
def mean_absolute_error_vjp(
    dy: Array, y_pred: Array, y_true: Array, *, reduction: str = "mean"
) -> LossGradients:
    r"""The gradients of ``mean_absolute_error`` with respect to ``y_pred`` and ``y_true``.

    .. math::

        dp = a \, \operatorname{sign}(p - t), \quad dt = -dp

    ``p`` stands for ``y_pred`` and ``t`` for ``y_true``; ``a`` is the part of ``dy`` that falls to an
    element, with ``N`` samples of ``M`` elements: ``dy / (N * M)`` under ``"mean"``, ``dy / M``
    under ``"sum"`` and ``dy[n] / M`` under ``"none"``. The sign of 0 is 0.

    Parameters
    ----------
    dy : array, shape () or (N,)
        Upstream gradient.
    y_pred, y_true, reduction
        As for ``mean_absolute_error``.

    Returns
    -------
    LossGradients
        The named tuple ``(dy_pred, dy_true)``, that is ``(dp, dt)``, of the shapes of ``y_pred``
        and ``y_true`` and in the promoted dtype.

    Raises
    ------
    TypeError, ValueError
        As ``mean_absolute_error``; and for a ``dy`` that has not the shape of the result.

    See Also
    --------
    mean_absolute_error : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> y_pred, y_true = np.asarray([[1.0, 2.0], [3.0, 4.0]]), np.asarray([[1.0, 0.0], [3.0, 5.0]])
    >>> ac.mean_absolute_error_vjp(np.asarray(1.0), y_pred, y_true).dy_pred
    array([[ 0.  ,  0.25],
           [ 0.  , -0.25]])
    """
    a = arguments("mean_absolute_error_vjp", y_pred, y_true, reduction, "values", dy)
    slope = sign(a.xp, a.pred - a.true)
    return gradients(a, y_true, slope, -slope)

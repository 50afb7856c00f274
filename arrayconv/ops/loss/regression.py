"""Squared and absolute errors."""

from __future__ import annotations

from arrayconv.namespace import Array, Namespace
from arrayconv.ops.activation.elementwise import step
from arrayconv.ops.loss.reduction import LossGradients, arguments, gradients, reduced


def mean_squared_error(y_pred: Array, y_true: Array, *, reduction: str = "mean") -> Array:
    """The mean of ``(y_pred - y_true) ** 2`` over each sample, then over the batch.

    ``mean_squared_error_vjp`` returns ``2 * (y_pred - y_true)`` times each element's share of
    ``dy``, and its negative for ``y_true``.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of the result (``mean_squared_error_vjp`` only).
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
        ``mean_squared_error_vjp`` returns ``LossGradients(dy_pred, dy_true)``.

    Raises
    ------
    TypeError
        An array that is not real floating, or arrays of two libraries.
    ValueError
        Two shapes that differ, an empty ``y_pred``, ``dy`` of the wrong shape, an unknown reduction.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> y_pred, y_true = np.asarray([[1.0, 2.0], [3.0, 4.0]]), np.asarray([[1.0, 0.0], [3.0, 3.0]])
    >>> ac.mean_squared_error(y_pred, y_true)
    array(1.25)
    >>> ac.mean_squared_error(y_pred, y_true, reduction="none")
    array([2. , 0.5])
    >>> ac.mean_squared_error_vjp(np.asarray(1.0), y_pred, y_true).dy_pred
    array([[0. , 1. ],
           [0. , 0.5]])
    """
    a = arguments("mean_squared_error", y_pred, y_true, reduction, "values")
    error = a.pred - a.true
    return reduced(a, error * error, reduction)


def mean_squared_error_vjp(
    dy: Array, y_pred: Array, y_true: Array, *, reduction: str = "mean"
) -> LossGradients:
    a = arguments("mean_squared_error_vjp", y_pred, y_true, reduction, "values", dy)
    slope = 2.0 * (a.pred - a.true)
    return gradients(a, y_true, slope, -slope)


mean_squared_error_vjp.__doc__ = mean_squared_error.__doc__


def mean_absolute_error(y_pred: Array, y_true: Array, *, reduction: str = "mean") -> Array:
    """The mean of ``abs(y_pred - y_true)`` over each sample, then over the batch.

    ``mean_absolute_error_vjp`` returns the sign of ``y_pred - y_true``, which is 0 at 0, times each
    element's share of ``dy``, and its negative for ``y_true``.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of the result (``mean_absolute_error_vjp`` only).
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
        ``mean_absolute_error_vjp`` returns ``LossGradients(dy_pred, dy_true)``.

    Raises
    ------
    TypeError
        An array that is not real floating, or arrays of two libraries.
    ValueError
        Two shapes that differ, an empty ``y_pred``, ``dy`` of the wrong shape, an unknown reduction.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> y_pred, y_true = np.asarray([[1.0, 2.0], [3.0, 4.0]]), np.asarray([[1.0, 0.0], [3.0, 3.0]])
    >>> ac.mean_absolute_error(y_pred, y_true)
    array(0.75)
    >>> ac.mean_absolute_error_vjp(np.asarray(1.0), y_pred, y_true).dy_pred
    array([[0.  , 0.25],
           [0.  , 0.25]])
    """
    a = arguments("mean_absolute_error", y_pred, y_true, reduction, "values")
    return reduced(a, a.xp.abs(a.pred - a.true), reduction)


def mean_absolute_error_vjp(
    dy: Array, y_pred: Array, y_true: Array, *, reduction: str = "mean"
) -> LossGradients:
    a = arguments("mean_absolute_error_vjp", y_pred, y_true, reduction, "values", dy)
    slope = _sign(a.xp, a.pred - a.true)
    return gradients(a, y_true, slope, -slope)


mean_absolute_error_vjp.__doc__ = mean_absolute_error.__doc__


def _sign(xp: Namespace, x: Array) -> Array:
    # torch's sign, as the standard has it, writes NaN by a mask, which its vmap cannot
    return xp.where(xp.isnan(x), x, step(xp, x > 0, x) - step(xp, x < 0, x))

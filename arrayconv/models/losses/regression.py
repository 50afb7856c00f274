"""Losses for regression, and other losses that are not cross entropies."""

from __future__ import annotations

import math
from typing import Any

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.arrays import clipped
from arrayconv.models.losses.loss import Loss
from arrayconv.namespace import Array, Namespace, array_namespace, fused, scalar

# As in Keras, norms and probabilities are at least this.
_EPSILON = 1e-7


class MeanSquaredError(Loss):
    """The mean of ``(y_pred - y_true) ** 2`` over all axes but the batch.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.MeanSquaredError()(np.asarray([[1.0, 0.0]]), np.asarray([[0.0, 0.0]])))
    0.5
    """

    name = "mean_squared_error"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return ac.mean_squared_error(y_pred, y_true, reduction="none")

    def gradient(self, dy: Array, y_true: Array, y_pred: Array) -> Array:
        return ac.mean_squared_error_vjp(dy, y_pred, y_true, reduction="none")[0]


class MeanAbsoluteError(Loss):
    """The mean of ``abs(y_pred - y_true)`` over all axes but the batch.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.MeanAbsoluteError()(np.asarray([[1.0, 0.0]]), np.asarray([[0.0, 0.0]])))
    0.5
    """

    name = "mean_absolute_error"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return ac.mean_absolute_error(y_pred, y_true, reduction="none")

    def gradient(self, dy: Array, y_true: Array, y_pred: Array) -> Array:
        return ac.mean_absolute_error_vjp(dy, y_pred, y_true, reduction="none")[0]


class _Averaged(Loss):
    """The mean of `each` over all axes but the batch; `slope` is the derivative of `each` by ``y_pred``."""

    def each(self, xp: Namespace, y: Array, p: Array) -> Array:
        raise NotImplementedError

    def slope(self, xp: Namespace, y: Array, p: Array) -> Array:
        raise NotImplementedError

    def values(self, y_true: Array, y_pred: Array) -> Array:
        xp = array_namespace(self.name, y_pred=y_pred)
        each = self.each(xp, y_true, y_pred)
        axes = tuple(range(1, each.ndim))
        return xp.mean(each, axis=axes) if axes else each

    def gradient(self, dy: Array, y_true: Array, y_pred: Array) -> Array:
        xp = array_namespace(self.name, y_pred=y_pred)
        dy = xp.reshape(dy, (-1,) + (1,) * (y_pred.ndim - 1)) / math.prod(y_pred.shape[1:])
        return dy * self.slope(xp, y_true, y_pred)


class Huber(_Averaged):
    """The Huber loss: quadratic for small errors, linear for large ones.

    With ``e = abs(y_pred - y_true)``: ``e ** 2 / 2`` up to ``delta``, ``delta * (e - delta / 2)`` above; averaged over
    all axes but the batch.

    Parameters
    ----------
    delta : float
        Above 0.

    Notes
    -----
    Huber, "Robust Estimation of a Location Parameter", Annals of Mathematical Statistics 35, 1964.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models.losses import Huber
    >>> float(Huber()(np.asarray([[0.0, 0.0]]), np.asarray([[1.0, 3.0]])))
    1.5
    """

    name = "huber"

    def __init__(self, delta: float = 1.0, **unknown: Any) -> None:
        super().__init__(**unknown)
        self.delta = checks.number("Huber", "delta", delta, above=0)

    def each(self, xp: Namespace, y: Array, p: Array) -> Array:
        delta = self.delta

        def each(y: Array, p: Array) -> Array:
            e = xp.abs(p - y)
            kept = clipped(xp, e, 0.0, delta)
            return kept * (e - kept / 2)

        return fused(xp, each, y, p)

    def slope(self, xp: Namespace, y: Array, p: Array) -> Array:
        delta = self.delta
        return fused(xp, lambda y, p: clipped(xp, p - y, -delta, delta), y, p)


class Hinge(_Averaged):
    """``max(1 - y_true * y_pred, 0)`` for targets -1 and 1, averaged over all axes but the batch.

    If all targets are 0 or 1, each 0 is taken as -1.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models.losses import Hinge
    >>> float(Hinge()(np.asarray([[-1.0], [1.0]]), np.asarray([[0.5], [0.5]])))
    1.0
    """

    name = "hinge"

    def each(self, xp: Namespace, y: Array, p: Array) -> Array:
        y = _signs(xp, y)
        return fused(xp, lambda y, p: clipped(xp, 1 - y * p, 0.0, math.inf), y, p)

    def slope(self, xp: Namespace, y: Array, p: Array) -> Array:
        y = _signs(xp, y)
        return fused(xp, lambda y, p: xp.where(y * p < 1, -y, scalar(xp, 0, y)), y, p)


class KLDivergence(_Averaged):
    """``sum(y_true * log(y_true / y_pred))`` over the last axis, averaged over axes between it and the batch.

    Both are clipped to [1e-7, 1], as in Keras.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models.losses import KLDivergence
    >>> float(KLDivergence()(np.asarray([[1.0, 0.0]]), np.asarray([[0.5, 0.5]])).round(4))
    0.6931
    """

    name = "kl_divergence"

    def each(self, xp: Namespace, y: Array, p: Array) -> Array:
        def each(y: Array, p: Array) -> Array:
            y, p = clipped(xp, y, _EPSILON, 1.0), clipped(xp, p, _EPSILON, 1.0)
            return y * xp.log(y / p)

        return xp.sum(fused(xp, each, y, p), axis=-1)

    def slope(self, xp: Namespace, y: Array, p: Array) -> Array:
        # the mean counts the sum over the last axis once
        counted = p.shape[-1]

        def slope(y: Array, p: Array) -> Array:
            kept = clipped(xp, p, _EPSILON, 1.0)
            slope = -clipped(xp, y, _EPSILON, 1.0) / kept
            return xp.where(kept == p, slope, scalar(xp, 0, p)) * counted

        return fused(xp, slope, y, p)


class CosineSimilarity(_Averaged):
    """Minus the cosine of the angle between the vectors ``y_true`` and ``y_pred`` along the last axis.

    Averaged over axes between it and the batch; 0 where one of the vectors is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models.losses import CosineSimilarity
    >>> float(CosineSimilarity()(np.asarray([[3.0, 0.0]]), np.asarray([[2.0, 0.0]])))
    -1.0
    """

    name = "cosine_similarity"

    def each(self, xp: Namespace, y: Array, p: Array) -> Array:
        return -xp.sum(_unit(xp, y)[0] * _unit(xp, p)[0], axis=-1)

    def slope(self, xp: Namespace, y: Array, p: Array) -> Array:
        y, (p, norm) = _unit(xp, y)[0], _unit(xp, p)
        along = xp.sum(y * p, axis=-1, keepdims=True)
        counted = p.shape[-1]

        def slope(y: Array, p: Array, norm: Array, along: Array) -> Array:
            # shorter vectors are divided by the constant _EPSILON, so that the norm has no gradient
            along = xp.where(norm > _EPSILON, along, 0 * norm)
            return (p * along - y) / clipped(xp, norm, _EPSILON, math.inf) * counted

        return fused(xp, slope, y, p, norm, along)


def _signs(xp: Namespace, y: Array) -> Array:
    """Targets of -1 and 1; if all are 0 or 1, each 0 becomes -1."""
    whole = xp.all(fused(xp, lambda y: (y == 0) | (y == 1), y))
    return fused(xp, lambda whole, y: xp.where(whole, 2 * y - 1, y), whole, y)


def _unit(xp: Namespace, v: Array) -> tuple[Array, Array]:
    """The vectors along the last axis divided by their norms, and the norms."""
    norm = xp.sqrt(xp.sum(v * v, axis=-1, keepdims=True))
    return fused(xp, lambda v, norm: v / clipped(xp, norm, _EPSILON, math.inf), v, norm), norm

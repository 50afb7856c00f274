"""Losses that compare numbers."""

from __future__ import annotations

import math
from typing import Any

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.arrays import clipped
from arrayconv.models.losses.loss import Loss
from arrayconv.namespace import Array, Namespace, array_namespace, fused
from arrayconv.ops.layout import scalar

# Keras keeps norms and probabilities this far from 0.
_EPSILON = 1e-7


class MeanSquaredError(Loss):
    """The mean of ``(y_pred - y_true) ** 2`` over all axes but the first.

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
    """The mean of ``abs(y_pred - y_true)`` over all axes but the first.

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
    """The mean over all axes but the first of what `each` gives; `slope` is its derivative by ``y_pred``."""

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
    """``e ** 2 / 2`` where ``e = abs(y_pred - y_true)`` is at most ``delta``, else ``delta * (e - delta / 2)``.

    The mean over all axes but the first.

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
    """``max(1 - y_true * y_pred, 0)`` for targets -1 and 1, or 0 and 1; the mean over all axes but the first.

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
    """``sum(y_true * log(y_true / y_pred))`` over the last axis, both kept above 1e-7; the mean over the axes between.

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
    """The cosine of the angle between ``y_true`` and ``y_pred`` along the last axis, negated.

    The mean over the axes between; 0 where one of them is 0.

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
            # a vector that is too short to have a direction is scaled by a constant
            along = xp.where(norm > _EPSILON, along, 0 * norm)
            return (p * along - y) / clipped(xp, norm, _EPSILON, math.inf) * counted

        return fused(xp, slope, y, p, norm, along)


def _signs(xp: Namespace, y: Array) -> Array:
    """Targets -1 and 1, also for those of 0 and 1."""
    whole = xp.all(fused(xp, lambda y: (y == 0) | (y == 1), y))
    return fused(xp, lambda whole, y: xp.where(whole, 2 * y - 1, y), whole, y)


def _unit(xp: Namespace, v: Array) -> tuple[Array, Array]:
    """The vectors along the last axis, of length 1, and their lengths before."""
    norm = xp.sqrt(xp.sum(v * v, axis=-1, keepdims=True))
    return fused(xp, lambda v, norm: v / clipped(xp, norm, _EPSILON, math.inf), v, norm), norm

"""Losses that compare numbers."""

from __future__ import annotations

import math

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.losses.loss import Loss
from arrayconv.namespace import Array, array_namespace

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


class Huber(Loss):
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

    def __init__(self, delta: float = 1.0) -> None:
        self.delta = checks.number("Huber", "delta", delta, above=0)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        xp = array_namespace(self.name, y_pred=y_pred)
        e = xp.abs(y_pred - y_true)
        kept = xp.clip(e, None, self.delta)
        return _mean(kept * (e - kept / 2))

    def gradient(self, dy: Array, y_true: Array, y_pred: Array) -> Array:
        xp = array_namespace(self.name, y_pred=y_pred)
        return _spread(dy, y_pred) * xp.clip(y_pred - y_true, -self.delta, self.delta)


class Hinge(Loss):
    """``max(1 - y_true * y_pred, 0)`` for targets -1 and 1, or 0 and 1; the mean over all axes but the first.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models.losses import Hinge
    >>> float(Hinge()(np.asarray([[-1.0], [1.0]]), np.asarray([[0.5], [0.5]])))
    1.0
    """

    name = "hinge"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        xp = array_namespace(self.name, y_pred=y_pred)
        return _mean(xp.clip(1 - _signs(y_true) * y_pred, 0, None))

    def gradient(self, dy: Array, y_true: Array, y_pred: Array) -> Array:
        xp = array_namespace(self.name, y_pred=y_pred)
        y = _signs(y_true)
        return _spread(dy, y_pred) * xp.where(y * y_pred < 1, -y, xp.zeros_like(y))


class KLDivergence(Loss):
    """``sum(y_true * log(y_true / y_pred))`` over the last axis, both kept above 1e-7; the mean over the axes between.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models.losses import KLDivergence
    >>> float(KLDivergence()(np.asarray([[1.0, 0.0]]), np.asarray([[0.5, 0.5]])).round(4))
    0.6931
    """

    name = "kl_divergence"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        xp = array_namespace(self.name, y_pred=y_pred)
        y, p = xp.clip(y_true, _EPSILON, 1), xp.clip(y_pred, _EPSILON, 1)
        return _mean(xp.sum(y * xp.log(y / p), axis=-1))

    def gradient(self, dy: Array, y_true: Array, y_pred: Array) -> Array:
        xp = array_namespace(self.name, y_pred=y_pred)
        y, p = xp.clip(y_true, _EPSILON, 1), xp.clip(y_pred, _EPSILON, 1)
        slopes = xp.where(p == y_pred, -y / p, xp.zeros_like(p))
        return _spread(dy, y_pred) * slopes * y_pred.shape[-1]


class CosineSimilarity(Loss):
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

    def values(self, y_true: Array, y_pred: Array) -> Array:
        xp = array_namespace(self.name, y_pred=y_pred)
        return _mean(-xp.sum(_unit(y_true)[0] * _unit(y_pred)[0], axis=-1))

    def gradient(self, dy: Array, y_true: Array, y_pred: Array) -> Array:
        xp = array_namespace(self.name, y_pred=y_pred)
        y, (p, norm) = _unit(y_true)[0], _unit(y_pred)
        # a vector that is too short to have a direction is scaled by a constant
        along = xp.where(norm > _EPSILON, xp.sum(y * p, axis=-1, keepdims=True), 0 * norm)
        slopes = (p * along - y) / xp.clip(norm, _EPSILON, None)
        return _spread(dy, y_pred) * slopes * y_pred.shape[-1]


def _mean(values: Array) -> Array:
    """The mean over all axes but the first."""
    xp = array_namespace("loss", values=values)
    axes = tuple(range(1, values.ndim))
    return xp.mean(values, axis=axes) if axes else values


def _spread(dy: Array, y_pred: Array) -> Array:
    """The gradient of `_mean` for ``dy``, in a shape that goes with that of ``y_pred``."""
    xp = array_namespace("loss", dy=dy)
    count = math.prod(y_pred.shape[1:])
    return xp.reshape(dy, (-1,) + (1,) * (y_pred.ndim - 1)) / count


def _signs(y: Array) -> Array:
    """Targets -1 and 1, also for those of 0 and 1."""
    xp = array_namespace("hinge", y=y)
    return xp.where(xp.all((y == 0) | (y == 1)), 2 * y - 1, y)


def _unit(v: Array) -> tuple[Array, Array]:
    """The vectors along the last axis, of length 1, and their lengths before."""
    xp = array_namespace("cosine_similarity", v=v)
    norm = xp.sqrt(xp.sum(v * v, axis=-1, keepdims=True))
    return v / xp.clip(norm, _EPSILON, None), norm

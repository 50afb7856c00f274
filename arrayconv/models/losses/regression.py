"""Losses that compare numbers."""

from __future__ import annotations

import arrayconv as ac
from arrayconv.models.losses.loss import Loss
from arrayconv.namespace import Array


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

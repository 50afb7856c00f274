"""The base class of metrics: sums that are added over the batches of an epoch, and their ratio."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from arrayconv.models import checks
from arrayconv.models.arrays import clipped
from arrayconv.models.losses import Loss
from arrayconv.namespace import Array, Namespace, accumulator, array_namespace, cast, is_floating

Ratio = tuple[Array, Array | int]
Terms = tuple[Array, Array | None]


# Arguments of Keras's metrics that these do not take.
_REFUSED = {
    "class_id": "cut y and the output to that class in a metric of your own",
    "dtype": "the dtype of the data decides",
    "from_logits": "the metric takes probabilities: end the model with an activation",
    "multi_label": "all outputs count together",
    "top_k": "TopKCategoricalAccuracy(k) counts the largest outputs",
}


class Metric:
    """Base class of metrics for `compile`; one of your own defines ``terms``, or ``ratio``.

    The metric of an epoch is a sum of numerators over all samples divided by a sum of denominators. Where a mean
    over samples is enough, `compile` also takes a function of ``(y_true, y_pred)`` that returns one value per sample.

    Parameters
    ----------
    name : str, optional
        The name in the history; by default that of the class.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> class Largest(models.Metric):
    ...     name = "largest"
    ...     def terms(self, xp, y_true, y_pred):
    ...         return xp.max(y_pred, axis=-1), None
    >>> float(Largest()(np.zeros((2, 1)), np.asarray([[1.0], [2.0]])))
    1.5
    """

    name: str = "metric"
    # "min" or "max", whichever is better, for callbacks with mode="auto"; None if unknown; "by class" if `result` is
    # an array of a number for each class.
    best: str | None = None

    def __init__(self, name: str | None = None, **unknown: Any) -> None:
        checks.known(type(self).__name__, unknown, _REFUSED, type(self), Metric)
        if name is not None:
            self.name = name

    def terms(self, xp: Namespace, y_true: Array, y_pred: Array) -> Terms:
        """Numerators and denominators per sample, each of shape (N, ...); ``None`` for denominators of 1."""
        raise NotImplementedError(f"{type(self).__name__} must define terms or ratio")

    def ratio(self, xp: Namespace, y_true: Array, y_pred: Array) -> Ratio:
        """The numerator and the denominator of a batch: by default the sums of `terms`."""
        tops, bottoms = self.terms(xp, y_true, y_pred)
        dtype = accumulator(xp, y_pred.dtype)
        top = xp.sum(_numbers(xp, tops, dtype))
        if bottoms is None:
            return top, math.prod(tops.shape)
        return top, xp.sum(_numbers(xp, bottoms, dtype))

    @property
    def weighs(self) -> bool:
        """Whether the metric supports sample weights."""
        own = type(self)
        return own.terms is not Metric.terms or own.sums is not Metric.sums

    def size(self, shape: tuple[int, ...]) -> int:
        """How many numbers `sums` returns for an output of this shape, without the batch axis."""
        return 2

    def sums(
        self, xp: Namespace, y_true: Array, y_pred: Array, weight: Array | None
    ) -> list[Array | int]:
        """The sums of a batch, arrays with at most one axis, which are added over an epoch.

        With ``weight``, shape (N,), each sample is multiplied by its weight.
        """
        if weight is None:
            return list(self.ratio(xp, y_true, y_pred))
        tops, bottoms = self.terms(xp, y_true, y_pred)
        dtype = accumulator(xp, y_pred.dtype)
        if tuple(tops.shape[:1]) != tuple(weight.shape):
            raise ValueError(
                f"{self.name}: a weighted metric needs a number per sample, shape ({weight.shape[0]}, ...), "
                f"got {tuple(tops.shape)}"
            )
        shares = xp.reshape(_numbers(xp, weight, dtype), (-1,) + (1,) * (tops.ndim - 1))
        counts = xp.ones_like(tops, dtype=dtype) if bottoms is None else bottoms
        return [xp.sum(_numbers(xp, part, dtype) * shares) for part in (tops, counts)]

    def result(self, sums: NDArray[Any]) -> Any:
        """The metric of an epoch, from the total of its `sums`; 0 if the denominator is 0."""
        top, bottom = sums
        return float(top / bottom) if bottom else 0.0

    def __call__(self, y_true: Array, y_pred: Array) -> Array:
        """The metric of one batch; 0 if the denominator is 0."""
        xp = array_namespace(self.name, y_true=y_true, y_pred=y_pred)
        top, bottom = self.ratio(xp, y_true, y_pred)
        return top / (bottom if isinstance(bottom, int) else clipped(xp, bottom, 1e-30, math.inf))


class OfLoss(Metric):
    """The mean of a loss, such as ``"mae"`` beside the loss ``"mse"``."""

    best = "min"

    def __init__(self, loss: Loss, name: str) -> None:
        super().__init__(name)
        self.loss = loss

    def terms(self, xp: Namespace, y_true: Array, y_pred: Array) -> Terms:
        return self.loss.values(self.loss.targets(xp, y_true, y_pred), y_pred), None


class OfFunction(Metric):
    """The mean of the values that a user's function returns."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(getattr(function, "__name__", type(function).__name__))
        self.function = function

    def terms(self, xp: Namespace, y_true: Array, y_pred: Array) -> Terms:
        values = self.function(y_true, y_pred)
        if not hasattr(values, "shape") or not hasattr(values, "dtype"):
            values = xp.asarray(values)
        if not is_floating(xp, values.dtype):
            values = xp.astype(values, y_pred.dtype)
        return values, None


def _numbers(xp: Namespace, values: Array, dtype: Any) -> Array:
    return xp.astype(values, dtype) if xp.isdtype(values.dtype, "bool") else cast(xp, values, dtype)

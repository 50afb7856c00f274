"""Scores of classifiers: precision, recall, F1 and the area under a curve."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv import arguments
from arrayconv.models import checks
from arrayconv.models.losses.loss import aligned
from arrayconv.models.metrics.metric import Metric, Terms
from arrayconv.namespace import (
    Array,
    Namespace,
    accumulator,
    array_namespace,
    cast,
    placement,
    to_numpy,
)


class Precision(Metric):
    """The fraction of outputs above ``thresholds`` whose target is 1: ``tp / (tp + fp)``.

    Parameters
    ----------
    thresholds : float
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.Precision()(np.asarray([1, 0, 1]), np.asarray([[0.9], [0.8], [0.1]])))
    0.5
    """

    name, best = "precision", "max"

    def __init__(
        self, thresholds: float | None = None, name: str | None = None, **unknown: Any
    ) -> None:
        super().__init__(name, **unknown)
        self.thresholds = checks.number(
            type(self).__name__, "thresholds", 0.5 if thresholds is None else thresholds
        )

    def terms(self, xp: Namespace, y_true: Array, y_pred: Array) -> Terms:
        found, wanted = y_pred > self.thresholds, aligned(self.name, xp, y_true, y_pred) > 0.5
        return found & wanted, self._among(found, wanted)

    def _among(self, found: Array, wanted: Array) -> Array:
        return found


class Recall(Precision):
    """The fraction of targets of 1 whose output is above ``thresholds``: ``tp / (tp + fn)``.

    Parameters
    ----------
    thresholds : float
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.Recall()(np.asarray([1, 0, 1]), np.asarray([[0.9], [0.8], [0.1]])))
    0.5
    """

    name = "recall"

    def _among(self, found: Array, wanted: Array) -> Array:
        return wanted


# The height of the curve between two thresholds, by AUC's summation_method.
_HEIGHTS: dict[str, Callable[..., NDArray[Any]]] = {
    "interpolation": lambda a, b: (a + b) / 2,
    "majoring": np.maximum,
    "minoring": np.minimum,
}


_CURVES = {"PR": "PR", "ROC": "ROC", "pr": "PR", "roc": "ROC"}


class _Counted(Metric):
    """A metric computed from more sums than one numerator and one denominator."""

    best = "max"

    def __call__(self, y_true: Array, y_pred: Array) -> Any:
        """The metric of one batch, as `result` gives it."""
        xp = array_namespace(self.name, y_true=y_true, y_pred=y_pred)
        sums = self.sums(xp, y_true, y_pred, None)
        return self.result(np.concatenate([to_numpy(part) for part in sums]))


class AUC(_Counted):
    """The area under the ROC or the precision-recall curve, approximated with evenly spaced thresholds in [0, 1].

    Parameters
    ----------
    num_thresholds : int
        At least 2.
    curve : {"ROC", "PR"}
        The true positive rate over the false positive rate, or precision over recall.
    summation_method : {"interpolation", "minoring", "majoring"}
        What the curve is between two thresholds: interpolated, or the smaller or the larger of its two values.
    name : str, optional

    Notes
    -----
    The ROC curve is interpolated linearly, and the precision-recall curve as in Davis and Goadrich, "The
    Relationship Between Precision-Recall and ROC Curves", ICML 2006.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models.metrics import AUC
    >>> AUC()(np.asarray([0, 0, 1, 1]), np.asarray([[0.0], [0.5], [0.3], [0.9]]))
    0.75
    """

    name = "auc"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(name, **unknown)
        self.num_thresholds = checks.count("AUC", "num_thresholds", num_thresholds, least=2)
        self.curve = checks.choice("AUC", "curve", curve, _CURVES)
        checks.choice("AUC", "summation_method", summation_method, _HEIGHTS)
        self.summation_method = summation_method

    def size(self, shape: tuple[int, ...]) -> int:
        return 2 * self.num_thresholds + 2

    def sums(
        self, xp: Namespace, y_true: Array, y_pred: Array, weight: Array | None
    ) -> list[Array | int]:
        dtype = accumulator(xp, y_pred.dtype)
        y = xp.astype(aligned(self.name, xp, y_true, y_pred) > 0.5, dtype)
        shares = _shares(xp, weight, y)
        # the outer ones lie outside [0, 1], so that outputs of exactly 0 and 1 are on the right side
        at = np.linspace(0, 1, self.num_thresholds)
        at[0], at[-1] = -1e-7, 1 + 1e-7
        thresholds = xp.asarray(at[None, :], dtype=dtype, **placement(y_pred))
        flat = cast(xp, xp.reshape(y_pred, (-1, 1)), dtype)
        found = xp.astype(flat > thresholds, dtype)
        ones, zeros = (xp.reshape(part, (-1, 1)) for part in (y * shares, (1 - y) * shares))
        return [
            xp.sum(found * ones, axis=0),
            xp.sum(found * zeros, axis=0),
            xp.reshape(xp.sum(ones), (1,)),
            xp.reshape(xp.sum(zeros), (1,)),
        ]

    def result(self, sums: NDArray[Any]) -> float:
        count = self.num_thresholds
        true, false = (sums[:count].astype(np.float64), sums[count:-2].astype(np.float64))
        ones, zeros = map(float, sums[-2:])
        found = true + false
        x, y = (
            (false / (zeros or 1.0), true / (ones or 1.0))
            if self.curve == "ROC"
            else (true / (ones or 1.0), _ratio(true, found))
        )
        if (self.curve, self.summation_method) != ("PR", "interpolation"):
            heights = _HEIGHTS[self.summation_method](y[:-1], y[1:])
            return float(np.sum((x[:-1] - x[1:]) * heights))
        steps, falls = true[:-1] - true[1:], found[:-1] - found[1:]
        slope = _ratio(steps, falls)
        both = (found[:-1] > 0) & (found[1:] > 0)
        ratio = np.divide(found[:-1], found[1:], out=np.ones_like(falls), where=both)
        areas = slope * (steps + (true[1:] - slope * found[1:]) * np.log(ratio))
        return float(np.sum(areas) / (ones or 1.0))


class F1Score(_Counted):
    """The F1 score, ``2 * tp / (2 * tp + fp + fn)``, of each class of one-hot targets, or averaged over them.

    Parameters
    ----------
    average : {None, "macro", "micro", "weighted"}
        ``None`` gives an array of one score per class, of which progress and plots show the mean; "macro" is the
        mean, "weighted" the mean weighted by the classes' frequencies; "micro" adds up the counts of all classes
        first.
    threshold : float, optional
        Outputs above it are positive; by default the largest along the axis is.
    name : str, optional

    Raises
    ------
    ValueError
        If ``average`` is another value; from ``fit``, if a callback monitors a score per class.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models.metrics import F1Score
    >>> F1Score("micro")(np.eye(2), np.asarray([[0.2, 0.8], [0.3, 0.7]]))
    0.5
    """

    name = "f1_score"

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        super().__init__(name, **unknown)
        arguments.choice("F1Score", "average", average, (None, "macro", "micro", "weighted"))
        self.average = average
        if average is None:
            self.best = "by class"
        if threshold is not None:
            checks.number("F1Score", "threshold", threshold)
        self.threshold = threshold

    def size(self, shape: tuple[int, ...]) -> int:
        return 3 * shape[-1]

    def sums(
        self, xp: Namespace, y_true: Array, y_pred: Array, weight: Array | None
    ) -> list[Array | int]:
        dtype = accumulator(xp, y_pred.dtype)
        y = cast(xp, aligned(self.name, xp, y_true, y_pred), dtype)
        found = (
            y_pred == xp.max(y_pred, axis=-1, keepdims=True)
            if self.threshold is None
            else y_pred > self.threshold
        )
        yes = xp.astype(found, dtype)
        shares = _shares(xp, weight, y)
        axes = tuple(range(y.ndim - 1))
        return [xp.sum(part * shares, axis=axes) for part in (y * yes, yes, y)]

    def result(self, sums: NDArray[Any]) -> Any:
        true, found, wanted = sums.astype(np.float64).reshape(3, -1)
        if self.average == "micro":
            true, found, wanted = (part.sum(keepdims=True) for part in (true, found, wanted))
        scores = _ratio(2 * true, found + wanted)
        if self.average is None:
            return scores
        if self.average == "weighted":
            total = wanted.sum()
            return float((scores * wanted).sum() / total) if total else 0.0
        return float(scores.mean())


def _ratio(top: NDArray[Any], bottom: NDArray[Any]) -> NDArray[Any]:
    """``top / bottom``, and 0 where ``bottom`` is not positive."""
    found: NDArray[Any] = np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
    return found


def _shares(xp: Namespace, weight: Array | None, like: Array) -> Array:
    """The sample weights, by default ones, in the shape of ``like``."""
    ones = xp.ones_like(like)
    if weight is None:
        return ones
    return ones * xp.reshape(cast(xp, weight, like.dtype), (-1,) + (1,) * (like.ndim - 1))

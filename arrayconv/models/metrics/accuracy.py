"""Accuracies: the fraction of correct outputs."""

from __future__ import annotations

from typing import Any

from arrayconv.models import checks
from arrayconv.models.losses.loss import aligned, class_numbers
from arrayconv.models.metrics.metric import Metric, Terms
from arrayconv.namespace import Array, Namespace


class Accuracy(Metric):
    """The accuracy that fits the shapes; the metric named ``"accuracy"``.

    `BinaryAccuracy` if the output's last axis has length 1; otherwise `SparseCategoricalAccuracy` for class
    numbers and `CategoricalAccuracy` for one-hot targets.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.Accuracy()(np.asarray([1, 0]), np.asarray([[0.2, 0.8], [0.3, 0.7]])))
    0.5
    """

    name, best = "accuracy", "max"

    def terms(self, xp: Namespace, y_true: Array, y_pred: Array) -> Terms:
        chosen = _ONE_HOT
        if y_pred.shape[-1] == 1:
            chosen = _BINARY
        elif y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1:
            chosen = _NUMBERED
        return chosen.terms(xp, y_true, y_pred)


class BinaryAccuracy(Metric):
    """The fraction of outputs that are above ``threshold`` where the target is 1, and not above it where it is 0.

    Parameters
    ----------
    name : str, optional
    threshold : float

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.BinaryAccuracy()(np.asarray([1, 0]), np.asarray([[0.9], [0.7]])))
    0.5
    """

    name, best = "binary_accuracy", "max"

    def __init__(self, name: str | None = None, threshold: float = 0.5, **unknown: Any) -> None:
        super().__init__(name, **unknown)
        self.threshold = checks.number(type(self).__name__, "threshold", threshold)

    def terms(self, xp: Namespace, y_true: Array, y_pred: Array) -> Terms:
        above = xp.astype(y_pred > self.threshold, y_pred.dtype)
        return above == aligned(self.name, xp, y_true, y_pred), None


class CategoricalAccuracy(Metric):
    """The fraction of samples whose largest output is at the class of the one-hot target.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.CategoricalAccuracy()(np.eye(2), np.asarray([[0.2, 0.8], [0.3, 0.7]])))
    0.5
    """

    name, best = "categorical_accuracy", "max"

    def terms(self, xp: Namespace, y_true: Array, y_pred: Array) -> Terms:
        _check_one_hot(type(self).name, y_true, y_pred)
        return xp.argmax(y_true, axis=-1) == xp.argmax(y_pred, axis=-1), None


class SparseCategoricalAccuracy(Metric):
    """The fraction of samples whose largest output is at the target, a class number.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.SparseCategoricalAccuracy()(np.asarray([1, 0]), np.asarray([[0.2, 0.8], [0.3, 0.7]])))
    0.5
    """

    name, best = "sparse_categorical_accuracy", "max"

    def terms(self, xp: Namespace, y_true: Array, y_pred: Array) -> Terms:
        labels = _numbers(xp, type(self).name, y_true, y_pred)
        found = xp.argmax(y_pred, axis=-1)
        return found == xp.astype(labels, found.dtype), None


# what `Accuracy` chooses from
_BINARY: Metric = BinaryAccuracy()
_ONE_HOT: Metric = CategoricalAccuracy()
_NUMBERED: Metric = SparseCategoricalAccuracy()


class SparseTopKCategoricalAccuracy(Metric):
    """The fraction of samples whose target, a class number, is among the ``k`` largest outputs.

    Outputs equal to that of the target do not count as larger.

    Parameters
    ----------
    k : int
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.SparseTopKCategoricalAccuracy(k=2)(np.asarray([0]), np.asarray([[0.2, 0.7, 0.1]])))
    1.0
    """

    name, best = "sparse_top_k_categorical_accuracy", "max"

    def __init__(self, k: int = 5, name: str | None = None, **unknown: Any) -> None:
        super().__init__(name, **unknown)
        self.k = checks.count(type(self).__name__, "k", k)

    def terms(self, xp: Namespace, y_true: Array, y_pred: Array) -> Terms:
        labels = xp.astype(_numbers(xp, type(self).name, y_true, y_pred), xp.int32)[..., None]
        ones = xp.ones_like(y_pred, dtype=xp.int32)
        classes = xp.cumulative_sum(ones, axis=-1, dtype=xp.int32) - 1
        own = xp.sum(xp.where(classes == labels, y_pred, 0 * y_pred), axis=-1, keepdims=True)
        above = xp.sum(xp.astype(y_pred > own, xp.int32), axis=-1)
        return above < self.k, None


class TopKCategoricalAccuracy(SparseTopKCategoricalAccuracy):
    """`SparseTopKCategoricalAccuracy` for one-hot targets.

    Parameters
    ----------
    k : int
    name : str, optional

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.TopKCategoricalAccuracy(k=2)(np.asarray([[0, 0, 1]]), np.asarray([[0.2, 0.7, 0.1]])))
    0.0
    """

    name = "top_k_categorical_accuracy"

    def terms(self, xp: Namespace, y_true: Array, y_pred: Array) -> Terms:
        _check_one_hot(type(self).name, y_true, y_pred)
        return super().terms(xp, xp.argmax(y_true, axis=-1), y_pred)


def _check_one_hot(name: str, y_true: Array, y_pred: Array) -> None:
    """Raise ``ValueError`` unless the targets have the shape of the outputs."""
    shape, wanted = tuple(y_true.shape), tuple(y_pred.shape)
    if shape != wanted:
        sparse = shape in (wanted[:-1], (*wanted[:-1], 1))
        hint = f"; for labels that are numbers of classes use 'sparse_{name}'" if sparse else ""
        raise ValueError(
            f"{name}: y must have the shape of the output, {wanted}, got {shape}{hint}"
        )


def _numbers(xp: Namespace, name: str, y_true: Array, y_pred: Array) -> Array:
    return class_numbers(name, xp, y_true, y_pred, repr(name.removeprefix("sparse_")))

"""Metrics by Keras's names: each a numerator and a denominator, which add up over the batches of an epoch."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from arrayconv.models_old.losses import LOSSES, Loss, aligned, class_numbers
from arrayconv.models_old.names import lookup
from arrayconv.namespace import Array, Namespace, accumulator, array_namespace, is_floating

Ratio = tuple[Array, Array | int]


class Metric:
    """What `compile` takes in ``metrics``; one of your own gives ``ratio``.

    A plain function of ``(y_true, y_pred)`` that returns one value per sample does as well: its mean
    is shown under its name.

    Parameters
    ----------
    name : str, optional
        Under which results are shown; the metric's own if not given.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> class Largest(models.Metric):
    ...     name = "largest"
    ...     def ratio(self, xp, y_true, y_pred):
    ...         return xp.sum(xp.max(y_pred, axis=-1)), y_pred.shape[0]
    >>> float(Largest()(np.zeros((2, 1)), np.asarray([[1.0], [2.0]])))
    1.5
    """

    name: str = "metric"
    # Which way is better, for callbacks with mode="auto"; None where nobody can know.
    best: str | None = None

    def __init__(self, name: str | None = None) -> None:
        if name is not None:
            self.name = name

    def ratio(self, xp: Namespace, y_true: Array, y_pred: Array) -> Ratio:
        """The batch's numerator and denominator."""
        raise NotImplementedError(f"{type(self).__name__} must define ratio")

    def __call__(self, y_true: Array, y_pred: Array) -> Array:
        """The metric of one batch; 0 where the denominator is."""
        xp = array_namespace(self.name, y_true=y_true, y_pred=y_pred)
        top, bottom = self.ratio(xp, y_true, y_pred)
        return top / (bottom if isinstance(bottom, int) else xp.clip(bottom, 1e-30, None))


class Accuracy(Metric):
    """`BinaryAccuracy` for outputs of one channel, else `SparseCategoricalAccuracy` for targets
    without the axis of classes, else `CategoricalAccuracy`: what the name ``"accuracy"`` means.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.Accuracy()(np.asarray([1, 0]), np.asarray([[0.2, 0.8], [0.3, 0.7]])))
    0.5
    """

    name, best = "accuracy", "max"

    def ratio(self, xp: Namespace, y_true: Array, y_pred: Array) -> Ratio:
        chosen: Metric = CategoricalAccuracy()
        if y_pred.shape[-1] == 1:
            chosen = BinaryAccuracy()
        elif y_true.ndim < y_pred.ndim or y_true.shape[-1] == 1:
            chosen = SparseCategoricalAccuracy()
        return chosen.ratio(xp, y_true, y_pred)


class BinaryAccuracy(Metric):
    """The share of outputs on the right side of ``threshold``.

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

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = threshold

    def ratio(self, xp: Namespace, y_true: Array, y_pred: Array) -> Ratio:
        above = xp.astype(y_pred > self.threshold, y_pred.dtype)
        return _share(xp, above == aligned(self.name, xp, y_true, y_pred), y_pred)


class CategoricalAccuracy(Metric):
    """The share of samples whose largest output is where the largest of the one-hot target is.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.CategoricalAccuracy()(np.eye(2), np.asarray([[0.2, 0.8], [0.3, 0.7]])))
    0.5
    """

    name, best = "categorical_accuracy", "max"

    def ratio(self, xp: Namespace, y_true: Array, y_pred: Array) -> Ratio:
        _check_one_hot(type(self).name, y_true, y_pred)
        return _share(xp, xp.argmax(y_true, axis=-1) == xp.argmax(y_pred, axis=-1), y_pred)


class SparseCategoricalAccuracy(Metric):
    """The share of samples whose largest output is at the target, the number of a class.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.SparseCategoricalAccuracy()(np.asarray([1, 0]), np.asarray([[0.2, 0.8], [0.3, 0.7]])))
    0.5
    """

    name, best = "sparse_categorical_accuracy", "max"

    def ratio(self, xp: Namespace, y_true: Array, y_pred: Array) -> Ratio:
        labels = _numbers(xp, type(self).name, y_true, y_pred)
        found = xp.argmax(y_pred, axis=-1)
        return _share(xp, found == xp.astype(labels, found.dtype), y_pred)


class SparseTopKCategoricalAccuracy(Metric):
    """The share of samples with fewer than ``k`` outputs above that of the target, the number of a class.

    Parameters
    ----------
    name : str, optional
    k : int

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.SparseTopKCategoricalAccuracy(k=2)(np.asarray([0]), np.asarray([[0.2, 0.7, 0.1]])))
    1.0
    """

    name, best = "sparse_top_k_categorical_accuracy", "max"

    def __init__(self, name: str | None = None, k: int = 5) -> None:
        super().__init__(name)
        self.k = k

    def ratio(self, xp: Namespace, y_true: Array, y_pred: Array) -> Ratio:
        labels = xp.astype(_numbers(xp, type(self).name, y_true, y_pred), xp.int32)[..., None]
        ones = xp.ones_like(y_pred, dtype=xp.int32)
        classes = xp.cumulative_sum(ones, axis=-1, dtype=xp.int32) - 1
        own = xp.sum(xp.where(classes == labels, y_pred, 0 * y_pred), axis=-1, keepdims=True)
        above = xp.sum(xp.astype(y_pred > own, xp.int32), axis=-1)
        return _share(xp, above < self.k, y_pred)


class TopKCategoricalAccuracy(SparseTopKCategoricalAccuracy):
    """`SparseTopKCategoricalAccuracy` for one-hot targets.

    Parameters
    ----------
    name : str, optional
    k : int

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.TopKCategoricalAccuracy(k=2)(np.asarray([[0, 0, 1]]), np.asarray([[0.2, 0.7, 0.1]])))
    0.0
    """

    name = "top_k_categorical_accuracy"

    def ratio(self, xp: Namespace, y_true: Array, y_pred: Array) -> Ratio:
        _check_one_hot(type(self).name, y_true, y_pred)
        return super().ratio(xp, xp.argmax(y_true, axis=-1), y_pred)


class Precision(Metric):
    """Of the outputs above ``threshold``, the share whose target is 1.

    Parameters
    ----------
    name : str, optional
    threshold : float

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.Precision()(np.asarray([1, 0, 1]), np.asarray([[0.9], [0.8], [0.1]])))
    0.5
    """

    name, best = "precision", "max"

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = threshold

    def ratio(self, xp: Namespace, y_true: Array, y_pred: Array) -> Ratio:
        found, wanted = y_pred > self.threshold, aligned(self.name, xp, y_true, y_pred) > 0.5
        asked = self._among(found, wanted)
        return _count(xp, found & wanted, y_pred), _count(xp, asked, y_pred)

    def _among(self, found: Array, wanted: Array) -> Array:
        return found


class Recall(Precision):
    """Of the targets that are 1, the share whose output is above ``threshold``.

    Parameters
    ----------
    name : str, optional
    threshold : float

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


class _OfLoss(Metric):
    """The mean of a loss, such as ``"mae"`` beside the loss ``"mse"``."""

    best = "min"

    def __init__(self, loss: Loss, name: str) -> None:
        super().__init__(name)
        self.loss = loss

    def ratio(self, xp: Namespace, y_true: Array, y_pred: Array) -> Ratio:
        values = self.loss.values(self.loss.targets(xp, y_true, y_pred), y_pred)
        return xp.sum(values), int(values.shape[0])


class _OfFunction(Metric):
    """The mean of what a user's function returns."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__(getattr(function, "__name__", type(function).__name__))
        self.function = function

    def ratio(self, xp: Namespace, y_true: Array, y_pred: Array) -> Ratio:
        values = self.function(y_true, y_pred)
        if not hasattr(values, "shape") or not hasattr(values, "dtype"):
            values = xp.asarray(values)
        if not is_floating(xp, values.dtype):
            values = xp.astype(values, y_pred.dtype)
        return xp.sum(values), math.prod(values.shape)


_BY_NAME: dict[str, Callable[..., Any]] = {
    **{
        kind.name: kind
        for kind in (
            Accuracy,
            BinaryAccuracy,
            CategoricalAccuracy,
            SparseCategoricalAccuracy,
            SparseTopKCategoricalAccuracy,
            TopKCategoricalAccuracy,
            Precision,
            Recall,
        )
    },
    "acc": Accuracy,
}


def metric(value: Any) -> Metric:
    """The metric that ``value``, a name, a `Metric`, a `Loss` or a function, stands for."""
    if isinstance(value, type) and issubclass(value, Metric | Loss):
        value = value()
    if isinstance(value, Metric):
        return value
    if isinstance(value, Loss):
        return _OfLoss(value, value.name)
    if callable(value):
        return _OfFunction(value)
    name = value.lower() if isinstance(value, str) else value
    known: dict[str, Callable[..., Any]] = {**_BY_NAME, **LOSSES}
    found = lookup("compile", "metrics", name, known)
    return _OfLoss(found(), value) if name in LOSSES else found(value)


def _check_one_hot(name: str, y_true: Array, y_pred: Array) -> None:
    """Raise ``ValueError`` unless the targets have the outputs' shape."""
    shape, wanted = tuple(y_true.shape), tuple(y_pred.shape)
    if shape != wanted:
        sparse = shape in (wanted[:-1], (*wanted[:-1], 1))
        hint = f"; for labels that are numbers of classes use 'sparse_{name}'" if sparse else ""
        raise ValueError(
            f"{name}: y must have the shape of the output, {wanted}, got {shape}{hint}"
        )


def _numbers(xp: Namespace, name: str, y_true: Array, y_pred: Array) -> Array:
    return class_numbers(name, xp, y_true, y_pred, repr(name.removeprefix("sparse_")))


def _count(xp: Namespace, true: Array, like: Array) -> Array:
    """How many are true, in at least float32."""
    return xp.sum(xp.astype(true, accumulator(xp, like.dtype)))


def _share(xp: Namespace, true: Array, like: Array) -> Ratio:
    return _count(xp, true, like), math.prod(true.shape)

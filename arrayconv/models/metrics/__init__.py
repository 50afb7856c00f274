"""Metrics by Keras's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from arrayconv.models import checks
from arrayconv.models.losses import LOSSES, Loss
from arrayconv.models.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from arrayconv.models.metrics.metric import Metric, OfFunction, OfLoss
from arrayconv.models.metrics.scores import Precision, Recall

__all__ = [
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "Metric",
    "Precision",
    "Recall",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
]

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
        return OfLoss(value, value.name)
    if callable(value):
        return OfFunction(value)
    name = value.lower() if isinstance(value, str) else value
    known: dict[str, Callable[..., Any]] = {**_BY_NAME, **LOSSES}
    found = checks.choice("compile", "metrics", name, known)
    return OfLoss(found(), value) if name in LOSSES else found(value)

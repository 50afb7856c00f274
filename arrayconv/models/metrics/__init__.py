"""Metrics by Keras's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from arrayconv.models import checks, losses
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
from arrayconv.models.metrics.scores import AUC, F1Score, Precision, Recall

__all__ = [
    "AUC",
    "Accuracy",
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "F1Score",
    "Metric",
    "Precision",
    "Recall",
    "SparseCategoricalAccuracy",
    "SparseTopKCategoricalAccuracy",
    "TopKCategoricalAccuracy",
]

_BY_NAME: dict[str, Callable[..., Any]] = {"acc": Accuracy} | {
    kind.name: kind for kind in map(globals().__getitem__, __all__) if kind is not Metric
}

# Losses are metrics too, but Keras's metric CosineSimilarity is the negative of the loss.
_LOSSES = {kind.__name__: kind for kind in LOSSES.values() if kind is not losses.CosineSimilarity}


def get(identifier: Any) -> Metric:
    """A metric from a name, a `Metric`, a `Loss`, one of their classes, or a function."""
    return of("metrics.get", "identifier", identifier)


def of(label: str, argument: str, value: Any) -> Metric:
    """The same as `get` for an argument of the function ``label``."""
    if isinstance(value, type) and issubclass(value, Metric | Loss):
        value = value()
    if isinstance(value, Metric):
        return value
    if isinstance(value, Loss):
        return OfLoss(value, value.name)
    if callable(value):
        return OfFunction(value)
    name = value.lower() if isinstance(value, str) else value
    means = {key: kind for key, kind in LOSSES.items() if kind in _LOSSES.values()}
    known: dict[str, Callable[..., Any]] = {**_BY_NAME, **means}
    found = checks.choice(label, argument, name, known)
    return OfLoss(found(), value) if name in means else found(name=value)


def __getattr__(name: str) -> Any:
    if name in _LOSSES:
        return _LOSSES[name]
    hint = "a metric of your own derives from Metric, or is a function of (y_true, y_pred)"
    if name == "CosineSimilarity":
        hint = "it is minus losses.CosineSimilarity(), which compile takes among its metrics"
    elif name in LOSSES or name in _BY_NAME:
        hint = f"compile takes it by its name, metrics=[{name!r}]"
    raise checks.absent(__name__, name, hint)

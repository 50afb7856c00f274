"""Losses by Keras's names."""

from __future__ import annotations

from typing import Any

from arrayconv.models import checks
from arrayconv.models.losses.crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    SparseCategoricalCrossentropy,
)
from arrayconv.models.losses.loss import Loss, Pair
from arrayconv.models.losses.regression import (
    CosineSimilarity,
    Hinge,
    Huber,
    KLDivergence,
    MeanAbsoluteError,
    MeanSquaredError,
)

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CosineSimilarity",
    "Hinge",
    "Huber",
    "KLDivergence",
    "Loss",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Pair",
    "SparseCategoricalCrossentropy",
]

LOSSES: dict[str, type[Loss]] = {"mae": MeanAbsoluteError, "mse": MeanSquaredError} | {
    kind.name: kind for kind in map(globals().__getitem__, __all__) if kind not in (Loss, Pair)
}


def get(identifier: Any) -> Loss:
    """A loss from a name, a `Loss` class, a `Loss` or a pair ``(f, f_vjp)``."""
    return of("losses.get", "identifier", identifier)


def of(label: str, argument: str, value: Any) -> Loss:
    """The same as `get` for an argument of the function ``label``."""
    if isinstance(value, Loss):
        return value
    if isinstance(value, type) and issubclass(value, Loss):
        return value()
    if checks.is_pair(value):
        return Pair(*value)
    if callable(value):
        raise TypeError(
            f"{label}: {argument} must be a name, a Loss with values and gradient, or a pair (f, f_vjp), got "
            f"{value!r}: a function is not differentiated automatically"
        )
    name = value.lower() if isinstance(value, str) else value
    return checks.choice(label, argument, name, LOSSES)()


def __getattr__(name: str) -> Any:
    own = "a loss of your own derives from Loss, or is a pair (f, f_vjp)"
    hint = f"compile takes it by its name, loss={name!r}" if name in LOSSES else own
    raise checks.absent(__name__, name, hint)

"""Optimizers by Keras's names, and `schedules` of learning rates."""

from typing import Any

from arrayconv.models import checks
from arrayconv.models.optimizers import schedules
from arrayconv.models.optimizers.adam import Adam, AdamW, Nadam
from arrayconv.models.optimizers.algorithms import SGD, Adagrad, Lion, RMSprop
from arrayconv.models.optimizers.optimizer import Optimizer

__all__ = [
    "SGD",
    "Adagrad",
    "Adam",
    "AdamW",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "schedules",
]

_BY_NAME = {
    kind.__name__.lower(): kind for kind in (SGD, Adagrad, Adam, AdamW, Lion, Nadam, RMSprop)
}


def get(identifier: Any) -> Optimizer:
    """An optimizer from a name, an `Optimizer` class or an `Optimizer`."""
    return of("optimizers.get", "identifier", identifier)


def of(label: str, argument: str, value: Any) -> Optimizer:
    """The same as `get` for an argument of the function ``label``."""
    if isinstance(value, Optimizer):
        return value
    if isinstance(value, type) and issubclass(value, Optimizer):
        return value()
    name = value.lower() if isinstance(value, str) else value
    return checks.choice(label, argument, name, _BY_NAME)()


def __getattr__(name: str) -> Any:
    raise checks.absent(__name__, name, "an optimizer of your own derives from Optimizer")

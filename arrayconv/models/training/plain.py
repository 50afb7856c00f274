"""What `compile` was given as plain data, ready for JSON, and back."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from arrayconv.models import checks, losses, metrics, optimizers
from arrayconv.models.losses import Loss
from arrayconv.models.metrics import Metric
from arrayconv.models.metrics.metric import OfFunction, OfLoss
from arrayconv.models.optimizers import Optimizer, schedules
from arrayconv.models.optimizers.schedules import LearningRateSchedule

_KINDS = (Loss, Metric, Optimizer, LearningRateSchedule)
_OF_FUNCTIONS = (losses.Pair, OfFunction, OfLoss)
# The classes by name: only these are made from a file.
CLASSES: dict[str, type] = {
    kind.__name__: kind
    for module in (losses, metrics, optimizers, schedules)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, _KINDS) and kind not in (*_KINDS, *_OF_FUNCTIONS)
}


def plain(value: Any) -> Any:
    """A value as numbers, strings, lists and dicts; ours become ``{"class": name, argument: value}``.

    Raises
    ------
    TypeError
        A function or a class of the user's own, which no file can hold.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.integer | np.floating):
        return value.item()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, OfLoss):
        return plain(value.loss)
    kind = value if isinstance(value, type) else type(value)
    if CLASSES.get(kind.__name__) is not kind:
        raise TypeError(f"{getattr(value, '__name__', kind.__name__)} is not one of arrayconv's")
    given = {} if kind is value else {name: getattr(value, name) for name in _arguments(kind)}
    return {"class": kind.__name__, **{name: plain(item) for name, item in given.items()}}


def made(label: str, value: Any) -> Any:
    """What `plain` took apart.

    Raises
    ------
    TypeError, ValueError
        An unknown class, arguments that it does not take.
    """
    if isinstance(value, list):
        return [made(label, item) for item in value]
    if not isinstance(value, Mapping):
        return value
    given = {name: made(label, item) for name, item in value.items() if name != "class"}
    if "class" not in value:
        return given
    kind = checks.choice(label, "class", value["class"], CLASSES)
    for name in given:
        if name not in _arguments(kind):
            raise ValueError(f"{label}: {kind.__name__} has no argument {name!r}")
    return kind(**given)


def _arguments(kind: type) -> list[str]:
    """The names of the constructor's arguments, which are its attributes too."""
    own = dict(inspect.signature(kind).parameters)
    if issubclass(kind, Optimizer):
        own |= inspect.signature(Optimizer).parameters
    return [name for name, p in own.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]

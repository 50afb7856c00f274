"""What `compile` chose, and what training has left beside the weights."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from arrayconv.models import checks, losses, metrics, optimizers
from arrayconv.models.arrays import moved
from arrayconv.models.initializers import current_seed
from arrayconv.models.losses import Loss
from arrayconv.models.metrics import Metric
from arrayconv.models.metrics.metric import OfFunction, OfLoss
from arrayconv.models.optimizers import Optimizer, as_optimizer, schedules
from arrayconv.models.optimizers.optimizer import Slots
from arrayconv.models.optimizers.schedules import LearningRateSchedule
from arrayconv.models.program import Key
from arrayconv.models.training.data import Source
from arrayconv.models.training.objective import Objective
from arrayconv.namespace import Array

_KINDS = (Loss, Metric, Optimizer, LearningRateSchedule)
_OF_FUNCTIONS = (losses.Pair, OfFunction, OfLoss)
# The classes by name: only these are made from a file.
CLASSES: dict[str, type] = {
    kind.__name__: kind
    for module in (losses, metrics, optimizers, schedules)
    for kind in vars(module).values()
    if isinstance(kind, type)
    and issubclass(kind, _KINDS)
    and kind.__name__[0] != "_"
    and kind not in (*_KINDS, *_OF_FUNCTIONS)
}


class Trainer:
    """How a graph is trained, and how far it has come: the optimizer, the objective, the slots and the step.

    It holds no graph: `training.loop` takes both. It can be pickled and copied; compiled steps are then made
    again when they are asked for.

    Parameters
    ----------
    optimizer, loss, metrics, loss_weights, weighted_metrics
        As `Model.compile` takes them.
    outputs : sequence of str
        The names of the model's outputs.

    Attributes
    ----------
    optimizer : Optimizer
    objective : Objective
        Losses and metrics.
    slots : dict of str to dict of (layer, weight) to array
        The optimizer's state; empty before the first step.
    step : int
        How many steps have been done. With the seed it decides the order of an epoch and what is dropped.
    seed : int or None
        That of a training which goes on; that of `set_seed` if ``None``.
    epoch : int
        How many epochs have been done, those before ``initial_epoch`` included.
    compiled : dict
        Compiled steps by what they were made for.
    """

    def __init__(
        self,
        optimizer: Any,
        loss: Any,
        metrics: Any = None,
        loss_weights: Any = None,
        weighted_metrics: Any = None,
        *,
        outputs: Sequence[str],
    ) -> None:
        self.optimizer = as_optimizer(optimizer)
        self._given = {
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics,
            "weighted_metrics": weighted_metrics,
        }
        self.objective = Objective(outputs, loss, metrics, loss_weights, weighted_metrics)
        self.slots: Slots = {}
        self.step = self.epoch = 0
        self.seed: int | None = None
        self.compiled: dict[Any, Callable[..., Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # compiled functions can be neither copied nor pickled
        return {**vars(self), "compiled": {}}

    def config(self) -> dict[str, Any]:
        """`Model.compile`'s arguments and how far training has come, ready for JSON.

        ``"missing"`` lists the arguments that are left out since they hold a function or a class of one's own.
        """
        found: dict[str, Any] = {}
        missing = []
        for name, value in {"optimizer": self.optimizer, **self._given}.items():
            try:
                found[name] = _plain(value)
            except TypeError:
                missing.append(name)
        return {
            "compile": found,
            "missing": missing,
            "step": self.step,
            "epoch": self.epoch,
            "seed": self.drawn_from,
        }

    def source(self, label: str, x: Any, y: Any = None, weight: Any = None, **how: Any) -> Source:
        """Data as `Model.fit` takes them, their targets in the order of the outputs."""
        names = [output.name for output in self.objective.outputs]
        return Source(label, names, x, y, weight, seed=self.drawn_from, **how)

    @property
    def drawn_from(self) -> int:
        """The seed of the order of the samples and of what is dropped."""
        return current_seed() if self.seed is None else self.seed

    @classmethod
    def from_config(cls, config: Mapping[str, Any], outputs: Sequence[str]) -> Self:
        """The trainer that `config` described, without the slots.

        Raises
        ------
        TypeError, ValueError
            A config that `config` did not give, or one that lacks the optimizer or the loss.
        """
        label = "Trainer.from_config"
        given = _made(label, config.get("compile"))
        if not isinstance(given, dict) or not {"optimizer", "loss"} <= set(given):
            raise ValueError(f"{label}: the optimizer or the loss is missing; call compile")
        trainer = cls(**given, outputs=outputs)
        trainer.go_on(config, {})
        return trainer

    def go_on(self, config: Mapping[str, Any], slots: Slots) -> None:
        """Begin where another training, whose `config` this is, had come to; slots of other names are left out."""
        self.step, self.epoch, self.seed = (
            checks.count("Trainer", name, config.get(name), least=0)
            for name in ("step", "epoch", "seed")
        )
        self.slots = slots if set(slots) == set(self.optimizer.slots) else {}

    def slots_for(self, weights: Mapping[Key, Array]) -> Slots:
        """The optimizer's state beside ``weights``, zeros for those that it does not know yet."""
        fresh = self.optimizer.init(weights)
        return {
            slot: {
                key: moved(self.slots[slot][key], w)
                if key in self.slots.get(slot, {}) and self.slots[slot][key].shape == w.shape
                else fresh[slot][key]
                for key, w in weights.items()
            }
            for slot in fresh
        }


def _plain(value: Any) -> Any:
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
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, OfLoss):
        return _plain(value.loss)
    kind = value if isinstance(value, type) else type(value)
    if CLASSES.get(kind.__name__) is not kind:
        raise TypeError(f"{getattr(value, '__name__', kind.__name__)} is not one of arrayconv's")
    given = {} if kind is value else {name: getattr(value, name) for name in _arguments(kind)}
    return {"class": kind.__name__, **{name: _plain(item) for name, item in given.items()}}


def _made(label: str, value: Any) -> Any:
    """What `_plain` took apart.

    Raises
    ------
    TypeError, ValueError
        An unknown class, arguments that it does not take.
    """
    if isinstance(value, list):
        return [_made(label, item) for item in value]
    if not isinstance(value, Mapping):
        return value
    given = {name: _made(label, item) for name, item in value.items() if name != "class"}
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

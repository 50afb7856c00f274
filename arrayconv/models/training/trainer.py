"""The state of training besides the weights: optimizer, losses, metrics, and the steps done."""

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
from arrayconv.models.optimizers import Optimizer, schedules
from arrayconv.models.optimizers.optimizer import Slots
from arrayconv.models.optimizers.schedules import LearningRateSchedule
from arrayconv.models.program import Key
from arrayconv.models.training.data import Source
from arrayconv.models.training.objective import Objective
from arrayconv.namespace import Array

_KINDS = (Loss, Metric, Optimizer, LearningRateSchedule)
_OF_FUNCTIONS = (losses.Pair, OfFunction, OfLoss)
# The classes that a saved model may name.
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
    """How a graph is trained, and how far: the optimizer, its state, the losses and metrics, and the step.

    It does not hold the graph. It can be pickled and copied; the copy compiles its steps anew.

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
        How many steps have been done. Step and seed determine shuffling and dropout.
    seed : int or None
        The seed of a training that continues from a file; ``None`` for that of `set_seed`.
    epoch : int
        How many epochs have been done, including those before ``initial_epoch``.
    compiled : dict
        Cached step functions, compiled ones included.
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
        self.optimizer = optimizers.of("compile", "optimizer", optimizer)
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
        """The arguments of `Model.compile`, the steps and epochs done and the seed, as plain data for JSON.

        ``"missing"`` lists the arguments that are left out because they contain a function or a user's class.
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
        """A source of batches from data as `Model.fit` takes them."""
        names = [output.name for output in self.objective.outputs]
        return Source(label, names, x, y, weight, seed=self.drawn_from, **how)

    @property
    def drawn_from(self) -> int:
        """The seed of shuffling and dropout."""
        return current_seed() if self.seed is None else self.seed

    @classmethod
    def from_config(cls, config: Mapping[str, Any], outputs: Sequence[str]) -> Self:
        """A trainer from the return value of `config`, without the optimizer's state.

        Raises
        ------
        TypeError, ValueError
            If the config is invalid, or lacks the optimizer or the loss.
        """
        label = "Trainer.from_config"
        given = _made(label, config.get("compile"))
        if not isinstance(given, dict) or not {"optimizer", "loss"} <= set(given):
            raise ValueError(f"{label}: the optimizer or the loss is missing; call compile")
        trainer = cls(**given, outputs=outputs)
        trainer.go_on(config, {})
        return trainer

    def go_on(self, config: Mapping[str, Any], slots: Slots) -> None:
        """Continue from the state of another training: its `config` and its slots, if they are this optimizer's."""
        self.step, self.epoch, self.seed = (
            checks.count("Trainer", name, config.get(name), least=0)
            for name in ("step", "epoch", "seed")
        )
        self.slots = slots if set(slots) == set(self.optimizer.slots) else {}

    def slots_for(self, weights: Mapping[Key, Array]) -> Slots:
        """The optimizer's state, moved to where ``weights`` are; the initial state for weights that it lacks."""
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
    """A value as numbers, strings, lists and dicts; objects become ``{"class": name, argument: value}``.

    Raises
    ------
    TypeError
        If it contains a function or an object of a user's class, which a file cannot hold.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.bool_ | np.integer | np.floating):
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
    """The value that `_plain` made plain.

    Raises
    ------
    TypeError, ValueError
        If a class is unknown, or does not take the arguments.
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
    """The names of the constructor's arguments; each is an attribute too."""
    own = dict(inspect.signature(kind).parameters)
    for base in (Loss, Optimizer):
        if issubclass(kind, base):
            own |= inspect.signature(base).parameters
    return [name for name, p in own.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]

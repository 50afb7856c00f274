"""What `compile` chose, and what training has left beside the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

from arrayconv.models import checks
from arrayconv.models.arrays import moved
from arrayconv.models.initializers import current_seed
from arrayconv.models.optimizers import as_optimizer
from arrayconv.models.optimizers.optimizer import Slots
from arrayconv.models.program import Key
from arrayconv.models.training.data import Source
from arrayconv.models.training.objective import Objective
from arrayconv.models.training.plain import made, plain
from arrayconv.namespace import Array


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
                found[name] = plain(value)
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
        given = made(label, config.get("compile"))
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

"""What `compile` chose, and what training has left beside the weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from arrayconv.models.arrays import moved
from arrayconv.models.optimizers import as_optimizer
from arrayconv.models.optimizers.optimizer import Slots
from arrayconv.models.program import Key
from arrayconv.models.training.objective import Objective
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
        self.objective = Objective(outputs, loss, metrics, loss_weights, weighted_metrics)
        self.slots: Slots = {}
        self.step = self.epoch = 0
        self.compiled: dict[Any, Callable[..., Any]] = {}

    def __getstate__(self) -> dict[str, Any]:
        # compiled functions can be neither copied nor pickled
        return {**vars(self), "compiled": {}}

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

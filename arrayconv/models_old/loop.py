"""The loops over batches: training with its checks a few batches behind, and testing."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from arrayconv.models_old.arrays import beside, moved, same_place
from arrayconv.models_old.callbacks import Callback
from arrayconv.models_old.feed import Batch, Feed, carried
from arrayconv.models_old.initializers import current_seed
from arrayconv.models_old.optimizer import Optimizer, State
from arrayconv.models_old.plan import Plan
from arrayconv.models_old.step import (
    ADVICE,
    BAD_LABELS,
    Training,
    compiles,
    copied,
    first_not_finite,
    no_totals,
)
from arrayconv.namespace import Array, Namespace, accumulator, array_namespace, cast, to_numpy

if TYPE_CHECKING:
    from arrayconv.models_old.compiling import Compiled

# How many batches may follow one before it is asked how it went, so that a compiled step is never waited for.
_AHEAD = 2

Advance = Callable[[Mapping[str, float]], None]


@dataclass(frozen=True)
class Trained:
    """What training leaves beside the weights: the optimizer's state, and the number of steps done."""

    slots: State | None = None
    step: int = 0


class Waiting(NamedTuple):
    """A batch that is under way, with what an error about it needs."""

    number: int
    problem: Array
    x: tuple[Array, ...]
    y: tuple[Array, ...]
    weight: Array | None
    masks: dict[str, Array]


class Running(Mapping[str, float]):
    """The numbers so far, fetched when one is looked at."""

    def __init__(self, plan: Plan, totals: Array) -> None:
        self._plan, self._totals = plan, totals
        self._values: dict[str, float] | None = None

    def __getitem__(self, name: str) -> float:
        if self._values is None:
            self._values = self._plan.averages(to_numpy(self._totals))
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._plan.names)

    def __len__(self) -> int:
        return len(self._plan.names)

    def __repr__(self) -> str:
        return repr(dict(self))


def train(
    model: Compiled,
    feed: Feed,
    *,
    label: str = "fit",
    epoch: int | None = None,
    by_batch: Sequence[Callback] = (),
    advance: Advance | None = None,
) -> tuple[dict[str, float], Array]:
    """Train ``model`` on every batch once; the numbers, and an array like its inputs.

    The model gets its new weights at the end, so that whatever goes wrong before leaves it as it was, but
    for ``by_batch`` callbacks, who see, and may change, them after every batch.
    """
    # our own error says more than NumPy's warnings
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        return _Epoch(model, label, epoch, by_batch).run(feed, advance)


class _Epoch:
    def __init__(
        self, model: Compiled, label: str, epoch: int | None, by_batch: Sequence[Callback]
    ) -> None:
        self.model, self.label, self.epoch, self.by_batch = model, label, epoch, by_batch
        self.plan = model._compiled(label)
        self.first_step = self.step = model._trained.step
        self.rng = np.random.default_rng((current_seed(), 1, self.step))
        self.waiting: deque[Waiting] = deque()

    def run(self, feed: Feed, advance: Advance | None) -> tuple[dict[str, float], Array]:
        state: Training | None = None
        for number, batch in enumerate(feed):
            inputs = self.model.as_inputs(batch.x)
            if state is None:
                like = inputs[0]
                self.model.to(like=like)
                xp = array_namespace(self.label, x=like)
                # an epoch uses up copies: Ctrl-C finds the model's own weights whole
                donate = compiles(xp) and self.epoch is not None and not self.by_batch
                ahead = _AHEAD if compiles(xp) else 0
                state = self.begin(xp, like)
                state = copied(xp, state) if donate else state
                function = self.model._current_steps().train(xp, donate)
            inputs = tuple(cast(xp, part, like.dtype) for part in inputs)
            drawn = self.model.masks(self.rng, inputs[0].shape[0])
            masks = {key: beside(xp, mask, like) for key, mask in drawn.items()}
            for hook in self.by_batch:
                hook.on_train_batch_begin(number, {})
            rates = self.plan.optimizer.coefficients(self.step)
            state, problem = function(state, inputs, batch.y, batch.weight, masks, rates)
            self.step += 1
            self.waiting.append(Waiting(number, problem, inputs, batch.y, batch.weight, masks))
            while len(self.waiting) > ahead:
                self.ask(state)
            running = Running(self.plan, state.totals)
            if self.by_batch:
                state = self.call_hooks(state, number, running)
            if advance is not None:
                advance(running)
        if state is None:
            raise ValueError(
                f"{self.label}: x gave no batches{self.where()}: an iterator is used up by one pass; give "
                "a list of batches, arrayconv.data.Batches, or steps_per_epoch"
            )
        while self.waiting:
            self.ask(state)
        self.check_weights(xp, state)
        self.model.weights = state.weights
        self.model._trained = Trained(state.slots, self.step)
        return dict(Running(self.plan, state.totals)), like

    def begin(self, xp: Namespace, like: Array) -> Training:
        weights = self.model.weights
        trainable = {name: weights[name] for name in self.model.graph.trainable}
        if not trainable:
            raise ValueError(f"{self.label}: {self.model.label} has no weights to train")
        slots = slots_for(self.plan.optimizer, self.model._trained.slots, trainable)
        totals = no_totals(xp, self.plan, like, accumulator(xp, like.dtype))
        return Training(weights, slots, totals, totals[0, 0] == 0)

    def call_hooks(self, state: Training, number: int, running: Running) -> Training:
        self.model.weights = state.weights
        for hook in self.by_batch:
            hook.on_train_batch_end(number, running)
        return state._replace(weights=self.model.weights)

    def where(self) -> str:
        return "" if self.epoch is None else f" in epoch {self.epoch + 1}"

    def ask(self, state: Training) -> None:
        """Look at how the oldest batch under way went."""
        old = self.waiting.popleft()
        problem = int(old.problem)
        if not problem:
            return
        where = "" if self.epoch is None else f"{self.where()}, batch {old.number + 1}"
        if problem == BAD_LABELS:
            raise ValueError(f"{self.label}{where}: {bad_labels(self.plan, self.model, old.y)}")
        found = first_not_finite(
            self.model.graph, state.weights, old.x, old.y, old.weight, old.masks
        )
        raise FloatingPointError(
            f"{self.label}: the loss is not finite{where}. {found}. {self.kept()}"
        )

    def check_weights(self, xp: Namespace, state: Training) -> None:
        finite = to_numpy(self.model._current_steps().finite(xp)(state.weights))
        for name, fine in zip(sorted(state.weights), finite, strict=True):
            if not fine:
                raise FloatingPointError(
                    f"{self.label}: the weight {name!r} of layer {name.rpartition('/')[0]!r} is not finite after the "
                    f"last batch{self.where()}. {ADVICE}. {self.kept()}"
                )

    def kept(self) -> str:
        since = "before" if self.epoch is None else "before this epoch"
        return f"The model keeps the weights it had {since}"


def measured(
    model: Compiled,
    feed: Iterable[Batch],
    label: str,
    *,
    like: Array | None = None,
    advance: Advance | None = None,
) -> dict[str, float]:
    """The numbers over every batch; with ``like`` the batches are moved there."""
    plan = model._compiled(label)
    totals: Any = None
    beside_what: Any = None
    checks: deque[tuple[Batch, Array]] = deque()
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for batch in feed:
            if like is not None:
                batch = carried(batch, like)
            inputs = model.as_inputs(batch.x)
            xp = array_namespace(label, x=inputs[0])
            if beside_what is None or not same_place(inputs[0], beside_what):
                beside_what, weights = inputs[0], model.weights_beside(inputs[0])
            if totals is None:
                totals = no_totals(xp, plan, inputs[0], accumulator(xp, inputs[0].dtype))
            function = model._current_steps().test(xp)
            totals, valid = function(totals, weights, inputs, batch.y, batch.weight)
            checks.append((batch, valid))
            while len(checks) > (_AHEAD if compiles(xp) else 0):
                _check(label, plan, model, *checks.popleft())
            running = Running(plan, totals)
            if advance is not None:
                advance(running)
    if totals is None:
        raise ValueError(f"{label}: there are no batches")
    while checks:
        _check(label, plan, model, *checks.popleft())
    return dict(running)


def _check(label: str, plan: Plan, model: Compiled, batch: Batch, valid: Array) -> None:
    if not bool(valid):
        raise ValueError(f"{label}: {bad_labels(plan, model, batch.y)}")


def bad_labels(plan: Plan, model: Compiled, targets: Sequence[Array]) -> str:
    """What is wrong with the targets of a batch."""
    try:
        dtype = next(iter(model.weights.values())).dtype
        shapes = [node.shape for node in model.graph.outputs]
        plan.check("", shapes, dtype, targets)
    except ValueError as error:
        return str(error).removeprefix(": ")
    return "y is out of range"


def slots_for(optimizer: Optimizer, slots: State | None, weights: Mapping[str, Array]) -> State:
    """The optimizer's state beside the weights, zeros for weights that it does not know yet."""
    fresh = optimizer.init(weights)
    if slots is None:
        return fresh
    return {
        slot: {
            name: moved(slots[slot][name], w)
            if name in slots.get(slot, {}) and slots[slot][name].shape == w.shape
            else fresh[slot][name]
            for name, w in weights.items()
        }
        for slot in fresh
    }

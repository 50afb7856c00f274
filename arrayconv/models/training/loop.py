"""The loops over batches: `fit`, `evaluate` and `predict` of a graph and a trainer."""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from arrayconv.models.arrays import drawn_beside, same_place
from arrayconv.models.graph import Graph
from arrayconv.models.program import GraphWeights
from arrayconv.models.training.data import Batch, Source, batch_beside
from arrayconv.models.training.diagnosis import ADVICE, bad_labels, first_not_finite
from arrayconv.models.training.history import History
from arrayconv.models.training.hooks import Hooks
from arrayconv.models.training.step import (
    BAD_LABELS,
    State,
    averages,
    compiles,
    copied,
    finite_weights,
    no_totals,
    predict_step,
    test_step,
    train_step,
)
from arrayconv.models.training.threads import Threads
from arrayconv.models.training.trainer import Trainer
from arrayconv.namespace import Array, Namespace, array_namespace, cast, to_numpy, traits

# How many batches may follow one before it is asked how it went, so that a compiled step is never waited for.
_AHEAD = 2
# Batches on an accelerator that are asked together: each question waits for all that was launched before it.
_TOGETHER = 8


class Waiting(NamedTuple):
    """A batch that is under way, with what an error about it needs."""

    number: int
    problem: Array
    x: tuple[Array, ...]
    y: tuple[Array, ...]
    weight: Array | None
    noise: dict[int, Array]
    weights: GraphWeights | None  # that it began with, where a step goes on after a problem


def fit(
    graph: Graph,
    trainer: Trainer,
    data: Source,
    validation: Source | None,
    hooks: Hooks,
    history: History,
    *,
    first: int,
    last: int,
    validation_steps: int | None,
    validates: Callable[[int], bool],
    stop: Callable[[], bool],
) -> None:
    """Train for the epochs ``first`` to ``last`` (not included), or until ``stop()``; fill ``history``.

    ``validates`` is asked with the number of an epoch, counted from 0, whether it is to be validated.

    An epoch that does not come into the history leaves no trace in the graph nor in the trainer.
    """
    logs: dict[str, float] = {}
    names = dict(trainer.objective.names)
    if validation is not None:
        names |= {f"val_{name}": best for name, best in names.items()}
    steps = len(data) or None
    hooks.set_params({"epochs": last, "steps": steps, "verbose": hooks.verbose, "metrics": names})
    hooks.call("on_train_begin", {})
    try:
        for epoch in range(first, last):
            before = graph.weights, trainer.slots, trainer.step
            try:
                hooks.call("on_epoch_begin", epoch, {})
                hooks.progress.begin(f"Epoch {epoch + 1}/{last}", steps)
                logs, like = train_epoch(graph, trainer, data, hooks, epoch=epoch)
                if validation is not None and validates(epoch):
                    held = itertools.islice(validation.epoch(), validation_steps)
                    label = "fit: validation_data"
                    found = evaluate(graph, trainer, held, hooks, label, like=like)
                    logs |= {f"val_{name}": value for name, value in found.items()}
                hooks.progress.end(logs)
                trainer.epoch = epoch + 1
                try:
                    hooks.call("on_epoch_end", epoch, logs)
                finally:
                    # what a callback adds to the numbers is kept too
                    history.add(epoch, logs)
            except BaseException as error:
                if epoch not in history.epoch:
                    graph.weights, trainer.slots, trainer.step = before
                if isinstance(error, FloatingPointError) and hooks.ends_quietly(error):
                    break
                raise
            if stop():
                break
    finally:
        hooks.progress.close()
        hooks.call("on_train_end", logs)


def train_epoch(
    graph: Graph,
    trainer: Trainer,
    data: Source,
    hooks: Hooks | None,
    *,
    label: str = "fit",
    epoch: int | None = None,
) -> tuple[dict[str, float], Array]:
    """Train on every batch once; the numbers, and an array like the inputs.

    The graph and the trainer get their new values at the end, so that whatever goes wrong before leaves them
    as they were, but for callbacks that work by batch, which see, and may change, the weights after each.
    """
    # our own error says more than NumPy's warnings
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"), Threads() as threads:
        return _Epoch(graph, trainer, label, epoch, hooks).run(data, threads)


class _Epoch:
    def __init__(
        self, graph: Graph, trainer: Trainer, label: str, epoch: int | None, hooks: Hooks | None
    ) -> None:
        self.graph, self.trainer, self.label, self.epoch = graph, trainer, label, epoch
        self.hooks, self.by_batch = hooks, hooks is not None and hooks.by_batch
        self.waiting: deque[Waiting] = deque()

    def run(self, data: Source, threads: Threads) -> tuple[dict[str, float], Array]:
        graph, trainer, program = self.graph, self.trainer, self.graph.program
        state: State | None = None
        step = trainer.step
        for number, batch in enumerate(data.epoch(step)):
            x = graph.as_inputs(batch.x)
            if state is None:
                like = x[0]
                graph.to(like)
                xp = array_namespace(self.label, x=like)
                # an epoch uses up copies: Ctrl-C finds the graph's own weights whole
                donate = compiles(xp) and self.epoch is not None and not self.by_batch
                behind = traits(xp, like).accelerator and not compiles(xp) and not self.by_batch
                ahead = _AHEAD if compiles(xp) else 0
                threads.suit(graph, like)
                state = self.begin(xp, like)
                state = copied(xp, state) if donate else state
                function = train_step(xp, graph, trainer, donate, behind)
            if any(part.dtype != like.dtype for part in x):
                x = tuple(cast(xp, part, like.dtype) for part in x)
            drawn = program.noise(x[0].shape[0], step, trainer.drawn_from)
            noise = {at: drawn_beside(xp, values, like) for at, values in drawn.items()}
            if self.by_batch and self.hooks is not None:
                self.hooks.call("on_train_batch_begin", number, {})
            rates = trainer.optimizer.coefficients(step)
            before = state.weights if behind else None
            state, problem = function(state, x, batch.y, batch.weight, noise, rates)
            step += 1
            self.waiting.append(Waiting(number, problem, x, batch.y, batch.weight, noise, before))
            if not behind:
                while len(self.waiting) > ahead:
                    self.check_oldest(state)
            elif len(self.waiting) == _TOGETHER:
                self.check_waiting(xp, state)
            if self.hooks is not None:
                state = self.after_batch(self.hooks, state, number)
        if state is None:
            raise ValueError(
                f"{self.label}: x gave no batches{self.where()}: an iterator is used up by one pass; give "
                "a list of batches, arrayconv.data.Batches, or steps_per_epoch"
            )
        self.check_waiting(xp, state)
        self.check_weights(xp, state)
        graph.weights, trainer.slots, trainer.step = state.weights, state.slots, step
        return self.numbers(state), like

    def begin(self, xp: Namespace, like: Array) -> State:
        weights = self.graph.weights
        trained = {key: weights[key[0]][key[1]] for key in self.graph.trainable}
        if not trained:
            raise ValueError(f"{self.label}: {self.graph.label} has no weights to train")
        totals = no_totals(xp, self.graph, self.trainer.objective, like)
        return State(weights, self.trainer.slots_for(trained), totals, totals[0] == 0)

    def numbers(self, state: State) -> dict[str, float]:
        return averages(self.graph, self.trainer.objective, state.totals)

    def after_batch(self, hooks: Hooks, state: State, number: int) -> State:
        if self.by_batch:
            self.graph.weights = state.weights
            hooks.call("on_train_batch_end", number, self.numbers(state))
            state = state._replace(weights=self.graph.weights)
        hooks.progress.step(lambda: self.numbers(state))
        return state

    def where(self) -> str:
        return "" if self.epoch is None else f" in epoch {self.epoch + 1}"

    def check_waiting(self, xp: Namespace, state: State) -> None:
        """Look, once, at how the batches under way went."""
        problems = to_numpy(xp.stack([old.problem for old in self.waiting])) if self.waiting else ()
        for problem in problems:
            self.check_oldest(state, problem)

    def check_oldest(self, state: State, problem: Any = None) -> None:
        """Look at how the oldest batch under way went, unless that is known."""
        old = self.waiting.popleft()
        problem = int(old.problem if problem is None else problem)
        if not problem:
            return
        where = "" if self.epoch is None else f"{self.where()}, batch {old.number + 1}"
        if problem == BAD_LABELS:
            found = bad_labels(self.trainer.objective, self.graph, old.y)
            raise ValueError(f"{self.label}{where}: {found}")
        weights = state.weights if old.weights is None else old.weights
        found = first_not_finite(self.graph, weights, old.x, old.y, old.weight, old.noise)
        raise FloatingPointError(
            f"{self.label}: the loss is not finite{where}. {found}. {self.kept()}"
        )

    def check_weights(self, xp: Namespace, state: State) -> None:
        finite = to_numpy(finite_weights(xp, self.trainer)(state.weights))
        names = [
            (layer, n) for layer in sorted(state.weights) for n in sorted(state.weights[layer])
        ]
        for (layer, name), fine in zip(names, finite, strict=True):
            if not fine:
                raise FloatingPointError(
                    f"{self.label}: the weight '{layer}/{name}' of layer {layer!r} is not finite after the "
                    f"last batch{self.where()}. {ADVICE}. {self.kept()}"
                )

    def kept(self) -> str:
        since = "before" if self.epoch is None else "before this epoch"
        return f"The model keeps the weights it had {since}"


def evaluate(
    graph: Graph,
    trainer: Trainer,
    batches: Iterable[Batch],
    hooks: Hooks | None,
    label: str = "evaluate",
    *,
    like: Array | None = None,
) -> dict[str, float]:
    """The loss and the metrics over every batch; with ``like`` the batches are moved there."""
    objective = trainer.objective
    totals: Any = None
    beside_what: Any = None
    checks: deque[tuple[Batch, Array]] = deque()

    def check(batch: Batch, valid: Array) -> None:
        if not bool(valid):
            raise ValueError(f"{label}: {bad_labels(objective, graph, batch.y)}")

    if hooks is not None:
        hooks.call("on_test_begin", {})
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"), Threads() as threads:
        for number, batch in enumerate(batches):
            if like is not None:
                batch = batch_beside(batch, like)
            x = graph.as_inputs(batch.x)
            xp = array_namespace(label, x=x[0])
            if beside_what is None or not same_place(x[0], beside_what):
                beside_what, weights = x[0], graph.beside(x[0])
            if totals is None:
                threads.suit(graph, x[0])
                totals = no_totals(xp, graph, objective, x[0])
            if hooks is not None:
                hooks.call("on_test_batch_begin", number, {})
            function = test_step(xp, graph, trainer)
            totals, valid = function(totals, weights, x, batch.y, batch.weight)
            checks.append((batch, valid))
            while len(checks) > (_AHEAD if compiles(xp) else 0):
                check(*checks.popleft())
            if hooks is not None:
                numbers = functools.partial(averages, graph, objective, totals)
                _after_test_batch(hooks, numbers, number, shown=like is None)
    if totals is None:
        raise ValueError(f"{label}: there are no batches")
    while checks:
        check(*checks.popleft())
    logs = averages(graph, objective, totals)
    if hooks is not None:
        hooks.call("on_test_end", logs)
    return logs


def _after_test_batch(
    hooks: Hooks, logs: Callable[[], dict[str, float]], number: int, shown: bool
) -> None:
    if hooks.has("on_test_batch_end"):
        hooks.call("on_test_batch_end", number, logs())
    # the display of a fit counts the batches that it trains on
    if shown:
        hooks.progress.step(logs)


def predict(graph: Graph, batches: Iterable[Any], hooks: Hooks) -> list[Array]:
    """Each output over every batch of inputs, in the library of the batches."""
    parts: list[tuple[Array, ...]] = []
    like: Any = None
    program = graph.program
    hooks.call("on_predict_begin", {})
    with Threads() as threads:
        for number, batch in enumerate(batches):
            hooks.call("on_predict_batch_begin", number, {})
            x = graph.as_inputs(batch)
            xp = array_namespace("predict", x=x[0])
            if like is None or not same_place(x[0], like):
                if like is None:
                    threads.suit(graph, x[0])
                like, weights = x[0], graph.beside(x[0])
            parts.append(predict_step(xp, program)(weights, x))
            hooks.call("on_predict_batch_end", number, {"outputs": parts[-1]})
            hooks.progress.step(dict)
    if not parts:
        raise ValueError("predict: x has no batches")
    hooks.call("on_predict_end", {})
    return [xp.concat(part, axis=0) for part in zip(*parts, strict=True)]

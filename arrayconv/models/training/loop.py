"""The loops over batches and epochs behind ``fit``, ``evaluate`` and ``predict``."""

from __future__ import annotations

import functools
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from arrayconv.data.sharding import joined, sharding_of
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
    compiles,
    copied,
    predict_step,
    test_step,
    train_step,
)
from arrayconv.models.training.threads import Threads
from arrayconv.models.training.trainer import Trainer
from arrayconv.namespace import Array, Namespace, array_namespace, cast, to_numpy, traits

# How many batches later the result of a compiled step is read, so that reading it does not wait.
_AHEAD = 2
# How many results are read together on an accelerator: each read waits for all that was launched before it.
_TOGETHER = 8


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

    ``validates(epoch)`` says whether to validate an epoch, counted from 0. If an epoch fails before it is in the
    history, the graph and the trainer return to their state before it.
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
                    # after the callbacks, which may add to logs
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
    hooks: Hooks,
    label: str = "fit",
    epoch: int | None = None,
) -> tuple[dict[str, float], Array]:
    """Train on every batch once; return the losses and metrics, and the first input as an example of the data.

    The graph and the trainer are updated at the end, so that an error leaves them unchanged. Only for callbacks
    with hooks for batches, which may read and change the weights, the graph is updated after each batch.
    """
    # our own error says more than NumPy's warnings
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"), Threads() as threads:
        return _Epoch(graph, trainer, hooks, label, epoch).run(data, threads)


class _Epoch:
    def __init__(
        self, graph: Graph, trainer: Trainer, hooks: Hooks, label: str, epoch: int | None
    ) -> None:
        self.graph, self.trainer, self.hooks, self.label = graph, trainer, hooks, label
        self.donates = epoch is not None and not hooks.by_batch
        self.where = "" if epoch is None else f" in epoch {epoch + 1}"
        since = "before" if epoch is None else "before this epoch"
        self.kept = f"The model keeps the weights it had {since}"

    def run(self, data: Source, threads: Threads) -> tuple[dict[str, float], Array]:
        graph, trainer, program, hooks = self.graph, self.trainer, self.graph.program, self.hooks
        state: State | None = None
        step, seed = trainer.step, trainer.drawn_from
        for number, batch in enumerate(data.epoch(step)):
            x = graph.as_inputs(batch.x)
            if state is None:
                like = x[0]
                graph.to(like)
                xp = array_namespace(self.label, x=like)
                threads.suit(graph, like)
                state = begin(xp, graph, trainer, like, self.label)
                # donated buffers are overwritten: with copies, Ctrl-C leaves the graph's own weights intact
                donate = compiles(xp) and self.donates
                state = copied(state) if donate else state
                behind = traits(xp, like).accelerator and not compiles(xp) and not hooks.by_batch
                function = train_step(xp, graph, trainer, donate, behind)
                waiting = _Waiting(xp, behind)
            if x[0].dtype != like.dtype:
                x = tuple([cast(xp, part, like.dtype) for part in x])
            noise = program.noise(x[0].shape[0], step, seed)
            if noise:
                noise = {at: drawn_beside(xp, values, like) for at, values in noise.items()}
            if hooks.by_batch:
                hooks.call("on_train_batch_begin", number, {})
            rates = trainer.optimizer.coefficients(step)
            before = state.weights if behind else None
            state, problem = function(state, x, batch.y, batch.weight, noise, rates)
            step += 1
            explain = functools.partial(self.explain, number, x, batch, noise, before)
            waiting.add(problem, explain, state)
            if hooks.by_batch:
                graph.weights = state.weights
                hooks.call("on_train_batch_end", number, self.numbers(state))
                state = state._replace(weights=graph.weights)
            hooks.progress.step(self.numbers, state)
        if state is None:
            raise ValueError(
                f"{self.label}: x gave no batches{self.where}: an iterator is used up by one pass; give "
                "a list of batches, arrayconv.data.Batches, or steps_per_epoch"
            )
        waiting.look(state)
        self.check_weights(xp, state)
        graph.weights, trainer.slots, trainer.step = state.weights, state.slots, step
        return self.numbers(state), like

    def numbers(self, state: State) -> dict[str, float]:
        return self.trainer.objective.averages(state.totals, self.graph.output_shapes)

    def explain(
        self,
        number: int,
        x: tuple[Array, ...],
        batch: Batch,
        noise: dict[int, Array],
        before: GraphWeights | None,
        problem: int,
        state: State,
    ) -> None:
        """Raise the error about a batch; ``before`` are the weights before its step, if later steps may have run."""
        where = self.where and f"{self.where}, batch {number + 1}"
        if problem == BAD_LABELS:
            found = bad_labels(self.trainer.objective, self.graph, batch.y)
            raise ValueError(f"{self.label}{where}: {found}")
        weights = state.weights if before is None else before
        found = first_not_finite(self.graph, weights, x, batch.y, batch.weight, noise)
        raise FloatingPointError(
            f"{self.label}: the loss is not finite{where}. {found}. {self.kept}"
        )

    def check_weights(self, xp: Namespace, state: State) -> None:
        weights = {(own, n): w for own, ws in state.weights.items() for n, w in ws.items()}
        finite = to_numpy(xp.stack([xp.all(xp.isfinite(w)) for w in weights.values()]))
        for (layer, name), fine in zip(weights, finite, strict=True):
            if not fine:
                raise FloatingPointError(
                    f"{self.label}: the weight '{layer}/{name}' of layer {layer!r} is not finite after the "
                    f"last batch{self.where}. {ADVICE}. {self.kept}"
                )


class _Waiting:
    """The batches whose results have not been read: of each its problem, 0 for none, and what raises the error.

    Parameters
    ----------
    xp : namespace
    behind : bool
        Whether several results are read together, since each read waits for all that was launched before it.
    """

    def __init__(self, xp: Namespace, behind: bool) -> None:
        self._xp, self._behind = xp, behind
        self._most = _TOGETHER - 1 if behind else _AHEAD if compiles(xp) else 0
        self._batches: deque[tuple[Array, Callable[..., None]]] = deque()

    def add(self, problem: Array, explain: Callable[..., None], *state: State) -> None:
        """Add a batch, and read the results of those that have waited long enough."""
        self._batches.append((problem, explain))
        if len(self._batches) > self._most:
            self.look(*state, most=0 if self._behind else self._most)

    def look(self, *state: State, most: int = 0) -> None:
        """Read the results of all batches but the last ``most``, and raise the error of the first that failed."""
        batches = self._batches
        if self._behind and batches:
            problems = to_numpy(self._xp.stack([problem for problem, _ in batches]))
            explains = [explain for _, explain in batches]
            batches = self._batches = deque(zip(problems, explains, strict=True))
        while len(batches) > most:
            problem, explain = batches.popleft()
            if found := int(problem):
                explain(found, *state)


def begin(xp: Namespace, graph: Graph, trainer: Trainer, like: Array, label: str = "fit") -> State:
    """The state before the first step of an epoch."""
    weights = graph.weights
    trained = {(layer, name): weights[layer][name] for layer, name in graph.trainable}
    if not trained:
        raise ValueError(f"{label}: {graph.label} has no weights to train")
    totals = trainer.objective.no_totals(xp, graph.output_shapes, like)
    return State(weights, trainer.slots_for(trained), totals, totals[0] == 0)


def evaluate(
    graph: Graph,
    trainer: Trainer,
    batches: Iterable[Batch],
    hooks: Hooks,
    label: str = "evaluate",
    *,
    like: Array | None = None,
) -> dict[str, float]:
    """The loss and the metrics over all batches; with ``like``, the batches are first moved to where it is."""
    objective = trainer.objective
    totals: Any = None

    def explain(batch: Batch, problem: int) -> None:
        raise ValueError(f"{label}: {bad_labels(objective, graph, batch.y)}")

    def numbers(totals: Array) -> dict[str, float]:
        return objective.averages(totals, graph.output_shapes)

    hooks.call("on_test_begin", {})
    if like is not None:
        there = like
        batches = (batch_beside(batch, there) for batch in batches)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"), Threads() as threads:
        for number, (batch, xp, x, weights) in enumerate(_beside(graph, batches, threads, label)):
            if totals is None:
                totals = objective.no_totals(xp, graph.output_shapes, x[0])
                by_batch = hooks.has("on_test_batch_end")
                behind = traits(xp, x[0]).accelerator and not compiles(xp) and not by_batch
                waiting = _Waiting(xp, behind)
            hooks.call("on_test_batch_begin", number, {})
            function = test_step(xp, graph, trainer)
            totals, problem = function(totals, weights, x, batch.y, batch.weight)
            waiting.add(problem, functools.partial(explain, batch))
            if by_batch:
                hooks.call("on_test_batch_end", number, numbers(totals))
            # in fit the display counts training batches only
            if like is None:
                hooks.progress.step(numbers, totals)
    if totals is None:
        raise ValueError(f"{label}: there are no batches")
    waiting.look()
    logs = numbers(totals)
    hooks.call("on_test_end", logs)
    return logs


def predict(graph: Graph, batches: Iterable[Batch], hooks: Hooks) -> list[Array]:
    """The outputs of all batches joined, one array per output of the model, in the library of the batches."""
    parts: list[tuple[Array, ...]] = []
    program = graph.program
    hooks.call("on_predict_begin", {})
    with Threads() as threads:
        for number, (_, xp, x, weights) in enumerate(_beside(graph, batches, threads, "predict")):
            hooks.call("on_predict_batch_begin", number, {})
            parts.append(predict_step(xp, program)(weights, x))
            hooks.call("on_predict_batch_end", number, {"outputs": parts[-1]})
            hooks.progress.step(dict)
    if not parts:
        raise ValueError("predict: x has no batches")
    hooks.call("on_predict_end", {})
    several = sharding_of(parts[0][0]) is not None
    return [
        joined(part) if several else xp.concat(part, axis=0) for part in zip(*parts, strict=True)
    ]


def _beside(
    graph: Graph, batches: Iterable[Batch], threads: Threads, label: str
) -> Iterator[tuple[Batch, Namespace, tuple[Array, ...], GraphWeights]]:
    """Each batch with its namespace, its inputs, and the graph's weights moved to where the inputs are."""
    like: Array | None = None
    for batch in batches:
        x = graph.as_inputs(batch.x)
        if like is None:
            threads.suit(graph, x[0])
        if like is None or not same_place(x[0], like):
            like, weights = x[0], graph.beside(x[0])
        yield batch, array_namespace(label, x=like), x, weights

"""One step of training, testing or predicting as a pure function of arrays, compiled where the library compiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from arrayconv.models.graph import Graph
from arrayconv.models.optimizers.optimizer import Slots
from arrayconv.models.program import GraphWeights, Program
from arrayconv.models.training.objective import Objective, penalty
from arrayconv.models.training.trainer import Trainer
from arrayconv.namespace import Array, Namespace, accumulator, library, placement, to_numpy

# What a step reports in place of 0.
BAD_LABELS, NOT_FINITE = 1, 2


class State(NamedTuple):
    """What a step of training changes."""

    weights: GraphWeights
    slots: Slots
    totals: Array
    # False after the first step that went wrong: no later one changes anything
    sound: Array


def train_step(
    xp: Namespace, graph: Graph, trainer: Trainer, donate: bool, behind: bool = False
) -> Callable[..., tuple[State, Array]]:
    """``(state, x, y, weight, noise, coefficients) -> (state, problem)``.

    With ``behind`` it does not wait to hear of a problem, and goes on as if there were none.
    """
    program, objective, optimizer = graph.program, trainer.objective, trainer.optimizer
    traced = compiles(xp)

    def step(
        old: State,
        x: Sequence[Array],
        y: Sequence[Array],
        weight: Array | None,
        noise: Mapping[int, Array],
        coefficients: Mapping[str, float],
    ) -> tuple[State, Array]:
        outputs, tape, updates = program.forward(old.weights, x, training=True, noise=noise)
        added = penalty(xp, program.regularizers, old.weights)
        found = objective.evaluate(outputs, y, weight, gradients=True, penalty=added)
        del outputs
        problem = _problem(xp, found.loss, found.valid)
        if not traced and not behind and int(problem):
            return old._replace(sound=problem == 0), problem
        gradients = program.backward(found.gradients, old.weights, tape)
        trained = {(layer, name): old.weights[layer][name] for layer, name in program.trainable}
        for key, regularizer in program.regularizers.items():
            gradients[key] = gradients[key] + regularizer.gradient(xp, trained[key])
        trained, slots = optimizer.update(gradients, old.slots, trained, coefficients)
        weights = {layer: dict(own) for layer, own in old.weights.items()}
        for layer, new in updates.items():
            weights[layer].update(new)
        for (layer, name), value in trained.items():
            weights[layer][name] = value
        state = State(weights, slots, old.totals + found.sums, old.sound)
        return (_guarded(xp, state, old, problem) if traced else state), problem

    return _made(xp, trainer, ("train", program, donate, behind), step, donate)


def test_step(xp: Namespace, graph: Graph, trainer: Trainer) -> Callable[..., tuple[Array, Array]]:
    """``(totals, weights, x, y, weight) -> (totals, valid)``."""
    program, objective = graph.program, trainer.objective

    def step(
        totals: Array,
        weights: GraphWeights,
        x: Sequence[Array],
        y: Sequence[Array],
        weight: Array | None,
    ) -> tuple[Array, Array]:
        outputs, _, _ = program.forward(weights, x)
        added = penalty(xp, program.regularizers, weights)
        found = objective.evaluate(outputs, y, weight, gradients=False, penalty=added)
        return totals + found.sums, found.valid

    return _made(xp, trainer, ("test", program), step, False)


def predict_step(xp: Namespace, program: Program) -> Callable[..., tuple[Array, ...]]:
    """``(weights, x) -> outputs``."""
    key = library(xp)
    if key not in program.compiled:
        program.compiled[key] = _compiled(
            xp, lambda weights, x: program.forward(weights, x)[0], False
        )
    return program.compiled[key]


def finite_weights(xp: Namespace, trainer: Trainer) -> Callable[[GraphWeights], Array]:
    """``weights -> array`` that says of each, in the order of their sorted names, whether it is finite."""

    def check(weights: GraphWeights) -> Array:
        return xp.stack(
            [
                xp.all(xp.isfinite(weights[layer][name]))
                for layer in sorted(weights)
                for name in sorted(weights[layer])
            ]
        )

    return _made(xp, trainer, ("finite",), check, False)


def _made(
    xp: Namespace, trainer: Trainer, key: tuple[Any, ...], step: Callable[..., Any], donate: bool
) -> Callable[..., Any]:
    key = (library(xp), *key)
    if key not in trainer.compiled:
        trainer.compiled[key] = _compiled(xp, step, donate)
    return trainer.compiled[key]


def compiles(xp: Namespace) -> bool:
    """Whether the library compiles pure functions."""
    return library(xp) == "jax.numpy"


def _compiled(xp: Namespace, f: Callable[..., Any], donate: bool) -> Callable[..., Any]:
    """``f``, compiled by JAX if ``xp`` is its namespace; with ``donate`` it uses up its first argument."""
    if not compiles(xp):
        return f
    import jax

    made: Callable[..., Any] = jax.jit(f, donate_argnums=(0,) if donate else ())
    return made


def averages(graph: Graph, objective: Objective, totals: Array) -> dict[str, float]:
    """The numbers that ``totals`` stand for; fetches them."""
    return objective.averages(to_numpy(totals), [node.shape for node in graph.outputs])


def no_totals(xp: Namespace, graph: Graph, objective: Objective, like: Array) -> Array:
    """The sums of losses and metrics before the first batch."""
    size = objective.size([node.shape for node in graph.outputs])
    return xp.zeros((size,), dtype=accumulator(xp, like.dtype), **placement(like))


def copied(xp: Namespace, state: State) -> State:
    """The arrays again, for a step that uses up what it is given."""

    def copies(groups: Mapping[str, Mapping[Any, Array]]) -> dict[str, dict[Any, Array]]:
        return {
            group: {key: xp.asarray(w, copy=True) for key, w in values.items()}
            for group, values in groups.items()
        }

    return state._replace(weights=copies(state.weights), slots=copies(state.slots))


def _problem(xp: Namespace, loss: Array, valid: Array) -> Array:
    """0, or what is wrong; labels first, since a label out of range may make the loss NaN."""
    finite = xp.astype(xp.isfinite(loss), xp.int32)
    fine = xp.astype(valid, xp.int32)
    return fine * (1 - finite) * NOT_FINITE + (1 - fine) * BAD_LABELS


def _guarded(xp: Namespace, new: State, old: State, problem: Array) -> State:
    """The new state, or the old one from the first problem on."""
    sound = xp.logical_and(old.sound, problem == 0)

    def either(
        new: Mapping[str, Mapping[Any, Array]], old: Mapping[str, Mapping[Any, Array]]
    ) -> dict[str, dict[Any, Array]]:
        return {
            group: {
                key: value if value is old[group][key] else xp.where(sound, value, old[group][key])
                for key, value in values.items()
            }
            for group, values in new.items()
        }

    return State(either(new.weights, old.weights), either(new.slots, old.slots), new.totals, sound)

"""One step of training, evaluation or prediction as a pure function of arrays, compiled by JAX for JAX arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from arrayconv.models.graph import Graph
from arrayconv.models.optimizers.optimizer import Slots
from arrayconv.models.program import GraphWeights, Program
from arrayconv.models.training.trainer import Trainer
from arrayconv.namespace import Array, Namespace, library

# The problems that a step reports; 0 is none.
BAD_LABELS, NOT_FINITE = 1, 2


class State(NamedTuple):
    """The state that a training step updates."""

    weights: GraphWeights
    slots: Slots
    totals: Array
    # False from the first problem on; later steps then change nothing
    sound: Array


def train_step(
    xp: Namespace, graph: Graph, trainer: Trainer, donate: bool, behind: bool = False
) -> Callable[..., tuple[State, Array]]:
    """A function ``(state, x, y, weight, noise, coefficients) -> (state, problem)``.

    With ``donate``, a compiled one reuses the memory of the state it is given. With ``behind`` it updates the
    state without waiting for ``problem``, even if there is one.
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
        penalty = program.penalty(xp, old.weights)
        found = objective.evaluate(outputs, y, weight, gradients=True, penalty=penalty)
        del outputs
        # labels first, since one out of range may make the loss NaN
        finite, valid = xp.isfinite(found.loss), xp.astype(found.valid, xp.int32)
        problem = (1 - valid) * BAD_LABELS + valid * (1 - xp.astype(finite, xp.int32)) * NOT_FINITE
        if not traced and not behind and int(problem):
            return old._replace(sound=problem == 0), problem
        gradients = program.backward(found.gradients, old.weights, tape)
        trained = {(layer, name): old.weights[layer][name] for layer, name in program.trainable}
        for key, regularizer in program.regularizers.items():
            gradients[key] = gradients[key] + regularizer.gradient(xp, trained[key])
        trained, slots = optimizer.update(gradients, old.slots, trained, coefficients)
        weights = {layer: {**own, **updates.get(layer, {})} for layer, own in old.weights.items()}
        for (layer, name), value in trained.items():
            weights[layer][name] = value
        state = State(weights, slots, old.totals + found.sums, old.sound)
        return (_guarded(xp, state, old, problem) if traced else state), problem

    return _made(xp, trainer.compiled, ("train", program, donate, behind), step, donate)


def test_step(xp: Namespace, graph: Graph, trainer: Trainer) -> Callable[..., tuple[Array, Array]]:
    """A function ``(totals, weights, x, y, weight) -> (totals, problem)``."""
    program, objective = graph.program, trainer.objective

    def step(
        totals: Array,
        weights: GraphWeights,
        x: Sequence[Array],
        y: Sequence[Array],
        weight: Array | None,
    ) -> tuple[Array, Array]:
        outputs, _, _ = program.forward(weights, x)
        penalty = program.penalty(xp, weights)
        found = objective.evaluate(outputs, y, weight, gradients=False, penalty=penalty)
        return totals + found.sums, (1 - xp.astype(found.valid, xp.int32)) * BAD_LABELS

    return _made(xp, trainer.compiled, ("test", program), step)


def predict_step(xp: Namespace, program: Program) -> Callable[..., tuple[Array, ...]]:
    """A function ``(weights, x) -> outputs``."""
    return _made(xp, program.compiled, (), lambda weights, x: program.forward(weights, x)[0])


def compiles(xp: Namespace) -> bool:
    """Whether the library compiles pure functions."""
    return library(xp) == "jax.numpy"


def _made(
    xp: Namespace,
    cache: dict[Any, Callable[..., Any]],
    key: tuple[Any, ...],
    step: Callable[..., Any],
    donate: bool = False,
) -> Callable[..., Any]:
    """``step``, compiled by JAX if ``xp`` is its namespace, once for each ``key``."""
    key = (library(xp), *key)
    if key not in cache and compiles(xp):
        import jax

        cache[key] = jax.jit(step, donate_argnums=(0,) if donate else ())
    return cache.setdefault(key, step)


def copied(state: State) -> State:
    """A copy of a state of JAX arrays, for a step that overwrites what it is given."""
    import jax

    again: State = jax.tree.map(lambda a: jax.numpy.array(a, copy=True), state)
    return again


def _guarded(xp: Namespace, new: State, old: State, problem: Array) -> State:
    """The new state; from the first problem on, the old weights and slots."""
    import jax

    sound = xp.logical_and(old.sound, problem == 0)
    weights, slots = jax.tree.map(
        lambda a, b: a if a is b else xp.where(sound, a, b), new[:2], old[:2]
    )
    return State(weights, slots, new.totals, sound)

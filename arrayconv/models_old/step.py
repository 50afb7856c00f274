"""One step of training or testing as a pure function of arrays, compiled where the library compiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from arrayconv.models_old.graph import Graph
from arrayconv.models_old.optimizer import State
from arrayconv.models_old.plan import Plan
from arrayconv.namespace import Array, Namespace, array_namespace, library, placement

# What a step reports in place of 0.
BAD_LABELS, NOT_FINITE = 1, 2


class Training(NamedTuple):
    """What a step of training changes."""

    weights: dict[str, Array]
    slots: State
    totals: Array
    # False after the first step that went wrong: no later one changes anything
    sound: Array


class Steps:
    """The steps of one plan and graph, each compiled once per kind of data.

    Parameters
    ----------
    plan : Plan
    graph : Graph
    """

    def __init__(self, plan: Plan, graph: Graph) -> None:
        self.plan, self.graph = plan, graph
        self._made: dict[Any, Callable[..., Any]] = {}

    def train(self, xp: Namespace, donate: bool) -> Callable[..., tuple[Training, Array]]:
        """``(training, x, y, weight, masks, coefficients) -> (training, problem)``."""
        names = self.graph.trainable
        traced = compiles(xp)

        def step(
            old: Training,
            x: Sequence[Array],
            y: Sequence[Array],
            weight: Array | None,
            masks: Mapping[str, Array],
            coefficients: Mapping[str, float],
        ) -> tuple[Training, Array]:
            outputs, tape, updates = self.graph.forward(old.weights, x, training=True, masks=masks)
            judged = self.plan.judge(outputs, y, weight, gradients=True)
            del outputs
            problem = _problem(xp, judged.loss, judged.valid)
            if not traced and int(problem):
                return old._replace(sound=problem == 0), problem
            gradients = self.graph.backward(judged.gradients, old.weights, tape)
            trained = {name: old.weights[name] for name in names}
            trained, slots = self.plan.optimizer.update(gradients, old.slots, trained, coefficients)
            weights = {**old.weights, **updates, **trained}
            new = Training(weights, slots, old.totals + judged.ratios, old.sound)
            return (_guarded(xp, new, old, problem) if traced else new), problem

        return self._compiled(xp, ("train", names, donate), step, donate)

    def test(self, xp: Namespace) -> Callable[..., tuple[Array, Array]]:
        """``(totals, weights, x, y, weight) -> (totals, valid)``."""

        def step(
            totals: Array,
            weights: Mapping[str, Array],
            x: Sequence[Array],
            y: Sequence[Array],
            weight: Array | None,
        ) -> tuple[Array, Array]:
            outputs, _, _ = self.graph.forward(weights, x)
            judged = self.plan.judge(outputs, y, weight, gradients=False)
            return totals + judged.ratios, judged.valid

        return self._compiled(xp, ("test",), step, False)

    def finite(self, xp: Namespace) -> Callable[[Mapping[str, Array]], Array]:
        """``weights -> array`` that says of each, in their names' order, whether it is finite."""

        def check(weights: Mapping[str, Array]) -> Array:
            return xp.stack([xp.all(xp.isfinite(weights[name])) for name in sorted(weights)])

        return self._compiled(xp, ("finite",), check, False)

    def _compiled(
        self, xp: Namespace, key: tuple[Any, ...], step: Callable[..., Any], donate: bool
    ) -> Callable[..., Any]:
        key = (library(xp), *key)
        if key not in self._made:
            self._made[key] = compiled(xp, step, donate)
        return self._made[key]


def compiles(xp: Namespace) -> bool:
    """Whether the library compiles pure functions."""
    return library(xp) == "jax.numpy"


def compiled(xp: Namespace, f: Callable[..., Any], donate: bool = False) -> Callable[..., Any]:
    """``f``, compiled by JAX if ``xp`` is its namespace; with ``donate`` it uses up its first argument."""
    if not compiles(xp):
        return f
    import jax

    made: Callable[..., Any] = jax.jit(f, donate_argnums=(0,) if donate else ())
    return made


def no_totals(xp: Namespace, plan: Plan, like: Array, dtype: Any) -> Array:
    """The table of numerators and denominators before the first batch."""
    return xp.zeros((len(plan.names), 2), dtype=dtype, **placement(like))


def copied(xp: Namespace, training: Training) -> Training:
    """The arrays again, for a step that uses up what it is given."""
    weights = {name: xp.asarray(w, copy=True) for name, w in training.weights.items()}
    slots = {
        slot: {name: xp.asarray(w, copy=True) for name, w in values.items()}
        for slot, values in training.slots.items()
    }
    return training._replace(weights=weights, slots=slots)


def _problem(xp: Namespace, loss: Array, valid: Array) -> Array:
    """0, or what is wrong; labels first, since a label out of range may make the loss NaN."""
    finite = xp.astype(xp.isfinite(loss), xp.int32)
    fine = xp.astype(valid, xp.int32)
    return fine * (1 - finite) * NOT_FINITE + (1 - fine) * BAD_LABELS


def _guarded(xp: Namespace, new: Training, old: Training, problem: Array) -> Training:
    """The new state, or the old one from the first problem on."""
    sound = xp.logical_and(old.sound, problem == 0)

    def either(a: Mapping[str, Array], b: Mapping[str, Array]) -> dict[str, Array]:
        return {
            name: value if value is b[name] else xp.where(sound, value, b[name])
            for name, value in a.items()
        }

    slots = {slot: either(values, old.slots[slot]) for slot, values in new.slots.items()}
    return Training(either(new.weights, old.weights), slots, new.totals, sound)


ADVICE = "A smaller learning rate, or clipnorm in the optimizer, often helps"


def first_not_finite(
    graph: Graph,
    weights: Mapping[str, Array],
    x: Sequence[Array],
    y: Sequence[Array],
    weight: Array | None,
    masks: Mapping[str, Array],
) -> str:
    """Where a loss that is not finite comes from, in a sentence or two: the data, a weight, a layer or the loss."""
    xp = array_namespace("fit", x=x[0])

    def finite(a: Array) -> bool:
        return bool(xp.all(xp.isfinite(a))) if xp.isdtype(a.dtype, "real floating") else True

    for node, part in zip(graph.inputs, x, strict=True):
        if not finite(part):
            return f"The data are not: x of {node.layer.label} holds NaN or inf"
    if not all(map(finite, y)):
        return "The data are not: y holds NaN or inf"
    if weight is not None and not finite(weight):
        return "The data are not: sample_weight holds NaN or inf"
    for name, w in weights.items():
        if not finite(w):
            layer = name.rpartition("/")[0]
            return f"The first layer that is not is {layer!r}: its weight {name!r} is not finite. {ADVICE}"
    nodes = [node for node in graph.nodes if node not in graph.inputs]
    outputs, _, _ = Graph(graph.inputs, nodes, graph.label, graph.names).forward(
        weights, x, training=True, masks=masks, record=False
    )
    values = dict(zip(nodes, outputs, strict=True))
    for node, value in values.items():
        if not finite(value):
            name, kind = graph.names[node.layer], type(node.layer).__name__
            return f"The first layer whose output is not is {name!r} ({kind}). {ADVICE}"
    last = max(graph.outputs, key=lambda node: float(xp.max(xp.abs(values[node]))))
    largest = float(xp.max(xp.abs(values[last])))
    name = graph.names[last.layer]
    return (
        f"Every layer is, but the loss overflows: the output of {name!r} is as large as {largest:.3g}. "
        f"{ADVICE}"
    )

"""The base class of optimizers: learning rate, clipping, weight decay, and a step as a pure function."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from arrayconv.models import checks
from arrayconv.models.arrays import clipped
from arrayconv.models.optimizers.schedules import LearningRateSchedule
from arrayconv.namespace import Array, Namespace, accumulator, array_namespace, cast, fused

# By any key; in training the keys are (layer, weight).
Weights = Mapping[Any, Array]
# By slot ("momentum", "velocity"), then by weight.
Slots = dict[str, dict[Any, Array]]
Coefficients = Mapping[str, float]

# The slots of one weight, in order; and what `change` returns: what to subtract from the weight, and its new slots.
Kept = tuple[Array, ...]
Change = tuple[Array, Kept]

# Arguments of Keras's optimizers, some of older versions, that these do not take.
_REFUSED = {
    "amsgrad": "the largest second moment is not kept; Nadam or AdamW may serve",
    "centered": "the mean of the gradient is not kept",
    "decay": "give learning_rate a schedule, such as ExponentialDecay",
    "gradient_accumulation_steps": "use a larger batch_size",
    "loss_scale_factor": "losses are not scaled",
    "lr": "did you mean 'learning_rate'?",
    "name": "optimizers have no names",
    "use_ema": "averages of the weights are not kept",
}


def elementwise(change: Callable[..., Any]) -> Callable[..., Any]:
    """Mark an optimizer's ``change`` as elementwise, so that `Optimizer.update` may fuse it to one kernel."""
    change.elementwise = True  # type: ignore[attr-defined]
    return change


class Optimizer:
    """Base class of optimizers, with learning rate, clipping and weight decay.

    An optimizer of your own defines ``slots``, the names of the arrays it keeps for each weight, and ``change``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        At least 0; may be changed between calls of ``fit``.
    weight_decay : float, optional
        Every step also subtracts ``learning_rate * weight_decay * w`` from every weight ``w``.
    clipnorm : float, optional
        The gradient of each weight is scaled down to this Euclidean norm if its norm is larger.
    clipvalue : float, optional
        Every element of the gradients is limited to ``[-clipvalue, clipvalue]``.
    global_clipnorm : float, optional
        All gradients are scaled down by one factor if their joint Euclidean norm is larger than this.

    Raises
    ------
    TypeError
        If an argument is not a number, or is unknown.
    ValueError
        If the learning rate or the weight decay is negative, a coefficient such as ``momentum`` or ``beta_1``
        is outside [0, 1), a clipping limit is not positive, or more than one is given.
    """

    slots: tuple[str, ...] = ()

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.01,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        **unknown: Any,
    ) -> None:
        checks.known(self.label, unknown, _REFUSED, type(self), Optimizer)
        self.learning_rate = learning_rate
        self.weight_decay, self.clipnorm, self.clipvalue = weight_decay, clipnorm, clipvalue
        self.global_clipnorm = global_clipnorm
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = {name: value for name, value in clips.items() if value is not None}
        if len(given) > 1:
            raise ValueError(f"{self.label}: give one of {', '.join(clips)}, got {given}")
        for name, value in given.items():
            checks.number(self.label, name, value, above=0)
        if weight_decay is not None:
            checks.number(self.label, "weight_decay", weight_decay, least=0)

    @property
    def label(self) -> str:
        """The optimizer's name in error messages."""
        return type(self).__name__

    @property
    def learning_rate(self) -> float | LearningRateSchedule:
        """The learning rate, a number or a schedule."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule) -> None:
        if not callable(value):
            value = checks.number(self.label, "learning_rate", value, least=0)
        self._learning_rate = value

    @property
    def rate(self) -> float:
        """The learning rate as a number, for callbacks that change it; a ``TypeError`` if it is a schedule."""
        if callable(self._learning_rate):
            raise TypeError(
                f"{self.label}: learning_rate is a schedule, {self._learning_rate!r}; a callback that changes it "
                "needs a number"
            )
        return self._learning_rate

    def init(self, weights: Weights) -> Slots:
        """The state before the first step: zeros in the shapes of the weights."""
        return {
            slot: {n: array_namespace("init", w=w).zeros_like(w) for n, w in weights.items()}
            for slot in self.slots
        }

    def coefficients(self, step: int) -> dict[str, float]:
        """The numbers that depend on the step, such as the learning rate; the first step is 0."""
        rate = self._learning_rate
        return {"learning_rate": float(rate(step)) if callable(rate) else rate}

    def update(
        self, gradients: Weights, state: Slots, weights: Weights, coefficients: Coefficients
    ) -> tuple[dict[Any, Array], Slots]:
        """One step: new weights and new state.

        Parameters
        ----------
        gradients, weights : mapping of (layer, weight) to array
            By the same keys.
        state : dict
            From `init`, or from the step before.
        coefficients : mapping of str to float
            From `coefficients`; an argument, so that a compiled step works for every learning rate.

        Returns
        -------
        weights : dict of (layer, weight) to array
        state : dict
        """
        names, slots = tuple(coefficients), len(self.slots)
        decays = self.weight_decay is not None
        numbers = list(coefficients.values())
        if self.weight_decay is not None:
            numbers.append(self.weight_decay * coefficients["learning_rate"])
        # a user's change may contain sums, which cannot be fused
        ours = getattr(self.change, "elementwise", False)
        kind: type | None = None
        xp: Namespace = None

        def step(w: Array, g: Array, *rest: Any) -> tuple[Array, ...]:
            given = dict(zip(names, rest[slots:], strict=False))
            delta, new = self.change(xp, g, rest[:slots], given)
            if decays:
                w = w - w * rest[-1]
            return (w - delta, *new)

        new_weights: dict[Any, Array] = {}
        new_state: Slots = {slot: {} for slot in self.slots}
        for name, g in self._clipped(gradients).items():
            w = weights[name]
            if type(w) is not kind:
                kind, xp = type(w), array_namespace("update", w=w)
            if g.dtype != w.dtype:
                g = xp.astype(g, w.dtype)
            arguments = (w, g, *[state[slot][name] for slot in self.slots], *numbers)
            new_weights[name], *new = fused(xp, step, *arguments) if ours else step(*arguments)
            for slot, value in zip(self.slots, new, strict=True):
                new_state[slot][name] = value
        return new_weights, new_state

    def change(self, xp: Namespace, g: Array, kept: Kept, numbers: Coefficients) -> Change:
        """What to subtract from a weight, and the new values of its slots.

        Parameters
        ----------
        xp : namespace
        g : array
            The gradient, in the shape and dtype of the weight.
        kept : tuple of array
            The weight's slots, in the order of ``slots``.
        numbers : mapping of str to float
            From `coefficients`.

        Returns
        -------
        delta : array
        kept : tuple of array
        """
        raise NotImplementedError(f"{type(self).__name__} must define change")

    def _clipped(self, gradients: Weights) -> Weights:
        if self.clipnorm is not None:
            return {name: _scaled(g, _squares(g), self.clipnorm) for name, g in gradients.items()}
        if self.global_clipnorm is not None and gradients:
            total = sum(map(_squares, gradients.values()))
            return {name: _scaled(g, total, self.global_clipnorm) for name, g in gradients.items()}
        if self.clipvalue is not None:
            v = self.clipvalue
            return {
                n: clipped(array_namespace("update", g=g), g, -v, v) for n, g in gradients.items()
            }
        return gradients

    def __repr__(self) -> str:
        given = {name.removeprefix("_"): value for name, value in vars(self).items()}
        shown = ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)
        return f"{type(self).__name__}({shown})"


def _squares(g: Array) -> Array:
    """The sum of squares, in at least float32."""
    xp = array_namespace("Optimizer", g=g)
    wide = cast(xp, g, accumulator(xp, g.dtype))
    return xp.sum(wide * wide)


def _scaled(g: Array, squares: Array, largest: float) -> Array:
    """``g`` scaled by ``largest / sqrt(squares)`` where that is below 1."""
    xp = array_namespace("Optimizer", g=g)
    norm = xp.sqrt(squares)
    scale = largest / clipped(xp, norm, largest, math.inf)
    return g * cast(xp, scale, g.dtype)


def share(label: str, name: str, value: float) -> float:
    """A number in [0, 1)."""
    return checks.number(label, name, value, least=0, below=1)

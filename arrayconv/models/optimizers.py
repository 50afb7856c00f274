"""Optimizers: pure functions from gradients, state and weights to new state and weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from arrayconv.models.names import lookup
from arrayconv.models.schedules import LearningRateSchedule
from arrayconv.namespace import Array, Namespace, accumulator, array_namespace, cast

Weights = Mapping[str, Array]
# By slot ("momentum", "velocity"), then by weight.
State = dict[str, dict[str, Array]]
Coefficients = Mapping[str, float]

_COMMON = """weight_decay : float, optional
        Before each update, every weight shrinks by ``learning_rate * weight_decay`` of itself.
    clipnorm : float, optional
        The largest Euclidean norm that the gradient of a single weight keeps.
    clipvalue : float, optional
        The largest absolute value that an element of a gradient keeps.
    global_clipnorm : float, optional
        The largest Euclidean norm that all gradients together keep.

    Raises
    ------
    ValueError
        A learning rate below 0, a share outside [0, 1), or more than one kind of clipping.
    """


class Optimizer:
    """What all optimizers share: the learning rate, clipping and weight decay.

    One of your own gives ``slots``, the names of the arrays it keeps for each weight, and ``change``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
        May be assigned between two calls of ``fit``.
    {common}
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
    ) -> None:
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.clipnorm, self.clipvalue = clipnorm, clipvalue
        self.global_clipnorm = global_clipnorm
        clips = {"clipnorm": clipnorm, "clipvalue": clipvalue, "global_clipnorm": global_clipnorm}
        given = {name: value for name, value in clips.items() if value is not None}
        if len(given) > 1:
            raise ValueError(f"{self.label}: give one of {', '.join(clips)}, got {given}")
        for name, value in given.items():
            if not value > 0:
                raise ValueError(f"{self.label}: {name} must be positive, got {value!r}")
        if weight_decay is not None and not weight_decay >= 0:
            raise ValueError(f"{self.label}: weight_decay must be at least 0, got {weight_decay!r}")

    @property
    def label(self) -> str:
        """How errors call this optimizer."""
        return type(self).__name__

    @property
    def learning_rate(self) -> float | LearningRateSchedule:
        """A number, or a schedule."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float | LearningRateSchedule) -> None:
        if not callable(value):
            if isinstance(value, bool | str) or value is None or not float(value) >= 0:
                raise ValueError(
                    f"{self.label}: learning_rate must be a number of at least 0 or a schedule, got {value!r}"
                )
            value = float(value)
        self._learning_rate = value

    def init(self, weights: Weights) -> State:
        """The state before the first step: zeros, shaped as the weights."""
        return {slot: {name: _zeros(w) for name, w in weights.items()} for slot in self.slots}

    def coefficients(self, step: int) -> dict[str, float]:
        """The numbers that change from step to step; the first step is number 0."""
        rate = self.learning_rate
        return {"learning_rate": float(rate(step)) if callable(rate) else rate}

    def update(
        self, gradients: Weights, state: State, weights: Weights, coefficients: Coefficients
    ) -> tuple[dict[str, Array], State]:
        """One step: new weights and new state.

        Parameters
        ----------
        gradients, weights : mapping of str to array
            By the same names.
        state : dict
            From `init`, or from the step before.
        coefficients : mapping of str to float
            From `coefficients`: computed outside, so that a compiled step serves every learning rate.
        """
        rate = coefficients["learning_rate"]
        new_weights: dict[str, Array] = {}
        new_state: State = {slot: {} for slot in self.slots}
        for name, g in self._clipped(gradients).items():
            w = weights[name]
            xp = array_namespace(self.label, w=w)
            kept = tuple(state[slot][name] for slot in self.slots)
            delta, new = self.change(xp, cast(xp, g, w.dtype), kept, coefficients)
            if self.weight_decay is not None:
                w = w - w * (self.weight_decay * rate)
            new_weights[name] = w - delta
            for slot, value in zip(self.slots, new, strict=True):
                new_state[slot][name] = value
        return new_weights, new_state

    def change(
        self, xp: Namespace, g: Array, kept: tuple[Array, ...], coefficients: Coefficients
    ) -> tuple[Array, tuple[Array, ...]]:
        """What to subtract from a weight of gradient ``g``, and the new values of its slots."""
        raise NotImplementedError(f"{type(self).__name__} must define change")

    def _clipped(self, gradients: Weights) -> Weights:
        if self.clipnorm is not None:
            return {name: _scaled(g, _squares(g), self.clipnorm) for name, g in gradients.items()}
        if self.global_clipnorm is not None and gradients:
            total: Any = 0.0
            for g in gradients.values():
                total = total + _squares(g)
            return {name: _scaled(g, total, self.global_clipnorm) for name, g in gradients.items()}
        if self.clipvalue is not None:
            v = self.clipvalue
            return {
                name: array_namespace(self.label, g=g).clip(g, -v, v)
                for name, g in gradients.items()
            }
        return gradients

    def __repr__(self) -> str:
        given = {name.removeprefix("_"): value for name, value in vars(self).items()}
        shown = ", ".join(f"{name}={value!r}" for name, value in given.items() if value is not None)
        return f"{type(self).__name__}({shown})"


class SGD(Optimizer):
    """Gradient descent: ``w -= learning_rate * g``, with momentum ``v = momentum * v - learning_rate * g``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    momentum : float
        In [0, 1).
    nesterov : bool
        Whether to look ahead: ``w += momentum * v - learning_rate * g`` instead of ``w += v``.
    {common}

    Notes
    -----
    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013,
    equations 1 to 4.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> sgd = models.SGD(0.5)
    >>> w = {{"w": np.asarray([1.0])}}
    >>> new, state = sgd.update({{"w": np.asarray([2.0])}}, sgd.init(w), w, sgd.coefficients(0))
    >>> new["w"]
    array([0.])
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **common: float | None,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.momentum = _share(self.label, "momentum", momentum)
        self.nesterov = nesterov
        self.slots = ("momentum",) if momentum else ()

    def change(
        self, xp: Namespace, g: Array, kept: tuple[Array, ...], coefficients: Coefficients
    ) -> tuple[Array, tuple[Array, ...]]:
        step = g * coefficients["learning_rate"]
        if not kept:
            return step, ()
        v = kept[0] * self.momentum - step
        return (step - v * self.momentum if self.nesterov else -v), (v,)


class RMSprop(Optimizer):
    """``v = rho * v + (1 - rho) * g ** 2``, then ``w -= learning_rate * g / sqrt(v + epsilon)``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    rho, momentum : float
        In [0, 1).
    epsilon : float
    {common}

    Notes
    -----
    Hinton, "Neural Networks for Machine Learning", lecture 6e; epsilon under the root, as in Keras.

    Examples
    --------
    >>> from arrayconv import models
    >>> models.RMSprop(rho=0.8).coefficients(0)
    {{'learning_rate': 0.001}}
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        **common: float | None,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.rho = _share(self.label, "rho", rho)
        self.momentum = _share(self.label, "momentum", momentum)
        self.epsilon = epsilon
        self.slots = ("velocity", "momentum") if momentum else ("velocity",)

    def change(
        self, xp: Namespace, g: Array, kept: tuple[Array, ...], coefficients: Coefficients
    ) -> tuple[Array, tuple[Array, ...]]:
        v = kept[0] * self.rho + (g * g) * (1 - self.rho)
        delta = g * coefficients["learning_rate"] / xp.sqrt(v + self.epsilon)
        if not self.momentum:
            return delta, (v,)
        m = kept[1] * self.momentum + delta
        return m, (v, m)


class Adam(Optimizer):
    """Running means ``m`` of the gradient and ``v`` of its square, both freed of their bias to zero.

    ``w -= alpha * m / (sqrt(v) + epsilon)`` with
    ``alpha = learning_rate * sqrt(1 - beta_2 ** t) / (1 - beta_1 ** t)`` at step ``t`` = 1, 2, ...

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    beta_1, beta_2 : float
        In [0, 1).
    epsilon : float
    {common}

    Notes
    -----
    Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, section 2: the last formula
    before section 2.1, whose epsilon is not the one of Algorithm 1.

    Examples
    --------
    >>> from arrayconv import models
    >>> sorted(models.Adam().coefficients(0))
    ['alpha', 'learning_rate']
    """

    slots = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: float | None,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = _share(self.label, "beta_1", beta_1)
        self.beta_2 = _share(self.label, "beta_2", beta_2)
        self.epsilon = epsilon

    def coefficients(self, step: int) -> dict[str, float]:
        found = super().coefficients(step)
        correction = math.sqrt(1 - self.beta_2 ** (step + 1)) / (1 - self.beta_1 ** (step + 1))
        return {**found, "alpha": found["learning_rate"] * correction}

    def change(
        self, xp: Namespace, g: Array, kept: tuple[Array, ...], coefficients: Coefficients
    ) -> tuple[Array, tuple[Array, ...]]:
        m, v = kept
        m = m + (g - m) * (1 - self.beta_1)
        v = v + (g * g - v) * (1 - self.beta_2)
        return m * coefficients["alpha"] / (xp.sqrt(v) + self.epsilon), (m, v)


class AdamW(Adam):
    """`Adam` with decoupled weight decay, 0.004 if not given.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    weight_decay : float
        Before each update, every weight shrinks by ``learning_rate * weight_decay`` of itself.
    **common
        As for `Adam`.

    Raises
    ------
    ValueError
        As for `Adam`.

    Notes
    -----
    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", ICLR 2019, Algorithm 2; the schedule
    multiplier is the learning rate, as in Keras and PyTorch.

    Examples
    --------
    >>> from arrayconv import models
    >>> models.AdamW().weight_decay
    0.004
    """

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        weight_decay: float = 0.004,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **common: float | None,
    ) -> None:
        super().__init__(
            learning_rate, beta_1, beta_2, epsilon, weight_decay=weight_decay, **common
        )


for _kind in (Optimizer, SGD, RMSprop, Adam):
    # under -OO there are no docstrings
    _kind.__doc__ = _kind.__doc__ and _kind.__doc__.format(common=_COMMON.strip())

_BY_NAME: dict[str, type[Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "sgd": SGD,
}


def optimizer(value: Any) -> Optimizer:
    """The optimizer that ``value``, a name or an `Optimizer`, stands for."""
    if isinstance(value, Optimizer):
        return value
    if isinstance(value, type) and issubclass(value, Optimizer):
        return value()
    name = value.lower() if isinstance(value, str) else value
    return lookup("compile", "optimizer", name, _BY_NAME)()


def _zeros(w: Array) -> Array:
    return array_namespace("Optimizer.init", w=w).zeros_like(w)


def _squares(g: Array) -> Array:
    """The sum of squares, in at least float32."""
    xp = array_namespace("Optimizer", g=g)
    wide = cast(xp, g, accumulator(xp, g.dtype))
    return xp.sum(wide * wide)


def _scaled(g: Array, squares: Array, largest: float) -> Array:
    """``g`` times ``largest / norm`` where the norm, the root of ``squares``, is larger."""
    xp = array_namespace("Optimizer", g=g)
    norm = xp.sqrt(squares)
    scale = largest / xp.clip(norm, largest, None)
    return g * cast(xp, scale, g.dtype)


def _share(label: str, name: str, value: float) -> float:
    if not 0 <= value < 1:
        raise ValueError(f"{label}: {name} must be in [0, 1), got {value!r}")
    return float(value)

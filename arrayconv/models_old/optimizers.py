"""Optimizers: pure functions from gradients, state and weights to new state and weights."""

from __future__ import annotations

import math
from typing import Any

from arrayconv.models_old.names import lookup
from arrayconv.models_old.optimizer import COMMON, Coefficients, Optimizer
from arrayconv.models_old.schedules import LearningRateSchedule
from arrayconv.models_old.shapes import checked_flag, checked_number
from arrayconv.namespace import Array, Namespace


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
        self.nesterov = checked_flag(self.label, "nesterov", nesterov)
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
    _kind.__doc__ = _kind.__doc__ and _kind.__doc__.format(common=COMMON.strip())

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


def _share(label: str, name: str, value: float) -> float:
    share = checked_number(label, name, value)
    if not 0 <= share < 1:
        raise ValueError(f"{label}: {name} must be in [0, 1), got {value!r}")
    return share

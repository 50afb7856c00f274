"""Adam and its variants: pure functions from gradients, state and weights to new state and weights."""

from __future__ import annotations

import math
from functools import cache

from arrayconv.models import checks
from arrayconv.models.optimizers.optimizer import (
    Change,
    Coefficients,
    Kept,
    Optimizer,
    elementwise,
    share,
)
from arrayconv.models.optimizers.schedules import LearningRateSchedule
from arrayconv.namespace import Array, Namespace


class Adam(Optimizer):
    """Adam: steps along moving averages of the gradient, scaled by moving averages of its square.

    At step ``t`` = 1, 2, ... with gradient ``g``: ``m = beta_1 * m + (1 - beta_1) * g``,
    ``v = beta_2 * v + (1 - beta_2) * g ** 2`` and ``w -= alpha * m / (sqrt(v) + epsilon)``, where
    ``alpha = learning_rate * sqrt(1 - beta_2 ** t) / (1 - beta_1 ** t)`` corrects the bias of both averages.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    beta_1, beta_2 : float
        In [0, 1).
    epsilon : float
    **common
        As for `Optimizer`, which also says what is raised.

    Notes
    -----
    Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015, the last formula before section
    2.1; as in Keras, ``epsilon`` is the "epsilon hat" there, not the epsilon of Algorithm 1.

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
        self.beta_1 = share(self.label, "beta_1", beta_1)
        self.beta_2 = share(self.label, "beta_2", beta_2)
        self.epsilon = checks.number(self.label, "epsilon", epsilon, least=0)

    def coefficients(self, step: int) -> dict[str, float]:
        found = super().coefficients(step)
        correction = math.sqrt(1 - self.beta_2 ** (step + 1)) / (1 - self.beta_1 ** (step + 1))
        return {**found, "alpha": found["learning_rate"] * correction}

    @elementwise
    def change(self, xp: Namespace, g: Array, kept: Kept, numbers: Coefficients) -> Change:
        m, v = kept
        m = m + (g - m) * (1 - self.beta_1)
        v = v + (g * g - v) * (1 - self.beta_2)
        return m * numbers["alpha"] / (xp.sqrt(v) + self.epsilon), (m, v)


class AdamW(Adam):
    """`Adam` with decoupled weight decay.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    weight_decay : float
        Every step also subtracts ``learning_rate * weight_decay * w`` from every weight ``w``.
    beta_1, beta_2, epsilon, **common
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


class Nadam(Adam):
    """`Adam` with Nesterov momentum, whose coefficient ``beta_1 * (1 - 0.96 ** t / 2)`` grows with the step ``t``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    beta_1, beta_2 : float
        In [0, 1).
    epsilon : float
    **common
        As for `Optimizer`, which also says what is raised.

    Notes
    -----
    Dozat, "Incorporating Nesterov Momentum into Adam", ICLR 2016 workshop, with the schedule of its
    appendix, as in Keras.

    Examples
    --------
    >>> from arrayconv.models.optimizers import Nadam
    >>> sorted(Nadam().coefficients(0))
    ['correction', 'gradient', 'learning_rate', 'momentum']
    """

    def coefficients(self, step: int) -> dict[str, float]:
        t = step + 1
        rate = Optimizer.coefficients(self, step)
        now, ahead = (1 - self.beta_1**n * _shrunk(n) for n in (t, t + 1))
        return {
            **rate,
            "momentum": self._momentum(t + 1) / ahead,
            "gradient": (1 - self._momentum(t)) / now,
            "correction": 1 - self.beta_2**t,
        }

    @elementwise
    def change(self, xp: Namespace, g: Array, kept: Kept, numbers: Coefficients) -> Change:
        m, v = kept
        m = m + (g - m) * (1 - self.beta_1)
        v = v + (g * g - v) * (1 - self.beta_2)
        ahead = m * numbers["momentum"] + g * numbers["gradient"]
        root = xp.sqrt(v / numbers["correction"]) + self.epsilon
        return ahead * numbers["learning_rate"] / root, (m, v)

    def _momentum(self, t: int) -> float:
        return self.beta_1 * (1 - 0.96**t / 2)


@cache
def _shrunk(t: int) -> float:
    """The product of ``1 - 0.96 ** n / 2`` for ``n`` from 1 to ``t``; beyond 1000 the factors round to 1."""
    return math.prod(1 - 0.96**n / 2 for n in range(1, min(t, 1000) + 1))

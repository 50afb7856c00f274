"""Adam and its kin: running means of the gradient and of its square, freed of their bias to zero."""

from __future__ import annotations

import math

from arrayconv.models.optimizers.optimizer import (
    COMMON,
    Coefficients,
    Optimizer,
    elementwise,
    share_below_one,
)
from arrayconv.models.optimizers.schedules import LearningRateSchedule
from arrayconv.namespace import Array, Namespace


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
        self.beta_1 = share_below_one(self.label, "beta_1", beta_1)
        self.beta_2 = share_below_one(self.label, "beta_2", beta_2)
        self.epsilon = epsilon

    def coefficients(self, step: int) -> dict[str, float]:
        found = super().coefficients(step)
        correction = math.sqrt(1 - self.beta_2 ** (step + 1)) / (1 - self.beta_1 ** (step + 1))
        return {**found, "alpha": found["learning_rate"] * correction}

    @elementwise
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


class Nadam(Adam):
    """`Adam` with Nesterov's momentum, whose share ``u = beta_1 * (1 - 0.96 ** t / 2)`` grows with the step ``t``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    beta_1, beta_2 : float
        In [0, 1).
    epsilon : float
    {common}

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
        now, ahead = (1 - self._momentum_product(n) for n in (t, t + 1))
        return {
            **rate,
            "momentum": self._momentum(t + 1) / ahead,
            "gradient": (1 - self._momentum(t)) / now,
            "correction": 1 - self.beta_2**t,
        }

    @elementwise
    def change(
        self, xp: Namespace, g: Array, kept: tuple[Array, ...], coefficients: Coefficients
    ) -> tuple[Array, tuple[Array, ...]]:
        m, v = kept
        m = m + (g - m) * (1 - self.beta_1)
        v = v + (g * g - v) * (1 - self.beta_2)
        ahead = m * coefficients["momentum"] + g * coefficients["gradient"]
        root = xp.sqrt(v / coefficients["correction"]) + self.epsilon
        return ahead * coefficients["learning_rate"] / root, (m, v)

    def _momentum(self, t: int) -> float:
        return self.beta_1 * (1 - 0.96**t / 2)

    def _momentum_product(self, t: int) -> float:
        # the factors of later steps are 1 to the last digit, but for beta_1
        known = min(t, _SETTLED)
        return float(self.beta_1**t * _SHRINKS[known])


_SETTLED = 1000
_SHRINKS = [1.0]
for _t in range(1, _SETTLED + 1):
    _SHRINKS.append(_SHRINKS[-1] * (1 - 0.96**_t / 2))

for _kind in (Adam, Nadam):
    # under -OO there are no docstrings
    _kind.__doc__ = _kind.__doc__ and _kind.__doc__.format(common=COMMON.strip())

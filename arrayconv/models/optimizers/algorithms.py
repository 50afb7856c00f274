"""The algorithms: pure functions from gradients, state and weights to new state and weights."""

from __future__ import annotations

import math
from functools import cache

from arrayconv.models import checks
from arrayconv.models.arrays import sign
from arrayconv.models.optimizers.optimizer import (
    Change,
    Coefficients,
    Kept,
    Optimizer,
    Slots,
    Weights,
    elementwise,
    share,
)
from arrayconv.models.optimizers.schedules import LearningRateSchedule
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
    **common
        As for `Optimizer`, and so are the errors.

    Notes
    -----
    Sutskever et al., "On the importance of initialization and momentum in deep learning", ICML 2013,
    equations 1 to 4.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> sgd = models.SGD(0.5)
    >>> w = {"w": np.asarray([1.0])}
    >>> new, state = sgd.update({"w": np.asarray([2.0])}, sgd.init(w), w, sgd.coefficients(0))
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
        self.momentum = share(self.label, "momentum", momentum)
        self.nesterov = checks.flag(self.label, "nesterov", nesterov)
        self.slots = ("momentum",) if momentum else ()

    @elementwise
    def change(self, xp: Namespace, g: Array, kept: Kept, numbers: Coefficients) -> Change:
        step = g * numbers["learning_rate"]
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
    **common
        As for `Optimizer`, and so are the errors.

    Notes
    -----
    Hinton, "Neural Networks for Machine Learning", lecture 6e; epsilon under the root, as in Keras.

    Examples
    --------
    >>> from arrayconv import models
    >>> models.RMSprop(rho=0.8).coefficients(0)
    {'learning_rate': 0.001}
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
        self.rho = share(self.label, "rho", rho)
        self.momentum = share(self.label, "momentum", momentum)
        self.epsilon = epsilon
        self.slots = ("velocity", "momentum") if momentum else ("velocity",)

    @elementwise
    def change(self, xp: Namespace, g: Array, kept: Kept, numbers: Coefficients) -> Change:
        v = kept[0] * self.rho + (g * g) * (1 - self.rho)
        delta = g * numbers["learning_rate"] / xp.sqrt(v + self.epsilon)
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
    **common
        As for `Optimizer`, and so are the errors.

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
        self.beta_1 = share(self.label, "beta_1", beta_1)
        self.beta_2 = share(self.label, "beta_2", beta_2)
        self.epsilon = epsilon

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
    """`Adam` with decoupled weight decay, 0.004 if not given.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    weight_decay : float
        Before each update, every weight shrinks by ``learning_rate * weight_decay`` of itself.
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
    """`Adam` with Nesterov's momentum, whose share ``u = beta_1 * (1 - 0.96 ** t / 2)`` grows with the step ``t``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    beta_1, beta_2 : float
        In [0, 1).
    epsilon : float
    **common
        As for `Optimizer`, and so are the errors.

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
    """The product of ``1 - 0.96 ** n / 2`` for ``n`` from 1 to ``t``; later factors are 1 to the last digit."""
    return math.prod(1 - 0.96**n / 2 for n in range(1, min(t, 1000) + 1))


class Adagrad(Optimizer):
    """``a += g ** 2``, then ``w -= learning_rate * g / sqrt(a + epsilon)``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    initial_accumulator_value : float
        What ``a`` begins with, at least 0.
    epsilon : float
    **common
        As for `Optimizer`, and so are the errors.

    Notes
    -----
    Duchi, Hazan and Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization",
    JMLR 12, 2011; epsilon under the root, as in Keras.

    Examples
    --------
    >>> from arrayconv.models.optimizers import Adagrad
    >>> Adagrad(0.1).initial_accumulator_value
    0.1
    """

    slots = ("accumulator",)

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **common: float | None,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.initial_accumulator_value = checks.number(
            self.label, "initial_accumulator_value", initial_accumulator_value, least=0
        )
        self.epsilon = epsilon

    def init(self, weights: Weights) -> Slots:
        """The state before the first step: ``initial_accumulator_value``, shaped as the weights."""
        zeros, start = super().init(weights)["accumulator"], self.initial_accumulator_value
        return {"accumulator": {name: zero + start for name, zero in zeros.items()}}

    @elementwise
    def change(self, xp: Namespace, g: Array, kept: Kept, numbers: Coefficients) -> Change:
        a = kept[0] + g * g
        return g * numbers["learning_rate"] / xp.sqrt(a + self.epsilon), (a,)


class Lion(Optimizer):
    """``w -= learning_rate * sign(beta_1 * m + (1 - beta_1) * g)``, then ``m = beta_2 * m + (1 - beta_2) * g``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    beta_1, beta_2 : float
        In [0, 1).
    **common
        As for `Optimizer`, and so are the errors.

    Notes
    -----
    Chen et al., "Symbolic Discovery of Optimization Algorithms", NeurIPS 2023, Algorithm 2.

    Examples
    --------
    >>> from arrayconv.models.optimizers import Lion
    >>> Lion().beta_2
    0.99
    """

    slots = ("momentum",)

    def __init__(
        self,
        learning_rate: float | LearningRateSchedule = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **common: float | None,
    ) -> None:
        super().__init__(learning_rate, **common)
        self.beta_1 = share(self.label, "beta_1", beta_1)
        self.beta_2 = share(self.label, "beta_2", beta_2)

    @elementwise
    def change(self, xp: Namespace, g: Array, kept: Kept, numbers: Coefficients) -> Change:
        m = kept[0]
        towards = sign(xp, m * self.beta_1 + g * (1 - self.beta_1))
        return towards * numbers["learning_rate"], (m * self.beta_2 + g * (1 - self.beta_2),)

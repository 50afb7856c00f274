"""SGD, RMSprop, Adagrad and Lion: pure functions from gradients, state and weights to new state and weights."""

from __future__ import annotations

from arrayconv.models import checks
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
from arrayconv.ops.activation.elementwise import sign


class SGD(Optimizer):
    """Gradient descent: ``w -= learning_rate * g``.

    With momentum, ``v = momentum * v - learning_rate * g`` and ``w += v``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    momentum : float
        In [0, 1).
    nesterov : bool
        Whether to use Nesterov momentum: ``w += momentum * v - learning_rate * g`` instead of ``w += v``.
    **common
        As for `Optimizer`, which also says what is raised.

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

    With momentum, ``m = momentum * m + learning_rate * g / sqrt(v + epsilon)`` and ``w -= m``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    rho, momentum : float
        In [0, 1).
    epsilon : float
    **common
        As for `Optimizer`, which also says what is raised.

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
        self.epsilon = checks.number(self.label, "epsilon", epsilon, least=0)
        self.slots = ("velocity", "momentum") if momentum else ("velocity",)

    @elementwise
    def change(self, xp: Namespace, g: Array, kept: Kept, numbers: Coefficients) -> Change:
        v = kept[0] * self.rho + (g * g) * (1 - self.rho)
        delta = g * numbers["learning_rate"] / xp.sqrt(v + self.epsilon)
        if not self.momentum:
            return delta, (v,)
        m = kept[1] * self.momentum + delta
        return m, (v, m)


class Adagrad(Optimizer):
    """``a += g ** 2``, then ``w -= learning_rate * g / sqrt(a + epsilon)``.

    Parameters
    ----------
    learning_rate : float or LearningRateSchedule
    initial_accumulator_value : float
        The initial ``a``, at least 0.
    epsilon : float
    **common
        As for `Optimizer`, which also says what is raised.

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
        self.epsilon = checks.number(self.label, "epsilon", epsilon, least=0)

    def init(self, weights: Weights) -> Slots:
        """The state before the first step: ``initial_accumulator_value`` in the shapes of the weights."""
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
        As for `Optimizer`, which also says what is raised.

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

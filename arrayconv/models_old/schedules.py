"""Learning rates that change with the step: pure functions of its number, computed in Python's floats."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

from arrayconv.models_old.shapes import checked_number


class LearningRateSchedule:
    """What an optimizer takes in place of a number; a schedule of your own gives ``__call__``.

    Examples
    --------
    >>> from arrayconv import models
    >>> class Halving(models.LearningRateSchedule):
    ...     def __call__(self, step):
    ...         return 0.1 / 2 ** (step // 100)
    >>> models.SGD(Halving()).coefficients(250)["learning_rate"]
    0.025
    """

    def __call__(self, step: int) -> float:
        """The learning rate of step number ``step``, the first being 0."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, step)")

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({given})"


class ExponentialDecay(LearningRateSchedule):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    decay_rate : float
    staircase : bool
        Whether to take the floor of ``step / decay_steps``, so that the rate falls in steps.

    Raises
    ------
    ValueError
        If ``decay_steps`` is not positive.

    Examples
    --------
    >>> from arrayconv import models
    >>> models.ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
    0.025
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
    ) -> None:
        self.initial_learning_rate = float(initial_learning_rate)
        self.decay_steps = _positive("ExponentialDecay", "decay_steps", decay_steps)
        self.decay_rate = float(decay_rate)
        self.staircase = staircase

    def __call__(self, step: int) -> float:
        part = step / self.decay_steps
        part = math.floor(part) if self.staircase else part
        return float(self.initial_learning_rate * self.decay_rate**part)


class PolynomialDecay(LearningRateSchedule):
    """From ``initial_learning_rate`` to ``end_learning_rate`` in ``decay_steps`` steps, then constant.

    The rate is ``(initial - end) * (1 - step / decay_steps) ** power + end``; ``power=1`` is a line.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
    end_learning_rate : float
    power : float

    Raises
    ------
    ValueError
        If ``decay_steps`` is not positive.

    Examples
    --------
    >>> from arrayconv import models
    >>> models.PolynomialDecay(1.0, decay_steps=4, end_learning_rate=0.0)(1)
    0.75
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
    ) -> None:
        self.initial_learning_rate = float(initial_learning_rate)
        self.decay_steps = _positive("PolynomialDecay", "decay_steps", decay_steps)
        self.end_learning_rate = float(end_learning_rate)
        self.power = float(power)

    def __call__(self, step: int) -> float:
        left = 1 - min(step, self.decay_steps) / self.decay_steps
        span = self.initial_learning_rate - self.end_learning_rate
        return float(span * left**self.power + self.end_learning_rate)


class PiecewiseConstantDecay(LearningRateSchedule):
    """``values[0]`` up to and including step ``boundaries[0]``, then ``values[1]``, and so on.

    Parameters
    ----------
    boundaries : sequence of int
        Increasing.
    values : sequence of float
        One more than there are boundaries.

    Raises
    ------
    ValueError
        If the boundaries do not increase, or there is not one value more.

    Examples
    --------
    >>> from arrayconv import models
    >>> rate = models.PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
    >>> rate(100), rate(101), rate(1000)
    (0.1, 0.01, 0.001)
    """

    def __init__(self, boundaries: Sequence[int], values: Sequence[float]) -> None:
        self.boundaries = [*boundaries]
        self.values = [float(value) for value in values]
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                "PiecewiseConstantDecay: values must have one number more than boundaries, "
                f"got {len(self.values)} for {len(self.boundaries)} boundaries"
            )
        if any(a >= b for a, b in zip(self.boundaries, self.boundaries[1:], strict=False)):
            raise ValueError(
                f"PiecewiseConstantDecay: boundaries must increase, got {self.boundaries}"
            )

    def __call__(self, step: int) -> float:
        return self.values[bisect_left(self.boundaries, step)]


class CosineDecay(LearningRateSchedule):
    """Half a cosine from the learning rate down to ``alpha`` of it, after a linear warm-up if there is one.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
        Steps of the decay, not counting the warm-up.
    alpha : float
        The last rate, as a share of the highest.
    warmup_target : float, optional
        The rate that ``warmup_steps`` steps lead to, from ``initial_learning_rate``, in a line; the decay
        starts from it.
    warmup_steps : int

    Raises
    ------
    ValueError
        If ``decay_steps`` is not positive, ``warmup_steps`` is negative, or there are steps of warm-up
        without a target.

    Notes
    -----
    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, equation 5,
    without the restarts.

    Examples
    --------
    >>> from arrayconv import models
    >>> rate = models.CosineDecay(0.0, decay_steps=10, warmup_target=0.1, warmup_steps=5)
    >>> rate(0), rate(5), round(rate(10), 3), rate(15)
    (0.0, 0.1, 0.05, 0.0)
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial_learning_rate = float(initial_learning_rate)
        self.decay_steps = _positive("CosineDecay", "decay_steps", decay_steps)
        self.alpha = float(alpha)
        self.warmup_target = None if warmup_target is None else float(warmup_target)
        self.warmup_steps = warmup_steps
        if warmup_steps < 0 or (warmup_steps > 0 and warmup_target is None):
            raise ValueError(
                "CosineDecay: warmup_steps must be at least 0, and goes with warmup_target; "
                f"got warmup_steps={warmup_steps}, warmup_target={warmup_target}"
            )

    def __call__(self, step: int) -> float:
        top = self.initial_learning_rate
        if self.warmup_target is not None:
            if step < self.warmup_steps:
                return top + (self.warmup_target - top) * (step / self.warmup_steps)
            top = self.warmup_target
            step -= self.warmup_steps
        part = min(step, self.decay_steps) / self.decay_steps
        return top * ((1 - self.alpha) * 0.5 * (1 + math.cos(math.pi * part)) + self.alpha)


def _positive(label: str, name: str, value: int) -> int:
    if not checked_number(label, name, value) > 0:
        raise ValueError(f"{label}: {name} must be positive, got {value!r}")
    return value

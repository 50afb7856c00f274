"""Learning rate schedules: functions from the number of a step to a Python float."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from arrayconv.models import checks


class LearningRateSchedule:
    """Base class of learning rate schedules; one of your own defines ``__call__``.

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
        """The learning rate of a step; the first step is 0."""
        raise NotImplementedError(f"{type(self).__name__} must define __call__(self, step)")

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({given})"


@dataclass(eq=False, repr=False)
class _Decay(LearningRateSchedule):
    initial_learning_rate: float
    decay_steps: int

    def __post_init__(self) -> None:
        label = type(self).__name__
        for field in fields(self):
            value = getattr(self, field.name)
            if field.type == "bool":
                setattr(self, field.name, checks.flag(label, field.name, value))
            elif value is not None or field.default is not None:
                checks.number(label, field.name, value)
        checks.number(label, "decay_steps", self.decay_steps, above=0)


@dataclass(eq=False, repr=False)
class ExponentialDecay(_Decay):
    """``initial_learning_rate * decay_rate ** (step / decay_steps)``.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
        Above 0, else a ``ValueError``.
    decay_rate : float
    staircase : bool
        Whether to take the floor of ``step / decay_steps``, so that the rate falls in steps.

    Examples
    --------
    >>> from arrayconv import models
    >>> models.ExponentialDecay(0.1, decay_steps=10, decay_rate=0.5)(20)
    0.025
    """

    decay_rate: float
    staircase: bool = False

    def __call__(self, step: int) -> float:
        part = step / self.decay_steps
        part = math.floor(part) if self.staircase else part
        return float(self.initial_learning_rate * self.decay_rate**part)


@dataclass(eq=False, repr=False)
class PolynomialDecay(_Decay):
    """From ``initial_learning_rate`` to ``end_learning_rate`` in ``decay_steps`` steps, then constant or anew.

    The rate is ``(initial - end) * (1 - step / decay_steps) ** power + end``; ``power=1`` is a line.

    Parameters
    ----------
    initial_learning_rate : float
    decay_steps : int
        Above 0, else a ``ValueError``.
    end_learning_rate, power : float
    cycle : bool
        Whether to decay anew after the end, over the steps up to the next multiple of ``decay_steps``.

    Examples
    --------
    >>> from arrayconv import models
    >>> models.PolynomialDecay(1.0, decay_steps=4, end_learning_rate=0.0)(1)
    0.75
    """

    end_learning_rate: float = 0.0001
    power: float = 1.0
    cycle: bool = False

    def __call__(self, step: int) -> float:
        end = self.decay_steps * (max(1, math.ceil(step / self.decay_steps)) if self.cycle else 1)
        left = 1 - min(step, end) / end
        span = self.initial_learning_rate - self.end_learning_rate
        return float(span * left**self.power + self.end_learning_rate)


@dataclass(eq=False, repr=False)
class PiecewiseConstantDecay(LearningRateSchedule):
    """``values[0]`` up to and including step ``boundaries[0]``, then ``values[1]``, and so on.

    Parameters
    ----------
    boundaries : sequence of int
        Increasing, else a ``ValueError``.
    values : sequence of float
        One more than there are boundaries, else a ``ValueError``.

    Examples
    --------
    >>> from arrayconv import models
    >>> rate = models.PiecewiseConstantDecay([100, 200], [0.1, 0.01, 0.001])
    >>> rate(100), rate(101), rate(1000)
    (0.1, 0.01, 0.001)
    """

    boundaries: Sequence[int]
    values: Sequence[float]

    def __post_init__(self) -> None:
        self.boundaries, self.values = [*self.boundaries], [*map(float, self.values)]
        if len(self.values) != len(self.boundaries) + 1:
            raise ValueError(
                "PiecewiseConstantDecay: values must have one number more than boundaries, "
                f"got {len(self.values)} for {len(self.boundaries)} boundaries"
            )
        if any(a >= b for a, b in pairwise(self.boundaries)):
            raise ValueError(
                f"PiecewiseConstantDecay: boundaries must increase, got {self.boundaries}"
            )

    def __call__(self, step: int) -> float:
        return self.values[bisect_left(self.boundaries, step)]


@dataclass(eq=False, repr=False)
class CosineDecay(_Decay):
    """Decay along half a cosine to the fraction ``alpha`` of the highest rate, after an optional linear warm-up.

    Parameters
    ----------
    initial_learning_rate : float
        The rate at step 0.
    decay_steps : int
        Steps of the decay, not counting the warm-up.
    alpha : float
        The final rate divided by the highest.
    warmup_target : float, optional
        The rate that grows linearly from ``initial_learning_rate`` in ``warmup_steps`` steps, where the decay
        starts; without it the decay starts at step 0.
    warmup_steps : int

    Raises
    ------
    ValueError
        If ``decay_steps`` is not positive, ``warmup_steps`` is negative, or given without ``warmup_target``.

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

    alpha: float = 0.0
    warmup_target: float | None = None
    warmup_steps: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warmup_steps < 0 or (self.warmup_steps > 0 and self.warmup_target is None):
            raise ValueError(
                "CosineDecay: warmup_steps must be at least 0, and goes with warmup_target; "
                f"got warmup_steps={self.warmup_steps}, warmup_target={self.warmup_target}"
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


def __getattr__(name: str) -> Any:
    hint = "a schedule of your own derives from LearningRateSchedule, with __call__"
    raise checks.absent(__name__, name, hint)

"""Initializers: weights are drawn in float64 with NumPy, so that every array library starts from the same numbers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from arrayconv.models import checks
from arrayconv.models.named import Named

Drawn = NDArray[np.float64]

# The standard deviation of a unit normal cut at two standard deviations.
_CUT_DEVIATION = 0.87962566103423978
_state = {"seed": 0}


def set_seed(seed: int) -> None:
    """Set the seed of the weights of models made from now on, and of shuffling and dropout in ``fit``.

    A layer's initial weights depend only on this seed and on the layer's position in its model: not on what
    was drawn before, nor on the array library. The seed is 0 by default.

    Parameters
    ----------
    seed : int
        At least 0.

    Raises
    ------
    TypeError, ValueError
        If ``seed`` is not an int, or is negative.

    Examples
    --------
    >>> from arrayconv import models
    >>> models.set_seed(1)
    >>> a = models.Sequential([models.Dense(2, input_shape=(3,))])
    >>> models.set_seed(0)
    >>> b = models.Sequential([models.Dense(2, input_shape=(3,))])
    >>> bool((a.get_weights()[0] == b.get_weights()[0]).any())
    False
    """
    _state["seed"] = checks.count("set_seed", "seed", seed, least=0)


def current_seed() -> int:
    """The seed that `set_seed` chose."""
    return _state["seed"]


class Initializer(Named):
    """Base class of initializers, which give a weight its initial values; one of your own defines `draw`.

    Parameters
    ----------
    seed : int, optional
        Used for this weight instead of the seed of `set_seed`.

    Examples
    --------
    >>> from arrayconv.models.initializers import HeNormal
    >>> HeNormal(seed=1)((3, 3, 8, 16)).shape
    (3, 3, 8, 16)
    """

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None:
            seed = checks.count(type(self).__name__, "seed", seed, least=0)
        self.seed = seed

    def draw(self, shape: checks.Shape, rng: np.random.Generator) -> Drawn:
        """Values of shape ``shape``, float64, drawn from ``rng``."""
        raise NotImplementedError

    def __call__(self, shape: checks.Shape, *stream: int) -> Drawn:
        """The values of one weight; ``stream``, its layer's position and its own, separates it from other weights."""
        seed = current_seed() if self.seed is None else self.seed
        return self.draw(tuple(shape), np.random.default_rng((seed, *stream)))


class Zeros(Initializer):
    """All zeros."""

    def __init__(self) -> None:
        super().__init__()

    def draw(self, shape: checks.Shape, rng: np.random.Generator) -> Drawn:
        return np.zeros(shape)


class Ones(Zeros):
    """All ones."""

    def draw(self, shape: checks.Shape, rng: np.random.Generator) -> Drawn:
        return np.ones(shape)


class Constant(Initializer):
    """A constant, or given values.

    Parameters
    ----------
    value : float or nested sequence of float
        Broadcast to the shape of the weight.
    """

    def __init__(self, value: Any = 0.0) -> None:
        super().__init__()
        try:
            self.value = np.asarray(value, dtype=np.float64).tolist()
        except (TypeError, ValueError):
            raise TypeError(
                f"Constant: value must be a number or nested sequences of numbers, got {value!r}"
            ) from None

    def draw(self, shape: checks.Shape, rng: np.random.Generator) -> Drawn:
        if not checks.broadcasts(self.value, shape):
            raise ValueError(
                f"Constant: value must be a number or broadcast to the weight's shape {shape}, got shape "
                f"{np.shape(self.value)}"
            )
        return np.full(shape, self.value)


class VarianceScaling(Initializer):
    """Random values with mean 0 and variance ``scale / fan``; the Glorot, He and LeCun initializers are cases of it.

    Parameters
    ----------
    scale : float
        Above 0.
    mode : {"fan_in", "fan_out", "fan_avg"}
        What ``fan`` is for a kernel ``(*K, in, out)``: ``in * prod(K)``, ``out * prod(K)`` or their mean.
    distribution : {"truncated_normal", "untruncated_normal", "uniform"}
        The normal one is truncated at two standard deviations.
    seed : int, optional
        As for `Initializer`.

    Raises
    ------
    TypeError, ValueError
        If ``scale`` is not a positive number, or a name is unknown.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        super().__init__(seed)
        label = type(self).__name__
        self.scale = checks.number(label, "scale", scale, above=0)
        checks.choice(label, "mode", mode, dict.fromkeys(("fan_in", "fan_out", "fan_avg")))
        known = dict.fromkeys(("truncated_normal", "untruncated_normal", "uniform"))
        checks.choice(label, "distribution", distribution, known)
        self.mode, self.distribution = mode, distribution

    def draw(self, shape: checks.Shape, rng: np.random.Generator) -> Drawn:
        fan_in, fan_out = fans(shape)
        fan = {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode]
        variance = self.scale / max(1.0, fan)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * variance)
            return rng.uniform(-limit, limit, shape)
        if self.distribution == "truncated_normal":
            return math.sqrt(variance) / _CUT_DEVIATION * _cut_normal(shape, rng)
        return math.sqrt(variance) * rng.standard_normal(shape)


@checks.part_of("Initializer")
class _Case(VarianceScaling):
    case: ClassVar[tuple[float, str, str]]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(*self.case, seed=seed)


class GlorotUniform(_Case):
    """Uniform with variance ``2 / (fan_in + fan_out)``: Glorot and Bengio, AISTATS 2010, equation 16."""

    case = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Case):
    """Truncated normal with variance ``2 / (fan_in + fan_out)``: Glorot and Bengio, AISTATS 2010, equation 12."""

    case = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Case):
    """Uniform with variance ``2 / fan_in``: He et al., arXiv:1502.01852, equation 10."""

    case = (2.0, "fan_in", "uniform")


class HeNormal(_Case):
    """Truncated normal with variance ``2 / fan_in``: He et al., arXiv:1502.01852, equation 10."""

    case = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Case):
    """Uniform with variance ``1 / fan_in``: LeCun et al., "Efficient BackProp", 1998, section 4.6."""

    case = (1.0, "fan_in", "uniform")


class LecunNormal(_Case):
    """Truncated normal with variance ``1 / fan_in``: LeCun et al., "Efficient BackProp", 1998, section 4.6."""

    case = (1.0, "fan_in", "truncated_normal")


class RandomNormal(Initializer):
    """A normal distribution.

    Parameters
    ----------
    mean, stddev : float
        The mean and the standard deviation.
    seed : int, optional
        As for `Initializer`.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = checks.number(type(self).__name__, "mean", mean)
        self.stddev = checks.number(type(self).__name__, "stddev", stddev, least=0)

    def draw(self, shape: checks.Shape, rng: np.random.Generator) -> Drawn:
        return self.mean + self.stddev * rng.standard_normal(shape)


class TruncatedNormal(RandomNormal):
    """A normal distribution truncated at two standard deviations, with the arguments of `RandomNormal`."""

    def draw(self, shape: checks.Shape, rng: np.random.Generator) -> Drawn:
        return self.mean + self.stddev * _cut_normal(shape, rng)


class RandomUniform(Initializer):
    """A uniform distribution on ``[minval, maxval)``.

    Parameters
    ----------
    minval, maxval : float
    seed : int, optional
        As for `Initializer`.
    """

    def __init__(
        self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None
    ) -> None:
        super().__init__(seed)
        self.minval = checks.number(type(self).__name__, "minval", minval)
        self.maxval = checks.number(type(self).__name__, "maxval", maxval, least=self.minval)

    def draw(self, shape: checks.Shape, rng: np.random.Generator) -> Drawn:
        return rng.uniform(self.minval, self.maxval, shape)


class Orthogonal(Initializer):
    """A random orthogonal matrix: the kernel reshaped to ``(prod(K) * in, out)`` has orthonormal columns.

    If it has fewer rows than columns, its rows are orthonormal instead.

    Parameters
    ----------
    gain : float
        A factor of all values.
    seed : int, optional
        As for `Initializer`.

    Raises
    ------
    ValueError
        When the weight is drawn: if it has fewer than two axes.

    Notes
    -----
    A. Saxe, J. McClelland and S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep
    linear neural networks", arXiv:1312.6120.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = checks.number(type(self).__name__, "gain", gain)

    def draw(self, shape: checks.Shape, rng: np.random.Generator) -> Drawn:
        if len(shape) < 2:
            raise ValueError(f"Orthogonal: needs a weight of two or more axes, got {shape}")
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))
        # with these signs the matrix is uniformly distributed among the orthogonal ones
        q = q * np.sign(np.diagonal(r))
        values: Drawn = self.gain * (q if rows >= columns else q.T).reshape(shape)
        return values


def get(identifier: Any) -> Initializer:
    """The initializer of this name, config or class."""
    return Initializer.of("initializers.get", "identifier", identifier)


def fans(shape: checks.Shape) -> tuple[int, int]:
    """``(fan_in, fan_out)`` of a kernel ``(*K, in, out)``: ``in * prod(K)`` and ``out * prod(K)``."""
    if len(shape) < 2:
        return (math.prod(shape),) * 2
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def _cut_normal(shape: checks.Shape, rng: np.random.Generator) -> Drawn:
    values = rng.standard_normal(shape)
    while (far := np.abs(values) > 2).any():
        values[far] = rng.standard_normal(int(far.sum()))
    return values


# Keras's aliases.
constant, ones, zeros, orthogonal = Constant, Ones, Zeros, Orthogonal
glorot_normal, glorot_uniform = GlorotNormal, GlorotUniform
he_normal, he_uniform = HeNormal, HeUniform
lecun_normal, lecun_uniform = LecunNormal, LecunUniform
random_normal, random_uniform, truncated_normal = RandomNormal, RandomUniform, TruncatedNormal
variance_scaling = VarianceScaling

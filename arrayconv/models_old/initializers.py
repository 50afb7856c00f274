"""Initial weights: drawn in float64 with NumPy, so that every array library starts from the same numbers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from arrayconv.models_old.names import lookup
from arrayconv.models_old.shapes import Shape, checked_count

Drawn = NDArray[np.float64]

# The standard deviation of a unit normal cut at two standard deviations.
_CUT_DEVIATION = 0.87962566103423978
_state = {"seed": 0}


def set_seed(seed: int) -> None:
    """Choose the numbers that models made from now on start from, and what ``fit`` drops.

    A layer's weights depend on this seed and on the layer's position in its model alone: not on what was
    drawn before, nor on the array library. Without a call the seed is 0.

    Parameters
    ----------
    seed : int
        At least 0.

    Raises
    ------
    ValueError
        If ``seed`` is not an int of at least 0.

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
    _state["seed"] = checked_count("set_seed", "seed", seed, least=0)


def current_seed() -> int:
    """The seed that `set_seed` chose."""
    return _state["seed"]


class Initializer:
    """How a weight starts.

    Parameters
    ----------
    seed : int, optional
        Replaces the seed of `set_seed` for this weight.
    """

    fields: ClassVar[tuple[str, ...]] = ("seed",)

    def __init__(self, seed: int | None = None) -> None:
        if seed is not None:
            seed = checked_count(type(self).__name__, "seed", seed, least=0)
        self.seed = seed

    def draw(self, shape: Shape, rng: np.random.Generator) -> Drawn:
        """Float64 values of ``shape``."""
        raise NotImplementedError

    def __call__(self, shape: Shape, *stream: int) -> Drawn:
        """The values of one weight; ``stream`` is where it stands, the layer's position and the weight's."""
        seed = current_seed() if self.seed is None else self.seed
        return self.draw(tuple(shape), np.random.default_rng((seed, *stream)))

    def config(self) -> dict[str, Any]:
        """The class and its arguments, ready for JSON."""
        return {"class": type(self).__name__, **{name: getattr(self, name) for name in self.fields}}

    def __repr__(self) -> str:
        given = ((name, getattr(self, name)) for name in self.fields)
        shown = ", ".join(f"{name}={value!r}" for name, value in given if value is not None)
        return f"{type(self).__name__}({shown})"


class Zeros(Initializer):
    """All zeros."""

    fields = ()

    def __init__(self) -> None:
        super().__init__()

    def draw(self, shape: Shape, rng: np.random.Generator) -> Drawn:
        return np.zeros(shape)


class Ones(Zeros):
    """All ones."""

    def draw(self, shape: Shape, rng: np.random.Generator) -> Drawn:
        return np.ones(shape)


class Constant(Initializer):
    """One value everywhere.

    Parameters
    ----------
    value : float
    """

    fields = ("value",)

    def __init__(self, value: float = 0.0) -> None:
        super().__init__()
        self.value = float(value)

    def draw(self, shape: Shape, rng: np.random.Generator) -> Drawn:
        return np.full(shape, self.value)


class _Scaled(Initializer):
    """Zero mean and variance ``gain / fan``, uniform or a normal cut at two standard deviations."""

    gain: ClassVar[float] = 1.0
    fan: ClassVar[str] = "in"
    normal: ClassVar[bool] = False

    def draw(self, shape: Shape, rng: np.random.Generator) -> Drawn:
        fan_in, fan_out = fans(shape)
        fan = fan_in if self.fan == "in" else (fan_in + fan_out) / 2
        variance = self.gain / max(1.0, fan)
        if self.normal:
            return math.sqrt(variance) / _CUT_DEVIATION * _cut_normal(shape, rng)
        limit = math.sqrt(3 * variance)
        return rng.uniform(-limit, limit, shape)


class GlorotUniform(_Scaled):
    """Uniform with variance ``2 / (fan_in + fan_out)``: Glorot and Bengio, AISTATS 2010, equation 16."""

    fan = "average"


class GlorotNormal(GlorotUniform):
    """Cut normal with variance ``2 / (fan_in + fan_out)``: Glorot and Bengio, AISTATS 2010, equation 12."""

    normal = True


class HeUniform(_Scaled):
    """Uniform with variance ``2 / fan_in``: He et al., arXiv:1502.01852, equation 10."""

    gain = 2.0


class HeNormal(HeUniform):
    """Cut normal with variance ``2 / fan_in``: He et al., arXiv:1502.01852, equation 10."""

    normal = True


class LecunUniform(_Scaled):
    """Uniform with variance ``1 / fan_in``: LeCun et al., "Efficient BackProp", 1998, section 4.6."""


class LecunNormal(_Scaled):
    """Cut normal with variance ``1 / fan_in``: LeCun et al., "Efficient BackProp", 1998, section 4.6."""

    normal = True


def fans(shape: Shape) -> tuple[int, int]:
    """Inputs and outputs of one cell of a kernel ``(*K, in, out)``."""
    if len(shape) < 2:
        return (math.prod(shape),) * 2
    window = math.prod(shape[:-2])
    return shape[-2] * window, shape[-1] * window


def _cut_normal(shape: Shape, rng: np.random.Generator) -> Drawn:
    values = rng.standard_normal(shape)
    while (far := np.abs(values) > 2).any():
        values[far] = rng.standard_normal(int(far.sum()))
    return values


_CLASSES = (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    Ones,
    Zeros,
)
_BY_NAME = {kind.__name__: kind for kind in _CLASSES}
_BY_SNAKE = {
    "glorot_normal": GlorotNormal,
    "glorot_uniform": GlorotUniform,
    "he_normal": HeNormal,
    "he_uniform": HeUniform,
    "lecun_normal": LecunNormal,
    "lecun_uniform": LecunUniform,
    "ones": Ones,
    "zeros": Zeros,
}


def initializer(label: str, argument: str, value: Any) -> Initializer:
    """The initializer that ``value``, a name, a config or an `Initializer`, stands for."""
    if isinstance(value, Initializer):
        return value
    if isinstance(value, dict):
        arguments = dict(value)
        kind = lookup(label, f"{argument}['class']", arguments.pop("class", None), _BY_NAME)
        return kind(**arguments)
    if isinstance(value, str) and value in _BY_NAME:
        return _BY_NAME[value]()
    found: Initializer = lookup(label, argument, value, _BY_SNAKE)()
    return found

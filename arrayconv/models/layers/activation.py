"""Activations: layers that keep the shape; those without weights can also be the ``activation`` of another layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.arrays import common_dtype, holds_arrays
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import LAYERS, Layer, Weights, WeightSpec
from arrayconv.models.layers.rectifier import LeakyReLU, ReLU
from arrayconv.namespace import Array, array_namespace, cast


class _Pair(Layer):
    """An activation without options, given by a function and its vjp."""

    pair: tuple[Callable[..., Array], Callable[..., Array]]

    def forward(self, w: Weights, x: Array) -> Array:
        return self.pair[0](x)

    def backward(self, dy: Array, w: Weights, x: Array) -> Array:
        return self.pair[1](dy, x)


class ELU(Layer):
    """`arrayconv.elu` as a layer.

    Parameters
    ----------
    alpha : float
        The output tends to ``-alpha`` for large negative inputs.
    """

    def __init__(self, alpha: float = 1.0, **common: Any) -> None:
        super().__init__(**common)
        self.alpha = checks.number(self.label, "alpha", alpha)

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.elu(x, alpha=self.alpha)

    def backward(self, dy: Array, w: Weights, x: Array) -> Array:
        return ac.elu_vjp(dy, x, alpha=self.alpha)


class SELU(_Pair):
    """`arrayconv.selu` as a layer."""

    pair = ac.selu, ac.selu_vjp


class GELU(Layer):
    """`arrayconv.gelu` as a layer.

    Parameters
    ----------
    approximate : bool
        Whether to use the tanh approximation; the activation named ``"gelu"`` does not, as in Keras.
    """

    def __init__(self, approximate: bool = False, **common: Any) -> None:
        super().__init__(**common)
        self.approximate = checks.flag(self.label, "approximate", approximate)

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.gelu(x, approximate=self.approximate)

    def backward(self, dy: Array, w: Weights, x: Array) -> Array:
        return ac.gelu_vjp(dy, x, approximate=self.approximate)


class SiLU(_Pair):
    """`arrayconv.silu` as a layer."""

    pair = ac.silu, ac.silu_vjp


class Softplus(_Pair):
    """`arrayconv.softplus` as a layer."""

    pair = ac.softplus, ac.softplus_vjp


class HardSigmoid(_Pair):
    """`arrayconv.hard_sigmoid` as a layer: ``x / 6 + 1 / 2``, limited to [0, 1]."""

    pair = ac.hard_sigmoid, ac.hard_sigmoid_vjp


class HardSwish(_Pair):
    """`arrayconv.hard_swish` as a layer."""

    pair = ac.hard_swish, ac.hard_swish_vjp


class Sigmoid(Layer):
    """`arrayconv.sigmoid` as a layer."""

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.sigmoid(x)

    def backward(self, dy: Array, w: Weights, *, y: Array) -> Array:
        return ac.sigmoid_vjp(dy, y, y=y)


class Tanh(Layer):
    """`arrayconv.tanh` as a layer."""

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.tanh(x)

    def backward(self, dy: Array, w: Weights, *, y: Array) -> Array:
        return ac.tanh_vjp(dy, y, y=y)


class Softmax(Layer):
    """`arrayconv.softmax` as a layer.

    Parameters
    ----------
    axis : int
        The axis of the classes; not 0, which is the batch.
    """

    def __init__(self, axis: int = -1, **common: Any) -> None:
        super().__init__(**common)
        self.axis = axis

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        checks.axis(self.label, self.axis, shape)
        return {}

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.softmax(x, axis=self.axis)

    def backward(self, dy: Array, w: Weights, *, y: Array) -> Array:
        return ac.softmax_vjp(dy, y, axis=self.axis, y=y)


class LogSoftmax(Layer):
    """`arrayconv.log_softmax` over the last axis as a layer."""

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.log_softmax(x)

    def backward(self, dy: Array, w: Weights, *, y: Array) -> Array:
        return ac.log_softmax_vjp(dy, y, y=y)


class Identity(Layer):
    """The input as it is."""

    def forward(self, w: Weights, x: Array) -> Array:
        return x

    def backward(self, dy: Array, w: Weights) -> Array:
        return dy


class Activation(Identity):
    """An activation given by name, as a layer, or as a pair of functions.

    Parameters
    ----------
    activation : str, Layer or pair of callables
        A name: linear, elu, gelu, hard_sigmoid, hard_silu or hard_swish, leaky_relu (with slope 0.2, as Keras's
        function), log_softmax, relu, relu6, selu, sigmoid, silu or swish, softmax, softplus, tanh; a layer without
        weights that keeps the shape; or ``(f, f_vjp)`` with ``y = f(x)`` and ``dx = f_vjp(dy, x)``.

    Raises
    ------
    TypeError
        If it is a function without its vjp.
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> square = (lambda x: x * x, lambda dy, x: dy * 2 * x)
    >>> models.Activation(square)(np.asarray([[3.0]]))
    array([[9.]])
    """

    def __init__(self, activation: Any, **common: Any) -> None:
        super().__init__(**common)
        self.activation = as_activation(self.label, activation)


class _Given(_Pair):
    """An activation given as a pair ``(f, f_vjp)``."""

    fields = ()

    def __init__(self, pair: tuple[Callable[..., Array], Callable[..., Array]]) -> None:
        # first, because `label`, which the constructor's errors use, needs it
        self.pair = pair
        super().__init__()

    @property
    def label(self) -> str:
        return f"activation {getattr(self.pair[0], '__name__', self.pair[0])!r}"

    def __repr__(self) -> str:
        return repr(self.pair)

    def get_config(self) -> dict[str, Any]:
        raise TypeError(f"{self.label}: a pair of functions has no config; write it as a Layer")


# The activations by Keras's names.
_BY_NAME: Mapping[str, Callable[..., Layer | None]] = {
    "elu": ELU,
    "gelu": GELU,
    "hard_sigmoid": HardSigmoid,
    "hard_silu": HardSwish,
    "hard_swish": HardSwish,
    "leaky_relu": partial(LeakyReLU, negative_slope=0.2),
    "linear": lambda: None,
    "log_softmax": LogSoftmax,
    "relu": ReLU,
    "relu6": partial(ReLU, max_value=6.0),
    "selu": SELU,
    "sigmoid": Sigmoid,
    "silu": SiLU,
    "softmax": Softmax,
    "softplus": Softplus,
    "swish": SiLU,
    "tanh": Tanh,
}


def _function(name: str) -> Callable[..., Any]:
    def call(x: Any, **options: Any) -> Any:
        layer = _BY_NAME[name](**options)
        if layer is None:
            return x
        if not holds_arrays((x,)):
            return layer(x)
        # not by a call of the layer, for which the first axis is the batch
        xp = array_namespace(name, x=x)
        return layer.forward({}, cast(xp, x, common_dtype(name, xp, (x,), xp.float32)))

    call.__name__ = call.__qualname__ = name
    call.__module__ = "arrayconv.models.activations"
    return call


# The same as functions of arrays and nodes.
FUNCTIONS = {name: _function(name) for name in _BY_NAME}


def as_activation(label: str, value: Any) -> Layer | None:
    """The activation layer for a name, a layer or a pair ``(f, f_vjp)``; ``None`` for linear."""
    if value is None or isinstance(value, Layer):
        return value
    if isinstance(value, Mapping):
        config = dict(value)
        kind = checks.choice(label, "activation['class']", config.pop("class", None), LAYERS)
        made: Layer = kind.from_config(config)
        return made
    if checks.is_pair(value):
        return _Given(value)
    if callable(value) and value in FUNCTIONS.values():
        value = value.__name__
    if callable(value):
        raise TypeError(
            f"{label}: activation must be a name, a layer or a pair (f, f_vjp), got {value!r}"
            f"{checks.suggestion(getattr(value, '__name__', ''), _BY_NAME)}"
        )
    found = checks.choice(label, "activation", value, _BY_NAME)()
    if found is not None:
        found.spelled = value
    return found

"""Activations: layers that keep the shape; those without weights can also be the ``activation`` of another layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Weights, WeightSpec
from arrayconv.namespace import Array, array_namespace


class _Pair(Layer):
    """An activation without options, given by a function and its vjp."""

    pair: tuple[Callable[..., Array], Callable[..., Array]]

    def forward(self, w: Weights, x: Array) -> Array:
        return self.pair[0](x)

    def backward(self, dy: Array, w: Weights, x: Array) -> Array:
        return self.pair[1](dy, x)


class ReLU(Layer):
    """``min(x, max_value)`` above ``threshold``, and ``negative_slope * (x - threshold)`` below.

    With the default arguments this is `arrayconv.relu`.

    Parameters
    ----------
    max_value : float, optional
        At least 0; no limit if not given.
    negative_slope, threshold : float
        At least 0.
    """

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        label, self.max_value = self.label, max_value
        if max_value is not None:
            self.max_value = checks.number(label, "max_value", max_value, least=0)
        self.negative_slope = checks.number(label, "negative_slope", negative_slope, least=0)
        self.threshold = checks.number(label, "threshold", threshold, least=0)

    def forward(self, w: Weights, x: Array) -> Array:
        y, t = ac.relu(x), self.threshold
        if (self.max_value, self.negative_slope, t) == (None, 0, 0):
            return y
        xp = array_namespace(self.label, x=x)
        if self.max_value is not None:
            y = xp.minimum(y, xp.full_like(x, self.max_value))
        below = self.negative_slope * (x - t) if self.negative_slope else xp.zeros_like(x)
        return xp.where(x <= t, below, y)

    def backward(self, dy: Array, w: Weights, *, y: Array) -> Array:
        # the output tells on which side of the kinks the input was
        dx = ac.relu_vjp(dy, y)
        if self.max_value is None and not self.negative_slope:
            return dx
        xp = array_namespace(self.label, y=y)
        if self.max_value is not None:
            dx = xp.where(y >= self.max_value, xp.zeros_like(dy), dx)
        return xp.where(y < 0, self.negative_slope * dy, dx) if self.negative_slope else dx


class LeakyReLU(Layer):
    """`arrayconv.leaky_relu` as a layer.

    Parameters
    ----------
    negative_slope : float
        The factor of negative inputs; 0.3, as in Keras's layer.
    """

    def __init__(self, negative_slope: float = 0.3, **common: Any) -> None:
        super().__init__(**common)
        self.negative_slope = checks.number(self.label, "negative_slope", negative_slope)

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.leaky_relu(x, negative_slope=self.negative_slope)

    def backward(self, dy: Array, w: Weights, x: Array) -> Array:
        return ac.leaky_relu_vjp(dy, x, negative_slope=self.negative_slope)


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


class PReLU(Layer):
    """`arrayconv.prelu` as a layer: the slope of negative inputs is learned, one for each element of a sample.

    Parameters
    ----------
    alpha_initializer : str or Initializer
        Initial slopes.
    alpha_regularizer : str or Regularizer, optional
        Penalty on the slopes, added to the loss.
    shared_axes : sequence of int, optional
        Axes along which elements share a slope, counted with the batch as 0: ``[1, 2]`` gives
        channels_last images one slope per channel.
    """

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        shared_axes: Any = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self._keep("alpha", alpha_initializer, alpha_regularizer)
        self.shared_axes = None if shared_axes is None else tuple(shared_axes)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        shared = {checks.axis(self.label, a, shape) for a in self.shared_axes or ()}
        alpha = tuple(1 if i in shared else n for i, n in enumerate(shape, start=1))
        return {"alpha": self._spec("alpha", alpha)}

    def forward(self, w: Weights, x: Array) -> Array:
        # (*shape) -> (1, *shape), since JAX may be set to refuse rank promotion
        return ac.prelu(x, w["alpha"][None, ...])

    def backward(self, dy: Array, w: Weights, x: Array) -> Any:
        alpha = w["alpha"]
        dx, dalpha = ac.prelu_vjp(dy, x, alpha[None, ...])
        xp = array_namespace(self.label, alpha=alpha)
        return dx, {"alpha": xp.reshape(dalpha, alpha.shape)}


class Activation(Layer):
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

    def forward(self, w: Weights, x: Array) -> Array:
        return x

    def backward(self, dy: Array, w: Weights) -> Array:
        return dy


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

    def config(self) -> dict[str, Any]:
        raise TypeError(f"{self.label}: a pair of functions has no config; write it as a Layer")


# The activations by Keras's names.
_BY_NAME: Mapping[str, Callable[[], Layer | None]] = {
    "elu": ELU,
    "gelu": GELU,
    "hard_sigmoid": HardSigmoid,
    "hard_silu": HardSwish,
    "hard_swish": HardSwish,
    "leaky_relu": lambda: LeakyReLU(0.2),
    "linear": lambda: None,
    "log_softmax": LogSoftmax,
    "relu": ReLU,
    "relu6": lambda: ReLU(6.0),
    "selu": SELU,
    "sigmoid": Sigmoid,
    "silu": SiLU,
    "softmax": Softmax,
    "softplus": Softplus,
    "swish": SiLU,
    "tanh": Tanh,
}


def as_activation(label: str, value: Any) -> Layer | None:
    """The activation layer for a name, a layer or a pair ``(f, f_vjp)``; ``None`` for linear."""
    if value is None or isinstance(value, Layer):
        return value
    if checks.is_pair(value):
        return _Given(value)
    if callable(value):
        raise TypeError(
            f"{label}: activation must be a name, a layer or a pair (f, f_vjp), got {value!r}"
        )
    found = checks.choice(label, "activation", value, _BY_NAME)()
    if found is not None:
        found.spelled = value
    return found

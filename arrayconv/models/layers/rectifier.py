"""Rectifiers: activations that are linear on both sides of a kink, with a given or a learned slope below."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv import arguments
from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Weights, WeightSpec
from arrayconv.namespace import Array, array_namespace


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


class PReLU(Layer):
    """`arrayconv.prelu` as a layer: the slope of negative inputs is learned, one for each element of a sample.

    Parameters
    ----------
    alpha_initializer : str or Initializer
        Initial slopes.
    alpha_regularizer : str or Regularizer, optional
        Penalty on the slopes, added to the loss.
    shared_axes : int or sequence of int, optional
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
        axes = shared_axes if isinstance(shared_axes, list | tuple) else (shared_axes,)
        self.shared_axes = None
        if shared_axes is not None:
            self.shared_axes = tuple(arguments.integer(self.label, "shared_axes", a) for a in axes)

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

"""The fully connected layer."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.layers.activation import as_activation
from arrayconv.models.layers.base import Layer, Weights, WeightSpec
from arrayconv.namespace import Array


def bias_of(layer: Any, features: int) -> dict[str, WeightSpec]:
    """The spec of a layer's bias, if it has one."""
    return {"bias": layer._spec("bias", (features,))} if layer.use_bias else {}


class Dense(Layer):
    """A fully connected layer: `arrayconv.dense`, then the activation.

    Maps the last axis: inputs ``(N, ..., features)`` give outputs ``(N, ..., units)``.

    Parameters
    ----------
    units : int
        The length of the output's last axis.
    activation : str, Layer or pair, optional
        As for `Activation`.
    use_bias : bool
        Whether to add a bias.
    kernel_initializer, bias_initializer : str or Initializer
        Initial weights: the kernel ``(features, units)`` and the bias ``(units,)``.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        Penalties on the weights, added to the loss.

    Raises
    ------
    TypeError
        If ``units`` is not an int, or ``use_bias`` not a bool.
    ValueError
        If ``units`` is below 1, or an activation, initializer or regularizer is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> models.Dense(3, activation="relu")(np.ones((2, 4))).shape
    (2, 3)
    """

    def __init__(
        self,
        units: int,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.units = checks.count(self.label, "units", units)
        self.activation = as_activation(self.label, activation)
        self.use_bias = checks.flag(self.label, "use_bias", use_bias)
        self._keep("kernel", kernel_initializer, kernel_regularizer)
        self._keep("bias", bias_initializer, bias_regularizer)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        if not shape:
            raise ValueError(f"{self.label}: expects an input (N, ..., features), got (N)")
        kernel = self._spec("kernel", (shape[-1], self.units))
        return {"kernel": kernel, **bias_of(self, self.units)}

    def output_shape(self, shape: Shape) -> Shape:
        return (*shape[:-1], self.units)

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.dense(x, w["kernel"], w.get("bias"))

    def backward(self, dy: Array, w: Weights, x: Array, *, wrt: tuple[str, ...]) -> Any:
        dx, dw, db = ac.dense_vjp(dy, x, w["kernel"], w.get("bias"), wrt=wrt)
        return dx, {"kernel": dw, "bias": db}

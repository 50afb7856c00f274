"""The full connection."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.layers.activation import as_activation
from arrayconv.models.layers.base import Layer, Weights, WeightSpec
from arrayconv.namespace import Array


def bias_of(layer: Any, features: int) -> dict[str, WeightSpec]:
    """The bias of a layer, if it uses one."""
    return {"bias": layer._spec("bias", (features,))} if layer.use_bias else {}


class Dense(Layer):
    """A full connection of the last axis: `arrayconv.dense`, then the activation.

    Parameters
    ----------
    units : int
        The length of the output's last axis.
    activation : str, Layer or pair, optional
        What `Activation` takes.
    use_bias : bool
        Whether to add a bias.
    kernel_initializer, bias_initializer : str or Initializer
        How the weights start.
    kernel_regularizer, bias_regularizer : str or Regularizer, optional
        What the weights add to the loss.

    Raises
    ------
    ValueError
        Units below 1, an unknown activation, initializer or regularizer.

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

"""Layers with a kernel, a bias and an activation: what they share, and `Dense`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import arrayconv as ac
from arrayconv.models_old.activate import activation_stages
from arrayconv.models_old.initializers import Initializer, initializer
from arrayconv.models_old.kinds import Staged
from arrayconv.models_old.layer import Backward, Forward, Stage, Weights, WeightSpec
from arrayconv.models_old.shapes import Shape, checked_count, checked_flag
from arrayconv.namespace import Array


class Linear:
    """A stage that is linear in its input and in its weights, which is all that its gradient reads.

    Parameters
    ----------
    run : callable
        ``run(w, x)`` gives the output.
    vjp : callable
        ``vjp(dy, w, x, need)`` gives the gradients of ``x``, or ``None``, and of the weights.
    """

    uses: tuple[str, ...] = ("x",)

    def __init__(
        self,
        run: Callable[[Weights, Array], Array],
        vjp: Callable[[Array, Weights, Array, bool], tuple[Array | None, dict[str, Array]]],
    ) -> None:
        self.run, self.vjp = run, vjp

    def forward(
        self, w: Weights, *x: Array, training: bool = False, mask: Array | None = None
    ) -> Forward:
        return self.run(w, x[0]), {}

    def backward(
        self,
        dy: Array,
        w: Weights,
        *x: Array,
        y: Array,
        training: bool = False,
        mask: Array | None = None,
        need: bool = True,
    ) -> Backward:
        dx, dw = self.vjp(dy, w, x[0], need)
        return (dx,), dw


class Kernel(Staged):
    """A layer with a kernel, an optional bias and an optional activation.

    Parameters
    ----------
    activation : str, optional
        A name that `Activation` takes.
    use_bias : bool
        Whether to add a bias.
    bias_initializer : str or Initializer
        How the bias starts.
    """

    def __init__(
        self, activation: Any, use_bias: bool, bias_initializer: Any, **common: Any
    ) -> None:
        super().__init__(**common)
        self._activation = activation_stages(self.label, activation)
        self.activation = activation
        self.use_bias = checked_flag(self.label, "use_bias", use_bias)
        self.bias_initializer = initializer(self.label, "bias_initializer", bias_initializer)

    def _run(self, w: Weights, x: Array) -> Array:
        raise NotImplementedError

    def _vjp(
        self, dy: Array, w: Weights, x: Array, need: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        raise NotImplementedError

    def linear(self) -> tuple[Stage, ...]:
        """The stages before the activation."""
        return (Linear(self._run, self._vjp),)

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        return (*self.linear(), *self._activation)

    def wrt(self, need: bool) -> tuple[str, ...]:
        """The gradients that a vjp should compute."""
        return (*(("x",) if need else ()), *(("w", "b") if self.trainable else ()))

    def with_bias(
        self, kernel: tuple[Shape, Initializer], features: int, *, name: str = "kernel"
    ) -> dict[str, WeightSpec]:
        """The weights: the kernel, and the bias where there is one."""
        specs = {name: WeightSpec(*kernel)}
        if self.use_bias:
            specs["bias"] = WeightSpec((features,), self.bias_initializer)
        return specs


def named(dw: Array | None, db: Array | None, *, kernel: str = "kernel") -> dict[str, Array]:
    """The gradients that were computed, by the weights' names."""
    return {name: g for name, g in ((kernel, dw), ("bias", db)) if g is not None}


class Dense(Kernel):
    """A full connection of the last axis: `arrayconv.dense`, then the activation.

    Parameters
    ----------
    units : int
        The length of the output's last axis.
    activation : str, optional
        A name that `Activation` takes.
    use_bias : bool
        Whether to add a bias.
    kernel_initializer, bias_initializer : str or Initializer
        How the weights start.

    Raises
    ------
    ValueError
        Units below 1, an unknown activation or initializer.

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
        activation: str | None = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        **common: Any,
    ) -> None:
        super().__init__(activation, use_bias, bias_initializer, **common)
        self.units = checked_count(self.label, "units", units)
        self.kernel_initializer = initializer(self.label, "kernel_initializer", kernel_initializer)

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        (shape,) = shapes
        if not shape:
            raise ValueError(f"{self.label}: expects an input (N, ..., features), got (N)")
        kernel = (shape[-1], self.units), self.kernel_initializer
        return (*shape[:-1], self.units), self.with_bias(kernel, self.units)

    def _run(self, w: Weights, x: Array) -> Array:
        return ac.dense(x, w["kernel"], w.get("bias"))

    def _vjp(
        self, dy: Array, w: Weights, x: Array, need: bool
    ) -> tuple[Array | None, dict[str, Array]]:
        dx, dw, db = ac.dense_vjp(dy, x, w["kernel"], w.get("bias"), wrt=self.wrt(need))
        return dx, named(dw, db)

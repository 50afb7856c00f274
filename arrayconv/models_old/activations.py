"""Activations as layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import arrayconv as ac
from arrayconv.models_old.activate import Activate, activation_stages
from arrayconv.models_old.initializers import initializer
from arrayconv.models_old.kinds import Staged
from arrayconv.models_old.layer import Backward, Forward, Layer, Stage, Weights, WeightSpec
from arrayconv.models_old.shapes import Shape, checked_axis, checked_flag, checked_number
from arrayconv.namespace import Array, array_namespace


class Elementwise(Staged):
    """A layer that is one activation, its arguments being the operation's keywords."""

    op: ClassVar[str]
    fields = ()

    def __init__(self, *, options: Mapping[str, Any] | None = None, **common: Any) -> None:
        super().__init__(**common)
        for name, value in (options or {}).items():
            setattr(self, name, value)
        self._stage = Activate(self.op, options or {})

    @property
    def stages(self) -> tuple[Stage, ...]:
        return (self._stage,)

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        return shapes[0], {}


class ReLU(Elementwise):
    """`arrayconv.relu` as a layer."""

    op = "relu"


class LeakyReLU(Elementwise):
    """`arrayconv.leaky_relu` as a layer.

    Parameters
    ----------
    negative_slope : float
        The factor of negative inputs; 0.3, as in Keras's layer.
    """

    op = "leaky_relu"

    def __init__(self, negative_slope: float = 0.3, **common: Any) -> None:
        slope = checked_number("LeakyReLU", "negative_slope", negative_slope)
        super().__init__(options={"negative_slope": slope}, **common)


class ELU(Elementwise):
    """`arrayconv.elu` as a layer.

    Parameters
    ----------
    alpha : float
        Minus the limit for very negative inputs.
    """

    op = "elu"

    def __init__(self, alpha: float = 1.0, **common: Any) -> None:
        super().__init__(options={"alpha": checked_number("ELU", "alpha", alpha)}, **common)


class SELU(Elementwise):
    """`arrayconv.selu` as a layer."""

    op = "selu"


class GELU(Elementwise):
    """`arrayconv.gelu` as a layer.

    Parameters
    ----------
    approximate : bool
        Whether to use the formula with tanh; exact by default, as Keras's activation.
    """

    op = "gelu"

    def __init__(self, approximate: bool = False, **common: Any) -> None:
        super().__init__(
            options={"approximate": checked_flag("GELU", "approximate", approximate)}, **common
        )


class SiLU(Elementwise):
    """`arrayconv.silu` as a layer."""

    op = "silu"


class Softplus(Elementwise):
    """`arrayconv.softplus` as a layer."""

    op = "softplus"


class Sigmoid(Elementwise):
    """`arrayconv.sigmoid` as a layer."""

    op = "sigmoid"


class HardSigmoid(Elementwise):
    """`arrayconv.hard_sigmoid` as a layer: ``x / 6 + 1 / 2`` between 0 and 1."""

    op = "hard_sigmoid"


class HardSwish(Elementwise):
    """`arrayconv.hard_swish` as a layer."""

    op = "hard_swish"


class Tanh(Elementwise):
    """`arrayconv.tanh` as a layer."""

    op = "tanh"


class Softmax(Elementwise):
    """`arrayconv.softmax` as a layer.

    Parameters
    ----------
    axis : int
        The axis of the classes; axis 0 counts the samples.
    """

    op = "softmax"
    axis: int

    def __init__(self, axis: int = -1, **common: Any) -> None:
        super().__init__(options={"axis": axis}, **common)

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        checked_axis(self.label, self.axis, shapes[0])
        return shapes[0], {}


class Activation(Elementwise):
    """An activation by its name.

    Parameters
    ----------
    activation : str
        ``"linear"`` or one of elu, gelu, hard_sigmoid, hard_silu or hard_swish, leaky_relu (with slope 0.2,
        as Keras's function), log_softmax, relu, selu, sigmoid, silu or swish, softmax, softplus, tanh.

    Raises
    ------
    ValueError
        Another name.
    """

    def __init__(self, activation: str, **common: Any) -> None:
        Staged.__init__(self, **common)
        self.activation = activation
        (self._stage,) = activation_stages(self.label, activation) or (Activate("", {}),)


class PReLU(Layer):
    """`arrayconv.prelu` as a layer, with a slope for each place of the input.

    Parameters
    ----------
    alpha_initializer : str or Initializer
        How the slopes start.
    shared_axes : sequence of int, optional
        Axes of the input, the first after the batch being 1, along which the slopes are equal:
        ``[1, 2]`` gives an image one slope per channel.
    """

    uses = ("x",)

    def __init__(
        self, alpha_initializer: Any = "zeros", shared_axes: Any = None, **common: Any
    ) -> None:
        super().__init__(**common)
        self.alpha_initializer = initializer(self.label, "alpha_initializer", alpha_initializer)
        self.shared_axes = None if shared_axes is None else tuple(shared_axes)

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        shared = {checked_axis(self.label, a, shapes[0]) for a in self.shared_axes or ()}
        alpha = tuple(1 if i in shared else n for i, n in enumerate(shapes[0], start=1))
        return shapes[0], {"alpha": WeightSpec(alpha, self.alpha_initializer)}

    def forward(
        self, w: Weights, *x: Array, training: bool = False, mask: Array | None = None
    ) -> Forward:
        return ac.prelu(x[0], _batched(w["alpha"])), {}

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
        alpha = w["alpha"]
        dx, dalpha = ac.prelu_vjp(dy, x[0], _batched(alpha))
        xp = array_namespace("prelu", alpha=alpha)
        return (dx if need else None,), {"alpha": xp.reshape(dalpha, alpha.shape)}


def _batched(alpha: Array) -> Array:
    # (*shape) -> (1, *shape), for libraries that promote no ranks
    return alpha[None, ...]

"""Activations by name, as stages of other layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import arrayconv as ac
from arrayconv.models_old.kinds import Unary
from arrayconv.models_old.layer import Forward, Weights
from arrayconv.models_old.names import lookup
from arrayconv.namespace import Array

# What Keras's activations do under these names.
ACTIVATIONS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "linear": ("", {}),
    "elu": ("elu", {"alpha": 1.0}),
    "gelu": ("gelu", {"approximate": False}),
    "hard_sigmoid": ("hard_sigmoid", {}),
    "hard_silu": ("hard_swish", {}),
    "hard_swish": ("hard_swish", {}),
    "leaky_relu": ("leaky_relu", {"negative_slope": 0.2}),
    "log_softmax": ("log_softmax", {}),
    "relu": ("relu", {}),
    "selu": ("selu", {}),
    "sigmoid": ("sigmoid", {}),
    "silu": ("silu", {}),
    "softmax": ("softmax", {}),
    "softplus": ("softplus", {}),
    "swish": ("silu", {}),
    "tanh": ("tanh", {}),
}
# Their derivative follows from the output, so that the input need not be kept.
_FROM_OUTPUT = ("log_softmax", "sigmoid", "softmax", "tanh")


class Activate(Unary):
    """An activation as a stage.

    Parameters
    ----------
    op : str
        The operation's name, empty for the identity.
    options : mapping
        Its keywords.
    """

    def __init__(self, op: str, options: Mapping[str, Any]) -> None:
        self.op, self.options = op, dict(options)
        # the sign of the output is that of the input
        self.signed = op == "relu" or (op == "leaky_relu" and options["negative_slope"] >= 0)
        self.uses = ("y",) if self.signed or op in _FROM_OUTPUT else ("x",) if op else ()

    def keywords(self, x: Array) -> dict[str, Any]:
        return self.options

    def forward(
        self, w: Weights, *x: Array, training: bool = False, mask: Array | None = None
    ) -> Forward:
        return super().forward(w, *x) if self.op else (x[0], {})

    def vjp(self, dy: Array, x: Array, y: Array) -> Array:
        if not self.op:
            return dy
        if self.op in _FROM_OUTPUT:
            return super().vjp(dy, y, y)
        return getattr(ac, f"{self.op}_vjp")(dy, y if self.signed else x, **self.options)


def activation_stages(label: str, name: str | None) -> tuple[Activate, ...]:
    """The stage of the activation of that name; none for ``None`` and ``"linear"``."""
    op, options = lookup(label, "activation", "linear" if name is None else name, ACTIVATIONS)
    return (Activate(op, options),) if op else ()

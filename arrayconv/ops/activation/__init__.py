"""Activations, each beside its derivative."""

from arrayconv.ops.activation.error_function import erf, erf_vjp
from arrayconv.ops.activation.exponential import elu, elu_vjp, selu, selu_vjp
from arrayconv.ops.activation.gates import gelu, gelu_vjp, silu, silu_vjp
from arrayconv.ops.activation.hard import (
    hard_sigmoid,
    hard_sigmoid_vjp,
    hard_swish,
    hard_swish_vjp,
)
from arrayconv.ops.activation.probabilities import (
    log_softmax,
    log_softmax_vjp,
    softmax,
    softmax_vjp,
)
from arrayconv.ops.activation.rectifiers import (
    leaky_relu,
    leaky_relu_vjp,
    prelu,
    prelu_vjp,
    relu,
    relu_vjp,
)
from arrayconv.ops.activation.sigmoids import (
    sigmoid,
    sigmoid_vjp,
    softplus,
    softplus_vjp,
    tanh,
    tanh_vjp,
)

__all__ = [
    "elu",
    "elu_vjp",
    "erf",
    "erf_vjp",
    "gelu",
    "gelu_vjp",
    "hard_sigmoid",
    "hard_sigmoid_vjp",
    "hard_swish",
    "hard_swish_vjp",
    "leaky_relu",
    "leaky_relu_vjp",
    "log_softmax",
    "log_softmax_vjp",
    "prelu",
    "prelu_vjp",
    "relu",
    "relu_vjp",
    "selu",
    "selu_vjp",
    "sigmoid",
    "sigmoid_vjp",
    "silu",
    "silu_vjp",
    "softmax",
    "softmax_vjp",
    "softplus",
    "softplus_vjp",
    "tanh",
    "tanh_vjp",
]

"""Padding, convolution, pooling and their hand-written gradients, for every array library at once."""

from __future__ import annotations

import importlib
from typing import Any

from arrayconv.course import (
    conv_backward,
    conv_forward,
    conv_single_step,
    create_mask_from_window,
    distribute_value,
    floating,
    pool_backward,
    pool_forward,
    rectified,
    zero_pad,
)
from arrayconv.dynamo import keep_whole
from arrayconv.engine.settings import options
from arrayconv.namespace import to_numpy
from arrayconv.ops.activation import (
    elu,
    elu_vjp,
    erf,
    erf_vjp,
    gelu,
    gelu_vjp,
    hard_sigmoid,
    hard_sigmoid_vjp,
    hard_swish,
    hard_swish_vjp,
    leaky_relu,
    leaky_relu_vjp,
    log_softmax,
    log_softmax_vjp,
    prelu,
    prelu_vjp,
    relu,
    relu_vjp,
    selu,
    selu_vjp,
    sigmoid,
    sigmoid_vjp,
    silu,
    silu_vjp,
    softmax,
    softmax_vjp,
    softplus,
    softplus_vjp,
    tanh,
    tanh_vjp,
)
from arrayconv.ops.columns import col2im, col2im_vjp, im2col, im2col_vjp
from arrayconv.ops.convolution import (
    conv,
    conv_transpose,
    conv_transpose_vjp,
    conv_vjp,
    explain,
)
from arrayconv.ops.dense import (
    dense,
    dense_vjp,
    dropout,
    dropout_vjp,
    flatten,
    flatten_vjp,
)
from arrayconv.ops.loss import (
    binary_cross_entropy,
    binary_cross_entropy_vjp,
    categorical_cross_entropy,
    categorical_cross_entropy_vjp,
    mean_absolute_error,
    mean_absolute_error_vjp,
    mean_squared_error,
    mean_squared_error_vjp,
    sparse_categorical_cross_entropy,
    sparse_categorical_cross_entropy_vjp,
)
from arrayconv.ops.normalization import (
    batch_norm,
    batch_norm_inference,
    batch_norm_inference_vjp,
    batch_norm_vjp,
    group_norm,
    group_norm_vjp,
    instance_norm,
    instance_norm_vjp,
    layer_norm,
    layer_norm_vjp,
)
from arrayconv.ops.padding import pad, pad_vjp
from arrayconv.ops.pooling import (
    adaptive_avg_pool,
    adaptive_avg_pool_vjp,
    adaptive_max_pool,
    adaptive_max_pool_vjp,
    avg_pool,
    avg_pool_vjp,
    global_avg_pool,
    global_avg_pool_vjp,
    global_max_pool,
    global_max_pool_vjp,
    max_pool,
    max_pool_vjp,
)
from arrayconv.ops.resize import (
    resize,
    resize_vjp,
)

__version__ = "0.1.0"

__all__ = [
    "adaptive_avg_pool",
    "adaptive_avg_pool_vjp",
    "adaptive_max_pool",
    "adaptive_max_pool_vjp",
    "avg_pool",
    "avg_pool_vjp",
    "batch_norm",
    "batch_norm_inference",
    "batch_norm_inference_vjp",
    "batch_norm_vjp",
    "binary_cross_entropy",
    "binary_cross_entropy_vjp",
    "categorical_cross_entropy",
    "categorical_cross_entropy_vjp",
    "col2im",
    "col2im_vjp",
    "conv",
    "conv_backward",
    "conv_forward",
    "conv_single_step",
    "conv_transpose",
    "conv_transpose_vjp",
    "conv_vjp",
    "create_mask_from_window",
    "dense",
    "dense_vjp",
    "distribute_value",
    "dropout",
    "dropout_vjp",
    "elu",
    "elu_vjp",
    "erf",
    "erf_vjp",
    "explain",
    "flatten",
    "flatten_vjp",
    "gelu",
    "gelu_vjp",
    "global_avg_pool",
    "global_avg_pool_vjp",
    "global_max_pool",
    "global_max_pool_vjp",
    "group_norm",
    "group_norm_vjp",
    "hard_sigmoid",
    "hard_sigmoid_vjp",
    "hard_swish",
    "hard_swish_vjp",
    "im2col",
    "im2col_vjp",
    "instance_norm",
    "instance_norm_vjp",
    "layer_norm",
    "layer_norm_vjp",
    "leaky_relu",
    "leaky_relu_vjp",
    "log_softmax",
    "log_softmax_vjp",
    "max_pool",
    "max_pool_vjp",
    "mean_absolute_error",
    "mean_absolute_error_vjp",
    "mean_squared_error",
    "mean_squared_error_vjp",
    "options",
    "pad",
    "pad_vjp",
    "pool_backward",
    "pool_forward",
    "prelu",
    "prelu_vjp",
    "rectified",
    "relu",
    "relu_vjp",
    "resize",
    "resize_vjp",
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
    "sparse_categorical_cross_entropy",
    "sparse_categorical_cross_entropy_vjp",
    "tanh",
    "tanh_vjp",
    "to_numpy",
    "zero_pad",
]

_SUBMODULES = (
    "autodiff",
    "backends",
    "cases",
    "cli",
    "data",
    "demo",
    "filters",
    "models",
    "onnx",
    "verify",
)


# Those that return more than arrays are read: the forward steps of the course, which convert by `floating`.
_READ = ("conv_forward", "explain", "options", "pool_forward", "to_numpy")
keep_whole([floating, *(globals()[name] for name in __all__ if name not in _READ)])


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBMODULES, "__version__"])

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
    pool_backward,
    pool_forward,
    rectified,
    zero_pad,
)
from arrayconv.engine.explain import explain
from arrayconv.engine.settings import options
from arrayconv.namespace import to_numpy
from arrayconv.ops.activation import relu, relu_vjp
from arrayconv.ops.columns import col2im, col2im_vjp, im2col, im2col_vjp
from arrayconv.ops.convolution import conv, conv_transpose, conv_transpose_vjp, conv_vjp
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

__version__ = "0.1.0"

__all__ = [
    "adaptive_avg_pool",
    "adaptive_avg_pool_vjp",
    "adaptive_max_pool",
    "adaptive_max_pool_vjp",
    "avg_pool",
    "avg_pool_vjp",
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
    "distribute_value",
    "explain",
    "global_avg_pool",
    "global_avg_pool_vjp",
    "global_max_pool",
    "global_max_pool_vjp",
    "im2col",
    "im2col_vjp",
    "max_pool",
    "max_pool_vjp",
    "options",
    "pad",
    "pad_vjp",
    "pool_backward",
    "pool_forward",
    "rectified",
    "relu",
    "relu_vjp",
    "to_numpy",
    "zero_pad",
]

_SUBMODULES = ("backends", "cases", "cli", "demo", "filters", "verify")


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_SUBMODULES, "__version__"])

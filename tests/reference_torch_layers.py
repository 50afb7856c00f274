"""Dense layers and activations in PyTorch's own; None where PyTorch cannot say the case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional


def _dense(x: Any, w: Any, b: Any = None) -> Any:
    return functional.linear(x, w.T, None if b is None else b.reshape(-1))


def _dropout(x: Any, mask: Any, *, rate: float) -> Any:
    return torch.where(mask, x / (1 - rate), torch.zeros((), dtype=x.dtype))


def _gelu(x: Any, approximate: bool = False) -> Any:
    return functional.gelu(x, approximate="tanh" if approximate else "none")


def _hard_sigmoid(x: Any, slope: float = 1 / 6, offset: float = 0.5) -> Any:
    # functional.hardsigmoid takes a float32 1/6 for its gradient, in float64 too
    return functional.hardtanh(slope * x + offset, 0.0, 1.0)


def _prelu(x: Any, alpha: Any) -> Any:
    # functional.prelu has one slope for each channel of channels_first, or a single one
    if alpha.ndim == x.ndim - 1 and alpha.numel() == alpha.shape[0] and x.ndim > 1:
        return functional.prelu(x, alpha.reshape(-1))
    return torch.where(x > 0, x, alpha * x)


TORCH_LAYERS: dict[str, Callable[..., Any]] = {
    "dense": _dense,
    "flatten": lambda x: x.reshape((-1, 1)) if x.ndim == 1 else torch.flatten(x, 1),
    "dropout": _dropout,
    "leaky_relu": functional.leaky_relu,
    "prelu": _prelu,
    "elu": functional.elu,
    "selu": functional.selu,
    "gelu": _gelu,
    "silu": functional.silu,
    # beyond its threshold PyTorch returns x itself
    "softplus": lambda x: functional.softplus(x, threshold=1000),
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": functional.hardswish,
    "tanh": torch.tanh,
    "softmax": lambda x, axis=-1: torch.softmax(x, axis),
    "log_softmax": lambda x, axis=-1: torch.log_softmax(x, axis),
    "erf": torch.erf,
}

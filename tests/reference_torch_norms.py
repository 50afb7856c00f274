"""The normalizations, resizing and the losses in PyTorch's own; None where it cannot say the case."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.nn import functional


def _first(x: Any, data_format: str) -> Any:
    return x if data_format == "channels_first" else torch.movedim(x, -1, 1)


def _back(y: Any, data_format: str) -> Any:
    return y if data_format == "channels_first" else torch.movedim(y, 1, -1)


def _flat(*parameters: Any) -> Any:
    return (p if p is None else p.reshape(-1) for p in parameters)


def batch_norm(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    *,
    eps: float = 1e-5,
    data_format: str = "channels_last",
) -> Any:
    gamma, beta = _flat(gamma, beta)
    first = _first(x, data_format)
    # With a momentum of 1 the running statistics are those of the batch, the variance unbiased.
    mean, var = torch.zeros(first.shape[1]).double(), torch.zeros(first.shape[1]).double()
    y = functional.batch_norm(first, mean, var, gamma, beta, True, 1.0, eps)
    cells = first.numel() // first.shape[1]
    return _back(y, data_format), mean, var * (cells - 1) / cells


def batch_norm_inference(
    x: Any,
    gamma: Any,
    beta: Any,
    mean: Any,
    var: Any,
    *,
    eps: float = 1e-5,
    data_format: str = "channels_last",
) -> Any:
    # functional.batch_norm does not differentiate the statistics
    shape = (1, -1, *(1 for _ in x.shape[2:]))
    first = _first(x, data_format)
    y = (first - mean.reshape(shape)) / torch.sqrt(var.reshape(shape) + eps)
    y = y if gamma is None else y * gamma.reshape(shape)
    y = y if beta is None else y + beta.reshape(shape)
    flat = _flat(mean, var, gamma, beta)
    own = functional.batch_norm(first, *(p if p is None else p.detach() for p in flat), eps=eps)
    assert torch.allclose(own, y, rtol=1e-12, atol=1e-12)
    return _back(y, data_format)


def layer_norm(
    x: Any, gamma: Any = None, beta: Any = None, *, axes: Any = -1, eps: float = 1e-5
) -> Any:
    chosen = sorted(a % x.ndim for a in (axes if isinstance(axes, tuple) else (axes,)))
    # The axes to the end, in order, where PyTorch wants them.
    ends = tuple(range(x.ndim - len(chosen), x.ndim))
    size = [x.shape[a] for a in chosen]
    gamma, beta = (p if p is None else p.reshape(size) for p in (gamma, beta))
    y = functional.layer_norm(torch.movedim(x, chosen, ends), size, gamma, beta, eps)
    return torch.movedim(y, ends, chosen)


def group_norm(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    *,
    groups: int,
    eps: float = 1e-5,
    data_format: str = "channels_last",
) -> Any:
    first = _first(x, data_format)
    # its backward pass fails with a shift and no scale
    if gamma is None and beta is not None:
        return None
    return _back(functional.group_norm(first, groups, gamma, beta, eps), data_format)


def instance_norm(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    *,
    eps: float = 1e-5,
    data_format: str = "channels_last",
) -> Any:
    # of no images it is without parameters alone
    if x.shape[0] == 0:
        return None
    y = functional.instance_norm(_first(x, data_format), weight=gamma, bias=beta, eps=eps)
    return _back(y, data_format)


LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}


def resize(
    x: Any,
    *,
    size: Any = None,
    scale: Any = None,
    method: str = "nearest",
    coordinates: str = "half_pixel",
    rounding: str = "half_up",
    data_format: str = "channels_last",
) -> Any:
    ndim = x.ndim - 2
    if ndim > 3:
        return None
    if scale is not None:
        scale = tuple(map(float, scale)) if isinstance(scale, tuple) else float(scale)
    aligned = coordinates == "align_corners"
    if method == "linear":
        if coordinates == "asymmetric":
            return None
        mode = LINEAR[ndim]
    else:
        if aligned or (coordinates == "half_pixel" and rounding == "half_down"):
            return None
        mode = "nearest" if coordinates == "asymmetric" else "nearest-exact"
    flag = {"align_corners": aligned} if method == "linear" else {}
    y = functional.interpolate(_first(x, data_format), size, scale, mode, **flag)
    return _back(y, data_format)


def _reduced(elements: Any, reduction: str) -> Any:
    each = elements.reshape((*elements.shape, 1)).flatten(1).mean(1)
    return {"none": lambda: each, "mean": each.mean, "sum": each.sum}[reduction]()


def mean_squared_error(y_pred: Any, y_true: Any, *, reduction: str = "mean") -> Any:
    if reduction == "mean":
        return functional.mse_loss(y_pred, y_true)
    return _reduced(functional.mse_loss(y_pred, y_true, reduction="none"), reduction)


def mean_absolute_error(y_pred: Any, y_true: Any, *, reduction: str = "mean") -> Any:
    if reduction == "mean":
        return functional.l1_loss(y_pred, y_true)
    return _reduced(functional.l1_loss(y_pred, y_true, reduction="none"), reduction)


def binary_cross_entropy(
    y_pred: Any, y_true: Any, *, reduction: str = "mean", from_logits: bool = False
) -> Any:
    y_true = y_true.to(y_pred.dtype)
    own = functional.binary_cross_entropy
    if from_logits:
        own = functional.binary_cross_entropy_with_logits
    if reduction == "mean":
        return own(y_pred, y_true, reduction="mean")
    return _reduced(own(y_pred, y_true, reduction="none"), reduction)


def categorical_cross_entropy(
    y_pred: Any, y_true: Any, *, reduction: str = "mean", from_logits: bool = False
) -> Any:
    y_true = y_true.to(y_pred.dtype)
    if from_logits:
        scores = torch.movedim(y_pred, -1, 1)
        loss = functional.cross_entropy(scores, torch.movedim(y_true, -1, 1), reduction="none")
    else:
        loss = -(y_true * torch.log(y_pred)).sum(-1)
    return _reduced(loss, reduction)


def sparse_categorical_cross_entropy(
    y_pred: Any, y_true: Any, *, reduction: str = "mean", from_logits: bool = False
) -> Any:
    scores = torch.movedim(y_pred, -1, 1)
    own = functional.cross_entropy if from_logits else _nll
    if reduction == "mean":
        return own(scores, y_true, reduction="mean")
    return _reduced(own(scores, y_true, reduction="none"), reduction)


def _nll(p: Any, labels: Any, *, reduction: str) -> Any:
    return functional.nll_loss(torch.log(p.contiguous()), labels, reduction=reduction)


TORCH_NORMS: dict[str, Callable[..., Any]] = {
    f.__name__: f
    for f in (
        batch_norm,
        batch_norm_inference,
        layer_norm,
        group_norm,
        instance_norm,
        resize,
        mean_squared_error,
        mean_absolute_error,
        binary_cross_entropy,
        categorical_cross_entropy,
        sparse_categorical_cross_entropy,
    )
}

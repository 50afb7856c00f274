"""Losses: squared and absolute errors, binary and categorical cross-entropies."""

from __future__ import annotations

from arrayconv.ops.loss.binary import binary_cross_entropy, binary_cross_entropy_vjp
from arrayconv.ops.loss.categorical import (
    categorical_cross_entropy,
    categorical_cross_entropy_vjp,
)
from arrayconv.ops.loss.reduction import LossGradients
from arrayconv.ops.loss.regression import (
    mean_absolute_error,
    mean_absolute_error_vjp,
    mean_squared_error,
    mean_squared_error_vjp,
)
from arrayconv.ops.loss.sparse import (
    sparse_categorical_cross_entropy,
    sparse_categorical_cross_entropy_vjp,
)

__all__ = [
    "LossGradients",
    "binary_cross_entropy",
    "binary_cross_entropy_vjp",
    "categorical_cross_entropy",
    "categorical_cross_entropy_vjp",
    "mean_absolute_error",
    "mean_absolute_error_vjp",
    "mean_squared_error",
    "mean_squared_error_vjp",
    "sparse_categorical_cross_entropy",
    "sparse_categorical_cross_entropy_vjp",
]

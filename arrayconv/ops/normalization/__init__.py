"""Normalizations: over the batch, over the features, over groups of channels."""

from __future__ import annotations

from arrayconv.ops.normalization.batch import (
    BatchNorm,
    batch_norm,
    batch_norm_inference,
    batch_norm_inference_vjp,
    batch_norm_vjp,
)
from arrayconv.ops.normalization.group import (
    group_norm,
    group_norm_vjp,
    instance_norm,
    instance_norm_vjp,
)
from arrayconv.ops.normalization.layer import layer_norm, layer_norm_vjp
from arrayconv.ops.normalization.statistics import NormGradients

__all__ = [
    "BatchNorm",
    "NormGradients",
    "batch_norm",
    "batch_norm_inference",
    "batch_norm_inference_vjp",
    "batch_norm_vjp",
    "group_norm",
    "group_norm_vjp",
    "instance_norm",
    "instance_norm_vjp",
    "layer_norm",
    "layer_norm_vjp",
]

"""The ONNX operators, in one file per family; importing this package registers them."""

from arrayconv.onnx.operators import (
    activation,
    arithmetic,
    comparison,
    convolution,
    indexing,
    linear,
    normalization,
    padding,
    pooling,
    reduction,
    resizing,
    shaping,
    sorting,
)

__all__ = [
    "activation",
    "arithmetic",
    "comparison",
    "convolution",
    "indexing",
    "linear",
    "normalization",
    "padding",
    "pooling",
    "reduction",
    "resizing",
    "shaping",
    "sorting",
]

"""The operators, in files by family; importing this fills the table."""

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

"""Convolution, its transpose, their gradients, and how they would be computed."""

from arrayconv.ops.convolution.arguments import ConvGradients
from arrayconv.ops.convolution.conv import conv, conv_vjp
from arrayconv.ops.convolution.conv_transpose import conv_transpose, conv_transpose_vjp
from arrayconv.ops.convolution.explain import explain

__all__ = [
    "ConvGradients",
    "conv",
    "conv_transpose",
    "conv_transpose_vjp",
    "conv_vjp",
    "explain",
]

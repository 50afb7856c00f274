"""The fully connected layer, and what stands around it: flattening and dropout."""

from arrayconv.ops.dense.dense import DenseGradients, dense, dense_vjp
from arrayconv.ops.dense.dropout import DropoutGradients, dropout, dropout_vjp
from arrayconv.ops.dense.flatten import flatten, flatten_vjp

__all__ = [
    "DenseGradients",
    "DropoutGradients",
    "dense",
    "dense_vjp",
    "dropout",
    "dropout_vjp",
    "flatten",
    "flatten_vjp",
]

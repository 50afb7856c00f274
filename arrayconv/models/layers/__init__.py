"""The layers. The spatial ones take 1-D, 2-D and 3-D data; classes such as ``Conv2D`` take one rank only."""
# Tables of names, packed by hand.
# ruff: isort: skip_file

from typing import Any, TypeVar

from arrayconv.models.checks import absent
from arrayconv.models.layers.activation import (
    ELU, GELU, SELU, Activation, HardSigmoid, HardSwish, Identity, LogSoftmax, Sigmoid, SiLU,
    Softmax, Softplus, Tanh,
)  # fmt: skip
from arrayconv.models.layers.base import Layer, Node, WeightSpec
from arrayconv.models.layers.convolution import Conv, ConvTranspose
from arrayconv.models.layers.dense import Dense
from arrayconv.models.layers.depthwise import DepthwiseConv, SeparableConv
from arrayconv.models.layers.dropout import Dropout, SpatialDropout
from arrayconv.models.layers.input import Input, InputLayer
from arrayconv.models.layers.merging import (
    Add, Average, Concatenate, Maximum, Minimum, Multiply, Subtract, add, average, concatenate,
    maximum, minimum, multiply, subtract,
)  # fmt: skip
from arrayconv.models.layers.normalization import (
    BatchNormalization, LayerNormalization, Normalization, Rescaling,
)  # fmt: skip
from arrayconv.models.layers.pooling import AveragePool, GlobalAveragePool, GlobalMaxPool, MaxPool
from arrayconv.models.layers.rectifier import LeakyReLU, PReLU, ReLU
from arrayconv.models.layers.shaping import (
    Cropping, Flatten, Permute, Reshape, UpSampling, ZeroPadding,
)  # fmt: skip

L = TypeVar("L", bound=Layer)


def _by_rank(kind: type[L], name: str) -> tuple[type[L], type[L], type[L]]:
    """Subclasses of ``kind`` for 1, 2 and 3 spatial axes; pickle finds them in this module."""
    one, two, three = (
        type(name.format(rank), (kind,), {"rank": rank, "__module__": __name__})
        for rank in (1, 2, 3)
    )
    return one, two, three


# Keras's names; each class takes inputs of one rank only.
Conv1D, Conv2D, Conv3D = _by_rank(Conv, "Conv{}D")
Conv1DTranspose, Conv2DTranspose, Conv3DTranspose = _by_rank(ConvTranspose, "Conv{}DTranspose")
DepthwiseConv1D, DepthwiseConv2D, DepthwiseConv3D = _by_rank(DepthwiseConv, "DepthwiseConv{}D")
SeparableConv1D, SeparableConv2D, SeparableConv3D = _by_rank(SeparableConv, "SeparableConv{}D")
MaxPooling1D, MaxPooling2D, MaxPooling3D = _by_rank(MaxPool, "MaxPooling{}D")
AveragePooling1D, AveragePooling2D, AveragePooling3D = _by_rank(AveragePool, "AveragePooling{}D")
GlobalMaxPooling1D, GlobalMaxPooling2D, GlobalMaxPooling3D = _by_rank(
    GlobalMaxPool, "GlobalMaxPooling{}D"
)
GlobalAveragePooling1D, GlobalAveragePooling2D, GlobalAveragePooling3D = _by_rank(
    GlobalAveragePool, "GlobalAveragePooling{}D"
)
ZeroPadding1D, ZeroPadding2D, ZeroPadding3D = _by_rank(ZeroPadding, "ZeroPadding{}D")
Cropping1D, Cropping2D, Cropping3D = _by_rank(Cropping, "Cropping{}D")
UpSampling1D, UpSampling2D, UpSampling3D = _by_rank(UpSampling, "UpSampling{}D")
SpatialDropout1D, SpatialDropout2D, SpatialDropout3D = _by_rank(SpatialDropout, "SpatialDropout{}D")
# Keras's aliases of the pooling layers.
MaxPool1D, MaxPool2D, MaxPool3D = MaxPooling1D, MaxPooling2D, MaxPooling3D
AvgPool1D, AvgPool2D, AvgPool3D = AveragePooling1D, AveragePooling2D, AveragePooling3D
GlobalMaxPool1D, GlobalMaxPool2D, GlobalMaxPool3D = (
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
)
GlobalAvgPool1D, GlobalAvgPool2D, GlobalAvgPool3D = (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
)

__all__ = [
    "ELU", "GELU", "SELU", "Activation", "Add", "Average", "AveragePool", "AveragePooling1D",
    "AveragePooling2D", "AveragePooling3D", "AvgPool1D", "AvgPool2D", "AvgPool3D",
    "BatchNormalization", "Concatenate", "Conv", "Conv1D", "Conv1DTranspose", "Conv2D",
    "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "ConvTranspose", "Cropping", "Cropping1D",
    "Cropping2D", "Cropping3D", "Dense", "DepthwiseConv", "DepthwiseConv1D", "DepthwiseConv2D",
    "DepthwiseConv3D", "Dropout", "Flatten", "GlobalAveragePool", "GlobalAveragePooling1D",
    "GlobalAveragePooling2D", "GlobalAveragePooling3D", "GlobalAvgPool1D", "GlobalAvgPool2D",
    "GlobalAvgPool3D", "GlobalMaxPool", "GlobalMaxPool1D", "GlobalMaxPool2D", "GlobalMaxPool3D",
    "GlobalMaxPooling1D", "GlobalMaxPooling2D", "GlobalMaxPooling3D", "HardSigmoid",
    "HardSwish", "Identity", "Input", "InputLayer", "Layer", "LayerNormalization", "LeakyReLU",
    "LogSoftmax", "MaxPool", "MaxPool1D", "MaxPool2D", "MaxPool3D", "MaxPooling1D",
    "MaxPooling2D", "MaxPooling3D", "Maximum", "Minimum", "Multiply", "Node", "Normalization",
    "PReLU", "Permute", "ReLU", "Rescaling", "Reshape", "SeparableConv", "SeparableConv1D",
    "SeparableConv2D", "SeparableConv3D", "SiLU", "Sigmoid", "Softmax", "Softplus",
    "SpatialDropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "Subtract",
    "Tanh", "UpSampling", "UpSampling1D", "UpSampling2D", "UpSampling3D", "WeightSpec",
    "ZeroPadding", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D", "add", "average",
    "concatenate", "maximum", "minimum", "multiply", "subtract",
]  # fmt: skip


_ELSEWHERE = {
    "GroupNormalization": "a Layer of your own can call arrayconv.group_norm and group_norm_vjp",
    "Lambda": "an activation may be a pair (f, f_vjp), and a layer of your own derives from Layer",
    "Resizing": "resize the data by arrayconv.resize, or files by arrayconv.data.open_folder(size=)",
}


def __getattr__(name: str) -> Any:
    hint = "a layer of your own derives from Layer, with forward and its gradient backward"
    if name.startswith("Random"):
        hint = "change the batches instead: fit takes any iterable of (x, y)"
    raise absent(__name__, name, _ELSEWHERE.get(name, hint))

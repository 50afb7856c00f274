"""The layers, each for 1-D to 3-D by the input's rank."""

from arrayconv.models.layers.activation import (
    ELU,
    GELU,
    SELU,
    Activation,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    LogSoftmax,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from arrayconv.models.layers.base import Layer, Node, WeightSpec
from arrayconv.models.layers.convolution import Conv
from arrayconv.models.layers.dense import Dense
from arrayconv.models.layers.dropout import Dropout
from arrayconv.models.layers.input import Input, InputLayer
from arrayconv.models.layers.merging import Add
from arrayconv.models.layers.normalization import BatchNormalization
from arrayconv.models.layers.pooling import AveragePool, MaxPool
from arrayconv.models.layers.shaping import Flatten

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "Activation",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Conv",
    "Dense",
    "Dropout",
    "Flatten",
    "HardSigmoid",
    "HardSwish",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "LogSoftmax",
    "MaxPool",
    "Node",
    "PReLU",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Tanh",
    "WeightSpec",
]

"""Networks that train on the arrays of any library: layers, models, optimizers and what surrounds them."""

from __future__ import annotations

from typing import Any

from arrayconv.models_old import networks
from arrayconv.models_old.activations import (
    ELU,
    GELU,
    SELU,
    Activation,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from arrayconv.models_old.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
)
from arrayconv.models_old.config import from_config
from arrayconv.models_old.convolutions import Conv, ConvTranspose
from arrayconv.models_old.depthwise import DepthwiseConv, SeparableConv
from arrayconv.models_old.dropout import Dropout
from arrayconv.models_old.history import History
from arrayconv.models_old.initializers import (
    Constant,
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    Initializer,
    LecunNormal,
    LecunUniform,
    Ones,
    Zeros,
    set_seed,
)
from arrayconv.models_old.inputs import Input, InputLayer
from arrayconv.models_old.keras_weights import load_keras_weights
from arrayconv.models_old.layer import Layer, Node, WeightSpec
from arrayconv.models_old.linear import Dense
from arrayconv.models_old.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from arrayconv.models_old.merging import Add, Concatenate
from arrayconv.models_old.metrics import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    Metric,
    Precision,
    Recall,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
)
from arrayconv.models_old.model import Model
from arrayconv.models_old.normalizations import BatchNormalization, LayerNormalization
from arrayconv.models_old.optimizer import Optimizer
from arrayconv.models_old.optimizers import SGD, Adam, AdamW, RMSprop
from arrayconv.models_old.picture import plot_model
from arrayconv.models_old.pooling import AveragePool, GlobalAveragePool, GlobalMaxPool, MaxPool
from arrayconv.models_old.reshaping import Flatten, UpSampling, ZeroPadding
from arrayconv.models_old.schedules import (
    CosineDecay,
    ExponentialDecay,
    LearningRateSchedule,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from arrayconv.models_old.sequential import Sequential
from arrayconv.models_old.torch_weights import load_torch_weights
from arrayconv.models_old.weights import load, load_weights, save

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "SGD",
    "Accuracy",
    "Activation",
    "Adam",
    "AdamW",
    "Add",
    "AveragePool",
    "BatchNormalization",
    "BinaryAccuracy",
    "BinaryCrossentropy",
    "CSVLogger",
    "Callback",
    "CategoricalAccuracy",
    "CategoricalCrossentropy",
    "Concatenate",
    "Constant",
    "Conv",
    "ConvTranspose",
    "CosineDecay",
    "Dense",
    "DepthwiseConv",
    "Dropout",
    "EarlyStopping",
    "ExponentialDecay",
    "Flatten",
    "GlobalAveragePool",
    "GlobalMaxPool",
    "GlorotNormal",
    "GlorotUniform",
    "HardSigmoid",
    "HardSwish",
    "HeNormal",
    "HeUniform",
    "History",
    "Initializer",
    "Input",
    "InputLayer",
    "LambdaCallback",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "LearningRateSchedule",
    "LecunNormal",
    "LecunUniform",
    "Loss",
    "MaxPool",
    "MeanAbsoluteError",
    "MeanSquaredError",
    "Metric",
    "Model",
    "ModelCheckpoint",
    "Node",
    "Ones",
    "Optimizer",
    "PReLU",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "Precision",
    "RMSprop",
    "ReLU",
    "Recall",
    "SeparableConv",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy",
    "Tanh",
    "TopKCategoricalAccuracy",
    "UpSampling",
    "WeightSpec",
    "ZeroPadding",
    "Zeros",
    "from_config",
    "load",
    "load_keras_weights",
    "load_torch_weights",
    "load_weights",
    "networks",
    "plot_model",
    "save",
    "set_seed",
]

# Keras's names for what one class does here at every rank.
_KERAS = {
    "AveragePooling": "AveragePool",
    "GlobalAveragePooling": "GlobalAveragePool",
    "GlobalMaxPooling": "GlobalMaxPool",
    "MaxPooling": "MaxPool",
}


# What Keras has elsewhere or under another name.
_ELSEWHERE = {
    "layers": "the layers are in arrayconv.models_old itself",
    "load_model": "here it is load",
    "save_model": "here it is save",
}


def __getattr__(name: str) -> Any:
    stem = "".join(c for c in name.removesuffix("Transpose") if c not in "123").removesuffix("D")
    stem = _KERAS.get(stem, stem) + ("Transpose" if name.endswith("Transpose") else "")
    hint = _ELSEWHERE.get(name, "")
    if stem in __all__:
        hint = f"here it is {stem}, for 1-D to 3-D by the input's rank"
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}" + (f"; {hint}" if hint else "")
    )

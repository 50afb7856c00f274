"""Networks that train on the arrays of any library: layers, models, optimizers and what surrounds them."""

from __future__ import annotations

from typing import Any

from arrayconv.models import (
    callbacks,
    initializers,
    layers,
    losses,
    metrics,
    models,
    networks,
    optimizers,
    regularizers,
    utils,
)
from arrayconv.models.build import (
    clone_model,
    from_config,
    load,
)
from arrayconv.models.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    ModelCheckpoint,
)
from arrayconv.models.display import (
    plot_model,
)
from arrayconv.models.files.keras_arrays import (
    load_keras_weights,
)
from arrayconv.models.files.native import (
    load_weights,
    save,
)
from arrayconv.models.files.torch import (
    load_torch_weights,
)
from arrayconv.models.initializers import (
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
from arrayconv.models.layers import (
    ELU,
    GELU,
    SELU,
    Activation,
    Add,
    AveragePool,
    BatchNormalization,
    Concatenate,
    Conv,
    ConvTranspose,
    Dense,
    DepthwiseConv,
    Dropout,
    Flatten,
    GlobalAveragePool,
    GlobalMaxPool,
    HardSigmoid,
    HardSwish,
    Input,
    InputLayer,
    Layer,
    LayerNormalization,
    LeakyReLU,
    LogSoftmax,
    MaxPool,
    Node,
    PReLU,
    ReLU,
    SeparableConv,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
    UpSampling,
    WeightSpec,
    ZeroPadding,
)
from arrayconv.models.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from arrayconv.models.metrics import (
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
from arrayconv.models.model import (
    Model,
)
from arrayconv.models.optimizers import (
    SGD,
    Adam,
    AdamW,
    Optimizer,
    RMSprop,
)
from arrayconv.models.optimizers.schedules import (
    CosineDecay,
    ExponentialDecay,
    LearningRateSchedule,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from arrayconv.models.sequential import (
    Sequential,
)
from arrayconv.models.training.history import (
    History,
)

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
    "LogSoftmax",
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
    "callbacks",
    "clone_model",
    "from_config",
    "initializers",
    "layers",
    "load",
    "load_keras_weights",
    "load_torch_weights",
    "load_weights",
    "losses",
    "metrics",
    "models",
    "networks",
    "optimizers",
    "plot_model",
    "regularizers",
    "save",
    "set_seed",
    "utils",
]

# Keras's names for what one class does here at every rank, and what is called otherwise.
_KERAS = {
    "AveragePooling": "AveragePool",
    "GlobalAveragePooling": "GlobalAveragePool",
    "GlobalMaxPooling": "GlobalMaxPool",
    "MaxPooling": "MaxPool",
}
_ELSEWHERE = {
    "load_model": "here it is load, or models.load_model",
    "save_model": "here it is save",
}


def __getattr__(name: str) -> Any:
    stem = "".join(c for c in name.removesuffix("Transpose") if c not in "123").removesuffix("D")
    stem = _KERAS.get(stem, stem) + ("Transpose" if name.endswith("Transpose") else "")
    hint = _ELSEWHERE.get(name, "")
    if stem in __all__:
        hint = f"here it is {stem}, for 1-D to 3-D by the input's rank"
        if hasattr(layers, name):
            hint += f", or layers.{name}"
    raise AttributeError(
        f"module {__name__!r} has no attribute {name!r}" + (f"; {hint}" if hint else "")
    )

"""Networks that train on the arrays of any library: layers, models, optimizers and what surrounds them."""
# Tables of names, packed by hand.
# ruff: isort: skip_file

from __future__ import annotations

from typing import Any

from arrayconv.models import (
    activations, callbacks, checks, initializers, layers, losses, metrics, models, networks,
    optimizers, regularizers, saving, utils,
)  # fmt: skip
from arrayconv.models.build import clone_model, from_config, load
from arrayconv.models.callbacks import (
    Callback, CSVLogger, EarlyStopping, LambdaCallback, LearningRateScheduler, ModelCheckpoint,
    ReduceLROnPlateau, TerminateOnNaN,
)  # fmt: skip
from arrayconv.models.display import plot_model
from arrayconv.models.files.keras_arrays import load_keras_weights
from arrayconv.models.files.native import load_weights, save
from arrayconv.models.files.torch import load_torch_weights
from arrayconv.models.initializers import (
    Constant, GlorotNormal, GlorotUniform, HeNormal, HeUniform, Initializer, LecunNormal,
    LecunUniform, Ones, Orthogonal, RandomNormal, RandomUniform, TruncatedNormal,
    VarianceScaling, Zeros, set_seed,
)  # fmt: skip
from arrayconv.models.layers import (
    ELU, GELU, SELU, Activation, Add, Average, AveragePool, BatchNormalization, Concatenate,
    Conv, ConvTranspose, Cropping, Dense, DepthwiseConv, Dropout, Flatten, GlobalAveragePool,
    GlobalMaxPool, HardSigmoid, HardSwish, Identity, Input, InputLayer, Layer,
    LayerNormalization, LeakyReLU, LogSoftmax, Maximum, MaxPool, Minimum, Multiply, Node,
    Normalization, Permute, PReLU, ReLU, Rescaling, Reshape, SeparableConv, Sigmoid, SiLU,
    Softmax, Softplus, SpatialDropout, Subtract, Tanh, UpSampling, WeightSpec, ZeroPadding,
)  # fmt: skip
from arrayconv.models.losses import (
    BinaryCrossentropy, CategoricalCrossentropy, CosineSimilarity, Hinge, Huber, KLDivergence,
    Loss, MeanAbsoluteError, MeanSquaredError, SparseCategoricalCrossentropy,
)  # fmt: skip
from arrayconv.models.metrics import (
    AUC, Accuracy, BinaryAccuracy, CategoricalAccuracy, F1Score, Metric, Precision, Recall,
    SparseCategoricalAccuracy, SparseTopKCategoricalAccuracy, TopKCategoricalAccuracy,
)  # fmt: skip
from arrayconv.models.model import Model
from arrayconv.models.optimizers import SGD, Adagrad, Adam, AdamW, Lion, Nadam, Optimizer, RMSprop
from arrayconv.models.optimizers.schedules import (
    CosineDecay, ExponentialDecay, LearningRateSchedule, PiecewiseConstantDecay,
    PolynomialDecay,
)  # fmt: skip
from arrayconv.models.regularizers import L1, L1L2, L2
from arrayconv.models.sequential import Sequential
from arrayconv.models.training.history import History

__all__ = [
    "AUC", "ELU", "GELU", "L1", "L1L2", "L2", "SELU", "SGD", "Accuracy", "Activation",
    "Adagrad", "Adam", "AdamW", "Add", "Average", "AveragePool", "BatchNormalization",
    "BinaryAccuracy", "BinaryCrossentropy", "CSVLogger", "Callback", "CategoricalAccuracy",
    "CategoricalCrossentropy", "Concatenate", "Constant", "Conv", "ConvTranspose",
    "CosineDecay", "CosineSimilarity", "Cropping", "Dense", "DepthwiseConv", "Dropout",
    "EarlyStopping", "ExponentialDecay", "F1Score", "Flatten", "GlobalAveragePool",
    "GlobalMaxPool", "GlorotNormal", "GlorotUniform", "HardSigmoid", "HardSwish", "HeNormal",
    "HeUniform", "Hinge", "History", "Huber", "Identity", "Initializer", "Input", "InputLayer",
    "KLDivergence", "LambdaCallback", "Layer", "LayerNormalization", "LeakyReLU",
    "LearningRateSchedule", "LearningRateScheduler", "LecunNormal", "LecunUniform", "Lion",
    "LogSoftmax", "Loss", "MaxPool", "Maximum", "MeanAbsoluteError", "MeanSquaredError",
    "Metric", "Minimum", "Model", "ModelCheckpoint", "Multiply", "Nadam", "Node",
    "Normalization", "Ones", "Optimizer", "Orthogonal", "PReLU", "Permute",
    "PiecewiseConstantDecay", "PolynomialDecay", "Precision", "RMSprop", "RandomNormal",
    "RandomUniform", "ReLU", "Recall", "ReduceLROnPlateau", "Rescaling", "Reshape",
    "SeparableConv", "Sequential", "SiLU", "Sigmoid", "Softmax", "Softplus",
    "SparseCategoricalAccuracy", "SparseCategoricalCrossentropy",
    "SparseTopKCategoricalAccuracy", "SpatialDropout", "Subtract", "Tanh", "TerminateOnNaN",
    "TopKCategoricalAccuracy", "TruncatedNormal", "UpSampling", "VarianceScaling", "WeightSpec",
    "ZeroPadding", "Zeros", "activations", "callbacks", "clone_model", "from_config",
    "initializers", "layers", "load", "load_keras_weights", "load_torch_weights",
    "load_weights", "losses", "metrics", "models", "networks", "optimizers", "plot_model",
    "regularizers", "save", "saving", "set_seed", "utils",
]  # fmt: skip

_ELSEWHERE = {
    "applications": "load a network that Keras saved: load('net.keras')",
    "constraints": "weights are not constrained",
    "mixed_precision": "the dtype of the data decides",
    "preprocessing": "arrayconv.data reads files",
    "backend": "layers compute with the library of the data",
    "datasets": "arrayconv.data reads files",
    "ops": "operations are arrayconv's own: arrayconv.conv, arrayconv.relu",
    "load_model": "here it is load, or models.load_model",
    "save_model": "here it is save",
}


def __getattr__(name: str) -> Any:
    hint = _ELSEWHERE.get(name, "")
    if name in layers.__all__:
        kind, hint = getattr(layers, name), f"it is layers.{name}"
        if getattr(kind, "rank", None):
            hint = f"here it is {kind.__base__.__name__}, for 1-D to 3-D by the input's rank, or layers.{name}"
    raise checks.absent(__name__, name, hint)

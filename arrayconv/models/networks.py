"""The course's networks, and a small one for images such as MNIST's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.models.checks import Shape
from arrayconv.models.layers import (
    AveragePool,
    BatchNormalization,
    Conv,
    Dense,
    Dropout,
    Flatten,
    Input,
    MaxPool,
    ReLU,
    ZeroPadding,
)
from arrayconv.models.model import Model
from arrayconv.models.sequential import Sequential


def happy(input_shape: Shape = (64, 64, 3)) -> Sequential:
    """The course's sequential model that recognizes smiling faces.

    ZeroPadding 3, Conv 32 7x7, BatchNormalization, ReLU, MaxPool 2, Flatten, Dense 1 sigmoid.

    ``input_shape`` as for `signs`; the output, shape (N, 1), is a probability for ``"binary_crossentropy"``.

    Examples
    --------
    >>> from arrayconv.models import networks
    >>> networks.happy().count_params()
    37633
    """
    layers: list[Any] = [
        Input(input_shape),
        ZeroPadding(3),
        Conv(32, 7),
        BatchNormalization(),
        ReLU(),
        MaxPool(2),
        Flatten(),
        Dense(1, activation="sigmoid"),
    ]
    return Sequential(layers, name="happy")


def signs(input_shape: Shape = (64, 64, 3), classes: int = 6) -> Model:
    """The course's functional model that recognizes digits shown with the fingers of a hand.

    Conv 8 4x4 same, ReLU, MaxPool 8 same, Conv 16 2x2 same, ReLU, MaxPool 4 same, Flatten, Dense
    softmax.

    Parameters
    ----------
    input_shape : tuple of int
        The shape of one image, ``(H, W, C)``.
    classes : int
        The number of outputs.

    Returns
    -------
    Model
        Its output, shape (N, classes), is probabilities, for the loss ``"categorical_crossentropy"`` or
        ``"sparse_categorical_crossentropy"``.

    Examples
    --------
    >>> from arrayconv.models import networks
    >>> networks.signs().count_params()
    1310
    """
    x = inputs = Input(input_shape)
    for filters, kernel, pool in ((8, 4, 8), (16, 2, 4)):
        x = Conv(filters, kernel, padding="same")(x)
        x = ReLU()(x)
        x = MaxPool(pool, padding="same")(x)
    outputs = Dense(classes, activation="softmax")(Flatten()(x))
    return Model(inputs, outputs, name="signs")


def same_stack(input_shape: Shape = (28, 28, 3), classes: int = 10) -> Sequential:
    """The course's stack of "same" convolutions: Conv 32, 64, 128 3x3 same, Flatten, Dense 256, Dense softmax.

    Parameters and output as for `signs`.

    Examples
    --------
    >>> from arrayconv.models import networks
    >>> networks.same_stack((8, 8, 1)).layers[2].output.shape
    (None, 8, 8, 128)
    """
    layers: list[Any] = [Input(input_shape)]
    layers += [Conv(filters, 3, padding="same", activation="relu") for filters in (32, 64, 128)]
    layers += [Flatten(), Dense(256, activation="relu"), Dense(classes, activation="softmax")]
    return Sequential(layers, name="same_stack")


def torch_net(input_shape: Shape = (32, 32, 3), classes: int = 10) -> Sequential:
    """The model of the course's PyTorch part, channels last, with PyTorch's epsilon and momentum.

    Conv 16 3x3, BatchNormalization, ReLU, Conv 32 3x3 with stride 2, ReLU, AveragePool 2 "same" (padding is
    left out of the mean), Flatten, Dense softmax.

    Parameters and output as for `signs`.

    Examples
    --------
    >>> from arrayconv.models import networks
    >>> networks.torch_net((9, 9, 1), 4)(np.ones((2, 9, 9, 1))).shape
    (2, 4)
    """
    layers: list[Any] = [
        Input(input_shape),
        Conv(16, 3),
        BatchNormalization(epsilon=1e-5, momentum=0.9),
        ReLU(),
        Conv(32, 3, strides=2),
        ReLU(),
        AveragePool(2, padding="same"),
        Flatten(),
        Dense(classes, activation="softmax"),
    ]
    return Sequential(layers, name="torch_net")


def line_detector(pooling: bool = False) -> Sequential:
    """A model with one 3x3 filter, set by hand, that finds vertical lines in 8x8 images.

    Parameters
    ----------
    pooling : bool
        Whether a 2x2 average pool follows, which makes the line one pixel wide.

    Returns
    -------
    Sequential
        Its output has shape ``(N, 6, 6, 1)``, with pooling ``(N, 3, 3, 1)``.

    Examples
    --------
    >>> from arrayconv.models import networks
    >>> image = networks.line_image()
    >>> print(networks.line_detector()(image)[0, :, :, 0])
    [[0. 0. 3. 3. 0. 0.]
     [0. 0. 3. 3. 0. 0.]
     [0. 0. 3. 3. 0. 0.]
     [0. 0. 3. 3. 0. 0.]
     [0. 0. 3. 3. 0. 0.]
     [0. 0. 3. 3. 0. 0.]]
    >>> print(networks.line_detector(pooling=True)(image)[0, :, :, 0])
    [[0. 3. 0.]
     [0. 3. 0.]
     [0. 3. 0.]]
    """
    detector = Conv(1, 3, activation="relu", input_shape=(8, 8, 1))
    model = Sequential([detector], name="line_detector")
    if pooling:
        model.add(AveragePool(2))
    kernel = np.zeros((3, 3, 1, 1))
    kernel[:, 1] = 1.0
    model.set_weights([kernel, np.zeros(1)])
    return model


def line_image() -> NDArray[np.float64]:
    """An 8x8 image of a vertical line two pixels wide, as a batch of shape (1, 8, 8, 1).

    Examples
    --------
    >>> from arrayconv.models import networks
    >>> networks.line_image()[0, 0, :, 0]
    array([0., 0., 0., 1., 1., 0., 0., 0.])
    """
    image = np.zeros((1, 8, 8, 1))
    image[:, :, 3:5] = 1.0
    return image


def small(input_shape: Shape = (28, 28, 1), classes: int = 10) -> Sequential:
    """A small model for small images, the default of `arrayconv train`.

    Two blocks of Conv 3x3 same (32, 64 filters), BatchNormalization, ReLU and MaxPool 2; Flatten, Dense 128,
    Dropout 0.3, Dense softmax. Parameters and output as for `signs`.

    Examples
    --------
    >>> from arrayconv.models import networks
    >>> networks.small((8, 8, 1))(np.ones((2, 8, 8, 1))).shape
    (2, 10)
    """
    layers: list[Any] = [Input(input_shape)]
    for filters in (32, 64):
        layers += [
            Conv(filters, 3, padding="same", use_bias=False),
            BatchNormalization(momentum=0.9),
        ]
        layers += [ReLU(), MaxPool(2, padding="same")]
    layers += [Flatten(), Dense(128, activation="relu"), Dropout(0.3)]
    return Sequential([*layers, Dense(classes, activation="softmax")], name="small")


NETWORKS: dict[str, Callable[..., Model]] = {
    network.__name__: network for network in (small, happy, signs, same_stack, torch_net)
}

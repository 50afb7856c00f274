"""The networks of the course, and a small one for pictures of digits and clothes."""

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
    """The course's sequential network that tells smiling faces from others.

    ZeroPadding 3, Conv 32 7x7, BatchNormalization, ReLU, MaxPool 2, Flatten, Dense 1 sigmoid.

    ``input_shape`` as for `signs`; one output between 0 and 1, for the loss ``"binary_crossentropy"``.

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
    """The course's functional network that reads the fingers of a hand.

    Conv 8 4x4 same, ReLU, MaxPool 8 same, Conv 16 2x2 same, ReLU, MaxPool 4 same, Flatten, Dense
    softmax.

    Parameters
    ----------
    input_shape : tuple of int
        One picture's, ``(H, W, C)``.
    classes : int
        How many outputs there are.

    Returns
    -------
    Model
        Probabilities, for the loss ``"categorical_crossentropy"`` or
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
    """The course's stack of convolutions that keep the size: Conv 32, 64, 128 3x3 same, Dense 256, Dense softmax.

    Parameters and probabilities as for `signs`.

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
    """The network of the course's PyTorch part, in this library's layout and with torch's numbers.

    Conv 16 3x3, BatchNormalization, ReLU, Conv 32 3x3 with stride 2, ReLU, AveragePool 2 "same", which
    does not count the padding, Flatten, Dense softmax.

    Parameters and probabilities as for `signs`.

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
    """A network of one 3x3 filter, set by hand, that finds vertical lines in an 8x8 image.

    Parameters
    ----------
    pooling : bool
        Whether an average pool of 2x2 follows, which takes the line to one place.

    Returns
    -------
    Sequential
        Maps ``(N, 6, 6, 1)``, with pooling ``(N, 3, 3, 1)``.

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
    """The 8x8 image of one vertical line, two pixels wide, as a batch ``(1, 8, 8, 1)``.

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
    """A small network for small pictures, which `arrayconv train` uses by default.

    Parameters and probabilities as for `signs`.

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

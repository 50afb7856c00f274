"""A small classifier and its data, for the tests of training."""

import numpy as np

from arrayconv import models

RNG = np.random.default_rng(2)
X = RNG.standard_normal((40, 6, 6, 1))
LABELS = (X.mean((1, 2, 3)) > 0).astype(np.int64) + 2 * (X[:, 0, 0, 0] > 0)
LOSS = "sparse_categorical_crossentropy"


def dense_network(dropout=0.3):
    """Quickly compiled by JAX."""
    return models.Sequential(
        [
            models.Input((6, 6, 1), name="images"),
            models.Flatten(),
            models.Dense(5),
            models.BatchNormalization(),
            models.Dropout(dropout),
            models.Dense(4, activation="softmax", name="last"),
        ]
    )


def compiled(optimizer="adam", make=dense_network, **kwargs):
    model = make(**kwargs)
    model.compile(optimizer, LOSS, metrics=["accuracy"])
    return model

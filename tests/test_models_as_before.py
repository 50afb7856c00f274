"""The rebuilt models train to the numbers of the old ones, which this file leaves together with."""

import numpy as np
import pytest

from arrayconv import data, models, models_old


def history(kind, x, y, library, dropout=False, **how):
    kind.set_seed(0)
    layers = [
        kind.Conv(16, 3, padding="same", activation="relu", name="strokes", input_shape=(8, 8, 1)),
        kind.Conv(32, 3, padding="same", activation="relu", name="parts"),
        kind.BatchNormalization(),
        kind.MaxPool(2),
        kind.Flatten(),
        *([kind.Dropout(0.3)] if dropout else []),
        kind.Dense(10, activation="softmax"),
    ]
    model = kind.Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(library.asarray(x), y, shuffle=False, verbose=0, **how)
    return model.history.history, model.get_weights()


# what is dropped follows from the number of the step alone now, which is the same in the first step
@pytest.mark.parametrize(
    ("rows", "how"), [(400, {"epochs": 2}), (64, {"dropout": True, "batch_size": 64})]
)
@pytest.mark.parametrize("library", ["numpy", "jax.numpy", "torch"])
def test_the_losses_are_those_of_the_old_tree(library, rows, how):
    library = pytest.importorskip(library)
    digits = data.digits()
    x, y = digits.x_train[:rows], digits.y_train[:rows]
    got, want = (history(kind, x, y, library, **how) for kind in (models, models_old))
    for name in want[0]:
        np.testing.assert_allclose(got[0][name], want[0][name], rtol=1e-6)
    for a, b in zip(got[1], want[1], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)

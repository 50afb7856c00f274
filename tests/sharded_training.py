"""How a model trains on batches sharded over eight devices of one CPU, beside one device; prints JSON.

Run by ``test_sharding.py`` in a process of its own, since devices are made when JAX starts.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from sharded_calls import moved  # makes the devices

# isort: split
import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from arrayconv import models
from arrayconv.data import Batches

jax.config.update("jax_enable_x64", True)
random = np.random.default_rng(0)
# 40 samples in batches of 16: eight devices do not divide the last 3 of 35 that are trained on
X, Y = random.standard_normal((43, 12, 12, 3)), random.integers(0, 10, 43)
TRAINED, SIZE, EPOCHS = 35, 16, 2


def net() -> Any:
    models.utils.set_random_seed(0)
    model = models.Sequential(
        [
            models.Conv(8, 3, padding="same", input_shape=(12, 12, 3)),
            models.BatchNormalization(),
            models.ReLU(),
            models.MaxPool(2),
            models.Flatten(),
            models.Dropout(0.3),
            models.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def trained(x: Any, y: Any = None, **given: Any) -> tuple[Any, list[float]]:
    model = net()
    if y is not None:
        given["batch_size"] = SIZE
    history = model.fit(x, y, epochs=EPOCHS, verbose=0, **given).history
    return model, [*history["loss"], *history["accuracy"], *history["val_loss"]]


def watched(model: Any, x: Any, y: Any) -> tuple[dict[str, int], int]:
    """Return what the program of a step on whole batches moves, and how many programs an epoch needs."""
    functions, programs = model._trainer.compiled, []
    ((key, step),) = ((key, f) for key, f in functions.items() if key[1] == "train")

    def looked_at(*given: Any) -> Any:
        programs.append(step.lower(*given).compile().as_text())
        return step(*given)

    functions[key] = looked_at
    model.fit(x, y, batch_size=SIZE, verbose=0)
    return moved(programs[0]), step._cache_size()


def report(kind: AxisType) -> dict[str, Any]:
    mesh = jax.make_mesh((8,), ("batch",), axis_types=(kind,))
    rows = NamedSharding(mesh, PartitionSpec("batch"))
    x, y, held = X[:TRAINED], Y[:TRAINED], (X[TRAINED:], Y[TRAINED:])
    arrays = [jax.numpy.asarray(a) for a in (x, y)]
    one, want = trained(Batches(*arrays, batch_size=SIZE), validation_data=held)
    # JAX itself shards equal parts alone: 40 samples, of which 35 are left
    sharded = [jax.device_put(a[:40], rows) for a in (X, Y)]
    many, got = trained(Batches(x, y, batch_size=SIZE, sharding=rows), validation_data=held)
    beside = one.predict(jax.numpy.asarray(X[:40]))
    predicted = many.predict(sharded[0], batch_size=SIZE)
    scores = [
        m.evaluate(*arrays, batch_size=SIZE, verbose=0)
        for m, arrays in ((one, [jax.numpy.asarray(a[:40]) for a in (X, Y)]), (many, sharded))
    ]
    _, first = trained(*(jax.numpy.asarray(a[:40]) for a in (X, Y)), validation_data=held)
    both, second = trained(*sharded, validation_data=held)
    found, programs = watched(both, *sharded)
    weights = [w for _, w in sorted(both.weights.items())]
    return {
        "losses": [
            float(np.max(np.abs(np.subtract(a, b)))) for a, b in ((got, want), (second, first))
        ],
        "scores": float(np.max(np.abs(np.subtract(*scores)))),
        "predicted": float(np.max(np.abs(np.asarray(beside) - np.asarray(predicted)))),
        "kept": predicted.sharding.spec[0] == "batch",
        "whole": all(w.is_fully_replicated and len(w.devices()) == 8 for w in weights),
        "moved": found,
        "gradients": sum(both.weights["/".join(key)].size for key in both.graph.trainable),
        "programs": programs,
        "shuffled": [
            int(i) for i in np.asarray(next(iter(Batches(Y, batch_size=16, sharding=rows))))
        ],
        "wanted": [int(i) for i in next(iter(Batches(Y, batch_size=16)))],
    }


if __name__ == "__main__":
    print(json.dumps(report(AxisType[sys.argv[1]])))

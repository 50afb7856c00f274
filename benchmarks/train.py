"""Training: an epoch of MNIST-5k on NumPy and JAX arrays beside Keras 3 with its JAX backend.

Two blocks of convolution, ReLU and max pool, then a dense layer; Adam, batches of 64, float32. All
start from the same weights and see the digits in the same order, and nobody is timed whose loss
after the first epoch is not that of a float64 run. ``python -m benchmarks.train NAME`` measures the
memory of one contender in a process of its own.
"""

from __future__ import annotations

import ctypes
import gc
import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from arrayconv import models
from arrayconv.data import DataError, mnist5k
from benchmarks.sections import Results, compare
from benchmarks.timing import Contender

CASE = "mnist5k"
BATCH = 64
SECTION, MEMORY = "train", "train memory"
OPTIMIZER, LOSS = "adam", "sparse_categorical_crossentropy"

TOLERANCE = 1e-2
"""How far the mean loss of the first epoch may be from that of the float64 run."""


class Digits(NamedTuple):
    """Images ``(N, H, W, 1)`` and their classes."""

    x: np.ndarray
    y: np.ndarray


def digits() -> Digits:
    """Return the 4000 digits of MNIST-5k that are for training."""
    found = mnist5k()
    return Digits(found.x_train, found.y_train)


def network(shape: tuple[int, ...]) -> models.Sequential:
    """Return the network, its weights drawn from one seed."""
    models.set_seed(0)
    layers: list[models.Layer] = [models.Input(shape)]
    for filters in (32, 64):
        layers += [models.Conv(filters, 3, padding="same", activation="relu"), models.MaxPool(2)]
    model = models.Sequential([*layers, models.Flatten(), models.Dense(10, activation="softmax")])
    model.compile(optimizer=OPTIMIZER, loss=LOSS)
    return model


def ours(name: str, pool: str, data: Digits, place: Callable[[Any], Any]) -> Contender:
    """Return an epoch of `fit` on the arrays of one library."""
    return _contender(name, pool, network(data.x.shape[1:]), place(data.x), place(data.y))


def _numpy(data: Digits) -> Contender:
    return ours("arrayconv numpy", "arrayconv", data, lambda a: a)


def _jax(data: Digits) -> Contender:
    import jax

    return ours("arrayconv jax", "xla", data, jax.numpy.asarray)


def _keras(data: Digits) -> Contender:
    import keras

    if keras.backend.backend() != "jax":
        raise RuntimeError(f"Keras runs on {keras.backend.backend()}; set KERAS_BACKEND=jax")
    shape = data.x.shape[1:]
    layers = [keras.Input(shape)]
    for filters in (32, 64):
        layers.append(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
        layers.append(keras.layers.MaxPooling2D(2))
    layers += [keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    model = keras.Sequential(layers)
    model.set_weights(network(shape).get_weights())
    model.compile(optimizer=OPTIMIZER, loss=LOSS, jit_compile=True)
    return _contender("keras", "xla", model, data.x, data.y)


PEERS = {
    "arrayconv numpy": ("numpy", _numpy),
    "arrayconv jax": ("jax", _jax),
    "keras": ("keras", _keras),
}
"""By name, the package that a contender needs and the function that makes it."""


def contenders(data: Digits, results: Results) -> Iterable[Contender]:
    """Yield everybody who is installed; who cannot be made is noted in ``results``."""
    for name, (package, make) in PEERS.items():
        if find_spec(package):
            try:
                yield make(data)
            # a contender that cannot take part is reported and must not end a run of minutes
            except Exception as error:
                results.failed(SECTION, CASE, name, error)


def _contender(name: str, pool: str, model: Any, x: Any, y: Any) -> Contender:
    def epoch() -> float:
        done = model.fit(x, y, epochs=1, batch_size=BATCH, shuffle=False, verbose=0)
        return float(done.history["loss"][-1])

    return Contender(name, pool, epoch, lambda loss: (np.asarray([loss]),))


def expected(data: Digits) -> tuple[np.ndarray, ...]:
    """Return the mean loss of the first epoch, in float64."""
    wide = ours("float64", "arrayconv", Digits(data.x.astype(np.float64), data.y), np.asarray)
    return wide.read(wide.call())


def train(results: Results, **timing: Any) -> None:
    """Time an epoch and measure its memory, where the digits are installed."""
    try:
        data = digits()
    except DataError as error:
        results.failed(SECTION, CASE, "everybody", error)
        return
    epochs(results, data, **timing)
    memory(results)


def epochs(results: Results, data: Digits, **timing: Any) -> None:
    """Time an epoch; the first, in which everything is compiled, is the one that is checked."""
    everybody = list(contenders(data, results))
    compare(results, SECTION, CASE, everybody, expected(data), tolerance=TOLERANCE, **timing)


def memory(results: Results) -> None:
    """Measure the memory of an epoch, each contender in a process of its own."""
    for name, (package, _) in PEERS.items():
        if not find_spec(package):
            continue
        print(f"{MEMORY}: {name}", file=sys.stderr, flush=True)
        command = [sys.executable, "-m", "benchmarks.train", name]
        root = Path(__file__).parent.parent
        done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=False)
        if done.returncode:
            lines = done.stderr.splitlines() or [f"ended with {done.returncode}"]
            results.failed(MEMORY, CASE, name, RuntimeError(lines[-1]))
            continue
        found = json.loads(done.stdout.splitlines()[-1])
        results.rows.append({"section": MEMORY, "case": CASE, "contender": name, **found})


def measured(name: str, data: Digits) -> dict[str, float | None]:
    """Return MiB: what an epoch adds to this process at its peak, and a step's NumPy arrays."""
    contender = PEERS[name][1](data)
    contender.call()
    gc.collect()
    with suppress(OSError, AttributeError):
        # what compiling left behind, in glibc's hands, would hide the epoch's own arrays
        ctypes.CDLL(None).malloc_trim(0)
    before = _status("VmRSS")
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    contender.call()
    peak = _status("VmHWM")
    resident = None if peak is None or before is None else round((peak - before) / 1024, 1)
    return {"MiB": resident, "step MiB": step(data) if name == "arrayconv numpy" else None}


def step(data: Digits) -> float:
    """Return the MiB that one step takes at its peak beyond weights and batch, on NumPy."""
    model = network(data.x.shape[1:])
    x, y = data.x[:BATCH], data.y[:BATCH]
    model.train_on_batch(x, y)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        model.train_on_batch(x, y)
        return round((tracemalloc.get_traced_memory()[1] - before) / 2**20, 1)
    finally:
        tracemalloc.stop()


def _status(name: str) -> int | None:
    """Return a number of KiB from what the system says of this process."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith(name + ":")), None)


if __name__ == "__main__":
    print(json.dumps(measured(sys.argv[1], digits())))

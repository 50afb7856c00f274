"""Callbacks of ``fit``: early stopping, learning rates, checkpoints, logs, and callbacks of your own."""

from __future__ import annotations

import csv
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arrayconv.data.sharding import first_process
from arrayconv.models import checks
from arrayconv.models.training.hooks import (
    Callback,
    LambdaCallback,
    Logs,
    TerminateOnNaN,
)
from arrayconv.models.training.monitors import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau
from arrayconv.models.training.progress import say

__all__ = [
    "CSVLogger",
    "Callback",
    "EarlyStopping",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "TerminateOnNaN",
]

_ELSEWHERE = {
    "BackupAndRestore": "load a file that ModelCheckpoint wrote, and fit continues from it",
    "History": "fit returns one, and keeps it as model.history",
    "TensorBoard": "CSVLogger writes the numbers of every epoch",
}


def __getattr__(name: str) -> Any:
    hint = _ELSEWHERE.get(name, "a callback of your own derives from Callback")
    raise checks.absent(__name__, name, hint)


@dataclass(eq=False)
class LearningRateScheduler(Callback):
    """Set the learning rate at the start of each epoch; the history records it as ``"learning_rate"``.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, learning_rate)`` or ``schedule(epoch)`` returns the new learning rate; the first epoch is 0.
    verbose : {0, 1}
        1 prints each rate.

    Raises
    ------
    TypeError
        If ``schedule`` is not callable; from ``fit``, if it does not return a number, or the optimizer's learning
        rate is a schedule.

    Examples
    --------
    >>> from arrayconv.models.callbacks import LearningRateScheduler
    >>> slower = LearningRateScheduler(lambda epoch, rate: rate if epoch < 10 else 0.9 * rate)
    """

    schedule: Callable[..., float]
    verbose: int = 0

    def __post_init__(self) -> None:
        if not callable(self.schedule):
            raise TypeError(
                f"{type(self).__name__}: schedule must be callable, got {self.schedule!r}"
            )
        try:
            inspect.signature(self.schedule).bind(0, 0.0)
            self._takes_rate = True
        except TypeError:
            self._takes_rate = False

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        before = self.model.optimizer.rate
        rate = self.schedule(epoch, before) if self._takes_rate else self.schedule(epoch)
        self.model.optimizer.learning_rate = checks.number(type(self).__name__, "schedule", rate)
        if self.verbose:
            say(f"Epoch {epoch + 1}: learning rate {rate:.4g}")

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        logs["learning_rate"] = self.model.optimizer.rate


@dataclass(eq=False)
class CSVLogger(Callback):
    """Append a line to a CSV file after each epoch; of several JAX processes, only the first writes.

    Parameters
    ----------
    filename : str or Path
    separator : str
    append : bool
        Whether to continue an existing file instead of replacing it.

    Raises
    ------
    ValueError
        From ``fit``, before the first epoch: with ``append``, if the file has other columns.

    Examples
    --------
    >>> from arrayconv.models.callbacks import CSVLogger
    >>> log = CSVLogger("training.csv")
    """

    filename: str | os.PathLike[str]
    separator: str = ","
    append: bool = False

    def on_train_begin(self, logs: Logs) -> None:
        self._names, path = ["epoch", *self.params["metrics"]], Path(self.filename)
        if self.append and path.exists() and path.stat().st_size:
            with path.open(newline="", encoding="utf-8") as file:
                have = next(csv.reader(file, delimiter=self.separator))
            if have != self._names:
                raise ValueError(
                    f"CSVLogger: {path} has the columns {have}, and fit now reports {self._names}; "
                    "choose another file, or append=False"
                )
            return
        if first_process():
            path.parent.mkdir(parents=True, exist_ok=True)
        self._write(self._names, "w")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        values = (np.asarray(logs.get(name, "")).tolist() for name in self._names[1:])
        self._write([epoch, *values], "a")

    def _write(self, row: list[Any], mode: str) -> None:
        if not first_process():
            return
        with Path(self.filename).open(mode, newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=self.separator).writerow(row)

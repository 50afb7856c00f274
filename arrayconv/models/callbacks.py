"""What happens beside the training: early stopping, learning rates, checkpoints, logs, callbacks of your own."""

from __future__ import annotations

import csv
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from arrayconv.models import checks
from arrayconv.models.training.hooks import Callback, LambdaCallback, Logs
from arrayconv.models.training.monitors import EarlyStopping, ModelCheckpoint, ReduceLROnPlateau

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
    "BackupAndRestore": "fit goes on after load from a file that ModelCheckpoint wrote",
    "History": "fit returns one, and keeps it as model.history",
    "TensorBoard": "CSVLogger writes the numbers of every epoch",
}


def __getattr__(name: str) -> Any:
    raise checks.absent(__name__, name, _ELSEWHERE.get(name, ""))


class LearningRateScheduler(Callback):
    """Choose the learning rate of each epoch.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, learning_rate)``, or ``schedule(epoch)``, the epoch counted from 0, returns the new
        learning rate.
    verbose : {0, 1}
        1 prints each rate.

    Notes
    -----
    The rate of each epoch comes into the history as ``"learning_rate"``.

    Raises
    ------
    TypeError
        A ``schedule`` that cannot be called; from ``fit``, a rate that is no number.

    Examples
    --------
    >>> from arrayconv.models.callbacks import LearningRateScheduler
    >>> slower = LearningRateScheduler(lambda epoch, rate: rate if epoch < 10 else 0.9 * rate)
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise TypeError(f"LearningRateScheduler: schedule must be callable, got {schedule!r}")
        self.schedule, self.verbose = schedule, verbose
        try:
            inspect.signature(schedule).bind(0, 0.0)
            self._takes_rate = True
        except TypeError:
            self._takes_rate = False

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        before = self.model.optimizer.rate
        rate = self.schedule(epoch, before) if self._takes_rate else self.schedule(epoch)
        self.model.optimizer.learning_rate = checks.number(type(self).__name__, "schedule", rate)
        if self.verbose:
            print(f"Epoch {epoch + 1}: learning rate {rate:.4g}")

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        logs["learning_rate"] = self.model.optimizer.rate


class TerminateOnNaN(Callback):
    """Stop, and return the history so far, where `fit` would raise ``FloatingPointError``.

    The model keeps the weights it had before the epoch, and says on standard output what went wrong.

    Examples
    --------
    >>> from arrayconv.models.callbacks import TerminateOnNaN
    >>> stop = TerminateOnNaN()
    """

    def on_not_finite(self, error: FloatingPointError) -> bool:
        print(error)
        return True


class CSVLogger(Callback):
    """Write a line per epoch to a CSV file, complete after each epoch.

    Parameters
    ----------
    filename : str or Path
    separator : str
    append : bool
        Whether to go on with a file that exists, for a training that continues.

    Raises
    ------
    ValueError
        From ``fit``, before the first epoch: with ``append``, a file of other columns.

    Examples
    --------
    >>> from arrayconv.models.callbacks import CSVLogger
    >>> log = CSVLogger("training.csv")
    """

    def __init__(
        self, filename: str | os.PathLike[str], separator: str = ",", append: bool = False
    ) -> None:
        self.filename, self.separator, self.append = Path(filename), separator, append

    def on_train_begin(self, logs: Logs) -> None:
        self._names = ["epoch", *self.params["metrics"]]
        if self.append and self.filename.exists() and self.filename.stat().st_size:
            with self.filename.open(newline="", encoding="utf-8") as file:
                have = next(csv.reader(file, delimiter=self.separator))
            if have != self._names:
                raise ValueError(
                    f"CSVLogger: {self.filename} has the columns {have}, and fit now reports {self._names}; "
                    "choose another file, or append=False"
                )
            return
        self.filename.parent.mkdir(parents=True, exist_ok=True)
        self._write(self._names, "w")

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        self._write([epoch, *(logs.get(name, "") for name in self._names[1:])], "a")

    def _write(self, row: list[Any], mode: str) -> None:
        with self.filename.open(mode, newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=self.separator).writerow(row)

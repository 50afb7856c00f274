"""What happens beside the training: early stopping, learning rates, checkpoints, logs, callbacks of your own."""

from __future__ import annotations

import csv
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arrayconv.data.sharding import first_process
from arrayconv.models import checks
from arrayconv.models.training.hooks import Callback, LambdaCallback, Logs, Monitor
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
    "BackupAndRestore": "fit goes on after load from a file that ModelCheckpoint wrote",
    "History": "fit returns one, and keeps it as model.history",
    "TensorBoard": "CSVLogger writes the numbers of every epoch",
}


def __getattr__(name: str) -> Any:
    raise checks.absent(__name__, name, _ELSEWHERE.get(name, ""))


@dataclass(eq=False)
class EarlyStopping(Monitor):
    """Stop when ``monitor`` has not improved for ``patience`` epochs.

    Parameters
    ----------
    monitor : str
        A name in the history.
    min_delta : float
        Improve by no more than this, and it does not count.
    patience : int
        0 and 1 both stop at the first epoch without improvement.
    verbose : {0, 1}
        1 prints when it stops, and when it restores weights.
    mode : {"auto", "min", "max"}
        Which way is better.
    baseline : float, optional
        What has to be improved on.
    restore_best_weights : bool
        Whether the model ends with the weights of its best epoch, an interrupted ``fit`` included.
    start_from_epoch : int
        Epochs before this one are not looked at.

    Raises
    ------
    ValueError
        From ``fit``, before the first epoch: a ``monitor`` that is not in the history.

    Examples
    --------
    >>> from arrayconv.models.callbacks import EarlyStopping
    >>> EarlyStopping("val_accuracy", patience=3, restore_best_weights=True).patience
    3
    """

    monitor: str = "val_loss"
    min_delta: float = 0.0
    patience: int = 0
    verbose: int = 0
    mode: str = "auto"
    baseline: float | None = None
    restore_best_weights: bool = False
    start_from_epoch: int = 0
    stopped_epoch = 0

    def on_train_begin(self, logs: Logs) -> None:
        super().on_train_begin(logs)
        self.best, self.best_epoch, self.stopped_epoch = None, 0, 0
        self._wait, self._weights = 0, None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if epoch < self.start_from_epoch or self.monitor not in logs:
            return
        value = logs[self.monitor]
        self._wait += 1
        if self.better(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self._weights = self.model.get_weights()
            if self.baseline is None or self.better(value, self.baseline):
                self._wait = 0
            # the best so far is no reason to stop, whatever the baseline
            return
        if epoch > 0 and self._wait >= max(self.patience, 1):
            self.stopped_epoch, self.model.stop_training = epoch, True
            if self.verbose:
                best = f"{self.monitor} is best in epoch {self.best_epoch + 1}"
                say(f"Epoch {epoch + 1}: early stopping, {best}")

    def on_train_end(self, logs: Logs) -> None:
        if self._weights is not None:
            self.model.set_weights(self._weights)
            self._weights = None
            if self.verbose:
                say(f"Restored the weights of epoch {self.best_epoch + 1}")


@dataclass(eq=False)
class ReduceLROnPlateau(Monitor):
    """Multiply the learning rate by ``factor`` when ``monitor`` has not improved for ``patience`` epochs.

    The rate of each epoch comes into the history as ``"learning_rate"``.

    Parameters
    ----------
    monitor, patience, mode, min_delta
        As for `EarlyStopping`.
    factor : float
        Below 1.
    verbose : {0, 1}
        1 prints each new rate.
    cooldown : int
        Epochs after a new rate in which no epoch counts.
    min_lr : float
        No smaller rate than this.

    Raises
    ------
    TypeError
        From ``fit``: an optimizer whose learning rate is a schedule.
    ValueError
        A ``factor`` of 1 or more; from ``fit``, a ``monitor`` that is not in the history.

    Examples
    --------
    >>> from arrayconv.models.callbacks import ReduceLROnPlateau
    >>> ReduceLROnPlateau(factor=0.5, patience=3).factor
    0.5
    """

    monitor: str = "val_loss"
    factor: float = 0.1
    patience: int = 10
    verbose: int = 0
    mode: str = "auto"
    min_delta: float = 1e-4
    cooldown: int = 0
    min_lr: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.number("ReduceLROnPlateau", "factor", self.factor, below=1)

    def on_train_begin(self, logs: Logs) -> None:
        super().on_train_begin(logs)
        self.best, self._wait, self._cooling = None, 0, 0

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        optimizer = self.model.optimizer
        logs["learning_rate"] = rate = optimizer.rate
        if self.monitor not in logs:
            return
        if self._cooling > 0:
            self._cooling -= 1
        if self.better(logs[self.monitor], self.best):
            self.best, self._wait = logs[self.monitor], 0
        elif self._cooling <= 0:
            self._wait += 1
            if self._wait >= self.patience and rate > self.min_lr:
                optimizer.learning_rate = max(rate * self.factor, self.min_lr)
                self._cooling, self._wait = self.cooldown, 0
                if self.verbose:
                    say(f"Epoch {epoch + 1}: learning rate {optimizer.rate:.4g}")


@dataclass(eq=False)
class ModelCheckpoint(Monitor):
    """Save the model after each epoch, or after each that is the best so far.

    Parameters
    ----------
    filepath : str or Path
        May hold ``{epoch}`` and names of the history: ``"run-{epoch:02d}-{val_loss:.3f}.safetensors"``.
    monitor, mode
        As for `EarlyStopping`; only looked at with ``save_best_only``.
    verbose : {0, 1}
        1 prints each saving.
    save_best_only : bool
        Whether to save only when ``monitor`` is better than ever.
    save_weights_only : bool
        As in Keras, without effect: a file of `save` holds the structure beside the weights, and
        `load_weights` reads these alone.

    Raises
    ------
    ValueError
        From ``fit``, before the first epoch: a ``filepath`` that `save` does not write to, a ``monitor``
        or a name in ``filepath`` that is not in the history.

    Examples
    --------
    >>> from arrayconv.models.callbacks import ModelCheckpoint
    >>> checkpoint = ModelCheckpoint("best.safetensors", save_best_only=True)
    """

    filepath: str | os.PathLike[str]
    monitor: str = "val_loss"
    verbose: int = 0
    save_best_only: bool = False
    save_weights_only: bool = False
    mode: str = "auto"

    def on_train_begin(self, logs: Logs) -> None:
        if self.save_best_only:
            super().on_train_begin(logs)
        numbers = dict.fromkeys(self.params["metrics"], 0.0)
        checks.model_path("ModelCheckpoint", self._path(0, numbers))

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.save_best_only:
            if self.monitor not in logs or not self.better(logs[self.monitor], self.best):
                return
            self.best = logs[self.monitor]
        path = self._path(epoch, logs)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.model.save(path)
        if self.verbose:
            say(f"Epoch {epoch + 1}: saved {path}")

    def _path(self, epoch: int, logs: Logs) -> Path:
        path = os.fspath(self.filepath)
        try:
            return Path(path.format(epoch=epoch + 1, **logs))
        except (KeyError, IndexError) as error:
            raise ValueError(
                f"ModelCheckpoint: filepath {path!r} has a name that fit does not report: {error}; "
                f"it reports epoch, {', '.join(logs)}"
            ) from None


@dataclass(eq=False)
class LearningRateScheduler(Callback):
    """Choose the learning rate of each epoch, which comes into the history as ``"learning_rate"``.

    Parameters
    ----------
    schedule : callable
        ``schedule(epoch, learning_rate)``, or ``schedule(epoch)``, the epoch counted from 0, returns the new
        learning rate.
    verbose : {0, 1}
        1 prints each rate.

    Raises
    ------
    TypeError
        A ``schedule`` that cannot be called; from ``fit``, a rate that is no number.

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


class TerminateOnNaN(Callback):
    """Stop, and return the history so far, where `fit` would raise ``FloatingPointError``.

    The model keeps the weights it had before the epoch, and says on standard output what went wrong.

    Examples
    --------
    >>> from arrayconv.models.callbacks import TerminateOnNaN
    >>> stop = TerminateOnNaN()
    """

    def on_not_finite(self, error: FloatingPointError) -> bool:
        say(error)
        return True


@dataclass(eq=False)
class CSVLogger(Callback):
    """Write a line per epoch to a CSV file, complete after each epoch; of several processes, the first writes.

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
        self._write([epoch, *(logs.get(name, "") for name in self._names[1:])], "a")

    def _write(self, row: list[Any], mode: str) -> None:
        if not first_process():
            return
        with Path(self.filename).open(mode, newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=self.separator).writerow(row)

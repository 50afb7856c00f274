"""Callbacks that monitor a loss or metric: early stopping, lower learning rates, checkpoints."""

from __future__ import annotations

import os
import re
import string
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arrayconv.models import checks
from arrayconv.models.training.hooks import Logs, Monitor
from arrayconv.models.training.progress import say


@dataclass(eq=False)
class EarlyStopping(Monitor):
    """Stop training when ``monitor`` has not improved for ``patience`` epochs.

    Parameters
    ----------
    monitor : str
        The loss or metric to watch, by its name in the history.
    min_delta : float
        A change by no more than this does not count as an improvement.
    patience : int
        0 and 1 both stop at the first epoch without improvement.
    verbose : {0, 1}
        1 prints when it stops, and when it restores weights.
    mode : {"auto", "min", "max"}
        Whether less or more is better; "auto" knows it for losses and for the metrics here.
    baseline : float, optional
        ``patience`` is counted from the last epoch that improved on this value as well.
    restore_best_weights : bool
        Whether the model gets the weights of the best epoch at the end, also of an interrupted ``fit``.
    start_from_epoch : int
        Epochs before this one, counted from 0, are ignored.

    Raises
    ------
    ValueError
        If ``mode`` is unknown; from ``fit``, before the first epoch, if ``monitor`` is not in the history, or
        ``mode`` is "auto" and it is not known which way a metric of your own is better.

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

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("patience", "start_from_epoch"):
            checks.count("EarlyStopping", name, getattr(self, name), least=0)

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
            # an epoch that is the best so far never stops, even if it is worse than the baseline
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

    The history records the rate of each epoch as ``"learning_rate"``.

    Parameters
    ----------
    monitor, patience, mode, min_delta
        As for `EarlyStopping`.
    factor : float
        Below 1.
    verbose : {0, 1}
        1 prints each new rate.
    cooldown : int
        The number of epochs after a reduction that do not count towards ``patience``.
    min_lr : float
        The rate is never reduced below this.

    Raises
    ------
    TypeError
        From ``fit``: if the optimizer's learning rate is a schedule.
    ValueError
        If ``factor`` is 1 or more; otherwise as for `EarlyStopping`.

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
        checks.number("ReduceLROnPlateau", "factor", self.factor, least=0, below=1)
        for name in ("patience", "cooldown"):
            checks.count("ReduceLROnPlateau", name, getattr(self, name), least=0)

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
    """Save the model after each epoch, or after each epoch that is the best so far.

    Parameters
    ----------
    filepath : str or Path
        May contain ``{epoch}``, counted from 1, and names in the history:
        ``"run-{epoch:02d}-{val_loss:.3f}.safetensors"``.
    monitor, mode
        As for `EarlyStopping`; only used with ``save_best_only``.
    verbose : {0, 1}
        1 prints each path saved to.
    save_best_only : bool
        Whether to save only when ``monitor`` is better than in all epochs before.
    save_weights_only : bool
        Accepted for compatibility with Keras and ignored; a path that ends in ``.weights.h5`` gets weights only.
    save_freq : {"epoch"}
        Keras's other values are not supported.

    Raises
    ------
    ValueError
        If ``save_freq`` is not "epoch"; from ``fit``, before the first epoch, if `save` cannot write to
        ``filepath``, or it contains a name that is not in the history or has a number for each class; with
        ``save_best_only``, as for `EarlyStopping`.

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
    save_freq: str = "epoch"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.save_freq != "epoch":
            raise ValueError(
                f"ModelCheckpoint: save_freq must be 'epoch', got {self.save_freq!r}; on_train_batch_end of a "
                "callback of your own can save by batches"
            )

    def on_train_begin(self, logs: Logs) -> None:
        if self.save_best_only:
            super().on_train_begin(logs)
        for _, field, _, _ in string.Formatter().parse(os.fspath(self.filepath)):
            # "f1_score[0]" is of f1_score
            self._refuse_by_class("filepath's field", re.split(r"[.\[]", field or "")[0])
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

"""What happens beside the training: early stopping, checkpoints, logs, and callbacks of your own."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from arrayconv.models_old.weights import check_path

Logs = Mapping[str, float]


class Callback:
    """Hooks that ``fit`` calls; one of your own overrides those it needs.

    ``logs`` holds the running means of the loss and the metrics, and at the end of an epoch those of the
    validation data too. Reading it in a batch hook makes an accelerator wait for the batch.

    Attributes
    ----------
    model : Model
        The model that is trained; ``model.stop_training = True`` stops it after the epoch.
    params : dict
        ``"epochs"``, ``"steps"`` (None where not known), ``"verbose"`` and ``"metrics"``, the names in ``logs``
        at the end of an epoch.

    Examples
    --------
    >>> from arrayconv import models
    >>> class Short(models.Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         print(epoch, sorted(logs))
    >>> Short().on_epoch_end(0, {"loss": 0.5})
    0 ['loss']
    """

    model: Any = None
    params: Mapping[str, Any] = {}

    def on_train_begin(self, logs: Logs) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs) -> None:
        """After the last epoch, an error or an interruption included."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Before a batch, counted from 0."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """After a batch."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))
Hook = Callable[..., Any]


class LambdaCallback(Callback):
    """A callback of plain functions.

    Parameters
    ----------
    on_train_begin, on_train_end : callable, optional
        Called with ``(logs)``.
    on_epoch_begin, on_epoch_end : callable, optional
        Called with ``(epoch, logs)``.
    on_train_batch_begin, on_train_batch_end : callable, optional
        Called with ``(batch, logs)``.

    Raises
    ------
    TypeError
        An unknown hook, or one that cannot be called.

    Examples
    --------
    >>> from arrayconv import models
    >>> callback = models.LambdaCallback(on_epoch_end=lambda epoch, logs: print(epoch, logs["loss"]))
    >>> callback.on_epoch_end(0, {"loss": 0.5})
    0 0.5
    """

    def __init__(self, **hooks: Hook | None) -> None:
        for name, hook in hooks.items():
            if name not in HOOKS:
                raise TypeError(
                    f"LambdaCallback: unknown hook {name!r}; expected some of {', '.join(HOOKS)}"
                )
            if hook is not None:
                if not callable(hook):
                    raise TypeError(f"LambdaCallback: {name} must be callable, got {hook!r}")
                setattr(self, name, hook)


def works_by_batch(callback: Callback) -> bool:
    """Whether a callback has a hook that is called for every batch."""
    return any(
        name in vars(callback) or getattr(type(callback), name) is not getattr(Callback, name)
        for name in HOOKS
        if "batch" in name
    )


class _Monitor(Callback):
    """A callback that compares one of the numbers in ``logs`` with the best so far."""

    def __init__(self, monitor: str, mode: str, min_delta: float = 0.0) -> None:
        label = type(self).__name__
        if mode not in ("auto", "min", "max"):
            raise ValueError(f"{label}: mode must be 'auto', 'min' or 'max', got {mode!r}")
        self.monitor, self.mode, self.min_delta = monitor, mode, abs(min_delta)
        self.best: float | None = None
        self._sign = 1.0

    def on_train_begin(self, logs: Logs) -> None:
        label = type(self).__name__
        known = self.params["metrics"]
        if self.monitor not in known:
            data = "; it needs validation_data" if self.monitor.startswith("val_") else ""
            raise ValueError(
                f"{label}: monitor={self.monitor!r} is not among what fit reports here, {', '.join(known)}{data}"
            )
        mode = self.mode
        if mode == "auto":
            mode = known[self.monitor]
            if mode is None:
                raise ValueError(
                    f"{label}: give mode='min' or mode='max': which way {self.monitor!r} is better is not known"
                )
        self._sign = 1.0 if mode == "max" else -1.0

    def better(self, value: float, than: float | None) -> bool:
        """Whether ``value`` improves on ``than`` by more than ``min_delta``; NaN never does."""
        if than is None:
            return value == value
        return self._sign * (value - than) > self.min_delta


class EarlyStopping(_Monitor):
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
    >>> from arrayconv import models
    >>> models.EarlyStopping("val_accuracy", patience=3, restore_best_weights=True).patience
    3
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0.0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.stopped_epoch = 0

    def on_train_begin(self, logs: Logs) -> None:
        super().on_train_begin(logs)
        self.best, self.best_epoch, self.stopped_epoch = None, 0, 0
        self._wait = 0
        self._weights: Any = None

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if epoch < self.start_from_epoch:
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
            self.stopped_epoch = epoch
            self.model.stop_training = True
            if self.verbose:
                print(
                    f"Epoch {epoch + 1}: early stopping, {self.monitor} is best in epoch {self.best_epoch + 1}"
                )

    def on_train_end(self, logs: Logs) -> None:
        if self._weights is not None:
            self.model.set_weights(self._weights)
            self._weights = None
            if self.verbose:
                print(f"Restored the weights of epoch {self.best_epoch + 1}")


class ModelCheckpoint(_Monitor):
    """Save the model after each epoch, or after each that is the best so far.

    Parameters
    ----------
    filepath : str or Path
        May hold ``{epoch}`` and names of the history: ``"run-{epoch:02d}-{val_loss:.3f}.safetensors"``.
    monitor : str
        A name in the history; only looked at with ``save_best_only``.
    verbose : {0, 1}
        1 prints each saving.
    save_best_only : bool
        Whether to save only when ``monitor`` is better than ever.
    save_weights_only : bool
        As in Keras, without effect: a file of `save` holds the structure beside the weights, and
        `load_weights` reads these alone.
    mode : {"auto", "min", "max"}
        Which way is better.

    Raises
    ------
    ValueError
        From ``fit``, before the first epoch: a ``filepath`` that `save` does not write to, a ``monitor``
        or a name in ``filepath`` that is not in the history.

    Examples
    --------
    >>> from arrayconv import models
    >>> checkpoint = models.ModelCheckpoint("best.safetensors", save_best_only=True)
    """

    def __init__(
        self,
        filepath: str | os.PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
    ) -> None:
        super().__init__(monitor, mode)
        self.filepath = os.fspath(filepath)
        self.verbose, self.save_best_only = verbose, save_best_only

    def on_train_begin(self, logs: Logs) -> None:
        if self.save_best_only:
            super().on_train_begin(logs)
        check_path("ModelCheckpoint", self._path(0, dict.fromkeys(self.params["metrics"], 0.0)))

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        if self.save_best_only:
            if not self.better(logs[self.monitor], self.best):
                return
            self.best = logs[self.monitor]
        path = self._path(epoch, logs)
        path.parent.mkdir(parents=True, exist_ok=True)
        self.model.save(path)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saved {path}")

    def _path(self, epoch: int, logs: Logs) -> Path:
        try:
            return Path(self.filepath.format(epoch=epoch + 1, **logs))
        except (KeyError, IndexError) as error:
            raise ValueError(
                f"ModelCheckpoint: filepath {self.filepath!r} has a name that fit does not report: {error}; "
                f"it reports epoch, {', '.join(logs)}"
            ) from None


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
    >>> from arrayconv import models
    >>> log = models.CSVLogger("training.csv")
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
        self._write([epoch, *(logs[name] for name in self._names[1:])], "a")

    def _write(self, row: list[Any], mode: str) -> None:
        with self.filename.open(mode, newline="", encoding="utf-8") as file:
            csv.writer(file, delimiter=self.separator).writerow(row)

"""Hooks of your own beside the training, and how the loops call them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from arrayconv.models import checks
from arrayconv.models.training.progress import Progress, say

Logs = Mapping[str, float]


class Callback:
    """Hooks that ``fit``, ``evaluate`` and ``predict`` call; one of your own overrides those it needs.

    ``logs`` holds the running means of the loss and the metrics, and at the end of an epoch those of the
    validation data too; after a batch of `predict` it holds ``"outputs"``. A hook for batches makes an
    accelerator wait for each.

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

    def set_model(self, model: Any) -> None:
        """Take the model that is trained."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Take the numbers of epochs and steps and the names in ``logs``."""
        self.params = params

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

    def on_test_begin(self, logs: Logs) -> None:
        """Before `evaluate`, or the validation of an epoch."""

    def on_test_end(self, logs: Logs) -> None:
        """After it."""

    def on_test_batch_begin(self, batch: int, logs: Logs) -> None:
        """Before a batch of it."""

    def on_test_batch_end(self, batch: int, logs: Logs) -> None:
        """After a batch of it."""

    def on_predict_begin(self, logs: Logs) -> None:
        """Before `predict`."""

    def on_predict_end(self, logs: Logs) -> None:
        """After it."""

    def on_predict_batch_begin(self, batch: int, logs: Logs) -> None:
        """Before a batch of it."""

    def on_predict_batch_end(self, batch: int, logs: Logs) -> None:
        """After a batch of it."""

    def on_not_finite(self, error: FloatingPointError) -> bool:
        """Whether `fit` shall stop, and not raise the error, when the loss or a weight is not finite."""
        return False


HOOKS = tuple(name for name in vars(Callback) if name.endswith(("_begin", "_end")))
Hook = Callable[..., Any]


class LambdaCallback(Callback):
    """A callback of plain functions.

    Parameters
    ----------
    **hooks : callable, optional
        By the names of `Callback`'s hooks: those of an epoch or a batch are called with its number and
        ``logs``, the others with ``logs`` alone.

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


class Monitor(Callback):
    """A callback that compares one of the numbers in ``logs`` with the best so far."""

    monitor: str
    mode: str
    min_delta: float = 0.0
    best: float | None = None

    def __post_init__(self) -> None:
        ways = dict.fromkeys(("auto", "min", "max"))
        checks.choice(type(self).__name__, "mode", self.mode, ways)

    def on_train_begin(self, logs: Logs) -> None:
        label, known, mode = type(self).__name__, self.params["metrics"], self.mode
        if self.monitor not in known:
            data = "; it needs validation_data" if self.monitor.startswith("val_") else ""
            raise ValueError(
                f"{label}: monitor={self.monitor!r} is not among what fit reports here, {', '.join(known)}{data}"
            )
        mode = known[self.monitor] if mode == "auto" else mode
        if mode is None:
            raise ValueError(
                f"{label}: give mode='min' or mode='max': which way {self.monitor!r} is better is not known"
            )
        self._sign = 1.0 if mode == "max" else -1.0

    def better(self, value: float, than: float | None) -> bool:
        """Whether ``value`` improves on ``than`` by more than ``min_delta``; NaN never does."""
        return value == value if than is None else self._sign * (value - than) > abs(self.min_delta)


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


class Hooks:
    """The callbacks of one `fit`, `evaluate` or `predict`, and its progress display: all that a loop calls.

    Parameters
    ----------
    label : str
        How errors call the method.
    callbacks : iterable of Callback, or Callback
    verbose : {"auto", 0, 1, 2}
        As `Progress` takes it.
    model : Model
        Is given to the callbacks, so that the loop need not know it.

    Attributes
    ----------
    by_batch : bool
        Whether a callback works by batch, and so must find the model's weights as they are after each one.

    Raises
    ------
    TypeError
        What is no callback.
    """

    def __init__(self, label: str, callbacks: Any, verbose: Any, model: Any) -> None:
        alone = [] if callbacks is None else [callbacks]
        self.callbacks = list(callbacks) if isinstance(callbacks, Iterable) else alone
        for hook in self.callbacks:
            if not isinstance(hook, Callback):
                made = f"; {hook.__name__}() makes one" if isinstance(hook, type) else ""
                raise TypeError(
                    f"{label}: callbacks must be a list of Callback, got {hook!r}{made}"
                )
            hook.set_model(model)
        self.verbose, self.progress = verbose, Progress(label, verbose)
        self._by_hook = {
            name: [hook for hook in self.callbacks if _overrides(hook, name)] for name in HOOKS
        }
        self.by_batch = self.has("on_train_batch_begin") or self.has("on_train_batch_end")

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Tell the callbacks what they are in for."""
        for hook in self.callbacks:
            hook.set_params(params)

    def has(self, hook: str) -> bool:
        """Whether a callback has the hook of this name, ``"on_epoch_end"``."""
        return bool(self._by_hook[hook])

    def call(self, hook: str, *args: Any) -> None:
        """Call the hook of this name of every callback that has it."""
        for callback in self._by_hook[hook]:
            getattr(callback, hook)(*args)

    def ends_quietly(self, error: FloatingPointError) -> bool:
        """Whether a callback takes a loss that is not finite for the end of the training."""
        return any(callback.on_not_finite(error) for callback in self.callbacks)


def _overrides(callback: Callback, hook: str) -> bool:
    return hook in vars(callback) or getattr(type(callback), hook) is not getattr(Callback, hook)

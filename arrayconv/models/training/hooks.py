"""The base class of callbacks, and how the training loops call them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from arrayconv.models import checks
from arrayconv.models.training.progress import Progress, say

Logs = Mapping[str, float]


class Callback:
    """Base class of callbacks, whose methods ``fit``, ``evaluate`` and ``predict`` call; override those you need.

    ``logs`` is a dict of the loss and the metrics, averaged over the epoch so far; at the end of an epoch also
    those of the validation data. After a batch of ``predict`` it has only ``"outputs"``, a tuple of arrays. A
    hook for training batches makes an accelerator synchronize after each batch.

    Attributes
    ----------
    model : Model
        The model that is trained; ``model.stop_training = True`` stops ``fit`` after the current epoch.
    params : dict
        In ``fit``: ``"epochs"``, ``"steps"`` (None if unknown), ``"verbose"``, and ``"metrics"``, whose keys are the
        names in ``logs`` at the end of an epoch.

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
        """Set ``model``; called before all other hooks."""
        self.model = model

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Set ``params``; called by ``fit`` before `on_train_begin`."""
        self.params = params

    def on_train_begin(self, logs: Logs) -> None:
        """Before the first epoch."""

    def on_train_end(self, logs: Logs) -> None:
        """After the last epoch, also after an error or an interruption."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Before an epoch, counted from 0."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """After an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs) -> None:
        """Before a batch, counted from 0."""

    def on_train_batch_end(self, batch: int, logs: Logs) -> None:
        """After a batch."""

    def on_test_begin(self, logs: Logs) -> None:
        """Before ``evaluate`` or the validation of an epoch."""

    def on_test_end(self, logs: Logs) -> None:
        """After ``evaluate`` or the validation of an epoch."""

    def on_test_batch_begin(self, batch: int, logs: Logs) -> None:
        """Before a batch of ``evaluate`` or of a validation, counted from 0."""

    def on_test_batch_end(self, batch: int, logs: Logs) -> None:
        """After a batch of ``evaluate`` or of a validation."""

    def on_predict_begin(self, logs: Logs) -> None:
        """Before ``predict``."""

    def on_predict_end(self, logs: Logs) -> None:
        """After ``predict``."""

    def on_predict_batch_begin(self, batch: int, logs: Logs) -> None:
        """Before a batch of ``predict``, counted from 0."""

    def on_predict_batch_end(self, batch: int, logs: Logs) -> None:
        """After a batch of ``predict``."""

    def on_not_finite(self, error: FloatingPointError) -> bool:
        """Called when the loss or a weight is not finite: return True to end ``fit`` without raising ``error``."""
        return False


HOOKS = tuple(name for name in vars(Callback) if name.endswith(("_begin", "_end")))
Hook = Callable[..., Any]


class LambdaCallback(Callback):
    """A callback made of functions.

    Parameters
    ----------
    **hooks : callable, optional
        Functions by the names of `Callback`'s methods, such as ``on_epoch_end``: those for an epoch or a batch
        are called with its number and ``logs``, the others with ``logs`` only.

    Raises
    ------
    TypeError
        If a name is unknown, or a hook is not callable.

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
    """Base class of callbacks that compare a loss or metric in ``logs`` with the best so far."""

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
        self._refuse_by_class("monitor", self.monitor)
        mode = known[self.monitor] if mode == "auto" else mode
        if mode is None:
            raise ValueError(
                f"{label}: give mode='min' or mode='max': which way {self.monitor!r} is better is not known"
            )
        self._sign = 1.0 if mode == "max" else -1.0

    def _refuse_by_class(self, argument: str, name: str) -> None:
        if self.params["metrics"].get(name) == "by class":
            raise ValueError(
                f"{type(self).__name__}: {argument}={name!r} has a number for each class; "
                "F1Score(average='macro') has one"
            )

    def better(self, value: float, than: float | None) -> bool:
        """Whether ``value`` improves on ``than`` by more than ``min_delta``; NaN never does."""
        return value == value if than is None else self._sign * (value - than) > abs(self.min_delta)


class TerminateOnNaN(Callback):
    """Make ``fit`` end and return its history where it would raise ``FloatingPointError`` for a NaN or infinite loss.

    The model keeps the weights it had before the epoch; the error's message is printed.

    Examples
    --------
    >>> from arrayconv.models.callbacks import TerminateOnNaN
    >>> stop = TerminateOnNaN()
    """

    def on_not_finite(self, error: FloatingPointError) -> bool:
        say(error)
        return True


class Hooks:
    """The callbacks and the progress display of one call of ``fit``, ``evaluate`` or ``predict``.

    Parameters
    ----------
    label : str
        The name of that method, for error messages.
    callbacks : iterable of Callback, or Callback
    verbose : {"auto", 0, 1, 2}
        As for `Progress`.
    model : Model
        Passed on to the callbacks, so that the loops do not need it.

    Attributes
    ----------
    by_batch : bool
        Whether a callback has hooks for training batches, so that the model must hold the current weights there.

    Raises
    ------
    TypeError
        If an item is not a `Callback`.
    """

    def __init__(self, label: str, callbacks: Any, verbose: Any, model: Any) -> None:
        alone = [] if callbacks is None else [callbacks]
        several = isinstance(callbacks, Iterable) and not isinstance(callbacks, str)
        self.callbacks = list(callbacks) if several else alone
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
        """Set the ``params`` of the callbacks."""
        for hook in self.callbacks:
            hook.set_params(params)

    def has(self, hook: str) -> bool:
        """Whether a callback overrides the hook of this name, such as ``"on_epoch_end"``."""
        return bool(self._by_hook[hook])

    def call(self, hook: str, *args: Any) -> None:
        """Call the hook of this name on every callback that overrides it."""
        for callback in self._by_hook[hook]:
            getattr(callback, hook)(*args)

    def ends_quietly(self, error: FloatingPointError) -> bool:
        """Whether a callback wants ``fit`` to end without an error when the loss is not finite."""
        return any(callback.on_not_finite(error) for callback in self.callbacks)


def _overrides(callback: Callback, hook: str) -> bool:
    return hook in vars(callback) or getattr(type(callback), hook) is not getattr(Callback, hook)

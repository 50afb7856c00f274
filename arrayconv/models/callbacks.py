"""What happens beside the training: hooks of your own, and how the loops call them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from arrayconv.models.training.progress import Progress

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
        given = [callbacks] if isinstance(callbacks, Callback) else callbacks
        self.callbacks: list[Callback] = list(given) if isinstance(given, Iterable) else []
        if given is not None and not isinstance(given, Iterable):
            self.callbacks = [given]
        for hook in self.callbacks:
            if not isinstance(hook, Callback):
                made = f"; {hook.__name__}() makes one" if isinstance(hook, type) else ""
                raise TypeError(
                    f"{label}: callbacks must be a list of Callback, got {hook!r}{made}"
                )
        for hook in self.callbacks:
            hook.set_model(model)
        self.verbose, self.progress = verbose, Progress(label, verbose)
        self._by_batch = [hook for hook in self.callbacks if works_by_batch(hook)]
        self.by_batch = bool(self._by_batch)

    def set_params(self, params: Mapping[str, Any]) -> None:
        """Tell the callbacks what they are in for."""
        for hook in self.callbacks:
            hook.set_params(params)

    def call(self, hook: str, *args: Any) -> None:
        """Call the hook of this name, ``"on_epoch_end"``, of every callback."""
        which = self._by_batch if "batch" in hook else self.callbacks
        for callback in which:
            getattr(callback, hook)(*args)

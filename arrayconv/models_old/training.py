"""What a model does with data: `fit`, `evaluate`, `predict`, and single batches."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from arrayconv.models_old.arrays import same_place
from arrayconv.models_old.callbacks import Callback, works_by_batch
from arrayconv.models_old.compiling import Compiled
from arrayconv.models_old.feed import inputs_alone, inputs_of, rows_of, split
from arrayconv.models_old.graph import Graph
from arrayconv.models_old.history import History
from arrayconv.models_old.loop import measured, train
from arrayconv.models_old.progress import Progress
from arrayconv.models_old.shapes import checked_count, checked_flag, checked_number
from arrayconv.models_old.step import compiled
from arrayconv.namespace import Array, array_namespace


class Trainer(Compiled):
    """The part of a model that trains it.

    Attributes
    ----------
    history : History or None
        Of the last `fit`, up to an error or an interruption.
    stop_training : bool
        Set it in a callback to stop after the epoch.
    """

    history: History | None = None
    stop_training: bool = False
    _single_output: bool
    _predict: tuple[Graph, dict[Any, Callable[..., Any]]] | None = None

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
    ) -> History:
        """Train.

        The weights, and the optimizer's state, are those of the epochs done: an epoch that ends in an
        error or in Ctrl-C leaves no trace.

        Parameters
        ----------
        x : array, list or dict of arrays, or iterable of batches
            Shape (N, ...). A list or dict holds one array for each input. An iterable gives ``(x, y)`` or
            ``(x, y, sample_weight)``, and a new pass each time it is iterated (`arrayconv.data.Batches`
            does). Arrays choose the library, the device and the floating dtype.
        y : array, or list or dict of arrays by output
            Targets; with an iterable it brings its own. NumPy's are moved to where ``x`` is.
        batch_size : int, optional
            Of arrays, 32 if not given; the last batch may be smaller.
        epochs : int
            The number of the last epoch; ``initial_epoch``, counted from 0, is that of the first.
        verbose : {"auto", 0, 1, 2}
            0 is silent, 2 prints a line per epoch, 1 and "auto" show a bar besides, in a terminal or notebook.
        callbacks : list of Callback, optional
        validation_split : float
            The share of the samples, the last ones, to validate with instead of training on them.
        validation_data : tuple (x, y) or (x, y, sample_weight), or iterable of batches, optional
        shuffle : bool
            Whether arrays get a new order in each epoch; it follows from `set_seed` alone.
        class_weight : dict of int to float, optional
            Factors of the loss by class, 1 for a class not in it.
        sample_weight : array, shape (N,), optional
            Factors of the loss.
        initial_epoch : int
        steps_per_epoch : int, optional
            For an iterable without end: how many batches make an epoch.
        validation_steps : int, optional
            How many batches to validate with, from the first in every epoch; all if not given.
        validation_batch_size : int, optional
            Of arrays to validate with, ``batch_size`` if not given.

        Returns
        -------
        History

        Raises
        ------
        FloatingPointError
            A loss that is NaN or infinite: names the epoch, the batch and the first layer to blame.
        TypeError
            Data that is neither arrays nor iterable; arrays of two libraries.
        ValueError
            No `compile`; shapes that do not fit; labels out of range; no batches.

        Examples
        --------
        >>> import numpy as np
        >>> from arrayconv import models
        >>> x = np.linspace(-1, 1, 64)[:, None]
        >>> model = models.Sequential([models.Dense(1, input_shape=(1,))])
        >>> model.compile(models.SGD(0.5), "mse")
        >>> history = model.fit(x, 3 * x + 1, epochs=20, verbose=0)
        >>> history.history["loss"][-1] < 1e-6
        True
        """
        plan = self._compiled("fit")
        shuffle = checked_flag("fit", "shuffle", shuffle)
        epochs = checked_count("fit", "epochs", epochs, least=0)
        initial_epoch = checked_count("fit", "initial_epoch", initial_epoch, least=0)
        steps_per_epoch = _steps("fit", "steps_per_epoch", steps_per_epoch)
        validation_steps = _steps("fit", "validation_steps", validation_steps)
        progress = Progress("fit", verbose)
        hooks = _callbacks(callbacks)
        if not 0 <= checked_number("fit", "validation_split", validation_split) < 1:
            raise ValueError(f"fit: validation_split must be in [0, 1), got {validation_split!r}")
        if validation_split and validation_data is None:
            if inputs_of(x)[1] is None:
                raise ValueError(
                    "fit: validation_split needs arrays, and x is an iterable of batches; give validation_data instead"
                )
            (x, vx), (y, vy), (sample_weight, vw) = (
                split("fit", part, validation_split) for part in (x, y, sample_weight)
            )
            validation_data = (vx, vy, vw)
        feed = self._feed(
            "fit",
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            shuffle=shuffle,
            steps=steps_per_epoch,
            class_weight=class_weight,
        )
        size = batch_size if validation_batch_size is None else validation_batch_size
        validation = self._validation(validation_data, size)
        self._look("fit", feed, moving=True)
        if not self.built:
            # the weights before the first epoch are those that it goes back to
            batch = feed.peek()
            if batch is not None:
                self.prepare(batch.x)
        if validation is not None:
            self._look("fit: validation_data", validation)
        names = dict(plan.names)
        if validation is not None:
            names |= {f"val_{name}": best for name, best in plan.names.items()}
        self.history, self.stop_training = History(), False
        for hook in hooks:
            hook.model = self
            hook.params = {
                "epochs": epochs,
                "steps": len(feed) or None,
                "verbose": verbose,
                "metrics": names,
            }
            hook.on_train_begin({})
        logs: dict[str, float] = {}
        by_batch = [hook for hook in hooks if works_by_batch(hook)]
        try:
            for epoch in range(initial_epoch, epochs):
                with self._all_or_nothing(epoch):
                    for hook in hooks:
                        hook.on_epoch_begin(epoch, {})
                    progress.begin(f"Epoch {epoch + 1}/{epochs}", len(feed) or None)
                    logs, like = train(
                        self, feed, epoch=epoch, by_batch=by_batch, advance=progress.step
                    )
                    if validation is not None:
                        held = itertools.islice(validation, validation_steps)
                        found = measured(self, held, "fit: validation_data", like=like)
                        logs |= {f"val_{name}": value for name, value in found.items()}
                    progress.end(logs)
                    try:
                        for hook in hooks:
                            hook.on_epoch_end(epoch, logs)
                    finally:
                        # what a callback adds to the numbers is kept too
                        self.history.add(epoch, logs)
                if self.stop_training:
                    break
        finally:
            progress.close()
            for hook in hooks:
                hook.on_train_end(logs)
        return self.history

    @contextmanager
    def _all_or_nothing(self, epoch: int) -> Iterator[None]:
        """Go back to the weights and the optimizer's state of before where an epoch does not come into the history."""
        before = (self.weights, self._trained) if self.built else None
        try:
            yield
        except BaseException:
            if before is not None and self.history is not None and epoch not in self.history.epoch:
                self.weights, self._trained = before
            raise

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        return_dict: bool = False,
        steps: int | None = None,
    ) -> Any:
        """The loss and the metrics over data.

        Parameters
        ----------
        x, y, batch_size, verbose, sample_weight
            As in `fit`.
        return_dict : bool
        steps : int, optional
            How many batches to look at; all if not given.

        Returns
        -------
        float, or list of float
            The loss, followed by the metrics if there are some; a dict by name with ``return_dict``.

        Raises
        ------
        TypeError, ValueError
            As in `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from arrayconv import models
        >>> model = models.Sequential([models.Dense(1, kernel_initializer="ones", input_shape=(2,))])
        >>> model.compile("sgd", "mse", metrics=["mae"])
        >>> model.evaluate(np.ones((4, 2)), np.zeros(4), verbose=0)
        [4.0, 2.0]
        """
        self._compiled("evaluate")
        progress = Progress("evaluate", verbose)
        steps = _steps("evaluate", "steps", steps)
        feed = self._feed("evaluate", x, y, sample_weight, batch_size=batch_size, steps=steps)
        self._look("evaluate", feed)
        progress.begin("evaluate", len(feed) or None)
        try:
            logs = measured(self, feed, "evaluate", advance=progress.step)
            progress.end(logs)
        finally:
            progress.close()
        return _results(logs, return_dict)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = 0,
        steps: int | None = None,
    ) -> Any:
        """The outputs, batch by batch, in the library of ``x``.

        Parameters
        ----------
        x : array, list or dict of arrays, or iterable of batches
            Batches may be ``(x, y)``: ``y`` is not looked at.
        batch_size : int, optional
            Of arrays, 32 if not given.
        verbose : {"auto", 0, 1, 2}
        steps : int, optional
            How many batches to take; all if not given.

        Returns
        -------
        array, or list of arrays for a model with a list of outputs

        Raises
        ------
        TypeError, ValueError
            Data that does not fit the model, or no batches.

        Examples
        --------
        >>> import numpy as np
        >>> from arrayconv import models
        >>> model = models.Sequential([models.Dense(1, kernel_initializer="ones", input_shape=(2,))])
        >>> model.predict(np.asarray([[1.0, 2.0], [3.0, 4.0]]))
        array([[3.],
               [7.]])
        """
        steps = _steps("predict", "steps", steps)
        progress = Progress("predict", verbose)
        progress.begin("predict", None)
        parts: list[tuple[Array, ...]] = []
        xp: Any = None
        like: Any = None
        count = len(self.graph.inputs) if self.built else 1
        for batch in itertools.islice(inputs_alone("predict", x, count, batch_size), steps):
            inputs = self.as_inputs(batch)
            xp = array_namespace("predict", x=inputs[0])
            if like is None or not same_place(inputs[0], like):
                like, weights = inputs[0], self.weights_beside(inputs[0])
            parts.append(self._predictor(xp)(weights, inputs))
            progress.step({})
        if not parts:
            raise ValueError("predict: x has no batches")
        progress.end({})
        whole = [xp.concat(part, axis=0) for part in zip(*parts, strict=True)]
        return whole[0] if self._single_output else whole

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch, an array, or a list or dict of them, as `predict` returns them."""
        return self.predict(x, batch_size=rows_of("predict_on_batch", x))

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step of training on one batch.

        Parameters
        ----------
        x, y, sample_weight, class_weight
            Arrays, as in `fit`.
        return_dict : bool

        Returns
        -------
        float, list of float or dict
            The loss and the metrics of this batch before the step, as `evaluate` returns them.

        Raises
        ------
        FloatingPointError, TypeError, ValueError
            As in `fit`; the model is then unchanged.
        """
        self._compiled("train_on_batch")
        feed = self._one("train_on_batch", x, y, sample_weight, class_weight)
        return _results(train(self, feed, label="train_on_batch")[0], return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss and the metrics of one batch, as `evaluate` returns them.

        Parameters
        ----------
        x, y, sample_weight
            Arrays, as in `fit`.
        return_dict : bool

        Raises
        ------
        TypeError, ValueError
            As in `fit`.
        """
        self._compiled("test_on_batch")
        feed = self._one("test_on_batch", x, y, sample_weight, None)
        return _results(measured(self, feed, "test_on_batch"), return_dict)

    def _predictor(self, xp: Any) -> Callable[..., tuple[Array, ...]]:
        if self._predict is None or self._predict[0] is not self.graph:
            self._predict = (self.graph, {})
        graph, made = self._predict
        if xp not in made:
            made[xp] = compiled(xp, lambda weights, x: graph.forward(weights, x)[0])
        return made[xp]


def _steps(op: str, name: str, value: Any) -> int | None:
    return None if value is None else checked_count(op, name, value)


def _callbacks(given: Any) -> list[Callback]:
    hooks = [] if given is None else list(given) if isinstance(given, Iterable) else [given]
    for hook in hooks:
        if not isinstance(hook, Callback):
            made = f"; {hook.__name__}() makes one" if isinstance(hook, type) else ""
            raise TypeError(f"fit: callbacks must be a list of Callback, got {hook!r}{made}")
    return hooks


def _results(logs: Mapping[str, float], return_dict: bool) -> Any:
    if return_dict:
        return dict(logs)
    values = list(logs.values())
    return values[0] if len(values) == 1 else values

"""A network and how it is trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arrayconv.models import checks
from arrayconv.models.optimizers.optimizer import Slots
from arrayconv.models.predictor import Predictor
from arrayconv.models.training import loop
from arrayconv.models.training.data import Batch, Source, first_row, rows_of
from arrayconv.models.training.given import results, split_off, validates, validation_for
from arrayconv.models.training.history import History
from arrayconv.models.training.hooks import Hooks
from arrayconv.models.training.trainer import Trainer
from arrayconv.namespace import Array

# Keras's arguments that choose how its backends run.
_NO_NEED = dict.fromkeys(
    ("auto_scale_loss", "jit_compile", "run_eagerly", "steps_per_execution"),
    "leave it out: JAX's steps are compiled, the others' run as they are",
)


class Model(Predictor):
    """A network with any number of inputs and outputs.

    The library, device and floating dtype are those of the data. `fit` moves the weights there, and so do the
    first data of all; else `predict`, `evaluate` and calls work on copies of weights that are elsewhere or of
    another dtype, and `to` moves them for good. A model called on nodes becomes part of a larger one, whose
    weights it shares.

    Parameters
    ----------
    inputs, outputs : Node, or sequence or dict of Node
        What ``Input(...)`` and the layers called on it gave. The keys of a dict of outputs are those of what
        the model returns, and of losses and targets; those of inputs are the inputs' names.
    name : str, optional

    Attributes
    ----------
    history : History or None
        Of the last `fit`, up to an error or an interruption.
    stop_training : bool
        Set it in a callback to stop after the epoch.

    Raises
    ------
    TypeError
        Inputs or outputs that are not nodes.
    ValueError
        A graph whose outputs depend on an input that is not listed; two layers of one name.

    Notes
    -----
    Layers without a name are named by their class: ``conv``, ``conv_1``, ... Weights and layers come in
    Keras's order.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> inputs = models.Input(shape=(8, 8, 1))
    >>> hidden = models.Conv(4, 3, activation="relu")(inputs)
    >>> outputs = models.Dense(2, activation="softmax")(models.Flatten()(hidden))
    >>> model = models.Model(inputs, outputs)
    >>> model(np.ones((5, 8, 8, 1))).shape
    (5, 2)
    >>> model.count_params()
    330
    """

    history: History | None = None
    stop_training: bool = False
    # what a file holds of a training that only `compile` can go on with
    _left: tuple[Mapping[str, Any], Slots] | None = None

    @property
    def optimizer(self) -> Any:
        """What `compile` was given, or ``None``; its ``learning_rate`` may be assigned between two calls of `fit`."""
        return None if self._trainer is None else self._trainer.optimizer

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        **unknown: Any,
    ) -> None:
        """Choose how to train. A second call begins with a fresh optimizer and keeps the weights.

        The first call after `load` goes on with the state in the file, where the file could not say all of this.

        Parameters
        ----------
        optimizer : str or Optimizer
            ``"sgd"``, ``"adam"``, ... as in `optimizers`, or one made with arguments.
        loss : str, Loss or pair (f, f_vjp), or a list or dict of them by output
            ``"mse"``, ``"sparse_categorical_crossentropy"``, ... as in `losses`, or one made with arguments.
        loss_weights : list or dict of float, optional
            Of the outputs.
        metrics : list of str, Metric or callable, or a list or dict of such lists by output
            ``"accuracy"`` fits itself to the output; a function of ``(y_true, y_pred)`` is averaged.
        weighted_metrics : the same, optional
            Metrics in which a sample counts as much as its weight in `fit` says.

        Raises
        ------
        TypeError
            A loss that is a plain function; an argument of Keras's that is not here.
        ValueError
            No loss; an unknown name; lists or dicts that do not fit the outputs.
        """
        checks.known("compile", unknown, _NO_NEED, type(self).compile)
        if loss is None:
            raise ValueError("compile: loss is missing; for example loss='mean_squared_error'")
        # a model without a graph yet has one output
        names = self.graph.output_names if self.built else ("output",)
        self._trainer = Trainer(
            optimizer, loss, metrics, loss_weights, weighted_metrics, outputs=names
        )
        if self._left is not None:
            self._trainer.go_on(*self._left)
            self._left = None

    def _compiled(self, op: str) -> Trainer:
        if self._trainer is None:
            raise ValueError(
                f"{op}: {self.label} is not compiled yet; call compile(optimizer='adam', loss=..., "
                "metrics=['accuracy']) first"
            )
        return self._trainer

    def _source(self, label: str, *given: Any, **how: Any) -> Source:
        """Data for a method, looked at once if they are all there, before anything is trained."""
        data = self._compiled(label).source(label, *given, **how)
        self._check(label, data)
        return data

    def _check(self, label: str, data: Source) -> None:
        if data.arrays is not None:
            dtype, objective = self._first(data.arrays).dtype, self._compiled(label).objective
            objective.check(label, self.graph.output_shapes, dtype, data.arrays.y)

    def _first(self, batch: Batch) -> Array:
        """The first sample as an input, once the model is built for such a batch."""
        self._build_for(batch.x)
        return self.graph.as_inputs(first_row(batch.x))[0]

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
        validation_freq: Any = 1,
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
        class_weight, sample_weight : dict of int to float, array of shape (N,), optional
            Factors of the loss by class, 1 for a class not in it, and by sample.
        initial_epoch : int
        steps_per_epoch : int, optional
            For an iterable without end: how many batches make an epoch.
        validation_steps, validation_batch_size : int, optional
            How many batches to validate with, from the first in every epoch, all if not given; and of which
            size, ``batch_size`` if not given.
        validation_freq : int or list of int
            Validate every so many epochs, or those of these numbers, counted from 1.

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
        trainer = self._compiled("fit")
        epochs = checks.count("fit", "epochs", epochs, least=0)
        first = checks.count("fit", "initial_epoch", initial_epoch, least=0)
        hooks = Hooks("fit", callbacks, verbose, self)
        x, y, sample_weight, validation_data = split_off(
            validation_split, validation_data, x, y, sample_weight
        )
        data = self._source(
            "fit",
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            shuffle=checks.flag("fit", "shuffle", shuffle),
            steps=checks.steps("fit", "steps_per_epoch", steps_per_epoch),
            class_weight=class_weight,
        )
        size = batch_size if validation_batch_size is None else validation_batch_size
        validation = validation_for(trainer, validation_data, size)
        if (batch := data.arrays or data.first(trainer.step)) is not None:
            # the weights before the first epoch, which an error goes back to, are where the data are
            first_row = self._first(batch)
            self.graph.to(first_row)
        if validation is not None:
            self._check("fit: validation_data", validation)
        self.history, self.stop_training = History(), False
        loop.fit(
            self.graph,
            trainer,
            data,
            validation,
            hooks,
            self.history,
            first=first,
            last=epochs,
            validation_steps=checks.steps("fit", "validation_steps", validation_steps),
            validates=validates(validation_freq),
            stop=lambda: self.stop_training,
        )
        return self.history

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        return_dict: bool = False,
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """The loss and the metrics over data.

        Parameters
        ----------
        x, y, batch_size, verbose, sample_weight, callbacks
            As in `fit`.
        return_dict : bool
        steps : int, optional
            How many batches to look at; all if not given.

        Returns
        -------
        float, or list of float
            The loss, followed by the metrics if there are some; a dict by name with ``return_dict``. Errors
            are those of `fit`.

        Examples
        --------
        >>> import numpy as np
        >>> from arrayconv import models
        >>> model = models.Sequential([models.Dense(1, kernel_initializer="ones", input_shape=(2,))])
        >>> model.compile("sgd", "mse", metrics=["mae"])
        >>> model.evaluate(np.ones((4, 2)), np.zeros(4), verbose=0)
        [4.0, 2.0]
        """
        trainer = self._compiled("evaluate")
        hooks = Hooks("evaluate", callbacks, verbose, self)
        steps = checks.steps("evaluate", "steps", steps)
        data = self._source("evaluate", x, y, sample_weight, batch_size=batch_size, steps=steps)
        with hooks.progress.of("evaluate", len(data) or None):
            logs = loop.evaluate(self.graph, trainer, data.epoch(), hooks)
            hooks.progress.end(logs)
        return results(logs, return_dict)

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One step of training on one batch of arrays; the loss and the metrics before it, as `evaluate` returns them.

        After an error, as those of `fit`, the model is unchanged.
        """
        label = "train_on_batch"
        size, trainer = rows_of(label, x), self._compiled(label)
        how = {"batch_size": size, "class_weight": class_weight}
        data = self._source(label, x, y, sample_weight, **how)
        hooks = Hooks(label, None, 0, self)
        logs, _ = loop.train_epoch(self.graph, trainer, data, hooks, label)
        return results(logs, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """The loss and the metrics of one batch, as `evaluate` returns them.

        Parameters
        ----------
        x, y, sample_weight, return_dict
            As in `evaluate`; arrays.
        """
        size = rows_of("test_on_batch", x)
        return self.evaluate(x, y, size, 0, sample_weight, return_dict)

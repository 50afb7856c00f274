"""Models: a graph of layers with ``compile``, ``fit``, ``evaluate`` and ``predict``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arrayconv.arguments import suggesting
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

# Arguments of Keras that choose how its backends run.
_NO_NEED = dict.fromkeys(
    ("auto_scale_loss", "jit_compile", "run_eagerly", "steps_per_execution"),
    "leave it out: steps are compiled on JAX, and run eagerly on other libraries",
)


class Model(Predictor):
    """A model with any number of inputs and outputs, given by the graph between them.

    A model computes in the library, on the device and in the floating dtype of its data. `fit`, `to` and the
    first data that a new model gets move the weights there. After that, `predict`, `evaluate` and calls on
    other data work on a copy of the weights. A model called on nodes becomes part of a larger model and
    shares its weights with it.

    Parameters
    ----------
    inputs, outputs : Node, or sequence or dict of Node
        Made by ``Input(...)`` and by calling layers on nodes. If ``outputs`` is a dict, the model returns a dict
        with its keys, and takes losses and targets by them. Inputs are known by the names of their `Input`.
    name : str, optional

    Attributes
    ----------
    history : History or None
        That of the last `fit`; after an error or an interruption, the epochs completed before it.
    stop_training : bool
        Set it in a callback to stop after the current epoch.

    Raises
    ------
    TypeError
        If an input or output is not a node.
    ValueError
        If the outputs depend on an input that is not listed, or two layers have the same name.

    Notes
    -----
    Layers without a name are named after their class: ``conv``, ``conv_1``, ... Layers and weights are in
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
    # the training state in a file whose loss or metrics the file cannot hold, until `compile` gives them
    _left: tuple[Mapping[str, Any], Slots] | None = None

    @property
    def optimizer(self) -> Any:
        """The optimizer, or ``None`` before `compile`; its ``learning_rate`` may be changed between calls of `fit`."""
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
        """Set the optimizer, loss and metrics. A second call resets the optimizer's state and keeps the weights.

        Where `load` could not restore a loss or metric of your own, the first call continues from the saved state.

        Parameters
        ----------
        optimizer : str or Optimizer
            A name from `optimizers`, such as ``"adam"``, or an object such as ``Adam(1e-3)``.
        loss : str, Loss or pair (f, f_vjp), or a list or dict of them by output
            A name from `losses`, such as ``"mse"``, an object, or a function of ``(y_true, y_pred)`` and its vjp.
        loss_weights : list or dict of float, optional
            The factor of each output's loss in the total.
        metrics : list of str, Metric or callable, or a list or dict of such lists by output
            ``"accuracy"`` adapts to the output; the values of a function of ``(y_true, y_pred)`` are averaged.
        weighted_metrics : the same, optional
            Metrics that weigh each sample by ``sample_weight`` and ``class_weight``.

        Raises
        ------
        TypeError
            If a loss is a function without its vjp, or an argument of Keras is not supported here.
        ValueError
            If there is no loss, a name is unknown, or a list or dict does not match the outputs.
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
        """The data for a method; arrays are checked at once, before anything is trained."""
        data = self._compiled(label).source(label, *given, **how)
        self._check(label, data)
        return data

    def _check(self, label: str, data: Source) -> None:
        if data.arrays is not None:
            dtype, objective = self._first(data.arrays).dtype, self._compiled(label).objective
            objective.check(label, self.graph.output_shapes, dtype, data.arrays.y)

    def _first(self, batch: Batch) -> Array:
        """Build the model for a batch if needed, and return the batch's first sample as an input."""
        self._build_for(batch.x)
        return self.graph.as_inputs(first_row(batch.x))[0]

    @suggesting
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
        """Train the model.

        If an epoch ends in an error or is interrupted by Ctrl-C, weights and optimizer return to their state
        before that epoch.

        Parameters
        ----------
        x : array, list or dict of arrays, or iterable of batches
            Arrays of shape (N, ...), whose library, device and floating dtype training uses; one for each input.
            An iterable gives ``(x, y)`` or ``(x, y, sample_weight)``, and must start anew each time it is
            iterated, as `arrayconv.data.Batches` does.
        y : array, or list or dict of arrays by output
            Targets; leave it out with an iterable. NumPy arrays are moved to the library and device of ``x``.
        batch_size : int, optional
            For arrays, 32 by default; the last batch may be smaller.
        epochs : int
            Train up to this epoch; their number is ``epochs - initial_epoch``.
        verbose : {"auto", 0, 1, 2}
            0 is silent, 2 prints a line per epoch; 1 and "auto" also show a bar in a terminal or notebook.
        callbacks : list of Callback, optional
        validation_split : float
            The fraction of the samples, taken from the end, that is used for validation and not for training.
        validation_data : tuple (x, y) or (x, y, sample_weight), or iterable of batches, optional
        shuffle : bool
            Whether to shuffle arrays before each epoch; the order depends only on `set_seed` and the steps done.
        class_weight, sample_weight : dict of int to float, array of shape (N,), optional
            Factors of the loss, by class (1 for a class not in the dict) and by sample.
        initial_epoch : int
        steps_per_epoch : int, optional
            The number of batches in an epoch, for an iterable that does not end.
        validation_steps, validation_batch_size : int, optional
            How many batches to validate on, the first ones, all by default; and their size, by default
            ``batch_size``.
        validation_freq : int or list of int
            Validate after every so many epochs, or after the listed ones, counted from 1.

        Returns
        -------
        History

        Raises
        ------
        FloatingPointError
            If the loss is NaN or infinite; it names the epoch, the batch and the first layer at fault.
        TypeError
            If the data are neither arrays nor iterable, or arrays of two libraries.
        ValueError
            If the model is not compiled, shapes do not fit, labels are out of range, or there are no batches.

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
            # moved before the first epoch, so that an error returns to weights that are where the data are
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

    @suggesting
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
        """Compute the loss and the metrics over data.

        Parameters
        ----------
        x, y, batch_size, verbose, sample_weight, callbacks
            As in `fit`.
        return_dict : bool
        steps : int, optional
            How many batches to use; all by default.

        Returns
        -------
        float, list of float, or dict of str to float
            The loss alone, or a list of the loss and the metrics; with ``return_dict`` a dict by name. Raises
            the errors of `fit`.

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
        """Do one training step on a batch of arrays; return its loss and metrics as `evaluate` does.

        They are computed before the weights change. Raises the errors of `fit`; the model is then unchanged.
        """
        label = "train_on_batch"
        size, trainer = rows_of(label, x), self._compiled(label)
        data = self._source(label, x, y, sample_weight, batch_size=size, class_weight=class_weight)
        logs, _ = loop.train_epoch(self.graph, trainer, data, Hooks(label, None, 0, self), label)
        return results(logs, return_dict)

    def test_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False
    ) -> Any:
        """Compute the loss and the metrics of one batch, as `evaluate` returns them.

        Parameters
        ----------
        x, y, sample_weight, return_dict
            As in `evaluate`; arrays only.
        """
        size = rows_of("test_on_batch", x)
        return self.evaluate(x, y, size, 0, sample_weight, return_dict)

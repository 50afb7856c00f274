"""Calling a model on arrays or nodes, and predicting batch by batch."""

from __future__ import annotations

import itertools
from typing import Any

from arrayconv.models import checks
from arrayconv.models.arrays import drawn_beside, moved
from arrayconv.models.layers.base import Node
from arrayconv.models.network import Network
from arrayconv.models.training import loop
from arrayconv.models.training.data import inputs_alone, inputs_of, rows_of
from arrayconv.models.training.hooks import Hooks
from arrayconv.namespace import Array, array_namespace


@checks.part_of("Model")
class Predictor(Network):
    """The part of `Model` that computes outputs."""

    def __call__(self, x: Any, training: bool = False) -> Any:
        """Compute the outputs for arrays; called on nodes, make this model's layers part of their graph.

        Parameters
        ----------
        x : array, Node, or list of them, or dict of arrays
            One for each input.
        training : bool
            Whether batch normalization uses batch statistics and dropout is active.

        Returns
        -------
        array or Node, or a list or dict of them
            A list if there are several outputs, a dict if the model's ``outputs`` were given as a dict.

        Raises
        ------
        TypeError, ValueError
            If the inputs do not fit the model.
        """
        given = tuple(x) if isinstance(x, list | tuple) else (x,)
        if given and all(isinstance(item, Node) for item in given):
            outputs = self._join(given)
        else:
            self._build_for(x)
            inputs = self.graph.as_inputs(x)
            outputs = self._compute(inputs, training)
        return self._arranged(outputs)

    def _compute(self, inputs: tuple[Array, ...], training: bool) -> tuple[Array, ...]:
        graph, program = self.graph, self.graph.program
        noise = None
        if training:
            xp = array_namespace(self.label, x=inputs[0])
            drawn = program.noise(inputs[0].shape[0])
            noise = {at: drawn_beside(xp, values, inputs[0]) for at, values in drawn.items()}
        outputs, _, updates = program.forward(
            graph.beside(inputs[0]), inputs, training=training, noise=noise, record=False
        )
        for layer, name in graph.names.items():
            if new := updates.get(name):
                own = layer.weights
                layer.weights = {**own, **{key: moved(w, own[key]) for key, w in new.items()}}
        return outputs

    def _build_for(self, x: Any) -> None:
        if not self.built:
            arrays = inputs_of(x)[1] or [x]
            array_namespace(self.label, **{f"input {i}": a for i, a in enumerate(arrays)})
            self.build(tuple(tuple(a.shape[1:]) for a in arrays))

    def _join(self, given: tuple[Node, ...]) -> tuple[Node, ...]:
        if not self.built:
            self.build(tuple(node.sample for node in given))
        graph = self.graph
        if len(given) != len(graph.inputs):
            raise ValueError(f"{self.label}: takes {len(graph.inputs)} inputs, got {len(given)}")
        new = dict(zip(graph.inputs, given, strict=True))
        for node in graph.nodes:
            if node not in new:
                parents = [new[parent] for parent in node.inputs]
                new[node] = node.layer(parents if len(parents) > 1 else parents[0])
        return tuple(new[node] for node in graph.outputs)

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: Any = 0,
        steps: int | None = None,
        callbacks: Any = None,
    ) -> Any:
        """Compute the outputs batch by batch, in the library of ``x``.

        Parameters
        ----------
        x : array, list or dict of arrays, or iterable of batches
            Batches may also be ``(x, y)``; ``y`` is ignored.
        batch_size : int, optional
            For arrays, 32 by default.
        verbose : {"auto", 0, 1, 2}
            As in `fit`.
        steps : int, optional
            How many batches to use; all by default.
        callbacks : list of Callback, optional

        Returns
        -------
        array, or a list or dict of arrays for several outputs
            Of all batches, shape (N, ...).

        Raises
        ------
        TypeError, ValueError
            If the data do not fit the model, or there are no batches.

        Examples
        --------
        >>> import numpy as np
        >>> from arrayconv import models
        >>> model = models.Sequential([models.Dense(1, kernel_initializer="ones", input_shape=(2,))])
        >>> model.predict(np.asarray([[1.0, 2.0], [3.0, 4.0]]))
        array([[3.],
               [7.]])
        """
        steps = checks.steps("predict", "steps", steps)
        hooks = Hooks("predict", callbacks, verbose, self)
        count = len(self.graph.inputs) if self.built else 1
        batches = inputs_alone("predict", x, count, batch_size)
        if not self.built and (start := next(batches, None)) is not None:
            self._build_for(start.x)
            batches = itertools.chain([start], batches)
        with hooks.progress.of("predict", None):
            whole = loop.predict(self.graph, itertools.islice(batches, steps), hooks)
            hooks.progress.end({})
        return self._arranged(whole)

    def predict_on_batch(self, x: Any) -> Any:
        """Compute the outputs for one batch, an array or a list or dict of arrays, as `predict` returns them."""
        return self.predict(x, batch_size=rows_of("predict_on_batch", x))

"""What `compile` chooses, and how data is joined to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from arrayconv.models_old.feed import Feed, is_rows, rows_of
from arrayconv.models_old.graph import Graph
from arrayconv.models_old.initializers import current_seed
from arrayconv.models_old.loop import Trained
from arrayconv.models_old.optimizer import Optimizer
from arrayconv.models_old.optimizers import optimizer as as_optimizer
from arrayconv.models_old.plan import Plan
from arrayconv.models_old.step import Steps


class Compiled:
    """The part of a model that knows how it is trained, and takes the data for it.

    Attributes
    ----------
    optimizer : Optimizer or None
        What `compile` was given; its ``learning_rate`` may be assigned between two calls of `fit`.
    """

    optimizer: Optimizer | None = None
    _plan: Plan | None = None
    _steps: Steps | None = None
    _trained = Trained()

    if TYPE_CHECKING:
        # what a model gives
        weights: Any
        to: Any
        masks: Any
        prepare: Any
        as_inputs: Any
        weights_beside: Any

        @property
        def graph(self) -> Graph: ...

        @property
        def label(self) -> str: ...

        @property
        def built(self) -> bool: ...

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
    ) -> None:
        """Choose how to train. A second call begins with a fresh optimizer and keeps the weights.

        Parameters
        ----------
        optimizer : str or Optimizer
            ``"sgd"``, ``"rmsprop"``, ``"adam"``, ``"adamw"``, or one made with arguments.
        loss : str or Loss, or a list or dict of them by output
            ``"mse"``, ``"mae"``, ``"binary_crossentropy"``, ``"categorical_crossentropy"``,
            ``"sparse_categorical_crossentropy"``, or one made with arguments.
        loss_weights : list or dict of float, optional
            Of the outputs.
        metrics : list of str, Metric or callable, or a list or dict of such lists by output
            ``"accuracy"`` fits itself to the output; a function of ``(y_true, y_pred)`` is averaged.

        Raises
        ------
        TypeError
            A loss that is a plain function.
        ValueError
            No loss; an unknown name; lists or dicts that do not fit the outputs.
        """
        if loss is None:
            raise ValueError(
                "compile: loss is missing; for example loss='sparse_categorical_crossentropy'"
            )
        chosen = as_optimizer(optimizer)
        plan = Plan(chosen, self._output_names(), loss, metrics, loss_weights)
        self.optimizer, self._plan, self._steps = chosen, plan, None
        self._trained = Trained()

    def __getstate__(self) -> dict[str, Any]:
        # compiled functions can be neither copied nor pickled, and are made again when they are asked for
        return {k: v for k, v in vars(self).items() if k not in ("_steps", "_predict")}

    def _compiled(self, op: str) -> Plan:
        if self._plan is None:
            raise ValueError(
                f"{op}: {self.label} is not compiled yet; call compile(optimizer='adam', loss=..., "
                "metrics=['accuracy']) first"
            )
        return self._plan

    def _output_names(self) -> tuple[str, ...]:
        # a model without a graph yet has one output
        return (
            tuple(self.graph.keys[node] for node in self.graph.outputs)
            if self.built
            else ("output",)
        )

    def _current_steps(self) -> Steps:
        """The compiled steps, made again where the graph has changed."""
        if self._steps is None or self._steps.graph is not self.graph:
            self._steps = Steps(self._compiled("fit"), self.graph)
        return self._steps

    def _feed(self, label: str, x: Any, y: Any, sample_weight: Any, **how: Any) -> Feed:
        names = [output.name for output in self._compiled(label).outputs]
        seeds = np.random.SeedSequence((current_seed(), 2, self._trained.step))
        seed = int(seeds.generate_state(1)[0])
        return Feed(label, names, x, y, sample_weight, seed=seed, **how)

    def _one(self, label: str, x: Any, y: Any, sample_weight: Any, class_weight: Any) -> Feed:
        size = rows_of(label, x)
        return self._feed(label, x, y, sample_weight, batch_size=size, class_weight=class_weight)

    def _validation(self, data: Any, batch_size: int | None) -> Feed | None:
        if data is None:
            return None
        label = "fit: validation_data"
        pair = isinstance(data, tuple) or (isinstance(data, list) and all(map(is_rows, data)))
        if not pair:
            return self._feed(label, data, None, None)
        if len(data) not in (2, 3):
            raise ValueError(
                f"{label} must be (x, y) or (x, y, sample_weight), or an iterable of batches; got {len(data)} parts"
            )
        return self._feed(label, *(*data, None)[:3], batch_size=batch_size)

    def _look(self, label: str, feed: Feed, moving: bool = False) -> None:
        """Check data that is all there before anything is trained."""
        if feed.arrays is None:
            return
        x = feed.arrays.x
        parts = x if isinstance(x, Mapping) else dict(enumerate(x))
        first = {name: part[:1, ...] for name, part in parts.items()}
        prepared = self.prepare if moving else self.as_inputs
        inputs = prepared(first if isinstance(x, Mapping) else tuple(first.values()))
        shapes = [node.shape for node in self.graph.outputs]
        self._compiled(label).check(label, shapes, inputs[0].dtype, feed.arrays.y)

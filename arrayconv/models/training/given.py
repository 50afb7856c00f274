"""What a user gave to a method of a model, as a source of batches for its trainer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from arrayconv.models.graph import Graph
from arrayconv.models.training.data import Source, is_rows
from arrayconv.models.training.trainer import Trainer


def source_for(
    trainer: Trainer, label: str, x: Any, y: Any, sample_weight: Any, **how: Any
) -> Source:
    """The data with their targets in the order of the trainer's outputs."""
    names = [output.name for output in trainer.objective.outputs]
    return Source(label, names, x, y, sample_weight, **how)


def validation_for(trainer: Trainer, data: Any, batch_size: int | None) -> Source | None:
    """``validation_data``: ``(x, y)``, ``(x, y, sample_weight)``, an iterable of batches or ``None``."""
    if data is None:
        return None
    label = "fit: validation_data"
    pair = isinstance(data, tuple) or (isinstance(data, list) and all(map(is_rows, data)))
    if not pair:
        return source_for(trainer, label, data, None, None)
    if len(data) not in (2, 3):
        raise ValueError(
            f"{label} must be (x, y) or (x, y, sample_weight), or an iterable of batches; got {len(data)} parts"
        )
    x, y, sample_weight = (*data, None)[:3]
    return source_for(trainer, label, x, y, sample_weight, batch_size=batch_size)


def check_targets(label: str, graph: Graph, trainer: Trainer, data: Source) -> None:
    """Look at inputs and targets that are all there, once, before anything is trained."""
    if data.arrays is not None:
        dtype = graph.as_inputs(rows(data.arrays.x, 1))[0].dtype
        shapes = [node.shape for node in graph.outputs]
        trainer.objective.check(label, shapes, dtype, data.arrays.y)


def rows(x: Any, count: int) -> Any:
    """The first samples of each input, as a tuple or a dict."""
    if isinstance(x, Mapping):
        return {name: part[:count, ...] for name, part in x.items()}
    return tuple(part[:count, ...] for part in (x if isinstance(x, list | tuple) else (x,)))


def results(logs: Mapping[str, float], return_dict: bool) -> Any:
    """The numbers as Keras returns them: one alone, a list, or a dict by name."""
    if return_dict:
        return dict(logs)
    values = list(logs.values())
    return values[0] if len(values) == 1 else values

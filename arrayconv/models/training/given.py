"""Interpreting the arguments of ``fit`` and ``evaluate`` that concern validation, and shaping their results."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from arrayconv.data.sharding import sharding_of, taken
from arrayconv.models import checks
from arrayconv.models.training.data import Source, as_array, described, each, inputs_of, is_rows
from arrayconv.models.training.trainer import Trainer


def validates(frequency: Any) -> Callable[[int], bool]:
    """A function that says whether to validate an epoch, counted from 0, according to ``validation_freq``."""
    if isinstance(frequency, Collection) and not isinstance(frequency, str):
        epochs = {checks.count("fit", "validation_freq", epoch) for epoch in frequency}
        return lambda epoch: epoch + 1 in epochs
    every = checks.count("fit", "validation_freq", frequency)
    return lambda epoch: (epoch + 1) % every == 0


def split_off(share: Any, validation: Any, x: Any, y: Any, weight: Any) -> tuple[Any, ...]:
    """``x, y, sample_weight, validation_data``; without the last, the fraction ``share`` is split off the end."""
    checks.number("fit", "validation_split", share, least=0, below=1)
    if not share or validation is not None:
        return x, y, weight, validation
    if inputs_of(x)[1] is None:
        raise ValueError(
            "fit: validation_split needs arrays, and x is an iterable of batches; give validation_data instead"
        )
    (x, vx), (y, vy), (weight, vw) = (_split(part, share) for part in (x, y, weight))
    return x, y, weight, (vx, vy, vw)


def _split(values: Any, share: float) -> tuple[Any, Any]:
    """The first and the last samples of each array; the last are the fraction ``share``."""
    if values is None:
        return None, None
    several = isinstance(values, list | tuple) and values and all(map(is_rows, values))
    if isinstance(values, Mapping) or several:
        first = each(lambda part: _split(part, share)[0], values)
        return first, each(lambda part: _split(part, share)[1], values)
    if not is_rows(values) and not isinstance(values, list | tuple):
        raise ValueError(
            f"fit: validation_split needs arrays, got {described(values)}; give validation_data instead"
        )
    values = as_array(values)
    rows = int(values.shape[0])
    at = int(rows * (1 - share))
    if not 0 < at < rows:
        raise ValueError(
            f"fit: validation_split={share} leaves {at} of {rows} samples to train on and {rows - at} to "
            "validate with; both need some"
        )
    if sharding_of(values) is not None:
        return taken(values, slice(at)), taken(values, slice(at, rows))
    return values[:at], values[at:]


def validation_for(trainer: Trainer, data: Any, batch_size: int | None) -> Source | None:
    """A source for ``validation_data``: ``(x, y)``, ``(x, y, sample_weight)``, an iterable of batches or ``None``."""
    if data is None:
        return None
    label = "fit: validation_data"
    if not isinstance(data, tuple) and not (isinstance(data, list) and all(map(is_rows, data))):
        return trainer.source(label, data)
    if len(data) not in (2, 3):
        raise ValueError(
            f"{label} must be (x, y) or (x, y, sample_weight), or an iterable of batches; got {len(data)} parts"
        )
    return trainer.source(label, *data, batch_size=batch_size)


def results(logs: Mapping[str, float], return_dict: bool) -> Any:
    """The numbers as Keras returns them: a single float, a list, or a dict by name."""
    if return_dict:
        return dict(logs)
    values = list(logs.values())
    return values[0] if len(values) == 1 else values

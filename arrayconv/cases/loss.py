"""Cases of the losses."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from arrayconv.cases.case import Case, Shape

_REDUCTIONS: tuple[dict[str, Any], ...] = ({}, {"reduction": "sum"}, {"reduction": "none"})
_SHAPES: tuple[Shape, ...] = ((5,), (4, 3), (2, 3, 4), (2, 3, 2, 3))


def _errors() -> Iterator[Case]:
    for op, shape, how in product(
        ("mean_squared_error", "mean_absolute_error"), _SHAPES, _REDUCTIONS
    ):
        yield Case(op, (shape, shape), (), how)
    for op in ("mean_squared_error", "mean_absolute_error"):
        yield Case(op, ((0, 3), (0, 3)), (), {"reduction": "none"})


def _cross_entropies() -> Iterator[Case]:
    for shape, how in product(_SHAPES, _REDUCTIONS):
        for true in ("unit", "mask", "labels:2"):
            both = ((shape, shape), (), how)
            op = "binary_cross_entropy"
            yield Case(op, *both, draws=("unit", true))
            logits = {**how, "from_logits": True}
            yield Case(op, (shape, shape), (), logits, draws=("normal", true))
    for shape, how in product(_SHAPES[1:], _REDUCTIONS):
        for true in ("probabilities", "unit", "labels:2"):
            op = "categorical_cross_entropy"
            yield Case(op, (shape, shape), (), how, draws=("probabilities", true))
            logits = {**how, "from_logits": True}
            yield Case(op, (shape, shape), (), logits, draws=("normal", true))
        op = "sparse_categorical_cross_entropy"
        shapes, labels = (shape, shape[:-1]), f"labels:{shape[-1]}"
        yield Case(op, shapes, (), how, draws=("probabilities", labels))
        logits = {**how, "from_logits": True}
        yield Case(op, shapes, (), logits, draws=("normal", labels))


def families() -> Iterator[Case]:
    """Yield the cases of every loss."""
    yield from _errors()
    yield from _cross_entropies()

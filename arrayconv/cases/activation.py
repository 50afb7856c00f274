"""Cases of the activations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from arrayconv.cases.case import Case, Shape

_SHAPES: tuple[Shape, ...] = ((5,), (3, 4), (2, 5, 3), (2, 4, 3, 2), (1, 2, 3, 2, 2), (0, 3, 2))
_CONFIGS: dict[str, tuple[dict[str, Any], ...]] = {
    "leaky_relu": (
        {"negative_slope": 0.3},
        {"negative_slope": 0.0},
        {"negative_slope": 2.0},
        {"negative_slope": -0.5},
    ),
    "elu": ({"alpha": 0.5}, {"alpha": 1.7}),
    "selu": (),
    "gelu": ({"approximate": True},),
    "silu": (),
    "softplus": (),
    "sigmoid": (),
    "hard_sigmoid": ({"slope": 0.2}, {"slope": 0.3, "offset": 0.1}),
    "hard_swish": (),
    "tanh": (),
    "erf": (),
}
# Off the kinks at 0 and at 3.
_OFF = ("distinct",)


def _pointwise(op: str) -> Iterator[Case]:
    for shape in _SHAPES:
        yield Case(op, (shape,), draws=_OFF)
    for shape, config in product(((2, 3, 2), (2, 4, 3, 2)), _CONFIGS[op]):
        yield Case(op, (shape,), (), config, draws=_OFF)


def _prelu() -> Iterator[Case]:
    shapes: tuple[tuple[Shape, Shape], ...] = (
        ((5,), (5,)),
        ((5,), (1,)),
        ((3, 4), (4,)),
        ((3, 4), (3, 1)),
        ((2, 4, 3, 2), (2,)),
        ((2, 4, 3, 2), (1,)),
        ((2, 4, 3, 2), (4, 3, 2)),
        ((2, 4, 3, 2), (4, 1, 1)),
        ((2, 4, 3, 2), (1, 1, 1, 2)),
        ((1, 2, 3, 2, 2), (2, 1, 1, 1)),
        ((0, 3, 2), (2,)),
    )
    for given in shapes:
        yield Case("prelu", given, draws=("distinct", "normal"))


def _softmax(op: str) -> Iterator[Case]:
    for shape in _SHAPES:
        yield Case(op, (shape,))
    for shape, axis in (((3, 4), 0), ((2, 4, 3, 2), 1), ((2, 4, 3, 2), -2), ((4, 1), 1)):
        yield Case(op, (shape,), (), {"axis": axis})


def families() -> Iterator[Case]:
    """Yield the cases of every activation but `relu`, which is in `spatial`."""
    for op in _CONFIGS:
        yield from _pointwise(op)
    yield from _prelu()
    for op in ("softmax", "log_softmax"):
        yield from _softmax(op)

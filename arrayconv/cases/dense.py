"""Cases of the dense layer, flattening and dropout."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from arrayconv.cases.case import Case, Shape


def _dense() -> Iterator[Case]:
    leading: tuple[Shape, ...] = ((), (1,), (4,), (2, 3), (2, 3, 2), (0,))
    biases: tuple[Shape | None, ...] = (None, (3,), (1, 1, 3), (1, 3))
    for (i, lead), (j, b) in product(enumerate(leading), enumerate(biases)):
        if (i + j) % 2 == 0 or len(lead) == 1:
            yield Case("dense", ((*lead, 5), (5, 3), b))
    yield Case("dense", ((4, 7), (7, 1), (1,)))


def _flatten() -> Iterator[Case]:
    for shape in ((5,), (3, 4), (2, 5, 3), (2, 4, 3, 2), (1, 2, 3, 2, 2), (0, 3, 2)):
        yield Case("flatten", (shape,))


def _dropout() -> Iterator[Case]:
    shapes: tuple[tuple[Shape, Shape], ...] = (
        ((5,), (5,)),
        ((3, 4), (3, 4)),
        ((2, 4, 3, 2), (2, 4, 3, 2)),
        ((2, 4, 3, 2), (2, 1, 1, 2)),
        ((2, 4, 3, 2), (1, 4, 1, 1)),
        ((0, 3, 2), (0, 3, 2)),
    )
    for given, rate in product(shapes, (0.0, 0.4)):
        yield Case("dropout", given, (), {"rate": rate}, draws=("normal", "mask"))


def families() -> Iterator[Case]:
    """Yield the cases of what `arrayconv.ops.dense` holds."""
    yield from _dense()
    yield from _flatten()
    yield from _dropout()

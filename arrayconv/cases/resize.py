"""Cases of resizing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, product
from typing import Any

from arrayconv.cases.case import Case, Shape

_FIRST: dict[str, Any] = {"data_format": "channels_first"}
_COORDINATES = ("half_pixel", "align_corners", "asymmetric")


def families() -> Iterator[Case]:
    """Yield the cases of resizing: up, down and both, by whole and by other factors."""
    formats = cycle(({}, _FIRST, {}, {}, _FIRST))

    def case(space: Shape, **config: Any) -> Case:
        config |= next(formats)
        x = (2, 2, *space) if "data_format" in config else (2, *space, 2)
        return Case("resize", (x,), (), config)

    ways = [
        {"method": "nearest", "coordinates": coordinates, "rounding": rounding}
        for coordinates, rounding in product(_COORDINATES, ("half_up", "half_down"))
    ] + [{"method": "linear", "coordinates": coordinates} for coordinates in _COORDINATES]
    sizes = ((8, 4), (5, 7), (3, 8), (3, 6), (4, 12), (7, 3), (6, 1), (1, 5), (4, 4), (9, 2))
    for way, (n, m) in product(ways, sizes):
        yield case((n,), size=m, **way)
    factors = (
        (4, 2),
        (3, 3.0),
        (5, 1.4),
        (5, 2.5),
        (7, 0.6),
        (8, 0.5),
        (10, 0.3),
        (4, 1.99),
        (6, 1),
    )
    for way, (n, s) in product(ways, factors):
        yield case((n,), scale=s, **way)
    for way in ways:
        yield case((4, 3), size=(8, 6), **way)
        yield case((4, 3), scale=2, **way)
        yield case((5, 4), size=(3, 12), **way)
        yield case((3, 4, 2), scale=(2, 0.5, 1.5), **way)
        yield case((2, 3, 2), size=3, **way)
        yield case((2, 3, 2, 2), size=(4, 2, 3, 2), **way)
    yield Case("resize", ((2, 4, 3, 2),), (), {"scale": 3})
    yield Case("resize", ((2, 4, 3, 2),), (), {"size": (7, 5)})
    yield Case("resize", ((0, 4, 3, 2),), (), {"scale": 2})
    yield Case("resize", ((0, 4, 3, 2),), (), {"size": 5, "method": "linear"})

"""Which input cells each output cell of an axis is made of, with exact arithmetic on the sizes."""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

# (input cell, weight) for every contribution to one output cell
Row = tuple[tuple[int, float], ...]


class Tap(NamedTuple):
    """One term of the sum that makes an axis: cells to take, and their weights (``None`` if all 1).

    The cell after the last one stands for zero.
    """

    cells: tuple[int, ...]
    weights: tuple[float, ...] | None


class Axis(NamedTuple):
    """How ``n`` cells of an axis become ``m``: a whole number of copies of each, or a sum of taps."""

    n: int
    m: int
    copies: int | None
    taps: tuple[Tap, ...]
    back: tuple[Tap, ...]


@lru_cache(maxsize=256)
def plan_axis(
    n: int, m: int, scale: float | None, method: str, coordinates: str, rounding: str
) -> Axis:
    """The plan of one axis; ``scale`` where one was given, to which ``m`` belongs."""
    where = [_source(i, n, m, scale, coordinates) for i in range(m)]
    rows: list[Row]
    if method == "linear":
        rows = [_linear(source, n) for source in where]
    else:
        rows = [((_nearest(source, n, coordinates, rounding), 1.0),) for source in where]
    copies = m // n
    if copies == 0 or rows != [((i // copies, 1.0),) for i in range(m)]:
        return Axis(n, m, None, _taps(rows, n), _taps(_transposed(rows, n), m))
    return Axis(n, m, copies, (), ())


def _source(i: int, n: int, m: int, scale: float | None, coordinates: str) -> Fraction:
    """Where in the input the centre of output cell ``i`` falls."""
    if coordinates == "align_corners":
        return Fraction(i * (n - 1), m - 1) if m > 1 else Fraction(0)
    half = Fraction(1, 2) if coordinates == "half_pixel" else Fraction(0)
    if scale is None:
        return (i + half) * Fraction(n, m) - half
    # a float's quotient rounds to what its decimals mean: 3 / 0.1 is 30
    return Fraction((i + float(half)) / scale) - half


def _nearest(source: Fraction, n: int, coordinates: str, rounding: str) -> int:
    if coordinates == "asymmetric":
        cell = math.floor(source)
    elif rounding == "half_up":
        cell = math.floor(source + Fraction(1, 2))
    else:
        cell = math.ceil(source - Fraction(1, 2))
    return min(max(cell, 0), n - 1)


def _linear(source: Fraction, n: int) -> Row:
    source = min(max(source, Fraction(0)), Fraction(n - 1))
    cell = math.floor(source)
    part = source - cell
    # a neighbour of weight 0 is left out, for it may be NaN
    return ((cell, float(1 - part)), (cell + 1, float(part))) if part else ((cell, 1.0),)


def _transposed(rows: list[Row], n: int) -> list[Row]:
    found: list[list[tuple[int, float]]] = [[] for _ in range(n)]
    for i, row in enumerate(rows):
        for cell, weight in row:
            found[cell].append((i, weight))
    return [tuple(entries) for entries in found]


def _taps(rows: list[Row], n: int) -> tuple[Tap, ...]:
    """The rows column by column; a row that has no more entries takes the zero after the last cell."""
    longest = max(len(row) for row in rows)
    columns = [[row[k] if k < len(row) else (n, 1.0) for row in rows] for k in range(longest)]
    taps = []
    for column in columns:
        weights = tuple(weight for _, weight in column)
        plain = all(weight == 1.0 for weight in weights)
        taps.append(Tap(tuple(cell for cell, _ in column), None if plain else weights))
    return tuple(taps)

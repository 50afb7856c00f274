"""One table of cases that drives the tests and ``arrayconv check``.

A new family of operations is a file beside `spatial` whose ``families()`` yields its cases, and a
line in `cases`; an operation whose values must be distinct (maxima) or keep off a kink at zero is
also named in ``_DISTINCT`` of `case`. Importing the table needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from arrayconv.cases import activation, dense, loss, normalization, resize, spatial
from arrayconv.cases.case import Case

__all__ = ["Case", "cases", "sample"]


@cache
def cases() -> tuple[Case, ...]:
    """Return the whole table, each case once, in a fixed order.

    Examples
    --------
    >>> from arrayconv.cases import cases
    >>> len(cases()) >= 300
    True
    """
    rooms = (spatial, dense, activation, normalization, resize, loss)
    families = (room.families() for room in rooms)
    return tuple({case.id: case for family in families for case in family}.values())


def sample(table: Iterable[Case]) -> tuple[Case, ...]:
    """Return a subset of `table` in which every option of every operation still occurs.

    Examples
    --------
    >>> from arrayconv.cases import cases, sample
    >>> few = sample(cases())
    >>> len(few) < len(cases()) / 2
    True
    """
    pool = list(table)
    missing = frozenset[tuple[str, str, str]]().union(*(case.options for case in pool))
    few: list[Case] = []
    while missing:
        best = max(pool, key=lambda case: len(case.options & missing))
        few.append(best)
        missing -= best.options
    return tuple(few)

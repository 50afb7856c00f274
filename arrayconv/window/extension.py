"""Where the cells that padding adds come from."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple


class Run(NamedTuple):
    """Consecutive cells of a padded axis that copy ``source``: forwards (step 1), backwards (-1), or one cell (0)."""

    target: slice
    source: slice
    step: int


@lru_cache(maxsize=1024)
def extension(n: int, before: int, after: int, mode: str) -> tuple[Run, ...]:
    """The runs, in order, that an axis of ``n`` cells consists of once it is padded in a ``mode`` of ``numpy.pad``."""

    def source(t: int) -> int:
        if mode == "edge":
            return min(max(t, 0), n - 1)
        if mode == "wrap":
            return t % n
        if mode == "reflect":
            period = max(1, 2 * (n - 1))
            return min(t % period, period - t % period) if n > 1 else 0
        return min(t % (2 * n), 2 * n - 1 - t % (2 * n))

    runs = []
    for low, high in ((-before, 0), (0, n), (n, n + after)):
        cells = [source(t) for t in range(low, high)] if (low, high) != (0, n) else list(range(n))
        start = 0
        while start < len(cells):
            step = cells[start + 1] - cells[start] if start + 1 < len(cells) else 1
            step = step if step in (-1, 0, 1) else 1
            stop = start + 1
            while stop < len(cells) and cells[stop] - cells[stop - 1] == step:
                stop += 1
            ends = sorted((cells[start], cells[stop - 1]))
            runs.append(
                Run(
                    slice(low + before + start, low + before + stop),
                    slice(ends[0], ends[1] + 1),
                    step,
                )
            )
            start = stop
    return tuple(runs)

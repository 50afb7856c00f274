"""How contenders are timed: interleaved, one thread pool after the other, medians over rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Any

import numpy as np

SPIN = 0.15
"""Seconds after which the workers of the last pool have stopped spinning."""

TURNS = 7
SHORT = 1e-3
SLOW = 0.7


def nothing(result: Any) -> None:
    """Finish a call that returns only when its result is there."""


@dataclass(frozen=True)
class Contender:
    """Someone who computes a case.

    ``call`` takes nothing and returns its library's arrays, ``finish`` waits for them, ``read``
    brings them to NumPy, channels last. ``pool`` names the threads (or the queue) it runs on.
    """

    name: str
    pool: str
    call: Callable[[], Any]
    read: Callable[[Any], tuple[np.ndarray, ...]]
    finish: Callable[[Any], Any] = nothing


Clock = Callable[[Contender, int], float]


def wall(contender: Contender, number: int) -> float:
    """Seconds per call by the wall clock, each call finished before the next one starts."""
    call, finish = contender.call, contender.finish
    start = time.perf_counter()
    for _ in range(number):
        finish(call())
    return (time.perf_counter() - start) / number


def measure(
    contenders: Sequence[Contender],
    *,
    rounds: int,
    budget: float = 0.1,
    spin: float = SPIN,
    clock: Callable[[str], Clock] = lambda pool: wall,
) -> dict[str, list[float]]:
    """Time contenders against one another.

    Parameters
    ----------
    contenders : sequence of Contender
        All of them are run in every round, those of one pool in turns. A call slower than
        ``SLOW`` seconds is timed in the first two rounds only, one that is faster than ``SHORT``
        several times in a row.
    rounds : int
        How often the pools are gone through.
    budget : float
        Seconds that a contender may take in a round, one call excepted.
    spin : float
        Seconds to wait whenever the pool changes.
    clock : function
        The clock of a pool.

    Returns
    -------
    dict of str to list of float
        Of each contender the median seconds per call, one value a round.
    """
    pools: dict[str, list[Contender]] = {}
    for contender in contenders:
        pools.setdefault(contender.pool, []).append(contender)
    cost: dict[str, float] = {}
    samples: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for number in range(rounds):
        for pool, members in pools.items():
            tick = clock(pool)
            # who comes first changes, so that nobody always runs in the wake of the same other
            first = number % len(members)
            turn = [*members[first:], *members[:first]]
            turn = [c for c in turn if number < 2 or cost[c.name] < SLOW]
            time.sleep(spin)
            for contender in turn:
                cost[contender.name] = tick(contender, 1)
            taken = _in_turns(turn, cost, budget, tick)
            for name, seconds in taken.items():
                samples[name].append(median(seconds))
    return samples


def _in_turns(
    turn: Sequence[Contender], cost: dict[str, float], budget: float, tick: Clock
) -> dict[str, list[float]]:
    # the warm-up of a slow call is as good as its measurement
    taken = {c.name: [cost[c.name]] if cost[c.name] >= SLOW else [] for c in turn}
    wanted = {c.name: min(TURNS, max(1, int(budget / max(cost[c.name], 1e-9)))) for c in turn}
    for _ in range(TURNS):
        for contender in turn:
            name = contender.name
            if len(taken[name]) < wanted[name]:
                taken[name].append(tick(contender, max(1, ceil(SHORT / max(cost[name], 1e-7)))))
    return taken

"""The goals, and how a run is judged by them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, fsum, log
from typing import Any, NamedTuple

from benchmarks.cases import CONVS, POOLS

Rows = Sequence[dict[str, Any]]
Times = dict[str, dict[str, float]]

MET, MISSED, PARTIAL = "met", "missed", "partial"


def geometric_mean(values: Sequence[float]) -> float:
    """Return the mean of ratios: a half and a double cancel.

    Examples
    --------
    >>> geometric_mean([0.5, 2.0])
    1.0
    """
    return exp(fsum(map(log, values)) / len(values))


def times_of(rows: Rows) -> Times:
    """Return milliseconds by case and contender; ``torch`` is the better of its layouts."""
    times: Times = {}
    for row in rows:
        case = times.setdefault(row["case"], {})
        case[row["contender"]] = row["ms"]
        if row["contender"].startswith("torch "):
            case["torch"] = min(row["ms"], case.get("torch", row["ms"]))
    return times


def ratios(times: Times, contender: str, peer: str) -> dict[str, float]:
    """Return, by case, the time of a contender over the time of its peer, where both ran."""
    return {
        case: of[contender] / of[peer]
        for case, of in times.items()
        if contender in of and peer in of
    }


class Verdict(NamedTuple):
    """A goal beside what was found: ``cases`` of ``expected`` were run, ``worst`` names one."""

    measure: str
    value: float
    limit: float
    verdict: str
    cases: int
    expected: int
    worst: str


@dataclass(frozen=True)
class Goal:
    """The geometric mean of ``contender / peer`` over the cases is to stay within ``limit``."""

    measure: str
    section: str
    contender: str
    peer: str
    limit: float
    cases: tuple[str, ...]

    def ratios(self, rows: Rows) -> dict[str, float]:
        """Return the ratio of every case of the goal that was run."""
        times = times_of([row for row in rows if row["section"] == self.section])
        found = ratios(times, self.contender, self.peer)
        return {case: found[case] for case in self.cases if case in found}

    def judge(self, rows: Rows) -> Verdict | None:
        """Return the verdict on the mean; None where no case was run."""
        found = self.ratios(rows)
        if not found:
            return None
        mean = geometric_mean(list(found.values()))
        verdict = MET if mean <= self.limit else MISSED
        if len(found) < len(self.cases):
            verdict = PARTIAL
        return Verdict(
            self.measure, mean, self.limit, verdict, len(found), len(self.cases), _worst(found)
        )


def judge(rows: Rows) -> list[Verdict]:
    """Return the verdict on every goal of which a case was run."""
    found = [goal.judge(rows) for goal in GOALS]
    found += [_single_case(rows), _depthwise(rows), _depthwise_beats_lax(rows)]
    found += [_accuracy(rows), _memory(rows)]
    return [verdict for verdict in found if verdict is not None]


def _worst(found: dict[str, float]) -> str:
    case = max(found, key=lambda name: found[name])
    return f"{case} {found[case]:.2f}"


def _largest(measure: str, limit: float, found: dict[str, float], expected: int) -> Verdict | None:
    if not found:
        return None
    value = max(found.values())
    # one case over the limit settles it, however few were run
    verdict = MISSED if value > limit else MET if len(found) == expected else PARTIAL
    return Verdict(measure, value, limit, verdict, len(found), expected, _worst(found))


def _single_case(rows: Rows) -> Verdict | None:
    goals = [goal for goal in GOALS if goal.peer in ("torch", "lax")]
    found = {
        f"{goal.measure}: {case}": ratio
        for goal in goals
        for case, ratio in goal.ratios(rows).items()
        if not (case == "depthwise" and goal.contender.startswith("arrayconv numpy"))
    }
    on_numpy = sum("depthwise" in g.cases and "numpy" in g.contender for g in goals)
    expected = sum(len(goal.cases) for goal in goals) - on_numpy
    return _largest("any single case / its peer", 3.0, found, expected)


def _depthwise(rows: Rows) -> Verdict | None:
    goals = [g for g in GOALS if g.peer == "torch" and "numpy" in g.contender and g.cases == _ALL]
    found = {
        goal.measure: ratio
        for goal in goals
        for case, ratio in goal.ratios(rows).items()
        if case == "depthwise"
    }
    return _largest("depthwise on NumPy / torch", 8.0, found, len(goals))


def _depthwise_beats_lax(rows: Rows) -> Verdict | None:
    found = {}
    for section in (_FORWARD, _BACKWARD):
        times = times_of([row for row in rows if row["section"] == section])
        ratio = ratios(times, "arrayconv numpy", "lax").get("depthwise")
        if ratio is not None:
            found[section] = ratio
    return _largest("depthwise on NumPy / lax", 1.0, found, 2)


def _accuracy(rows: Rows) -> Verdict | None:
    errors = {
        (row["section"], row["case"], row["contender"]): row["errors"]
        for row in rows
        if row["section"] in (_FORWARD, _BACKWARD)
    }
    found = {}
    for (section, case, contender), ours in errors.items():
        plain = errors.get((section, case, "im2col"))
        if contender in _DEFAULT and plain is not None:
            # array by array, so that a good dx cannot hide a bad dw
            ratio = max(a / b for a, b in zip(ours, plain, strict=True))
            found[f"{section}, {case}, {contender}"] = ratio
    return _largest("error / error of im2col", 2.0, found, 2 * len(_DEFAULT) * len(_ALL))


def _memory(rows: Rows) -> Verdict | None:
    found = {
        f"{row['section']}, {row['case']}": row["MiB"]
        for row in rows
        if row["section"].startswith("memory ") and row["contender"] == "arrayconv numpy"
    }
    return _largest("NumPy, MiB beyond input and output", 64.0, found, _MEMORY_CASES)


# three batches, then every case, each forward and backward
_MEMORY_CASES = 2 * (3 + len(CONVS) + len(POOLS))
_DEFAULT = ("arrayconv numpy", "arrayconv torch", "arrayconv jax")
_ALL = tuple(case.name for case in CONVS)
_PRODUCTS = tuple(case.name for case in CONVS if case.groups == 1)
_POOLS = tuple(case.name for case in POOLS if case.in_goals)
_MAX_POOLS = tuple(case.name for case in POOLS if case.in_goals and case.kind == "max")
_FORWARD, _BACKWARD = "conv forward", "conv backward"
_POOL, _POOL_BACK = "pool forward", "pool backward"

GOALS = (
    Goal("NumPy forward / product", _FORWARD, "arrayconv numpy", "product", 1.2, _PRODUCTS),
    Goal("NumPy forward / torch", _FORWARD, "arrayconv numpy", "torch", 1.4, _ALL),
    Goal("NumPy fast forward / torch", _FORWARD, "arrayconv numpy fast", "torch", 1.0, _ALL),
    Goal("NumPy backward / torch", _BACKWARD, "arrayconv numpy", "torch", 1.4, _ALL),
    Goal("JAX forward / lax", _FORWARD, "arrayconv jax", "lax", 0.9, _ALL),
    Goal("JAX backward / lax", _BACKWARD, "arrayconv jax", "lax", 1.0, _ALL),
    Goal("torch arrays forward / torch", _FORWARD, "arrayconv torch", "torch", 1.4, _ALL),
    Goal("NumPy pools forward / torch", _POOL, "arrayconv numpy", "torch", 1.2, _POOLS),
    Goal("NumPy pools backward / torch", _POOL_BACK, "arrayconv numpy", "torch", 1.5, _POOLS),
    Goal("JAX pools forward / torch", _POOL, "arrayconv jax", "torch", 1.0, _POOLS),
    Goal("JAX pools backward / torch", _POOL_BACK, "arrayconv jax", "torch", 1.2, _POOLS),
    Goal("JAX pools forward / lax", _POOL, "arrayconv jax", "lax", 0.6, _POOLS),
    Goal("JAX max pools backward / lax", _POOL_BACK, "arrayconv jax", "lax", 0.1, _MAX_POOLS),
    Goal("tiny call / textbook im2col", "tiny call", "arrayconv numpy", "im2col", 1.3, ("tiny",)),
    Goal("NumPy epoch / Keras 3", "train", "arrayconv numpy", "keras", 1.5, ("mnist5k",)),
    Goal("JAX epoch / Keras 3", "train", "arrayconv jax", "keras", 1.0, ("mnist5k",)),
)

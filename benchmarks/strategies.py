"""Every strategy beside the one that the plan chooses, so that its rules can be judged on any machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any

import numpy as np

import arrayconv as ac
from arrayconv.engine import STRATEGIES
from arrayconv.engine.plan import Plan
from benchmarks import numpy_peers, ours
from benchmarks.cases import CONVS, Conv, Data
from benchmarks.sections import Results, compare
from benchmarks.timing import Contender

SECTION = "strategies"
KINDS = {"forward": None, "dx": ("x",), "dw": ("w",)}
# Cells of a kernel beyond which no program is compiled that has an operation for each.
MOST_CELLS = 64


def strategies(results: Results, cases: Iterable[Conv], **timing: Any) -> None:
    """Time every exact strategy of the engine on NumPy, and under jit where JAX is installed."""
    libraries = [ours.NUMPY]
    if find_spec("jax"):
        from benchmarks import jax_peers

        libraries.append(jax_peers.library())
    for case in cases:
        data = case.data()
        expected = [
            *numpy_peers.conv_reference(case, data, False),
            *numpy_peers.conv_reference(case, data, True),
        ]
        for library in libraries:
            for kind, values in zip(KINDS, expected, strict=True):
                found = contenders(library, case, data, kind)
                start = len(results.rows)
                name = f"{SECTION} {library.name} {kind}"
                compare(results, name, case.name, found, (values,), **timing)
                plan = planned(library, case, data, kind)
                for row in results.rows[start:]:
                    facts = {"section": SECTION, "library": library.name, "kind": kind}
                    row |= facts | {"strategy": plan.strategy, "reason": plan.reason}


def contenders(library: ours.Library, case: Conv, data: Data, kind: str) -> list[Contender]:
    """Return the plan's choice, and every strategy that serves the case if asked for."""
    names: list[str | None] = [None]
    for name, strategy in STRATEGIES.items():
        long = np.prod(case.kernel) > MOST_CELLS and name not in ("rows", "stacked")
        if strategy.fast or (long and library.name == "jax"):
            continue
        try:
            planned(library, case, data, kind, name)
        except ValueError:
            # it declines
            continue
        names.append(name)
    return [
        Contender(
            name or "plan",
            library.pool,
            _call(library, case, data, kind, name),
            lambda result: (ac.to_numpy(result),),
            library.finish,
        )
        for name in names
    ]


def planned(
    library: ours.Library, case: Conv, data: Data, kind: str, strategy: str | None = None
) -> Plan:
    """Return the plan of a case; `ValueError` where the strategy asked for declines."""
    x, w, dy = map(library.place, data)
    with ac.options(strategy=strategy):
        if kind == "forward":
            return ac.explain(ac.conv, x, w, **case.config)[0]
        return ac.explain(ac.conv_vjp, dy, x, w, wrt=KINDS[kind], **case.config)[0]


def _call(
    library: ours.Library, case: Conv, data: Data, kind: str, strategy: str | None
) -> Callable[[], Any]:
    x, w, dy = map(library.place, data)

    def forward(dy: Any, x: Any, w: Any) -> Any:
        return ac.conv(x, w, **case.config)

    def gradient(dy: Any, x: Any, w: Any) -> Any:
        found = ac.conv_vjp(dy, x, w, wrt=KINDS[kind], **case.config)
        return found.dx if kind == "dx" else found.dw

    f = library.prepare(forward if kind == "forward" else gradient)

    def call() -> Any:
        with ac.options(strategy=strategy):
            return f(dy, x, w)

    return call


def page(rows: list[dict[str, Any]]) -> str:
    """Return the section of the report; empty if it was not run."""
    from benchmarks.goals import geometric_mean
    from benchmarks.report import number, table

    cases: dict[tuple[str, ...], dict[str, float]] = {}
    for row in rows:
        if row["section"] == SECTION:
            key = tuple(row[of] for of in ("library", "reason", "strategy", "kind", "case"))
            cases.setdefault(key, {})[row["contender"]] = row["ms"]
    labels = {case.name: case.label for case in CONVS}
    losses: dict[str, list[float]] = {}
    lines = []
    for (library, reason, strategy, kind, case), times in sorted(cases.items()):
        plan = times.pop("plan", None)
        if plan is None or not times:
            continue
        best = min(times, key=lambda name: times[name])
        losses.setdefault(library, []).append(max(1.0, plan / times[best]))
        others = ", ".join(
            f"{name} {number(plan / ms)}" for name, ms in sorted(times.items(), key=lambda t: t[1])
        )
        lines.append((library, f"{strategy}: {reason}", f"{kind}, {labels[case]}", others))
    if not lines:
        return ""
    means = " and ".join(
        f"{number(geometric_mean(found))} on {library} (at most {number(max(found))})"
        for library, found in losses.items()
    )
    return "\n\n".join(
        (
            "## Strategies",
            "The cases that each line of the engine's table of rules decides, and the time of the plan over that "
            "of every strategy asked for by name, the fastest first: below 1 the plan is faster. Who chose the best of "
            f"them every time would be faster by {means}, noise included.",
            table(("library", "rule", "case", "plan over"), lines),
        )
    )

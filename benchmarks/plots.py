"""The picture of a run: each case beside its peer, and how the cost grows."""

from __future__ import annotations

from typing import Any

from benchmarks.goals import Rows, ratios, times_of

# Okabe and Ito's colours, told apart by shape too
STYLES = ("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"), ("#CC79A7", "D"), ("#000000", "v")
COMPARED = (
    ("arrayconv numpy", "torch"),
    ("arrayconv numpy fast", "torch"),
    ("arrayconv torch", "torch"),
    ("arrayconv jax", "lax"),
    ("im2col", "torch"),
)


def plot(run: dict[str, Any], path: str) -> None:
    """Write the picture of a run to ``path``; what was not run stays an empty panel."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 9), layout="constrained")
    rows = run["rows"]
    above = figure.add_gridspec(2, 6)
    for i, section in enumerate(("conv forward", "conv backward")):
        axes = figure.add_subplot(above[0, 3 * i : 3 * i + 3])
        _ratios(axes, [row for row in rows if row["section"] == section], section)
    for i, axis in enumerate(("batch", "size", "channels")):
        axes = figure.add_subplot(above[1, 2 * i : 2 * i + 2])
        _growth(axes, [row for row in rows if row.get("axis") == axis], axis)
    facts = run["facts"]
    figure.suptitle(
        f"arrayconv beside its peers: {facts['processor']}, {facts['threads']} threads, float32"
    )
    figure.savefig(path, dpi=120)


def _ratios(axes: Any, rows: Rows, title: str) -> None:
    times = times_of(rows)
    cases = list(times)
    for (colour, marker), pair in zip(STYLES, COMPARED, strict=True):
        found = ratios(times, *pair)
        heights = [cases.index(case) for case in found]
        axes.plot(
            list(found.values()), heights, marker, color=colour, label=" / ".join(pair), alpha=0.85
        )
    axes.axvline(1.0, color="grey", linewidth=1)
    axes.set_xscale("log")
    axes.set_yticks(range(len(cases)), cases)
    axes.invert_yaxis()
    axes.grid(axis="x", which="both", alpha=0.25)
    axes.set_xlabel("time / time of the peer (left of the line: faster)")
    axes.set_title(title)
    if cases:
        # below the panel, where it covers no case
        axes.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=3)


def _growth(axes: Any, rows: Rows, axis: str) -> None:
    names = list(dict.fromkeys(row["contender"] for row in rows))
    for (colour, marker), name in zip(STYLES, names, strict=False):
        curve = [(row["value"], row["ms"]) for row in rows if row["contender"] == name]
        axes.loglog(*zip(*curve, strict=True), marker=marker, color=colour, label=name)
    axes.set_xlabel(axis)
    axes.set_ylabel("ms")
    axes.grid(which="both", alpha=0.25)
    axes.set_title(f"cost as {axis} grows")
    if names:
        axes.legend(fontsize="small")

"""The picture of a run: each case beside its peer, and how the cost grows."""

from __future__ import annotations

from collections.abc import Sequence
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


GPU_COMPARED = (
    ("arrayconv cupy", "torch"),
    ("arrayconv cupy native", "torch"),
    ("arrayconv torch", "torch"),
    ("arrayconv jax", "lax"),
    ("product", "torch"),
)


def plot_gpu(parts: dict[str, Any], path: str) -> None:
    """Write the picture of a run on a GPU: each arithmetic's convolutions, then the pools, beside their peers."""
    from matplotlib.figure import Figure

    results = {name: part.get("result") or {} for name, part in parts.items()}
    found = {name: result for name, result in results.items() if result.get("rows")}
    drawn = [
        (name, section, [row for row in result["rows"] if row["section"] == section])
        for name, result in found.items()
        for section in ("conv forward", "conv backward", "pool forward", "pool backward")
    ]
    drawn = [(name, section, rows) for name, section, rows in drawn if rows]
    figure = Figure(figsize=(13, 4.5 * max(1, (len(drawn) + 1) // 2)), layout="constrained")
    for i, (name, section, rows) in enumerate(drawn):
        axes = figure.add_subplot((len(drawn) + 1) // 2, 2, i + 1)
        title = f"{name.removeprefix('conv ')}: {section}"
        _ratios(axes, rows, title, GPU_COMPARED)
    device = next((result["device"] for result in found.values()), "no GPU")
    figure.suptitle(f"arrayconv beside its peers on {device}")
    figure.savefig(path, dpi=100)


def _ratios(axes: Any, rows: Rows, title: str, pairs: Sequence[tuple[str, str]] = COMPARED) -> None:
    times = times_of(rows)
    cases = list(times)
    for (colour, marker), pair in zip(STYLES, pairs, strict=True):
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

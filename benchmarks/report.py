"""Ratios, geometric means and goals, as a page of markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log
from typing import Any

from benchmarks import devices, strategies
from benchmarks.cases import CONVS, POOLS
from benchmarks.goals import Rows, Times, geometric_mean, judge, ratios, times_of
from benchmarks.machine import BUSY
from benchmarks.parts import PARTS

LABELS = {case.name: case.label for case in (*CONVS, *POOLS)} | {"mnist5k": "an epoch of MNIST-5k"}

# contender, peer; a column of a section's table each
CONV_COLUMNS = (
    ("arrayconv numpy", "product"),
    ("arrayconv numpy", "torch"),
    ("arrayconv numpy fast", "torch"),
    ("arrayconv torch", "torch"),
    ("arrayconv torch fast", "torch"),
    ("arrayconv jax", "lax"),
    ("arrayconv jax fast", "lax"),
    ("arrayconv jax", "keras"),
    ("arrayconv numpy", "im2col"),
    ("arrayconv numpy", "lax"),
    ("arrayconv numpy", "course loops"),
    ("product", "torch"),
    ("im2col", "torch"),
    ("lax", "torch"),
)
POOL_COLUMNS = (
    ("arrayconv numpy", "torch"),
    ("arrayconv torch", "torch"),
    ("arrayconv jax", "torch"),
    ("arrayconv jax", "lax"),
    ("lax", "torch"),
)
COLUMNS = {
    "conv forward": CONV_COLUMNS,
    "conv backward": CONV_COLUMNS,
    "pool forward": POOL_COLUMNS,
    "pool backward": POOL_COLUMNS,
    "tiny call": (
        ("arrayconv numpy", "im2col"),
        ("arrayconv numpy", "torch"),
        ("arrayconv torch", "torch"),
        ("arrayconv jax", "lax"),
        ("im2col", "torch"),
    ),
    "train": (
        ("arrayconv numpy", "keras"),
        ("arrayconv jax", "keras"),
        ("arrayconv numpy", "arrayconv jax"),
    ),
    "onnx": (
        ("arrayconv numpy", "onnxruntime"),
        ("arrayconv jax", "onnxruntime"),
        ("arrayconv torch", "onnxruntime"),
    ),
}


def markdown(run: dict[str, Any]) -> str:
    """Return the page of a run: the machine, the goals, then a table per section."""
    rows, facts = run["rows"], run["facts"]
    parts = ["# arrayconv beside its peers", _facts(facts)]
    if facts.get("others") is not None and facts["others"] > BUSY:
        parts.append(
            f"**Other processes took {facts['others']:.0%} of the processor during this run: "
            "its ratios are not to be relied on.**"
        )
    parts.append(
        "Every number is a ratio of medians taken in this one run: time of the first named over "
        "time of the second, below 1 is faster. `torch` is the better of its memory layouts, "
        "`product` the bare matrix product of the im2col sizes. A `*` marks a case during which "
        f"other processes took more than {BUSY:.0%} of the processor."
    )
    parts.append("## Goals\n\n" + _goals(rows))
    for section, columns in COLUMNS.items():
        table = _ratio_table([row for row in rows if row["section"] == section], columns)
        if table:
            parts.append(f"## {section.capitalize()}\n\n{table}")
    rest = (_parts, _accuracy, _memory, _training_memory, _scaling, strategies.page, devices.page)
    parts += filter(None, (page(rows) for page in rest))
    if run.get("gpu"):
        from benchmarks.gpu import page

        parts.append(page(run["gpu"]))
    if run["failures"]:
        lines = [
            f"- {f['section']}, {f['case']}, {f['contender']}: {f['why']}" for f in run["failures"]
        ]
        parts.append("## Not timed\n\n" + "\n".join(lines))
    return "\n\n".join(parts) + "\n"


def table(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Return a markdown table, the first column to the left, the others to the right."""
    rules = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (header, rules, *lines))


def number(value: float) -> str:
    """Return two significant digits and at least one decimal, without an exponent.

    Examples
    --------
    >>> number(0.0123), number(1.234), number(12.3), number(4321.0)
    ('0.012', '1.23', '12.3', '4321')
    """
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.2g}"


def _facts(facts: dict[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in facts["versions"].items())
    others = facts.get("others")
    share = "unknown" if others is None else f"{others:.0%}"
    return (
        f"{facts['processor']}, {facts['cores']} cores of which {facts['threads']} used, "
        f"{facts['memory GiB']} GiB, {facts['system']}, Python {facts['python']}, "
        f"{facts['blas']}; {versions}; commit {facts['commit']}, {facts['date']}. "
        f"Load before {facts['load before']}, after {facts['load after']}; other processes took "
        f"{share} of the processor."
    )


def _goals(rows: Rows) -> str:
    lines = [
        (
            verdict.measure,
            number(verdict.value),
            number(verdict.limit),
            verdict.verdict,
            f"{verdict.cases} of {verdict.expected}",
            verdict.worst,
        )
        for verdict in judge(rows)
    ]
    header = ("measure", "here", "goal at most", "verdict", "cases", "worst case")
    return table(header, lines) if lines else "No section with a goal was run."


def _ratio_table(rows: Rows, columns: Sequence[tuple[str, str]]) -> str:
    times = times_of(rows)
    present = [pair for pair in columns if ratios(times, *pair)]
    if not present:
        return ""
    busy = {row["case"] for row in rows if (row["others"] or 0) > BUSY}
    lines = []
    for case in times:
        cells = [_cell(times, case, pair) for pair in present]
        lines.append((LABELS.get(case, case) + (" *" if case in busy else ""), *cells))
    if len(times) > 1:
        means = [number(geometric_mean(list(ratios(times, *pair).values()))) for pair in present]
        lines.append(("geometric mean", *means))
    return table(("case", *(f"{a} / {b}" for a, b in present)), lines)


def _cell(times: Times, case: str, pair: tuple[str, str]) -> str:
    ratio = ratios(times, *pair).get(case)
    return "-" if ratio is None else number(ratio)


def _parts(rows: Rows) -> str:
    measured = [row for row in rows if row["section"].startswith("parts ")]
    if not measured:
        return ""
    lines = [
        (
            f"{LABELS.get(row['case'], row['case'])}, {row['section'].removeprefix('parts ')}",
            *(f"{row[part]:.0%}" for part in PARTS),
        )
        for row in measured
    ]
    text = (
        "Share of the time on NumPy, by a profile: matrix products, copies of windows and of results, "
        "sums and multiply-adds, and the rest of the calls."
    )
    return f"## Where the time goes\n\n{text}\n\n{table(('case', *PARTS), lines)}"


def _accuracy(rows: Rows) -> str:
    measured = [row for row in rows if row["section"].startswith("conv ")]
    names = list(dict.fromkeys(row["contender"] for row in measured))
    names = [name for name in names if name not in ("product", "course loops")]
    lines = []
    for section, case in dict.fromkeys((row["section"], row["case"]) for row in measured):
        found = {
            row["contender"]: max(row["errors"])
            for row in measured
            if row["section"] == section and row["case"] == case
        }
        cells = [f"{found[name]:.1e}" if name in found else "-" for name in names]
        lines.append((f"{LABELS.get(case, case)}, {section.removeprefix('conv ')}", *cells))
    if not lines:
        return ""
    text = "Largest error against float64, relative to the largest value (of dx and dw the worse)."
    return f"## Accuracy\n\n{text}\n\n{table(('case', *names), lines)}"


def _memory(rows: Rows) -> str:
    measured = [row for row in rows if row["section"].startswith("memory ")]
    if not measured:
        return ""
    names = list(dict.fromkeys(row["contender"] for row in measured))
    lines = []
    for section, case in dict.fromkeys((row["section"], row["case"]) for row in measured):
        found = {
            row["contender"]: f"{row['MiB']:.1f}"
            for row in measured
            if row["section"] == section and row["case"] == case
        }
        direction = section.removeprefix("memory ")
        label = f"{LABELS.get(case, case)}, {direction}"
        lines.append((label, *(found.get(name, "-") for name in names)))
    text = (
        "MiB beyond input and output; NumPy by tracemalloc, JAX from the compiled program. "
        "`batchN` is N x 56x56, 64 -> 64, 3x3."
    )
    return f"## Memory\n\n{text}\n\n{table(('case', *names), lines)}"


def _training_memory(rows: Rows) -> str:
    lines = [
        (row["contender"], *(_mib(row[name]) for name in ("MiB", "step MiB")))
        for row in rows
        if row["section"] == "train memory"
    ]
    if not lines:
        return ""
    text = (
        "MiB. Epoch: what a process holds at the peak of an epoch, beyond what it holds between two. "
        "Step: the NumPy arrays of one training step at their peak, beyond the weights and the batch, "
        "by tracemalloc."
    )
    return f"## Memory of training\n\n{text}\n\n{table(('contender', 'epoch', 'step'), lines)}"


def _mib(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def _scaling(rows: Rows) -> str:
    measured = [row for row in rows if row["section"] == "scaling"]
    if not measured:
        return ""
    names = list(dict.fromkeys(row["contender"] for row in measured))
    lines = []
    for axis in dict.fromkeys(row["axis"] for row in measured):
        for name in names:
            curve = [
                (row["value"], row["ms"])
                for row in measured
                if row["axis"] == axis and row["contender"] == name
            ]
            (a, early), (b, late) = curve[0], curve[-1]
            lines.append((f"{axis} {a} to {b}, {name}", f"{log(late / early) / log(b / a):.2f}"))
    text = (
        "Exponent of the cost from the smallest to the largest value of 4x32x32, 32 -> 32, 3x3: "
        "1 for the batch, 2 for the image and for the channels is in step with the arithmetic."
    )
    return f"## Growth\n\n{text}\n\n{table(('from, to', 'exponent'), lines)}"

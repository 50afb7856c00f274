"""The strategies, and the rules by which one is chosen: the first that holds, from shapes and the kind of array."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from arrayconv.engine import columns, depthwise, fft, planes, rows, stacked, taps, winograd
from arrayconv.engine.problem import Problem
from arrayconv.engine.settings import Settings
from arrayconv.engine.strategy import Strategy
from arrayconv.engine.windows import by_patches

STRATEGIES: dict[str, Strategy] = {
    "columns": columns.STRATEGY,
    "rows": rows.STRATEGY,
    "planes": planes.STRATEGY,
    "stacked": stacked.STRATEGY,
    "taps": taps.STRATEGY,
    "depthwise": depthwise.STRATEGY,
    "winograd": winograd.STRATEGY,
    "fft": fft.STRATEGY,
}
FAST = frozenset(name for name, strategy in STRATEGIES.items() if strategy.fast)

# Cells of a window that an accelerator copies, or a compiler unrolls, one by one.
MOST_COPIES = 64
# Phases of a strided input gradient that a compiler unrolls.
MOST_PHASES_TRACED = 16
# With as many channels or fewer, an image row is the longer run to copy.
FEW_CHANNELS = 8
# With as many channels or fewer, adding up an input gradient costs less than copying the columns of dy.
FEW_RESULTS = 4
# Windows per image from which products of whole rows are large enough.
ROW_WINDOWS = 400


class Rule(NamedTuple):
    """A line of the table.

    Attributes
    ----------
    strategy : str
    reason : str
        What `explain` prints.
    holds : function
        ``holds(problem, settings)``.
    """

    strategy: str
    reason: str
    holds: Callable[[Problem, Settings], bool]


def choose(problem: Problem, settings: Settings) -> Rule:
    """The first rule that holds."""
    return next(rule for rule in RULES if rule.holds(problem, settings))


def overlaps(p: Problem) -> bool:
    """Whether an input gradient is better taken as one product and an overlap-add than by phases of the stride."""
    cells, steps = p.cells, math.prod(p.window.stride)
    if cells == 1:
        return False
    if 0 in p.window.size:
        return True
    # as many phases as cells, or more, would be products of single cells
    if steps >= cells:
        return True
    if p.depthwise:
        # one pass over dy, where the library has one
        return not (p.traits.calling and p.dense and p.features == 1)
    few = p.channels <= FEW_RESULTS and p.groups == 1
    if not p.traits.mutable and cells > MOST_COPIES:
        return steps > MOST_PHASES_TRACED
    if p.traits.mutable:
        return few
    # a compiler fuses the sums
    return few or steps > 1 or p.axes == 1


def _winograd(p: Problem, settings: Settings) -> bool:
    if p.kind == "weight_vjp" and not p.traits.mutable:
        # compiled, the sums of transforms take longer than the product that they save
        return False
    # a compiler fuses the sums, and with three axes an eighth of the products is left
    least = 32 if p.axes > 2 or not p.traits.mutable else 64 if p.traits.calling else 128
    return (
        _transforms(p, settings, "winograd")
        and winograd.declines(p.window, p.channels, p.features) is None
        and min(p.channels, p.features) >= least
    )


def _fft(p: Problem, settings: Settings) -> bool:
    wide = max(p.channels, p.features)
    least = 49 if wide == 1 else 81 if wide <= FEW_CHANNELS else 128
    if p.forward and p.depthwise:
        # a compiler fuses the multiply-adds
        least = 49 if p.traits.mutable else 128
    return (
        _transforms(p, settings, "fft")
        and p.fft
        and fft.declines(p.window, p.channels, p.features) is None
        and winograd.declines(p.window, p.channels, p.features) is not None
        and p.cells >= least
    )


def _transforms(p: Problem, settings: Settings, name: str) -> bool:
    """Whether tiles may be transformed, and there are enough to pay for the kernel's transform and its memory."""
    if settings.precision != "fast" or p.traits.accelerator or p.kind == "input_vjp":
        return False
    # a prepared kernel that leaves little for the tiles makes blocks too small to pay for it, or too few for threads
    return p.windows >= 1024 and 4 * prepared(p, name) <= settings.room(accelerator=False)


def prepared(p: Problem, name: str) -> int:
    """Bytes of the kernel that a strategy prepares for its tiles."""
    elements = STRATEGIES[name].prepared
    return (
        elements(p.window, p.channels, p.features) * p.groups * p.itemsize
        if elements is not None
        else 0
    )


def _wide(p: Problem) -> bool:
    """Whether columns are deep and products narrow: where stacking kernel rows pays."""
    return p.axes > 1 and p.window.stride[0] == 1 and p.depth >= 128 and p.features <= 32


def _stacks(p: Problem) -> bool:
    few = p.channels <= stacked.FEW_CHANNELS
    return p.forward and _wide(p) and few and (p.axes == 2 or not p.traits.mutable)


def _large(p: Problem) -> bool:
    """Whether images are large enough for products of whole rows."""
    return math.prod(p.window.output[-2:]) >= ROW_WINDOWS


def _splits(p: Problem) -> bool:
    return p.axes == 1 and p.dense and rows.group(p.window.kernel[0]) > 1


def _stacks_traced(p: Problem) -> bool:
    # the rows that a window adds to an image are computed too
    added = p.window.extent[0] - 1
    return p.axes > 1 and 5 * added <= p.window.output[0]


# What each line decides and what every other strategy costs there: ``python -m benchmarks strategies``, whose tables
# are committed for each machine in ``benchmarks/results``.
RULES = (
    Rule("winograd", "a kernel of 3 and many channels: a few products for each tile", _winograd),
    Rule("fft", "a large kernel: products of frequencies", _fft),
    Rule("columns", "windows of one cell: products without copies", lambda p, _: p.cells == 1),
    Rule(
        "depthwise",
        "one channel per group: multiply-adds, no product",
        lambda p, _: p.depthwise,
    ),
    Rule(
        "columns",
        "windows that do not overlap: one copy for all, one product",
        lambda p, _: by_patches(p.window),
    ),
    # accelerators
    Rule(
        "stacked",
        "a large kernel and few features: one product for all kernel rows",
        lambda p, _: p.traits.accelerator and _wide(p) and p.cells > MOST_COPIES and p.forward,
    ),
    Rule("columns", "few, large operations", lambda p, _: p.traits.accelerator),
    # input gradients by overlap-add
    Rule(
        "planes",
        "few channels: whole image rows are added",
        lambda p, _: p.kind == "input_vjp" and p.written and p.channels <= FEW_RESULTS,
    ),
    Rule("columns", "one product, then an overlap-add", lambda p, _: p.kind == "input_vjp"),
    Rule(
        "stacked",
        "few channels and features: one product for all kernel rows",
        lambda p, _: _stacks(p),
    ),
    # arrays that can be written
    Rule(
        "rows",
        "few features: columns along the last axis only",
        lambda p, _: p.written and _wide(p),
    ),
    Rule("columns", "small: the fewest calls", lambda p, _: p.written and p.windows <= 512),
    Rule(
        "planes",
        "few channels: whole image rows are copied",
        lambda p, _: p.written and p.channels <= FEW_CHANNELS,
    ),
    Rule(
        "rows",
        "the kernel splits into groups of neighbours: fewer copies",
        lambda p, _: p.written and _splits(p),
    ),
    Rule(
        "rows",
        "large images: columns along the last axis only",
        lambda p, _: p.written and p.axes > 1 and p.dense and _large(p),
    ),
    Rule("columns", "one copy and one product per block", lambda p, _: p.written),
    # under a compiler
    Rule("rows", "a large kernel: few operations to compile", lambda p, _: p.cells > MOST_COPIES),
    Rule(
        "planes",
        "a product of whole image rows",
        lambda p, _: p.kind == "weight_vjp" and _large(p) and p.axes < 3,
    ),
    Rule(
        "taps",
        "small images: one product for each cell",
        lambda p, _: p.kind == "weight_vjp" and not _large(p),
    ),
    Rule(
        "taps",
        "one channel: the compiler fuses the multiply-adds",
        lambda p, _: p.channels == 1,
    ),
    Rule(
        "columns",
        "one copy and one product per block",
        lambda p, _: not p.dense or p.channels <= FEW_CHANNELS,
    ),
    Rule(
        "stacked",
        "one product for all kernel rows, then fused sums",
        lambda p, _: _stacks_traced(p),
    ),
    Rule("columns", "small images: one product", lambda p, _: not _large(p)),
    Rule("rows", "columns along the last axis only", lambda p, _: True),
)

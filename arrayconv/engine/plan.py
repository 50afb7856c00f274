"""Which strategy computes a correlation, and in what blocks: from shapes and the kind of array, never its library."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import NamedTuple

from arrayconv.engine import columns, taps
from arrayconv.engine.settings import Settings
from arrayconv.namespace import Traits
from arrayconv.window import Window

STRATEGIES: dict[str, ModuleType] = {"columns": columns, "taps": taps}

# A block's temporaries should stay in a core's second-level cache.
CACHE_BYTES = 2**20
# Under a compiler each block is unrolled into the program.
MOST_BLOCKS_TRACED = 16


class Problem(NamedTuple):
    """One correlation, as plain numbers."""

    kind: str  # "correlate", "input_vjp" or "weight_vjp"
    groups: int
    batch: int
    channels: int  # of the input, per group
    features: int  # of the output, per group
    window: Window
    itemsize: int
    traits: Traits


class Block(NamedTuple):
    """A part of the work: images, the input rows it reads, the output rows it is about, and the window over it."""

    images: slice
    cells: slice
    rows: slice
    window: Window


@dataclass(frozen=True)
class Plan:
    """What was decided for one problem.

    Attributes
    ----------
    strategy : str
        Name of the strategy.
    reason : str
        Why it was chosen.
    phases : bool
        Whether an input gradient is taken as correlations by phases of the stride.
    blocks : tuple of tuple of Block
        The work, one tuple per block of images, each with its blocks of rows.
    memory : int
        Bytes of temporary arrays of the largest block.
    flops : int
        Floating-point operations of the products (two per multiply-add).
    bytes : int
        Bytes of input, weights and output: the least that must move.
    """

    problem: Problem
    strategy: str
    reason: str
    phases: bool
    blocks: tuple[tuple[Block, ...], ...]
    memory: int
    flops: int
    bytes: int

    def __str__(self) -> str:
        p = self.problem
        count = sum(map(len, self.blocks))
        first = self.blocks[0][0] if self.blocks else None
        size = (
            f" of {first.images.stop} images x {first.rows.stop} rows" if first and count > 1 else ""
        )
        where = "accelerator" if p.traits.accelerator else "CPU"
        how = "written in place" if p.traits.mutable else "traced or immutable"
        return (
            f"{p.kind}: {'by phases of the stride' if self.phases else self.strategy} ({self.reason})\n"
            f"  {p.batch} x {p.window.size} x {p.groups * p.channels} -> {p.window.output} x {p.groups * p.features}, "
            f"kernel {p.window.kernel}, stride {p.window.stride}, dilation {p.window.dilation}, groups {p.groups}; "
            f"{where}, {how}\n"
            f"  {count} block{'s' * (count != 1)}{size}; temporaries {self.memory / 2**20:.2f} MiB; "
            f"{self.flops / 1e9:.3f} GFLOP; {self.bytes / 2**20:.2f} MiB in and out"
        )


@lru_cache(maxsize=1024)
def make_plan(problem: Problem, settings: Settings) -> Plan:
    """The plan for a problem; the second time it costs a look-up."""
    window = problem.window
    name, reason = _choose(problem, settings)
    strategy = STRATEGIES[name]
    refusal = strategy.declines(window, problem.channels, problem.features)
    if refusal:
        raise ValueError(f"options: strategy {name!r} declines this convolution: {refusal}")
    # as many phases as cells, or more, would be products of single cells
    cells = math.prod(window.kernel)
    phases = problem.kind == "input_vjp" and (cells == 1 or math.prod(window.stride) < cells)
    if phases:
        reason = "each phase is a correlation of dy with a plan of its own"
    per_image = (
        problem.groups
        * problem.itemsize
        * strategy.temporaries(window, problem.channels, problem.features)
    )
    blocks = () if phases else tuple(_blocks(problem, settings, per_image))
    largest = max((_share(block, window) for row in blocks for block in row), default=0.0)
    numbers = problem.groups * (
        problem.batch * math.prod(window.size) * problem.channels
        + problem.batch * math.prod(window.output) * problem.features
        + cells * problem.channels * problem.features
    )
    return Plan(
        problem,
        name,
        reason,
        phases,
        blocks,
        math.ceil(largest * per_image),
        2 * problem.groups * problem.batch * math.prod(window.output) * cells * problem.channels * problem.features,
        numbers * problem.itemsize,
    )


def _choose(problem: Problem, settings: Settings) -> tuple[str, str]:
    if settings.strategy is not None:
        return settings.strategy, "asked for by options(strategy=...)"
    return "columns", "serves every window"


def _share(block: Block, window: Window) -> float:
    images: int = block.images.stop - block.images.start
    return images * block.window.output[0] / window.output[0]


def _blocks(problem: Problem, settings: Settings, per_image: int) -> Iterator[tuple[Block, ...]]:
    window, batch = problem.window, problem.batch
    budget = settings.workspace
    if problem.traits.mutable and not problem.traits.accelerator:
        budget = min(budget, CACHE_BYTES)
    images = max(1, min(batch, budget // max(1, per_image)))
    rows = window.output[0]
    if per_image > budget:
        rows = max(1, rows * budget // per_image)
    if not problem.traits.mutable:
        images = max(images, -(-batch // MOST_BLOCKS_TRACED))
        image_blocks = -(-batch // images)
        rows = max(rows, -(-window.output[0] * image_blocks // MOST_BLOCKS_TRACED))
        if problem.kind == "input_vjp":
            rows = window.output[0]
    height = window.output[0]
    pieces = [(slice(0, height), slice(0, window.size[0]), window)] if rows >= height else [
        (slice(a, min(a + rows, window.output[0])), *window.rows(a, min(a + rows, window.output[0])))
        for a in range(0, window.output[0], rows)
    ]
    for start in range(0, batch, images):
        span = slice(start, min(start + images, batch))
        yield tuple(Block(span, cells, out, part) for out, cells, part in pieces)

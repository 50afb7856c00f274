"""How a correlation is computed: by what strategy, in what blocks, in how much memory; from plain numbers alone."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

from arrayconv.engine.blocks import Block, Blocks, fit, grid, largest
from arrayconv.engine.choice import STRATEGIES, choose, overlaps, prepared
from arrayconv.engine.problem import Problem
from arrayconv.engine.products import SMALL_PRODUCT, TINY_PRODUCT
from arrayconv.engine.settings import Settings
from arrayconv.engine.threads import count
from arrayconv.window import Phase, Window

# Temporaries of a block on a CPU: large enough for the product's threads, small enough for the last-level cache.
BLOCK_BYTES = 8 * 2**20
# Where a thread takes a block, less work is cut into this many, down to a size that is worth handing over, in bytes or
# in operations.
FEWEST_SHARED, SMALLEST_SHARED = 4, 4 * 2**20
# Rows of windows in a block for each row of cells that it shares with the next, and reads and copies too.
ROWS_PER_SHARED = 2
# Windows in a block for each output feature, so that reading the weights, packed anew for each, does not count; and
# where blocks have a thread each.
WINDOWS_PER_FEATURE, WINDOWS_PER_FEATURE_SHARED = 8, 2
# Windows that one product sums over in a weight gradient: libraries differ in how they add up long sums.
LONGEST_SUM = 8192
# The same under a compiler, which sums without pieces of its own: 8192 erred 2.6 times as much as im2col on JAX's CPU.
LONGEST_SUM_TRACED = 2048
# Blocks of arrays that cannot be written, where they are no loop: each is so many operations to start or to compile.
MOST_BLOCKS_WRITTEN_OUT = 16


@dataclass(frozen=True)
class Plan:
    """What was decided for one problem.

    Attributes
    ----------
    settings : Settings
        The options it was made under.
    strategy : str
        Name of the strategy; of an input gradient by phases, those of the phases.
    reason : str
        Why it was chosen.
    phased : bool
        Whether an input gradient is taken as correlations by phases of the stride, each with a plan
        of its own (``phases``).
    blocks : Blocks
        The work, a block of images and rows at a time; of several phases each has its own.
    shared : bool
        Whether threads take the blocks one by one, whatever their number.
    threads : int
        How many blocks are computed at a time.
    memory : int
        Bytes of temporary arrays of so many of the largest blocks.
    flops : int
        Floating-point operations of the products (two per multiply-add).
    bytes : int
        Bytes of input, weights and output: the least that must move.
    """

    problem: Problem
    settings: Settings
    strategy: str
    reason: str
    phased: bool
    blocks: Blocks
    shared: bool
    threads: int
    memory: int
    flops: int
    bytes: int

    @cached_property
    def only(self) -> Block | None:
        """The block, where there is one."""
        return next(iter(self.blocks)) if len(self.blocks) == 1 else None

    @property
    def small(self) -> bool:
        """Whether it is one product that a library would give threads, and that is not worth them."""
        calling = self.problem.traits.calling
        return calling and len(self.blocks) == 1 and TINY_PRODUCT < self.flops < SMALL_PRODUCT

    @property
    def phases(self) -> Iterator[tuple[Phase, Plan]]:
        """The phases of an input gradient that have cells of the kernel, and the plan of each."""
        return _phases(self.problem, self.settings) if self.phased else iter(())

    def __str__(self) -> str:
        p = self.problem
        work = "\n".join(f"  {line}" for line in self._work())
        where = "accelerator" if p.traits.accelerator else "CPU"
        how = "written in place" if p.traits.mutable else "traced or immutable"
        return (
            f"{p.kind}: {self.strategy} ({self.reason})\n"
            f"  {p.batch} x {p.window.size} x {p.groups * p.channels} -> {p.window.output} x {p.groups * p.features}, "
            f"kernel {p.window.kernel}, stride {p.window.stride}, dilation {p.window.dilation}, groups {p.groups}; "
            f"{where}, {how}\n"
            f"{work}\n"
            f"  temporaries {self.memory / 2**20:.2f} MiB; "
            f"{self.flops / 1e9:.3f} GFLOP; {self.bytes / 2**20:.2f} MiB in and out"
        )

    def _work(self) -> Iterator[str]:
        several = len(plans := [plan for _, plan in self.phases]) > 1
        for plan in plans if several else [self]:
            blocks = plan.blocks
            count = f"{len(blocks)} block{'s' * (len(blocks) != 1)}"
            of = f"kernel {plan.problem.window.kernel} by {plan.strategy}: " if several else ""
            at_once = f", {plan.threads} at a time" if plan.threads > 1 else ""
            yield f"{of}{count} of up to {blocks.images} images x {blocks.lines} rows{at_once}"


@lru_cache(maxsize=1024)
def make_plan(problem: Problem, settings: Settings) -> Plan:
    """The plan for a problem; the second time it costs a look-up."""
    if problem.kind == "input_vjp" and not overlaps(problem):
        return _plan_phases(problem, settings)
    if settings.strategy:
        name, reason = settings.strategy, "asked for by options(strategy=...)"
    else:
        name, reason, _ = choose(problem, settings)
    window, strategy = problem.window, STRATEGIES[name]
    refusal = strategy.declines(window, problem.channels, problem.features)
    if strategy.fast and settings.precision != "fast":
        refusal = "it rounds more and spreads NaN and inf, so it needs precision='fast' as well"
    elif name == "fft" and not problem.fft:
        refusal = "the array library has no fft extension"
    if refusal:
        raise ValueError(f"options: strategy {name!r} declines this convolution: {refusal}")
    kept = _kept(problem, name)
    room = max(1, settings.room(problem.traits.accelerator) - kept)
    blocks = _blocks(problem, name, room)
    images = min(blocks.images, problem.batch)
    memory = images * _cost(problem, name, largest(window, blocks.lines))
    memory = max(0, memory - _returned(problem, blocks))
    # a block that takes most of the workspace has the threads of the library's products
    fitting = room // max(1, memory)
    shared = problem.traits.calling and len(blocks) > 1 and fitting > 1
    threads = min(len(blocks), fitting, count(settings)) if shared else 1
    return Plan(
        problem=problem,
        settings=settings,
        strategy=name,
        reason=reason,
        phased=False,
        blocks=blocks,
        shared=shared,
        threads=threads,
        memory=threads * memory + kept,
        flops=_flops(problem),
        bytes=_bytes(problem),
    )


def _returned(problem: Problem, blocks: Blocks) -> int:
    """Bytes of the product of the only block where that is the result itself, and no temporary."""
    if len(blocks) > 1 or problem.kind != "correlate" or problem.half:
        return 0
    product = problem.groups * math.prod(problem.window.output) * problem.features
    return problem.batch * product * problem.itemsize


def _plan_phases(problem: Problem, settings: Settings) -> Plan:
    plans = [plan for _, plan in _phases(problem, settings)]
    names = ", ".join(dict.fromkeys(plan.strategy for plan in plans))
    if len(plans) != 1:
        reason = f"{len(plans)} phases of the stride, each a correlation of dy"
    else:
        reason = f"a correlation of dy: {plans[0].reason}"
    window = problem.window
    memory = [plan.memory for plan in plans]
    if any(step > 1 for step in window.stride):
        # the result of a phase is written into that of all
        memory = [plan.memory + _returned(plan.problem, plan.blocks) for plan in plans]
    return Plan(
        problem=problem,
        settings=settings,
        strategy=names,
        reason=reason,
        phased=True,
        blocks=plans[0].blocks
        if len(plans) == 1
        else Blocks(window, problem.batch, max(1, problem.batch), window.output[0]),
        shared=any(plan.shared for plan in plans),
        threads=max((plan.threads for plan in plans), default=1),
        memory=max(memory, default=0),
        flops=_flops(problem),
        bytes=_bytes(problem),
    )


def _phases(problem: Problem, settings: Settings) -> Iterator[tuple[Phase, Plan]]:
    window = problem.window
    if not problem.traits.mutable and any(step > 1 for step in window.stride):
        # what cannot be written phase by phase is interleaved, so all phases must be of one size
        window = window.unpadded
    for phase in window.phases:
        if 0 not in phase.window.kernel:
            correlation = problem._replace(
                kind="correlate",
                channels=problem.features,
                features=problem.channels,
                window=phase.window,
            )
            yield phase, make_plan(correlation, settings)


def _flops(problem: Problem) -> int:
    window = problem.window
    products = math.prod(window.output) * window.cells * problem.channels * problem.features
    return 2 * problem.groups * problem.batch * products


def _bytes(problem: Problem) -> int:
    window = problem.window
    numbers = (
        problem.batch * math.prod(window.size) * problem.channels
        + problem.batch * math.prod(window.output) * problem.features
        + window.cells * problem.channels * problem.features
    )
    return problem.groups * numbers * problem.itemsize


def _cost(problem: Problem, name: str, window: Window) -> int:
    """Bytes of temporaries for one image, or the part of it that ``window`` slides over."""
    channels, features = problem.channels, problem.features
    numbers = STRATEGIES[name].temporaries(problem.kind, window, channels, features)
    if problem.half:
        numbers += math.prod(window.size) * channels + math.prod(window.output) * features
    if problem.groups > 1 and name != "depthwise":
        # groups are an axis of their own, and come back by a copy
        copied = window.size if problem.kind == "input_vjp" else window.output
        numbers += math.prod(copied) * (channels if problem.kind == "input_vjp" else features)
    return problem.groups * problem.itemsize * int(numbers)


def _kept(problem: Problem, name: str) -> int:
    """Bytes that stay for all blocks: the kernel prepared for tiles, or in another order, or its gradient so far."""
    numbers = problem.window.cells * problem.channels * problem.features
    copies = 3 if problem.kind == "weight_vjp" else 2
    return prepared(problem, name) + copies * problem.groups * problem.itemsize * numbers


def _budget(problem: Problem, name: str, room: int) -> int:
    """Bytes of temporaries of one block, out of the ``room`` for it."""
    strategy, window = STRATEGIES[name], problem.window
    calling = problem.traits.calling
    # where there is a product alone, which threads share, blocks would only copy its result
    if problem.traits.accelerator or window.cells == 1:
        return room
    shared = max(0, window.extent[0] - window.stride[0])
    lines = min(ROWS_PER_SHARED * shared + 1, window.output[0])
    least = _cost(problem, name, largest(window, lines))
    if not problem.traits.mutable:
        if strategy.fuses and problem.kind != "weight_vjp":
            return max(room, problem.batch * _cost(problem, name, window))
        # where a block is some hundred operations to compile, few blocks
        return room if strategy.fast else min(room, max(BLOCK_BYTES, least))
    image = _cost(problem, name, window)
    if strategy.whole:
        return min(room, max(image, room // FEWEST_SHARED)) if calling else room
    total = max(1, problem.batch) * image
    if calling:
        heavy = min(FEWEST_SHARED, _flops(problem) // SMALL_PRODUCT)
        smallest = min(SMALLEST_SHARED, total // max(1, heavy))
        size = min(BLOCK_BYTES, max(smallest, total // FEWEST_SHARED))
        per_feature = WINDOWS_PER_FEATURE_SHARED
    else:
        size, per_feature = BLOCK_BYTES, WINDOWS_PER_FEATURE
    windows = per_feature * problem.features
    if strategy.enough is not None:
        windows = strategy.enough(window, problem.features)
    enough = image * windows // math.prod(window.output)
    return min(room, max(size, enough, least))


def _blocks(problem: Problem, name: str, room: int) -> Blocks:
    window, batch = problem.window, problem.batch
    budget = _budget(problem, name, room)
    # of an array in pieces each device holds its share, and nothing is cut across them
    share = 1 if problem.divisible else -(-batch // problem.traits.pieces)

    def cost(part: Window) -> int:
        return share * _cost(problem, name, part)

    images, lines = fit(window, batch, cost, budget)
    if (
        problem.kind == "weight_vjp"
        and not problem.traits.accelerator
        and not STRATEGIES[name].fast
    ):
        longest = LONGEST_SUM if problem.traits.mutable else LONGEST_SUM_TRACED
        images = min(images, max(1, longest // math.prod(window.output)))
        if not problem.traits.mutable:
            # where arrays can be written, the strategies cut the sums of an image themselves
            lines = min(lines, max(1, longest // math.prod(window.output[1:])))
    if not problem.divisible:
        images = batch
    if problem.traits.pieces > 1 and not STRATEGIES[name].fast:
        # rows may lie in pieces as well as images, and to cut them apart would move them all
        lines = window.output[0]
    if problem.looped:
        # of a last, shorter block the loop's arrays are copies
        least = images // 2 + 1 if _bytes(problem) <= room else 1
        images = _divisor(batch, images, least)
        lines = _divisor(window.output[0], lines, lines // 2 + 1)
    elif not problem.traits.mutable:
        images = max(images, -(-batch // MOST_BLOCKS_WRITTEN_OUT))
        spans = -(-batch // images)
        lines = max(lines, -(-window.output[0] * spans // MOST_BLOCKS_WRITTEN_OUT))
    if not problem.traits.mutable and problem.kind == "input_vjp":
        lines = window.output[0]
    tile = STRATEGIES[name].tile
    step = 1 if tile is None else tile(window, problem.channels, problem.features)[0]
    return grid(window, batch, images, lines, step, divisible=problem.divisible)


def _divisor(total: int, most: int, least: int) -> int:
    """The largest divisor of ``total`` from ``most`` down to ``least``; ``most`` itself where there is none."""
    return next((n for n in range(most, least - 1, -1) if total % n == 0), most)

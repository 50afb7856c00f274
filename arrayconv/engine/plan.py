"""Which strategy computes a correlation, and in what blocks: from shapes and the kind of array, never its library."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from types import ModuleType
from typing import NamedTuple

from arrayconv.engine import columns, depthwise, fft, planes, rows, stacked, taps, winograd
from arrayconv.engine.blocks import Block, Blocks, fit, grid, largest
from arrayconv.engine.settings import Settings
from arrayconv.engine.windows import by_patches
from arrayconv.namespace import Traits
from arrayconv.window import Phase, Window

STRATEGIES: dict[str, ModuleType] = {
    "columns": columns,
    "rows": rows,
    "planes": planes,
    "stacked": stacked,
    "taps": taps,
    "depthwise": depthwise,
    "winograd": winograd,
    "fft": fft,
}
# More rounding than columns, and NaN and inf spread: for precision="fast" alone.
FAST = frozenset({"winograd", "fft"})

# Temporaries of a block on a CPU: large enough for the product's threads, small enough for the last-level cache.
BLOCK_BYTES = 8 * 2**20
# Windows in a block for each output feature, so that reading the weights does not count.
WINDOWS_PER_FEATURE = 8
# Tiles in a block of Winograd's, for the same reason.
TILES = 256
# Windows that one product sums over in a weight gradient: libraries differ in how they add up long sums.
LONGEST_SUM = 8192
# The same under a compiler, which sums without pieces of its own: 8192 erred 2.02 times as much as im2col on JAX's CPU.
LONGEST_SUM_TRACED = 2048
# Under a compiler each block is unrolled into the program,
MOST_BLOCKS_TRACED = 16
# and so is each phase of a strided input gradient.
MOST_PHASES_TRACED = 16
# With as many channels or fewer, an image row is the longer run to copy.
FEW_CHANNELS = 8
# With as many channels or fewer, adding up an input gradient costs less than copying the columns of dy.
FEW_RESULTS = 4
# Stacking needs columns at least so deep, and pays for products at most so narrow.
WIDE_DEPTH, NARROW_FEATURES = 128, 32
# Windows per image from which products of whole rows are large enough.
ROW_WINDOWS = 400
# Rows of an image, for each that stacking computes beside them, from which it pays under a compiler.
ROWS_PER_ADDED = 5
# Windows below which the calls cost more than the arithmetic.
SMALL_WINDOWS = 512
# Channels and features from which Winograd's products outweigh its sums, and windows that outweigh its kernel's.
MANY, MANY_FEWER, ENOUGH_WINDOWS = 64, 32, 1024
# Cells of a kernel from which transforms cost less than sums: with one channel, with few, with many.
LARGE_ALONE, LARGE_FEW, LARGE_KERNEL = 49, 81, 128
# Cells of a window that an accelerator copies, or a compiler unrolls, one by one.
MOST_COPIES = 64


class Problem(NamedTuple):
    """One correlation, as plain numbers."""

    kind: str  # "correlate", "input_vjp" or "weight_vjp"
    groups: int
    batch: int
    channels: int  # of the input, per group
    features: int  # of the output, per group
    window: Window
    itemsize: int  # of the accumulator
    traits: Traits
    fft: bool  # whether the namespace has that extension
    half: bool = False  # whether arrays are cast to the accumulator, block by block
    divisible: bool = True  # whether images may be cut apart; where not, the batch may be a guess


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
    memory : int
        Bytes of temporary arrays of the largest block.
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
    memory: int
    flops: int
    bytes: int

    @cached_property
    def only(self) -> Block | None:
        """The block, where there is one."""
        return next(iter(self.blocks)) if len(self.blocks) == 1 else None

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
            yield f"{of}{count} of up to {blocks.images} images x {blocks.lines} rows"


@lru_cache(maxsize=1024)
def make_plan(problem: Problem, settings: Settings) -> Plan:
    """The plan for a problem; the second time it costs a look-up."""
    if problem.kind == "input_vjp" and not _overlaps(problem):
        return _plan_phases(problem, settings)
    name, reason = (
        (settings.strategy, "asked for by options(strategy=...)")
        if settings.strategy
        else _choose(problem, settings)
    )
    window, strategy = problem.window, STRATEGIES[name]
    refusal = strategy.declines(window, problem.channels, problem.features)
    if name in FAST and settings.precision != "fast":
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
    if len(blocks) == 1 and problem.kind == "correlate" and not problem.half:
        # the product of the only block is the result
        product = problem.groups * math.prod(window.output) * problem.features
        memory -= images * product * problem.itemsize
    return Plan(
        problem=problem,
        settings=settings,
        strategy=name,
        reason=reason,
        phased=False,
        blocks=blocks,
        memory=max(0, memory) + kept,
        flops=_flops(problem),
        bytes=_bytes(problem),
    )


def _plan_phases(problem: Problem, settings: Settings) -> Plan:
    plans = [plan for _, plan in _phases(problem, settings)]
    names = ", ".join(dict.fromkeys(plan.strategy for plan in plans))
    if len(plans) != 1:
        reason = f"{len(plans)} phases of the stride, each a correlation of dy"
    else:
        reason = f"a correlation of dy: {plans[0].reason}"
    window = problem.window
    return Plan(
        problem=problem,
        settings=settings,
        strategy=names,
        reason=reason,
        phased=True,
        blocks=plans[0].blocks
        if len(plans) == 1
        else Blocks(window, problem.batch, max(1, problem.batch), window.output[0]),
        memory=max((plan.memory for plan in plans), default=0),
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


def _overlaps(problem: Problem) -> bool:
    """Whether an input gradient is better taken as one product and an overlap-add than by phases of the stride."""
    window = problem.window
    cells, steps = window.cells, math.prod(window.stride)
    if cells == 1:
        return False
    if 0 in window.size:
        return True
    # as many phases as cells, or more, would be products of single cells
    if steps >= cells or (problem.groups > 1 and problem.channels == 1):
        return True
    few = problem.channels <= FEW_RESULTS and problem.groups == 1
    if not problem.traits.mutable and cells > MOST_COPIES:
        return steps > MOST_PHASES_TRACED
    if problem.traits.mutable:
        return few
    # a compiler fuses the sums
    return few or steps > 1 or len(window.size) == 1


def _choose(problem: Problem, settings: Settings) -> tuple[str, str]:
    window, channels, features = problem.window, problem.channels, problem.features
    if settings.precision == "fast" and not problem.traits.accelerator:
        found = _choose_fast(problem, settings.room(accelerator=False))
        if found is not None:
            return found
    if window.cells == 1:
        return "columns", "a window of one cell is one product without copies"
    if problem.groups > 1 and channels == 1:
        return "depthwise", "one channel per group: multiply-adds, no product"
    if by_patches(window):
        return "columns", "windows that do not overlap: one copy for all, one product"
    dense = all(step == 1 for step in window.stride)
    depth = math.prod(window.kernel[1:]) * channels
    wide = (
        len(window.size) > 1
        and window.stride[0] == 1
        and depth >= WIDE_DEPTH
        and features <= NARROW_FEATURES
    )
    if problem.traits.accelerator:
        if wide and window.cells > MOST_COPIES and problem.kind == "correlate":
            return "stacked", "a large kernel and few features: one product for all kernel rows"
        return "columns", "few, large operations"
    if problem.kind == "input_vjp":
        if problem.traits.mutable and channels <= FEW_RESULTS:
            return "planes", "few channels: whole image rows are added"
        return "columns", "one product, then an overlap-add"
    flat = len(window.size) == 2 or not problem.traits.mutable
    if wide and flat and problem.kind == "correlate" and channels <= stacked.FEW_CHANNELS:
        return "stacked", "few channels and features: one product for all kernel rows"
    if wide and problem.traits.mutable:
        return "rows", "few features: columns along the last axis only"
    if problem.traits.mutable:
        return _choose_written(problem, dense)
    return _choose_traced(problem, dense)


def _choose_fast(problem: Problem, workspace: int) -> tuple[str, str] | None:
    window, channels, features = problem.window, problem.channels, problem.features
    windows = problem.batch * math.prod(window.output)
    if problem.kind == "input_vjp" or windows < ENOUGH_WINDOWS:
        return None
    if winograd.declines(window, channels, features) is None:
        # a compiler fuses the sums, and with three axes an eighth of the products is left
        few = not problem.traits.mutable or len(window.size) > 2
        many = MANY_FEWER if few else MANY
        if min(channels, features) < many or not _has_room(problem, "winograd", workspace):
            return None
        return "winograd", "a kernel of 3 and many channels: a few products for each tile"
    if not problem.fft or fft.declines(window, channels, features) is not None:
        return None
    wide = max(channels, features)
    large = LARGE_ALONE if wide == 1 else LARGE_FEW if wide <= FEW_CHANNELS else LARGE_KERNEL
    if problem.kind == "correlate" and problem.groups > 1 and channels == 1:
        # a compiler fuses the multiply-adds
        large = LARGE_ALONE if problem.traits.mutable else LARGE_KERNEL
    if window.cells < large or not _has_room(problem, "fft", workspace):
        return None
    return "fft", "a large kernel: products of frequencies"


def _has_room(problem: Problem, name: str, workspace: int) -> bool:
    # a prepared kernel that leaves little for the tiles makes blocks too small to pay for it
    return 4 * _prepared(problem, name) <= 3 * workspace


def _choose_written(problem: Problem, dense: bool) -> tuple[str, str]:
    window = problem.window
    if problem.batch * math.prod(window.output) <= SMALL_WINDOWS:
        return "columns", "small: the fewest calls"
    if problem.channels <= FEW_CHANNELS:
        return "planes", "few channels: whole image rows are copied"
    if len(window.size) == 1:
        if dense and rows.group(window.kernel[0]) > 1:
            return "rows", "the kernel splits into groups of neighbours: fewer copies"
    elif dense and math.prod(window.output[-2:]) >= ROW_WINDOWS:
        return "rows", "large images: columns along the last axis only"
    return "columns", "one copy and one product per block"


def _choose_traced(problem: Problem, dense: bool) -> tuple[str, str]:
    window = problem.window
    large = math.prod(window.output[-2:]) >= ROW_WINDOWS
    if window.cells > MOST_COPIES:
        return "rows", "a large kernel: few operations to compile"
    if problem.kind == "weight_vjp" and large and len(window.size) < 3:
        return "planes", "a product of whole image rows"
    if problem.kind == "weight_vjp" and not large:
        return "taps", "small images: one product for each cell"
    if problem.channels == 1:
        return "taps", "one channel: the compiler fuses the multiply-adds"
    if not dense:
        return "columns", "one copy and one product per block"
    # the rows that a window adds to an image are computed too
    added = window.extent[0] - 1
    if (
        len(window.size) > 1
        and ROWS_PER_ADDED * added <= window.output[0]
        and problem.channels > FEW_CHANNELS
    ):
        return "stacked", "one product for all kernel rows, then fused sums"
    return "rows", "columns along the last axis only"


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
    return _prepared(problem, name) + copies * problem.groups * problem.itemsize * numbers


def _prepared(problem: Problem, name: str) -> int:
    """Bytes of a kernel prepared for tiles: its values at points, or its frequencies, complex and in two layouts."""
    if name not in FAST:
        return 0
    window, channels, features = problem.window, problem.channels, problem.features
    tile = STRATEGIES[name].tile(window, channels, features)
    values = math.prod(t + k - 1 for t, k in zip(tile, window.kernel, strict=True))
    copies = 2 if name == "fft" else 1
    return int(copies * values * problem.groups * channels * features * problem.itemsize)


def _budget(problem: Problem, name: str, room: int) -> int:
    """Bytes of temporaries of one block, out of the ``room`` for it."""
    if problem.window.cells == 1:
        # a product alone: blocks would only copy its result
        return room
    if problem.traits.accelerator:
        return room
    if not problem.traits.mutable:
        # where a block is some hundred operations to compile, few blocks
        return room if name in FAST else min(room, BLOCK_BYTES)
    if name == "stacked":
        # blocks of rows would compute twice the rows that they share with their neighbours
        return room
    # enough windows in a block that the weights, packed anew for each, do not count
    windows = WINDOWS_PER_FEATURE * problem.features
    if name == "winograd":
        windows = TILES * winograd.TILE ** len(problem.window.size)
    elif name == "fft":
        # blocks of rows would cut tiles
        windows = math.prod(problem.window.output)
    per_image = _cost(problem, name, problem.window)
    enough = per_image * windows // math.prod(problem.window.output)
    return min(room, max(BLOCK_BYTES, enough))


def _blocks(problem: Problem, name: str, room: int) -> Blocks:
    window, batch = problem.window, problem.batch
    budget = _budget(problem, name, room)
    # of an array in pieces each device holds its share, and nothing is cut across them
    share = 1 if problem.divisible else -(-batch // problem.traits.pieces)

    def cost(part: Window) -> int:
        return share * _cost(problem, name, part)

    images, lines = fit(window, batch, cost, budget)
    if problem.kind == "weight_vjp" and not problem.traits.accelerator and name not in FAST:
        images = min(images, max(1, LONGEST_SUM // math.prod(window.output)))
        if problem.traits.pieces > 1:
            # the sum of each block would be added up over the devices on its own
            lines = window.output[0]
        elif not problem.traits.mutable:
            # where arrays can be written, the strategies cut the sums of an image themselves
            lines = min(lines, max(1, LONGEST_SUM_TRACED // math.prod(window.output[1:])))
    if not problem.divisible:
        images = batch
    if not problem.traits.mutable:
        images = max(images, -(-batch // MOST_BLOCKS_TRACED))
        image_blocks = -(-batch // images)
        lines = max(lines, -(-window.output[0] * image_blocks // MOST_BLOCKS_TRACED))
        if problem.kind == "input_vjp":
            lines = window.output[0]
    step = 1
    if name in FAST:
        step = STRATEGIES[name].tile(window, problem.channels, problem.features)[0]
    return grid(window, batch, images, lines, step, divisible=problem.divisible)

"""One correlation as plain numbers: all that a plan is made from."""

from __future__ import annotations

import math
from typing import NamedTuple

from arrayconv.namespace import Traits
from arrayconv.window import Window


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
    looped: bool = False  # whether blocks are a loop of a compiled program

    @property
    def forward(self) -> bool:
        """Whether it is no gradient."""
        return self.kind == "correlate"

    @property
    def written(self) -> bool:
        """Whether arrays can be written in place, on a CPU."""
        return self.traits.mutable and not self.traits.accelerator

    @property
    def axes(self) -> int:
        """How many spatial axes there are."""
        return len(self.window.size)

    @property
    def cells(self) -> int:
        """Cells of the kernel."""
        return self.window.cells

    @property
    def windows(self) -> int:
        """Windows in all images."""
        return self.batch * math.prod(self.window.output)

    @property
    def dense(self) -> bool:
        """Whether every stride is 1."""
        return all(step == 1 for step in self.window.stride)

    @property
    def depthwise(self) -> bool:
        """Whether each group has one channel."""
        return self.groups > 1 and self.channels == 1

    @property
    def depth(self) -> int:
        """Numbers in a row of columns that run along all axes but the first."""
        return math.prod(self.window.kernel[1:]) * self.channels

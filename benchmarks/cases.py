"""What is computed: thirteen convolutions and five pools, channels last, float32."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


class Data(NamedTuple):
    """The inputs of a case: image, weights (none for a pool) and upstream gradient."""

    x: Floats
    w: Floats
    dy: Floats


@dataclass(frozen=True)
class Conv:
    """A convolution, padded by half its kernel or not at all; ``groups`` is 1 or ``channels``."""

    name: str
    batch: int
    size: tuple[int, ...]
    channels: int
    features: int
    kernel: tuple[int, ...]
    stride: int = 1
    groups: int = 1
    padded: bool = True

    @property
    def padding(self) -> int:
        return self.kernel[0] // 2 if self.padded else 0

    @property
    def output(self) -> tuple[int, ...]:
        return tuple(
            (n + 2 * self.padding - k) // self.stride + 1
            for n, k in zip(self.size, self.kernel, strict=True)
        )

    @property
    def config(self) -> dict[str, Any]:
        return {"stride": self.stride, "padding": self.padding, "groups": self.groups}

    @property
    def label(self) -> str:
        image = "x".join(map(str, (self.batch, *self.size)))
        kernel = "x".join(map(str, self.kernel))
        depthwise = ", depthwise" if self.groups > 1 else ""
        stride = f", stride {self.stride}" if self.stride > 1 else ""
        return f"{image}, {self.channels} -> {self.features}, {kernel}{depthwise}{stride}"

    def data(self) -> Data:
        rng = np.random.default_rng(0)
        fan_in = prod(self.kernel) * self.channels // self.groups
        w = rng.standard_normal(
            (*self.kernel, self.channels // self.groups, self.features), dtype=np.float32
        )
        return Data(
            rng.standard_normal((self.batch, *self.size, self.channels), dtype=np.float32),
            w / np.float32(fan_in**0.5),
            rng.standard_normal((self.batch, *self.output, self.features), dtype=np.float32),
        )

    def tiny(self) -> Conv:
        """The same case small enough for a test: every option stays, the sizes shrink."""
        channels = min(self.channels, 6)
        return replace(
            self,
            batch=2,
            size=tuple(min(n, k + 4) for n, k in zip(self.size, self.kernel, strict=True)),
            channels=channels,
            features=channels if self.groups > 1 else 5,
            groups=channels if self.groups > 1 else 1,
        )


@dataclass(frozen=True)
class Pool:
    """A 2-D pool; ``in_goals`` marks those that the goals' means are taken over."""

    name: str
    kind: str
    batch: int
    size: tuple[int, int]
    channels: int
    window: int
    stride: int
    padding: int = 0
    in_goals: bool = True

    @property
    def output(self) -> tuple[int, ...]:
        return tuple((n + 2 * self.padding - self.window) // self.stride + 1 for n in self.size)

    @property
    def label(self) -> str:
        image = "x".join(map(str, (self.batch, *self.size, self.channels)))
        return f"{self.kind} {self.window}x{self.window}, stride {self.stride}, {image}"

    def data(self) -> Data:
        rng = np.random.default_rng(0)
        shape = (self.batch, *self.size, self.channels)
        # distinct, and exact in float32: a tie would make the gradient a matter of taste
        x = rng.permutation(prod(shape)).astype(np.float32).reshape(shape) / np.float32(2**20)
        dy = rng.standard_normal((self.batch, *self.output, self.channels), dtype=np.float32)
        return Data(x, np.empty(0, dtype=np.float32), dy)

    def tiny(self) -> Pool:
        """The same pool small enough for a test."""
        return replace(self, batch=2, size=(8, 6), channels=3)


CONVS = (
    Conv("stem64", 16, (64, 64), 3, 32, (7, 7)),
    Conv("stem224", 4, (224, 224), 3, 64, (7, 7), stride=2),
    Conv("56x56x64", 8, (56, 56), 64, 64, (3, 3)),
    Conv("28x28x128", 16, (28, 28), 128, 128, (3, 3)),
    Conv("14x14x256", 16, (14, 14), 256, 256, (3, 3)),
    Conv("7x7x512", 32, (7, 7), 512, 512, (3, 3)),
    Conv("pointwise", 8, (56, 56), 64, 256, (1, 1)),
    Conv("digits", 64, (28, 28), 1, 8, (3, 3)),
    Conv("strided", 8, (56, 56), 64, 128, (3, 3), stride=2),
    Conv("depthwise", 8, (56, 56), 128, 128, (3, 3), groups=128),
    Conv("1d", 16, (4096,), 32, 64, (9,)),
    Conv("3d", 2, (24, 24, 24), 16, 32, (3, 3, 3)),
    Conv("31x31", 2, (128, 128), 8, 8, (31, 31)),
)

POOLS = (
    Pool("max3s2", "max", 16, (112, 112), 64, 3, 2, 1),
    Pool("max2", "max", 16, (64, 64), 32, 2, 2),
    Pool("max2-digits", "max", 64, (28, 28), 8, 2, 2, in_goals=False),
    Pool("max2-wide", "max", 8, (56, 56), 256, 2, 2, in_goals=False),
    Pool("avg2", "avg", 8, (56, 56), 256, 2, 2),
)

BATCH32 = Conv("batch32", 32, (56, 56), 64, 64, (3, 3))
"""The convolution whose peak memory BASELINES.md quotes."""

TINY_CALL = Conv("tiny", 1, (8, 8), 1, 1, (3, 3), padded=False)
"""The call whose cost is all overhead."""

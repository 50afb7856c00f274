"""Networks of the well-known kinds at their own sizes, as torch modules with random weights."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn


def norm(
    i: int, o: int, k: int = 3, s: int = 1, act: nn.Module | None = None, g: int = 1
) -> nn.Module:
    """Convolution, batch norm, activation."""
    layers = [nn.Conv2d(i, o, k, s, k // 2, groups=g, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, *([] if act is None else [act]))


class Sum(nn.Module):
    """What a branch gives, plus what went in, or plus what another branch gives."""

    def __init__(
        self, branch: nn.Module, other: nn.Module | None = None, end: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.branch, self.other, self.end = branch, other or nn.Identity(), end or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.branch(x) + self.other(x))


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, c: int, inner: int) -> None:
        super().__init__()
        down, up = nn.Conv2d(c, inner, 1), nn.Conv2d(inner, c, 1)
        self.gate = nn.Sequential(nn.AdaptiveAvgPool2d(1), down, nn.SiLU(), up, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.gate(x)


class Grown(nn.Module):
    """DenseNet's layer: what went in, and a few maps more."""

    def __init__(self, i: int, growth: int = 32) -> None:
        super().__init__()
        inner = [nn.BatchNorm2d(i), nn.ReLU(), nn.Conv2d(i, 4 * growth, 1, bias=False)]
        outer = [nn.BatchNorm2d(4 * growth), nn.ReLU()]
        self.layer = nn.Sequential(
            *inner, *outer, nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.layer(x)], 1)


class Next(nn.Module):
    """ConvNeXt's block."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.deep, self.norm = nn.Conv2d(c, c, 7, padding=3, groups=c), nn.LayerNorm(c)
        self.mix = nn.Sequential(nn.Linear(c, 4 * c), nn.GELU(), nn.Linear(4 * c, c))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mix(self.norm(self.deep(x).permute(0, 2, 3, 1))).permute(0, 3, 1, 2)


class UNet(nn.Module):
    """Down twice, up twice, and across."""

    def __init__(self) -> None:
        super().__init__()
        relu = nn.ReLU
        self.a = nn.Sequential(norm(3, 16, act=relu()), norm(16, 16, act=relu()))
        self.b = nn.Sequential(norm(16, 32, act=relu()), norm(32, 32, act=relu()))
        self.c = nn.Sequential(norm(32, 64, act=relu()), norm(64, 64, act=relu()))
        self.up, self.d = nn.ConvTranspose2d(64, 32, 2, 2), norm(64, 32, act=relu())
        self.wide = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.e = nn.Sequential(norm(48, 16, act=relu()), nn.Conv2d(16, 2, 1))

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        b = self.b(nn.functional.max_pool2d(a, 2))
        d = self.d(torch.cat([self.up(self.c(nn.functional.max_pool2d(b, 2))), b], 1))
        return self.e(torch.cat([self.wide(d), a], 1))


def _head(c: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(c, 1000)]


def resnet18() -> nn.Module:
    """K. He et al., arXiv:1512.03385, table 1."""
    layers: list[nn.Module] = [norm(3, 64, 7, 2, nn.ReLU()), nn.MaxPool2d(3, 2, 1)]
    c = 64
    for o, s in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        branch = nn.Sequential(norm(c, o, 3, s, nn.ReLU()), norm(o, o))
        layers.append(Sum(branch, norm(c, o, 1, s) if s > 1 else None, nn.ReLU()))
        c = o
    return nn.Sequential(*layers, *_head(512))


def _inverted(
    rows: tuple[tuple[int, ...], ...], act: Callable[[], nn.Module], gates: bool
) -> list[nn.Module]:
    layers: list[nn.Module] = [norm(3, 32, 3, 2, act())]
    c = 32
    for expand, o, count, stride, k in rows:
        for i in range(count):
            s, wide = stride if i == 0 else 1, c * expand
            block = [] if expand == 1 else [norm(c, wide, 1, 1, act())]
            block.append(norm(wide, wide, k, s, act(), wide))
            block += [Gate(wide, max(1, c // 4))] if gates else []
            body = nn.Sequential(*block, norm(wide, o, 1))
            layers.append(Sum(body) if s == 1 and c == o else body)
            c = o
    return [*layers, norm(c, 1280, 1, 1, act()), *_head(1280)]


def mobilenet_v2() -> nn.Module:
    """M. Sandler et al., arXiv:1801.04381, table 2."""
    rows = (
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 32, 3, 2, 3),
        (6, 64, 4, 2, 3),
        (6, 96, 3, 1, 3),
        (6, 160, 3, 2, 3),
    )
    return nn.Sequential(*_inverted((*rows, (6, 320, 1, 1, 3)), nn.ReLU6, False))


def efficientnet_b0() -> nn.Module:
    """M. Tan and Q. Le, arXiv:1905.11946, table 1."""
    rows = (
        (1, 16, 1, 1, 3),
        (6, 24, 2, 2, 3),
        (6, 40, 2, 2, 5),
        (6, 80, 3, 2, 3),
        (6, 112, 3, 1, 5),
        (6, 192, 4, 2, 5),
    )
    return nn.Sequential(*_inverted((*rows, (6, 320, 1, 1, 3)), nn.SiLU, True))


def densenet121() -> nn.Module:
    """G. Huang et al., arXiv:1608.06993, table 1."""
    layers: list[nn.Module] = [norm(3, 64, 7, 2, nn.ReLU()), nn.MaxPool2d(3, 2, 1)]
    c = 64
    for count in (6, 12, 24, 16):
        for _ in range(count):
            layers.append(Grown(c))
            c += 32
        layers += [nn.BatchNorm2d(c), nn.ReLU()]
        if count != 16:
            layers += [nn.Conv2d(c, c // 2, 1, bias=False), nn.AvgPool2d(2)]
            c //= 2
    return nn.Sequential(*layers, *_head(c))


def convnext_tiny() -> nn.Module:
    """Z. Liu et al., arXiv:2201.03545; group norms of one group between the stages."""
    layers: list[nn.Module] = [nn.Conv2d(3, 96, 4, 4)]
    for c, count in ((96, 3), (192, 3), (384, 9), (768, 3)):
        if c > 96:
            layers += [nn.GroupNorm(1, c // 2), nn.Conv2d(c // 2, c, 2, 2)]
        layers += [Next(c) for _ in range(count)]
    return nn.Sequential(*layers, *_head(768))


def super_resolution() -> nn.Module:
    """W. Shi et al., arXiv:1609.05158."""
    layers = [nn.Conv2d(1, 64, 5, padding=2), nn.Tanh(), nn.Conv2d(64, 32, 3, padding=1), nn.Tanh()]
    return nn.Sequential(*layers, nn.Conv2d(32, 9, 3, padding=1), nn.PixelShuffle(3))


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet18": (resnet18, (1, 3, 224, 224)),
    "mobilenet_v2": (mobilenet_v2, (1, 3, 224, 224)),
    "efficientnet_b0": (efficientnet_b0, (1, 3, 224, 224)),
    "densenet121": (densenet121, (1, 3, 224, 224)),
    "convnext_tiny": (convnext_tiny, (1, 3, 224, 224)),
    "unet": (UNet, (1, 3, 128, 128)),
    "super_resolution": (super_resolution, (1, 1, 96, 96)),
}


def exported(name: str) -> tuple[bytes, Tensor, Tensor]:
    """A network as the bytes of an ONNX file, an input, and what float64 says of it."""
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    module, x, file = make().eval(), torch.randn(shape), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x,), file, dynamo=False, opset_version=17, input_names=["x"])
    with torch.no_grad():
        y = module.double()(x.double())
    return file.getvalue(), x, y

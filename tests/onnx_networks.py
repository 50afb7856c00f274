"""Small networks of the well-known kinds, as torch modules, and their ONNX files."""

import io
import warnings

import torch
from torch import nn


def conv(i, o, k=3, s=1, **config):
    """A convolution, a batch norm and a rectifier."""
    norm = nn.BatchNorm2d(o)
    return nn.Sequential(nn.Conv2d(i, o, k, s, k // 2, bias=False, **config), norm, nn.ReLU())


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.a, self.b = conv(3, 8, 5, 2), conv(8, 8), nn.Conv2d(8, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, x):
        x = self.pool(self.stem(x))
        return self.head(torch.relu(x + self.b(self.a(x))).mean((2, 3)))


class Inverted(nn.Module):
    """MobileNet's inverted residual, EfficientNet's squeeze and excitation."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.Hardswish())
        self.wide = nn.Sequential(nn.Conv2d(8, 24, 1), nn.BatchNorm2d(24), nn.ReLU6())
        self.deep = nn.Sequential(
            nn.Conv2d(24, 24, 5, 1, 2, groups=24), nn.BatchNorm2d(24), nn.SiLU()
        )
        self.squeeze = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(24, 6, 1), nn.SiLU(), nn.Conv2d(6, 24, 1)
        )
        self.thin = nn.Conv2d(24, 8, 1)
        self.head = nn.Linear(8, 4)

    def forward(self, x):
        x = self.stem(x)
        y = self.deep(self.wide(x))
        y = x + self.thin(y * torch.sigmoid(self.squeeze(y)))
        return torch.softmax(self.head(nn.functional.adaptive_avg_pool2d(y, 1).flatten(1)), 1)


class Dense(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.BatchNorm2d(c), nn.ReLU(), nn.Conv2d(c, 4, 3, padding=1))
            for c in (3, 7, 11)
        )
        self.end = nn.Sequential(nn.BatchNorm2d(15), nn.AvgPool2d(2), nn.Conv2d(15, 3, 1))

    def forward(self, x):
        for layer in self.layers:
            x = torch.cat([x, layer(x)], 1)
        return self.end(x)


class ConvNext(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.deep = nn.Conv2d(3, 8, 4, 4), nn.Conv2d(8, 8, 7, padding=3, groups=8)
        self.norm, self.a, self.b = nn.LayerNorm(8), nn.Linear(8, 32), nn.Linear(32, 8)
        self.scale = nn.Parameter(torch.full((8,), 0.5))

    def forward(self, x):
        x = self.stem(x)
        y = self.b(nn.functional.gelu(self.a(self.norm(self.deep(x).permute(0, 2, 3, 1)))))
        return x + (self.scale * y).permute(0, 3, 1, 2)


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = conv(3, 6), conv(6, 12), conv(18, 6)
        self.up, self.out = nn.ConvTranspose2d(12, 12, 2, 2), nn.Conv2d(6, 2, 1)
        self.wide = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)

    def forward(self, x):
        a = self.a(x)
        b = self.b(nn.functional.max_pool2d(a, 2))
        y = self.c(torch.cat([self.up(b), a], 1))
        return self.out(y) + self.wide(self.wide(nn.functional.avg_pool2d(b, 2)))[:, :2]


class Detector(nn.Module):
    """A head like YOLO's: anchors, sigmoids, a grid, two scales side by side."""

    def __init__(self):
        super().__init__()
        self.a, self.b = conv(3, 8, s=2), conv(8, 16, s=2)
        self.fine, self.coarse = nn.Conv2d(24, 14, 1), nn.Conv2d(16, 14, 1)

    def forward(self, x):
        a = self.a(x)
        b = self.b(a)
        up = nn.functional.interpolate(b, scale_factor=2, mode="nearest")
        found = []
        for y, stride in ((self.fine(torch.cat([up, a], 1)), 2), (self.coarse(b), 4)):
            n, _, h, w = y.shape
            y = y.view(n, 2, 7, h, w).permute(0, 1, 3, 4, 2).sigmoid()
            rows, columns = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
            centre = (y[..., :2] * 2 - 0.5 + torch.stack((columns, rows), -1)) * stride
            size = (y[..., 2:4] * 2) ** 2 * 8
            found.append(torch.cat((centre, size, y[..., 4:]), -1).view(n, -1, 7))
        return torch.cat(found, 1)


class Shuffled(nn.Module):
    """Halves of the channels, and ShuffleNet's exchange between them."""

    def __init__(self):
        super().__init__()
        self.stem, self.a = conv(3, 8, s=2), conv(4, 4)

    def forward(self, x):
        a, b = self.stem(x).chunk(2, 1)
        y = torch.cat([a, self.a(b)], 1)
        n, c, h, w = y.shape
        return y.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


def networks():
    """Return the modules by name, each with the shape of its input."""
    return {
        "residual": (Residual(), (2, 3, 24, 20)),
        "inverted": (Inverted(), (2, 3, 17, 16)),
        "dense": (Dense(), (2, 3, 8, 10)),
        "convnext": (ConvNext(), (1, 3, 16, 16)),
        "unet": (UNet(), (1, 3, 16, 12)),
        "detector": (Detector(), (1, 3, 16, 16)),
        "shuffled": (Shuffled(), (2, 3, 8, 8)),
        "super-resolution": (
            nn.Sequential(nn.Conv2d(1, 8, 5, padding=2), nn.Tanh(), nn.Conv2d(8, 9, 3, padding=1), nn.PixelShuffle(3)),
            (1, 1, 8, 7),
        ),
        "audio": (
            nn.Sequential(
                nn.Conv1d(1, 8, 9, 4, 4), nn.BatchNorm1d(8), nn.LeakyReLU(0.1), nn.MaxPool1d(4),
                nn.Conv1d(8, 8, 5, 2, dilation=2), nn.GroupNorm(4, 8), nn.ELU(), nn.AdaptiveAvgPool1d(1),
                nn.Flatten(), nn.Linear(8, 4), nn.LogSoftmax(1),
            ),
            (2, 1, 200),
        ),
        "volume": (
            nn.Sequential(
                nn.Conv3d(1, 4, 3, padding=1, bias=False), nn.InstanceNorm3d(4, affine=True), nn.PReLU(4),
                nn.MaxPool3d(2), nn.Conv3d(4, 8, 3, 2, 1, groups=2), nn.Softplus(), nn.ConvTranspose3d(8, 2, 2, 2),
                nn.AvgPool3d(2), nn.Flatten(), nn.Linear(16, 3),
            ),
            (1, 1, 8, 8, 8),
        ),
    }  # fmt: skip


def network(name):
    """Return one module with weights and statistics of one seed, in evaluation mode, and its input."""
    torch.manual_seed(0)
    module, shape = networks()[name]
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.2)
    return module.eval(), torch.randn(shape)


def exported(module, x, **config):
    """Return the module as the bytes of an ONNX file, its parameters by their own names."""
    file = io.BytesIO()
    settings = {"do_constant_folding": False, "training": torch.onnx.TrainingMode.PRESERVE}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module, (x,), file, dynamo=False, opset_version=20, **settings | config)
    return file.getvalue()

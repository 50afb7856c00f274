"""The command ``arrayconv run``: running an ONNX network on a photograph."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import arrayconv as ac
from arrayconv.cli.commands import chosen_backends
from arrayconv.demo import read_image
from arrayconv.demo.images import ImageError, writing
from arrayconv.demo.picture import check_picture

if TYPE_CHECKING:
    from arrayconv.onnx import Net

RUN = """\
Runs a network from an ONNX file on a photograph, which is resized to the network's input. Its
values in [0, 1] are multiplied by --scale, --mean is subtracted, and the result is divided by
--std. Prints the most probable classes if the output has one score per class, otherwise the shapes
of the outputs.

--explain draws which parts of the photograph the highest score depends on: its gradient with
respect to the pixels, and a Grad-CAM heat map of the last convolution."""

EXAMPLES = """\
examples:
  arrayconv run net.onnx photo.jpg --labels classes.txt
  arrayconv run net.onnx photo.jpg --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225
  arrayconv run net.onnx photo.jpg --explain why.png
  arrayconv run net.onnx photo.jpg --scale 255 --backend torch-cpu"""

FREE = 224
"""Height and width in pixels if the file leaves them free and --size is not given."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Declare the arguments of `run`."""
    command.add_argument("net", metavar="NET", help="the ONNX file")
    command.add_argument("image", metavar="IMAGE", help="the image file")
    command.add_argument("--labels", metavar="FILE", help="the names of the classes, one per line")
    command.add_argument(
        "--top", type=int, default=5, metavar="N", help="classes to print (default: %(default)s)"
    )
    command.add_argument(
        "--size",
        type=_numbers,
        metavar="H[,W]",
        help=f"height and width in pixels, if the file leaves them free (default: {FREE})",
    )
    command.add_argument(
        "--scale",
        type=float,
        default=1.0,
        metavar="X",
        help="the value of white, before --mean is subtracted (default: %(default)s)",
    )
    for name, meaning in (
        ("mean", "subtracted from each channel"),
        ("std", "divides each channel"),
    ):
        command.add_argument(f"--{name}", type=_numbers, metavar="X[,X,X]", help=meaning)
    command.add_argument("--explain", metavar="FILE", help="draw what the highest score depends on")
    command.add_argument(
        "--backend",
        default="numpy",
        metavar="NAME",
        help="the array library to run on (default: %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Run the network on the photograph, print the results, and draw the explanation."""
    try:
        from arrayconv import onnx
    except ImportError as error:
        raise ValueError(str(error)) from None
    if args.explain is not None:
        check_picture(args.explain)
    labels = None if args.labels is None else _labels(args.labels)
    if args.top < 1:
        raise ValueError(f"--top must be at least 1, got {args.top}")
    try:
        net = onnx.load(args.net)
    except OSError as error:
        raise ValueError(f"{error}") from None
    (backend,) = chosen_backends([args.backend])[:1]
    net = net.to(backend.name)
    image = read_image(args.image)
    x, shown = prepared(net, image, args.size, args.scale, args.mean, args.std)
    found = net(x)
    ys = [ac.to_numpy(y) for y in (found if isinstance(found, tuple) else (found,))]
    print(f"{Path(args.net).name} on {backend.library}, {backend.device}: {args.image}, {x.shape}")
    best = _report(net, ys, labels, args.top)
    if args.explain is not None:
        _draw(
            args.explain,
            net,
            x,
            shown,
            best,
            _name(labels, best) if _classes(ys) else f"output {best}",
        )
        print(f"picture: {args.explain}")
    return 0


def prepared(
    net: Net,
    image: NDArray[np.float32],
    size: Sequence[float] | None = None,
    scale: float = 1.0,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A photograph as the network's input, and the same as an image (H, W, C) in [0, 1].

    Raises
    ------
    ValueError
        If the network does not take a single image, or size, mean or std do not fit.
    """
    from arrayconv.onnx.explaining import channel_axis
    from arrayconv.onnx.operators.resizing import resize

    spec, *others = net.inputs
    if others or spec.shape is None or len(spec.shape) != 4:
        raise ValueError(
            f"run takes networks of one image (N, C, H, W) or (N, H, W, C), this is {net!r}"
        )
    last = channel_axis(net) == 3
    channels = spec.shape[3 if last else 1]
    wanted = spec.shape[1:3] if last else spec.shape[2:]
    given = tuple(int(n) for n in size or (FREE,))
    given = given * 2 if len(given) == 1 else given
    if len(given) != 2 or min(given) < 1:
        raise ValueError(f"--size takes one number or two, at least 1, got {size}")
    sizes = tuple(n if isinstance(n, int) else g for n, g in zip(wanted, given, strict=True))
    if channels == 1:
        # ITU-R BT.601: the weights of the colours in greyscale
        image = (image @ np.asarray([[0.299], [0.587], [0.114]], np.float32)).astype(np.float32)
    shown = resize(
        image[None], None, None, (1, *sizes, image.shape[-1]), mode="linear", antialias=1
    )
    x = shown * np.float32(scale)
    for name, values, op in (("mean", mean, np.subtract), ("std", std, np.divide)):
        if values is None:
            continue
        if len(values) not in (1, x.shape[-1]) or (name == "std" and 0 in values):
            raise ValueError(
                f"--{name} takes one number or {x.shape[-1]}, not 0 for std, got {values}"
            )
        x = op(x, np.asarray(values, np.float32))
    x = x if last else np.ascontiguousarray(np.moveaxis(x, -1, 1))
    return x.astype(np.float32), shown[0]


def _classes(ys: list[NDArray[Any]]) -> bool:
    return len(ys) == 1 and ys[0].size == max(ys[0].shape, default=0) > 1


def _report(net: Net, ys: list[NDArray[Any]], labels: list[str] | None, top: int) -> int:
    """Print the most probable classes, or the shapes of the outputs; return the index of the highest score."""
    best = int(np.argmax(ys[0]))
    if not _classes(ys):
        for spec, y in zip(net.outputs, ys, strict=True):
            print(f"{spec.name}: {y.dtype} {y.shape}, from {y.min():.4g} to {y.max():.4g}")
        return best
    scores = ys[0].reshape(-1).astype(np.float64)
    known = scores.min() >= 0 and abs(scores.sum() - 1) < 1e-3
    shares = scores if known else ac.softmax(scores)
    for place in np.argsort(-shares, kind="stable")[:top]:
        print(f"{shares[place]:7.2%}  {_name(labels, int(place))}")
    return best


def _name(labels: list[str] | None, place: int) -> str:
    return labels[place] if labels is not None and place < len(labels) else f"class {place}"


def _labels(path: str | os.PathLike[str]) -> list[str]:
    try:
        return [line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"--labels {path}: it cannot be read ({error})") from None


def _draw(
    path: str, net: Net, x: NDArray[Any], shown: NDArray[Any], target: int, name: str
) -> None:
    """Draw the photograph, the saliency map, and the Grad-CAM map over the photograph."""
    try:
        import matplotlib.backends.backend_agg
        import matplotlib.figure
    except ImportError as error:
        raise ImageError('drawing needs Matplotlib: pip install "arrayconv[plot]"') from error
    from arrayconv.onnx import class_activation, saliency

    amount = saliency(net, x, target)
    maps = class_activation(net, x, target)
    panels = 2 if maps is None else 3
    figure = matplotlib.figure.Figure(figsize=(4.6 * panels, 4.9), layout="constrained")
    matplotlib.backends.backend_agg.FigureCanvasAgg(figure)
    figure.suptitle(f"What the score of {name} depends on", fontsize=15)
    axes = figure.subplots(1, panels)
    grey = {"cmap": "gray", "vmin": 0, "vmax": 1} if shown.shape[-1] == 1 else {}
    axes[0].imshow(shown, **grey)
    axes[0].set_title("the photograph at the network's input size")
    # a few extreme pixels would leave all others pale
    limit = float(np.quantile(amount, 0.995)) or 1.0
    drawn = axes[1].imshow(amount, cmap="cividis", vmin=0, vmax=limit)
    axes[1].set_title("how much each pixel changes the score")
    figure.colorbar(drawn, ax=axes[1], shrink=0.8, extend="max", label="absolute gradient")
    if maps is not None:
        axes[2].imshow(np.repeat(shown.mean(-1, keepdims=True), 3, -1))
        drawn = axes[2].imshow(maps, cmap="cividis", alpha=0.65, vmin=0, vmax=1)
        axes[2].set_title("regions that raise the score (Grad-CAM)")
        figure.colorbar(drawn, ax=axes[2], shrink=0.8, label="relative to the maximum")
    for one in axes:
        one.set(xticks=[], yticks=[])
    with writing(path) as draft:
        figure.savefig(draft, dpi=110, facecolor="white")


def _numbers(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected numbers such as 0.485,0.456,0.406, got {text!r}"
        ) from None

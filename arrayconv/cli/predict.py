"""The command ``arrayconv predict``."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv import models
from arrayconv.cli import results
from arrayconv.cli.commands import table
from arrayconv.data.folder import resized

PREDICT = """\
Prints the most probable class of each image and its probability. MODEL is the folder that
`arrayconv train` wrote, or the file of weights in it.

Images are resized to the input of the network, without keeping their proportions, and scaled to
[0, 1]; a network with one input channel gets them in greyscale. They should look like the training
images: a network trained on white digits on black does not recognize dark digits on white."""

EXAMPLES = """\
examples:
  arrayconv train --data photos/ --out signs
  arrayconv predict signs new/*.jpg"""

# ITU-R BT.601, as Pillow converts colours to grey.
GREY = (0.299, 0.587, 0.114)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `predict`."""
    parser.add_argument("model", metavar="MODEL", help="what `arrayconv train` wrote")
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="image files")


def predict(args: argparse.Namespace) -> int:
    """Print the most probable class of each image."""
    model, classes = results.read(args.model)
    shape, outputs = _shapes(args.model, model)
    count = max(outputs, 2)
    if classes and len(classes) != count:
        raise ValueError(
            f"{args.model}: {len(classes)} names for the {count} classes of the network; they must match"
        )
    dtype = model.get_weights()[0].dtype
    # all are read first, so that a damaged image stops the command before it prints anything
    images = [_image(path, shape).astype(dtype) for path in args.images]
    rows = []
    for path, image in zip(args.images, images, strict=True):
        y = np.asarray(model.predict(image[np.newaxis]))[0]
        if outputs == 1:
            y = np.asarray((1 - y[0], y[0]))
        if np.any(y < 0) or abs(float(np.sum(y)) - 1) > 1e-2:
            raise ValueError(f"{args.model}: its outputs are not probabilities of classes")
        best = int(np.argmax(y))
        rows.append((path, classes[best] if classes else str(best), f"{y[best]:.1%}"))
    print(table(("image", "class", "probability"), rows, left=2))
    return 0


def _shapes(name: str, model: models.Model) -> tuple[tuple[int, ...], int]:
    """The shape of the image that a network takes, and the number of its outputs."""
    if len(model.inputs) == len(model.outputs) == 1:
        shape, answer = model.inputs[0].sample, model.outputs[0].sample
        if len(shape) == 3 and shape[2] in (1, 3) and len(answer) == 1 and None not in shape:
            return shape, answer[0]
    raise ValueError(f"{name}: this is not a network that takes one image and returns class scores")


def _image(path: str, shape: tuple[int, ...]) -> NDArray[Any]:
    """An image file as an array of shape (H, W, C) in [0, 1]."""
    image = resized(Path(path), shape[:2]) / 255
    return image if shape[2] == 3 else (image @ np.asarray(GREY))[..., np.newaxis]

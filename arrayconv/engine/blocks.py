"""Work in blocks: some images and some rows of the output at a time."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from arrayconv.window import Window


class Block(NamedTuple):
    """A part of the work: images, the input rows it reads, the output rows it is about, and the window over it."""

    images: slice
    cells: slice
    rows: slice
    window: Window


Blocks: TypeAlias = tuple[tuple[Block, ...], ...]


def fit(window: Window, batch: int, per_image: int, budget: int) -> tuple[int, int]:
    """How many images, and where not one fits how many rows of an image, go into a block of ``budget`` bytes."""
    height = window.output[0]
    images = max(1, min(batch, budget // max(1, per_image)))
    lines = height if per_image <= budget else max(1, height * budget // per_image)
    return images, lines


def grid(window: Window, batch: int, images: int, lines: int) -> Blocks:
    """The blocks, one tuple per block of images, each with its blocks of rows; as even as they come."""
    height = window.output[0]
    images = -(-batch // -(-batch // images)) if batch else 1
    lines = -(-height // -(-height // lines))
    pieces = [(slice(0, height), slice(0, window.size[0]), window)]
    if lines < height:
        spans = [(a, min(a + lines, height)) for a in range(0, height, lines)]
        pieces = [(slice(a, b), *window.rows(a, b)) for a, b in spans]
    return tuple(
        tuple(
            Block(slice(start, min(start + images, batch)), cells, out, part)
            for out, cells, part in pieces
        )
        for start in range(0, max(1, batch), images)
    )

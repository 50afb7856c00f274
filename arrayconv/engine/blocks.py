"""Work in blocks: some images and some rows of the output at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from arrayconv.window import Window


class Block(NamedTuple):
    """A part of the work: images, the input rows it reads, the output rows it is about, and the window over it."""

    images: slice
    cells: slice
    rows: slice
    window: Window


@dataclass(frozen=True)
class Blocks:
    """A grid of blocks: some images at a time, and of each the same pieces of rows.

    Attributes
    ----------
    batch, images : int
        Images in all, and in a block.
    pieces : tuple of (slice, slice, Window)
        Input rows, output rows, and the window over them.
    """

    batch: int
    images: int
    pieces: tuple[tuple[slice, slice, Window], ...]

    def __len__(self) -> int:
        return -(-self.batch // self.images) * len(self.pieces)

    def __iter__(self) -> Iterator[Block]:
        for row in self.by_images():
            yield from row

    def by_images(self) -> Iterator[tuple[Block, ...]]:
        """The blocks of one span of images after the other."""
        for start in range(0, self.batch, self.images):
            span = slice(start, min(start + self.images, self.batch))
            yield tuple(Block(span, *piece) for piece in self.pieces)


def fit(window: Window, batch: int, per_image: int, budget: int) -> tuple[int, int]:
    """How many images, and where not one fits how many rows of an image, go into a block of ``budget`` bytes."""
    height = window.output[0]
    images = max(1, min(batch, budget // max(1, per_image)))
    lines = height if per_image <= budget else max(1, height * budget // per_image)
    return images, lines


def whole(window: Window, batch: int) -> Block:
    """All the work as one block, an empty batch included."""
    return Block(slice(0, batch), slice(0, window.size[0]), slice(0, window.output[0]), window)


def grid(window: Window, batch: int, images: int, lines: int, step: int = 1) -> Blocks:
    """Blocks of about so many images and rows, as even as they come; many rows in multiples of ``step``."""
    height = window.output[0]
    images = -(-batch // -(-batch // images)) if batch else 1
    if step <= lines < height:
        lines -= lines % step
    lines = -(-height // -(-height // lines))
    if step <= lines < height:
        lines += -lines % step
    if lines >= height:
        return Blocks(batch, images, ((slice(0, window.size[0]), slice(0, height), window),))
    spans = [(a, min(a + lines, height)) for a in range(0, height, lines)]
    pieces = tuple(
        (cells, slice(a, b), part) for a, b in spans for cells, part in [window.rows(a, b)]
    )
    return Blocks(batch, images, pieces)

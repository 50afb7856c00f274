"""Work in blocks: some images and some rows of the output at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
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
    """A grid of blocks: some images at a time, and of each the same rows.

    Attributes
    ----------
    window : Window
        The windows of all the work.
    batch, images : int
        Images in all, and in a block.
    lines : int
        Rows of windows in a block.
    divisible : bool
        Whether images may be cut apart; where not, ``batch`` may be a guess.
    """

    window: Window
    batch: int
    images: int
    lines: int
    divisible: bool = True

    @property
    def spans(self) -> int:
        """Into how many parts the images are cut."""
        return -(-self.batch // self.images) if self.divisible else 1

    @property
    def pieces(self) -> int:
        """Into how many parts the rows are cut."""
        return -(-self.window.output[0] // self.lines)

    def __len__(self) -> int:
        return self.spans * self.pieces

    def __iter__(self) -> Iterator[Block]:
        for row in self.by_images():
            yield from row

    def by_images(self) -> Iterator[list[Block]]:
        """The blocks of one span of images after the other."""
        for start in range(0, self.spans * self.images, self.images):
            images = slice(start, min(start + self.images, self.batch))
            yield list(self.by_rows(images if self.divisible else slice(None)))

    def by_rows(self, images: slice) -> Iterator[Block]:
        """The blocks of some images, from the first row to the last."""
        height = self.window.output[0]
        if self.lines >= height:
            yield Block(images, slice(0, self.window.size[0]), slice(0, height), self.window)
            return
        for first in range(0, height, self.lines):
            stop = min(first + self.lines, height)
            cells, part = _rows(self.window, first, stop)
            yield Block(images, cells, slice(first, stop), part)


@lru_cache(maxsize=256)
def _rows(window: Window, first: int, stop: int) -> tuple[slice, Window]:
    return window.rows(first, stop)


def fit(window: Window, batch: int, per_image: int, budget: int) -> tuple[int, int]:
    """How many images, and where not one fits how many rows of an image, go into a block of ``budget`` bytes."""
    height = window.output[0]
    images = max(1, min(batch, budget // max(1, per_image)))
    lines = height if per_image <= budget else max(1, height * budget // per_image)
    return images, lines


def whole(window: Window, batch: int) -> Block:
    """All the work as one block, an empty batch included."""
    return Block(slice(0, batch), slice(0, window.size[0]), slice(0, window.output[0]), window)


def grid(
    window: Window, batch: int, images: int, lines: int, step: int = 1, *, divisible: bool = True
) -> Blocks:
    """Blocks of about so many images and rows, as even as they come; many rows in multiples of ``step``."""
    height = window.output[0]
    images = -(-batch // -(-batch // images)) if batch else 1
    if step <= lines < height:
        lines -= lines % step
    lines = -(-height // -(-height // lines))
    if step <= lines < height:
        lines += -lines % step
    return Blocks(window, batch, images, min(lines, height), divisible)

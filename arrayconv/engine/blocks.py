"""Work in blocks: some images and some rows of the output at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import NamedTuple

from arrayconv.window import Window


class Block(NamedTuple):
    """A part of the work: some images, some rows of the output, the rows of the input that these read, their window."""

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

    def by_images(self) -> Iterator[Iterator[Block]]:
        """The blocks of one span of images after the other."""
        for start in range(0, self.spans * self.images, self.images):
            images = slice(start, min(start + self.images, self.batch))
            yield self.by_rows(images if self.divisible else slice(None))

    def by_rows(self, images: slice) -> Iterator[Block]:
        """The blocks of some images, from the first row to the last."""
        height = self.window.output[0]
        if self.lines >= height:
            yield Block(images, slice(0, self.window.size[0]), slice(0, height), self.window)
            return
        for first in range(0, height, self.lines):
            stop = min(first + self.lines, height)
            cells, part = self.window.rows(first, stop)
            yield Block(images, cells, slice(first, stop), _shared(part))


@lru_cache(maxsize=256)
def _shared(window: Window) -> Window:
    """One object for all blocks with such a window, since it keeps what it works out."""
    return window


def fit(window: Window, batch: int, cost: Callable[[Window], int], budget: int) -> tuple[int, int]:
    """How many images go into a block of ``budget`` bytes and, where not even one does, how many of its rows.

    ``cost`` gives the bytes of one image, or of a part of its rows.
    """
    height = window.output[0]
    one = cost(window)
    if one <= budget or height == 1:
        return max(1, min(batch, budget // max(1, one))), height
    # rows share what lies between them, so the first costs more than the others
    first, two = (cost(largest(window, lines)) for lines in (1, 2))
    return 1, max(1, min(height - 1, 1 + (budget - first) // max(1, two - first)))


def largest(window: Window, lines: int) -> Window:
    """The windows of a block of so many rows in the midst of an image, or of all its rows."""
    if lines == window.output[0]:
        return window
    padded = (lines - 1) * window.stride[0] + window.extent[0]
    return replace(
        window,
        size=(padded, *window.size[1:]),
        padding=((0, 0), *window.padding[1:]),
        output=(lines, *window.output[1:]),
    )


def whole(window: Window) -> Block:
    """All the work as one block, an empty batch included."""
    return Block(slice(None), slice(0, window.size[0]), slice(0, window.output[0]), window)


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

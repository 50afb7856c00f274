"""A photograph through padding, a filter bank, ReLU and max pooling, and back, on every library here.

`run` computes one `Row` per library, device and dtype; `picture.draw` shows what was computed;
`images` reads and writes the files.
"""

from __future__ import annotations

from arrayconv.demo.images import ImageError, photograph, read_image, write_image
from arrayconv.demo.pipeline import Network, Row, measure, prepare, run

__all__ = [
    "ImageError",
    "Network",
    "Row",
    "measure",
    "photograph",
    "prepare",
    "read_image",
    "run",
    "write_image",
]

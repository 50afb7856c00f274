"""The geometry of a window that slides over spatial axes: every size and every geometry error.

Plain integers only; no array is touched here.
"""

from arrayconv.window.arguments import (
    NAMED_PADDINGS,
    Ints,
    Padding,
    Pairs,
    known_size,
    pad_pairs,
    per_axis,
)
from arrayconv.window.extension import Run, extension
from arrayconv.window.geometry import Phase, Window
from arrayconv.window.sizes import bins, counts, sliding, transposed

__all__ = [
    "NAMED_PADDINGS",
    "Ints",
    "Padding",
    "Pairs",
    "Phase",
    "Run",
    "Window",
    "bins",
    "counts",
    "extension",
    "known_size",
    "pad_pairs",
    "per_axis",
    "sliding",
    "transposed",
]

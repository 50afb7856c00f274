"""What the notebooks draw with, and how their exercises are checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.namespace import to_numpy

# Both maps read the same to colour-blind eyes: one for signed values, one for amounts.
SIGNED, AMOUNT = "PuOr", "cividis"
# Okabe and Ito's palette, which colour-blind readers tell apart.
BLUE, ORANGE, GREEN, PURPLE, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00"


def style() -> None:
    """Give matplotlib the look of the notebooks."""
    import matplotlib.pyplot as plt

    plt.rcParams.update(
        {
            "axes.grid": False,
            "axes.prop_cycle": plt.cycler(color=[BLUE, ORANGE, GREEN, PURPLE, RED]),
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlesize": 11,
            "figure.constrained_layout.use": True,
            "figure.dpi": 80,
            "font.size": 10,
            "image.cmap": AMOUNT,
            "image.interpolation": "nearest",
        }
    )


def matrix(
    axes: Any, values: Any, title: str, *, mark: NDArray[np.bool_] | None = None, form: str = "{:g}"
) -> None:
    """Draw a matrix as cells with their numbers; ``mark`` is a boolean matrix of cells to frame."""
    import matplotlib.pyplot as plt

    values = np.asarray(values)
    rows, columns = values.shape
    limit = max(float(np.abs(values).max()), 1e-12)
    axes.imshow(values, cmap=SIGNED, vmin=-2 * limit, vmax=2 * limit)
    for row, column in np.ndindex(rows, columns):
        axes.text(column, row, form.format(values[row, column]), ha="center", va="center")
        if mark is not None and mark[row, column]:
            frame = plt.Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, lw=2)
            axes.add_patch(frame)
    _bare(axes, title)


def picture(axes: Any, values: Any, title: str, **options: Any) -> None:
    """Draw an image without ticks."""
    axes.imshow(values, **options)
    _bare(axes, title)


def volume(axes: Any, values: Any, title: str, *, limit: float | None = None) -> None:
    """Draw ``(rows, columns, channels)`` as one sheet a channel, the first in front."""
    import matplotlib.pyplot as plt

    values = np.asarray(values)
    rows, columns, channels = values.shape
    limit = limit or max(float(np.abs(values).max()), 1e-12)
    step = 0.28 * max(rows, columns)
    for channel in reversed(range(channels)):
        left, low = channel * step, channel * step
        extent = (left, left + columns, low, low + rows)
        axes.imshow(
            values[:, :, channel],
            extent=extent,
            cmap=SIGNED,
            vmin=-limit,
            vmax=limit,
            zorder=-channel,
        )
        frame = plt.Rectangle((left, low), columns, rows, fill=False, lw=1, zorder=0.5 - channel)
        axes.add_patch(frame)
    room = (channels - 1) * step + 0.2
    axes.set(xlim=(-0.2, columns + room), ylim=(-0.2, rows + room), aspect="equal")
    _bare(axes, title)


def _bare(axes: Any, title: str) -> None:
    axes.set(xticks=[], yticks=[], title=title)
    axes.spines[:].set_visible(False)


def check(answer: Any, want: Any, *, through: Callable[[Any], Any] | None = None) -> None:
    """Print whether an exercise's answer is right.

    Parameters
    ----------
    answer : number, array, or what ``through`` takes
        ``...`` and ``None`` are no answer yet.
    want : number or array
        Compared up to rounding, and in shape.
    through : callable, optional
        Computes from the answer what is compared; what it raises is shown.

    Examples
    --------
    >>> from arrayconv.lessons import check
    >>> check(..., 3)
    Not answered yet: write your answer in place of the dots, and run this cell again.
    >>> check((7 - 3) // 2 + 1, 3)
    Right.
    >>> check(4, 3)
    Not yet: the shape fits, the numbers do not.
    >>> check([3, 3], 3)
    Not yet: it has the shape (2,), and the answer has ().
    >>> check(-1, 3, through=lambda n: [3][n + 9])
    Not yet: IndexError: list index out of range
    """
    if answer is ... or answer is None:
        print("Not answered yet: write your answer in place of the dots, and run this cell again.")
        return
    try:
        found, target = _array(through(answer) if through else answer), _array(want)
    except Exception as error:
        print(f"Not yet: {type(error).__name__}: {error}")
        return
    if found.shape != target.shape:
        print(f"Not yet: it has the shape {found.shape}, and the answer has {target.shape}.")
    elif np.allclose(found, target, rtol=1e-4, atol=1e-5):
        print("Right.")
    else:
        print("Not yet: the shape fits, the numbers do not.")


def _array(values: Any) -> NDArray[Any]:
    return np.asarray(to_numpy(values) if hasattr(values, "shape") else values)

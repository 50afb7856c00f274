"""The look of the notebooks: one style, colour-blind safe maps, and matrices drawn with their numbers."""

import matplotlib.pyplot as plt
import numpy as np

# Both maps read the same to colour-blind eyes: one for signed values, one for amounts.
SIGNED, AMOUNT = "PuOr", "cividis"
# Okabe and Ito's palette, which colour-blind readers tell apart.
BLUE, ORANGE, GREEN, PURPLE, RED = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00"

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


def matrix(axes, values, title, *, mark=None, form="{:g}"):
    """Draw a matrix as cells with their numbers; ``mark`` is a boolean matrix of cells to frame."""
    values = np.asarray(values)
    rows, columns = values.shape
    limit = max(float(np.abs(values).max()), 1e-12)
    axes.imshow(values, cmap=SIGNED, vmin=-2 * limit, vmax=2 * limit)
    for row, column in np.ndindex(rows, columns):
        axes.text(column, row, form.format(values[row, column]), ha="center", va="center")
        if mark is not None and mark[row, column]:
            frame = plt.Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, lw=2)
            axes.add_patch(frame)
    axes.set(xticks=[], yticks=[], title=title)
    axes.spines[:].set_visible(False)


def picture(axes, values, title, **options):
    """Draw an image without ticks."""
    axes.imshow(values, **options)
    axes.set(xticks=[], yticks=[], title=title)
    axes.spines[:].set_visible(False)

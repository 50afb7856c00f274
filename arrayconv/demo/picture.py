"""The picture of the demo: what went in, what came out of every step, and what came back."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.demo.images import ImageError, check_output, writing
from arrayconv.demo.pipeline import Network
from arrayconv.filters import KERNELS

# Both maps read the same to colour-blind eyes: one for signed values, one for amounts.
SIGNED, AMOUNT = "PuOr", "cividis"
INK = "#222222"


def _matplotlib() -> Any:
    try:
        import matplotlib.backends.backend_agg
        import matplotlib.figure
    except ImportError as error:
        raise ImageError('drawing needs Matplotlib: pip install "arrayconv[plot]"') from error
    return matplotlib


def check_picture(path: str | os.PathLike[str]) -> None:
    """Raise `ImageError` if the picture cannot be drawn or written there."""
    matplotlib = _matplotlib()
    canvas = matplotlib.backends.backend_agg.FigureCanvasAgg
    check_output(path, {f".{kind}" for kind in canvas.get_supported_filetypes()})


def draw(
    path: str | os.PathLike[str], network: Network, results: Mapping[str, NDArray[Any]]
) -> None:
    """Draw the input, the filters, the maps they make, the pooled maps and the gradient.

    Parameters
    ----------
    path : path
        Where to; the suffix names the format.
    network : Network
    results : dict of numpy.ndarray
        What `arrayconv.demo.measure` returns.

    Raises
    ------
    ImageError
        If Matplotlib is not installed or the file cannot be written.
    """
    matplotlib = _matplotlib()
    figure = matplotlib.figure.Figure(figsize=(16, 11.6), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
    matplotlib.backends.backend_agg.FigureCanvasAgg(figure)
    figure.suptitle(
        "One photograph through padding, convolution, ReLU and max pooling, and back",
        fontsize=18,
        color=INK,
    )
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.25, 1.5))
    _ends(top, network, results)
    _steps(bottom, network, results)
    with writing(path) as draft:
        figure.savefig(draft, dpi=110, facecolor="white")


def _bare(axes: Any) -> None:
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(color="#999999", linewidth=0.6)


def _ends(part: Any, network: Network, results: Mapping[str, NDArray[Any]]) -> None:
    """Draw the image, and the gradient with respect to it, signed and as an amount."""
    left, middle, right = part.subplots(1, 3)
    image = network.x[0]
    left.imshow(image)
    left.set_title(f"Input, {image.shape[1]} x {image.shape[0]} pixels", fontsize=13, color=INK)
    gradient = results["dx"][0].mean(axis=-1)
    # a few extreme pixels would leave all others pale
    limit = float(np.quantile(np.abs(gradient), 0.995)) or 1.0
    shown = middle.imshow(gradient, cmap=SIGNED, vmin=-limit, vmax=limit)
    middle.set_title("Gradient with respect to the image", fontsize=13, color=INK)
    part.colorbar(shown, ax=middle, shrink=0.85, extend="both", label="mean of the three channels")
    amount = np.abs(results["dx"][0]).max(axis=-1)
    limit = float(np.quantile(amount, 0.995)) or 1.0
    shown = right.imshow(amount, cmap=AMOUNT, vmin=0.0, vmax=limit)
    right.set_title("Size of the gradient", fontsize=13, color=INK)
    part.colorbar(shown, ax=right, shrink=0.85, extend="max", label="largest of the three channels")
    for axes in (left, middle, right):
        _bare(axes)


def _steps(part: Any, network: Network, results: Mapping[str, NDArray[Any]]) -> None:
    """Draw one column per filter: its kernel, its map, and the map rectified and pooled."""
    columns = network.w.shape[-1]
    grid = part.subplots(3, columns, height_ratios=(0.7, 1, 1))
    pooled = results["pooled"].shape
    rows = (
        "filter",
        "feature map\norange < 0 < violet",
        f"ReLU and pooled,\n{pooled[2]} x {pooled[1]}",
    )
    for axes, title in zip(grid[:, 0], rows, strict=True):
        axes.set_ylabel(title, fontsize=12, color=INK)
    for f, name in enumerate(KERNELS):
        kernel, maps, small = grid[:, f]
        weights = network.w[:, :, 0, f]
        limit = np.abs(weights).max()
        kernel.imshow(weights, cmap=SIGNED, vmin=-limit, vmax=limit)
        kernel.set_title(name, fontsize=13, color=INK)
        values = results["maps"][0, :, :, f]
        limit = float(np.quantile(np.abs(values), 0.998)) or 1.0
        maps.imshow(values, cmap=SIGNED, vmin=-limit, vmax=limit)
        maps.set_xlabel(f"\u00b1 {limit:.2g}", fontsize=10, color=INK)
        values = results["pooled"][0, :, :, f]
        limit = float(np.quantile(values, 0.998)) or 1.0
        small.imshow(values, cmap=AMOUNT, vmin=0.0, vmax=limit)
        small.set_xlabel(f"0 to {limit:.2g}", fontsize=10, color=INK)
        for axes in (kernel, maps, small):
            _bare(axes)

"""The history that ``fit`` returns: losses and metrics of every epoch, and a plot of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

# Okabe and Ito's blue and vermilion, which colour-blind readers tell apart
_BLUE, _VERMILION = "#0072B2", "#D55E00"


class History:
    """The losses and metrics of the completed epochs.

    Attributes
    ----------
    history : dict of str to list of float
        One value per epoch for ``"loss"`` and each metric, an array for a metric by class; and with the prefix
        ``val_`` for the validation data.
    epoch : list of int
        The numbers of the epochs, counted from 0.

    Examples
    --------
    >>> from arrayconv.models import History
    >>> history = History()
    >>> history.add(0, {"loss": 0.5})
    >>> history.history
    {'loss': [0.5]}
    """

    def __init__(self) -> None:
        # one append per epoch, so that an interruption cannot leave half an epoch
        self._epochs: list[tuple[int, dict[str, float]]] = []

    @property
    def epoch(self) -> list[int]:
        """The numbers of the epochs, counted from 0."""
        return [epoch for epoch, _ in self._epochs]

    @property
    def history(self) -> dict[str, list[float]]:
        """The values of every epoch by name."""
        names = dict.fromkeys(name for _, logs in self._epochs for name in logs)
        return {name: [logs[name] for _, logs in self._epochs if name in logs] for name in names}

    def add(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Append the losses and metrics of an epoch."""
        self._epochs.append((epoch, dict(logs)))

    def plot(self, path: str | Path | None = None) -> tuple[Any, ...]:
        """Plot the loss and each metric over the epochs, for training and validation data.

        Parameters
        ----------
        path : str or Path, optional
            Where to save the figure; the suffix chooses the format. A saved figure is closed.

        Returns
        -------
        tuple of matplotlib.axes.Axes
            One for the loss and one for each metric.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If there is no epoch to plot.
        """
        if not self.epoch:
            raise ValueError("History.plot: there is no epoch to plot yet; call fit first")
        try:
            import matplotlib.pyplot as plt
            from matplotlib.ticker import MaxNLocator
        except ImportError as error:
            raise ImportError(
                'History.plot: needs matplotlib: pip install "arrayconv[plot]"'
            ) from error
        history = self.history
        names = [name for name in history if not name.startswith("val_")]
        figure, grid = plt.subplots(
            1, len(names), figsize=(4.8 * len(names), 3.6), squeeze=False, layout="constrained"
        )
        looks = {"": ("training", "o-", _BLUE), "val_": ("validation", "s--", _VERMILION)}
        for axes, name in zip(grid[0], names, strict=True):
            for prefix, (label, style, colour) in looks.items():
                if (key := prefix + name) in history:
                    epochs = [epoch + 1 for epoch, logs in self._epochs if key in logs]
                    values = [np.mean(value) for value in history[key]]
                    axes.plot(epochs, values, style, color=colour, markersize=3, label=label)
            axes.set_xlabel("epoch")
            axes.set_ylabel(name.replace("_", " "))
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.grid(alpha=0.3)
            axes.legend()
        if path is not None:
            figure.savefig(path, dpi=150)
            plt.close(figure)
        return tuple(grid[0])

    def __repr__(self) -> str:
        last = ", ".join(
            f"{name}={np.mean(values[-1]):.4g}" for name, values in self.history.items()
        )
        epochs = f"{len(self.epoch)} epoch{'s' * (len(self.epoch) != 1)}"
        return f"History({epochs}{f', last: {last}' if last else ''})"

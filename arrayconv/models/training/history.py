"""What ``fit`` returns: the numbers of every epoch, and a picture of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

# Okabe and Ito's blue and vermilion, which colour-blind readers tell apart
_BLUE, _VERMILION = "#0072B2", "#D55E00"


class History:
    """The losses and metrics of the epochs done.

    Attributes
    ----------
    history : dict of str to list of float
        By name: ``"loss"``, the metrics, and each with ``val_`` before it for the validation data.
    epoch : list of int
        The epochs' numbers, from 0.

    Examples
    --------
    >>> from arrayconv.models import History
    >>> history = History()
    >>> history.add(0, {"loss": 0.5})
    >>> history.history
    {'loss': [0.5]}
    """

    def __init__(self) -> None:
        # one append per epoch, so that an interruption finds no half of one
        self._epochs: list[tuple[int, dict[str, float]]] = []

    @property
    def epoch(self) -> list[int]:
        """The epochs' numbers."""
        return [epoch for epoch, _ in self._epochs]

    @property
    def history(self) -> dict[str, list[float]]:
        """The numbers by name."""
        names = dict.fromkeys(name for _, logs in self._epochs for name in logs)
        return {name: [logs[name] for _, logs in self._epochs if name in logs] for name in names}

    def add(self, epoch: int, logs: Mapping[str, float]) -> None:
        """Append the numbers of an epoch."""
        self._epochs.append((epoch, dict(logs)))

    def plot(self, path: str | Path | None = None) -> tuple[Any, ...]:
        """Draw the loss and each metric over the epochs, training and validation (needs matplotlib).

        Parameters
        ----------
        path : str or Path, optional
            Where to save the picture; its ending chooses the format. A saved picture is closed.

        Returns
        -------
        tuple of matplotlib.axes.Axes
            One per picture, left to right.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If there is no epoch to draw.
        """
        if not self.epoch:
            raise ValueError("History.plot: there is no epoch to draw yet; call fit first")
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
                    axes.plot(epochs, history[key], style, color=colour, markersize=3, label=label)
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
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items())
        epochs = f"{len(self.epoch)} epoch{'s' * (len(self.epoch) != 1)}"
        return f"History({epochs}{f', last: {last}' if last else ''})"

"""The folder that `arrayconv train` writes and `arrayconv predict` reads."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from arrayconv import models
from arrayconv.data.files import check_writable, read_whole, text_limit
from arrayconv.data.rows import DataError
from arrayconv.demo.images import writing
from arrayconv.interrupt import undoing

WEIGHTS, TABLE, REPORT, CURVES, GRAPH = (
    "weights.safetensors",
    "history.csv",
    "history.json",
    "history.png",
    "model.png",
)
# Okabe and Ito's blue and vermilion, which colour-blind readers tell apart
_CURVES = (("training", "", "#0072B2", "o-"), ("test", "val_", "#D55E00", "s--"))


def check_folder(path: str, force: bool) -> Path:
    """The folder ``--out``, unless it cannot be written, or holds a training that ``--force`` does not give up."""
    folder = Path(path)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out {path}: it cannot be made a folder (a file has this name)")
    try:
        check_writable(folder.resolve())
    except OSError as error:
        raise ValueError(
            f"--out {path}: nothing can be written in {folder.resolve()} ({error.strerror})"
        ) from None
    there = [name for name in (WEIGHTS, TABLE, REPORT, CURVES, GRAPH) if (folder / name).exists()]
    if there and not force:
        raise ValueError(
            f"--out {path}: a training is there already ({', '.join(there)}); name another folder, or "
            "--force overwrites it"
        )
    return folder


def write(
    folder: Path, model: models.Model, history: models.History, report: dict[str, Any], title: str
) -> None:
    """Write weights, history and plots, each file whole or not at all; a folder made for nothing goes again."""
    made = [part for part in (folder, *folder.parents) if not part.exists()]
    with undoing(lambda: _drop_empty(made)):
        folder.mkdir(parents=True, exist_ok=True)
        model.save(folder / WEIGHTS)
        names = list(history.history)
        with (
            writing(folder / TABLE) as draft,
            draft.open("w", newline="", encoding="utf-8") as file,
        ):
            table = csv.writer(file)
            table.writerow(["epoch", *names])
            columns = (history.epoch, *(history.history[name] for name in names))
            table.writerows(zip(*columns, strict=True))
        with writing(folder / REPORT) as draft:
            text = json.dumps({**report, "history": history.history}, indent=2)
            draft.write_text(text + "\n", encoding="utf-8")
        with writing(folder / CURVES) as draft:
            _draw(draft, history, title)
        with writing(folder / GRAPH) as draft:
            models.plot_model(model, draft)


def _drop_empty(folders: Sequence[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _draw(path: Path, history: models.History, title: str) -> None:
    """Draw the loss and the accuracy of training and test images over the epochs."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    epochs = [epoch + 1 for epoch in history.epoch]
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for label, prefix, colour, style in _CURVES:
            values = history.history[prefix + name]
            axes.plot(epochs, values, style, color=colour, markersize=3, label=label)
        axes.set(xlabel="epoch", ylabel=name, xlim=(0.5, epochs[-1] + 0.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=150)


def read(path: str) -> tuple[models.Model, tuple[str, ...]]:
    """Load what `write` wrote, or any other file of `models.save`: the model, and the names of its classes if known.

    Raises
    ------
    OSError, ValueError
        If there is no such file or folder, or it is damaged.
    """
    place = Path(path)
    file = place / WEIGHTS if place.is_dir() else place
    if not file.exists():
        inside = f"no {WEIGHTS} in this folder" if place.is_dir() else "no such file or folder"
        raise DataError(f"{path}: there is {inside}; expected what `arrayconv train` has written")
    model = models.load(file)
    report = file.with_name(REPORT)
    if file.name != WEIGHTS or not report.exists():
        return model, ()
    content = read_whole(report)
    try:
        if len(content) > text_limit(0):
            raise ValueError(f"it has {len(content)} bytes")
        classes = json.loads(content)["classes"]
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            raise ValueError("classes must be a list of names")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{report}: this is no report of a training ({error})") from None
    return model, tuple(classes)

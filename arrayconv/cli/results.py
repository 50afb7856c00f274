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
_NUMBERS = ("loss", "accuracy", "val_loss", "val_accuracy")
# Okabe and Ito's blue and vermilion, which colour-blind readers tell apart
_CURVES = (("training", "", "#0072B2", "o-"), ("test", "val_", "#D55E00", "s--"))


def check_folder(path: str, force: bool) -> Path:
    """Return the folder ``--out``; raise if it cannot be written, or has results and ``--force`` was not given."""
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
    """Write weights, history and plots, each file completely or not at all.

    If writing fails, folders that were made for it and are still empty are removed.
    """
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
    """Plot the loss and the accuracy of training and test images over the epochs."""
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
    """Load a model that `write` or `models.save` wrote; return it with the names of its classes, empty if unknown.

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
        raise DataError(f"{report}: this is not a report of `arrayconv train` ({error})") from None
    return model, tuple(classes)


def read_report(path: str) -> dict[str, Any]:
    """Read the report that `write` wrote to a folder: what is needed to resume the training.

    Raises
    ------
    ValueError
        If there is none, or it is damaged.
    """
    file = Path(path) / REPORT
    try:
        content = read_whole(file)
        if len(content) > text_limit(0):
            raise ValueError(f"it has {len(content)} bytes")
        report = json.loads(content)
        for name, least in (("seed", 0), ("batch_size", 1), ("epochs", 1)):
            if type(report[name]) is not int or report[name] < least:
                raise ValueError(f"{name} is {report[name]!r}")
        if report["dtype"] not in ("float32", "float64"):
            raise ValueError(f"dtype is {report['dtype']!r}")
        history = {name: list(map(float, report["history"][name])) for name in _NUMBERS}
        if len({len(values) for values in history.values()}) != 1:
            raise ValueError("its columns have different numbers of epochs")
        return {
            **{name: report[name] for name in ("seed", "batch_size", "epochs", "dtype")},
            "model": str(report["model"]),
            "learning_rate": float(report["learning_rate"]),
            "history": history,
        }
    except (OSError, LookupError, TypeError, ValueError, RecursionError) as error:
        raise ValueError(
            f"--resume {path}: {file} is not a report of a training ({error})"
        ) from None


def joined(before: dict[str, list[float]] | None, after: models.History) -> models.History:
    """The history of a resumed training: the epochs before it, if any, and its own."""
    if before is None:
        return after
    whole = models.History()
    for values in (before, after.history):
        for numbers in zip(*values.values(), strict=True):
            whole.add(len(whole.epoch), dict(zip(values, numbers, strict=True)))
    return whole

"""Data sets in h5 files of the course's layout, read lazily."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.data.files import plain_file
from arrayconv.data.hdf5 import Contents
from arrayconv.data.rows import DataError, DataSet, Rows, needs

# More classes than any data set has, and the last number that one may have.
_CLASSES = 2**16
_LAST = 2**31 - 1
KEYS = ("train_set_x", "train_set_y", "test_set_x", "test_set_y")


class H5Rows(Rows):
    """The rows of an h5 data set, which stays on the disk.

    Parameters
    ----------
    dataset : h5py.Dataset, shape (N, ...)
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.shape, self.dtype = tuple(dataset.shape), dataset.dtype

    def read(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        if not self._dataset:
            raise DataError("the h5 file has been closed; open it again")
        try:
            n = len(indices)
            if n and np.array_equal(indices, np.arange(indices[0], indices[0] + n)):
                # one range is read at once, a list of rows one by one
                rows: NDArray[Any] = self._dataset[int(indices[0]) : int(indices[0]) + n]
                return rows
            # h5 selections must rise and hold no row twice
            distinct, places = np.unique(indices, return_inverse=True)
            chosen: NDArray[Any] = self._dataset[distinct][places]
        except OSError as error:
            name = f"{self._dataset.file.filename}: {self._dataset.name.strip('/')}"
            raise DataError(f"{name}: the data are damaged ({_line(error)})") from None
        return chosen


def open_h5(path: str | os.PathLike[str]) -> DataSet:
    """Open a data set in an h5 file of the course's layout.

    Parameters
    ----------
    path : path
        A file with ``train_set_x`` and ``test_set_x`` of shape ``(N, H, W, C)``, labels
        ``train_set_y`` and ``test_set_y`` of shape ``(N,)``, ``(N, 1)`` or ``(1, N)`` and, where
        the classes have names, ``list_classes``.

    Returns
    -------
    DataSet
        Its images are `Rows`: read, a batch at a time, when they are asked for. The file stays
        open, for reading alone, as long as they are used.

    Raises
    ------
    DataError
        If the file is missing, truncated, no h5 file, lacks a key (the message lists those it
        has), its shapes or labels disagree, it has a single class, or, without ``list_classes``,
        labels that leave out a number. If it points to other files (links, external storage, virtual
        data sets), or asks for far more memory than it has bytes.

    Examples
    --------
    >>> import tempfile, pathlib, h5py, numpy as np
    >>> from arrayconv.data import open_h5
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "signs.h5"
    >>> with h5py.File(path, "w") as file:
    ...     for part, n in (("train", 6), ("test", 2)):
    ...         file[f"{part}_set_x"] = np.zeros((n, 64, 64, 3), dtype=np.uint8)
    ...         file[f"{part}_set_y"] = np.arange(n) % 2
    >>> data = open_h5(path)
    >>> data.x_train.shape, data.x_train[:2].dtype, data.classes
    ((6, 64, 64, 3), dtype('uint8'), ('0', '1'))
    """
    h5py = needs("h5py", "reading h5 files")
    path = Path(path)
    if path.is_dir():
        raise DataError(f"{path}: this is a folder, not an h5 file")
    try:
        size = plain_file(path).stat().st_size
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except PermissionError:
        raise DataError(f"{path}: reading it is not permitted") from None
    except OSError as error:
        reason = _line(error)
        kind = "is truncated" if "truncated" in reason else "cannot be read as an h5 file"
        raise DataError(f"{path}: it {kind} ({reason})") from None
    try:
        return _data_set(path, file, Contents(path, size))
    except DataError:
        file.close()
        raise
    except Exception as error:
        # h5py may raise anything on a damaged file
        file.close()
        raise DataError(f"{path}: the data are damaged ({_line(error)})") from error


def _line(error: BaseException) -> str:
    # h5py puts what happened in parentheses behind which call failed
    text = (str(error).splitlines() or [type(error).__name__])[0]
    return text.partition("(")[2].rpartition(")")[0] or text


def _data_set(path: Path, file: Any, contents: Contents) -> DataSet:
    found = {key: contents.child(file, key) for key in KEYS}
    missing = [key for key in KEYS if not isinstance(found[key], contents.h5py.Dataset)]
    if missing:
        raise DataError(
            f"{path}: it has no {', '.join(missing)}; expected {', '.join(KEYS)} "
            f"(and list_classes), found {', '.join(sorted(file)) or 'nothing'}"
        )
    held = contents.child(file, "list_classes")
    names = () if held is None else tuple(contents.texts(held, _CLASSES))
    parts = []
    for part in ("train", "test"):
        x = H5Rows(found[f"{part}_set_x"])
        if len(x.shape) < 2 or not x.shape[0]:
            raise DataError(
                f"{path}: {part}_set_x must have shape (N, ...) with rows, got {x.shape}"
            )
        if x.dtype.kind not in "fiu":
            raise DataError(f"{path}: {part}_set_x must hold real numbers, got {x.dtype}")
        contents.fits(found[f"{part}_set_x"], math.prod(x.shape[1:]), "a row")
        parts.append((x, _labels(contents, part, found[f"{part}_set_y"], len(x))))
    (x_train, y_train), (x_test, y_test) = parts
    if x_train.shape[1:] != x_test.shape[1:]:
        raise DataError(
            f"{path}: rows of train_set_x have shape {x_train.shape[1:]} and those of test_set_x "
            f"{x_test.shape[1:]}"
        )
    labels = np.unique(np.concatenate((y_train, y_test)))
    count = int(labels[-1]) + 1
    if len(labels) < 2:
        raise DataError(f"{path}: expected two or more classes, every label is {labels[0]}")
    if names and count > len(names):
        raise DataError(f"{path}: label {count - 1} has no name, list_classes has {len(names)}")
    if not names and count > len(labels):
        unused = int(np.flatnonzero(labels != np.arange(len(labels)))[0])
        raise DataError(
            f"{path}: label {count - 1} occurs and label {unused} does not: class numbers must count from 0 "
            "without gaps, or list_classes name every class"
        )
    return DataSet(x_train, y_train, x_test, y_test, names or tuple(map(str, range(count))))


def _labels(contents: Contents, part: str, dataset: Any, rows: int) -> NDArray[np.int64]:
    if dataset.shape not in {(rows,), (rows, 1), (1, rows)}:
        raise DataError(
            f"{contents.path}: {part}_set_y must hold one label for each of the {rows} rows of "
            f"{part}_set_x, got shape {dataset.shape}"
        )
    values = contents.read(dataset, "biuf")
    # infinity is its own floor, and a number that no int64 holds would become another
    if np.any(values != np.floor(values)) or values.min() < 0 or values.max() > _LAST:
        raise DataError(f"{contents.path}: {part}_set_y must hold class numbers from 0")
    return values.reshape(rows).astype(np.int64)

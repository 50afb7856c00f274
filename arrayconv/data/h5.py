"""Data sets in h5 files with the course's keys, read lazily."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.data.files import check_inside, plain_file
from arrayconv.data.hdf5 import Contents
from arrayconv.data.rows import DataError, DataSet, Rows, needs

# The most class names that are read, and the largest class number.
_CLASSES = 2**16
_LAST = 2**31 - 1
KEYS = ("train_set_x", "train_set_y", "test_set_x", "test_set_y")
SUFFIXES = (".h5", ".hdf5")


class H5Rows(Rows):
    """An h5 data set as `Rows`, read from the disk when indexed.

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
                # h5py reads a slice at once, but a list of rows one by one
                rows: NDArray[Any] = self._dataset[int(indices[0]) : int(indices[0]) + n]
                return rows
            # h5py takes only increasing indices without duplicates
            distinct, places = np.unique(indices, return_inverse=True)
            chosen: NDArray[Any] = self._dataset[distinct][places]
        except OSError as error:
            name = f"{self._dataset.file.filename}: {self._dataset.name.strip('/')}"
            raise DataError(f"{name}: the data are damaged ({_line(error)})") from None
        return chosen


def open_h5(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> DataSet:
    """Open a data set in h5 files with the course's keys.

    Parameters
    ----------
    path : path, or two of them
        A file with images ``train_set_x`` and ``test_set_x`` of shape ``(N, H, W, C)``, labels ``train_set_y`` and
        ``test_set_y`` of shape ``(N,)``, ``(N, 1)`` or ``(1, N)``, and optionally the names of the classes,
        ``list_classes``. Or two files, in any order, one for training and one for testing, such as the course's
        ``train_happy.h5`` and ``test_happy.h5``. Or a folder with that one file or those two.

    Returns
    -------
    DataSet
        Its images are `Rows`, read from the file when they are indexed; it stays open, for reading only, as long
        as they are in use.

    Raises
    ------
    DataError
        If a file is missing, truncated or not an h5 file. If a key is missing (the message lists those found) or in
        both files. If shapes, labels or class names do not match, there is only one class, or, without
        ``list_classes``, a class number that no label has. If the file refers to other files (links, external
        storage, virtual data sets), or would take far more memory than its size. If a folder has no h5 file, more
        than two, or a link to a place outside it.
    ValueError
        If there are not one or two paths.

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

    The two parts in files of their own:

    >>> with h5py.File(path) as whole:
    ...     for part in ("train", "test"):
    ...         with h5py.File(path.with_name(f"{part}_signs.h5"), "w") as file:
    ...             for key in (f"{part}_set_x", f"{part}_set_y"):
    ...                 file[key] = whole[key][:]
    >>> pair = open_h5((path.with_name("train_signs.h5"), path.with_name("test_signs.h5")))
    >>> pair.x_test.shape
    (2, 64, 64, 3)
    """
    h5py = needs("h5py", "reading h5 files")
    opened: list[tuple[Any, Contents]] = []
    try:
        for one in _paths(path):
            file, size = _open(h5py, one)
            opened.append((file, Contents(one, size)))
        try:
            return _data_set(opened)
        except DataError:
            raise
        except Exception as error:
            # h5py may raise anything on a damaged file
            named = " and ".join(str(contents.path) for _, contents in opened)
            raise DataError(f"{named}: the data are damaged ({_line(error)})") from error
    except BaseException:
        for file, _ in opened:
            file.close()
        raise


def files_in(folder: Path) -> list[Path]:
    """The h5 files directly in a folder, in alphabetical order."""
    return sorted(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and file.is_file() and not file.name.startswith(".")
    )


def _paths(path: Any) -> list[Path]:
    """The one or two files that ``path`` stands for."""
    if isinstance(path, tuple | list):
        if len(path) not in (1, 2):
            raise ValueError(f"open_h5: path must be one path or two, got {len(path)}")
        return [Path(one) for one in path]
    path = Path(path)
    if not path.is_dir():
        return [path]
    found = files_in(path)
    if not 1 <= len(found) <= 2:
        names = f" ({', '.join(file.name for file in found)})" if found else ""
        raise DataError(
            f"{path}: this is a folder with {len(found) or 'no'} h5 files{names}; expected one, or the two "
            "of training and test; name them"
        )
    for file in found:
        check_inside(path, file)
    return found


def _open(h5py: Any, path: Path) -> tuple[Any, int]:
    if path.is_dir():
        raise DataError(f"{path}: this is a folder, not an h5 file")
    try:
        size = plain_file(path).stat().st_size
        return h5py.File(path, "r"), size
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except PermissionError:
        raise DataError(f"{path}: reading it is not permitted") from None
    except OSError as error:
        reason = _line(error)
        kind = "is truncated" if "truncated" in reason else "cannot be read as an h5 file"
        raise DataError(f"{path}: it {kind} ({reason})") from None


def _line(error: BaseException) -> str:
    # h5py's messages have the cause in parentheses, after the call that failed
    text = (str(error).splitlines() or [type(error).__name__])[0]
    return text.partition("(")[2].rpartition(")")[0] or text


def _data_set(opened: Sequence[tuple[Any, Contents]]) -> DataSet:
    files = " and ".join(str(contents.path) for _, contents in opened)
    found = _found(files, opened)
    names = _names(files, opened)
    parts = []
    for part in ("train", "test"):
        contents, dataset = found[f"{part}_set_x"]
        path, x = contents.path, H5Rows(dataset)
        if len(x.shape) < 2 or not x.shape[0]:
            raise DataError(
                f"{path}: {part}_set_x must have shape (N, ...) with rows, got {x.shape}"
            )
        if x.dtype.kind not in "fiu":
            raise DataError(f"{path}: {part}_set_x must hold real numbers, got {x.dtype}")
        contents.fits(dataset, math.prod(x.shape[1:]), "a row")
        parts.append((x, _labels(*found[f"{part}_set_y"], part, len(x))))
    (x_train, y_train), (x_test, y_test) = parts
    if x_train.shape[1:] != x_test.shape[1:]:
        raise DataError(
            f"{files}: rows of train_set_x have shape {x_train.shape[1:]} and those of test_set_x "
            f"{x_test.shape[1:]}"
        )
    labels = np.unique(np.concatenate((y_train, y_test)))
    count = int(labels[-1]) + 1
    if len(labels) < 2:
        raise DataError(f"{files}: expected two or more classes, every label is {labels[0]}")
    if names and count > len(names):
        raise DataError(f"{files}: label {count - 1} has no name, list_classes has {len(names)}")
    if not names and count > len(labels):
        unused = int(np.flatnonzero(labels != np.arange(len(labels)))[0])
        raise DataError(
            f"{files}: label {count - 1} occurs and label {unused} does not: class numbers must count from 0 "
            "without gaps, or list_classes name every class"
        )
    return DataSet(x_train, y_train, x_test, y_test, names or tuple(map(str, range(count))))


def _found(files: str, opened: Sequence[tuple[Any, Contents]]) -> dict[str, tuple[Contents, Any]]:
    """The data set for each of `KEYS`, with the file that has it."""
    found: dict[str, tuple[Contents, Any]] = {}
    for file, contents in opened:
        for key in KEYS:
            dataset = contents.child(file, key)
            if not isinstance(dataset, contents.h5py.Dataset):
                continue
            if key in found:
                raise DataError(f"{files}: both have {key}; expected each part in one of them")
            found[key] = contents, dataset
    missing = [key for key in KEYS if key not in found]
    if missing:
        there = sorted({key for file, _ in opened for key in file})
        one_part = len(opened) == 1 and len(missing) == 2
        raise DataError(
            f"{files}: there is no {', '.join(missing)}; expected {', '.join(KEYS)} (and list_classes), "
            f"found {', '.join(there) or 'nothing'}"
            + ("; give the file with the other part too" if one_part else "")
        )
    return found


def _names(files: str, opened: Sequence[tuple[Any, Contents]]) -> tuple[str, ...]:
    """The names of the classes, which may be in one of two files or in both; empty if in none."""
    held = [(contents, contents.child(file, "list_classes")) for file, contents in opened]
    found = {tuple(c.texts(names, _CLASSES)) for c, names in held if names is not None}
    if len(found) > 1:
        raise DataError(f"{files}: their list_classes differ: {' and '.join(map(str, found))}")
    return found.pop() if found else ()


def _labels(contents: Contents, dataset: Any, part: str, rows: int) -> NDArray[np.int64]:
    if dataset.shape not in {(rows,), (rows, 1), (1, rows)}:
        raise DataError(
            f"{contents.path}: {part}_set_y must hold one label for each of the {rows} rows of "
            f"{part}_set_x, got shape {dataset.shape}"
        )
    values = contents.read(dataset, "biuf")
    # the upper limit also excludes infinity, and numbers that int64 cannot hold
    if np.any(values != np.floor(values)) or values.min() < 0 or values.max() > _LAST:
        raise DataError(f"{contents.path}: {part}_set_y must hold class numbers from 0")
    return values.reshape(rows).astype(np.int64)

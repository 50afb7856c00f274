"""Data sets: images and labels for training and testing, in memory or read lazily."""

from __future__ import annotations

import importlib
import operator
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class DataError(ValueError):
    """Data cannot be read; the message says why in one line."""


class Rows(ABC):
    """Base class of rows that are read lazily, when indexed: ``rows[3]``, ``rows[10:20]``, ``rows[indices]``.

    Indexing returns NumPy arrays. A subclass sets the attributes and defines `read`.

    Attributes
    ----------
    shape : tuple of int
        ``(N, ...)``, as of an array.
    dtype : numpy.dtype
        The dtype of the arrays that indexing returns.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @abstractmethod
    def read(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Return the rows with these indices, each in ``range(N)``, in the given order."""

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> NDArray[Any]:
        if isinstance(key, slice):
            return self.read(np.arange(*key.indices(len(self))))
        if isinstance(key, np.ndarray | list | tuple):
            indices = np.asarray(key)
            if indices.ndim != 1 or (indices.size and indices.dtype.kind not in "iu"):
                raise IndexError(
                    f"rows take an int, a slice or one axis of int indices, got {key!r}"
                )
            return self.read(self._inside(indices.astype(np.int64)))
        one: NDArray[Any] = self.read(self._inside(np.asarray([operator.index(key)])))[0]
        return one

    def _inside(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        n = len(self)
        outside = indices[(indices < -n) | (indices >= n)]
        if outside.size:
            raise IndexError(f"row {outside[0]} of {n}")
        return indices % n if n else indices


@dataclass(frozen=True)
class DataSet:
    """Images and labels for training and for testing.

    Parameters
    ----------
    x_train, x_test : numpy.ndarray or Rows, shape (N, H, W, C)
        Floating in [0, 1], or uint8; from an h5 file, whatever dtype it has.
    y_train, y_test : numpy.ndarray, shape (N,), int64
        The class number of each image.
    classes : tuple of str
        The names of the classes, by label.
    """

    x_train: Any
    y_train: NDArray[np.int64]
    x_test: Any
    y_test: NDArray[np.int64]
    classes: tuple[str, ...]


def whole(op: str, name: str, value: Any, *, least: int) -> int:
    """``value`` as an int of at least ``least``; NumPy's ints and integer arrays of shape () are accepted too."""
    try:
        if isinstance(value, bool | np.bool_):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {name} must be an int, got {value!r}") from None
    if number < least:
        wanted = "positive" if least == 1 else f"at least {least}"
        raise ValueError(f"{op}: {name} must be {wanted}, got {number}")
    return number


def needs(module: str, what: str) -> Any:
    """Import an optional package, or raise `DataError` with what to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"PIL": "Pillow", "sklearn": "scikit-learn"}.get(
            top := module.partition(".")[0], top
        )
        raise DataError(f'{what} needs {package}: pip install "arrayconv[train]"') from error

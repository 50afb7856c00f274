"""Folders of images, with one sub-folder per class, decoded batch by batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from arrayconv.data.files import check_inside
from arrayconv.data.pictures import decoded, suffixes
from arrayconv.data.rows import DataError, DataSet, Rows, needs


class ImageRows(Rows):
    """Image files as `Rows`, decoded when they are indexed.

    Parameters
    ----------
    files : sequence of path
    size : (int, int)
        Height and width that images are resized to.
    """

    def __init__(self, files: Sequence[Path], size: tuple[int, int]) -> None:
        self._files = tuple(files)
        self.shape, self.dtype = (len(self._files), *size, 3), np.dtype(np.uint8)

    def read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        rows = np.empty((len(indices), *self.shape[1:]), dtype=np.uint8)
        for row, i in zip(rows, indices, strict=True):
            row[...] = resized(self._files[i], self.shape[1:3])
        return rows


def open_folder(
    path: str | os.PathLike[str],
    *,
    size: tuple[int, int] = (64, 64),
    test_share: float = 0.2,
    seed: int = 0,
) -> DataSet:
    """Open a folder of images with one sub-folder per class, named after the class.

    Parameters
    ----------
    path : path
        If it has sub-folders ``train`` and ``test``, each with a sub-folder per class, these are the two parts.
        Otherwise every class is split at random.
    size : (int, int)
        Height and width that every image is resized to, without keeping its proportions.
    test_share : float
        The fraction of each class used for testing if there is no ``test``, in (0, 1); at least one image.
    seed : int
        The seed of this split.

    Returns
    -------
    DataSet
        Its images are `Rows` of uint8 RGB, ``(N, *size, 3)``, decoded when they are indexed. Files whose name
        starts with a dot or whose suffix is not that of an image are ignored. Of 16 bits per channel the upper 8
        are used, and floating pixels, which must lie in [0, 1], are multiplied by 255, as scikit-image's
        ``img_as_ubyte`` does.

    Raises
    ------
    DataError
        If there is no such folder, fewer than two classes, a class without images, too few images to split, or
        a link to a place outside the folder. When a batch is read, if a file (the message names it) is damaged,
        has more than 50 million pixels or far too many for its length, or pixels of unknown range.
    ValueError
        If ``size`` is not two positive ints, or ``test_share`` is not in (0, 1).

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np
    >>> import PIL.Image
    >>> from arrayconv.data import open_folder
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name, level in (("dark", 40), ("light", 200)):
    ...     (folder / name).mkdir()
    ...     for i in range(5):
    ...         image = np.full((20, 30, 3), level, dtype=np.uint8)
    ...         PIL.Image.fromarray(image).save(folder / name / f"{i}.png")
    >>> data = open_folder(folder, size=(16, 16))
    >>> data.classes, data.x_train.shape, data.y_test
    (('dark', 'light'), (8, 16, 16, 3), array([0, 1]))
    """
    path = Path(path)
    whole_sizes = isinstance(size, tuple | list) and all(
        isinstance(n, int | np.integer) and n > 0 for n in size
    )
    if not whole_sizes or len(size) != 2:
        raise ValueError(f"open_folder: size must be two positive ints, got {size!r}")
    if not 0 < test_share < 1:
        raise ValueError(f"open_folder: test_share must lie between 0 and 1, got {test_share}")
    known = suffixes()
    if (path / "train").is_dir() and (path / "test").is_dir():
        train, test = (_classes(path, path / part, known) for part in ("train", "test"))
        if list(train) != list(test):
            raise DataError(
                f"{path}: train has the classes {', '.join(train)} and test {', '.join(test)}"
            )
    else:
        train, test = _divided(path, _classes(path, path, known), test_share, seed)
    (x_train, y_train), (x_test, y_test) = (_rows(part, size) for part in (train, test))
    return DataSet(x_train, y_train, x_test, y_test, tuple(train))


def _classes(root: Path, path: Path, known: set[str]) -> dict[str, list[Path]]:
    """Return the image files of every class, classes and files in alphabetical order."""
    if not path.is_dir():
        raise DataError(f"{path}: there is no such folder")
    check_inside(root, path)
    folders = sorted(f for f in path.iterdir() if f.is_dir() and not f.name.startswith("."))
    if len(folders) < 2:
        raise DataError(
            f"{path}: expected a sub-folder of images for each of two or more classes, "
            f"found {', '.join(f.name for f in folders) or 'none'}"
        )
    found = {}
    for folder in folders:
        check_inside(root, folder)
        found[folder.name] = sorted(
            file
            for file in folder.iterdir()
            if file.suffix.lower() in known and not file.name.startswith(".") and file.is_file()
        )
        if not found[folder.name]:
            raise DataError(f"{folder}: there are no images in it")
        for file in found[folder.name]:
            check_inside(root, file)
    return found


def _divided(
    path: Path, classes: dict[str, list[Path]], share: float, seed: int
) -> tuple[dict[str, list[Path]], dict[str, list[Path]]]:
    train, test = {}, {}
    rng = np.random.default_rng(seed)
    for name, files in classes.items():
        kept = max(1, round(share * len(files)))
        if kept >= len(files):
            raise DataError(
                f"{path / name}: too few images to divide into training and test: {len(files)}"
            )
        order = rng.permutation(len(files))
        test[name] = [files[i] for i in sorted(order[:kept])]
        train[name] = [files[i] for i in sorted(order[kept:])]
    return train, test


def _rows(
    classes: dict[str, list[Path]], size: tuple[int, int]
) -> tuple[ImageRows, NDArray[np.int64]]:
    labels = np.repeat(np.arange(len(classes)), [len(files) for files in classes.values()])
    return ImageRows([file for files in classes.values() for file in files], size), labels


def resized(path: Path, size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read an image file and resize it to this height and width, without keeping its proportions."""
    pil = needs("PIL.Image", "reading images")
    image = decoded(path, (2 * size[1], 2 * size[0]))
    if image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), pil.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8)

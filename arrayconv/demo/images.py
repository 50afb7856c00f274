"""Image files in and out: one-line errors, and never half a file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.data import files
from arrayconv.data.pictures import decoded
from arrayconv.data.rows import DataError

Image = NDArray[np.float32]


class ImageError(ValueError):
    """An image file cannot be read or written; the message is one line that says why."""


def _pillow() -> Any:
    try:
        import PIL.Image
    except ImportError as error:
        raise ImageError(
            'reading and writing images needs Pillow: pip install "arrayconv[plot]"'
        ) from error
    return PIL


def photograph() -> Path:
    """Return the path of the photograph that ships with the package.

    Examples
    --------
    >>> photograph().name
    'astronaut.jpg'
    """
    return Path(str(resources.files("arrayconv.demo") / "astronaut.jpg"))


def read_image(path: str | os.PathLike[str], *, side: int | None = None) -> Image:
    """Read an image file.

    Parameters
    ----------
    path : path
        A file of one of the common formats of pictures. Transparency is dropped, and of an animation
        the first picture is taken. Wider pixels become 8 bits as in `arrayconv.data.open_folder`.
    side : int, optional
        An image with more pixels than this along an axis is reduced, its proportions kept.

    Returns
    -------
    numpy.ndarray, shape (H, W, 3), float32
        Red, green and blue, between 0 and 1.

    Raises
    ------
    ImageError
        If the file is missing, truncated, not an image, has more than 50 million pixels or far more
        than its length lets expect, or pixels of no fixed range.

    Examples
    --------
    >>> from arrayconv.demo import photograph, read_image
    >>> read_image(photograph()).shape
    (256, 256, 3)
    """
    return read_levels(path, side=side).astype(np.float32) / np.float32(255)


def read_levels(path: str | os.PathLike[str], *, side: int | None = None) -> NDArray[np.uint8]:
    """Read an image file as `read_image` does, to levels from 0 to 255, a quarter of its memory."""
    pil = _pillow()
    try:
        image = decoded(path, None if side is None else (side, side))
    except DataError as error:
        raise ImageError(str(error)) from None
    if side is not None and max(image.size) > side:
        image.thumbnail((side, side), pil.Image.Resampling.LANCZOS)
    return np.asarray(image, dtype=np.uint8)


def write_image(path: str | os.PathLike[str], image: NDArray[Any]) -> None:
    """Write an image file, whole or not at all.

    Parameters
    ----------
    path : path
        Its suffix names the format.
    image : numpy.ndarray, shape (H, W, 3)
        Levels of dtype uint8, or values between 0 and 1, of which what lies outside is clipped.

    Raises
    ------
    ImageError
        If the suffix names no format, or the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from arrayconv.demo import photograph, read_image, write_image
    >>> folder = Path(tempfile.mkdtemp())
    >>> write_image(folder / "copy.png", read_image(photograph(), side=64))
    >>> read_image(folder / "copy.png").shape
    (64, 64, 3)
    """
    pil = _pillow()
    check_image_name(path)
    with writing(path) as draft:
        pil.Image.fromarray(levels(image)).save(draft)


def levels(image: NDArray[Any]) -> NDArray[np.uint8]:
    """Values between 0 and 1, clipped, as the nearest of the 256 levels; levels as they are."""
    if image.dtype == np.uint8:
        return image
    return np.asarray(np.clip(image, 0.0, 1.0) * 255.0 + 0.5, dtype=np.uint8)


def check_image_name(path: str | os.PathLike[str]) -> None:
    """Raise `ImageError` if no image can be written there, before any work is done."""
    image = _pillow().Image
    known = {suffix for suffix, kind in image.registered_extensions().items() if kind in image.SAVE}
    check_output(path, known)


def check_output(path: str | os.PathLike[str], suffixes: Any = None) -> None:
    """Raise `ImageError` if a file cannot be written there, before any work is done."""
    path = Path(path)
    # through a link, as the file is written
    folder = path.resolve().parent
    if path.is_dir():
        raise ImageError(f"{path}: this is a folder; give a file name")
    if path.exists() and not path.is_file():
        raise ImageError(f"{path}: this is not a plain file")
    if not folder.is_dir():
        raise ImageError(f"{path}: there is no folder {folder}")
    if suffixes is not None and path.suffix.lower() not in suffixes:
        raise ImageError(
            f"{path}: the suffix {path.suffix!r} names no image format; use .png, for example"
        )
    try:
        files.check_writable(folder)
    except OSError as error:
        raise ImageError(f"{path}: nothing can be written in {folder} ({error.strerror})") from None


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a name to write to; the file takes its place at ``path`` when the block succeeds."""
    try:
        with files.writing(path) as draft:
            yield draft
    except (OSError, KeyError, ValueError) as error:
        raise ImageError(f"{path}: it cannot be written ({error})") from error

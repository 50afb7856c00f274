"""Image files in and out: one-line errors, and never half a file."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_PIXELS = 50_000_000

Image = NDArray[np.float32]


class ImageError(ValueError):
    """An image file cannot be read or written; the message is one line that says why."""


def _pillow() -> Any:
    try:
        import PIL.Image
        import PIL.ImageOps
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
        A file of any format that Pillow reads. Transparency is dropped, and of an animation the
        first picture is taken.
    side : int, optional
        An image with more pixels than this along an axis is reduced, its proportions kept.

    Returns
    -------
    numpy.ndarray, shape (H, W, 3), float32
        Red, green and blue, between 0 and 1.

    Raises
    ------
    ImageError
        If the file is missing, truncated, not an image, or has more than `MAX_PIXELS` pixels.

    Examples
    --------
    >>> from arrayconv.demo import photograph, read_image
    >>> read_image(photograph()).shape
    (256, 256, 3)
    """
    pil = _pillow()
    path = Path(path)
    try:
        with warnings.catch_warnings():
            # the size is checked below, before any pixel is decoded
            warnings.simplefilter("ignore", pil.Image.DecompressionBombWarning)
            image = pil.Image.open(path)
        with image:
            return _pixels(pil, path, image, side)
    except ImageError:
        raise
    except FileNotFoundError:
        raise ImageError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ImageError(f"{path}: this is a folder, not an image") from None
    except PermissionError:
        raise ImageError(f"{path}: reading it is not permitted") from None
    except pil.UnidentifiedImageError:
        raise ImageError(f"{path}: this is not an image, or of no format known here") from None
    except pil.Image.DecompressionBombError:
        raise ImageError(f"{path}: {_too_large()}") from None
    except Exception as error:
        # a decoder may raise anything on a damaged file
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise ImageError(f"{path}: the image is damaged or truncated ({reason})") from None


def _too_large() -> str:
    return f"more than {MAX_PIXELS // 1_000_000} million pixels are too many here; reduce it first"


def _pixels(pil: Any, path: Path, image: Any, side: int | None) -> Image:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"{path}: {width} x {height} pixels; {_too_large()}")
    if side is not None:
        # decodes a large JPEG at a fraction of its size
        image.draft("RGB", (side, side))
    image.load()
    if image.mode in ("F", "I") or image.mode.startswith("I;"):
        raise ImageError(
            f"{path}: pixels of more than 8 bits in mode {image.mode} have no fixed range; "
            "save it with 8 bits per channel first"
        )
    image = pil.ImageOps.exif_transpose(image).convert("RGB")
    if side is not None and max(image.size) > side:
        image.thumbnail((side, side), pil.Image.Resampling.LANCZOS)
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def write_image(path: str | os.PathLike[str], image: NDArray[Any]) -> None:
    """Write an image file, whole or not at all.

    Parameters
    ----------
    path : path
        Its suffix names the format.
    image : numpy.ndarray, shape (H, W, 3)
        Values between 0 and 1; what lies outside is clipped.

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
    # rounded to the nearest of the 256 levels
    levels = np.asarray(np.clip(image, 0.0, 1.0) * 255.0 + 0.5, dtype=np.uint8)
    with writing(path) as draft:
        pil.Image.fromarray(levels).save(draft)


def check_image_name(path: str | os.PathLike[str]) -> None:
    """Raise `ImageError` if no image can be written there, before any work is done."""
    image = _pillow().Image
    known = {suffix for suffix, kind in image.registered_extensions().items() if kind in image.SAVE}
    check_output(path, known)


def check_output(path: str | os.PathLike[str], suffixes: Any = None) -> None:
    """Raise `ImageError` if a file cannot be written there, before any work is done."""
    path = Path(path)
    if path.is_dir():
        raise ImageError(f"{path}: this is a folder; give a file name")
    if path.exists() and not path.is_file():
        raise ImageError(f"{path}: this is not a plain file")
    if not path.parent.is_dir():
        raise ImageError(f"{path}: there is no folder {path.parent}")
    if not os.access(path.parent, os.W_OK):
        raise ImageError(f"{path}: writing in {path.parent} is not permitted")
    if suffixes is not None and path.suffix.lower() not in suffixes:
        raise ImageError(
            f"{path}: the suffix {path.suffix!r} names no image format; use .png, for example"
        )


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a name to write to; the file takes its place at ``path`` when the block succeeds."""
    path = Path(path).resolve()
    draft = path.with_name(f".{path.stem}-{os.getpid()}{path.suffix}")
    try:
        yield draft
        draft.replace(path)
    except (OSError, KeyError, ValueError) as error:
        raise ImageError(f"{path}: it cannot be written ({error})") from error
    finally:
        with suppress(FileNotFoundError):
            draft.unlink()

"""Decoding untrusted image files to 8-bit RGB."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.data.files import plain_file
from arrayconv.data.rows import DataError, needs

MAX_PIXELS = 50_000_000
# The number of pixels accepted in any file, and per byte in a larger one: only blank images have more.
_FREE, _DENSE = 2**22, 64
# Formats that Pillow decodes itself; others run programs (EPS) or contain images of several sizes (ICO).
_FORMATS = (
    "AVIF",
    "BMP",
    "GIF",
    "JPEG",
    "JPEG2000",
    "MPO",
    "PNG",
    "PPM",
    "QOI",
    "TGA",
    "TIFF",
    "WEBP",
)


def suffixes() -> set[str]:
    """The file suffixes of the formats that `decoded` reads."""
    pil = needs("PIL.Image", "reading images")
    pil.init()
    return {suffix for suffix, kind in pil.EXTENSION.items() if kind in _known(pil)}


def _known(pil: Any) -> list[str]:
    return [name for name in _FORMATS if name in pil.OPEN]


def decoded(path: str | os.PathLike[str], least: tuple[int, int] | None = None) -> Any:
    """Decode an image file to a Pillow image in mode RGB, rotated as its EXIF data say.

    Parameters
    ----------
    path : path
    least : (int, int), optional
        Width and height that suffice: a large JPEG is then decoded at a fraction of its size, not smaller than this.

    Raises
    ------
    DataError
        If the file is missing, truncated or not an image; has more than `MAX_PIXELS` pixels, or more than a file of
        its length can have unless blank; or has pixels of unknown range.

    Notes
    -----
    Of 16 bits the upper 8 are used, as in Pillow (for colours), TensorFlow, torchvision and scikit-image. Floating
    pixels must lie in [0, 1], as in scikit-image and Matplotlib.
    """
    pil = needs("PIL.Image", "reading images")
    ops = needs("PIL.ImageOps", "reading images")
    pil.init()
    path = Path(path)
    try:
        size = plain_file(path).stat().st_size
        with warnings.catch_warnings():
            # the size is checked below, before any pixel is decoded
            warnings.simplefilter("ignore", pil.DecompressionBombWarning)
            image = pil.open(path, formats=_known(pil))
        with image:
            _check_pixels(path, image.size, size)
            if least is not None:
                image.draft("RGB", least)
            deep = image.format == "PPM"
            image.load()
            ops.exif_transpose(image, in_place=True)
            return _eight_bits(pil, path, image, deep).convert("RGB")
    except DataError:
        raise
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: this is a folder, not an image") from None
    except PermissionError:
        raise DataError(f"{path}: reading it is not permitted") from None
    except pil.UnidentifiedImageError:
        raise DataError(f"{path}: this is not an image, or of no format known here") from None
    except pil.DecompressionBombError:
        raise DataError(f"{path}: {_too_many()}") from None
    except Exception as error:
        # a decoder may raise anything on a damaged file
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise DataError(f"{path}: the image is damaged or truncated ({reason})") from None


def _too_many() -> str:
    return f"more than {MAX_PIXELS // 1_000_000} million pixels are too many here; reduce it first"


def _check_pixels(path: Path, shape: tuple[int, int], size: int) -> None:
    width, height = shape
    if width * height > MAX_PIXELS:
        raise DataError(f"{path}: {width} x {height} pixels; {_too_many()}")
    if width * height > max(_FREE, _DENSE * size):
        raise DataError(
            f"{path}: {width} x {height} pixels in {size} bytes: it is blank, or made to take memory"
        )


def _eight_bits(pil: Any, path: Path, image: Any, deep: bool) -> Any:
    """The image with pixels of 8 bits; the same object if it has them already."""
    # Pillow reads a PPM of more than 8 bits as values 0..65535 in the 32-bit mode "I"
    whole = image.mode.startswith("I;16") or (deep and image.mode == "I")
    if not whole and image.mode not in ("I", "F"):
        return image
    if image.mode == "I" and not whole:
        raise DataError(
            f"{path}: integer pixels of 32 bits have no fixed range; save it with 8 or 16 bits first"
        )
    width, height = image.size
    levels = np.empty((height, width), dtype=np.uint8)
    rows = max(1, _FREE // 16 // width)
    for top in range(0, height, rows):
        stop = min(height, top + rows)
        band: NDArray[Any] = np.asarray(image.crop((0, top, width, stop)))
        if whole:
            levels[top:stop] = band >> 8
        elif np.all((band >= 0) & (band <= 1)):
            levels[top:stop] = np.rint(band * 255)
        else:
            raise DataError(
                f"{path}: floating pixels must lie between 0 and 1, got {band.min()} to {band.max()}"
            )
    return pil.fromarray(levels)

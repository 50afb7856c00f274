"""Reading untrusted files within limits, and writing files completely or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from arrayconv.data.rows import DataError
from arrayconv.interrupt import undoing

_SMALL = 2**20


def plain_file(path: str | os.PathLike[str]) -> Path:
    """Return ``path`` if it is a regular file or a folder; a pipe or a device might have no end.

    Raises
    ------
    OSError
        If there is no such file.
    DataError
        If it is a pipe, a socket or a device.
    """
    path = Path(path)
    if not path.is_file() and not path.is_dir():
        # raises the OSError if there is nothing or it may not be read
        path.stat()
        raise DataError(f"{path}: this is not a regular file")
    return path


def check_inside(root: Path, path: Path) -> None:
    """Raise `DataError` if ``path``, found in the folder ``root``, is a symbolic link to a place outside it."""
    if path.is_symlink() and not (end := path.resolve()).is_relative_to(root.resolve()):
        raise DataError(f"{path}: it is a link that leads out of {root}, to {end}")


def read_whole(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file.

    Raises
    ------
    OSError
        If it cannot be read.
    DataError
        If it is not a regular file.
    """
    return plain_file(path).read_bytes()


def text_limit(size: int) -> int:
    """The largest length accepted of the text (such as JSON) in a file of ``size`` bytes.

    Parsed, a text takes up to 30 times its length in memory.
    """
    return max(_SMALL, size // 8)


def array_limit(size: int) -> int:
    """The largest number of bytes accepted for arrays in a file of ``size`` bytes, which may be compressed."""
    return max(8 * _SMALL, 2 * size)


def check_writable(folder: Path) -> None:
    """Raise `OSError` unless a file can be written in ``folder``, or in its nearest parent that exists.

    A file is created and removed again, since permissions do not tell of read-only disks or administrators.
    """
    while not folder.exists():
        folder = folder.parent
    draft = folder / f".{secrets.token_hex(8)}"
    with undoing(lambda: _discard(draft)):
        draft.touch(exist_ok=False)


def _discard(draft: Path) -> None:
    with suppress(OSError):
        draft.unlink()


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path to write to; if the block succeeds, that file is renamed to ``path``.

    Raises
    ------
    OSError
        If it cannot be written; an existing file is then unchanged.
    """
    # resolved, so that a symbolic link stays one
    path = Path(path).resolve()
    # a random name, since other threads and processes may write to the same path
    draft = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    with undoing(lambda: _discard(draft)):
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    # make the renaming durable too, where the system can
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

"""Files as such: what may be read of one that nobody trusts, and writing one whole or not at all."""

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
    """``path``, unless what is there is a pipe or a device, which may have no end.

    Raises
    ------
    OSError
        If there is no such file.
    DataError
        If it is a pipe, a socket or a device.
    """
    path = Path(path)
    if not path.is_file() and not path.is_dir():
        # says what is the matter where there is nothing to ask
        path.stat()
        raise DataError(f"{path}: this is no plain file")
    return path


def check_inside(root: Path, path: Path) -> None:
    """Raise `DataError` if ``path``, found in the folder ``root``, is a link that leads out of it."""
    if path.is_symlink() and not (end := path.resolve()).is_relative_to(root.resolve()):
        raise DataError(f"{path}: it is a link that leads out of {root}, to {end}")


def read_whole(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a plain file.

    Raises
    ------
    OSError
        If it cannot be read.
    DataError
        If it is no plain file.
    """
    return plain_file(path).read_bytes()


def text_limit(size: int) -> int:
    """How long a text that describes the rest of a file of ``size`` bytes may be.

    Parsed, it takes up to 30 times its length.
    """
    return max(_SMALL, size // 8)


def array_limit(size: int) -> int:
    """How many bytes of arrays a file of ``size`` bytes may ask for at once; packed ones are longer than it."""
    return max(8 * _SMALL, 2 * size)


def check_writable(folder: Path) -> None:
    """Raise `OSError` unless a file can be written in ``folder``, or in the nearest one above it that is there.

    One is, for a moment: permissions do not say it of a read-only disk, nor of what an administrator may do.
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
    """Yield a name of its own to write to; that file takes its place at ``path`` when the block succeeds.

    Raises
    ------
    OSError
        If it cannot be written; a file that was there is unchanged.
    """
    # through a link, so that the link stays one
    path = Path(path).resolve()
    # another name for every call: threads, and processes on other machines, write beside each other
    draft = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    with undoing(lambda: _discard(draft)):
        yield draft
        with draft.open("rb+") as file:
            os.fsync(file.fileno())
        draft.replace(path)
    # the new name itself; not every system can
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

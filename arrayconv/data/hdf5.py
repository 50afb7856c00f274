"""Reading untrusted h5 files in bounded memory, without following references to other files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.data.files import array_limit
from arrayconv.data.rows import DataError, needs

# The filters that are part of h5py; for any other, HDF5 would load a plug-in library.
_FILTERS = {1, 2, 3, 4, 5, 6, 32000}
# The longest name of a layer or a dtype, in bytes.
_NAME = 4096


class Contents:
    """Access to the objects of an open h5 file, each of which is checked first.

    Refused are: data in other files (external storage, virtual data sets, links), far more memory than the size
    of the file, and groups that contain themselves.

    Parameters
    ----------
    path : path
        The file's name in error messages.
    size : int
        Its size in bytes.
    """

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
        self.h5py = needs("h5py", "reading h5 files")
        self.limit = self._left = array_limit(size)
        self._met: set[int] = set()

    def child(self, group: Any, key: str) -> Any:
        """The group or data set ``key`` of a group, or ``None``.

        Raises
        ------
        DataError
            If it is a soft or external link, a group met before, or a data set that `check` refuses.
        """
        # getlink returns a link without following it
        link = group.get(key, getlink=True)
        if link is None:
            return None
        name = f"{group.name.rstrip('/')}/{key}"
        # h5py would take a name with a slash for a path, and follow links in it
        if not isinstance(link, self.h5py.HardLink) or "/" in key:
            raise DataError(
                f"{self.path}: {name} is a link; what is read must lie at its place in the file itself"
            )
        found = group[key]
        if isinstance(found, self.h5py.Dataset):
            self.check(found)
        elif isinstance(found, self.h5py.Group):
            address = self.h5py.h5o.get_info(found.id).addr
            if address in self._met:
                raise DataError(f"{self.path}: the group {name} occurs twice")
            self._met.add(address)
        return found

    def check(self, dataset: Any) -> None:
        """Raise `DataError` unless the data set is stored completely in the file, with chunks within the limit."""
        if dataset.shape is None:
            raise DataError(f"{self.path}: {dataset.name} has no values")
        layout = dataset.id.get_create_plist()
        if layout.get_external_count() or layout.get_layout() == self.h5py.h5d.VIRTUAL:
            raise DataError(
                f"{self.path}: {dataset.name} is kept in other files; what is read must lie in the file itself"
            )
        for i in range(layout.get_nfilters()):
            if (code := layout.get_filter(i)[0]) not in _FILTERS:
                raise DataError(
                    f"{self.path}: {dataset.name} is packed by the plug-in {code}; gzip, lzf and szip are read"
                )
        if dataset.chunks:
            self.fits(dataset, math.prod(dataset.chunks), "a chunk")
        if dataset.size and not dataset.id.get_storage_size():
            raise DataError(f"{self.path}: {dataset.name} has a shape and no values")

    def fits(self, dataset: Any, elements: int, what: str) -> None:
        """Raise `DataError` if so many elements take more memory than is accepted for a file of this size."""
        if (size := elements * dataset.dtype.itemsize) > self.limit:
            raise DataError(
                f"{self.path}: {dataset.name}: {what} takes {size} bytes, more than the {self.limit} that a "
                "file of this size may ask for"
            )

    def read(self, dataset: Any, kinds: str) -> NDArray[Any]:
        """The values of a data set whose dtype is of one of these ``kinds``, NumPy's letters.

        Raises
        ------
        DataError
            If it is of another kind, or all that was read so far exceeds the limit for this file.
        """
        if dataset.dtype.kind not in kinds:
            raise DataError(
                f"{self.path}: {dataset.name} is of type {dataset.dtype}, which is not read"
            )
        self._spend(dataset, dataset.size * dataset.dtype.itemsize)
        values: NDArray[Any] = np.asarray(dataset[()])
        return values

    def texts(self, dataset: Any, most: int) -> list[str]:
        """The strings of a data set, at most ``most`` of them."""
        if not isinstance(dataset, self.h5py.Dataset):
            raise DataError(f"{self.path}: {getattr(dataset, 'name', dataset)} holds no texts")
        if dataset.size > most:
            raise DataError(f"{self.path}: {dataset.name} holds more than {most} texts")
        if self.h5py.check_string_dtype(dataset.dtype) is None or dataset.dtype.kind == "S":
            return [_text(value) for value in np.ravel(self.read(dataset, "SUbiuf")).tolist()]
        found = []
        # one by one, since many entries may refer to the same long string
        for place in np.ndindex(dataset.shape):
            found.append(_text(dataset[place]))
            self._spend(dataset, len(found[-1]))
        return found

    def attribute(self, thing: Any, key: str) -> str:
        """A short text attribute of a group or data set; ``""`` if there is none."""
        if key not in thing.attrs:
            return ""
        held = thing.attrs.get_id(key)
        if held.shape != () or held.get_storage_size() > _NAME or held.dtype.kind not in "OSU":
            raise DataError(f"{self.path}: the attribute {key} of {thing.name} is not a short text")
        return _text(thing.attrs[key])[:_NAME]

    def _spend(self, dataset: Any, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise DataError(
                f"{self.path}: {dataset.name}: the arrays take more than the {self.limit} bytes that a file of "
                "this size may ask for"
            )


def _text(name: Any) -> str:
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)

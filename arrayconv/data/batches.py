"""Mini-batches of one or several arrays, shuffled with a seed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from arrayconv.data.h5 import H5Rows
from arrayconv.data.rows import Rows, whole
from arrayconv.data.sharding import Part, check_sharding, sharding_of, taken
from arrayconv.namespace import Array, array_namespace, placement

_Part: TypeAlias = slice | NDArray[np.int64]
_Rows: TypeAlias = Callable[[_Part], Array]


class Batches:
    """An iterable of batches of ``x`` and ``y``, for ``fit``, ``evaluate`` and ``predict`` of a model.

    Each pass (``for x, y in batches``) visits every row once, and may be repeated. With ``shuffle`` the order of
    a pass depends on ``seed`` and on the number of the pass. The last batch may be smaller.

    Parameters
    ----------
    x : array, Rows, h5py.Dataset, or a tuple or list of them, each of shape (N, ...)
        Give a tuple for a model with several inputs. Batches of an array are arrays of its library, on its
        device; those of an array that JAX has sharded along its rows are sharded alike. `Rows` and h5 data sets
        are read batch by batch, as NumPy arrays.
    y : array, Rows, h5py.Dataset, or a tuple or list of them, optional
        The targets, with as many rows as ``x``.
    batch_size : int
    shuffle : bool
    seed : int
        The seed of the shuffling, at least 0.
    transform : callable, optional
        Called for each batch as ``transform(x, y)``, or ``transform(x)`` without ``y``; returns the batch to use
        instead, such as scaled, augmented, or moved to another library or device. With ``sharding`` it gets the
        rows of this process only.
    sharding : jax.sharding.NamedSharding, optional
        Makes each batch a JAX array with this sharding. Each process reads only the rows for its own devices. A last
        batch whose rows cannot be divided equally among the devices is replicated on all of them.

    Yields
    ------
    array or tuple
        ``(x, y)``, or ``x`` if there is no ``y``.

    Raises
    ------
    TypeError
        If ``x`` or ``y`` is none of these, ``batch_size`` or ``seed`` is not an int, or ``sharding`` is not a
        ``NamedSharding``.
    ValueError
        If the numbers of rows differ or are 0, ``batch_size`` is not positive or not a multiple of the number of
        devices that the sharding divides rows among, or ``seed`` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.data import Batches
    >>> batches = Batches(np.arange(5), np.arange(5) % 2, batch_size=2, shuffle=False)
    >>> len(batches)
    3
    >>> for x, y in batches:
    ...     print(x, y)
    [0 1] [0 1]
    [2 3] [0 1]
    [4] [0]
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        *,
        batch_size: int = 32,
        shuffle: bool = True,
        seed: int = 0,
        transform: Callable[..., Any] | None = None,
        sharding: Any = None,
    ) -> None:
        self._size = whole("Batches", "batch_size", batch_size, least=1)
        self._seed = whole("Batches", "seed", seed, least=0)
        self._x = _sources("x", x)
        self._y = None if y is None else _sources("y", y)
        lengths = {
            name: source.shape[0]
            for side in (self._x, self._y or {})
            for name, source in side.items()
        }
        if len(set(lengths.values())) > 1:
            counts = ", ".join(f"{name} has {n}" for name, n in lengths.items())
            raise ValueError(f"Batches: the numbers of rows differ: {counts}")
        self._rows: int = next(iter(lengths.values()))
        if self._rows == 0:
            raise ValueError("Batches: x has no rows")
        self._several = isinstance(x, tuple | list), isinstance(y, tuple | list)
        sources = (*self._x.values(), *(self._y or {}).values())
        for found in (sharding, *map(sharding_of, sources)):
            if found is not None:
                check_sharding("Batches", found, min(self._size, self._rows), self._rows)
        self._shuffle, self._transform, self._sharding = shuffle, transform, sharding
        self._passes = 0

    def __len__(self) -> int:
        return -(-self._rows // self._size)

    def __iter__(self) -> Iterator[Any]:
        number, self._passes = self._passes, self._passes + 1
        return self.at(number)

    def at(self, *stream: int) -> Iterator[Any]:
        """A pass in the order that ``seed`` and ``stream`` determine, such as the number of an epoch.

        Parameters
        ----------
        *stream : int
            Each at least 0.

        Yields
        ------
        array or tuple
            As in iterating.

        Examples
        --------
        >>> import numpy as np
        >>> from arrayconv.data import Batches
        >>> batches = Batches(np.arange(6), batch_size=6)
        >>> bool((next(batches.at(3)) == next(batches.at(3))).all())
        True
        """
        order = None
        if self._shuffle:
            order = np.random.default_rng([self._seed, *stream]).permutation(self._rows)
        return self._batches(order)

    def _batches(self, order: NDArray[np.int64] | None) -> Iterator[Any]:
        x_rows = [_rows(name, source) for name, source in self._x.items()]
        y_rows = [_rows(name, source) for name, source in (self._y or {}).items()]
        for start in range(0, self._rows, self._size):
            stop = min(start + self._size, self._rows)
            part = slice(start, stop) if order is None else order[start:stop]
            lies = None
            if self._sharding is not None:
                lies = Part(self._sharding, stop - start)
                part = lies.own + start if order is None else order[start:stop][lies.own]
            x = _taken(x_rows, part, self._several[0])
            batch = x if self._y is None else (x, _taken(y_rows, part, self._several[1]))
            if self._transform is not None:
                batch = self._transform(x) if self._y is None else self._transform(*batch)
            yield batch if lies is None else _put(lies, batch)


def _put(lies: Part, batch: Any) -> Any:
    if isinstance(batch, tuple | list):
        return type(batch)(_put(lies, part) for part in batch)
    return lies.put(batch)


def _sources(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, tuple | list):
        return {name: _source(name, value)}
    if not value:
        raise ValueError(f"Batches: {name} is an empty {type(value).__name__}")
    return {f"{name}[{i}]": _source(f"{name}[{i}]", part) for i, part in enumerate(value)}


def _source(name: str, value: Any) -> Any:
    h5py = sys.modules.get("h5py")
    if h5py is not None and isinstance(value, h5py.Dataset):
        value = H5Rows(value)
    elif not isinstance(value, Rows):
        array_namespace("Batches", **{name: value})
    if not value.shape:
        raise ValueError(f"Batches: {name} must have an axis of rows, got shape ()")
    return value


def _taken(sources: list[_Rows], part: _Part, several: bool) -> Any:
    found = tuple([rows(part) for rows in sources])
    return found if several else found[0]


def _rows(name: str, source: Any) -> _Rows:
    """What takes rows of ``source``, by a slice or by their numbers."""
    if isinstance(source, Rows):
        return source.__getitem__
    if sharding_of(source) is not None:
        return partial(taken, source)
    xp, place = array_namespace("Batches", **{name: source}), placement(source)

    def rows(part: _Part) -> Array:
        if isinstance(part, slice):
            return source[part, ...]
        return xp.take(source, xp.asarray(part, **place), axis=0)

    return rows

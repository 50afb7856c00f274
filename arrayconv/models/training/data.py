"""Batches of inputs, targets and sample weights, from the arrays or the iterable that a user passes."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from arrayconv.data.batches import Batches
from arrayconv.data.sharding import sharding_of, taken
from arrayconv.models import checks
from arrayconv.models.arrays import drawn_beside, moved, rows_beside
from arrayconv.namespace import Array, Namespace, array_namespace, library, to_numpy


class Batch(NamedTuple):
    """Inputs as `Graph.as_inputs` takes them, targets in the order of the outputs, and sample weights."""

    x: Any
    y: tuple[Array, ...]
    weight: Array | None


class Source:
    """The batches of each epoch, from `epoch`.

    Parameters
    ----------
    label : str
        The name in error messages of the method that was given the data.
    outputs : sequence of str
        The names of the model's outputs.
    x, y, sample_weight
        As `Model.fit` takes them.
    batch_size, shuffle, seed
        For arrays.
    steps : int, optional
        The number of batches of an iterable in an epoch.
    class_weight : mapping of int to float, optional
    """

    def __init__(
        self,
        label: str,
        outputs: Sequence[str],
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int | None = None,
        shuffle: bool = False,
        seed: int = 0,
        steps: int | None = None,
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        self.label, self._outputs, self._steps = label, tuple(outputs), steps
        size = checks.batch_size(label, batch_size)
        self._class_weight = None if class_weight is None else _factors(label, class_weight)
        # the epoch that `first` has begun, and, with `steps`, the current pass over the iterable
        self._begun: Iterator[Batch] | None = None
        self._pass: Iterator[Any] = iter(())
        # all data as one batch, if they are arrays in memory
        self.arrays: Batch | None = None
        self._names, parts = inputs_of(x)
        self._own, self._weighted = parts is not None, sample_weight is not None
        self._batches: Any = x
        if parts is None:
            _check_iterable(label, x, "batches (x, y)")
            with_arrays = {"y": y, "sample_weight": sample_weight, "batch_size": batch_size}
            for name, given in with_arrays.items():
                if given is not None:
                    raise ValueError(
                        f"{label}: {name} goes with arrays, and x is a {type(x).__name__}, taken as an iterable of "
                        "batches (x, y) that brings its own; numpy.asarray(x) makes an array"
                    )
            return
        if y is None:
            raise ValueError(
                f"{label}: y is missing: x and y are two arguments; only an iterable of batches (x, y) brings its own y"
            )
        inputs = [as_array(part) for part in parts]
        targets = [_beside(part, inputs[0]) for part in self._targets(y)]
        weights = [_beside(sample_weight, inputs[0])] if self._weighted else []
        self._check_rows(x=inputs, y=targets, sample_weight=weights)
        self._batches = Batches(
            tuple(inputs),
            (*targets, *weights),
            batch_size=size,
            shuffle=shuffle,
            seed=seed,
        )
        if all(map(_in_memory, (*inputs, *targets))):
            self.arrays = self._batch((tuple(inputs), (*targets, *weights)))

    def _check_rows(self, **given: Sequence[Any]) -> None:
        """Raise ``ValueError`` unless everything has as many rows as the first input."""
        rows = tuple(given["x"][0].shape[:1])
        for name, part in [(name, part) for name, parts in given.items() for part in parts]:
            shape = tuple(part.shape)
            if rows and shape and shape[:1] != rows:
                turned = "; y.T turns the course's (1, N) around" if shape == (1, *rows) else ""
                raise ValueError(
                    f"{self.label}: the numbers of rows differ: x has {rows[0]}, {name} has {shape[0]}{turned}"
                )

    def __len__(self) -> int:
        """The number of batches; 0 if not known."""
        if self._steps is not None:
            return self._steps
        try:
            return len(self._batches)
        except TypeError:
            # torch's DataLoader has a length that raises where its data set has none
            return 0

    def first(self, step: int) -> Batch | None:
        """The first batch of the next epoch, which begins with this step; ``None`` if there is none.

        The next call of `epoch` yields it again.
        """
        batches = self.epoch(step)
        batch = next(batches, None)
        self._begun = None if batch is None else itertools.chain([batch], batches)
        return batch

    def epoch(self, step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch that begins with this step, whose number determines their order."""
        if self._begun is not None:
            begun, self._begun = self._begun, None
            return begun
        items = self._order(step) if self._steps is None else self._going_on(self._steps, step)
        return map(self._batch, items)

    def _going_on(self, steps: int, step: int) -> Iterator[Any]:
        for _ in range(steps):
            # continue the pass where the last epoch stopped, and start another one at its end
            item = next(self._pass, None)
            if item is None:
                self._pass = self._order(step)
                item = next(self._pass, None)
            if item is None:
                return
            yield item

    def _order(self, step: int) -> Iterator[Any]:
        if self._own:
            return self._batches.at(2, step)  # type: ignore[no-any-return]
        return self._batches.at(step) if hasattr(self._batches, "at") else iter(self._batches)

    def _batch(self, item: Any) -> Batch:
        if self._own:
            x, y = item
            weight = y[-1] if self._weighted else None
            y = y[:-1] if self._weighted else y
            if self._names is not None:
                x = dict(zip(self._names, x, strict=True))
        else:
            if not isinstance(item, tuple | list) or len(item) not in (2, 3):
                raise ValueError(
                    f"{self.label}: each batch of x must be (x, y) or (x, y, sample_weight), got {described(item)}"
                )
            x, y, weight = (*item, None)[:3]
            first = (inputs_of(x)[1] or [x])[0]
            y = tuple(_beside(part, first) for part in self._targets(y))
            weight = None if weight is None else _beside(weight, first)
        if self._class_weight is not None:
            own = class_weights(self.label, y[0], self._class_weight)
            weight = own if weight is None else own * weight
        return Batch(x, tuple(y), weight)

    def _targets(self, y: Any) -> tuple[Any, ...]:
        names = self._outputs
        if isinstance(y, Mapping):
            if set(y) != set(names):
                raise ValueError(
                    f"{self.label}: the outputs are called {', '.join(names)}, y has {', '.join(map(str, y))}"
                )
            return tuple(y[name] for name in names)
        if len(names) == 1:
            # a list of numbers is one target; a list of one array stands for that array
            alone = isinstance(y, list | tuple) and len(y) == 1 and is_rows(y[0])
            return (y[0],) if alone else (y,)
        if not isinstance(y, list | tuple) or len(y) != len(names):
            raise ValueError(
                f"{self.label}: y must be a list of {len(names)} arrays, one for each of the outputs "
                f"{', '.join(names)}, got {described(y)}"
            )
        return tuple(y)


def is_rows(value: Any) -> bool:
    """Whether a value is an array, a table or a file of samples, and not an iterable of batches."""
    return hasattr(value, "shape") and (hasattr(value, "dtype") or hasattr(value, "__array__"))


def inputs_of(x: Any) -> tuple[tuple[str, ...] | None, list[Any] | None]:
    """The names of the inputs, if ``x`` is a dict, and the inputs; ``None`` if ``x`` is an iterable of batches."""
    if isinstance(x, Mapping) and x:
        return tuple(x), list(x.values())
    if is_rows(x):
        return None, [x]
    several = isinstance(x, list | tuple) and x and all(map(is_rows, x))
    return None, list(x) if several else None


def rows_of(label: str, x: Any) -> int:
    """The number of samples in a single batch, at least 1."""
    _, parts = inputs_of(x)
    if parts is None:
        raise TypeError(f"{label}: x must be an array, or a list or dict of arrays, got {x!r}")
    return max([1, *map(int, parts[0].shape[:1])])


def each(f: Callable[[Any], Any], x: Any) -> Any:
    """``f`` applied to an array, or to every array in a dict or a list, which becomes a tuple."""
    if isinstance(x, Mapping):
        return {name: f(part) for name, part in x.items()}
    return tuple(map(f, x)) if isinstance(x, list | tuple) else f(x)


def first_row(x: Any) -> Any:
    """The first sample of each array."""

    def first(part: Any) -> Any:
        several = sharding_of(part) is not None
        return taken(part, slice(1)) if several else part[:1, ...]

    return each(first, x)


def batch_beside(batch: Batch, like: Array) -> Batch:
    """The batch in the library, on the device and in the floating dtype of ``like``."""
    xp = array_namespace("fit", like=like)

    def label(a: Array) -> Array:
        same = array_namespace("fit", y=a) is xp
        return a if same else rows_beside(xp, _held(xp, to_numpy(a)), like)

    def rows(a: Array) -> Array:
        return drawn_beside(xp, a, like) if isinstance(a, np.ndarray) else moved(a, like)

    x = each(rows, batch.x)
    weight = None if batch.weight is None else label(batch.weight)
    return Batch(x, tuple(map(label, batch.y)), weight)


def inputs_alone(label: str, x: Any, inputs: int, batch_size: int | None) -> Iterator[Batch]:
    """The batches without targets, for a model with ``inputs`` inputs."""
    names, parts = inputs_of(x)
    # a list with one array per input holds the inputs; a list of another length holds batches
    if parts is not None and (not isinstance(x, list | tuple) or len(parts) == inputs):
        size = checks.batch_size(label, batch_size)
        for part in Batches(tuple(map(as_array, parts)), batch_size=size, shuffle=False):
            yield Batch(part if names is None else dict(zip(names, part, strict=True)), (), None)
        return
    _check_iterable(label, x, "batches")
    for item in x:
        alone = not isinstance(item, tuple) or (inputs > 1 and all(map(is_rows, item)))
        yield Batch(item if alone else item[0], (), None)


def _check_iterable(label: str, x: Any, what: str) -> None:
    if not isinstance(x, Iterable) or isinstance(x, str | Mapping):
        raise TypeError(
            f"{label}: x must be an array, a list or dict of arrays for several inputs, or an iterable of {what}, "
            f"got {described(x) if isinstance(x, Mapping) else type(x).__name__}"
        )


def class_weights(label: str, y: Array, weights: Mapping[int, float]) -> Array:
    """The weight of each sample by its class, 1 where the class is not among ``weights``."""
    xp = array_namespace(label, y=y)
    if y.ndim > 1:
        y = xp.argmax(y, axis=-1) if y.shape[-1] > 1 else xp.squeeze(y, axis=-1)
    if y.ndim != 1:
        raise ValueError(f"{label}: class_weight needs one class per sample, y has {y.ndim} axes")
    found = xp.astype(xp.zeros_like(y), xp.float32) + 1.0
    for number, weight in weights.items():
        found = xp.where(y == number, xp.full_like(found, weight), found)
    return found


def _factors(label: str, given: Any) -> dict[int, float]:
    """``class_weight``, checked."""
    if not isinstance(given, Mapping):
        raise TypeError(
            f"{label}: class_weight must be a dict of class number to factor, such as {{0: 1.0, 1: 2.5}}, got {given!r}"
        )
    factors = {}
    for number, factor in given.items():
        try:
            factors[operator.index(number)] = float(factor)
        except (TypeError, ValueError):
            raise TypeError(
                f"{label}: class_weight must have class numbers as keys and factors as values, got "
                f"{number!r}: {factor!r}"
            ) from None
        if not math.isfinite(factors[number]):
            raise ValueError(
                f"{label}: class_weight must have finite factors, got {number!r}: {factor!r}"
            )
    return factors


def as_array(value: Any) -> Any:
    """Lists of numbers and tables as NumPy arrays; arrays and files unchanged."""
    if hasattr(value, "to_numpy"):
        return value.to_numpy()
    return value if hasattr(value, "shape") and hasattr(value, "dtype") else np.asarray(value)


def _in_memory(value: Any) -> bool:
    return hasattr(value, "__array_namespace__") or hasattr(value, "__dlpack__")


def _beside(value: Any, like: Any) -> Any:
    """NumPy arrays and lists in the library of ``like``; other arrays unchanged."""
    value = as_array(value)
    if not isinstance(value, np.ndarray) or isinstance(like, np.ndarray) or not _in_memory(like):
        return value
    xp = array_namespace("fit", x=like)
    return value if library(xp) == "numpy" else rows_beside(xp, _held(xp, value), like)


def _held(xp: Namespace, value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """``value`` in a dtype that the library has; integers too large for it become its largest, not wrapped."""
    if value.dtype.kind == "u" and value.dtype.itemsize > 1:
        # libraries support few operations on wider unsigned types
        value = np.minimum(value, np.uint64(2**63 - 1)).astype(np.int64)
    if value.dtype != np.int64:
        return value
    known = xp.__array_namespace_info__().dtypes(kind="signed integer")
    widest = int(xp.iinfo(known.get("int64", xp.int32)).max)
    clipped: np.ndarray[Any, Any] = np.clip(value, -widest - 1, widest)
    return clipped


def described(value: Any) -> str:
    """A value as text for an error message."""
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    shaped = hasattr(value, "shape")
    return f"{type(value).__name__} of shape {tuple(value.shape)}" if shaped else repr(value)

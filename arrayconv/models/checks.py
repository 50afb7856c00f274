"""Checks of the user's arguments: each returns the accepted value, or raises an error that names the argument."""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

import numpy as np

from arrayconv import arguments

T = TypeVar("T")
Shape = tuple[int, ...]

# NumPy has 64, of which one counts the samples.
_AXES = 63
# Values of a Keras argument that ask for nothing beyond the default, so that they may be ignored.
_OFF = (False, -1, "auto", "float32", "sum_over_batch_size")


def is_pair(value: Any) -> bool:
    """Whether a value is ``(f, f_vjp)``, a function and its gradient."""
    return isinstance(value, tuple) and len(value) == 2 and all(map(callable, value))


def steps(label: str, argument: str, value: Any) -> int | None:
    """A number of steps, or ``None`` for all batches."""
    return None if value is None else count(label, argument, value)


def batch_size(label: str, value: Any) -> int:
    """A number of samples, 32 by default."""
    return 32 if value is None else count(label, "batch_size", value)


def count(label: str, argument: str, value: Any, least: int = 1) -> int:
    """An int of at least ``least``; NumPy's ints are accepted too, as in ``Dense(y.max() + 1)``."""
    return arguments.integer(label, argument, value, least=least)


def number(label: str, argument: str, value: Any, **bounds: float) -> float:
    """A finite number within the bounds of `arrayconv.arguments.number`, as a float."""
    found = arguments.number(label, argument, value, **bounds)
    if not math.isfinite(found):
        raise ValueError(f"{label}: {argument} must be a finite number, got {value!r}")
    return found


def flag(label: str, argument: str, value: Any) -> bool:
    """True or False, Python's or NumPy's; nothing else, since Python takes the string ``"no"`` as true."""
    return arguments.flag(label, argument, bool(value) if isinstance(value, np.bool_) else value)


def choice(label: str, argument: str, value: Any, table: Mapping[str, T]) -> T:
    """``table[value]``, or a ``ValueError`` that lists the keys."""
    if not isinstance(value, str) or value not in table:
        raise ValueError(
            f"{label}: {argument} must be one of {', '.join(sorted(table))}, got {value!r}"
            f"{suggestion(value, table)}"
        )
    return table[value]


def suggestion(value: Any, known: Iterable[str]) -> str:
    """``"; did you mean 'strides'?"``, or an empty string if no known name is similar."""
    close = difflib.get_close_matches(str(value), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def part_of(name: str) -> Callable[[type[T]], type[T]]:
    """Decorate a base class of the public class ``name``, so that Python's errors call its methods ``name.method``."""

    def renamed(kind: type[T]) -> type[T]:
        for key, value in vars(kind).items():
            if inspect.isfunction(value):
                value.__qualname__ = f"{name}.{key}"
        return kind

    return renamed


def absent(module: str, name: str, hint: str) -> AttributeError:
    """The error for a name that a module does not have; ``hint`` says what to use instead of Keras's name."""
    said = f"; {hint}" if hint and name[:1] != "_" else ""
    return AttributeError(f"module {module!r} has no attribute {name!r}{said}")


def refuse(
    label: str, unknown: Mapping[str, Any], takes: Iterable[str], hints: Mapping[str, str]
) -> None:
    """Raise ``TypeError`` for unknown arguments; those of Keras, named in ``hints``, may have a neutral value."""
    takes = list(takes)
    for name, value in unknown.items():
        hint = hints.get(name)
        off = value is None or (isinstance(value, int | float | str) and value in _OFF)
        if hint and off:
            continue
        said = f"; {hint}" if hint else suggestion(name, takes)
        raise TypeError(f"{label}: unknown argument {name!r}{said} (it takes {', '.join(takes)})")


def known(label: str, unknown: Mapping[str, Any], hints: Mapping[str, str], *takers: Any) -> None:
    """`refuse` the arguments that none of the functions and classes ``takers`` has."""
    if unknown:
        parameters = (p for f in takers for p in inspect.signature(f).parameters.values())
        takes = dict.fromkeys(p.name for p in parameters if p.kind is not p.VAR_KEYWORD)
        refuse(label, unknown, [name for name in takes if name != "self"], hints)


def data_format(label: str, value: Any) -> str:
    """One of the two data formats; ``None`` is channels_last."""
    found = "channels_last" if value is None else value
    arguments.choice(label, "data_format", found, ("channels_last", "channels_first"))
    return str(found)


def as_tuple(value: Any) -> Any:
    """``value`` with lists as tuples and strings in lower case, so that it can be hashed and compared."""
    if isinstance(value, list | tuple):
        return tuple(as_tuple(item) for item in value)
    return value.lower() if isinstance(value, str) else value


def name(label: str, value: Any) -> str:
    """A valid layer or model name: without ``/``, which separates the layer from the weight in a weight's name."""
    if not isinstance(value, str) or not value or "/" in value:
        raise ValueError(f"{label}: name must be a string without '/', got {value!r}")
    return value


def model_path(label: str, path: Any) -> None:
    """Raise ``ValueError`` unless a path is one that `Model.save` writes to."""
    if not str(path).endswith((".safetensors", ".keras", ".weights.h5")):
        raise ValueError(
            f"{label}: path must end in .safetensors, .keras or .weights.h5, got {path}"
        )


def shape(label: str, value: Any) -> Shape:
    """A shape without the batch axis, as a tuple of positive ints."""
    if isinstance(value, list | tuple) and len(value) > _AXES:
        raise ValueError(f"{label}: a shape has at most {_AXES} axes, got {len(value)}")
    if not isinstance(value, list | tuple) or not all(
        isinstance(n, int | np.integer) and not isinstance(n, bool) and n >= 1 for n in value
    ):
        raise ValueError(
            f"{label}: a shape is a tuple of positive ints, without the batch axis, such as (28, 28, 1); got {value!r}"
        )
    return tuple(int(n) for n in value)


def broadcasts(value: Any, shape: Shape) -> bool:
    """Whether a number or nested sequences of numbers broadcast to a shape."""
    try:
        return np.broadcast_shapes(np.shape(value), shape) == shape
    except ValueError:
        return False


def axis(label: str, value: Any, shape: Shape) -> int:
    """An axis of an input as an int of at least 1; negative ones count from the end, and 0, the batch, is refused."""
    ndim = len(shape) + 1
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not -ndim < value < ndim or value == 0:
        raise ValueError(
            f"{label}: axis must lie in 1..{ndim - 1} or -{ndim - 1}..-1 for an input of shape "
            f"{batched(shape)}, got {value!r}"
        )
    return int(value) % ndim


def batched(shape: Shape) -> str:
    """A shape as text, with its batch axis: ``(N, 28, 28, 1)``."""
    return f"({', '.join(['N', *map(str, shape)])})"


def listed(weights: Mapping[str, Any]) -> str:
    """Weights or their specs as text: ``kernel (3, 2), bias (2,)``."""
    return ", ".join(f"{name} {tuple(weight.shape)}" for name, weight in weights.items())


def shapes(label: str, given: Any) -> tuple[Shape, ...]:
    """One shape, or a sequence of them, as a tuple of shapes; Keras's leading ``None`` is dropped."""
    several = isinstance(given, list | tuple) and all(isinstance(s, list | tuple) for s in given)
    shapes = tuple(given) if several and given else (given,)
    return tuple(
        shape(label, s[1:] if isinstance(s, list | tuple) and s[:1] in ((None,), [None]) else s)
        for s in shapes
    )

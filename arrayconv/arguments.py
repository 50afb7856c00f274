"""Checks of what a caller writes beside arrays: one for each kind of value, so that all are refused alike.

A value of the wrong kind is a ``TypeError``, one of the right kind and out of range a ``ValueError``;
both name the function, the argument, what was expected and what came.
"""

from __future__ import annotations

import inspect
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from functools import lru_cache, wraps
from numbers import Real
from typing import Any, ParamSpec, TypeAlias, TypeVar

P = ParamSpec("P")
R = TypeVar("R")
Shape: TypeAlias = tuple[int, ...]

# What Keras, PyTorch, TensorFlow and JAX call our arguments, where the two names are not alike.
ELSEWHERE = {
    "align_corners": 'coordinates="align_corners"',
    "alpha": "negative_slope",
    "bias": "b",
    "dim": "axis",
    "epsilon": "eps",
    "feature_group_count": "groups",
    "filter_size": "window",
    "input": "x",
    "interpolation": "method",
    "kernel": "w",
    "kernel_size": "window",
    "normalized_shape": "axes",
    "p": "rate",
    "pool_size": "window",
    "rhs_dilation": "dilation",
    "scale_factor": "scale",
    "target": "y_true",
    "weight": "w",
    "window_shape": "window",
}


def suggesting(f: Callable[P, R]) -> Callable[P, R]:
    """``f``, whose error about a keyword that it does not have names the one that it has."""

    @wraps(f)
    def call(*args: P.args, **keywords: P.kwargs) -> R:
        try:
            return f(*args, **keywords)
        except TypeError:
            # looked at only now, so that a call that is right pays for nothing but the call
            check_keywords(f.__name__, inspect.signature(f).parameters, keywords)
            raise

    return call


def once(check: Callable[..., R]) -> Callable[..., R]:
    """``check``, whose arguments decide alone what it returns or raises, run once for those that it has accepted.

    Of other arguments than ints, flags, names, ``None`` and tuples of ints, equal ones need not be the same to a check,
    as ``(1, True)`` and ``(1, 1)``: it is run with these every time.
    """
    accepted = lru_cache(maxsize=4096, typed=True)(check)

    @wraps(check)
    def call(*args: Any) -> R:
        for value in args:
            kind = type(value)
            plain = _INTS.issuperset(map(type, value)) if kind is tuple else kind in _PLAIN
            if not plain:
                return check(*args)
        return accepted(*args)

    return call


_INTS = frozenset({int})
_PLAIN = frozenset({int, bool, str, type(None)})


def check_keywords(op: str, names: Iterable[str], given: Iterable[str]) -> None:
    """Raise ``TypeError`` for a keyword that is not among the ``names``, and suggest one that is."""
    names = [name for name in names if name != "self"]
    for keyword in given:
        if keyword in names:
            continue
        ours = ELSEWHERE.get(keyword, "")
        if ours.partition("=")[0] not in names:
            ours = next(iter(get_close_matches(keyword, names, 1)), "")
        hint = f"did you mean {ours}?" if ours else f"it takes {', '.join(names)}"
        raise TypeError(f"{op}: there is no argument {keyword}; {hint}") from None


def integer(op: str, name: str, value: Any, *, least: int | None = None) -> int:
    """``value`` as a Python int, no less than ``least``; NumPy's integers are ints too."""
    expected = "an int" if least is None else f"an int of at least {least}"
    # bool is an int to Python, and a stride of True is a mistake
    if isinstance(value, bool):
        raise TypeError(f"{op}: {name} must be {expected}, got {value!r}")
    try:
        found = operator.index(value)
    except TypeError:
        raise TypeError(f"{op}: {name} must be {expected}, got {value!r}") from None
    if least is not None and found < least:
        raise ValueError(f"{op}: {name} must be {expected}, got {value!r}")
    return found


def number(
    op: str,
    name: str,
    value: Any,
    *,
    above: float | None = None,
    least: float | None = None,
    below: float | None = None,
) -> float:
    """``value`` as a Python float, which widens no dtype; NaN is outside of all bounds."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{op}: {name} must be a number, got {value!r}")
    try:
        found = float(value)
    except OverflowError:
        raise ValueError(f"{op}: {name} is too large for a float, got {value!r}") from None
    bounds = [
        (above is None or found > above, f"greater than {above}"),
        (least is None or found >= least, f"at least {least}"),
        (below is None or found < below, "finite" if below == math.inf else f"less than {below}"),
    ]
    if not all(inside for inside, _ in bounds):
        asked = zip((above, least, below), bounds, strict=True)
        expected = " and ".join(said for bound, (_, said) in asked if bound is not None)
        raise ValueError(f"{op}: {name} must be {expected}, got {value!r}")
    return found


def flag(op: str, name: str, value: Any) -> bool:
    """``value``, which must be a bool: the string ``"no"`` is true to Python."""
    if not isinstance(value, bool):
        raise TypeError(f"{op}: {name} must be True or False, got {value!r}")
    return value


def choice(op: str, name: str, value: Any, choices: Sequence[str | None]) -> None:
    """Raise ``ValueError`` unless ``value`` is one of the names."""
    # an array would be compared element by element
    if not (value is None or isinstance(value, str)) or value not in choices:
        listed = ", ".join(map(repr, choices))
        raise ValueError(f"{op}: {name} must be one of {listed}, got {value!r}")


def known_shape(op: str, name: str, shape: Sequence[Any]) -> None:
    """Raise ``ValueError`` for an axis of unknown size; one that stands for any size is known."""
    for axis, n in enumerate(shape):
        # Dask's unknown sizes are NaN, which equals nothing
        if n is None or n != n:
            raise ValueError(
                f"{op}: axis {axis} of {name} has an unknown size, its shape is {tuple(shape)}; "
                f"Dask finds it by {name}.compute_chunk_sizes()"
            )

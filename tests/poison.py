"""Memory that nobody has written is never zero by luck: ``empty`` fills it with what no result may hold."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

# The namespaces through which arrayconv and its tests reach `empty`.
LIBRARIES = ("numpy", "array_api_strict", "torch", "cupy")
NAMESPACES = (*LIBRARIES, *(f"array_api_compat.{name}" for name in LIBRARIES))


def poison() -> None:
    """Make `empty` and `empty_like` of every library imported so far fill what they return."""
    for name in NAMESPACES:
        module = sys.modules.get(name)
        for function in ("empty", "empty_like"):
            plain = getattr(module, function, None)
            if plain is not None and not hasattr(plain, "poisoned"):
                setattr(module, function, _filling(plain))


_filled = threading.local()


@contextmanager
def unpoisoned() -> Iterator[None]:
    """Leave what `empty` returns as it is, where filling it would be counted."""
    before, _filled.now = getattr(_filled, "now", False), True
    try:
        yield
    finally:
        _filled.now = before


def _filling(plain: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(plain)
    def poisoned(*args: Any, **kwargs: Any) -> Any:
        x = plain(*args, **kwargs)
        value = _unlikely(x)
        if value is not None and not getattr(_filled, "now", False):
            # where torch traces, what fills an array is itself made of empty ones
            with unpoisoned():
                x[...] = value
        return x

    poisoned.poisoned = True
    return poisoned


def _unlikely(x: Any) -> Any:
    """Return NaN, the largest integer or True, as the dtype of `x` has it; None where it has none."""
    kind = str(x.dtype).removeprefix("torch.")
    if kind.startswith(("float", "bfloat", "complex", ">f", "<f")):
        return float("nan")
    if kind.startswith(("int", "uint")):
        unsigned = kind.startswith("uint")
        bits = int(kind.removeprefix("uint" if unsigned else "int"))
        return 2 ** (bits - (not unsigned)) - 1
    return True if kind == "bool" else None

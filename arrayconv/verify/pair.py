"""A function with its vjp, and helpers that convert arrays to float64 and to NumPy."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.namespace import array_namespace, placement, to_numpy

Array = Any
Host = NDArray[Any]


@dataclass(frozen=True)
class Pair:
    """A function, its vjp, and the keywords they are called with."""

    f: Callable[..., Any]
    vjp: Callable[..., Any] | None
    config: Mapping[str, Any]
    vjp_config: Mapping[str, Any]
    names: tuple[str, ...]

    def forward(self, args: tuple[Any, ...]) -> Any:
        return self.f(*args, **self.config)

    def backward(self, dy: Host, args: tuple[Any, ...]) -> tuple[Any, ...]:
        vjp = self.vjp if self.vjp is not None else _twin(self.f)
        like = next(a for a in args if is_array(a))
        found = vjp(beside(dy, like), *args, **self.config, **self.vjp_config)
        return tuple(found) if isinstance(found, tuple) else (found,)

    def text(self, args: tuple[Any, ...]) -> str:
        """Return the call as text, with shapes instead of values."""
        shown = [
            f"{name}: {a.shape}" if isinstance(a, np.ndarray) else f"{name}={a!r}"
            for name, a in zip(self.names, args, strict=False)
        ]
        shown += [f"{k}={v!r}" for k, v in {**self.config, **self.vjp_config}.items()]
        return f"{self.name}({', '.join(shown)})"

    @property
    def name(self) -> str:
        return _name(self.f)


def make_pair(
    f: Callable[..., Any],
    count: int,
    vjp: Callable[..., Any] | None,
    config: Mapping[str, Any],
    vjp_config: Mapping[str, Any] | None,
) -> Pair:
    """Return a `Pair` with the names of its arguments from the signature."""
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = [p.name for p in inspect.signature(f).parameters.values() if p.kind in named]
    # arguments of *args get made-up names
    names += [f"args{i}" for i in range(len(names), count)]
    return Pair(f, vjp, config, vjp_config or {}, tuple(names))


def _twin(f: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function called ``<name of f>_vjp`` in the module of `f`."""
    name = f"{_name(f)}_vjp"
    twin = getattr(sys.modules.get(f.__module__), name, None)
    if twin is None:
        raise ValueError(f"{_name(f)} has no {name} beside it in {f.__module__}; give one as vjp=")
    found: Callable[..., Any] = twin
    return found


def _name(f: Callable[..., Any]) -> str:
    return getattr(f, "__name__", type(f).__name__)


def x64() -> AbstractContextManager[Any]:
    """A context that enables float64 in JAX, if it has been imported, and then restores the user's setting."""
    jax = sys.modules.get("jax")
    return nullcontext() if jax is None else jax.enable_x64(True)


def is_array(a: Any) -> bool:
    return hasattr(a, "dtype") and hasattr(a, "shape") and not isinstance(a, np.generic)


def is_floating(a: Any) -> bool:
    if not is_array(a):
        return False
    xp = array_namespace("verify", a=a)
    return bool(xp.isdtype(a.dtype, "real floating"))


def float64(a: Any) -> Any:
    """Return a floating array in float64, in its library, and anything else unchanged."""
    if not is_floating(a):
        return a
    xp = array_namespace("verify", a=a)
    return xp.astype(a, xp.float64)


def host(a: Any) -> Any:
    return to_numpy(a) if is_array(a) else a


def beside(a: Host, like: Array) -> Array:
    """Return `a` in the library and on the device of `like`."""
    return array_namespace("verify", like=like).asarray(a.copy(), **placement(like))


def first(y: Any) -> Any:
    return y[0] if isinstance(y, tuple) else y


def largest(a: Host) -> float:
    """Return the largest finite absolute value in `a`, 0 if there is none."""
    with np.errstate(invalid="ignore"):
        sizes = np.abs(a)
    return float(np.max(sizes, where=np.isfinite(sizes), initial=0.0))


def within_one(a: Host) -> Host:
    """Return `a` scaled down so that no absolute value exceeds 1, where common functions are not saturated."""
    scaled: Host = a / max(1.0, largest(a))
    return scaled


def upstream(y: Any, seed: int) -> Host:
    shape: tuple[int, ...] = first(y).shape
    return np.random.default_rng([seed, 1]).standard_normal(shape)

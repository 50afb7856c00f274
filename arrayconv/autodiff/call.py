"""A function with its vjp, and one call of it with the arrays taken out."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from arrayconv.engine.settings import Settings, current, options
from arrayconv.namespace import Array, array_namespace, cast, is_floating


@dataclass(frozen=True, eq=False)
class Pair:
    """A function with its vjp, and how both are called."""

    title: str
    f: Callable[..., Any]
    vjp: Callable[..., Any]
    signature: inspect.Signature
    given: frozenset[str]

    def call(
        self,
        args: tuple[Any, ...],
        config: dict[str, Any],
        convert: Callable[[str, Any], Array | None],
    ) -> tuple[Call, list[Array]]:
        """Take the arrays out of a call; ``convert`` returns None for what is no array."""
        try:
            bound = self.signature.bind(*args, **config)
        except TypeError as error:
            raise TypeError(f"{self.title}: {error}") from None
        keywords = {k: v for k, v in bound.kwargs.items() if self._is_keyword(k)}
        for name, value in keywords.items():
            if not is_scalar(value) and convert(name, value) is not None:
                raise TypeError(
                    f"{self.title}: {name} is configuration and must be a plain Python value, got an array; under "
                    f"jax.jit bind it beforehand or name it in static_argnames"
                )
        # fills the gap that an argument given by its name leaves before it
        bound.apply_defaults()
        static, arrays, places, names = list(bound.args), [], [], []
        known = [*self.signature.parameters]
        for i, value in enumerate(bound.args):
            name = known[i] if i < len(known) else f"args{i}"
            array = convert(name, value)
            if isinstance(value, list | tuple) and any(map(is_array, value)):
                raise TypeError(
                    f"{self.title}: {name} is a {type(value).__name__} of arrays, whose gradient would be lost; "
                    f"give each array as an argument of its own"
                )
            if array is not None:
                static[i] = None
                arrays.append(array)
                places.append(i)
                names.append(name)
        call = Call(
            self, tuple(static), tuple(keywords.items()), tuple(places), tuple(names), current()
        )
        return call, arrays

    def _is_keyword(self, name: str) -> bool:
        parameter = self.signature.parameters.get(name)
        return parameter is None or parameter.kind is parameter.KEYWORD_ONLY


@dataclass(frozen=True)
class Call:
    """One call of a pair without its arrays: what stays the same under a transformation."""

    pair: Pair
    static: tuple[Any, ...]
    keywords: tuple[tuple[str, Any], ...]
    places: tuple[int, ...]
    names: tuple[str, ...]
    settings: Settings

    def forward(self, arrays: Sequence[Array]) -> Any:
        """What the function returns for these arrays."""
        with options(**self.settings._asdict()):
            return self.pair.f(*self._filled(arrays), **dict(self.keywords))

    def saved(self, arrays: Sequence[Array], result: Any) -> tuple[Array, ...]:
        """What the backward pass needs: the arrays, and the result where the vjp takes it."""
        return (*arrays, first(result)) if "y" in self.pair.given else tuple(arrays)

    def backward(
        self, dy: Array, saved: Sequence[Array], wanted: Sequence[bool] | None = None
    ) -> tuple[Array | None, ...]:
        """The gradient of every array, None where it is not wanted or the array is not floating."""
        pair = self.pair
        arrays = saved[: len(self.places)]
        wanted = [True] * len(arrays) if wanted is None else wanted
        keywords = dict(self.keywords)
        if "y" in pair.given:
            keywords["y"] = saved[-1]
        if "wrt" in pair.given:
            keywords["wrt"] = tuple(
                name for name, want in zip(self.names, wanted, strict=True) if want
            )
        with options(**self.settings._asdict()):
            found = pair.vjp(dy, *self._filled(arrays), **keywords)
        found = found if isinstance(found, tuple) else (found,)
        return tuple(
            self._gradient(found[place] if place < len(found) else None, name, x) if want else None
            for place, name, x, want in zip(self.places, self.names, arrays, wanted, strict=True)
        )

    def _gradient(self, dx: Array | None, name: str, x: Array) -> Array | None:
        """The gradient in the array's own dtype, which may be narrower than the promoted one."""
        title = self.pair.title
        xp = array_namespace(title, x=x)
        if not is_floating(xp, x.dtype):
            return None
        if dx is None:
            raise TypeError(
                f"{title}: the vjp returned no gradient for {name}, a floating array of shape {tuple(x.shape)}; "
                f"it owes one array per argument, in their order"
            )
        if tuple(dx.shape) != tuple(x.shape):
            raise ValueError(
                f"{title}: the vjp returned a gradient of shape {tuple(dx.shape)} for {name}, "
                f"which has shape {tuple(x.shape)}"
            )
        return cast(xp, dx, x.dtype)

    def _filled(self, arrays: Sequence[Array]) -> list[Any]:
        args = list(self.static)
        for place, array in zip(self.places, arrays, strict=True):
            args[place] = array
        return args


def make_pair(caller: str, f: Callable[..., Any], vjp: Callable[..., Any] | None) -> Pair:
    name = getattr(f, "__name__", type(f).__name__)
    title = f"{caller}({name})"
    if not callable(f):
        raise TypeError(f"{caller}: f must be a function, got {f!r}")
    if vjp is not None and not callable(vjp):
        raise TypeError(f"{title}: vjp must be a function, got {vjp!r}")
    if vjp is None:
        vjp = getattr(sys.modules.get(getattr(f, "__module__", "")), f"{name}_vjp", None)
    if vjp is None:
        raise ValueError(f"{title}: there is no {name}_vjp beside {name}; give its vjp as vjp=")
    signature = inspect.signature(f)
    # f may have arguments of these names, which are its own then
    given = {"y", "wrt"} & {*inspect.signature(vjp).parameters} - {*signature.parameters}
    return Pair(title, f, vjp, signature, frozenset(given))


def first(result: Any) -> Any:
    return result[0] if isinstance(result, tuple) else result


def library(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def is_array(value: Any) -> bool:
    # a class like numpy.float32 has these attributes too
    known = hasattr(value, "dtype") and hasattr(value, "ndim") and hasattr(value, "shape")
    return known and not isinstance(value, type) and not is_scalar(value)


def is_scalar(value: Any) -> bool:
    """Whether ``value`` is one of NumPy's scalars, which are numbers as well as arrays without axes."""
    return (
        library(value) == "numpy" and hasattr(value, "dtype") and not hasattr(value, "__setitem__")
    )

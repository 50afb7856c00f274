"""arrayconv itself, on the arrays of any library."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import arrayconv as ac
from benchmarks.cases import Conv, Data, Pool
from benchmarks.timing import Contender, nothing


class Library(NamedTuple):
    """How arrays are made of NumPy's, how a function of arrays is prepared and waited for."""

    name: str
    pool: str
    place: Callable[[np.ndarray], Any]
    prepare: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda f: f
    finish: Callable[[Any], Any] = nothing


# its threads are its own: those of NumPy's products, which wait awake for more, are to be asleep
NUMPY = Library("numpy", "arrayconv", lambda x: x)


def conv(
    library: Library,
    case: Conv,
    data: Data,
    backward: bool,
    precision: str = "default",
    engine: str = "portable",
) -> Contender:
    """Return `conv`, or both gradients of `conv_vjp`, under one precision and engine."""

    def gradients(dy: Any, x: Any, w: Any) -> tuple[Any, ...]:
        return tuple(ac.conv_vjp(dy, x, w, wrt=("x", "w"), **case.config)[:2])

    def values(x: Any, w: Any) -> Any:
        return ac.conv(x, w, **case.config)

    f = library.prepare(gradients if backward else values)
    x, w, dy = map(library.place, data)
    call = partial(f, dy, x, w) if backward else partial(f, x, w)
    if (precision, engine) == ("default", "portable"):
        return _contender(library, call, "")

    def opted() -> Any:
        with ac.options(precision=precision, engine=engine):
            return call()

    return _contender(library, opted, f" {precision if engine == 'portable' else engine}")


def pool(
    library: Library, case: Pool, data: Data, backward: bool, y: np.ndarray | None = None
) -> Contender:
    """Return the pool or its gradient; a maximum's gradient is handed the forward result `y`."""
    forward, vjp = (
        (ac.max_pool, ac.max_pool_vjp) if case.kind == "max" else (ac.avg_pool, ac.avg_pool_vjp)
    )
    config: dict[str, Any] = {"stride": case.stride, "padding": case.padding}
    x = library.place(data.x)
    if not backward:
        f = library.prepare(lambda x: forward(x, case.window, **config))
        return _contender(library, partial(f, x), "")
    arrays = [library.place(data.dy), x]
    if y is not None:
        arrays.append(library.place(y))
    names = ("y",) if y is not None else ()

    def gradient(dy: Any, x: Any, *rest: Any) -> Any:
        return vjp(dy, x, case.window, **config, **dict(zip(names, rest, strict=True)))

    return _contender(library, partial(library.prepare(gradient), *arrays), "")


def _contender(library: Library, call: Callable[[], Any], suffix: str) -> Contender:
    name = f"arrayconv {library.name}{suffix}"
    return Contender(name, library.pool, call, _read, library.finish)


def _read(result: Any) -> tuple[np.ndarray, ...]:
    arrays = result if isinstance(result, tuple) else (result,)
    return tuple(map(ac.to_numpy, arrays))

"""One case of the table: an operation, the shapes of its arrays and its configuration."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]

_DISTINCT = {"max_pool", "global_max_pool", "adaptive_max_pool", "relu"}


@dataclass(frozen=True, eq=False)
class Case:
    """One call of an operation: ``f(*arrays, *args, **config)``.

    Parameters
    ----------
    op : str
        Public name of the operation.
    shapes : tuple of (tuple of int or None)
        Shapes of the array arguments in order; None for an argument that is absent.
    args : tuple
        Positional arguments after the arrays.
    config : dict
        Keyword arguments of the operation and of its vjp.
    vjp_config : dict
        Keyword arguments of the vjp alone, such as ``ties``.

    Examples
    --------
    >>> from arrayconv.cases import Case
    >>> case = Case("max_pool", ((1, 4, 4, 1),), (2,), {"stride": 1}, {"ties": "split"})
    >>> case.id
    'max_pool-1x4x4x1-2-stride=1-ties=split'
    >>> [x.shape for x in case.arrays()]
    [(1, 4, 4, 1)]
    """

    op: str
    shapes: tuple[Shape | None, ...]
    args: tuple[Any, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    vjp_config: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The case in a few readable characters, different for every case of the table."""
        keywords = {**self.config, **self.vjp_config}
        return "-".join(
            [
                self.op,
                *(
                    "x".join(map(str, shape)) if shape is not None else "none"
                    for shape in self.shapes
                ),
                *(_short(value) for value in self.args),
                *(f"{name}={_short(value)}" for name, value in keywords.items()),
            ]
        )

    @property
    def options(self) -> frozenset[tuple[str, str, str]]:
        """Triples (operation, option, form of its value) that the case exercises."""
        x: Shape = self.args[0] if self.op == "col2im" else self.shapes[0] or ()
        options = {"axes": str(len(x) - 2), "batch": "empty" if 0 in x else "some"}
        options["data_format"] = repr("channels_last")
        options |= {f"array {i}": _rank(shape) for i, shape in enumerate(self.shapes) if i > 1}
        options |= {f"argument {i}": _form(value) for i, value in enumerate(self.args)}
        options |= {k: _form(v) for k, v in (*self.config.items(), *self.vjp_config.items())}
        return frozenset((self.op, name, value) for name, value in options.items())

    def arrays(self, seed: int = 0) -> tuple[NDArray[np.float64] | None, ...]:
        """Return float64 arrays, the same for the same seed.

        Values are normal draws; for maxima and kinks, distinct multiples of 1/8 that keep 1/16
        away from zero (exact in every floating type up to a few hundred elements).
        """
        rng = np.random.default_rng([seed, zlib.crc32(self.id.encode())])
        draw = _distinct if self.op in _DISTINCT else _normal
        return tuple(None if shape is None else draw(rng, shape) for shape in self.shapes)


def _normal(rng: np.random.Generator, shape: Shape) -> NDArray[np.float64]:
    return rng.standard_normal(shape)


def _distinct(rng: np.random.Generator, shape: Shape) -> NDArray[np.float64]:
    n = prod(shape)
    return (rng.permutation(n).reshape(shape) - n // 2 + 0.5) / 8


def _short(value: Any) -> str:
    return str(value).replace(" ", "")


def _rank(shape: Shape | None) -> str:
    return "none" if shape is None else f"{len(shape)}-d"


def _form(value: Any) -> str:
    if not isinstance(value, tuple):
        return repr(value)
    return "pairs" if value and isinstance(value[0], tuple) else "per axis"

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
    draws : tuple of str
        How each array is drawn, in order, where that is not the operation's own way: ``"normal"``,
        ``"distinct"`` (off ties and kinks), ``"positive"``, ``"unit"`` (between 0.05 and 0.95),
        ``"probabilities"`` (positive, the last axis sums to one), ``"mask"`` (boolean) or
        ``"labels:5"`` (int64, five classes).

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
    draws: tuple[str, ...] = ()

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
                *self.draws,
            ]
        )

    @property
    def options(self) -> frozenset[tuple[str, str, str]]:
        """Triples (operation, option, form of its value) that the case exercises."""
        x: Shape = self.args[0] if self.op == "col2im" else self.shapes[0] or ()
        options = {"axes": str(len(x) - 2), "batch": "empty" if 0 in x else "some"}
        options["data_format"] = repr("channels_last")
        options |= {
            f"array {i}": _rank(shape)
            for i, shape in enumerate(self.shapes)
            if i > 1 or shape is None
        }
        options |= {f"draw {i}": how for i, how in enumerate(self.draws)}
        options |= {f"argument {i}": _form(value) for i, value in enumerate(self.args)}
        options |= {k: _form(v) for k, v in (*self.config.items(), *self.vjp_config.items())}
        return frozenset((self.op, name, value) for name, value in options.items())

    def arrays(self, seed: int = 0) -> tuple[NDArray[Any] | None, ...]:
        """Return the arrays, float64 but for masks and labels, the same for the same seed.

        Values are normal draws; for maxima and kinks, distinct multiples of 1/8 that keep 1/16
        away from zero (exact in every floating type up to a few hundred elements).
        """
        rng = np.random.default_rng([seed, zlib.crc32(self.id.encode())])
        default = "distinct" if self.op in _DISTINCT else "normal"
        draws = self.draws or (default,) * len(self.shapes)
        return tuple(
            None if shape is None else _draw(how, rng, shape)
            for how, shape in zip(draws, self.shapes, strict=True)
        )


def _draw(how: str, rng: np.random.Generator, shape: Shape) -> NDArray[Any]:
    kind, _, classes = how.partition(":")
    if kind == "distinct":
        n = prod(shape)
        return (rng.permutation(n).reshape(shape) - n // 2 + 0.5) / 8
    if kind == "positive":
        return 0.1 + rng.gamma(2.0, size=shape)
    if kind == "unit":
        return rng.uniform(0.05, 0.95, shape)
    if kind == "probabilities":
        weights: NDArray[np.float64] = rng.uniform(0.1, 1.0, shape)
        shares: NDArray[np.float64] = weights / weights.sum(axis=-1, keepdims=True)
        return shares
    if kind == "mask":
        return rng.random(shape) < 0.6
    if kind == "labels":
        return rng.integers(int(classes), size=shape)
    return rng.standard_normal(shape)


def _short(value: Any) -> str:
    return str(value).replace(" ", "")


def _rank(shape: Shape | None) -> str:
    return "none" if shape is None else f"{len(shape)}-d"


def _form(value: Any) -> str:
    if not isinstance(value, tuple):
        return repr(value)
    return "pairs" if value and isinstance(value[0], tuple) else "per axis"

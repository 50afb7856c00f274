"""A drawn call of an operation: kept as text, so that what fails can be pasted and is what ran."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

Shape = tuple[int, ...]

# How values of a shape are made. Sums of products of quarters are exact, and tie.
VALUES = {
    "quarters": "np.random.default_rng({seed}).integers(-8, 9, {shape}) / 4",
    "normal": "np.random.default_rng({seed}).standard_normal({shape})",
    "distinct": "(np.random.default_rng({seed}).permutation({size}).reshape({shape}) - {size} // 2 + 0.5) / 8",
    "positive": "np.random.default_rng({seed}).uniform(0.1, 2, {shape})",
    "unit": "np.random.default_rng({seed}).uniform(0.05, 0.95, {shape})",
    "probabilities": "np.random.default_rng({seed}).dirichlet(np.full({last}, 9.0), {lead})",
    "mask": "np.random.default_rng({seed}).random({shape}) < 0.6",
    "integers": "np.random.default_rng({seed}).integers(-100, 100, {shape})",
    "labels": "np.random.default_rng({seed}).integers(0, {classes}, {shape})",
}

# How they lie in memory.
LAYOUTS = {
    "plain": "{}",
    "fortran": "np.asfortranarray({})",
    "reversed": "np.flip({})",
    "strided": "np.repeat({}, 2, -1)[..., ::2]",
    "unaligned": "np.rec.fromarrays([np.ones({shape}, 'i1'), {}], names='a, b').b",
    "broadcast": "np.broadcast_to({}, {shape})",
    "swapped": "({}).astype('>{code}')",
}


@dataclass(frozen=True)
class Drawn:
    """An array as text; `shape` is None where it is that of the result, for an upstream gradient."""

    shape: Shape | None
    values: str = "quarters"
    dtype: str = "float64"
    layout: str = "plain"
    seed: int = 0
    classes: int = 0
    axis: int = 0
    cell: tuple[int, str] | None = None

    def text(self) -> str:
        """Return the expression that makes it with NumPy."""
        shape = made = self.shape
        if self.layout == "broadcast" and shape:
            axis = self.axis % len(shape)
            made = (*shape[:axis], min(1, shape[axis]), *shape[axis + 1 :])
        text = VALUES[self.values].format(
            seed=self.seed,
            shape=made,
            size=math.prod(made),
            last=made[-1] if made else 0,
            lead=made[:-1],
            classes=self.classes,
        )
        dtype = "float32" if self.dtype == "bfloat16" else self.dtype
        if self.values == "mask" or dtype != "float64":
            text = f"({text}).astype('{dtype}')"
        if self.cell is not None and math.prod(shape):
            at, value = self.cell[0] % math.prod(shape), f"np.{dtype}('{self.cell[1]}')"
            text = (
                f"np.where(np.arange({math.prod(shape)}).reshape({shape}) == {at}, {value}, {text})"
            )
        if self.layout == "plain" or not shape:
            return text
        return LAYOUTS[self.layout].format(text, shape=shape, code=np.dtype(dtype).str[1:])

    def numpy(self) -> np.ndarray:
        """Return it as NumPy's, which cannot be written."""
        x = np.asarray(eval(self.text(), {"np": np}))
        x.flags.writeable = False
        return x

    def of(self, xp: Any) -> Any:
        """Return it on a library, in the same layout where that can be."""
        x = self.numpy()
        if xp.name == "numpy":
            return x
        if self.layout == "swapped":
            x = x.astype(x.dtype.newbyteorder("="))
        if xp.name.startswith("torch"):
            return self._torch(xp, x)
        if self.dtype == "bfloat16":
            return xp.array(x).astype(xp.namespace.bfloat16)
        return xp.array(x, batch=bool(x.ndim and self.seed % 2))

    def _torch(self, xp: Any, x: np.ndarray) -> Any:
        # torch has no negative strides, and its own way to stride by 0
        held = x[tuple(slice(1 if s == 0 else None) for s in x.strides)]
        if any(s < 0 or s % x.itemsize for s in held.strides):
            held = held.copy()
        held = held.copy(order="A") if held.ndim < 2 or 0 in held.strides else _copied(held)
        y = xp.namespace.asarray(held, device=xp.make(np.zeros(())).device).expand(x.shape)
        return y.to(xp.namespace.bfloat16) if self.dtype == "bfloat16" else y


def _copied(x: np.ndarray) -> np.ndarray:
    """Return a copy with the strides of `x`, none of which is negative or 0."""
    span = 1 + sum((n - 1) * s for n, s in zip(x.shape, x.strides, strict=True)) // x.itemsize
    held = np.zeros(max(span, 1), x.dtype)
    y = np.lib.stride_tricks.as_strided(held, x.shape, x.strides)
    y[...] = x
    return y


@dataclass(frozen=True, repr=False)
class Call:
    """``op(*arrays, *args, **config)``, and what its vjp takes besides."""

    op: str
    arrays: Mapping[str, Drawn | None]
    args: tuple[Any, ...] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    vjp: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    dy: Drawn = field(default_factory=lambda: Drawn(None, "normal", seed=1))

    def upstream(self, shape: Shape, dtype: str) -> Drawn:
        """Return the upstream gradient of a result."""
        return replace(self.dy, shape=tuple(shape), dtype=dtype)

    @property
    def floats(self) -> list[str]:
        """The arrays that have a gradient."""
        return [n for n, a in self.arrays.items() if a is not None and "float" in a.dtype]

    @property
    def dtype(self) -> str:
        """The promoted dtype."""
        kinds = {self.arrays[name].dtype for name in self.floats}
        kinds = kinds or {a.dtype for a in self.arrays.values() if a is not None}
        if len(kinds) == 1:
            return kinds.pop()
        return "float64" if "float64" in kinds else "float32"

    def __repr__(self) -> str:
        made = ", ".join("None" if a is None else a.text() for a in self.arrays.values())
        given = [*self.arrays, *map(repr, self.args), *_keywords(self.config)]
        run = f"{'y, *_' if self.op == 'batch_norm' else 'y'} = ac.{self.op}({', '.join(given)})"
        dy = VALUES[self.dy.values].format(seed=self.dy.seed, shape="y.shape")
        only = [f"{k}={'y' if k == 'y' else repr(v)}" for k, v in self.vjp.items()]
        back = f"ac.{self.op}_vjp({', '.join([f'({dy}).astype(y.dtype)', *given, *only])})"
        if self.options:
            options = f"with ac.options({', '.join(_keywords(self.options))}): "
            run, back = options + run, options + f"print({back})"
        halves = " # as bfloat16" if self.dtype == "bfloat16" else ""
        lines = [
            f"import numpy as np, arrayconv as ac; {', '.join(self.arrays)}, = {made},{halves}"
        ]
        return "\n".join(["", *lines, run, back, ""])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))


def _keywords(given: Mapping[str, Any]) -> list[str]:
    return [f"{k}={v!r}" for k, v in given.items()]


def exact(x: Any) -> np.ndarray:
    """Return NumPy's float64 of anything that is read without arrayconv."""
    if type(x).__module__.startswith("torch"):
        x = x.detach().cpu()
        x = x.double().numpy() if x.is_floating_point() else x.numpy()
    elif type(x).__module__.startswith("array_api_strict"):
        x = x._array
    x = np.asarray(x)
    return x.astype(np.float64) if x.dtype.kind in "fV" or "float" in x.dtype.name else x

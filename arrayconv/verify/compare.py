"""Comparing gradients, and the error for a mismatch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from arrayconv.verify.pair import Host, Pair, host, is_floating, largest

# The rounding error that is accepted, relative to the size of the terms of a sum.
ROUNDINGS = 64 * float(np.finfo(np.float64).eps)


class GradientMismatch(AssertionError):  # noqa: N818 (a failed assertion, not an error of the caller)
    """A gradient, or a result, differs from its reference.

    Attributes
    ----------
    argument : str
        The name of the argument whose gradient is wrong, or ``"result"``.
    index : tuple of int or None
        The index of the worst element; None if elements were not compared.
    got, want : float or None
        The two values that were compared; None if the shapes or dtypes differ.
    configuration : str
        The call, with shapes instead of values.
    """

    def __init__(
        self,
        argument: str,
        configuration: str,
        what: str,
        *,
        index: tuple[int, ...] | None = None,
        got: float | None = None,
        want: float | None = None,
    ) -> None:
        super().__init__(f"{configuration}: {what}")
        self.argument = argument
        self.configuration = configuration
        self.index = index
        self.got = got
        self.want = want


def gradients(pair: Pair, here: tuple[Any, ...], got: tuple[Any, ...]) -> list[tuple[int, Host]]:
    """Return the gradients that a vjp returned, each with the position of its argument; raise if one is missing."""
    found = []
    if any(dx is not None for dx in got[len(here) :]):
        what = f"the vjp returned {len(got)} gradients for {len(here)} arguments"
        raise GradientMismatch(pair.names[0], pair.text(here), what)
    wrt = pair.vjp_config.get("wrt", pair.names)
    for i, a in enumerate(here):
        dx = got[i] if i < len(got) else None
        if not is_floating(a):
            if dx is not None:
                what = f"d{pair.names[i]} must be None: {pair.names[i]} is not a floating array"
                raise GradientMismatch(pair.names[i], pair.text(here), what)
        elif dx is not None:
            found.append((i, host(dx)))
        elif pair.names[i] in wrt:
            what = f"d{pair.names[i]} is missing, the vjp returned {len(got)} gradients"
            raise GradientMismatch(pair.names[i], pair.text(here), what)
    return found


def same_kind(pair: Pair, here: tuple[Any, ...], i: int, got: Host, want: Host, whose: str) -> None:
    name = pair.names[i]
    if got.shape != want.shape or got.dtype != want.dtype:
        what = f"d{name} is {got.shape} {got.dtype}, and {whose} is {want.shape} {want.dtype}"
        raise GradientMismatch(name, pair.text(here), what)


def worst_gradient(
    pair: Pair,
    here: tuple[Any, ...],
    got: tuple[Any, ...],
    want: tuple[Host | None, ...],
    rtol: float,
    terms: Callable[[], tuple[float, ...]],
) -> float:
    """Return the largest error of the gradients; ``terms``, which is slow, gives the size of the terms of each."""
    worst = 0.0
    for i, dx in gradients(pair, here, got):
        expected = want[i]
        assert expected is not None
        name = pair.names[i]
        try:
            error = worst_element(pair, here, name, dx, expected, rtol)
        except GradientMismatch:
            error = worst_element(pair, here, name, dx, expected, rtol, terms()[i])
        worst = max(worst, error)
    return worst


def worst_element(
    pair: Pair,
    here: tuple[Any, ...],
    name: str,
    got: Host,
    want: Host,
    rtol: float,
    terms: float = 0.0,
) -> float:
    """Return the largest error relative to the largest finite element of `want`.

    In addition to `rtol`, rounding of terms of size `terms` is accepted, which may have cancelled.
    """
    label, oracle = (name, "NumPy") if name == "result" else (f"d{name}", "jax.vjp")
    if got.shape != want.shape or got.dtype != want.dtype:
        what = f"{label} is {got.shape} {got.dtype}, and {oracle} says {want.shape} {want.dtype}"
        raise GradientMismatch(name, pair.text(here), what)
    if got.size == 0:
        return 0.0
    scale = largest(want) or 1.0
    if rtol > 0:
        scale += ROUNDINGS * terms / rtol
    equal = (got == want) | (np.isnan(got) & np.isnan(want))
    with np.errstate(invalid="ignore"):
        error = np.where(equal, 0.0, np.abs(got - want) / scale)
    # a NaN or inf on one side only is an infinite error
    error = np.where(np.isnan(error), np.inf, error)
    index = tuple(int(n) for n in np.unravel_index(int(np.argmax(error)), error.shape))
    if not error[index] <= rtol:
        here_got, here_want = float(got[index]), float(want[index])
        what = (
            f"{label}{list(index)} is {here_got!r}, and {oracle} says {here_want!r}: an error of"
            f" {error[index]:.1e} of the largest element or term, {rtol:.0e} is allowed;"
            f" {int(np.sum(error > rtol))} of {error.size} elements are off"
        )
        raise GradientMismatch(
            name, pair.text(here), what, index=index, got=here_got, want=here_want
        )
    return float(error[index])

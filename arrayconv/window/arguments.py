"""What a caller may write for a stride, a dilation, a padding: checked, and made one entry per axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from arrayconv.arguments import integer

Ints: TypeAlias = int | Sequence[int]
Padding: TypeAlias = int | str | Sequence[int] | Sequence[tuple[int, int]]
Pairs: TypeAlias = tuple[tuple[int, int], ...]

NAMED_PADDINGS = ("valid", "same", "same_lower", "causal")


def per_axis(op: str, name: str, value: Any, ndim: int, *, least: int = 1) -> tuple[int, ...]:
    """``value``, an int or one int per spatial axis, as a tuple of ``ndim`` ints, none below ``least``."""
    if type(value) is int:
        values: tuple[int, ...] = (value,) * ndim
    else:
        entries = value if isinstance(value, tuple | list) else (value,) * ndim
        if len(entries) != ndim:
            raise ValueError(
                f"{op}: {name} expects an int or {ndim} ints, one per spatial axis, got {value!r}"
            )
        values = tuple(_int(op, name, entry, value) for entry in entries)
    for entry in values:
        if entry < least:
            raise ValueError(f"{op}: {name} must be at least {least}, got {value!r}")
    return values


def _int(op: str, name: str, entry: Any, given: Any) -> int:
    try:
        return integer(op, name, entry)
    except TypeError:
        # the whole of what was written says more than the entry
        raise TypeError(f"{op}: {name} expects ints, got {given!r}") from None


def pad_pairs(
    op: str, padding: Any, ndim: int, *, named: Sequence[str] = (), argument: str = "padding"
) -> Pairs | str:
    """``padding`` as one ``(before, after)`` pair per spatial axis, or the name it is."""
    if type(padding) is int and padding >= 0:
        return ((padding, padding),) * ndim
    if isinstance(padding, str):
        if padding not in named:
            choices = "".join(f", {name!r}" for name in named)
            raise ValueError(
                f"{op}: {argument} expects an int, {ndim} ints, {ndim} pairs of ints{choices}, got {padding!r}"
            )
        if padding == "causal" and ndim != 1:
            raise ValueError(f"{op}: {argument} 'causal' is for one spatial axis, not for {ndim}")
        return padding
    if isinstance(padding, tuple | list):
        if len(padding) != ndim:
            raise ValueError(
                f"{op}: {argument} expects {ndim} entries, one per spatial axis, got {padding!r}"
            )
        pairs = tuple(_pair(op, argument, entry, padding) for entry in padding)
    else:
        pairs = (_pair(op, argument, padding, padding),) * ndim
    if any(width < 0 for pair in pairs for width in pair):
        raise ValueError(f"{op}: {argument} must not be negative, got {padding!r}")
    return pairs


def _pair(op: str, argument: str, entry: Any, given: Any) -> tuple[int, int]:
    if not isinstance(entry, tuple | list):
        width = _int(op, argument, entry, given)
        return width, width
    if len(entry) != 2:
        raise ValueError(f"{op}: {argument} expects (before, after) pairs, got {given!r}")
    return _int(op, argument, entry[0], given), _int(op, argument, entry[1], given)


def known_size(op: str, size: Sequence[Any]) -> tuple[int, ...]:
    """The spatial shape, if every entry of it is known."""
    for n in size:
        if not isinstance(n, int):
            raise ValueError(f"{op}: the spatial sizes of x must be known, got {tuple(size)}")
    return tuple(size)

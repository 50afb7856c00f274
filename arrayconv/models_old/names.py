"""Looking up what a user named, with an error that helps."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def lookup(label: str, argument: str, name: Any, table: Mapping[str, T]) -> T:
    """``table[name]``, or an error that lists what there is.

    Raises
    ------
    ValueError
        If ``table`` does not have ``name``.
    """
    if not isinstance(name, str) or name not in table:
        raise ValueError(
            f"{label}: {argument} must be one of {', '.join(sorted(table))}, got {name!r}"
            f"{suggestion(name, table)}"
        )
    return table[name]


def suggestion(name: Any, known: Iterable[str]) -> str:
    """``"; did you mean 'strides'?"``, or nothing where nothing is close."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def is_class_name(kind: type, name: str) -> bool:
    """Whether ``name`` is one that a layer of this class gets when it is given none."""
    return re.fullmatch(rf"{snake(kind.__name__)}(_\d+)?", name) is not None


def snake(name: str) -> str:
    """``conv_transpose`` for ``ConvTranspose``, ``leaky_relu`` for ``LeakyReLU``."""
    name = name.replace("eLU", "elu").replace("iLU", "ilu")
    parts = re.findall(r"[A-Z]+(?=[A-Z][a-z]|$)|[A-Z]?[a-z0-9]+", name)
    return "_".join(part.lower() for part in parts)

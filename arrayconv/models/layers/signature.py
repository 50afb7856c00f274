"""What the signatures of a class of layers say: the arguments of its constructor, and what its methods read."""

from __future__ import annotations

import inspect
from inspect import Parameter
from typing import NamedTuple


class Reads(NamedTuple):
    """What the methods of a class of layers name: ``"x"`` for the inputs, and what follows ``*``."""

    forward: frozenset[str]
    backward: frozenset[str]


def named(kind: type, method: str, lead: int, known: tuple[str, ...]) -> frozenset[str]:
    """What ``method`` names: those of ``known`` after ``*``, and ``"x"`` for arguments after its first ``lead``.

    Raises
    ------
    TypeError
        A name that is not known, or a known one that stands before ``*``.
    """
    found = set()
    given = inspect.signature(getattr(kind, method)).parameters
    if list(given)[1:] == ["args", "kwargs"]:
        # the one of Layer itself, which only raises
        return frozenset()
    before = 0
    for name, parameter in given.items():
        if parameter.kind is Parameter.KEYWORD_ONLY and name in known:
            found.add(name)
        elif parameter.kind in (Parameter.KEYWORD_ONLY, Parameter.VAR_KEYWORD):
            raise TypeError(
                f"{kind.__name__}: {method} names {name!r}; it may name {', '.join(known)}"
            )
        elif name in known:
            raise TypeError(f"{kind.__name__}: {method} must name {name!r} after *")
        else:
            before += 1
    # self counts too
    if before > lead:
        found.add("x")
    return frozenset(found)


def arguments(kind: type, common: tuple[str, ...]) -> tuple[str, ...]:
    """What the constructor takes by name, and through ``**`` what that of the class above takes."""
    given = inspect.signature(kind).parameters.values()
    names = [p.name for p in given if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if any(p.kind is p.VAR_KEYWORD for p in given):
        names += getattr(kind, "fields", ())
    return tuple(name for name in dict.fromkeys(names) if name not in common)

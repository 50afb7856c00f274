"""Keras's classes for one rank each, made from those for every rank."""

from __future__ import annotations

from typing import TypeVar

from arrayconv.models.layers.base import Layer

L = TypeVar("L", bound=Layer)


def by_rank(kind: type[L], name: str) -> tuple[type[L], type[L], type[L]]:
    """Subclasses of ``kind`` for 1, 2 and 3 spatial axes, called ``name.format(1)`` and so on.

    The names must be assigned in `arrayconv.models.layers`, where pickle looks for them.
    """
    one, two, three = (
        type(
            name.format(rank),
            (kind,),
            {"rank": rank, "__module__": "arrayconv.models.layers"},
        )
        for rank in (1, 2, 3)
    )
    return one, two, three

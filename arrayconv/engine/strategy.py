"""What a strategy is: the functions and facts that a module of ``engine`` gives of itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from arrayconv.namespace import Array, Namespace
from arrayconv.window import Window

Compute: TypeAlias = Callable[[Namespace, Array, Array, Window, bool], Array]


@dataclass(frozen=True)
class Strategy:
    """One way to compute a correlation and its two adjoints; the docstring of ``engine`` describes the functions.

    Attributes
    ----------
    correlate, input_vjp, weight_vjp : function
        ``f(xp, x, w, window, mutable)``.
    declines : function
        ``declines(window, channels, features)`` is ``None``, or why this window cannot be served exactly.
    temporaries : function
        ``temporaries(kind, window, channels, features)``: elements per group and image.
    fast : bool
        Whether it rounds more than columns or spreads NaN and inf, so that ``precision="fast"`` alone admits it.
    enough : function, optional
        ``enough(window, features)``: windows that a block should have, where the workspace allows it;
        if not given, as many as make the reading of the weights cheap.
    whole : bool
        Whether a block takes the workspace, since rows that blocks share would be computed twice.
    fuses : bool
        Whether a compiler makes its multiply-adds one loop without temporaries, forward and for an input
        gradient, which blocks would only break up.
    tile, prepare, prepared : function, optional
        Of one that works in tiles: the outputs of a tile along each axis, the kernel made ready for all
        blocks, and the elements of that per group.
    """

    correlate: Compute
    input_vjp: Compute
    weight_vjp: Compute
    declines: Callable[[Window, int, int], str | None]
    temporaries: Callable[[str, Window, int, int], int]
    fast: bool = False
    enough: Callable[[Window, int], int] | None = None
    whole: bool = False
    fuses: bool = False
    tile: Callable[[Window, int, int], tuple[int, ...]] | None = None
    prepare: Callable[[Namespace, Array, Window], Array] | None = None
    prepared: Callable[[Window, int, int], int] | None = None

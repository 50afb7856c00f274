"""Dropout as a layer."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.models_old.layer import Backward, Forward, Layer, Weights, WeightSpec
from arrayconv.models_old.shapes import Shape, checked_number
from arrayconv.namespace import Array


class Dropout(Layer):
    """In training each cell is 0 with probability ``rate``, and the others are scaled by ``1 / (1 - rate)``.

    Parameters
    ----------
    rate : float
        In [0, 1).

    Raises
    ------
    TypeError
        A rate that is no number.
    ValueError
        A rate out of range.

    Notes
    -----
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR 15, 2014.
    """

    uses = ()

    def __init__(self, rate: float, **common: Any) -> None:
        super().__init__(**common)
        self.rate = checked_number(self.label, "rate", rate)
        if not 0 <= self.rate < 1:
            raise ValueError(f"{self.label}: rate must lie in [0, 1), got {rate!r}")

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        return shapes[0], {}

    def noise(self, *shapes: Shape) -> Shape | None:
        return shapes[0] if self.rate else None

    def forward(
        self, w: Weights, *x: Array, training: bool = False, mask: Array | None = None
    ) -> Forward:
        if not training or not self.rate:
            return x[0], {}
        return ac.dropout(x[0], mask, rate=self.rate), {}

    def backward(
        self,
        dy: Array,
        w: Weights,
        *x: Array,
        y: Array,
        training: bool = False,
        mask: Array | None = None,
        need: bool = True,
    ) -> Backward:
        if not need or not training or not self.rate:
            return (dy if need else None,), {}
        # the derivative does not depend on the input, so dy lends its shape
        return (ac.dropout_vjp(dy, dy, mask, rate=self.rate)[0],), {}

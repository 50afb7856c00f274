"""Kinds of layers that need less than a layer in general."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.models_old.layer import Backward, Forward, Layer, Weights
from arrayconv.namespace import Array


class Staged(Layer):
    """A layer of several stages, one feeding the next."""

    def forward(
        self, w: Weights, *x: Array, training: bool = False, mask: Array | None = None
    ) -> Forward:
        updates: dict[str, Array] = {}
        for stage in self.stages:
            y, new = stage.forward(w, *x, training=training, mask=mask)
            updates |= new
            x = (y,)
        return x[0], updates

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
        values = [x]
        for stage in self.stages[:-1]:
            values.append((stage.forward(w, *values[-1], training=training, mask=mask)[0],))
        gradients: dict[str, Array] = {}
        dx: tuple[Array | None, ...] = (dy,)
        for i, stage in reversed(list(enumerate(self.stages))):
            out = y if i + 1 == len(values) else values[i + 1][0]
            dx, new = stage.backward(
                dx[0], w, *values[i], y=out, training=training, mask=mask, need=need or i > 0
            )
            gradients |= new
        return dx, gradients


class Unary:
    """A stage that is one operation of one array."""

    # The operation's name in `arrayconv`.
    op: str
    uses: tuple[str, ...]

    def keywords(self, x: Array) -> dict[str, Any]:
        """All that the operation takes beside ``x``."""
        return {}

    def forward(
        self, w: Weights, *x: Array, training: bool = False, mask: Array | None = None
    ) -> Forward:
        return getattr(ac, self.op)(x[0], **self.keywords(x[0])), {}

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
        return (self.vjp(dy, x[0], y) if need else None,), {}

    def vjp(self, dy: Array, x: Array, y: Array) -> Array:
        """The gradient of the input; ``x`` and ``y`` are there as far as ``uses`` names them."""
        given = {"y": y} if "y" in self.uses else {}
        return getattr(ac, f"{self.op}_vjp")(dy, x, **self.keywords(x), **given)


class Weightless(Unary, Layer):
    """A layer that is one operation of one input."""

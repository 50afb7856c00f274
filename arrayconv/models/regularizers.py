"""Regularizers: penalties on weights, added to the loss, with their gradients."""

from __future__ import annotations

from typing import Any

from arrayconv.models import checks
from arrayconv.models.named import Named
from arrayconv.namespace import Array, Namespace
from arrayconv.ops.activation.elementwise import sign

__all__ = ["L1", "L1L2", "L2", "Regularizer", "l1", "l1_l2", "l2"]


class Regularizer(Named):
    """Base class of penalties on a weight; one of your own defines ``value`` and ``gradient``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models.regularizers import L2
    >>> w = np.asarray([1.0, -2.0])
    >>> float(L2(0.5).value(np, w)), L2(0.5).gradient(np, w).tolist()
    (2.5, [1.0, -2.0])
    """

    def value(self, xp: Namespace, w: Array) -> Array:
        """The penalty added to the loss, an array of shape ()."""
        raise NotImplementedError(f"{type(self).__name__} must define value")

    def gradient(self, xp: Namespace, w: Array) -> Array:
        """The gradient of `value` with respect to ``w``, with its shape and dtype."""
        raise NotImplementedError(f"{type(self).__name__} must define gradient")


class L1L2(Regularizer):
    """``l1 * sum(abs(w)) + l2 * sum(w ** 2)``.

    Parameters
    ----------
    l1, l2 : float
        At least 0.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        label = type(self).__name__
        self.l1 = checks.number(label, "l1", l1, least=0)
        self.l2 = checks.number(label, "l2", l2, least=0)

    def value(self, xp: Namespace, w: Array) -> Array:
        return self.l1 * xp.sum(xp.abs(w)) + self.l2 * xp.sum(w * w)

    def gradient(self, xp: Namespace, w: Array) -> Array:
        return self.l1 * sign(xp, w) + 2 * self.l2 * w


class L1(L1L2):
    """``l1 * sum(abs(w))``."""

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


class L2(L1L2):
    """``l2 * sum(w ** 2)``."""

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


def get(identifier: Any) -> Regularizer | None:
    """The regularizer of this name, config or class; ``None`` for ``None``."""
    if identifier is None:
        return None
    return Regularizer.of("regularizers.get", "identifier", identifier)


# Keras's aliases.
l1, l2, l1_l2 = L1, L2, L1L2

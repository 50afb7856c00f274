"""Is a hand-written derivative right? Three checks, for these operations and for a user's own.

`check_vjp` compares every element with ``jax.vjp`` of the same forward code, `check_adjoint`
compares the two inner products of a linear map, and `check_directional` compares with central
differences on any array library, without JAX. `check_layer` and `check_loss` do so for layers and
losses of a model, and `check_case` runs one case of the table. All work
in float64, return the worst relative error, and raise `GradientMismatch`.
"""

from __future__ import annotations

from arrayconv.verify.checks import check_adjoint, check_directional, check_vjp
from arrayconv.verify.compare import GradientMismatch
from arrayconv.verify.layers import check_layer, check_loss
from arrayconv.verify.table import check_case

__all__ = [
    "GradientMismatch",
    "check_adjoint",
    "check_case",
    "check_directional",
    "check_layer",
    "check_loss",
    "check_vjp",
]

"""Checks of hand-written derivatives, for arrayconv's operations and for your own functions.

`check_vjp` compares every element with ``jax.vjp`` of the same forward code. `check_adjoint` checks a linear map
and its adjoint by two inner products. `check_directional` compares with central differences, on any array library
and without JAX. `check_layer` and `check_loss` check layers and losses of a model, and `check_case` one of the
cases in `arrayconv.cases`. All compute in float64, return the largest relative error, and raise `GradientMismatch`
if it is too large.
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

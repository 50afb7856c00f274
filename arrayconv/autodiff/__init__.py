"""Hand the hand-written derivatives to JAX and to PyTorch.

`to_jax` makes a function whose derivative, to ``jax.grad``, is our vjp, and `to_torch` one that
PyTorch's autograd differentiates by it. Every operation goes through the same adapter, and so does
a function of one's own with its vjp. A `Call` is one call with its arrays taken out, which is all
that the two adapters have in common.
"""

from __future__ import annotations

from arrayconv.autodiff.jax_adapter import to_jax
from arrayconv.autodiff.torch_adapter import to_torch

__all__ = ["to_jax", "to_torch"]

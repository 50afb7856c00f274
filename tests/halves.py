"""The half types of every library that has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import arrayconv as ac

HALVES = ("numpy-float16", "torch-float16", "torch-bfloat16", "jax-float16", "jax-bfloat16")


@dataclass(frozen=True)
class Half:
    """A half type, by the name of its library and its own; the test is skipped without the library."""

    name: str

    @property
    def namespace(self) -> Any:
        library = self.name.partition("-")[0]
        return pytest.importorskip({"jax": "jax.numpy"}.get(library, library))

    @property
    def dtype(self) -> str:
        return self.name.partition("-")[2]

    @property
    def eps(self) -> float:
        """The largest error of rounding, as a share."""
        return 2**-8 if self.dtype == "bfloat16" else 2**-11

    def array(self, a: Any) -> Any:
        """Return `a` (anything NumPy reads) in this type."""
        xp = self.namespace
        x = xp.asarray(np.asarray(a, np.float32))
        kind = getattr(xp, self.dtype)
        return x.to(kind) if self.name.startswith("torch") else x.astype(kind)


def exact(x: Any) -> np.ndarray:
    """Return an array of a half type, or of any other, as float64."""
    return ac.to_numpy(x).astype(np.float64)


every_half = pytest.mark.parametrize("half", [Half(name) for name in HALVES], ids=HALVES)

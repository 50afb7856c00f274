"""What `empty` returns under test: on every library that has memory to leave unwritten."""

import numpy as np
import pytest
from array_api_compat import array_namespace

import arrayconv as ac

FILLED = {
    "float32": np.nan,
    "float64": np.nan,
    "int8": 127,
    "uint8": 255,
    "int64": 2**63 - 1,
    "bool": True,
}


@pytest.mark.backends("numpy", "strict", "torch", "cupy")
@pytest.mark.parametrize("dtype", FILLED)
def test_empty_is_poisoned(xp, dtype):
    like = xp.array(np.zeros((2, 3), dtype))
    for namespace in (xp.namespace, array_namespace(like)):
        for x in (namespace.empty((2, 3), dtype=like.dtype), namespace.empty_like(like)):
            assert x.shape == (2, 3)
            assert x.dtype == like.dtype
            np.testing.assert_array_equal(ac.to_numpy(x), np.full((2, 3), FILLED[dtype], dtype))

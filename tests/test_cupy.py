"""What is CuPy's own: several devices with one of them current, and bfloat16."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import missing

import arrayconv as ac
from arrayconv.cases import cases, sample

pytestmark = pytest.mark.backends("cupy", "cupy-emulated")

ONE_EACH = list({case.op: case for case in sample(cases())}.values())


def parts(result):
    """Return what an operation or a vjp returned as a tuple."""
    return tuple(result) if isinstance(result, tuple) else (result,)


@pytest.fixture
def other(xp):
    """A device beside the one that is current."""
    cuda = xp.namespace.cuda
    if cuda.runtime.getDeviceCount() < 2:
        missing("there is one device")
    return cuda.Device(1)


@pytest.mark.parametrize("case", ONE_EACH, ids=lambda case: case.op)
def test_a_device_that_is_not_current(xp, other, case):
    f, vjp = getattr(ac, case.op), getattr(ac, f"{case.op}_vjp")
    numpys = case.arrays()
    want = parts(f(*numpys, *case.args, **case.config))
    dy = np.random.default_rng(0).standard_normal(want[0].shape)
    config = {**case.config, **case.vjp_config}
    with other:
        arrays = tuple(None if a is None else xp.array(a) for a in numpys)
        upstream = xp.array(dy)
    refused = r"\w+ is on device .*1.*, and .*0.* is the current one.*inside `with \w+\.device:`"
    with pytest.raises(TypeError, match=f"^{case.op}: {refused}"):
        f(*arrays, *case.args, **case.config)
    with pytest.raises(TypeError, match=f"^{case.op}_vjp: {refused}"):
        vjp(upstream, *arrays, *case.args, **config)
    # the error's advice
    with arrays[0].device:
        y = parts(f(*arrays, *case.args, **case.config))
        found = parts(vjp(upstream, *arrays, *case.args, **config))
        gradients = parts(vjp(dy, *numpys, *case.args, **config))
        for got, expected in zip((*y, *found), (*want, *gradients), strict=True):
            assert (got is None) == (expected is None)
            if got is not None:
                assert got.device == other
                np.testing.assert_allclose(xp.to_numpy(got), expected, rtol=1e-12, atol=1e-12)


# operation, shapes of its arrays, the rest of its arguments
HALVES = [
    ("conv", [(2, 6, 6, 4), (3, 3, 4, 5), (5,)], ()),
    ("conv_transpose", [(2, 6, 6, 5), (3, 3, 4, 5), (4,)], ()),
    ("dense", [(3, 4), (4, 5), (5,)], ()),
    ("max_pool", [(2, 6, 6, 4)], (2,)),
    ("avg_pool", [(2, 6, 6, 4)], (2,)),
    ("relu", [(3, 4)], ()),
    ("gelu", [(3, 4)], ()),
    ("softmax", [(3, 4)], ()),
    ("batch_norm", [(4, 6, 6, 3), (3,), (3,)], ()),
    ("pad", [(2, 6, 6, 4)], (1,)),
]


@pytest.mark.parametrize("op, shapes, args", HALVES, ids=[op for op, _, _ in HALVES])
def test_bfloat16(xp, op, shapes, args):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(bfloat16) for shape in shapes]
    there = [xp.namespace.asarray(a) for a in arrays]
    wide = [a.astype(np.float64) for a in arrays]
    y, want = (parts(getattr(ac, op)(*given, *args)) for given in (there, wide))
    dy = rng.standard_normal(want[0].shape).astype(bfloat16)
    vjp = getattr(ac, f"{op}_vjp")
    found = parts(vjp(xp.namespace.asarray(dy), *there, *args))
    gradients = parts(vjp(dy.astype(np.float64), *wide, *args))
    for got, expected in zip((*y, *found), (*want, *gradients), strict=True):
        assert got.dtype == bfloat16
        # 8 bits of a number, and sums of results that were rounded to them
        near = xp.namespace.asnumpy(got).astype(np.float64)
        np.testing.assert_allclose(near, expected, rtol=0, atol=2**-6 * np.max(np.abs(expected)))

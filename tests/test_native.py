"""``engine="native"``: the libraries' own convolutions, against naive float64 loops."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
from conftest import strict_jax
from reference import NAIVE, conv_gradients

import arrayconv as ac
from arrayconv.cases import cases, sample
from arrayconv.engine import native

CASES = sample(case for case in cases() if case.op in ("conv", "conv_transpose"))


@pytest.mark.parametrize("library", ["torch", "jax", "numpy"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_values(case, library):
    xp = pytest.importorskip({"jax": "jax.numpy"}.get(library, library))
    arrays = case.arrays()
    want = NAIVE[case.op](*arrays, **case.config)
    dy = np.random.default_rng(7).standard_normal(want.shape)
    true = conv_gradients(dy, *arrays, transpose=case.op == "conv_transpose", **case.config)
    with strict_jax() if library == "jax" else nullcontext(), ac.options(engine="native"):
        there = [None if a is None else xp.asarray(a.copy()) for a in arrays]
        y = getattr(ac, case.op)(*there, **case.config)
        found = getattr(ac, f"{case.op}_vjp")(xp.asarray(dy), *there, **case.config)
    for got, expected in zip((y, *found), (want, *true), strict=True):
        assert (got is None) == (expected is None)
        if got is not None:
            got, largest = ac.to_numpy(got), np.max(np.abs(expected), initial=1e-300)
            np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12 * largest, strict=True)


@pytest.mark.parametrize("op", ["conv", "conv_transpose"])
@pytest.mark.parametrize("library", ["torch", "jax", "numpy"])
def test_half_bias_is_added_before_the_sum_is_rounded(op, library):
    xp = pytest.importorskip({"jax": "jax.numpy"}.get(library, library))
    x, w, b = (
        xp.asarray(np.asarray(a, "float16").reshape(shape))
        for a, shape in (([1, 2**-12], (1, 1, 2)), ([1, 1], (1, 2)), ([-1], (1,)))
    )
    w = xp.reshape(w, (1, 1, 2) if op == "conv_transpose" else (1, 2, 1))
    with ac.options(engine="native"):
        y = getattr(ac, op)(x, w, b)
    # 1 + 2**-12 is no half number
    np.testing.assert_array_equal(ac.to_numpy(y), np.full((1, 1, 1), 2**-12, "float16"))


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("library", ["torch", "jax", "numpy"])
def test_nan_stays_in_its_group(library):
    xp = pytest.importorskip({"jax": "jax.numpy"}.get(library, library))
    x, w, dy = np.ones((1, 3, 4)), np.ones((2, 1, 4)), np.ones((1, 2, 4))
    x[0, 0, 0] = dy[0, 1, 3] = np.nan
    with strict_jax() if library == "jax" else nullcontext(), ac.options(engine="native"):
        x, w, dy = (xp.asarray(a) for a in (x, w, dy))
        found = ac.conv(x, w, groups=4), *ac.conv_vjp(dy, x, w, groups=4)[:2]
    for got, cells in zip(
        found, ([(0, 0)], [(1, 3), (2, 3)], [(0, 0), (0, 3), (1, 3)]), strict=True
    ):
        # dw is (2, 1, 4), the others (1, S, 4)
        places = np.argwhere(np.isnan(ac.to_numpy(got).reshape(-1, 4)))
        assert [tuple(place) for place in places.tolist()] == cells


def test_numpy_arrays_are_lent_to_torch(monkeypatch):
    torch = pytest.importorskip("torch")
    x, w = np.random.default_rng(0).standard_normal((2, 3, 5, 5, 4))
    w = w[:, :3, :3, :, None]
    seen = []

    def noted(images, weights, **config):
        seen.append(images.data_ptr())
        return conv2d(images, weights, **config)

    conv2d = torch.nn.functional.conv2d
    monkeypatch.setattr(torch.nn.functional, "conv2d", noted)
    with ac.options(engine="native"):
        ac.conv(x, w[0])
        assert seen == [x.ctypes.data]
        # what has no tensor on its memory is copied, and what torch does not know is computed here
        x.flags.writeable = False
        for other in (x, x[:, ::-1], x.astype(">f8"), x.astype("longdouble"), x.astype("float16")):
            ac.conv(other, w[0].astype(other.dtype))
        assert len(seen) == 4


def test_without_torch_numpy_arrays_take_the_portable_code(monkeypatch):
    monkeypatch.setattr(native, "_torch", lambda: None)
    x, w = np.ones((1, 5, 1)), np.ones((3, 1, 1))
    with ac.options(engine="native"):
        np.testing.assert_array_equal(ac.conv(x, w), np.full((1, 3, 1), 3.0))


@pytest.mark.parametrize("library", ["torch", "numpy"])
def test_gradients_within_inference_mode(library):
    torch = pytest.importorskip("torch")
    x, w = np.arange(25.0).reshape(1, 5, 5, 1), np.ones((3, 3, 1, 1))
    dy = ac.conv(x, w)
    want = ac.conv_vjp(dy, x, w)[:2]
    with torch.inference_mode(), ac.options(engine="native"):
        arrays = [torch.asarray(a) for a in (dy, x, w)] if library == "torch" else (dy, x, w)
        found = ac.conv_vjp(*arrays)[:2]
    for got, right in zip(found, want, strict=True):
        np.testing.assert_allclose(np.asarray(got), right)


def test_steps_that_no_tensor_has():
    one = np.ones((1, 1, 1))
    odd = np.zeros(1, [("a", "f8", (5, 1)), ("b", "u1")])["a"]
    with ac.options(engine="native"):
        for x in (np.ones((1, 5, 1))[..., ::-1], np.ones((1, 5, 1))[::-1], odd):
            np.testing.assert_array_equal(ac.conv(x, one), x)

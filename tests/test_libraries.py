"""The same case on every library: equal values, same library and device, inputs left alone.

A sample in which every option occurs runs on each library; ``--full`` runs the whole table.
"""

from __future__ import annotations

import numpy as np
import pytest
from array_api_compat import device
from conftest import strict_jax

import arrayconv as ac


def parts(result):
    """Return what an operation or a vjp returned as a tuple."""
    return tuple(result) if isinstance(result, tuple) else (result,)


def backward(case, dy, arrays):
    vjp = getattr(ac, f"{case.op}_vjp")
    return parts(vjp(dy, *arrays, *case.args, **case.config, **case.vjp_config))


def forward(case, arrays):
    return parts(getattr(ac, case.op)(*arrays, *case.args, **case.config))


def truth(case, arrays):
    """Return (results, dy, gradients) on NumPy, which the table's own tests verify."""
    y = forward(case, arrays)
    dy = np.random.default_rng(3).standard_normal(y[0].shape)
    return y, dy, backward(case, dy, arrays)


def narrow(a):
    """Return floats in float32, and labels in a type that JAX has without 64 bits."""
    if a is None:
        return None
    return a.astype({"f": np.float32, "i": np.int32, "b": bool}[a.dtype.kind])


def place(case, xp, arrays):
    """Return the arrays in a library; Dask gets chunks of the batch where there is one."""
    batch = case.op not in ("col2im", "relu")
    return tuple(
        None if a is None else xp.array(a, batch=batch and i == 0) for i, a in enumerate(arrays)
    )


def assert_same(got, want, rtol):
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=0, atol=rtol * np.max(np.abs(want), initial=1e-300))


def test_library(sampled_case, xp):
    case, arrays = sampled_case, sampled_case.arrays()
    y, dy, gradients = truth(case, arrays)
    there = place(case, xp, arrays)
    upstream = xp.array(dy, batch=case.op not in ("im2col", "relu") and dy.ndim > 0)
    result, found = forward(case, there), backward(case, upstream, there)
    for got, want in zip((*result, *found), (*y, *gradients), strict=True):
        assert (got is None) == (want is None)
        if want is not None:
            assert type(got) is type(there[0])
            assert xp.name == "dask" or device(got) == device(there[0])
            assert_same(xp.to_numpy(got), want, 1e-12)
    for a, b in zip((*arrays, dy), (*there, upstream), strict=True):
        assert a is None or np.array_equal(xp.to_numpy(b), a)


@pytest.mark.backends("jax", "jax-gpu")
def test_jit(sampled_case, xp):
    import jax

    case, arrays = sampled_case, sampled_case.arrays()
    y, dy, gradients = truth(case, arrays)

    @jax.jit
    def both(dy, *arrays):
        return forward(case, arrays), backward(case, dy, arrays)

    result, found = both(xp.array(dy), *place(case, xp, arrays))
    for got, want in zip((*result, *found), (*y, *gradients), strict=True):
        assert (got is None) == (want is None)
        if want is not None:
            assert_same(xp.to_numpy(got), want, 1e-12)


@pytest.mark.backends("jax", "jax-gpu")
def test_jit_without_x64(sampled_case, xp):
    import jax

    case = sampled_case
    arrays = tuple(narrow(a) for a in case.arrays())
    y, dy, gradients = truth(case, arrays)

    @jax.jit
    def both(dy, *arrays):
        return forward(case, arrays), backward(case, dy, arrays)

    with strict_jax(x64=False):
        result, found = both(xp.array(dy.astype(np.float32)), *place(case, xp, arrays))
        for got, want in zip((*result, *found), (*y, *gradients), strict=True):
            assert (got is None) == (want is None)
            if want is not None:
                assert_same(xp.to_numpy(got), want.astype(np.float32), 1e-5)


def strided(a):
    """Return the same values as every second cell of a larger array, backwards on axis 0."""
    large = np.full(tuple(2 * n for n in a.shape), np.nan if a.dtype.kind == "f" else 1, a.dtype)
    view = large[tuple(slice(None, None, 2) for _ in a.shape)]
    view = np.flip(view, axis=0) if a.ndim else large
    view[...] = a
    return view


def fortran(a):
    return a.copy(order="F")


@pytest.mark.parametrize("layout", [strided, fortran])
@pytest.mark.backends("numpy")
def test_memory_layout(sampled_case, xp, layout):
    case, arrays = sampled_case, sampled_case.arrays()
    y, dy, gradients = truth(case, arrays)
    there = tuple(None if a is None else layout(a) for a in arrays)
    upstream = layout(dy)
    for a in (*there, upstream):
        if a is not None:
            a.flags.writeable = False
    for got, want in zip(
        (*forward(case, there), *backward(case, upstream, there)), (*y, *gradients), strict=True
    ):
        if want is not None:
            assert_same(got, want, 1e-12)


@pytest.mark.backends("torch", "torch-gpu")
def test_torch_memory_layout(sampled_case, xp):
    case, arrays = sampled_case, sampled_case.arrays()
    y, dy, gradients = truth(case, arrays)

    def reverse(a):
        """Return `a` with its strides in the order of its axes reversed."""
        axes = tuple(reversed(range(a.ndim)))
        return xp.array(a.transpose(axes).copy()).permute(axes)

    there = tuple(None if a is None else reverse(a) for a in arrays)
    found = (*forward(case, there), *backward(case, reverse(dy), there))
    for got, want in zip(found, (*y, *gradients), strict=True):
        if want is not None:
            assert_same(xp.to_numpy(got), want, 1e-12)


def test_an_absent_bias_and_none_are_the_same(xp):
    rng = np.random.default_rng(0)
    x, w = xp.array(rng.standard_normal((2, 5, 4, 3))), xp.array(rng.standard_normal((3, 2, 3, 4)))
    y = ac.conv(x, w)
    assert np.array_equal(xp.to_numpy(y), xp.to_numpy(ac.conv(x, w, None)))
    dx, dw, db = ac.conv_vjp(y, x, w)
    assert db is None
    again = ac.conv_vjp(y, x, w, None)
    assert np.array_equal(xp.to_numpy(dx), xp.to_numpy(again[0]))
    assert np.array_equal(xp.to_numpy(dw), xp.to_numpy(again[1]))

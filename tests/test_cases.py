"""Every case of the table on NumPy, against naive loops and against PyTorch, element by element."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from reference import NAIVE, conv_gradients

import arrayconv as ac
from arrayconv.cases import cases, sample
from arrayconv.engine import STRATEGIES

every_case = pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
convolutions = [case for case in cases() if case.op in ("conv", "conv_transpose")]


def assert_near(got, want, rtol=1e-12):
    """Compare with errors as a share of the largest element of `want`."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    assert got.dtype == want.dtype == np.float64
    np.testing.assert_allclose(got, want, rtol=0, atol=rtol * np.max(np.abs(want), initial=1e-300))


def upstream(y):
    return np.random.default_rng(7).standard_normal(y.shape)


def parts(result):
    """Return what an operation or a vjp returned as a tuple."""
    return tuple(result) if isinstance(result, tuple) else (result,)


def gradients(case, dy, arrays):
    vjp = getattr(ac, f"{case.op}_vjp")
    return parts(vjp(dy, *arrays, *case.args, **case.config, **case.vjp_config))


def test_table_is_large_and_without_repetition():
    assert len(cases()) >= 300
    assert len({case.id for case in cases()}) == len(cases())
    assert set(Counter(case.op for case in cases())) == set(NAIVE)


def test_table_has_every_form_of_padding_and_every_number_of_axes():
    options = frozenset().union(*(case.options for case in cases()))
    for op in ("conv", "conv_transpose", "max_pool", "avg_pool", "im2col", "col2im"):
        assert {(op, "axes", n) for n in "1234"} <= options
        forms = {"0", "1", "per axis", "pairs", "'valid'", "'same'", "'same_lower'"}
        forms |= set() if op == "conv_transpose" else {"'causal'"}
        assert {(op, "padding", form) for form in forms} <= options
        assert {(op, "data_format", f"'channels_{end}'") for end in ("first", "last")} <= options


def test_sample_keeps_every_option():
    few = sample(cases())
    assert len(few) < len(cases()) / 3
    options = [frozenset().union(*(case.options for case in table)) for table in (few, cases())]
    assert options[0] == options[1]


def test_arrays_are_reproducible_and_distinct_for_maxima():
    case = next(case for case in cases() if case.op == "max_pool")
    (x,), (again,), (other,) = case.arrays(), case.arrays(), case.arrays(seed=1)
    assert np.array_equal(x, again)
    assert not np.array_equal(x, other)
    assert len(np.unique(x)) == x.size
    assert np.min(np.abs(x)) >= 1 / 16


def test_table_needs_numpy_alone():
    code = (
        "import sys, arrayconv.cases;"
        "print({'jax', 'torch', 'cupy', 'dask', 'array_api_strict'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@every_case
def test_forward_is_that_of_naive_loops(case):
    arrays = case.arrays()
    got = parts(getattr(ac, case.op)(*arrays, *case.args, **case.config))
    want = parts(NAIVE[case.op](*arrays, *case.args, **case.config))
    for ours, expected in zip(got, want, strict=True):
        assert_near(ours, expected)


@every_case
def test_forward_and_gradients_are_those_of_torch(case):
    torch = pytest.importorskip("torch")
    from reference_torch import TORCH

    arrays = case.arrays()
    tensors = [
        # a copy; masks and labels have no gradient
        None if a is None else torch.tensor(a, requires_grad=a.dtype.kind == "f")
        for a in arrays
    ]
    want = TORCH[case.op](*tensors, *case.args, **case.config)
    if want is None:
        pytest.skip("PyTorch cannot express this case")
    got, want = parts(getattr(ac, case.op)(*arrays, *case.args, **case.config)), parts(want)
    for ours, expected in zip(got, want, strict=True):
        assert_near(ours, expected.detach().numpy())
    # of several results, only the first is differentiated
    dy = upstream(got[0])
    want[0].backward(torch.tensor(dy))
    for array, dx, tensor in zip(arrays, gradients(case, dy, arrays), tensors, strict=True):
        if array is None or not tensor.requires_grad:
            assert dx is None
        else:
            assert_near(dx, tensor.grad.numpy())


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("case", convolutions, ids=lambda case: case.id)
def test_forced_strategy(case, strategy):
    arrays = case.arrays()
    want = NAIVE[case.op](*arrays, **case.config)
    dy = upstream(want)
    transpose = case.op == "conv_transpose"
    # A small workspace, so that blocks are met too.
    for workspace in (64 * 2**20, 4096):
        try:
            with ac.options(strategy=strategy, workspace=workspace):
                got = getattr(ac, case.op)(*arrays, **case.config)
                found = gradients(case, dy, arrays)
        except ValueError as error:
            if "declines" not in str(error):
                raise
            pytest.skip(str(error))
        assert_near(got, want)
        true = conv_gradients(dy, *arrays, transpose=transpose, **case.config)
        for dx, expected in zip(found, true, strict=True):
            assert (dx is None) == (expected is None)
            if dx is not None:
                assert_near(dx, expected)


@pytest.mark.parametrize("wrt", [("x",), ("w",), ("b",), ("w", "b"), ("x", "w"), ()])
@pytest.mark.parametrize("op", ["conv", "conv_transpose"])
def test_wrt_computes_what_is_asked_and_nothing_else(op, wrt):
    case = next(c for c in convolutions if c.op == op and c.shapes[2] is not None)
    arrays = case.arrays()
    dy = upstream(NAIVE[op](*arrays, **case.config))
    found = getattr(ac, f"{op}_vjp")(dy, *arrays, **case.config, wrt=wrt)
    true = conv_gradients(dy, *arrays, transpose=op == "conv_transpose", **case.config)
    for name, dx, expected in zip(("x", "w", "b"), found, true, strict=True):
        if name in wrt:
            assert_near(dx, expected)
        else:
            assert dx is None


@pytest.mark.parametrize("op", ["max_pool"])
def test_y_handed_over_changes_nothing(op):
    for case in sample(case for case in cases() if case.op == op):
        (x,) = case.arrays()
        y = getattr(ac, op)(x, *case.args, **case.config)
        dy = upstream(y)
        config = {**case.config, **case.vjp_config}
        vjp = getattr(ac, f"{op}_vjp")
        assert np.array_equal(
            vjp(dy, x, *case.args, **config, y=y), vjp(dy, x, *case.args, **config)
        )

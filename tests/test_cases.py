"""Every case of the table on NumPy, against naive loops and against PyTorch, element by element."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from itertools import product

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


def check_differences(case, dy, arrays):
    """Compare with central differences of the naive loops, along one direction of each argument."""
    rng = np.random.default_rng(8)
    for i, (array, dx) in enumerate(zip(arrays, gradients(case, dy, arrays), strict=True)):
        if array is None or array.dtype.kind != "f":
            assert dx is None
            continue
        v = rng.standard_normal(array.shape)
        ends = [
            parts(
                NAIVE[case.op](
                    *arrays[:i], array + h * v, *arrays[i + 1 :], *case.args, **case.config
                )
            )[0]
            for h in (1e-5, -1e-5)
        ]
        terms = dy * (ends[0] - ends[1]) / 2e-5
        scale = np.sum(np.abs(terms)) + np.sum(np.abs(dx * v))
        assert abs(np.sum(dx * v) - np.sum(terms)) <= 1e-8 * scale


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
    got = parts(getattr(ac, case.op)(*arrays, *case.args, **case.config))
    # of several results, only the first is differentiated
    dy = upstream(got[0])
    if want is None:
        # PyTorch cannot say the case
        check_differences(case, dy, arrays)
        return
    want = parts(want)
    for ours, expected in zip(got, want, strict=True):
        assert_near(ours, expected.detach().numpy())
    want[0].backward(torch.tensor(dy))
    for array, dx, tensor in zip(arrays, gradients(case, dy, arrays), tensors, strict=True):
        if array is None or not tensor.requires_grad:
            assert dx is None
        else:
            assert_near(dx, tensor.grad.numpy())


def takes(strategy, w, stride=1, dilation=1, **_):
    """Say whether a strategy computes a convolution with weights `w`, as its documentation has it."""
    dense = set(np.ravel(stride)) == set(np.ravel(dilation)) == {1}
    return {
        "winograd": dense and set(w.shape[:-2]) == {3},
        "fft": dense,
        "stacked": w.ndim > 3 and np.ravel(stride)[0] == 1,
        "depthwise": w.shape[-2] == 1,
    }.get(strategy, True)


def unless_declined(f, strategy, workspace):
    """Return what `f` does with a strategy forced, or None where that declines."""
    try:
        with ac.options(strategy=strategy, workspace=workspace, precision="fast"):
            return f()
    except ValueError as error:
        if "declines" not in str(error):
            raise
        return None


@pytest.mark.parametrize("case", convolutions, ids=lambda case: case.id)
def test_forced_strategies(case):
    arrays = case.arrays()
    want = NAIVE[case.op](*arrays, **case.config)
    dy = upstream(want)
    true = conv_gradients(dy, *arrays, transpose=case.op == "conv_transpose", **case.config)
    # A small workspace, so that blocks are met too.
    for strategy, workspace in product(STRATEGIES, (64 * 2**20, 4096)):
        got = unless_declined(
            lambda: getattr(ac, case.op)(*arrays, **case.config), strategy, workspace
        )
        found = unless_declined(lambda: gradients(case, dy, arrays), strategy, workspace)
        if case.op == "conv":
            assert (got is not None) == takes(strategy, arrays[1], **case.config), strategy
        if strategy in ("columns", "rows", "planes", "taps"):
            assert got is not None
            assert found is not None
        if got is not None:
            assert_near(got, want)
        for dx, expected in zip(found or true, true, strict=True):
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


@pytest.mark.parametrize(("stride", "dilation"), [(2, 2), (2, 4), (4, 2), (6, 4), (3, 2)])
def test_an_input_gradient_where_stride_and_dilation_share_a_divisor(stride, dilation):
    # more cells than steps and more channels than a few, for which the gradient goes by phases of the stride
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 40, 5)), rng.standard_normal((7, 5, 3))
    config = {"stride": stride, "dilation": dilation, "padding": ((3, 1),)}
    dy = upstream(NAIVE["conv"](x, w, **config))
    true = conv_gradients(dy, x, w, None, transpose=False, **config)
    assert_near(ac.conv_vjp(dy, x, w, **config).dx, true[0])

"""Every strategy forced on every library: a sample of the cases that it accepts, or with ``--full`` all of them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

import arrayconv as ac
from arrayconv.cases import cases, sample
from arrayconv.engine import STRATEGIES, windows
from arrayconv.namespace import Traits, array_namespace
from arrayconv.window import sliding

PER_STRATEGY = 4


def call(case, arrays, dy=None):
    """Return the result and the gradients; the upstream gradient is drawn where none is given."""
    y = getattr(ac, case.op)(*arrays, *case.args, **case.config)
    if dy is None:
        dy = np.random.default_rng(5).standard_normal(y.shape)
    return dy, (y, *getattr(ac, f"{case.op}_vjp")(dy, *arrays, *case.args, **case.config))


@cache
def accepted(strategy):
    """Return the cases whose forward and backward pass the strategy takes, the most varied first."""
    taken = []
    for case in cases():
        if case.op not in ("conv", "conv_transpose") or 0 in case.shapes[0]:
            continue
        try:
            with ac.options(strategy=strategy, precision="fast"):
                call(case, case.arrays())
        except ValueError as error:
            if "declines" not in str(error):
                raise
        else:
            taken.append(case)
    return taken


def pytest_generate_tests(metafunc):
    if "case" in metafunc.fixturenames:
        full = metafunc.config.getoption("--full")
        pairs = [
            pytest.param(strategy, case, id=f"{strategy}-{case.id}")
            for strategy in STRATEGIES
            for case in (accepted(strategy) if full else sample(accepted(strategy))[:PER_STRATEGY])
        ]
        metafunc.parametrize(("strategy", "case"), pairs)


def test_forced_strategy(strategy, case, xp):
    arrays = case.arrays()
    dy, want = call(case, arrays)
    there = tuple(None if a is None else xp.array(a) for a in arrays)
    with ac.options(strategy=strategy, precision="fast"):
        _, got = call(case, there, xp.array(dy))
    for ours, true in zip(got, want, strict=True):
        assert (ours is None) == (true is None)
        if true is not None:
            ours = xp.to_numpy(ours)
            assert ours.shape == true.shape
            np.testing.assert_allclose(ours, true, rtol=0, atol=1e-12 * np.max(np.abs(true)))


@pytest.mark.backends("numpy")
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_has_a_sample(xp, strategy):
    assert len(accepted(strategy)) >= PER_STRATEGY


# size, kernel, stride, padding, dilation
WINDOWS = [
    ((9,), (3,), 1, 0, 1),
    ((9,), (3,), 2, 1, 2),
    ((7, 8), (3, 2), (2, 1), ((2, 0), (0, 1)), (1, 3)),
    ((5, 6), (5, 2), 1, 0, 1),
    ((4, 5, 6), (2, 3, 2), (1, 2, 1), 1, (2, 1, 1)),
]


@pytest.mark.backends("numpy", "torch", "cupy", "cupy-emulated")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("at", [-2, 1])
@pytest.mark.parametrize("size, kernel, stride, padding, dilation", WINDOWS)
def test_an_accelerator_copies_all_windows_at_once(
    xp, monkeypatch, size, kernel, stride, padding, dilation, at, channels
):
    window = sliding("conv", size, kernel, stride, padding, dilation)
    x = np.random.default_rng(0).standard_normal((2, *size, channels))
    config = {"lead": 1, "at": at}
    # a traced array is gathered by other means
    want = windows.gather(np, x, window, mutable=False, **config)
    there = xp.array(x)
    monkeypatch.setattr(windows, "FEW_CELLS", 0)
    monkeypatch.setattr(windows, "traits", lambda xp, x: Traits(mutable=True, accelerator=True))
    got = windows.gather(array_namespace("conv", x=there), there, window, mutable=True, **config)
    np.testing.assert_array_equal(xp.to_numpy(got), want)
    # a new array: what is written into it reaches neither the input nor another window
    got[(0,) * got.ndim] = 7.0
    np.testing.assert_array_equal(xp.to_numpy(there), x)
    assert np.count_nonzero(xp.to_numpy(got) != want) == 1

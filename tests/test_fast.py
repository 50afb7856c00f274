"""The strategies of ``precision="fast"``: what the table has for them, their error in float32, never chosen unasked."""

import numpy as np
import pytest
from reference import NAIVE

import arrayconv as ac
from arrayconv.cases import cases
from arrayconv.engine.choice import FAST

MIB = 2**20
# Each with shapes that the plan gives to it.
CHOSEN = {
    "winograd": ((2, 32, 32, 64), (3, 3, 64, 64)),
    "fft": ((1, 48, 48, 2), (13, 13, 2, 3)),
}
every_strategy = pytest.mark.parametrize("strategy", sorted(FAST))


def served(strategy, case):
    try:
        with ac.options(strategy=strategy, precision="fast"):
            ac.explain(getattr(ac, f"{case.op}_vjp"), *case_shapes(case), **case.config)
    except ValueError as error:
        if "declines" not in str(error):
            raise
        return False
    return True


def case_shapes(case):
    arrays = case.arrays()
    return (NAIVE[case.op](*arrays, **case.config).shape, *arrays)


def plans(f, *shapes, **config):
    return [plan.strategy for plan in ac.explain(f, *shapes, **config)]


def relative(got, want):
    return np.max(np.abs(got - want), initial=0) / np.max(np.abs(want), initial=1e-300)


def test_the_table_has_cases_for_each():
    for strategy in FAST:
        convolutions = [case for case in cases() if case.op in ("conv", "conv_transpose")]
        mine = [case for case in convolutions if served(strategy, case)]
        assert len(mine) >= 8
        assert {case.op for case in mine} == {"conv", "conv_transpose"}


@every_strategy
@pytest.mark.parametrize("workspace", [1, 100_000, 64 * MIB])
def test_every_library(xp, strategy, workspace):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((3, 11, 6, 4)), rng.standard_normal((3, 3, 2, 6))
    config = {"padding": ((1, 2), (0, 1)), "groups": 2}
    y = ac.conv(x, w, **config)
    dy = rng.standard_normal(y.shape)
    true = ac.conv_vjp(dy, x, w, **config)[:2]
    x, w, dy = map(xp.array, (x, w, dy))
    with ac.options(strategy=strategy, precision="fast", workspace=workspace):
        got = (ac.conv(x, w, **config), *ac.conv_vjp(dy, x, w, **config)[:2])
    for mine, expected in zip(got, (y, *true), strict=True):
        np.testing.assert_allclose(xp.to_numpy(mine), expected, rtol=1e-12, atol=1e-12)


@every_strategy
def test_the_three_are_adjoints(strategy):
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 17, 14, 5)), rng.standard_normal((3, 3, 5, 4))
    dy = rng.standard_normal((2, 17, 14, 4))
    with ac.options(strategy=strategy, precision="fast"):
        y = ac.conv(x, w, padding=1)
        dx, dw, _ = ac.conv_vjp(dy, x, w, padding=1)
    pairs = [np.sum(a * b) for a, b in ((dy, y), (dx, x), (dw, w))]
    np.testing.assert_allclose(pairs, pairs[0], rtol=1e-12)


@every_strategy
def test_the_error_in_float32(strategy):
    rng = np.random.default_rng(0)
    shapes = CHOSEN[strategy]
    x, w = (rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    true = ac.conv(x.astype(np.float64), w.astype(np.float64))
    plain = relative(ac.conv(x, w), true)
    with ac.options(precision="fast"):
        error = relative(ac.conv(x, w), true)
    assert error < 10 * plain


@every_strategy
def test_default_precision_neither_chooses_nor_accepts_it(strategy):
    shapes = CHOSEN[strategy]
    with ac.options(precision="fast"):
        assert plans(ac.conv, *shapes) == [strategy]
    assert plans(ac.conv, *shapes) != [strategy]
    with (
        ac.options(strategy=strategy),
        pytest.raises(ValueError, match=f"^options: strategy '{strategy}' .*precision='fast'"),
    ):
        ac.conv(*map(np.ones, shapes))


def test_fast_leaves_small_and_other_kernels_alone():
    with ac.options(precision="fast"):
        for shapes in (
            ((1, 8, 8, 64), (3, 3, 64, 64)),
            ((8, 32, 32, 8), (3, 3, 8, 8)),
            ((8, 32, 32, 64), (1, 1, 64, 64)),
            ((8, 32, 32, 64), (5, 5, 64, 64)),
        ):
            assert not FAST & set(plans(ac.conv, *shapes))
        assert not FAST & set(plans(ac.conv, *CHOSEN["winograd"], stride=2))
        assert not FAST & set(plans(ac.conv, *CHOSEN["fft"], dilation=2))


def test_a_traced_depthwise_kernel_takes_fft_only_where_it_is_larger():
    jax = pytest.importorskip("jax")
    x = jax.numpy.ones((4, 32, 32, 32))
    small, large = (jax.numpy.ones((k, k, 1, 32)) for k in (11, 15))
    with ac.options(precision="fast"):
        assert plans(ac.conv, x, small, groups=32) == ["depthwise"]
        assert plans(ac.conv, x, large, groups=32) == ["fft"]
        assert plans(ac.conv, x.shape, small.shape, groups=32) == ["fft"]


def test_a_prepared_kernel_that_fills_the_workspace_is_not_chosen():
    x, w = (16, 14, 14, 256), (3, 3, 256, 256)
    with ac.options(precision="fast", threads=2):
        (plan,) = ac.explain(ac.conv, x, w, padding=1)
        assert plan.strategy == "winograd"
        assert 36 * 256 * 256 * 4 < plan.memory <= 64 * MIB
        # one block would leave its products to the library's threads, which wait for each other on a busy machine
        assert plan.threads == 2
        with ac.options(workspace=32 * MIB):
            assert plans(ac.conv, x, w, padding=1) != ["winograd"]
        assert plans(ac.conv, (8, 14, 14, 512), (3, 3, 512, 512), padding=1) != ["winograd"]


def test_blocks_end_between_tiles():
    with ac.options(precision="fast", workspace=4 * MIB):
        (plan,) = ac.explain(ac.conv, (2, 90, 90, 64), (3, 3, 64, 64), padding=1)
    assert plan.strategy == "winograd"
    assert plan.blocks.pieces > 1
    assert all(block.rows.start % 4 == 0 for block in plan.blocks)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@every_strategy
def test_what_is_not_finite_spreads_over_its_tiles_alone(strategy, bad):
    x, w = np.ones((2, 40, 40, 2)), np.ones((3, 3, 2, 2))
    x[0, 20, 20, 0] = bad
    exact = ~np.isfinite(ac.conv(x, w))
    # inf - inf is invalid, as NumPy warns
    with ac.options(strategy=strategy, precision="fast"), np.errstate(invalid="ignore"):
        spread = ~np.isfinite(ac.conv(x, w))
    assert np.all(spread[exact])
    assert np.sum(spread) > np.sum(exact)
    assert not np.any(spread[1])
    if strategy == "winograd":
        # Cell 20 is one of the six that the tiles of outputs 16 to 19 and 20 to 23 read.
        spread[0, 16:24, 16:24] = False
        assert not np.any(spread)

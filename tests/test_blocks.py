"""Work in blocks: the same results whatever the stride, padding and workspace, in bounded memory and caches."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest
from reference import NAIVE, conv_gradients

import arrayconv as ac
from arrayconv.engine import STRATEGIES
from arrayconv.engine.blocks import Blocks
from arrayconv.window import sliding

random = np.random.default_rng(11)


def near(got, want):
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12 * np.max(np.abs(want), initial=1e-300))


POOLS = [
    ((1, 4, 1), {"window": 2, "stride": 3, "ceil_mode": True}),
    ((1, 7, 9, 2), {"window": (2, 3), "stride": (4, 5), "ceil_mode": True}),
    ((2, 9, 6, 2), {"window": (3, 2), "stride": (1, 2)}),
    ((2, 9, 6, 2), {"window": (3, 1), "stride": (2, 1), "padding": (1, 0)}),
    ((1, 8, 5, 3), {"window": (2, 2), "stride": (2, 3)}),
]


@pytest.mark.parametrize("workspace", [1, 2**26])
@pytest.mark.parametrize("shape, config", POOLS)
@pytest.mark.parametrize("pool", ["max_pool", "avg_pool"])
def test_pool_gradients_are_whole_in_any_blocks(xp, pool, shape, config, workspace):
    x = random.permutation(np.arange(float(np.prod(shape)))).reshape(shape)
    y = getattr(ac, pool)(x, **config)
    dy = random.standard_normal(y.shape)
    torch = pytest.importorskip("torch")
    from reference_torch import TORCH

    tensor = torch.tensor(x, requires_grad=True)
    config = dict(config)
    window = config.pop("window")
    TORCH[pool](tensor, window, **config).backward(torch.tensor(dy))
    with ac.options(workspace=workspace):
        dx = getattr(ac, f"{pool}_vjp")(xp.array(dy), xp.array(x), window, **config)
    near(xp.to_numpy(dx), tensor.grad.numpy())


def declined(f, *arrays, **config):
    """Whether the forced strategy refuses the call."""
    try:
        ac.explain(f, *arrays, **config)
        ac.explain(ac.conv, *arrays[1:], **config)
    except ValueError as error:
        return "declines" in str(error)
    return False


WIDE = [
    ((1, 1, 1), (3, 1, 1), {"stride": 4, "padding": [(5, 0)]}),
    ((1, 1, 1), (3, 1, 1), {"stride": 4, "padding": [(0, 7)]}),
    ((2, 3, 2), (2, 2, 1), {"stride": 6, "padding": [(9, 4)]}),
    ((1, 2, 3, 1), (1, 2, 1, 2), {"stride": (5, 3), "padding": [(6, 0), (0, 8)]}),
]


@pytest.mark.parametrize("workspace", [1, 2**26])
@pytest.mark.parametrize("strategy", [None, *STRATEGIES])
@pytest.mark.parametrize("x, w, config", WIDE)
def test_windows_that_lie_in_the_padding(xp, x, w, config, strategy, workspace):
    x, w = random.standard_normal(x), random.standard_normal(w)
    want = NAIVE["conv"](x, w, None, **config)
    dy = random.standard_normal(want.shape)
    true = conv_gradients(dy, x, w, None, transpose=False, **config)
    with ac.options(strategy=strategy, workspace=workspace, precision="fast"):
        if declined(ac.conv_vjp, dy, x, w, **config):
            return
        y = ac.conv(xp.array(x), xp.array(w), **config)
        dx, dw, _ = ac.conv_vjp(xp.array(dy), xp.array(x), xp.array(w), **config)
    near(xp.to_numpy(y), want)
    near(xp.to_numpy(dx), true[0])
    near(xp.to_numpy(dw), true[1])


def test_transposed_where_no_window_reaches(xp):
    x, w, b = (random.standard_normal(shape) for shape in ((1, 1, 1), (3, 2, 1), (2,)))
    y = ac.conv_transpose(*map(xp.array, (x, w, b)), stride=4, output_padding=3)
    want = np.zeros((1, 6, 2)) + b
    want[0, :3] += w[:, :, 0] * x[0, 0, 0]
    near(xp.to_numpy(y), want)


@pytest.mark.backends("jax")
def test_programs_do_not_grow_with_the_stride(xp):
    import jax

    def size(f, *shapes):
        x = [jax.ShapeDtypeStruct(shape, "float32") for shape in shapes]
        return len(jax.make_jaxpr(f)(*x).eqns)

    def gradients(stride):
        return lambda dy, x, w: ac.conv_vjp(dy, x, w, stride=stride)[:2]

    flat = size(gradients(4), (1, 2, 2, 1), (1, 8, 8, 1), (2, 2, 1, 1))
    assert size(gradients(64), (1, 2, 2, 1), (1, 128, 128, 1), (2, 2, 1, 1)) <= flat + 4
    patches = (1, 2, 2, 2, 1), (1, 32, 32, 32, 1), (16, 16, 16, 1, 1)
    assert size(gradients(16), *patches) < 60
    assert size(lambda x, w: ac.conv(x, w, stride=16), *patches[1:]) < 60


MEMORY = [
    ("conv", (4, 96, 96, 16), (1, 1, 16, 64), {}),
    ("conv", (4, 96, 96, 32), (3, 3, 1, 32), {"padding": 1, "groups": 32}),
    ("conv", (4, 96, 96, 8), (3, 3, 1, 32), {"padding": 1, "groups": 8}),
    ("conv", (4, 96, 96, 16), (3, 3, 16, 16), {"padding": 1}),
    ("conv", (4, 16, 96, 96), (3, 3, 16, 16), {"padding": 1, "data_format": "channels_first"}),
    ("conv", (4, 96, 96, 16), (3, 3, 16, 16), {"padding": 1, "stride": 2}),
    ("conv", (4, 96, 96, 16), (4, 4, 16, 16), {"stride": 4}),
    ("conv", (4, 16384, 16), (9, 16, 16), {"padding": "same"}),
    ("conv_transpose", (4, 48, 48, 16), (2, 2, 16, 16), {"stride": 2}),
]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("op, x, w, config", MEMORY)
def test_a_megabyte_of_workspace_is_kept(op, x, w, config, dtype):
    x, w = (random.standard_normal(shape).astype(dtype) for shape in (x, w))
    # small, so that half types can hold the sums
    y = np.full_like(getattr(ac, op)(x, w, **config), 2**-8)

    def beyond_results(call):
        call()
        gc.collect()
        tracemalloc.start()
        try:
            result = call()
            held, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert result is not None
        return peak - held

    vjp = getattr(ac, f"{op}_vjp")
    with ac.options(workspace=2**20):
        for f, arrays, extra in (
            (getattr(ac, op), (x, w), {}),
            (vjp, (y, x, w), {"wrt": ("x",)}),
            (vjp, (y, x, w), {"wrt": ("w",)}),
        ):
            (plan,) = ac.explain(f, *arrays, **config, **extra)
            used = beyond_results(lambda f=f, a=arrays, e=extra: f(*a, **config, **e))
            # a few small arrays for each block are not counted
            assert used <= plan.memory + 2**15, (f.__name__, extra, used, plan.memory)
            assert plan.memory <= 2**20


def test_what_is_kept_of_windows_is_small():
    gc.collect()
    tracemalloc.start()
    try:
        for n in range(400, 500):
            x = np.zeros((1, n, n, 1), dtype="float32")
            ac.max_pool(x, n)
            ac.avg_pool_vjp(ac.avg_pool(x, n), x, n)
        del x
        gc.collect()
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 2**21


def test_tiles_are_windows_that_meet_every_cell_once():
    def tiles(n, k, stride, **config):
        return sliding("max_pool", (n,), (k,), stride, 0, 1, **config).tiles

    assert tiles(4, 2, 2)
    assert not tiles(4, 2, 3, ceil_mode=True)
    assert not tiles(5, 2, 2)
    assert not tiles(4, 2, 1)


def test_explain_shows_the_phases_that_run_and_strategies_serve_them():
    shapes = (2, 10, 10, 16), (2, 20, 20, 16), (3, 3, 16, 16)
    config = {"padding": 1, "stride": 2}
    with ac.options(strategy="stacked"):
        # the stride declines the convolution, not the phases of its gradient
        (plan,) = ac.explain(ac.conv_vjp, *shapes, **config, wrt=("x",))
    kernels = {phase.window.kernel for phase, _ in plan.phases}
    assert kernels == {(1, 1), (1, 2), (2, 1), (2, 2)}
    assert plan.strategy == "stacked"
    assert "kernel (2, 2) by stacked" in str(plan)


@pytest.mark.backends("jax")
@pytest.mark.parametrize("padding", [0, "same"])
def test_a_batch_may_be_a_symbol(xp, padding):
    import jax
    from jax import export

    def both(x, w, b):
        y = ac.conv(x, w, b, padding=padding, stride=2)
        return y, *ac.conv_vjp(y, x, w, b, padding=padding, stride=2)

    (n,) = export.symbolic_shape("n")
    x, w, b = (random.standard_normal(s) for s in ((5, 9, 9, 3), (3, 3, 3, 4), (4,)))
    shapes = [jax.ShapeDtypeStruct(s, "float64") for s in ((n, 9, 9, 3), w.shape, b.shape)]
    program = export.export(jax.jit(both))(*shapes)
    for got, want in zip(program.call(x, w, b), both(x, w, b), strict=True):
        near(np.asarray(got), want)


@pytest.mark.backends("torch")
def test_a_fake_tensor_leaves_nothing_behind(xp):
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    shapes = (1, 9, 9, 1), (3, 3, 1, 1)
    with FakeTensorMode():
        y = ac.conv(*(torch.ones(shape) for shape in shapes))
    assert y.shape == (1, 7, 7, 1)
    assert float(ac.conv(*(torch.ones(shape) for shape in shapes)).sum()) == 9 * 49


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("place", range(3))
@pytest.mark.parametrize("channels", [1, 16])
def test_an_infinite_weight_reaches_what_torch_says_and_what_meets_a_zero(place, channels):
    torch = pytest.importorskip("torch")
    w = np.ones((3, channels, channels))
    w[place] = np.inf
    tensor = torch.ones((1, channels, 6), dtype=torch.float64, requires_grad=True)
    y = torch.nn.functional.conv1d(tensor, torch.tensor(w).permute(2, 1, 0))
    y.backward(torch.ones_like(y))
    want = tensor.grad.permute(0, 2, 1).numpy()
    got = ac.conv_vjp(np.ones((1, 4, channels)), np.ones((1, 6, channels)), w)[0]
    # near the ends a zero stands for the windows that are not there, and zero times inf is NaN
    alone = [i for i in range(6) if not 0 <= i - place < 4]
    assert not np.isnan(want).any()
    np.testing.assert_array_equal(np.delete(got, alone, axis=1), np.delete(want, alone, axis=1))
    assert np.isnan(got[:, alone]).all() or np.array_equal(got[:, alone], want[:, alone])


def test_blocks_of_one_kind_share_what_their_window_keeps():
    window = sliding("conv", (600, 5), (3, 3), 1, "same", 1)
    parts = [block.window for block in Blocks(window, 1, 1, 1)]
    assert len(parts) == 600
    assert len({id(part) for part in parts}) == 3  # the first, the last, and those between

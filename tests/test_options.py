"""Settings: where they hold, what jit makes of them; the plan's promises on memory, launches."""

import asyncio
import importlib
import threading
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from poison import unpoisoned

import arrayconv as ac
from arrayconv import engine
from arrayconv.engine import settings
from arrayconv.engine.choice import FAST

X, W = (8, 12, 12, 4), (3, 3, 4, 6)
# These two serve every window; the others decline some.
STRATEGIES = ("columns", "taps")
ALL = tuple(engine.STRATEGIES)
MIB = 2**20


def plan():
    """The plan of one convolution under the settings in force."""
    return ac.explain(ac.conv, X, W, padding=1)[0]


def strategy():
    return plan().strategy


@pytest.fixture
def other():
    """A strategy that the plan does not choose by itself here."""
    return next(name for name in STRATEGIES if name != strategy())


def test_a_block_holds_inside_and_not_after(other):
    before = strategy()
    with ac.options(strategy=other):
        assert strategy() == other
    assert strategy() == before
    with pytest.raises(KeyError), ac.options(strategy=other):
        raise KeyError
    assert strategy() == before


def test_an_inner_block_keeps_what_it_does_not_set(other):
    with ac.options(strategy=other, workspace=4096):
        small = plan()
        with ac.options(precision="fast"):
            assert plan().strategy == other
            assert plan().blocks == small.blocks
            with ac.options(strategy=None, workspace=64 * MIB):
                assert strategy() != other
                assert settings.current().precision == "fast"
            assert strategy() == other
        assert settings.current().precision == "default"
    assert plan().blocks != small.blocks


def test_one_object_serves_many_blocks(other):
    chosen = ac.options(strategy=other)
    with chosen:
        assert strategy() == other
        with chosen:
            assert strategy() == other
        assert strategy() == other
    assert strategy() != other
    with chosen:
        assert strategy() == other


def test_settings_belong_to_their_thread(other):
    seen = {}

    def work(name):
        seen[name] = strategy()

    before = strategy()
    with ac.options(strategy=other):
        thread = threading.Thread(target=work, args=("thread",))
        thread.start()
        thread.join()
        work("here")
    assert seen == {"thread": before, "here": other}


def test_settings_belong_to_their_task(other):
    async def one(name):
        with ac.options(strategy=name):
            await asyncio.sleep(0)
            return strategy()

    async def both():
        return await asyncio.gather(*(one(name) for name in STRATEGIES))

    assert asyncio.run(both()) == list(STRATEGIES)


def test_one_object_in_two_threads(other):
    chosen, entered, left = ac.options(strategy=other), threading.Event(), threading.Event()
    before, seen = strategy(), {}

    def work():
        with chosen:
            seen["inside"] = strategy()
            entered.set()
            assert left.wait(60)
            seen["still inside"] = strategy()
        seen["after"] = strategy()

    thread = threading.Thread(target=work)
    with chosen:
        thread.start()
        assert entered.wait(60)
    # left here while the other thread is inside
    assert strategy() == before
    left.set()
    thread.join()
    assert seen == {"inside": other, "still inside": other, "after": before}


def test_one_object_in_two_tasks(other):
    chosen, before = ac.options(strategy=other), strategy()

    async def one(turns):
        with chosen:
            for _ in range(turns):
                await asyncio.sleep(0)
                assert strategy() == other
        await asyncio.sleep(0)
        return strategy()

    async def both():
        return await asyncio.gather(one(1), one(4), one(2))

    assert asyncio.run(both()) == [before] * 3
    assert strategy() == before


def test_the_default_of_the_process(monkeypatch, other):
    monkeypatch.setattr(settings, "_default", settings.Settings())
    seen = []
    with ac.options(precision="fast"):
        ac.options(strategy=other).as_default()
    assert strategy() == other
    thread = threading.Thread(target=lambda: seen.append(strategy()))
    thread.start()
    thread.join()
    assert seen == [other]
    with ac.options(workspace=4096):
        assert strategy() == other


def test_jit_reads_the_settings_when_it_traces(monkeypatch):
    jax = pytest.importorskip("jax")
    traced = []
    for name, real in list(engine.STRATEGIES.items()):

        def noted(*args, name=name, real=real):
            traced.append(name)
            return real.correlate(*args)

        monkeypatch.setitem(engine.STRATEGIES, name, replace(real, correlate=noted))
    f = jax.jit(lambda x, w: ac.conv(x, w, padding=1))
    x, w = (jax.numpy.ones(shape) for shape in (X, W))
    chosen = ac.explain(ac.conv, x[:2], w, padding=1)[0].strategy
    other = next(name for name in STRATEGIES if name != chosen)
    with ac.options(strategy=other):
        inside = f(x, w)
    assert set(traced) == {other}
    traced.clear()
    # Compiled already: the settings outside the block are not asked for.
    np.testing.assert_array_equal(f(x, w), inside)
    assert traced == []
    f(x[:2], w)
    assert set(traced) == {chosen}


def forced(name, **more):
    """The options that force a strategy; some need the lower precision as well."""
    precision = "fast" if name in FAST else "default"
    return ac.options(strategy=name, precision=precision, **more)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("workspace", [1, 5000, 64 * MIB])
def test_no_setting_changes_the_values(xp, name, workspace):
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((3, 7, 6, 4)), rng.standard_normal((3, 2, 2, 6)), np.ones(6)
    config = {"padding": ((1, 2), (0, 1)), "stride": (1, 2), "groups": 2}
    if name == "depthwise":
        w, b, config["groups"] = rng.standard_normal((3, 2, 1, 4)), np.ones(4), 4
    elif name in FAST:
        w, config["stride"] = rng.standard_normal((3, 3, 2, 6)), 1
    expected = ac.conv(x, w, b, **config)
    dy = rng.standard_normal(expected.shape)
    gradients = ac.conv_vjp(dy, x, w, b, **config)
    x, w, b, dy = map(xp.array, (x, w, b, dy))
    with forced(name, workspace=workspace):
        y, result = ac.conv(x, w, b, **config), ac.conv_vjp(dy, x, w, b, **config)
    for got, wanted in zip((y, *result), (expected, *gradients), strict=True):
        np.testing.assert_allclose(xp.to_numpy(got), wanted, rtol=1e-12, atol=1e-12)


def peak(f):
    """What `f` returns, and the most memory it held beyond what was there before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        result = f()
        return result, tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


# Depthwise is for one channel per group.
@pytest.mark.parametrize("name", [None, *(name for name in ALL if name != "depthwise")])
def test_memory_stays_within_the_workspace(name):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 56, 56, 64), dtype=np.float32)
    w = rng.standard_normal((3, 3, 64, 64), dtype=np.float32)
    # Plans and slices, which are not arrays.
    slack = 2 * MIB
    with forced(name):
        y, held = peak(lambda: ac.conv(x, w, padding=1))
        assert held <= y.nbytes + 64 * MIB + slack
        gradients, held = peak(lambda: ac.conv_vjp(y, x, w, padding=1))
        assert held <= sum(g.nbytes for g in gradients[:2]) + 64 * MIB + slack


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_smaller_workspace_is_kept_too(name):
    # A row of windows is the least there can be: 56 * 9 * 16 floats here, 32 KiB.
    x, w = np.ones((8, 56, 56, 16), np.float32), np.ones((3, 3, 16, 16), np.float32)
    with ac.options(strategy=name, workspace=MIB // 4):
        y, held = peak(lambda: ac.conv(x, w, padding=1))
    assert held <= y.nbytes + MIB // 4 + MIB // 8


@pytest.fixture
def launches(monkeypatch):
    """Count the array operations of a call, as an accelerator would launch them."""
    torch = pytest.importorskip("torch")
    from torch.utils._python_dispatch import TorchDispatchMode

    real = engine.traits
    for name in ("engine", "engine.windows", "ops.convolution.parts"):
        room = importlib.import_module(f"arrayconv.{name}")
        monkeypatch.setattr(room, "traits", lambda xp, x: real(xp, x)._replace(accelerator=True))
    # Allocation, questions and reshapes launch nothing.
    free = ("aten.empty", "aten.is_pinned", "aten._unsafe_view")

    class Count(TorchDispatchMode):
        def __init__(self):
            super().__init__()
            self.names = []

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            returned = (r.alias_info for r in func._schema.returns)
            is_view = any(info is not None and not info.is_write for info in returned)
            if not is_view and not str(func).startswith(free):
                self.names.append(str(func))
            return func(*args, **(kwargs or {}))

    def count(op, *shapes, **config):
        arrays = [torch.ones(shape) for shape in shapes]
        with unpoisoned(), Count() as mode:
            getattr(ac, op)(*arrays, **config)
        return mode.names

    return count


def test_a_convolution_is_a_handful_of_operations_on_an_accelerator(launches):
    small, large = (2, 8, 8, 16), (32, 40, 40, 16)
    kernel = (3, 3, 16, 16)
    # Padding (2), a copy of all the windows, product, bias.
    names = launches("conv", small, kernel, (16,), padding=1)
    assert len(names) <= 5, names
    assert len(launches("conv", large, kernel, (16,), padding=1)) == len(names)
    # For dx and for dw the same, a flip of the kernel, its copy, and a sum over each of three axes for db.
    names = launches("conv_vjp", small, small, kernel, (16,), padding=1)
    assert len(names) <= 2 * 4 + 5, names
    assert len(launches("conv_vjp", large, large, kernel, (16,), padding=1)) == len(names)
    # Nothing is gathered where the window has one cell.
    assert len(launches("conv", large, (1, 1, 16, 16))) <= 3


@pytest.mark.parametrize("op", ["max_pool", "avg_pool"])
def test_a_pool_is_a_handful_of_operations(launches, op):
    # Along each axis in turn one operation fewer than cells; then the divisor.
    config = {"window": 3, "stride": 2}
    small = launches(op, (2, 9, 9, 4), **config)
    assert len(small) <= 2 * 2 + 2, small
    assert len(launches(op, (16, 41, 41, 4), **config)) == len(small)


def test_explain_computes_nothing():
    x, w, b = (64, 112, 112, 64), (3, 3, 64, 64), (64,)
    plans, held = peak(lambda: ac.explain(ac.conv, x, w, b, padding=1))
    assert held < 8 * MIB
    assert [p.flops for p in plans] == [2 * 64 * 112**2 * 9 * 64 * 64]
    plans, held = peak(lambda: ac.explain(ac.conv_vjp, x, x, w, b, padding=1))
    assert held < 8 * MIB
    assert len(plans) >= 2
    assert "GFLOP" in str(plans)


def test_explain_of_what_has_no_plan():
    with pytest.raises(ValueError, match=r"^explain: 'relu' "):
        ac.explain(ac.relu, (2, 3))

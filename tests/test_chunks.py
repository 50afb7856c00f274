"""Dask's arrays in chunks, along the batch and along space: what comes out, in which chunks, by how many tasks."""

import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import arrayconv as ac

EXAMPLE = Path(__file__).parent.parent / "examples" / "larger_than_memory.py"
pytestmark = pytest.mark.backends("dask")


@pytest.fixture(autouse=True)
def _synchronous(xp):
    with importlib.import_module("dask").config.set(scheduler="synchronous"):
        yield


def drawn(rng, n):
    """Return sizes of chunks that make up n, most of them short."""
    sizes = []
    while n:
        sizes.append(int(rng.integers(1, min(n, 9) + 1)))
        n -= sizes[-1]
    return tuple(sizes)


def in_chunks(da, rng, a, channels=-1):
    spatial = [drawn(rng, n) for n in a.shape[1:-1]]
    return da.from_array(a, chunks=(drawn(rng, a.shape[0]), *spatial, channels))


def agree(got, want):
    found = got.compute()
    assert (got.shape, got.dtype) == (want.shape, want.dtype)
    assert (found.shape, found.dtype) == (want.shape, want.dtype)
    np.testing.assert_allclose(found, want, rtol=1e-10, atol=1e-10)


def geometry(rng):
    axes = int(rng.integers(1, 3))
    return tuple(int(n) for n in rng.integers(1, 30, axes)), {
        "kernel": tuple(int(n) for n in rng.integers(1, 5, axes)),
        "stride": tuple(int(n) for n in rng.integers(1, 5, axes)),
        "dilation": tuple(int(n) for n in rng.integers(1, 3, axes)),
        "padding": tuple((int(a), int(b)) for a, b in rng.integers(0, 4, (axes, 2))),
    }


def calls(f, *arguments, **config):
    """Return what f gives, or None for a window larger than its input and the like."""
    try:
        return f(*arguments, **config)
    except ValueError:
        return None


@pytest.mark.parametrize("seed", range(12))
def test_convolutions_and_gradients(xp, seed):
    da, rng = importlib.import_module("dask.array"), np.random.default_rng(seed)
    done = 0
    while done < 3:
        size, config = geometry(rng)
        kernel, groups = config.pop("kernel"), int(rng.integers(1, 3))
        config["groups"] = groups
        x = rng.standard_normal((int(rng.integers(1, 5)), *size, 2 * groups))
        w, b = rng.standard_normal((*kernel, 2, 3 * groups)), rng.standard_normal(3 * groups)
        if (y := calls(ac.conv, x, w, b, **config)) is None:
            continue
        done += 1
        there = in_chunks(da, rng, x), da.from_array(w), da.from_array(b)
        agree(ac.conv(*there, **config), y)
        dy = rng.standard_normal(y.shape)
        got = ac.conv_vjp(in_chunks(da, rng, dy), *there, **config)
        for g, e in zip(got, ac.conv_vjp(dy, x, w, b, **config), strict=True):
            agree(g, e)
        # the adjoint, from the shape of y
        bias = rng.standard_normal(2 * groups)
        there = in_chunks(da, rng, y), there[1], da.from_array(bias)
        if (z := calls(ac.conv_transpose, y, w, bias, **config)) is None:
            continue
        agree(ac.conv_transpose(*there, **config), z)
        dz = rng.standard_normal(z.shape)
        got = ac.conv_transpose_vjp(in_chunks(da, rng, dz), *there, **config)
        for g, e in zip(got, ac.conv_transpose_vjp(dz, y, w, bias, **config), strict=True):
            agree(g, e)


POOLS = [
    (ac.max_pool, ac.max_pool_vjp, {}, {}),
    (ac.max_pool, ac.max_pool_vjp, {}, {"ties": "split"}),
    (ac.avg_pool, ac.avg_pool_vjp, {}, {}),
    (ac.avg_pool, ac.avg_pool_vjp, {"count_include_pad": True}, {}),
]


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(("pool", "vjp", "own", "of_vjp"), POOLS)
def test_pools_and_gradients(xp, pool, vjp, own, of_vjp, ceil_mode):
    da, rng = importlib.import_module("dask.array"), np.random.default_rng(0)
    done = 0
    while done < 5:
        size, config = geometry(rng)
        config |= {"window": config.pop("kernel"), "ceil_mode": ceil_mode, **own}
        # few values, so that many cells of a window are equal
        x = rng.integers(0, 4, (3, *size, 3)).astype(float)
        if (y := calls(pool, x, **config)) is None:
            continue
        done += 1
        there = in_chunks(da, rng, x, channels=(1, 2))
        agree(pool(there, **config), y)
        dy = rng.standard_normal(y.shape)
        got = vjp(in_chunks(da, rng, dy), there, **config, **of_vjp)
        agree(got, vjp(dy, x, **config, **of_vjp))
        assert got.chunks[0] == there.chunks[0]


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_chunks_stay_as_they_came(xp, dtype):
    da, rng = importlib.import_module("dask.array"), np.random.default_rng(0)
    chunks = ((1, 2), (8, 12, 9), (10, 7), (4,))
    x = rng.standard_normal((3, 29, 17, 4)).astype(dtype)
    w = rng.standard_normal((5, 3, 4, 4)).astype(dtype)
    there, kernel = da.from_array(x, chunks=chunks), da.from_array(w)
    y = ac.conv(there, kernel, padding="same")
    dx, dw, _ = ac.conv_vjp(y, there, kernel, padding="same")
    back = ac.max_pool_vjp(y, there, 3, stride=1, padding=1)
    assert {a.chunks for a in (y, dx, back)} == {chunks}
    assert dw.numblocks == (1, 1, 1, 1)
    halved = ac.avg_pool(da.from_array(x, chunks=(3, (8, 12, 9), -1, 4)), 2, ceil_mode=True)
    assert halved.chunks == ((3,), (4, 6, 5), (9,), (4,))
    first = ac.conv(da.moveaxis(there, -1, 1), kernel, padding="same", data_format="channels_first")
    assert first.chunks == (chunks[0], chunks[3], chunks[1], chunks[2])
    np.testing.assert_array_equal(first.compute(), np.moveaxis(y.compute(), -1, 1))


def test_new_cells_join_the_chunks_beside_them(xp):
    da, rng = importlib.import_module("dask.array"), np.random.default_rng(0)
    x = rng.standard_normal((3, 29, 17, 4))
    there = da.from_array(x, chunks=((1, 2), (8, 12, 9), (17,), (4,)))
    y = ac.pad(there, ((2, 3), (1, 0)), value=7)
    assert y.chunks == ((1, 2), (10, 12, 12), (18,), (4,))
    want = np.pad(x, ((0, 0), (2, 3), (1, 0), (0, 0)), constant_values=7)
    np.testing.assert_array_equal(y.compute(), want)
    # which pads by one cell
    larger = ac.resize(there, scale=2, method="linear")
    assert larger.chunks[0] == (1, 2)
    agree(larger, ac.resize(x, scale=2, method="linear"))


def test_a_chunk_is_a_task(xp):
    da = importlib.import_module("dask.array")
    x = da.zeros((128, 16, 16, 4), chunks=(4, -1, -1, -1))
    w = da.zeros((3, 3, 4, 4))
    (graph,) = importlib.import_module("dask").optimize(ac.conv(x, w, padding=1))
    # those of the result, and the weights'
    assert len(dict(graph.dask)) <= 32 + 3
    (gradient,) = importlib.import_module("dask").optimize(ac.conv_vjp(x, x, w, padding=1)[1])
    keys = dict(gradient.dask)
    depth = {}

    def height(key):
        if key not in depth:
            depth[key] = 1 + max((height(k) for k in keys[key].dependencies), default=0)
        return depth[key]

    # a tree: a chain of 32 would be as deep
    assert max(map(height, keys)) <= 12


def test_options_reach_the_tasks(xp):
    da = importlib.import_module("dask.array")
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 8, 8, 2)), rng.standard_normal((3, 3, 2, 2))
    there = da.from_array(x, chunks=(1, 4, 8, 2)), da.from_array(w)
    with ac.options(precision="fast", strategy="winograd"):
        y = ac.conv(*there)
    # other sums, rounded otherwise: it was not the default that ran
    assert np.any(y.compute() != ac.conv(*there).compute())
    np.testing.assert_allclose(y.compute(), ac.conv(x, w), atol=1e-9)
    with ac.options(strategy="taps"):
        (plan,) = ac.explain(ac.conv, *there)
    # what runs is one chunk, and a halo of a row on one side
    assert (plan.strategy, plan.problem.window.size, plan.problem.traits.mutable) == (
        "taps",
        (5, 8),
        True,
    )


@pytest.mark.parametrize(("data_format", "axis"), [("channels_last", 3), ("channels_first", 1)])
def test_chunks_along_channels_are_refused(xp, data_format, axis):
    da = importlib.import_module("dask.array")
    x = da.rechunk(da.zeros((2, 6, 6, 6)), {axis: (2, 4)})
    w, dy = da.zeros((3, 3, 6, 5)), da.zeros((2, 4, 4, 5))
    message = (
        rf"the channels of x, axis {axis}, lie in chunks of \(2, 4\).*x\.rechunk\({{{axis}: -1}}\)"
    )
    for f in (ac.conv, ac.conv_transpose):
        kernel = w if f is ac.conv else da.zeros((3, 3, 5, 6))
        with pytest.raises(ValueError, match=rf"^{f.__name__}: {message}"):
            f(x, kernel, data_format=data_format)
    with pytest.raises(ValueError, match=rf"^conv_vjp: {message}"):
        ac.conv_vjp(dy, x, w, data_format=data_format)
    assert ac.conv(x.rechunk({axis: -1}), w, data_format=data_format).shape[0] == 2


def test_larger_than_memory(xp, tmp_path):
    zarr = pytest.importorskip("zarr")
    pytest.importorskip("distributed")
    da = importlib.import_module("dask.array")
    done = subprocess.run(
        [sys.executable, EXAMPLE, tmp_path, "40", "600", "200"],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    pixels = da.random.default_rng(1).random((1, 600, 600, 1), "float32", chunks=(1, 200, 200, 1))
    w = ac.filters.gaussian(5, 1.0).astype("float32")[:, :, None, None]
    want = ac.avg_pool(ac.conv(pixels.compute(), w, padding="same"), 2)
    found = zarr.open(tmp_path / "picture.zarr", mode="r")
    assert found.chunks == (1, 100, 100, 1)
    np.testing.assert_allclose(found[:], want, rtol=1e-5)
    assert zarr.open(tmp_path / "images.zarr", mode="r").shape == (40, 64, 64, 4)

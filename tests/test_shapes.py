"""Batches whose size is not a number: unknown ones of Dask, and the symbols of ``jax.export``."""

import importlib
import math
from functools import partial

import numpy as np
import pytest
from conftest import strict_jax

import arrayconv as ac
from arrayconv.cases import cases, sample

# The places of the arrays that have the batch axis: of `conv` the first, of a loss all.
PARAMETERS = {"conv", "conv_transpose", "dense", "batch_norm", "batch_norm_inference"}
PARAMETERS |= {"layer_norm", "group_norm", "instance_norm", "prelu"}
# One array, element by element: there the size of the batch does not matter.
ELEMENTWISE = {"relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "sigmoid", "tanh"}
ELEMENTWISE |= {"hard_sigmoid", "hard_swish", "softmax", "log_softmax", "erf"}


def small_cases():
    """A sample of the table, of calls with a batch."""
    for case in sample(cases()):
        shape = case.shapes[0]
        if len(shape) > 1 and 0 not in shape and case.op != "col2im":
            yield case


def batched(case, i):
    return i == 0 or case.op not in PARAMETERS


def parts(result):
    return [a for a in (result if isinstance(result, tuple) else (result,)) if a is not None]


def unknown(da, a):
    """Return `a` as Dask has it after a selection: of a batch that only computing it tells."""
    x = da.from_array(a, chunks=(1, *(-1,) * (a.ndim - 1)))
    return x[da.from_array(np.ones(a.shape[0], bool), chunks=1)]


@pytest.fixture
def dask():
    """Return `dask.array`, of which an operation computes nothing."""
    da = pytest.importorskip("dask.array")

    def no_compute(*args, **kwargs):
        raise AssertionError("an operation computed a Dask array")

    with importlib.import_module("dask").config.set(scheduler=no_compute):
        yield da


def computed(x):
    return x.compute(scheduler="synchronous")


@pytest.mark.parametrize("case", list(small_cases()), ids=lambda case: case.id)
def test_a_batch_of_unknown_size(dask, case):
    arrays = case.arrays()
    given = [
        a if a is None else unknown(dask, a) if batched(case, i) else dask.from_array(a)
        for i, a in enumerate(arrays)
    ]
    want = parts(getattr(ac, case.op)(*arrays, *case.args, **case.config))
    forward = partial(getattr(ac, case.op), *given, *case.args, **case.config)
    if case.op in ELEMENTWISE:
        np.testing.assert_allclose(computed(forward()), want[0], rtol=1e-12)
    elif case.op != "prelu":
        message = rf"^{case.op}: axis 0 of \w+ has an unknown size.*compute_chunk_sizes\(\)"
        with pytest.raises(ValueError, match=message):
            forward()
    dy = dask.from_array(np.ones(want[0].shape))
    config = {**case.config, **case.vjp_config}
    with pytest.raises(ValueError, match=rf"^{case.op}_vjp: axis 0 of \w+ has an unknown size"):
        getattr(ac, f"{case.op}_vjp")(dy, *given, *case.args, **config)


@pytest.mark.parametrize("strategy", ["columns", "rows", "planes", "taps"])
def test_a_kernel_in_chunks(dask, strategy):
    x, w = np.arange(12.0).reshape(1, 6, 2), np.arange(8.0).reshape(4, 2, 1)
    there = dask.from_array(x), dask.from_array(w, chunks=(2, 1, 1))
    dy = np.arange(3.0).reshape(1, 3, 1)
    with ac.options(strategy=strategy):
        got = ac.conv(*there), *ac.conv_vjp(dask.from_array(dy), *there)[:2]
    for a, e in zip(got, (ac.conv(x, w), *ac.conv_vjp(dy, x, w)[:2]), strict=True):
        np.testing.assert_array_equal(computed(a), e)


@pytest.mark.parametrize("shape", [(2, 0, 3), (0, 2, 3), (2, 0)])
def test_nothing_is_flattened(dask, shape):
    x = dask.from_array(np.zeros(shape, "float32"), chunks=(1, *(-1,) * (len(shape) - 1)))
    y = ac.flatten(x)
    for a, e in ((y, np.zeros((shape[0], math.prod(shape[1:])))), (ac.flatten_vjp(y, x), x)):
        assert a.dtype == "float32"
        assert computed(a).shape == e.shape


def test_the_advice_on_unknown_sizes_works(dask):
    a, w = np.random.default_rng(0).random((4, 6, 5, 2)), np.ones((3, 3, 2, 4))
    x, kernel = unknown(dask, a), dask.from_array(w)
    with pytest.raises(ValueError, match=r"axis 0 of x has an unknown size, .*\(nan, 6, 5, 2\)"):
        ac.conv(x, kernel)
    weights = dask.moveaxis(unknown(dask, np.moveaxis(w, 2, 0)), 0, 2)
    with pytest.raises(ValueError, match=r"^conv: axis 2 of w has an unknown size"):
        ac.conv(dask.from_array(a), weights)
    with importlib.import_module("dask").config.set(scheduler="synchronous"):
        x.compute_chunk_sizes()
    y, mean, _ = ac.batch_norm(ac.conv(x, kernel))
    want = ac.batch_norm(ac.conv(a, w))
    np.testing.assert_allclose(computed(y), want.y, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(computed(mean), want.mean, rtol=1e-12)


@pytest.mark.parametrize("shape", [(2, 5, 3), (3, 4, 6, 2), (1, 1, 1, 1), (2, 3, 4, 3, 1)])
@pytest.mark.parametrize("method", ["nearest", "linear"])
def test_resize_to_one_cell(xp, shape, method):
    x = np.random.default_rng(0).standard_normal(shape)
    ndim = len(shape) - 2
    sizes = [1, (1, *range(2, ndim + 1)), (*range(2, ndim + 1), 1)]
    for size in sizes:
        for coordinates in ("half_pixel", "align_corners", "asymmetric"):
            config = {"size": size, "method": method, "coordinates": coordinates}
            want = ac.resize(x, **config)
            got = ac.resize(xp.array(x, batch=True), **config)
            assert tuple(got.shape) == want.shape
            np.testing.assert_allclose(xp.to_numpy(got), want, rtol=1e-12, atol=1e-12)
            dy = np.random.default_rng(1).standard_normal(want.shape)
            got = ac.resize_vjp(xp.array(dy, batch=True), xp.array(x, batch=True), **config)
            assert tuple(got.shape) == shape
            np.testing.assert_allclose(
                xp.to_numpy(got), ac.resize_vjp(dy, x, **config), rtol=1e-12, atol=1e-12
            )


def exported(function, arrays, sizes):
    """Run `function` as exported for any size of the batch, `sizes` saying how many images an array has of each."""
    import jax
    import jax.export

    (n,) = jax.export.symbolic_shape("n")
    shapes = [
        jax.ShapeDtypeStruct((n * per, *a.shape[1:]) if per else a.shape, a.dtype)
        for a, per in zip(arrays, sizes, strict=True)
    ]
    return jax.export.export(jax.jit(function))(*shapes).call(*arrays)


def symbolic_cases():
    """One case in four of the sample, and one or more of every operation."""
    seen = {}
    for case in small_cases():
        # how the correlation of the engine is planned is tested there
        if not case.op.startswith("conv"):
            seen[case.op] = seen.get(case.op, -1) + 1
            if seen[case.op] % 4 == 0:
                yield case


@pytest.mark.parametrize("case", list(symbolic_cases()), ids=lambda case: case.id)
def test_a_symbolic_batch(case):
    pytest.importorskip("jax")
    arrays = case.arrays()
    places = [i for i, a in enumerate(arrays) if a is not None]
    there = [arrays[i] for i in places]
    sizes = [int(batched(case, i)) for i in places]

    def filled(values):
        every = list(arrays)
        for i, value in zip(places, values, strict=True):
            every[i] = value
        return every

    def forward(*values):
        return parts(getattr(ac, case.op)(*filled(values), *case.args, **case.config))

    def backward(dy, *values):
        config = {**case.config, **case.vjp_config}
        return parts(getattr(ac, f"{case.op}_vjp")(dy, *filled(values), *case.args, **config))

    want = forward(*there)
    dy = np.random.default_rng(0).standard_normal(want[0].shape)
    images = dy.shape[0] // arrays[0].shape[0] if dy.ndim else 0
    with strict_jax():
        got = exported(forward, there, sizes)
        got += exported(backward, [dy, *there], [images, *sizes])
    for a, e in zip(got, want + backward(dy, *there), strict=True):
        assert a.dtype == e.dtype
        np.testing.assert_allclose(a, e, rtol=1e-9, atol=1e-12)


def test_a_symbolic_image_is_refused_by_name():
    jax = pytest.importorskip("jax")
    importlib.import_module("jax.export")
    shape = jax.ShapeDtypeStruct(jax.export.symbolic_shape("n, h, 4, 2"), "float32")
    with strict_jax(x64=False):
        for f in (
            lambda x: ac.max_pool(x, 2),
            lambda x: ac.avg_pool(x, 2),
            lambda x: ac.pad(x, 1),
            lambda x: ac.resize(x, scale=2),
            lambda x: ac.adaptive_avg_pool(x, 2),
            lambda x: ac.im2col(x, 2),
        ):
            with pytest.raises(
                ValueError, match=r"^\w+: the spatial sizes of x must be known, got"
            ):
                jax.export.export(jax.jit(f))(shape)

"""Types: what goes in comes out, promotion, halves within twice a float32 sum's error, integers."""

import contextlib

import numpy as np
import pytest
from conftest import strict_jax
from halves import every_half, exact

import arrayconv as ac

X, W, B = (2, 6, 5, 4), (3, 2, 2, 6), (6,)
WT = (3, 2, 3, 4)
# Every operation, with Python numbers of both kinds wherever it takes numbers.
CALLS = {
    "pad": ((X,), (1,), {"value": 2}),
    "pad float": ((X,), (1,), {"value": 0.5}),
    "conv": ((X, W, B), (), {"stride": 2, "padding": "same", "groups": 2}),
    "conv_transpose": ((X, WT, B), (), {"stride": 2, "padding": 1, "groups": 2}),
    "max_pool": ((X,), (3,), {"stride": 2, "padding": 1}),
    "avg_pool": ((X,), (3,), {"stride": 2, "padding": 1}),
    "avg_pool all": ((X,), (3,), {"padding": 1, "count_include_pad": True}),
    "global_max_pool": ((X,), (), {}),
    "global_avg_pool": ((X,), (), {}),
    "adaptive_max_pool": ((X,), (3,), {}),
    "adaptive_avg_pool": ((X,), (3,), {}),
    "im2col": ((X,), (2,), {"padding": 1}),
    "col2im": (((2 * 30, 6 * 4),), (X, (3, 2)), {"padding": ((1, 1), (1, 0))}),
    "relu": ((X,), (), {}),
}
SUMS = [name for name in CALLS if not name.startswith(("pad", "max", "global_max", "relu"))]


def call(name, arrays, *, dy=None, **config):
    _, args, given = CALLS[name]
    op = name.split()[0]
    if dy is None:
        return getattr(ac, op)(*arrays, *args, **given, **config)
    gradients = getattr(ac, f"{op}_vjp")(dy, *arrays, *args, **given, **config)
    return gradients if isinstance(gradients, tuple) else (gradients,)


def draw(name, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in CALLS[name][0]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", CALLS)
def test_dtype_is_kept(xp, name, dtype):
    expected = getattr(xp.namespace, dtype)
    arrays = [xp.array(a) for a in draw(name, dtype)]
    y = call(name, arrays)
    assert y.dtype == expected
    for gradient in call(name, arrays, dy=y):
        assert gradient.dtype == expected


@pytest.mark.parametrize("name", ["conv", "conv_transpose"])
def test_promotion(xp, name):
    narrow, wide = xp.namespace.float32, xp.namespace.float64
    with contextlib.ExitStack() as stack:
        if xp.name.startswith("jax"):
            import jax

            stack.enter_context(jax.numpy_dtype_promotion("standard"))
        x, w, b = draw(name, np.float32)
        for mixed in ((x.astype("f8"), w, b), (x, w.astype("f8"), b), (x, w, b.astype("f8"))):
            y = call(name, [xp.array(a) for a in mixed])
            assert y.dtype == wide
            # All arithmetic is done in the wide type, not only its result.
            exact = call(name, [a.astype(np.float64) for a in mixed])
            np.testing.assert_allclose(xp.to_numpy(y), exact, rtol=1e-12, atol=1e-13)
        y = call(name, [xp.array(a) for a in (x, w, b)])
        assert y.dtype == narrow


@pytest.mark.parametrize("name", CALLS)
def test_jax_without_x64(name):
    jax = pytest.importorskip("jax")
    with strict_jax(x64=False):
        arrays = [jax.numpy.asarray(a) for a in draw(name, np.float32)]
        y = call(name, arrays)
        assert y.dtype == np.float32
        gradients = call(name, arrays, dy=y)
    exact = [a.astype(np.float64) for a in draw(name, np.float32)]
    want = call(name, exact)
    for got, true in zip((y, *gradients), (want, *call(name, exact, dy=want)), strict=True):
        assert got.dtype == np.float32
        largest = np.max(np.abs(true))
        np.testing.assert_allclose(np.asarray(got), true, rtol=0, atol=1e-6 * largest)


def numpy_half(name):
    return lambda a: np.asarray(a, np.dtype(name)), lambda y: np.asarray(y, np.float64)


def torch_half(name):
    torch = pytest.importorskip("torch")
    return (
        lambda a: torch.asarray(a).to(getattr(torch, name)),
        lambda y: y.to(torch.float64).numpy(),
    )


def jax_half(name):
    jnp = pytest.importorskip("jax.numpy")
    return (
        lambda a: jnp.asarray(a, getattr(jnp, name)),
        lambda y: np.asarray(y.astype(jnp.float32), np.float64),
    )


HALVES = {
    "numpy-float16": (numpy_half, "float16"),
    "torch-float16": (torch_half, "float16"),
    "torch-bfloat16": (torch_half, "bfloat16"),
    "jax-float16": (jax_half, "float16"),
    "jax-bfloat16": (jax_half, "bfloat16"),
}


@pytest.fixture(params=HALVES)
def half(request):
    """How to make an array of a half type, how to read one as float64, and the type's name."""
    library, name = HALVES[request.param]
    # Without x64, where an accumulation in the half type would have nothing to hide behind.
    if request.param.startswith("jax"):
        pytest.importorskip("jax")
        with strict_jax(x64=False):
            yield *library(name), name
    else:
        yield *library(name), name


def error(result, exact):
    """The largest error, in units of the largest result."""
    return np.max(np.abs(result - exact)) / np.max(np.abs(exact))


@pytest.mark.parametrize("name", SUMS)
def test_halves_accumulate_in_float32(half, name):
    make, read, dtype = half
    arrays = [make(a) for a in draw(name)]
    exact_arrays = [read(a) for a in arrays]
    y = call(name, arrays)
    assert dtype in str(y.dtype)
    exact = call(name, exact_arrays)
    # What a float32 sum gives, once rounded to the half type, is the best that can be had.
    best = read(make(exact.astype(np.float32)))
    assert error(read(y), exact) <= 2 * error(best, exact) + 1e-7
    dy = make(exact)
    for gradient, wanted in zip(
        call(name, arrays, dy=dy), call(name, exact_arrays, dy=read(dy)), strict=True
    ):
        assert dtype in str(gradient.dtype)
        best = read(make(wanted.astype(np.float32)))
        assert error(read(gradient), wanted) <= 2 * error(best, wanted) + 1e-7


def test_halves_over_many_terms(half):
    make, read, _ = half
    rng = np.random.default_rng(2)
    # 4608 positive products: a half sum stops growing long before their end.
    x, w = make(rng.uniform(0, 0.1, (1, 8, 8, 512))), make(rng.uniform(0, 0.1, (3, 3, 512, 4)))
    exact = ac.conv(read(x), read(w))
    best = read(make(exact.astype(np.float32)))
    assert error(read(ac.conv(x, w)), exact) <= 2 * error(best, exact)
    dy = make(np.ones((1, 6, 6, 4)))
    big = make(rng.uniform(1, 2, (4, 66, 66, 1)))
    dy = make(rng.uniform(0.01, 0.02, (4, 64, 64, 1)))
    kernel, b = make(np.ones((3, 3, 1, 1))), make(np.ones(1))
    _, dw, db = ac.conv_vjp(dy, big, kernel, b)
    _, exact_dw, exact_db = ac.conv_vjp(*map(read, (dy, big, kernel, b)))
    for result, exact in ((dw, exact_dw), (db, exact_db)):
        best = read(make(exact.astype(np.float32)))
        assert error(read(result), exact) <= 2 * error(best, exact) + 1e-6


def test_half_means_of_thousands_are_finite(half):
    make, read, _ = half
    x = make(np.random.default_rng(1).uniform(1000, 5000, (1, 300, 300, 2)))
    exact = read(x).mean(axis=(1, 2))
    best = error(read(make(exact.astype(np.float32))), exact)
    results = {
        "global": ac.global_avg_pool(x),
        "adaptive": ac.adaptive_avg_pool(x, 1)[:, 0, 0, :],
    }
    if type(x).__module__.split(".")[0] in ("numpy", "torch"):
        # Under JAX each of the 600 slices would be compiled.
        results["window"] = ac.avg_pool(x, 300)[:, 0, 0, :]
    for name, mean in results.items():
        assert error(read(mean), exact) <= 2 * best + 1e-6, name


def test_strict_has_no_half_types():
    strict = pytest.importorskip("array_api_strict")
    assert not hasattr(strict, "float16")
    assert not hasattr(strict, "bfloat16")


INTEGERS = ["int8", "uint8", "int16", "int32", "int64"]


@pytest.mark.parametrize("dtype", INTEGERS)
def test_operations_that_take_integers(xp, dtype):
    x = np.random.default_rng(0).integers(0, 100, X).astype(dtype)
    spatial = ((0, 0), (1, 1), (1, 1), (0, 0))
    expected = {
        "pad": (ac.pad(xp.array(x), 1), np.pad(x, spatial)),
        "value": (ac.pad(xp.array(x), 1, value=7), np.pad(x, spatial, constant_values=7)),
        "edge": (ac.pad(xp.array(x), 1, mode="edge"), np.pad(x, spatial, mode="edge")),
        "relu": (ac.relu(xp.array(x)), np.maximum(x, 0)),
        "global": (ac.global_max_pool(xp.array(x)), x.max(axis=(1, 2))),
        "adaptive": (ac.adaptive_max_pool(xp.array(x), 1), x.max(axis=(1, 2), keepdims=True)),
        "pool": (ac.max_pool(xp.array(x), (6, 5)), x.max(axis=(1, 2), keepdims=True)),
    }
    for name, (result, wanted) in expected.items():
        assert xp.to_numpy(result).dtype == dtype, name
        np.testing.assert_array_equal(xp.to_numpy(result), wanted, err_msg=name)


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64"])
def test_relu_of_negative_integers(xp, dtype):
    least = np.iinfo(dtype).min
    x = np.asarray([least, -1, 0, 1, -least - 1], dtype)
    np.testing.assert_array_equal(xp.to_numpy(ac.relu(xp.array(x))), np.maximum(x, 0))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_padding_never_wins_over_the_least_integer(xp, dtype):
    least = np.iinfo(dtype).min
    x = np.full((1, 3, 3, 1), least, dtype)
    for result in (
        ac.max_pool(xp.array(x), 3, stride=1, padding=1),
        ac.max_pool(xp.array(x), 2, stride=2, ceil_mode=True),
        ac.max_pool(xp.array(x), 2, stride=2, padding="same"),
        ac.adaptive_max_pool(xp.array(x), 2),
    ):
        result = xp.to_numpy(result)
        assert result.dtype == dtype
        assert (result == least).all()
    x[0, 1, 1, 0] = least + 1
    pooled = xp.to_numpy(ac.max_pool(xp.array(x), 3, stride=1, padding=1))
    assert (pooled == least + 1).all()


@pytest.mark.parametrize("op", ["pad", "relu", "max_pool", "global_max_pool", "adaptive_max_pool"])
def test_integers_have_no_gradient(xp, op):
    x = xp.array(np.ones(X, np.int32))
    args = {"pad": (1,), "max_pool": (2,), "adaptive_max_pool": (2,)}.get(op, ())
    y = getattr(ac, op)(x, *args)
    dy = xp.array(np.ones(y.shape))
    assert getattr(ac, f"{op}_vjp")(dy, x, *args) is None


def test_numpy_scalars_count_as_ints():
    x, w = draw("conv")[:2]
    three, one = np.int64(3), np.uint8(1)
    expected = ac.conv(x, w, stride=3, padding=1, groups=2)
    result = ac.conv(x, w, stride=three, padding=one, groups=np.int32(2))
    np.testing.assert_array_equal(result, expected)
    np.testing.assert_array_equal(ac.max_pool(x, three, padding=one), ac.max_pool(x, 3, padding=1))
    stride = np.asarray([2, 1])
    np.testing.assert_array_equal(
        ac.max_pool(x, 2, stride=tuple(stride)), ac.max_pool(x, 2, stride=(2, 1))
    )


@pytest.mark.parametrize("library", ["numpy", "torch", "strict", "jax"])
def test_to_numpy(library):
    a = np.arange(6.0).reshape(2, 3)
    if library == "numpy":
        x = a
    elif library == "torch":
        x = pytest.importorskip("torch").asarray(a.copy()).requires_grad_()
    elif library == "strict":
        strict = pytest.importorskip("array_api_strict")
        x = strict.asarray(a, device=strict.Device("device1"))
    else:
        x = pytest.importorskip("jax.numpy").asarray(a, "float32")
    host = ac.to_numpy(x)
    assert type(host) is np.ndarray
    np.testing.assert_array_equal(host, a)
    host[0, 0] = 99.0
    np.testing.assert_array_equal(ac.to_numpy(x), a)


@pytest.mark.parametrize("library", ["torch", "jax"])
def test_to_numpy_of_bfloat16(library):
    make, _ = (torch_half if library == "torch" else jax_half)("bfloat16")
    host = ac.to_numpy(make(np.asarray([0.5, -2.0, 3.0])))
    assert host.dtype == np.float32
    np.testing.assert_array_equal(host, [0.5, -2.0, 3.0])


@every_half
def test_what_wraps_onto_a_cell_is_summed_in_float32(half):
    rng = np.random.default_rng(0)
    with strict_jax(x64=False):
        dy, x = half.array(rng.uniform(0.5, 1, (1, 303, 1))), half.array(np.zeros((1, 3, 1)))
        dx = ac.pad_vjp(dy, x, 150, mode="wrap")
    want = np.bincount((np.arange(303) - 150) % 3, exact(dy)[0, :, 0])
    assert half.dtype in str(dx.dtype)
    assert np.all(np.abs(exact(dx)[0, :, 0] - want) <= 1.01 * half.eps * want)


@pytest.mark.backends("numpy")
@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("name", CALLS)
def test_numbers_in_the_other_byte_order(name, kind):
    rng = np.random.default_rng(3)
    arrays = [rng.standard_normal(shape).astype(f"={kind}") for shape in CALLS[name][0]]
    dy = rng.standard_normal(call(name, arrays).shape).astype(f"={kind}")
    swapped = [a.astype(a.dtype.newbyteorder()) for a in (dy, *arrays)]
    np.testing.assert_array_equal(call(name, swapped[1:]), call(name, arrays))
    for got, want in zip(
        call(name, swapped[1:], dy=swapped[0]), call(name, arrays, dy=dy), strict=True
    ):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)

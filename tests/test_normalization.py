"""Normalizations where the table does not go: large means, halves, constants, NaN, errors, Keras."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import strict_jax
from halves import every_half, exact

import arrayconv as ac

# Each with what it needs besides x, whose channels are 4.
OPS = {
    "batch_norm": {},
    "layer_norm": {"axes": (1, 2)},
    "group_norm": {"groups": 2},
    "instance_norm": {},
}


def first(result):
    return result[0] if isinstance(result, tuple) else result


def worst(got, want):
    return np.max(np.abs(np.asarray(got, np.float64) - want)) / np.max(np.abs(want))


# How many sets of channels have statistics of their own, and whether every sample has.
SETS = {
    "batch_norm": (4, False),
    "layer_norm": (4, True),
    "group_norm": (2, True),
    "instance_norm": (4, True),
}


def truth(op, dy, x, gamma=1.0, beta=0.0, eps=1e-5):
    """Return y, dx, dgamma and dbeta of (N, *S, C) in long double, by the textbook's equations."""
    sets, by_sample = SETS[op]
    sets = x.shape[-1] if sets == 4 else sets

    def apart(a):
        a = np.broadcast_to(np.asarray(a, np.longdouble), x.shape)
        return a.reshape(*x.shape[:-1], sets, -1)

    dy, wide, gamma, beta = map(apart, (dy, x, gamma, beta))
    axes = (*range(int(by_sample), x.ndim - 1), x.ndim)

    def mean(a):
        return a.mean(axes, keepdims=True)

    centred = wide - mean(wide)
    deviation = np.sqrt(mean(centred * centred) + eps)
    xhat, g = centred / deviation, dy * gamma
    dx = (g - mean(g) - xhat * mean(g * xhat)) / deviation
    found = [(xhat * gamma + beta).reshape(x.shape), dx.reshape(x.shape)]
    for part in (dy * xhat, dy):
        found.append(part.sum(tuple(range(x.ndim - 1))).reshape(-1))
    return [a.astype(np.float64) for a in found]


@pytest.mark.parametrize("op", OPS)
def test_a_large_mean_leaves_the_digits(xp, op):
    rng = np.random.default_rng(0)
    x = (3e4 + rng.standard_normal((8, 32, 32, 4))).astype(np.float32)
    dy = rng.standard_normal(x.shape).astype(np.float32)
    want_y, want_dx, *_ = truth(op, dy, x)
    f, vjp = getattr(ac, op), getattr(ac, f"{op}_vjp")
    y = xp.to_numpy(first(f(xp.array(x), **OPS[op])))
    assert y.dtype == np.float32
    # The deviation is 1, and of the mean, whose last place is 1/512, the sum loses a few such.
    lost = 4 / 512
    assert np.max(np.abs(y - want_y)) < lost
    dx = xp.to_numpy(vjp(xp.array(dy), xp.array(x), **OPS[op])[0])
    assert worst(dx, want_dx) < lost / 20
    if op == "batch_norm":
        var = x.astype(np.float64).var((0, 1, 2))
        np.testing.assert_allclose(xp.to_numpy(f(xp.array(x)).var), var, rtol=lost**2)


def test_a_large_mean_at_inference(xp):
    rng = np.random.default_rng(0)
    x = (3e4 + rng.standard_normal((4, 8, 8, 4))).astype(np.float32)
    given = [np.asarray(a, np.float32) for a in ([1] * 4, [0] * 4, [3e4] * 4, [1, 2, 3, 4])]
    y = ac.batch_norm_inference(*(xp.array(a) for a in (x, *given)))
    gamma, beta, mean, var = (exact(a) for a in given)
    want = gamma * (exact(x) - mean) / np.sqrt(var + 1e-5) + beta
    assert worst(xp.to_numpy(y), want) < 5e-7


def test_sums_of_many_are_accurate():
    # 0.1 a million times: one running float32 sum would be off by 1 %.
    x = np.full((64, 128, 128, 1), 0.1, np.float32)
    y, mean, var = ac.batch_norm(x)
    np.testing.assert_allclose(mean, [np.float32(0.1)], rtol=1e-6)
    assert var[0] < 1e-12
    assert np.abs(y).max() < 1e-3


@every_half
@pytest.mark.parametrize("op", OPS)
def test_halves_are_computed_in_float32(half, op):
    rng = np.random.default_rng(1)
    f, vjp = getattr(ac, op), getattr(ac, f"{op}_vjp")
    with strict_jax(x64=False):
        # Their sums and squares overflow float16, their variance does not.
        x = half.array(rng.uniform(1000, 1400, (4, 30, 30, 4)))
        dy, gamma, beta = (half.array(rng.standard_normal(s)) for s in (x.shape, 4, 4))
        arrays = [dy, x] if op == "layer_norm" else [dy, x, gamma, beta]
        got = (first(f(*arrays[1:], **OPS[op])), *vjp(*arrays, **OPS[op]))
    for ours, want in zip(got, truth(op, *map(exact, arrays)), strict=True):
        assert (ours is None) == (op == "layer_norm" and want.ndim == 1)
        if ours is not None:
            assert half.dtype in str(ours.dtype)
            # What rounding the exact result to the half type costs, and a little of float32.
            assert worst(exact(ours), want) <= 1.01 * half.eps + 1e-5


@pytest.mark.parametrize("op", OPS)
def test_what_is_constant_becomes_the_shift(xp, op):
    x, beta = np.full((2, 3, 3, 4), 7.0), np.asarray([1.0, 2.0, 3.0, 4.0])
    beta = beta if op != "layer_norm" else np.full((3, 3), 5.0)
    f, vjp = getattr(ac, op), getattr(ac, f"{op}_vjp")
    y = first(f(xp.array(x), None, xp.array(beta), **OPS[op]))
    want = beta if op != "layer_norm" else beta[..., None]
    np.testing.assert_array_equal(xp.to_numpy(y), np.broadcast_to(want, x.shape))
    dx, dgamma, _ = vjp(y, xp.array(x), None, xp.array(beta), **OPS[op])
    assert np.isfinite(xp.to_numpy(dx)).all()
    assert dgamma is None


def test_one_value_per_channel():
    x = np.asarray([[3.0, -1.0]])
    y, mean, var = ac.batch_norm(x, beta=np.asarray([1.0, 2.0]))
    assert y.tolist() == [[1.0, 2.0]]
    assert mean.tolist() == [3.0, -1.0]
    assert var.tolist() == [0.0, 0.0]
    assert ac.batch_norm_vjp(np.ones((1, 2)), x).dx.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_a_value_that_is_not_finite_stays_where_it_counts(xp, value):
    x = np.random.default_rng(0).standard_normal((2, 3, 3, 4))
    x[0, 1, 1, 2] = value
    bad = {
        "batch_norm": (slice(None), ..., 2),
        "layer_norm": (0, ..., 2),
        "group_norm": (0, ..., slice(2, 4)),
        "instance_norm": (0, ..., 2),
    }
    for op, config in OPS.items():
        want = np.ones(x.shape, bool)
        want[bad[op]] = False
        y = first(getattr(ac, op)(xp.array(x), **config))
        np.testing.assert_array_equal(np.isfinite(xp.to_numpy(y)), want, err_msg=op)
        dx = getattr(ac, f"{op}_vjp")(xp.array(np.ones(x.shape)), xp.array(x), **config)[0]
        np.testing.assert_array_equal(np.isfinite(xp.to_numpy(dx)), want, err_msg=op)
    given = [xp.array(a) for a in (x, np.zeros(4), np.ones(4))]
    y = ac.batch_norm_inference(given[0], None, None, *given[1:])
    assert np.sum(~np.isfinite(xp.to_numpy(y))) == 1


def test_running_statistics_as_in_torch():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    layer = torch.nn.BatchNorm2d(3, dtype=torch.float64)
    running_mean, running_var = np.zeros(3), np.ones(3)
    for _ in range(3):
        x = rng.standard_normal((4, 3, 5, 2))
        layer(torch.asarray(x))
        _, mean, var = ac.batch_norm(x, data_format="channels_first")
        running_mean = 0.9 * running_mean + 0.1 * mean
        running_var = 0.9 * running_var + 0.1 * var * 40 / 39
    np.testing.assert_allclose(running_mean, layer.running_mean.numpy(), rtol=1e-12)
    np.testing.assert_allclose(running_var, layer.running_var.numpy(), rtol=1e-12)


def test_layers_of_keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    x = np.random.default_rng(0).standard_normal((4, 5, 3, 6)).astype(np.float32)
    pairs = [
        (keras.layers.BatchNormalization(), {"training": True}, "batch_norm", {"eps": 1e-3}),
        (keras.layers.LayerNormalization(), {}, "layer_norm", {"eps": 1e-3}),
        (
            keras.layers.LayerNormalization(axis=(1, 2)),
            {},
            "layer_norm",
            {"axes": (1, 2), "eps": 1e-3},
        ),
        (keras.layers.GroupNormalization(3), {}, "group_norm", {"groups": 3, "eps": 1e-3}),
        (keras.layers.GroupNormalization(-1), {}, "instance_norm", {"eps": 1e-3}),
    ]
    for layer, call, op, config in pairs:
        want = np.asarray(layer(x, **call))
        got = first(getattr(ac, op)(x, **config))
        np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5, err_msg=op)


def test_dtypes():
    x, gamma = np.ones((2, 3, 4), np.float32), np.ones(4, np.float64)
    assert all(part.dtype == np.float64 for part in ac.batch_norm(x, gamma))
    narrow = ac.batch_norm(x, gamma.astype(np.float32), eps=np.float64(1e-3))
    assert all(part.dtype == np.float32 for part in narrow)
    assert ac.layer_norm(x, eps=np.float64(1e-3)).dtype == np.float32
    assert ac.batch_norm(x.astype(np.float16)).var.dtype == np.float16


def test_gradients_have_the_shape_of_their_parameters():
    x, course = np.random.default_rng(0).standard_normal((2, 3, 3, 4)), np.ones((1, 1, 1, 4))
    for op in ("batch_norm", "group_norm", "instance_norm"):
        got = getattr(ac, f"{op}_vjp")(x, x, course, course, **OPS[op])
        flat = getattr(ac, f"{op}_vjp")(x, x, course.reshape(4), course.reshape(4), **OPS[op])
        assert got._fields == ("dx", "dgamma", "dbeta")
        for ours, want in zip(got[1:], flat[1:], strict=True):
            assert ours.shape == course.shape
            np.testing.assert_array_equal(ours.reshape(4), want)


X, P = np.ones((2, 3, 3, 4)), np.ones(4)
ERRORS = [
    ("batch_norm", (X, np.ones(3)), {}, ValueError, r"gamma must have shape \(4,\), got \(3,\)"),
    ("batch_norm", (X, P, X), {}, ValueError, r"beta must have shape \(4,\), got \(2, 3, 3, 4\)"),
    ("batch_norm", (P,), {}, ValueError, r"x must have a batch axis and a channel axis, got shape"),
    ("batch_norm", (X[:0],), {}, ValueError, r"x has no values to take statistics of, its shape"),
    (
        "batch_norm",
        (X,),
        {"eps": -1},
        ValueError,
        r"eps must be at least 0 and finite, got -1",
    ),
    ("batch_norm", (X,), {"eps": "small"}, TypeError, r"eps must be a number, got 'small'"),
    (
        "batch_norm",
        (X,),
        {"data_format": "NHWC"},
        ValueError,
        r"data_format must be one of 'channels_l",
    ),
    (
        "batch_norm",
        (X.astype(int),),
        {},
        TypeError,
        r"x must have a real floating dtype, got int64",
    ),
    ("batch_norm", ([[1.0]],), {}, TypeError, r"x must be an array"),
    (
        "batch_norm_inference",
        (X, None, None, None, P),
        {},
        TypeError,
        r"mean must be an array of a library .*, got None",
    ),
    (
        "batch_norm_inference",
        (X, P, P, P, np.ones(5)),
        {},
        ValueError,
        r"var must have shape \(4,\)",
    ),
    ("layer_norm", (X,), {"axes": 4}, ValueError, r"axes expects axes of x, which has 4, got 4"),
    (
        "layer_norm",
        (X,),
        {"axes": ()},
        ValueError,
        r"axes expects axes of x, which has 4, got \(\)",
    ),
    (
        "layer_norm",
        (X,),
        {"axes": (1, -3)},
        ValueError,
        r"axes expects every axis once, got \(1, -3\)",
    ),
    ("layer_norm", (X,), {"axes": "last"}, TypeError, r"axes expects an int or ints, got 'last'"),
    (
        "layer_norm",
        (np.ones((2, 3, 5, 4)), np.ones((5, 3))),
        {"axes": (1, 2)},
        ValueError,
        r"gamma must have shape \(3, 5\), got \(5, 3\)",
    ),
    (
        "group_norm",
        (X,),
        {"groups": 3},
        ValueError,
        r"groups must divide the 4 channels of x, got 3",
    ),
    ("group_norm", (X,), {"groups": 0}, ValueError, r"groups must be an int of at least 1, got 0"),
    (
        "group_norm",
        (X,),
        {"groups": 2.0},
        TypeError,
        r"groups must be an int of at least 1, got 2\.0",
    ),
    ("group_norm", (X[:, :0],), {"groups": 2}, ValueError, r"x has no values .* \(2, 0, 3, 4\)"),
    *(
        (
            "group_norm",
            (X,),
            {"groups": wrong},
            TypeError,
            rf"groups must be an int of at least 1, got {words}",
        )
        for wrong, words in (
            (None, "None"),
            ([2], r"\[2\]"),
            ((1, 3), r"\(1, 3\)"),
            (True, "True"),
            ("2", "'2'"),
        )
    ),
    *(
        ("group_norm", (X[..., :0],), {"groups": n}, ValueError, r"x has no values .* 3, 0\)")
        for n in (1, 3)
    ),
    (
        "instance_norm",
        (X[:, 0, 0],),
        {},
        ValueError,
        r"x must have a batch axis, one or more spatial",
    ),
]


@pytest.mark.parametrize(("op", "arrays", "config", "error", "message"), ERRORS)
def test_errors(op, arrays, config, error, message):
    with pytest.raises(error, match=f"^{op}: .*{message}"):
        getattr(ac, op)(*arrays, **config)
    with pytest.raises(error, match=f"^{op}_vjp: .*{message}"):
        getattr(ac, f"{op}_vjp")(np.ones(np.shape(arrays[0])), *arrays, **config)


@pytest.mark.parametrize("op", [*OPS, "batch_norm_inference"])
def test_a_gradient_of_another_shape(op):
    arrays = (X, P, P, P, P) if op == "batch_norm_inference" else (X,)
    config = OPS.get(op, {})
    with pytest.raises(
        ValueError, match=rf"^{op}_vjp: dy must have .* \(2, 3, 3, 4\), got \(2, 3\)"
    ):
        getattr(ac, f"{op}_vjp")(X[:, :, 0, 0], *arrays, **config)


@every_half
def test_inference_of_halves(half):
    rng = np.random.default_rng(1)
    shapes = ((4, 30, 30, 4), (4, 30, 30, 4), *((4,),) * 4)
    with strict_jax(x64=False):
        arrays = [half.array(rng.uniform(1, 2, shape)) for shape in shapes]
        got = (ac.batch_norm_inference(*arrays[1:]), *ac.batch_norm_inference_vjp(*arrays))
    dy, x, gamma, beta, mean, var = map(exact, arrays)
    inverse = 1 / np.sqrt(var + 1e-5)
    xhat = (x - mean) * inverse
    axes = (0, 1, 2)
    dbeta, dgamma = dy.sum(axes), (dy * xhat).sum(axes)
    wanted = (
        xhat * gamma + beta,
        dy * gamma * inverse,
        dgamma,
        dbeta,
        -dbeta * gamma * inverse,
        -dgamma * gamma * inverse**2 / 2,
    )
    for ours, want in zip(got, wanted, strict=True):
        assert half.dtype in str(ours.dtype)
        assert worst(exact(ours), want) <= 1.01 * half.eps + 1e-5


@pytest.mark.backends("numpy", "torch", "strict", "jax")
def test_instances_of_no_channels(xp):
    x = xp.array(np.ones((2, 3, 0)))
    assert ac.instance_norm(x).shape == (2, 3, 0)
    assert ac.instance_norm_vjp(x, x).dx.shape == (2, 3, 0)


def test_statistics_of_a_long_axis():
    rng = np.random.default_rng(0)
    dy, noise = (rng.standard_normal((1, 100_003, 8)).astype(np.float32) for _ in "dx")
    x = 1000 + noise
    y, mean, _ = ac.batch_norm(x)
    want_y, want_dx, *_ = truth("batch_norm", dy, x)
    # the mean is off by a few of the last places of 1000, and not by a hundred of them
    assert np.max(np.abs(mean - exact(x).mean((0, 1)))) < 5e-4
    assert np.max(np.abs(y - want_y)) < 5e-4
    assert worst(ac.batch_norm_vjp(dy, x).dx, want_dx) < 2e-6


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("op", OPS)
def test_images_larger_than_a_block(op, data_format):
    rng = np.random.default_rng(0)
    dy, x = rng.standard_normal((2, 3, 130, 140, 4))
    at = 1 if data_format == "channels_first" else 3
    moved = [np.moveaxis(a, -1, at) for a in (dy, x)]
    shape = (130, 140) if op == "layer_norm" else (4,)
    gamma, beta = rng.standard_normal((2, *shape))
    config = dict(OPS[op])
    if op == "layer_norm":
        config["axes"] = tuple(a for a in (1, 2, 3) if a != at)
    else:
        config["data_format"] = data_format
    got = first(getattr(ac, op)(moved[1], gamma, beta, **config))
    vjp = getattr(ac, f"{op}_vjp")(*moved, gamma, beta, **config)
    scale, shift = (p[..., None] if op == "layer_norm" else p for p in (gamma, beta))
    y, dx, _, _ = truth(op, dy, x, scale, shift)
    np.testing.assert_allclose(np.moveaxis(got, at, -1), y, atol=1e-10)
    np.testing.assert_allclose(np.moveaxis(vjp.dx, at, -1), dx, atol=1e-10)
    xhat = (y - shift) / scale
    kept = (0, 3) if op == "layer_norm" else (0, 1, 2)
    np.testing.assert_allclose(vjp.dgamma, (dy * xhat).sum(kept), atol=1e-7)
    np.testing.assert_allclose(vjp.dbeta, dy.sum(kept), atol=1e-9)

"""Activations where the table does not go: extreme values, kinks, halves, large arrays, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import strict_jax
from halves import every_half, exact

import arrayconv as ac
from arrayconv.engine.blockwise import BLOCK

NAN, INF = np.nan, np.inf
SMOOTH = ("gelu", "silu", "softplus", "sigmoid", "tanh", "erf")
POINTWISE = (*SMOOTH, "leaky_relu", "elu", "selu", "hard_sigmoid", "hard_swish")
ROWS = ("softmax", "log_softmax")
EVERY = (*POINTWISE, *ROWS, "prelu")
WITH_Y = ("sigmoid", "tanh", "softmax", "log_softmax")


def parts(result):
    """Return what a vjp returned as a tuple."""
    return tuple(result) if isinstance(result, tuple) else (result,)


def f(op, *args, **config):
    return getattr(ac, op)(*args, **config)


def vjp(op, *args, **config):
    return parts(getattr(ac, f"{op}_vjp")(*args, **config))[0]


def arguments(op, x):
    """The arguments of a call: `prelu` takes a slope too."""
    return (x, np.full((1,) * x.ndim, 0.25, x.dtype)) if op == "prelu" else (x,)


# Values and derivatives at minus infinity, -1e4, 1e4 and infinity.
LIMITS = {
    "leaky_relu": ((-INF, -100.0, 1e4, INF), (0.01, 0.01, 1, 1)),
    "prelu": ((-INF, -2500.0, 1e4, INF), (0.25, 0.25, 1, 1)),
    "elu": ((-1, -1, 1e4, INF), (0, 0, 1, 1)),
    "selu": (
        (-1.7580993408473766, -1.7580993408473766, 10507.009873554805, INF),
        (0, 0, 1.0507009873554805, 1.0507009873554805),
    ),
    "gelu": ((0, 0, 1e4, INF), (0, 0, 1, 1)),
    "silu": ((0, 0, 1e4, INF), (0, 0, 1, 1)),
    "softplus": ((0, 0, 1e4, INF), (0, 0, 1, 1)),
    "sigmoid": ((0, 0, 1, 1), (0, 0, 0, 0)),
    "hard_sigmoid": ((0, 0, 1, 1), (0, 0, 0, 0)),
    "hard_swish": ((0, 0, 1e4, INF), (0, 0, 1, 1)),
    "tanh": ((-1, -1, 1, 1), (0, 0, 0, 0)),
    "erf": ((-1, -1, 1, 1), (0, 0, 0, 0)),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", LIMITS)
def test_limits(xp, op, dtype):
    x = np.asarray([-INF, -1e4, 1e4, INF], dtype)
    args = [xp.array(a) for a in arguments(op, x)]
    values, slopes = LIMITS[op]
    got = xp.to_numpy(f(op, *args))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, values, rtol=2e-7 if dtype == "float32" else 2e-16)
    got = xp.to_numpy(vjp(op, xp.array(np.ones(4, dtype)), *args))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, slopes, rtol=2e-7 if dtype == "float32" else 2e-16)


@pytest.mark.parametrize("approximate", [False, True])
def test_limits_of_both_forms_of_gelu(xp, approximate):
    x = np.asarray([-INF, -1e200, -1e4, -40.0, 40.0, 1e4, 1e200, INF])
    y = xp.to_numpy(ac.gelu(xp.array(x), approximate=approximate))
    np.testing.assert_allclose(y, np.maximum(x, 0), atol=1e-300)
    slope = xp.to_numpy(ac.gelu_vjp(xp.array(np.ones(8)), xp.array(x), approximate=approximate))
    np.testing.assert_allclose(slope, x > 0, atol=1e-300)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", EVERY)
def test_the_largest_and_smallest_numbers(xp, op, dtype):
    info = np.finfo(dtype)
    # A quarter, so that neither the scale of selu nor a difference has to overflow.
    x = np.asarray([-info.max / 4, -info.tiny, 0, info.tiny, info.max / 4], dtype)
    args = [xp.array(a) for a in arguments(op, x)]
    # No warning, which would be an error here.
    for got in (f(op, *args), vjp(op, xp.array(np.ones(5, dtype)), *args)):
        assert np.isfinite(xp.to_numpy(got)).all()


@pytest.mark.parametrize("op", EVERY)
def test_nan_stays_where_it_is(xp, op):
    x = np.asarray([[1.0, NAN, -2.0], [0.5, 3.0, -0.5]])
    y = xp.to_numpy(f(op, *(xp.array(a) for a in arguments(op, x))))
    want = np.isnan(x)
    if op in ROWS:
        want = np.asarray([[True] * 3, [False] * 3])
    np.testing.assert_array_equal(np.isnan(y), want)


@pytest.mark.parametrize("op", EVERY)
def test_forward_at_special_values_is_that_of_torch(op):
    torch = pytest.importorskip("torch")
    from reference_torch import TORCH

    x = np.asarray([-1e4, -30.0, -3.0, -1e-8, -0.0, 0.0, 1e-8, 3.0, 30.0, 1e4, NAN])
    for case in (x, x[:-1]):
        args = arguments(op, case)
        want = TORCH[op](*(torch.asarray(a.copy()) for a in args)).numpy()
        np.testing.assert_allclose(f(op, *args), want, rtol=1e-12, atol=1e-13)


KINKS = {
    "leaky_relu": (0.0, 0.01),
    "prelu": (0.0, 0.25),
    "elu": (0.0, 1.0),
    "selu": (0.0, 1.0507009873554805 * 1.6732632423543772),
    "hard_sigmoid": (3.0, 0.0),
    "hard_sigmoid below": (-3.0, 0.0),
    "hard_swish": (3.0, 1.0),
    "hard_swish below": (-3.0, 0.0),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kink", KINKS)
def test_kinks(xp, kink, dtype):
    op, (at, want) = kink.split()[0], KINKS[kink]
    x = np.asarray([at], dtype)
    args = [xp.array(a) for a in arguments(op, x)]
    got = xp.to_numpy(vjp(op, xp.array(np.ones(1, dtype)), *args))
    np.testing.assert_allclose(got, [want], rtol=1e-7 if dtype == "float32" else 1e-15)


@pytest.mark.parametrize("kink", KINKS)
def test_kinks_are_those_of_torch(kink):
    torch = pytest.importorskip("torch")
    from reference_torch import TORCH

    op, (at, want) = kink.split()[0], KINKS[kink]
    x = torch.tensor([at] if at else [0.0, -0.0], dtype=torch.float64, requires_grad=True)
    if op == "hard_sigmoid":
        y = torch.nn.functional.hardsigmoid(x)
    else:
        y = TORCH[op](x, *(torch.asarray(a) for a in arguments(op, np.zeros(1))[1:]))
    y.backward(torch.ones_like(x))
    np.testing.assert_allclose(x.grad.numpy(), want, rtol=1e-15)


def test_alpha_of_elu_at_its_kink():
    x = np.asarray([-1e-300, 0.0, 1e-300])
    np.testing.assert_allclose(ac.elu_vjp(np.ones(3), x, alpha=0.5), [0.5, 0.5, 1.0], rtol=0)


@pytest.mark.parametrize("slope", [-0.5, 0.0, 0.3, 1.0, 2.0])
def test_slopes_of_leaky_relu(xp, slope):
    x = np.asarray([-2.0, 0.0, 3.0])
    y = xp.to_numpy(ac.leaky_relu(xp.array(x), negative_slope=slope))
    np.testing.assert_array_equal(y, [-2.0 * slope, 0.0, 3.0])
    dx = xp.to_numpy(ac.leaky_relu_vjp(xp.array(np.ones(3)), xp.array(x), negative_slope=slope))
    np.testing.assert_array_equal(dx, [slope, slope, 1.0])


def ulps(got, want):
    """Errors in units of the last place of `want`, which are float64."""
    unit = np.spacing(np.abs(want).astype(got.dtype)).astype(np.float64)
    return np.max(np.abs(got.astype(np.float64) - want) / unit)


@pytest.mark.parametrize(("dtype", "allowed"), [("float64", 3), ("float32", 3), ("float16", 0.51)])
def test_erf_is_that_of_the_c_library(dtype, allowed):
    x = np.concatenate([np.linspace(0, 7, 20001), np.geomspace(1e-300, 1, 2001)]).astype(dtype)
    want = np.asarray([math.erf(value) for value in x])
    assert ulps(ac.erf(x), want) <= allowed
    np.testing.assert_array_equal(ac.erf(-x), -ac.erf(x))


def test_erf_on_every_library(xp):
    x = np.linspace(-7, 7, 1001)
    want = np.asarray([math.erf(value) for value in x])
    np.testing.assert_allclose(xp.to_numpy(ac.erf(xp.array(x))), want, rtol=1e-15)


@pytest.mark.parametrize(
    ("op", "x", "want"),
    [
        ("sigmoid", -100.0, math.exp(-100)),
        ("sigmoid", -700.0, math.exp(-700)),
        ("silu", -100.0, -100 * math.exp(-100)),
        ("softplus", -100.0, math.exp(-100)),
        ("softplus", 30.0, 30 + math.exp(-30)),
        ("elu", -1e-8, math.expm1(-1e-8)),
        ("gelu", -8.0, -4 * math.erfc(8 / math.sqrt(2))),
        ("gelu", -11.0, -5.5 * math.erfc(11 / math.sqrt(2))),
        ("erf", 1e-20, 2e-20 / math.sqrt(math.pi)),
        ("tanh", 1e-20, 1e-20),
    ],
)
def test_small_results_keep_their_digits(xp, op, x, want):
    # The tails of gelu lose the digits of exp(-x * x / 2), whose argument is rounded.
    y = xp.to_numpy(f(op, xp.array(np.asarray([x]))))
    np.testing.assert_allclose(y, [want], rtol=1e-13 if op == "gelu" else 1e-15)


def test_slopes_keep_their_digits_where_the_result_is_one():
    x, dy = np.asarray([40.0]), np.ones(1)
    assert ac.sigmoid_vjp(dy, x)[0] == pytest.approx(math.exp(-40), rel=1e-15)
    assert ac.tanh_vjp(dy, x / 2)[0] == pytest.approx(4 * math.exp(-40), rel=1e-15)


SPECIAL_ROWS = [
    ([1e4, 0.0, -1e4], [1, 0, 0], [0, -1e4, -2e4]),
    ([-1e4, -1e4, -1e4], [1 / 3] * 3, [-math.log(3)] * 3),
    ([-INF, 0.0, 0.0], [0, 0.5, 0.5], [-INF, -math.log(2), -math.log(2)]),
    ([INF, 0.0, 1.0], [NAN] * 3, [NAN] * 3),
    ([-INF, -INF, -INF], [NAN] * 3, [NAN] * 3),
    ([INF, INF, -INF], [NAN] * 3, [NAN] * 3),
]


@pytest.mark.parametrize("axis", [0, 1])
def test_special_rows_of_softmax(xp, axis):
    rows = [np.asarray(part, np.float64) for part in zip(*SPECIAL_ROWS, strict=True)]
    x, y, log = rows if axis == 1 else [a.T.copy() for a in rows]
    np.testing.assert_allclose(xp.to_numpy(ac.softmax(xp.array(x), axis=axis)), y)
    np.testing.assert_allclose(xp.to_numpy(ac.log_softmax(xp.array(x), axis=axis)), log)
    torch = pytest.importorskip("torch")
    np.testing.assert_allclose(torch.softmax(torch.asarray(x), axis).numpy(), y)
    np.testing.assert_allclose(torch.log_softmax(torch.asarray(x), axis).numpy(), log)


@pytest.mark.parametrize("op", ROWS)
@pytest.mark.parametrize(("shape", "axis"), [((3, 0), 1), ((3, 0), 0), ((0, 3), 1), ((0, 3), 0)])
@pytest.mark.backends("numpy", "strict", "jax", "torch")
def test_softmax_of_nothing(xp, op, shape, axis):
    x = xp.array(np.ones(shape))
    assert f(op, x, axis=axis).shape == shape
    assert vjp(op, x, x, axis=axis).shape == shape


@pytest.mark.parametrize("op", POINTWISE)
@pytest.mark.parametrize("layout", ["whole", "strided", "fortran"])
@pytest.mark.backends("numpy", "torch", "strict")
def test_large_arrays_in_blocks(xp, op, layout):
    rng = np.random.default_rng(0)
    # Two whole blocks and a part of one.
    n = 2 * BLOCK + 999
    x, dy = (2 * rng.standard_normal((3, n // 3)) for _ in "xd")
    pieces = [np.array_split(a.reshape(-1), 5) for a in (dy, x)]
    want = np.concatenate([f(op, part) for part in pieces[1]]).reshape(x.shape)
    slope = [vjp(op, *parts) for parts in zip(*pieces, strict=True)]
    slope = np.concatenate(slope).reshape(x.shape)
    here, there = xp.array(x), xp.array(dy)
    if layout == "strided":
        here, there = (xp.array(np.repeat(a, 2, axis=1))[:, ::2] for a in (x, dy))
    elif layout == "fortran" and xp.name != "strict":
        here, there = (xp.array(a.T.copy()).T for a in (x, dy))
    np.testing.assert_allclose(xp.to_numpy(f(op, here)), want, rtol=1e-14, atol=1e-15)
    got = xp.to_numpy(vjp(op, there, here))
    np.testing.assert_allclose(got, slope, rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize("op", EVERY)
@pytest.mark.parametrize("size", [12, BLOCK + 1])
def test_torch_differentiates_the_forward_pass(op, size):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    # Off the kinks at 0 and 3.
    x = rng.integers(-40, 40, (1, size)) / 8 + 1 / 16
    dy = rng.standard_normal(x.shape)
    args = [torch.tensor(a, requires_grad=True) for a in arguments(op, x)]
    f(op, *args).backward(torch.asarray(dy))
    for dx, a in zip(parts(getattr(ac, f"{op}_vjp")(dy, *arguments(op, x))), args, strict=True):
        np.testing.assert_allclose(dx, a.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("op", WITH_Y)
def test_handing_over_the_forward_result(xp, op):
    rng = np.random.default_rng(0)
    x, dy = (xp.array(rng.standard_normal((3, 5))) for _ in "xd")
    y = f(op, x)
    with_y, without = (xp.to_numpy(vjp(op, dy, x, **given)) for given in ({"y": y}, {}))
    np.testing.assert_allclose(with_y, without, rtol=1e-13, atol=1e-16)
    # It is y that is used, and not x again.
    other = xp.to_numpy(vjp(op, dy, xp.array(np.zeros((3, 5))), y=y))
    np.testing.assert_array_equal(other, with_y)
    if xp.name == "numpy":
        for wrong in (y[:1], y.T, y[0]):
            with pytest.raises(ValueError, match=rf"^{op}_vjp: y must have .*\(3, 5\), got "):
                vjp(op, dy, x, y=wrong)
        with pytest.raises(TypeError, match=f"^{op}_vjp: y must have a real floating dtype"):
            vjp(op, dy, x, y=y > 0)


@every_half
@pytest.mark.parametrize("op", EVERY)
def test_halves_are_rounded_once(op, half):
    x = half.array(np.linspace(-9, 9, 173).reshape(1, 173))
    dy = half.array(np.random.default_rng(0).standard_normal((1, 173)))
    args = [x, *(half.array(a) for a in arguments(op, np.zeros((1, 173)))[1:])]
    wide = [exact(a) for a in args]
    got = [f(op, *args), *parts(getattr(ac, f"{op}_vjp")(dy, *args))]
    wanted = [f(op, *wide), *parts(getattr(ac, f"{op}_vjp")(exact(dy), *wide))]
    for y, want in zip(got, wanted, strict=True):
        assert y.dtype == x.dtype
        # The nearest half, and what float32 adds to that.
        nearest = np.abs(exact(half.array(want)) - want)
        atol = 2e-7 * np.max(np.abs(want)) if op in ROWS else 1e-7
        assert (np.abs(exact(y) - want) <= nearest * (1 + 1e-3) + 1e-5 * np.abs(want) + atol).all()


@pytest.mark.parametrize("op", EVERY)
@pytest.mark.parametrize("dtype", ["int64", "bool", "complex128"])
def test_what_is_not_real_floating_is_refused(op, dtype):
    x = np.ones((2, 3), dtype)
    args = (x, np.ones(1)) if op == "prelu" else (x,)
    with pytest.raises(TypeError, match=rf"^{op}: x must have a real floating dtype, got {dtype}"):
        f(op, *args)
    with pytest.raises(TypeError, match=rf"^{op}_vjp: x must have .* got {dtype}; cast it first"):
        vjp(op, np.ones((2, 3)), *args)


@pytest.mark.parametrize("op", EVERY)
def test_gradient_of_the_wrong_shape(op):
    args = arguments(op, np.ones((2, 3)))
    for wrong in ((3,), (1, 3), (3, 2), ()):
        with pytest.raises(ValueError, match=rf"^{op}_vjp: dy must have .*\(2, 3\), got "):
            vjp(op, np.ones(wrong), *args)


@pytest.mark.parametrize("op", ROWS)
@pytest.mark.parametrize(
    ("kind", "axis", "words"),
    [
        (ValueError, 2, r"one of the 2 axes of x, got 2 for shape \(2, 3\)"),
        (ValueError, -3, "one of the 2 axes of x, got -3"),
        (TypeError, 1.0, "an int, got 1.0"),
        (TypeError, None, "an int, got None"),
        (TypeError, (0, 1), r"an int, got \(0, 1\)"),
    ],
)
def test_axis(op, kind, axis, words):
    x = np.ones((2, 3))
    with pytest.raises(kind, match=f"^{op}: axis must be {words}"):
        f(op, x, axis=axis)
    with pytest.raises(kind, match=f"^{op}_vjp: axis must be {words}"):
        vjp(op, x, x, axis=axis)


def test_softmax_of_a_number():
    with pytest.raises(ValueError, match=r"^softmax: axis must be one of the 0 axes of x"):
        ac.softmax(np.asarray(1.0))


@pytest.mark.parametrize("alpha", [(2,), (3, 1), (2, 2, 3), (1, 2, 3)])
def test_slopes_of_prelu_that_do_not_fit(alpha):
    x = np.ones((2, 3))
    words = r"alpha must broadcast to the shape of x, \(2, 3\), got "
    with pytest.raises(ValueError, match=f"^prelu: {words}"):
        ac.prelu(x, np.ones(alpha))
    with pytest.raises(ValueError, match=f"^prelu_vjp: {words}"):
        ac.prelu_vjp(x, x, np.ones(alpha))


def test_one_slope_of_prelu(xp):
    x, alpha = xp.array(np.asarray([[-1.0, 2.0], [-3.0, 0.0]])), xp.array(np.asarray(0.5))
    np.testing.assert_array_equal(xp.to_numpy(ac.prelu(x, alpha)), [[-0.5, 2.0], [-1.5, 0.0]])
    dx, dalpha = ac.prelu_vjp(xp.array(np.ones((2, 2))), x, alpha)
    np.testing.assert_array_equal(xp.to_numpy(dx), [[0.5, 1.0], [0.5, 0.5]])
    assert dalpha.shape == ()
    assert float(xp.to_numpy(dalpha)) == -4.0


def test_a_number_for_a_slope_says_what_to_do():
    with pytest.raises(TypeError, match=r"^prelu: alpha must be an array.*numpy\.asarray\(alpha\)"):
        ac.prelu(np.ones(3), 0.25)


@pytest.mark.parametrize("op", POINTWISE)
def test_a_number_in_an_array(xp, op):
    x = xp.array(np.asarray(0.5))
    y, dx = f(op, x), vjp(op, xp.array(np.asarray(2.0)), x)
    assert y.shape == dx.shape == ()
    want = f(op, np.asarray([0.5])), vjp(op, np.asarray([2.0]), np.asarray([0.5]))
    np.testing.assert_allclose([xp.to_numpy(y)], want[0], rtol=1e-15)
    np.testing.assert_allclose([xp.to_numpy(dx)], want[1], rtol=1e-15)


@pytest.mark.parametrize("at", [0.0, 1e-3, -1.0, 30.0, -30.0, 1e4, -1e4])
@pytest.mark.parametrize("op", ["sigmoid", "softplus", "silu", "gelu", "tanh", "erf"])
def test_what_is_smooth_has_no_kink_at_zero(op, at):
    jax = pytest.importorskip("jax")
    plain = {
        "sigmoid": jax.nn.sigmoid,
        "softplus": jax.nn.softplus,
        "silu": jax.nn.silu,
        "gelu": lambda x: jax.nn.gelu(x, approximate=True),
        "tanh": jax.numpy.tanh,
        "erf": jax.scipy.special.erf,
    }[op]
    config = {"approximate": True} if op == "gelu" else {}
    with strict_jax():
        functions = [
            lambda x: f(op, x, **config),
            lambda x: ac.autodiff.to_jax(getattr(ac, op))(x, **config),
        ]
        for order in (1, 2, 3):
            plain, *functions = (jax.grad(g) for g in (plain, *functions))
            want = float(plain(at))
            for g in functions:
                assert float(g(at)) == pytest.approx(want, rel=1e-6, abs=1e-12), order


@pytest.mark.parametrize("op", ["sigmoid", "softplus", "silu", "tanh"])
def test_torch_finds_two_derivatives_at_zero(op):
    torch = pytest.importorskip("torch")
    reference = {"softplus": torch.nn.functional.softplus, "silu": torch.nn.functional.silu}
    x = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    found = []
    for g in (
        getattr(ac, op),
        ac.autodiff.to_torch(getattr(ac, op)),
        reference.get(op, getattr(torch, op, None)),
    ):
        (slope,) = torch.autograd.grad(g(x).sum(), x, create_graph=True)
        (second,) = torch.autograd.grad(slope.sum(), x)
        found.append([slope.detach().numpy(), second.numpy()])
    np.testing.assert_allclose(found[0], found[2], rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(found[1], found[2], rtol=1e-14, atol=1e-15)


def test_check_vjp_agrees_at_zero():
    pytest.importorskip("jax")
    for op in ("sigmoid", "softplus", "silu"):
        ac.verify.check_vjp(getattr(ac, op), np.zeros(3))


def test_an_infinite_gradient_stops_where_the_slope_is_zero(xp):
    dy, x = (xp.array(np.asarray(a)) for a in ([INF, -INF, NAN, 1.0], [5.0, 4.0, 6.0, -1.0]))
    dx, dalpha = ac.prelu_vjp(dy, x, xp.array(np.asarray([0.0])))
    np.testing.assert_array_equal(xp.to_numpy(dx), [INF, -INF, NAN, 0.0])
    assert float(xp.to_numpy(dalpha)[0]) == -1.0
    np.testing.assert_allclose(xp.to_numpy(ac.hard_sigmoid_vjp(dy, x)), [0, 0, 0, 1 / 6])
    got = xp.to_numpy(ac.hard_swish_vjp(dy, xp.array(np.asarray([-10.0, 4.0, -3.0, 3.0]))))
    np.testing.assert_array_equal(got, [0.0, -INF, 0.0, 1.0])


def test_leaky_relu_multiplies_what_is_negative_alone(xp):
    big = xp.array(np.asarray([3e38, -1.0], np.float32))
    np.testing.assert_allclose(xp.to_numpy(ac.leaky_relu(big, negative_slope=2.0)), [3e38, -2.0])
    y = ac.leaky_relu(xp.array(np.asarray([INF, -1.0])), negative_slope=0.0)
    np.testing.assert_array_equal(xp.to_numpy(y), [INF, 0.0])


@pytest.mark.parametrize("value", ["a", None, True, np.ones(3), [0.1], 1j])
@pytest.mark.parametrize(
    ("op", "name"),
    [
        ("leaky_relu", "negative_slope"),
        ("elu", "alpha"),
        ("hard_sigmoid", "slope"),
        ("hard_sigmoid", "offset"),
    ],
)
def test_numbers_that_are_none(op, name, value):
    x = np.ones(3)
    with pytest.raises(TypeError, match=f"^{op}: {name} must be a number, got "):
        f(op, x, **{name: value})
    with pytest.raises(TypeError, match=f"^{op}_vjp: {name} must be a number, got "):
        vjp(op, x, x, **{name: value})


@pytest.mark.parametrize(
    ("op", "name"), [("leaky_relu", "negative_slope"), ("elu", "alpha"), ("hard_sigmoid", "slope")]
)
def test_numbers_of_numpy_widen_nothing(op, name):
    x = np.ones(3, np.float32)
    assert f(op, x, **{name: np.float64(0.5)}).dtype == np.float32
    assert vjp(op, x, x, **{name: np.float64(0.5)}).dtype == np.float32


@pytest.mark.parametrize("value", ["none", "tanh", None, 1])
def test_the_form_of_gelu_is_a_bool(value):
    x = np.ones(3)
    with pytest.raises(TypeError, match="^gelu: approximate must be True or False, got "):
        ac.gelu(x, approximate=value)
    with pytest.raises(TypeError, match="^gelu_vjp: approximate must be True or False, got "):
        ac.gelu_vjp(x, x, approximate=value)


def test_arrays_without_axes(xp):
    x, alpha = xp.array(np.asarray(-2.0)), xp.array(np.asarray(0.5))
    assert float(xp.to_numpy(ac.prelu(x, alpha))) == -1.0
    dx, dalpha = ac.prelu_vjp(x, x, alpha)
    assert (float(xp.to_numpy(dx)), float(xp.to_numpy(dalpha))) == (-1.0, 4.0)
    for op in ("relu", "gelu", "sigmoid"):
        y = getattr(ac, op)(x)
        g = getattr(ac, f"{op}_vjp")(x, x)
        assert tuple(y.shape) == tuple(g.shape) == ()

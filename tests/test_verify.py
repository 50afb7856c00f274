"""The checks themselves: planted mistakes are found and named, right code passes."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import arrayconv as ac
from arrayconv.cases import Case, cases
from arrayconv.verify import (
    GradientMismatch,
    check_adjoint,
    check_case,
    check_directional,
    check_vjp,
)

X = np.random.default_rng(0).standard_normal((2, 5, 6, 3))
W = np.random.default_rng(1).standard_normal((3, 2, 3, 4))
B = np.random.default_rng(2).standard_normal(4)


def wave(x, scale):
    """Return something that is neither linear nor symmetric."""
    return x * x * x * scale + x


def wave_vjp(dy, x, scale):
    return dy * (3 * x * x * scale + 1)


def broken(position, change):
    """Return `conv_vjp` with one of its gradients changed."""

    def vjp(dy, *args, **config):
        found = list(ac.conv_vjp(dy, *args, **config))
        found[position] = change(found[position])
        return tuple(found)

    return vjp


def one_element(a):
    a = a.copy()
    a.reshape(-1)[7] += 1e-8
    return a


MISTAKES = [
    (0, lambda a: -a),
    (0, one_element),
    (0, lambda a: np.roll(a, 1, axis=1)),
    (1, lambda a: a / 2),
    (1, one_element),
    (1, lambda a: np.flip(a, axis=(0, 1)).copy()),
    (1, np.zeros_like),
    (1, lambda a: np.full_like(a, np.nan)),
    (2, lambda a: a * (1 + 1e-8)),
]
# What no direction shows.
SMALL = [
    (0, lambda a: np.where(a == a.max(), 0.0, a)),
    (0, lambda a: a + 1e-7 * np.mean(a)),
    (1, lambda a: np.flip(a, axis=2).copy()),
    (1, lambda a: a.astype(np.float32).astype(np.float64)),
    (2, lambda a: np.roll(a, 1)),
]


@pytest.mark.parametrize(("position", "change"), MISTAKES + SMALL)
def test_check_vjp_names_the_argument_and_the_worst_element(position, change):
    pytest.importorskip("jax")
    name = "xwb"[position]
    with pytest.raises(GradientMismatch) as raised:
        check_vjp(ac.conv, X, W, B, vjp=broken(position, change), padding="same", stride=2)
    mismatch, message = raised.value, str(raised.value)
    assert mismatch.argument == name
    assert len(mismatch.index) == (X, W, B)[position].ndim
    dy = np.random.default_rng([0, 1]).standard_normal((2, 3, 3, 4))
    right = ac.conv_vjp(dy, X, W, B, padding="same", stride=2)[position]
    wrong = change(right)
    assert mismatch.want == pytest.approx(float(right[mismatch.index]), rel=1e-12)
    assert mismatch.got == pytest.approx(float(wrong[mismatch.index]), rel=1e-12, nan_ok=True)
    worst = np.max(np.abs(wrong - right))
    assert np.isnan(worst) or abs(mismatch.got - mismatch.want) == pytest.approx(worst)
    assert f"d{name}{list(mismatch.index)} is {mismatch.got!r}" in message
    assert f"jax.vjp says {mismatch.want!r}" in message
    for part in ("conv(x: (2, 5, 6, 3), w: (3, 2, 3, 4), b: (4,)", "padding='same'", "stride=2"):
        assert part in message
        assert part in mismatch.configuration


@pytest.mark.parametrize(("position", "change"), MISTAKES)
def test_check_directional_sees_what_is_not_tiny(position, change):
    vjp = broken(position, change)
    if change is one_element or position == 2:
        assert check_directional(ac.conv, X, W, B, vjp=vjp) < 1e-6
        return
    with pytest.raises(GradientMismatch) as raised:
        check_directional(ac.conv, X, W, B, vjp=vjp, padding="same")
    assert raised.value.argument == "xwb"[position]
    assert raised.value.index is None
    assert "central differences say" in str(raised.value)


@pytest.mark.parametrize("check", [check_vjp, check_directional])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a[:1], r"dw is \(1, 2, 3, 4\) float64, and .* \(3, 2, 3, 4\) float64"),
        (lambda a: a.astype(np.float32), "dw is .* float32, and .* float64"),
        (lambda a: None, "dw is missing, the vjp returned 3 gradients"),
    ],
)
def test_wrong_shape_dtype_or_number_of_gradients(check, change, message):
    if check is check_vjp:
        pytest.importorskip("jax")
    with pytest.raises(GradientMismatch, match=message) as raised:
        check(ac.conv, X, W, B, vjp=broken(1, change))
    assert raised.value.argument == "w"


def test_gradients_of_what_cannot_have_one():
    pytest.importorskip("jax")

    def scaled(x, mask):
        return x * 2.0

    def both(dy, x, mask):
        return dy * 2.0, dy

    mask = np.ones((2, 3), dtype=bool)
    with pytest.raises(GradientMismatch, match="dmask must be None"):
        check_vjp(scaled, np.ones((2, 3)), mask, vjp=both)
    with pytest.raises(GradientMismatch, match="2 gradients for 1 arguments"):
        check_vjp(lambda x: x * 2.0, np.ones(3), vjp=lambda dy, x: (dy * 2.0, dy))
    assert check_vjp(scaled, np.ones((2, 3)), mask, vjp=lambda dy, x, mask: dy * 2.0) == 0.0


def test_wrt_leaves_out_what_was_not_asked_for():
    pytest.importorskip("jax")
    assert check_vjp(ac.conv, X, W, B, vjp_config={"wrt": ("w", "b")}) < 1e-10
    with pytest.raises(GradientMismatch, match="dw is missing"):
        check_vjp(ac.conv, X, W, B, vjp=broken(1, lambda a: None), vjp_config={"wrt": ("w",)})


def test_a_pair_of_ones_own(xp):
    pytest.importorskip("jax")
    x = xp.array(X.astype(np.float32))
    with xp.computing():
        assert check_vjp(wave, x, 0.3) < 1e-10
        assert check_vjp(wave, x, scale=0.3, vjp=wave_vjp) < 1e-10
    with xp.computing(), pytest.raises(GradientMismatch) as raised:
        check_vjp(wave, x, 0.3, vjp=lambda dy, x, scale: dy * (2 * x * x * scale + 1))
    assert raised.value.argument == "x"
    assert "wave(x: (2, 5, 6, 3), scale=0.3)" in str(raised.value)


def test_a_pair_of_ones_own_by_differences(xp):
    x = xp.array(X)
    with xp.computing():
        assert check_directional(wave, x, 0.3) < 1e-6
    with xp.computing(), pytest.raises(GradientMismatch):
        check_directional(wave, x, 0.3, vjp=lambda dy, x, scale: dy * (2 * x * x * scale + 1))


def by_numpy_alone(x):
    return np.tanh(x)


def in_place(x):
    y = x * 1
    y[..., 0] = 0
    return y


def by_values(x):
    return x * x if x[0, 0, 0, 0] > 0 else -x * x


@pytest.mark.parametrize("f", [by_numpy_alone, in_place, by_values])
def test_a_function_that_jax_cannot_run(f):
    pytest.importorskip("jax")
    expected = rf"^check_vjp: {f.__name__} does not run on JAX's arrays .* check_directional"
    with pytest.raises(TypeError, match=expected) as raised:
        check_vjp(f, X, vjp=lambda dy, x: dy)
    assert raised.value.__cause__ is not None


def test_differences_serve_a_function_of_numpy_alone():
    assert check_directional(by_numpy_alone, X, vjp=lambda dy, x: dy / np.cosh(x) ** 2) < 1e-6


def test_first_of_several_results_is_differentiated():
    pytest.importorskip("jax")

    def shifted(x):
        return x * x, x + 1.0

    def vjp(dy, x):
        return dy * 2.0 * x

    assert check_vjp(shifted, X, vjp=vjp) < 1e-10
    assert check_directional(shifted, X, vjp=vjp) < 1e-6


def test_a_function_without_a_twin():
    def lonely(x):
        return x

    with pytest.raises(ValueError, match="lonely has no lonely_vjp beside it in .*; give one as"):
        check_directional(lonely, X)


def test_infinities_and_nan_must_agree():
    pytest.importorskip("jax")
    x = np.asarray([1.0, np.inf, 2.0])
    assert check_vjp(lambda x: x * x, x, vjp=lambda dy, x: 2 * x * dy) == 0.0
    with pytest.raises(GradientMismatch) as raised:
        check_vjp(lambda x: x * x, x, vjp=lambda dy, x: np.where(np.isinf(x), 0.0, 2 * x * dy))
    assert raised.value.index == (1,)


@pytest.mark.parametrize("x", [np.zeros((0, 3)), np.zeros((2, 3))])
def test_empty_and_zero_gradients(x):
    pytest.importorskip("jax")
    assert check_vjp(lambda x: x * x, x, vjp=lambda dy, x: 2 * x * dy) == 0.0
    assert check_directional(lambda x: x * x, x, vjp=lambda dy, x: 2 * x * dy) < 1e-6


ROWS = np.random.default_rng(3).standard_normal((3, 4))
ONE_HOT = np.eye(4)[[2, 0, 3]]
# Gradients that are zero, or nearly, since their terms cancel or the function is flat.
CANCELLED = [
    (ac.layer_norm, (ROWS[:, :2],), {"eps": 0.0}),
    (ac.layer_norm, (ROWS[:, :2] + 1000.0,), {"eps": 0.0}),
    (ac.batch_norm, (1e-3 * ROWS[:2],), {"eps": 0.0}),
    (ac.instance_norm, (ROWS[:, :2, None],), {"eps": 0.0}),
    (ac.group_norm, (ROWS,), {"groups": 2, "eps": 0.0}),
    (ac.softmax, (100.0 * ONE_HOT,), {}),
    (ac.softmax, (3000.0 * ROWS,), {}),
    (ac.categorical_cross_entropy, (60.0 * ONE_HOT, ONE_HOT), {"from_logits": True}),
    (ac.categorical_cross_entropy, (ROWS, ac.softmax(ROWS)), {"from_logits": True}),
    (ac.binary_cross_entropy, (ROWS, ac.sigmoid(ROWS)), {"from_logits": True}),
    (ac.binary_cross_entropy, (ac.sigmoid(ROWS), ac.sigmoid(ROWS)), {}),
    (ac.mean_squared_error, (ROWS, ROWS * (1 + 1e-15)), {}),
]


def case_name(value):
    return getattr(value, "__name__", None)


@pytest.mark.parametrize(("f", "arrays", "config"), CANCELLED, ids=case_name)
def test_a_right_gradient_whose_terms_cancel(f, arrays, config):
    pytest.importorskip("jax")
    assert check_vjp(f, *arrays, **config) <= 1e-10
    for seed in range(3):
        assert check_directional(f, *arrays, seed=seed, **config) <= 1e-6


@pytest.mark.parametrize(("f", "arrays", "config"), CANCELLED, ids=case_name)
def test_a_wrong_gradient_where_the_right_one_cancels(f, arrays, config):
    pytest.importorskip("jax")
    twin = getattr(sys.modules[f.__module__], f"{f.__name__}_vjp")
    # as large as the terms are: a norm divides by the spread of its values
    unit = 1e3 if f is ac.batch_norm else 1.0

    def wrong(size):
        def vjp(dy, x, *others, **config):
            found = twin(dy, x, *others, **config)
            first, *rest = found if isinstance(found, tuple) else (found,)
            noise = np.random.default_rng(1).standard_normal(x.shape)
            return (first + size * unit * noise, *rest[: len(others)])

        return vjp

    with pytest.raises(GradientMismatch) as raised:
        check_vjp(f, *arrays, vjp=wrong(1e-9), **config)
    assert raised.value.argument in ("x", "y_pred")
    with pytest.raises(GradientMismatch):
        check_directional(f, *arrays, vjp=wrong(1e-2), **config)


@pytest.mark.parametrize("unit", [1e-20, 1.0, 1e20])
def test_a_mistake_is_one_in_any_unit(unit):
    pytest.importorskip("jax")

    def cube(x):
        return x * x * x * unit

    for factor in (1 + 1e-8, -1.0):
        for scale in (1e-3, 1e3):
            with pytest.raises(GradientMismatch):
                check_vjp(cube, scale * ROWS, vjp=lambda dy, x, k=factor: k * 3 * unit * x * x * dy)
            assert check_vjp(cube, scale * ROWS, vjp=lambda dy, x: 3 * unit * x * x * dy) < 1e-10


def test_memory_that_was_never_written_is_no_rounding():
    pytest.importorskip("jax")
    rng = np.random.default_rng(0)

    def noisy(dy, x, **config):
        return 1e-6 * rng.standard_normal(x.shape)

    for check in (check_vjp, check_directional):
        with pytest.raises(GradientMismatch):
            check(ac.relu, -np.abs(ROWS), vjp=lambda dy, x: noisy(dy, x) * 100)
    with pytest.raises(GradientMismatch):
        check_vjp(ac.softmax, 100.0 * ONE_HOT, vjp=noisy)


@pytest.mark.parametrize(("factor", "finds"), [(0.3, False), (3.0, True)])
def test_the_errors_that_are_allowed_by_default(factor, finds):
    pytest.importorskip("jax")
    # of one element, so that the error of an inner product is that of the element
    x = np.asarray([0.7])

    def off(allowed):
        return lambda dy, *_: 2.0 * dy * (1 + factor * allowed)

    def double(x):
        return 2.0 * x

    for check in (
        lambda: check_vjp(double, x, vjp=off(1e-10)),
        lambda: check_adjoint(double, x, adjoint=off(1e-12)),
        lambda: check_directional(double, x, vjp=off(1e-6)),
    ):
        if finds:
            with pytest.raises(GradientMismatch):
                check()
        else:
            assert check() > 0


def test_users_x64_setting_is_left_alone():
    jax = pytest.importorskip("jax")
    for setting in (False, True):
        with jax.enable_x64(setting):
            check_vjp(ac.relu, X)
            check_case(cases()[0], jax.numpy)
            assert jax.config.jax_enable_x64 is setting
            assert jax.numpy.ones(1).dtype == (np.float64 if setting else np.float32)


def test_check_adjoint():
    assert check_adjoint(ac.conv, X, W, padding=1) <= 1e-12
    flipped = np.flip(W, axis=0).copy()
    with pytest.raises(GradientMismatch) as raised:
        check_adjoint(
            ac.conv, X, W, adjoint=lambda y: ac.conv_transpose(y, flipped, padding=1), padding=1
        )
    assert raised.value.argument == "x"
    assert "adjoint(y)> is" in str(raised.value)
    assert raised.value.got != raised.value.want
    with pytest.raises(GradientMismatch, match=r"dx is .*, and the adjoint is \(2, 5, 6, 3\)"):
        check_adjoint(ac.conv, X, W, adjoint=lambda y: ac.conv_transpose(y, W, padding=1))
    # One part in 1e8 is too much.
    with pytest.raises(GradientMismatch):
        check_adjoint(lambda x: x * 2.0, X, adjoint=lambda y: y * (2.0 + 2e-8))


def test_check_adjoint_needs_a_linear_map():
    with pytest.raises(GradientMismatch):
        check_adjoint(ac.conv, X, W, B)


def test_check_case_finds_a_wrong_gradient_and_a_wrong_result(monkeypatch):
    case = Case("avg_pool", ((2, 6, 5, 2),), (2,), {"padding": 1})
    assert check_case(case, np) < 1e-6
    from arrayconv.ops import pooling

    module = sys.modules[ac.avg_pool.__module__]
    right = module.avg_pool_vjp
    with monkeypatch.context() as patch:
        patch.setattr(
            module, "avg_pool_vjp", lambda *args, **config: 1.001 * right(*args, **config)
        )
        with pytest.raises(GradientMismatch) as raised:
            check_case(case, np)
        assert raised.value.argument == "x"
        assert "avg_pool(x: (2, 6, 5, 2), window=2, padding=1)" in str(raised.value)
    strict = pytest.importorskip("array_api_strict")
    forward = pooling.avg_pool

    def wrong(x, window, **config):
        y = forward(x, window, **config)
        return y if isinstance(y, np.ndarray) else y * (1 + 3e-10)

    monkeypatch.setattr(ac, "avg_pool", wrong)
    with pytest.raises(GradientMismatch, match="result.* and NumPy says"):
        check_case(case, strict)


def test_check_case_on_every_library(xp):
    for op in ("pad", "conv", "max_pool", "global_max_pool", "col2im", "relu"):
        case = next(case for case in cases() if case.op == op)
        with xp.computing():
            assert check_case(case, xp.namespace) < 1e-6


WITHOUT_JAX = """
import sys
sys.modules["jax"] = None
import numpy as np
import arrayconv as ac
from arrayconv.cases import cases
from arrayconv.verify import GradientMismatch, check_case, check_directional, check_vjp
x, w = np.ones((1, 5, 2)), np.ones((3, 2, 4))
assert 0 < check_directional(ac.conv, x, w, padding=1) < 1e-6
assert 0 < check_case(next(case for case in cases() if case.op == "conv"), np) < 1e-6
try:
    check_directional(ac.relu, x, vjp=lambda dy, x: 1.1 * dy)
except GradientMismatch as mismatch:
    print(mismatch.argument)
try:
    check_vjp(ac.conv, x, w)
except ImportError as error:
    print(error)
"""


def test_without_jax():
    done = subprocess.run([sys.executable, "-c", WITHOUT_JAX], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    argument, message = done.stdout.splitlines()
    assert argument == "x"
    assert 'pip install "arrayconv[jax]"' in message
    assert "check_directional" in message

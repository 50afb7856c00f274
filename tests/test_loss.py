"""Losses where the table does not go: extreme logits, certain probabilities, labels, kinks, errors."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import strict_jax
from halves import every_half, exact

import arrayconv as ac

LOSSES = (
    "mean_squared_error",
    "mean_absolute_error",
    "binary_cross_entropy",
    "categorical_cross_entropy",
    "sparse_categorical_cross_entropy",
)


def both(xp, op, y_pred, y_true, **config):
    """Return one value per sample and the gradient of their sum, as NumPy arrays."""
    arrays = xp.array(y_pred), xp.array(y_true)
    values = getattr(ac, op)(*arrays, reduction="none", **config)
    dy = xp.array(np.ones(len(y_pred), y_pred.dtype))
    found = getattr(ac, f"{op}_vjp")(dy, *arrays, reduction="none", **config)
    return xp.to_numpy(values), xp.to_numpy(found.dy_pred)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_binary_logits(xp, dtype):
    logits = np.asarray([-1e4, -1e4, -30, -30, 0, 0, 30, 30, 1e4, 1e4], dtype)
    labels = np.asarray([0, 1] * 5)
    small = math.log1p(math.exp(-30))
    values, slopes = both(xp, "binary_cross_entropy", logits, labels, from_logits=True)
    log2 = math.log(2)
    want = [0, 1e4, small, 30 + small, log2, log2, 30 + small, small, 1e4, 0]
    np.testing.assert_allclose(values, want, rtol=1e-6 if dtype == "float32" else 1e-15)
    e = math.exp(-30)
    want = [0, -1, e, e - 1, 0.5, -0.5, 1 / (1 + e), -e, 1, 0]
    np.testing.assert_allclose(slopes, want, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("op", ["categorical_cross_entropy", "sparse_categorical_cross_entropy"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_logits(xp, op, dtype):
    logits = np.asarray(
        [[1e4, -1e4, 0], [1e4, -1e4, 0], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4]], dtype
    )
    labels = np.asarray([0, 1, 2, 0])
    true = labels if op.startswith("sparse") else np.eye(3, dtype=int)[labels]
    values, slopes = both(xp, op, logits, true, from_logits=True)
    np.testing.assert_allclose(values, [0, 2e4, math.log(3), math.log(3)], rtol=1e-6)
    third = 1 / 3
    want = [[0, 0, 0], [1, -1, 0], [third, third, third - 1], [third - 1, third, third]]
    np.testing.assert_allclose(slopes, want, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_certain_probabilities_are_those_of_torch(xp, dtype):
    torch = pytest.importorskip("torch")
    p = np.asarray([0, 0, 1, 1, 1e-14, 1e-14, 0.25, 1e-30, 0, 1, np.nan], dtype)
    t = np.asarray([0, 1, 0, 1, 0, 1, 1, 1, 0.5, 0.25, 1], dtype)
    x = torch.tensor(p, requires_grad=True)
    # PyTorch refuses NaN, which it would have to look at.
    want = torch.nn.functional.binary_cross_entropy(x[:-1], torch.tensor(t[:-1]), reduction="none")
    want.sum().backward()
    values, slopes = both(xp, "binary_cross_entropy", p, t)
    rtol = 1e-6 if dtype == "float32" else 1e-12
    np.testing.assert_allclose(values[:-1], want.detach().numpy(), rtol=rtol)
    # PyTorch's 1e-12 is a float32.
    np.testing.assert_allclose(slopes[:-1], x.grad.numpy()[:-1], rtol=max(rtol, 1e-8))
    assert np.isnan(values[-1])
    assert np.isnan(slopes[-1])


@pytest.mark.parametrize("op", ["categorical_cross_entropy", "sparse_categorical_cross_entropy"])
def test_a_probability_of_zero(xp, op):
    p = np.asarray([[0.0, 1.0], [0.0, 1.0], [np.nan, 0.5]])
    labels = np.asarray([0, 1, 0])
    true = labels if op.startswith("sparse") else np.eye(2)[labels]
    values, slopes = both(xp, op, p, true)
    np.testing.assert_array_equal(values, [100, 0, np.nan])
    np.testing.assert_array_equal(slopes, [[-1e12, 0], [0, -1], [np.nan, 0]])


def test_an_impossible_probability_is_nan():
    with np.errstate(invalid="ignore"):
        values = ac.binary_cross_entropy(
            np.asarray([-0.5, 1.5]), np.asarray([1.0, 0.0]), reduction="none"
        )
    assert np.isnan(values).all()


def test_kinks(xp):
    x = np.asarray([[1.0, 2.0], [3.0, 3.0]])
    _, slopes = both(xp, "mean_absolute_error", x, np.asarray([[1.0, 3.0], [3.0, 2.0]]))
    assert slopes.tolist() == [[0, -0.5], [0, 0.5]]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "int64", "uint16"])
def test_labels_of_every_integer_type(xp, dtype):
    # More classes than a byte counts.
    logits = np.random.default_rng(0).standard_normal((4, 300))
    labels = np.asarray([0, 44, 100, 127])
    want = both(xp, "sparse_categorical_cross_entropy", logits, labels, from_logits=True)
    narrow = labels.astype(dtype)
    got = both(xp, "sparse_categorical_cross_entropy", logits, narrow, from_logits=True)
    for ours, theirs in zip(got, want, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert np.isfinite(got[0]).all()


@pytest.mark.parametrize("from_logits", [False, True])
def test_labels_out_of_range_give_nan(xp, from_logits):
    p = np.full((4, 3), 1 / 3)
    labels = np.asarray([0, 3, -1, 2])
    config = {"from_logits": from_logits}
    values, slopes = both(xp, "sparse_categorical_cross_entropy", p, labels, **config)
    assert np.isnan(values).tolist() == [False, True, True, False]
    assert np.isnan(slopes).tolist() == [[False] * 3, [True] * 3, [True] * 3, [False] * 3]


@pytest.mark.parametrize("from_logits", [False, True])
def test_sparse_is_categorical_of_one_hot_rows(xp, from_logits):
    rng = np.random.default_rng(0)
    p = rng.uniform(0.1, 0.9, (3, 2, 4))
    labels = rng.integers(4, size=(3, 2))
    config = {"from_logits": from_logits}
    sparse = both(xp, "sparse_categorical_cross_entropy", p, labels, **config)
    rows = both(xp, "categorical_cross_entropy", p, np.eye(4)[labels], **config)
    for ours, want in zip(sparse, rows, strict=True):
        np.testing.assert_allclose(ours, want, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("op", ["binary_cross_entropy", "categorical_cross_entropy"])
def test_integer_and_boolean_labels_are_those_of_floats(xp, op):
    p = np.random.default_rng(0).uniform(0.1, 0.9, (4, 3))
    labels = np.eye(3)[[0, 2, 1, 1]]
    want = both(xp, op, p, labels)
    for kind in (bool, np.uint8, np.int64):
        for ours, theirs in zip(both(xp, op, p, labels.astype(kind)), want, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    found = getattr(ac, f"{op}_vjp")(xp.array(np.asarray(1.0)), xp.array(p), xp.array(labels > 0))
    assert found._fields == ("dy_pred", "dy_true")
    assert found.dy_true is None


@pytest.mark.parametrize("op", LOSSES)
def test_the_reductions_fit_each_other(xp, op):
    rng = np.random.default_rng(0)
    p = rng.uniform(0.1, 0.9, (4, 2, 3))
    true = rng.integers(3, size=(4, 2)) if op.startswith("sparse") else rng.uniform(0, 1, p.shape)
    arrays = xp.array(p), xp.array(true)
    f = getattr(ac, op)
    each, total, mean = (xp.to_numpy(f(*arrays, reduction=how)) for how in ("none", "sum", "mean"))
    assert each.shape == (4,)
    assert total.shape == mean.shape == ()
    np.testing.assert_allclose(total, each.sum(), rtol=1e-14)
    np.testing.assert_allclose(mean, each.mean(), rtol=1e-14)
    # NumPy too gives an array, which may be handed to the vjp.
    assert type(f(*arrays)) is type(arrays[0])


def test_softmax_with_a_categorical_loss_as_in_keras(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    keras = pytest.importorskip("keras")
    rng = np.random.default_rng(0)
    z = rng.standard_normal((6, 4)).astype(np.float32)
    labels = rng.integers(4, size=6)
    rows = np.eye(4, dtype=np.float32)[labels]
    p = ac.softmax(z)
    pairs = [
        (keras.losses.CategoricalCrossentropy(), ac.categorical_cross_entropy(p, rows), rows, p),
        (
            keras.losses.SparseCategoricalCrossentropy(from_logits=True),
            ac.sparse_categorical_cross_entropy(z, labels, from_logits=True),
            labels,
            z,
        ),
        (keras.losses.BinaryCrossentropy(), ac.binary_cross_entropy(p, rows), rows, p),
        (
            keras.losses.BinaryCrossentropy(from_logits=True, reduction="sum"),
            ac.binary_cross_entropy(z, rows, from_logits=True, reduction="sum"),
            rows,
            z,
        ),
        (keras.losses.MeanSquaredError(), ac.mean_squared_error(p, rows), rows, p),
        (
            keras.losses.MeanAbsoluteError(reduction="sum"),
            ac.mean_absolute_error(p, rows, reduction="sum"),
            rows,
            p,
        ),
    ]
    for loss, got, true, pred in pairs:
        np.testing.assert_allclose(got, np.asarray(loss(true, pred)), rtol=1e-5, err_msg=str(loss))


@every_half
@pytest.mark.parametrize("op", LOSSES)
def test_halves_are_computed_in_float32(half, op):
    rng = np.random.default_rng(0)
    # Sums over 300 samples of errors of some hundreds overflow float16.
    scale = 200 if op.startswith("mean") else 1
    with strict_jax(x64=False):
        dy, pred = half.array(1.0), half.array(scale * rng.uniform(0.1, 0.9, (300, 5)))
        if op.startswith("sparse"):
            labels = rng.integers(5, size=300).astype(np.int32)
            true, wide_true = half.namespace.asarray(labels), labels
        else:
            true = half.array(rng.uniform(0, 1, (300, 5)))
            wide_true = exact(true)
        y, found = getattr(ac, op)(pred, true), getattr(ac, f"{op}_vjp")(dy, pred, true)
    wide = exact(pred), wide_true
    wanted = getattr(ac, op)(*wide), *getattr(ac, f"{op}_vjp")(exact(dy), *wide)
    for got, want in zip((y, *found), wanted, strict=True):
        assert (got is None) == (want is None)
        if want is not None:
            assert half.dtype in str(got.dtype)
            error = np.max(np.abs(exact(got) - want))
            assert error <= (1.01 * half.eps + 1e-5) * np.max(np.abs(want))


def test_labels_are_not_looked_at():
    jax = pytest.importorskip("jax")
    p, labels = np.full((2, 3), 1 / 3, np.float32), np.asarray([0, 5], np.int32)
    with strict_jax(x64=False):
        values = jax.jit(
            lambda p, labels: ac.sparse_categorical_cross_entropy(p, labels, reduction="none")
        )(p, labels)
    assert np.isnan(values).tolist() == [False, True]


P = np.full((4, 3), 0.5)
L = np.zeros(4, int)
SPARSE = "sparse_categorical_cross_entropy"
ERRORS = [
    *(
        (
            op,
            (P, P[:, :1]),
            {},
            ValueError,
            r"y_true must have the shape \(4, 3\), y_pred's, got \(4, 1\)",
        )
        for op in LOSSES[:4]
    ),
    # What broadcasts silently elsewhere.
    ("mean_squared_error", (P[:, :1], P[:, 0]), {}, ValueError, r"\(4, 1\), y_pred's, got \(4,\)"),
    (
        SPARSE,
        (P, L[:, None]),
        {},
        ValueError,
        r"\(4,\), y_pred's without its class axis, got \(4, 1\)",
    ),
    (
        SPARSE,
        (P, P),
        {},
        TypeError,
        r"y_true must have an integer dtype, got float64; cast it first",
    ),
    (SPARSE, (P, L > 0), {}, TypeError, r"y_true must have an integer dtype, got bool"),
    (SPARSE, (P[:, 0], L), {}, ValueError, r"y_pred must have a batch axis and a class axis"),
    ("mean_squared_error", (P, P.astype(int)), {}, TypeError, r"y_true must have a real floating"),
    (
        "binary_cross_entropy",
        (P.astype(int), P),
        {},
        TypeError,
        r"y_pred must have a real floating",
    ),
    ("binary_cross_entropy", (P, P * 1j), {}, TypeError, r"y_true must have a real floating"),
    ("mean_squared_error", (P[0, 0], P[0, 0]), {}, ValueError, r"y_pred must have a batch axis"),
    ("mean_squared_error", (P[:0], P[:0]), {}, ValueError, r"y_pred must not be empty, got shape"),
    (
        "mean_squared_error",
        (P[:, :0], P[:, :0]),
        {"reduction": "none"},
        ValueError,
        r"y_pred must not be empty, got shape \(4, 0\)",
    ),
    *(
        (
            op,
            (P, P),
            {"reduction": "avg"},
            ValueError,
            r"reduction must be one of 'mean', 'sum', 'none'",
        )
        for op in LOSSES[:4]
    ),
    ("mean_squared_error", (P, [[1.0]]), {}, TypeError, r"y_true must be an array"),
]


@pytest.mark.parametrize(("op", "arrays", "config", "error", "message"), ERRORS)
def test_errors(op, arrays, config, error, message):
    with pytest.raises(error, match=f"^{op}: .*{message}"):
        getattr(ac, op)(*arrays, **config)
    with pytest.raises(error, match=f"^{op}_vjp: .*{message}"):
        getattr(ac, f"{op}_vjp")(np.ones(()), *arrays, **config)


@pytest.mark.parametrize("op", LOSSES)
def test_a_gradient_of_another_shape(op):
    arrays = (P, L if op == SPARSE else P)
    with pytest.raises(ValueError, match=rf"^{op}_vjp: dy must have .* \(\), got \(4,\)"):
        getattr(ac, f"{op}_vjp")(np.ones(4), *arrays)
    with pytest.raises(ValueError, match=rf"^{op}_vjp: dy must have .* \(4,\), got \(\)"):
        getattr(ac, f"{op}_vjp")(np.ones(()), *arrays, reduction="none")


@pytest.mark.parametrize("logit", [0.0, -0.0, 1e-3, 5.0, -5.0, 1e4, -1e4])
def test_binary_logits_are_smooth_at_zero(logit):
    jax = pytest.importorskip("jax")
    with strict_jax():
        t = jax.numpy.asarray([0.25])

        def loss(z):
            z = jax.numpy.reshape(z, (1,))
            return ac.binary_cross_entropy(z, t, from_logits=True)

        y = 1 / (1 + math.exp(-logit)) if logit > -100 else 0.0
        assert float(jax.grad(loss)(logit)) == pytest.approx(y - 0.25, rel=1e-12)
        second = float(jax.grad(jax.grad(loss))(logit))
        assert second == pytest.approx(y * (1 - y), rel=1e-10, abs=1e-300)
    torch = pytest.importorskip("torch")
    z = torch.tensor([logit], dtype=torch.float64, requires_grad=True)
    value = ac.binary_cross_entropy(z, torch.tensor([0.25], dtype=z.dtype), from_logits=True)
    (slope,) = torch.autograd.grad(value, z, create_graph=True)
    (second,) = torch.autograd.grad(slope, z)
    assert float(slope.detach()[0]) == pytest.approx(y - 0.25, rel=1e-12)
    assert float(second[0]) == pytest.approx(y * (1 - y), rel=1e-10, abs=1e-300)


@pytest.mark.parametrize("value", ["none", None, 1])
@pytest.mark.parametrize("op", LOSSES[2:])
def test_from_logits_is_a_bool(op, value):
    arrays = (P, L if op == SPARSE else P)
    with pytest.raises(TypeError, match=f"^{op}: from_logits must be True or False, got "):
        getattr(ac, op)(*arrays, from_logits=value)
    with pytest.raises(TypeError, match=f"^{op}_vjp: from_logits must be True or False, got "):
        getattr(ac, f"{op}_vjp")(np.ones(()), *arrays, from_logits=value)


def test_a_class_left_out_by_its_logit(xp):
    logits = np.asarray([[-np.inf, 1.0, 2.0], [-np.inf, 1.0, 2.0], [np.nan, 0.0, 1.0]])
    labels = np.asarray([1, 0, 1])
    config = {"from_logits": True}
    rows = both(xp, "categorical_cross_entropy", logits, np.eye(3)[labels], **config)
    sparse = both(xp, "sparse_categorical_cross_entropy", logits, labels, **config)
    np.testing.assert_allclose(rows[0], [math.log(1 + math.e), np.inf, np.nan])
    for ours, want in zip(rows, sparse, strict=True):
        np.testing.assert_allclose(ours, want, rtol=1e-14)

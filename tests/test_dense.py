"""Dense layers, flattening and dropout where the table does not go: options, types, errors."""

from __future__ import annotations

import numpy as np
import pytest
from halves import every_half, exact

import arrayconv as ac

X = np.random.default_rng(0).standard_normal((2, 3, 5))
W = np.random.default_rng(1).standard_normal((5, 4))
B = np.random.default_rng(2).standard_normal(4)
DY = np.random.default_rng(3).standard_normal((2, 3, 4))


def test_dense_and_its_gradients_by_einsum():
    np.testing.assert_allclose(ac.dense(X, W, B), np.einsum("nki,io->nko", X, W) + B, rtol=1e-13)
    dx, dw, db = ac.dense_vjp(DY, X, W, B)
    np.testing.assert_allclose(dx, np.einsum("nko,io->nki", DY, W), rtol=1e-12)
    np.testing.assert_allclose(dw, np.einsum("nki,nko->io", X, DY), rtol=1e-12)
    np.testing.assert_allclose(db, np.einsum("nko->o", DY), rtol=1e-12)


@pytest.mark.parametrize("wrt", [("x",), ("w",), ("b",), ("x", "b"), ["w", "b"], {"x", "w"}, ()])
def test_gradients_asked_for(xp, wrt):
    dy, x, w, b = (xp.array(a) for a in (DY, X, W, B))
    whole = ac.dense_vjp(dy, x, w, b)
    assert whole._fields == ("dx", "dw", "db")
    for name, part, full in zip("xwb", ac.dense_vjp(dy, x, w, b, wrt=wrt), whole, strict=True):
        if name in wrt:
            np.testing.assert_array_equal(xp.to_numpy(part), xp.to_numpy(full))
        else:
            assert part is None
    assert ac.dense_vjp(dy, x, w).db is None


def test_gradients_not_asked_for_cost_nothing(monkeypatch):
    import array_api_compat.numpy as xp

    products = []
    for name in ("matmul", "tensordot"):
        real = getattr(xp, name)

        def counted(*args, real=real, **config):
            products.append(1)
            return real(*args, **config)

        monkeypatch.setattr(xp, name, counted)
    for wrt, count in ((("x", "w", "b"), 2), (("w", "b"), 1), (("x",), 1), (("b",), 0)):
        products.clear()
        ac.dense_vjp(DY, X, W, B, wrt=wrt)
        assert len(products) == count


@pytest.mark.parametrize("shape", [(4,), (1, 4), (2, 2), (4, 1)])
def test_shapes_of_the_bias(xp, shape):
    b = xp.array(B.reshape(shape))
    y = ac.dense(xp.array(X), xp.array(W), b)
    np.testing.assert_allclose(xp.to_numpy(y), ac.dense(X, W, B), rtol=1e-13)
    db = xp.to_numpy(ac.dense_vjp(xp.array(DY), xp.array(X), xp.array(W), b).db)
    np.testing.assert_allclose(db, DY.sum((0, 1)).reshape(shape), rtol=1e-13, strict=True)


def test_a_single_number_for_a_bias(xp):
    x, w, b = (xp.array(a) for a in (X, W[:, :1], np.asarray(2.0)))
    np.testing.assert_allclose(xp.to_numpy(ac.dense(x, w, b)), X @ W[:, :1] + 2.0, rtol=1e-13)
    db = ac.dense_vjp(xp.array(DY[..., :1]), x, w, b).db
    assert db.shape == ()
    np.testing.assert_allclose(xp.to_numpy(db), DY[..., :1].sum(), rtol=1e-13)


@pytest.mark.backends("numpy", "torch", "strict")
def test_promotion(xp):
    x, w, b, dy = (a.astype(np.float32) for a in (X, W, B, DY))
    for i in range(3):
        mixed = [a.astype(np.float64) if i == j else a for j, a in enumerate((x, w, b))]
        there = [xp.array(a) for a in mixed]
        y = xp.to_numpy(ac.dense(*there))
        wide = ac.dense(*(a.astype(np.float64) for a in mixed))
        assert y.dtype == np.float64
        np.testing.assert_allclose(y, wide, rtol=1e-13)
        assert all(xp.to_numpy(d).dtype == np.float64 for d in ac.dense_vjp(xp.array(dy), *there))


@every_half
def test_halves_accumulate_in_float32(half):
    rng = np.random.default_rng(0)
    # 4608 positive products: a half sum stops growing long before their end.
    arrays = [
        half.array(a)
        for a in (
            rng.uniform(0.01, 0.02, (4608, 3)),
            rng.uniform(0, 0.1, (4608, 288)),
            rng.uniform(0, 0.1, (288, 3)),
            np.ones(3),
        )
    ]
    wide = [exact(a) for a in arrays]
    got = [ac.dense(*arrays[1:]), *ac.dense_vjp(*arrays)]
    wanted = [ac.dense(*wide[1:]), *ac.dense_vjp(*wide)]
    for y, want in zip(got, wanted, strict=True):
        assert half.dtype in str(y.dtype)
        nearest = np.max(np.abs(exact(half.array(want)) - want))
        assert np.max(np.abs(exact(y) - want)) <= 1.1 * nearest + 1e-6 * np.max(np.abs(want))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((X, W.T), r"w expects 4 input features, x has 5 \(x: \(2, 3, 5\), w: \(4, 5\)\)"),
        ((X, W[0]), r"w must be a matrix \(in, out\), got shape \(4,\)"),
        ((X, W[None]), r"w must be a matrix \(in, out\), got shape \(1, 5, 4\)"),
        ((np.asarray(1.0), W), r"x must have a last axis of features.*got shape \(\)"),
        ((X, W, B[:3]), r"b must have 4 elements, one per output feature, got shape \(3,\)"),
    ],
)
def test_shapes_that_do_not_fit(args, words):
    with pytest.raises(ValueError, match=f"^dense: {words}"):
        ac.dense(*args)
    with pytest.raises(ValueError, match=f"^dense_vjp: {words}"):
        ac.dense_vjp(DY, *args)


def test_other_errors_of_dense():
    with pytest.raises(ValueError, match=r"^dense_vjp: dy must have .*\(2, 3, 4\), got \(4,\)"):
        ac.dense_vjp(B, X, W)
    with pytest.raises(ValueError, match=r"^dense_vjp: wrt names .*got \('dx',\)"):
        ac.dense_vjp(DY, X, W, wrt=("dx",))
    with pytest.raises(TypeError, match=r"^dense: x must have a real floating dtype, got int64"):
        ac.dense(np.ones((2, 5), int), W)
    with pytest.raises(TypeError, match=r"^dense: w must be an array .* got a list"):
        ac.dense(X, W.tolist())
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match=r"^dense: x is an array of numpy and w one of torch; move"):
        ac.dense(X, torch.asarray(W.copy()))


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_flatten_takes_integers(xp, dtype):
    x = np.arange(24).reshape(2, 3, 4).astype(dtype)
    y = xp.to_numpy(ac.flatten(xp.array(x)))
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, x.reshape(2, 12))
    gradient = ac.flatten_vjp(xp.array(np.ones((2, 12), np.float32)), xp.array(x))
    assert (gradient is None) == (dtype != "float32")


def test_errors_of_flatten():
    with pytest.raises(ValueError, match=r"^flatten: x must have a batch axis.*got shape \(\)"):
        ac.flatten(np.asarray(1.0))
    with pytest.raises(TypeError, match=r"^flatten: x must have a real .* dtype, got bool"):
        ac.flatten(X > 0)
    with pytest.raises(
        ValueError, match=r"^flatten_vjp: dy must have .*\(2, 15\), got \(2, 3, 5\)"
    ):
        ac.flatten_vjp(X, X)


def test_dropout_drops_scales_and_says_so_of_its_gradient(xp):
    mask = np.random.default_rng(0).random(X.shape) >= 0.2
    y = xp.to_numpy(ac.dropout(xp.array(X), xp.array(mask), rate=0.2))
    np.testing.assert_allclose(y[mask], X[mask] / 0.8, rtol=1e-15)
    assert not y[~mask].any()
    dx, dmask = ac.dropout_vjp(xp.array(X), xp.array(X), xp.array(mask), rate=0.2)
    np.testing.assert_array_equal(xp.to_numpy(dx), y)
    assert dmask is None


def test_dropped_cells_are_zero_whatever_they_were():
    x = np.asarray([np.nan, np.inf, 1.0])
    mask = np.asarray([False, False, True])
    np.testing.assert_array_equal(ac.dropout(x, mask, rate=0.5), [0.0, 0.0, 2.0])


def test_a_mask_shared_along_axes(xp):
    mask = np.asarray([True, False, True, False, True]).reshape(1, 1, 5)
    y = ac.dropout(xp.array(X), xp.array(mask), rate=0.5)
    np.testing.assert_array_equal(xp.to_numpy(y), np.where(mask, 2 * X, 0.0))


@pytest.mark.parametrize("rate", [-0.1, 1, 1.5, float("nan")])
def test_rates_out_of_range(rate):
    for call in (
        lambda: ac.dropout(X, X > 0, rate=rate),
        lambda: ac.dropout_vjp(X, X, X > 0, rate=rate),
    ):
        with pytest.raises(ValueError, match=r"^dropout\w*: rate must be at least 0 and less "):
            call()


def test_masks_that_do_not_fit():
    with pytest.raises(TypeError, match=r"^dropout: mask must be boolean .*got float64; write "):
        ac.dropout(X, np.ones(X.shape), rate=0.5)
    for shape in ((3, 5), (2, 3, 4), (2, 3, 5, 1), ()):
        with pytest.raises(ValueError, match=r"^dropout: mask must have .*\(2, 3, 5\).*got \("):
            ac.dropout(X, np.ones(shape, bool), rate=0.5)
    with pytest.raises(ValueError, match=r"^dropout_vjp: dy must have the shape"):
        ac.dropout_vjp(X[0], X, X > 0, rate=0.5)
    with pytest.raises(TypeError, match=r"^dropout: x must have a real floating dtype, got int64"):
        ac.dropout(np.ones((2, 3), int), np.ones((2, 3), bool), rate=0.5)
    with pytest.raises(TypeError, match=r"^dropout: mask must be an array .* got None"):
        ac.dropout(X, None, rate=0.5)


@pytest.mark.parametrize("rate", ["a", None, True, np.ones(2), [0.5]])
def test_rates_that_are_no_numbers(rate):
    with pytest.raises(TypeError, match="^dropout: rate must be a number, got "):
        ac.dropout(X, X > 0, rate=rate)
    with pytest.raises(TypeError, match="^dropout_vjp: rate must be a number, got "):
        ac.dropout_vjp(X, X, X > 0, rate=rate)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_rate_of_numpy_widens_nothing(dtype):
    x = X.astype(dtype)
    assert ac.dropout(x, x > 0, rate=np.float64(0.5)).dtype == dtype
    assert ac.dropout_vjp(x, x, x > 0, rate=np.float64(0.5)).dx.dtype == dtype


@pytest.mark.parametrize("wrt", [None, 3])
def test_gradients_asked_for_by_what_is_no_collection(wrt):
    with pytest.raises(TypeError, match="^dense_vjp: wrt must be a collection of names out of "):
        ac.dense_vjp(DY, X, W, wrt=wrt)


@pytest.mark.parametrize("rows", [1, 255, 256, 257, 5000, 100_003])
@pytest.mark.backends("numpy", "torch", "strict")
def test_a_bias_gradient_over_many_rows(xp, rows):
    dy = np.random.default_rng(0).uniform(0, 1, (rows, 3)).astype(np.float32)
    x, w, b = (np.ones(shape, np.float32) for shape in ((rows, 1), (1, 3), 3))
    db = ac.dense_vjp(*(xp.array(a) for a in (dy, x, w, b)), wrt=("b",)).db
    # added one after the other, a hundred thousand are off by 4e-6
    np.testing.assert_allclose(xp.to_numpy(db), dy.sum(0, dtype=np.float64), rtol=5e-7)


@pytest.mark.parametrize("lead", [(0,), (2, 0), (0, 2), (2, 2, 0), (0, 0)])
def test_no_rows_at_all(xp, lead):
    x, w, b = np.ones((*lead, 3)), np.ones((3, 2)), np.ones(2)
    dy = np.ones((*lead, 2))
    y = ac.dense(*(xp.array(a) for a in (x, w, b)))
    assert xp.to_numpy(y).shape == dy.shape
    dx, dw, db = map(xp.to_numpy, ac.dense_vjp(*(xp.array(a) for a in (dy, x, w, b))))
    assert dx.shape == x.shape
    assert dw.tolist() == [[0, 0]] * 3
    assert db.tolist() == [0, 0]

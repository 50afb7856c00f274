"""The step-by-step names: every value the course prints, and its loops written out naively."""

import numpy as np
import pytest

import arrayconv as ac

CONV = {"stride": 2, "pad": 2}


def draw(*shapes):
    """The course's draws: seed 1, then one `randn` per shape."""
    np.random.seed(1)
    return [np.random.randn(*shape) for shape in shapes]


def conv_arrays(xp):
    return [xp.array(a) for a in draw((10, 4, 4, 3), (2, 2, 3, 8), (1, 1, 1, 8))]


def near(xp, result, expected, rtol=1e-7, atol=5e-9):
    result = xp.to_numpy(result)
    np.testing.assert_allclose(result, expected, rtol=rtol, atol=atol)


def mean(xp, result):
    return xp.to_numpy(result).mean()


@pytest.mark.parametrize(
    ("pad", "shape"), [(3, (4, 9, 9, 2)), (2, (4, 7, 7, 2)), (0, (4, 3, 3, 2))]
)
def test_zero_pad(xp, pad, shape):
    [x] = draw((4, 3, 3, 2))
    padded = xp.to_numpy(ac.zero_pad(xp.array(x), pad))
    assert padded.shape == shape
    np.testing.assert_array_equal(padded[:, pad : pad + 3, pad : pad + 3, :], x)
    assert np.count_nonzero(padded) == x.size


def test_zero_pad_keeps_integers(xp):
    image = np.arange(12, dtype=np.uint8).reshape(1, 2, 2, 3)
    padded = xp.to_numpy(ac.zero_pad(xp.array(image), 1))
    np.testing.assert_array_equal(padded, np.pad(image, ((0, 0), (1, 1), (1, 1), (0, 0))))
    assert padded.dtype == np.uint8


def test_conv_single_step(xp):
    a, w, b = draw((4, 4, 3), (4, 4, 3), (1, 1, 1))
    z = ac.conv_single_step(xp.array(a), xp.array(w), xp.array(b))
    assert z.shape == ()
    near(xp, z, -6.999089450680221, rtol=1e-14)
    near(xp, ac.conv_single_step(xp.array(a), xp.array(w), float(b[0, 0, 0])), -6.999089450680221)
    near(xp, ac.conv_single_step(xp.array(a), xp.array(w), 0), (a * w).sum())


def test_conv_forward_pad_1(xp):
    a, w, b = draw((2, 5, 7, 4), (3, 3, 4, 8), (1, 1, 1, 8))
    z, _ = ac.conv_forward(xp.array(a), xp.array(w), xp.array(b), {"pad": 1, "stride": 2})
    assert z.shape == (2, 3, 4, 8)
    assert mean(xp, z) == pytest.approx(0.5511276474566768, rel=1e-13)


def test_conv_forward_pad_2(xp):
    a, w, b = conv_arrays(xp)
    z, cache = ac.conv_forward(a, w, b, CONV)
    assert z.shape == (10, 4, 4, 8)
    assert mean(xp, z) == pytest.approx(0.048995203528855794, rel=1e-12)
    row = [-0.61490741, -6.7439236, -2.55153897, 1.75698377]
    row += [3.56208902, 0.53036437, 5.18531798, 8.75898442]
    near(xp, z[3, 2, 1, ...], row)
    assert len(cache) == 4
    assert all(kept is given for kept, given in zip(cache, (a, w, b, CONV), strict=True))


def test_conv_backward(xp):
    z, cache = ac.conv_forward(*conv_arrays(xp), CONV)
    gradients = ac.conv_backward(z, cache)
    assert [g.shape for g in gradients] == [(10, 4, 4, 3), (2, 2, 3, 8), (1, 1, 1, 8)]
    means = [1.4524377775388075, 1.7269914583139097, 7.839232564616838]
    assert [mean(xp, g) for g in gradients] == pytest.approx(means, rel=1e-12)


FORWARD = [
    (
        (2, 5, 5, 3),
        1,
        "max",
        (1, 1),
        [
            [1.96710175, 0.84616065, 1.27375593],
            [1.96710175, 0.84616065, 1.23616403],
            [1.62765075, 1.12141771, 1.2245077],
        ],
    ),
    (
        (2, 5, 5, 3),
        1,
        "average",
        (1, 1),
        [
            [0.44497696, -0.00261695, -0.31040307],
            [0.50811474, -0.23493734, -0.23961183],
            [0.11872677, 0.17255229, -0.22112197],
        ],
    ),
    ((2, 5, 5, 3), 2, "max", (0, 0, 0), [1.74481176, 0.90159072, 1.65980218]),
    ((2, 5, 5, 3), 2, "average", (1, 0, 0), [-0.17313416, 0.32377198, -0.34317572]),
    (
        (2, 4, 4, 3),
        2,
        "max",
        (),
        [[[[1.74481176, 0.86540763, 1.13376944]]], [[[1.13162939, 1.51981682, 2.18557541]]]],
    ),
]


@pytest.mark.parametrize(("shape", "stride", "mode", "index", "expected"), FORWARD)
def test_pool_forward(xp, shape, stride, mode, index, expected):
    hparameters = {"stride": stride, "f": 3}
    a_prev = xp.array(draw(shape)[0])
    a, cache = ac.pool_forward(a_prev, hparameters, mode=mode)
    side = (shape[1] - 3) // stride + 1
    assert a.shape == (2, side, side, 3)
    near(xp, a[(*index, ...)], expected)
    assert cache[0] is a_prev
    assert cache[1] is hparameters
    assert len(cache) == 2


def test_create_mask_from_window(xp):
    mask = ac.create_mask_from_window(xp.array(draw((2, 3))[0]))
    mask = xp.to_numpy(mask)
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, [[True, False, False], [False, False, False]])


@pytest.mark.parametrize(
    ("window", "mask"),
    [
        ([[1, 5], [5, 2]], [[False, True], [True, False]]),
        ([[0.0, np.nan], [np.inf, np.nan]], [[False, True], [False, True]]),
        ([[-np.inf, -np.inf]], [[True, True]]),
    ],
)
def test_create_mask_marks_every_maximum(xp, window, mask):
    result = ac.create_mask_from_window(xp.array(np.asarray(window)))
    np.testing.assert_array_equal(xp.to_numpy(result), mask)


def test_distribute_value(xp):
    quarter = ac.distribute_value(xp.array(np.asarray(2.0)), (2, 2))
    np.testing.assert_array_equal(xp.to_numpy(quarter), np.full((2, 2), 0.5))
    # An integer is cast, not divided as one.
    sixth = ac.distribute_value(xp.array(np.asarray(3)), (2, 3))
    np.testing.assert_array_equal(xp.to_numpy(sixth), np.full((2, 3), 0.5))
    small = ac.distribute_value(xp.array(np.asarray(2.0, np.float32)), (2, 2))
    assert xp.to_numpy(small).dtype == np.float32


def test_python_numbers_use_numpy():
    shared = ac.distribute_value(2, (2, 2))
    assert type(shared) is np.ndarray
    np.testing.assert_array_equal(shared, np.full((2, 2), 0.5))
    shared[0, 0] = 7.0
    results = [ac.rectified(x) for x in (1.0, 1000.0, 0.0, -1.0, -1000.0)]
    assert results == [1.0, 1000.0, 0.0, 0.0, 0.0]
    assert all(isinstance(r, np.ndarray | np.generic) for r in results)


def test_rectified_is_relu(xp):
    x = np.linspace(-2, 2, 9)
    result = xp.to_numpy(ac.rectified(xp.array(x)))
    np.testing.assert_array_equal(result, np.maximum(x, 0))


BACKWARD = {
    "max": [[0, 0], [5.05844394, -1.68282702], [0, 0]],
    "average": [[0.08485462, 0.2787552], [1.26461098, -0.25749373], [1.17975636, -0.53624893]],
}


@pytest.mark.parametrize("mode", BACKWARD)
def test_pool_backward(xp, mode):
    a_prev, da = draw((5, 5, 3, 2), (5, 4, 2, 2))
    hparameters = {"stride": 1, "f": 2}
    a, cache = ac.pool_forward(xp.array(a_prev), hparameters)
    assert a.shape == da.shape
    da_prev = ac.pool_backward(xp.array(da), cache, mode=mode)
    assert da_prev.shape == a_prev.shape
    near(xp, da_prev[1, 1, ...], BACKWARD[mode])


def loops(a_prev, w, b, dz, stride, pad):
    """Convolution and its gradients as the course's five loops."""
    f = w.shape[0]
    padded = np.pad(a_prev, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    z, d_padded = np.zeros(dz.shape), np.zeros(padded.shape)
    dw, db = np.zeros(w.shape), np.zeros(b.shape)
    for i, h, v, c in np.ndindex(*dz.shape):
        at = (i, slice(h * stride, h * stride + f), slice(v * stride, v * stride + f))
        z[i, h, v, c] = (padded[at] * w[..., c]).sum() + b[0, 0, 0, c]
        d_padded[at] += w[..., c] * dz[i, h, v, c]
        dw[..., c] += padded[at] * dz[i, h, v, c]
        db[..., c] += dz[i, h, v, c]
    height, width = a_prev.shape[1:3]
    return z, d_padded[:, pad : pad + height, pad : pad + width], dw, db


@pytest.mark.parametrize(("stride", "pad"), [(1, 0), (2, 0), (3, 1), (1, 2), (2, 2)])
def test_conv_against_loops(stride, pad):
    rng = np.random.default_rng(3)
    a_prev, w = rng.standard_normal((2, 6, 5, 3)), rng.standard_normal((3, 3, 3, 4))
    b = rng.standard_normal((1, 1, 1, 4))
    shape = (2, (6 + 2 * pad - 3) // stride + 1, (5 + 2 * pad - 3) // stride + 1, 4)
    dz = rng.standard_normal(shape)
    z, *gradients = loops(a_prev, w, b, dz, stride, pad)
    result, cache = ac.conv_forward(a_prev, w, b, {"stride": stride, "pad": pad})
    np.testing.assert_allclose(result, z, rtol=1e-12, atol=1e-13)
    for result, expected in zip(ac.conv_backward(dz, cache), gradients, strict=True):
        np.testing.assert_allclose(result, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("mode", ["max", "average"])
@pytest.mark.parametrize(("stride", "f"), [(2, 2), (2, 3), (3, 2), (1, 3)])
def test_pool_backward_against_loops(mode, stride, f):
    rng = np.random.default_rng(4)
    # Few values, so that many windows have ties: each maximum takes the whole gradient.
    a_prev = rng.integers(0, 3, (2, 7, 6, 2)).astype(float)
    shape = (2, (7 - f) // stride + 1, (6 - f) // stride + 1, 2)
    da, expected = rng.standard_normal(shape), np.zeros(a_prev.shape)
    for i, h, v, c in np.ndindex(*shape):
        at = (i, slice(h * stride, h * stride + f), slice(v * stride, v * stride + f), c)
        share = a_prev[at] == a_prev[at].max() if mode == "max" else np.full((f, f), 1 / f**2)
        expected[at] += share * da[i, h, v, c]
    _, cache = ac.pool_forward(a_prev, {"stride": stride, "f": f}, mode)
    np.testing.assert_allclose(ac.pool_backward(da, cache, mode), expected, rtol=0, atol=1e-12)


LINES = np.zeros((8, 8), int)
LINES[:, 3:5] = 1
DETECTOR = np.asarray([[0, 1, 0]] * 3)


@pytest.mark.parametrize("dtype", ["int64", "uint8", "float64"])
def test_vertical_line_detector(xp, dtype):
    image = xp.array(LINES.astype(dtype).reshape(1, 8, 8, 1))
    detector = xp.array(DETECTOR.astype(dtype).reshape(3, 3, 1, 1))
    b = xp.array(np.zeros((1, 1, 1, 1)))
    z, cache = ac.conv_forward(image, detector, b, {"stride": 1, "pad": 0})
    z = ac.rectified(z)
    np.testing.assert_array_equal(xp.to_numpy(z)[0, :, :, 0], [[0, 0, 3, 3, 0, 0]] * 6)
    pooled, _ = ac.pool_forward(z, {"stride": 2, "f": 2}, "average")
    np.testing.assert_array_equal(xp.to_numpy(pooled)[0, :, :, 0], [[0, 3, 0]] * 3)
    # The gradient of an integer image is what an optimiser of the image would need: floating.
    da, dw, db = ac.conv_backward(z, cache)
    assert all(xp.to_numpy(g).dtype == np.float64 for g in (da, dw, db))
    assert xp.to_numpy(dw)[1, 1, 0, 0] == 12 * 3


def test_photograph_in_uint8(xp):
    image = np.random.default_rng(0).integers(0, 256, (1, 5, 6, 3), dtype=np.uint8)
    float_image = image.astype(np.float64)
    for mode in ("max", "average"):
        a, cache = ac.pool_forward(xp.array(image), {"stride": 1, "f": 2}, mode)
        expected, float_cache = ac.pool_forward(float_image, {"stride": 1, "f": 2}, mode)
        # The library's default float: float32 in torch, float64 elsewhere.
        assert a.dtype == (xp.namespace.float32 if xp.name == "torch" else xp.namespace.float64)
        rtol = 1e-6 if xp.name == "torch" else 1e-14
        np.testing.assert_allclose(xp.to_numpy(a), expected, rtol=rtol)
        da = ac.pool_backward(a, cache, mode)
        near(xp, da, ac.pool_backward(expected, float_cache, mode), rtol=rtol)
    z, _ = ac.conv_forward(*map(xp.array, (image, *draw((3, 3, 3, 2), (1, 1, 1, 2)))), CONV)
    expected, _ = ac.conv_forward(float_image, *draw((3, 3, 3, 2), (1, 1, 1, 2)), CONV)
    near(xp, z, expected, rtol=1e-12)


CONV_ARRAYS = (np.ones((1, 4, 4, 3)), np.ones((2, 2, 3, 2)), np.zeros((1, 1, 1, 2)))
POOL = np.ones((1, 4, 4, 1))
BAD = [
    (lambda: ac.zero_pad(POOL, -1), ValueError, "padding.*negative.*-1"),
    (lambda: ac.conv_forward(*CONV_ARRAYS, {"stride": 1}), ValueError, "conv_forward.*'pad'"),
    (lambda: ac.conv_forward(*CONV_ARRAYS, {"pad": 1}), ValueError, "conv_forward.*'stride'"),
    (lambda: ac.conv_forward(*CONV_ARRAYS, {"pad": 1, "stride": 0}), ValueError, "stride.* 0"),
    (lambda: ac.conv_forward(*CONV_ARRAYS, {"pad": 1.5, "stride": 1}), TypeError, "1.5"),
    (lambda: ac.conv_forward(*CONV_ARRAYS[:2], 1.0, CONV), TypeError, "conv_forward: b .*float"),
    (lambda: ac.pool_forward(POOL, {"stride": 1}), ValueError, "pool_forward.*'f'"),
    (lambda: ac.pool_forward(POOL, {"f": 2}), ValueError, "pool_forward.*'stride'"),
    (lambda: ac.pool_forward(POOL, {"f": 5, "stride": 1}), ValueError, "larger.*5"),
    (lambda: ac.pool_forward(POOL, {"f": 2, "stride": 1}, "mean"), ValueError, "mode.*'mean'"),
    (
        lambda: ac.pool_backward(POOL, (POOL, {"f": 1, "stride": 1}), "sum"),
        ValueError,
        "pool_backward: mode.*'sum'",
    ),
    (
        lambda: ac.pool_backward(POOL, (POOL, {"f": 2, "stride": 2}), "max"),
        ValueError,
        r"dy.*\(1, 2, 2, 1\).*\(1, 4, 4, 1\)",
    ),
    (
        lambda: ac.conv_backward(np.ones((1, 2, 2, 2)), (*CONV_ARRAYS, {"stride": 1, "pad": 0})),
        ValueError,
        r"dy.*\(1, 3, 3, 2\).*\(1, 2, 2, 2\)",
    ),
    (
        lambda: ac.conv_single_step(np.ones((3, 3, 2)), np.ones((2, 2, 2)), 0.0),
        ValueError,
        r"conv_single_step.*\(3, 3, 2\).*\(2, 2, 2\)",
    ),
    (
        lambda: ac.conv_single_step(np.ones((2, 2, 2)), np.ones((2, 2, 2)), np.ones(2)),
        ValueError,
        r"conv_single_step: b .*\(2,\)",
    ),
    (lambda: ac.create_mask_from_window(np.ones((0, 2))), ValueError, r"empty.*\(0, 2\)"),
    (lambda: ac.create_mask_from_window([[1.0]]), TypeError, "x must be an array.*list"),
    (lambda: ac.distribute_value(1.0, (2, 0)), ValueError, r"shape.*\(2, 0\)"),
    (lambda: ac.distribute_value(1.0, (2.0, 2)), TypeError, r"shape.*2\.0"),
]


@pytest.mark.parametrize(("call", "kind", "message"), BAD)
def test_errors(call, kind, message):
    with pytest.raises(kind, match=message):
        call()

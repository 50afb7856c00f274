"""Where derivatives and maxima are a matter of rule: ties, zeros, padding, NaN and infinity."""

from contextlib import suppress
from itertools import product

import numpy as np
import pytest

import arrayconv as ac
from arrayconv import engine
from arrayconv.engine.choice import FAST
from arrayconv.namespace import Traits
from arrayconv.ops.pooling import maximum

NAN, INF = np.nan, np.inf
TIES = ("first", "split", "all")
# NumPy warns where a product has a NaN or an infinity in it; that is what these tests feed it.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
POOLS = [
    (2, {}),
    (3, {"stride": 2}),
    (3, {"stride": 1, "padding": 1}),
    ((2, 3), {"stride": (3, 2), "padding": ((1, 0), (0, 2))}),
    (2, {"stride": 1, "dilation": 2, "padding": (1, 2)}),
    (3, {"stride": 2, "padding": 1, "ceil_mode": True}),
    (2, {"stride": 3, "padding": "same"}),
]


def pairs(given, n=2):
    entries = given if isinstance(given, tuple) else (given,) * n
    return [e if isinstance(e, tuple) else (e, e) for e in entries]


def windows(shape, window, out, *, stride=None, padding=0, dilation=1, ceil_mode=False):
    """Yield each output position with its input cells, in window order, padding left out."""
    window = [k for k, _ in pairs(window)]
    stride = window if stride is None else [s for s, _ in pairs(stride)]
    dilation = [d for d, _ in pairs(dilation)]
    if padding == "same":
        total = [
            max(0, (o - 1) * s + k - n)
            for n, k, s, o in zip(shape, window, stride, out, strict=True)
        ]
        before = [t // 2 for t in total]
    else:
        before = [b for b, _ in pairs(padding)]
    for o in np.ndindex(*out):
        cells = []
        for k in np.ndindex(*window):
            at = [
                i * s + j * d - b
                for i, s, j, d, b in zip(o, stride, k, dilation, before, strict=True)
            ]
            if all(0 <= a < n for a, n in zip(at, shape, strict=True)):
                cells.append(tuple(at))
        yield o, cells


def naive_max_vjp(dy, x, window, ties, **config):
    dx = np.zeros(x.shape)
    for n, c in product(range(x.shape[0]), range(x.shape[-1])):
        for o, cells in windows(x.shape[1:-1], window, dy.shape[1:-1], **config):
            values = np.asarray([x[(n, *cell, c)] for cell in cells])
            best = np.isnan(values) if np.isnan(values).any() else values == values.max()
            chosen = [cell for cell, wins in zip(cells, best, strict=True) if wins]
            share = dy[(n, *o, c)]
            if ties == "first":
                chosen = chosen[:1]
            elif ties == "split":
                share = share / len(chosen)
            for cell in chosen:
                dx[(n, *cell, c)] += share
    return dx


def check_ties(make, read, window, config, ties):
    rng = np.random.default_rng(0)
    # Three values only: most windows have ties, many of them with the padding's neighbours.
    x = rng.integers(-2, 1, (2, 6, 5, 2)).astype(float)
    y = ac.max_pool(make(x), window, **config)
    dy = rng.standard_normal(y.shape)
    dx = ac.max_pool_vjp(make(dy), make(x), window, ties=ties, **config)
    expected = naive_max_vjp(dy, x, window, ties, **config)
    np.testing.assert_allclose(read(dx), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize(("window", "config"), POOLS)
def test_ties_against_loops(window, config, ties):
    check_ties(np.asarray, np.asarray, window, config, ties)


@pytest.mark.parametrize("ties", TIES)
def test_ties_on_every_library(xp, ties):
    check_ties(xp.array, xp.to_numpy, *POOLS[3], ties)
    check_ties(xp.array, xp.to_numpy, *POOLS[5], ties)


@pytest.fixture
def accelerator(monkeypatch):
    """Have the gradient of a max pool taken as on an accelerator whose arrays can be written in place."""
    monkeypatch.setattr(maximum, "traits", lambda xp, x: Traits(mutable=True, accelerator=True))


@pytest.mark.backends("numpy", "torch", "cupy", "cupy-emulated")
@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize(("window", "config"), POOLS)
def test_ties_on_an_accelerator(xp, accelerator, window, config, ties):
    check_ties(xp.array, xp.to_numpy, window, config, ties)


@pytest.mark.backends("numpy", "torch", "cupy", "cupy-emulated")
@pytest.mark.parametrize("ties", TIES)
def test_special_values_on_an_accelerator(xp, accelerator, ties):
    x = np.random.default_rng(0).choice([NAN, INF, -INF, 1.0], (2, 6, 5, 3))
    dy = np.random.default_rng(1).choice([NAN, INF, 2.0], (2, 3, 3, 3))
    config = {"stride": 2, "padding": 1, "ties": ties}
    dx = ac.max_pool_vjp(xp.array(dy), xp.array(x), 3, **config)
    expected = naive_max_vjp(dy, x, 3, **config)
    np.testing.assert_array_equal(xp.to_numpy(dx), expected)


@pytest.mark.parametrize(
    ("window", "config"), [p for p in POOLS if isinstance(p[1].get("padding", 0), int)]
)
def test_first_is_what_pytorch_does(window, config):
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x = rng.integers(-2, 1, (2, 3, 8, 7)).astype(float)
    t = torch.asarray(x.copy()).requires_grad_()
    y = torch.nn.functional.max_pool2d(t, window, **config)
    dy = rng.standard_normal(y.shape)
    y.backward(torch.asarray(dy))
    config = {**config, "data_format": "channels_first"}
    np.testing.assert_array_equal(ac.max_pool(x, window, **config), y.detach().numpy())
    dx = ac.max_pool_vjp(dy, x, window, **config)
    np.testing.assert_allclose(dx, t.grad.numpy(), rtol=0, atol=1e-12)


BY_HAND = {
    "first": [[1.0, 0.0], [0.0, 0.0]],
    "split": [[0.5, 0.0], [0.5, 0.0]],
    "all": [[1.0, 0.0], [1.0, 0.0]],
}


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("op", ["max_pool", "global_max_pool", "adaptive_max_pool"])
def test_ties_by_hand(xp, op, ties):
    x = xp.array(np.asarray([[3.0, 1.0], [3.0, -2.0]]).reshape(1, 2, 2, 1))
    args = {"max_pool": (2,), "global_max_pool": (), "adaptive_max_pool": (1,)}[op]
    y = getattr(ac, op)(x, *args)
    dy = xp.array(np.ones(y.shape))
    vjp = getattr(ac, f"{op}_vjp")
    np.testing.assert_array_equal(
        xp.to_numpy(vjp(dy, x, *args, ties=ties))[0, ..., 0], BY_HAND[ties]
    )
    with_y = vjp(dy, x, *args, ties=ties, y=y) if op == "max_pool" else vjp(dy, x, *args, ties=ties)
    np.testing.assert_array_equal(xp.to_numpy(with_y)[0, ..., 0], BY_HAND[ties])
    default = vjp(dy, x, *args)
    np.testing.assert_array_equal(xp.to_numpy(default)[0, ..., 0], BY_HAND["first"])


@pytest.mark.parametrize("ties", TIES)
def test_adaptive_bins_that_overlap(xp, ties):
    # 5 cells in 3 bins: [0, 2), [1, 4), [3, 5); cells 1 and 3 belong to two bins each.
    x = xp.array(np.asarray([0.0, 7.0, 7.0, 7.0, 1.0]).reshape(1, 5, 1))
    dy = xp.array(np.asarray([1.0, 6.0, 10.0]).reshape(1, 3, 1))
    expected = {
        "first": [0, 7, 0, 10, 0],
        "split": [0, 3, 2, 12, 0],
        "all": [0, 7, 6, 16, 0],
    }[ties]
    dx = ac.adaptive_max_pool_vjp(dy, x, 3, ties=ties)
    np.testing.assert_array_equal(xp.to_numpy(dx)[0, :, 0], expected)


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("value", [-INF, -1.0, np.finfo(float).min])
def test_padding_never_wins(xp, value, ties):
    x = np.full((1, 4, 3, 1), value)
    config = {"stride": 2, "padding": 1}
    y = xp.to_numpy(ac.max_pool(xp.array(x), 3, **config))
    np.testing.assert_array_equal(y, np.full((1, 2, 2, 1), value))
    dy = np.asarray([1.0, 2.0, 4.0, 8.0]).reshape(1, 2, 2, 1)
    dx = xp.to_numpy(ac.max_pool_vjp(xp.array(dy), xp.array(x), 3, ties=ties, **config))
    np.testing.assert_allclose(dx, naive_max_vjp(dy, x, 3, ties, **config), rtol=1e-15)
    if ties == "first":
        # The first cell of each window inside the input, never one outside it.
        np.testing.assert_array_equal(dx[0, :, :, 0], [[1, 2, 0], [4, 8, 0], [0, 0, 0], [0, 0, 0]])
    if ties != "all":
        assert dx.sum() == pytest.approx(dy.sum())


@pytest.mark.parametrize("ties", TIES)
@pytest.mark.parametrize("config", [{"stride": 1}, {"stride": 2, "padding": 1}])
def test_nan_wins_and_takes_the_gradient(xp, ties, config):
    x = np.random.default_rng(2).standard_normal((1, 6, 6, 2))
    for cell in ((0, 0, 0, 0), (0, 2, 3, 0), (0, 2, 4, 0), (0, 5, 5, 1)):
        x[cell] = NAN
    x[0, 2, 2, 0] = INF
    y = xp.to_numpy(ac.max_pool(xp.array(x), 3, **config))
    for o, cells in windows((6, 6), 3, y.shape[1:-1], **config):
        for c in (0, 1):
            values = [x[(0, *cell, c)] for cell in cells]
            np.testing.assert_array_equal(y[(0, *o, c)], np.max(values))
    dy = np.random.default_rng(3).standard_normal(y.shape)
    dx = ac.max_pool_vjp(xp.array(dy), xp.array(x), 3, ties=ties, **config)
    expected = naive_max_vjp(dy, x, 3, ties, **config)
    np.testing.assert_allclose(xp.to_numpy(dx), expected, rtol=0, atol=1e-12)
    assert np.isfinite(expected).all()


def test_one_nan_a_window_as_pytorch():
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(4).standard_normal((1, 1, 8, 8))
    x[0, 0, 1, 1] = x[0, 0, 5, 6] = NAN
    t = torch.asarray(x.copy()).requires_grad_()
    y = torch.nn.functional.max_pool2d(t, 3, stride=1, padding=1)
    dy = np.random.default_rng(5).standard_normal(y.shape)
    y.backward(torch.asarray(dy))
    config = {"stride": 1, "padding": 1, "data_format": "channels_first"}
    np.testing.assert_array_equal(ac.max_pool(x, 3, **config), y.detach().numpy())
    np.testing.assert_allclose(ac.max_pool_vjp(dy, x, 3, **config), t.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("op", ["global_max_pool", "adaptive_max_pool"])
def test_nan_in_the_other_max_pools(xp, op):
    x = np.arange(12.0).reshape(1, 3, 4, 1)
    x[0, 1, 2, 0] = NAN
    args = (1,) if op == "adaptive_max_pool" else ()
    y = getattr(ac, op)(xp.array(x), *args)
    assert np.isnan(xp.to_numpy(y)).all()
    dx = getattr(ac, f"{op}_vjp")(xp.array(np.ones(y.shape)), xp.array(x), *args)
    np.testing.assert_array_equal(xp.to_numpy(dx), np.isnan(x).astype(float))


def test_a_gradient_that_is_not_finite_stays_on_its_cell(xp):
    x = np.asarray([1.0, 5.0, 2.0, 3.0]).reshape(1, 2, 2, 1)
    for value in (INF, NAN):
        dy = xp.array(np.full((1, 1, 1, 1), value))
        expected = np.asarray([0, value, 0, 0]).reshape(x.shape)
        for ties in TIES:
            dx = ac.max_pool_vjp(dy, xp.array(x), 2, ties=ties)
            np.testing.assert_array_equal(xp.to_numpy(dx), expected)


def test_relu(xp):
    x = np.asarray([-INF, -1.0, -0.0, 0.0, 1e-300, 2.0, INF, NAN])
    np.testing.assert_array_equal(
        xp.to_numpy(ac.relu(xp.array(x))), [0, 0, 0, 0, 1e-300, 2, INF, NAN]
    )
    dx = ac.relu_vjp(xp.array(np.full(8, 3.0)), xp.array(x))
    # At NaN the gradient passes, as in PyTorch.
    np.testing.assert_array_equal(xp.to_numpy(dx), [0, 0, 0, 0, 3, 3, 3, 3])
    for value in (INF, NAN):
        dx = ac.relu_vjp(xp.array(np.full(8, value)), xp.array(x))
        np.testing.assert_array_equal(xp.to_numpy(dx), [0, 0, 0, 0, *[value] * 4])


def test_relu_as_pytorch():
    torch = pytest.importorskip("torch")
    x = np.asarray([-INF, -1.0, -0.0, 0.0, 1e-300, 2.0, INF, NAN])
    t = torch.asarray(x.copy()).requires_grad_()
    y = torch.relu(t)
    y.backward(torch.full((8,), 3.0, dtype=torch.float64))
    np.testing.assert_array_equal(ac.relu(x), y.detach().numpy())
    np.testing.assert_array_equal(ac.relu_vjp(np.full(8, 3.0), x), t.grad.numpy())


@pytest.mark.parametrize("workspace", [1, 64 * 2**20])
def test_cells_that_no_window_reads_get_no_gradient(monkeypatch, workspace):
    from array_api_compat import numpy as xp

    def full_of_nan(shape, **how):
        return xp.full(shape, NAN, **how)

    x, dy = np.arange(64.0).reshape(1, 8, 8, 1), np.ones((1, 3, 3, 1))
    # windows of 2 at 0, 3 and 6; each third row and column lies between them
    read = np.isin(np.arange(8), (0, 1, 3, 4, 6, 7))
    means = np.outer(read, read) / 4
    maxima = np.outer(*[np.isin(np.arange(8), (1, 4, 7))] * 2)
    monkeypatch.setattr(xp, "empty", full_of_nan)
    with ac.options(workspace=workspace):
        averaged = ac.avg_pool_vjp(dy, x, 2, stride=3)
        chosen = ac.max_pool_vjp(dy, x, 2, stride=3)
    np.testing.assert_array_equal(averaged[0, ..., 0], means)
    np.testing.assert_array_equal(chosen[0, ..., 0], maxima)


CONVS = [
    {},
    {"stride": 2},
    {"stride": 3, "padding": 1},
    {"dilation": 2, "padding": ((2, 1), (0, 2))},
    {"padding": "same"},
    {"padding": 1, "groups": 2},
    {"padding": 1, "flip_kernel": True},
]
SPATIAL = ("stride", "padding", "dilation")


def geometry_of(config):
    """`windows` takes numbers and pairs: a 3x3 kernel at stride 1 is padded by 1 for "same"."""
    geometry = {k: v for k, v in config.items() if k in SPATIAL}
    geometry.setdefault("stride", 1)
    if geometry.get("padding") == "same":
        geometry["padding"] = 1
    return geometry


def conv_arrays(groups=1):
    rng = np.random.default_rng(6)
    x, w = rng.standard_normal((2, 7, 8, 4)), rng.standard_normal((3, 3, 4 // groups, 6))
    # A weight of zero still reads its cell: 0 * nan is nan, and 0 * inf.
    w[1, 1] = w[0, 2] = 0.0
    return x, w


def exact_strategies(**config):
    """Return None, for the plan's own choice, and the strategies that spread nothing and take this."""
    found = [None]
    for strategy in sorted(set(engine.STRATEGIES) - FAST):
        with ac.options(strategy=strategy), suppress(ValueError):
            ac.explain(ac.conv, *(a.shape for a in conv_arrays(config.get("groups", 1))), **config)
            found.append(strategy)
    return found


def check_input(make, read, config, value):
    groups = config.get("groups", 1)
    x, w = conv_arrays(groups)
    cell, channel = (3, 4), 1
    x[(0, *cell, channel)] = value
    y = read(ac.conv(make(x), make(w), **config))
    expected = np.zeros(y.shape, bool)
    for o, cells in windows((7, 8), 3, y.shape[1:-1], **geometry_of(config)):
        # The channel belongs to the first group.
        expected[(0, *o, slice(0, 6 // groups))] = cell in cells
    assert expected.any()
    assert not expected.all()
    np.testing.assert_array_equal(~np.isfinite(y), expected)


def check_gradient(make, read, config):
    groups = config.get("groups", 1)
    x, w = conv_arrays(groups)
    dy = np.random.default_rng(7).standard_normal(ac.conv(x, w, **config).shape)
    # In the middle, where the window meets no padding.
    o, feature = tuple(n // 2 for n in dy.shape[1:-1]), 5
    dy[(1, *o, feature)] = NAN
    dx, dw, _ = ac.conv_vjp(*map(make, (dy, x, w)), **config)
    cells = dict(windows((7, 8), 3, dy.shape[1:-1], **geometry_of(config)))[o]
    reached = np.zeros(x.shape, bool)
    for cell in cells:
        # The last feature belongs to the last group.
        reached[(1, *cell, slice(4 - 4 // groups, 4))] = True
    np.testing.assert_array_equal(np.isnan(read(dx)), reached)
    in_dw = np.zeros(w.shape, bool)
    in_dw[..., feature] = True
    np.testing.assert_array_equal(np.isnan(read(dw)), in_dw)


@pytest.mark.parametrize(
    ("config", "strategy"),
    [(config, strategy) for config in CONVS for strategy in exact_strategies(**config)],
)
def test_non_finite_values_reach_their_windows_alone(config, strategy):
    with ac.options(strategy=strategy):
        for value in (NAN, INF, -INF):
            check_input(np.asarray, np.asarray, config, value)
        check_gradient(np.asarray, np.asarray, config)


def test_non_finite_values_on_every_library(xp):
    for config in (CONVS[3], CONVS[5]):
        check_input(xp.array, xp.to_numpy, config, INF)
        check_gradient(xp.array, xp.to_numpy, config)


@pytest.mark.parametrize("strategy", exact_strategies(stride=2))
def test_non_finite_input_reaches_the_weights_that_read_it(xp, strategy):
    x, w = conv_arrays()
    x[0, 0, 3, 1] = NAN
    dy = np.random.default_rng(8).standard_normal(ac.conv(x, w, stride=2).shape)
    with ac.options(strategy=strategy):
        dx, dw, _ = ac.conv_vjp(*map(xp.array, (dy, x, w)), stride=2)
    assert np.isfinite(xp.to_numpy(dx)).all()
    # Row 0 is read by window row 0 alone; column 3 = 2 * o + k by window column 1 alone.
    expected = np.zeros(w.shape, bool)
    expected[0, 1, 1, :] = True
    np.testing.assert_array_equal(np.isnan(xp.to_numpy(dw)), expected)


@pytest.mark.parametrize(("value", "stride"), [(NAN, 1), (INF, 2), (NAN, 3)])
def test_non_finite_input_of_a_transposed_convolution(xp, value, stride):
    rng = np.random.default_rng(9)
    x, w = rng.standard_normal((2, 4, 5, 3)), rng.standard_normal((3, 3, 2, 3))
    w[0, 0] = 0.0
    x[1, 2, 3, 0] = value
    y = xp.to_numpy(ac.conv_transpose(xp.array(x), xp.array(w), stride=stride))
    expected = np.zeros(y.shape, bool)
    expected[1, 2 * stride : 2 * stride + 3, 3 * stride : 3 * stride + 3, :] = True
    np.testing.assert_array_equal(~np.isfinite(y), expected)


def check_average(make, read, window, config, value):
    x = np.random.default_rng(10).standard_normal((2, 6, 5, 2))
    x[0, 2, 2, 1] = value
    y = read(ac.avg_pool(make(x), window, **config))
    expected = np.zeros(y.shape, bool)
    cells_of = dict(windows((6, 5), window, y.shape[1:-1], **config))
    for o, cells in cells_of.items():
        expected[(0, *o, 1)] = (2, 2) in cells
    np.testing.assert_array_equal(~np.isfinite(y), expected)
    dy = np.random.default_rng(11).standard_normal(y.shape)
    dy[0, 0, 1, 0] = value
    finite = np.where(np.isfinite(x), x, 0.0)
    dx = read(ac.avg_pool_vjp(make(dy), make(finite), window, **config))
    expected = np.zeros(x.shape, bool)
    for cell in cells_of[0, 1]:
        expected[(0, *cell, 0)] = True
    np.testing.assert_array_equal(~np.isfinite(dx), expected)


@pytest.mark.parametrize("value", [NAN, INF])
@pytest.mark.parametrize(("window", "config"), POOLS)
def test_non_finite_values_in_average_pools(window, config, value):
    check_average(np.asarray, np.asarray, window, config, value)


def test_non_finite_values_in_average_pools_on_every_library(xp):
    check_average(xp.array, xp.to_numpy, *POOLS[3], NAN)
    check_average(xp.array, xp.to_numpy, *POOLS[5], INF)


def test_non_finite_values_in_global_and_adaptive_averages(xp):
    x = np.ones((2, 5, 4, 3))
    x[1, 4, 0, 2] = INF
    y = xp.to_numpy(ac.global_avg_pool(xp.array(x)))
    np.testing.assert_array_equal(np.isinf(y), [[False] * 3, [False, False, True]])
    # Bins of 5 in 3 overlap: the last is [3, 5).
    y = xp.to_numpy(ac.adaptive_avg_pool(xp.array(x), (3, 2)))
    expected = np.zeros(y.shape, bool)
    expected[1, 2, 0, 2] = True
    np.testing.assert_array_equal(np.isinf(y), expected)


def test_non_finite_values_in_columns(xp):
    x = np.ones((1, 4, 4, 1))
    x[0, 0, 0, 0] = NAN
    columns = xp.to_numpy(ac.im2col(xp.array(x), 2))
    expected = np.zeros((9, 4), bool)
    expected[0, 0] = True
    np.testing.assert_array_equal(np.isnan(columns), expected)
    image = xp.to_numpy(ac.col2im(xp.array(columns), (1, 4, 4, 1), 2))
    np.testing.assert_array_equal(np.isnan(image), np.isnan(x))

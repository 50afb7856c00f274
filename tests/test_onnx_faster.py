"""What makes a network faster computes the same: fused, folded, turned, in fewer passes."""

import math

import numpy as np
import pytest

import arrayconv as ac

pytest.importorskip("onnx")
from onnx.parser import parse_model

from arrayconv.onnx.faster import faster
from arrayconv.onnx.operators import quick


def loaded(body, signature="(float[N, 4] x) => (float[N, 4] y)", opset=20):
    return ac.onnx.load(
        parse_model(f'<ir_version: 9, opset_import: ["": {opset}]> net {signature} {body}')
    )


def operators(net):
    return [step.operator.name for step in faster(net._graph).steps]


X = np.linspace(-6, 6, 40, dtype=np.float32).reshape(10, 4)


@pytest.mark.parametrize(
    "body",
    [
        "d = Div(x, root) e = Erf(d) a = Add(e, one) m = Mul(x, a) y = Mul(m, half)",
        "d = Mul(x, inverse) e = Erf(d) a = Add(one, e) h = Mul(half, x) y = Mul(h, a)",
        "d = Div(x, root) e = Erf(d) a = Add(e, one) m = Mul(a, x) y = Mul(half, m)",
    ],
)
def test_gelu_is_put_together(body):
    numbers = (
        f"<float[1] root = {{{math.sqrt(2)}}}, float[1] inverse = {{{math.sqrt(0.5)}}},"
        " float[1] one = {1}, float[1] half = {0.5}>"
    )
    net = loaded(f"{numbers} {{ {body} }}")
    assert operators(net) == ["Gelu"]
    want = np.asarray([0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in X.flat])
    assert np.max(np.abs(net(X).reshape(-1) - want)) < 1e-6
    wide = net(X.astype(np.float64)).reshape(-1)
    assert (
        np.max(
            np.abs(
                wide - [0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in X.astype(float).flat]
            )
        )
        < 1e-12
    )


def test_what_only_looks_like_gelu_stays():
    numbers = "<float[1] root = {1.5}, float[1] one = {1}, float[1] half = {0.5}>"
    net = loaded(
        numbers + "{ d = Div(x, root) e = Erf(d) a = Add(e, one) m = Mul(x, a) y = Mul(m, half) }"
    )
    assert "Gelu" not in operators(net)


def test_swish_is_put_together():
    assert operators(loaded("{ s = Sigmoid(x) y = Mul(s, x) }")) == ["Swish"]
    both = "(float[N, 4] x, float[N, 4] z) => (float[N, 4] y)"
    assert operators(loaded("{ s = Sigmoid(x) y = Mul(s, z) }", both)) == ["Sigmoid", "Mul"]
    want = X / (1 + np.exp(-X.astype(np.float64)))
    assert np.max(np.abs(loaded("{ s = Sigmoid(x) y = Mul(s, x) }")(X) - want)) < 1e-6


IMAGE = "(float[N, 3, 6, 6] x) => (float[N, 5, a, b] y)"


def test_batch_norms_are_folded():
    rng = np.random.default_rng(0)
    text = {
        k: ", ".join(f"{v:.3f}" for v in rng.uniform(0.5, 1.5, n))
        for k, n in (("w", 135), ("s", 5), ("b", 5), ("m", 5), ("v", 5))
    }
    weights = (
        f"<float[5, 3, 3, 3] w = {{{text['w']}}}, float[5] s = {{{text['s']}}}, float[5] b = {{{text['b']}}},"
        f" float[5] m = {{{text['m']}}}, float[5] v = {{{text['v']}}}>"
    )
    net = loaded(f"{weights} {{ c = Conv(x, w) y = BatchNormalization(c, s, b, m, v) }}", IMAGE)
    assert "BatchNormalization" not in operators(net)
    x = rng.standard_normal((2, 3, 6, 6))
    # a network with replaced weights goes through the graph as it is in the file
    plain = net.replace({name: w.astype(np.float64) for name, w in net.weights.items()})(x)
    assert np.max(np.abs(net(x) - plain)) < 1e-12 * np.max(np.abs(plain))
    # its convolution is an output too: nothing may be folded into it
    both = loaded(
        f"{weights} {{ c = Conv(x, w) y = BatchNormalization(c, s, b, m, v) }}",
        IMAGE.replace("y)", "y, float[N, 5, a, b] c)"),
    )
    y, c = both(x)
    assert np.max(np.abs(y - plain)) < 1e-12 * np.max(np.abs(plain))
    assert not np.allclose(c, y)


def test_channels_are_last_between_images():
    body = (
        "<float[3, 3, 1, 1] w = {1, 2, 3, 4, 5, 6, 7, 8, 9}, float[3, 1, 1] s = {1, 2, 3}>"
        " { a = Conv(x, w) b = Mul(a, s) c = Relu(b) d = Concat <axis = 1> (b, c)"
        " e = MaxPool <kernel_shape = [2, 2]> (d) y = Softmax <axis = 1> (e) }"
    )
    net = loaded(body, "(float[N, 3, 4, 6] x) => (float[N, 6, a, b] y)")
    found = operators(net)
    assert found.count("Transpose") == 2
    assert (found[0], found[-1]) == ("Transpose", "Transpose")
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 6))
    a = np.einsum("oi,nihw->nohw", np.arange(1.0, 10).reshape(3, 3), x)
    b = a * np.asarray([1.0, 2, 3])[:, None, None]
    d = np.concatenate([b, np.maximum(b, 0)], 1)
    e = np.lib.stride_tricks.sliding_window_view(d, (2, 2), (2, 3)).max((4, 5))
    want = np.exp(e) / np.exp(e).sum(1, keepdims=True)
    assert np.max(np.abs(net(x) - want)) < 1e-12


@pytest.mark.parametrize("name", ["relu", "sigmoid", "silu", "gelu"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_fewer_passes_are_as_exact(name, dtype):
    x = np.concatenate([np.linspace(-30, 30, 2001), [-1e4, 1e4, 0.0, -0.0, -88.0, 88.0]]).astype(
        dtype
    )
    wide = x.astype(np.float64)
    with np.errstate(over="ignore"):
        want = {
            "relu": np.maximum(wide, 0),
            "sigmoid": 1 / (1 + np.exp(-wide)),
            "silu": wide / (1 + np.exp(-wide)),
            "gelu": np.asarray([0.5 * v * math.erfc(-v / math.sqrt(2)) for v in wide]),
        }[name]
    got = getattr(quick, name)(x)
    assert got.dtype == dtype
    limit = 4 * np.finfo(dtype).eps * np.maximum(np.abs(want), 1)
    assert np.all(np.abs(got.astype(np.float64) - want) <= limit)
    special = getattr(quick, name)(np.asarray([np.inf, np.nan], dtype))
    assert special[0] == (1 if name == "sigmoid" else np.inf)
    assert np.isnan(special[1])


def test_other_shapes_after_the_first():
    """What follows from the shapes of one call is not taken for those of the next."""
    body = (
        "<int64[1] n = {0}, int64[1] rest = {-1}> { s = Shape(x) k = Gather(s, n) t = Concat <axis = 0> (k, rest)"
        " f = Cast <to = 1> (k) z = Mul(x, f) y = Reshape(z, t) }"
    )
    net = loaded(body, "(float[N, 2, M] x) => (float[N, K] y)")
    for round_ in range(2):
        for n, m in ((1, 3), (2, 3), (3, 1), (4, 4), (5, 2), (6, 1)):
            for dtype in (np.float32, np.float64):
                x = np.full((n, 2, m), 1 + round_, dtype)
                assert np.array_equal(net(x), np.full((n, 2 * m), n * (1 + round_)))
    settled = [q for p in net._programs.values() for q in p.settled.values()]
    assert 0 < len(settled) <= 8
    assert all(
        {step.operator.name for step in q.graph.steps} == {"Mul", "Reshape"} for q in settled
    )


def test_channels_turned_between_a_convolution_and_its_norm():
    body = (
        "<float[3, 3, 1, 1] w = {1, 2, 3, 4, 5, 6, 7, 8, 9}, float[3] m = {1, 2, 3}, float[3] s = {2, 3, 4}>"
        " { a = Transpose <perm = [0, 3, 1, 2]> (x) b = Conv(a, w) c = Transpose <perm = [0, 2, 3, 1]> (b)"
        " d = Sub(c, m) e = Mul(s, d) y = Add(e, m) }"
    )
    net = loaded(body, "(float[N, 4, 6, 3] x) => (float[N, 4, 6, 3] y)")
    assert operators(net) == ["Conv"]
    x = np.random.default_rng(0).standard_normal((2, 4, 6, 3))
    m, s = np.asarray([1.0, 2, 3]), np.asarray([2.0, 3, 4])
    want = (x @ np.arange(1.0, 10).reshape(3, 3).T - m) * s + m
    assert np.max(np.abs(net(x) - want)) < 1e-12 * np.max(np.abs(want))

"""Errors that know what was meant: names and layouts of other libraries."""

import numpy as np
import pytest

import arrayconv as ac

X = np.ones((2, 6, 5, 4))
W = np.ones((3, 3, 4, 6))
PYTORCH_WEIGHTS = {
    "conv": ((6, 4, 3, 3), {}, r"\(out, in, \*K\): permute to \(\*K, in, out\)"),
    "conv in groups": (
        (7, 2, 3, 3),
        {"groups": 2},
        r"\(out, in, \*K\): permute to \(\*K, in, out\)",
    ),
    "conv_transpose": ((4, 6, 3, 3), {}, r"\(in, out, \*K\): permute to \(\*K, out, in\)"),
}


@pytest.mark.parametrize("name", PYTORCH_WEIGHTS)
def test_weights_in_the_layout_of_pytorch(name):
    shape, config, hint = PYTORCH_WEIGHTS[name]
    op = getattr(ac, name.partition(" ")[0])
    w = np.random.default_rng(0).standard_normal(shape)
    with pytest.raises(
        ValueError, match=rf"; w looks like {hint}, as permute_dims\(w, \(2, 3, 1, 0\)"
    ):
        op(X, w, **config)
    if "groups" not in config:
        assert op(X, np.permute_dims(w, (2, 3, 1, 0))).shape[-1] == 6


def test_weights_that_fit_in_no_layout_get_no_hint():
    for op in (ac.conv, ac.conv_transpose):
        with pytest.raises(ValueError, match=r"x has 4 \(.*\)$"):
            op(X, np.ones((3, 3, 5, 5)))


FOREIGN = [
    ("conv", (X, W), "strides", "stride"),
    ("conv", (X, W), "dilation_rate", "dilation"),
    ("conv", (X, W), "bias", "b"),
    ("conv", (X,), "weight", "w"),
    ("conv_transpose", (X, W), "output_pading", "output_padding"),
    ("max_pool", (X,), "kernel_size", "window"),
    ("max_pool", (X,), "pool_size", "window"),
    ("max_pool", (X, 2), "ceil", "ceil_mode"),
    ("avg_pool", (X, 2), "strides", "stride"),
    ("global_max_pool", (X,), "keepdim", "keepdims"),
    ("im2col", (X,), "kernel_size", "window"),
    ("resize", (X,), "align_corners", 'coordinates="align_corners"'),
    ("resize", (X,), "scale_factor", "scale"),
    ("resize", (X,), "interpolation", "method"),
    ("softmax", (X,), "dim", "axis"),
    ("leaky_relu", (X,), "alpha", "negative_slope"),
    ("batch_norm", (X,), "epsilon", "eps"),
    ("group_norm", (X,), "num_groups", "groups"),
    ("layer_norm", (X,), "normalized_shape", "axes"),
    ("dropout", (X, X > 0), "p", "rate"),
    ("dense", (X, np.ones((4, 2))), "bias", "b"),
    ("mean_squared_error", (X,), "target", "y_true"),
]


@pytest.mark.parametrize("op, args, theirs, ours", FOREIGN)
def test_a_keyword_of_another_library(op, args, theirs, ours):
    expected = f"there is no argument {theirs}; did you mean {ours}?"
    with pytest.raises(TypeError) as caught:
        getattr(ac, op)(*args, **{theirs: 2})
    assert str(caught.value) == f"{op}: {expected}"
    with pytest.raises(TypeError) as caught:
        getattr(ac, f"{op}_vjp")(X, *args, **{theirs: 2})
    assert str(caught.value) == f"{op}_vjp: {expected}"


def test_a_keyword_that_is_like_none():
    with pytest.raises(TypeError) as caught:
        ac.softmax(X, temperature=2)
    assert str(caught.value) == "softmax: there is no argument temperature; it takes x, axis"
    with pytest.raises(
        TypeError, match=r"^conv: there is no argument strides; did you mean stride\?"
    ):
        ac.explain(ac.conv, X, W, strides=2)


def test_other_type_errors_are_left_as_they_are():
    with pytest.raises(
        TypeError, match=r"^max_pool\(\) missing 1 required positional argument: 'window'"
    ):
        ac.max_pool(X, stride=2)
    with pytest.raises(TypeError, match=r"^conv: stride expects ints"):
        ac.conv(X, W, stride=1.5)

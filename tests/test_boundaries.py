"""What is public, and what an operation must never do to its arguments."""

import inspect
import re

import numpy as np
import pytest

import arrayconv as ac


def test_unknown_attribute():
    with pytest.raises(AttributeError, match=r"arrayconv.*has no attribute 'convolve'"):
        _ = ac.convolve


S = "data_format='channels_last'"
WINDOW = "stride=None, padding=0, dilation=1, ceil_mode=False"
CONV = "stride=1, padding=0, dilation=1, groups=1, flip_kernel=False"
TRANSPOSE = CONV.replace("padding=0", "padding=0, output_padding=0")
WRT = "wrt=('x', 'w', 'b')"
COLUMNS = f"window, stride=1, *, padding=0, dilation=1, {S}"
RESIZE = "method='nearest', coordinates='half_pixel', rounding='half_up'"
LOSS = "y_pred, y_true, *, reduction='mean'"
SIGNATURES = {
    "pad": f"x, padding, *, mode='constant', value=0, {S}",
    "conv": f"x, w, b=None, *, {CONV}, {S}",
    "conv_transpose": f"x, w, b=None, *, {TRANSPOSE}, {S}",
    "max_pool": f"x, window, *, {WINDOW}, {S}",
    "avg_pool": f"x, window, *, {WINDOW}, count_include_pad=False, {S}",
    "global_max_pool": f"x, *, keepdims=False, {S}",
    "global_avg_pool": f"x, *, keepdims=False, {S}",
    "adaptive_avg_pool": f"x, output_size, *, {S}",
    "adaptive_max_pool": f"x, output_size, *, {S}",
    "im2col": f"x, {COLUMNS}",
    "col2im": f"columns, shape, {COLUMNS}",
    "dense": "x, w, b=None",
    "flatten": "x",
    "dropout": "x, mask, *, rate",
    "relu": "x",
    "leaky_relu": "x, *, negative_slope=0.01",
    "prelu": "x, alpha",
    "elu": "x, *, alpha=1.0",
    "selu": "x",
    "gelu": "x, *, approximate=False",
    "silu": "x",
    "softplus": "x",
    "sigmoid": "x",
    "hard_sigmoid": f"x, *, slope={1 / 6!r}, offset=0.5",
    "hard_swish": "x",
    "tanh": "x",
    "softmax": "x, *, axis=-1",
    "log_softmax": "x, *, axis=-1",
    "erf": "x",
    "batch_norm": f"x, gamma=None, beta=None, *, eps=1e-05, {S}",
    "batch_norm_inference": f"x, gamma, beta, mean, var, *, eps=1e-05, {S}",
    "layer_norm": "x, gamma=None, beta=None, *, axes=-1, eps=1e-05",
    "group_norm": f"x, gamma=None, beta=None, *, groups, eps=1e-05, {S}",
    "instance_norm": f"x, gamma=None, beta=None, *, eps=1e-05, {S}",
    "resize": f"x, *, size=None, scale=None, {RESIZE}, {S}",
    "mean_squared_error": LOSS,
    "mean_absolute_error": LOSS,
    "binary_cross_entropy": f"{LOSS}, from_logits=False",
    "categorical_cross_entropy": f"{LOSS}, from_logits=False",
    "sparse_categorical_cross_entropy": f"{LOSS}, from_logits=False",
}
EXTRA = {
    "conv": f", {WRT}",
    "conv_transpose": f", {WRT}",
    "max_pool": ", ties='first', y=None",
    "global_max_pool": ", ties='first', y=None",
    "adaptive_max_pool": ", ties='first', y=None",
    "dense": f", *, {WRT}",
    "sigmoid": ", *, y=None",
    "tanh": ", *, y=None",
    "softmax": ", y=None",
    "log_softmax": ", y=None",
}
COURSE = {
    "zero_pad": "X, pad",
    "conv_single_step": "a_slice_prev, W, b",
    "conv_forward": "A_prev, W, b, hparameters",
    "conv_backward": "dZ, cache",
    "pool_forward": "A_prev, hparameters, mode='max'",
    "create_mask_from_window": "x",
    "distribute_value": "dz, shape",
    "pool_backward": "dA, cache, mode='max'",
    "rectified": "x",
}


def test_public_names():
    expected = {*SIGNATURES, *(f"{op}_vjp" for op in SIGNATURES), *COURSE}
    expected |= {"options", "explain", "to_numpy"}
    assert sorted(ac.__all__) == sorted(expected)
    assert set(ac.__all__) <= set(dir(ac))


def signature(f):
    """The signature without its annotations."""
    found = inspect.signature(f)
    bare = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    return str(found.replace(parameters=bare, return_annotation=found.empty))[1:-1]


@pytest.mark.parametrize("op", SIGNATURES)
def test_signatures(op):
    assert signature(getattr(ac, op)) == SIGNATURES[op]
    twin = getattr(ac, f"{op}_vjp")
    assert signature(twin) == f"dy, {SIGNATURES[op]}{EXTRA.get(op, '')}"


def sections(f):
    """Return the sections of a docstring by their headings; the text before them has none."""
    found, heading = {"": []}, ""
    lines = inspect.getdoc(f).splitlines()
    for line, underline in zip(lines, [*lines[1:], ""], strict=True):
        if line and underline == "-" * len(line):
            heading = line
            found[heading] = []
        else:
            found[heading].append(line)
    return {name: "\n".join(text) for name, text in found.items()}


def documented(f):
    """Return the parameters that a docstring lists, in its order."""
    entries = re.findall(r"^\S.*$", sections(f)["Parameters"], re.M)[1:]
    return [name.lstrip("*") for entry in entries for name in entry.split(" : ")[0].split(", ")]


OPERATIONS = [*SIGNATURES, *(f"{op}_vjp" for op in SIGNATURES)]


def test_no_two_share_a_docstring():
    texts = [inspect.getdoc(getattr(ac, name)) for name in ac.__all__]
    assert None not in texts
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("name", [*OPERATIONS, "explain", "to_numpy"])
def test_docstrings_list_the_parameters(name):
    f = getattr(ac, name)
    assert sorted(documented(f)) == sorted(inspect.signature(f).parameters)
    assert {"Parameters", "Returns", "Raises", "Examples"} <= sections(f).keys()
    assert f"ac.{name}(" in sections(f)["Examples"]


@pytest.mark.parametrize("op", SIGNATURES)
def test_docstrings_of_a_pair(op):
    forward, twin = sections(getattr(ac, op)), sections(getattr(ac, f"{op}_vjp"))
    assert f"{op}_vjp" in forward["See Also"]
    assert op in twin["See Also"]
    assert "``dy``" not in "".join(forward.values())
    # the gradients as formulas, and what is said once
    assert ".. math::" in twin[""]
    assert f"As for ``{op}``." in twin["Parameters"]
    assert f"As ``{op}``; and for" in twin["Raises"]


@pytest.mark.parametrize("name", COURSE)
def test_signatures_of_the_course(name):
    assert signature(getattr(ac, name)) == COURSE[name]


X = np.random.default_rng(0).standard_normal((2, 6, 5, 4))
W = np.random.default_rng(1).standard_normal((3, 3, 4, 6))
B = np.ones(6)
# With each, one call in which nothing happens to the values, so that a view would do.
CALLS = [
    ("pad", (X,), (1,), {}),
    ("pad", (X,), (0,), {}),
    ("pad", (X,), (1,), {"mode": "edge"}),
    ("pad", (X,), (0,), {"mode": "wrap", "data_format": "channels_first"}),
    ("conv", (X, W, B), (), {"padding": "same"}),
    ("conv", (X, W[:1, :1]), (), {}),
    ("conv_transpose", (X, np.swapaxes(W, 2, 3), B), (), {"stride": 2}),
    ("max_pool", (X,), (2,), {}),
    ("max_pool", (X,), (1,), {}),
    ("max_pool", (X,), (1,), {"stride": 2, "data_format": "channels_first"}),
    ("avg_pool", (X,), (2,), {"padding": 1}),
    ("avg_pool", (X,), (1,), {}),
    ("global_max_pool", (X,), (), {}),
    ("global_max_pool", (X[:, :1, :1],), (), {"keepdims": True}),
    ("global_avg_pool", (X,), (), {}),
    ("global_avg_pool", (X[:, :1, :1],), (), {"keepdims": True}),
    ("adaptive_max_pool", (X,), (2,), {}),
    ("adaptive_max_pool", (X,), ((6, 5),), {}),
    ("adaptive_avg_pool", (X,), (2,), {}),
    ("adaptive_avg_pool", (X,), ((6, 5),), {}),
    ("im2col", (X,), (2,), {}),
    ("im2col", (X,), (1,), {}),
    ("col2im", (np.ones((24, 36)),), (X.shape, 3), {}),
    ("col2im", (np.ones((60, 4)),), (X.shape, 1), {}),
    ("relu", (X,), (), {}),
    ("relu", (np.abs(X),), (), {}),
    ("dense", (X, W[0, 0], B), (), {}),
    ("dense", (X[:, 0, 0], np.eye(4)), (), {}),
    ("flatten", (X,), (), {}),
    ("flatten", (X[:, 0, 0],), (), {}),
    ("dropout", (X, X > 0), (), {"rate": 0.5}),
    ("dropout", (X, X == X), (), {"rate": 0}),
    ("leaky_relu", (np.abs(X),), (), {}),
    ("leaky_relu", (X,), (), {"negative_slope": 1.0}),
    ("prelu", (X, np.ones(4)), (), {}),
    ("elu", (np.abs(X),), (), {}),
    ("selu", (X,), (), {}),
    ("gelu", (X,), (), {}),
    ("gelu", (X,), (), {"approximate": True}),
    ("silu", (X,), (), {}),
    ("softplus", (X,), (), {}),
    ("sigmoid", (X,), (), {}),
    ("hard_sigmoid", (X,), (), {}),
    ("hard_sigmoid", (np.abs(X) / 9,), (), {"slope": 1, "offset": 0}),
    ("hard_swish", (np.abs(X) + 3,), (), {}),
    ("tanh", (X,), (), {}),
    ("softmax", (X,), (), {}),
    ("softmax", (X[..., :1],), (), {"axis": 0}),
    ("log_softmax", (X,), (), {}),
    ("log_softmax", (X[:1],), (), {"axis": 0}),
    ("erf", (X,), (), {}),
    ("batch_norm", (X, B[:4], B[:4]), (), {}),
    ("batch_norm", (X,), (), {"data_format": "channels_first"}),
    ("batch_norm_inference", (X, B[:4], B[:4], B[:4], B[:4]), (), {}),
    ("batch_norm_inference", (X, None, None, np.zeros(4), np.ones(4)), (), {"eps": 0}),
    ("layer_norm", (X, B[:4], B[:4]), (), {}),
    ("layer_norm", (X,), (), {"axes": (1, 2)}),
    ("layer_norm", (B, B, B), (), {}),
    ("group_norm", (X, B[:4], B[:4]), (), {"groups": 2}),
    ("instance_norm", (X, B[:4], B[:4]), (), {}),
    ("instance_norm", (X[:, :1, :1],), (), {}),
    ("resize", (X,), (), {"scale": 2}),
    ("resize", (X,), (), {"scale": 1}),
    ("resize", (X[:, :1, :1],), (), {"scale": 2}),
    ("resize", (X[:, :1],), (), {"size": (2, 5)}),
    ("resize", (X,), (), {"size": (6, 5), "method": "linear"}),
    ("resize", (X,), (), {"size": (6, 5), "method": "linear", "coordinates": "asymmetric"}),
    ("resize", (X,), (), {"size": (3, 7), "method": "linear"}),
    ("mean_squared_error", (X, X + 1), (), {}),
    ("mean_squared_error", (B, B + 1), (), {"reduction": "none"}),
    ("mean_absolute_error", (X, X + 1), (), {}),
    ("mean_absolute_error", (B, B + 1), (), {"reduction": "none"}),
    ("binary_cross_entropy", (np.abs(X) / 9, np.abs(X) / 9), (), {}),
    ("binary_cross_entropy", (X, np.abs(X) / 9), (), {"from_logits": True}),
    ("categorical_cross_entropy", (np.abs(X), np.abs(X)), (), {}),
    ("categorical_cross_entropy", (X, X), (), {"from_logits": True}),
    ("sparse_categorical_cross_entropy", (np.abs(X), np.zeros((2, 6, 5), int)), (), {}),
]


def call_id(call):
    return "-".join([call[0], *map(str, call[2]), *(f"{k}={v}" for k, v in call[3].items())])


def parts(result):
    """Return what an operation or a vjp returned as a tuple."""
    return tuple(result) if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("call", CALLS, ids=call_id)
def test_arguments_are_neither_written_nor_returned(call):
    op, arrays, args, config = call
    given = [None if a is None else a.copy() for a in arrays]
    for a in given:
        if a is not None:
            a.flags.writeable = False
    y, *others = parts(getattr(ac, op)(*given, *args, **config))
    dy = np.ones(y.shape)
    dy.flags.writeable = False
    gradients = parts(getattr(ac, f"{op}_vjp")(dy, *given, *args, **config))
    results = [y, *others, *(g for g in gradients if g is not None)]
    for result in results:
        assert result.flags.writeable
        assert not any(np.shares_memory(result, a) for a in (*given, dy) if a is not None)
    for i, result in enumerate(results):
        assert not any(np.shares_memory(result, other) for other in results[:i])


@pytest.mark.parametrize("call", CALLS, ids=call_id)
def test_torch_arguments_are_neither_written_nor_returned(call):
    torch = pytest.importorskip("torch")
    op, arrays, args, config = call
    given = [None if a is None else torch.asarray(a.copy()) for a in arrays]
    y, *others = parts(getattr(ac, op)(*given, *args, **config))
    dy = torch.ones(y.shape, dtype=y.dtype)
    gradients = parts(getattr(ac, f"{op}_vjp")(dy, *given, *args, **config))
    for result in (y, *others, *(g for g in gradients if g is not None)):
        result += 1000.0
    for a, original in zip((*given, dy), (*arrays, np.ones(dy.shape)), strict=True):
        if a is not None:
            np.testing.assert_array_equal(a.numpy(), original)


def test_zero_pad_by_zero_is_a_copy():
    assert not np.shares_memory(ac.zero_pad(X, 0), X)


@pytest.mark.parametrize("op", ["conv", "conv_transpose"])
def test_gradients_asked_for(xp, op):
    w = W if op == "conv" else np.swapaxes(W, 2, 3)
    x, w, b = xp.array(X), xp.array(w), xp.array(B)
    dy = xp.array(np.ones(getattr(ac, op)(x, w, b).shape))
    vjp = getattr(ac, f"{op}_vjp")
    full = vjp(dy, x, w, b)
    assert full._fields == ("dx", "dw", "db")
    for wrt in (("x",), ("w",), ("b",), ("x", "b"), ("b", "w"), ["x"], {"w", "x"}, ()):
        part = vjp(dy, x, w, b, wrt=wrt)
        for name, gradient, whole in zip("xwb", part, full, strict=True):
            if name in wrt:
                np.testing.assert_array_equal(xp.to_numpy(gradient), xp.to_numpy(whole))
            else:
                assert gradient is None
    assert vjp(dy, x, w).db is None


@pytest.mark.parametrize(
    ("op", "args"), [("max_pool", (3,)), ("global_max_pool", ()), ("adaptive_max_pool", (2,))]
)
def test_handing_over_the_forward_result(xp, op, args):
    x = xp.array(X)
    y = getattr(ac, op)(x, *args)
    dy = xp.array(np.random.default_rng(2).standard_normal(y.shape))
    vjp = getattr(ac, f"{op}_vjp")
    with_y, without = vjp(dy, x, *args, y=y), vjp(dy, x, *args)
    np.testing.assert_array_equal(xp.to_numpy(with_y), xp.to_numpy(without))
    if xp.name == "numpy":
        with pytest.raises(ValueError, match=f"^{op}_vjp: y "):
            vjp(dy, x, *args, y=y[:1])

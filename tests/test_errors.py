"""Every bad input: the type of its error, and what the message names."""

import re

import numpy as np
import pytest

import arrayconv as ac

X = np.ones((2, 6, 5, 4))
W = np.ones((3, 3, 4, 6))
B = np.ones(6)
POOLS = ("max_pool", "avg_pool")
SLIDING = {"conv": (X, W), "im2col": (X, 3), "max_pool": (X, 3), "avg_pool": (X, 3)}
# One call of each operation that works, for what all of them must refuse.
CALLS = {
    "pad": (X, 1),
    "conv": (X, W, B),
    "conv_transpose": (X, np.ones((3, 3, 6, 4)), B),
    "max_pool": (X, 3),
    "avg_pool": (X, 3),
    "global_max_pool": (X,),
    "global_avg_pool": (X,),
    "adaptive_max_pool": (X, 2),
    "adaptive_avg_pool": (X, 2),
    "im2col": (X, 3),
    "col2im": (np.ones((24, 36)), X.shape, 3),
}


def fails(kind, op, *words, args=None, **config):
    """Assert that `op` and its vjp refuse the call, naming themselves and each of `words`."""
    args = CALLS[op] if args is None else args
    # The shape of dy is wrong too: what is wrong with the arguments themselves is said first.
    for name, given in ((op, args), (f"{op}_vjp", (np.ones(1), *args))):
        with pytest.raises(kind) as caught:
            getattr(ac, name)(*given, **config)
        # Exactly this type, and not a library's own subclass of it that slipped through.
        assert type(caught.value) is kind
        message = str(caught.value)
        assert message.startswith(f"{name}: "), message
        for word in words:
            assert re.search(rf"(?<!\w){re.escape(word)}(?!\w)", message), (word, message)


@pytest.mark.parametrize("op", [*SLIDING, "pad", "conv_transpose", "col2im"])
@pytest.mark.parametrize("padding", [-1, (-1, 0), ((0, 0), (0, -1))])
def test_negative_padding(op, padding):
    if op == "pad":
        fails(ValueError, op, "padding", repr(padding), args=(X, padding))
    else:
        fails(ValueError, op, "padding", repr(padding), padding=padding)


@pytest.mark.parametrize("op", [*SLIDING, "pad", "conv_transpose", "col2im"])
@pytest.mark.parametrize(
    ("kind", "padding"),
    [
        (TypeError, 1.5),
        (TypeError, True),
        (TypeError, (1, 1.0)),
        (TypeError, ((0, 1), (True, 0))),
        (TypeError, None),
        (ValueError, (1, 2, 3)),
        (ValueError, ((1, 2, 3), (1, 2, 3))),
        (ValueError, ((1, 2),)),
        (ValueError, "SAME"),
        (ValueError, "full"),
    ],
)
def test_malformed_padding(kind, op, padding):
    if op == "pad":
        fails(kind, op, "padding", args=(X, padding))
    else:
        fails(kind, op, "padding", padding=padding)


def test_named_padding_where_there_is_none():
    fails(ValueError, "pad", "padding", "'same'", args=(X, "same"))
    fails(ValueError, "conv", "'causal'", "one spatial axis", padding="causal")
    fails(ValueError, "max_pool", "'causal'", padding="causal")
    fails(ValueError, "conv_transpose", "'causal'", padding="causal")


@pytest.mark.parametrize("op", [*SLIDING, "conv_transpose", "col2im"])
@pytest.mark.parametrize("name", ["stride", "dilation"])
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ValueError, 0),
        (ValueError, -2),
        (ValueError, (1, 0)),
        (ValueError, (1, 2, 3)),
        (ValueError, ()),
        (TypeError, 1.0),
        (TypeError, True),
        (TypeError, (1, True)),
        (TypeError, "2"),
    ],
)
def test_stride_and_dilation(op, name, kind, value):
    fails(kind, op, name, **{name: value})


@pytest.mark.parametrize("op", [*POOLS, "im2col", "col2im"])
@pytest.mark.parametrize(
    ("kind", "window"),
    [
        (ValueError, 0),
        (ValueError, (3, 0)),
        (ValueError, -1),
        (ValueError, (3,)),
        (ValueError, (3, 3, 3)),
        (TypeError, 2.0),
        (TypeError, True),
        (TypeError, None),
    ],
)
def test_window(op, kind, window):
    args = list(CALLS[op])
    args[-1] = window
    fails(kind, op, "window", args=args)


@pytest.mark.parametrize("op", ["adaptive_max_pool", "adaptive_avg_pool"])
@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (ValueError, 0),
        (ValueError, (2, 0)),
        (ValueError, (2, 2, 2)),
        (ValueError, -1),
        (TypeError, 2.0),
        (TypeError, True),
    ],
)
def test_output_size(op, kind, size):
    fails(kind, op, "output_size", args=(X, size))


@pytest.mark.parametrize("op", SLIDING)
def test_window_larger_than_the_padded_input(op):
    big = {"conv": np.ones((7, 3, 4, 6))}.get(op, (7, 3))
    fails(ValueError, op, "axis 0", "7", "6", args=(X, big))
    # Dilation makes a small window large: 2 * (3 - 1) + 1 > 4 is wrong by one only.
    narrow = np.ones((2, 6, 4, 4))
    window = {"conv": W}.get(op, 3)
    fails(ValueError, op, "axis 1", "5", "4", args=(narrow, window), dilation=2)
    # The phantom output of the course's int((n - f) / stride) + 1.
    tiny = np.ones((2, 2, 2, 4))
    fails(ValueError, op, "axis 0", "3", "2", args=(tiny, window), stride=2)


@pytest.mark.parametrize("op", POOLS)
def test_pool_padding_as_wide_as_the_window(op):
    fails(ValueError, op, "padding", "3", args=(X, 3), padding=3)
    fails(ValueError, op, "padding", "axis 1", args=(X, 3), padding=((0, 0), (0, 4)))
    pool = getattr(ac, op)
    assert pool(X, 3, padding=2).shape == (2, 3, 3, 4)
    # The dilated window counts.
    assert pool(X, 2, padding=2, dilation=2).shape == (2, 4, 4, 4)
    fails(ValueError, op, "padding", args=(X, 2), padding=3, dilation=2)


@pytest.mark.parametrize("op", sorted(set(CALLS) - {"col2im"}))
@pytest.mark.parametrize("shape", [(), (4,), (5, 4)])
def test_rank(op, shape):
    args = (np.ones(shape), *CALLS[op][1:])
    fails(ValueError, op, "x", str(shape), args=args)


def test_rank_of_the_weights():
    fails(ValueError, "conv", "w", "(3, 4, 6)", "(2, 6, 5, 4)", args=(X, np.ones((3, 4, 6))))
    fails(ValueError, "conv", "w", "(4,)", args=(X, np.ones(4)))
    fails(ValueError, "conv_transpose", "w", "(3, 6, 4)", args=(X, np.ones((3, 6, 4))))


def test_channels():
    shapes = ("(2, 6, 5, 4)", "(3, 3, 3, 6)")
    fails(ValueError, "conv", "w", "3", "4", *shapes, args=(X, np.ones((3, 3, 3, 6))))
    fails(ValueError, "conv", "w", "groups=2", args=CALLS["conv"], groups=2)
    shapes = ("(2, 6, 5, 4)", "(3, 3, 6, 3)")
    wrong = np.ones((3, 3, 6, 3))
    fails(ValueError, "conv_transpose", "w", "3", "4", *shapes, args=(X, wrong))
    # Channels first looks at the second axis.
    with pytest.raises(ValueError, match="x has 6"):
        ac.conv(X, W, data_format="channels_first")


@pytest.mark.parametrize("op", ["conv", "conv_transpose"])
def test_groups(op):
    fails(ValueError, op, "groups", "3", "4", groups=3)
    fails(ValueError, op, "groups", groups=0)
    fails(ValueError, op, "groups", groups=-1)
    fails(TypeError, op, "groups", groups=2.0)
    fails(TypeError, op, "groups", groups=True)


def test_groups_that_do_not_divide_the_output_channels():
    w = np.ones((3, 3, 2, 5))
    fails(ValueError, "conv", "groups", "2", "5", args=(X, w), groups=2)


@pytest.mark.parametrize("op", ["conv", "conv_transpose"])
@pytest.mark.parametrize("shape", [(5,), (1, 1, 1, 4), (), (2, 6)])
def test_bias_of_the_wrong_length(op, shape):
    args = (*CALLS[op][:2], np.ones(shape))
    fails(ValueError, op, "b", "6", str(shape), args=args)


@pytest.mark.parametrize("op", ["conv", "conv_transpose"])
def test_empty_weights(op):
    x, w, _ = CALLS[op]
    for axis in (0, 2):
        empty = np.ones(tuple(0 if i == axis else n for i, n in enumerate(w.shape)))
        fails(ValueError, op, "w", args=(x, empty))


@pytest.mark.parametrize("op", CALLS)
@pytest.mark.parametrize("given", ["NHWC", "channels-last", None, 1])
def test_unknown_data_format(op, given):
    both = ("channels_last", "channels_first")
    fails(ValueError, op, "data_format", repr(given), *both, data_format=given)


@pytest.mark.parametrize("mode", ["zeros", "replicate", None])
def test_unknown_pad_mode(mode):
    names = ("constant", "edge", "reflect", "symmetric", "wrap")
    fails(ValueError, "pad", "mode", repr(mode), *names, mode=mode)


@pytest.mark.parametrize("op", ["max_pool", "global_max_pool", "adaptive_max_pool"])
def test_unknown_tie_rule(op):
    args = CALLS[op]
    y = getattr(ac, op)(*args)
    with pytest.raises(ValueError, match=f"{op}_vjp: ties.*first.*split.*all.*'last'"):
        getattr(ac, f"{op}_vjp")(np.ones(y.shape), *args, ties="last")


def test_output_padding():
    fails(ValueError, "conv_transpose", "output_padding", "2", output_padding=2, stride=2)
    fails(ValueError, "conv_transpose", "output_padding", output_padding=-1, stride=2)
    fails(TypeError, "conv_transpose", "output_padding", output_padding=1.0, stride=2)
    words = ("output_padding", "'same'")
    fails(ValueError, "conv_transpose", *words, output_padding=1, stride=2, padding="same")
    # Padding cuts the whole result away.
    fails(ValueError, "conv_transpose", "axis 0", padding=4)


def test_columns_that_do_not_fit():
    shape = X.shape
    fails(
        ValueError, "col2im", "columns", "(24, 36)", "(24, 35)", args=(np.ones((24, 35)), shape, 3)
    )
    fails(
        ValueError, "col2im", "columns", "(24, 36)", "(23, 36)", args=(np.ones((23, 36)), shape, 3)
    )
    fails(ValueError, "col2im", "columns", args=(np.ones((24, 9, 4)), shape, 3))
    fails(ValueError, "col2im", "shape", args=(np.ones((24, 36)), (5, 4), 3))


@pytest.mark.parametrize("op", CALLS)
def test_gradient_of_the_wrong_shape(op):
    args = CALLS[op]
    y = getattr(ac, op)(*args)
    for shape in ((1, *y.shape[1:]), (*y.shape, 1), ()):
        with pytest.raises(ValueError) as caught:
            getattr(ac, f"{op}_vjp")(np.ones(shape), *args)
        message = str(caught.value)
        assert message.startswith(f"{op}_vjp: dy ")
        assert str(y.shape) in message
        assert message.endswith(str(shape))


def test_relu_gradient_of_the_wrong_shape():
    with pytest.raises(ValueError, match=r"relu_vjp: dy .*\(2, 3\).*\(3,\)"):
        ac.relu_vjp(np.ones(3), np.ones((2, 3)))


def test_wrt():
    dy = ac.conv(X, W)
    with pytest.raises(ValueError, match=r"conv_vjp: wrt .*'x', 'w', 'b'.*\('y',\)"):
        ac.conv_vjp(dy, X, W, wrt=("y",))


@pytest.mark.parametrize("op", [*CALLS, "relu"])
@pytest.mark.parametrize("bad", [[[1.0]], 1.0, None, "image"])
def test_not_an_array(op, bad):
    args = (bad, *CALLS.get(op, ())[1:])
    name = "columns" if op == "col2im" else "x"
    what = "None" if bad is None else type(bad).__name__
    with pytest.raises(TypeError, match=rf"^{op}: {name} must be an array.*got (an? )?{what};"):
        getattr(ac, op)(*args)


@pytest.mark.parametrize("dtype", ["int32", "uint8", "bool", "complex128"])
@pytest.mark.parametrize(
    "op", ["conv", "conv_transpose", "avg_pool", "global_avg_pool", "adaptive_avg_pool"]
)
def test_dtypes_that_are_not_real_floating(op, dtype):
    args = CALLS[op]
    fails(TypeError, op, "x", dtype, "astype", args=(args[0].astype(dtype), *args[1:]))
    if op.startswith("conv"):
        fails(TypeError, op, "w", dtype, args=(X, args[1].astype(dtype)))
        fails(TypeError, op, "b", dtype, args=(*args[:2], B.astype(dtype)))


@pytest.mark.parametrize("dtype", ["bool", "complex64"])
@pytest.mark.parametrize("op", ["pad", "relu", "max_pool", "global_max_pool", "adaptive_max_pool"])
def test_dtypes_that_are_not_real(op, dtype):
    args = CALLS.get(op, (X,))
    with pytest.raises(TypeError, match=f"^{op}: x .*{dtype}.*astype"):
        getattr(ac, op)(args[0].astype(dtype), *args[1:])


def test_two_libraries():
    torch = pytest.importorskip("torch")
    jnp = pytest.importorskip("jax.numpy")
    w, b = torch.asarray(W), jnp.asarray(B)
    with pytest.raises(TypeError, match=r"^conv: x is .*numpy and w .*torch.*torch.asarray\(x\)"):
        ac.conv(X, w)
    with pytest.raises(TypeError, match=r"^conv: x is .*numpy and b .*jax"):
        ac.conv(X, W, b)
    with pytest.raises(TypeError, match=r"^max_pool_vjp: dy is .*torch and x .*numpy"):
        ac.max_pool_vjp(w, X, 3)


def test_a_wrong_argument_by_name_or_position():
    with pytest.raises(TypeError, match="strides"):
        ac.conv(X, W, strides=2)
    with pytest.raises(TypeError, match="positional"):
        ac.conv(X, W, None, 2)
    with pytest.raises(TypeError, match="positional"):
        ac.max_pool(X, 2, 2)


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"engine": "cudnn"}, ValueError),
        ({"precision": "low"}, ValueError),
        ({"strategy": "fft2"}, ValueError),
        ({"workspace": 0}, ValueError),
        ({"workspace": -1}, ValueError),
        ({"threads": 0}, ValueError),
        ({"cores": 2}, TypeError),
    ],
)
def test_options(config, kind):
    [(name, value)] = config.items()
    with pytest.raises(kind, match=rf"{name}") as caught:
        ac.options(**config)
    if kind is ValueError:
        assert repr(value) in str(caught.value)


def test_a_refused_call_changes_nothing():
    x = X.copy()
    before = ac.conv(X, W)
    with pytest.raises(ValueError):
        ac.conv(x, W, stride=0)
    with pytest.raises(ValueError), ac.options(workspace=1, strategy="nonsense"):
        pass
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(ac.conv(X, W), before)


def test_a_message_in_full():
    with pytest.raises(ValueError) as caught:
        ac.conv(np.ones((2, 8, 8, 4)), np.ones((3, 3, 3, 16)))
    assert str(caught.value) == (
        "conv: w expects 3 input channels per group, x has 4 "
        "(x: (2, 8, 8, 4), w: (3, 3, 3, 16), groups=1)"
    )


@pytest.mark.parametrize("op", CALLS)
def test_an_empty_batch_is_no_error(op):
    args = list(CALLS[op])
    if op == "col2im":
        args[0], args[1] = args[0][:0], (0, *X.shape[1:])
    else:
        args[0] = X[:0]
    y = getattr(ac, op)(*args)
    full = getattr(ac, op)(*CALLS[op])
    assert y.shape == ((0, 36) if op == "im2col" else (0, *full.shape[1:]))
    gradients = getattr(ac, f"{op}_vjp")(np.ones(y.shape), *args)
    if not isinstance(gradients, tuple):
        gradients = (gradients,)
    arrays = [a for a in args if hasattr(a, "dtype")]
    for gradient, array in zip(gradients, arrays, strict=True):
        assert gradient.shape == array.shape
        assert not np.any(gradient)


@pytest.mark.parametrize("bad", ["no", "False", 1, 0, None, np.asarray([True])])
@pytest.mark.parametrize(
    ("op", "name"),
    [
        ("conv", "flip_kernel"),
        ("conv_transpose", "flip_kernel"),
        ("max_pool", "ceil_mode"),
        ("avg_pool", "ceil_mode"),
        ("avg_pool", "count_include_pad"),
        ("global_max_pool", "keepdims"),
        ("global_avg_pool", "keepdims"),
    ],
)
def test_flags(op, name, bad):
    fails(TypeError, op, name, "True", "False", **{name: bad})


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("dtype", "value", "kind", "words"),
    [
        ("float64", None, TypeError, ("number", "None")),
        ("float64", 1j, TypeError, ("number", "1j")),
        ("float64", "0", TypeError, ("number",)),
        ("float64", True, TypeError, ("number", "True")),
        ("float64", [0.0], TypeError, ("number",)),
        ("float64", 10**400, ValueError, ("float",)),
        ("float32", 1e300, ValueError, ("float32", "1e+300")),
        ("float16", 1e6, ValueError, ("float16",)),
        ("int64", NAN, TypeError, ("integer", "nan")),
        ("int64", INF, TypeError, ("integer", "inf")),
        ("int64", 0.5, TypeError, ("integer", "0.5")),
        ("int64", None, TypeError, ("number",)),
        ("int64", 1j, TypeError, ("number",)),
        ("int64", True, TypeError, ("number",)),
        ("int64", 2**63, ValueError, ("int64",)),
        ("uint8", 300, ValueError, ("uint8", "0 to 255", "300")),
        ("uint8", -1, ValueError, ("uint8", "-1")),
        ("int8", 128.0, ValueError, ("int8", "-128 to 127")),
    ],
)
def test_the_value_of_a_pad(dtype, value, kind, words):
    x = np.ones((1, 3, 1), dtype)
    for mode in ("constant", "edge"):
        fails(kind, "pad", "value", *words, args=(x, 1), value=value, mode=mode)


@pytest.mark.parametrize(
    ("dtype", "value"),
    [("uint8", 255), ("int64", 2**63 - 1), ("int8", -128.0), ("float32", INF), ("float64", -INF)],
)
def test_the_value_of_a_pad_at_the_end_of_its_range(xp, dtype, value):
    y = ac.pad(xp.array(np.ones((1, 1, 1), dtype)), 1, value=value)
    np.testing.assert_array_equal(xp.to_numpy(y)[0, :, 0], np.asarray([value, 1, value], dtype))


@pytest.mark.parametrize("value", [300, 256, -1])
def test_no_library_wraps_the_value_of_a_pad(xp, value):
    with pytest.raises(ValueError, match=f"^pad: value must lie in what .*uint8 .*got {value}$"):
        ac.pad(xp.array(np.ones((1, 1, 1), "uint8")), 1, value=value)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda bad: ac.conv(X, W, stride=bad), "stride"),
        (lambda bad: ac.conv(X, W, padding=bad), "padding"),
        (lambda bad: ac.conv(X, W, groups=bad), "groups"),
        (lambda bad: ac.max_pool(X, bad), "window"),
        (lambda bad: ac.adaptive_max_pool(X, bad), "output_size"),
        (lambda bad: ac.group_norm(X, groups=bad), "groups"),
        (lambda bad: ac.layer_norm(X, axes=bad), "axes"),
        (lambda bad: ac.softmax(X, axis=bad), "axis"),
        (lambda bad: ac.resize(X, size=bad), "size"),
        (lambda bad: ac.options(workspace=bad), "workspace"),
    ],
)
@pytest.mark.parametrize("bad", [NAN, INF, 2.5, True, 1j])
def test_what_is_no_int(call, name, bad):
    with pytest.raises(TypeError, match=rf"^\w+: {name} .*\bints?\b.*got "):
        call(bad)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda bad: ac.dropout(X, X > 0, rate=bad), "rate"),
        (lambda bad: ac.batch_norm(X, eps=bad), "eps"),
        (lambda bad: ac.elu(X, alpha=bad), "alpha"),
        (lambda bad: ac.leaky_relu(X, negative_slope=bad), "negative_slope"),
        (lambda bad: ac.resize(X, scale=bad), "scale"),
    ],
)
@pytest.mark.parametrize("bad", ["a", 1j, True, [1.0], None])
def test_what_is_no_number(call, name, bad):
    if name == "scale" and bad is None:
        bad = (None, None)
    if name == "scale" and bad == [1.0]:
        bad = [[1.0], [1.0]]
    with pytest.raises(TypeError, match=rf"^\w+: {name} must be a number, got "):
        call(bad)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("data_format", lambda bad: ac.conv(X, W, data_format=bad)),
        ("mode", lambda bad: ac.pad(X, 1, mode=bad)),
        ("ties", lambda bad: ac.max_pool_vjp(X, X, 1, ties=bad)),
        ("method", lambda bad: ac.resize(X, scale=2, method=bad)),
        ("reduction", lambda bad: ac.mean_squared_error(X, X, reduction=bad)),
        ("engine", lambda bad: ac.options(engine=bad)),
    ],
)
@pytest.mark.parametrize("bad", ["nonsense", 1, ["first"], np.asarray(["edge", "wrap"])])
def test_what_is_no_known_name(name, call, bad):
    with pytest.raises(ValueError, match=rf"^\w+: {name} must be one of '.*, got "):
        call(bad)


def arrays_of(op):
    """The places of the array arguments in the working call of `op`."""
    return [i for i, a in enumerate(CALLS[op]) if isinstance(a, np.ndarray)]


@pytest.mark.parametrize("make", [np.ma.masked_array, np.matrix], ids=["masked", "matrix"])
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_arrays_that_hide_cells_or_have_products_of_their_own(make):
    kind = make.__name__ if isinstance(make, type) else "MaskedArray"
    kind = {"masked_array": "MaskedArray"}.get(kind, kind)
    odd = make(np.ones((2, 2)))
    for op in CALLS:
        for place in arrays_of(op):
            args = list(CALLS[op])
            args[place] = odd
            with pytest.raises(TypeError, match=rf"^{op}: \w+ must be a plain array, got .*{kind}"):
                getattr(ac, op)(*args)
            with pytest.raises(TypeError, match=rf"^{op}_vjp: \w+ must be a plain .*{kind}"):
                getattr(ac, f"{op}_vjp")(np.ones(1), *args)
        with pytest.raises(TypeError, match=rf"^{op}_vjp: dy must be a plain array, .*{kind}"):
            getattr(ac, f"{op}_vjp")(odd, *CALLS[op])
    for f in (ac.relu, ac.gelu, ac.softmax, ac.batch_norm, ac.layer_norm, ac.flatten, ac.rectified):
        with pytest.raises(TypeError, match=rf"x must be a plain array, got .*{kind}"):
            f(odd)
    for call in (
        lambda: ac.dense(odd, np.eye(2)),
        lambda: ac.dense(np.eye(2), odd),
        lambda: ac.mean_squared_error(np.eye(2), odd),
        lambda: ac.batch_norm(np.ones((2, 2)), np.ones(2), odd),
        lambda: ac.to_numpy(odd),
        lambda: ac.filters.apply_filter(odd, "blur"),
        lambda: ac.filters.apply_filter(np.eye(4), odd),
        lambda: ac.create_mask_from_window(odd),
    ):
        with pytest.raises(TypeError, match=rf"must be a plain array, got .*{kind}"):
            call()


def test_adapters_refuse_masked_arrays():
    pytest.importorskip("jax")
    odd = np.ma.masked_array(np.ones(3), mask=[True, False, False])
    with pytest.raises(TypeError, match=r"^to_jax\(relu\): x must be a plain array"):
        ac.autodiff.to_jax(ac.relu)(odd)
    with pytest.raises(TypeError, match="must be a plain array, got a MaskedArray"):
        ac.verify.check_vjp(ac.relu, odd)


def test_memory_maps_are_plain_arrays(tmp_path):
    x = np.memmap(tmp_path / "x", dtype="float64", mode="w+", shape=X.shape)
    np.testing.assert_array_equal(ac.max_pool(x, 2), ac.max_pool(np.zeros(X.shape), 2))


@pytest.mark.parametrize(
    ("accepted", "equal"),
    [
        ({"stride": (1, 1)}, {"stride": (1, True)}),
        ({"stride": (1, 1)}, {"stride": (1.0, 1)}),
        ({"dilation": 1}, {"dilation": True}),
        ({"padding": ((0, 0), (0, 0))}, {"padding": ((0, 0), (0, False))}),
        ({"groups": 1}, {"groups": 1.0}),
        ({"flip_kernel": False}, {"flip_kernel": 0}),
    ],
)
def test_an_argument_that_equals_an_accepted_one_is_checked_itself(accepted, equal):
    x, w = np.ones((1, 4, 4, 1)), np.ones((2, 2, 1, 1))
    ac.conv(x, w, **accepted)
    with pytest.raises(TypeError, match=next(iter(equal))):
        ac.conv(x, w, **equal)

"""Every layer against Keras 3 on JAX: outputs, gradients, parameters, moving averages and output shapes."""

import json
import pickle

import numpy as np
import pytest
from reference_keras import keras_in

import arrayconv as ac
from arrayconv import models
from arrayconv.models import activations, initializers, layers, regularizers
from arrayconv.models.graph import Graph
from arrayconv.models.layers import activation
from arrayconv.models.layers.returned import checked_forward, split_backward
from arrayconv.models.topology import snake

IMAGE = (9, 8, 3)
RANKS = {1: (9, 3), 2: IMAGE, 3: (6, 5, 7, 2)}
# Our layer, Keras's class and arguments where they differ, and the shape of one sample.
CASES = [
    (layers.Conv, "Conv{}D", {"filters": 4, "kernel_size": 3}, 1),
    (layers.Conv, "Conv{}D", {"filters": 4, "kernel_size": 3, "padding": "causal"}, 1),
    (layers.Conv, "Conv{}D", {"filters": 4, "kernel_size": (3, 2), "activation": "relu"}, 2),
    (layers.Conv, "Conv{}D", {"filters": 4, "kernel_size": 4, "strides": 3, "padding": "same"}, 2),
    (layers.Conv, "Conv{}D", {"filters": 6, "kernel_size": 2, "groups": 3, "use_bias": False}, 2),
    (
        layers.Conv,
        "Conv{}D",
        {"filters": 2, "kernel_size": 3, "dilation_rate": 2, "activation": "gelu"},
        2,
    ),
    (
        layers.Conv,
        "Conv{}D",
        {"filters": 3, "kernel_size": 2, "strides": (2, 1, 3), "activation": "tanh"},
        3,
    ),
    (layers.ConvTranspose, "Conv{}DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2}, 1),
    (layers.ConvTranspose, "Conv{}DTranspose", {"filters": 4, "kernel_size": 2, "strides": 3}, 2),
    (
        layers.ConvTranspose,
        "Conv{}DTranspose",
        {"filters": 4, "kernel_size": (3, 4), "strides": 2, "padding": "same"},
        2,
    ),
    (
        layers.ConvTranspose,
        "Conv{}DTranspose",
        {"filters": 2, "kernel_size": (2, 1), "strides": (3, 4), "padding": "same"},
        2,
    ),
    (
        layers.ConvTranspose,
        "Conv{}DTranspose",
        {"filters": 2, "kernel_size": (2, 5), "strides": 3, "output_padding": (1, 2)},
        2,
    ),
    (
        layers.ConvTranspose,
        "Conv{}DTranspose",
        {
            "filters": 2,
            "kernel_size": (4, 5),
            "strides": 3,
            "padding": "same",
            "output_padding": (0, 2),
        },
        2,
    ),
    (
        layers.ConvTranspose,
        "Conv{}DTranspose",
        {"filters": 2, "kernel_size": 3, "dilation_rate": 2, "padding": "same"},
        2,
    ),
    (
        layers.ConvTranspose,
        "Conv{}DTranspose",
        {"filters": 2, "kernel_size": 3, "strides": 2, "activation": "sigmoid"},
        3,
    ),
    (layers.DepthwiseConv, "DepthwiseConv{}D", {"kernel_size": 3, "depth_multiplier": 2}, 1),
    (
        layers.DepthwiseConv,
        "DepthwiseConv{}D",
        {"kernel_size": (3, 2), "depth_multiplier": 3, "padding": "same"},
        2,
    ),
    (
        layers.DepthwiseConv,
        "DepthwiseConv{}D",
        {"kernel_size": 3, "strides": 2, "activation": "selu"},
        2,
    ),
    (
        layers.SeparableConv,
        "SeparableConv{}D",
        {"filters": 5, "kernel_size": 3, "depth_multiplier": 2},
        1,
    ),
    (
        layers.SeparableConv,
        "SeparableConv{}D",
        {"filters": 5, "kernel_size": 3, "strides": 2, "padding": "same", "activation": "softplus"},
        2,
    ),
    (layers.MaxPool, "MaxPooling{}D", {}, 1),
    (
        layers.MaxPool,
        "MaxPooling{}D",
        {"pool_size": (3, 2), "strides": (2, 1), "padding": "same"},
        2,
    ),
    (layers.MaxPool, "MaxPooling{}D", {"pool_size": 2, "padding": "same"}, 3),
    (layers.AveragePool, "AveragePooling{}D", {"pool_size": 2}, 1),
    (layers.AveragePool, "AveragePooling{}D", {"pool_size": 3, "strides": 2, "padding": "same"}, 2),
    (layers.AveragePool, "AveragePooling{}D", {"pool_size": 2, "padding": "same"}, 3),
    (layers.GlobalMaxPool, "GlobalMaxPooling{}D", {}, 1),
    (layers.GlobalMaxPool, "GlobalMaxPooling{}D", {"keepdims": True}, 2),
    (layers.GlobalAveragePool, "GlobalAveragePooling{}D", {}, 2),
    (layers.GlobalAveragePool, "GlobalAveragePooling{}D", {"keepdims": True}, 3),
    (layers.ZeroPadding, "ZeroPadding{}D", {"padding": 2}, 1),
    (layers.ZeroPadding, "ZeroPadding{}D", {"padding": (0, 3)}, 1),
    (layers.ZeroPadding, "ZeroPadding{}D", {}, 2),
    (layers.ZeroPadding, "ZeroPadding{}D", {"padding": (1, 2)}, 2),
    (layers.ZeroPadding, "ZeroPadding{}D", {"padding": ((1, 0), (2, 3))}, 2),
    (layers.ZeroPadding, "ZeroPadding{}D", {"padding": (1, 0, 2)}, 3),
    (layers.UpSampling, "UpSampling{}D", {"size": 3}, 1),
    (layers.UpSampling, "UpSampling{}D", {"size": (2, 3)}, 2),
    (layers.UpSampling, "UpSampling{}D", {"size": (2, 3), "interpolation": "bilinear"}, 2),
    (layers.UpSampling, "UpSampling{}D", {"size": (2, 1, 3)}, 3),
    (layers.BatchNormalization, "BatchNormalization", {}, 2),
    (layers.BatchNormalization, "BatchNormalization", {"momentum": 0.7, "scale": False}, 1),
    (layers.BatchNormalization, "BatchNormalization", {"axis": 1, "center": False}, 2),
    (layers.BatchNormalization, "BatchNormalization", {"epsilon": 0.1}, (5,)),
    (layers.LayerNormalization, "LayerNormalization", {}, 2),
    (layers.LayerNormalization, "LayerNormalization", {"axis": [1, 3], "epsilon": 0.1}, 2),
    (layers.LayerNormalization, "LayerNormalization", {"center": False, "scale": False}, (5,)),
    (layers.Dense, "Dense", {"units": 4, "activation": "softmax"}, (5,)),
    (layers.Dense, "Dense", {"units": 4, "use_bias": False}, 2),
    (layers.Flatten, "Flatten", {}, 2),
    (layers.ReLU, "ReLU", {}, 2),
    (layers.LeakyReLU, "LeakyReLU", {}, 2),
    (layers.LeakyReLU, "LeakyReLU", {"negative_slope": 0.5}, (5,)),
    (layers.ELU, "ELU", {"alpha": 0.5}, 2),
    (layers.PReLU, "PReLU", {}, 2),
    (layers.PReLU, "PReLU", {"shared_axes": 1}, 2),
    (layers.PReLU, "PReLU", {"shared_axes": [1, 2]}, 2),
    (layers.Softmax, "Softmax", {}, (5,)),
    (layers.Softmax, "Softmax", {"axis": 1}, 2),
    *(
        (layers.Activation, "Activation", {"activation": name}, (5,))
        for name in (
            "elu",
            "gelu",
            "hard_sigmoid",
            "hard_silu",
            "hard_swish",
            "leaky_relu",
            "linear",
            "log_softmax",
            "relu",
            "selu",
            "sigmoid",
            "silu",
            "softmax",
            "softplus",
            "swish",
            "tanh",
        )
    ),
    (layers.GELU, "Activation", {}, (5,), {"activation": "gelu"}),
    (layers.SELU, "Activation", {}, (5,), {"activation": "selu"}),
    (layers.SiLU, "Activation", {}, (5,), {"activation": "silu"}),
    (layers.Softplus, "Activation", {}, (5,), {"activation": "softplus"}),
    (layers.Sigmoid, "Activation", {}, (5,), {"activation": "sigmoid"}),
    (layers.HardSigmoid, "Activation", {}, (5,), {"activation": "hard_sigmoid"}),
    (layers.HardSwish, "Activation", {}, (5,), {"activation": "hard_swish"}),
    (layers.Tanh, "Activation", {}, (5,), {"activation": "tanh"}),
    (layers.Identity, "Identity", {}, 2),
    (layers.Add, "Add", {}, [IMAGE, IMAGE, IMAGE]),
    (layers.Concatenate, "Concatenate", {}, [(4, 3), (4, 1), (4, 2)]),
    (layers.Concatenate, "Concatenate", {"axis": 1}, [(4, 3), (2, 3)]),
    (layers.Add, "Add", {}, [(4, 5, 3), (1, 1, 3)]),
    (layers.Subtract, "Subtract", {}, [(4, 3), (4, 3)]),
    (layers.Subtract, "Subtract", {}, [(4, 3), (1, 3)]),
    (layers.Multiply, "Multiply", {}, [(4, 3), (4, 3), (4, 3)]),
    (layers.Multiply, "Multiply", {}, [(4, 5, 3), (1, 1, 3)]),
    (layers.Maximum, "Maximum", {}, [(4, 3), (4, 3), (1, 3)]),
    (layers.Minimum, "Minimum", {}, [(4, 3), (4, 3), (1, 3)]),
    (layers.Average, "Average", {}, [(4, 3), (4, 3), (4, 3)]),
    (layers.Average, "Average", {}, [(4, 5, 3), (1, 1, 3)]),
    (layers.ReLU, "ReLU", {"max_value": 0.7}, 2),
    (layers.ReLU, "ReLU", {"max_value": 6.0}, 2),
    (layers.ReLU, "ReLU", {"negative_slope": 0.2, "threshold": 0.5}, 2),
    (layers.ReLU, "ReLU", {"max_value": 1, "negative_slope": 0.2, "threshold": 0.5}, 2),
    (layers.ReLU, "ReLU", {"max_value": 1, "threshold": 0.5}, 2),
    (layers.Activation, "Activation", {"activation": "relu6"}, (5,)),
    (layers.Reshape, "Reshape", {"target_shape": (4, -1, 3)}, 2),
    (layers.Reshape, "Reshape", {"target_shape": (1, 1, 6)}, (6,)),
    (layers.Permute, "Permute", {"dims": (3, 1, 2)}, 2),
    (layers.Cropping, "Cropping{}D", {"cropping": (2, 1)}, 1),
    (layers.Cropping, "Cropping{}D", {"cropping": ((1, 0), (2, 3))}, 2),
    (layers.Cropping, "Cropping{}D", {"cropping": 1}, 3),
    (layers.Rescaling, "Rescaling", {"scale": 1 / 255, "offset": -1}, 2),
    (layers.Rescaling, "Rescaling", {"scale": [1.0, 2.0, 3.0], "offset": [1, 0, 0.5]}, 2),
    (layers.Normalization, "Normalization", {"mean": [1.0, 2.0, 3.0], "variance": [4, 0.5, 0]}, 2),
    (layers.Normalization, "Normalization", {"mean": 1.0, "variance": 2.0, "invert": True}, 2),
    (
        layers.Normalization,
        "Normalization",
        {"axis": 2, "mean": 0.5, "variance": 2.0},
        2,
    ),
]


def case_id(case):
    return (
        f"{case[0].__name__}-{case[3]}-{'-'.join(f'{k}={v}' for k, v in case[2].items())}".replace(
            " ", ""
        )
    )


@pytest.fixture(scope="module")
def keras():
    with keras_in("float64") as keras:
        yield keras


def values(rng, shape):
    """Distinct numbers on both sides of 0, none near a kink."""
    steps = rng.permutation(np.prod(shape)).reshape(shape)
    return (steps - steps.size // 2 + 0.37) * (4.0 / steps.size)


def close(got, expected, what):
    got, expected = ac.to_numpy(got), np.asarray(expected)
    assert got.dtype == expected.dtype == np.float64, what
    assert got.shape == expected.shape, what
    np.testing.assert_allclose(got, expected, rtol=1e-10, atol=1e-10, err_msg=what)


def forward(layer, w, *x, training=False, noise=None):
    """``(y, updates)`` of the layer and its activation, and what backward reads."""
    given = {"training": training, "noise": noise}
    given = {name: given[name] for name in layer.reads.forward - {"x"}}
    y, updates = checked_forward(
        layer, layer.forward(w, *x, **given), x[0].shape[0], layer.output_shape(*shapes_of(x))
    )
    if layer.activation is None:
        return y, updates, [(layer, x, y)]
    last, _, tape = forward(layer.activation, {}, y, training=training)
    return last, updates, [(layer, x, y), *tape]


def backward(dy, w, tape, training=False, noise=None, wrt=("x", "w", "b")):
    """The gradients of the inputs and of the weights, each layer given only what it names."""
    dws = {}
    for layer, x, y in reversed(tape):
        given = {"training": training, "noise": noise, "wrt": wrt, "y": y}
        given = {name: given[name] for name in layer.reads.backward - {"x"}}
        own = x if "x" in layer.reads.backward else ()
        (dy, *rest), new = split_backward(layer, layer.backward(dy, w, *own, **given), len(x))
        dws.update(new)
    return [dy, *rest], {name: dw for name, dw in dws.items() if dw is not None}


def shapes_of(x):
    return [a.shape[1:] for a in x]


@pytest.mark.parametrize(
    "case, training",
    [
        pytest.param(case, training, id=f"{case_id(case)}{'' if training else '-inference'}")
        for case in CASES
        for training in ((False, True) if case[0] is layers.BatchNormalization else (True,))
    ],
)
def test_equals_keras(keras, case, training):
    import jax

    kind, name, arguments, shape, *other = case
    rng = np.random.default_rng(3)
    several = isinstance(shape, list)
    shapes = shape if several else [RANKS.get(shape, shape) if isinstance(shape, int) else shape]
    theirs = getattr(keras.layers, name.format(shape))(
        **(other[0] if other else arguments), dtype="float64"
    )
    mine = kind(**arguments)
    x = [values(rng, (4, *s)) for s in shapes]
    output = mine.declare(*shapes)
    theirs.build([(None, *s) for s in shapes] if several else (None, *shapes[0]))

    assert [s.shape for s in mine.specs.values()] == [tuple(v.shape) for v in theirs.weights]
    assert mine.count_params() == theirs.count_params()
    assert list(mine.specs) == [v.name for v in theirs.weights]
    assert [n for n, s in mine.specs.items() if s.trainable] == [
        v.name for v in theirs.trainable_variables
    ]
    weights = {n: np.abs(values(rng, s.shape)) + 0.1 for n, s in mine.specs.items()}
    theirs.set_weights(list(weights.values()))

    fixed = [v.value for v in theirs.non_trainable_variables]

    def run(trained, *x):
        y, moved = theirs.stateless_call(
            trained,
            fixed,
            list(x) if several else x[0],
            **({"training": training} if "BatchN" in name else {}),
        )
        return y, moved

    trained = [v.value for v in theirs.trainable_variables]
    expected, pullback, moved = jax.vjp(run, trained, *x, has_aux=True)
    y, updates, tape = forward(mine, weights, *x, training=training)
    close(y, expected, "output")
    assert y.shape == (4, *output)
    names = [v.name for v in theirs.non_trainable_variables]
    for key, value in zip(names, moved, strict=True):
        close(updates.get(key, weights[key]), value, key)

    dy = values(rng, y.shape)
    dw, *dx = pullback(jax.numpy.asarray(dy))
    got_dx, got_dw = backward(dy, weights, tape, training=training)
    assert len(got_dx) == len(dx)
    for i, (got, want) in enumerate(zip(got_dx, dx, strict=True)):
        close(got, want, f"dx {i}")
    wanted = dict(zip([v.name for v in theirs.trainable_variables], dw, strict=True))
    assert set(got_dw) == set(wanted)
    for key, value in wanted.items():
        close(got_dw[key], value, f"d{key}")

    # a layer that is asked for less gives the same of what it is asked for
    if "wrt" in mine.reads.backward:
        (alone,), none = backward(dy, weights, tape, training=training, wrt=("x",))
        close(alone, dx[0], "dx alone")
        assert none == {}
        (none,), got_dw = backward(dy, weights, tape[:1], training=training, wrt=("w", "b"))
        assert none is None
        assert set(got_dw) == set(wanted)


def test_a_layer_that_is_not_trainable_gives_no_gradients_and_keeps_its_averages():
    x = values(np.random.default_rng(0), (4, 5, 3))
    start = models.Input((5, 3))
    first = layers.Dense(3)
    for layer in (layers.Conv(2, 3, trainable=False), layers.Dense(2, trainable=False)):
        graph = Graph([start], [layer(first(start))], "frozen")
        graph.draw()
        (y,), tape, _ = graph.program.forward(graph.weights, [x], training=True)
        dw = graph.program.backward([np.ones_like(y)], graph.weights, tape)
        assert {name for _, name in dw} == {"kernel", "bias"}
        assert {name for name, _ in dw} == {graph.names[first]}
        assert all(np.abs(value).max() > 0 for value in dw.values())
    norm = layers.BatchNormalization(trainable=False)
    norm.declare((5, 3))
    norm.draw(0)
    y, updates, _ = forward(norm, norm.weights, x, training=True)
    assert updates == {}
    np.testing.assert_allclose(y, x / np.sqrt(1.001), rtol=1e-12)


@pytest.mark.parametrize("kind", [layers.Conv, layers.ConvTranspose, layers.SeparableConv])
@pytest.mark.parametrize("options", [{}, {"padding": "same", "strides": 2, "activation": "gelu"}])
def test_channels_first_is_the_transpose(kind, options):
    x = values(np.random.default_rng(1), (2, 7, 6, 3))
    last = kind(4, (3, 2), **options)
    first = kind(4, (3, 2), data_format="channels_first", **options)
    assert first.declare((3, 7, 6)) == (4, *last.declare((7, 6, 3))[:-1])
    last.draw(0)
    first.draw(0)
    y = first(np.moveaxis(x, -1, 1))
    np.testing.assert_allclose(np.moveaxis(y, 1, -1), last(x), rtol=1e-12)


@pytest.mark.parametrize(
    "kind", [layers.MaxPool, layers.AveragePool, layers.UpSampling, layers.ZeroPadding]
)
def test_channels_first_without_weights(kind):
    x = values(np.random.default_rng(1), (2, 7, 6, 3))
    y = kind(data_format="channels_first")(np.moveaxis(x, -1, 1))
    np.testing.assert_array_equal(np.moveaxis(y, 1, -1), kind()(x))


def test_dropout_scales_what_its_mask_keeps():
    layer = layers.Dropout(0.25)
    x = np.arange(1.0, 7.0).reshape(1, 6)
    mask = np.asarray([[True, False, True, True, False, True]])
    y = layer.forward({}, x, noise=mask)
    np.testing.assert_allclose(y, x * mask / 0.75)
    dx = layer.backward(np.ones_like(x), {}, noise=mask)
    np.testing.assert_allclose(dx, mask / 0.75)
    np.testing.assert_array_equal(layer(x), x)
    rng = np.random.default_rng(0)
    drawn = layer.noise(rng, (5, 6))
    assert (drawn.shape, drawn.dtype) == ((5, 6), bool)
    assert layers.Dropout(0).noise(rng, (5, 6)) is None
    kept = layers.Dropout(0.25)(np.ones((100, 100)), training=True)
    assert abs((kept > 0).mean() - 0.75) < 0.02


DTYPES = ("float16", "float32", "float64")


# One library of each kind is enough, and the standard has no float16.
@pytest.mark.where(lambda xp, dtype: xp != "dask" and (xp, dtype) != ("strict", "float16"))
@pytest.mark.parametrize("dtype", DTYPES)
def test_layers_compute_in_the_dtype_of_their_input(xp, dtype):
    x = xp.array(values(np.random.default_rng(2), (2, 6, 6, 3)).astype(dtype))
    model = models.Sequential(
        [
            layers.Conv(4, 3, padding="same", activation="relu"),
            layers.BatchNormalization(),
            layers.SeparableConv(4, 3),
            layers.LayerNormalization(),
            layers.PReLU(),
            layers.MaxPool(2),
            layers.Dropout(0.5),
            layers.Flatten(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    y = model(x, training=True)
    assert y.dtype == x.dtype == model.weights["conv/kernel"].dtype
    assert all(w.dtype == x.dtype for w in model.weights.values())
    sums = xp.to_numpy(y).astype(np.float64).sum(-1)
    np.testing.assert_allclose(sums, 1, rtol=np.finfo(dtype).eps)


def test_a_shared_layer_keeps_its_weights_shapes():
    layer = layers.Dense(2, name="shared")
    layer.declare((3,))
    with pytest.raises(
        ValueError, match=r"Dense 'shared': was built with weights .*\(3, 2\).* \(4,\) needs"
    ):
        layer.declare((4,))


def test_set_weights_checks_and_then_replaces():
    layer = layers.Dense(2, name="d")
    layer(np.ones((1, 3), dtype=np.float32))
    before = layer.get_weights()
    for bad, message in (
        ([before[0]], "expects 2 arrays (kernel (3, 2), bias (2,)), got 1"),
        ([before[0].T, before[1]], "Dense 'd': kernel has the shape (3, 2), got (2, 3)"),
        ([before[0] * 0, np.zeros(3)], "bias has the shape (2,), got (3,)"),
    ):
        with pytest.raises(ValueError) as caught:
            layer.set_weights(bad)
        assert message in str(caught.value)
        np.testing.assert_array_equal(layer.get_weights()[0], before[0])
    layer.set_weights([np.ones((3, 2)), [5.0, 6.0]])
    assert layer.weights["kernel"].dtype == np.float32
    np.testing.assert_array_equal(layer(np.ones((1, 3), dtype=np.float32)), [[8, 9]])
    layer.get_weights()[0][:] = 7
    np.testing.assert_array_equal(layer.get_weights()[0], np.ones((3, 2)))


INITIALIZERS = [
    ("glorot_uniform", 2 / (18 + 36), False),
    ("glorot_normal", 2 / (18 + 36), True),
    ("he_uniform", 2 / 18, False),
    ("he_normal", 2 / 18, True),
    ("lecun_uniform", 1 / 18, False),
    ("lecun_normal", 1 / 18, True),
]


@pytest.mark.parametrize("name, variance, normal", INITIALIZERS)
def test_initializers_have_their_variance(name, variance, normal):
    drawn = layers.Conv(4000, 3, kernel_initializer=name)
    drawn.declare((8, 8, 2))
    drawn.draw(0)
    w = drawn.get_weights()[0]
    fan_in, fan_out = 9 * 2, 9 * 4000
    scale = variance if "glorot" not in name else 2 / (fan_in + fan_out)
    assert abs(w.mean()) < 4 * np.sqrt(scale / w.size)
    assert abs(w.var() / scale - 1) < 0.02
    limit = np.sqrt(3 * scale) if not normal else 2 * np.sqrt(scale) / 0.87962566103423978
    assert 0.99 * limit < np.abs(w).max() <= limit
    # a uniform's fourth moment is 9/5 of its variance's square, that of a cut normal is above 2
    assert (np.mean(w**4) / scale**2 > 2) == normal


def test_the_seed_and_the_position_alone_choose_the_weights():
    def drawn(seed=0, position=1, **arguments):
        models.set_seed(seed)
        layer = layers.Dense(3, **arguments)
        layer.declare((4,))
        layer.draw(position)
        return layer.get_weights()[0]

    first = drawn()
    np.random.default_rng().random(3)
    np.testing.assert_array_equal(drawn(), first)
    assert (drawn(seed=1) != first).all()
    models.set_seed(0)
    assert (drawn(position=2) != first).all()
    own = models.GlorotUniform(seed=1)
    np.testing.assert_array_equal(drawn(kernel_initializer=own), drawn(seed=1))
    models.set_seed(0)
    np.testing.assert_array_equal(drawn(kernel_initializer="Zeros"), np.zeros((4, 3)))
    np.testing.assert_array_equal(
        drawn(kernel_initializer=models.Constant(2)), np.full((4, 3), 2.0)
    )


@pytest.mark.parametrize("case", CASES, ids=case_id)
def test_config_makes_the_same_layer(case):

    kind, _, arguments, *_ = case
    layer = kind(**arguments, name="mine", trainable=False)
    config = json.loads(json.dumps(layer.get_config()))
    again = kind(**config)
    assert again.get_config() == layer.get_config()
    assert (again.name, again.trainable) == ("mine", False)
    assert set(layer.fields) <= set(config)
    assert repr(layer).startswith(kind.__name__)


def test_normalization_adapts_as_keras(keras):
    x = values(np.random.default_rng(5), (20, 4, 3)) ** 2
    for axis in (-1, None, (1, 2)):
        mine, theirs = layers.Normalization(axis=axis), keras.layers.Normalization(axis=axis)
        mine.adapt(x)
        theirs.adapt(x)
        np.testing.assert_allclose(mine(x), np.asarray(theirs(x)), rtol=1e-6, atol=1e-6)
        for got, want in zip(mine.get_weights()[:2], theirs.weights[:2], strict=True):
            np.testing.assert_allclose(got, np.asarray(want), rtol=1e-6)


def test_equal_inputs_share_the_gradient_of_a_maximum():
    a, b = np.asarray([[1.0, 2.0, 3.0]]), np.asarray([[1.0, 3.0, 2.0]])
    layer = layers.Maximum()
    da, db = layer.backward(np.asarray([[8.0, 4.0, 2.0]]), {}, a, b, y=layer([a, b]))
    np.testing.assert_array_equal(da, [[4, 0, 2]])
    np.testing.assert_array_equal(db, [[4, 4, 0]])


def test_a_rectifier_keeps_what_is_not_finite():
    x = np.asarray([[-np.inf, np.inf, np.nan, 9.0, -2.0, 0.25]])
    np.testing.assert_array_equal(layers.ReLU(6)(x), [[0, 6, np.nan, 6, 0, 0.25]])
    y = layers.ReLU(threshold=0.5, negative_slope=1)(x)
    np.testing.assert_array_equal(y, [[-np.inf, np.inf, np.nan, 9, -2.5, -0.25]])


def test_nodes_are_joined_by_signs_and_functions():
    a, b = (values(np.random.default_rng(i), (2, 3)) for i in range(2))
    one, two = models.Input((3,)), models.Input((3,))
    made = {
        "add": (one + two, layers.add([one, two]), a + b),
        "subtract": (one - two, layers.subtract([one, two]), a - b),
        "multiply": (one * two, layers.multiply([one, two]), a * b),
        "maximum": (layers.maximum([one, two]), layers.Maximum()([one, two]), np.maximum(a, b)),
        "minimum": (layers.minimum([one, two]), layers.Minimum()([one, two]), np.minimum(a, b)),
        "average": (layers.average([one, two]), layers.Average()([one, two]), (a + b) / 2),
        "concatenate": (
            layers.concatenate([one, two]),
            layers.concatenate([one, two], 1),
            np.concatenate([a, b], 1),
        ),
    }
    for name, (sign, function, want) in made.items():
        assert sign.layer.get_config() == {} or name == "concatenate"
        for node in (sign, function):
            np.testing.assert_array_equal(models.Model([one, two], node)([a, b]), want)
    with pytest.raises(TypeError):
        one + 1
    np.testing.assert_array_equal(layers.add([a, b]), a + b)


@pytest.mark.parametrize("name", activation.FUNCTIONS)
def test_activations_are_functions_too(keras, name):
    mine, theirs = activations.get(name), keras.activations.get(name)
    assert mine is getattr(activations, name)
    assert pickle.loads(pickle.dumps(mine)) is mine
    x = values(np.random.default_rng(0), (3, 5))
    options = {"leaky_relu": {"negative_slope": 0.1}, "elu": {"alpha": 0.5}}.get(name, {})
    for given in ({}, options):
        close(mine(x, **given), theirs(x, **given), name)
    layer = layers.Dense(2, activation=mine)
    assert layer.get_config() == layers.Dense(2, activation=name).get_config()
    assert layers.Dense.from_config(layer.get_config()).get_config() == layer.get_config()


@pytest.mark.parametrize("name", sorted(activation.FUNCTIONS))
def test_activations_of_arrays_have_no_batch(xp, name):
    f = getattr(activations, name)
    assert name in dir(activations)
    rows = np.random.default_rng(0).standard_normal((3, 4))
    want = np.asarray(f(rows))
    for row, alone in zip(want, rows, strict=True):
        np.testing.assert_allclose(xp.to_numpy(f(xp.array(alone))), row, rtol=1e-12)
    if "softmax" not in name:
        number = xp.to_numpy(f(xp.array(rows[0, 0])))
        assert number.shape == ()
        np.testing.assert_allclose(float(number), want[0, 0], rtol=1e-12)


def test_softmax_of_an_array_along_its_first_axis(xp):
    x = np.random.default_rng(0).standard_normal((3, 4))
    y = xp.to_numpy(activations.softmax(xp.array(x), axis=0))
    np.testing.assert_allclose(y, np.exp(x) / np.exp(x).sum(0), rtol=1e-12)
    with pytest.raises(ValueError, match="softmax: axis must be one of the 0 axes"):
        activations.softmax(xp.array(np.asarray(1.0)))
    with pytest.raises(ValueError, match="Softmax: axis must lie in 1..1"):
        activations.softmax(models.Input((3,)), axis=0)


def test_a_layer_with_an_activation_of_functions_is_shown():
    assert repr(layers.Activation((np.tanh, np.cos))) == (
        "Activation(activation=(<ufunc 'tanh'>, <ufunc 'cos'>))"
    )
    assert "activation=Softmax(axis=-1)," in repr(layers.Dense(2, activation=layers.Softmax()))


KERAS_NAMES = [
    "Activation", "Add", "Average", "AveragePooling2D", "AvgPool1D", "BatchNormalization", "Concatenate", "Conv1D",
    "Conv2D", "Conv2DTranspose", "Conv3D", "Conv3DTranspose", "Cropping2D", "Dense", "DepthwiseConv2D", "Dropout",
    "Flatten", "GlobalAveragePooling2D", "GlobalAvgPool2D", "GlobalMaxPool3D", "GlobalMaxPooling1D",
    "Identity", "LayerNormalization", "LeakyReLU", "MaxPool2D", "MaxPooling2D", "Maximum", "Minimum", "Multiply",
    "Normalization", "PReLU", "Permute", "ReLU", "Rescaling", "Reshape", "SeparableConv1D", "Softmax",
    "SpatialDropout2D", "Subtract", "UpSampling2D", "ZeroPadding2D",
]  # fmt: skip


@pytest.mark.parametrize("name", KERAS_NAMES)
def test_keras_names_take_keras_arguments(keras, name):
    import inspect

    mine, theirs = getattr(layers, name), getattr(keras.layers, name)
    assert mine.__name__ == theirs.__name__
    assert pickle.loads(pickle.dumps(mine)) is mine
    ours, keras_own = inspect.signature(mine).parameters, inspect.signature(theirs).parameters
    both = [p for p in keras_own if p in ours and p != "kwargs"]
    # Keras itself changes the order in 3-D
    assert name == "Conv3DTranspose" or [p for p in ours if p in both] == both

    def spread(value):
        if isinstance(value, str):
            return value.lower()
        return (value,) * mine.rank if mine.rank and type(value) is int else value

    for p in both:
        if inspect.Parameter.empty not in (ours[p].default, keras_own[p].default):
            assert spread(ours[p].default) == spread(keras_own[p].default), p


def test_models_name_these_layers_as_keras_does(keras):
    for name in KERAS_NAMES:
        layer = {
            "Activation": ("relu",), "Conv1D": (2, 2), "Conv2D": (2, 2), "Conv2DTranspose": (2, 2), "Conv3D": (2, 2),
            "Conv3DTranspose": (2, 2), "Dense": (2,), "DepthwiseConv2D": (2,), "Dropout": (0.5,),
            "Permute": ((2, 1),), "Rescaling": (2,), "Reshape": ((2, 1),), "SeparableConv1D": (2, 2),
            "AveragePooling2D": (2,), "AvgPool1D": (2,), "Cropping2D": (1,), "SpatialDropout2D": (0.5,),
        }.get(name, ())  # fmt: skip
        keras.utils.clear_session()
        theirs = getattr(keras.layers, name)(*layer)
        # no underscore within ReLU
        ours = snake(type(getattr(layers, name)(*layer)).__name__)
        assert ours == theirs.name.replace("re_lu", "relu")


def test_dropout_drops_together_along_its_noise_shape():
    x = np.ones((40, 5, 3))
    y = layers.Dropout(0.5, noise_shape=(None, 1, None), seed=1)(x, training=True)
    assert (y == y[:, :1]).all()
    assert set(np.unique(y)) == {0.0, 2.0}
    assert (y[:, :, 0] != y[:, :, 1]).any()
    for wrong in ((None, 2, None), (None, 1), (None, 1, 1, 1)):
        with pytest.raises(ValueError, match=r"noise_shape .* does not fit \(N, 5, 3\)"):
            layers.Dropout(0.5, noise_shape=wrong)(x)


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_spatial_dropout_drops_whole_channels(keras, data_format):
    x = np.ones((40, 4, 5, 6))
    mine, theirs = (m.SpatialDropout2D(0.5, data_format, seed=1) for m in (layers, keras.layers))
    for y in (mine(x, training=True), np.asarray(theirs(x, training=True))):
        channels = y if data_format == "channels_first" else np.moveaxis(y, -1, 1)
        assert (channels == channels[:, :, :1, :1]).all()
        assert set(np.unique(y)) == {0.0, 2.0}
        assert abs(channels[:, :, 0, 0].mean() - 1) < 0.3
    assert set(mine.get_config()) == {"rate", "data_format", "seed"}
    with pytest.raises(ValueError, match="SpatialDropout2D: expects an input of 2 spatial axes"):
        mine(x[0])
    with pytest.raises(TypeError, match="noise_shape"):
        layers.SpatialDropout2D(0.5, noise_shape=(None, 1, 1, None))


def test_a_seed_of_its_own_decides_what_is_dropped():
    def drawn(seed, layer_seed, step):
        start = models.Input((8,))
        graph = Graph([start], [layers.Dropout(0.5, seed=layer_seed)(start)], "drop")
        (mask,) = graph.program.noise(6, step, seed).values()
        return mask

    np.testing.assert_array_equal(drawn(0, 3, 1), drawn(7, 3, 1))
    assert (drawn(0, 3, 1) != drawn(0, 3, 2)).any()
    assert (drawn(0, 3, 1) != drawn(0, 4, 1)).any()
    assert (drawn(0, None, 1) != drawn(7, None, 1)).any()


DRAWN = {
    "random_normal": (initializers.RandomNormal(), 0, 0.05),
    "RandomNormal": (initializers.RandomNormal(mean=2, stddev=3), 2, 3),
    "truncated_normal": (initializers.TruncatedNormal(), 0, 0.05 * 0.87962566103423978),
    "random_uniform": (initializers.RandomUniform(-1, 3), 1, 4 / np.sqrt(12)),
    "variance_scaling": (initializers.VarianceScaling(3, "fan_out", "uniform"), 0, np.sqrt(3 / 500)),
    "VarianceScaling": (
        initializers.VarianceScaling(3, "fan_avg", "untruncated_normal"), 0, np.sqrt(6 / 900)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", DRAWN)
def test_drawn_values_have_their_mean_and_deviation_which_are_keras_own(keras, name):
    initializer, mean, deviation = DRAWN[name]
    shape, own = (400, 500), initializer.get_config()
    theirs = getattr(keras.initializers, own.pop("class"))(**{**own, "seed": 1})
    for drawn in (initializer(shape, 0, 0), np.asarray(theirs(shape, dtype="float64"))):
        np.testing.assert_allclose(drawn.mean(), mean, atol=4 * deviation / np.sqrt(drawn.size))
        np.testing.assert_allclose(drawn.std(), deviation, rtol=0.01)
    again = layers.Dense(500, kernel_initializer=initializer.get_config()).kernel_initializer
    np.testing.assert_array_equal(again(shape, 0, 0), initializer(shape, 0, 0))
    assert type(layers.Dense(2, kernel_initializer=name).kernel_initializer) is type(initializer)


def test_initializers_and_regularizers_of_ones_own_go_by_name_and_config():
    class HalfWay(initializers.Initializer):
        def __init__(self, value=0.5):
            super().__init__()
            self.value = value

        def draw(self, shape, rng):
            return np.full(shape, self.value)

    class Cubes(models.regularizers.Regularizer):
        def __init__(self, factor):
            self.factor = factor

        def value(self, xp, w):
            return self.factor * xp.sum(xp.abs(w) ** 3)

    layer = layers.Dense(1, kernel_initializer="half_way", kernel_regularizer=Cubes(factor=2))
    again = layers.Dense(**json.loads(json.dumps(layer.get_config())))
    assert again.get_config() == layer.get_config()
    np.testing.assert_array_equal(again(np.ones((1, 3))), [[1.5]])
    assert again.specs["kernel"].regularizer.value(np, np.ones(3)) == 6
    for wrong in ("half", np.ones(3), {"class": "Half"}):
        with pytest.raises(ValueError, match="Dense: kernel_initializer.* must be one of"):
            layers.Dense(1, kernel_initializer=wrong)


@pytest.mark.parametrize("shape", [(5, 5), (3, 3, 2, 4), (2, 9)])
def test_orthogonal_is(shape):
    w = initializers.Orthogonal(gain=2, seed=3)(shape).reshape(-1, shape[-1])
    w = w if w.shape[0] >= w.shape[1] else w.T
    np.testing.assert_allclose(w.T @ w, 4 * np.eye(w.shape[1]), atol=1e-12)
    with pytest.raises(
        ValueError, match=r"Orthogonal: needs a weight of two or more axes, got \(3"
    ):
        initializers.Orthogonal()((3,))


@pytest.mark.parametrize("name", ["l1", "l2", "l1_l2", "L2"])
def test_regularizers_equal_keras(keras, name):
    import jax

    w = values(np.random.default_rng(2), (4, 3))
    arguments = {"l1_l2": {"l1": 0.3, "l2": 0.2}}.get(name, {})
    kind = {"l1": "L1", "l2": "L2", "l1_l2": "L1L2"}.get(name, name)
    mine = getattr(regularizers, kind)(**arguments)
    theirs = getattr(keras.regularizers, kind)(**arguments)
    want, slope = jax.value_and_grad(lambda w: theirs(w))(jax.numpy.asarray(w))
    np.testing.assert_allclose(mine.value(np, w), want, rtol=1e-12)
    np.testing.assert_allclose(mine.gradient(np, w), slope, rtol=1e-12)


REGULARIZED = [
    (layers.Conv2D(2, 3, kernel_regularizer="l1", bias_regularizer="l2"), {"kernel", "bias"}),
    (layers.Conv2DTranspose(2, 3, kernel_regularizer="l1"), {"kernel"}),
    (layers.DepthwiseConv2D(3, depthwise_regularizer="l1"), {"kernel"}),
    (
        layers.SeparableConv2D(2, 3, depthwise_regularizer="l1", pointwise_regularizer="l2", bias_regularizer="l2"),
        {"depthwise_kernel", "pointwise_kernel", "bias"},
    ),
    (layers.Dense(2, bias_regularizer=regularizers.L2(0.1)), {"bias"}),
    (layers.BatchNormalization(gamma_regularizer="l1", beta_regularizer="l2"), {"gamma", "beta"}),
    (layers.LayerNormalization(gamma_regularizer="l1"), {"gamma"}),
    (layers.PReLU(alpha_regularizer="l1"), {"alpha"}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("layer", "wanted"), REGULARIZED, ids=[type(a).__name__ for a, _ in REGULARIZED]
)
def test_regularizers_reach_their_weights(layer, wanted):
    start = models.Input((6, 6, 3))
    graph = Graph([start], [layer(start)], "regularized")
    assert {name for _, name in graph.program.regularizers} == wanted
    again = type(layer)(**layer.get_config())
    assert again.get_config() == layer.get_config()


def test_an_input_shape_is_keras_own(keras):
    x = values(np.random.default_rng(0), (2, 8, 8, 3))
    layer = layers.Conv2D(filters=6, kernel_size=(2, 2), input_shape=(8, 8, 3))
    assert layer(x).shape == (2, 7, 7, 6)


def test_the_further_layers_compute_on_every_library(xp):
    start = models.Input((6, 5, 3))
    x = layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 4.0])(start)
    x = layers.Cropping(((1, 0), (0, 1)))(layers.Rescaling([0.5, 1.0, 2.0], offset=0.1)(x))
    x = layers.ReLU(max_value=1.5, negative_slope=0.1, threshold=0.1)(layers.DepthwiseConv(1)(x))
    gate = layers.Reshape((1, 1, -1))(layers.GlobalAveragePool()(x))
    x = layers.Maximum()([x * gate, x - gate, layers.Minimum()([x, gate])])
    x = layers.Identity()(layers.Average()([x, gate, x]))
    x = layers.concatenate([x, layers.SeparableConv(2, 1)(x)])
    x = layers.UpSampling(2)(layers.ZeroPadding(1)(layers.Permute((2, 1, 3))(x)))
    graph = Graph([start], [layers.ConvTranspose(2, 3, strides=2)(x)], "further")
    graph.draw()
    data = values(np.random.default_rng(1), (4, 6, 5, 3))

    def run(x, convert):
        (x,) = graph.as_inputs(x)
        weights = graph.beside(x)
        (y,), tape, _ = graph.program.forward(weights, [x], training=True)
        dy = values(np.random.default_rng(2), tuple(y.shape))
        return y, graph.program.backward([convert(dy)], weights, tape)

    want, wanted = run(data, np.asarray)
    y, gradients = run(xp.array(data, batch=True), lambda dy: xp.array(dy, batch=True))
    with xp.computing():
        np.testing.assert_allclose(xp.to_numpy(y), want, rtol=1e-10, atol=1e-12)
        for key, dw in wanted.items():
            np.testing.assert_allclose(xp.to_numpy(gradients[key]), dw, rtol=1e-8, atol=1e-10)

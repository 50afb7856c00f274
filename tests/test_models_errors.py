"""What layers and models say of arguments, shapes and weights that do not fit."""

import numpy as np
import pytest

import arrayconv as ac
from arrayconv import models
from arrayconv.models import callbacks, initializers, layers, metrics

LAYERS = [
    (lambda: layers.Conv(0, 3), ValueError, "Conv: filters must be an int of at least 1, got 0"),
    (lambda: layers.Conv(8), TypeError, "kernel_size"),
    (lambda: layers.Conv(8, 3, strides="a"), TypeError, "Conv: strides expects ints, got 'a'"),
    (lambda: layers.Conv(8, 3, strides=0), ValueError, "Conv: strides must be at least 1, got 0"),
    (lambda: layers.Conv(8, 0), ValueError, "Conv: kernel_size must be at least 1, got 0"),
    (lambda: layers.Conv(8, ()), ValueError, "Conv: kernel_size expects an int or 1 ints"),
    (
        lambda: layers.Conv2D(8, (3, 3, 3)),
        ValueError,
        "Conv2D: kernel_size expects an int or 2 ints, one per spatial axis, got (3, 3, 3)",
    ),
    (
        lambda: layers.Conv(8, 3, strides=(1, 1))(np.ones((2, 9, 3))),
        ValueError,
        "Conv: strides expects an int or 1 ints, one per spatial axis, got (1, 1)",
    ),
    (lambda: layers.DepthwiseConv(3, dilation_rate=0), ValueError, "dilation_rate must be at le"),
    (lambda: layers.Conv2D(8, 3, padding="smae"), ValueError, "'valid', 'same', 'same_lower', 'c"),
    (
        lambda: layers.Conv2D(8, 3, padding="causal"),
        ValueError,
        "Conv2D: padding 'causal' is for one spatial axis, not for 2",
    ),
    (lambda: layers.MaxPool(0), ValueError, "MaxPool: pool_size must be at least 1, got 0"),
    (lambda: layers.MaxPool(2, strides="2"), TypeError, "MaxPool: strides expects ints, got '2'"),
    (lambda: layers.AveragePooling2D(2, padding=-1), ValueError, "padding must not be negative"),
    (lambda: layers.Cropping(-1), ValueError, "Cropping: cropping must not be negative, got -1"),
    (lambda: layers.ZeroPadding2D((1, 2, 3)), ValueError, "padding expects 2 entries, one per"),
    (lambda: layers.UpSampling(1.5), TypeError, "UpSampling: size expects ints, got 1.5"),
    (lambda: layers.ConvTranspose(2, 3, output_padding=-1), ValueError, "output_padding must be"),
    (
        lambda: layers.Conv(8, 3, stride=2),
        TypeError,
        "Conv: unknown argument 'stride'; did you mean 'strides'?",
    ),
    (lambda: layers.Dense("8"), TypeError, "Dense: units must be an int"),
    (lambda: layers.Conv(2.5, 3), TypeError, "Conv: filters must be an int of at least 1, got 2.5"),
    (lambda: layers.Dropout("a"), TypeError, "Dropout: rate must be a number, got 'a'"),
    (
        lambda: layers.Dropout(np.nan),
        ValueError,
        "rate must be at least 0 and less than 1, got nan",
    ),
    (
        lambda: layers.BatchNormalization(momentum=None),
        TypeError,
        "momentum must be a number, got None",
    ),
    (
        lambda: layers.LayerNormalization(center="no"),
        TypeError,
        "center must be True or False, got 'no'",
    ),
    (lambda: layers.GELU("tanh"), TypeError, "approximate must be True or False, got 'tanh'"),
    (lambda: layers.Dense(2, use_bias="False"), TypeError, "use_bias must be True or False"),
    (lambda: layers.Dense(2, trainable=0), TypeError, "trainable must be True or False, got 0"),
    (lambda: layers.GlobalMaxPool(keepdims="no"), TypeError, "keepdims must be True or False"),
    (lambda: layers.Dense(8, activation="rellu"), ValueError, "did you mean 'relu'?"),
    (
        lambda: layers.Dense(8, activation=ac.relu),
        TypeError,
        "Dense: activation must be a name, a layer or a pair (f, f_vjp), got <function relu",
    ),
    (
        lambda: layers.Dense(8, kernel_initializer="glorot"),
        ValueError,
        "kernel_initializer must be one of constant, glorot_normal",
    ),
    (lambda: layers.Dense(8, name="a/b"), ValueError, "name must be a string without '/'"),
    (lambda: layers.Dense(8, input_shape=784), ValueError, "such as (28, 28, 1); got 784"),
    (lambda: layers.Dense(8, input_shape=(None, 784)), ValueError, "without the batch axis"),
    (lambda: layers.Dropout(1), ValueError, "rate must be at least 0 and less than 1, got 1"),
    (lambda: layers.LeakyReLU("a"), TypeError, "negative_slope must be a number"),
    (
        lambda: layers.BatchNormalization(momentum=2),
        ValueError,
        "momentum must lie in [0, 1], got 2",
    ),
    (lambda: layers.BatchNormalization(epsilon=0), ValueError, "epsilon must be greater than 0"),
    (lambda: layers.BatchNormalization(axis=2).declare((3, 4, 5)), ValueError, "axis must be -1"),
    (lambda: layers.Softmax(axis=3).declare((3,)), ValueError, "axis must lie in 1..1"),
    (
        lambda: layers.ConvTranspose(2, 3, padding="causal"),
        ValueError,
        "padding must be 'valid' or 'same'",
    ),
    (
        lambda: layers.ConvTranspose(2, 3, output_padding=1).declare((5, 1)),
        ValueError,
        "smaller than strides",
    ),
    (
        lambda: layers.UpSampling(2, interpolation="cubic"),
        ValueError,
        "interpolation must be one of bilinear, nearest",
    ),
    (lambda: layers.Conv(2, 3, data_format="NHWC"), ValueError, "data_format must be"),
    (
        lambda: layers.Conv(2, 3, name="stem").declare((10,)),
        ValueError,
        "Conv 'stem': expects an input with one or more spatial axes",
    ),
    (
        lambda: layers.Conv2D(2, 3, name="stem").declare((28, 28)),
        ValueError,
        "Conv2D 'stem': expects an input of 2 spatial axes and channels, got (N, 28, 28)",
    ),
    (
        lambda: layers.MaxPooling1D()(np.ones((2, 4, 4, 3))),
        ValueError,
        "MaxPooling1D: expects an input of 1 spatial axes and channels, got (N, 4, 4, 3)",
    ),
    (
        lambda: layers.Conv2D(2, 3, kernel_constraint=1),
        TypeError,
        "Conv2D: unknown argument 'kernel_constraint'; weights are not constrained",
    ),
    (lambda: layers.Dense(2, dtype="float16"), TypeError, "'dtype'; the dtype of the data decides"),
    (lambda: layers.Dense(2, activation=3), ValueError, "Dense: activation must be one of elu, ge"),
    (lambda: layers.ReLU(max_value=-1), ValueError, "ReLU: max_value must be at least 0, got -1"),
    (lambda: layers.ReLU(threshold="a"), TypeError, "ReLU: threshold must be a number, got 'a'"),
    (lambda: layers.Reshape((2, -1, -1)), ValueError, "Reshape: one length may be -1, got"),
    (lambda: layers.Reshape((2, 0)), ValueError, "Reshape: a shape is a tuple of positive ints"),
    (lambda: layers.Reshape((4, -1)).declare((6,)), ValueError, "(4, -1) does not fit (6,)"),
    (lambda: layers.Permute((0, 1)), ValueError, "Permute: dims must hold 1 to the number of axes"),
    (lambda: layers.Flatten(28, 28), TypeError, "Flatten: takes no further argument, got 28"),
    (
        lambda: layers.Dense(2)(np.ones((2, 3), complex)),
        TypeError,
        "Dense: the inputs must be real floating, integer or boolean, got complex128",
    ),
    (lambda: layers.Dense(2, activation=np.tanh), TypeError, "did you mean 'tanh'?"),
    (lambda: models.Input((3,)) * 2, TypeError, "Rescaling(scale, offset) takes numbers"),
    (lambda: models.Model(), TypeError, "Model: needs inputs and outputs, the nodes of Input(...)"),
    (
        lambda: models.Sequential(layers.Dense(3), layers.Dense(2)),
        TypeError,
        "Sequential: layers must be a list of layers, got Dense(",
    ),
    (lambda: layers.Permute((1, 3)), ValueError, "Permute: dims must hold 1 to the number of axes"),
    (
        lambda: layers.PReLU(shared_axes=1.5),
        TypeError,
        "PReLU: shared_axes must be an int, got 1.5",
    ),
    (lambda: layers.PReLU(shared_axes="ab"), TypeError, "shared_axes must be an int, got 'ab'"),
    (
        lambda: layers.Average()([np.ones((2, 3)), np.ones((3, 3))]),
        ValueError,
        "Average: the first axis is the batch, as long in every input, got (2, 3), (3, 3)",
    ),
    (
        lambda: layers.ReLU()(np.ones(())),
        ValueError,
        "ReLU: the first axis is the batch, as long in every input, got ()",
    ),
    (lambda: layers.Permute((1.0, 2)), TypeError, "Permute: dims must be an int, got 1.0"),
    (lambda: layers.Permute((True, 2)), TypeError, "Permute: dims must be an int, got True"),
    (lambda: layers.Permute({1}), ValueError, "dims must hold 1 to the number of axes, got {1}"),
    (
        lambda: layers.SpatialDropout2D(0.5, noise_shape=(1,)),
        TypeError,
        "SpatialDropout2D: unknown argument 'noise_shape'; a mask has one number for each channel",
    ),
    (lambda: layers.Permute((2, 1)).declare((3,)), ValueError, "dims (2, 1) do not fit an input"),
    (
        lambda: layers.Cropping((1, 2)).declare((3, 1)),
        ValueError,
        "Cropping: cropping ((1, 2),) leaves nothing of (3,)",
    ),
    (lambda: layers.Rescaling("a"), TypeError, "Rescaling: scale must be a number, got 'a'"),
    (lambda: layers.Rescaling([1, 2]).declare((3,)), ValueError, "2 numbers do not fit (3,)"),
    (lambda: layers.Normalization(mean=1), ValueError, "are given together or not at all"),
    (lambda: models.initializers.VarianceScaling(0), ValueError, "scale must be greater than 0"),
    (
        lambda: models.initializers.VarianceScaling(mode="fan"),
        ValueError,
        "mode must be one of fan_avg, fan_in, fan_out, got 'fan'",
    ),
    (
        lambda: layers.Dense(2, kernel_initializer="random_norm"),
        ValueError,
        "did you mean 'random_normal'?",
    ),
    (
        lambda: layers.subtract([models.Input((2,))] * 3),
        ValueError,
        "Subtract: takes a list of 2 inputs, got 3",
    ),
    (
        lambda: layers.Subtract()([models.Input((2,))]),
        ValueError,
        "Subtract: takes a list of 2 inputs, got 1",
    ),
    (
        lambda: layers.Conv(2, (3, 3), name="stem").declare((28, 28)),
        ValueError,
        "Conv 'stem': kernel_size expects an int or 1 ints",
    ),
    (
        lambda: layers.Conv(2, 5, name="stem").declare((4, 4, 1)),
        ValueError,
        "Conv 'stem': the window is larger than the padded input on spatial axis 0",
    ),
    (
        lambda: layers.Conv(2, 3, groups=2, name="g").declare((4, 4, 3)),
        ValueError,
        "Conv 'g': groups must divide",
    ),
    (
        lambda: layers.MaxPool(5, name="p").declare((4, 4, 1)),
        ValueError,
        "MaxPool 'p': the window is larger",
    ),
    (
        lambda: layers.Dense(3, name="d").declare(()),
        ValueError,
        "Dense 'd': expects an input (N, ..., features)",
    ),
    (
        lambda: layers.Add(name="sum")([models.Input((2,)), models.Input((3,))]),
        ValueError,
        "Add 'sum': needs inputs of one shape, got (2,), (3,)",
    ),
    (
        lambda: layers.Add()(models.Input((2,))),
        ValueError,
        "Add: needs a list of two or more inputs, got 1",
    ),
    (
        lambda: layers.Concatenate()([models.Input((2, 3)), models.Input((3, 3))]),
        ValueError,
        "differ along axis -1 alone",
    ),
    (
        lambda: layers.Dense(2)([models.Input((2,)), models.Input((2,))]),
        ValueError,
        "Dense: takes 1 input, got 2",
    ),
    (lambda: layers.Dense(2)(layers.Dense(3)), TypeError, "got the Dense itself"),
    (lambda: layers.Dense(2)([[1.0, 2.0]]), TypeError, "must be called on an array"),
    (
        lambda: layers.Dense(2).get_weights(),
        ValueError,
        "Dense: get_weights needs weights, and it has none yet",
    ),
    (lambda: layers.Dense(2).count_params(), ValueError, "count_params needs an input shape"),
    (lambda: models.Conv2D, AttributeError, "here it is Conv, for 1-D to 3-D"),
    (lambda: models.load_model, AttributeError, "here it is load"),
    (lambda: models.Conve, AttributeError, "no attribute 'Conve'"),
    (lambda: models.MaxPooling2D, AttributeError, "here it is MaxPool"),
    (lambda: models.add, AttributeError, "it is layers.add"),
    (lambda: models.Input(784), ValueError, "Input: a shape is a tuple of positive ints"),
    (lambda: models.set_seed(-1), ValueError, "seed must be an int of at least 0, got -1"),
]


def _disconnected():
    a, b = models.Input((2,), name="a"), models.Input((2,), name="b")
    models.Model(a, layers.Add()([a, layers.Dense(2)(b)]))


def _twice():
    start = models.Input((2,))
    models.Model(start, layers.Dense(2, name="d")(layers.Dense(2, name="d")(start)))


def _two_inputs():
    a, b = models.Input((8, 8, 3), name="a"), models.Input((8, 8, 3), name="b")
    return models.Model([a, b], layers.Add()([a, b]))


def _built():
    return models.Sequential(
        [models.Input((4, 4, 1), name="image"), layers.Flatten(), layers.Dense(2)]
    )


def _weights():
    model = _built()
    model.weights = {"dense/kernel": np.ones((16, 2)), "other/bias": np.ones(2)}


MODELS = [
    (
        _disconnected,
        "the graph is disconnected: the outputs depend on Input 'b', which is not among inputs",
    ),
    (_twice, "two layers are called 'd'; give one of them another name"),
    (
        lambda: models.Sequential([layers.Dense(2)]).get_weights(),
        "has no input shape yet: start it with Input",
    ),
    (lambda: models.Sequential([layers.Dense(2)]).summary(), "has no input shape yet"),
    (lambda: models.plot_model(models.Sequential([layers.Dense(2)])), "has no input shape yet"),
    (lambda: models.Sequential().build((3,)), "has no layers yet; add one first"),
    (lambda: models.Sequential()(np.ones((1, 2))), "has no layers yet; add one first"),
    (lambda: models.Sequential([layers.Dense(2), models.Input((3,))]), "an Input must come first"),
    (
        lambda: models.Sequential([layers.Dense]),
        "got <class 'arrayconv.models.layers.dense.Dense'>; Dense() makes one",
    ),
    (lambda: models.Sequential(layers.Dense(2)), "layers must be a list of layers"),
    (lambda: models.Sequential([ac.relu]), "add expects a layer, got <function relu"),
    (
        lambda: models.Model(layers.Dense(2), layers.Dense(3)),
        "inputs must be what Input(...) or a layer called on nodes gave",
    ),
    (lambda: models.Model([], models.Input((2,))), "inputs must hold at least one node"),
    (
        lambda: _built()(np.ones((3, 5, 4, 1))),
        "Input 'image' expects an array of shape (N, 4, 4, 1), got (3, 5, 4, 1)",
    ),
    (lambda: _built()(np.ones((3, 4, 4))), "x[..., None] adds the axis of one channel"),
    (lambda: _built()(np.ones((4, 4, 1))), "x[None, ...] makes a batch of one"),
    (lambda: _built()(np.ones((3, 16))), "xp.reshape may help"),
    (lambda: _built()([[1.0, 2.0]]), "must be an array of a library"),
    (lambda: _two_inputs()(np.ones((2, 8, 8, 3))), "takes 2 inputs (a, b), got 1"),
    (
        lambda: _two_inputs()([np.ones((2, 8, 8, 3)), np.ones((3, 8, 8, 3))]),
        "equally many samples, got [2, 3]",
    ),
    (
        lambda: _two_inputs()({"a": np.ones((2, 8, 8, 3)), "c": 0}),
        "the inputs are called a, b, got a, c",
    ),
    (lambda: _built().get_layer("conv"), "has no layer 'conv'; it has flatten, dense"),
    (lambda: _built().get_layer(index=2), "has no layer with index 2"),
    (
        lambda: _built().set_weights([np.ones((16, 2))]),
        "set_weights expects 2 arrays (dense/kernel, dense/bias), got 1",
    ),
    (
        lambda: _built().set_weights([np.ones((16, 3)), np.ones(2)]),
        "Dense 'dense': kernel has the shape (16, 2), got (16, 3)",
    ),
    (_weights, "missing ['dense/bias'], unknown ['other/bias']"),
    (
        lambda: models.from_config({"class": "Net"}),
        "class must be one of Model, Sequential, got 'Net'",
    ),
    (
        lambda: models.from_config({"class": "Sequential", "name": "s"}),
        "the Sequential config has no 'input'",
    ),
    (
        lambda: layers.Conv(2, 3)(layers.Conv(2, 3)(models.Input((4, 4, 1)))),
        "Conv: the window is larger",
    ),
    (
        lambda: models.Sequential(
            [layers.Conv(2, 3, input_shape=(4, 4, 1)), layers.Conv(2, 3, name="second")]
        ),
        "Conv 'second': the window is larger",
    ),
    (
        lambda: models.Sequential(
            [layers.Dense(2, name="d", input_shape=(3,)), layers.Dense(2, name="d")]
        ),
        "two layers are called 'd'",
    ),
]


ARGUMENTS = [
    (lambda: metrics.BinaryAccuracy(threshold="a"), TypeError, "threshold must be a number"),
    (lambda: metrics.TopKCategoricalAccuracy(k=0), ValueError, "k must be an int of at least 1"),
    (
        lambda: metrics.AUC(thresholds=[0.5]),
        TypeError,
        "AUC: unknown argument 'thresholds'; did you",
    ),
    (lambda: metrics.Precision(top_k=2), TypeError, "'top_k'; TopKCategoricalAccuracy(k) counts"),
    (lambda: models.HeNormal(sed=1), TypeError, "Initializer.__init__() got an unexpected keyword"),
    (lambda: models.PolynomialDecay(1, 2, power="2"), TypeError, "power must be a number, got '2'"),
    (
        lambda: models.PolynomialDecay(1, 2, cycle=1),
        TypeError,
        "cycle must be True or False, got 1",
    ),
    (lambda: models.ExponentialDecay(1, 2, None), TypeError, "decay_rate must be a number, got No"),
    (lambda: models.utils.to_categorical(["a"]), TypeError, "x must hold whole numbers, got <U1"),
    (lambda: models.load("a.keras", custom_objects={}), TypeError, "found by their names"),
    (lambda: models.activations.get("relo"), ValueError, "did you mean 'relu'?"),
    (lambda: metrics.get("x"), ValueError, "metrics.get: identifier must be one of"),
    (lambda: models.losses.get("x"), ValueError, "losses.get: identifier must be one of"),
    (lambda: models.losses.get(max), TypeError, "losses.get: identifier must be a name, a Loss"),
    (lambda: models.optimizers.get("x"), ValueError, "optimizers.get: identifier must be one of"),
    (
        lambda: models.Sequential().compile("sgd", "mse", weighted_metrics=["x"]),
        ValueError,
        "compile: weighted_metrics must be one of",
    ),
    (
        lambda: models.Sequential().compile("x", "mse"),
        ValueError,
        "compile: optimizer must be one of",
    ),
    (
        lambda: models.Model.from_config(models.Sequential().get_config()),
        ValueError,
        "from_config: class must be 'Model', got 'Sequential'; models.from_config makes",
    ),
    (
        lambda: models.Sequential.from_config({"class": "Model"}),
        ValueError,
        "from_config: class must be 'Sequential', got 'Model'",
    ),
    (lambda: models.Model.from_config(None), ValueError, "class must be 'Model', got None"),
    (lambda: models.Sequential.from_config(None), ValueError, "be 'Sequential', got None"),
    (lambda: getattr(models.activations, ""), AttributeError, "has no attribute ''"),
    (
        lambda: _built().fit(nb_epoch=5),
        TypeError,
        "fit: there is no argument nb_epoch; did you mean",
    ),
    (lambda: _built().evaluate(workers=5), TypeError, "no argument workers; it takes x, y, batch_"),
    (
        lambda: _built().predict(np.ones((1, 4, 4, 1)), batch_size=0),
        ValueError,
        "predict: batch_size",
    ),
    (lambda: models.Adam(epsilon="x"), TypeError, "Adam: epsilon must be a number"),
    (lambda: models.RMSprop(epsilon=-1), ValueError, "RMSprop: epsilon must be at least 0"),
    (lambda: callbacks.EarlyStopping(patience="x"), TypeError, "patience must be an int"),
    (lambda: callbacks.ReduceLROnPlateau(factor=-1), ValueError, "factor must be at least 0"),
    (lambda: callbacks.ReduceLROnPlateau(cooldown=-1), ValueError, "cooldown must be an int"),
    (lambda: initializers.RandomNormal(stddev=-1), ValueError, "stddev must be at least 0"),
    (lambda: initializers.RandomUniform(1, 0), ValueError, "maxval must be at least 1.0"),
    (lambda: initializers.Constant("a"), TypeError, "value must be a number or nested"),
    (
        lambda: initializers.Constant([1, 2])((3,)),
        ValueError,
        "weight's shape (3,), got shape (2,)",
    ),
    (lambda: models.layers.Reshape(5), TypeError, "target_shape must be a tuple of ints, got 5"),
    (
        lambda: models.layers.Normalization(mean=[1, 2], variance=1).declare((3,)),
        ValueError,
        "mean must be a number or of shape (3,), got shape (2,)",
    ),
]


@pytest.mark.parametrize(
    "make, kind, message", LAYERS + ARGUMENTS, ids=[m for *_, m in LAYERS + ARGUMENTS]
)
def test_errors_of_arguments(make, kind, message):
    with pytest.raises(kind) as caught:
        make()
    assert message in str(caught.value)


@pytest.mark.parametrize("make, message", MODELS, ids=[m for _, m in MODELS])
def test_errors_of_models(make, message):
    with pytest.raises((ValueError, TypeError)) as caught:
        make()
    assert message in str(caught.value)


def test_values_that_broadcast_are_accepted():
    assert initializers.Constant([1, 2])((3, 2)).tolist() == [[1, 2]] * 3
    models.layers.Normalization(mean=[1, 2], variance=1).declare((2,))


@pytest.mark.parametrize("name", ["Conv2D", "MaxPooling3D", "load_model", "Conve"])
def test_a_name_that_models_lacks(name):
    assert not hasattr(models, name)
    assert getattr(models, name, None) is None

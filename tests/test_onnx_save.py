"""Networks of `arrayconv.models` as ONNX files, run by onnxruntime."""

import numpy as np
import pytest

import arrayconv as ac
from arrayconv import models as m

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")

FIRST = {"data_format": "channels_first"}


def branches():
    x = m.Input((8, 9, 3))
    a = m.Conv(4, 3, padding="same", activation="silu")(x)
    b = m.Conv(4, 1)(x)
    y = m.Concatenate()([m.Add()([a, b]), x])
    return m.Model(x, [m.GlobalMaxPool()(y), m.UpSampling(2)(y)])


def joined():
    x = m.Input((8, 9, 3))
    a, b, c = m.Conv(4, 1)(x), m.Conv(4, 1)(x), m.Conv(4, 1)(x)
    gate = m.GlobalAveragePool(keepdims=True)(a)
    y = m.Minimum()([m.Maximum()([a, b, c]), m.Average()([a, b, c])])
    y = m.Concatenate()(
        [y, m.Multiply()([a, gate, c]), m.Subtract()([a, gate]), m.Add()([b, gate])]
    )
    # one of them in the order of the model
    return m.Model(x, [y, m.Subtract()([x, m.Conv(3, 1)(y)])])


MODELS = {
    "conv": lambda: m.Sequential([
        m.Conv(4, 3, padding="same", strides=2), m.BatchNormalization(), m.ReLU(), m.MaxPool(2),
        m.Dropout(0.5), m.Flatten(), m.Dense(5, activation="softmax"),
    ]),
    "depthwise": lambda: m.Sequential([
        m.ZeroPadding(((1, 0), (2, 1))), m.DepthwiseConv(3, depth_multiplier=2, activation="gelu"),
        m.SeparableConv(6, 3, padding="same", activation="hard_swish"), m.AveragePool(2, padding="same"),
        m.GlobalAveragePool(), m.Dense(3, activation="log_softmax"),
    ]),
    "transposed": lambda: m.Sequential([
        m.ConvTranspose(4, 3, strides=2, padding="same", activation="leaky_relu"),
        m.ConvTranspose(2, 2, strides=3), m.UpSampling(2, interpolation="bilinear"), m.Activation("tanh"),
    ]),
    "norms": lambda: m.Sequential([
        m.Conv(4, 3, groups=1, dilation_rate=2, activation="elu"), m.LayerNormalization(), m.PReLU(),
        m.PReLU(shared_axes=[1, 2]), m.LeakyReLU(0.125), m.ELU(0.5), m.SELU(), m.HardSigmoid(), m.Softplus(),
        m.GELU(approximate=True), m.Softmax(axis=1), m.GlobalMaxPool(keepdims=True),
    ]),
    "branches": branches,
    "joined": joined,
    "shapes": lambda: m.Sequential([
        m.Rescaling([0.5, 1.0, 2.0], offset=[0.1, 0.2, 0.3]), m.Cropping(((1, 0), (0, 2))), m.Conv(4, 2),
        m.Rescaling(1 / 3, offset=-1), m.Cropping(1), m.Permute((3, 1, 2)), m.Reshape((2, -1, 4)), m.Conv(3, 1),
        m.SpatialDropout(0.5), m.Identity(), m.Permute((2, 1, 3)), m.Reshape((-1,)), m.Dense(2),
    ]),
    "normalized": lambda: m.Sequential([
        m.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 4.0]), m.Conv(2, 2),
        m.Normalization(axis=(1, 3)), m.Normalization(axis=None, mean=0.5, variance=2.0, invert=True),
        m.Normalization(axis=2, mean=0.5, variance=0.0625),
    ]),
    "one rank each": lambda: m.Sequential([
        m.layers.ZeroPadding2D(1), m.layers.Conv2D(4, 3, activation=m.ReLU(max_value=0.5)), m.layers.DepthwiseConv2D(2),
        m.layers.SeparableConv2D(3, 2), m.ReLU(negative_slope=0.25),
        m.layers.Conv2DTranspose(2, 2, activation="relu6"), m.layers.MaxPooling2D(2),
        m.layers.GlobalAveragePooling2D(), m.Dense(3, activation=m.LeakyReLU(0.125)),
    ]),
}  # fmt: skip


def noisy(model):
    """Give every weight a value that shows."""
    rng = np.random.default_rng(0)
    model.set_weights(
        [rng.uniform(0.2, 1.0, w.shape).astype(np.float32) - 0.1 for w in model.get_weights()]
    )
    return model


def compared(model, x, path):
    model(x)
    noisy(model)
    ac.onnx.save(model, path, x)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    net = ac.onnx.load(path)
    for images in (x, np.concatenate([x, x[:1]])):
        want = model(images)
        want = want if isinstance(want, list | tuple) else [want]
        found = net(images)
        ours = found if isinstance(found, tuple) else (found,)
        theirs = session.run(None, {session.get_inputs()[0].name: images})
        for expected, *others in zip(want, theirs, ours, strict=True):
            for got in others:
                assert got.shape == expected.shape
                assert np.max(np.abs(got - expected)) <= 1e-5 * np.max(np.abs(expected))


@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_computes_the_same(name, tmp_path):
    x = np.random.default_rng(1).standard_normal((2, 8, 9, 3)).astype(np.float32)
    compared(MODELS[name](), x, str(tmp_path / "net.onnx"))


def test_every_layer_is_written():
    from arrayconv.onnx.saving import ACTIVATIONS
    from arrayconv.onnx.saving_layers import LAYERS

    own = {
        name
        for name, kind in m.layers.base.LAYERS.items()
        if kind.__module__.startswith("arrayconv.models") and kind.rank is None
    }
    assert own - set(LAYERS) - set(ACTIVATIONS) == {"InputLayer", "ReLU", "SiLU"}


def test_channels_first(tmp_path):
    model = m.Sequential([
        m.Conv(4, 3, padding="same", **FIRST), m.Cropping(1, **FIRST), m.BatchNormalization(axis=1),
        m.MaxPool(2, **FIRST), m.Flatten(), m.Dense(3),
    ])  # fmt: skip
    x = np.random.default_rng(1).standard_normal((2, 3, 8, 10)).astype(np.float32)
    compared(model, x, str(tmp_path / "net.onnx"))


def test_sequences(tmp_path):
    model = m.Sequential([
        m.Conv(4, 3, padding="causal", dilation_rate=2), m.ZeroPadding((2, 1)), m.Cropping((1, 2)),
        m.AveragePool(3), m.Dense(2),
    ])  # fmt: skip
    x = np.random.default_rng(1).standard_normal((2, 20, 3)).astype(np.float32)
    compared(model, x, str(tmp_path / "net.onnx"))


def test_trained_here(tmp_path):
    """The digits of a trained model are onnxruntime's."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((64, 6, 6, 1)).astype(np.float32)
    labels = (x.mean((1, 2, 3)) > 0).astype(np.int64)
    model = m.Sequential(
        [m.Conv(4, 3, activation="relu"), m.BatchNormalization(), m.Flatten(), m.Dense(2)]
    )
    loss = m.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss)
    model.fit(x, labels, epochs=2, batch_size=16, verbose=0)
    path = str(tmp_path / "net.onnx")
    ac.onnx.save(model, path, x[:1])
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {session.get_inputs()[0].name: x})
    want = model.predict(x, verbose=0)
    assert np.max(np.abs(got - want)) <= 1e-5 * np.max(np.abs(want))


def test_what_cannot_be_saved(tmp_path):
    x = np.zeros((1, 4, 4, 2), np.float32)
    with pytest.raises(TypeError, match="one of arrayconv.models, got function"):
        ac.onnx.save(lambda x: x, tmp_path / "net.onnx", x)
    with pytest.raises(ValueError, match="all axes from one to the last"):
        ac.onnx.save(m.Sequential([m.LayerNormalization(axis=[1, 2])]), tmp_path / "net.onnx", x)


@pytest.mark.parametrize("name", ["Identity", "Dense2D", "_Dense"])
def test_a_layer_of_the_user_is_not_written_as_one_here(name, tmp_path, monkeypatch):
    from arrayconv.models.layers import registry

    monkeypatch.setattr(registry, "LAYERS", dict(registry.LAYERS))
    own = type(name, (m.layers.Identity,), {"forward": lambda self, w, x: 3 * x})
    with pytest.raises(ValueError, match="another name|not written as ONNX operators"):
        ac.onnx.save(m.Sequential([own()]), tmp_path / "net.onnx", np.ones((1, 2), np.float32))


@pytest.mark.parametrize("layer", [m.ReLU(threshold=0.5), m.ReLU(6.0, negative_slope=0.1)])
def test_a_relu_that_onnx_has_not(layer, tmp_path):
    with pytest.raises(ValueError, match="'relu' is a ReLU with a threshold"):
        ac.onnx.save(m.Sequential([layer]), tmp_path / "net.onnx", np.ones((1, 2), np.float32))


def test_outputs_by_key(tmp_path):
    start = m.Input((4,))
    model = m.Model(start, {"b": m.Dense(2)(start), "a": m.Dense(3)(start)})
    x = np.random.default_rng(1).standard_normal((2, 4)).astype(np.float32)
    ac.onnx.save(model, path := str(tmp_path / "net.onnx"), x)
    session = ort.InferenceSession(path, providers=["CPUExecutionProvider"])
    want = model(x)
    for end, got in zip(session.get_outputs(), session.run(None, {"input_layer": x}), strict=True):
        np.testing.assert_allclose(got, want[end.name], rtol=1e-5, atol=1e-6)
    assert {end.name for end in session.get_outputs()} == {"a", "b"}

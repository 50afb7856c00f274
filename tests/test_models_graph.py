"""Models as graphs: order, weights, shared layers, several inputs and outputs, memory, pictures and errors."""

import copy
import gc
import json
import pickle
import weakref

import numpy as np
import pytest
from reference_keras import keras_in

import arrayconv as ac
from arrayconv import models


@pytest.fixture(scope="module")
def keras():
    with keras_in("float64") as keras:
        yield keras


def data(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def branches(k, conv, pool, gap):
    """A graph with two inputs, two outputs, a shared layer, a long skip and branches of unequal depth."""
    a, b = k.Input((8, 8, 3), name="a"), k.Input((8, 8, 3), name="b")
    shared = conv(4, 3, padding="same", activation="relu", name="shared")
    left, right = shared(a), shared(b)
    deep = k.BatchNormalization(name="norm")(right)
    deep = conv(4, 3, padding="same", name="deep")(deep)
    deep = conv(4, 1, activation="tanh", name="deeper")(deep)
    both = k.Add(name="sum")([left, deep, right])
    wide = k.Concatenate(name="cat")([pool(2, name="pool")(both), pool(2, name="pool_a")(a)])
    aux = k.Dense(2, activation="sigmoid", name="aux")(gap(name="gap")(left))
    main = k.Dense(3, activation="softmax", name="main")(k.Flatten(name="flat")(wide))
    return k.Model([a, b], [main, aux])


def ours():
    return branches(models, models.Conv, models.MaxPool, models.GlobalAveragePool)


class _Keras:
    def __init__(self, keras):
        self.keras = keras

    def __getattr__(self, name):
        return getattr(self.keras.layers, name, None) or getattr(self.keras, name)


def theirs(keras):
    layers = keras.layers
    return branches(
        _Keras(keras), layers.Conv2D, layers.MaxPooling2D, layers.GlobalAveragePooling2D
    )


def test_a_branching_graph_equals_keras(keras):
    import jax

    mine, other = ours(), theirs(keras)
    named = [f"{v.path.split('/')[-2]}/{v.name}" for v in other.weights]
    assert list(mine.weights) == named
    assert [layer.name for layer in mine.layers] == [layer.name for layer in other.layers]
    assert mine.count_params() == other.count_params()
    weights = [w + 0.1 * data(*w.shape, seed=i) ** 2 for i, w in enumerate(mine.get_weights())]
    mine.set_weights(weights)
    other.set_weights(weights)
    x = [data(5, 8, 8, 3, seed=1), data(5, 8, 8, 3, seed=2)]
    for got, want in zip(mine(x), other(x), strict=True):
        np.testing.assert_allclose(got, np.asarray(want), rtol=1e-10)

    fixed = [v.value for v in other.non_trainable_variables]
    trained = [v.value for v in other.trainable_variables]
    expected, pull, moved = jax.vjp(
        lambda t: other.stateless_call(t, fixed, x, training=True), trained, has_aux=True
    )
    inputs = mine.prepare(x)
    outputs, tape, updates = mine.graph.forward(mine.weights, inputs, training=True)
    for got, want in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(got, np.asarray(want), rtol=1e-10)
    named = [f"{v.path.split('/')[-2]}/{v.name}" for v in other.non_trainable_variables]
    for name, want in zip(named, moved, strict=True):
        np.testing.assert_allclose(updates[name], np.asarray(want), rtol=1e-10)
    dys = tuple(data(*y.shape, seed=7) for y in outputs)
    (wanted,) = pull([jax.numpy.asarray(dy) for dy in dys])
    got = mine.graph.backward(dys, mine.weights, tape)
    named = [f"{v.path.split('/')[-2]}/{v.name}" for v in other.trainable_variables]
    assert list(got) == named == list(mine.trainable)
    for name, want in zip(named, wanted, strict=True):
        np.testing.assert_allclose(got[name], np.asarray(want), rtol=1e-9, atol=1e-11, err_msg=name)


def test_a_shared_batch_normalization_and_dropout_against_our_own_forward():
    jax = pytest.importorskip("jax")
    norm, drop = models.BatchNormalization(name="norm"), models.Dropout(0.4, name="drop")
    start = models.Input((6,))
    hidden = drop(norm(models.Dense(5, activation="gelu")(start)))
    hidden = drop(norm(models.Dense(5, activation="tanh")(hidden)))
    model = models.Model(start, models.Dense(2)(hidden))
    with jax.enable_x64(True):
        x = model.prepare(jax.numpy.asarray(data(7, 6)))
        drawn = model.masks(np.random.default_rng(0), 7)
        assert {key: mask.shape for key, mask in drawn.items()} == {
            "drop": (7, 5),
            "drop:1": (7, 5),
        }
        assert (drawn["drop"] != drawn["drop:1"]).any()
        masks = {key: jax.numpy.asarray(mask) for key, mask in drawn.items()}
        graph, weights = model.graph, model.weights

        def run(trained):
            (y,), _, updates = graph.forward(weights | trained, x, training=True, masks=masks)
            return y, updates

        trained = {name: weights[name] for name in model.trainable}
        _, pull, updates = jax.vjp(run, trained, has_aux=True)
        dy = jax.numpy.asarray(data(7, 2, seed=3))

        @jax.jit
        def step(weights, x, dy):
            _, tape, _ = graph.forward(weights, x, training=True, masks=masks)
            return graph.backward((dy,), weights, tape)

        for name, want in pull(dy)[0].items():
            got = step(weights, x, dy)[name]
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-12, err_msg=name)
        assert sorted(updates) == ["norm/moving_mean", "norm/moving_variance"]


def test_the_second_call_of_a_layer_goes_on_from_the_averages_of_the_first():
    start, norm = models.Input((3,)), models.BatchNormalization(momentum=0.9, name="norm")
    model = models.Model(start, norm(norm(start)))
    x = data(50, 3) + 5
    model(x, training=True)
    # what the second call normalizes has mean 0 already
    mean = model.weights["norm/moving_mean"]
    np.testing.assert_allclose(mean, 0.9 * 0.1 * x.mean(0), rtol=1e-10)


class Probe(models.Layer):
    """The identity, which counts what is alive when it is run."""

    uses = ("y",)
    seen, forwards, backwards = [], [], []

    def plan(self, *shapes):
        return shapes[0], {}

    def forward(self, w, *x, training=False, mask=None):
        y = x[0] * 1.0
        Probe.forwards.append(self.alive("y"))
        self.seen.append((self.name, "y", weakref.ref(y)))
        return y, {}

    def backward(self, dy, w, *x, y, training=False, mask=None, need=True):
        assert x == (None,)
        Probe.backwards.append((self.alive("y"), self.alive("dy")))
        dx = dy * 1.0
        self.seen.append((self.name, "dy", weakref.ref(dx)))
        return (dx,), {}

    def alive(self, kind):
        return [name for name, what, ref in self.seen if what == kind and ref() is not None]


@pytest.fixture
def chain():
    Probe.seen, Probe.forwards, Probe.backwards = [], [], []
    stack = [models.Input((4,))]
    for i in range(4):
        stack += [models.Dense(4, activation="relu"), Probe(name=f"p{i}")]
    gc.collect()
    gc.disable()
    yield models.Sequential(stack)
    gc.enable()


def test_backward_frees_activations_and_gradients_as_it_goes(chain):
    graph = chain.graph
    inputs = chain.prepare(data(3, 4))
    outputs, tape, _ = graph.forward(chain.weights, inputs, training=True)
    assert Probe.forwards[-1] == ["p0", "p1", "p2"]
    dys = (np.ones_like(outputs[0]),)
    del outputs
    graph.backward(dys, chain.weights, tape)
    assert Probe.backwards == [
        (["p0", "p1", "p2", "p3"], []),
        (["p0", "p1", "p2"], []),
        (["p0", "p1"], []),
        (["p0"], []),
    ]
    assert not tape.records
    with pytest.raises(ValueError, match="the tape is empty: a tape serves one backward pass"):
        graph.backward(dys, chain.weights, tape)


def test_predicting_keeps_no_activations(chain):
    chain(data(3, 4))
    assert Probe.forwards == [[], [], [], []]


def test_an_activation_in_a_layer_keeps_one_array_and_not_two():
    model = models.Sequential(
        [models.Dense(5, activation="relu", input_shape=(4,)), models.Dense(2)]
    )
    _, tape, _ = model.graph.forward(model.weights, model.prepare(data(3, 4)), training=True)
    dense, relu, last = tape.records
    assert dense.y is None
    assert relu.x == (None,)
    assert relu.y is last.x[0]


def test_gradients_that_nobody_needs_are_not_computed(monkeypatch):
    asked = []

    def spy(*args, wrt, **kwargs):
        asked.append(wrt)
        return original(*args, wrt=wrt, **kwargs)

    original = ac.conv_vjp
    monkeypatch.setattr(ac, "conv_vjp", spy)
    convs = (models.Conv(2, 3, name=f"c{i}") for i in range(3))
    model = models.Sequential([models.Input((8, 8, 1)), *convs])

    def backward():
        asked.clear()
        (y,), tape, _ = model.graph.forward(
            model.weights, model.prepare(data(2, 8, 8, 1)), training=True
        )
        return model.graph.backward((y,), model.weights, tape)

    assert len(backward()) == 6
    assert asked == [("x", "w", "b"), ("x", "w", "b"), ("w", "b")]
    model.get_layer("c0").trainable = False
    assert sorted(backward()) == ["c1/bias", "c1/kernel", "c2/bias", "c2/kernel"]
    assert asked == [("x", "w", "b"), ("w", "b")]
    model.get_layer("c0").trainable, model.get_layer("c1").trainable = True, False
    backward()
    assert asked == [("x", "w", "b"), ("x",), ("w", "b")]
    model.trainable = False
    assert backward() == {}
    assert asked == []
    assert model.trainable == ()


def test_an_output_without_a_gradient_leaves_zeros():
    start = models.Input((3,))
    model = models.Model(
        start, [models.Dense(2, name="one")(start), models.Dense(2, name="two")(start)]
    )
    outputs, tape, _ = model.graph.forward(model.weights, model.prepare(data(4, 3)), training=True)
    got = model.graph.backward((None, np.ones_like(outputs[1])), model.weights, tape)
    assert not got["one/kernel"].any()
    assert got["two/kernel"].any()


def test_one_graph_on_every_library(xp):
    """The same numbers as NumPy's, and what comes back belongs to the library."""
    x = [data(4, 8, 8, 3, seed=1), data(4, 8, 8, 3, seed=2)]
    expected = ours()(x)
    model = ours()
    inputs = model.prepare([xp.array(a, batch=True) for a in x])
    with xp.computing():
        for name, w in ours().weights.items():
            np.testing.assert_array_equal(xp.to_numpy(model.weights[name]), w, err_msg=name)
    reference = ours()
    given = reference.prepare(x)
    _, tape, _ = reference.graph.forward(reference.weights, given, training=True)
    dys = [np.ones_like(y) for y in expected]
    wanted = reference.graph.backward(dys, reference.weights, tape)
    _outputs, tape, _ = model.graph.forward(model.weights, inputs, training=True)
    got = model.graph.backward([xp.array(dy, batch=True) for dy in dys], model.weights, tape)
    for name, want in wanted.items():
        assert type(got[name]) is type(inputs[0])
        np.testing.assert_allclose(xp.to_numpy(got[name]), want, rtol=1e-9, atol=1e-11)
    with xp.computing():
        for y, want in zip(model([xp.array(a, batch=True) for a in x]), expected, strict=True):
            np.testing.assert_allclose(xp.to_numpy(y), want, rtol=1e-10)
        for got, want in zip(model.get_weights(), ours().get_weights(), strict=True):
            assert isinstance(got, np.ndarray)
            np.testing.assert_array_equal(got, want)


def test_the_data_choose_library_and_dtype():
    model = models.Sequential([models.Dense(2, input_shape=(3,))])
    pixels = np.asarray([[0, 128, 255]], dtype=np.uint8)
    assert model(pixels).dtype == np.float32
    assert model(pixels.astype(np.float64)).dtype == np.float64
    # the first data's dtype
    assert model(pixels).dtype == np.float32
    assert model(pixels > 0).dtype == np.float32
    np.testing.assert_allclose(model(pixels), pixels @ model.get_weights()[0])
    torch = pytest.importorskip("torch")
    y = model(torch.asarray([[0, 128, 255]], dtype=torch.uint8))
    assert y.dtype == torch.float32
    assert model.to(like=torch.ones(1, dtype=torch.bfloat16)) is model
    assert model.weights["dense/kernel"].dtype == torch.bfloat16
    assert model.get_weights()[0].dtype == np.float32
    with pytest.raises(TypeError, match="Sequential 'sequential': .*array"):
        model.to(like=3.0)
    with pytest.raises(TypeError, match="real floating, integer or boolean"):
        model(np.ones((1, 3), dtype=complex))


def test_sequential_builds_from_any_hint_of_its_shape():
    def stack(**first):
        return [
            models.Conv(3, 3, activation="relu", **first),
            models.BatchNormalization(),
            models.Flatten(),
            models.Dense(2),
        ]

    x = data(2, 6, 6, 1)
    late, early = models.Sequential(stack()), models.Sequential(stack(input_shape=(6, 6, 1)))
    given = models.Sequential([models.Input((6, 6, 1)), *stack()])
    asked = models.Sequential(stack())
    assert not late.built
    asked.build((None, 6, 6, 1))
    grown = models.Sequential()
    for layer in stack():
        grown.add(layer)
    start = models.Input((6, 6, 1))
    end = start
    for layer in stack():
        end = layer(end)
    expected = models.Model(start, end)(x)
    for model in (late, early, given, asked, grown):
        np.testing.assert_array_equal(model(x), expected)
        assert [layer.name for layer in model.layers] == [
            "conv",
            "batch_normalization",
            "flatten",
            "dense",
        ]
    late.add(models.Activation("softmax"))
    np.testing.assert_allclose(late(x), ac.softmax(expected))
    late.build([(6, 6, 1)])
    with pytest.raises(
        ValueError, match=r"was built for inputs of shape \(\(6, 6, 1\),\), got \(\(5, 6, 1\),\)"
    ):
        late.build((5, 6, 1))


def test_layers_start_by_their_position_and_inputs_do_not_count():
    square = models.Dense(3)
    model = models.Sequential([models.Input((3,)), models.Dense(3), square])
    square_again = models.Dense(3)
    square_again.build((3,))
    square_again.draw(1)
    first, second = (model.weights[f"{name}/kernel"] for name in ("dense", "dense_1"))
    assert (first != second).all()
    np.testing.assert_array_equal(second, square_again.get_weights()[0])


def test_models_inside_models_share_their_weights():
    tower = models.Sequential([models.Dense(4, activation="relu"), models.Dense(3)], name="tower")
    a, b = models.Input((5,), name="a"), models.Input((5,), name="b")
    joined = models.Concatenate()([tower(a), tower(b)])
    model = models.Model([a, b], models.Dense(1)(joined))
    assert model.count_params() == 5 * 4 + 4 + 4 * 3 + 3 + 6 + 1
    x, z = data(2, 5), data(2, 5, seed=1)
    tower.set_weights([w + 1 for w in tower.get_weights()])
    weights = model.get_weights()
    np.testing.assert_array_equal(weights[0], tower.get_weights()[0])
    both = np.concatenate([tower(x), tower(z)], axis=1)
    np.testing.assert_allclose(model({"b": z, "a": x}), both @ weights[4] + weights[5])
    longer = models.Sequential([tower, models.Activation("tanh")])
    np.testing.assert_allclose(longer(x), np.tanh(tower(x)))
    features = models.Model(model.inputs, model.get_layer("concatenate").output)
    np.testing.assert_allclose(features([x, z]), both)
    with pytest.raises(ValueError, match="is no chain of layers"):
        models.Sequential([model])


def test_a_model_may_start_in_the_middle_of_another():
    start = models.Input((5,))
    hidden = models.Dense(4, name="encode")(start)
    end = models.Dense(5, name="decode")(hidden)
    whole, encoder = models.Model(start, end), models.Model(start, hidden)
    decoder = models.Model(hidden, end)
    x = data(3, 5)
    np.testing.assert_allclose(decoder(encoder(x)), whole(x))
    assert list(decoder.weights) == ["decode/kernel", "decode/bias"]
    again = models.from_config(json.loads(json.dumps(decoder.config())))
    again.set_weights(decoder.get_weights())
    np.testing.assert_array_equal(again(encoder(x)), decoder(encoder(x)))


@pytest.mark.parametrize("make", [
    ours,
    lambda: models.Sequential([models.Input((6,), name="x"), models.Dense(3), models.Softmax()], name="s"),
    lambda: models.Sequential(
        [models.Dense(3, input_shape=(6,), trainable=False, kernel_initializer=models.Constant(2))]
    ),
])  # fmt: skip
def test_config_through_json_makes_the_same_model(make):
    model = make()
    again = models.from_config(json.loads(json.dumps(model.config())))
    assert type(again) is type(model)
    assert again.config() == model.config()
    assert again.trainable == model.trainable
    again.set_weights(model.get_weights())
    x = [data(2, *node.shape, seed=i) for i, node in enumerate(model.inputs)]
    first, second = model(x), again(x)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert isinstance(first, list) == isinstance(second, list)


def test_an_unbuilt_sequential_has_a_config_too():
    model = models.Sequential([models.Dense(3), models.Dense(2)], name="late")
    again = models.from_config(model.config())
    assert not again.built
    np.testing.assert_array_equal(again(np.ones((1, 4))), model(np.ones((1, 4))))


def test_summary_is_a_table(capsys):
    ours().summary()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Model: model"
    assert lines[1].split() == ["layer", "kind", "output", "shape", "parameters", "reads"]
    rows = {line.split()[0]: line for line in lines[3:-2]}
    assert rows["shared"].split()[-2:] == ["112", "a"]
    assert rows["shared:1"].split()[-2:] == ["shared", "b"]
    assert rows["sum"].endswith("shared, deeper, shared:1")
    total = ours().count_params()
    assert lines[-1] == f"parameters: {total:,}, trained: {total - 8:,}, not trained: 8"
    assert len({len(line) for line in (lines[2], lines[-2])}) == 1


def test_plot_model_draws_every_node_inside_the_picture_without_overlaps(tmp_path):
    FigureCanvasAgg = pytest.importorskip("matplotlib.backends.backend_agg").FigureCanvasAgg
    model = ours()
    figure = models.plot_model(model, tmp_path / "graph.png")
    assert (tmp_path / "graph.png").stat().st_size > 10_000
    axes = figure.axes[0]
    texts = [text for text in axes.texts if text.get_text()]
    assert sorted(t.get_text().split("\n")[0] for t in texts) == sorted(model.graph.keys.values())
    assert any("(N, 8, 8, 4)\n112 parameters" in t.get_text() for t in texts)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = [text.get_bbox_patch().get_window_extent(renderer) for text in texts]
    for i, box in enumerate(boxes):
        assert figure.bbox.containsx(box.x0)
        assert figure.bbox.containsx(box.x1)
        assert figure.bbox.containsy(box.y0)
        assert figure.bbox.containsy(box.y1)
        assert not any(box.overlaps(other) for other in boxes[:i])
    # 13 joins of nodes, each with a line and an arrow
    assert len(axes.lines) == sum(len(node.inputs) for node in model.graph.nodes)


def test_a_failed_add_leaves_the_model_as_it_was():
    model = models.Sequential([models.Conv(2, 3, input_shape=(4, 4, 1))])
    with pytest.raises(ValueError, match="window is larger"):
        model.add(models.Conv(2, 3))
    model.add(models.Flatten())
    assert model(np.ones((1, 4, 4, 1))).shape == (1, 8)


def test_training_without_masks_names_the_layer():
    model = models.Sequential([models.Dropout(0.5, name="drop", input_shape=(3,))])
    with pytest.raises(ValueError, match="Dropout 'drop' needs a mask to train"):
        model.graph.forward({}, (np.ones((1, 3)),), training=True)
    y = model(np.ones((50, 3)), training=True)
    assert set(np.unique(y)) == {0.0, 2.0}
    np.testing.assert_array_equal(model(np.ones((2, 3))), np.ones((2, 3)))


def test_a_layer_of_ones_own():
    class Scale(models.Layer):
        uses = ("x",)

        def __init__(self, start=2.0, **common):
            super().__init__(**common)
            self.start = start

        def plan(self, *shapes):
            return shapes[0], {"factor": models.WeightSpec((), models.Constant(self.start))}

        def forward(self, w, *x, training=False, mask=None):
            return x[0] * w["factor"], {}

        def backward(self, dy, w, *x, y, training=False, mask=None, need=True):
            return (dy * w["factor"],), {"factor": (dy * x[0]).sum()}

    model = models.Sequential([models.Input((3,)), Scale(3.0)])
    np.testing.assert_array_equal(model(np.ones((1, 3))), [[3, 3, 3]])
    again = models.from_config(json.loads(json.dumps(model.config())))
    np.testing.assert_array_equal(again(np.ones((1, 3))), [[3, 3, 3]])
    assert repr(again.layers[0]) == "Scale(name='scale', start=3.0)"


def test_a_layer_of_ones_own_upon_another():
    class Twice(models.Dense):
        def __init__(self, times=2, **given):
            super().__init__(**given)
            self.times = times

    config = Twice(3, units=4, activation="relu").config()
    again = Twice(**json.loads(json.dumps(config)))
    assert (again.times, again.units, again.activation) == (3, 4, "relu")

    class Forgetful(models.Flatten):
        def __init__(self, start, **common):
            super().__init__(**common)

    with pytest.raises(AttributeError, match="Forgetful: config needs .* no 'start'"):
        Forgetful(1).config()


def test_numbers_of_numpy_are_numbers():
    layer = models.Conv(np.int64(4), (np.int32(3), np.int64(2)), strides=np.int64(1))
    assert models.Conv(**json.loads(json.dumps(layer.config()))).config() == layer.config()
    assert models.Dropout(np.float32(0.5)).rate == 0.5
    model = models.Sequential([models.Input((4, 3)), models.Softmax(axis=np.int64(1))])
    assert json.loads(json.dumps(model.config()))["layers"][0]["axis"] == 1


def test_models_of_unnamed_layers_are_put_together(tmp_path):
    encoder = models.Sequential([models.Dense(3, input_shape=(4,))])
    decoder = models.Sequential([models.Dense(4)])
    start = models.Input((4,))
    shared = encoder.layers[0]
    together = [
        models.Sequential([encoder, decoder]),
        models.Model(start, decoder(encoder(start))),
        models.Sequential([models.Input((4,)), models.Dense(3), models.Dense(4, name="dense")]),
    ]
    x = np.ones((2, 4))
    for model in together:
        assert model.count_params() == 31
        assert set(model.weights) == {
            f"{n}/{w}" for n in ("dense", "dense_1") for w in ("kernel", "bias")
        }
        model.compile("sgd", "mse")
        model.fit(x, 2 * x, verbose=0)
        model.save(tmp_path / "both.safetensors")
        again = models.load(tmp_path / "both.safetensors")
        assert list(again.weights) == list(model.weights)
        np.testing.assert_array_equal(again(x), model(x))
    # the models inside keep their names, and share the weights
    assert list(encoder.weights) == list(decoder.weights) == ["dense/kernel", "dense/bias"]
    assert together[0].get_layer("dense_1") is decoder.layers[0]
    np.testing.assert_array_equal(together[0](x), decoder(encoder(x)))
    second = models.Sequential([models.Input((4,)), models.Dense(4), shared, models.Dense(2)])
    assert [name for name in second.weights if "kernel" in name] == [
        "dense/kernel", "dense_1/kernel", "dense_2/kernel"
    ]  # fmt: skip
    assert second.layers[1] is shared
    # a file's models, whose names came from classes too
    models.Sequential([models.load(tmp_path / "both.safetensors"), models.Dense(1)])


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_model_that_was_used_is_copied(twin):
    x = np.ones((4, 2), dtype=np.float32)
    model = models.Sequential([models.Dense(2, input_shape=(2,))])
    model.compile("adam", "mse")
    model.fit(x, x, verbose=0)
    before = model.predict(x)
    other = twin(model)
    other.fit(x, x, verbose=0)
    np.testing.assert_array_equal(model.predict(x), before)
    model.fit(x, x, verbose=0)
    np.testing.assert_array_equal(model.predict(x), other.predict(x))

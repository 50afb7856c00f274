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
from arrayconv.models import layers


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
    return branches(_Keras(models), layers.Conv, layers.MaxPool, layers.GlobalAveragePool)


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
    inputs, program, own = mine.graph.as_inputs(x), mine.graph.program, mine.graph.weights
    outputs, tape, updates = program.forward(own, inputs, training=True)
    for got, want in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(got, np.asarray(want), rtol=1e-10)
    for v, want in zip(other.non_trainable_variables, moved, strict=True):
        np.testing.assert_allclose(
            updates[v.path.split("/")[-2]][v.name], np.asarray(want), rtol=1e-10
        )
    dys = tuple(data(*y.shape, seed=7) for y in outputs)
    (wanted,) = pull([jax.numpy.asarray(dy) for dy in dys])
    got = {"/".join(key): dw for key, dw in program.backward(dys, own, tape).items()}
    named = [f"{v.path.split('/')[-2]}/{v.name}" for v in other.trainable_variables]
    assert set(got) == set(named)
    assert named == list(mine.trainable)
    for name, want in zip(named, wanted, strict=True):
        np.testing.assert_allclose(got[name], np.asarray(want), rtol=1e-9, atol=1e-11, err_msg=name)


def test_a_shared_batch_normalization_and_dropout_against_our_own_forward():
    jax = pytest.importorskip("jax")
    norm, drop = layers.BatchNormalization(name="norm"), layers.Dropout(0.4, name="drop")
    start = models.Input((6,))
    hidden = drop(norm(layers.Dense(5, activation="gelu")(start)))
    hidden = drop(norm(layers.Dense(5, activation="tanh")(hidden)))
    model = models.Model(start, layers.Dense(2)(hidden))
    with jax.enable_x64(True):
        graph = model.graph
        program = graph.program
        x = graph.as_inputs(jax.numpy.asarray(data(7, 6)))
        weights = graph.beside(x[0])
        drawn = program.noise(7, 0)
        first, second = drawn.values()
        assert first.shape == second.shape == (7, 5)
        assert (first != second).any()
        noise = {at: jax.numpy.asarray(mask) for at, mask in drawn.items()}

        def run(weights):
            (y,), _, updates = program.forward(weights, x, training=True, noise=noise)
            return y, updates

        _, pull, updates = jax.vjp(run, weights, has_aux=True)
        dy = jax.numpy.asarray(data(7, 2, seed=3))

        @jax.jit
        def step(weights, x, dy):
            _, tape, _ = program.forward(weights, x, training=True, noise=noise)
            gradients = program.backward((dy,), weights, tape)
            return {"/".join(key): dw for key, dw in gradients.items()}

        wanted, got = pull(dy)[0], step(weights, x, dy)
        assert set(got) == {"/".join(key) for key in graph.trainable}
        for layer, name in graph.trainable:
            np.testing.assert_allclose(
                got[f"{layer}/{name}"], wanted[layer][name], rtol=1e-9, atol=1e-12, err_msg=name
            )
        assert sorted(updates["norm"]) == ["moving_mean", "moving_variance"]


def test_the_second_call_of_a_layer_goes_on_from_the_averages_of_the_first():
    start, norm = models.Input((3,)), layers.BatchNormalization(momentum=0.9, name="norm")
    model = models.Model(start, norm(norm(start)))
    x = data(50, 3) + 5
    model(x, training=True)
    # what the second call normalizes has mean 0 already
    mean = model.weights["norm/moving_mean"]
    np.testing.assert_allclose(mean, 0.9 * 0.1 * x.mean(0), rtol=1e-10)


class Probe(models.Layer):
    """The identity, which counts what is alive when it is run."""

    seen, forwards, backwards = [], [], []

    def forward(self, w, x):
        y = x * 1.0
        Probe.forwards.append(self.alive("y"))
        self.seen.append((self.name, "y", weakref.ref(y)))
        return y

    def backward(self, dy, w, *, y):
        Probe.backwards.append((self.alive("y"), self.alive("dy")))
        dx = dy * 1.0
        self.seen.append((self.name, "dy", weakref.ref(dx)))
        return dx

    def alive(self, kind):
        return [name for name, what, ref in self.seen if what == kind and ref() is not None]


@pytest.fixture
def chain():
    Probe.seen, Probe.forwards, Probe.backwards = [], [], []
    stack = [models.Input((4,))]
    for i in range(4):
        stack += [layers.Dense(4, activation="relu"), Probe(name=f"p{i}")]
    gc.collect()
    gc.disable()
    yield models.Sequential(stack)
    gc.enable()


def test_backward_frees_activations_and_gradients_as_it_goes(chain):
    program, weights = chain.graph.program, chain.graph.weights
    inputs = chain.graph.as_inputs(data(3, 4))
    outputs, tape, _ = program.forward(weights, inputs, training=True)
    assert Probe.forwards[-1] == ["p0", "p1", "p2"]
    dys = (np.ones_like(outputs[0]),)
    del outputs
    program.backward(dys, weights, tape)
    assert Probe.backwards == [
        (["p0", "p1", "p2", "p3"], []),
        (["p0", "p1", "p2"], []),
        (["p0", "p1"], []),
        (["p0"], []),
    ]
    assert not tape
    with pytest.raises(ValueError, match="the tape is empty: a tape serves one backward pass"):
        program.backward(dys, weights, tape)


def test_predicting_keeps_no_activations(chain):
    chain(data(3, 4))
    assert Probe.forwards == [[], [], [], []]


def test_an_activation_in_a_layer_keeps_one_array_and_not_two():
    model = models.Sequential(
        [layers.Dense(5, activation="relu", input_shape=(4,)), layers.Dense(2)]
    )
    _, tape, _ = model.graph.program.forward(model.graph.weights, [data(3, 4)], training=True)
    (_, _, dense), (_, x, relu), (_, last, _) = tape
    assert "y" not in dense
    assert x == ()
    assert relu["y"] is last[0]


def test_gradients_that_nobody_needs_are_not_computed(monkeypatch):
    asked = []

    def spy(*args, wrt, **kwargs):
        asked.append(wrt)
        return original(*args, wrt=wrt, **kwargs)

    original = ac.conv_vjp
    monkeypatch.setattr(ac, "conv_vjp", spy)
    convs = (layers.Conv(2, 3, name=f"c{i}") for i in range(3))
    model = models.Sequential([models.Input((8, 8, 1)), *convs])

    def backward():
        asked.clear()
        program, weights = model.graph.program, model.graph.weights
        (y,), tape, _ = program.forward(weights, [data(2, 8, 8, 1)], training=True)
        return ["/".join(key) for key in program.backward((y,), weights, tape)]

    assert len(backward()) == 6
    assert asked == [("x", "w", "b"), ("x", "w", "b"), ("w", "b")]
    model.get_layer("c0").trainable = False
    assert sorted(backward()) == ["c1/bias", "c1/kernel", "c2/bias", "c2/kernel"]
    assert asked == [("x", "w", "b"), ("w", "b")]
    model.get_layer("c0").trainable, model.get_layer("c1").trainable = True, False
    backward()
    assert asked == [("x", "w", "b"), ("x",), ("w", "b")]
    model.trainable = False
    assert backward() == []
    assert asked == []
    assert model.trainable == ()


def test_an_output_without_a_gradient_leaves_zeros():
    start = models.Input((3,))
    model = models.Model(
        start, [layers.Dense(2, name="one")(start), layers.Dense(2, name="two")(start)]
    )
    program, weights = model.graph.program, model.graph.weights
    outputs, tape, _ = program.forward(weights, [data(4, 3)], training=True)
    got = program.backward((None, np.ones_like(outputs[1])), weights, tape)
    assert not got["one", "kernel"].any()
    assert got["two", "kernel"].any()


def test_one_graph_on_every_library(xp):
    """The same numbers as NumPy's, and what comes back belongs to the library."""
    x = [data(4, 8, 8, 3, seed=1), data(4, 8, 8, 3, seed=2)]
    expected = ours()(x)
    model = ours()
    given = [xp.array(a, batch=True) for a in x]
    model(given)
    with xp.computing():
        for name, w in ours().weights.items():
            np.testing.assert_array_equal(xp.to_numpy(model.weights[name]), w, err_msg=name)
    dys = [np.ones_like(y) for y in expected]

    def gradients(graph, x, dys):
        inputs, weights = graph.as_inputs(x), graph.weights
        _, tape, _ = graph.program.forward(weights, inputs, training=True)
        return graph.program.backward(dys, weights, tape)

    reference = ours()
    reference(x)
    wanted = gradients(reference.graph, x, dys)
    got = gradients(model.graph, given, [xp.array(dy, batch=True) for dy in dys])
    for name, want in wanted.items():
        assert type(got[name]) is type(given[0])
        np.testing.assert_allclose(xp.to_numpy(got[name]), want, rtol=1e-9, atol=1e-11)
    with xp.computing():
        for y, want in zip(model([xp.array(a, batch=True) for a in x]), expected, strict=True):
            np.testing.assert_allclose(xp.to_numpy(y), want, rtol=1e-10)
        for got, want in zip(model.get_weights(), ours().get_weights(), strict=True):
            assert isinstance(got, np.ndarray)
            np.testing.assert_array_equal(got, want)


def test_the_data_choose_library_and_dtype():
    model = models.Sequential([layers.Dense(2, input_shape=(3,))])
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
            layers.Conv(3, 3, activation="relu", **first),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(2),
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
    late.add(layers.Activation("softmax"))
    np.testing.assert_allclose(late(x), ac.softmax(expected))
    late.build([(6, 6, 1)])
    with pytest.raises(
        ValueError, match=r"was built for inputs of shape \(\(6, 6, 1\),\), got \(\(5, 6, 1\),\)"
    ):
        late.build((5, 6, 1))


def test_layers_start_by_their_position_and_inputs_do_not_count():
    square = layers.Dense(3)
    model = models.Sequential([models.Input((3,)), layers.Dense(3), square])
    square_again = layers.Dense(3)
    square_again.declare((3,))
    square_again.draw(1)
    first, second = (model.weights[f"{name}/kernel"] for name in ("dense", "dense_1"))
    assert (first != second).all()
    np.testing.assert_array_equal(second, square_again.get_weights()[0])


def test_models_inside_models_share_their_weights():
    tower = models.Sequential([layers.Dense(4, activation="relu"), layers.Dense(3)], name="tower")
    a, b = models.Input((5,), name="a"), models.Input((5,), name="b")
    joined = layers.Concatenate()([tower(a), tower(b)])
    model = models.Model([a, b], layers.Dense(1)(joined))
    assert model.count_params() == 5 * 4 + 4 + 4 * 3 + 3 + 6 + 1
    x, z = data(2, 5), data(2, 5, seed=1)
    tower.set_weights([w + 1 for w in tower.get_weights()])
    weights = model.get_weights()
    np.testing.assert_array_equal(weights[0], tower.get_weights()[0])
    both = np.concatenate([tower(x), tower(z)], axis=1)
    np.testing.assert_allclose(model({"b": z, "a": x}), both @ weights[4] + weights[5])
    longer = models.Sequential([tower, layers.Activation("tanh")])
    np.testing.assert_allclose(longer(x), np.tanh(tower(x)))
    features = models.Model(model.inputs, model.get_layer("concatenate").output)
    np.testing.assert_allclose(features([x, z]), both)
    with pytest.raises(ValueError, match="is not a chain of layers"):
        models.Sequential([model])


def test_a_model_may_start_in_the_middle_of_another():
    start = models.Input((5,))
    hidden = layers.Dense(4, name="encode")(start)
    end = layers.Dense(5, name="decode")(hidden)
    whole, encoder = models.Model(start, end), models.Model(start, hidden)
    decoder = models.Model(hidden, end)
    x = data(3, 5)
    np.testing.assert_allclose(decoder(encoder(x)), whole(x))
    assert list(decoder.weights) == ["decode/kernel", "decode/bias"]
    again = models.from_config(json.loads(json.dumps(decoder.get_config())))
    again.set_weights(decoder.get_weights())
    np.testing.assert_array_equal(again(encoder(x)), decoder(encoder(x)))


@pytest.mark.parametrize("make", [
    ours,
    lambda: models.Sequential([models.Input((6,), name="x"), layers.Dense(3), layers.Softmax()], name="s"),
    lambda: models.Sequential(
        [layers.Dense(3, input_shape=(6,), trainable=False, kernel_initializer=models.Constant(2))]
    ),
])  # fmt: skip
def test_config_through_json_makes_the_same_model(make):
    model = make()
    again = models.from_config(json.loads(json.dumps(model.get_config())))
    assert type(again) is type(model)
    assert again.get_config() == model.get_config()
    assert again.trainable == model.trainable
    again.set_weights(model.get_weights())
    x = [data(2, *node.sample, seed=i) for i, node in enumerate(model.inputs)]
    first, second = model(x), again(x)
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert isinstance(first, list) == isinstance(second, list)


def test_an_unbuilt_sequential_has_a_config_too():
    model = models.Sequential([layers.Dense(3), layers.Dense(2)], name="late")
    again = models.from_config(model.get_config())
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
    model = models.Sequential([layers.Conv(2, 3, input_shape=(4, 4, 1))])
    with pytest.raises(ValueError, match="window is larger"):
        model.add(layers.Conv(2, 3))
    model.add(layers.Flatten())
    assert model(np.ones((1, 4, 4, 1))).shape == (1, 8)


def test_dropout_drops_in_training_alone():
    model = models.Sequential([layers.Dropout(0.5, name="drop", input_shape=(3,))])
    y = model(np.ones((50, 3)), training=True)
    assert set(np.unique(y)) == {0.0, 2.0}
    np.testing.assert_array_equal(model(np.ones((2, 3))), np.ones((2, 3)))


def test_a_layer_of_ones_own():
    class Scale(models.Layer):
        def __init__(self, start=2.0, **common):
            super().__init__(**common)
            self.start = start

        def build(self, shape):
            return {"factor": models.WeightSpec((), models.Constant(self.start))}

        def forward(self, w, x):
            return x * w["factor"]

        def backward(self, dy, w, x):
            return dy * w["factor"], {"factor": (dy * x).sum()}

    model = models.Sequential([models.Input((3,)), Scale(3.0)])
    np.testing.assert_array_equal(model(np.ones((1, 3))), [[3, 3, 3]])
    again = models.from_config(json.loads(json.dumps(model.get_config())))
    np.testing.assert_array_equal(again(np.ones((1, 3))), [[3, 3, 3]])
    assert repr(again.layers[0]) == "Scale(name='scale', start=3.0)"


def test_a_layer_of_ones_own_upon_another():
    class Twice(layers.Dense):
        def __init__(self, times=2, **given):
            super().__init__(**given)
            self.times = times

    config = Twice(3, units=4, activation="relu").get_config()
    again = Twice(**json.loads(json.dumps(config)))
    assert (again.times, again.units) == (3, 4)
    assert again.get_config() == config
    assert config["activation"] == "relu"

    class Forgetful(layers.Flatten):
        def __init__(self, start, **common):
            super().__init__(**common)

    with pytest.raises(AttributeError, match="Forgetful: get_config needs .* no 'start'"):
        Forgetful(1).get_config()


@pytest.fixture
def registry():
    """The registry of layers, without the classes of a test once it has ended."""
    before = dict(layers.base.LAYERS)
    yield layers.base.LAYERS
    layers.base.LAYERS.clear()
    layers.base.LAYERS.update(before)


def test_a_layer_of_ones_own_with_the_name_of_one_here(registry):
    here = layers.Identity

    class Identity(models.Layer):
        def forward(self, w, x):
            return 3 * x

        def backward(self, dy, w):
            return 3 * dy

    assert registry["Identity"] is here
    model = models.Sequential([models.Input((3,)), here()])
    assert type(models.clone_model(model).layers[0]) is here
    own = models.Sequential([models.Input((3,)), Identity()])
    np.testing.assert_array_equal(own(np.ones((1, 3))), [[3, 3, 3]])
    assert repr(own.layers[0]) == "Identity(name='identity')"
    held = models.Sequential([models.Input((3,)), models.Dense(2, activation=Identity())])
    for taken in (own, held):
        with pytest.raises(ValueError, match="has the name of arrayconv's layer Identity"):
            models.clone_model(taken)


def test_a_layer_of_ones_own_may_be_defined_anew(registry):
    def defined():
        class Threefold(layers.Identity):
            def forward(self, w, x):
                return 3 * x

        return Threefold

    model = models.Sequential([models.Input((3,)), defined()()])
    second = defined()
    assert type(models.clone_model(model).layers[0]) is second


def test_numbers_of_numpy_are_numbers():
    layer = layers.Conv(np.int64(4), (np.int32(3), np.int64(2)), strides=np.int64(1))
    assert (
        layers.Conv(**json.loads(json.dumps(layer.get_config()))).get_config() == layer.get_config()
    )
    assert layers.Dropout(np.float32(0.5)).rate == 0.5
    model = models.Sequential([models.Input((4, 3)), layers.Softmax(axis=np.int64(1))])
    assert json.loads(json.dumps(model.get_config()))["layers"][0]["axis"] == 1


def test_models_of_unnamed_layers_are_put_together(tmp_path):
    encoder = models.Sequential([layers.Dense(3, input_shape=(4,))])
    decoder = models.Sequential([layers.Dense(4)])
    start = models.Input((4,))
    shared = encoder.layers[0]
    together = [
        models.Sequential([encoder, decoder]),
        models.Model(start, decoder(encoder(start))),
        models.Sequential([models.Input((4,)), layers.Dense(3), layers.Dense(4, name="dense")]),
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
    second = models.Sequential([models.Input((4,)), layers.Dense(4), shared, layers.Dense(2)])
    assert [name for name in second.weights if "kernel" in name] == [
        "dense/kernel", "dense_1/kernel", "dense_2/kernel"
    ]  # fmt: skip
    assert second.layers[1] is shared
    # a file's models, whose names came from classes too
    models.Sequential([models.load(tmp_path / "both.safetensors"), layers.Dense(1)])


@pytest.mark.parametrize("twin", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_model_that_was_used_is_copied(twin):
    x = np.ones((4, 2), dtype=np.float32)
    model = models.Sequential([layers.Dense(2, input_shape=(2,))])
    model.compile("adam", "mse")
    model.fit(x, x, verbose=0)
    before = model.predict(x)
    other = twin(model)
    other.fit(x, x, verbose=0)
    np.testing.assert_array_equal(model.predict(x), before)
    model.fit(x, x, verbose=0)
    np.testing.assert_array_equal(model.predict(x), other.predict(x))

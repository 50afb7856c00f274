"""Whole networks: onnxruntime and torch say what they compute, torch and JAX what their gradients are."""

import functools

import numpy as np
import pytest
from conftest import strict_jax

import arrayconv as ac

pytest.importorskip("onnx")
torch = pytest.importorskip("torch")

import onnx_networks  # noqa: E402  (needs torch)

NAMES = sorted(onnx_networks.networks())


@functools.cache
def loaded(name, *, free=False):
    module, x = onnx_networks.network(name)
    axes = (
        {"dynamic_axes": {"x": {0: "N"}}, "input_names": ["x"]} if free else {"input_names": ["x"]}
    )
    model = onnx_networks.exported(module, x, **axes)
    return ac.onnx.load(model), module, x, model


def close(got, want, limit):
    assert got.shape == want.shape
    assert np.max(np.abs(got - want)) <= limit * np.max(np.abs(want))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("free", [False, True])
def test_forward_is_onnxruntimes(name, free):
    ort = pytest.importorskip("onnxruntime")
    net, _, x, model = loaded(name, free=free)
    session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    images = [x.numpy()]
    if free and name != "detector":
        images.append(np.concatenate([images[0][:1]] * 3))
    for image in images:
        (want,) = session.run(None, {"x": image})
        got = net(image)
        assert got.dtype == np.float32
        close(got, want, 1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_forward_on_every_library(xp, name):
    net, module, x, _ = loaded(name)
    want = module.double()(x.double()).detach().numpy()
    # 24 bits of a weight are all that the file has of it
    got = xp.to_numpy(net(xp.array(x.numpy().astype(np.float64), batch=True)))
    assert got.dtype == np.float64
    close(got, want, 1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_are_torchs(name):
    net, module, x, _ = loaded(name)
    module = module.double()
    x = x.double().requires_grad_()
    y = module(x)
    dy = torch.randn(y.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    parameters = dict(module.named_parameters())
    want = torch.autograd.grad(y, [x, *parameters.values()], dy)
    dx = net.vjp(dy.numpy(), x.detach().numpy())
    close(dx, want[0].numpy(), 1e-9)
    found = net.vjp(dy.numpy(), x.detach().numpy(), wrt="weights")
    named = {k: g for k, g in zip(parameters, want[1:], strict=True) if k in found}
    # a linear layer's weight may be stored under another name
    assert len(named) >= len(parameters) // 2
    for k, g in named.items():
        close(found[k], g.numpy(), 1e-9)


@pytest.mark.parametrize("name", ["residual", "inverted", "unet", "shuffled"])
def test_gradients_are_jaxs(name):
    jax = pytest.importorskip("jax")
    net, _, x, _ = loaded(name)
    x = x.numpy().astype(np.float64)
    weights = {k: v.astype(np.float64) for k, v in net.weights.items()}
    dy = np.random.default_rng(2).standard_normal(net(x).shape)
    found = [net.vjp(dy, x), net.vjp(dy, x, wrt="weights")]
    with strict_jax():

        def forward(x, weights):
            return net.replace(weights)(x)

        y, pull = jax.vjp(
            jax.jit(forward), jax.numpy.asarray(x), jax.tree.map(jax.numpy.asarray, weights)
        )
        close(np.asarray(y), net(x), 1e-10)
        dx, dw = pull(jax.numpy.asarray(dy))
        close(found[0], np.asarray(dx), 1e-9)
        for k, g in dw.items():
            close(found[1][k], np.asarray(g), 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_jit_traces(name):
    jax = pytest.importorskip("jax")
    net, _, x, _ = loaded(name, free=True)
    with strict_jax(x64=False):
        got = jax.jit(net)(jax.numpy.asarray(x.numpy()))
        close(np.asarray(got), net(x.numpy()), 1e-5)


def test_float32_weights_follow_the_input_and_half_types_work():
    net, _, x, _ = loaded("residual")
    single, half = net(x.numpy()), net(x.numpy().astype(np.float16))
    assert half.dtype == np.float16
    close(half.astype(np.float32), single, 2e-2)


def test_inputs_are_not_written():
    for name in NAMES:
        net, _, x, _ = loaded(name)
        image = x.numpy().copy()
        image.flags.writeable = False
        kept = {k: v.copy() for k, v in net.weights.items()}
        net(image)
        net.vjp(np.ones_like(net(image)), image)
        assert all(np.array_equal(kept[k], v) for k, v in net.weights.items())


def test_a_trace_leaves_nothing_behind():
    """Compiled first, called after: what was traced is not kept."""
    jax = pytest.importorskip("jax")
    net, _, x, _ = loaded("residual")
    for one in (net, net.to("jax")):
        image = jax.numpy.asarray(x.numpy())
        compiled = jax.jit(one)(image)
        close(np.asarray(one(image)), np.asarray(compiled), 1e-5)
        dy = jax.numpy.ones_like(compiled)
        dx = jax.jit(lambda x, one=one, dy=dy: one.vjp(dy, x))(image)
        close(np.asarray(one.vjp(dy, image)), np.asarray(dx), 1e-5)

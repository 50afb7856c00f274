"""Which library computes: CuPy without a GPU, sharded JAX arrays, arrays on two devices."""

import os
import re
import subprocess
import sys
import textwrap

import numpy as np
import pytest
from conftest import missing

import arrayconv as ac
from arrayconv import namespace
from arrayconv.namespace import array_namespace

CALLS = {
    "conv": lambda x, w: ac.conv(x, w, padding=1),
    "conv of a few cells": lambda x, w: ac.conv(x, w),
    "conv_vjp": lambda x, w: ac.conv_vjp(x, x, w, padding=1),
    "conv_transpose": lambda x, w: ac.conv_transpose(x, w, stride=2),
    "max_pool": lambda x, w: ac.max_pool(x, 2),
    "max_pool_vjp": lambda x, w: ac.max_pool_vjp(x, x, 3, stride=1, padding=1),
    "avg_pool": lambda x, w: ac.avg_pool(x, 2, padding=1),
    "global_avg_pool": lambda x, w: ac.global_avg_pool(x),
    "adaptive_avg_pool": lambda x, w: ac.adaptive_avg_pool(x, 2),
    "pad": lambda x, w: ac.pad(x, 1),
    "reflect": lambda x, w: ac.pad(x, 1, mode="reflect"),
    "im2col": lambda x, w: ac.im2col(x, 2),
    "relu": lambda x, w: ac.relu(x),
}


@pytest.fixture
def fake(monkeypatch):
    """Make CuPy arrays that point nowhere: they slice, reshape and dispatch, and nothing more."""
    cupy = pytest.importorskip("cupy")
    if cupy.cuda.is_available():
        missing("a machine without a GPU, which would read the memory these arrays pretend to have")

    # without a GPU no device is current
    monkeypatch.setattr(namespace, "_on_current_device", lambda op, arrays: None)

    def make(*shape):
        memory = cupy.cuda.UnownedMemory(0x1000, 2**20, owner=None, device_id=0)
        pointer = cupy.cuda.MemoryPointer(memory, 0)
        return cupy.ndarray(shape, dtype=cupy.float32, memptr=pointer)

    return make


def test_cupy_arrays_have_their_namespace(fake):
    xp = array_namespace("conv", x=fake(2, 6, 5, 4), w=fake(3, 3, 4, 4))
    assert xp.__name__ == "array_api_compat.cupy"


@pytest.mark.parametrize("name", CALLS)
def test_cupy_computes_its_own_arrays(fake, name):
    cupy = sys.modules["cupy"]
    # What fails is CuPy's allocation of a result, and not a conversion to NumPy (a TypeError).
    with pytest.raises(cupy.cuda.runtime.CUDARuntimeError) as caught:
        CALLS[name](fake(2, 6, 5, 4), fake(3, 3, 4, 4))
    # Compiled frames have paths relative to where CuPy was built.
    assert "cupy" in str(caught.traceback[-1].path)


def test_errors_come_before_any_computation_on_cupy(fake):
    with pytest.raises(ValueError, match="w expects 3 input channels per group, x has 4"):
        ac.conv(fake(2, 6, 5, 4), fake(3, 3, 3, 4))
    with pytest.raises(ValueError, match="larger than the padded input"):
        ac.max_pool(fake(2, 6, 5, 4), 7)


def test_numpy_and_cupy_do_not_mix(fake):
    x, w = fake(2, 6, 5, 4), np.ones((3, 3, 4, 4), np.float32)
    with pytest.raises(TypeError, match=r"^conv: x is .*cupy and w .*numpy") as caught:
        ac.conv(x, w)
    # The advice has to work: CuPy reads NumPy's arrays, NumPy cannot read CuPy's through DLPack.
    assert re.search(r"cupy\.\w+\(w\)", str(caught.value)), str(caught.value)


def test_two_devices_of_array_api_strict():
    strict = pytest.importorskip("array_api_strict")
    place = [strict.Device("CPU_DEVICE"), strict.Device("device1")]
    x = strict.ones((2, 6, 5, 4), device=place[0])
    w = strict.ones((3, 3, 4, 2), device=place[1])
    with pytest.raises(TypeError, match=r"^conv: x is on .*CPU_DEVICE.* w on .*device1"):
        ac.conv(x, w)
    b = strict.ones((2,), device=place[1])
    with pytest.raises(TypeError, match=r"^conv: x is on .*CPU_DEVICE.* b on .*device1"):
        ac.conv(x, strict.ones((3, 3, 4, 2), device=place[0]), b)
    with pytest.raises(TypeError, match=r"^max_pool_vjp: dy is on .*device1.* x on .*CPU_DEVICE"):
        ac.max_pool_vjp(strict.ones((2, 3, 2, 4), device=place[1]), x, 2)
    y = ac.conv(*(strict.asarray(a, device=place[1]) for a in (x, w)), b)
    assert y.device == place[1]


def test_two_devices_of_torch():
    torch = pytest.importorskip("torch")
    x, w = torch.ones(2, 6, 5, 4), torch.ones(3, 3, 4, 2, device="meta")
    with pytest.raises(TypeError, match=r"^conv: x is on .*cpu.* w on .*meta"):
        ac.conv(x, w)


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_torch_parameter_is_a_torch_array(wrapped):
    torch = pytest.importorskip("torch")
    w = torch.full((3, 3, 1, 1), 2.0)
    w = torch.nn.Parameter(w, requires_grad=False) if wrapped else w
    y = ac.conv(torch.ones(1, 4, 4, 1), w)
    assert y.tolist() == torch.full((1, 2, 2, 1), 18.0).tolist()


SHARDED = """
import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

import arrayconv as ac

assert len(jax.devices()) == 4
mesh = jax.make_mesh((4,), ("batch",), axis_types=(jax.sharding.AxisType.Auto,))
split = NamedSharding(mesh, PartitionSpec("batch"))
rng = np.random.default_rng(0)
x_host = rng.standard_normal((8, 6, 5, 4)).astype(np.float32)
w_host = rng.standard_normal((3, 3, 4, 4)).astype(np.float32)
b_host = rng.standard_normal(4).astype(np.float32)
x = jax.device_put(x_host, split)
w, b = jax.numpy.asarray(w_host), jax.numpy.asarray(b_host)
functions = {
    "conv": lambda x, w, b: ac.conv(x, w, b, padding="same"),
    "stride": lambda x, w, b: ac.conv(x, w, b, stride=2, padding=1),
    "conv_transpose": lambda x, w, b: ac.conv_transpose(x, w, b, stride=2),
    "dx": lambda x, w, b: ac.conv_vjp(x, x, w, b, padding="same").dx,
    "max_pool": lambda x, w, b: ac.max_pool(x, 3, stride=2, padding=1),
    "max_pool_vjp": lambda x, w, b: ac.max_pool_vjp(x, x, 3, stride=1, padding=1),
    "avg_pool": lambda x, w, b: ac.avg_pool(x, 2),
    "adaptive": lambda x, w, b: ac.adaptive_avg_pool(x, 2),
    "global": lambda x, w, b: ac.global_avg_pool(x),
    "pad": lambda x, w, b: ac.pad(x, 1),
    "relu": lambda x, w, b: ac.relu(x),
    "dw": lambda x, w, b: ac.conv_vjp(x, x, w, b, padding="same").dw,
    "db": lambda x, w, b: ac.conv_vjp(x, x, w, b, padding="same").db,
}
for name, f in functions.items():
    expected = f(x_host, w_host, b_host)
    for how, result in (("eager", f(x, w, b)), ("jit", jax.jit(f)(x, w, b))):
        bound = 1e-6 * np.max(np.abs(expected))
        np.testing.assert_allclose(result, expected, rtol=0, atol=bound, err_msg=name)
        if how == "jit" and name not in ("dw", "db"):
            shards = [s.data.shape[0] for s in result.addressable_shards]
            assert shards == [2, 2, 2, 2], (name, how, result.sharding)
print("all right")
"""


SHARD_MAP = """
import warnings

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, PartitionSpec as P

import arrayconv as ac

warnings.simplefilter("error")
assert len(jax.devices()) == 4
rng = np.random.default_rng(0)
x, w, b, s = (
    jnp.asarray(rng.standard_normal(n), jnp.float32)
    for n in ((8, 6, 5, 4), (3, 3, 4, 4), (4,), (4,))
)
ours = {f.__name__: ac.autodiff.to_jax(f) for f in (ac.conv, ac.batch_norm_inference, ac.prelu)}
gated = ac.autodiff.to_jax(lambda x, k: x + 0 * k, vjp=lambda dy, x, k: (dy, jnp.ones((1, 1, 1, 4))))


def network(conv, norm, prelu):
    def loss(x, w, b, s):
        h = prelu(conv(x, w, b), s)
        return jnp.mean(conv(norm(h, s, b, b, s * s), w[:2, :2]) ** 2)

    return loss


by_hand = network(ours["conv"], ours["batch_norm_inference"], ours["prelu"])
plain = network(ac.conv, ac.batch_norm_inference, ac.prelu)
everything = (0, 1, 2, 3)
want = jax.grad(plain, argnums=everything)(x, w, b, s)
# the gradient of the gradient, which goes through the sum over the devices
twice = jax.grad(lambda w: jnp.sum(jax.grad(plain, argnums=1)(x, w, b, s) ** 2))(w)


def agree(got, want, *what):
    for a, e in zip(got, want, strict=True):
        np.testing.assert_allclose(a, e, rtol=1e-4, atol=1e-4 * np.max(np.abs(e)), err_msg=str(what))


for axes, spec in ((("batch",), P("batch")), (("a", "b"), P(("a", "b")))):
    shape = (4,) if len(axes) == 1 else (2, 2)
    mesh = jax.make_mesh(shape, axes, axis_types=(AxisType.Auto,) * len(axes))
    specs = (spec, P(), P(), P())
    for check in (True, False):
        mapped = lambda f, out: jax.jit(  # noqa: E731
            jax.shard_map(f, mesh=mesh, in_specs=specs, out_specs=out, check_vma=check)
        )

        def inside(x, w, b, s):
            dx, *rest = jax.grad(by_hand, argnums=everything)(x, w, b, s)
            # without the check JAX sums nothing inside, for its own operations neither
            rest = rest if check else jax.lax.psum(rest, axes)
            return dx / 4, *(d / 4 for d in rest)

        agree(mapped(inside, (spec, P(), P(), P()))(x, w, b, s), want, "inside", axes, check)
        whole = mapped(lambda *a: jax.lax.pmean(by_hand(*a), axes), P())
        agree(jax.grad(whole, argnums=everything)(x, w, b, s), want, "outside", axes, check)
        again = jax.grad(lambda w: jnp.sum(jax.grad(whole, argnums=1)(x, w, b, s) ** 2))(w)
        agree([again], [twice], "twice", axes, check)
        # a gradient that varies less than its array
        summed = mapped(lambda x, w, b, s: jax.lax.psum(jnp.sum(gated(x, x[:1, :1, :1])), axes), P())
        extra = np.zeros(x.shape)
        extra[::2, :1, :1] = 1
        agree([jax.grad(summed)(x, w, b, s)], [1 + extra], "constant", axes, check)
print("all right")
"""


@pytest.mark.parametrize("script", [SHARDED, SHARD_MAP], ids=["jit", "shard_map"])
def test_sharded_jax_arrays_with_plain_weights(script):
    pytest.importorskip("jax")
    environment = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
    }
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "all right"


@pytest.mark.parametrize(
    "f",
    [
        lambda x: ac.pad(x, 0),
        lambda x: ac.max_pool(x, 1),
        lambda x: ac.adaptive_max_pool(x, 4),
        lambda x: ac.im2col(x, 1),
        lambda x: ac.resize(x, scale=1),
        lambda x: ac.conv(x, x[0, :2, :2, :, None]),
    ],
)
def test_torch_differentiates_through_copies(f):
    torch = pytest.importorskip("torch")
    x = torch.rand(1, 4, 4, 1, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(f, x)

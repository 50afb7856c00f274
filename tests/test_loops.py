"""Blocks under a compiler: a loop in the program, whose size and memory do not depend on the batch."""

from __future__ import annotations

import numpy as np
import pytest
from reference import NAIVE, conv_gradients

import arrayconv as ac
from arrayconv.engine import STRATEGIES
from arrayconv.namespace import rolled_loop

pytestmark = pytest.mark.backends("jax")
random = np.random.default_rng(17)

# batches and rows that blocks divide, and some that they do not; rows shared, apart, and in the padding
CASES = [
    ((6, 12, 9, 2), (3, 3, 2, 3), {"padding": 1}),
    ((7, 13, 5, 2), (3, 2, 2, 3), {"padding": [(2, 0), (0, 1)]}),
    ((5, 23, 5, 2), (2, 3, 2, 3), {"stride": (3, 1), "padding": 1}),
    ((3, 29, 4, 2), (2, 2, 2, 3), {"stride": (4, 2), "dilation": (3, 1)}),
    ((3, 11, 6, 4), (3, 3, 2, 4), {"padding": 2, "dilation": 2, "groups": 2}),
    ((4, 17, 3), (9, 3, 2), {"padding": "same"}),
    ((3, 7, 5, 4, 2), (2, 3, 2, 2, 2), {"padding": 1}),
]


def serves(strategy, x, w, config):
    with ac.options(strategy=strategy, precision="fast"):
        try:
            return bool(ac.explain(ac.conv, x, w, **config))
        except ValueError:
            return False


RUNS = [(*case, None, workspace) for case in CASES for workspace in (1, 2**12, 2**14)] + [
    (*case, strategy, 2**13)
    for case in CASES[:2] + CASES[-2:]
    for strategy in STRATEGIES
    if serves(strategy, *case)
]


@pytest.mark.parametrize("x, w, config, strategy, workspace", RUNS)
def test_a_loop_gives_what_its_blocks_give(xp, x, w, config, strategy, workspace):
    import jax

    x, w = random.standard_normal(x), random.standard_normal(w)
    want = NAIVE["conv"](x, w, None, **config)
    dy = random.standard_normal(want.shape)
    true = conv_gradients(dy, x, w, None, transpose=False, **config)
    with ac.options(strategy=strategy, workspace=workspace, precision="fast"):
        got = jax.jit(lambda x, w: ac.conv(x, w, **config))(x, w)
        dx, dw, _ = jax.jit(lambda *arrays: ac.conv_vjp(*arrays, **config))(dy, x, w)
    for a, b in ((got, want), (dx, true[0]), (dw, true[1])):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-11 * np.max(np.abs(b)))


def gradients(dy, x, w):
    return ac.conv_vjp(dy, x, w, padding="same")[:2]


def forward(dy, x, w):
    (plan,) = ac.explain(ac.conv, x, w, padding="same")
    assert len(plan.blocks) > 8
    return ac.conv(x, w, padding="same")


def shapes(batch, rows):
    import jax

    sizes = (batch, rows, 64, 16), (batch, rows, 64, 16), (3, 3, 16, 16)
    return [jax.ShapeDtypeStruct(size, "float32") for size in sizes]


@pytest.mark.parametrize("f", [forward, gradients])
@pytest.mark.parametrize("batch, rows", [(64, 64), (8, 512), (60, 60), (61, 61)])
def test_program_and_memory_do_not_grow_with_the_work(xp, f, batch, rows):
    import jax

    def measured(*size):
        traced = jax.jit(f).trace(*shapes(*size))
        compiled = traced.lower().compile()
        return str(traced.jaxpr).count("\n"), compiled.memory_analysis().temp_size_in_bytes

    with ac.options(workspace=2**20):
        (few, _), (many, memory) = measured(8, 64), measured(batch, rows)
    # a last, shorter strip is written out
    assert many <= (2 * few if rows % 2 else few + 40)
    # the program holds the strips of an image, and both gradients may be computed at once
    image = 4 * rows * 64 * (16 + 16)
    assert memory <= 4 * (2**20 + image), memory / 2**20


def test_a_loop_is_differentiated_and_mapped(xp):
    import jax

    x, w = random.standard_normal((5, 12, 7, 2)), random.standard_normal((3, 3, 2, 3))

    def loss(conv):
        return lambda x, w: (conv(x, w) ** 2).sum()

    def ours(x, w):
        return ac.conv(x, w, padding=1)

    def theirs(x, w):
        form = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, w, (1, 1), [(1, 1)] * 2, dimension_numbers=form)

    with ac.options(workspace=2**12):
        for transform, weights in (
            (lambda conv: jax.grad(loss(conv), argnums=(0, 1)), w),
            (lambda conv: jax.hessian(loss(conv), argnums=1), w),
            (lambda conv: jax.vmap(conv, in_axes=(None, 0)), np.stack([w, 2 * w])),
        ):
            got, want = (jax.jit(transform(conv))(x, weights) for conv in (ours, theirs))
            jax.tree.map(
                lambda a, b: np.testing.assert_allclose(a, b, atol=1e-9, rtol=1e-9), got, want
            )


def test_a_loop_inside_shard_map(xp):
    import jax

    x, w = random.standard_normal((6, 12, 7, 2)), random.standard_normal((3, 3, 2, 3))
    dy = random.standard_normal((6, 12, 7, 3))
    parts = jax.sharding.PartitionSpec
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def local(dy, x, w):
        dx, dw, _ = ac.conv_vjp(dy, x, w, padding=1)
        return dx, jax.lax.psum(dw, "data")

    split = jax.shard_map(
        local,
        mesh=mesh,
        in_specs=(parts("data"), parts("data"), parts()),
        out_specs=(parts("data"), parts()),
    )
    with ac.options(workspace=2**12):
        got = jax.jit(split)(dy, x, w)
    want = conv_gradients(dy, x, w, None, transpose=False, padding=1)
    for a, b in zip(got, want, strict=False):
        np.testing.assert_allclose(a, b, atol=1e-11)


@pytest.mark.parametrize("spec", [("data",), (None, "data")])
def test_an_explicit_mesh_of_one_device(xp, spec):
    import jax

    x, w = random.standard_normal((6, 12, 8, 2)), random.standard_normal((3, 3, 2, 3))
    dy = random.standard_normal((6, 12, 8, 3))
    mesh = jax.make_mesh((1,), ("data",), axis_types=(jax.sharding.AxisType.Explicit,))
    split = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*spec))
    whole = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
    arrays = jax.device_put(dy, split), jax.device_put(x, split), jax.device_put(w, whole)
    with jax.set_mesh(mesh), ac.options(workspace=2**12):
        got = jax.jit(lambda *arrays: ac.conv_vjp(*arrays, padding=1)[:2])(*arrays)
        y = jax.jit(lambda x, w: ac.conv(x, w, padding=1))(*arrays[1:])
    want = conv_gradients(dy, x, w, None, transpose=False, padding=1)
    for a, b in zip((*got, y), (*want[:2], NAIVE["conv"](x, w, None, padding=1)), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)


def test_half_types_are_not_promoted_behind_the_back(xp):
    import jax

    x = xp.array(random.standard_normal((6, 12, 7, 2))).astype("bfloat16")
    w = xp.array(random.standard_normal((3, 3, 2, 2))).astype("bfloat16")
    with jax.numpy_dtype_promotion("strict"), ac.options(workspace=2**12):
        dx, dw, _ = jax.jit(lambda x, w: ac.conv_vjp(x, x, w, padding=1))(x, w)
    assert {str(dx.dtype), str(dw.dtype)} == {"bfloat16"}


def test_blocks_are_few_where_there_is_no_loop(xp):
    x, w = xp.array(np.ones((64, 12, 12, 2))), xp.array(np.ones((3, 3, 2, 2)))
    with ac.options(workspace=2**12):
        for plan in (*ac.explain(ac.conv, x, w), *ac.explain(ac.conv_vjp, ac.conv(x, w), x, w)):
            assert 1 < len(plan.blocks) <= 16


def test_what_the_compiler_fuses_is_not_cut(xp):
    import jax

    def f(x, w):
        (plan,) = ac.explain(ac.conv, x, w, groups=64)
        assert (plan.strategy, len(plan.blocks)) == ("depthwise", 1)
        return ac.conv(x, w, groups=64)

    x, w = ((32, 56, 56, 64), (3, 3, 1, 64))
    compiled = jax.jit(f).lower(*(jax.ShapeDtypeStruct(s, "float32") for s in (x, w))).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 2**26


def test_there_is_a_loop_only_where_a_program_is_made(xp):
    import jax
    import jax.numpy as jnp

    found = []

    def f(x):
        found.append(rolled_loop(jnp))
        return (x**2).sum()

    x = jnp.ones(3)
    f(x), jax.grad(f)(x), jax.vmap(f)(x[:, None])
    assert found == [None] * 3
    jax.jit(f)(x), jax.jit(jax.grad(f))(x)
    assert found[3:] == [jax.lax.scan] * 2
    assert rolled_loop(np) is None

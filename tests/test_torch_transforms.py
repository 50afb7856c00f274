"""Operations under the tracers and transformations of PyTorch: whole graphs, no warnings, and the same numbers."""

from __future__ import annotations

import functools
import subprocess
import sys

import pytest

import arrayconv as ac
from arrayconv.cases import cases, sample
from arrayconv.namespace import traits

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.backends("torch")

TABLE = sample(cases())
# The smallest call of each operation that is not empty.
SMALLEST = {
    case.op: case
    for case in sorted(TABLE, key=lambda case: -sum(map(len, filter(None, case.shapes))))
    if not any(0 in shape for shape in case.shapes if shape)
}


def tensors(case, seed=0):
    return [None if a is None else torch.asarray(a.copy()) for a in case.arrays(seed)]


def upstream(y):
    y = y[0] if isinstance(y, tuple) else y
    steps = torch.arange(y.numel()).reshape(y.shape) % 5 + 1
    return steps.to(y.dtype)


def pair(case, arrays):
    """Return the operation and its vjp as functions of all their arrays, ``dy`` being the first of the vjp's."""

    def forward(*given):
        return getattr(ac, case.op)(*given, *case.args, **case.config)

    def backward(dy, *given):
        vjp = getattr(ac, f"{case.op}_vjp")
        return vjp(dy, *given, *case.args, **case.config, **case.vjp_config)

    dy = upstream(forward(*arrays))
    return (forward, arrays), (backward, [dy, *arrays])


def leaves(found):
    return [a for a in (found if isinstance(found, tuple) else (found,)) if a is not None]


def assert_same(found, wanted):
    found, wanted = leaves(found), leaves(wanted)
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.id)
def test_vmap_over_one_array_or_all(case):
    first, second = tensors(case), tensors(case, seed=1)
    for (f, one), (_, two) in zip(pair(case, first), pair(case, second), strict=True):
        present = [i for i, a in enumerate(one) if a is not None]
        for batched in ({*present}, {present[0]}, {present[-1]}):
            given = [
                torch.stack([a, b]) if i in batched else a
                for i, (a, b) in enumerate(zip(one, two, strict=True))
            ]
            dims = tuple(0 if i in batched else None for i in range(len(one)))
            found = torch.func.vmap(lambda *a, f=f: tuple(leaves(f(*a))), in_dims=dims)(*given)
            for k in range(2):
                alone = [a[k] if i in batched else a for i, a in enumerate(given)]
                assert_same(tuple(a[k] for a in found), f(*alone))


@pytest.mark.parametrize("op", SMALLEST)
def test_compile_makes_one_graph_of_an_operation_and_its_vjp(op):
    (f, arrays), (vjp, given) = pair(SMALLEST[op], tensors(SMALLEST[op]))

    def both(dy, *arrays):
        return f(*arrays), vjp(dy, *arrays)

    torch._dynamo.reset()
    y, found = torch.compile(both, backend="aot_eager", fullgraph=True)(*given)
    assert type(y) is type(f(*arrays))
    assert_same(y, f(*arrays))
    assert_same(found, vjp(*given))


def network(x, w, gamma):
    y = ac.max_pool(ac.gelu(ac.layer_norm(ac.conv(x, w, padding="same"), gamma)), 2)
    return ac.log_softmax(ac.global_avg_pool(ac.resize(y, scale=2, method="linear")))


def arrays(n=2, size=8):
    generator = torch.Generator().manual_seed(0)
    shapes = (n, size, size, 3), (3, 3, 3, 4), (4,)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_compiled_gradients_for_one_shape_after_the_other(backend):
    torch._dynamo.reset()
    compiled = torch.compile(network, backend=backend, fullgraph=True)
    for n, size in ((2, 8), (3, 8), (3, 6), (5, 10)):
        given = [a.requires_grad_() for a in arrays(n, size)]
        y = compiled(*given)
        assert_same(y, network(*given))
        found, wanted = (torch.autograd.grad(z[:, 0].sum(), given) for z in (y, network(*given)))
        assert_same(found, wanted)


@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")
@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", ["grad", "jacrev", "jacfwd", "hessian"])
def test_derivatives_of_torch_func(name, compiled):
    x, w, gamma = arrays()

    def loss(gamma, x):
        return network(x, w, gamma)[:, 0].square().sum()

    transformed = getattr(torch.func, name)(loss)
    if compiled:
        torch._dynamo.reset()
        transformed = torch.compile(transformed, backend="aot_eager", fullgraph=True)
    second = name == "hessian"
    wanted = torch.autograd.functional.hessian if second else torch.autograd.functional.jacobian
    assert_same(transformed(gamma, x), wanted(lambda g: loss(g, x), gamma))


def test_per_sample_gradients():
    x, w, _ = arrays()

    def loss(w, x):
        return ac.conv(x[None], w).square().sum()

    found = torch.func.vmap(torch.func.grad(loss), (None, 0))(w, x)
    wanted = [ac.conv_vjp(2 * ac.conv(a[None], w), a[None], w, wrt=("w",)).dw for a in x]
    assert_same(found, torch.stack(wanted))


def test_tensors_cannot_be_written_under_a_transformation_alone():
    seen = []

    def spied(x):
        seen.append(traits(torch, x).mutable)
        return x

    x = torch.ones(2)
    for f in (spied, torch.func.vmap(spied), torch.func.vmap(torch.func.grad(spied)), spied):
        f(x)
    assert seen == [True, False, False, True]


def test_compiled_under_the_options_in_force():
    from torch._dynamo.testing import AotEagerAndRecordGraphs

    x, w, _ = arrays()
    texts = []
    for settings in ({}, {"strategy": "fft", "precision": "fast"}):
        torch._dynamo.reset()
        recorder = AotEagerAndRecordGraphs()
        compiled = torch.compile(lambda x, w: ac.conv(x, w), backend=recorder, fullgraph=True)
        with ac.options(**settings):
            y = compiled(x, w)
        assert_same(y, ac.conv(x, w))
        texts.append(recorder.fw_graphs[0].code)
    assert ["fft" in text for text in texts] == [False, True]


def inside_options(x, w):
    with ac.options(strategy="taps"):
        return ac.conv(x, w)


def after_a_break(x, w):
    for _ in range(2):
        try:
            torch._dynamo.graph_break()
            x = ac.conv(x, w, padding=1)[..., :3]
        finally:
            x = x * 2
    return x


@functools.wraps(ac.conv)
def wrapped(x, w):
    return 2 * ac.conv(x, w)


def steps_of_the_course(x, w):
    Z, cache = ac.conv_forward(x, w, torch.zeros(1, 1, 1, 4), {"stride": 1, "pad": 1})
    A, pooled = ac.pool_forward(ac.rectified(Z), {"f": 2, "stride": 2})
    return ac.conv_backward(ac.pool_backward(A, pooled), cache)


@pytest.mark.parametrize(
    ("f", "whole"),
    [
        (ac.conv, True),
        (wrapped, True),
        (lambda x, w: wrapped(x, w), True),
        (steps_of_the_course, True),
        (inside_options, False),
        (after_a_break, False),
    ],
)
def test_however_dynamo_meets_it(f, whole):
    x, w, _ = arrays()
    torch._dynamo.reset()
    compiled = torch.compile(f, backend="aot_eager", fullgraph=whole)
    for _ in range(2):
        assert_same(compiled(x, w), f(x, w))


IN_A_FRESH_PROCESS = """
import sys, {first}
late = "torch._dynamo" not in sys.modules
import arrayconv as ac, torch
assert late == ("torch._dynamo" not in sys.modules)
x, w = torch.ones(1, 4, 4, 1), torch.ones(3, 3, 1, 1)
y = torch.compile(lambda x, w: ac.conv(x, w), backend="eager", fullgraph=True)(x, w)
assert (y == 9).all()
assert not [f for f in sys.meta_path if type(f).__module__.startswith("arrayconv")]
"""


@pytest.mark.parametrize("first", ["arrayconv", "torch._dynamo"])
def test_whichever_is_imported_first(first):
    command = [
        sys.executable,
        "-W",
        "error::UserWarning",
        "-c",
        IN_A_FRESH_PROCESS.format(first=first),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_tensors_without_values():
    from torch._subclasses import FakeTensorMode

    with FakeTensorMode():
        x, w = torch.ones(2, 8, 8, 3), torch.ones(3, 3, 3, 4)
        assert ac.conv(x, w).shape == (2, 6, 6, 4)
        assert ac.conv_vjp(torch.ones(2, 6, 6, 4), x, w).dw.shape == w.shape
    # nothing of them is kept
    assert ac.conv(torch.ones(2, 8, 8, 3), torch.ones(3, 3, 3, 4)).sum() == 2 * 6 * 6 * 4 * 27


def test_export_with_a_batch_of_any_size():
    class Network(torch.nn.Module):
        def forward(self, x, w, gamma):
            return network(x, w, gamma)

    batch = {0: torch.export.Dim("batch", min=2, max=64)}
    program = torch.export.export(
        Network(), tuple(arrays()), dynamic_shapes={"x": batch, "w": None, "gamma": None}
    )
    assert_same(program.module()(*arrays(7)), network(*arrays(7)))


def test_native_kernels_under_vmap():
    x, w, _ = arrays()
    with ac.options(engine="native"):
        found = torch.func.vmap(lambda x: ac.conv_transpose(x[None], w.mT)[0])(x)
        assert_same(found, ac.conv_transpose(x, w.mT))

"""Our vjps as JAX and PyTorch differentiate by them: the table, transformations, a user's pair."""

from __future__ import annotations

import threading
from functools import partial

import numpy as np
import pytest
from array_api_compat import array_namespace
from conftest import strict_jax

import arrayconv as ac
from arrayconv.autodiff import to_jax, to_torch

# The copies that the pools make inside a derivative of second order.
ASARRAY = "ignore:torch.asarray. unspecified requires_grad:UserWarning"


@pytest.fixture
def jax():
    jax = pytest.importorskip("jax")
    with strict_jax():
        yield jax


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


def draw(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def first(result):
    return result[0] if isinstance(result, tuple) else result


def close(got, want, rtol=1e-10):
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape
    assert got.dtype == want.dtype
    scale = np.max(np.abs(want), initial=1e-300)
    np.testing.assert_allclose(got / scale, want / scale, rtol=0, atol=rtol)


def is_floating(a):
    return a is not None and a.dtype.kind == "f"


def pair(case):
    f, vjp = getattr(ac, case.op), getattr(ac, f"{case.op}_vjp")
    return f, partial(vjp, **case.vjp_config)


def test_jax_finds_the_gradient_of_the_plain_function(sampled_case, jax):
    case = sampled_case
    f, vjp = pair(case)
    here = case.arrays()
    places = [i for i, a in enumerate(here) if is_floating(a)]
    dy = draw(*first(f(*here, *case.args, **case.config)).shape, seed=1)

    def with_gradients(f, floats, dy):
        def forward(*floats):
            args = list(here)
            for i, a in zip(places, floats, strict=True):
                args[i] = a
            args = [jax.numpy.asarray(a) if isinstance(a, np.ndarray) else a for a in args]
            return first(f(*args, *case.args, **case.config))

        y, back = jax.vjp(forward, *floats)
        return y, *back(dy)

    # one program, hardly optimized, since compiling is what takes the time
    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def both(floats, dy):
        return with_gradients(to_jax(f, vjp), floats, dy), with_gradients(f, floats, dy)

    for got, want in zip(*both([here[i] for i in places], dy), strict=True):
        close(got, want)


# In an empty array there is nothing to check.
@pytest.mark.where(
    lambda sampled_case: all(0 not in s for s in sampled_case.shapes if s is not None)
)
def test_torch_passes_gradcheck(sampled_case, torch):
    case = sampled_case
    f = to_torch(*pair(case))
    here = [None if a is None else torch.asarray(a) for a in case.arrays()]
    places = [i for i, a in enumerate(case.arrays()) if is_floating(a)]

    def call(*floats):
        args = list(here)
        for i, a in zip(places, floats, strict=True):
            args[i] = a
        return first(f(*args, *case.args, **case.config))

    floats = [here[i].requires_grad_() for i in places]
    assert torch.autograd.gradcheck(call, floats, fast_mode=True, rtol=1e-6, atol=1e-7)


def network(ops, params, x):
    """Two convolutions, two pools and an activation; a bias that is there and one that is not."""
    w1, b1, w2 = params
    x = ops["relu"](ops["conv"](x, w1, b1, stride=1, padding="same"))
    x = ops["max_pool"](x, 2)
    x = ops["conv"](x, w2, padding=[1, 0])
    return ops["global_avg_pool"](x)


def adapted(adapter):
    return {op: adapter(getattr(ac, op)) for op in ("conv", "relu", "max_pool", "global_avg_pool")}


def some_network():
    params = (draw(3, 3, 2, 4), draw(1, 1, 1, 4), draw(2, 3, 4, 5))
    return params, draw(2, 7, 6, 2)


def test_a_composed_network_in_jax(jax):
    params, x = jax.tree.map(jax.numpy.asarray, some_network())
    plain = {op: getattr(ac, op) for op in adapted(to_jax)}

    def loss(ops):
        return jax.jit(jax.grad(lambda params: (network(ops, params, x) ** 2).sum()))

    for got, want in zip(loss(adapted(to_jax))(params), loss(plain)(params), strict=True):
        close(got, want)


def test_a_composed_network_in_torch(torch):
    params, x = some_network()
    w1, b1, w2 = tensors = [torch.asarray(p).requires_grad_() for p in params]
    x = torch.asarray(x)
    network(adapted(to_torch), tensors, x).square().sum().backward()
    found = [t.grad.clone() for t in tensors]
    for t in tensors:
        t.grad = None
    nn = torch.nn.functional
    y = nn.conv2d(x.permute(0, 3, 1, 2), w1.permute(3, 2, 0, 1), b1.flatten(), padding="same")
    y = nn.conv2d(nn.max_pool2d(y.relu(), 2), w2.permute(3, 2, 0, 1), padding=(1, 0))
    y.mean((2, 3)).square().sum().backward()
    for got, t in zip(found, tensors, strict=True):
        close(got, t.grad)


def test_vmap_in_jax(jax):
    conv, pool = to_jax(ac.conv), to_jax(ac.max_pool)
    xs, w = jax.numpy.asarray(draw(3, 2, 6, 5, 2)), jax.numpy.asarray(draw(3, 3, 2, 4))

    def loss(w, x):
        return (pool(conv(x, w, padding=1), 2) ** 2).sum()

    each = jax.jit(jax.grad(loss))
    found = jax.jit(jax.vmap(jax.grad(loss), in_axes=(None, 0)))(w, xs)
    close(found, np.stack([each(w, x) for x in xs]))
    total = jax.jit(jax.grad(lambda w: jax.vmap(partial(loss, w))(xs).sum()))(w)
    close(total, found.sum(0), 1e-9)


def test_vmap_in_torch(torch):
    conv, pool = to_torch(ac.conv), to_torch(ac.max_pool)
    xs, w = torch.asarray(draw(3, 2, 6, 5, 2)), torch.asarray(draw(3, 3, 2, 4))

    def loss(w, x):
        return pool(conv(x, w, padding=1), 2).square().sum()

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(w, xs)
    w.requires_grad_()
    close(found, torch.stack([torch.autograd.grad(loss(w, x), w)[0] for x in xs]))
    total = torch.func.grad(lambda w: torch.func.vmap(partial(loss, w))(xs).sum())(w)
    close(total.detach(), found.sum(0), 1e-9)
    last = torch.func.vmap(conv, in_dims=(4, None), out_dims=1)(torch.movedim(xs, 0, 4), w)
    close(last.detach(), torch.stack([conv(x, w) for x in xs], 1).detach())


@pytest.mark.filterwarnings(ASARRAY)
def test_second_derivatives(jax, torch):
    x, w = draw(1, 5, 2), draw(3, 2, 3)

    def network(conv, pool):
        return lambda x, w: (pool(conv(x, w, padding=1), 2, stride=1) ** 2).sum()

    ours = network(to_jax(ac.conv), to_jax(ac.max_pool))
    plain = network(ac.conv, ac.max_pool)
    found, want = (
        jax.jit(jax.jacrev(jax.grad(f, argnums=1), argnums=(0, 1)))(x, w) for f in (ours, plain)
    )
    for a, b in zip(found, want, strict=True):
        close(a, b)
    tensors = [torch.asarray(a).requires_grad_() for a in (x, w)]
    ours = network(to_torch(ac.conv), to_torch(ac.max_pool))
    assert torch.autograd.gradgradcheck(ours, tensors)
    close(torch.func.jacrev(torch.func.grad(ours, argnums=1))(*tensors).detach(), want[0])


def scaled(x, s=None, *, power=1):
    """``x ** power`` times a bias-like `s`, and its sum as an auxiliary result."""
    y = x**power if s is None else x**power * s
    return y, y.sum()


def scaled_vjp(dy, x, s=None, *, power=1):
    dx = power * x ** (power - 1) * dy
    return (dx, None) if s is None else (dx * s, (x**power * dy).sum().reshape(s.shape))


def test_a_pair_of_ones_own(jax, torch):
    x, s = np.asarray([1.0, 2.0]), np.asarray([3.0])
    f = to_jax(scaled)
    loss = jax.jit(lambda x, s, power=2: f(x, s=s, power=power)[0].sum(), static_argnums=2)
    assert f.__name__ == "scaled"
    close(jax.grad(loss)(x, s), x * 6)
    close(jax.grad(loss, argnums=1)(x, s), np.asarray([5.0]))
    close(jax.grad(lambda x: f(x, None, power=3)[0].sum())(x), 3 * x**2)
    t, u = torch.asarray(x).requires_grad_(), torch.asarray(s).requires_grad_()
    to_torch(scaled)(t, s=u, power=2)[0].sum().backward()
    close(t.grad, x * 6)
    close(u.grad, np.asarray([5.0]))


def test_auxiliary_results_are_constants(jax, torch):
    x = np.asarray([1.0, 2.0])

    def loss(x, f):
        y, total = f(x, power=2)
        return (y * total).sum()

    # with the sum differentiated too it would be 4 * x * sum(x ** 2)
    close(jax.grad(loss)(x, to_jax(scaled)), 2 * x * 5)
    y, total = to_torch(scaled)(torch.asarray(x).requires_grad_(), power=2)
    assert y.requires_grad
    assert not total.requires_grad


def picked(z, labels, mask):
    xp = array_namespace(z)
    one = xp.take_along_axis(z, xp.reshape(labels, (-1, 1)), axis=1)
    return xp.reshape(one, (-1,)) * xp.astype(mask, z.dtype)


def picked_vjp(dy, z, labels, mask):
    xp = array_namespace(z)
    chosen = xp.reshape(labels, (-1, 1)) == xp.reshape(xp.arange(3), (1, 3))
    return (
        xp.astype(chosen, z.dtype) * xp.reshape(dy * xp.astype(mask, z.dtype), (-1, 1)),
        None,
        None,
    )


def test_labels_and_masks(jax, torch):
    z, labels, mask = draw(2, 3), np.asarray([2, 0]), np.asarray([True, False])
    want = np.asarray([[0, 0, 1.0], [0, 0, 0]])
    f = to_jax(picked)
    _, back = jax.vjp(f, *map(jax.numpy.asarray, (z, labels, mask)))
    dz, dlabels, dmask = back(jax.numpy.ones(2))
    close(dz, want)
    assert dlabels.dtype == dmask.dtype == jax.dtypes.float0
    # constants of NumPy, under jit
    close(jax.jit(jax.grad(lambda z: f(z, labels, mask).sum()))(z), want)
    t = torch.asarray(z).requires_grad_()
    to_torch(picked)(t, torch.asarray(labels), torch.asarray(mask)).sum().backward()
    close(t.grad, want)


def test_the_vjp_is_what_differentiates(jax, torch):
    def wrong(dy, x, w, b=None, **config):
        dx, dw, db = ac.conv_vjp(dy, x, w, b, **config)
        return dx, 1.01 * dw, db

    x, w = draw(1, 5, 4, 2), draw(3, 2, 2, 3)

    def gradient(f):
        return jax.grad(lambda w: (f(x, w, stride=2) ** 2).sum())(w)

    close(gradient(to_jax(ac.conv, wrong)), 1.01 * gradient(to_jax(ac.conv)))
    x, w = (torch.asarray(a).requires_grad_() for a in (x, w))
    assert torch.autograd.gradcheck(to_torch(ac.conv), (x, w))
    assert not torch.autograd.gradcheck(to_torch(ac.conv, wrong), (x, w), raise_exception=False)


def spying(record):
    """Return a pair that records what its vjp is given."""

    def f(x, w):
        return x * w

    def vjp(dy, x, w, *, y=None, wrt=("x", "w")):
        record.append((ac.engine.settings.current().strategy, y, wrt))
        return (dy * w if "x" in wrt else None), (dy * x if "w" in wrt else None)

    return f, vjp


def test_options_count_as_at_the_call(jax, torch):
    record = []
    f = to_jax(*spying(record))
    x = np.ones(2)
    with ac.options(strategy="taps"):
        y, back = jax.vjp(f, x, x)
    back(y)

    def loss(x):
        with ac.options(strategy="columns"):
            return f(x, x).sum()

    jax.jit(jax.grad(loss))(x)
    with ac.options(strategy="taps"):
        y = to_torch(*spying(record))(torch.ones(2, requires_grad=True), torch.ones(2))
    thread = threading.Thread(target=lambda: y.sum().backward())
    thread.start()
    thread.join()
    assert [strategy for strategy, *_ in record] == ["taps", "columns", "taps"]
    assert ac.engine.settings.current().strategy is None


def test_the_result_is_handed_over_and_only_what_is_needed_is_computed(jax, torch):
    record = []
    x, w = torch.asarray([1.0, 2.0]), torch.asarray([3.0, 4.0], requires_grad=True)
    to_torch(*spying(record))(x, w).sum().backward()
    ((_, y, wrt),) = record
    assert wrt == ("w",)
    close(y.detach(), x * w.detach())
    record.clear()
    with jax.enable_x64(False):
        jax.vjp(to_jax(*spying(record)), x.numpy(), x.numpy())[1](jax.numpy.ones(2))
    ((_, y, wrt),) = record
    assert wrt == ("x", "w")
    close(y, x.numpy() ** 2)


def test_arguments_called_y_and_wrt_are_the_functions_own(jax):
    f = to_jax(
        lambda x, y, *, wrt: x * y * wrt, lambda dy, x, y, *, wrt: (dy * y * wrt, dy * x * wrt)
    )
    assert [float(a) for a in jax.grad(partial(f, wrt=5.0), (0, 1))(2.0, 3.0)] == [15.0, 10.0]


def test_gradients_have_the_dtype_of_their_array(jax, torch):
    x, w = np.ones((1, 4, 2), np.float32), np.ones((3, 2, 2))
    with jax.numpy_dtype_promotion("standard"):
        dx, dw = jax.grad(lambda x, w: to_jax(ac.conv)(x, w).sum(), (0, 1))(x, w)
    assert (dx.dtype, dw.dtype) == (np.float32, np.float64)
    x, w = torch.asarray(x).requires_grad_(), torch.asarray(w).requires_grad_()
    to_torch(ac.conv)(x, w).sum().backward()
    assert (x.grad.dtype, w.grad.dtype) == (torch.float32, torch.float64)


def test_torch_takes_any_memory_layout(torch):
    x, w = torch.asarray(draw(2, 3, 5, 6)), torch.asarray(draw(3, 3, 3, 4))
    x, w = x.permute(0, 3, 2, 1)[..., ::1], w.flip(0).transpose(0, 1)
    assert not x.is_contiguous()
    x.requires_grad_()
    w.requires_grad_()
    assert torch.autograd.gradcheck(to_torch(ac.conv), (x, w), fast_mode=True)
    y = to_torch(ac.conv)(x, w)
    # a sum's gradient is one number, expanded
    expanded = torch.autograd.grad(y.sum(), (x, w), retain_graph=True)
    for got, want in zip(
        expanded, torch.autograd.grad(y, (x, w), torch.ones(y.shape, dtype=y.dtype)), strict=True
    ):
        close(got, want)


def test_an_operation_in_torch_sees_arrays_without_history(torch):
    seen = []

    def f(x):
        seen.append(x.requires_grad)
        return x * x

    def vjp(dy, x):
        seen.append(x.requires_grad)
        return 2 * x * dy

    to_torch(f, vjp)(torch.ones(2, requires_grad=True)).sum().backward()
    assert seen == [False, False]


def test_an_argument_given_by_its_name_may_leave_a_gap(jax, torch):
    x, beta = draw(4, 3), draw(3)
    found = jax.grad(lambda beta: (to_jax(ac.batch_norm)(x, beta=beta)[0] ** 2).sum())(beta)
    # what is normalized sums to zero, so that only beta's own square counts
    close(found, 8 * beta)
    t = torch.asarray(beta).requires_grad_()
    y, mean, var = to_torch(ac.batch_norm)(torch.asarray(x), beta=t)
    y.square().sum().backward()
    close(t.grad, 8 * beta)
    assert not mean.requires_grad
    assert not var.requires_grad


def test_one_trace_serves_every_call(jax):
    traced = []

    def f(x):
        traced.append(1)
        return x * x

    step = jax.jit(jax.grad(lambda x: to_jax(f, lambda dy, x: 2 * x * dy)(x).sum()))
    step(np.ones(3))
    count = len(traced)
    step(np.ones(3))
    assert len(traced) == count


def no_vjp(x):
    return x


def test_errors_of_to_jax(jax):
    conv, x, w = to_jax(ac.conv), draw(1, 4, 2), draw(3, 2, 2)
    for f, error, message in (
        (lambda: to_jax(no_vjp), ValueError, r"to_jax\(no_vjp\): there is no no_vjp_vjp beside"),
        (lambda: conv(x), TypeError, r"to_jax\(conv\): missing a required argument: 'w'"),
        (lambda: conv(x, w, steps=2), TypeError, "to_jax.conv.: got an unexpected .* 'steps'"),
        (
            lambda: jax.jit(conv)(x, w, stride=2),
            TypeError,
            "stride is configuration .* static_argnames",
        ),
        (lambda: conv([x, x], w), TypeError, "x is a list of arrays"),
        (lambda: conv(x, w[:, :1]), ValueError, "conv: w expects 1 input channels"),
    ):
        with pytest.raises(error, match=message):
            f()
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="w must be an array of JAX or NumPy, got one of torch"):
        conv(x, torch.ones(3, 2, 2))


def test_errors_of_to_torch(torch):
    conv, x, w = to_torch(ac.conv), torch.ones(1, 4, 2), torch.ones(3, 2, 2)
    for f, error, message in (
        (lambda: to_torch(no_vjp), ValueError, r"to_torch\(no_vjp\): there is no no_vjp_vjp"),
        (lambda: conv(x), TypeError, r"to_torch\(conv\): missing a required argument: 'w'"),
        (lambda: conv(x, w, stride=torch.ones(1)), TypeError, "stride is configuration"),
        (lambda: conv((x, x), w), TypeError, "x is a tuple of arrays"),
        (lambda: conv(x, w.numpy()), TypeError, r"w must be a tensor, .* torch.asarray\(w\)"),
    ):
        with pytest.raises(error, match=message):
            f()


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        (
            lambda dy, x, w: dy * w,
            TypeError,
            r"no gradient for w, a floating array of shape \(2,\)",
        ),
        (lambda dy, x, w: (dy * w, None), TypeError, "no gradient for w"),
        (lambda dy, x, w: (dy * w, dy.sum()), ValueError, r"of shape \(\) for w, which has"),
    ],
)
def test_a_vjp_that_owes_a_gradient(jax, torch, found, error, message):
    f = to_jax(lambda x, w: x * w, found)
    x = np.ones(2)
    with pytest.raises(error, match=message):
        jax.grad(lambda w: f(x, w).sum())(x)
    t = torch.ones(2, requires_grad=True)
    y = to_torch(lambda x, w: x * w, found)
    with pytest.raises(error, match=message):
        y(torch.ones(2), t).sum().backward()
    # torch does not need what nobody asks for
    y(t, torch.ones(2)).sum().backward()
    close(t.grad, np.ones(2, np.float32))


def test_arrays_without_axes(jax, torch):
    x, alpha = jax.numpy.asarray([[-2.0, 3.0]]), np.asarray(0.25)
    prelu = to_jax(ac.prelu)
    for given in (alpha, np.float64(0.25), jax.numpy.asarray(0.25)):
        close(prelu(x, given), np.asarray([[-0.5, 3.0]]))
        assert float(jax.grad(lambda a: prelu(x, a).sum())(jax.numpy.asarray(given))) == -2.0
    assert isinstance(to_jax(ac.relu)(np.asarray(1.0)), jax.Array)
    # NumPy's scalars are numbers too, where numbers are asked for
    y = to_jax(ac.leaky_relu)(x, negative_slope=np.float64(0.5))
    close(y, np.asarray([[-1.0, 3.0]]))
    assert to_jax(ac.max_pool)(jax.numpy.ones((1, 4, 1)), np.int64(2)).shape == (1, 2, 1)
    with pytest.raises(TypeError, match="negative_slope is configuration"):
        to_jax(ac.leaky_relu)(x, negative_slope=np.asarray(0.5))
    with pytest.raises(TypeError, match=r"alpha must be a tensor, .* torch.asarray\(alpha\)"):
        to_torch(ac.prelu)(torch.ones(1, 2), alpha)


def test_vmap_in_torch_over_an_empty_batch(torch):
    softmax, conv, w = to_torch(ac.softmax), to_torch(ac.conv), torch.ones(2, 2, 3)
    assert torch.func.vmap(softmax)(torch.ones(0, 3)).shape == (0, 3)
    found = torch.func.vmap(softmax, in_dims=1, out_dims=1)(torch.ones(3, 0, dtype=torch.float64))
    assert found.shape == (3, 0)
    assert found.dtype == torch.float64
    each = torch.func.grad(lambda x: conv(x, w).sum())
    assert torch.func.vmap(each)(torch.ones(0, 1, 4, 2)).shape == (0, 1, 4, 2)
    y, total = torch.func.vmap(to_torch(scaled))(torch.ones(0, 2))
    assert (y.shape, total.shape) == ((0, 2), (0,))


@pytest.mark.parametrize("adapter", [to_jax, to_torch])
def test_what_is_no_function(adapter, jax, torch):
    name = adapter.__name__
    with pytest.raises(TypeError, match=f"^{name}: f must be a function, got 3"):
        adapter(3)
    with pytest.raises(TypeError, match=rf"^{name}\(relu\): vjp must be a function, got 3"):
        adapter(ac.relu, vjp=3)

"""Drawn calls under the transformations of JAX and PyTorch: the values and gradients of plain loops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from drawn_calls import Call
from test_drawn import (
    assert_close,
    assert_gradients,
    error_allowed,
    every_operation,
    hold,
    naive,
    read,
    results,
    terms_of,
)

import arrayconv as ac
from arrayconv.autodiff import to_jax, to_torch

pytestmark = [
    pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning"),
    # Dynamo looks into functions that keep their results
    pytest.mark.filterwarnings("ignore:Dynamo detected a call to:UserWarning"),
    # the copies that the pools make under a transformation
    pytest.mark.filterwarnings("ignore:torch.asarray. unspecified requires_grad:UserWarning"),
]


def declined(prop: Callable[[Any, Call], None]) -> Callable[[Any, Call], None]:
    """Hold under the call's options, or the default strategy where its own declines; not of several dtypes."""

    def held(xp: Any, call: Call) -> None:
        if len({call.arrays[name].dtype for name in call.floats}) != 1:
            return
        try:
            with ac.options(**call.options):
                prop(xp, call)
        # torch's compiler wraps errors in one of its own
        except (ValueError, RuntimeError) as error:
            if "declines" not in str(error):
                raise
            kept = {k: v for k, v in call.options.items() if k != "strategy"}
            with ac.options(**kept):
                prop(xp, replace(call, options=kept))

    return held


def prepared(xp: Any, call: Call) -> tuple[list[Any], list[int], Callable[..., Any]]:
    """Return the arrays, which of them are differentiated, and what applies a function to such ones."""
    given = [None if a is None else a.of(xp) for a in call.arrays.values()]
    places = [i for i, name in enumerate(call.arrays) if name in call.floats]

    def apply(f: Callable[..., Any], *floats: Any) -> Any:
        args = list(given)
        for i, a in zip(places, floats, strict=True):
            args[i] = a
        return results(f(*args, *call.args, **call.config))[0]

    return given, places, apply


def pair(call: Call) -> tuple[Callable[..., Any], Callable[..., Any]]:
    config = {k: v for k, v in call.vjp.items() if k == "ties"}
    return getattr(ac, call.op), partial(getattr(ac, f"{call.op}_vjp"), **config)


def assert_right(
    xp: Any, call: Call, given: list[Any], places: list[int], y: Any, dy: Any, found: Any
) -> None:
    arrays = [None if a is None else read(xp, a) for a in given]
    want = np.asarray(results(naive(call, arrays))[0], np.float64)
    assert_close(read(xp, y), want, error_allowed(call, want, terms_of(call, arrays, want)))
    if found is None:
        return
    got = [None] * len(arrays)
    for i, g in zip(places, found, strict=True):
        assert g.dtype == given[i].dtype
        got[i] = read(xp, g)
    assert_gradients(call, read(xp, dy), arrays, got)


def shape_of(call: Call, given: list[Any], xp: Any) -> tuple[int, ...]:
    return np.shape(results(naive(call, [None if a is None else read(xp, a) for a in given]))[0])


@declined
def same_under_jax(xp: Any, call: Call) -> None:
    """Compile result, gradient and a batch of both into one program."""
    import jax

    given, places, apply = prepared(xp, call)
    f = partial(apply, to_jax(*pair(call)))
    floats = [given[i] for i in places]
    dy = call.upstream(shape_of(call, given, xp), call.dtype).of(xp)

    def both(floats: Any, dy: Any) -> Any:
        y, back = jax.vjp(f, *floats)
        return y, back(dy)

    @partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})
    def program(floats: Any, dy: Any) -> Any:
        halves = [jax.numpy.stack([a, a / 2]) for a in floats]
        several = jax.vmap(both)(halves, jax.numpy.stack([dy, dy]))
        return both(floats, dy), several, both([a / 2 for a in floats], dy)

    (y, found), several, second = program(floats, dy)
    assert_right(xp, call, given, places, y, dy, found)
    flat, one = jax.tree.leaves(several), jax.tree.leaves(second)
    for batch, a, b in zip(flat, jax.tree.leaves((y, found)), one, strict=True):
        for entry, alone in ((batch[0], a), (batch[1], b)):
            alone = read(xp, alone)
            assert_close(
                read(xp, entry),
                alone,
                error_allowed(call, alone, 1 + np.max(np.abs(alone), initial=0)),
            )


@declined
def same_under_torch(xp: Any, call: Call) -> None:
    """Differentiate by autograd and by torch.func, and take a batch."""
    import torch

    given, places, apply = prepared(xp, call)
    f = partial(apply, to_torch(*pair(call)))
    dy = call.upstream(shape_of(call, given, xp), call.dtype).of(xp)
    floats = [given[i].detach().clone().requires_grad_() for i in places]
    y = f(*floats)
    assert_right(xp, call, given, places, y, dy, torch.autograd.grad(y, floats, dy))
    plain = [a.detach() for a in floats]
    y, back = torch.func.vjp(f, *plain)
    assert_right(xp, call, given, places, y, dy, back(dy))
    halves = [torch.stack([a / 2, a]) for a in plain]
    for g in (f, partial(apply, getattr(ac, call.op))):
        several = torch.func.vmap(g)(*halves)
        assert_right(xp, call, given, places, several[1], dy, None)


@declined
def same_when_compiled(xp: Any, call: Call) -> None:
    """Trace the operation and its vjp."""
    import torch

    given = [None if a is None else a.of(xp) for a in call.arrays.values()]
    places = [i for i, name in enumerate(call.arrays) if name in call.floats]
    f, vjp = pair(call)
    dy = call.upstream(shape_of(call, given, xp), call.dtype).of(xp)

    def both(dy: Any, *arrays: Any) -> Any:
        y = f(*arrays, *call.args, **call.config)
        return results(y)[0], results(vjp(dy, *arrays, *call.args, **call.config))

    torch._dynamo.reset()
    y, found = torch.compile(both, backend="eager")(dy, *given)
    assert_right(xp, call, given, places, y, dy, [found[i] for i in places])


@pytest.mark.backends("jax", "jax-gpu")
@every_operation
def test_jax_transformations(xp, op):
    hold(xp, same_under_jax, op, share=0.5, shrink=False)


@pytest.mark.backends("torch", "torch-gpu")
@every_operation
def test_torch_transformations(xp, op):
    hold(xp, same_under_torch, op, share=0.2)


@pytest.mark.backends("torch", "torch-gpu")
@every_operation
def test_torch_compile(xp, op):
    hold(xp, same_when_compiled, op, share=0.015, shrink=False)

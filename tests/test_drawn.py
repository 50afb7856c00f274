"""Drawn calls of every operation: the values and gradients of plain loops, and nothing written or shared."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest
from drawn import CALLS, calls, marked
from drawn_calls import Call, exact
from hypothesis import HealthCheck, Phase, assume, given, settings
from reference import NAIVE, conv_gradients
from reference_maxima import max_gradient
from reference_padded import beyond, convolution

import arrayconv as ac

EXAMPLES = int(os.environ.get("ARRAYCONV_EXAMPLES", "0"))
# Examples of each operation and property by default: of convolutions, of what else is linear or a maximum, and of the
# others; and the part of them that a library's time allows.
CONVOLVED, WINDOWED, OTHERS = 1500, 600, 50
SHARES = {"numpy": 1.0, "strict": 0.25, "torch": 0.2, "jax": 0.01, "dask": 0.04}
HALVES = {"strict": (), "numpy": ("float16",), "dask": ("float16",), "cupy": ("float16",)}
LINEAR = {
    "pad",
    "avg_pool",
    "global_avg_pool",
    "adaptive_avg_pool",
    "im2col",
    "col2im",
    "flatten",
    "dropout",
    "resize",
}
CONVOLUTIONS = {"conv", "conv_transpose"}
MAXIMA = {"max_pool", "global_max_pool", "adaptive_max_pool"}
NORMS = {"batch_norm", "batch_norm_inference", "layer_norm", "group_norm", "instance_norm"}
# Rounding: of the type of a result, and of sums.
EPS = {"float64": 2**-52, "float32": 2**-23, "float16": 2**-10, "bfloat16": 2**-7}
# Columns of the matrices by which NaN is followed, one call of the loops each.
LARGEST_MATRIX = 200

every_operation = pytest.mark.parametrize("op", CALLS)
# NumPy warns where halves overflow, or where a product meets the NaN that these tests feed it.
pytestmark = [
    pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning"),
    # what is drawn holds NumPy arrays that CuPy would have to be given one by one
    pytest.mark.backends("numpy", "strict", "jax", "torch", "dask"),
]


def hold(
    xp: Any,
    prop: Callable[[Any, Call], None],
    op: str,
    share: float = 1.0,
    strategy: Any = calls,
    shrink: bool = True,
) -> None:
    """Run a property of drawn calls on a library: the same ones every time, unless a number is asked for."""
    usual = WINDOWED if op in MAXIMA | LINEAR else OTHERS
    usual = CONVOLVED if op in CONVOLUTIONS else usual
    count = EXAMPLES or usual * SHARES.get(xp.name, 0.1) * share

    @settings(
        max_examples=max(1, math.ceil(count)),
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, *([Phase.shrink] if shrink else [])],
    )
    @given(call=strategy(op, halves(xp)))
    def holds(call: Call) -> None:
        prop(xp, call)

    holds()


def halves(xp: Any) -> tuple[str, ...]:
    return HALVES.get(xp.name, ("float16", "bfloat16"))


def read(xp: Any, x: Any) -> np.ndarray:
    return exact(xp.to_numpy(x) if xp.name == "dask" else x)


def results(y: Any) -> list[Any]:
    return list(y) if isinstance(y, tuple) else [y]


def dtype_of(x: Any) -> str:
    name = (
        x.dtype.newbyteorder("=").name if isinstance(x, np.ndarray | np.generic) else str(x.dtype)
    )
    return name.rpartition(".")[2]


def run(xp: Any, call: Call, f: Callable[..., Any], *args: Any, **config: Any) -> Any:
    """Call `f` under the options of the call; without its strategy where that one declines."""
    y = {k: config.pop(k) for k in ("y",) if k in config}

    def apply(args: Any, y: Any) -> Any:
        return f(*args, *call.args, **call.config, **config, **y)

    with ExitStack() as stack:
        if xp.name.startswith("jax"):
            import jax

            if len({call.arrays[name].dtype for name in call.floats}) > 1:
                stack.enter_context(jax.numpy_dtype_promotion("standard"))
            # compiling one program takes far less time than compiling its operations one by one
            apply = jax.jit(apply, compiler_options={"xla_backend_optimization_level": 0})
        try:
            with ac.options(**call.options):
                return apply(args, y)
        except ValueError as error:
            if "declines" not in str(error):
                raise
        with ac.options(**{k: v for k, v in call.options.items() if k != "strategy"}):
            return apply(args, y)


def untouched(xp: Any, found: list[Any], given: list[Any]) -> None:
    """Write to every result: no argument changes, no other result, and no cell stands for two."""
    given = [a for a in given if a is not None]
    before = [read(xp, a).copy() for a in given]
    if xp.name.startswith(("jax", "dask")):
        return
    for i, y in enumerate(found):
        # NumPy returns a number where there are no axes
        if y is None or isinstance(y, np.generic) or 0 in y.shape:
            continue
        others = [read(xp, z).copy() for z in found[i + 1 :] if z is not None]
        values = (np.arange(read(xp, y).size) % 97).reshape(y.shape)
        y[...] = (
            xp.namespace.astype(xp.array(values), y.dtype)
            if xp.name == "strict"
            else (xp.array(values).to(y.dtype) if xp.name.startswith("torch") else values)
        )
        np.testing.assert_array_equal(read(xp, y), values, "cells of a result share memory")
        for z, kept in zip((z for z in found[i + 1 :] if z is not None), others, strict=True):
            np.testing.assert_array_equal(read(xp, z), kept, "two results share memory")
    for a, kept in zip(given, before, strict=True):
        np.testing.assert_array_equal(read(xp, a), kept, "a result shares memory with an argument")


def naive(call: Call, arrays: list[Any]) -> Any:
    return NAIVE[call.op](*arrays, *call.args, **call.config)


def error_allowed(call: Call, want: np.ndarray, terms: float) -> np.ndarray:
    """Return the error allowed for each element: of rounding the result, and of sums of so large terms."""
    if "int" in call.dtype:
        return np.zeros(want.shape)
    fast = call.options.get("precision") == "fast"
    sums = (
        EPS[call.dtype]
        if call.op not in LINEAR | CONVOLUTIONS | MAXIMA | NORMS
        else min(EPS[call.dtype], EPS["float32"])
    )
    return 2 * EPS[call.dtype] * np.abs(want) + (200 if fast else 8) * sums * terms + 1e-300


def largest(*arrays: Any) -> float:
    return max(
        (float(np.max(np.abs(a), initial=0.0)) for a in arrays if a is not None), default=0.0
    )


def terms_of(call: Call, arrays: list[Any], want: np.ndarray) -> float:
    """Return the size of what is added up in a result."""
    if call.op in LINEAR | CONVOLUTIONS:
        return largest(naive(call, [None if a is None else np.abs(a) for a in arrays]))
    if call.op in NORMS:
        return (
            largest(arrays[0])
            * max(1.0, largest(*arrays[1:2]))
            / call.config.get("eps", 1e-5) ** 0.5
        )
    return max(1.0, largest(want, *arrays))


def assert_close(got: np.ndarray, want: np.ndarray, allowed: Any) -> None:
    assert got.shape == want.shape
    with np.errstate(invalid="ignore"):
        wrong = ~(
            (got == want) | (np.isnan(got) & np.isnan(want)) | (np.abs(got - want) <= allowed)
        )
    if np.any(wrong):
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise AssertionError(
            f"{np.sum(wrong)} of {wrong.size} wrong; at {at}: {got[at]}, not {want[at]}"
        )


def gradients(xp: Any, call: Call) -> tuple[list[Any], list[Any], list[Any]]:
    """Return the arrays, the upstream gradient first, the gradients found, and the results."""
    given = [None if a is None else a.of(xp) for a in call.arrays.values()]
    made = results(run(xp, call, getattr(ac, call.op), *given))
    y = made[0]
    dtype = call.dtype if call.floats else "float64"
    dy = call.upstream(y.shape, dtype).of(xp)
    config = call.vjp | ({"y": y} if "y" in call.vjp else {})
    found = run(xp, call, getattr(ac, f"{call.op}_vjp"), dy, *given, **config)
    return [dy, *given], results(found), made


def equals_the_loops(xp: Any, call: Call) -> None:
    given, found, made = gradients(xp, call)
    dy, *arrays = [None if a is None else read(xp, a) for a in given]
    for got, want in zip(made, results(naive(call, arrays)), strict=True):
        assert dtype_of(got) == call.dtype
        want = np.asarray(want, np.float64)
        assert_close(read(xp, got), want, error_allowed(call, want, terms_of(call, arrays, want)))
    wanted = call.vjp.get("wrt", list(call.arrays))
    for (name, a), g in zip(call.arrays.items(), found, strict=True):
        there = name in call.floats and name in wanted
        assert (g is not None) == there, name
        if g is not None:
            assert tuple(g.shape) == a.shape, name
            assert dtype_of(g) == call.dtype, name
    if call.floats:
        assert_gradients(call, dy, arrays, [None if g is None else read(xp, g) for g in found])
    untouched(xp, [*made, *found], given)


def assert_gradients(call: Call, dy: Any, arrays: list[Any], got: list[Any]) -> None:
    """Compare gradients with loops, or where there are none with what they must add up to."""
    if call.op in CONVOLUTIONS:
        as_the_loops(call, dy, arrays, got)
    elif call.op in MAXIMA:
        config = {k: v for k, v in call.vjp.items() if k == "ties"}
        want = max_gradient(call.op, dy, *arrays, *call.args, **call.config, **config)
        terms = max_gradient(call.op, np.abs(dy), *arrays, *call.args, **call.config, ties="all")
        assert_close(got[0], want, error_allowed(call, want, largest(terms)))
    elif call.op in LINEAR:
        as_the_adjoint(call, dy, arrays, got[0])
    else:
        as_the_slope(call, dy, arrays, got)


def as_the_loops(call: Call, dy: Any, arrays: list[Any], got: list[Any]) -> None:
    _, *want = without_padding(call, dy, arrays)
    config = {**call.config, "transpose": call.op == "conv_transpose"}
    terms = conv_gradients(*(None if a is None else np.abs(a) for a in (dy, *arrays)), **config)
    for g, right, size in zip(got, want, terms, strict=True):
        if g is not None:
            assert_close(g, right, error_allowed(call, right, largest(size)))


def as_the_adjoint(call: Call, dy: Any, arrays: list[Any], g: Any) -> None:
    """Compare ``<f(u), dy>`` with ``<u, g>`` for another `u`, since a linear map's vjp does not look at x."""
    u, rest = np.random.default_rng(7).standard_normal(g.shape), arrays[1:]
    flow = naive(call, [u, *rest]) - naive(call, [np.zeros(g.shape), *rest])
    terms = float(np.sum(np.abs(u * g))) + float(np.sum(np.abs(flow * dy)))
    assert_close(np.sum(u * g), np.sum(flow * dy), 16 * EPS[call.dtype] * terms)


def as_the_slope(call: Call, dy: Any, arrays: list[Any], got: list[Any]) -> None:
    """Compare with how fast the loops' result moves when all arrays move at once."""
    rng = np.random.default_rng(7)
    move = [
        rng.standard_normal(a.shape) if name in call.floats and g is not None else None
        for (name, a), g in zip(zip(call.arrays, arrays, strict=True), got, strict=True)
    ]
    step = 1e-6
    if call.op == "mean_absolute_error":
        # a step across the kink has no slope to compare with
        assume(float(np.min(np.abs(np.subtract(*arrays)), initial=1.0)) > 10 * step)

    def moved(sign: float) -> Any:
        there = [a if v is None else a + sign * step * v for a, v in zip(arrays, move, strict=True)]
        y = naive(call, there)
        return y[0] if isinstance(y, tuple) else y

    flow = (moved(1.0) - moved(-1.0)) / (2 * step) * dy
    parts = [v * g for v, g in zip(move, got, strict=True) if v is not None]
    terms = sum(float(np.sum(np.abs(p))) for p in [*parts, flow])
    got_sum = np.asarray(sum(float(np.sum(p)) for p in parts))
    allowed = 1e-7 * terms + 1e-9 * largest(dy) + 8 * EPS[call.dtype] * terms
    if "y" in call.vjp:
        # a slope made of the result has the rounding of that, though it be near 0
        allowed += 2 * EPS[call.dtype] * float(np.sum(np.abs(dy * move[0])))
    if call.op in NORMS:
        # the terms that cancel in dx, and a finite difference of what curves as fast as eps lets it
        size = largest(*arrays, np.ones(1)) / call.config.get("eps", 1e-5) ** 0.5
        allowed += (8 * EPS[call.dtype] + 1e-8) * size * (terms + largest(dy) * dy.size)
    assert_close(got_sum, np.sum(flow), allowed)


@every_operation
def test_result_and_gradient_are_those_of_plain_loops(xp, op):
    hold(xp, equals_the_loops, op)


def keeps_to_the_windows(xp: Any, call: Call) -> None:
    """Hold NaN and inf to the windows that contain them, on the way there and back."""
    if call.op in LINEAR and math.prod(next(iter(call.arrays.values())).shape) > LARGEST_MATRIX:
        return
    given, found, (y, *_) = gradients(xp, call)
    dy, *arrays = [None if a is None else read(xp, a) for a in given]
    with np.errstate(invalid="ignore"):
        if call.op in CONVOLUTIONS:
            want, *wants = convolution(call.op, dy, *arrays, **call.config)
        elif call.op in MAXIMA:
            config = {k: v for k, v in call.vjp.items() if k == "ties"}
            wants = [max_gradient(call.op, dy, *arrays, *call.args, **call.config, **config)]
            want = naive(call, arrays)
        else:
            want, wants = as_the_matrix(call, dy, arrays)
        sizes = [
            np.where(np.isfinite(a), a, 0.0) for a in (want, *(g for g in wants if g is not None))
        ]
    for i, (got, right) in enumerate(zip([y, *found], [want, *wants], strict=False)):
        if got is None:
            continue
        got = read(xp, got)
        if "engine" in call.options:
            # a library's own kernel may leave out what lies in the padding
            right = np.where(np.isnan(got), right, without_padding(call, dy, arrays)[i])
        if call.op in CONVOLUTIONS and i == (call.op == "conv"):
            right = or_nan(xp, call, got, right, arrays, dy)
        allowed = error_allowed(
            call, np.where(np.isfinite(right), right, 0.0), 99 + largest(*sizes)
        )
        assert_close(got, right, allowed)


def without_padding(call: Call, dy: Any, arrays: list[Any]) -> list[Any]:
    config = {**call.config, "transpose": call.op == "conv_transpose"}
    return [naive(call, arrays), *conv_gradients(dy, *arrays, **config)]


def or_nan(xp: Any, call: Call, got: Any, right: Any, arrays: list[Any], dy: Any) -> Any:
    """Return what is right, with NaN where the adjoint of a convolution has and may have it.

    That is where a weight that is not finite meets a zero that stands for a window that is not there,
    which XLA's kernels also put between those that are.
    """
    moved = dy if call.op == "conv" else arrays[0]
    sizes = moved.shape[2:] if "first" in call.config.get("data_format", "") else moved.shape[1:-1]
    between = "engine" in call.options and xp.name == "jax"
    met = beyond(right.shape, sizes, arrays[1], between=between, **call.config)
    return np.where(np.isnan(got) & met, np.nan, right)


def as_the_matrix(call: Call, dy: Any, arrays: list[Any]) -> tuple[Any, list[Any]]:
    """Return result and gradient of a linear map by its matrix: an entry that is 0 reaches nothing."""
    x, *rest = arrays
    nothing = naive(call, [np.zeros(x.shape), *rest])
    units = np.eye(x.size).reshape(x.size, *x.shape)
    rows = [(naive(call, [unit, *rest]) - nothing).reshape(-1) for unit in units]
    matrix = np.reshape(rows, (x.size, nothing.size))

    def times(m: Any, v: Any) -> Any:
        return np.where(m != 0, m * v, 0.0).sum(axis=1)

    y = nothing + times(matrix.T, x.reshape(-1)).reshape(nothing.shape)
    return y, [times(matrix, dy.reshape(-1)).reshape(x.shape)]


@pytest.mark.parametrize("op", [op for op in CALLS if op in LINEAR | CONVOLUTIONS | MAXIMA])
def test_nan_and_infinity_reach_the_windows_that_contain_them(xp, op):
    hold(xp, keeps_to_the_windows, op, share=0.15, strategy=marked)

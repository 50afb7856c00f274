"""The reference gradients, by JAX."""

from __future__ import annotations

from typing import Any

import numpy as np

from arrayconv.verify.pair import Host, Pair, first, is_floating, largest, within_one


def need_jax(caller: str) -> Any:
    try:
        import jax
    except ImportError as error:
        raise ImportError(
            f"{caller} compares with jax.vjp and JAX is not installed: pip install"
            ' "arrayconv[jax]", or use check_directional, which needs no JAX'
        ) from error
    return jax


def term_sizes(pair: Pair, here: tuple[Any, ...], y: Host, dy: Host) -> tuple[float, ...]:
    """Estimate, for each argument, the size of the terms whose sum the gradient is.

    If the terms cancel, or the function is saturated, the gradient is near zero, and its own size is no measure for
    rounding errors. The estimate is the largest of: the error of the float32 gradient divided by float32's epsilon,
    and the gradient itself, both also at arguments scaled down to 1, where the function is not saturated; and
    ``dy * y / x``.
    """
    sizes = [0.0] * len(here)
    points = [here, tuple(within_one(a) if is_floating(a) else a for a in here)]
    unit = float(np.finfo(np.float32).eps)
    for point in points:
        short = tuple(_single(a) if is_floating(a) else a for a in point)
        exact = tuple(a.astype(np.float64) if is_floating(a) else a for a in short)
        rounded = jax_gradients(pair, short, _single(dy), x64=False)
        for i, dx in enumerate(jax_gradients(pair, exact, _single(dy).astype(np.float64))):
            if dx is not None:
                size = largest(dy) * largest(y) / (largest(here[i]) or 1.0)
                with np.errstate(invalid="ignore", over="ignore"):
                    lost = largest((rounded[i] - dx) / unit)
                sizes[i] = max(sizes[i], largest(dx), lost, size)
    return tuple(sizes)


def _single(a: Host) -> Host:
    with np.errstate(over="ignore"):
        return a.astype(np.float32)


def jax_gradients(
    pair: Pair, here: tuple[Any, ...], dy: Host, *, x64: bool = True
) -> tuple[Host | None, ...]:
    """Return the gradient by ``jax.vjp`` for each floating array, None for other arguments."""
    import jax

    wanted = [i for i, a in enumerate(here) if is_floating(a)]

    def forward(*floats: Any) -> Any:
        args = [jax.numpy.asarray(a) if isinstance(a, np.ndarray) else a for a in here]
        for i, a in zip(wanted, floats, strict=True):
            args[i] = a
        try:
            return first(pair.forward(tuple(args)))
        except Exception as error:
            raise TypeError(
                f"check_vjp: {pair.name} does not run on JAX's arrays ({type(error).__name__}, above), and jax.vjp "
                "differentiates no other; write it with the operations of the array API, or use "
                "check_directional, which runs it on the arrays it is given"
            ) from error

    def backward(floats: list[Any], upstream: Any) -> Any:
        return jax.vjp(forward, *floats)[1](upstream)

    with jax.enable_x64(x64), jax.default_device(jax.devices("cpu")[0]):
        # one program with little optimization compiles faster than JAX's eager mode, which compiles each operation
        quick = jax.jit(backward, compiler_options={"xla_backend_optimization_level": 0})
        found = quick([here[i] for i in wanted], dy)
    gradients: list[Host | None] = [None] * len(here)
    for i, dx in zip(wanted, found, strict=True):
        gradients[i] = np.asarray(dx)
    return tuple(gradients)

"""The gradients that JAX finds."""

from __future__ import annotations

from typing import Any

import numpy as np

from arrayconv.verify.pair import Host, Pair, first, is_floating


def need_jax(caller: str) -> Any:
    try:
        import jax
    except ImportError as error:
        raise ImportError(
            f"{caller} compares with jax.vjp and JAX is not installed: pip install"
            ' "arrayconv[jax]", or use check_directional, which needs no JAX'
        ) from error
    return jax


def jax_gradients(pair: Pair, here: tuple[Any, ...], dy: Host) -> tuple[Host | None, ...]:
    """Return ``jax.vjp`` of the forward pass for each floating array, None for the others."""
    import jax

    wanted = [i for i, a in enumerate(here) if is_floating(a)]

    def forward(*floats: Any) -> Any:
        args = [jax.numpy.asarray(a) if isinstance(a, np.ndarray) else a for a in here]
        for i, a in zip(wanted, floats, strict=True):
            args[i] = a
        return first(pair.forward(tuple(args)))

    def backward(floats: list[Any], upstream: Any) -> Any:
        return jax.vjp(forward, *floats)[1](upstream)

    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        # One program, hardly optimized: eagerly, JAX would compile each operation by itself.
        quick = jax.jit(backward, compiler_options={"xla_backend_optimization_level": 0})
        found = quick([here[i] for i in wanted], dy)
    gradients: list[Host | None] = [None] * len(here)
    for i, dx in zip(wanted, found, strict=True):
        gradients[i] = np.asarray(dx)
    return tuple(gradients)

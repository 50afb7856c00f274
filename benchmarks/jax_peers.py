"""``jax.lax`` and Keras 3 under jit, and arrayconv on JAX arrays."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
from jax import lax

import arrayconv as ac
from benchmarks import ours
from benchmarks.cases import Conv, Data, Pool
from benchmarks.timing import Contender

POOL = "xla"


def library(dtype: Any = np.float32) -> ours.Library:
    """Return how arrayconv meets JAX: under jit, on the default device."""
    place = partial(_place, dtype)
    return ours.Library("jax", POOL, place, jax.jit, jax.block_until_ready)


def memory(f: Callable[..., Any]) -> Callable[..., int]:
    """Return a function that says how many bytes the compiled ``f`` takes beyond its arrays."""
    return lambda *arrays: jax.jit(f).lower(*arrays).compile().memory_analysis().temp_size_in_bytes


def conv(
    case: Conv,
    data: Data,
    backward: bool,
    *,
    dtype: Any = np.float32,
    prepare: Callable[..., Any] = jax.jit,
) -> list[Contender]:
    """Return ``lax.conv_general_dilated`` or its vjp, and Keras's convolution if importable."""
    rank = len(case.size)
    axes = "DHW"[-rank:]

    def values(x: Any, w: Any) -> Any:
        return lax.conv_general_dilated(
            x,
            w,
            (case.stride,) * rank,
            [(case.padding,) * 2] * rank,
            dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
            feature_group_count=case.groups,
        )

    forwards = {"lax": values, **_keras(case)}
    x, w, dy = (_place(dtype, a) for a in data)
    dy = dy if backward else None
    return [_contender(name, f, (x, w), dy, prepare) for name, f in forwards.items()]


def pool(case: Pool, data: Data, backward: bool) -> list[Contender]:
    """Return ``lax.reduce_window`` or its vjp."""
    window, stride = ((1, n, n, 1) for n in (case.window, case.stride))
    padding = [(0, 0), (case.padding,) * 2, (case.padding,) * 2, (0, 0)]

    def values(x: Any) -> Any:
        if case.kind == "max":
            return lax.reduce_window(x, -np.inf, lax.max, window, stride, padding)
        total = lax.reduce_window(x, 0.0, lax.add, window, stride, padding)
        return total / case.window**2

    x, _, dy = (_place(np.float32, a) for a in data)
    return [_contender("lax", values, (x,), dy if backward else None, jax.jit)]


def _contender(
    name: str,
    f: Callable[..., Any],
    arrays: tuple[Any, ...],
    dy: Any | None,
    prepare: Callable[..., Any],
) -> Contender:
    if dy is None:
        call = partial(prepare(f), *arrays)
    else:
        call = partial(prepare(lambda dy, *arrays: jax.vjp(f, *arrays)[1](dy)), dy, *arrays)
    return Contender(name, POOL, call, _read, jax.block_until_ready)


def _keras(case: Conv) -> dict[str, Callable[..., Any]]:
    # without TensorFlow, which it looks for otherwise, its import stops halfway and cannot be repeated
    os.environ.setdefault("KERAS_BACKEND", "jax")
    try:
        import keras
    except ImportError:
        return {}
    rank = len(case.size)
    # Keras has no explicit padding, and its "same" is ours where the stride is 1
    same = case.padded and case.stride == 1
    widths = None if same else [(0, 0), *[(case.padding,) * 2] * rank, (0, 0)]

    def values(x: Any, w: Any) -> Any:
        x = x if widths is None else keras.ops.pad(x, widths)
        config: dict[str, Any] = {
            "strides": case.stride,
            "padding": "same" if same else "valid",
            "data_format": "channels_last",
        }
        if case.groups > 1:
            # (*K, 1, C) -> (*K, C, 1)
            kernel = keras.ops.moveaxis(w, -1, -2)
            return keras.ops.depthwise_conv(x, kernel, **config)
        return keras.ops.conv(x, w, **config)

    return {"keras": values} if keras.backend.backend() == "jax" else {}


def _place(dtype: Any, x: np.ndarray) -> jax.Array:
    return jax.device_put(jax.numpy.asarray(x, dtype=dtype))


def _read(result: Any) -> tuple[np.ndarray, ...]:
    return tuple(map(ac.to_numpy, result if isinstance(result, tuple) else (result,)))

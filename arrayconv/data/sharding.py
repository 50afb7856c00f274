"""JAX arrays sharded along their rows, over devices of one process or several: making, indexing, joining them.

An array whose rows cannot be divided equally among the devices is replicated, since JAX has only equal shards.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.namespace import Array

# How many compiled functions are cached, one for each sharding of a result.
_KEPT = 64


def first_process() -> bool:
    """Whether this is the only JAX process or the first of several, which writes files and prints."""
    jax = sys.modules.get("jax")
    return jax is None or not jax.distributed.is_initialized() or jax.process_index() == 0


def sharding_of(x: Any) -> Any:
    """The ``NamedSharding`` of a JAX array on several devices; ``None`` for other arrays, and for traced ones."""
    jax = sys.modules.get("jax")
    if jax is None or not isinstance(x, jax.Array) or is_traced(x):
        return None
    named = isinstance(x.sharding, jax.sharding.NamedSharding)
    return x.sharding if named and x.sharding.num_devices > 1 else None


def is_traced(x: Any) -> bool:
    """Whether ``x`` is a JAX tracer."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(x, jax.core.Tracer)


def check_sharding(op: str, sharding: Any, batch_size: int, rows: int) -> None:
    """Raise unless batches can be sharded by ``sharding``.

    Raises
    ------
    TypeError
        If it is not a ``jax.sharding.NamedSharding``.
    ValueError
        If ``batch_size`` is not a multiple of the number of devices along its first axis, unless it is all ``rows``.
    """
    jax = sys.modules.get("jax")
    if jax is None or not isinstance(sharding, jax.sharding.NamedSharding):
        raise TypeError(
            f"{op}: sharding must be a jax.sharding.NamedSharding, got {sharding!r}; for example "
            'NamedSharding(jax.make_mesh((8,), ("batch",)), PartitionSpec("batch"))'
        )
    axes = sharding.spec[0] if len(sharding.spec) else None
    names = axes if isinstance(axes, tuple) else () if axes is None else (axes,)
    pieces = math.prod(sharding.mesh.shape[name] for name in names)
    if batch_size < rows and batch_size % pieces:
        raise ValueError(
            f"{op}: batch_size must be a multiple of {pieces}, the devices along the mesh axis {axes!r} that rows "
            f"are sharded by, got {batch_size}"
        )


def suited(sharding: Any, shape: Sequence[int]) -> Any:
    """``sharding`` adapted to ``shape``: cut to its number of axes, and replicated if it does not divide them."""
    spec = sys.modules["jax"].sharding.PartitionSpec
    cut = type(sharding)(sharding.mesh, spec(*sharding.spec[: len(shape)]))
    try:
        cut.shard_shape(tuple(shape))
    except ValueError:
        return type(sharding)(sharding.mesh, spec())
    return cut


def put(values: NDArray[Any], sharding: Any) -> Array:
    """NumPy ``values``, the same in every process, as one array with this sharding."""
    return _made(values.shape, values, suited(sharding, values.shape), lambda at: at)


def everywhere(values: NDArray[Any], like: Any) -> Array:
    """NumPy ``values``, the same in every process, replicated on all devices of the sharding ``like``."""
    names = sys.modules["jax"].sharding
    # spelled as compiled functions return it, so that a step is not compiled twice
    explicit = names.AxisType.Explicit in like.mesh.axis_types
    axes = (None,) * values.ndim if explicit else ()
    whole = type(like)(like.mesh, names.PartitionSpec(*axes))
    return _made(values.shape, values, whole, lambda at: at)


class Part:
    """The rows of a batch that belong on the devices of this process.

    Parameters
    ----------
    sharding : jax.sharding.NamedSharding
    rows : int
        The number of rows of the whole batch.

    Attributes
    ----------
    own : ndarray of int
        The indices of the rows that this process must read.
    """

    def __init__(self, sharding: Any, rows: int) -> None:
        self._sharding, self._rows = sharding, rows
        first = suited(sharding, (rows,))
        slices = {
            at[0].indices(rows)[:2]
            for at in first.addressable_devices_indices_map((rows,)).values()
        }
        self._starts: dict[int, int] = {}
        count = 0
        for start, stop in sorted(slices):
            self._starts[start] = count
            count += stop - start
        self.own: NDArray[np.int64] = np.concatenate([np.arange(*s) for s in sorted(slices)])

    def put(self, values: Any) -> Array:
        """The batch as one array over all processes; ``values`` are the rows ``own`` of this one."""
        values = np.asarray(values)
        shape = (self._rows, *values.shape[1:])

        def here(index: tuple[slice, ...]) -> tuple[slice, ...]:
            start, stop, _ = index[0].indices(self._rows)
            at = self._starts[start]
            return slice(at, at + stop - start), *index[1:]

        return _made(shape, values, suited(self._sharding, shape), here)


def _made(
    shape: tuple[int, ...],
    values: NDArray[Any],
    sharding: Any,
    here: Callable[[tuple[slice, ...]], tuple[slice, ...]],
) -> Array:
    jax = sys.modules["jax"]
    values = values.astype(jax.dtypes.canonicalize_dtype(values.dtype), copy=False)
    return jax.make_array_from_callback(shape, sharding, lambda index: values[here(index)])


def taken(x: Array, rows: slice | NDArray[np.int64]) -> Array:
    """Rows of a sharded array, sharded like it."""
    if isinstance(rows, slice):
        rows = np.arange(*rows.indices(x.shape[0]))
    return _compiled("take", suited(x.sharding, (len(rows), *x.shape[1:])))(x, rows)


def joined(parts: Sequence[Array]) -> Array:
    """The rows of all ``parts`` concatenated, sharded like the first."""
    if len(parts) == 1:
        return parts[0]
    rows = sum(part.shape[0] for part in parts)
    sharding = suited(parts[0].sharding, (rows, *parts[0].shape[1:]))
    return _compiled("concatenate", sharding)(list(parts))


@lru_cache(_KEPT)
def _compiled(name: str, sharding: Any) -> Callable[..., Array]:
    import jax

    function = getattr(jax.numpy, name)
    # on an Explicit mesh, JAX would require the sharding of every intermediate result
    free = jax.sharding.auto_axes(lambda *a: function(*a, axis=0), out_sharding=sharding)
    made: Callable[..., Array] = jax.jit(free, out_shardings=sharding)
    return made

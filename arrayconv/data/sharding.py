"""JAX arrays whose rows lie on several devices, of one process or of many: put there, taken from there, joined.

Rows that the devices do not divide lie whole on each of them, since JAX cuts arrays into equal parts only.
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

# Compiled selections and concatenations that are kept, by the sharding of their results.
_KEPT = 64


def first_process() -> bool:
    """Whether this process is the only one of a computation, or the first: the one that writes and prints."""
    jax = sys.modules.get("jax")
    return jax is None or not jax.distributed.is_initialized() or jax.process_index() == 0


def sharding_of(x: Any) -> Any:
    """The ``NamedSharding`` of a JAX array that lies on several devices, else ``None``; traced ones do not say."""
    jax = sys.modules.get("jax")
    if jax is None or not isinstance(x, jax.Array) or is_traced(x):
        return None
    named = isinstance(x.sharding, jax.sharding.NamedSharding)
    return x.sharding if named and x.sharding.num_devices > 1 else None


def is_traced(x: Any) -> bool:
    """Whether ``x`` is what JAX passes to a function that it traces."""
    jax = sys.modules.get("jax")
    return jax is not None and isinstance(x, jax.core.Tracer)


def check_sharding(op: str, sharding: Any, batch_size: int, rows: int) -> None:
    """Refuse what batches cannot be laid out by.

    Raises
    ------
    TypeError
        What is no ``jax.sharding.NamedSharding``.
    ValueError
        If the devices along its first axis do not divide ``batch_size``, and that is not all ``rows``.
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
    """``sharding`` for an array of ``shape``: cut to its axes; whole on each device where it does not divide them."""
    spec = sys.modules["jax"].sharding.PartitionSpec
    cut = type(sharding)(sharding.mesh, spec(*sharding.spec[: len(shape)]))
    try:
        cut.shard_shape(tuple(shape))
    except ValueError:
        return type(sharding)(sharding.mesh, spec())
    return cut


def put(values: NDArray[Any], sharding: Any) -> Array:
    """NumPy's ``values``, the same in every process, as one array that lies as ``sharding`` says."""
    return _made(values.shape, values, suited(sharding, values.shape), lambda at: at)


def everywhere(values: NDArray[Any], like: Any) -> Array:
    """NumPy's ``values``, the same in every process, whole on each device of the sharding ``like``."""
    names = sys.modules["jax"].sharding
    # written as compiled functions on either mesh return it, so that there is one program of a step
    explicit = names.AxisType.Explicit in like.mesh.axis_types
    axes = (None,) * values.ndim if explicit else ()
    whole = type(like)(like.mesh, names.PartitionSpec(*axes))
    return _made(values.shape, values, whole, lambda at: at)


class Part:
    """The rows of a batch that lie on devices of this process.

    Parameters
    ----------
    sharding : jax.sharding.NamedSharding
    rows : int
        Of the whole batch.

    Attributes
    ----------
    own : ndarray of int
        Which of them this process has, and so must read.
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
        """The batch as one array over all processes, from the rows ``own`` in each."""
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
    """Rows of an array that lies on several devices, on them as ``x`` is."""
    if isinstance(rows, slice):
        rows = np.arange(*rows.indices(x.shape[0]))
    return _compiled("take", suited(x.sharding, (len(rows), *x.shape[1:])))(x, rows)


def joined(parts: Sequence[Array]) -> Array:
    """The rows of all ``parts``, on the devices as the first."""
    if len(parts) == 1:
        return parts[0]
    rows = sum(part.shape[0] for part in parts)
    sharding = suited(parts[0].sharding, (rows, *parts[0].shape[1:]))
    return _compiled("concatenate", sharding)(list(parts))


@lru_cache(_KEPT)
def _compiled(name: str, sharding: Any) -> Callable[..., Array]:
    import jax

    function = getattr(jax.numpy, name)
    # where the mesh is Explicit, JAX would ask how rows that move shall lie
    free = jax.sharding.auto_axes(lambda *a: function(*a, axis=0), out_sharding=sharding)
    made: Callable[..., Array] = jax.jit(free, out_shardings=sharding)
    return made

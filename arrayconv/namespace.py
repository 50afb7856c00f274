"""The only door to array-api-compat and array-api-extra: what namespace, what device, what kind of array."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import array_api_compat
import array_api_extra

if TYPE_CHECKING:
    import numpy

Array: TypeAlias = Any
Namespace: TypeAlias = Any
DType: TypeAlias = Any


class Kind(NamedTuple):
    """What the type of an array says of it; looked up often, so it is found out once."""

    # a function where it may change from call to call
    lazy: bool | Callable[[], bool]
    places_itself: bool
    chunked: bool
    symbol: bool


_kinds: dict[type, Kind] = {}
# For an operation and the types of its arguments, the namespace, and whether its arrays need no device.
_by_types: dict[tuple[object, ...], tuple[Namespace, bool]] = {}
# The same for the types and dtypes of arguments that are all of one floating dtype.
_alike: dict[tuple[object, ...], tuple[Namespace, bool]] = {}
# Libraries that compute on a current device, wherever their arrays are.
_with_current_device: set[Namespace] = set()
_kernels: dict[tuple[object, ...], Callable[..., Any]] = {}
# Kernels that are kept; each is of one function and the constants in it.
_MOST_KERNELS = 512
# Arguments that may be None.
_OPTIONAL = frozenset({"b", "y", "gamma", "beta"})


def array_namespace(op: str, **arrays: Array) -> Namespace:
    """The one namespace of the arguments of ``op`` (a bias or a forward result may be ``None``).

    Raises
    ------
    TypeError
        If an argument is not an array, or one of NumPy's matrices or masked arrays; if two
        libraries meet, or two devices where both are concrete, or an array is not on the device
        that its library computes on (CuPy's current one).
    """
    key = (op, *map(type, arrays.values()))
    found = _by_types.get(key)
    if found is None:
        xp = _find_namespace(op, arrays)
        given = (x for x in arrays.values() if x is not None)
        found = _by_types[key] = xp, all(map(places_itself, given))
    xp, placed = found
    if not placed:
        if len(arrays) > 1:
            _same_device(op, arrays)
        if xp in _with_current_device:
            _on_current_device(op, arrays)
    return xp


def _find_namespace(op: str, arrays: dict[str, Array]) -> Namespace:
    found: dict[str, tuple[str, Namespace]] = {}
    for name, value in arrays.items():
        if value is None and name in _OPTIONAL:
            continue
        _refuse_subclasses(op, name, value)
        try:
            xp = array_api_compat.array_namespace(value)
        except TypeError:
            raise TypeError(
                f"{op}: {name} must be an array of a library that follows the array API standard (NumPy, CuPy, JAX, "
                f"torch, ...), got {_described(value)}; numpy.asarray({name}) makes one"
            ) from None
        found.setdefault(xp.__name__, (name, xp))
        if not places_itself(value) and hasattr(array_api_compat.device(value), "use"):
            _with_current_device.add(xp)
    if len(found) > 1:
        (first, a), (second, b) = ((name, library(xp)) for name, xp in list(found.values())[:2])
        # NumPy takes no array off an accelerator, every library takes NumPy's
        moved, target = (second, a) if b == "numpy" else (first, b)
        how = "asarray" if "numpy" in (a, b) else "from_dlpack"
        raise TypeError(
            f"{op}: {first} is an array of {a} and {second} one of {b}; move one to the other's "
            f"library first, for example {target}.{how}({moved})"
        )
    ((_, namespace),) = found.values()
    return namespace


def _refuse_subclasses(op: str, name: str, value: Any) -> None:
    """Raise ``TypeError`` for NumPy's arrays that mean something else by their operators, or hide cells."""
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.matrix | numpy.ma.MaskedArray):
        return
    masked = isinstance(value, numpy.ma.MaskedArray)
    how = f"{name}.filled(value)" if masked else f"numpy.asarray({name})"
    raise TypeError(
        f"{op}: {name} must be a plain array, got {_described(value)}, whose "
        f"{'mask would be lost' if masked else 'products and axes are its own'}; {how} makes one"
    )


def _described(value: Any) -> str:
    if value is None:
        return "None"
    kind = type(value).__name__
    return f"an {kind}" if kind[:1].lower() in "aeiou" else f"a {kind}"


def _same_device(op: str, arrays: dict[str, Array]) -> None:
    known: tuple[str, Any] | None = None
    for name, value in arrays.items():
        if value is None:
            continue
        if places_itself(value):
            # JAX's "device" may be a sharding, and under trace it is None: JAX checks its own
            return
        place = array_api_compat.device(value)
        if known is None:
            known = name, place
        elif known[1] != place:
            raise TypeError(
                f"{op}: {known[0]} is on device {known[1]} and {name} on {place}; "
                f"move one to the other's device first, "
                f"for example with array_api_compat.to_device({name}, {known[1]!r})"
            )


def _on_current_device(op: str, arrays: dict[str, Array]) -> None:
    name, place = next((name, x.device) for name, x in arrays.items() if x is not None)
    current = type(place)()
    if place != current:
        # new arrays would land on the current device, and every kernel would reach over
        raise TypeError(
            f"{op}: {name} is on device {place}, and {current} is the current one, on which its library computes; "
            f"make the call inside `with {name}.device:`"
        )


def library(xp: Namespace) -> str:
    """The name a user knows a namespace by: ``numpy``, ``torch``, ``jax.numpy``."""
    return str(xp.__name__).removeprefix("array_api_compat.")


def is_lazy(x: Array) -> bool:
    """Whether ``x`` cannot be written or looked at: JAX's, Dask's, ndonnx's, torch's inside ``torch.func``."""
    lazy = (_kinds.get(type(x)) or _look(x)).lazy
    return lazy if isinstance(lazy, bool) else lazy()


def is_chunked(x: Array) -> bool:
    """Whether ``x`` is made of chunks, of which other tasks may be made: Dask's."""
    return (_kinds.get(type(x)) or _look(x)).chunked


def unchunked(x: Array, axis: int) -> Array:
    """``x`` in one chunk along ``axis``, if it is made of chunks."""
    return x.rechunk({axis: -1}) if is_chunked(x) else x


def places_itself(x: Array) -> bool:
    """Whether arrays like ``x`` need no device: NumPy has one, and lazy libraries choose theirs."""
    return (_kinds.get(type(x)) or _look(x)).places_itself


def is_symbol(x: Array) -> bool:
    """Whether ``x`` stands for an array in a function that ``fused`` makes a kernel of."""
    return (_kinds.get(type(x)) or _look(x)).symbol


def _look(x: Array) -> Kind:
    symbol = not array_api_compat.is_array_api_obj(x)
    lazy = bool(array_api_compat.is_lazy_array(x))
    kind = Kind(
        lazy=symbol or lazy,
        places_itself=lazy or array_api_compat.is_numpy_array(x),
        chunked=lazy and hasattr(x, "numblocks"),
        symbol=symbol,
    )
    if array_api_compat.is_torch_array(x):
        # vmap writes no batch into a tensor that has none, and its tensors are of the same type as all others
        kind = kind._replace(lazy=sys.modules["torch"]._C._are_functorch_transforms_active)
    _kinds[type(x)] = kind
    return kind


class Traits(NamedTuple):
    """What a plan may know of where it runs; never which library it is."""

    mutable: bool
    accelerator: bool
    pieces: int = 1  # in which the array may lie, on several devices or, along its batch, in chunks
    calling: bool = False  # whether the library computes on the thread that calls it


_ON_HOST = Traits(mutable=True, accelerator=False, calling=True)
_IN_KERNEL = Traits(mutable=False, accelerator=True)


def traits(xp: Namespace, x: Array) -> Traits:
    """Whether results can be written in place, and whether they live on an accelerator."""
    known = _kinds.get(type(x)) or _look(x)
    if known.places_itself and known.lazy is False:
        # NumPy: there is no device to ask for, and small calls count every microsecond
        return _ON_HOST
    if known.symbol:
        return _IN_KERNEL
    lazy = is_lazy(x)
    kind = None if known.places_itself else getattr(array_api_compat.device(x), "type", None)
    if isinstance(kind, str):
        # torch's devices say what they are, and its compiler cannot trace DLPack's answer
        return Traits(not lazy, kind != "cpu")
    report = getattr(x, "__dlpack_device__", None)
    if report is not None:
        try:
            kind = int(report()[0])
        except (
            AttributeError,
            BufferError,
            NotImplementedError,
            TypeError,
            ValueError,
            RuntimeError,
        ):
            # a sharded array has no single device to report
            return Traits(not lazy, _default_is_accelerator(xp), _devices(xp))
        return Traits(not lazy, kind not in _HOST_DEVICES)
    chunks = getattr(x, "numblocks", None)
    pieces = _devices(xp) if chunks is None else (*chunks, 1)[0]
    return Traits(not lazy, lazy and _default_is_accelerator(xp), pieces)


# kDLCPU, kDLCUDAHost (pinned) and kDLROCMHost of the DLPack specification
_HOST_DEVICES = (1, 3, 11)


@lru_cache
def _devices(xp: Namespace) -> int:
    # a traced array may be sharded over all of them
    info = getattr(xp, "__array_namespace_info__", None)
    return 1 if info is None else len([d for d in info().devices() if d is not None])


@lru_cache
def _default_is_accelerator(xp: Namespace) -> bool:
    # a traced array says nothing of its device, so ask the namespace where it would put a new one
    info = getattr(xp, "__array_namespace_info__", None)
    devices = info().devices() if info is not None else ()
    platforms = {getattr(device, "platform", "cpu") for device in devices if device is not None}
    return bool(platforms - {"cpu"})


@lru_cache(maxsize=1024)
def is_floating(xp: Namespace, dtype: DType) -> bool:
    """Whether ``dtype`` is a real floating type, the half types included."""
    # CuPy's bfloat16 is of a kind that array-api-compat's isdtype does not know
    return str(dtype) == "bfloat16" or bool(xp.isdtype(dtype, "real floating"))


@lru_cache(maxsize=1024)
def is_real(xp: Namespace, dtype: DType) -> bool:
    """Whether ``dtype`` is a real floating or an integer type."""
    return is_floating(xp, dtype) or bool(xp.isdtype(dtype, "integral"))


@lru_cache(maxsize=1024)
def itemsize(xp: Namespace, dtype: DType) -> int:
    """Bytes of one element of a real dtype."""
    if str(dtype) == "bfloat16":
        # of CuPy, for which there is no finfo
        return 2
    info = xp.finfo(dtype) if is_floating(xp, dtype) else xp.iinfo(dtype)
    return int(info.bits) // 8


@lru_cache(maxsize=1024)
def accumulator(xp: Namespace, dtype: DType) -> DType:
    """The dtype sums of ``dtype`` are taken in: float32 for the half types, else ``dtype`` itself."""
    return xp.float32 if is_floating(xp, dtype) and itemsize(xp, dtype) < 4 else dtype


def promoted(op: str, xp: Namespace, **arrays: Array) -> tuple[Any, ...]:
    """The arrays in their common dtype, which must be real floating; ``None`` stays ``None``.

    Raises
    ------
    TypeError
        If an array is boolean, integer or complex.
    """
    common = None
    mixed = False
    for name, x in arrays.items():
        if x is None:
            continue
        dtype = x.dtype
        if not is_floating(xp, dtype):
            raise TypeError(
                f"{op}: {name} must have a real floating dtype, got {dtype}; cast it first, for example "
                f"xp.astype({name}, xp.float32)"
            )
        if common is None:
            common = dtype
        elif dtype != common:
            mixed, common = True, xp.result_type(common, dtype)
    values = tuple(arrays.values())
    if not mixed:
        return values
    return tuple(None if x is None else cast(xp, x, common) for x in values)


def floating(op: str, **arrays: Array) -> tuple[Any, ...]:
    """The namespace of the arguments of ``op``, as of `array_namespace`, and they, `promoted`."""
    dtypes = [getattr(x, "dtype", None) for x in arrays.values()]
    key = (op, *map(type, arrays.values()), *dtypes)
    found = _alike.get(key)
    if found is None:
        xp = array_namespace(op, **arrays)
        values = promoted(op, xp, **arrays)
        if len({*dtypes} - {None}) == 1:
            _alike[key] = xp, all(places_itself(x) for x in values if x is not None)
        return xp, *values
    xp, placed = found
    if not placed:
        # their devices may differ from call to call
        array_namespace(op, **arrays)
    return xp, *arrays.values()


def real(op: str, xp: Namespace, **arrays: Array) -> None:
    """Raise ``TypeError`` unless every array is real floating or integer."""
    for name, x in arrays.items():
        if not is_real(xp, x.dtype):
            raise TypeError(
                f"{op}: {name} must have a real floating or integer dtype, got {x.dtype}; cast it first, for example "
                f"xp.astype({name}, xp.float32)"
            )


def cast(xp: Namespace, x: Array, dtype: DType) -> Array:
    """``x`` in ``dtype``; ``x`` itself where it already is."""
    return x if x.dtype == dtype else xp.astype(x, dtype)


def widened(xp: Namespace, *arrays: Array) -> tuple[Any, ...]:
    """Arrays of one dtype in that which their sums are taken in; ``None`` stays ``None``."""
    dtype = arrays[0].dtype
    wide = accumulator(xp, dtype)
    if wide == dtype:
        return arrays
    return tuple(None if x is None else cast(xp, x, wide) for x in arrays)


def copied(xp: Namespace, x: Array) -> Array:
    """A new array of the values of ``x``."""
    # asarray(copy=True) would warn, and older torch lose the gradient, where a tensor requires one
    return xp.astype(x, x.dtype, copy=True)


def placement(x: Array) -> dict[str, Any]:
    """Keyword arguments that put a new array beside ``x``; none where the library places arrays itself."""
    placed = (_kinds.get(type(x)) or _look(x)).places_itself
    return {} if placed else {"device": array_api_compat.device(x)}


def scalar(xp: Namespace, value: float, like: Array) -> Array:
    """``value`` as a 0-d array, for the functions of a namespace that take arrays alone; of a kernel, a constant."""
    kind = _kinds.get(type(like)) or _look(like)
    if kind.symbol:
        return value
    device = {} if kind.places_itself else placement(like)
    return xp.full((), value, dtype=like.dtype, **device)


def fused(xp: Namespace, compute: Callable[..., Any], *arrays: Array) -> Any:
    """``compute(*arrays)``, a function of single elements, as one kernel where the library makes one of it.

    ``compute`` has no reductions, no indices and no assignments. What it has closed over becomes a
    constant of the kernel, so it must be hashable and few different values: a number that changes
    from call to call is an argument.
    """
    fuse = _fuse(xp)
    if fuse is None:
        return compute(*arrays)
    code = getattr(compute, "__code__", None)
    if code is None or is_symbol(arrays[0]):
        # one operation of the library's, or part of a kernel already
        return compute(*arrays)
    key = (code, *(cell.cell_contents for cell in compute.__closure__ or ()))
    kernel = _kernels.get(key)
    if kernel is None:
        if len(_kernels) >= _MOST_KERNELS:
            _kernels.clear()
        name = re.sub(r"\W+", "_", compute.__qualname__.replace(".<locals>", "")).strip("_")
        kernel = _kernels[key] = fuse(kernel_name=name)(compute)
    return kernel(*arrays)


@lru_cache
def _fuse(xp: Namespace) -> Callable[..., Any] | None:
    return getattr(xp, "fuse", None)


def rolled_loop(xp: Namespace, *arrays: Array) -> Callable[..., Any] | None:
    """JAX's ``lax.scan`` while it traces a function for its compiler; ``None`` where operations run as they come.

    ``None`` as well where the arrays that it is to run over lie on an Explicit mesh, of which it takes none in pieces.
    """
    if not array_api_compat.is_jax_namespace(xp) or any(map(_explicit_sharding, arrays)):
        return None
    jax = sys.modules["jax"]
    # what is made of no argument is a tracer only then: under grad and vmap alone it is an array
    return jax.lax.scan if isinstance(xp.zeros(()), jax.core.Tracer) else None


def memory_steps(xp: Namespace, x: Array) -> tuple[int, ...] | None:
    """What ``strided`` takes for ``x`` as it lies, in the library's own unit; ``None`` where it has no such views."""
    if _as_strided(xp) is None:
        return None
    steps = x.stride() if hasattr(x, "stride") else x.strides
    return tuple(steps)


def strided(xp: Namespace, x: Array, shape: tuple[int, ...], steps: tuple[int, ...]) -> Array:
    """A view of ``x`` to read: from its first cell on, with neighbours along each axis ``steps`` apart in memory."""
    as_strided = _as_strided(xp)
    assert as_strided is not None  # for whom memory_steps gave steps
    return as_strided(x, shape, steps)


def sum_of_products(
    xp: Namespace,
    a: Array,
    a_axes: Sequence[int],
    b: Array,
    b_axes: Sequence[int],
    axes: Sequence[int],
) -> Array:
    """The products of ``a`` and ``b`` along the axes numbered alike, summed over all but ``axes``, in one pass.

    For libraries that compute on the calling thread, others making a matrix product of it, of copies; and for axes
    along which arrays may lie in pieces, as ``contracted``.
    """
    return xp.einsum(a, a_axes, b, b_axes, axes, **_summed_whole(a))


@lru_cache
def _as_strided(xp: Namespace) -> Callable[..., Array] | None:
    # the standard knows nothing of memory; libraries that do agree on the name, not on the place
    tricks = getattr(getattr(xp, "lib", None), "stride_tricks", None)
    return getattr(xp, "as_strided", None) or getattr(tricks, "as_strided", None)


def contracted(
    xp: Namespace, a: Array, b: Array, axes: tuple[Sequence[int], Sequence[int]]
) -> Array:
    """``tensordot`` over axes along which arrays may lie in pieces: the result is whole on every device."""
    return xp.tensordot(a, b, axes=axes, **_summed_whole(a))


def _summed_whole(a: Array) -> dict[str, Any]:
    # on an Explicit mesh JAX asks where a sum over pieces shall lie
    sharding = _explicit_sharding(a)
    if sharding is None:
        return {}
    return {"out_sharding": type(sharding)(sharding.mesh, type(sharding.spec)())}


def _explicit_sharding(a: Array) -> Any:
    """The sharding of an array of JAX's on an Explicit mesh, whose arrays say how they lie; else ``None``."""
    sharding: Any = getattr(getattr(a, "aval", None), "sharding", None)
    kinds = getattr(getattr(sharding, "mesh", None), "axis_types", ())
    return sharding if any(getattr(kind, "name", None) == "Explicit" for kind in kinds) else None


def default_float(xp: Namespace) -> DType:
    """The namespace's default real floating dtype (under JAX, float32 unless x64 is enabled)."""
    return xp.asarray(0.0).dtype


def constant_pad(
    xp: Namespace, x: Array, widths: tuple[tuple[int, int], ...], value: float
) -> Array:
    """``x`` with cells of ``value`` around it; ``widths`` has a ``(before, after)`` pair for every axis."""
    if 0 in x.shape:
        # Dask writes no empty array into another
        shape = tuple(
            n + before + after for n, (before, after) in zip(x.shape, widths, strict=True)
        )
        return xp.full(shape, value, dtype=x.dtype, **placement(x))
    if is_chunked(x):
        padded = sys.modules["dask.array"].pad(x, widths, constant_values=value)
        # the new cells join the chunks that they lie beside
        chunks = (
            (before + n[0], *n[1:-1], n[-1] + after) if len(n) > 1 else (before + n[0] + after,)
            for n, (before, after) in zip(x.chunks, widths, strict=True)
        )
        return padded.rechunk(tuple(chunks))
    return array_api_extra.pad(x, widths, constant_values=value, xp=xp)


@lru_cache
def cropping_pad(xp: Namespace) -> Callable[[Array, Sequence[tuple[int, int]]], Array] | None:
    """The library's pad with zeros that crops where widths are negative, in one operation; ``None`` if it has none."""
    if not array_api_compat.is_jax_namespace(xp):
        return None
    pad = sys.modules["jax"].lax.pad

    def padded(x: Array, widths: Sequence[tuple[int, int]]) -> Array:
        return pad(x, xp.zeros((), dtype=x.dtype), [(*pair, 0) for pair in widths])

    return padded


def stand_in(shape: tuple[int, ...]) -> Array:
    """A float32 NumPy array of ``shape`` that takes no memory and cannot be written."""
    import numpy

    return numpy.broadcast_to(numpy.float32(0), shape)


def to_numpy(x: Array) -> numpy.ndarray[Any, Any]:
    """Copy an array of any library and device to NumPy, for plots, files and reports.

    Parameters
    ----------
    x : array or number
        Of any shape and dtype; a Dask array is computed. bfloat16, which NumPy lacks, becomes
        float32.

    Returns
    -------
    numpy.ndarray
        Never a view that writes through to ``x``.

    Raises
    ------
    TypeError
        A masked array, whose mask would be lost, or a ``numpy.matrix``.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.to_numpy(np.asarray([1.0, 2.0]))
    array([1., 2.])
    """
    import numpy

    _refuse_subclasses("to_numpy", "x", x)
    if not array_api_compat.is_array_api_obj(x):
        return numpy.array(x)
    if array_api_compat.is_torch_array(x):
        tensor = x.detach().cpu()
        return numpy.array(
            (tensor.float() if tensor.dtype == sys.modules["torch"].bfloat16 else tensor).numpy()
        )
    if array_api_compat.is_cupy_array(x):
        return numpy.array(x.get())
    module = type(x).__module__.partition(".")[0]
    if module == "dpnp":
        return numpy.array(x.asnumpy())
    if module == "array_api_strict":
        strict = sys.modules["array_api_strict"]
        return numpy.array(numpy.from_dlpack(x.to_device(strict.Device("CPU_DEVICE"))))
    host = numpy.array(x)
    return host.astype(numpy.float32) if host.dtype.name == "bfloat16" else host

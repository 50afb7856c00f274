"""Which array libraries and devices are usable on this machine, and why the others are not."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["NAMES", "Backend", "BackendError", "find_backend", "find_backends"]


class BackendError(Exception):
    """A library or device cannot be used here; the message says why.

    Parameters
    ----------
    reason : str
        One line.
    install : str
        What makes it usable.

    Examples
    --------
    >>> from arrayconv.backends import BackendError
    >>> BackendError("there is no GPU", "a machine with a GPU").install
    'a machine with a GPU'
    """

    def __init__(self, reason: str, install: str) -> None:
        super().__init__(reason)
        self.install = install


@dataclass(frozen=True)
class Backend:
    """An array library on one of its devices.

    Parameters
    ----------
    name : str
        One of `NAMES`: ``"numpy"``, ``"jax-cpu"``, ``"torch-gpu"``, ...
    library, device, version : str
        Their names and version, for display.
    xp : namespace
        The library's namespace.
    place : device
        The device as the library's ``asarray(..., device=)`` takes it, or None.
    finish : callable
        Takes arrays and returns them when they are computed.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.backends import find_backend
    >>> backend = find_backend("numpy")
    >>> backend.library, backend.device
    ('NumPy', 'cpu')
    >>> backend.asarray(np.asarray([1.0, 2.0]))
    array([1., 2.])
    """

    name: str
    library: str
    device: str
    version: str
    xp: Any = field(repr=False)
    place: Any = field(repr=False, default=None)
    finish: Callable[[tuple[Any, ...]], tuple[Any, ...]] = field(repr=False, default=lambda y: y)

    def asarray(self, a: NDArray[Any]) -> Any:
        """Return a copy of a NumPy array in this library, on this device."""
        where = {} if self.place is None else {"device": self.place}
        return self.xp.asarray(a.copy(), **where)

    def jit(self, f: Callable[..., Any]) -> Callable[..., Any]:
        """Return ``f`` compiled where the library compiles, else ``f``."""
        return _jax().jit(f) if self.library == "JAX" else f

    def exact(self) -> AbstractContextManager[Any]:
        """Return a context with 64-bit types and products in full float32."""
        stack = ExitStack()
        if self.library == "JAX":
            jax = _jax()
            stack.enter_context(jax.enable_x64(True))
            stack.enter_context(jax.default_matmul_precision("float32"))
        elif self.name == "torch-gpu":
            matmul = self.xp.backends.cuda.matmul
            stack.callback(setattr, matmul, "allow_tf32", matmul.allow_tf32)
            matmul.allow_tf32 = False
        return stack


def _import(module: str, extra: str) -> Any:
    install = f'pip install "arrayconv[{extra}]"'
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name != module.partition(".")[0]:
            raise BackendError(f"importing it fails: {_line(error)}", install) from error
        raise BackendError("it is not installed", install) from error
    except Exception as error:
        # a broken installation may raise anything, and the others still work
        raise BackendError(f"importing it fails: {_line(error)}", install) from error


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__


def _numpy() -> Backend:
    return Backend("numpy", "NumPy", "cpu", np.__version__, np)


def _strict() -> Backend:
    xp = _import("array_api_strict", "test")
    # its second device refuses to meet NumPy, as a GPU does
    return Backend(
        "strict", "array-api-strict", "device1", xp.__version__, xp, xp.Device("device1")
    )


def _jax() -> Any:
    # JAX otherwise takes three quarters of a GPU that the other libraries share
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    return _import("jax", "jax")


def _jax_on(kind: str) -> Backend:
    jax = _jax()
    try:
        device = jax.devices(kind)[0]
    except RuntimeError as error:
        raise BackendError(f"it finds no {kind.upper()} here", _gpu("jax-cuda")) from error
    name = "cpu" if kind == "cpu" else device.device_kind

    def finish(y: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(jax.block_until_ready(y))

    return Backend(f"jax-{kind}", "JAX", name, jax.__version__, jax.numpy, device, finish)


def _gpu(extra: str) -> str:
    where = "on a machine with an NVIDIA GPU"
    return f'{where}, pip install "arrayconv[{extra}13]" (driver for CUDA 13) or "[{extra}12]"'


def _torch_on(kind: str) -> Backend:
    torch = _import("torch", "torch")
    if kind == "cpu":
        return Backend("torch-cpu", "PyTorch", "cpu", torch.__version__, torch, "cpu")
    if not torch.cuda.is_available():
        built = torch.version.cuda
        reason = "it finds no usable CUDA device" if built else "this is its CPU build"
        need = 'on a machine with an NVIDIA GPU, pip install "arrayconv[torch]" (the CUDA build)'
        raise BackendError(reason, need)

    def finish(y: tuple[Any, ...]) -> tuple[Any, ...]:
        torch.cuda.synchronize()
        return y

    name = torch.cuda.get_device_name(0)
    return Backend("torch-gpu", "PyTorch", name, torch.__version__, torch, "cuda", finish)


def _cupy() -> Backend:
    try:
        cupy = _import("cupy", "cupy")
    except BackendError as error:
        raise BackendError(str(error), _gpu("cupy")) from error
    try:
        # CuPy imports without a GPU, so the import proves nothing
        usable = cupy.cuda.is_available()
    except Exception as error:
        raise BackendError(f"CUDA fails: {_line(error)}", _gpu("cupy")) from error
    if not usable:
        raise BackendError("it finds no usable CUDA device", _gpu("cupy"))

    def finish(y: tuple[Any, ...]) -> tuple[Any, ...]:
        cupy.cuda.get_current_stream().synchronize()
        return y

    name = cupy.cuda.runtime.getDeviceProperties(0)["name"].decode()
    return Backend("cupy", "CuPy", name, cupy.__version__, cupy, None, finish)


def _dask() -> Backend:
    dask = _import("dask", "dask")
    xp = _import("dask.array", "dask")

    def finish(y: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(dask.persist(*y))

    return Backend("dask", "Dask", "cpu", dask.__version__, xp, None, finish)


def _dpnp() -> Backend:
    install = "pip install dpnp, and set OCL_ICD_FILENAMES to its libintelocl.so"
    try:
        xp = _import("dpnp", "dpnp")
        device = xp.zeros(1).sycl_device
    except BackendError as error:
        raise BackendError(str(error), install) from error
    except Exception as error:
        raise BackendError(f"it finds no SYCL device: {_line(error)}", install) from error

    def finish(y: tuple[Any, ...]) -> tuple[Any, ...]:
        for a in y:
            a.sycl_queue.wait()
        return y

    return Backend("dpnp", "dpnp", device.name, xp.__version__, xp, None, finish)


_FINDERS: dict[str, tuple[str, Callable[[], Backend]]] = {
    "numpy": ("NumPy", _numpy),
    "strict": ("array-api-strict", _strict),
    "jax-cpu": ("JAX", lambda: _jax_on("cpu")),
    "jax-gpu": ("JAX", lambda: _jax_on("gpu")),
    "torch-cpu": ("PyTorch", lambda: _torch_on("cpu")),
    "torch-gpu": ("PyTorch", lambda: _torch_on("gpu")),
    "cupy": ("CuPy", _cupy),
    "dask": ("Dask", _dask),
    "dpnp": ("dpnp", _dpnp),
}

NAMES = tuple(_FINDERS)


def find_backend(name: str) -> Backend:
    """Return one library on one device.

    Parameters
    ----------
    name : str
        One of `NAMES`.

    Returns
    -------
    Backend

    Raises
    ------
    BackendError
        If the library is missing or broken, or the device is not there.
    ValueError
        If there is no such name.

    Examples
    --------
    >>> from arrayconv.backends import find_backend
    >>> find_backend("numpy").name
    'numpy'
    """
    if name not in _FINDERS:
        raise ValueError(f"find_backend: unknown name {name!r}; expected one of {', '.join(NAMES)}")
    return _FINDERS[name][1]()


def find_backends(
    names: Iterable[str] = NAMES,
) -> Iterator[tuple[str, str, Backend | BackendError]]:
    """Look at every library and device, importing the libraries on the way.

    Parameters
    ----------
    names : iterable of str
        Which of `NAMES` to look at.

    Yields
    ------
    tuple of (str, str, Backend or BackendError)
        The name, the library and what was found, or the reason why it cannot be used.

    Examples
    --------
    >>> from arrayconv.backends import find_backends
    >>> name, library, found = next(find_backends())
    >>> library, found.device
    ('NumPy', 'cpu')
    """
    for name in names:
        try:
            found: Backend | BackendError = find_backend(name)
        except BackendError as error:
            found = error
        yield name, _FINDERS[name][0], found

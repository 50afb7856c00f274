"""Put the emulation in the place of CUDA, before anything has imported CuPy."""

from __future__ import annotations

import ctypes
import importlib
import importlib.metadata
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from cupy_emulated import compiler, driver, products, runtime
from cupy_emulated.capsules import replace

WHEEL, VERSION = "cupy-cuda13x", "14.2.0"
# What CuPy's modules are linked against; nothing of them is called.
_LIBRARIES = ("libcublas.so.13", "libcurand.so.10", "libcusolver.so.12", "libcusparse.so.12")
# In this order: each reads the functions of those before it when it is imported.
_REPLACED = {
    "cupy_backends.cuda.api.runtime": runtime.FUNCTIONS,
    "cupy_backends.cuda.api.driver": driver.FUNCTIONS,
    "cupy_backends.cuda.libs.cublas": products.FUNCTIONS,
}
_TRANSFORMS = ("fft", "ifft", "fftn", "ifftn", "rfft", "irfft", "rfftn", "irfftn")


def install() -> ModuleType:
    """Import CuPy on an emulated device, and return it.

    Raises
    ------
    RuntimeError
        If the wheel is not the one that this was written for, or CuPy is imported already.
    """
    _check()
    os.environ["CUPY_ACCELERATORS"] = ""
    os.environ["CUPY_CACHE_DIR"] = str(compiler.CACHE / "cupy")
    for soname in _LIBRARIES:
        ctypes.CDLL(str(compiler.empty_library(soname)), mode=ctypes.RTLD_GLOBAL)
    flags = sys.getdlopenflags()
    # the libraries above are empty, so symbols may be looked up only when they are called
    sys.setdlopenflags(os.RTLD_LAZY)
    try:
        # each is imported by its full name: as an attribute, CuPy would search the disk for the library
        for name, functions in _REPLACED.items():
            replace(importlib.import_module(name), functions)
        cupy = importlib.import_module("cupy")
        nvrtc = importlib.import_module("cupy.cuda.compiler")
    finally:
        sys.setdlopenflags(flags)
    nvrtc._compile_module_with_cache = compiler.compile_module
    nvrtc._get_nvrtc_version = lambda: divmod(runtime.CUDA_VERSION // 10, 100)
    # no pool: each array then starts as memory that nothing has written
    cupy.cuda.set_allocator(None)
    for name in _TRANSFORMS:
        setattr(cupy.fft, name, _by_numpy(getattr(np.fft, name), cupy))
    return cupy


def _check() -> None:
    try:
        found = importlib.metadata.version(WHEEL)
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != VERSION:
        raise RuntimeError(
            f"cupy_emulated: knows {WHEEL} {VERSION}, found {found}; it replaces private functions "
            f"of CuPy's, so install that one: pip install {WHEEL}=={VERSION}"
        )
    if "cupy_backends" in sys.modules:
        raise RuntimeError("cupy_emulated: CuPy is imported already, and has bound CUDA itself")


def _by_numpy(transform: Callable[..., Any], cupy: ModuleType) -> Callable[..., Any]:
    def transformed(a: Any, *args: Any, **config: Any) -> Any:
        return cupy.asarray(transform(a.get(), *args, **config))

    return transformed

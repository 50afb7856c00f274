"""CUDA's driver: modules are shared libraries, and a launch runs one thread of the kernel after the other."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, NamedTuple

from cupy_emulated import record
from cupy_emulated.runtime import CUDA_VERSION


class _Kernel(NamedTuple):
    name: str
    run: Callable[..., None]
    bytes: Callable[..., int]


_modules: list[ctypes.PyDLL] = []
_kernels: list[_Kernel] = []


def load_module(path: bytes) -> int:
    # kernels keep their thread's index in one place, so two must not run at a time: the GIL is held
    _modules.append(ctypes.PyDLL(path.decode()))
    return len(_modules)


def get_function(module: int, name: str) -> int:
    library = _modules[module - 1]
    run, moved = getattr(library, f"run_{name}"), getattr(library, f"bytes_{name}")
    run.restype, moved.restype = None, ctypes.c_ulonglong
    _kernels.append(_Kernel(name, run, moved))
    return len(_kernels)


# fmt: off
def launch(function, grid_x, grid_y, grid_z, block_x, block_y, block_z, shared, stream, arguments, extra):
    kernel, pointers = _kernels[function - 1], ctypes.c_void_p(arguments)
    blocks = grid_x * grid_y * grid_z
    if record.current().note(record.Launch(kernel.name, blocks, kernel.bytes(pointers))):
        kernel.run((ctypes.c_uint * 6)(grid_x, grid_y, grid_z, block_x, block_y, block_z), pointers)
# fmt: on


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "ctxGetCurrent": lambda: 1,
    "funcGetAttribute": lambda attribute, function: 0,
    "get_build_version": lambda: CUDA_VERSION,
    "launchKernel": launch,
    "moduleGetFunction": get_function,
    "moduleLoadData": load_module,
    # CuPy unloads a module when it is collected, and a library once loaded may stay
    "moduleUnload": lambda module: None,
    # the least grid that fills the device, and the block that does
    "occupancyMaxPotentialBlockSize": lambda *_: (132, 128),
}

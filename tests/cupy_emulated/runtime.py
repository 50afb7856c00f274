"""CUDA's runtime on host memory: allocation, copies, devices, streams and events.

The device is the host, so everything has happened when a call returns; a stream is a number, and
waiting for one only counts.
"""

from __future__ import annotations

import ctypes
import itertools
import time
from collections.abc import Callable
from typing import Any

from cupy_emulated import record

CUDA_VERSION = 13000
DEVICES = 2  # so that a mistake of device shows
_ALIGNMENT = 512  # as cudaMalloc's
_UNWRITTEN = 0xFF  # NaN in every floating type
_KINDS_THAT_WAIT = (1, 2)  # cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost

# cudaDeviceAttr: what CuPy asks for, of a large GPU of compute capability 9.0
_ATTRIBUTES = {
    1: 1024,  # MaxThreadsPerBlock
    8: 49152,  # MaxSharedMemoryPerBlock
    10: 32,  # WarpSize
    16: 132,  # MultiProcessorCount
    75: 9,  # ComputeCapabilityMajor
    76: 0,  # ComputeCapabilityMinor
}
_PROPERTIES = {
    "name": b"emulated on the CPU",
    "major": 9,
    "minor": 0,
    "multiProcessorCount": 132,
    "warpSize": 32,
    "totalGlobalMem": 2**34,
}

_libc = ctypes.CDLL(None)
_libc.memalign.restype = ctypes.c_void_p
_libc.memalign.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
_libc.free.argtypes = [ctypes.c_void_p]

_device = 0
_numbers = itertools.count(1)
_events: dict[int, float] = {}


def malloc(size: int, *_: Any) -> int:
    """Return memory that nothing has written: filled with NaN, unless nothing is computed anyway."""
    size = max(size, 1)
    pointer: int = _libc.memalign(_ALIGNMENT, size)
    if not pointer:
        raise MemoryError(f"the emulated device has no {size} bytes")
    if record.current().compute:
        ctypes.memset(pointer, _UNWRITTEN, size)
    return pointer


def free(pointer: int, *_: Any, release: Callable[[int], None] = _libc.free) -> None:
    # bound as a default, for CuPy frees its last arrays when this module is already empty
    release(pointer)


def memcpy_async(target: int, source: int, size: int, kind: int = 0, stream: int = 0) -> None:
    ctypes.memmove(target, source, size)


def memcpy(target: int, source: int, size: int, kind: int) -> None:
    """Copy, and wait if the host takes part."""
    ctypes.memmove(target, source, size)
    if kind in _KINDS_THAT_WAIT:
        synchronize()


def memcpy_peer(target: int, _: int, source: int, __: int, size: int, *stream: int) -> None:
    ctypes.memmove(target, source, size)


def memset(pointer: int, value: int, size: int, stream: int = 0) -> None:
    record.current().note(record.Launch("memset", -(-size // 512), size))
    ctypes.memset(pointer, value, size)


def synchronize(*_: int) -> None:
    record.current().synchronisations += 1


def get_device() -> int:
    return _device


def set_device(device: int) -> None:
    global _device
    _device = device


def new_event(*_: int) -> int:
    event = next(_numbers)
    _events[event] = 0.0
    return event


def record_event(event: int, stream: int) -> None:
    _events[event] = time.perf_counter()


def elapsed(start: int, end: int) -> float:
    """Return the milliseconds between two events, of a clock that says nothing of a GPU."""
    return 1e3 * (_events[end] - _events[start])


def _zero(*_: Any) -> int:
    return 0


def _nothing(*_: Any) -> None:
    return None


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "_deviceEnsurePeerAccess": _nothing,
    "_ensure_context": _nothing,
    "_getCUDAMajorVersion": lambda: CUDA_VERSION // 1000,
    "_getLocalRuntimeVersion": lambda: CUDA_VERSION,
    "check_status": _nothing,
    "deviceCanAccessPeer": lambda device, peer: 1,
    "deviceGetAttribute": lambda attribute, device: _ATTRIBUTES.get(attribute, 0),
    "deviceGetPCIBusId": lambda device: f"0000:0{device}:00.0",
    "deviceSynchronize": synchronize,
    "driverGetVersion": lambda: CUDA_VERSION,
    "eventCreate": new_event,
    "eventCreateWithFlags": new_event,
    "eventDestroy": lambda event: _events.pop(event, None) and None,
    "eventElapsedTime": elapsed,
    "eventQuery": _nothing,
    "eventRecord": record_event,
    "eventSynchronize": synchronize,
    "free": free,
    "freeAsync": free,
    "freeHost": free,
    "getDevice": get_device,
    "getDeviceCount": lambda: DEVICES,
    "getDeviceProperties": lambda device: _PROPERTIES,
    "hostAlloc": malloc,
    "hostRegister": _nothing,
    "hostUnregister": _nothing,
    "malloc": malloc,
    "mallocAsync": malloc,
    "mallocManaged": malloc,
    "memGetInfo": lambda: (2**33, 2**34),
    "memcpy": memcpy,
    "memcpyAsync": memcpy_async,
    "memcpyPeer": memcpy_peer,
    "memcpyPeerAsync": memcpy_peer,
    "memset": memset,
    "memsetAsync": memset,
    "pointerGetMemoryType": _zero,
    "runtimeGetVersion": lambda: CUDA_VERSION,
    "setDevice": set_device,
    "streamCreate": lambda: next(_numbers),
    "streamCreateWithFlags": lambda flags: next(_numbers),
    "streamCreateWithPriority": lambda flags, priority: next(_numbers),
    "streamDestroy": _nothing,
    "streamGetFlags": _zero,
    "streamIsCapturing": _zero,
    "streamQuery": _nothing,
    "streamSynchronize": synchronize,
    "streamWaitEvent": _nothing,
}

"""What a machine has for a GPU: driver, device, and what each library says of both."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import Any

from benchmarks import machine

QUERY = "name,driver_version,memory.total,compute_cap,clocks.max.sm,clocks.max.mem,power.limit"


def facts() -> dict[str, Any]:
    """Return the machine's facts; what cannot be found says why."""
    found = machine.facts(0)
    for name, ask in (
        ("driver", _driver),
        ("cupy", _cupy),
        ("cudnn", _cudnn),
        ("torch", _torch),
        ("jax", _jax),
    ):
        found[name] = _said(ask)
    return found


def _said(ask: Callable[[], Any]) -> Any:
    try:
        return ask()
    # each library fails in its own way where something of CUDA is missing
    except Exception as error:
        return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"


def _driver() -> list[str]:
    command = ["nvidia-smi", f"--query-gpu={QUERY}", "--format=csv,noheader"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=15)
    return done.stdout.splitlines()


def _cupy() -> dict[str, Any]:
    import cupy

    one = cupy.ones(3)
    runtime = cupy.cuda.runtime
    return {
        "version": cupy.__version__,
        "devices": runtime.getDeviceCount(),
        "driver": runtime.driverGetVersion(),
        "runtime": runtime.runtimeGetVersion(),
        "computes": float((one @ one + one.sum()).get()) == 6.0,
        "cublas": cupy.cuda.cublas.getVersion(cupy.cuda.get_cublas_handle()),
    }


def _cudnn() -> dict[str, Any]:
    import cudnn

    return {"frontend": cudnn.__version__, "backend": cudnn.backend_version()}


def _torch() -> dict[str, Any]:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "version": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
        "device": device,
    }


def _jax() -> dict[str, Any]:
    import jax

    return {"version": jax.__version__, "devices": [str(device) for device in jax.devices()]}

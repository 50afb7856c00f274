"""Whole networks from ONNX files beside onnxruntime."""

from __future__ import annotations

import sys
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np

from arrayconv.namespace import to_numpy
from benchmarks.sections import Results, compare
from benchmarks.timing import Contender

SECTION = "onnx"


def _read(y: Any) -> tuple[np.ndarray, ...]:
    return (to_numpy(y),)


def contenders(model: bytes, x: np.ndarray, threads: int) -> list[Contender]:
    """Arrayconv on each library, compiled by JAX, and onnxruntime."""
    import onnxruntime

    import arrayconv as ac

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
    net = ac.onnx.load(model)
    name = session.get_inputs()[0].name
    found = [
        Contender("onnxruntime", "onnxruntime", lambda: session.run(None, {name: x})[0], _read),
        Contender("arrayconv numpy", "arrayconv", partial(net, x), _read),
    ]
    if find_spec("jax"):
        import jax

        compiled, there = jax.jit(net.to("jax")), jax.numpy.asarray(x)
        finish = jax.block_until_ready
        found.append(Contender("arrayconv jax", "xla", partial(compiled, there), _read, finish))
    if find_spec("torch"):
        import torch

        found.append(Contender("arrayconv torch", "openmp", partial(net, torch.asarray(x)), _read))
    return found


def networks(results: Results, only: str, threads: int, **timing: Any) -> None:
    """Compare everybody on every network; none where what exports and runs them is missing."""
    missing = [name for name in ("onnx", "onnxruntime", "torch") if not find_spec(name)]
    if missing:
        print(f"{SECTION}: not run, {', '.join(missing)} not installed", file=sys.stderr)
        return
    from benchmarks.networks import NETWORKS, exported

    for name in NETWORKS:
        if only not in name:
            continue
        model, x, y = exported(name)
        compare(
            results, SECTION, name, contenders(model, x.numpy(), threads), [y.numpy()], **timing
        )

"""Several devices: what moves between them, what a step of training costs on more, and Dask's chunks.

Each measurement is a process of its own (``python -m benchmarks.devices TASK``), since devices are made when JAX
starts and the memory of a process is that of its peak.
"""

from __future__ import annotations

import json
import math
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

from benchmarks.sections import Results

SECTION = "devices"
DEVICES = (1, 2, 4, 8)
COLLECTIVES = "all-gather|all-to-all|all-reduce|collective-permute|reduce-scatter"
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s64": 8, "u64": 8, "f64": 8}
# (N, H, W, C) of the arrays that move, and the sizes of the step's and of Dask's
SHAPE, STEP_BATCH, DASK_IMAGES, DASK_CHUNK = (32, 56, 56, 32), 64, 1_024, 8


def devices(results: Results) -> None:
    """Run every measurement; none of a library that is not installed."""
    tasks = [(["moved"], 8), *((["step", str(n)], n) for n in DEVICES)] if find_spec("jax") else []
    if find_spec("dask"):
        tasks += [(["dask", who], 1) for who in ("arrayconv", "map_blocks")]
    for task, count in tasks:
        name = " ".join(task)
        print(f"{SECTION}: {name}", file=sys.stderr, flush=True)
        flags = f"--xla_force_host_platform_device_count={count}"
        environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
        command = [sys.executable, "-m", "benchmarks.devices", *task]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            results.failed(SECTION, name, "arrayconv", RuntimeError(done.stderr[-300:]))
            continue
        results.rows += [{"section": SECTION, **row} for row in json.loads(done.stdout)]


def bytes_moved(program: str) -> dict[str, int]:
    """Return the bytes that each kind of collective of a compiled program hands on.

    Examples
    --------
    >>> bytes_moved("%a = f32[2,3]{1,0} all-reduce(%b)")
    {'all-reduce': 24}
    """
    found: dict[str, int] = {}
    for shapes, kind in re.findall(rf"= (.*?) ({COLLECTIVES})(?:-start)?\(", program):
        for dtype, sizes in re.findall(r"([a-z]+\d*)\[([\d,]*)\]", shapes):
            numbers = math.prod(int(n) for n in sizes.split(",") if n)
            found[kind] = found.get(kind, 0) + numbers * BYTES.get(dtype, 4)
    return found


def _calls() -> dict[str, tuple[Callable[..., Any], Callable[..., Any]]]:
    """Ours and ``jax.lax``'s of each operation."""
    import jax

    import arrayconv as ac

    def conv(x: Any, w: Any) -> Any:
        dims = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=dims)

    def pool(x: Any) -> Any:
        window = (1, 2, 2, 1)
        return jax.lax.reduce_window(x, -np.inf, jax.lax.max, window, window, "VALID")

    def small(x: Any) -> Any:
        return x[:, ::2, ::2, :]

    return {
        "conv": (lambda x, w: ac.conv(x, w, padding="same"), conv),
        "conv_vjp": (
            lambda x, w: ac.conv_vjp(x, x, w, padding="same")[:2],
            lambda x, w: jax.vjp(conv, x, w)[1](x),
        ),
        "max_pool": (lambda x, w: ac.max_pool(x, 2), lambda x, w: pool(x)),
        "max_pool_vjp": (
            lambda x, w: ac.max_pool_vjp(small(x), x, 2),
            lambda x, w: jax.vjp(pool, x)[1](small(x)),
        ),
    }


def moved() -> list[dict[str, Any]]:
    """What each operation moves between 8 devices, arrays being sharded by batch or by height."""
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    mesh = jax.make_mesh((8,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    random = np.random.default_rng(0)
    whole = jax.device_put(
        random.standard_normal((3, 3, 32, 32), "float32"), NamedSharding(mesh, PartitionSpec())
    )
    rows = []
    for by, spec in (("batch", ("d",)), ("height", (None, "d"))):
        x = random.standard_normal(SHAPE, "float32")
        x = jax.device_put(x, NamedSharding(mesh, PartitionSpec(*spec)))
        for name, calls in _calls().items():
            for who, call in zip(("arrayconv jax", "lax"), calls, strict=True):
                compiled = jax.jit(call).lower(x, whole).compile()
                found = bytes_moved(compiled.as_text())
                outputs = jax.tree.leaves(compiled.output_shardings)
                kept = not outputs[0].is_fully_replicated
                row = {"case": f"{name}, sharded by {by}", "contender": who}
                rows.append(row | {"moved": found, "KiB": sum(found.values()) / 1024, "kept": kept})
    return rows


def step(count: int) -> list[dict[str, Any]]:
    """The processor time of a step of training on so many devices, the batch being the same."""
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    from arrayconv import models
    from arrayconv.data import Batches

    random = np.random.default_rng(0)
    steps = 6
    x = random.standard_normal((steps * STEP_BATCH, 28, 28, 1), "float32")
    y = random.integers(0, 10, len(x))
    model = models.Sequential(
        [
            models.Conv(32, 3, padding="same", activation="relu", input_shape=(28, 28, 1)),
            models.Conv(32, 3, padding="same", activation="relu"),
            models.MaxPool(2),
            models.Flatten(),
            models.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy")
    rows = NamedSharding(jax.make_mesh((count,), ("batch",)), PartitionSpec("batch"))
    batches = Batches(x, y, batch_size=STEP_BATCH, sharding=rows)
    model.fit(batches, verbose=0)
    taken = []
    for _ in range(5):
        start = time.process_time()
        model.fit(batches, verbose=0)
        taken.append((time.process_time() - start) / steps)
    return [
        {"case": "step", "contender": f"{count} device{'s' * (count > 1)}", "ms": min(taken) * 1e3}
    ]


def dask(who: str) -> list[dict[str, Any]]:
    """Tasks, time and memory of a convolution and its weight gradient over 128 chunks of images."""
    import dask.array as da
    from dask import optimize

    import arrayconv as ac

    shape, random = (DASK_IMAGES, *SHAPE[1:]), np.random.default_rng(0)
    x = da.random.default_rng(0).random(shape, dtype="float32", chunks=(DASK_CHUNK, -1, -1, -1))
    kernel = random.standard_normal((3, 3, 32, 32)).astype("float32")
    w = da.from_array(kernel)
    if who == "arrayconv":
        y = ac.conv(x, w, padding="same")
        dw = ac.conv_vjp(x, x, w, padding="same", wrt=("w",)).dw
    else:
        y = x.map_blocks(ac.conv, kernel, padding="same", dtype=x.dtype, meta=x._meta)
        terms = x.map_blocks(
            lambda a: ac.conv_vjp(a, a, kernel, padding="same", wrt=("w",)).dw[None],
            chunks=((1,) * x.numblocks[0], *((n,) for n in kernel.shape)),
            drop_axis=(1, 2, 3),
            new_axis=(1, 2, 3, 4),
            dtype=x.dtype,
            meta=np.zeros((0,) * 5, x.dtype),
        )
        dw = terms.sum(axis=0)
    rows = []
    for name, result in (("conv", y.sum()), ("weight gradient", dw)):
        (graph,) = optimize(result)
        start, busy = time.perf_counter(), time.process_time()
        result.compute(scheduler="threads", num_workers=2)
        rows.append(
            {
                "case": f"Dask, {name}",
                "contender": who,
                "tasks": len(dict(graph.dask)),
                "s": time.perf_counter() - start,
                "CPU s": time.process_time() - busy,
                "MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    return rows


def page(rows: list[dict[str, Any]]) -> str:
    """Return the section of the report; empty if it was not run."""
    from benchmarks.report import number, table

    rows = [row for row in rows if row["section"] == SECTION]
    if not rows:
        return ""
    parts = ["## Several devices"]
    if traffic := [row for row in rows if "KiB" in row]:
        lines = [
            (
                f"{row['case']}, {row['contender']}",
                number(row["KiB"]),
                ", ".join(f"{k} {v / 1024:.0f}" for k, v in row["moved"].items()) or "-",
                "yes" if row["kept"] else "no",
            )
            for row in traffic
        ]
        size = math.prod(SHAPE) * 4 / 1024
        parts.append(
            f"KiB that a compiled call hands on between 8 virtual devices, {number(size)} KiB being the image "
            "batch of 32x56x56x32, and whether its result stays in pieces."
        )
        parts.append(table(("call", "KiB", "of which", "in pieces"), lines))
    if steps := [row for row in rows if "ms" in row]:
        one = steps[0]["ms"]
        parts.append(
            "Processor time of a training step of 64 images of 28x28, beside that on one device."
        )
        lines = [(row["contender"], number(row["ms"]), number(row["ms"] / one)) for row in steps]
        parts.append(table(("devices", "ms", "ratio"), lines))
    if chunks := [row for row in rows if "tasks" in row]:
        parts.append(
            f"{DASK_IMAGES} images of 56x56x32 in chunks of {DASK_CHUNK} by Dask, two threads; memory is that of the "
            "process at its peak."
        )
        lines = [
            (
                f"{row['case']}, {row['contender']}",
                *(number(row[what]) for what in ("tasks", "s", "CPU s", "MiB")),
            )
            for row in chunks
        ]
        parts.append(table(("call", "tasks", "s", "CPU s", "MiB"), lines))
    return "\n\n".join(parts)


if __name__ == "__main__":
    task, *given = sys.argv[1:]
    if task == "moved":
        print(json.dumps(moved()))
    elif task == "step":
        print(json.dumps(step(int(given[0]))))
    else:
        print(json.dumps(dask(given[0])))

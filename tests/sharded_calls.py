"""What compiled calls on arrays sharded along their batch move between eight devices of one CPU; prints JSON.

Run by ``test_sharding.py`` in a process of its own, since devices are made when JAX starts.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Callable
from typing import Any

os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=8"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec

import arrayconv as ac

BATCH = 32
COLLECTIVES = "all-gather|all-to-all|all-reduce|collective-permute|reduce-scatter"
random = np.random.default_rng(0)


def drawn(*shape: int) -> Any:
    return random.standard_normal(shape).astype("float32")


# large enough to be cut into blocks on one device
X = drawn(BATCH, 28, 28, 16)
W, DEPTHWISE, GROUPED = drawn(3, 3, 16, 16), drawn(3, 3, 1, 16), drawn(3, 3, 4, 16)
PATCH, POINT, B = drawn(2, 2, 16, 16), drawn(1, 1, 16, 16), drawn(16)
FLAT, LABELS = drawn(BATCH, 10), np.eye(10, dtype="float32")[np.arange(BATCH) % 10]

# the call, its arrays, and the numbers that the devices must add up
CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], int]] = {
    "conv": (lambda x, w, b: ac.conv(x, w, b, padding=1), (X, W, B), 0),
    "conv, stride 2": (lambda x, w: ac.conv(x, w, padding="same", stride=2), (X, W), 0),
    "conv, channels first": (
        lambda x, w: ac.conv(x, w, data_format="channels_first"),
        (np.moveaxis(X, -1, 1), W),
        0,
    ),
    "conv, depthwise": (lambda x, w: ac.conv(x, w, padding=1, groups=16), (X, DEPTHWISE), 0),
    "conv, groups": (lambda x, w: ac.conv(x, w, padding=1, groups=4), (X, GROUPED), 0),
    "conv, patches": (lambda x, w: ac.conv(x, w, stride=2), (X, PATCH), 0),
    "conv, one cell": (lambda x, w: ac.conv(x, w), (X, POINT), 0),
    "conv, one channel": (lambda x, w: ac.conv(x[..., :1], w[:, :, :1]), (X, W), 0),
    "conv_vjp": (
        lambda x, w, b: ac.conv_vjp(x, x, w, b, padding=1),
        (X, W, B),
        W.size + B.size,
    ),
    "conv_vjp, stride 2": (
        lambda x, w: ac.conv_vjp(x[:, ::2, ::2, :], x, w, padding=1, stride=2),
        (X, W),
        W.size,
    ),
    "conv_vjp, large images": (
        lambda x, w: ac.conv_vjp(x, x, w, padding=1),
        (drawn(BATCH, 64, 64, 4), W[:, :, :4, :4]),
        W[:, :, :4, :4].size,
    ),
    "conv_vjp, depthwise": (
        lambda x, w: ac.conv_vjp(x, x, w, padding=1, groups=16),
        (X, DEPTHWISE),
        DEPTHWISE.size,
    ),
    "conv_vjp, groups": (
        lambda x, w: ac.conv_vjp(x, x, w, padding=1, groups=4),
        (X, GROUPED),
        GROUPED.size,
    ),
    "conv_vjp, patches": (
        lambda x, w: ac.conv_vjp(x[:, ::2, ::2, :], x, w, stride=2),
        (X, PATCH),
        PATCH.size,
    ),
    "conv_transpose": (lambda x, w, b: ac.conv_transpose(x, w, b, stride=2), (X, W, B), 0),
    "max_pool": (lambda x: ac.max_pool(x, 2), (X,), 0),
    "max_pool_vjp": (lambda x: ac.max_pool_vjp(x, x, 3, stride=1, padding=1), (X,), 0),
    "avg_pool_vjp": (lambda x: ac.avg_pool_vjp(x, x, 3, stride=1, padding=1), (X,), 0),
    "global_max_pool": (ac.global_max_pool, (X,), 0),
    "global_avg_pool": (ac.global_avg_pool, (X,), 0),
    "adaptive_avg_pool": (lambda x: ac.adaptive_avg_pool(x, 3), (X,), 0),
    "adaptive_max_pool_vjp": (
        lambda x: ac.adaptive_max_pool_vjp(x[:, :3, :3, :], x, 3),
        (X,),
        0,
    ),
    "pad": (lambda x: ac.pad(x, 1, mode="reflect"), (X,), 0),
    "im2col": (lambda x: ac.im2col(x, 2), (X,), 0),
    "col2im": (lambda x: ac.col2im(ac.im2col(x, 3), x.shape, 3), (X,), 0),
    "dense": (lambda x, w: ac.dense(x, w), (FLAT, drawn(10, 4)), 0),
    "dense_vjp": (lambda x, w: ac.dense_vjp(x[:, :4], x, w), (FLAT, drawn(10, 4)), 40),
    "batch_norm": (ac.batch_norm, (X, B, B), 32),
    "batch_norm_vjp": (lambda x, b: ac.batch_norm_vjp(x * x, x, b, b), (X, B), 64),
    "layer_norm": (ac.layer_norm, (X, B, B), 0),
    "layer_norm_vjp": (lambda x, b: ac.layer_norm_vjp(x, x, b, b), (X, B), 32),
    "group_norm_vjp": (lambda x, b: ac.group_norm_vjp(x, x, b, b, groups=4), (X, B), 32),
    "gelu": (ac.gelu, (X,), 0),
    "relu_vjp": (lambda x: ac.relu_vjp(x, x), (X,), 0),
    "softmax": (ac.softmax, (X,), 0),
    "resize": (lambda x: ac.resize(x, scale=2, method="linear"), (X,), 0),
    "resize_vjp": (lambda x: ac.resize_vjp(x, x[:, ::2, ::2, :], scale=2), (X,), 0),
    "loss": (
        lambda x, y: ac.categorical_cross_entropy(x, y, from_logits=True),
        (FLAT, LABELS),
        1,
    ),
    "loss_vjp": (
        lambda x, y: ac.categorical_cross_entropy_vjp(
            ac.categorical_cross_entropy(x, y, from_logits=True) * 0 + 1, x, y, from_logits=True
        ),
        (FLAT, LABELS),
        1,
    ),
}


def moved(program: str) -> dict[str, int]:
    """Return the numbers that each kind of collective hands on."""
    found: dict[str, int] = {}
    for shapes, kind in re.findall(rf"= (.*?) ({COLLECTIVES})(?:-start)?\(", program):
        sizes = re.findall(r"[a-z]+\d+\[([\d,]*)\]", shapes)
        numbers = sum(math.prod(int(n) for n in size.split(",") if n) for size in sizes)
        found[kind] = found.get(kind, 0) + numbers
    return found


def report(kind: AxisType) -> dict[str, Any]:
    found = {}
    mesh = jax.make_mesh((8,), ("batch",), axis_types=(kind,))
    with jax.set_mesh(mesh):
        for name, (call, arrays, wanted) in CALLS.items():
            given = [
                jax.device_put(
                    a,
                    NamedSharding(mesh, PartitionSpec("batch" if a.shape[0] == BATCH else None)),
                )
                for a in arrays
            ]
            compiled = jax.jit(call).lower(*given).compile()
            got = [a for a in jax.tree.leaves(compiled(*given)) if a is not None]
            # NumPy's results: no other device has a part in them
            want = jax.tree.leaves(call(*arrays))
            error = max(
                float(np.max(np.abs(np.asarray(g) - w)) / max(np.max(np.abs(w)), 1e-30))
                for g, w in zip(got, want, strict=True)
            )
            kept = all(
                g.sharding.spec[:1] == ("batch",) for g in got if g.ndim and g.shape[0] % BATCH == 0
            )
            found[name] = {
                "moved": moved(compiled.as_text()),
                "wanted": wanted,
                "kept": kept,
                "error": error,
            }
    return found


if __name__ == "__main__":
    print(json.dumps(report(AxisType[sys.argv[1]])))

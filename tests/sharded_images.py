"""What compiled calls on images sharded along their height move between eight devices of one CPU; prints JSON.

Run by ``test_sharding.py`` in a process of its own, since devices are made when JAX starts.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from sharded_calls import drawn, moved  # makes the devices

import arrayconv as ac

BATCH, C = 4, 8
X, HALF = drawn(BATCH, 64, 16, C), drawn(BATCH, 32, 8, C)
# large enough to be cut into blocks on one device
LARGE = drawn(BATCH, 512, 128, 16)
LINE, SOLID = drawn(BATCH, 512, C), drawn(BATCH, 16, 8, 8, C)
W, WIDE, LARGEST = (drawn(k, k, C, C) for k in (3, 5, 9))
PATCH, POINT, B = drawn(2, 2, C, C), drawn(1, 1, C, C), drawn(C)
DEPTHWISE, GROUPED = drawn(3, 3, 1, C), drawn(3, 3, C // 4, C)
SHORT, CUBE = drawn(5, C, C), drawn(3, 3, 3, C, C)
# equal cells, so that ties are met
TIED = np.round(X)


def same(x: Any, w: Any, **configuration: Any) -> Any:
    return ac.conv(x, w, padding="same", **configuration)


def same_vjp(dy: Any, x: Any, w: Any, **configuration: Any) -> Any:
    return ac.conv_vjp(dy, x, w, padding="same", **configuration)[:2]


def by_jax(dy: Any, x: Any, w: Any) -> Any:
    return jax.vjp(same, x, w)[1](dy) if isinstance(x, jax.Array) else same_vjp(dy, x, w)


# the call, its arrays, how many rows of neighbours it must read, and the numbers that the devices must add up
CALLS: dict[str, tuple[Callable[..., Any], tuple[Any, ...], int, int]] = {
    "conv": (lambda x, w, b: ac.conv(x, w, b, padding=1), (X, W, B), 2, 0),
    "conv, large images": (same, (LARGE, drawn(3, 3, 16, 16)), 2, 0),
    "conv, 5 x 5": (same, (X, WIDE), 4, 0),
    "conv, 9 x 9": (same, (X, LARGEST), 8, 0),
    "conv, stride 2": (lambda x, w: same(x, w, stride=2), (X, W), 1, 0),
    "conv, dilation 2": (lambda x, w: same(x, w, dilation=2), (X, W), 4, 0),
    "conv, groups": (lambda x, w: same(x, w, groups=4), (X, GROUPED), 2, 0),
    "conv, depthwise": (lambda x, w: same(x, w, groups=C), (X, DEPTHWISE), 2, 0),
    "conv, one channel": (same, (X[..., :1], W[:, :, :1]), 2, 0),
    "conv, one axis": (same, (LINE, SHORT), 4, 0),
    "conv, three axes": (same, (SOLID, CUBE), 2, 0),
    "conv, patches": (lambda x, w: same(x, w, stride=2), (X, PATCH), 0, 0),
    "conv, one cell": (same, (X, POINT), 0, 0),
    "conv_vjp": (same_vjp, (X, X, W), 4, W.size),
    "conv_vjp, 5 x 5": (same_vjp, (X, X, WIDE), 8, WIDE.size),
    "conv_vjp, 9 x 9": (same_vjp, (X, X, LARGEST), 16, LARGEST.size),
    "conv_vjp, stride 2": (
        lambda dy, x, w: same_vjp(dy, x, w, stride=2),
        (HALF, X, W),
        2,
        W.size,
    ),
    "conv_vjp, groups": (
        lambda dy, x, w: same_vjp(dy, x, w, groups=4),
        (X, X, GROUPED),
        4,
        GROUPED.size,
    ),
    "conv_vjp, depthwise": (
        lambda dy, x, w: same_vjp(dy, x, w, groups=C),
        (X, X, DEPTHWISE),
        4,
        DEPTHWISE.size,
    ),
    "conv_vjp, three channels": (same_vjp, (X, X[..., :3], W[:, :, :3]), 4, 27 * C),
    "conv_vjp, one axis": (same_vjp, (LINE, LINE, SHORT), 8, SHORT.size),
    "conv_vjp, three axes": (same_vjp, (SOLID, SOLID, CUBE), 4, CUBE.size),
    "conv_vjp, patches": (
        lambda dy, x, w: same_vjp(dy, x, w, stride=2),
        (HALF, X, PATCH),
        0,
        PATCH.size,
    ),
    "conv, derived by JAX": (by_jax, (X, X, W), 4, W.size),
    "conv_transpose": (
        lambda x, w: ac.conv_transpose(x, w, padding="same", stride=2),
        (X, W),
        1,
        0,
    ),
    "max_pool": (lambda x: ac.max_pool(x, 2), (X,), 0, 0),
    "max_pool, overlapping": (lambda x: ac.max_pool(x, 3, stride=1, padding=1), (X,), 2, 0),
    "max_pool, stride 2": (lambda x: ac.max_pool(x, 3, stride=2, padding=1), (X,), 1, 0),
    "max_pool, integers": (
        lambda x: ac.max_pool(x, 3, stride=1, padding=1),
        ((100 * X).astype("int32"),),
        2,
        0,
    ),
    "max_pool_vjp": (lambda dy, x: ac.max_pool_vjp(dy, x, 2), (HALF, X), 0, 0),
    "max_pool_vjp, overlapping": (
        lambda dy, x: ac.max_pool_vjp(dy, x, 3, stride=1, padding=1),
        (X, TIED),
        4,
        0,
    ),
    "max_pool_vjp, ties shared": (
        lambda dy, x: ac.max_pool_vjp(dy, x, 3, stride=1, padding=1, ties="split"),
        (X, TIED),
        4,
        0,
    ),
    "avg_pool": (lambda x: ac.avg_pool(x, 3, stride=1, padding=1), (X,), 2, 0),
    "avg_pool_vjp": (lambda dy, x: ac.avg_pool_vjp(dy, x, 3, stride=1, padding=1), (X, X), 2, 0),
    # zeros outside for the one, nothing for the other
    "conv and max_pool of one image": (
        lambda x, w: same(x, w) + ac.max_pool(x, 3, stride=1, padding=1),
        (X, W),
        4,
        0,
    ),
}


def report(kind: AxisType) -> dict[str, Any]:
    found = {}
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(kind,))
    with jax.set_mesh(mesh):
        for name, (call, arrays, rows, sums) in CALLS.items():
            given = [
                jax.device_put(
                    a,
                    NamedSharding(
                        mesh, PartitionSpec(*(None, "rows") if a.shape[0] == BATCH else ())
                    ),
                )
                for a in arrays
            ]
            compiled = jax.jit(call).lower(*given).compile()
            got = jax.tree.leaves(compiled(*given))
            # NumPy's results: no other device has a part in them
            want = jax.tree.leaves(call(*arrays))
            found[name] = {
                "moved": moved(compiled.as_text()),
                "halo": rows * max(math.prod(a.shape) // a.shape[1] for a in arrays[:-1] or arrays),
                "sums": sums,
                "kept": all(
                    g.sharding.spec[:2] == (None, "rows") for g in got if g.shape[0] == BATCH
                ),
                "error": max(
                    float(np.max(np.abs(np.asarray(g) - w)) / np.max(np.abs(w)))
                    for g, w in zip(got, want, strict=True)
                ),
            }
    return found


if __name__ == "__main__":
    print(json.dumps(report(AxisType[sys.argv[1]])))

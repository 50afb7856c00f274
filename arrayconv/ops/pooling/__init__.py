"""Pooling: over windows, over everything, and over adaptive bins."""

from arrayconv.ops.pooling.adaptive import (
    adaptive_avg_pool,
    adaptive_avg_pool_vjp,
    adaptive_max_pool,
    adaptive_max_pool_vjp,
)
from arrayconv.ops.pooling.average import avg_pool, avg_pool_vjp
from arrayconv.ops.pooling.maximum import max_pool, max_pool_vjp
from arrayconv.ops.pooling.whole import (
    global_avg_pool,
    global_avg_pool_vjp,
    global_max_pool,
    global_max_pool_vjp,
)

__all__ = [
    "adaptive_avg_pool",
    "adaptive_avg_pool_vjp",
    "adaptive_max_pool",
    "adaptive_max_pool_vjp",
    "avg_pool",
    "avg_pool_vjp",
    "global_avg_pool",
    "global_avg_pool_vjp",
    "global_max_pool",
    "global_max_pool_vjp",
    "max_pool",
    "max_pool_vjp",
]

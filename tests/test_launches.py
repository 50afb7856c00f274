"""What an operation asks of a GPU, counted on the emulated device: launches, bytes, synchronisations, idle blocks."""

from __future__ import annotations

import numpy as np
import pytest
from cupy_emulated import recording
from poison import unpoisoned

import arrayconv as ac
from arrayconv.cases import cases, sample

pytestmark = pytest.mark.backends("cupy-emulated")

X = (32, 56, 56, 64)  # 25.7 MB in float32, as dy is
HALF = (32, 28, 28, 64)  # after a pool
B = (64,)
POOL = {"stride": 2, "padding": 1}
# A reduction over more than this by fewer blocks leaves most of a GPU idle.
STARVED_BYTES, FEWEST_BLOCKS = 1e6, 64


def counted(xp, op, shapes, *args, **config):
    """Return what `op` asks of the device, for float32 arrays of these shapes; nothing is computed."""
    arrays = [xp.namespace.empty(shape, dtype=np.float32) for shape in shapes]
    # what is made once, such as a plan, is not of this call
    for _ in range(2):
        with unpoisoned(), recording(compute=False) as record:
            getattr(ac, op)(*arrays, *args, **config)
    return record


# operation, shapes of its arrays, the rest of its arguments, most launches, most megabytes
CEILINGS = [
    ("max_pool", [X], (2,), {}, 2, 58),
    ("max_pool", [X], (3,), POOL, 10, 153),
    ("avg_pool", [X], (2,), {}, 3, 71),
    ("avg_pool_vjp", [HALF, X], (2,), {}, 5, 91),
    ("relu", [X], (), {}, 2, 52),
    ("dense", [(8192, 1024), (1024, 64), B], (), {}, 2, 41),
    ("dense_vjp", [(8192, 64), (8192, 1024), (1024, 64), B], (), {}, 5, 83),
]


def named(rows):
    return pytest.mark.parametrize("row", rows, ids=[row[0] for row in rows])


@named(CEILINGS)
def test_launches_and_bytes(xp, row):
    op, shapes, args, config, launches, megabytes = row
    record = counted(xp, op, shapes, *args, **config)
    assert len(record.launches) <= launches, record
    assert record.bytes <= 1e6 * megabytes, record
    assert record.synchronisations == 0


def starved(record):
    """Return the launches that read much with few blocks; a product has many results to a block."""
    return [
        launch
        for launch in record.launches
        if launch.compute is None and launch.bytes > STARVED_BYTES and launch.blocks < FEWEST_BLOCKS
    ]


# operation, shapes of its arrays, configuration
SUMS = [
    ("batch_norm", [X, B, B], {}),
    ("batch_norm_vjp", [X, X, B, B], {}),
    ("layer_norm_vjp", [X, X, B, B], {}),
    ("group_norm_vjp", [X, X, B, B], {"groups": 8}),
    ("instance_norm_vjp", [X, X, B, B], {}),
    ("global_avg_pool", [X], {}),
    ("dense_vjp", [(65536, 64), (65536, 64), (64, 64), B], {}),
    ("softmax_vjp", [X, X], {}),
]


@named(SUMS)
def test_no_sum_leaves_the_device_idle(xp, row):
    op, shapes, config = row
    record = counted(xp, op, shapes, **config)
    assert not starved(record), record


# The compatibility layer's sign of CuPy arrays looks at values.
PROMPT = [case for case in sample(cases()) if case.op != "mean_absolute_error"]


@pytest.mark.parametrize("case", PROMPT, ids=lambda case: case.id)
def test_no_operation_synchronises(xp, case):
    arrays = tuple(None if a is None else xp.array(a) for a in case.arrays())
    f, vjp = getattr(ac, case.op), getattr(ac, f"{case.op}_vjp")
    with recording() as record:
        y = f(*arrays, *case.args, **case.config)
    assert record.synchronisations == 0
    dy = xp.namespace.ones_like(y[0] if isinstance(y, tuple) else y)
    with recording() as record:
        vjp(dy, *arrays, *case.args, **case.config, **case.vjp_config)
    assert record.synchronisations == 0

"""What an operation asks of a GPU, counted on the emulated device: launches, bytes, synchronisations, idle blocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from cupy_emulated import recording
from poison import unpoisoned

import arrayconv as ac
from arrayconv import models
from arrayconv.cases import cases, sample
from arrayconv.engine.choice import FAST, STRATEGIES
from arrayconv.models.losses import LOSSES
from arrayconv.namespace import array_namespace

pytestmark = pytest.mark.backends("cupy-emulated")

X = (32, 56, 56, 64)  # 25.7 MB in float32, as dy is
HALF = (32, 28, 28, 64)  # after a pool
W, B = (3, 3, 64, 64), (64,)
SAME, POOL = {"padding": 1}, {"stride": 2, "padding": 1}
MIB = 2**20
TF32 = 77  # CUBLAS_COMPUTE_32F_FAST_TF32
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
    ("conv", [X, W], (), SAME, 6, 660),
    ("conv_vjp", [X, X, W], (), SAME, 14, 1250),
    ("max_pool_vjp", [HALF, X], (2,), {}, 8, 195),
    ("max_pool_vjp", [HALF, X], (3,), POOL, 18, 402),
    ("batch_norm", [X, B, B], (), {}, 12, 184),
    ("batch_norm_vjp", [X, X, B, B], (), {}, 20, 341),
    ("relu_vjp", [X, X], (), {}, 1, 78),
    ("gelu", [X], (), {}, 1, 52),
    ("gelu_vjp", [X, X], (), {}, 1, 78),
    ("max_pool", [X], (2,), {}, 2, 58),
    ("max_pool", [X], (3,), POOL, 8, 115),
    ("avg_pool", [X], (2,), {}, 3, 71),
    ("avg_pool_vjp", [HALF, X], (2,), {}, 5, 91),
    ("relu", [X], (), {}, 1, 52),
    ("dense", [(8192, 1024), (1024, 64), B], (), {}, 2, 41),
    ("dense_vjp", [(8192, 64), (8192, 1024), (1024, 64), B], (), {}, 5, 83),
]


def named(rows):
    return pytest.mark.parametrize("row", rows, ids=[row[0] for row in rows])


@named(CEILINGS)
def test_launches_and_bytes(xp, row):
    op, shapes, args, config, launches, megabytes = row
    record = counted(xp, op, shapes, *args, **config)
    assert len(record.launches) <= launches, str(record)
    assert record.bytes <= 1e6 * megabytes, str(record)
    assert record.synchronisations == 0


def test_a_kernel_keeps_to_its_constants(xp):
    x = np.asarray([-2.0, 3.0], dtype=np.float32)
    there = xp.array(x)
    for slope in (0.25, 0.5, 0.25):
        with recording() as record:
            y = ac.leaky_relu(there, negative_slope=slope)
        assert len(record.launches) == 1
        np.testing.assert_array_equal(xp.to_numpy(y), [-2 * slope, 3])


def starved(record):
    """Return the launches that read much with few blocks; a product has many results to a block."""
    return [
        launch
        for launch in record.launches
        if launch.compute is None and launch.bytes > STARVED_BYTES and launch.blocks < FEWEST_BLOCKS
    ]


# operation, shapes of its arrays, configuration
SUMS = [
    ("conv_vjp", [X, X, (3, 3, 1, 64), B], {"groups": 64, **SAME}),
    ("prelu_vjp", [X, X, B], {}),
    ("mean_squared_error", [X, X], {}),
    ("conv_vjp", [X, X, W, B], SAME),
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
    assert not starved(record), str(record)


@pytest.mark.parametrize("case", sample(cases()), ids=lambda case: case.id)
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


@contextmanager
def tf32() -> Iterator[Any]:
    """Let CuPy multiply float32 in TF32, as CUPY_TF32=1 does before it is imported."""
    from cupy._core import _routines_linalg as linalg

    kind = np.dtype(np.float32)
    before = linalg.get_compute_type(kind)
    linalg.set_compute_type(kind, linalg.COMPUTE_TYPE_TF32)
    try:
        yield
    finally:
        linalg.set_compute_type(kind, before)


SMALL, KERNEL = (4, 20, 20, 16), (3, 3, 16, 24)
Y = (4, 20, 20, 24)
# with one group
PRODUCTS = [
    ("conv", [SMALL, KERNEL], SAME),
    ("conv_vjp", [Y, SMALL, KERNEL], {"wrt": ("x",), **SAME}),
    ("conv_vjp", [Y, SMALL, KERNEL], {"wrt": ("w",), **SAME}),
    ("conv_transpose", [Y, KERNEL], SAME),
    ("conv_transpose_vjp", [SMALL, Y, KERNEL], {"wrt": ("x",), **SAME}),
    ("conv_transpose_vjp", [SMALL, Y, KERNEL], {"wrt": ("w",), **SAME}),
    # an image of fewer windows than its weight gradient sums at once elsewhere
    ("conv_vjp", [(4, 9, 9, 24), (4, 9, 9, 16), KERNEL], {"wrt": ("w",), **SAME}),
]
# of an exact strategy; depthwise has no products
CHOICES = [None, *(name for name in STRATEGIES if name not in FAST and name != "depthwise")]


@pytest.mark.parametrize("strategy", CHOICES)
@named(PRODUCTS)
def test_products_follow_the_choice_of_tf32(xp, row, strategy):
    op, shapes, config = row
    with tf32(), ac.options(strategy=strategy):
        record = counted(xp, op, shapes, **config)
    assert record.products
    assert {product.compute for product in record.products} == {TF32}, str(record)


def test_dense_products_follow_the_choice_of_tf32(xp):
    with tf32():
        records = [
            counted(xp, "dense", [(64, 32), (32, 16), (16,)]),
            counted(xp, "dense_vjp", [(64, 16), (64, 32), (32, 16), (16,)]),
        ]
    assert {p.compute for record in records for p in record.products} == {TF32}


@pytest.mark.parametrize("strategy", ["columns", "planes"])
def test_a_weight_gradient_copies_its_columns_once(xp, strategy):
    with ac.options(strategy=strategy):
        record = counted(xp, "conv_vjp", [X, X, W], wrt=("w",), **SAME)
    # to make them: a product takes its operands transposed as they lie
    columns = 9 * 4 * np.prod(X) / len(record.products)
    copies = [launch for launch in record.launches if launch.compute is None]
    assert sum(launch.bytes >= columns for launch in copies) == 1, str(record)


@named(PRODUCTS[:3])
def test_rows_copy_a_third_of_the_columns_for_each_product(xp, row):
    with ac.options(strategy="rows"):
        record = counted(xp, row[0], [X if a in (SMALL, Y) else W for a in row[1]], **row[2])
    assert len(record.products) == 3
    copies = [launch for launch in record.launches if launch.compute is None]
    # what is read once and written three times, and of an input gradient the flipped kernel
    written = 3 * 4 * np.prod(X)
    assert sum(launch.bytes > written for launch in copies) == 3, str(record)
    assert len(record.launches) <= 11, str(record)


def test_a_block_is_few_launches(xp):
    with ac.options(workspace=64 * MIB):
        record = counted(xp, "conv", [X, W], **SAME)
    blocks = len(record.products)
    assert blocks >= 4
    assert len(record.launches) <= 4 * blocks + 2, str(record)


@pytest.mark.parametrize("batch, most", [(32, 1), (256, 8)])
def test_blocks_fill_an_accelerator(xp, batch, most):
    record = counted(xp, "conv", [(batch, *X[1:]), W], **SAME)
    assert len(record.products) <= most, str(record)


# whether there are logits, the most launches of a loss and of its gradient
LOSS_LAUNCHES = [
    ("mean_squared_error", False, 6, 6),
    ("mean_absolute_error", False, 6, 6),
    ("binary_cross_entropy", False, 5, 5),
    ("binary_cross_entropy", True, 5, 6),
    ("categorical_cross_entropy", False, 6, 5),
    ("categorical_cross_entropy", True, 11, 11),
    ("sparse_categorical_cross_entropy", False, 8, 4),
    ("sparse_categorical_cross_entropy", True, 13, 8),
]


@named(LOSS_LAUNCHES)
def test_a_loss_is_few_launches(xp, row):
    op, logits, forward, backward = row
    config = {"from_logits": True} if logits else {}
    p = xp.array(np.full((6, 5), 0.2, np.float32))
    y = xp.array(np.arange(6) % 5 if op.startswith("sparse") else np.eye(6, 5, dtype=np.float32))
    with unpoisoned(), recording() as record:
        getattr(ac, op)(p, y, **config)
    assert len(record.launches) <= forward, str(record)
    dy = xp.array(np.ones((), np.float32))
    with unpoisoned(), recording() as record:
        getattr(ac, f"{op}_vjp")(dy, p, y, **config)
    assert len(record.launches) <= backward, str(record)


# of values, and of the gradient
MODEL_LOSS_LAUNCHES = {
    "MeanSquaredError": (4, 6),
    "MeanAbsoluteError": (4, 6),
    "Huber": (2, 3),
    "Hinge": (5, 6),
    "KLDivergence": (2, 3),
    "CosineSimilarity": (11, 13),
    "BinaryCrossentropy": (4, 7),
    "CategoricalCrossentropy": (7, 12),
    "SparseCategoricalCrossentropy": (11, 13),
}


@pytest.mark.parametrize("loss", {kind.__name__: kind for kind in LOSSES.values()}.values())
def test_a_loss_of_a_model_is_few_launches(xp, loss):
    made, like = loss(), xp.array(np.full((6, 5), 0.2, np.float32))
    sparse = made.name.startswith("sparse")
    y = xp.array(np.arange(6) % 5 if sparse else np.eye(6, 5, dtype=np.float32))
    space = array_namespace("", x=like)
    y_true, dy = made.targets(space, y, like), xp.array(np.ones(6, np.float32))
    values, gradient = MODEL_LOSS_LAUNCHES[loss.__name__]
    with unpoisoned(), recording() as record:
        made.values(y_true, like)
    assert len(record.launches) <= values, str(record)
    with unpoisoned(), recording() as record:
        made.gradient(dy, y_true, like)
    assert len(record.launches) <= gradient, str(record)
    with unpoisoned(), recording() as record:
        made.valid(space, y_true, like)
    assert len(record.launches) <= 2, str(record)


def test_a_metric_of_a_batch_stays_on_the_device(xp):
    y, p = (xp.array(np.asarray(a, np.float32)) for a in ([[1], [0]], [[0.9], [0.8]]))
    with recording() as record:
        share = models.Precision()(y, p)
    assert record.synchronisations == 0
    assert float(share) == 0.5


def network():
    """Two convolutions and a classifier, of 28 x 28 grey images."""
    return models.Sequential(
        [
            models.Input((28, 28, 1)),
            models.Conv(8, 3, activation="relu"),
            models.MaxPool(2),
            models.Conv(16, 3, activation="relu"),
            models.MaxPool(2),
            models.Flatten(),
            models.Dense(10, activation="softmax"),
        ]
    )


@pytest.mark.parametrize(
    "optimizer, loss, launches",
    [
        ("adam", "sparse_categorical_crossentropy", 108),
        ("adam", "binary_crossentropy", 95),
        ("sgd", "categorical_crossentropy", 103),
        (models.Adam(clipnorm=1.0), "sparse_categorical_crossentropy", 144),
    ],
    ids=["adam-sparse", "adam-binary", "sgd", "clipnorm"],
)
def test_a_step_of_training(xp, optimizer, loss, launches):
    """The host looks at a result at most once in eight batches."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 64)
    x = xp.array(rng.random((64, 28, 28, 1), dtype=np.float32))
    y = xp.array(labels if loss.startswith("sparse") else np.eye(10, dtype=np.float32)[labels])
    model = network()
    model.compile(optimizer, loss)
    records = []
    # the difference is that of eight more batches, without what an epoch costs
    for images in (32, 32, 64):
        with unpoisoned(), recording() as record:
            model.fit(x[:images], y[:images], batch_size=4, epochs=1, verbose=0)
        records.append(record)
    _, eight, sixteen = records
    assert sixteen.synchronisations - eight.synchronisations <= 1
    assert (len(sixteen.launches) - len(eight.launches)) / 8 <= launches


# by whether targets are the numbers of classes
SCORES = {
    False: ["accuracy", "auc", "f1_score", "mae", "precision", "top_k_categorical_accuracy"],
    True: ["accuracy", "sparse_top_k_categorical_accuracy"],
}


def evaluated(model, x, y):
    model.evaluate(x, y, batch_size=4, verbose=0)


def validated(model, x, y):
    # after one batch of training
    data = {"validation_data": (x, y)}
    model.fit(x[:4], y[:4], batch_size=4, epochs=1, verbose=0, **data)


def predicted(model, x, y):
    model.predict(x, batch_size=4, verbose=0)


@pytest.mark.parametrize(
    "call, loss",
    [(validated, "mse"), (predicted, "mse")]
    + [(evaluated, name) for name, kind in LOSSES.items() if name == kind.name],
)
def test_scores_are_looked_at_once_in_eight_batches(xp, call, loss):
    rng = np.random.default_rng(0)
    labels, sparse = rng.integers(0, 10, 64), loss.startswith("sparse")
    x = xp.array(rng.random((64, 6), dtype=np.float32))
    y = xp.array(labels if sparse else np.eye(10, dtype=np.float32)[labels])
    model = models.Sequential([models.Input((6,)), models.Dense(10, activation="softmax")])
    model.compile("sgd", loss, metrics=SCORES[sparse])
    waits = []
    for samples in (4, 32, 64):
        with recording() as record:
            call(model, x[:samples], y[:samples])
        waits.append(record.synchronisations)
    _, eight, sixteen = waits
    assert sixteen - eight <= 1


@pytest.mark.parametrize(
    "optimizer", ["SGD", "Adagrad", "Adam", "AdamW", "Lion", "Nadam", "RMSprop"]
)
def test_an_update_is_one_launch_for_each_weight(xp, optimizer):
    made = getattr(models.optimizers, optimizer)(0.01, weight_decay=0.1)
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal(shape) for name, shape in {"w": (3, 4), "b": (4,)}.items()}
    there = {name: xp.array(w) for name, w in weights.items()}
    state, kept = made.init(weights), made.init(there)
    # the second step has other numbers in it, and the same kernel
    for number in range(2):
        gradients = {name: rng.standard_normal(w.shape) for name, w in weights.items()}
        rates = made.coefficients(number)
        weights, state = made.update(gradients, state, weights, rates)
        gradients = {name: xp.array(g) for name, g in gradients.items()}
        with recording() as record:
            there, kept = made.update(gradients, kept, there, rates)
        assert len(record.launches) == 2, str(record)
    for name, w in weights.items():
        np.testing.assert_allclose(xp.to_numpy(there[name]), w, rtol=1e-12)

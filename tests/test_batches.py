"""Batches of arrays, and labels as vectors."""

import numpy as np
import pytest

from arrayconv.data import Batches, one_hot

rng = np.random.default_rng(0)


def test_one_hot(xp):
    labels = np.asarray([[3, 0], [1, 3]], dtype=np.int32)
    # its values are looked at, so Dask must compute them
    with xp.computing():
        got = one_hot(xp.array(labels), 4)
    assert got.dtype == xp.namespace.float32
    np.testing.assert_array_equal(xp.to_numpy(got), np.eye(4)[labels])
    empty = one_hot(xp.array(np.zeros(0, dtype=np.int64)), 4, dtype=xp.namespace.float64)
    assert (empty.shape, empty.dtype) == ((0, 4), xp.namespace.float64)


def test_one_hot_of_more_classes_than_the_dtype_of_the_labels_holds():
    got = one_hot(np.asarray([0, 44], dtype=np.uint8), 301)
    np.testing.assert_array_equal(got, np.eye(301)[[0, 44]])


@pytest.mark.parametrize(
    ("labels", "classes", "error", "message"),
    [
        (np.asarray([0, 3]), 3, ValueError, "between 0 and 2 for 3 classes, got 3"),
        (np.asarray([-1, 3]), 3, ValueError, "got -1"),
        (np.asarray([0.0]), 3, TypeError, "labels must be integers, got float64"),
        ([0, 1], 3, TypeError, "one_hot: labels must be an array"),
        (np.asarray([0]), 0, ValueError, "classes must be positive, got 0"),
        (np.asarray([0]), 3.0, TypeError, "classes must be an int, got 3.0"),
        (np.asarray([0]), True, TypeError, "classes must be an int, got True"),
    ],
)
def test_one_hot_refuses(labels, classes, error, message):
    with pytest.raises(error, match=message):
        one_hot(labels, classes)


def test_batches_of_every_library(xp):
    x, y = rng.standard_normal((7, 2, 3)), np.arange(7)
    batches = Batches(xp.array(x), xp.array(y), batch_size=3, seed=5)
    with xp.computing():
        got = [(xp.to_numpy(a), xp.to_numpy(b)) for a, b in batches]
    assert [len(a) for a, _ in got] == [3, 3, 1]
    order = np.concatenate([b for _, b in got])
    assert sorted(order) == list(range(7))
    np.testing.assert_array_equal(np.concatenate([a for a, _ in got]), x[order])
    # the order is NumPy's, so that every library sees the same batches
    want = np.random.default_rng([5, 0]).permutation(7)
    np.testing.assert_array_equal(order, want)
    for a, _ in Batches(xp.array(x), xp.array(y), shuffle=False, batch_size=3):
        assert type(a) is type(xp.array(x))


def orders(batches, passes=2):
    return [np.concatenate(list(batches)).tolist() for _ in range(passes)]


def test_every_pass_has_an_order_of_its_own_that_the_seed_repeats():
    first, second = orders(Batches(np.arange(50), batch_size=8, seed=1))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second != list(range(50))
    assert orders(Batches(np.arange(50), batch_size=50, seed=1)) == [first, second]
    assert orders(Batches(np.arange(50), seed=2))[0] != first
    assert orders(Batches(np.arange(50), shuffle=False)) == [list(range(50))] * 2


def test_two_passes_at_once_do_not_meet():
    batches = Batches(np.arange(9), batch_size=4)
    one, two = iter(batches), iter(batches)
    mixed = [(next(one), next(two)) for _ in range(3)]
    for k in (0, 1):
        assert sorted(np.concatenate([pair[k] for pair in mixed])) == list(range(9))


def test_several_inputs_and_a_transform():
    a, b, y = np.arange(5), np.arange(5) * 10, np.arange(5) * 100
    batches = Batches((a, b), y, batch_size=2, transform=lambda x, y: (x, -y))
    for x, t in batches:
        assert isinstance(x, tuple)
        np.testing.assert_array_equal(x[1], x[0] * 10)
        np.testing.assert_array_equal(t, x[0] * -100)
    only = Batches([a], batch_size=5, shuffle=False, transform=lambda x: x[0] + 1)
    np.testing.assert_array_equal(next(iter(only)), a + 1)


@pytest.mark.parametrize("n, size, want", [(6, 3, 2), (7, 3, 3), (2, 32, 1)])
def test_the_number_of_batches(n, size, want):
    batches = Batches(np.arange(n), batch_size=size)
    assert len(batches) == want == len(list(batches))


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "message"),
    [
        (np.ones(5), np.ones(4), {}, ValueError, "rows differ: x has 5, y has 4"),
        ((np.ones(5), np.ones(3)), None, {}, ValueError, r"x\[0\] has 5, x\[1\] has 3"),
        (np.ones((0, 3)), None, {}, ValueError, "x has no rows"),
        (np.ones(()), None, {}, ValueError, "axis of rows"),
        ([], None, {}, ValueError, "x is an empty list"),
        (np.ones(2), [0, 1], {}, TypeError, r"y\[0\] must be an array .*got an int"),
        ("digits", None, {}, TypeError, "x must be an array .*got a str"),
        (np.ones(2), None, {"batch_size": 0}, ValueError, "batch_size must be positive, got 0"),
        (np.ones(2), None, {"batch_size": 2.0}, TypeError, r"batch_size must be an int, got 2\.0"),
        (np.ones(2), None, {"seed": -1}, ValueError, "seed must be at least 0, got -1"),
        (np.ones(2), None, {"seed": None}, TypeError, "seed must be an int, got None"),
    ],
)
def test_batches_refuse(x, y, options, error, message):
    with pytest.raises(error, match=message):
        Batches(x, y, **options)


def test_integers_of_numpy_are_integers():
    labels = np.asarray([0, 1])
    assert one_hot(labels, labels.max() + 1).shape == (2, 2)
    assert len(Batches(labels, batch_size=np.int64(1))) == 2


@pytest.mark.backends("jax")
def test_a_sharding_that_batches_cannot_have_is_refused(xp):
    import jax
    from jax.sharding import AbstractMesh, NamedSharding, PartitionSpec

    with pytest.raises(TypeError, match=r"must be a jax.sharding.NamedSharding, got 'batch'"):
        Batches(np.arange(5), sharding="batch")
    eight = NamedSharding(AbstractMesh((8, 2), ("rows", "columns")), PartitionSpec("rows"))
    message = r"batch_size must be a multiple of 8, .* the mesh axis 'rows' .*, got 30"
    with pytest.raises(ValueError, match=message):
        Batches(np.arange(60), batch_size=30, sharding=eight)
    both = NamedSharding(eight.mesh, PartitionSpec(("rows", "columns")))
    with pytest.raises(ValueError, match=r"multiple of 16, .*\('rows', 'columns'\)"):
        Batches(np.arange(60), batch_size=24, sharding=both)
    one = NamedSharding(jax.make_mesh((1,), ("rows",)), PartitionSpec("rows"))
    (batch,) = Batches(np.arange(5), batch_size=7, shuffle=False, sharding=one)
    assert batch.sharding == one
    np.testing.assert_array_equal(batch, np.arange(5))

"""Functions of cells in blocks: every cell once, whatever the shapes, and the values of the function itself."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arrayconv.engine import blockwise
from arrayconv.engine.blockwise import _places, fused

pytestmark = pytest.mark.backends("numpy")

SHAPES = st.lists(st.integers(1, 9), min_size=1, max_size=4).map(tuple)


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blockwise, "BLOCK", 6)
        patch.setattr(blockwise, "SHORTEST_RUN", 2)
        yield


@settings(derandomize=True, deadline=None, max_examples=200)
@given(SHAPES, st.data())
def test_every_cell_is_in_one_block(shape, data):
    whole = data.draw(st.sets(st.integers(0, len(shape) - 1)))
    count = np.zeros(shape, int)
    for at in _places(shape, whole):
        part = count[at]
        assert all(part.shape[axis] == shape[axis] for axis in whole)
        kept = math.prod(shape[axis] for axis in whole)
        assert part.size <= max(6, 2 * kept)
        part += 1
    assert (count == 1).all()


@settings(derandomize=True, deadline=None, max_examples=200)
@given(SHAPES, st.data())
def test_a_function_of_cells_has_the_values_it_has_at_once(shape, data):
    rng = np.random.default_rng(0)

    def drawn():
        some = data.draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
        own = tuple(n if keep else 1 for n, keep in zip(shape, some, strict=True))
        cut = data.draw(st.integers(0, len(shape)))
        return rng.standard_normal(own if cut == 0 else own[cut:])

    a, b, c = drawn(), drawn(), rng.standard_normal(shape)[::-1]
    order = data.draw(st.permutations([a, b, c]))

    def several(x, y, z, number):
        return x * y + z, (x > z) | (y > number)

    for got, right in zip(fused(np, several, *order, 0.5), several(*order, 0.5), strict=True):
        assert got.dtype == right.dtype
        np.testing.assert_array_equal(got, right)
    np.testing.assert_array_equal(fused(np, np.hypot, *order[:2]), np.hypot(*order[:2]))


@settings(derandomize=True, deadline=None, max_examples=200)
@given(SHAPES, st.data())
def test_along_a_whole_axis_the_result_may_be_of_another_length(shape, data):
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = np.random.default_rng(0).standard_normal(shape)

    def twice(x):
        return np.concat([np.cumsum(x, axis=axis), x.max(axis=axis, keepdims=True)], axis=axis)

    got = blockwise.blockwise(np, twice, x, whole=(axis,))
    np.testing.assert_array_equal(got, twice(x))

"""``conv_transpose`` with the output padding of "valid", which is explicit zeros."""

import numpy as np
import pytest
from reference_keras import keras_in

import arrayconv as ac

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize(("stride", "extra"), [(2, 1), (3, 2), (3, 1)])
def test_valid_padding_with_output_padding(xp, ndim, stride, extra):
    torch = pytest.importorskip("torch")
    x, w = (
        RNG.standard_normal((2, *range(3, 3 + ndim), 4)),
        RNG.standard_normal((3,) * ndim + (5, 4)),
    )
    config = {"stride": stride, "output_padding": extra, "padding": "valid"}
    got = ac.conv_transpose(xp.array(x), xp.array(w), **config)
    # (N, *S, C) -> (N, C, *S) and (*K, O, I) -> (I, O, *K)
    there = [
        torch.asarray(np.moveaxis(x, -1, 1).copy(), dtype=torch.float64).requires_grad_(),
        torch.asarray(
            np.moveaxis(w, (-1, -2), (0, 1)).copy(), dtype=torch.float64
        ).requires_grad_(),
    ]
    native = getattr(torch.nn.functional, f"conv_transpose{ndim}d")
    want = native(*there, stride=stride, output_padding=extra)
    last = np.moveaxis(want.detach().numpy(), 1, -1)
    assert tuple(got.shape) == last.shape
    np.testing.assert_allclose(xp.to_numpy(got), last, rtol=1e-10, atol=1e-12)
    dy = RNG.standard_normal(last.shape)
    want.backward(torch.asarray(np.moveaxis(dy, -1, 1).copy()))
    dx, dw, _ = ac.conv_transpose_vjp(xp.array(dy), xp.array(x), xp.array(w), **config)
    np.testing.assert_allclose(
        xp.to_numpy(dx), np.moveaxis(there[0].grad.numpy(), 1, -1), rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(
        xp.to_numpy(dw),
        np.moveaxis(there[1].grad.numpy(), (0, 1), (-1, -2)),
        rtol=1e-10,
        atol=1e-12,
    )


def test_valid_padding_with_output_padding_as_keras():
    x, w = RNG.standard_normal((2, 4, 5, 3)), RNG.standard_normal((3, 2, 4, 3))
    with keras_in("float64") as keras:
        config = {"strides": 2, "padding": "valid", "output_padding": 1}
        want = np.asarray(keras.ops.conv_transpose(x, w, **config))
    got = ac.conv_transpose(x, w, stride=2, padding="valid", output_padding=1)
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)

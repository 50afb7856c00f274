"""Every vjp against `jax.vjp` of its forward pass, and every linear map against its adjoint."""

from __future__ import annotations

import numpy as np
import pytest

import arrayconv as ac
from arrayconv.cases import cases
from arrayconv.verify import check_adjoint, check_directional, check_vjp

LINEAR = {
    "pad",
    "conv",
    "conv_transpose",
    "avg_pool",
    "global_avg_pool",
    "adaptive_avg_pool",
    "im2col",
    "col2im",
    "resize",
}
some = [case for case in cases() if 0 not in case.shapes[0]]


def of(ops):
    chosen = [case for case in cases() if case.op in ops]
    return pytest.mark.parametrize("case", chosen, ids=lambda case: case.id)


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_vjp_is_that_of_jax(case):
    pytest.importorskip("jax")
    f = getattr(ac, case.op)
    arrays = case.arrays()
    check_vjp(f, *arrays, *case.args, vjp_config=case.vjp_config, **case.config)


@pytest.mark.parametrize("case", some, ids=lambda case: case.id)
def test_vjp_is_the_directional_derivative(case):
    f = getattr(ac, case.op)
    arrays = case.arrays()
    check_directional(
        f, *arrays, *case.args, vjp_config=case.vjp_config, directions=1, **case.config
    )


@of(LINEAR)
def test_vjp_of_a_linear_map_is_its_adjoint(case):
    x, *rest = case.arrays()
    # The bias would make the map affine, and another constant than zero too.
    rest = [rest[0], None] if case.op in ("conv", "conv_transpose") else rest
    config = {name: value for name, value in case.config.items() if name != "value"}
    check_adjoint(getattr(ac, case.op), x, *rest, *case.args, **config)


@of({"conv", "conv_transpose"})
def test_convolution_is_linear_in_its_weights(case):
    x, w, _ = case.arrays()
    f, vjp = getattr(ac, case.op), getattr(ac, f"{case.op}_vjp")

    def forward(w):
        return f(x, w, **case.config)

    def backward(dy):
        return vjp(dy, x, w, **case.config, wrt=("w",))[1]

    check_adjoint(forward, w, adjoint=backward)


@of({"conv_transpose"})
def test_conv_transpose_is_the_adjoint_of_conv(case):
    x, w, _ = case.arrays()
    config = {name: value for name, value in case.config.items() if name != "output_padding"}

    def backward(y):
        return ac.conv(y, w, **config)

    check_adjoint(ac.conv_transpose, x, w, adjoint=backward, **case.config)


@of({"im2col"})
def test_col2im_is_the_adjoint_of_im2col(case):
    (x,) = case.arrays()

    def backward(columns):
        return ac.col2im(columns, x.shape, *case.args, **case.config)

    check_adjoint(ac.im2col, x, *case.args, adjoint=backward, **case.config)


@pytest.mark.parametrize("fmt", ["channels_last", "channels_first"])
def test_columns_times_weights_are_conv(fmt):
    rng = np.random.default_rng(0)
    shape = (2, 6, 5, 3) if fmt == "channels_last" else (2, 3, 6, 5)
    x, w = rng.standard_normal(shape), rng.standard_normal((3, 2, 3, 4))
    config = {"padding": "same", "data_format": fmt}
    columns = ac.im2col(x, (3, 2), 2, **config)
    y = (columns @ np.reshape(w, (-1, 4))).reshape(2, 3, 3, 4)
    y = y if fmt == "channels_last" else np.moveaxis(y, -1, 1)
    np.testing.assert_allclose(y, ac.conv(x, w, stride=2, **config), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("ties", ["split", "all"])
@of({"max_pool", "global_max_pool", "adaptive_max_pool"})
def test_tie_rules_agree_where_nothing_ties(case, ties):
    (x,) = case.arrays()
    f, vjp = getattr(ac, case.op), getattr(ac, f"{case.op}_vjp")
    dy = np.random.default_rng(0).standard_normal(f(x, *case.args, **case.config).shape)
    first = vjp(dy, x, *case.args, **case.config, ties="first")
    # shares are added up window by window, and otherwise axis by axis
    other = vjp(dy, x, *case.args, **case.config, ties=ties)
    np.testing.assert_allclose(other, first, rtol=0, atol=1e-14)

"""What an operation returns is the caller's to write: no result shares memory, whatever is degenerate."""

from itertools import combinations, product

import numpy as np
import pytest

import arrayconv as ac
from arrayconv.cases import cases

# Axes of one cell, or nearly: there a sum, a maximum or a copy may turn into the array itself.
IMAGES = [
    *product((1, 2), (1, 2, 3), (1, 2)),
    (1, 1, 1, 1),
    (2, 1, 3, 1),
    (1, 2, 1, 3),
    (1, 1, 2, 1, 1),
]
LAYOUTS = ("channels_last", "channels_first")
ELEMENTWISE = ["relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "sigmoid", "tanh"]
ELEMENTWISE += ["hard_sigmoid", "hard_swish", "softmax", "log_softmax", "erf", "flatten"]


def windows(op, shape, data_format):
    for window, stride, padding, dilation, ceil_mode in product(
        (1, 2, 3), (None, 1, 2), (0, 1, "same"), (1, 2), (False, True)
    ):
        config = {"stride": stride, "padding": padding, "dilation": dilation}
        yield (shape,), (window,), config | {"ceil_mode": ceil_mode, "data_format": data_format}


def columns(op, shape, data_format):
    for window, stride, padding in product((1, 2), (1, 2), (0, "same")):
        config = {"stride": stride, "padding": padding, "data_format": data_format}
        yield (shape,), (window,), config


def convolutions(op, shape, data_format):
    channels = shape[-1 if data_format == "channels_last" else 1]
    for window, stride, padding, groups, strategy in product(
        (1, 2), (1, 2), (0, "same"), {1, channels}, (None, "columns", "taps", "rows")
    ):
        kernel = (window,) * (len(shape) - 2)
        ends = (channels // groups, groups) if op == "conv" else (1, channels)
        config = {"stride": stride, "padding": padding, "data_format": data_format}
        for b in (None, (groups,)):
            yield (shape, (*kernel, *ends), b), (), {"groups": groups, **config}, strategy


def pads(op, shape, data_format):
    for width, mode in product((0, 1, [(0, 1)] * (len(shape) - 2)), ("constant", "edge", "wrap")):
        yield (shape,), (width,), {"mode": mode, "data_format": data_format}


def global_pools(op, shape, data_format):
    for keepdims in (False, True):
        yield (shape,), (), {"keepdims": keepdims, "data_format": data_format}


def adaptive_pools(op, shape, data_format):
    for size in (1, 2, 3):
        yield (shape,), (size,), {"data_format": data_format}


def resizes(op, shape, data_format):
    for how, method, coordinates in product(
        ({"size": 1}, {"size": 2}, {"size": 3}, {"scale": 1}, {"scale": 2}),
        ("nearest", "linear"),
        ("half_pixel", "align_corners", "asymmetric"),
    ):
        config = {"method": method, "coordinates": coordinates, "data_format": data_format}
        yield (shape,), (), how | config


def norms(op, shape, data_format):
    channels = (shape[-1 if data_format == "channels_last" else 1],)
    groups = {"groups": channels[0]} if op == "group_norm" else {}
    for gamma, beta in product((None, channels), repeat=2):
        given = (channels, channels) if op == "batch_norm_inference" else ()
        yield (shape, gamma, beta, *given), (), {"data_format": data_format, **groups}


def elements(op, shape, data_format):
    for part in (shape, shape[1:], shape[-1:]):
        yield (part,), (), {}


def slopes(op, shape, data_format):
    for alpha in ((), shape[-1:], shape):
        yield (shape, alpha), (), {}


def layer_norms(op, shape, data_format):
    for axes in (-1, 0, tuple(range(len(shape)))):
        size = tuple(shape[a] for a in axes) if isinstance(axes, tuple) else (shape[axes],)
        for p in (None, size):
            yield (shape, p, p), (), {"axes": axes}


def dropouts(op, shape, data_format):
    for mask in (shape, (1,) * len(shape)):
        yield (shape, (mask, bool)), (), {"rate": 0}


def denses(op, shape, data_format):
    for b in (None, (1,)):
        yield (shape, (shape[-1], 1), b), (), {}


def losses(op, shape, data_format):
    true = (shape[:-1], int) if op.startswith("sparse") else shape
    for reduction in ("mean", "sum", "none"):
        for logits in ({}, {"from_logits": True}) if "entropy" in op else ({},):
            yield (shape, true), (), {"reduction": reduction, **logits}


CALLS = {
    "pad": pads,
    "conv": convolutions,
    "conv_transpose": convolutions,
    "max_pool": windows,
    "avg_pool": windows,
    "global_max_pool": global_pools,
    "global_avg_pool": global_pools,
    "adaptive_max_pool": adaptive_pools,
    "adaptive_avg_pool": adaptive_pools,
    "im2col": columns,
    "dense": denses,
    "dropout": dropouts,
    "prelu": slopes,
    "batch_norm": norms,
    "batch_norm_inference": norms,
    "layer_norm": layer_norms,
    "group_norm": norms,
    "instance_norm": norms,
    "resize": resizes,
    **dict.fromkeys(ELEMENTWISE, elements),
    **{op: losses for op in ac.__all__ if op.endswith(("_error", "_entropy"))},
}
# The shapes of `col2im` come from the table of cases.
OPERATIONS = sorted(name for name in ac.__all__ if f"{name}_vjp" in ac.__all__)


def test_every_operation_is_there():
    assert sorted({*CALLS, "col2im"}) == OPERATIONS


def array(shape):
    if shape is None:
        return None
    shape, kind = shape if shape and isinstance(shape[0], tuple) else (shape, float)
    if kind is not float:
        return np.ones(shape, kind) if kind is bool else np.zeros(shape, kind)
    return 0.1 + 0.8 * np.random.default_rng(0).random(shape)


def calls(op):
    """Every call of `op` here: its arrays, arguments, configuration, vjp's own, and a strategy."""
    for case in cases():
        if case.op == op:
            yield case.arrays(), case.args, case.config, case.vjp_config, None
    if op in CALLS:
        for shape, data_format in product(IMAGES, LAYOUTS):
            for shapes, args, config, *strategy in CALLS[op](op, shape, data_format):
                yield tuple(map(array, shapes)), args, config, {}, *(strategy or (None,))


def parts(result):
    return [a for a in (result if isinstance(result, tuple) else (result,)) if a is not None]


@pytest.mark.parametrize("library", ["numpy", "torch"])
@pytest.mark.parametrize("op", OPERATIONS)
def test_results_are_the_callers_to_write(library, op):
    xp = pytest.importorskip(library)
    made = 0
    for arrays, args, config, vjp_config, strategy in calls(op):
        given = [None if a is None else xp.asarray(a.copy()) for a in arrays]
        what = (
            f"{op}: {[tuple(a.shape) for a in given if a is not None]} {args} {config} {strategy}"
        )
        try:
            with ac.options(strategy=strategy):
                y = getattr(ac, op)(*given, *args, **config)
                dy = xp.ones_like(parts(y)[0])
                gradients = getattr(ac, f"{op}_vjp")(dy, *given, *args, **config, **vjp_config)
        except ValueError:
            # larger than its input, or declined
            continue
        made += 1
        results = parts(y) + parts(gradients)
        inputs = [a for a in (*given, dy) if a is not None]
        before = [ac.to_numpy(a) for a in inputs]
        for number, result in enumerate(results, start=1):
            # NumPy's scalars, which the functions of arrays without axes give, cannot be written
            if result.ndim:
                result[...] = number
        for a, kept in zip(inputs, before, strict=True):
            np.testing.assert_array_equal(ac.to_numpy(a), kept, err_msg=what)
        for number, result in enumerate(results, start=1):
            assert result.ndim == 0 or np.all(ac.to_numpy(result) == number), what
        for one, two in combinations(inputs, 2):
            assert one is not two
    assert made > 5

"""What may be drawn: `CALLS` maps every operation to a strategy of calls, all that its docstring allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from drawn_calls import Call
from drawn_layers import dense, dropouts, elementwise, losses, norms, slopes
from drawn_parts import Draw
from drawn_windows import columns, convolutions, paddings, pools, resizes, whole_pools
from hypothesis import strategies as st

SLOPE = st.sampled_from([0.01, 0, 1, -0.5, 0.3])
AXIS = {"least": 1, "axis": st.integers(-4, 3)}
# An operation's strategy, and its keywords; called with the operation's name and the half types there are.
CALLS: dict[str, tuple[Callable[..., st.SearchStrategy[Call]], dict[str, Any]]] = {
    "pad": (paddings, {}),
    "conv": (convolutions, {}),
    "conv_transpose": (convolutions, {}),
    "max_pool": (pools, {}),
    "avg_pool": (pools, {}),
    "global_max_pool": (whole_pools, {}),
    "global_avg_pool": (whole_pools, {}),
    "adaptive_max_pool": (whole_pools, {}),
    "adaptive_avg_pool": (whole_pools, {}),
    "im2col": (columns, {}),
    "col2im": (columns, {}),
    "dense": (dense, {}),
    "flatten": (elementwise, {"least": 1, "whole": True}),
    "dropout": (dropouts, {}),
    "relu": (elementwise, {"whole": True}),
    "leaky_relu": (elementwise, {"negative_slope": SLOPE}),
    "prelu": (slopes, {}),
    "elu": (elementwise, {"alpha": st.sampled_from([1.0, 0.5, 2])}),
    "selu": (elementwise, {}),
    "gelu": (elementwise, {"approximate": st.booleans()}),
    "silu": (elementwise, {}),
    "softplus": (elementwise, {}),
    "sigmoid": (elementwise, {}),
    "hard_sigmoid": (
        elementwise,
        {"slope": st.sampled_from([1 / 6, 0.2]), "offset": st.sampled_from([0.5, 0.4])},
    ),
    "hard_swish": (elementwise, {}),
    "tanh": (elementwise, {}),
    "erf": (elementwise, {}),
    "softmax": (elementwise, AXIS),
    "log_softmax": (elementwise, AXIS),
    "batch_norm": (norms, {}),
    "batch_norm_inference": (norms, {}),
    "layer_norm": (norms, {}),
    "group_norm": (norms, {}),
    "instance_norm": (norms, {}),
    "resize": (resizes, {}),
    "mean_squared_error": (losses, {}),
    "mean_absolute_error": (losses, {}),
    "binary_cross_entropy": (losses, {}),
    "categorical_cross_entropy": (losses, {}),
    "sparse_categorical_cross_entropy": (losses, {}),
}


def calls(op: str, halves: Sequence[str]) -> st.SearchStrategy[Call]:
    """Return the strategy of calls of an operation; `halves` are the half types to draw from."""
    strategy, given = CALLS[op]
    return strategy(op, tuple(halves), **given)


@st.composite
def marked(draw: Draw, op: str, halves: Sequence[str]) -> Call:
    """Draw a call at default precision with NaN or infinity in one element of its arrays."""
    call = draw(calls(op, halves).filter(lambda call: call.floats))
    if "precision" in call.options:
        call = replace(call, options={})
    at, value = draw(st.integers(0, 999)), draw(st.sampled_from(["nan", "inf", "-inf"]))
    name = draw(st.sampled_from([*call.floats, "dy"]))
    array = replace(call.dy if name == "dy" else call.arrays[name], cell=(at, value))
    if name == "dy":
        return replace(call, dy=array)
    return replace(call, arrays={**call.arrays, name: array})

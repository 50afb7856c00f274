"""What may be drawn: `CALLS` maps every operation to a strategy of calls, all that its docstring allows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from drawn_calls import LAYOUTS, Call, Drawn
from hypothesis import strategies as st
from reference import outputs, pairs

Draw = Callable[[st.SearchStrategy[Any]], Any]

FORMATS = st.sampled_from(["channels_last", "channels_first"])
# PyTorch has the wider unsigned types in name alone.
INTEGERS = ("int8", "uint8", "int16", "int32", "int64")
STRATEGIES = ("columns", "rows", "planes", "stacked", "taps", "depthwise", "winograd", "fft")
# How large an axis may be, and a kernel, with so many spatial axes.
SIZES, KERNELS = {1: 12, 2: 6, 3: 4, 4: 3}, {1: 6, 2: 4, 3: 3, 4: 2}
FAR = {1: 9, 2: 6, 3: 3, 4: 2}


def dtypes(halves: Sequence[str]) -> st.SearchStrategy[str]:
    return st.sampled_from(["float64", "float32", *halves[:1], *halves])


def rarely(value: Any, otherwise: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.integers(0, 9).flatmap(lambda i: st.just(value) if i == 9 else otherwise)


@st.composite
def array(
    draw: Draw,
    shape: Sequence[int],
    dtype: str,
    values: Sequence[str] = ("quarters", "normal"),
    **more: Any,
) -> Drawn:
    """Draw an array of a shape and dtype, in any layout."""
    layouts = [name for name in LAYOUTS if name != "swapped" or dtype != "bool"]
    return Drawn(
        tuple(shape),
        draw(st.sampled_from(values)),
        dtype,
        draw(st.sampled_from(["plain", *layouts])),
        draw(st.integers(0, 99)),
        axis=draw(st.integers(0, 5)),
        **more,
    )


def optional(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


@st.composite
def upstream(draw: Draw, **_: Any) -> Drawn:
    return draw(array((), "float64"))


def form(draw: Draw, values: Sequence[Any]) -> Any:
    """Return one value per axis in any form that means the same."""
    if len(set(values)) == 1 and not isinstance(values[0], tuple) and draw(st.booleans()):
        return values[0]
    return draw(st.sampled_from([tuple, list]))(values)


def padding_form(draw: Draw, widths: Sequence[tuple[int, int]]) -> Any:
    if all(a == b for a, b in widths):
        return form(draw, [a for a, _ in widths])
    return form(draw, widths)


def images(batch: int, size: Sequence[int], channels: int, fmt: str) -> tuple[int, ...]:
    return (batch, *size, channels) if fmt == "channels_last" else (batch, channels, *size)


def keywords(draw: Draw, **given: Any) -> dict[str, Any]:
    """Return some of the keywords: all that are not the default, and else by chance."""
    return {k: v for k, (v, default) in given.items() if v != default or draw(st.booleans())}


def axes(draw: Draw, ndim: int, low: int, high: int) -> list[int]:
    return [draw(st.integers(low, high)) for _ in range(ndim)]


def geometry(draw: Draw, *, pool: bool = False, ceil: bool = False) -> dict[str, Any]:
    """Draw a window and an input that it fits: sizes 0 and 1, strides above kernels, padding wider than windows."""
    ndim = draw(st.sampled_from([1, 1, 2, 2, 2, 3, 4]))
    kernel = axes(draw, ndim, 1, KERNELS[ndim])
    steps = axes(draw, ndim, 1, 7 if ndim < 3 else 3)
    # a stride just above the kernel leaves cells that no window sees
    chosen = [steps, [1] * ndim, [k + 1 for k in kernel], kernel if pool else steps]
    stride = draw(st.sampled_from(chosen))
    dilation = [1] * ndim if draw(st.booleans()) else axes(draw, ndim, 1, 4 if ndim < 3 else 2)
    extent = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    names = ["valid", "same", "same_lower", *(["causal"] if ndim == 1 else [])]
    name = draw(st.sampled_from([None, None, None, *names]))
    if name is None:
        most = [e - 1 for e in extent] if pool else [FAR[ndim]] * ndim
        padding: Any = [(draw(st.integers(0, m)), draw(st.integers(0, m))) for m in most]
        if draw(st.booleans()):
            padding = [draw(st.sampled_from([(a, a), (a, 0), (0, a)])) for a, _ in padding]
    else:
        padding = name
    size = []
    for axis in range(ndim):
        least = 1 if pool or name in ("same", "same_lower", "causal") else 0
        if name == "valid":
            least = extent[axis]
        elif name is None:
            least = max(least, extent[axis] - sum(padding[axis]))
        # small inputs, which lie between windows or in few of them, break more than large ones
        more = draw(st.sampled_from([0, 1, 2, 3, *range(SIZES[ndim] + 1)]))
        size.append(least + more)
    if pool:
        size = fitting(size, kernel, stride, padding, dilation, ceil)
    return {
        "size": size,
        "kernel": kernel,
        "stride": stride,
        "dilation": dilation,
        "padding": padding,
        "form": name if name else padding_form(draw, padding),
    }


def fitting(
    size: list[int],
    kernel: list[int],
    stride: list[int],
    padding: Any,
    dilation: list[int],
    ceil: bool,
) -> list[int]:
    """Return the sizes, longer where a pool's window would lie in the padding alone."""
    while True:
        widths = pairs(padding, size, kernel, stride, dilation)
        empty = [
            a
            for a, (n, p, k, s, d) in enumerate(
                zip(size, widths, kernel, stride, dilation, strict=True)
            )
            if max(p) >= d * (k - 1) + 1
            or outputs(n, p, k, s, d) < 1
            or any(
                not any(0 <= o * s + d * j - p[0] < n for j in range(k))
                for o in range(outputs(n, p, k, s, d, ceil))
            )
        ]
        if not empty:
            return size
        size = [n + (a in empty) for a, n in enumerate(size)]


def settings(draw: Draw) -> dict[str, Any]:
    """Draw options: a strategy, a workspace down to a byte, the native engine."""
    chosen = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "strategy": st.sampled_from(STRATEGIES),
                "workspace": st.sampled_from([1, 200, 1000, 5000, 30000]),
                "engine": st.just("native"),
            },
        )
    )
    return chosen | ({"precision": "fast"} if chosen.get("strategy") in ("winograd", "fft") else {})


def mixed(draw: Draw, halves: Sequence[str], count: int) -> list[str]:
    """Draw one dtype for all arrays, or now and then one for each."""
    first = draw(dtypes(halves))
    if draw(rarely(True, st.just(False))):
        others = ["float64", "float32", *([first] if first in halves else halves[:1])]
        return [first, *(draw(st.sampled_from(others)) for _ in range(count - 1))]
    return [first] * count


@st.composite
def convolutions(draw: Draw, op: str, halves: Sequence[str]) -> Call:
    g = geometry(draw)
    ndim, transpose = len(g["size"]), op == "conv_transpose"
    groups = draw(st.sampled_from([1, 1, 2, 3]))
    c_in, c_out = groups * draw(st.integers(1, 3)), groups * draw(st.integers(1, 3))
    fmt = draw(FORMATS)
    kinds = mixed(draw, halves, 3)
    size, extra = g["size"], [0] * ndim
    if transpose:
        size, extra = _transposed(draw, g)
    inner = (c_out // groups, c_in) if transpose else (c_in // groups, c_out)
    flat = draw(st.sampled_from([(c_out,), (*[1] * (ndim + 1), c_out), (c_out, 1)]))
    config = keywords(
        draw,
        stride=(form(draw, g["stride"]), 1),
        padding=(g["form"], 0),
        dilation=(form(draw, g["dilation"]), 1),
        groups=(groups, 1),
        flip_kernel=(draw(st.booleans()), False),
        data_format=(fmt, "channels_last"),
        **({"output_padding": (form(draw, extra), 0)} if any(extra) else {}),
    )
    wrt = draw(st.sampled_from([("x", "w", "b"), ("x", "w", "b"), ("x",), ["w", "b"], ("b",)]))
    return Call(
        op,
        {
            "x": draw(array(images(draw(rarely(0, st.integers(1, 3))), size, c_in, fmt), kinds[0])),
            "w": draw(array((*g["kernel"], *inner), kinds[1])),
            "b": draw(optional(array(flat, kinds[2]))),
        },
        (),
        config,
        {"wrt": wrt} if len(wrt) < 3 else {},
        settings(draw),
        draw(upstream()),
    )


def _transposed(draw: Draw, g: dict[str, Any]) -> tuple[list[int], list[int]]:
    """Return input sizes and output_padding of a transposed convolution that has a result."""
    ndim = len(g["size"])
    if g["form"] == "causal":
        g["padding"] = g["form"] = "valid"
    extra = [0] * ndim
    if g["form"] not in ("same", "same_lower") and draw(st.booleans()):
        extra = [
            draw(st.integers(0, max(s, d) - 1))
            for s, d in zip(g["stride"], g["dilation"], strict=True)
        ]
    size = [max(1, min(n, SIZES[ndim] // 2 + 1)) for n in g["size"]]
    if isinstance(g["form"], str):
        return size, extra
    for a, (s, k, d, p) in enumerate(
        zip(g["stride"], g["kernel"], g["dilation"], g["padding"], strict=True)
    ):
        short = 1 - (d * (k - 1) + extra[a] + 1 - sum(p))
        size[a] = max(size[a], -(-short // s) + 1)
    return size, extra


@st.composite
def pools(draw: Draw, op: str, halves: Sequence[str]) -> Call:
    ceil, fmt, ndim_channels = (
        draw(st.booleans()),
        draw(FORMATS),
        draw(rarely(0, st.integers(1, 3))),
    )
    g = geometry(draw, pool=True, ceil=ceil)
    largest = op == "max_pool"
    dtype = (
        draw(st.sampled_from(INTEGERS))
        if largest and draw(rarely(True, st.just(False)))
        else draw(dtypes(halves))
    )
    values = ("integers",) if "int" in dtype else ("quarters", "normal", "distinct")
    step = g["stride"] if g["stride"] != g["kernel"] or draw(st.booleans()) else None
    config = keywords(
        draw,
        stride=(None if step is None else form(draw, step), None),
        padding=(g["form"], 0),
        dilation=(form(draw, g["dilation"]), 1),
        ceil_mode=(ceil, False),
        data_format=(fmt, "channels_last"),
        **({} if largest else {"count_include_pad": (draw(st.booleans()), False)}),
    )
    x = draw(
        array(
            images(draw(rarely(0, st.integers(1, 3))), g["size"], ndim_channels, fmt), dtype, values
        )
    )
    return Call(
        op,
        {"x": x},
        (form(draw, g["kernel"]),),
        config,
        ties(draw) if largest else {},
        {},
        draw(upstream()),
    )


def ties(draw: Draw) -> dict[str, Any]:
    return draw(
        st.fixed_dictionaries(
            {}, optional={"ties": st.sampled_from(["first", "split", "all"]), "y": st.just("y")}
        )
    )


@st.composite
def whole_pools(draw: Draw, op: str, halves: Sequence[str]) -> Call:
    ndim, fmt, largest = draw(st.integers(1, 4)), draw(FORMATS), "max" in op
    dtype = (
        draw(st.sampled_from(INTEGERS))
        if largest and draw(rarely(True, st.just(False)))
        else draw(dtypes(halves))
    )
    values = ("integers",) if "int" in dtype else ("quarters", "normal", "distinct")
    size = axes(draw, ndim, 1, SIZES[ndim] + 1)
    x = draw(
        array(
            images(
                draw(rarely(0, st.integers(1, 3))), size, draw(rarely(0, st.integers(1, 3))), fmt
            ),
            dtype,
            values,
        )
    )
    config = keywords(draw, data_format=(fmt, "channels_last"))
    args = ()
    if op.startswith("adaptive"):
        args = (form(draw, [draw(st.integers(1, n + 2)) for n in size]),)
    else:
        config |= keywords(draw, keepdims=(draw(st.booleans()), False))
    return Call(op, {"x": x}, args, config, ties(draw) if largest else {}, {}, draw(upstream()))


@st.composite
def paddings(draw: Draw, op: str, halves: Sequence[str]) -> Call:
    ndim, fmt = draw(st.integers(1, 4)), draw(FORMATS)
    mode = draw(st.sampled_from(["constant", "edge", "reflect", "symmetric", "wrap"]))
    size = axes(draw, ndim, 0 if mode == "constant" else 1, SIZES[ndim])
    whole = draw(rarely(True, st.just(False)))
    dtype = draw(st.sampled_from(INTEGERS)) if whole else draw(dtypes(halves))
    widths = [(draw(st.integers(0, FAR[ndim])), draw(st.integers(0, FAR[ndim]))) for _ in size]
    value = draw(st.integers(0, 9) if whole else st.sampled_from([0, 2, -1.5, 0.25]))
    config = keywords(
        draw,
        mode=(mode, "constant"),
        value=(value if mode == "constant" else 0, 0),
        data_format=(fmt, "channels_last"),
    )
    values = ("integers",) if whole else ("quarters", "normal")
    x = draw(
        array(
            images(
                draw(rarely(0, st.integers(1, 3))), size, draw(rarely(0, st.integers(1, 3))), fmt
            ),
            dtype,
            values,
        )
    )
    return Call(op, {"x": x}, (padding_form(draw, widths),), config, {}, {}, draw(upstream()))


@st.composite
def columns(draw: Draw, op: str, halves: Sequence[str]) -> Call:
    g, fmt, dtype = geometry(draw), draw(FORMATS), draw(dtypes(halves))
    batch, channels = draw(rarely(0, st.integers(1, 3))), draw(st.integers(1, 3))
    shape = images(batch, g["size"], channels, fmt)
    config = keywords(
        draw,
        padding=(g["form"], 0),
        dilation=(form(draw, g["dilation"]), 1),
        data_format=(fmt, "channels_last"),
    )
    args = (
        form(draw, g["kernel"]),
        *([form(draw, g["stride"])] if set(g["stride"]) != {1} or draw(st.booleans()) else []),
    )
    if op == "im2col":
        return Call(op, {"x": draw(array(shape, dtype))}, args, config, {}, {}, draw(upstream()))
    widths = pairs(g["padding"], g["size"], g["kernel"], g["stride"], g["dilation"])
    out = [
        outputs(*n)
        for n in zip(g["size"], widths, g["kernel"], g["stride"], g["dilation"], strict=True)
    ]
    rows = (batch * math.prod(out), math.prod(g["kernel"]) * channels)
    return Call(
        op, {"columns": draw(array(rows, dtype))}, (shape, *args), config, {}, {}, draw(upstream())
    )


def shapes(least: int = 0, most: int = 4, side: int = 4) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(rarely(0, st.integers(1, side)), min_size=least, max_size=most).map(tuple)


@st.composite
def dense(draw: Draw, op: str, halves: Sequence[str]) -> Call:
    lead, (n, m) = draw(shapes(0, 3)), axes(draw, 2, 1, 5)
    kinds = mixed(draw, halves, 3)
    flat = draw(st.sampled_from([(m,), (1, m), (m, 1, 1)]))
    return Call(
        op,
        {
            "x": draw(array((*lead, n), kinds[0])),
            "w": draw(array((n, m), kinds[1])),
            "b": draw(optional(array(flat, kinds[2]))),
        },
        vjp=draw(st.sampled_from([{}, {"wrt": ("x",)}, {"wrt": ["w", "b"]}])),
        dy=draw(upstream()),
    )


@st.composite
def elementwise(
    draw: Draw, op: str, halves: Sequence[str], *, least: int = 0, whole: bool = False, **given: Any
) -> Call:
    integers = whole and draw(rarely(True, st.just(False)))
    dtype = draw(st.sampled_from(INTEGERS)) if integers else draw(dtypes(halves))
    x = draw(
        array(draw(shapes(least)), dtype, ("integers",) if integers else ("distinct", "normal"))
    )
    config = draw(st.fixed_dictionaries({}, optional=given))
    if "axis" in config:
        config["axis"] %= len(x.shape)
        config["axis"] -= len(x.shape) * draw(st.booleans())
    kept = op in ("softmax", "log_softmax", "sigmoid", "tanh") and draw(st.booleans())
    return Call(op, {"x": x}, (), config, {"y": "y"} if kept else {}, {}, draw(upstream()))


@st.composite
def slopes(draw: Draw, op: str, halves: Sequence[str]) -> Call:
    shape, kinds = draw(shapes(0, 4)), mixed(draw, halves, 2)
    alpha = tuple(1 if draw(st.booleans()) else n for n in shape)
    alpha = alpha[draw(st.integers(0, len(alpha))) :]
    return Call(
        op,
        {
            "x": draw(array(shape, kinds[0], ("distinct", "normal"))),
            "alpha": draw(array(alpha, kinds[1], ("quarters", "normal"))),
        },
        dy=draw(upstream()),
    )


@st.composite
def dropouts(draw: Draw, op: str, halves: Sequence[str]) -> Call:
    shape = draw(shapes())
    shared = tuple(1 if draw(rarely(True, st.just(False))) else n for n in shape)
    x, mask = draw(array(shape, draw(dtypes(halves)))), draw(array(shared, "bool", ("mask",)))
    rate = draw(st.sampled_from([0, 0.0, 0.25, 0.5, 0.9]))
    return Call(op, {"x": x, "mask": mask}, (), {"rate": rate}, {}, {}, draw(upstream()))


@st.composite
def norms(draw: Draw, op: str, halves: Sequence[str]) -> Call:
    fmt, kinds = draw(FORMATS), mixed(draw, halves, 5)
    config = keywords(draw, eps=(draw(st.sampled_from([1e-5, 1e-3, 0.5])), 1e-5))
    if op == "layer_norm":
        shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple))
        chosen = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
        lengths = tuple(shape[a] for a in sorted(chosen))
        named = [a - len(shape) * draw(st.booleans()) for a in chosen]
        config["axes"] = (
            named[0]
            if len(named) == 1 and draw(st.booleans())
            else draw(st.sampled_from([tuple, list]))(named)
        )
        forms = [lengths, tuple(n if a in chosen else 1 for a, n in enumerate(shape))]
    else:
        ndim = draw(st.integers(1 if op == "instance_norm" else 0, 3))
        groups = draw(st.integers(1, 3))
        channels = groups * draw(st.integers(1, 2))
        config |= keywords(draw, data_format=(fmt, "channels_last"))
        config |= {"groups": groups} if op == "group_norm" else {}
        batch = (
            draw(st.integers(1, 3)) if op == "batch_norm" else draw(rarely(0, st.integers(1, 3)))
        )
        shape = images(batch, axes(draw, ndim, 1, 3), channels, fmt)
        forms = [(channels,), (1, channels), (channels, 1, 1)]
    names = ["gamma", "beta"]
    arrays = {"x": draw(array(shape, kinds[0], ("normal", "quarters")))}
    for name, kind in zip(names, kinds[1:3], strict=True):
        arrays[name] = draw(optional(array(draw(st.sampled_from(forms)), kind)))
    if op == "batch_norm_inference":
        arrays["mean"] = draw(array((channels,), kinds[3]))
        arrays["var"] = draw(array((channels,), kinds[4], ("positive",)))
    return Call(op, arrays, (), config, {}, {}, draw(upstream()))


@st.composite
def resizes(draw: Draw, op: str, halves: Sequence[str]) -> Call:
    ndim, fmt = draw(st.integers(1, 4)), draw(FORMATS)
    size = axes(draw, ndim, 1, SIZES[ndim])
    if draw(st.booleans()):
        config = {"size": form(draw, axes(draw, ndim, 1, SIZES[ndim] + 3))}
    else:
        factors = [[s for s in (0.25, 0.5, 0.7, 1, 1.5, 2.0, 2.3, 3) if n * s >= 1] for n in size]
        config = {"scale": form(draw, [draw(st.sampled_from(f)) for f in factors])}
    config |= keywords(
        draw,
        method=(draw(st.sampled_from(["nearest", "linear"])), "nearest"),
        coordinates=(
            draw(st.sampled_from(["half_pixel", "align_corners", "asymmetric"])),
            "half_pixel",
        ),
        rounding=(draw(st.sampled_from(["half_up", "half_down"])), "half_up"),
        data_format=(fmt, "channels_last"),
    )
    channels = draw(rarely(0, st.integers(1, 3)))
    x = draw(
        array(images(draw(rarely(0, st.integers(1, 3))), size, channels, fmt), draw(dtypes(halves)))
    )
    return Call(op, {"x": x}, (), config, {}, {}, draw(upstream()))


@st.composite
def losses(draw: Draw, op: str, halves: Sequence[str]) -> Call:
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple))
    kinds, config = (
        mixed(draw, halves, 2),
        keywords(draw, reduction=(draw(st.sampled_from(["mean", "sum", "none"])), "mean")),
    )
    if op.startswith("mean"):
        arrays = {
            n: draw(array(shape, k, ("normal",)))
            for n, k in zip(("y_pred", "y_true"), kinds, strict=True)
        }
        return Call(op, arrays, (), config, {}, {}, draw(upstream()))
    logits = draw(st.booleans())
    config |= keywords(draw, from_logits=(logits, False))
    if op == "sparse_categorical_cross_entropy":
        shape = (*shape, draw(st.integers(1, 5)))
        true = draw(
            array(shape[:-1], draw(st.sampled_from(INTEGERS)), ("labels",), classes=shape[-1])
        )
    else:
        shape = (*shape, draw(st.integers(1, 4))) if op.startswith("cat") else shape
        kind = draw(st.sampled_from([kinds[1], kinds[1], "bool", "int32", "uint8"]))
        true = draw(array(shape, kind, ("unit",) if "float" in kind else ("mask",)))
    likely = "unit" if op.startswith("binary") else "probabilities"
    pred = draw(array(shape, kinds[0], ("normal", "quarters") if logits else (likely,)))
    return Call(op, {"y_pred": pred, "y_true": true}, (), config, {}, {}, draw(upstream()))


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

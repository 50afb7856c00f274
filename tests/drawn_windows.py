"""Drawn calls of what slides windows or maps cells to cells: convolutions, pools, padding, columns, resizing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from drawn_calls import Call
from drawn_parts import (
    FAR,
    FORMATS,
    INTEGERS,
    SIZES,
    Draw,
    array,
    axes,
    dtypes,
    form,
    geometry,
    images,
    keywords,
    mixed,
    optional,
    padding_form,
    rarely,
    settings,
    upstream,
)
from hypothesis import strategies as st
from reference import outputs, pairs


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

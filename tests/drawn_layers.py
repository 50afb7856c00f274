"""Drawn calls of dense layers, activations, dropout, normalization and losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drawn_calls import Call
from drawn_parts import (
    FORMATS,
    INTEGERS,
    Draw,
    array,
    axes,
    dtypes,
    images,
    keywords,
    mixed,
    optional,
    rarely,
    shapes,
    upstream,
)
from hypothesis import strategies as st


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

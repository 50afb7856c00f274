"""The workspace, measured on NumPy: what a convolution takes beside its arguments and its result."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
import pytest
from drawn_parts import FORMATS, axes, images, rarely
from hypothesis import strategies as st
from reference import outputs, pairs
from test_drawn import hold

import arrayconv as ac

# What Python's own objects take in a call.
OBJECTS = 128 * 2**10
SIZES = {1: (100, 9000), 2: (10, 80), 3: (5, 18)}
STRATEGIES = ("columns", "rows", "planes", "stacked", "taps", "depthwise")


@dataclass(frozen=True, repr=False)
class Large:
    """A convolution of arrays that do not fit a small workspace."""

    x: tuple[int, ...]
    w: tuple[int, ...]
    dtype: str
    config: dict[str, Any]
    options: dict[str, Any]
    wrt: str

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def __repr__(self) -> str:
        config = "".join(f", {k}={v!r}" for k, v in self.config.items())
        options = ", ".join(f"{k}={v!r}" for k, v in self.options.items())
        return (
            f"\nimport numpy as np, arrayconv as ac; x, w = (np.zeros(s, '{self.dtype}') for s in ({self.x}, {self.w}))"
            f"\nwith ac.options({options}): y = ac.conv(x, w{config}); dx = ac.conv_vjp(y, x, w{config}, wrt=('x',))"
            f"\nwith ac.options({options}): dw = ac.conv_vjp(y, x, w{config}, wrt=('w',))  # the peak of '{self.wrt}'\n"
        )

    @property
    def spatial(self) -> tuple[int, ...]:
        return self.x[1:-1] if self.config["data_format"] == "channels_last" else self.x[2:]

    @property
    def least(self) -> int:
        """Bytes that one row of windows of one image takes, with copies of it and of the weights to work on."""
        k, s, d = self.w[:-2], self.config["stride"], self.config["dilation"]
        p = pairs(self.config["padding"], self.spatial, k, s, d)
        out = [outputs(*axis) for axis in zip(self.spatial, p, k, s, d, strict=True)]
        channels = self.w[-2] * self.config["groups"]
        padded = [n + sum(w) for n, w in zip(self.spatial, p, strict=True)]
        rows = min(padded[0], max(d[0] * (k[0] - 1) + 1, s[0]))
        row = rows * prod(padded[1:]) * channels + prod(out[1:]) * self.w[-1]
        columns = prod(k) * prod(out[1:]) * max(channels, self.w[-1])
        return (2 * row + 2 * columns + 2 * prod(self.w)) * max(4, np.dtype(self.dtype).itemsize)


@st.composite
def large(draw: Callable[[st.SearchStrategy[Any]], Any], op: str, halves: Sequence[str]) -> Large:
    ndim, fmt = draw(st.integers(1, 3)), draw(FORMATS)
    groups = draw(st.sampled_from([1, 1, 2, 4]))
    depthwise = draw(rarely(True, st.just(False)))
    c_in, c_out = (groups * draw(st.sampled_from([1, 3, 8, 16])) for _ in range(2))
    groups, c_out = (c_in, c_in) if depthwise else (groups, c_out)
    kernel = axes(draw, ndim, 1, draw(st.sampled_from([1, {1: 9, 2: 5, 3: 3}[ndim]])))
    config = {
        "stride": tuple(axes(draw, ndim, 1, 3)) if draw(st.booleans()) else (1,) * ndim,
        "padding": draw(st.sampled_from(["same", "same_lower", 0, 2])),
        "dilation": tuple(axes(draw, ndim, 1, 2)) if draw(st.booleans()) else (1,) * ndim,
        "groups": groups,
        "data_format": fmt,
    }
    least = [d * (k - 1) + 1 for k, d in zip(kernel, config["dilation"], strict=True)]
    size = [max(n, draw(st.integers(*SIZES[ndim]))) for n in least]
    options = {"workspace": draw(st.sampled_from([2**14, 2**17, 2**18, 2**20]))}
    if draw(st.booleans()):
        options["strategy"] = draw(st.sampled_from(STRATEGIES))
    return Large(
        images(draw(st.integers(1, 8)), size, c_in, fmt),
        (*kernel, c_in // groups, c_out),
        draw(st.sampled_from(["float64", "float32", *halves])),
        config,
        options,
        op,
    )


def peak(f: Callable[[], Any]) -> int:
    """Return the most bytes taken at one time in a second call, the result not counted."""
    y = f()
    result, y = y.nbytes, None
    tracemalloc.start()
    try:
        y = f()
        return tracemalloc.get_traced_memory()[1] - result
    finally:
        tracemalloc.stop()


def measured(call: Large) -> tuple[int, int]:
    """Return bytes of temporaries as measured, and as `explain` says."""
    x, w = (np.zeros(shape, call.dtype) for shape in (call.x, call.w))
    try:
        with ac.options(**call.options):
            if call.wrt == "y":
                said = ac.explain(ac.conv, x, w, **call.config)
                return peak(lambda: ac.conv(x, w, **call.config)), max(p.memory for p in said)
            dy = ac.conv(x, w, **call.config)
            config = {**call.config, "wrt": (call.wrt,)}
            said = ac.explain(ac.conv_vjp, dy, x, w, **config)
            at = "xw".index(call.wrt)
            taken = peak(lambda: ac.conv_vjp(dy, x, w, **config)[at])
            return taken, max(p.memory for p in said)
    except ValueError as error:
        if "declines" not in str(error):
            raise
        return 0, 0


def keeps_the_workspace(xp: Any, call: Large) -> None:
    taken, _ = measured(call)
    allowed = max(call.options["workspace"], call.least) + OBJECTS
    assert taken <= allowed, f"{taken} bytes of temporaries, {allowed} allowed"


def takes_what_explain_says(xp: Any, call: Large) -> None:
    taken, said = measured(call)
    # rows that blocks share, and the weights, come on top
    allowed = 1.25 * said + 2 * prod(call.w) * 8 + OBJECTS
    assert taken <= allowed, f"{taken} bytes of temporaries, explain said {said}"


every_result = pytest.mark.parametrize("result", ["y", "x", "w"])


@pytest.mark.backends("numpy")
@every_result
def test_workspace_is_kept(xp, result):
    hold(xp, keeps_the_workspace, result, share=3, strategy=large)


@pytest.mark.backends("numpy")
@every_result
def test_explain_says_what_is_taken(xp, result):
    hold(xp, takes_what_explain_says, result, share=3, strategy=large)

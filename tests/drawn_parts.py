"""What the strategies of drawn calls share: arrays, forms of arguments, windows and options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from drawn_calls import LAYOUTS, Drawn
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


def shapes(least: int = 0, most: int = 4, side: int = 4) -> st.SearchStrategy[tuple[int, ...]]:
    return st.lists(rarely(0, st.integers(1, side)), min_size=least, max_size=most).map(tuple)

"""Cases of the operations over spatial axes: padding, convolution, pooling, columns, and `relu`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle, product
from math import prod
from typing import Any

from arrayconv.cases.case import Case, Shape

_FIRST: dict[str, Any] = {"data_format": "channels_first"}
_SIZES: dict[int, Shape] = {1: (9,), 2: (6, 5), 3: (4, 5, 4), 4: (3, 4, 3, 3)}
_KERNELS: dict[int, Shape] = {1: (3,), 2: (3, 2), 3: (2, 3, 2), 4: (2, 2, 1, 2)}


def _shape(n: int, space: Shape, channels: int, config: Mapping[str, Any]) -> Shape:
    first = config.get("data_format") == "channels_first"
    return (n, channels, *space) if first else (n, *space, channels)


def _formats() -> Iterator[dict[str, Any]]:
    # A period of 5, so that every other cycle meets both formats.
    return cycle(({}, _FIRST, {}, {}, _FIRST))


def _paddings(ndim: int) -> list[Any]:
    """Every form of padding, narrower than the windows of ``_KERNELS`` where it is explicit."""
    kernel = _KERNELS[ndim]
    forms: list[Any] = [
        0,
        tuple(k - 1 for k in kernel),
        tuple(((k - 1) // 2, k - 1) for k in kernel),
        tuple((k - 1, 0) for k in kernel),
        "valid",
        "same",
        "same_lower",
    ]
    forms += [1] if min(kernel) > 1 else []
    return forms + (["causal"] if ndim == 1 else [])


def _steps(ndim: int) -> list[dict[str, Any]]:
    """Strides and dilations, common and per axis, equal to 1, to the window and beyond it."""
    return [
        {},
        {"stride": 2},
        {"dilation": 2},
        {"stride": (3, 1, 2, 1)[:ndim], "dilation": (1, 2, 1, 1)[:ndim]},
    ]


def _grid(ndim: int) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield every padding with half of the steps: the other half when `ndim` is one more."""
    for (i, padding), (j, steps) in product(enumerate(_paddings(ndim)), enumerate(_steps(ndim))):
        if (i + j + ndim) % 2:
            yield padding, steps


def _pad() -> Iterator[Case]:
    modes = ("constant", "edge", "reflect", "symmetric", "wrap")
    for ndim, mode, fmt in product((1, 2, 3, 4), modes, ({}, _FIRST)):
        pairs = tuple((i % 3, (i + 1) % 3) for i in range(ndim))
        yield Case("pad", (_shape(2, _SIZES[ndim], 2, fmt),), (pairs,), {"mode": mode, **fmt})
    for mode in modes:
        config = {"mode": mode}
        yield Case("pad", ((2, 4, 3, 2),), (1,), config)
        yield Case("pad", ((2, 4, 3, 2),), (0,), config)
        yield Case("pad", ((2, 4, 3, 2),), ((2, 1),), config)
        yield Case("pad", ((0, 4, 3, 2),), (1,), config)
        # Wider than the input: NumPy reflects and wraps again and again.
        yield Case("pad", ((1, 4, 3, 2),), (((5, 9), (4, 3)),), config)
        yield Case("pad", ((2, 1, 2),), (((3, 2),),), config)
    yield Case("pad", ((2, 4, 3, 2),), (2,), {"value": -1.5})
    yield Case("pad", ((2, 2, 4, 3),), (((0, 2), (1, 0)),), {"value": 3, **_FIRST})


def _conv() -> Iterator[Case]:
    formats, biases = _formats(), cycle(("none", "flat", "course"))

    def case(n: int, space: Shape, c_in: int, kernel: Shape, c_out: int, **config: Any) -> Case:
        config |= next(formats)
        x, w = _shape(n, space, c_in, config), (*kernel, c_in // config.get("groups", 1), c_out)
        ones = (1,) * (len(kernel) + 1)
        bias = {"none": None, "flat": (c_out,), "course": (*ones, c_out)}[next(biases)]
        return Case("conv", (x, w, bias), (), config)

    for ndim in (1, 2, 3):
        for padding, steps in _grid(ndim):
            yield case(2, _SIZES[ndim], 3, _KERNELS[ndim], 2, padding=padding, **steps)
    for padding in ("same", "same_lower", "valid", 1, (1, 0, 0, 1)):
        yield case(1, _SIZES[4], 2, _KERNELS[4], 3, padding=padding)
    yield case(1, _SIZES[4], 2, _KERNELS[4], 2, padding=1, stride=2, groups=2)
    # Groups: plain, depthwise with multiplier 1 and 2, one channel each.
    for (c_in, c_out, groups), ndim, steps in product(
        ((4, 6, 2), (3, 3, 3), (3, 6, 3), (6, 4, 2)), (1, 2), ({}, {"stride": 2}, {"dilation": 2})
    ):
        config = {"padding": "same", "groups": groups, **steps}
        yield case(2, _SIZES[ndim], c_in, _KERNELS[ndim], c_out, **config)
    for ndim, groups in product((1, 2, 3, 4), (1, 2)):
        config = {"padding": "same_lower", "groups": groups, "flip_kernel": True}
        yield case(1, _SIZES[ndim], 2, _KERNELS[ndim], 2, **config)
    for stride, padding in product((1, 2, 3), (0, 1, "same")):
        yield case(2, (5, 6), 3, (1, 1), 4, stride=stride, padding=padding)
    for padding in (0, 2, "same"):
        yield case(2, (4, 3), 2, (4, 3), 3, padding=padding)
        yield case(2, (7, 8), 2, (2, 2), 3, stride=(4, 3), padding=padding)
        yield case(1, (8, 8), 1, (5, 5), 1, padding=padding)
        yield case(1, (3, 3), 2, (2, 2), 2, padding=padding, stride=(2, 7))
    for stride, dilation in ((2, 2), (2, 3), (3, 2)):
        for padding in (2, "same", ((0, 3),)):
            yield case(2, (11,), 2, (3,), 2, stride=stride, dilation=dilation, padding=padding)
    yield case(2, (9,), 2, (3,), 2, dilation=2, padding="causal", flip_kernel=True)
    # The sizes on which "same" is known to differ between libraries.
    for padding in ("same", "same_lower"):
        yield case(1, (6,), 1, (3,), 1, stride=2, padding=padding)
        yield case(1, (224,), 1, (7,), 2, stride=2, padding=padding)
    for stride in (1, 2):
        yield case(0, (6, 5), 3, (3, 2), 2, stride=stride, padding="same")


def _conv_transpose() -> Iterator[Case]:
    formats, biases = _formats(), cycle((True, False, False))
    sizes: dict[int, Shape] = {1: (5,), 2: (4, 3), 3: (3, 2, 3), 4: (2, 2, 3, 2)}

    def case(n: int, space: Shape, c_in: int, kernel: Shape, c_out: int, **config: Any) -> Case:
        config |= next(formats)
        x, w = _shape(n, space, c_in, config), (*kernel, c_out // config.get("groups", 1), c_in)
        return Case("conv_transpose", (x, w, (c_out,) if next(biases) else None), (), config)

    for ndim in (1, 2, 3):
        for padding, steps in _grid(ndim):
            if padding != "causal":
                yield case(2, sizes[ndim], 3, _KERNELS[ndim], 2, padding=padding, **steps)
    for padding in ("same", 1, 0):
        yield case(1, sizes[4], 2, _KERNELS[4], 3, padding=padding, stride=2)
    for ndim, padding in product((1, 2, 3), (0, 1, "pairs", "valid")):
        pairs = tuple((i % 2, 1) for i in range(ndim)) if padding == "pairs" else padding
        for extra, stride in ((1, 2), ((2, 0, 1)[:ndim], (3, 1, 2)[:ndim])):
            config = {"padding": pairs, "stride": stride, "output_padding": extra}
            yield case(1, sizes[ndim], 2, _KERNELS[ndim], 2, **config)
    for (c_in, c_out, groups), ndim, stride in product(
        ((4, 6, 2), (3, 3, 3), (6, 3, 3)), (1, 2), (1, 2)
    ):
        config = {"padding": "same", "groups": groups, "stride": stride}
        yield case(2, sizes[ndim], c_in, _KERNELS[ndim], c_out, **config)
    for ndim, groups in product((1, 2, 3), (1, 2)):
        config = {"groups": groups, "flip_kernel": True, "stride": 2, "padding": 1}
        yield case(1, sizes[ndim], 2, _KERNELS[ndim], 2, **config)
    # Gaps between the windows, where the result is the bias alone.
    for padding, kernel in product((0, "same", "same_lower"), ((1, 1), (2, 2))):
        yield case(2, (3, 4), 2, kernel, 3, stride=3, padding=padding)
    # Padding that crops more than the overlap of two windows.
    yield case(1, (6, 5), 2, (2, 2), 2, padding=2)
    yield case(1, (6, 5), 2, (3, 3), 2, padding=((4, 0), (0, 3)), stride=2)
    yield case(0, (4, 3), 2, (3, 2), 2, stride=2, padding=1)


def _pool(op: str) -> Iterator[Case]:
    formats = _formats()
    divisors = [{"count_include_pad": True}] if op == "avg_pool" else []
    extras = cycle([{}, {"ceil_mode": True}, *divisors])

    def case(shape: Shape, window: Any, **config: Any) -> Case:
        config |= next(formats)
        return Case(op, (_shape(shape[0], shape[1:-1], shape[-1], config),), (window,), config)

    for ndim in (1, 2, 3):
        for padding, steps in _grid(ndim):
            config = {"stride": 1, **steps, "padding": padding, **next(extras)}
            yield case((2, *_SIZES[ndim], 2), _KERNELS[ndim], **config)
    for ndim, ceil in product((1, 2, 3, 4), (False, True)):
        yield case((2, *_SIZES[ndim], 2), 2, ceil_mode=ceil)
        yield case((1, *_SIZES[ndim], 2), 2, padding=1, stride=2, ceil_mode=ceil)
    for stride, padding in product((1, 2, 3), (0, "same")):
        yield case((2, 5, 4, 2), 1, stride=stride, padding=padding)
    for ceil in (False, True):
        yield case((2, 4, 3, 2), (4, 3), ceil_mode=ceil)
        yield case((2, 7, 8, 2), 2, stride=(4, 3), ceil_mode=ceil)
        yield case((1, 7, 2), 3, stride=2, padding=2, ceil_mode=ceil)
        yield case((1, 6, 6, 1), 3, stride=2, dilation=2, padding=1, ceil_mode=ceil)
        # The last window would start in the padding after the input, and is dropped.
        yield case((1, 2, 2), 2, stride=3, padding=1, ceil_mode=ceil)
        yield case((1, 5, 5, 1), 2, stride=3, padding=1, ceil_mode=ceil)
        for include in (False, True) if op == "avg_pool" else ():
            config = {"ceil_mode": ceil, "count_include_pad": include}
            yield case((1, 4, 4, 1), 3, stride=2, padding=1, **config)
            yield case((1, 6, 5, 2), (3, 2), stride=2, padding=((0, 2), (1, 0)), **config)
            yield case((1, 7, 2), 3, stride=2, dilation=2, padding=2, **config)
    yield case((1, 6, 1), 3, stride=2, padding="same")
    yield case((1, 224, 1), 7, stride=2, padding="same")
    yield case((0, 6, 5, 2), 2, padding=1)


def _max_pool() -> Iterator[Case]:
    yield from _pool("max_pool")
    for ties, shape in product(("first", "split", "all"), ((2, 7, 2), (2, 6, 5, 2))):
        config = {"padding": 1, "stride": 2, "ceil_mode": True}
        yield Case("max_pool", (shape,), (3,), config, {"ties": ties})


def _global(op: str) -> Iterator[Case]:
    for ndim, fmt, keep in product((1, 2, 3, 4), ({}, _FIRST), ({}, {"keepdims": True})):
        yield Case(op, (_shape(2, _SIZES[ndim], 3, fmt),), (), {**fmt, **keep})
    yield Case(op, ((0, 4, 3, 2),))
    for ties in ("first", "split", "all") if op == "global_max_pool" else ():
        yield Case(op, ((2, 4, 3, 2),), (), {}, {"ties": ties})


def _adaptive(op: str) -> Iterator[Case]:
    sizes: tuple[tuple[Shape, Any], ...] = (
        ((9,), 4),
        ((9,), (2,)),
        ((4,), 7),
        ((6, 5), 3),
        ((6, 5), (4, 2)),
        ((6, 5), (6, 5)),
        ((3, 5), (5, 3)),
        ((4, 5, 4), (3, 2, 4)),
        ((4, 5, 4), 2),
        ((3, 4, 3, 3), (2, 3, 1, 2)),
    )
    for (space, output_size), fmt in product(sizes, ({}, _FIRST)):
        yield Case(op, (_shape(2, space, 2, fmt),), (output_size,), fmt)
    yield Case(op, ((2, 6, 5, 2),), (1,))
    yield Case(op, ((0, 6, 5, 2),), (2,))
    for ties in ("first", "split", "all") if op == "adaptive_max_pool" else ():
        yield Case(op, ((2, 7, 5, 2),), (3,), {}, {"ties": ties})


def _im2col() -> Iterator[Case]:
    formats = _formats()
    for ndim in (1, 2, 3):
        for padding, steps in _grid(ndim):
            config = {"padding": padding, **steps, **next(formats)}
            # The stride is the third positional argument, as the course calls it.
            args = (_KERNELS[ndim], config.pop("stride", 1))
            yield Case("im2col", (_shape(2, _SIZES[ndim], 2, config),), args, config)
    for fmt in ({}, _FIRST):
        yield Case("im2col", (_shape(1, _SIZES[4], 2, fmt),), (2,), fmt)
        yield Case("im2col", (_shape(2, (5, 4), 3, fmt),), (1, 2), fmt)
        yield Case("im2col", (_shape(2, (5, 4), 3, fmt),), ((5, 4),), {"padding": 1, **fmt})
        yield Case("im2col", (_shape(0, (5, 4), 3, fmt),), (2,), fmt)


def _cells(n: int, k: int, stride: int, dilation: int, padding: Any) -> int:
    """Return the output size of one axis, `padding` being a number, a pair or a name."""
    if padding in ("same", "same_lower", "causal"):
        return -(-n // stride)
    total = 0 if padding == "valid" else sum(padding) if isinstance(padding, tuple) else 2 * padding
    return (n + total - dilation * (k - 1) - 1) // stride + 1


def _col2im() -> Iterator[Case]:
    for case in _im2col():
        shape, (window, *rest) = case.shapes[0], case.args
        assert shape is not None
        first = case.config.get("data_format") == "channels_first"
        space, channels = (shape[2:], shape[1]) if first else (shape[1:-1], shape[-1])
        given = (window, rest[0] if rest else 1, case.config.get("dilation", 1))
        padding = case.config.get("padding", 0)
        values = [v if isinstance(v, tuple) else (v,) * len(space) for v in (*given, padding)]
        cells = [_cells(*axis) for axis in zip(space, *values, strict=True)]
        columns = (shape[0] * prod(cells), prod(values[0]) * channels)
        yield Case("col2im", (columns,), (shape, *case.args), case.config)


def _relu() -> Iterator[Case]:
    for shape in ((5,), (3, 4), (2, 5, 3), (2, 4, 3, 2), (1, 2, 3, 2, 2), (0, 3, 2)):
        yield Case("relu", (shape,))


def families() -> Iterator[Case]:
    """Yield the cases of every operation over spatial axes."""
    yield from _pad()
    yield from _conv()
    yield from _conv_transpose()
    yield from _max_pool()
    yield from _pool("avg_pool")
    for kind in ("max", "avg"):
        yield from _global(f"global_{kind}_pool")
        yield from _adaptive(f"adaptive_{kind}_pool")
    yield from _im2col()
    yield from _col2im()
    yield from _relu()

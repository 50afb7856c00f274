"""What NumPy users write today, the bare product, and the float64 reference."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from benchmarks.cases import Conv, Data, Floats, Pool
from benchmarks.timing import Contender

POOL = "openblas"


def textbook(x: Floats, w: Floats) -> Floats:
    """The shortest im2col there is: two spatial axes, stride 1, no padding."""
    windows = sliding_window_view(x, w.shape[:2], axis=(1, 2))
    # (N, oh, ow, C, kh, kw) -> (N*oh*ow, kh*kw*C)
    columns = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, w[..., 0].size)
    return (columns @ w.reshape(-1, w.shape[3])).reshape(*windows.shape[:3], w.shape[3])


def im2col_forward(x: Floats, w: Floats, stride: int, padding: int, groups: int) -> Floats:
    """The textbook: one view of the windows, one copy, one product."""
    columns, output = _columns(x, w, stride, padding, groups)
    return _merged(columns @ _matrix(w, groups), (*output, w.shape[-1]))


def im2col_backward(
    dy: Floats, x: Floats, w: Floats, stride: int, padding: int, groups: int
) -> tuple[Floats, Floats]:
    """Both gradients from the columns, the windows added back one kernel cell at a time."""
    rank = x.ndim - 2
    columns, output = _columns(x, w, stride, padding, groups)
    # (N, *out, O) -> (groups, N*out, O/groups)
    d = np.moveaxis(dy.reshape(columns.shape[1], groups, -1), 1, 0)
    # (groups, K*C/groups, O/groups) -> (*K, C/groups, O)
    dw = np.moveaxis(np.swapaxes(columns, 1, 2) @ d, 0, 1).reshape(w.shape)
    windows = d @ np.swapaxes(_matrix(w, groups), 1, 2)
    kernel = w.shape[:rank]
    # (groups, N*out, K*C/groups) -> (N, *out, K, C)
    windows = windows.reshape(groups, *output, prod(kernel), -1)
    windows = np.moveaxis(windows, 0, -2).reshape(*output, prod(kernel), x.shape[-1])
    padded = np.zeros(_padded_shape(x, padding), dtype=x.dtype)
    for i, cell in enumerate(np.ndindex(*kernel)):
        padded[_reach(cell, output[1:], stride)] += windows[..., i, :]
    return padded[_inside(x, padding)], dw


def conv(case: Conv, data: Data, backward: bool) -> list[Contender]:
    """The one-shot im2col, the bare product of its sizes and, where it can be borne, the loops."""
    x, w, dy = data
    config = (case.stride, case.padding, case.groups)
    calls: dict[str, Callable[[], Any]]
    if backward:
        calls = {"im2col": lambda: im2col_backward(dy, x, w, *config)}
    else:
        calls = {"im2col": lambda: im2col_forward(x, w, *config)}
        if case.name == "digits":
            calls["course loops"] = lambda: course_loops(x, w, case.stride, case.padding)
    found = [Contender(name, POOL, call, _read) for name, call in calls.items()]
    if case.groups == 1:
        found.append(_product(case, data, backward))
    return found


def _product(case: Conv, data: Data, backward: bool) -> Contender:
    x, w, dy = data
    columns, output = _columns(x, w, case.stride, case.padding, 1)
    left, right = columns[0], w.reshape(-1, w.shape[-1])
    d = dy.reshape(-1, w.shape[-1])
    if backward:
        # the product of the input gradient has no gradient of x to compare: only dw is read
        return Contender(
            "product",
            POOL,
            lambda: (left.T @ d, d @ right.T),
            lambda pair: (data.x[:0], pair[0].reshape(w.shape)),
        )
    return Contender(
        "product", POOL, lambda: left @ right, lambda y: (y.reshape(*output, w.shape[-1]),)
    )


def _read(result: Any) -> tuple[Floats, ...]:
    return result if isinstance(result, tuple) else (result,)


def course_loops(x: Floats, w: Floats, stride: int, padding: int) -> Floats:
    """One multiplication and sum per output number, as the course's exercise has it."""
    padded = np.pad(x, ((0, 0), (padding, padding), (padding, padding), (0, 0)))
    high, wide = w.shape[:2]
    rows = (padded.shape[1] - high) // stride + 1
    cells = (padded.shape[2] - wide) // stride + 1
    z = np.zeros((x.shape[0], rows, cells, w.shape[-1]), dtype=x.dtype)
    for i in range(x.shape[0]):
        for h in range(rows):
            for v in range(cells):
                patch = padded[i, h * stride : h * stride + high, v * stride : v * stride + wide]
                for c in range(w.shape[-1]):
                    z[i, h, v, c] = np.sum(patch * w[..., c])
    return z


def conv_reference(case: Conv, data: Data, backward: bool) -> tuple[Floats, ...]:
    """The values in float64, kernel cell by kernel cell, sharing no code with any contender."""
    x, w, dy = (a.astype(np.float64) for a in data)
    padding, groups = case.padding, case.groups
    padded = np.zeros(_padded_shape(x, padding))
    padded[_inside(x, padding)] = x
    grouped = w.reshape(*case.kernel, -1, groups, case.features // groups)
    y, dpadded, dw = np.zeros_like(dy), np.zeros_like(padded), np.zeros_like(grouped)
    split_dy = dy.reshape(*dy.shape[:-1], groups, -1)
    for cell in np.ndindex(*case.kernel):
        reach = _reach(cell, case.output, case.stride)
        part = padded[reach]
        split = part.reshape(*part.shape[:-1], groups, -1)
        if not backward and groups == 1:
            y += part @ w[cell]
        elif not backward:
            y += np.einsum("...gc,cgo->...go", split, grouped[cell]).reshape(y.shape)
        elif groups == 1:
            dpadded[reach] += dy @ w[cell].T
            dw[cell] = (part.reshape(-1, case.channels).T @ dy.reshape(-1, case.features))[:, None]
        else:
            dpadded[reach] += np.einsum("...go,cgo->...gc", split_dy, grouped[cell]).reshape(
                part.shape
            )
            dw[cell] = np.einsum(
                "ngc,ngo->cgo", *(a.reshape(-1, *a.shape[-2:]) for a in (split, split_dy))
            )
    return (dpadded[_inside(x, padding)], dw.reshape(w.shape)) if backward else (y,)


def pool_reference(case: Pool, data: Data, backward: bool) -> tuple[Floats, ...]:
    """The pool and its input gradient, window cell by window cell; ties do not occur."""
    x, dy = data.x.astype(np.float64), data.dy.astype(np.float64)
    padded = np.full(_padded_shape(x, case.padding), -np.inf)
    padded[_inside(x, case.padding)] = x
    reaches = [
        _reach(cell, case.output, case.stride) for cell in np.ndindex(case.window, case.window)
    ]
    if case.kind == "max":
        y = np.max([padded[reach] for reach in reaches], axis=0)
    else:
        y = np.mean([padded[reach] for reach in reaches], axis=0)
    if not backward:
        return (y,)
    dpadded = np.zeros_like(padded)
    for reach in reaches:
        dpadded[reach] += dy * (padded[reach] == y) if case.kind == "max" else dy / len(reaches)
    return (dpadded[_inside(x, case.padding)],)


def _columns(
    x: Floats, w: Floats, stride: int, padding: int, groups: int
) -> tuple[Floats, tuple[int, ...]]:
    rank = x.ndim - 2
    axes = tuple(range(1, rank + 1))
    padded = np.pad(x, ((0, 0), *((padding, padding),) * rank, (0, 0))) if padding else x
    windows = sliding_window_view(padded, w.shape[:rank], axis=axes)
    windows = windows[(slice(None), *(slice(None, None, stride),) * rank)]
    output = windows.shape[: rank + 1]
    # (N, *out, C, *K) -> (N, *out, *K, C)
    windows = np.moveaxis(windows, rank + 1, -1)
    rows = prod(output)
    if groups == 1:
        return windows.reshape(1, rows, -1), output
    # (N, *out, *K, C) -> (groups, N*out, K*C/groups)
    windows = windows.reshape(rows, prod(w.shape[:rank]), groups, -1)
    return windows.transpose(2, 0, 1, 3).reshape(groups, rows, -1), output


def _matrix(w: Floats, groups: int) -> Floats:
    # (*K, C/groups, O) -> (groups, K*C/groups, O/groups)
    return np.moveaxis(w.reshape(-1, groups, w.shape[-1] // groups), 1, 0)


def _merged(y: Floats, shape: tuple[int, ...]) -> Floats:
    # (groups, N*out, O/groups) -> (N, *out, O)
    return np.moveaxis(y, 0, 1).reshape(shape)


def _padded_shape(x: Floats, padding: int) -> tuple[int, ...]:
    return (x.shape[0], *(n + 2 * padding for n in x.shape[1:-1]), x.shape[-1])


def _inside(x: Floats, padding: int) -> tuple[slice, ...]:
    return (slice(None), *(slice(padding, padding + n) for n in x.shape[1:-1]))


def _reach(cell: tuple[int, ...], output: tuple[int, ...], stride: int) -> tuple[slice, ...]:
    ends = (k + (o - 1) * stride + 1 for k, o in zip(cell, output, strict=True))
    return (slice(None), *(slice(k, end, stride) for k, end in zip(cell, ends, strict=True)))

"""Output sizes: the window of a convolution or a pool, of a transposed convolution, and adaptive bins."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from arrayconv.window.arguments import NAMED_PADDINGS, Pairs, known_size, pad_pairs, per_axis
from arrayconv.window.geometry import Window


def sliding(
    op: str,
    size: Sequence[int],
    kernel: tuple[int, ...],
    stride: Any,
    padding: Any,
    dilation: Any,
    *,
    ceil_mode: bool = False,
    inside: bool = False,
) -> Window:
    """The window over an input of spatial shape ``size``.

    ``inside`` demands, as pooling does, that no padding is as wide as the dilated window.
    """
    ndim = len(size)
    return _sliding(
        op,
        known_size(op, size),
        kernel,
        per_axis(op, "stride", stride, ndim),
        pad_pairs(op, padding, ndim, named=NAMED_PADDINGS),
        per_axis(op, "dilation", dilation, ndim),
        ceil_mode,
        inside,
    )


@lru_cache(maxsize=4096)
def _sliding(
    op: str,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs | str,
    dilation: tuple[int, ...],
    ceil_mode: bool,
    inside: bool,
) -> Window:
    if min(kernel) < 1:
        raise ValueError(f"{op}: the window must have at least one cell per axis, got {kernel}")
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    pairs = _named(padding, size, extent, stride) if isinstance(padding, str) else padding
    output = []
    for axis, (n, e, s, (before, after)) in enumerate(
        zip(size, extent, stride, pairs, strict=True)
    ):
        if inside and max(before, after) >= e:
            raise ValueError(
                f"{op}: padding must be narrower than the window, so that each window meets the input: axis {axis} "
                f"has padding ({before}, {after}) and a window that spans {e}"
            )
        room = n + before + after - e
        if room < 0:
            raise ValueError(
                f"{op}: the window is larger than the padded input on spatial axis {axis}: it spans {e} cells "
                f"(kernel {kernel[axis]}, dilation {dilation[axis]}), the input has {n} + {before} + {after}"
            )
        count = room // s + 1
        # PyTorch's rule: a window that would start in the padding after the input is dropped
        if ceil_mode and room % s and count * s < n + before:
            count += 1
        output.append(count)
    window = Window(size, kernel, stride, dilation, pairs, tuple(output))
    if inside and max(dilation) > 1:
        for axis in range(len(size)):
            if min(counts(window, axis, include_pad=False)) < 1:
                raise ValueError(
                    f"{op}: a window of kernel {kernel[axis]} and dilation {dilation[axis]} "
                    f"has all its cells in the padding {pairs[axis]} on spatial axis {axis}, "
                    f"whose input has {size[axis]}"
                )
    return window


def _named(name: str, size: Sequence[int], extent: Sequence[int], stride: Sequence[int]) -> Pairs:
    if name == "valid":
        return ((0, 0),) * len(size)
    if name == "causal":
        return tuple((e - 1, 0) for e in extent)
    totals = [
        max(0, (-(-n // s) - 1) * s + e - n) for n, e, s in zip(size, extent, stride, strict=True)
    ]
    if name == "same_lower":
        return tuple((t - t // 2, t // 2) for t in totals)
    return tuple((t // 2, t - t // 2) for t in totals)


def transposed(
    op: str,
    size: Sequence[int],
    kernel: tuple[int, ...],
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
) -> Window:
    """The window of the convolution that is transposed: from the result's shape, which it finds, to ``size``."""
    ndim = len(size)
    return _transposed(
        op,
        known_size(op, size),
        kernel,
        per_axis(op, "stride", stride, ndim),
        pad_pairs(op, padding, ndim, named=("valid", "same", "same_lower")),
        per_axis(op, "output_padding", output_padding, ndim, least=0),
        per_axis(op, "dilation", dilation, ndim),
    )


@lru_cache(maxsize=4096)
def _transposed(
    op: str,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: Pairs | str,
    output_padding: tuple[int, ...],
    dilation: tuple[int, ...],
) -> Window:
    if min(kernel) < 1:
        raise ValueError(f"{op}: the window must have at least one cell per axis, got {kernel}")
    if padding in ("same", "same_lower") and any(output_padding):
        raise ValueError(
            f"{op}: output_padding needs padding in numbers or 'valid', got output_padding={output_padding} "
            f"with padding={padding!r}"
        )
    for axis, extra in enumerate(output_padding):
        if extra and extra >= max(stride[axis], dilation[axis]):
            raise ValueError(
                f"{op}: output_padding must be smaller than stride or dilation, got {extra} on spatial axis {axis} "
                f"with stride {stride[axis]} and dilation {dilation[axis]}"
            )
    extent = tuple(d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True))
    if padding in ("same", "same_lower"):
        full = tuple(n * s for n, s in zip(size, stride, strict=True))
        pairs = _named(str(padding), full, extent, stride)
    else:
        pairs = ((0, 0),) * len(size) if isinstance(padding, str) else padding
        full = tuple(
            (n - 1) * s - before - after + e + extra
            for n, s, e, (before, after), extra in zip(
                size, stride, extent, pairs, output_padding, strict=True
            )
        )
    for axis, n in enumerate(full):
        if n < 1 or size[axis] < 1:
            raise ValueError(
                f"{op}: the result would have {n} cells on spatial axis {axis} "
                f"(input {size[axis]}, stride {stride[axis]}, padding {pairs[axis]}, "
                f"kernel {kernel[axis]}, dilation {dilation[axis]})"
            )
    return Window(full, kernel, stride, dilation, pairs, size)


def counts(window: Window, axis: int, *, include_pad: bool) -> list[int]:
    """Cells of each window along ``axis`` that lie in the input, or in the padded input; never those of ceil_mode."""
    n, (before, after) = window.size[axis], window.padding[axis]
    low, high = (-before, n + after) if include_pad else (0, n)
    k, d = window.kernel[axis], window.dilation[axis]
    starts = (o * window.stride[axis] - before for o in range(window.output[axis]))
    return [len(range(max(s, s + d * -(-(low - s) // d)), min(s + d * k, high), d)) for s in starts]


def bins(n: int, output: int) -> list[tuple[int, int]]:
    """The adaptive pools' bins, ``[floor(i * n / output), ceil((i + 1) * n / output))``, as in PyTorch."""
    return [(i * n // output, -(-(i + 1) * n // output)) for i in range(output)]

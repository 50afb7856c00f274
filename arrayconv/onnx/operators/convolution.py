"""Conv and ConvTranspose: ``x`` is (N, C, *S), kernels are (O, I, *K) and (I, O, *K)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import arrayconv as ac
from arrayconv.namespace import Array
from arrayconv.onnx.operators.shared import data_format as last
from arrayconv.onnx.operators.shared import namespace
from arrayconv.onnx.table import register

NAMED = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}
Ints = Sequence[int] | None
KERNEL_LAST = "last"


def pairs(pads: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """``(b1, b2, e1, e2)`` as ``((b1, e1), (b2, e2))``."""
    half = len(pads) // 2
    return tuple(zip(pads[:half], pads[half:], strict=True))


def windowed(
    rank: int, auto_pad: str, pads: Ints, strides: Ints, dilations: Ints
) -> dict[str, Any]:
    """A node's attributes as keywords of `arrayconv.conv` and the pools."""
    if auto_pad not in (*NAMED, "NOTSET"):
        raise ValueError(f"auto_pad is unknown: {auto_pad!r}")
    return {
        "stride": tuple(strides or (1,) * rank),
        "dilation": tuple(dilations or (1,) * rank),
        "padding": NAMED.get(auto_pad) or pairs(pads or (0,) * 2 * rank),
    }


def _kernel(w: Array, kernel: str) -> Array:
    # (O, I, *K) -> (*K, I, O), for a transposed convolution (I, O, *K) -> (*K, O, I)
    return w if kernel == KERNEL_LAST else namespace(w).permute_dims(w, (*range(2, w.ndim), 1, 0))


def _kernel_back(dw: Array | None, kernel: str) -> Array | None:
    if dw is None or kernel == KERNEL_LAST:
        return dw
    return namespace(dw).permute_dims(dw, (dw.ndim - 1, dw.ndim - 2, *range(dw.ndim - 2)))


def _check_kernel(w: Array, kernel_shape: Ints, kernel: str) -> None:
    size = tuple(w.shape[:-2] if kernel == KERNEL_LAST else w.shape[2:])
    if kernel_shape is not None and tuple(kernel_shape) != size:
        raise ValueError(f"kernel_shape is {tuple(kernel_shape)}, the weights' is {size}")


def conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints = None,
    group: int = 1,
    kernel_shape: Ints = None,
    pads: Ints = None,
    strides: Ints = None,
    data_format: str = "channels_first",
    kernel: str = "first",
) -> Array:
    _check_kernel(w, kernel_shape, kernel)
    config = windowed(x.ndim - 2, auto_pad, pads, strides, dilations)
    return ac.conv(x, _kernel(w, kernel), b, groups=group, data_format=data_format, **config)


def conv_vjp(
    dy: Array,
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints = None,
    group: int = 1,
    kernel_shape: Ints = None,
    pads: Ints = None,
    strides: Ints = None,
    data_format: str = "channels_first",
    kernel: str = "first",
    wrt: Collection[str] = ("x", "w", "b"),
) -> tuple[Array | None, ...]:
    config = windowed(x.ndim - 2, auto_pad, pads, strides, dilations)
    w = _kernel(w, kernel)
    config |= {"groups": group, "data_format": data_format}
    dx, dw, db = ac.conv_vjp(dy, x, w, b, wrt=wrt, **config)
    return dx, _kernel_back(dw, kernel), db


def conv_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    output_shape: Ints = None,
    data_format: str = "channels_first",
    kernel: str = "first",
    kernel_shape: Ints = None,
    **attributes: Any,
) -> Array:
    _check_kernel(w, kernel_shape, kernel)
    w = _kernel(w, kernel)
    config = _transposed(x, w, output_shape, data_format, **attributes)
    return ac.conv_transpose(x, w, b, data_format=data_format, **config)


def conv_transpose_vjp(
    dy: Array,
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    output_shape: Ints = None,
    data_format: str = "channels_first",
    kernel: str = "first",
    kernel_shape: Ints = None,
    wrt: Collection[str] = ("x", "w", "b"),
    **attributes: Any,
) -> tuple[Array | None, ...]:
    w = _kernel(w, kernel)
    config = _transposed(x, w, output_shape, data_format, **attributes)
    dx, dw, db = ac.conv_transpose_vjp(dy, x, w, b, data_format=data_format, wrt=wrt, **config)
    return dx, _kernel_back(dw, kernel), db


def _transposed(
    x: Array,
    w: Array,
    output_shape: Ints,
    data_format: str,
    *,
    auto_pad: str = "NOTSET",
    dilations: Ints = None,
    group: int = 1,
    output_padding: Ints = None,
    pads: Ints = None,
    strides: Ints = None,
) -> dict[str, Any]:
    rank = x.ndim - 2
    config = windowed(rank, auto_pad, pads, strides, dilations) | {"groups": group}
    more = tuple(output_padding or (0,) * rank)
    if output_shape is None:
        if not isinstance(config["padding"], str) or any(more):
            config["output_padding"] = more
        return config
    size = x.shape[1:-1] if data_format == "channels_last" else x.shape[2:]
    widths, extra = [], []
    for n, k, s, d, out, added in zip(
        size, w.shape[:rank], config["stride"], config["dilation"],
        tuple(output_shape)[-rank:], more, strict=True,
    ):  # fmt: skip
        total = (n - 1) * s + added + d * (k - 1) + 1 - out
        small, cut = max(total, 0) // 2, max(total, 0)
        # of an odd number of cells the larger half is cut at the end under SAME_UPPER, else at the start
        widths.append((small, cut - small) if auto_pad == "SAME_UPPER" else (cut - small, small))
        extra.append(added + max(-total, 0))
    return config | {"padding": tuple(widths), "output_padding": tuple(extra)}


register("Conv", conv, conv_vjp, channels_last=last)
register("ConvTranspose", conv_transpose, conv_transpose_vjp, channels_last=last)

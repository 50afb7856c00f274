"""Convolution, its transpose, and their gradients."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, NamedTuple

from arrayconv import engine
from arrayconv.arguments import flag, integer, known_shape
from arrayconv.namespace import (
    Array,
    Namespace,
    accumulator,
    array_namespace,
    cast,
    promoted,
    traits,
)
from arrayconv.ops.layout import (
    check_gradient,
    check_layout,
    check_wrt,
    from_last,
    spatial,
    summed,
    to_last,
)
from arrayconv.window import Ints, Padding, Window, sliding, transposed

ARGUMENTS = ("x", "w", "b")


class ConvGradients(NamedTuple):
    """The gradients of a convolution's array arguments; ``None`` where absent or not asked for."""

    dx: Array | None
    dw: Array | None
    db: Array | None


def conv(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    flip_kernel: bool = False,
    data_format: str = "channels_last",
) -> Array:
    """Convolve ``x`` with ``w`` over any number of spatial axes, and add ``b``.

    This is what deep learning calls convolution, the cross-correlation::

        y[n, o, f] = b[f] + sum over k, c of x[n, o * stride + k * dilation - before, c] * w[k, c, f]

    ``conv_vjp`` gives the gradients with respect to ``x``, ``w`` and ``b`` for an upstream gradient
    ``dy`` of ``y``: ``db`` sums ``dy`` over images and positions, ``dw`` correlates ``x`` with
    ``dy``, and ``dx`` is the transposed convolution of ``dy``.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of the result (``conv_vjp`` only).
    x : array, shape (N, *S, C_in), or (N, C_in, *S) for ``"channels_first"``
        Real floating. The number of spatial axes is ``x.ndim - 2``.
    w : array, shape (*K, C_in / groups, C_out)
        The kernel, in this layout for both data formats.
    b : array, optional
        Anything that reshapes to ``(C_out,)``; its gradient has its shape.
    stride : int or sequence of int
        Step between windows, one or one per spatial axis, at least 1.
    padding : int, sequence of int, sequence of (int, int), or str
        Zeros around the spatial axes: one number, one per axis, a pair ``(before, after)`` per
        axis; ``"valid"`` (none); ``"same"`` (the output has ``ceil(n / stride)`` cells, an odd zero
        goes to the end); ``"same_lower"`` (it goes to the start); ``"causal"`` (one spatial axis:
        output ``o`` sees nothing after input ``o``).
    dilation : int or sequence of int
        Step between the cells of one window, at least 1.
    groups : int
        Blocks of channels convolved apart; divides ``C_in`` and ``C_out``. ``groups=C_in`` is the
        depthwise convolution.
    flip_kernel : bool
        Run the kernel backwards: the convolution of mathematics.
    data_format : {"channels_last", "channels_first"}
        Layout of ``x`` and of the result.
    wrt : collection of {"x", "w", "b"}
        The gradients wanted (``conv_vjp`` only); the others are ``None`` and cost nothing.

    Returns
    -------
    array, shape (N, *out, C_out) or (N, C_out, *out)
        ``out = (n + before + after - dilation * (k - 1) - 1) // stride + 1`` along each axis, in
        the promoted dtype of the arguments. ``conv_vjp`` returns ``ConvGradients(dx, dw, db)``.

    Raises
    ------
    TypeError
        Arrays of two libraries or devices; a dtype that is not real floating; a stride, padding or
        dilation that is not integer.
    ValueError
        A window larger than the padded input, negative padding, a stride or dilation below 1,
        channels or groups that do not fit, a bias of another length, an unknown name.

    Notes
    -----
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning",
    arXiv:1603.07285: relationships 6 and 14. Products accumulate in at least float32.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.arange(16.0).reshape(1, 4, 4, 1)
    >>> w = np.ones((2, 2, 1, 1))
    >>> ac.conv(x, w, stride=2)[0, :, :, 0]
    array([[10., 18.],
           [42., 50.]])
    >>> dx, dw, db = ac.conv_vjp(np.ones((1, 2, 2, 1)), x, w, stride=2)
    >>> dw[:, :, 0, 0]
    array([[20., 24.],
           [36., 40.]])
    """
    xp = array_namespace("conv", x=x, w=w, b=b)
    x, w, b = promoted("conv", xp, x=x, w=w, b=b)
    window = _check("conv", x, w, b, stride, padding, dilation, groups, flip_kernel, data_format)
    y = engine.correlate(
        xp, to_last(xp, x, data_format), _flipped(xp, w, flip_kernel), window, groups
    )
    return from_last(xp, _with_bias(xp, y, b), data_format)


def conv_vjp(
    dy: Array,
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    dilation: Ints = 1,
    groups: int = 1,
    flip_kernel: bool = False,
    data_format: str = "channels_last",
    wrt: Collection[str] = ARGUMENTS,
) -> ConvGradients:
    xp = array_namespace("conv_vjp", dy=dy, x=x, w=w, b=b)
    dy, x, w, b = promoted("conv_vjp", xp, dy=dy, x=x, w=w, b=b)
    check_wrt("conv_vjp", wrt, ARGUMENTS)
    window = _check(
        "conv_vjp", x, w, b, stride, padding, dilation, groups, flip_kernel, data_format
    )
    check_gradient("conv_vjp", dy, _shape(x.shape[0], window.output, w.shape[-1], data_format))
    dy = to_last(xp, dy, data_format)
    dx = dw = None
    if "x" in wrt:
        dx = engine.correlate_input_vjp(xp, dy, _flipped(xp, w, flip_kernel), window, groups)
        dx = from_last(xp, dx, data_format)
    if "w" in wrt:
        dw = engine.correlate_weight_vjp(xp, to_last(xp, x, data_format), dy, window, groups)
        dw = _flipped(xp, dw, flip_kernel)
    db = _bias_gradient(xp, dy, b) if b is not None and "b" in wrt else None
    return ConvGradients(dx, dw, db)


conv_vjp.__doc__ = conv.__doc__


def conv_transpose(
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    dilation: Ints = 1,
    groups: int = 1,
    flip_kernel: bool = False,
    data_format: str = "channels_last",
) -> Array:
    """The adjoint of ``conv`` with the same ``w`` and configuration, plus ``b``.

    Every input cell adds its multiple of the kernel to the output::

        y[n, i * stride + k * dilation - before, f] += x[n, i, c] * w[k, f, c]

    so that ``sum(conv(u, w) * x) == sum(u * conv_transpose(x, w))``. ``conv_transpose_vjp`` gives
    the gradients: ``dx`` is ``conv`` of ``dy``, and ``dw`` correlates ``dy`` with ``x``.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of the result (``conv_transpose_vjp`` only).
    x : array, shape (N, *S, C_in), or (N, C_in, *S) for ``"channels_first"``
        Real floating.
    w : array, shape (*K, C_out / groups, C_in)
        The kernel of the convolution that this transposes.
    b : array, optional
        Anything that reshapes to ``(C_out,)``.
    stride, dilation : int or sequence of int
        Those of the convolution.
    padding : int, sequence of int, sequence of (int, int), "valid", "same" or "same_lower"
        That of the convolution: cells cut from the result.
    output_padding : int or sequence of int
        Cells added at the end of each axis, less than the stride or the dilation: a strided
        convolution maps several sizes to one, and this picks among them. Not with ``"same"`` and
        ``"same_lower"``, which pick themselves.
    groups : int
        Blocks of channels; divides ``C_in`` and ``C_out``.
    flip_kernel : bool
        Run the kernel backwards.
    data_format : {"channels_last", "channels_first"}
        Layout of ``x`` and of the result.
    wrt : collection of {"x", "w", "b"}
        The gradients wanted (``conv_transpose_vjp`` only).

    Returns
    -------
    array, shape (N, *out, C_out) or (N, C_out, *out)
        ``out = (n - 1) * stride - before - after + dilation * (k - 1) + output_padding + 1`` along
        each axis, and ``n * stride`` for ``"same"`` and ``"same_lower"``. ``conv_transpose_vjp``
        returns ``ConvGradients(dx, dw, db)``.

    Raises
    ------
    TypeError, ValueError
        As ``conv``; and for an ``output_padding`` that is too large or comes with ``"same"``.

    Notes
    -----
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning",
    arXiv:1603.07285: relationship 14.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 2.0]).reshape(1, 2, 1)
    >>> w = np.asarray([1.0, 10.0, 100.0]).reshape(3, 1, 1)
    >>> ac.conv_transpose(x, w, stride=2)[0, :, 0]
    array([  1.,  10., 102.,  20., 200.])
    """
    xp = array_namespace("conv_transpose", x=x, w=w, b=b)
    x, w, b = promoted("conv_transpose", xp, x=x, w=w, b=b)
    window = _check_transpose(
        "conv_transpose",
        x,
        w,
        b,
        stride,
        padding,
        output_padding,
        dilation,
        groups,
        flip_kernel,
        data_format,
    )
    w = _flipped(xp, w, flip_kernel)
    y = engine.correlate_input_vjp(xp, to_last(xp, x, data_format), w, window, groups)
    return from_last(xp, _with_bias(xp, y, b), data_format)


def conv_transpose_vjp(
    dy: Array,
    x: Array,
    w: Array,
    b: Array | None = None,
    *,
    stride: Ints = 1,
    padding: Padding = 0,
    output_padding: Ints = 0,
    dilation: Ints = 1,
    groups: int = 1,
    flip_kernel: bool = False,
    data_format: str = "channels_last",
    wrt: Collection[str] = ARGUMENTS,
) -> ConvGradients:
    op = "conv_transpose_vjp"
    xp = array_namespace(op, dy=dy, x=x, w=w, b=b)
    dy, x, w, b = promoted(op, xp, dy=dy, x=x, w=w, b=b)
    check_wrt(op, wrt, ARGUMENTS)
    window = _check_transpose(
        op, x, w, b, stride, padding, output_padding, dilation, groups, flip_kernel, data_format
    )
    check_gradient(op, dy, _shape(x.shape[0], window.size, w.shape[-2] * groups, data_format))
    dy = to_last(xp, dy, data_format)
    dx = dw = None
    if "x" in wrt:
        dx = engine.correlate(xp, dy, _flipped(xp, w, flip_kernel), window, groups)
        dx = from_last(xp, dx, data_format)
    if "w" in wrt:
        dw = engine.correlate_weight_vjp(xp, dy, to_last(xp, x, data_format), window, groups)
        dw = _flipped(xp, dw, flip_kernel)
    db = _bias_gradient(xp, dy, b) if b is not None and "b" in wrt else None
    return ConvGradients(dx, dw, db)


conv_transpose_vjp.__doc__ = conv_transpose.__doc__


def _check(
    op: str,
    x: Array,
    w: Array,
    b: Array | None,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: Any,
    flip_kernel: Any,
    data_format: str,
) -> Window:
    check_layout(op, x.shape, data_format)
    channels = x.shape[-1] if data_format == "channels_last" else x.shape[1]
    _check_weights(op, x, w, groups, data_format)
    flag(op, "flip_kernel", flip_kernel)
    if channels % groups or w.shape[-1] % groups:
        raise ValueError(
            f"{op}: groups must divide the channels of x and the output channels of w, got groups={groups} with "
            f"{channels} and {w.shape[-1]}"
        )
    if w.shape[-2] != channels // groups:
        raise ValueError(
            f"{op}: w expects {w.shape[-2]} input channels per group, x has {channels // groups} "
            f"(x: {tuple(x.shape)}, w: {tuple(w.shape)}, groups={groups})"
        )
    _check_bias(op, b, w.shape[-1])
    size = spatial(x.shape, data_format)
    return sliding(op, size, tuple(w.shape[:-2]), stride, padding, dilation)


def _check_transpose(
    op: str,
    x: Array,
    w: Array,
    b: Array | None,
    stride: Any,
    padding: Any,
    output_padding: Any,
    dilation: Any,
    groups: Any,
    flip_kernel: Any,
    data_format: str,
) -> Window:
    check_layout(op, x.shape, data_format)
    channels = x.shape[-1] if data_format == "channels_last" else x.shape[1]
    _check_weights(op, x, w, groups, data_format)
    flag(op, "flip_kernel", flip_kernel)
    if channels % groups:
        raise ValueError(
            f"{op}: groups must divide the channels of x, got groups={groups} with {channels}"
        )
    if w.shape[-1] != channels:
        raise ValueError(
            f"{op}: w expects {w.shape[-1]} input channels, x has {channels} "
            f"(x: {tuple(x.shape)}, w: {tuple(w.shape)}, the kernel of the convolution that is transposed)"
        )
    _check_bias(op, b, w.shape[-2] * groups)
    size = spatial(x.shape, data_format)
    return transposed(op, size, tuple(w.shape[:-2]), stride, padding, output_padding, dilation)


def _check_weights(op: str, x: Array, w: Array, groups: Any, data_format: str) -> None:
    if w.ndim != x.ndim:
        raise ValueError(
            f"{op}: w must have {x.ndim} axes, {x.ndim - 2} spatial ones and two of channels, for x of shape "
            f"{tuple(x.shape)} ({data_format}); got shape {tuple(w.shape)}"
        )
    known_shape(op, "w", w.shape)
    integer(op, "groups", groups, least=1)
    if 0 in w.shape:
        raise ValueError(f"{op}: w must not be empty, got shape {tuple(w.shape)}")


def _check_bias(op: str, b: Array | None, features: int) -> None:
    if b is not None and math.prod(b.shape) != features:
        raise ValueError(
            f"{op}: b must have {features} elements, one per output channel, got shape {tuple(b.shape)}"
        )


def _shape(batch: int, size: tuple[int, ...], channels: int, data_format: str) -> tuple[int, ...]:
    return (batch, *size, channels) if data_format == "channels_last" else (batch, channels, *size)


def _flipped(xp: Namespace, w: Array, flip_kernel: bool) -> Array:
    return xp.flip(w, axis=tuple(range(w.ndim - 2))) if flip_kernel else w


def _with_bias(xp: Namespace, y: Array, b: Array | None) -> Array:
    if b is None:
        return y
    # the leading axes keep JAX's strict rank promotion content
    return y + xp.reshape(b, (1,) * (y.ndim - 1) + (y.shape[-1],))


def _bias_gradient(xp: Namespace, dy: Array, b: Array) -> Array:
    total = cast(xp, dy, accumulator(xp, dy.dtype))
    at = traits(xp, dy)
    if at.mutable and not at.accelerator:
        for axis in reversed(range(dy.ndim - 1)):
            total = summed(xp, total, axis)
    else:
        total = xp.sum(total, axis=tuple(range(dy.ndim - 1)))
    return xp.reshape(cast(xp, total, dy.dtype), b.shape)

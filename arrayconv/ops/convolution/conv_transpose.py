"""Transposed convolution, the adjoint of convolution, and its gradients."""

from __future__ import annotations

from collections.abc import Collection

from arrayconv import engine
from arrayconv.arguments import suggesting
from arrayconv.namespace import Array, floating
from arrayconv.ops.convolution.arguments import (
    ARGUMENTS,
    ConvGradients,
    check_transpose,
    result_shape,
)
from arrayconv.ops.convolution.parts import bias_gradient, flipped
from arrayconv.ops.layout import check_gradient, check_wrt, from_last, to_last
from arrayconv.window import Ints, Padding


@suggesting
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
    r"""The adjoint of ``conv`` with the same ``w`` and configuration, plus ``b``.

    Every input cell ``i`` adds its multiple of the kernel to the output cells ``j`` around it:

    .. math::

        y_{n,j,f} = b_f + \sum_{s \cdot i + d \cdot k - p = j} \, \sum_c \, x_{n,i,c} \; w_{k,f,c}

    with the stride ``s``, the dilation ``d`` and ``p`` cells cut off before the first. It is the
    adjoint because for every ``u``

    .. math::

        \sum \operatorname{conv}(u, w) \, x = \sum u \operatorname{conv\_transpose}(x, w)

    Parameters
    ----------
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

    Returns
    -------
    array, shape (N, *out, C_out) or (N, C_out, *out)
        For ``"same"`` and ``"same_lower"`` ``n * stride`` cells along an axis of ``n``, else

        .. math::

            out = {} & (n - 1) \, s + d \, (k - 1) + 1

            & - before - after

            & + output\_padding

        where ``k`` is the number of cells of the kernel.

    Raises
    ------
    TypeError, ValueError
        As ``conv``; and for an ``output_padding`` that is too large or comes with ``"same"``.

    See Also
    --------
    conv_transpose_vjp : Its gradients.

    Notes
    -----
    V. Dumoulin and F. Visin, "A guide to convolution arithmetic for deep learning",
    arXiv:1603.07285: relationship 14. Near the borders the kernel reaches beyond ``x``, which counts as 0
    there. An infinite or NaN weight times such a 0 is NaN, so it may reach cells that it never met.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 2.0]).reshape(1, 2, 1)
    >>> w = np.asarray([1.0, 10.0, 100.0]).reshape(3, 1, 1)
    >>> ac.conv_transpose(x, w, stride=2)[0, :, 0]
    array([  1.,  10., 102.,  20., 200.])
    """
    xp, x, w, b = floating("conv_transpose", x=x, w=w, b=b)
    window = check_transpose(
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
    w = flipped(xp, w, flip_kernel)
    y = engine.correlate_input_vjp(xp, to_last(xp, x, data_format), w, window, groups, b)
    return from_last(xp, y, data_format)


@suggesting
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
    r"""The gradients of ``conv_transpose`` with respect to ``x``, ``w`` and ``b``.

    .. math::

        dx_{n,i,c} &= \sum_{k,f} dy_{n, s \cdot i + d \cdot k - p, f} \; w_{k,f,c}

        dw_{k,f,c} &= \sum_{n,i} dy_{n, s \cdot i + d \cdot k - p, f} \; x_{n,i,c}

        db_f &= \sum_{n,j} dy_{n,j,f}

    The letters are those of ``conv_transpose``. ``dx`` is ``conv`` of ``dy`` with the same kernel,
    and ``dw`` correlates ``dy`` with ``x``.

    Parameters
    ----------
    dy : array, shape (N, *out, C_out) or (N, C_out, *out)
        Upstream gradient, of the shape of ``conv_transpose``'s result.
    x, w, b, stride, padding, output_padding, dilation, groups, flip_kernel, data_format
        As for ``conv_transpose``.
    wrt : collection of {"x", "w", "b"}
        The gradients wanted; the others are ``None`` and cost nothing.

    Returns
    -------
    ConvGradients
        The named tuple ``(dx, dw, db)``, each gradient of the shape of its argument and in the
        promoted dtype. ``None`` for what ``wrt`` leaves out, and for ``db`` where ``b`` is
        ``None``.

    Raises
    ------
    TypeError, ValueError
        As ``conv_transpose``; and for a ``dy`` that has not the shape of the result, or a ``wrt``
        that is no collection of these names.

    See Also
    --------
    conv_transpose : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 2.0]).reshape(1, 2, 1)
    >>> w = np.asarray([1.0, 10.0, 100.0]).reshape(3, 1, 1)
    >>> dy = np.asarray([1.0, 2.0, 3.0, 4.0, 5.0]).reshape(1, 5, 1)
    >>> dx, dw, db = ac.conv_transpose_vjp(dy, x, w, stride=2)
    >>> dx[0, :, 0]
    array([321., 543.])
    >>> dw[:, 0, 0]
    array([ 7., 10., 13.])
    """
    op = "conv_transpose_vjp"
    xp, dy, x, w, b = floating(op, dy=dy, x=x, w=w, b=b)
    check_wrt(op, wrt, ARGUMENTS)
    window = check_transpose(
        op, x, w, b, stride, padding, output_padding, dilation, groups, flip_kernel, data_format
    )
    check_gradient(op, dy, result_shape(x.shape[0], window.size, w.shape[-2] * groups, data_format))
    dy = to_last(xp, dy, data_format)
    dx = dw = None
    if "x" in wrt:
        dx = engine.correlate(xp, dy, flipped(xp, w, flip_kernel), window, groups)
        dx = from_last(xp, dx, data_format)
    if "w" in wrt:
        dw = engine.correlate_weight_vjp(xp, dy, to_last(xp, x, data_format), window, groups)
        dw = flipped(xp, dw, flip_kernel)
    db = bias_gradient(xp, dy, b) if b is not None and "b" in wrt else None
    return ConvGradients(dx, dw, db)

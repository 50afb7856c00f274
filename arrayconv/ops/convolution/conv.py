"""Convolution and its gradients."""

from __future__ import annotations

from collections.abc import Collection

from arrayconv import engine
from arrayconv.arguments import suggesting
from arrayconv.namespace import Array, floating
from arrayconv.ops.convolution.arguments import (
    ARGUMENTS,
    ConvGradients,
    check_conv,
    result_shape,
)
from arrayconv.ops.convolution.parts import bias_gradient, flipped
from arrayconv.ops.layout import check_gradient, check_wrt, from_last, to_last
from arrayconv.window import Ints, Padding


@suggesting
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
    r"""Convolve ``x`` with ``w`` over any number of spatial axes, and add ``b``.

    This is what deep learning calls convolution, the cross-correlation:

    .. math::

        y_{n,o,f} = b_f + \sum_{k,c} x_{n, s \cdot o + d \cdot k - p, c} \; w_{k,c,f}

    for image ``n``, output cell ``o`` and output channel ``f``. The sum runs over the cells ``k`` of
    the kernel and the input channels ``c``; ``s`` is the stride, ``d`` the dilation and ``p`` the
    padding before the first cell, and ``x`` is 0 outside.

    Parameters
    ----------
    x : array, shape (N, *S, C_in), or (N, C_in, *S) for ``"channels_first"``
        Real floating. The number of spatial axes is ``x.ndim - 2``.
    w : array, shape (*K, C_in / groups, C_out)
        The kernel, in this layout for both data formats.
    b : array, optional
        Anything that reshapes to ``(C_out,)``.
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

    Returns
    -------
    array, shape (N, *out, C_out) or (N, C_out, *out)
        In the promoted dtype of the arguments. Along each axis of ``n`` cells

        .. math::

            out = \left\lfloor \frac{n + before + after - d \, (k - 1) - 1}{s} \right\rfloor + 1

        where ``k`` is the number of cells of the kernel.

    Raises
    ------
    TypeError
        Arrays of two libraries or devices; a dtype that is not real floating; a stride, padding or
        dilation that is not integer.
    ValueError
        A window larger than the padded input, negative padding, a stride or dilation below 1,
        channels or groups that do not fit, a bias of another length, an unknown name.

    See Also
    --------
    conv_vjp : Its gradients.

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
    """
    xp, x, w, b = floating("conv", x=x, w=w, b=b)
    window = check_conv(
        "conv", x, w, b, stride, padding, dilation, groups, flip_kernel, data_format
    )
    y = engine.correlate(
        xp, to_last(xp, x, data_format), flipped(xp, w, flip_kernel), window, groups, b
    )
    return from_last(xp, y, data_format)


@suggesting
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
    r"""The gradients of ``conv`` with respect to ``x``, ``w`` and ``b``.

    .. math::

        dx_{n,i,c} &= \sum_{s \cdot o + d \cdot k - p = i} \, \sum_f \, dy_{n,o,f} \; w_{k,c,f}

        dw_{k,c,f} &= \sum_{n,o} x_{n, s \cdot o + d \cdot k - p, c} \; dy_{n,o,f}

        db_f &= \sum_{n,o} dy_{n,o,f}

    The letters are those of ``conv``. The first sum runs over all pairs of an output cell ``o`` and
    a kernel cell ``k`` that read the input cell ``i``: ``dx`` is the transposed convolution of
    ``dy``, and ``dw`` correlates ``x`` with ``dy``.

    Parameters
    ----------
    dy : array, shape (N, *out, C_out) or (N, C_out, *out)
        Upstream gradient, of the shape of ``conv``'s result.
    x, w, b, stride, padding, dilation, groups, flip_kernel, data_format
        As for ``conv``.
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
        As ``conv``; and for a ``dy`` that has not the shape of the result, or a ``wrt`` that is no
        collection of these names.

    See Also
    --------
    conv : What this differentiates.

    Notes
    -----
    Near the borders the kernel reaches beyond ``dy``, which counts as 0 there. An infinite or NaN
    weight times such a 0 is NaN, so it may reach cells of ``dx`` that it never met.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 2.0, 3.0]).reshape(1, 3, 1)
    >>> w = np.asarray([10.0, 1.0]).reshape(2, 1, 1)
    >>> dy = np.asarray([1.0, 100.0]).reshape(1, 2, 1)
    >>> dx, dw, db = ac.conv_vjp(dy, x, w, np.zeros(1))
    >>> dx[0, :, 0]
    array([  10., 1001.,  100.])
    >>> dw[:, 0, 0]
    array([201., 302.])
    >>> db
    array([101.])
    """
    xp, dy, x, w, b = floating("conv_vjp", dy=dy, x=x, w=w, b=b)
    check_wrt("conv_vjp", wrt, ARGUMENTS)
    window = check_conv(
        "conv_vjp", x, w, b, stride, padding, dilation, groups, flip_kernel, data_format
    )
    check_gradient(
        "conv_vjp", dy, result_shape(x.shape[0], window.output, w.shape[-1], data_format)
    )
    dy = to_last(xp, dy, data_format)
    dx = dw = None
    if "x" in wrt:
        cells, kernel = to_last(xp, x, data_format), flipped(xp, w, flip_kernel)
        dx = engine.correlate_input_vjp(xp, dy, kernel, window, groups, x=cells)
        dx = from_last(xp, dx, data_format)
    if "w" in wrt:
        dw = engine.correlate_weight_vjp(xp, to_last(xp, x, data_format), dy, window, groups)
        dw = flipped(xp, dw, flip_kernel)
    db = bias_gradient(xp, dy, b) if b is not None and "b" in wrt else None
    return ConvGradients(dx, dw, db)

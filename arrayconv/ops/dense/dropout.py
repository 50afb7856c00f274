"""Dropout by a given mask."""

from __future__ import annotations

from typing import NamedTuple

from arrayconv.arguments import known_shape, number, suggesting
from arrayconv.namespace import Array, Namespace, array_namespace, promoted, scalar
from arrayconv.ops.layout import check_gradient


class DropoutGradients(NamedTuple):
    """The gradients of the array arguments of `dropout`; the mask has none."""

    dx: Array
    dmask: None


@suggesting
def dropout(x: Array, mask: Array, *, rate: float) -> Array:
    """Keep the cells of ``x`` that ``mask`` names, scaled by ``1 / (1 - rate)``; the others become 0.

    The randomness is the caller's, so the operation is a function of its arguments, as under a
    compiler: draw ``mask = uniform >= rate``.

    Parameters
    ----------
    x : array
        Of any shape; real floating.
    mask : array
        Boolean, True keeps; of the shape of ``x``, or with length 1 along axes that share a draw.
    rate : float
        Share of the cells that are dropped, at least 0 and less than 1.

    Returns
    -------
    array
        Of the shape and dtype of ``x``.

    Raises
    ------
    TypeError
        A mask that is not boolean, an ``x`` that is not real floating, a rate that is no number.
    ValueError
        A mask that does not fit ``x``, or a rate outside ``[0, 1)``.

    See Also
    --------
    dropout_vjp : Its gradients.

    Notes
    -----
    N. Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", JMLR
    15 (2014), section 10: the scaling at training time, as in Keras and PyTorch.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.dropout(np.asarray([1.0, 2.0, 3.0]), np.asarray([True, False, True]), rate=0.5)
    array([2., 0., 6.])
    """
    xp = array_namespace("dropout", x=x, mask=mask)
    (x,) = promoted("dropout", xp, x=x)
    rate = _check_dropout("dropout", xp, x, mask, rate)
    return _dropped(xp, x, mask, rate)


@suggesting
def dropout_vjp(dy: Array, x: Array, mask: Array, *, rate: float) -> DropoutGradients:
    r"""The gradient of ``dropout``: to ``dy`` what the forward pass does to ``x``.

    .. math::

        dx = \frac{mask}{1 - rate} \, dy

    Parameters
    ----------
    dy : array, of the shape of ``x``
        Upstream gradient.
    x, mask, rate
        As for ``dropout``.

    Returns
    -------
    DropoutGradients
        The named tuple ``(dx, dmask)``: ``dx`` of the shape of ``x``, in the promoted dtype of
        ``dy`` and ``x``, and ``None`` for the mask, which is boolean.

    Raises
    ------
    TypeError, ValueError
        As ``dropout``; and for a ``dy`` that has not the shape of ``x``.

    See Also
    --------
    dropout : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> mask = np.asarray([True, False, True])
    >>> ac.dropout_vjp(np.asarray([10.0, 20.0, 30.0]), np.ones(3), mask, rate=0.5).dx
    array([20.,  0., 60.])
    """
    xp = array_namespace("dropout_vjp", dy=dy, x=x, mask=mask)
    dy, x = promoted("dropout_vjp", xp, dy=dy, x=x)
    rate = _check_dropout("dropout_vjp", xp, x, mask, rate)
    check_gradient("dropout_vjp", dy, x.shape)
    return DropoutGradients(_dropped(xp, dy, mask, rate), None)


def _dropped(xp: Namespace, x: Array, mask: Array, rate: float) -> Array:
    return xp.where(mask, x * (1 / (1 - rate)), scalar(xp, 0, x))


def _check_dropout(op: str, xp: Namespace, x: Array, mask: Array, rate: float) -> float:
    if not xp.isdtype(mask.dtype, "bool"):
        raise TypeError(
            f"{op}: mask must be boolean (True keeps), got {mask.dtype}; write mask != 0"
        )
    known_shape(op, "x", x.shape)
    known_shape(op, "mask", mask.shape)
    fits = mask.ndim == x.ndim and all(
        m in (1, n) for m, n in zip(mask.shape, x.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{op}: mask must have the shape of x, {tuple(x.shape)}, or length 1 along some of its axes, got "
            f"{tuple(mask.shape)}"
        )
    return number(op, "rate", rate, least=0, below=1)

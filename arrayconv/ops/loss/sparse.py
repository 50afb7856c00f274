"""Cross-entropy against the number of a class, of probabilities and of logits."""

from __future__ import annotations

import math

from arrayconv.arguments import suggesting
from arrayconv.namespace import Array, cast, fused, placement, scalar
from arrayconv.ops.activation import log_softmax, softmax
from arrayconv.ops.activation.elementwise import step
from arrayconv.ops.loss.reduction import (
    Arguments,
    LossGradients,
    arguments,
    divisor,
    gradients,
    logarithm,
    reduced,
)


@suggesting
def sparse_categorical_cross_entropy(
    y_pred: Array, y_true: Array, *, reduction: str = "mean", from_logits: bool = False
) -> Array:
    r"""The cross-entropy of each sample's classes, given by number, then its mean over the batch.

    .. math::

        \ell_n = -\frac{1}{M} \sum_m \log p_{n,m,t_{n,m}}

    for sample ``n`` of ``M`` positions, where the labels ``t`` are ``y_true`` and ``p`` is
    ``y_pred``, or ``softmax(y_pred)`` with ``from_logits``, with the classes on the last axis. It is
    ``categorical_cross_entropy`` without its one-hot rows.

    Parameters
    ----------
    y_pred : array, shape (N, ..., K)
        Real floating: probabilities, or logits.
    y_true : array, shape (N, ...)
        Integer class numbers from 0 to ``K - 1``. Their values are not looked at: another number
        gives NaN.
    reduction : {"mean", "sum", "none"}
        The mean or the sum of the samples' values, or one value per sample. ``"mean"`` is
        PyTorch's; its ``"sum"`` adds up positions, and this one samples.
    from_logits : bool
        Whether ``y_pred`` are logits: more accurate, and stable for logits of any size.

    Returns
    -------
    array, shape () or (N,)
        In the dtype of ``y_pred``, computed in at least float32.

    Raises
    ------
    TypeError
        A ``y_pred`` that is not real floating, labels that are not integer, arrays of two libraries, a
        ``from_logits`` that is no bool.
    ValueError
        Labels of another shape than ``y_pred``'s without its last axis, an empty ``y_pred``, an
        unknown reduction.

    See Also
    --------
    sparse_categorical_cross_entropy_vjp : Its gradients.

    Notes
    -----
    Probabilities are taken as they are (Keras divides them by their sum first). Exactly 0, they
    count as in PyTorch's binary cross-entropy: no logarithm is less than -100 (Keras clips
    them to 1e-7 from either end).

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> y_pred, labels = np.asarray([[0.5, 0.5], [0.25, 0.75]]), np.asarray([0, 1])
    >>> ac.sparse_categorical_cross_entropy(y_pred, labels, reduction="none")
    array([0.69314718, 0.28768207])
    >>> logits = np.asarray([[0.0, 0.0], [1e4, -1e4]])
    >>> ac.sparse_categorical_cross_entropy(logits, labels, reduction="none", from_logits=True)
    array([6.93147181e-01, 2.00000000e+04])
    """
    a = arguments(
        "sparse_categorical_cross_entropy",
        y_pred,
        y_true,
        reduction,
        "classes",
        from_logits=from_logits,
    )
    xp, classes = a.xp, a.pred.shape[-1]
    label, order = _numbered(a)

    def of_label(p: Array, label: Array, order: Array) -> Array:
        logs = p if from_logits else logarithm(xp, p)
        return xp.where(label == order, logs, scalar(xp, 0, logs))

    def or_nan(value: Array, label: Array) -> Array:
        return xp.where(_known(label, classes), value, scalar(xp, math.nan, value))

    pred = log_softmax(a.pred) if from_logits else a.pred
    values = -xp.sum(fused(xp, of_label, pred, label, order), axis=-1)
    return reduced(a, fused(xp, or_nan, values, label[..., 0]), reduction)


@suggesting
def sparse_categorical_cross_entropy_vjp(
    dy: Array,
    y_pred: Array,
    y_true: Array,
    *,
    reduction: str = "mean",
    from_logits: bool = False,
) -> LossGradients:
    r"""The gradient of ``sparse_categorical_cross_entropy`` with respect to ``y_pred``.

    .. math::

        dp_k = \begin{cases} -a / p_k & k \text{ is the label} \\ 0 & \text{elsewhere} \end{cases}

    With ``from_logits`` it is that of the logits: ``a * (p - 1)`` for the label's class and ``a *
    p`` for the others. ``p`` stands for the probabilities; ``a`` is the part of ``dy`` that falls
    to a position, with ``N`` samples of ``M`` positions: ``dy / (N * M)`` under ``"mean"``, ``dy /
    M`` under ``"sum"`` and ``dy[n] / M`` under ``"none"``. The divisor is at least 1e-12. A label
    that is no class gives NaN at its position.

    Parameters
    ----------
    dy : array, shape () or (N,)
        Upstream gradient.
    y_pred, y_true, reduction, from_logits
        As for ``sparse_categorical_cross_entropy``.

    Returns
    -------
    LossGradients
        The named tuple ``(dy_pred, dy_true)``: the gradient of ``y_pred``, of its shape, in the
        promoted dtype of ``dy`` and ``y_pred``, and ``None`` for the labels.

    Raises
    ------
    TypeError, ValueError
        As ``sparse_categorical_cross_entropy``; and for a ``dy`` that has not the shape of the
        result.

    See Also
    --------
    sparse_categorical_cross_entropy : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> p, labels = np.asarray([[0.5, 0.5], [0.75, 0.25]]), np.asarray([0, 1])
    >>> ac.sparse_categorical_cross_entropy_vjp(np.asarray(1.0), p, labels).dy_pred
    array([[-1.,  0.],
           [ 0., -2.]])
    >>> logits, dy = np.zeros((2, 2)), np.asarray(1.0)
    >>> ac.sparse_categorical_cross_entropy_vjp(dy, logits, labels, from_logits=True).dy_pred
    array([[-0.25,  0.25],
           [ 0.25, -0.25]])
    """
    op = "sparse_categorical_cross_entropy_vjp"
    a = arguments(op, y_pred, y_true, reduction, "classes", dy, from_logits)
    xp, classes = a.xp, a.pred.shape[-1]

    def slope(p: Array, label: Array, order: Array) -> Array:
        hit, zero = label == order, scalar(xp, 0, p)
        value = p - step(xp, hit, p) if from_logits else xp.where(hit, -1.0 / divisor(xp, p), zero)
        return xp.where(_known(label, classes), value, scalar(xp, math.nan, p))

    pred = softmax(a.pred) if from_logits else a.pred
    return gradients(a, y_true, fused(xp, slope, pred, *_numbered(a)), None)


def _numbered(a: Arguments) -> tuple[Array, Array]:
    """The labels ``(N, ..., 1)`` and the numbers of the classes along the last axis, in one dtype."""
    xp, classes = a.xp, a.pred.shape[-1]
    order = xp.arange(classes, **placement(a.pred))
    # the labels in the wider type: the classes may be more than a uint8 counts
    label = xp.expand_dims(cast(xp, a.true, order.dtype), axis=-1)
    return label, xp.reshape(order, (1,) * (label.ndim - 1) + (classes,))


def _known(label: Array, classes: int) -> Array:
    """Whether there is a class of that number."""
    return (label >= 0) & (label < classes)

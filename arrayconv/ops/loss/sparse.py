"""Cross-entropy against the number of a class, of probabilities and of logits."""

from __future__ import annotations

import math

from arrayconv.arguments import flag
from arrayconv.namespace import Array, cast, placement
from arrayconv.ops.activation import log_softmax, softmax
from arrayconv.ops.layout import scalar
from arrayconv.ops.loss.reduction import (
    Arguments,
    LossGradients,
    arguments,
    divisor,
    gradients,
    logarithm,
    reduced,
)


def sparse_categorical_cross_entropy(
    y_pred: Array, y_true: Array, *, reduction: str = "mean", from_logits: bool = False
) -> Array:
    """The mean of ``-log(p[label])`` over the positions of each sample, then over the batch.

    ``p`` is ``y_pred``, or ``softmax(y_pred)`` with ``from_logits``, with the classes on the last
    axis, and the labels are ``y_true``: ``categorical_cross_entropy`` without its one-hot rows.
    With 1 for the label's class and 0 for the others as ``hit``,
    ``sparse_categorical_cross_entropy_vjp`` returns ``-hit / p``, or ``p - hit`` with
    ``from_logits``, times each position's share of ``dy``.

    Parameters
    ----------
    dy : array
        Upstream gradient, of the shape of the result (``sparse_categorical_cross_entropy_vjp``
        only).
    y_pred : array, shape (N, ..., K)
        Real floating: probabilities, or logits.
    y_true : array, shape (N, ...)
        Integer class numbers from 0 to ``K - 1``; they have no gradient. Their values are not
        looked at: another number gives NaN, in the loss and in that position's gradient.
    reduction : {"mean", "sum", "none"}
        The mean or the sum of the samples' values, or one value per sample. ``"mean"`` is
        PyTorch's; its ``"sum"`` adds up positions, and this one samples.
    from_logits : bool
        Whether ``y_pred`` are logits: more accurate, and stable for logits of any size.

    Returns
    -------
    array, shape () or (N,)
        In the dtype of ``y_pred``, computed in at least float32.
        ``sparse_categorical_cross_entropy_vjp`` returns ``LossGradients(dy_pred, None)``.

    Raises
    ------
    TypeError
        A ``y_pred`` that is not real floating, labels that are not integer, arrays of two libraries, a
        ``from_logits`` that is no bool.
    ValueError
        Labels of another shape than ``y_pred``'s without its last axis, an empty ``y_pred``, ``dy``
        of the wrong shape, an unknown reduction.

    Notes
    -----
    Probabilities are taken as they are (Keras divides them by their sum first). Exactly 0, they
    count as in PyTorch's binary cross-entropy: no logarithm is less than -100, and the gradient
    divides by at least 1e-12 (Keras clips them to 1e-7 from either end).

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
    >>> ac.sparse_categorical_cross_entropy_vjp(
    ...     np.ones(()), logits, labels, from_logits=True
    ... ).dy_pred
    array([[-0.25, 0.25],
           [ 0.5 , -0.5 ]])
    """
    flag("sparse_categorical_cross_entropy", "from_logits", from_logits)
    a = arguments("sparse_categorical_cross_entropy", y_pred, y_true, reduction, "classes")
    xp = a.xp
    hit, valid = _hits(a)
    logs = log_softmax(a.pred) if from_logits else logarithm(xp, a.pred)
    values = -xp.sum(xp.where(hit, logs, scalar(xp, 0, logs)), axis=-1)
    return reduced(a, xp.where(valid[..., 0], values, scalar(xp, math.nan, logs)), reduction)


def sparse_categorical_cross_entropy_vjp(
    dy: Array,
    y_pred: Array,
    y_true: Array,
    *,
    reduction: str = "mean",
    from_logits: bool = False,
) -> LossGradients:
    op = "sparse_categorical_cross_entropy_vjp"
    flag(op, "from_logits", from_logits)
    a = arguments(op, y_pred, y_true, reduction, "classes", dy)
    xp = a.xp
    hit, valid = _hits(a)
    if from_logits:
        slope = softmax(a.pred) - cast(xp, hit, a.pred.dtype)
    else:
        slope = xp.where(hit, -1.0 / divisor(xp, a.pred), scalar(xp, 0, a.pred))
    return gradients(a, y_true, xp.where(valid, slope, scalar(xp, math.nan, slope)), None)


sparse_categorical_cross_entropy_vjp.__doc__ = sparse_categorical_cross_entropy.__doc__


def _hits(a: Arguments) -> tuple[Array, Array]:
    """Where each position's class is, as booleans ``(N, ..., K)``, and whether there is one."""
    xp, classes = a.xp, a.pred.shape[-1]
    order = xp.arange(classes, **placement(a.pred))
    # the labels in the wider type: the classes may be more than a uint8 counts
    label = xp.expand_dims(cast(xp, a.true, order.dtype), axis=-1)
    order = xp.reshape(order, (1,) * (label.ndim - 1) + (classes,))
    return label == order, (label >= 0) & (label < classes)

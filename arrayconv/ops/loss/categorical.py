"""Cross-entropy against a distribution over the classes, of probabilities and of logits."""

from __future__ import annotations

import math

from arrayconv.arguments import suggesting
from arrayconv.namespace import Array, Namespace, fused, scalar
from arrayconv.ops.activation import log_softmax
from arrayconv.ops.loss.reduction import (
    LossGradients,
    arguments,
    divisor,
    gradients,
    logarithm,
    reduced,
)


@suggesting
def categorical_cross_entropy(
    y_pred: Array, y_true: Array, *, reduction: str = "mean", from_logits: bool = False
) -> Array:
    r"""The cross-entropy of each sample's classes, then its mean over the batch.

    .. math::

        \ell_n = -\frac{1}{M} \sum_{m,k} t_{n,m,k} \log p_{n,m,k}

    for sample ``n`` of ``M`` positions, with the classes ``k`` on the last axis, where ``t`` is
    ``y_true`` and ``p`` is ``y_pred``, or ``softmax(y_pred)`` with ``from_logits``.

    Parameters
    ----------
    y_pred : array, shape (N, ..., K)
        Real floating: probabilities, or logits.
    y_true : array, of the shape of ``y_pred``
        Real floating, or integer or boolean one-hot rows.
    reduction : {"mean", "sum", "none"}
        The mean or the sum of the samples' values, or one value per sample. ``"mean"`` is
        PyTorch's; its ``"sum"`` adds up positions, and this one samples.
    from_logits : bool
        Whether ``y_pred`` are logits: more accurate, and stable for logits of any size.

    Returns
    -------
    array, shape () or (N,)
        In the promoted floating dtype, computed in at least float32.

    Raises
    ------
    TypeError
        A ``y_pred`` that is not real floating, a complex ``y_true``, arrays of two libraries, a
        ``from_logits`` that is no bool.
    ValueError
        Two shapes that differ, a ``y_pred`` that is empty or has no class axis, an unknown
        reduction.

    See Also
    --------
    categorical_cross_entropy_vjp : Its gradients.

    Notes
    -----
    Probabilities are taken as they are (Keras divides them by their sum first). Exactly 0, they
    count as in PyTorch's binary cross-entropy: no logarithm is less than -100 (Keras clips
    them to 1e-7 from either end). A logit of minus infinity leaves its class out: it costs nothing
    where ``t`` is 0 (PyTorch gives NaN).

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> y_pred, y_true = np.asarray([[0.5, 0.5], [0.0, 1.0]]), np.asarray([[1, 0], [0, 1]])
    >>> ac.categorical_cross_entropy(y_pred, y_true, reduction="none")
    array([0.69314718, 0. ])
    >>> logits = np.asarray([[0.0, 0.0], [-1e4, 1e4]])
    >>> ac.categorical_cross_entropy(logits, y_true, reduction="none", from_logits=True)
    array([0.69314718, 0. ])
    """
    a = arguments(
        "categorical_cross_entropy", y_pred, y_true, reduction, "rows", from_logits=from_logits
    )
    xp = a.xp
    if from_logits:
        terms = fused(xp, lambda logs, t: _of_logarithms(xp, logs, t), log_softmax(a.pred), a.true)
    else:
        terms = fused(xp, lambda p, t: t * logarithm(xp, p), a.pred, a.true)
    return reduced(a, -xp.sum(terms, axis=-1), reduction)


@suggesting
def categorical_cross_entropy_vjp(
    dy: Array,
    y_pred: Array,
    y_true: Array,
    *,
    reduction: str = "mean",
    from_logits: bool = False,
) -> LossGradients:
    r"""The gradients of ``categorical_cross_entropy`` with respect to ``y_pred`` and ``y_true``.

    .. math::

        dp = -a \, \frac{t}{p}, \quad dt = -a \log p

    With ``from_logits`` the first is that of the logits, :math:`a \, (p \sum t - t)`, the sum over
    the classes. ``t`` stands for ``y_true`` and ``p`` for the probabilities; ``a`` is the part of
    ``dy`` that falls to a position, with ``N`` samples of ``M`` positions: ``dy / (N * M)`` under
    ``"mean"``, ``dy / M`` under ``"sum"`` and ``dy[n] / M`` under ``"none"``. The divisor is at
    least 1e-12, and no logarithm of a given probability is less than -100.

    Parameters
    ----------
    dy : array, shape () or (N,)
        Upstream gradient.
    y_pred, y_true, reduction, from_logits
        As for ``categorical_cross_entropy``.

    Returns
    -------
    LossGradients
        The named tuple ``(dy_pred, dy_true)``, that is ``(dp, dt)``, of the shapes of ``y_pred``
        and ``y_true`` and in the promoted dtype. ``dy_true`` is ``None`` where the labels are
        integer or boolean.

    Raises
    ------
    TypeError, ValueError
        As ``categorical_cross_entropy``; and for a ``dy`` that has not the shape of the result.

    See Also
    --------
    categorical_cross_entropy : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> p, t = np.asarray([[0.5, 0.5], [0.75, 0.25]]), np.asarray([[1.0, 0.0], [0.0, 1.0]])
    >>> ac.categorical_cross_entropy_vjp(np.asarray(1.0), p, t).dy_pred
    array([[-1., -0.],
           [-0., -2.]])
    >>> logits = np.zeros((2, 2))
    >>> ac.categorical_cross_entropy_vjp(np.asarray(1.0), logits, t, from_logits=True).dy_pred
    array([[-0.25,  0.25],
           [ 0.25, -0.25]])
    """
    a = arguments(
        "categorical_cross_entropy_vjp", y_pred, y_true, reduction, "rows", dy, from_logits
    )
    xp = a.xp
    if from_logits:
        logs, total = log_softmax(a.pred), xp.sum(a.true, axis=-1, keepdims=True)
        slope = fused(xp, lambda logs, total, t: xp.exp(logs) * total - t, logs, total, a.true)
        return gradients(a, y_true, slope, -logs)
    slope = fused(xp, lambda p, t: -t / divisor(xp, p), a.pred, a.true)
    return gradients(a, y_true, slope, fused(xp, lambda p: -logarithm(xp, p), a.pred))


def _of_logarithms(xp: Namespace, logs: Array, t: Array) -> Array:
    # a class whose logit is minus infinity costs nothing where it is not the one
    left_out = (t == 0) & (logs == -math.inf)
    return t * xp.where(left_out, scalar(xp, 0, logs), logs)

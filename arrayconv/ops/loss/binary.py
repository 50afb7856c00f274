"""Binary cross-entropy, of probabilities and of logits."""

from __future__ import annotations

from arrayconv.arguments import suggesting
from arrayconv.namespace import Array, Namespace, fused, scalar
from arrayconv.ops.activation import sigmoid
from arrayconv.ops.activation.sigmoids import negated_size
from arrayconv.ops.loss.reduction import (
    LossGradients,
    arguments,
    complement_logarithm,
    divisor,
    gradients,
    logarithm,
    reduced,
)


@suggesting
def binary_cross_entropy(
    y_pred: Array, y_true: Array, *, reduction: str = "mean", from_logits: bool = False
) -> Array:
    r"""The binary cross-entropy of each sample, then its mean over the batch.

    .. math::

        \ell_n = -\frac{1}{M} \sum_m \bigl( t_{n,m} \log p_{n,m} + (1 - t_{n,m}) \log(1 - p_{n,m}) \bigr)

    for sample ``n`` of ``M`` elements, where ``t`` is ``y_true`` and ``p`` is ``y_pred``, or
    ``sigmoid(y_pred)`` with ``from_logits``.

    Parameters
    ----------
    y_pred : array, shape (N, ...)
        Real floating: probabilities, or logits.
    y_true : array, of the shape of ``y_pred``
        Real floating between 0 and 1, or integer or boolean labels.
    reduction : {"mean", "sum", "none"}
        The mean or the sum of the samples' values, or one value per sample. ``"mean"`` is
        PyTorch's; its ``"sum"`` adds up elements, and this one samples, as Keras does.
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
        Two shapes that differ, an empty ``y_pred``, an unknown reduction.

    See Also
    --------
    binary_cross_entropy_vjp : Its gradients.

    Notes
    -----
    Probabilities of exactly 0 and 1 count as in PyTorch: no logarithm is less than -100 (Keras clips
    the probability to 1e-7 from either end). A probability below 0 or above 1 gives NaN. The
    logits' form is :math:`(1 - t) \, z + \max(-z, 0) + \log(1 + e^{-|z|})` for a logit ``z``.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.binary_cross_entropy(np.asarray([0.5, 0.0]), np.asarray([1, 1]), reduction="none")
    array([ 0.69314718, 100. ])
    >>> logits, labels = np.asarray([-1e4, 0.0, 1e4]), np.asarray([0, 1, 1])
    >>> ac.binary_cross_entropy(logits, labels, reduction="none", from_logits=True)
    array([0. , 0.69314718, 0. ])
    """
    a = arguments(
        "binary_cross_entropy", y_pred, y_true, reduction, "labels", from_logits=from_logits
    )
    xp, p, t = a.xp, a.pred, a.true
    compute = _of_logits if from_logits else _of_probabilities
    return reduced(a, fused(xp, lambda p, t: compute(xp, p, t), p, t), reduction)


@suggesting
def binary_cross_entropy_vjp(
    dy: Array,
    y_pred: Array,
    y_true: Array,
    *,
    reduction: str = "mean",
    from_logits: bool = False,
) -> LossGradients:
    r"""The gradients of ``binary_cross_entropy`` with respect to ``y_pred`` and ``y_true``.

    .. math::

        dp = a \, \frac{p - t}{p \, (1 - p)}, \quad dt = a \log \frac{1 - p}{p}

    With ``from_logits`` the gradients are those of the logits ``z``: :math:`a \, (p - t)` and
    :math:`-a \, z`.
    ``t`` stands for ``y_true`` and ``p`` for the probability; ``a`` is the part of ``dy`` that
    falls to an element, with ``N`` samples of ``M`` elements: ``dy / (N * M)`` under ``"mean"``,
    ``dy / M`` under ``"sum"`` and ``dy[n] / M`` under ``"none"``. The divisor is at least 1e-12,
    and no logarithm is less than -100.

    Parameters
    ----------
    dy : array, shape () or (N,)
        Upstream gradient.
    y_pred, y_true, reduction, from_logits
        As for ``binary_cross_entropy``.

    Returns
    -------
    LossGradients
        The named tuple ``(dy_pred, dy_true)``, that is ``(dp, dt)``, of the shapes of ``y_pred``
        and ``y_true`` and in the promoted dtype. ``dy_true`` is ``None`` where the labels are
        integer or boolean.

    Raises
    ------
    TypeError, ValueError
        As ``binary_cross_entropy``; and for a ``dy`` that has not the shape of the result.

    See Also
    --------
    binary_cross_entropy : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> p, t = np.asarray([0.5, 0.5]), np.asarray([1, 0])
    >>> ac.binary_cross_entropy_vjp(np.asarray(1.0), p, t).dy_pred
    array([-1.,  1.])
    >>> ac.binary_cross_entropy_vjp(np.asarray(1.0), np.zeros(2), t, from_logits=True).dy_pred
    array([-0.25,  0.25])
    """
    a = arguments("binary_cross_entropy_vjp", y_pred, y_true, reduction, "labels", dy, from_logits)
    xp, p, t = a.xp, a.pred, a.true
    if from_logits:
        return gradients(a, y_true, sigmoid(p) - t, -p)
    slope = fused(xp, lambda p, t: (p - t) / divisor(xp, p * (1.0 - p)), p, t)
    true_slope = fused(xp, lambda p: complement_logarithm(xp, p) - logarithm(xp, p), p)
    return gradients(a, y_true, slope, true_slope)


def _of_logits(xp: Namespace, p: Array, t: Array) -> Array:
    # both halves take the side of a logit of 0 that is above it, and so have one slope there; in this order
    # the large terms cancel before the small one is added
    below = xp.where(p >= 0, scalar(xp, 0, p), -p)
    return (1.0 - t) * p + below + xp.log1p(xp.exp(negated_size(xp, p)))


def _of_probabilities(xp: Namespace, p: Array, t: Array) -> Array:
    return (t - 1.0) * complement_logarithm(xp, p) - t * logarithm(xp, p)

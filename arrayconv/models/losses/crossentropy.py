"""Cross entropies of probabilities, clipped as in Keras, and of logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.arrays import clipped
from arrayconv.models.losses.loss import Loss, class_numbers
from arrayconv.namespace import Array, Namespace, array_namespace, cast, fused, is_floating
from arrayconv.ops.activation.elementwise import step

# As in Keras, probabilities are clipped to [_EPSILON, 1 - _EPSILON].
_EPSILON = 1e-7


class _CrossEntropy(Loss):
    range = "probabilities between 0 and 1"
    # the operation and its gradient
    pair: ClassVar[tuple[Callable[..., Array], Callable[..., tuple[Array, ...]]]]
    # whether the last axis holds the probabilities of classes, which Keras first divides by their sum
    of_classes: ClassVar[bool] = True
    label_smoothing = 0.0

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, **unknown: Any
    ) -> None:
        super().__init__(**unknown)
        label = type(self).__name__
        self.from_logits = checks.flag(label, "from_logits", from_logits)
        self.label_smoothing = checks.number(label, "label_smoothing", label_smoothing, least=0)
        if self.label_smoothing > 1:
            raise ValueError(f"{label}: label_smoothing must be at most 1, got {label_smoothing!r}")

    def given(self, xp: Namespace, y: Array) -> Array:
        """The targets as the operation takes them: with label smoothing."""
        if not self.label_smoothing:
            return y
        classes = y.shape[-1] if self.of_classes else 2
        return y * (1 - self.label_smoothing) + self.label_smoothing / classes

    def values(self, y_true: Array, y_pred: Array) -> Array:
        xp = array_namespace(self.name, y_pred=y_pred)
        if not self.from_logits:
            if self.of_classes:
                y_pred = y_pred / xp.sum(y_pred, axis=-1, keepdims=True)
            y_pred = clipped(xp, y_pred, _EPSILON, 1 - _EPSILON)
        y = self.given(xp, y_true)
        return self.pair[0](y_pred, y, reduction="none", from_logits=self.from_logits)

    def gradient(self, dy: Array, y_true: Array, y_pred: Array) -> Array:
        xp = array_namespace(self.name, y_pred=y_pred)
        y, vjp = self.given(xp, y_true), self.pair[1]
        if self.from_logits:
            return vjp(dy, y_pred, y, reduction="none", from_logits=True)[0]
        q = y_pred
        if self.of_classes:
            total = xp.sum(y_pred, axis=-1, keepdims=True)
            q = y_pred / total
        p = clipped(xp, q, _EPSILON, 1 - _EPSILON)
        dp = vjp(dy, p, y, reduction="none")[0]
        # clipped probabilities have no gradient
        dq = fused(xp, lambda dp, p, q: dp * step(xp, p == q, p), dp, p, q)
        if not self.of_classes:
            return dq
        along = xp.sum(dq * q, axis=-1, keepdims=True)
        return fused(xp, lambda dq, along, total: (dq - along) / total, dq, along, total)

    def valid(self, xp: Namespace, y_true: Array, y_pred: Array) -> Array | None:
        return xp.all(fused(xp, lambda y: (y >= 0) & (y <= 1), y_true))


class BinaryCrossentropy(_CrossEntropy):
    """``-y log p - (1 - y) log(1 - p)``, averaged over all axes but the batch.

    Parameters
    ----------
    from_logits : bool
        Whether ``y_pred`` holds logits instead of probabilities. Probabilities are clipped to [1e-7, 1 - 1e-7]
        as in Keras, and have gradient 0 outside.
    label_smoothing : float
        In [0, 1]: replaces targets ``y`` by ``(1 - label_smoothing) * y + label_smoothing / 2``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.BinaryCrossentropy()(np.asarray([[1], [0]]), np.asarray([[0.5], [0.5]])).round(6))
    0.693147
    """

    name = "binary_crossentropy"
    pair = ac.binary_cross_entropy, ac.binary_cross_entropy_vjp
    of_classes = False

    def hint(self, shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
        if wanted[1:] != (1,) and len(shape) == 1:
            return "; an output for two classes is Dense(1, activation='sigmoid')"
        if shape == wanted[::-1]:
            return "; y.T turns the course's (1, N) around"
        return ""


class CategoricalCrossentropy(_CrossEntropy):
    """``-sum(y log p)`` over the last axis, for one-hot targets; averaged over axes between it and the batch.

    Parameters
    ----------
    from_logits : bool
        Whether ``y_pred`` holds logits instead of probabilities. Probabilities are divided by their sum and
        clipped to [1e-7, 1 - 1e-7] as in Keras, and have gradient 0 outside.
    label_smoothing : float
        In [0, 1]: replaces targets ``y`` by ``(1 - label_smoothing) * y + label_smoothing / classes``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.CategoricalCrossentropy()(np.asarray([[0, 1]]), np.asarray([[0.5, 0.5]])).round(6))
    0.693147
    """

    name = "categorical_crossentropy"
    pair = ac.categorical_cross_entropy, ac.categorical_cross_entropy_vjp

    def hint(self, shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
        if shape in (wanted[:-1], (*wanted[:-1], 1)):
            return (
                "; for labels that are numbers of classes use loss='sparse_categorical_crossentropy', "
                "or arrayconv.data.one_hot(y, classes)"
            )
        return ""


class SparseCategoricalCrossentropy(_CrossEntropy):
    """``-log p[y]``: `CategoricalCrossentropy` for targets that are class numbers 0, 1, ...

    Parameters
    ----------
    from_logits : bool
        As for `CategoricalCrossentropy`.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.SparseCategoricalCrossentropy()(np.asarray([1]), np.asarray([[0.5, 0.5]])).round(6))
    0.693147
    """

    name = "sparse_categorical_crossentropy"
    pair = ac.sparse_categorical_cross_entropy, ac.sparse_categorical_cross_entropy_vjp

    def __init__(self, from_logits: bool = False, **unknown: Any) -> None:
        super().__init__(**unknown)
        self.from_logits = checks.flag(type(self).__name__, "from_logits", from_logits)

    def expected(self, shape: tuple[int, ...]) -> str:
        classes = shape[-1]
        if classes == 1:
            return "more classes than this output's 1; with one sigmoid output use loss='binary_crossentropy'"
        return f"whole numbers from 0 to {classes - 1}, the output having {classes} classes"

    def given(self, xp: Namespace, y: Array) -> Array:
        return cast(xp, y, xp.int32)

    def targets(self, xp: Namespace, y: Array, y_pred: Array) -> Array:
        y = class_numbers(self.name, xp, y, y_pred, "loss='categorical_crossentropy'")
        # cast to int32 only in `given`, after `valid` has checked the range; class numbers may be floats
        if is_floating(xp, y.dtype) or xp.isdtype(y.dtype, "signed integer"):
            return y
        # an unsigned number too large for the signed dtype becomes negative, which `valid` refuses too
        signed = xp.__array_namespace_info__().dtypes(kind="signed integer")
        return xp.astype(y, signed.get("int64", xp.int32))

    def valid(self, xp: Namespace, y_true: Array, y_pred: Array) -> Array | None:
        classes, floating = y_pred.shape[-1], is_floating(xp, y_true.dtype)

        def inside(y: Array) -> Array:
            known = (y >= 0) & (y < classes)
            return known & (y == xp.floor(y)) if floating else known

        return xp.all(fused(xp, inside, y_true))

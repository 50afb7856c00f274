"""Cross entropies, of probabilities as Keras keeps them from 0 and 1, and of logits."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.arrays import clipped
from arrayconv.models.losses.loss import Loss
from arrayconv.models.targets import class_numbers
from arrayconv.namespace import Array, Namespace, array_namespace, cast, is_floating

# Keras keeps probabilities this far from 0 and 1.
_EPSILON = 1e-7


class _CrossEntropy(Loss):
    range = "probabilities between 0 and 1"

    def __init__(self, from_logits: bool = False, **unknown: Any) -> None:
        super().__init__(**unknown)
        self.from_logits = checks.flag(type(self).__name__, "from_logits", from_logits)

    def valid(self, xp: Namespace, y_true: Array, y_pred: Array) -> Array | None:
        return xp.all((y_true >= 0) & (y_true <= 1))


class BinaryCrossentropy(_CrossEntropy):
    """``-y log p - (1 - y) log(1 - p)``, averaged over all axes but the first.

    Parameters
    ----------
    from_logits : bool
        Whether ``y_pred`` holds logits, not probabilities. Probabilities are kept within 1e-7 and
        1 - 1e-7, as in Keras: past them the gradient is 0.
    label_smoothing : float
        In [0, 1]: how far the targets are moved towards 0.5.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.BinaryCrossentropy()(np.asarray([[1], [0]]), np.asarray([[0.5], [0.5]])).round(6))
    0.693147
    """

    name = "binary_crossentropy"

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, **unknown: Any
    ) -> None:
        super().__init__(from_logits, **unknown)
        self.label_smoothing = _smoothing(type(self).__name__, label_smoothing)

    def values(self, y_true: Array, y_pred: Array) -> Array:
        y_true = y_true * (1 - self.label_smoothing) + self.label_smoothing / 2
        p = y_pred if self.from_logits else _kept(y_pred)[0]
        return ac.binary_cross_entropy(p, y_true, reduction="none", from_logits=self.from_logits)

    def gradient(self, dy: Array, y_true: Array, y_pred: Array) -> Array:
        y_true = y_true * (1 - self.label_smoothing) + self.label_smoothing / 2
        p, inside = (y_pred, None) if self.from_logits else _kept(y_pred)
        dp = ac.binary_cross_entropy_vjp(
            dy, p, y_true, reduction="none", from_logits=self.from_logits
        )[0]
        return dp if inside is None else dp * inside

    def hint(self, shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
        if wanted[1:] != (1,) and len(shape) == 1:
            return "; an output for two classes is Dense(1, activation='sigmoid')"
        if shape == wanted[::-1]:
            return "; y.T turns the course's (1, N) around"
        return ""


class _Classes(_CrossEntropy):
    """Cross entropy of probabilities over the last axis; a subclass names the pair of operations."""

    def _values(self, y_true: Array, p: Array) -> Array:
        raise NotImplementedError

    def _gradient(self, dy: Array, y_true: Array, p: Array) -> Array:
        raise NotImplementedError

    def values(self, y_true: Array, y_pred: Array) -> Array:
        if self.from_logits:
            return self._values(y_true, y_pred)
        xp = array_namespace(self.name, y_pred=y_pred)
        return self._values(y_true, _kept(y_pred / xp.sum(y_pred, axis=-1, keepdims=True))[0])

    def gradient(self, dy: Array, y_true: Array, y_pred: Array) -> Array:
        if self.from_logits:
            return self._gradient(dy, y_true, y_pred)
        xp = array_namespace(self.name, y_pred=y_pred)
        # Keras divides by the sum of the classes before it takes the logarithm
        total = xp.sum(y_pred, axis=-1, keepdims=True)
        q = y_pred / total
        p, inside = _kept(q)
        dq = self._gradient(dy, y_true, p) * inside
        return (dq - xp.sum(dq * q, axis=-1, keepdims=True)) / total


class CategoricalCrossentropy(_Classes):
    """``-sum(y log p)`` over the last axis, of one-hot targets; the mean over the axes between.

    Parameters
    ----------
    from_logits : bool
        Whether ``y_pred`` holds logits, not probabilities. Probabilities are divided by their sum and
        kept within 1e-7 and 1 - 1e-7, as in Keras: past them the gradient is 0.
    label_smoothing : float
        In [0, 1]: how far the targets are moved towards all classes alike.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.CategoricalCrossentropy()(np.asarray([[0, 1]]), np.asarray([[0.5, 0.5]])).round(6))
    0.693147
    """

    name = "categorical_crossentropy"

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, **unknown: Any
    ) -> None:
        super().__init__(from_logits, **unknown)
        self.label_smoothing = _smoothing(type(self).__name__, label_smoothing)

    def _smooth(self, y: Array) -> Array:
        return y * (1 - self.label_smoothing) + self.label_smoothing / y.shape[-1]

    def _values(self, y_true: Array, p: Array) -> Array:
        return ac.categorical_cross_entropy(
            p, self._smooth(y_true), reduction="none", from_logits=self.from_logits
        )

    def _gradient(self, dy: Array, y_true: Array, p: Array) -> Array:
        return ac.categorical_cross_entropy_vjp(
            dy, p, self._smooth(y_true), reduction="none", from_logits=self.from_logits
        )[0]

    def hint(self, shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
        if shape in (wanted[:-1], (*wanted[:-1], 1)):
            return (
                "; for labels that are numbers of classes use loss='sparse_categorical_crossentropy', "
                "or arrayconv.data.one_hot(y, classes)"
            )
        return ""


class SparseCategoricalCrossentropy(_Classes):
    """``-log p[y]``: `CategoricalCrossentropy` for targets that are numbers of classes, 0, 1, ...

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
    range = "whole numbers from 0, each below the number of classes"

    def expected(self, shape: tuple[int, ...]) -> str:
        classes = shape[-1]
        if classes == 1:
            return "more classes than this output's 1; with one sigmoid output use loss='binary_crossentropy'"
        return f"whole numbers from 0 to {classes - 1}, the output having {classes} classes"

    def _values(self, y_true: Array, p: Array) -> Array:
        return ac.sparse_categorical_cross_entropy(
            p, _whole(y_true), reduction="none", from_logits=self.from_logits
        )

    def _gradient(self, dy: Array, y_true: Array, p: Array) -> Array:
        return ac.sparse_categorical_cross_entropy_vjp(
            dy, p, _whole(y_true), reduction="none", from_logits=self.from_logits
        )[0]

    def targets(self, xp: Namespace, y: Array, y_pred: Array) -> Array:
        y = class_numbers(self.name, xp, y, y_pred, "loss='categorical_crossentropy'")
        # `valid` looks at what int32 may not hold before it is cast: files often hold class numbers as floats
        if is_floating(xp, y.dtype) or xp.isdtype(y.dtype, "signed integer"):
            return y
        # an unsigned number too large for the widest dtype becomes one below 0, which `valid` refuses as well
        signed = xp.__array_namespace_info__().dtypes(kind="signed integer")
        return xp.astype(y, signed.get("int64", xp.int32))

    def valid(self, xp: Namespace, y_true: Array, y_pred: Array) -> Array | None:
        inside = (y_true >= 0) & (y_true < y_pred.shape[-1])
        if is_floating(xp, y_true.dtype):
            inside = inside & (y_true == xp.floor(y_true))
        return xp.all(inside)


def _kept(p: Array) -> tuple[Array, Array]:
    """Probabilities away from 0 and 1, and a factor that is 0 where they were moved."""
    xp = array_namespace("crossentropy", p=p)
    kept = clipped(xp, p, _EPSILON, 1 - _EPSILON)
    return kept, xp.astype(kept == p, p.dtype)


def _whole(y: Array) -> Array:
    xp = array_namespace("crossentropy", y=y)
    return cast(xp, y, xp.int32)


def _smoothing(label: str, value: float) -> float:
    share = checks.number(label, "label_smoothing", value)
    if not 0 <= share <= 1:
        raise ValueError(f"{label}: label_smoothing must be in [0, 1], got {value!r}")
    return share

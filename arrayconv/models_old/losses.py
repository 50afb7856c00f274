"""Losses by Keras's names: one value per sample, its gradient, and what the targets must look like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import arrayconv as ac
from arrayconv.models_old.names import lookup
from arrayconv.namespace import Array, Namespace, array_namespace, cast, is_floating

# Keras keeps probabilities this far from 0 and 1.
_EPSILON = 1e-7


class Loss:
    """What `compile` takes as ``loss``; one of your own gives ``values`` and ``gradient``.

    Both get ``y_true`` as `targets` made it: of ``y_pred``'s shape and dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> class Quartic(models.Loss):
    ...     name = "quartic"
    ...     def values(self, y_true, y_pred):
    ...         return np.sum((y_pred - y_true) ** 4, axis=-1)
    ...     def gradient(self, dy, y_true, y_pred):
    ...         return dy[:, None] * 4 * (y_pred - y_true) ** 3
    >>> float(Quartic()(np.zeros((2, 1)), np.ones((2, 1))))
    1.0
    """

    name: ClassVar[str] = "loss"
    # What a value outside `valid` is told.
    range: ClassVar[str] = ""

    def expected(self, shape: tuple[int, ...]) -> str:
        """`range`, for an output of this shape."""
        return self.range

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """The loss of each sample, shape (N,)."""
        raise NotImplementedError(f"{type(self).__name__} must define values")

    def gradient(self, dy: Array, y_true: Array, y_pred: Array) -> Array:
        """The gradient of ``y_pred`` for ``dy``, shape (N,), that of `values`."""
        raise NotImplementedError(f"{type(self).__name__} must define gradient")

    def targets(self, xp: Namespace, y: Array, y_pred: Array) -> Array:
        """``y`` in the shape and dtype of ``y_pred``; an axis of length 1 at the end may lack or be too much.

        Raises
        ------
        ValueError
            Another shape.
        """
        return aligned(self.name, xp, y, y_pred, self.hint)

    def hint(self, shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
        """What to do about targets of the wrong shape."""
        return ""

    def valid(self, xp: Namespace, y_true: Array, y_pred: Array) -> Array | None:
        """Whether every target is in range, as a boolean array of one element; ``None`` if all are."""
        return None

    def __call__(self, y_true: Array, y_pred: Array) -> Array:
        """The mean of `values`."""
        xp = array_namespace(self.name, y_true=y_true, y_pred=y_pred)
        return xp.mean(self.values(self.targets(xp, y_true, y_pred), y_pred))

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({given})"


class MeanSquaredError(Loss):
    """The mean of ``(y_pred - y_true) ** 2`` over all axes but the first.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.MeanSquaredError()(np.asarray([[1.0, 0.0]]), np.asarray([[0.0, 0.0]])))
    0.5
    """

    name = "mean_squared_error"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return ac.mean_squared_error(y_pred, y_true, reduction="none")

    def gradient(self, dy: Array, y_true: Array, y_pred: Array) -> Array:
        return ac.mean_squared_error_vjp(dy, y_pred, y_true, reduction="none")[0]


class MeanAbsoluteError(Loss):
    """The mean of ``abs(y_pred - y_true)`` over all axes but the first.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.MeanAbsoluteError()(np.asarray([[1.0, 0.0]]), np.asarray([[0.0, 0.0]])))
    0.5
    """

    name = "mean_absolute_error"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        return ac.mean_absolute_error(y_pred, y_true, reduction="none")

    def gradient(self, dy: Array, y_true: Array, y_pred: Array) -> Array:
        return ac.mean_absolute_error_vjp(dy, y_pred, y_true, reduction="none")[0]


class _CrossEntropy(Loss):
    range = "probabilities between 0 and 1"

    def __init__(self, from_logits: bool = False) -> None:
        self.from_logits = from_logits

    def valid(self, xp: Namespace, y_true: Array, y_pred: Array) -> Array | None:
        return xp.all((y_true >= 0) & (y_true <= 1))


class BinaryCrossentropy(_CrossEntropy):
    """``-y log p - (1 - y) log(1 - p)``, averaged over all axes but the first.

    Parameters
    ----------
    from_logits : bool
        Whether ``y_pred`` holds logits, not probabilities. Probabilities are kept within 1e-7 and
        1 - 1e-7, as in Keras: past them the gradient is 0.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.BinaryCrossentropy()(np.asarray([[1], [0]]), np.asarray([[0.5], [0.5]])).round(6))
    0.693147
    """

    name = "binary_crossentropy"

    def values(self, y_true: Array, y_pred: Array) -> Array:
        p = y_pred if self.from_logits else _kept(y_pred)[0]
        return ac.binary_cross_entropy(p, y_true, reduction="none", from_logits=self.from_logits)

    def gradient(self, dy: Array, y_true: Array, y_pred: Array) -> Array:
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

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.CategoricalCrossentropy()(np.asarray([[0, 1]]), np.asarray([[0.5, 0.5]])).round(6))
    0.693147
    """

    name = "categorical_crossentropy"

    def _values(self, y_true: Array, p: Array) -> Array:
        return ac.categorical_cross_entropy(
            p, y_true, reduction="none", from_logits=self.from_logits
        )

    def _gradient(self, dy: Array, y_true: Array, p: Array) -> Array:
        return ac.categorical_cross_entropy_vjp(
            dy, p, y_true, reduction="none", from_logits=self.from_logits
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


def aligned(
    label: str,
    xp: Namespace,
    y: Array,
    y_pred: Array,
    hint: Callable[[tuple[int, ...], tuple[int, ...]], str] = lambda shape, wanted: "",
) -> Array:
    """``y`` in the shape and dtype of ``y_pred``, or a ``ValueError`` that begins with ``label``."""
    shape, wanted = tuple(y.shape), tuple(y_pred.shape)
    if shape != wanted and (shape == (*wanted, 1) or (*shape, 1) == wanted):
        y = xp.reshape(y, wanted)
    if tuple(y.shape) != wanted:
        raise ValueError(
            f"{label}: y must have the shape of the model's output, {wanted}, got {shape}{hint(shape, wanted)}"
        )
    return cast(xp, y, y_pred.dtype)


def class_numbers(label: str, xp: Namespace, y: Array, y_pred: Array, twin: str) -> Array:
    """``y`` in the shape of ``y_pred`` without its axis of classes; ``twin`` is what takes one-hot labels.

    Raises
    ------
    ValueError
        Another shape; the message begins with ``label``.
    """
    shape, wanted = tuple(y.shape), tuple(y_pred.shape[:-1])
    if shape not in (wanted, (*wanted, 1)):
        hint = f"; for one-hot labels use {twin}" if shape == tuple(y_pred.shape) else ""
        raise ValueError(
            f"{label}: y must have the shape {wanted}, one class number per sample, got {shape}{hint}"
        )
    return xp.reshape(y, wanted)


def _kept(p: Array) -> tuple[Array, Array]:
    """Probabilities away from 0 and 1, and a factor that is 0 where they were moved."""
    xp = array_namespace("crossentropy", p=p)
    kept = xp.clip(p, _EPSILON, 1 - _EPSILON)
    return kept, xp.astype(kept == p, p.dtype)


def _whole(y: Array) -> Array:
    xp = array_namespace("crossentropy", y=y)
    return cast(xp, y, xp.int32)


LOSSES: dict[str, type[Loss]] = {
    "binary_crossentropy": BinaryCrossentropy,
    "categorical_crossentropy": CategoricalCrossentropy,
    "mae": MeanAbsoluteError,
    "mean_absolute_error": MeanAbsoluteError,
    "mean_squared_error": MeanSquaredError,
    "mse": MeanSquaredError,
    "sparse_categorical_crossentropy": SparseCategoricalCrossentropy,
}


def loss(value: Any) -> Loss:
    """The loss that ``value``, a name or a `Loss`, stands for."""
    if isinstance(value, Loss):
        return value
    if isinstance(value, type) and issubclass(value, Loss):
        return value()
    if callable(value):
        raise TypeError(
            f"compile: loss must be a name or a Loss with values and gradient, got {value!r}: nothing differentiates "
            "a plain function here"
        )
    name = value.lower() if isinstance(value, str) else value
    return lookup("compile", "loss", name, LOSSES)()

"""The base class of losses: one value per sample, its gradient, and checks of the targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from arrayconv.models import checks
from arrayconv.namespace import Array, Namespace, array_namespace, cast


def aligned(
    label: str,
    xp: Namespace,
    y: Array,
    y_pred: Array,
    hint: Callable[[tuple[int, ...], tuple[int, ...]], str] = lambda shape, wanted: "",
) -> Array:
    """``y`` in the shape and dtype of ``y_pred``; a last axis of length 1 is added or dropped.

    Raises
    ------
    ValueError
        If the shapes differ otherwise; the message begins with ``label`` and ends with ``hint(shape, wanted)``.
    """
    shape, wanted = tuple(y.shape), tuple(y_pred.shape)
    if shape != wanted and (shape == (*wanted, 1) or (*shape, 1) == wanted):
        y = xp.reshape(y, wanted)
    if tuple(y.shape) != wanted:
        raise ValueError(
            f"{label}: y must have the shape of the model's output, {wanted}, got {shape}{hint(shape, wanted)}"
        )
    return cast(xp, y, y_pred.dtype)


def class_numbers(label: str, xp: Namespace, y: Array, y_pred: Array, twin: str) -> Array:
    """Class numbers ``y`` in the shape of ``y_pred`` without its last axis.

    Raises
    ------
    ValueError
        If the shape does not fit; the message begins with ``label`` and names ``twin``, which takes one-hot labels.
    """
    shape, wanted = tuple(y.shape), tuple(y_pred.shape[:-1])
    if shape not in (wanted, (*wanted, 1)):
        hint = f"; for one-hot labels use {twin}" if shape == tuple(y_pred.shape) else ""
        if len(shape) == 1 < len(wanted):
            hint = "; Flatten or a global pool before the last layer makes one output per sample"
        raise ValueError(
            f"{label}: y must have the shape {wanted}, one class number per sample, got {shape}{hint}"
        )
    return xp.reshape(y, wanted)


# Arguments of Keras's losses that these do not take.
_REFUSED = {
    "axis": "the classes lie along the last axis",
    "dtype": "the dtype of the data decides",
    "ignore_class": "give those samples sample_weight=0",
    "reduction": "it is the mean over the samples; a factor for each is sample_weight",
}


class Loss:
    """Base class of losses for `compile`; one of your own defines ``values`` and ``gradient``.

    Both get ``y_true`` in the shape and dtype of ``y_pred``, unless `targets` is overridden.

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

    # That of the values as a metric; the loss itself is shown under the name of its output.
    name: str = "loss"
    # The range of valid targets, for error messages.
    range: ClassVar[str] = ""

    def __init__(self, name: str | None = None, **unknown: Any) -> None:
        checks.known(type(self).__name__, unknown, _REFUSED, type(self), Loss)
        if name is not None:
            self.name = name

    def expected(self, shape: tuple[int, ...]) -> str:
        """The range of valid targets in words, for an output of this shape; by default `range`."""
        return self.range

    def values(self, y_true: Array, y_pred: Array) -> Array:
        """The loss of each sample, shape (N,)."""
        raise NotImplementedError(f"{type(self).__name__} must define values")

    def gradient(self, dy: Array, y_true: Array, y_pred: Array) -> Array:
        """The gradient with respect to ``y_pred``, in its shape, from ``dy``, shape (N,), the gradient of `values`."""
        raise NotImplementedError(f"{type(self).__name__} must define gradient")

    def targets(self, xp: Namespace, y: Array, y_pred: Array) -> Array:
        """``y`` in the shape and dtype of ``y_pred``; a last axis of length 1 is added or dropped.

        Raises
        ------
        ValueError
            If the shapes differ otherwise.
        """
        return aligned(self.name, xp, y, y_pred, self.hint)

    def hint(self, shape: tuple[int, ...], wanted: tuple[int, ...]) -> str:
        """What to do about targets of a wrong shape, for the error message."""
        return ""

    def valid(self, xp: Namespace, y_true: Array, y_pred: Array) -> Array | None:
        """Whether all targets are in range, a boolean array of shape (); ``None`` if any number is."""
        return None

    def __call__(self, y_true: Array, y_pred: Array) -> Array:
        """The mean of `values` over the samples, an array of shape ()."""
        xp = array_namespace(self.name, y_true=y_true, y_pred=y_pred)
        return xp.mean(self.values(self.targets(xp, y_true, y_pred), y_pred))

    def __repr__(self) -> str:
        given = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
        return f"{type(self).__name__}({given})"


class Pair(Loss):
    """A loss given as a pair of functions, ``compile(loss=(f, f_vjp))``.

    Parameters
    ----------
    f : callable
        ``f(y_true, y_pred)`` gives the loss of each sample, shape (N,).
    f_vjp : callable
        ``f_vjp(dy, y_true, y_pred)`` gives the gradient with respect to ``y_pred``, from ``dy``, shape (N,).
    name : str, optional
        By default that of ``f``.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models.losses import Pair
    >>> half = Pair(lambda y, p: ((p - y) ** 2).sum(-1) / 2, lambda dy, y, p: dy[:, None] * (p - y), "half")
    >>> float(half(np.zeros((2, 1)), np.ones((2, 1))))
    0.5
    """

    def __init__(
        self, f: Callable[..., Array], f_vjp: Callable[..., Array], name: str | None = None
    ) -> None:
        super().__init__(str(getattr(f, "__name__", "pair")) if name is None else name)
        self.values, self.gradient = f, f_vjp  # type: ignore[method-assign]

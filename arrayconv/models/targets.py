"""Targets in the shape in which losses and metrics compare them with an output."""

from __future__ import annotations

from collections.abc import Callable

from arrayconv.namespace import Array, Namespace, cast


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

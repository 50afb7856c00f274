"""What every loss shares: its arguments, the reduction and its gradient, the logarithm of zero."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from arrayconv.arguments import Shape, choice, flag, known_shape, once
from arrayconv.namespace import (
    Array,
    DType,
    Namespace,
    accumulator,
    array_namespace,
    cast,
    is_floating,
    is_lazy,
    promoted,
    scalar,
    traits,
)
from arrayconv.ops.layout import check_gradient, summed

REDUCTIONS = ("mean", "sum", "none")

# PyTorch's: no logarithm of a probability falls below -100, no divisor of a gradient below 1e-12
LEAST_LOGARITHM = -100.0
LEAST_DIVISOR = 1e-12


class LossGradients(NamedTuple):
    """The gradients of a loss's arrays; ``dy_true`` is ``None`` for labels that are not floating."""

    dy_pred: Array
    dy_true: Array | None


class Arguments(NamedTuple):
    """The arguments of a loss, checked, in the dtype that it is computed in."""

    xp: Namespace
    pred: Array
    true: Array
    # the upstream gradient as each element's share of it, which broadcasts against ``pred``
    share: Any
    # what the results are cast to
    dtype: DType


def arguments(
    op: str,
    y_pred: Array,
    y_true: Array,
    reduction: str,
    kind: str,
    dy: Array | None = None,
    from_logits: bool = False,
) -> Arguments:
    """Check the arguments of a loss and promote them.

    ``y_true`` is of the ``kind`` ``"values"`` (floating), ``"labels"`` (integer and boolean ones
    become floats), ``"rows"`` (labels with the classes on the last axis) or ``"classes"``
    (integers, without the last axis of ``y_pred``).
    """
    arrays = {"y_pred": y_pred, "y_true": y_true} | ({} if dy is None else {"dy": dy})
    xp = array_namespace(op, **arrays)
    if kind == "classes" and not xp.isdtype(y_true.dtype, "integral"):
        raise TypeError(
            f"{op}: y_true must have an integer dtype, got {y_true.dtype}; cast it first, for example "
            f"xp.astype(y_true, xp.int64), or give one-hot rows to categorical_cross_entropy"
        )
    whole = kind != "values" and bool(xp.isdtype(y_true.dtype, ("bool", "integral")))
    floats = {name: a for name, a in arrays.items() if not (whole and name == "y_true")}
    arrays |= dict(zip(floats, promoted(op, xp, **floats), strict=True))
    y_pred, dtype = arrays["y_pred"], arrays["y_pred"].dtype
    _check(op, tuple(y_pred.shape), tuple(y_true.shape), reduction, kind, from_logits)
    wide = accumulator(xp, dtype)
    share = None
    if dy is not None:
        classes = 1 if kind in ("rows", "classes") else 0
        positions = y_pred.shape[: y_pred.ndim - classes]
        share = _share(op, xp, cast(xp, arrays["dy"], wide), positions, reduction, classes)
    true = arrays["y_true"] if kind == "classes" else cast(xp, arrays["y_true"], wide)
    return Arguments(xp, cast(xp, y_pred, wide), true, share, dtype)


@once
def _check(op: str, pred: Shape, true: Shape, reduction: str, kind: str, from_logits: bool) -> None:
    flag(op, "from_logits", from_logits)
    choice(op, "reduction", reduction, REDUCTIONS)
    known_shape(op, "y_pred", pred)
    known_shape(op, "y_true", true)
    if len(pred) < (2 if kind in ("rows", "classes") else 1):
        axes = "a batch axis and a class axis" if kind in ("rows", "classes") else "a batch axis"
        raise ValueError(f"{op}: y_pred must have {axes}, got shape {pred}")
    expected = pred[:-1] if kind == "classes" else pred
    if true != expected:
        which = "y_pred's without its class axis" if kind == "classes" else "y_pred's"
        raise ValueError(f"{op}: y_true must have the shape {expected}, {which}, got {true}")
    if 0 in pred[1:] or (pred[0] == 0 and reduction == "mean"):
        raise ValueError(f"{op}: y_pred must not be empty, got shape {pred}")


def _share(
    op: str, xp: Namespace, dy: Array, positions: tuple[int, ...], reduction: str, classes: int
) -> Array:
    batch = positions[0]
    check_gradient(op, dy, (batch,) if reduction == "none" else ())
    share = dy / (math.prod(positions[1:]) * (batch if reduction == "mean" else 1))
    ones = (1,) * (len(positions) - 1 + classes)
    return xp.reshape(share, (batch if reduction == "none" else 1, *ones))


def reduced(a: Arguments, values: Array, reduction: str) -> Array:
    """Elements ``(N, ...)`` as their mean per sample, and then as their mean or sum over the batch."""
    xp, batch = a.xp, values.shape[0]
    cells = math.prod(values.shape[1:])
    if values.ndim > 2 and not is_lazy(values) and traits(xp, values).accelerator:
        # one sum for each sample would keep few processors busy
        for axis in range(1, values.ndim - 1):
            values = summed(xp, values, axis)
    rows = xp.reshape(values, (batch, math.prod(values.shape[1:])))
    each = xp.sum(rows, axis=1)
    if cells != 1:
        each = each / cells
    if reduction == "none":
        return cast(xp, each, a.dtype)
    whole = xp.sum(each, axis=0, keepdims=True)
    if reduction == "mean":
        whole = whole / batch
    # reshaped last: of arrays without axes, NumPy makes scalars
    return cast(xp, xp.reshape(whole, ()), a.dtype)


def gradients(a: Arguments, y_true: Array, slope: Array, true_slope: Array | None) -> LossGradients:
    """The slopes times each element's share of ``dy``; ``None`` for labels that are not floating."""
    dy_pred = cast(a.xp, slope * a.share, a.dtype)
    if true_slope is None or not is_floating(a.xp, y_true.dtype):
        return LossGradients(dy_pred, None)
    return LossGradients(dy_pred, cast(a.xp, true_slope * a.share, a.dtype))


def logarithm(xp: Namespace, p: Array) -> Array:
    """``log(p)``, but -100 where it would be less, at 0 too."""
    # the logarithm of 1 instead of one that warns
    return _floored(xp, xp.log(xp.where(p == 0, scalar(xp, 1, p), p)), p == 0)


def complement_logarithm(xp: Namespace, p: Array) -> Array:
    """``log(1 - p)``, but -100 where it would be less, at 1 too."""
    return _floored(xp, xp.log1p(-xp.where(p == 1, scalar(xp, 0, p), p)), p == 1)


def _floored(xp: Namespace, logs: Array, infinite: Array) -> Array:
    least = scalar(xp, LEAST_LOGARITHM, logs)
    return xp.where(infinite, least, xp.maximum(logs, least))


def divisor(xp: Namespace, p: Array) -> Array:
    """``p``, but 1e-12 where it would be less."""
    return xp.maximum(p, scalar(xp, LEAST_DIVISOR, p))

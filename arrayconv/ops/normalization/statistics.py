"""What every normalization shares: stable moments, their gradient, and the scale and shift."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from arrayconv.arguments import choice, known_shape, number
from arrayconv.engine.blockwise import blockwise, fused
from arrayconv.namespace import Array, Namespace, accumulator, cast, copied, is_lazy, traits
from arrayconv.ops.layout import DATA_FORMATS, summed


class NormGradients(NamedTuple):
    """The gradients of a normalization's array arguments; ``None`` where one was ``None``."""

    dx: Array
    dgamma: Array | None
    dbeta: Array | None


class Moments(NamedTuple):
    """The mean and the biased variance over some axes, which keep length 1."""

    mean: Array
    var: Array


def total(xp: Namespace, x: Array, axes: Sequence[int]) -> Array:
    """The sum over ``axes``, which keep length 1: a new array, though there be none to sum over.

    One axis after the other, from the first: the partial sums stay short, which rounds less than
    one long sum and reads channels-last memory in order.
    """
    if not axes:
        return copied(xp, x)
    # the batch last where arrays may lie in pieces along it: then all that moves is one number for each channel
    for axis in sorted(axes, reverse=is_lazy(x)):
        x = summed(xp, x, axis)
    return x


def total_of(
    xp: Namespace, compute: Callable[..., Array], axes: Sequence[int], *arrays: Array
) -> Array:
    """The ``total`` of ``compute(*arrays)``, a function of single elements; the first array has the shape of all."""
    x = arrays[0]
    if not axes or not traits(xp, x).calling:
        return total(xp, fused(xp, compute, *arrays), axes)
    # what is summed stays in the cache
    first, *others = sorted(axes)

    def part(*parts: Array) -> Array:
        return summed(xp, compute(*parts), first)

    sums = blockwise(xp, part, *arrays, whole=(first,))
    return total(xp, sums, others) if others else sums


def moments(xp: Namespace, x: Array, axes: Sequence[int]) -> Moments:
    """The moments in two passes, so that a large mean leaves the variance its digits."""
    cells = math.prod(x.shape[axis] for axis in axes)
    mean = total(xp, x, axes) / cells
    return Moments(mean, total_of(xp, _squared_deviation, axes, x, mean) / cells)


def _squared_deviation(x: Array, mean: Array) -> Array:
    centred = x - mean
    return centred * centred


class Backward(NamedTuple):
    """``dx`` of a normalization, and the sums it is made of."""

    dx: Array
    sum_g: Array
    sum_gx: Array


def moments_vjp(
    xp: Namespace,
    g: Array,
    x: Array,
    mean: Array,
    inverse: Array,
    factor: Array,
    axes: Sequence[int],
) -> Backward:
    """The gradient through the moments, for the gradient ``g`` of ``xhat = (x - mean) * inverse``.

    ``dx`` is ``factor * (g - mean(g) - xhat * mean(g * xhat))``, the means over ``axes``.
    ``sum_g`` and ``sum_gx`` sum ``g`` and ``g * xhat``.
    """
    cells = math.prod(x.shape[axis] for axis in axes)
    sum_g = total(xp, g, axes)
    sum_gx = total_of(xp, along, axes, g, x, mean) * inverse
    dx = fused(xp, _through_moments, g, x, mean, sum_g, sum_gx, inverse, factor, cells)
    return Backward(dx, sum_g, sum_gx)


def along(g: Array, x: Array, mean: Array) -> Array:
    """``g * (x - mean)``."""
    return times(x - mean, g)


def _through_moments(
    g: Array,
    x: Array,
    mean: Array,
    sum_g: Array,
    sum_gx: Array,
    inverse: Array,
    factor: Array,
    cells: int,
) -> Array:
    dx = plus(g - sum_g / cells, times(x - mean, sum_gx * (-inverse / cells)))
    return times(dx, factor)


def normalized(
    xp: Namespace, x: Array, mean: Array, factor: Array, shift: Array | None = None
) -> Array:
    """``(x - mean) * factor + shift``: the mean first, so that data with a large one keep their digits."""
    return fused(xp, _normalized, x, mean, factor, *(() if shift is None else (shift,)))


def _normalized(x: Array, mean: Array, factor: Array, shift: Array | None = None) -> Array:
    y = times(x - mean, factor)
    return y if shift is None else plus(y, shift)


def scaled(xp: Namespace, x: Array, scale: Array, shift: Array | None = None) -> Array:
    """``x * scale + shift``, a new array."""
    return fused(xp, _scaled, x, scale, *(() if shift is None else (shift,)))


def _scaled(x: Array, scale: Array, shift: Array | None = None) -> Array:
    y = x * scale
    return y if shift is None else plus(y, shift)


def plus(y: Array, part: Array) -> Array:
    """``y + part``, written into ``y``, an array of the caller's own, where that can be."""
    if is_lazy(y):
        return y + part
    y += part
    return y


def times(y: Array, factor: Array) -> Array:
    """``y * factor``, written into ``y``, an array of the caller's own, where that can be."""
    if is_lazy(y):
        return y * factor
    y *= factor
    return y


def inverse_deviation(xp: Namespace, var: Array, eps: float) -> Array:
    return fused(xp, lambda var: 1.0 / xp.sqrt(var + eps), var)


def check_eps(op: str, eps: Any) -> float:
    """``eps`` as a Python float; raise ``ValueError`` for one that is negative or infinite."""
    return number(op, "eps", eps, least=0, below=math.inf)


def parameter(
    op: str, xp: Namespace, name: str, p: Array | None, size: tuple[int, ...], full: tuple[int, ...]
) -> Array | None:
    """A parameter of shape ``size`` (axes of length 1 aside), wide enough to compute with, as ``full``."""
    if p is None:
        return None
    if tuple(n for n in p.shape if n != 1) != tuple(n for n in size if n != 1):
        raise ValueError(f"{op}: {name} must have shape {size}, got {tuple(p.shape)}")
    return xp.reshape(cast(xp, p, accumulator(xp, p.dtype)), full)


def shaped(xp: Namespace, gradient: Array, p: Array | None) -> Array | None:
    """The gradient of a parameter in its shape and dtype; ``None`` if there is no parameter."""
    return None if p is None else cast(xp, xp.reshape(gradient, p.shape), p.dtype)


def check_axes(op: str, shape: tuple[int, ...], axes: Sequence[int]) -> None:
    """Raise ``ValueError`` unless there are values to take the statistics of."""
    if 0 in (shape[axis] for axis in axes):
        raise ValueError(
            f"{op}: x has no values to take statistics of, its shape is {tuple(shape)}"
        )


def channel_axis(op: str, shape: tuple[int, ...], data_format: str) -> int:
    """Where the channels are; raise ``ValueError`` if there is no batch beside them."""
    choice(op, "data_format", data_format, DATA_FORMATS)
    known_shape(op, "x", shape)
    if len(shape) < 2:
        raise ValueError(
            f"{op}: x must have a batch axis and a channel axis, got shape {tuple(shape)}"
        )
    return len(shape) - 1 if data_format == "channels_last" else 1

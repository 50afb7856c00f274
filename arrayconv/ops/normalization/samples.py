"""Every sample by statistics of its own: what layer, group and instance normalization share."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from arrayconv.engine.blockwise import blockwise
from arrayconv.namespace import Array, accumulator, cast, floating
from arrayconv.ops.layout import check_gradient
from arrayconv.ops.normalization.statistics import (
    NormGradients,
    check_eps,
    inverse_deviation,
    moments,
    moments_vjp,
    normalized,
    parameter,
    plus,
    scaled,
    shaped,
    times,
    total,
    total_of,
)


class Sets(NamedTuple):
    """The values of ``x`` that share a mean and a variance, and the shapes of a parameter."""

    # the shape that sets them apart, and the axes of it that one mean runs over
    split: tuple[int, ...]
    axes: tuple[int, ...]
    # a parameter's own shape, and its shape beside x, set apart
    size: tuple[int, ...]
    full: tuple[int, ...]

    @property
    def whole(self) -> range:
        """The axes along which no set, and no parameter, is cut."""
        first = next((axis for axis, n in enumerate(self.full) if n > 1), self.axes[0])
        return range(min(first, self.axes[0]), len(self.split))


def sample_norm(
    op: str,
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    eps: float,
    sets: Callable[[str, Array], Sets],
) -> Array:
    """``gamma * xhat + beta``, each of the ``sets`` of ``x`` normalized by itself."""
    xp, x, gamma, beta = floating(op, x=x, gamma=gamma, beta=beta)
    eps = check_eps(op, eps)
    found = sets(op, x)
    split, axes, size, full = found
    scale = parameter(op, xp, "gamma", gamma, size, full)
    shift = parameter(op, xp, "beta", beta, size, full)

    def forward(x: Array) -> Array:
        wide = cast(xp, x, accumulator(xp, x.dtype))
        mean, var = moments(xp, wide, axes)
        y = normalized(xp, wide, mean, inverse_deviation(xp, var, eps))
        if scale is not None:
            y = scaled(xp, y, scale, shift)
        elif shift is not None:
            y = plus(y, shift)
        return cast(xp, y, x.dtype)

    y = blockwise(xp, forward, xp.reshape(x, split), whole=found.whole)
    return xp.reshape(y, x.shape)


def sample_norm_vjp(
    op: str,
    dy: Array,
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    eps: float,
    sets: Callable[[str, Array], Sets],
) -> NormGradients:
    xp, dy, x, gamma, beta = floating(op, dy=dy, x=x, gamma=gamma, beta=beta)
    eps = check_eps(op, eps)
    found = sets(op, x)
    split, axes, size, full = found
    check_gradient(op, dy, x.shape)
    scale = parameter(op, xp, "gamma", gamma, size, full)
    parameter(op, xp, "beta", beta, size, full)
    dtype, shape = x.dtype, x.shape
    wide = accumulator(xp, dtype)

    def backward(dy: Array, x: Array) -> tuple[Array, Array, Array]:
        dy, x = cast(xp, dy, wide), cast(xp, x, wide)
        mean, var = moments(xp, x, axes)
        inverse = inverse_deviation(xp, var, eps)
        g = dy if scale is None else scaled(xp, dy, scale)
        dx = moments_vjp(xp, g, x, mean, inverse, inverse, axes).dx
        return cast(xp, dx, dtype), mean, inverse

    dy, x = xp.reshape(dy, split), xp.reshape(x, split)
    dx, mean, inverse = blockwise(xp, backward, dy, x, whole=found.whole)
    dy, x = cast(xp, dy, wide), cast(xp, x, wide)
    shared = [axis for axis, n in enumerate(full) if n == 1]
    dgamma = dbeta = None
    if gamma is not None:
        dgamma = shaped(xp, total_of(xp, _times_xhat, shared, dy, x, mean, inverse), gamma)
    if beta is not None:
        dbeta = shaped(xp, total(xp, dy, shared), beta)
    return NormGradients(xp.reshape(dx, shape), dgamma, dbeta)


def _times_xhat(g: Array, x: Array, mean: Array, inverse: Array) -> Array:
    return times(times(x - mean, inverse), g)

"""Every sample by statistics of its own: what layer, group and instance normalization share."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from arrayconv.namespace import Array, accumulator, array_namespace, cast, promoted
from arrayconv.ops.layout import check_gradient
from arrayconv.ops.normalization.statistics import (
    NormGradients,
    check_eps,
    inverse_deviation,
    moments,
    moments_vjp,
    parameter,
    plus,
    scaled,
    shaped,
    total,
)


class Sets(NamedTuple):
    """The values of ``x`` that share a mean and a variance, and the shapes of a parameter."""

    # the shape that sets them apart, and the axes of it that one mean runs over
    split: tuple[int, ...]
    axes: tuple[int, ...]
    # a parameter's own shape, and its shape beside x
    size: tuple[int, ...]
    full: tuple[int, ...]


def sample_norm(
    op: str,
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    eps: float,
    sets: Callable[[str, Array], Sets],
) -> Array:
    """``gamma * xhat + beta``, each of the ``sets`` of ``x`` normalized by itself."""
    xp = array_namespace(op, x=x, gamma=gamma, beta=beta)
    x, gamma, beta = promoted(op, xp, x=x, gamma=gamma, beta=beta)
    eps = check_eps(op, eps)
    split, axes, size, full = sets(op, x)
    scale = parameter(op, xp, "gamma", gamma, size, full)
    shift = parameter(op, xp, "beta", beta, size, full)
    wide = cast(xp, x, accumulator(xp, x.dtype))
    _, var, centred = moments(xp, xp.reshape(wide, split), axes)
    y = xp.reshape(centred * inverse_deviation(xp, var, eps), x.shape)
    if scale is not None:
        y = scaled(xp, y, scale, shift)
    elif shift is not None:
        y = plus(y, shift)
    return cast(xp, y, x.dtype)


def sample_norm_vjp(
    op: str,
    dy: Array,
    x: Array,
    gamma: Array | None,
    beta: Array | None,
    eps: float,
    sets: Callable[[str, Array], Sets],
) -> NormGradients:
    xp = array_namespace(op, dy=dy, x=x, gamma=gamma, beta=beta)
    dy, x, gamma, beta = promoted(op, xp, dy=dy, x=x, gamma=gamma, beta=beta)
    eps = check_eps(op, eps)
    split, axes, size, full = sets(op, x)
    check_gradient(op, dy, x.shape)
    scale = parameter(op, xp, "gamma", gamma, size, full)
    parameter(op, xp, "beta", beta, size, full)
    wide = accumulator(xp, x.dtype)
    dy = cast(xp, dy, wide)
    _, var, centred = moments(xp, xp.reshape(cast(xp, x, wide), split), axes)
    inverse = inverse_deviation(xp, var, eps)
    shared = [axis for axis, n in enumerate(full) if n == 1]
    dgamma = dbeta = None
    if gamma is not None:
        xhat = xp.reshape(centred * inverse, x.shape)
        dgamma = shaped(xp, total(xp, dy * xhat, shared), gamma)
    if beta is not None:
        dbeta = shaped(xp, total(xp, dy, shared), beta)
    g = xp.reshape(dy if scale is None else dy * scale, split)
    dx = moments_vjp(xp, g, centred, inverse, inverse, axes).dx
    return NormGradients(cast(xp, xp.reshape(dx, x.shape), x.dtype), dgamma, dbeta)

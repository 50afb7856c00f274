"""Max pooling over windows."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from functools import lru_cache, reduce

from arrayconv.arguments import Shape, choice, flag, once, suggesting
from arrayconv.engine import chunks, halos, windows
from arrayconv.engine.blocks import Block
from arrayconv.namespace import (
    Array,
    Namespace,
    accumulator,
    array_namespace,
    cast,
    copied,
    fused,
    is_floating,
    is_lazy,
    placement,
    promoted,
    real,
    traits,
)
from arrayconv.ops.layout import check_gradient, check_layout, from_last, spatial, to_last
from arrayconv.ops.pooling.blocks import pooled, unpooled
from arrayconv.window import Ints, Padding, Window, per_axis, sliding

TIES = ("first", "split", "all")
# What wins no maximum.
LEAST = -math.inf
# How much more than at once a gradient may compute axis by axis: a compiler fuses the few sums of each step.
MORE, MORE_TRACED = 1.0, 1.4


@suggesting
def max_pool(
    x: Array,
    window: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    data_format: str = "channels_last",
) -> Array:
    r"""The largest cell of every window, channel by channel.

    Parameters
    ----------
    x : array, shape (N, *S, C), or (N, C, *S) for ``"channels_first"``
        Real floating or integer.
    window : int or sequence of int
        Cells per spatial axis.
    stride : int or sequence of int, optional
        Step between windows; the window itself if ``None``.
    padding : int, sequence of int, sequence of (int, int), or str
        Cells around the input that never win, narrower than the window; or a name, as for ``conv``.
    dilation : int or sequence of int
        Step between the cells of one window.
    ceil_mode : bool
        Keep a last window that hangs over the end, unless it would start in the padding there.
    data_format : {"channels_last", "channels_first"}
        Layout of ``x`` and of the result.

    Returns
    -------
    array, shape (N, *out, C) or (N, C, *out)
        In the dtype of ``x``. NaN wins. Along each axis of ``n`` cells, for
        a window of ``k``, the dilation ``d`` and the stride ``s``,

        .. math::

            out = \left\lfloor \frac{n + before + after - d \, (k - 1) - 1}{s} \right\rfloor + 1

        rounded up in ``ceil_mode``.

    Raises
    ------
    TypeError
        A boolean or complex ``x``, or geometry that is not integer.
    ValueError
        A window larger than the padded input, padding as wide as the window, or an unknown format.

    See Also
    --------
    max_pool_vjp : Its gradient.

    Notes
    -----
    The sizes and ``ceil_mode`` are PyTorch's. The maximum is taken axis by axis.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 3.0, 2.0, 2.0]).reshape(1, 4, 1)
    >>> ac.max_pool(x, 2)[0, :, 0]
    array([3., 2.])
    """
    xp = array_namespace("max_pool", x=x)
    real("max_pool", xp, x=x)
    geometry = check_pool(
        "max_pool", tuple(x.shape), window, stride, padding, dilation, ceil_mode, data_format
    )
    y = window_maximum(xp, to_last(xp, x, data_format), geometry)
    return from_last(xp, y, data_format)


@suggesting
def max_pool_vjp(
    dy: Array,
    x: Array,
    window: Ints,
    *,
    stride: Ints | None = None,
    padding: Padding = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    data_format: str = "channels_last",
    ties: str = "first",
    y: Array | None = None,
) -> Array | None:
    r"""The gradient of ``max_pool``: that of a window goes to the cell that won it.

    .. math::

        dx_i = \sum_{o:\; i \text{ wins } o} dy_o

    The sum runs over the windows ``o`` whose maximum is the cell ``i``; ``ties`` says which cell
    that is where several are equal. A NaN wins, and takes the gradient.

    Parameters
    ----------
    dy : array, shape (N, *out, C) or (N, C, *out)
        Upstream gradient, of the shape of ``max_pool``'s result.
    x, window, stride, padding, dilation, ceil_mode, data_format
        As for ``max_pool``.
    ties : {"first", "split", "all"}
        The gradient goes to the first of equal maxima in C order, is shared equally among them, or
        goes to each in full (as in the course).
    y : array, optional
        The result of ``max_pool``, if it is at hand.

    Returns
    -------
    array or None
        Of the shape of ``x``, in the promoted dtype of ``dy`` and ``x``; ``None`` for an integer
        ``x``.

    Raises
    ------
    TypeError, ValueError
        As ``max_pool``; and for an unknown tie rule, and a ``dy`` or ``y`` that has not the shape
        of the result.

    See Also
    --------
    max_pool : What this differentiates.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x = np.asarray([1.0, 3.0, 2.0, 2.0]).reshape(1, 4, 1)
    >>> dy = np.asarray([10.0, 20.0]).reshape(1, 2, 1)
    >>> ac.max_pool_vjp(dy, x, 2)[0, :, 0]
    array([ 0., 10., 20.,  0.])
    >>> ac.max_pool_vjp(dy, x, 2, ties="split")[0, :, 0]
    array([ 0., 10., 10., 10.])
    """
    op = "max_pool_vjp"
    xp = array_namespace(op, dy=dy, x=x, y=y)
    choice(op, "ties", ties, TIES)
    if not is_floating(xp, x.dtype):
        real(op, xp, x=x)
        return None
    dy, x, y = promoted(op, xp, dy=dy, x=x, y=y)
    geometry = check_pool(
        op, tuple(x.shape), window, stride, padding, dilation, ceil_mode, data_format
    )
    dy, x = to_last(xp, dy, data_format), to_last(xp, x, data_format)
    shape = (x.shape[0], *geometry.output, x.shape[-1])
    check_gradient(op, dy, shape)
    if y is not None:
        y = to_last(xp, y, data_format)
        check_gradient(op, y, shape, name="y")
    return from_last(xp, window_maximum_vjp(xp, dy, y, x, geometry, ties), data_format)


@once
def check_pool(
    op: str,
    shape: Shape,
    window: Ints,
    stride: Ints | None,
    padding: Padding,
    dilation: Ints,
    ceil_mode: bool,
    data_format: str,
) -> Window:
    """The geometry of a pool over the windows of an ``x`` of this shape."""
    check_layout(op, shape, data_format)
    size = spatial(shape, data_format)
    kernel = per_axis(op, "window", window, len(size))
    return sliding(
        op,
        size,
        kernel,
        kernel if stride is None else stride,
        padding,
        dilation,
        ceil_mode=flag(op, "ceil_mode", ceil_mode),
        inside=True,
    )


def window_maximum(xp: Namespace, x: Array, window: Window) -> Array:
    """The maximum of every window of ``(N, *S, C)``."""
    if chunks.serves(window, x):
        return chunks.gathered(window_maximum, x, chunks.layout(window, x), x.chunks[-1], x.dtype)

    def part(block: Block) -> Array:
        cells = x[block.images, block.cells, ...]
        return windows.reduce_windows(xp, cells, block.window, xp.maximum, LEAST)

    return pooled(xp, x, window, part)


def window_maximum_vjp(
    xp: Namespace,
    dy: Array,
    y: Array | None,
    x: Array,
    window: Window,
    ties: str,
    valid: Array | None = None,
) -> Array:
    """The gradient of ``window_maximum``, whose result is ``y`` if at hand; cells that are not ``valid`` take none."""
    dtype = dy.dtype
    if valid is None and chunks.serves(window, x):
        lies = chunks.layout(window, x)
        y = window_maximum(xp, x, window) if y is None else y
        return chunks.spread(window_maximum_vjp, (dy, y), lies, x.chunks[-1], dtype, x, ties=ties)
    dy = cast(xp, dy, accumulator(xp, dtype))
    at = traits(xp, x)
    host = at.mutable and not at.accelerator
    # a CPU guesses the branches of where, and badly where each cell wins now and then
    shares = _multiplied if host else _chosen
    in_place = at.mutable and at.accelerator
    # to share a gradient, all the maxima of a window must be counted
    by_axes = ties != "split" and _pays_by_axes(window, at.mutable)

    def part(block: Block, into: Array | None) -> Array:
        steps = block.window.axes_last_first if by_axes else (block.window,)
        cells = x[block.images, block.cells, ...]
        allowed = None if valid is None else valid[:, block.cells, ...]
        below = [(cells, allowed)]
        for step in steps[:-1]:
            cells = windows.reduce_windows(xp, cells, step, xp.maximum, LEAST)
            if allowed is not None:
                allowed = windows.reduce_windows(xp, allowed, step, xp.logical_or, 0)
            below.append((cells, allowed))
        if y is None:
            top = windows.reduce_windows(xp, cells, steps[-1], xp.maximum, LEAST)
        else:
            top = y[block.images, block.rows, ...]
        gradient = dy[block.images, block.rows, ...]
        # a look at the maxima, where that waits for nobody, saves a comparison of every cell
        nan = not at.calling or bool(xp.any(top != top))
        for step in reversed(steps):
            cells, allowed = below.pop()
            if in_place:
                gradient = _by_cell(xp, gradient, cells, top, step, ties, allowed)
                top = cells
                continue
            hits = _winners(_hits(xp, cells, top, step, allowed, host, nan), ties)
            parts = shares(xp, _upstream(xp, gradient, hits, ties), hits)
            gradient = windows.overlap_add(
                xp,
                parts,
                step,
                lead=1,
                mutable=at.mutable,
                into=None if below else into,
                alone=block.window.disjoint,
            )
            top = cells
        return gradient

    return cast(xp, unpooled(xp, dy, window, part), dtype)


@lru_cache(maxsize=1024)
def _pays_by_axes(window: Window, mutable: bool) -> bool:
    at_once, by_axes = (
        sum(step.cells * math.prod(step.output) for step in steps)
        for steps in ((window,), window.axes_last_first)
    )
    return by_axes <= (MORE if mutable else MORE_TRACED) * at_once


def _by_cell(
    xp: Namespace,
    dy: Array,
    x: Array,
    y: Array,
    window: Window,
    ties: str,
    valid: Array | None,
) -> Array:
    """The gradient of one step, written for one cell of all windows after the other: each is a kernel, where fused."""

    def count(counts: Array, *hit: Array) -> None:
        counts += xp.astype(_wins(*hit), counts.dtype)

    def give(dx: Array, dy: Array, *hit: Array) -> None:
        dx += xp.where(_wins(*hit), dy, 0.0)

    def give_first(dx: Array, dy: Array, taken: Array, *hit: Array) -> None:
        wins = _wins(*hit)
        dx += xp.where(wins & ~taken, dy, 0.0)
        taken |= wins

    places = [
        ((slice(None), *cells, ...), (slice(None), *outputs, ...))
        for cells, outputs in window.tap_inside
    ]
    hits = [(x[at], y[of], *(() if valid is None else (valid[at],))) for at, of in places]
    dx = xp.zeros(x.shape, dtype=dy.dtype, **placement(dy))
    if ties == "first":
        taken = xp.zeros(y.shape, dtype=xp.bool, **placement(dy))
        for (at, of), hit in zip(places, hits, strict=True):
            fused(xp, give_first, dx[at], dy[of], taken[of], *hit)
        return dx
    if ties == "split":
        counts = xp.zeros(y.shape, dtype=dy.dtype, **placement(dy))
        for (_, of), hit in zip(places, hits, strict=True):
            fused(xp, count, counts[of], *hit)
        dy = dy / counts
    for (at, of), hit in zip(places, hits, strict=True):
        fused(xp, give, dx[at], dy[of], *hit)
    return dx


def _wins(x: Array, y: Array, valid: Array | None = None, nan: bool = True) -> Array:
    """Where cells hold the maximum of their window; ``nan`` if there may be one, which wins and equals nothing."""
    hit = (x == y) | (x != x) if nan else x == y
    return hit if valid is None else hit & valid


def _hits(
    xp: Namespace,
    x: Array,
    y: Array,
    window: Window,
    valid: Array | None,
    host: bool,
    nan: bool,
) -> Iterator[Array]:
    """For each cell of the window, where it holds the maximum: boolean, ``(N, *out, C)``."""
    if is_lazy(x) and halos.serves(xp, x):
        inside = (
            halos.inside(xp, window)
            if valid is None
            else halos.tap_views(xp, valid, window, lead=1)
        )
        for cell, allowed in zip(halos.tap_views(xp, x, window, lead=1), inside, strict=True):
            yield _wins(cell, y, allowed)
        return
    mutable = not is_lazy(x)
    for (cells, outputs), outside in zip(window.tap_inside, window.tap_outside, strict=True):
        at = (slice(None), *cells, ...)
        # two comparisons of a copy cost a CPU less than two of every second cell
        cell = copied(xp, x[at]) if host and nan and window.stride[-1] > 1 else x[at]
        allowed = None if valid is None else valid[at]
        hit = _wins(cell, y[(slice(None), *outputs, ...)], allowed, nan)
        yield (
            windows.pad(xp, hit, outside, lead=1, mutable=mutable, value=False) if outside else hit
        )


def _winners(hits: Iterator[Array], ties: str) -> list[Array]:
    """The cells that take gradient: of several maxima in a window the first, or all of them."""
    if ties != "first":
        return list(hits)
    taken = next(hits)
    winners = [taken]
    for hit in hits:
        winners.append(hit & ~taken)
        taken = taken | hit
    return winners


def _upstream(xp: Namespace, dy: Array, hits: list[Array], ties: str) -> Array:
    if ties != "split":
        return dy
    return dy / reduce(operator.add, (xp.astype(hit, dy.dtype) for hit in hits))


def _chosen(xp: Namespace, dy: Array, hits: list[Array]) -> Iterator[Array]:
    """For each cell of the window, its share of the upstream gradient."""
    # where, and not a product: an infinite dy times False would be NaN
    zero = xp.zeros((), dtype=dy.dtype, **placement(dy))
    return (xp.where(hit, dy, zero) for hit in hits)


def _multiplied(xp: Namespace, dy: Array, hits: list[Array]) -> Iterator[Array]:
    """The same by products, but for what is not finite, which a product would spread."""
    finite = xp.isfinite(dy)
    if traits(xp, dy).calling and bool(xp.all(finite)):
        return (dy * xp.astype(hit, dy.dtype) for hit in hits)
    tame = xp.where(finite, dy, xp.zeros((), dtype=dy.dtype, **placement(dy)))
    wild = ~finite
    return (xp.where(hit & wild, dy, tame * xp.astype(hit, dy.dtype)) for hit in hits)

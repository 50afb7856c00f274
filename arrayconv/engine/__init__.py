"""How a correlation is computed, and its two adjoints; knows nothing of layers.

Three functions, on channels-last arrays: ``correlate``, ``correlate_input_vjp`` and
``correlate_weight_vjp``. Each asks ``plan`` for a strategy and blocks, hands the strategy one block
at a time, and puts the results together.

Adding a strategy
-----------------
A strategy is a module with five functions; ``columns`` and ``taps`` are the two to read first.

``correlate(xp, x, w, window, mutable)``
    ``x`` is ``(G, N, *size, C)``, ``w`` is ``(G, *kernel, C, O)`` and the result ``(G, N,
    *window.output, O)``: groups are a leading axis (one group: an axis of length 1) and the
    strategy need not know of them beyond a batched ``matmul``. Output cell ``o`` reads ``x`` at ``o
    * stride + dilation * k - before``; ``windows.reach`` pads and ``windows.tap_views`` slices.
    ``mutable`` says whether arrays made here may be written in place.
``input_vjp(xp, dy, w, window, mutable)``, ``weight_vjp(xp, x, dy, window, mutable)``
    The two adjoints, in the same layout.
``declines(window, channels, features)``
    ``None``, or why this window cannot be served exactly. A strategy declines; it never
    approximates.
``temporaries(window, channels, features)``
    Elements of temporary arrays per group and image, from which ``plan`` makes blocks under the
    workspace.

A strategy that works in tiles has two more. ``tile(window, channels, features)`` gives the outputs
of a tile along each axis, and blocks end between tiles. ``prepare(xp, w, window)`` makes of ``w``,
once for all blocks, what ``correlate`` then takes in its place; ``input_vjp`` takes ``w`` itself.
Where results round more than those of columns, or NaN and inf reach other windows than those that
contain them, the name belongs into ``plan.FAST``, and ``options(precision="fast")`` alone admits it.

Blocks, groups, half types, the phases of a strided input gradient and native kernels are handled
here, once. Put the module into ``plan.STRATEGIES``; the tests then force it on NumPy over the whole
table of cases, and on every other library over a sample. Then let ``plan`` choose it where the
benchmark says that it wins.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar

from arrayconv.engine import native, windows
from arrayconv.engine.blocks import Block
from arrayconv.engine.plan import STRATEGIES, Plan, Problem, make_plan
from arrayconv.engine.settings import current
from arrayconv.namespace import Array, Namespace, accumulator, cast, itemsize, placement, traits
from arrayconv.window import Window

__all__ = ["STRATEGIES", "correlate", "correlate_input_vjp", "correlate_weight_vjp", "plans_only"]

# Where it holds a list, plans are noted there and nothing is computed.
plans_only: ContextVar[list[Plan] | None] = ContextVar("arrayconv_plans_only", default=None)


def correlate(xp: Namespace, x: Array, w: Array, window: Window, groups: int) -> Array:
    """``(N, *size, C)`` and ``(*kernel, C / groups, O)`` to ``(N, *output, O)``."""
    if current().engine == "native":
        y = native.correlate(xp, x, w, window, groups)
        if y is not None:
            return y
    weights = _group_weights(xp, cast(xp, w, accumulator(xp, x.dtype)), groups)
    return _correlate(xp, x, weights, window)


def correlate_input_vjp(xp: Namespace, dy: Array, w: Array, window: Window, groups: int) -> Array:
    """The gradient with respect to ``x``: ``(N, *output, O)`` and ``(*kernel, C / groups, O)`` to ``(N, *size, C)``."""
    if current().engine == "native":
        dx = native.correlate_input_vjp(xp, dy, w, window, groups)
        if dx is not None:
            return dx
    weights = _group_weights(xp, cast(xp, w, accumulator(xp, dy.dtype)), groups)
    plan = _plan("input_vjp", xp, dy, window, groups, *weights.shape[-2:])
    shape = (_batch(dy), *window.size, groups * weights.shape[-2])
    if plan.phases:
        return _by_phases(xp, dy, weights, window, shape, plan.problem.traits.mutable)
    if shape[0] == 0:
        return xp.zeros(shape, dtype=dy.dtype, **placement(dy))
    return _by_overlap(xp, dy, weights, plan, shape)


def correlate_weight_vjp(xp: Namespace, x: Array, dy: Array, window: Window, groups: int) -> Array:
    """The gradient with respect to ``w``: ``(N, *size, C)`` and ``(N, *output, O)`` to ``(*kernel, C / groups, O)``."""
    if current().engine == "native":
        dw = native.correlate_weight_vjp(xp, x, dy, window, groups)
        if dw is not None:
            return dw
    channels, features = x.shape[-1] // groups, dy.shape[-1] // groups
    shape = (*window.kernel, channels, groups * features)
    plan = _plan("weight_vjp", xp, x, window, groups, channels, features)
    if _batch(x) == 0:
        return xp.zeros(shape, dtype=x.dtype, **placement(x))
    strategy = STRATEGIES[plan.strategy]
    mutable = plan.problem.traits.mutable
    total = None
    for block in plan.blocks:
        part = strategy.weight_vjp(
            xp,
            _grouped(xp, x[block.images, block.cells, ...], groups),
            _grouped(xp, dy[block.images, block.rows, ...], groups),
            block.window,
            mutable,
        )
        total = part if total is None else total + part
    # (G, *kernel, C, O) -> (*kernel, C, G, O) -> (*kernel, C, G*O)
    ndim = len(window.kernel)
    dw = xp.permute_dims(total, (*range(1, ndim + 2), 0, ndim + 2))
    return cast(xp, xp.reshape(dw, shape), x.dtype)


def _correlate(
    xp: Namespace,
    x: Array,
    weights: Array,
    window: Window,
    store: Callable[[Block, Array], None] | None = None,
) -> Array:
    # weights are (G, *kernel, C, O) in the accumulator's dtype; store, if given, takes each block's result
    groups = weights.shape[0]
    plan = _plan("correlate", xp, x, window, groups, *weights.shape[-2:])
    shape = (_batch(x), *window.output, groups * weights.shape[-1])
    if shape[0] == 0:
        return xp.zeros(shape, dtype=x.dtype, **placement(x))
    strategy = STRATEGIES[plan.strategy]
    mutable = plan.problem.traits.mutable
    if hasattr(strategy, "prepare"):
        weights = strategy.prepare(xp, weights, window)

    def compute(block: Block) -> Array:
        part = x if block is plan.only else x[block.images, block.cells, ...]
        part = _grouped(xp, part, groups)
        y = strategy.correlate(xp, part, weights, block.window, mutable)
        return cast(xp, _merged(xp, y), x.dtype)

    if store is None:
        return _assemble(xp, plan, shape, x, compute)
    for block in plan.blocks:
        store(block, compute(block))
    return None


def _by_phases(
    xp: Namespace, dy: Array, weights: Array, window: Window, shape: tuple[int, ...], mutable: bool
) -> Array:
    if all(step == 1 for step in window.stride):
        (phase,) = window.phases
        return _correlate(xp, dy, windows.flipped(xp, weights, phase.taps), phase.window)
    if not mutable:
        wide = window.unpadded
        parts = {}
        for phase in wide.phases:
            if 0 not in phase.window.kernel:
                residue = tuple(target.start for target in phase.target)
                parts[residue] = _correlate(
                    xp, dy, windows.flipped(xp, weights, phase.taps), phase.window
                )
        dx = windows.interleave(xp, parts, window.stride, lead=1)
        widths = tuple(
            (-before, before + n - m)
            for (before, _), n, m in zip(window.padding, window.size, wide.size, strict=True)
        )
        return windows.pad(xp, dx, widths, lead=1, mutable=False)
    dx = xp.zeros(shape, dtype=dy.dtype, **placement(dy))
    for phase in window.phases:
        if 0 in phase.window.kernel:
            continue
        first, *rest = phase.target

        def store(
            block: Block, value: Array, first: slice = first, rest: list[slice] = rest
        ) -> None:
            start = first.start + block.rows.start * first.step
            stop = first.start + (block.rows.stop - 1) * first.step + 1
            dx[(block.images, slice(start, stop, first.step), *rest, ...)] = value

        _correlate(xp, dy, windows.flipped(xp, weights, phase.taps), phase.window, store)
    return dx


def _by_overlap(
    xp: Namespace, dy: Array, weights: Array, plan: Plan, shape: tuple[int, ...]
) -> Array:
    groups = weights.shape[0]
    strategy = STRATEGIES[plan.strategy]
    mutable = plan.problem.traits.mutable

    def compute(block: Block) -> Array:
        part = _grouped(xp, dy[block.images, block.rows, ...], groups)
        return _merged(xp, strategy.input_vjp(xp, part, weights, block.window, mutable))

    if not mutable or len(plan.blocks.pieces) == 1:
        return _assemble(
            xp, plan, shape, dy, lambda block: cast(xp, compute(block), dy.dtype), whole_rows=True
        )
    dx = xp.zeros(shape, dtype=weights.dtype, **placement(dy))
    for block in plan.blocks:
        # rows of windows may lie in the padding altogether
        if block.cells.start < block.cells.stop:
            dx[block.images, block.cells, ...] += compute(block)
    return cast(xp, dx, dy.dtype)


def _assemble(
    xp: Namespace,
    plan: Plan,
    shape: tuple[int, ...],
    like: Array,
    compute: Callable[[Block], Array],
    *,
    whole_rows: bool = False,
) -> Array:
    if plan.only is not None:
        return compute(plan.only)
    if not plan.problem.traits.mutable:
        images = [[compute(block) for block in row] for row in plan.blocks.by_images()]
        rows = [row[0] if len(row) == 1 else xp.concat(row, axis=1) for row in images]
        return rows[0] if len(rows) == 1 else xp.concat(rows, axis=0)
    result = xp.empty(shape, dtype=like.dtype, **placement(like))
    for block in plan.blocks:
        result[(block.images, *(() if whole_rows else (block.rows,)), ...)] = compute(block)
    return result


def _plan(
    kind: str,
    xp: Namespace,
    x: Array,
    window: Window,
    groups: int,
    channels: int,
    features: int,
) -> Plan:
    problem = Problem(
        kind,
        groups,
        x.shape[0],
        channels,
        features,
        window,
        itemsize(xp, accumulator(xp, x.dtype)),
        traits(xp, x),
        hasattr(xp, "fft"),
    )
    plan = make_plan(problem, current())
    notes = plans_only.get()
    if notes is not None:
        notes.append(plan)
    return plan


def _batch(x: Array) -> int:
    # where plans are only noted, an empty batch stands for what is not computed
    return 0 if plans_only.get() is not None else int(x.shape[0])


def _group_weights(xp: Namespace, w: Array, groups: int) -> Array:
    if groups == 1:
        return w[None, ...]
    # (*kernel, C, G*O) -> (*kernel, C, G, O) -> (G, *kernel, C, O)
    ndim = w.ndim
    split = xp.reshape(w, (*w.shape[:-1], groups, w.shape[-1] // groups))
    return xp.permute_dims(split, (ndim - 1, *range(ndim - 1), ndim))


def _grouped(xp: Namespace, x: Array, groups: int) -> Array:
    x = cast(xp, x, accumulator(xp, x.dtype))
    if groups == 1:
        return x[None, ...]
    # (N, *S, G*C) -> (N, *S, G, C) -> (G, N, *S, C)
    ndim = x.ndim
    split = xp.reshape(x, (*x.shape[:-1], groups, x.shape[-1] // groups))
    return xp.permute_dims(split, (ndim - 1, *range(ndim - 1), ndim))


def _merged(xp: Namespace, y: Array) -> Array:
    if y.shape[0] == 1:
        return y[0, ...]
    # (G, N, *S, C) -> (N, *S, G, C) -> (N, *S, G*C)
    ndim = y.ndim
    moved = xp.permute_dims(y, (*range(1, ndim - 1), 0, ndim - 1))
    return xp.reshape(moved, (*moved.shape[:-2], moved.shape[-2] * moved.shape[-1]))

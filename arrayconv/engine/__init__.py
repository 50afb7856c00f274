"""How a correlation is computed, and its two adjoints; knows nothing of layers.

Three functions, on channels-last arrays: ``correlate``, ``correlate_input_vjp`` and
``correlate_weight_vjp``. Each asks ``plan`` for a strategy, that of the first rule of ``choice``
which holds, and for blocks, hands the strategy one block at a time, and puts the results together.

Adding a strategy
-----------------
A strategy is a module with five functions, which it puts into its ``STRATEGY``; ``columns`` and
``taps`` are the two to read first.

``correlate(xp, x, w, window, mutable)``
    ``x`` is ``(G, N, *size, C)``, ``w`` is ``(G, *kernel, C, O)`` and the result ``(G, N,
    *window.output, O)``: groups are a leading axis (one group: an axis of length 1) and the
    strategy need not know of them beyond a batched ``matmul``. Output cell ``o`` reads ``x`` at ``o
    * stride + dilation * k - before``; ``windows.taps`` gives what each cell of the window meets.
    ``mutable`` says whether arrays made here may be written in place.
``input_vjp(xp, dy, w, window, mutable)``, ``weight_vjp(xp, x, dy, window, mutable)``
    The two adjoints, in the same layout.
``declines(window, channels, features)``
    ``None``, or why this window cannot be served exactly. A strategy declines; it never
    approximates.
``temporaries(kind, window, channels, features)``
    Elements of temporary arrays per group and image of ``"correlate"``, ``"input_vjp"`` or
    ``"weight_vjp"``, from which ``plan`` makes blocks under the workspace.

A strategy that works in tiles has three more. ``tile(window, channels, features)`` gives the outputs
of a tile along each axis, and blocks end between tiles. ``prepare(xp, w, window)`` makes of ``w``,
once for all blocks, what ``correlate`` then takes in its place; ``input_vjp`` takes ``w`` itself.
``prepared(window, channels, features)`` is how many elements that has. Where results round more
than those of columns, or NaN and inf reach other windows than those that contain them, ``fast`` is
true, and ``options(precision="fast")`` alone admits it. What else it may say is in ``strategy.py``.

Blocks, groups, half types, the phases of a strided input gradient and native kernels are handled
here, once. Put it into ``STRATEGIES`` in ``choice.py``; the tests then force it on NumPy over the
whole table of cases, and on every other library over a sample. Then give it a line in ``RULES``,
the table there, where the benchmark says that it wins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import nullcontext
from itertools import tee, zip_longest
from typing import Any, TypeVar

from arrayconv.engine import chunks, loops, native, windows
from arrayconv.engine.blocks import Block
from arrayconv.engine.choice import STRATEGIES
from arrayconv.engine.plan import Plan, make_plan
from arrayconv.engine.problem import Problem
from arrayconv.engine.settings import current
from arrayconv.engine.threads import each, products_on_one_thread
from arrayconv.namespace import (
    Array,
    DType,
    Namespace,
    accumulator,
    array_namespace,
    cast,
    copied,
    itemsize,
    placement,
    rolled_loop,
    traits,
    unchunked,
)
from arrayconv.window import Window

__all__ = ["STRATEGIES", "correlate", "correlate_input_vjp", "correlate_weight_vjp", "plan_for"]

T = TypeVar("T")

# Images that a plan counts on where their number is not known.
UNKNOWN_BATCH = 32


def correlate(
    xp: Namespace, x: Array, w: Array, window: Window, groups: int, b: Array | None = None
) -> Array:
    """``(N, *size, C)`` and ``(*kernel, C / groups, O)`` to ``(N, *output, O)``, plus ``b``."""
    if current().engine == "native":
        y = native.correlate(xp, x, w, window, groups, None if b is None else _bias(xp, x, b))
        if y is not None:
            return y
    if chunks.serves(window, x):
        # a strategy that declines says so here, and not in a task
        plan_for("correlate", xp, x, window, groups, w.shape[-2], w.shape[-1] // groups)
        x, at = unchunked(x, -1), chunks.layout(window, x)
        more = {"w": w, "b": b, "groups": groups}
        return chunks.gathered(correlate, x, at, (w.shape[-1],), x.dtype, **more)
    wide = accumulator(xp, x.dtype)
    weights = _group_weights(xp, cast(xp, w, wide), groups)
    plan = plan_for("correlate", xp, x, window, groups, *weights.shape[-2:])
    bias = None if b is None else _bias(xp, x, cast(xp, b, wide))
    return _correlate(xp, x, weights, plan, x.dtype, bias)


def correlate_input_vjp(
    xp: Namespace,
    dy: Array,
    w: Array,
    window: Window,
    groups: int,
    b: Array | None = None,
    x: Array | None = None,
) -> Array:
    """The gradient with respect to ``x``: ``(N, *output, O)`` and ``(*kernel, C / groups, O)`` to ``(N, *size, C)``.

    A transposed convolution adds its bias ``b``. In chunks, the result lies as ``x`` does, where that is given.
    """
    if current().engine == "native":
        bias = None if b is None else _bias(xp, dy, b)
        dx = native.correlate_input_vjp(xp, dy, w, window, groups, bias)
        if dx is not None:
            return dx
    wide = accumulator(xp, dy.dtype)
    weights = _group_weights(xp, cast(xp, w, wide), groups)
    shape = (dy.shape[0], *window.size, groups * weights.shape[-2])
    if chunks.serves(window, dy):
        plan_for("input_vjp", xp, dy, window, groups, *weights.shape[-2:])
        at = chunks.layout(window, dy, outputs=True) if x is None else chunks.layout(window, x)
        dy, dtype = unchunked(dy, -1), dy.dtype
        dy = cast(xp, dy, wide) if b is not None else dy
        more = {"w": w, "groups": groups}
        dx = chunks.spread(correlate_input_vjp, (dy,), at, (shape[-1],), dy.dtype, **more)
        return dx if b is None else cast(xp, dx + _bias(xp, dx, cast(xp, b, wide)), dtype)
    if 0 in shape:
        return xp.zeros(shape, dtype=dy.dtype, **placement(dy))
    plan = plan_for("input_vjp", xp, dy, window, groups, *weights.shape[-2:])
    bias = None if b is None else _bias(xp, dy, cast(xp, b, wide))
    compute = _by_phases if plan.phased else _by_overlap
    return compute(xp, dy, weights, plan, shape, bias)


def correlate_weight_vjp(xp: Namespace, x: Array, dy: Array, window: Window, groups: int) -> Array:
    """The gradient with respect to ``w``: ``(N, *size, C)`` and ``(N, *output, O)`` to ``(*kernel, C / groups, O)``."""
    if current().engine == "native":
        dw = native.correlate_weight_vjp(xp, x, dy, window, groups)
        if dw is not None:
            return dw
    channels, features = x.shape[-1] // groups, dy.shape[-1] // groups
    shape = (*window.kernel, channels, groups * features)
    if chunks.serves(window, x):
        plan_for("weight_vjp", xp, x, window, groups, channels, features)
        wide = accumulator(xp, x.dtype)
        x, at = unchunked(cast(xp, x, wide), -1), chunks.layout(window, x)
        dy, dtype = unchunked(cast(xp, dy, wide), -1), dy.dtype
        return cast(
            xp, chunks.added(correlate_weight_vjp, x, dy, at, shape, wide, groups=groups), dtype
        )
    plan = plan_for("weight_vjp", xp, x, window, groups, channels, features)
    if x.shape[0] == 0:
        return xp.zeros(shape, dtype=x.dtype, **placement(x))
    strategy = STRATEGIES[plan.strategy]
    mutable = plan.problem.traits.mutable
    total = None

    def compute(window: Window, x: Array, dy: Array) -> Array:
        x, dy = _grouped(xp, x, groups), _grouped(xp, dy, groups)
        return strategy.weight_vjp(xp, x, dy, window, mutable)

    def of_block(block: Block) -> Array:
        cells, rows = x[block.images, block.cells, ...], dy[block.images, block.rows, ...]
        return compute(block.window, cells, rows)

    def add(part: Array) -> None:
        nonlocal total
        total = windows.plus(total, part, mutable)

    if mutable:
        _run(plan, of_block, plan.blocks, add)
    else:
        part = (groups, *window.kernel, channels, features)
        wide = accumulator(xp, x.dtype)
        total = loops.added(xp, plan.blocks, compute, part, wide, x=x, dy=dy)
    # (G, *kernel, C, O) -> (*kernel, C, G, O) -> (*kernel, C, G*O)
    ndim = len(window.kernel)
    dw = xp.permute_dims(total, (*range(1, ndim + 2), 0, ndim + 2))
    return cast(xp, xp.reshape(dw, shape), x.dtype)


def plan_for(
    kind: str,
    xp: Namespace,
    x: Array,
    window: Window,
    groups: int,
    channels: int,
    features: int,
    dtype: DType = None,
) -> Plan:
    """The plan of one of the three functions, from the shape, dtype and kind of its first array alone.

    ``kind`` is ``"correlate"``, ``"input_vjp"`` or ``"weight_vjp"``; ``channels`` and ``features``
    are those of the input and of the output per group; ``dtype`` is that of ``x``, unless given.
    """
    batch = x.shape[0]
    if chunks.serves(window, x):
        x, batch, window = chunks.example(window, x, outputs=kind == "input_vjp")
        xp = array_namespace("explain", x=x)
    # under jax.export the batch may be a symbol
    known = isinstance(batch, int)
    at = traits(xp, x)
    dtype = x.dtype if dtype is None else dtype
    wide = accumulator(xp, dtype)
    problem = Problem(
        kind,
        groups,
        batch if known else UNKNOWN_BATCH,
        channels,
        features,
        window,
        itemsize(xp, wide),
        at,
        hasattr(xp, "fft"),
        wide != dtype,
        known and at.pieces == 1,
        not at.mutable and rolled_loop(xp, x) is not None,
    )
    return make_plan(problem, current())


def _correlate(
    xp: Namespace,
    x: Array,
    weights: Array,
    plan: Plan,
    dtype: DType,
    bias: Array | None,
    store: Callable[[Block, Array], None] | None = None,
) -> Array:
    # weights are (G, *kernel, C, O) in the accumulator's dtype; store, if given, takes each block's result
    groups, window = weights.shape[0], plan.problem.window
    shape = (x.shape[0], *window.output, groups * weights.shape[-1])
    if shape[0] == 0:
        return xp.zeros(shape, dtype=dtype, **placement(x))
    strategy = STRATEGIES[plan.strategy]
    mutable = plan.problem.traits.mutable
    if strategy.prepare is not None:
        at = plan.problem.traits
        # threads of its products would stay awake, beside those that take the blocks
        with products_on_one_thread() if at.calling else nullcontext():
            weights = strategy.prepare(xp, weights, window)

    def compute(window: Window, part: Array) -> Array:
        part = _grouped(xp, part, groups)
        y = _merged(xp, strategy.correlate(xp, part, weights, window, mutable))
        return cast(xp, windows.plus(y, bias, mutable), dtype)

    def of_block(block: Block) -> Array:
        part = x if block is plan.only else x[block.images, block.cells, ...]
        return compute(block.window, part)

    if store is not None:
        _run(plan, lambda block: store(block, of_block(block)), plan.blocks)
        return None
    if mutable or plan.only is not None:
        return _assemble(xp, plan, shape, of_block, dtype, x)
    return loops.joined(xp, plan.blocks, compute, x=x)


def _bias(xp: Namespace, like: Array, b: Array) -> Array:
    # the leading axes keep JAX's strict rank promotion content
    return xp.reshape(b, (1,) * (like.ndim - 1) + (-1,))


def _by_phases(
    xp: Namespace,
    dy: Array,
    weights: Array,
    plan: Plan,
    shape: tuple[int, ...],
    bias: Array | None,
) -> Array:
    window = plan.problem.window
    phases = list(plan.phases)
    if all(step == 1 for step in window.stride):
        ((phase, correlation),) = phases
        kernel = windows.flipped(xp, weights, phase.taps)
        return _correlate(xp, dy, kernel, correlation, dy.dtype, bias)
    if not plan.problem.traits.mutable and phases:
        parts = {
            tuple(target.start for target in phase.target): _correlate(
                xp,
                dy,
                windows.flipped(xp, weights, phase.taps),
                correlation,
                weights.dtype,
                None,
            )
            for phase, correlation in phases
        }
        dx = windows.interleave(xp, parts, window.stride, lead=1)
        widths = tuple(
            (-before, before + n - m)
            for (before, _), n, m in zip(
                window.padding, window.size, window.unpadded.size, strict=True
            )
        )
        dx = windows.pad(xp, dx, widths, lead=1, mutable=False)
        return cast(xp, windows.plus(dx, bias, False), dy.dtype)
    dx = _filled(xp, shape, bias, dy)
    for phase, correlation in phases:
        first, *rest = phase.target

        def store(
            block: Block, value: Array, first: slice = first, rest: list[slice] = rest
        ) -> None:
            start = first.start + block.rows.start * first.step
            stop = first.start + (block.rows.stop - 1) * first.step + 1
            dx[(block.images, slice(start, stop, first.step), *rest, ...)] = value

        kernel = windows.flipped(xp, weights, phase.taps)
        _correlate(xp, dy, kernel, correlation, dy.dtype, bias, store)
    return dx


def _filled(xp: Namespace, shape: tuple[int, ...], bias: Array | None, like: Array) -> Array:
    """What is left where no window reaches: the bias, or zeros."""
    zeros = xp.zeros(shape, dtype=like.dtype, **placement(like))
    if bias is None:
        return zeros
    bias = cast(xp, bias, like.dtype)
    return windows.plus(zeros, bias, traits(xp, like).mutable)


def _by_overlap(
    xp: Namespace,
    dy: Array,
    weights: Array,
    plan: Plan,
    shape: tuple[int, ...],
    bias: Array | None,
) -> Array:
    groups = weights.shape[0]
    strategy = STRATEGIES[plan.strategy]
    mutable = plan.problem.traits.mutable

    def compute(window: Window, part: Array) -> Array:
        part = _grouped(xp, part, groups)
        return _merged(xp, strategy.input_vjp(xp, part, weights, window, mutable))

    def finished(part: Array) -> Array:
        return cast(xp, windows.plus(part, bias, mutable), dy.dtype)

    def of_block(block: Block) -> Array:
        return compute(block.window, dy[block.images, block.rows, ...])

    if not mutable:
        return loops.joined(xp, plan.blocks, lambda *part: finished(compute(*part)), dy=dy)
    if plan.blocks.pieces == 1:
        return _assemble(
            xp, plan, shape, lambda block: finished(of_block(block)), dy.dtype, dy, whole_rows=True
        )
    dx = _filled(xp, shape, bias, dy)
    _run(
        plan,
        lambda blocks: _add_rows(xp, dx, blocks, of_block, finished),
        plan.blocks.by_images(),
    )
    return dx


def _add_rows(
    xp: Namespace,
    dx: Array,
    blocks: Iterable[Block],
    compute: Callable[[Block], Array],
    finished: Callable[[Array], Array],
) -> None:
    """Write into ``dx`` the sum of what ``compute`` gives for blocks of rows that share cells with their neighbours."""
    # rows of windows may lie in the padding altogether
    met, ahead = tee(block for block in blocks if block.cells.start < block.cells.stop)
    next(ahead, None)
    shared = None
    for block, following in zip_longest(met, ahead):
        part = compute(block)
        if shared is not None:
            part[:, : shared.shape[1], ...] += shared
        stop = block.cells.stop if following is None else following.cells.start
        done = min(stop, block.cells.stop) - block.cells.start
        # in the accumulator's dtype until all is added
        shared = None if done == part.shape[1] else copied(xp, part[:, done:, ...])
        rows = slice(block.cells.start, block.cells.start + done)
        dx[block.images, rows, ...] = finished(part[:, :done, ...])
        # not to be there beside the next one
        del part


def _assemble(
    xp: Namespace,
    plan: Plan,
    shape: tuple[int, ...],
    compute: Callable[[Block], Array],
    dtype: DType,
    like: Array,
    *,
    whole_rows: bool = False,
) -> Array:
    if plan.only is not None:
        if not plan.small:
            return compute(plan.only)
        with products_on_one_thread():
            return compute(plan.only)
    result = xp.empty(shape, dtype=dtype, **placement(like))

    def write(block: Block) -> None:
        result[(block.images, *(() if whole_rows else (block.rows,)), ...)] = compute(block)

    _run(plan, write, plan.blocks)
    return result


def _run(
    plan: Plan,
    work: Callable[[T], Any],
    tasks: Iterable[T],
    then: Callable[[Any], None] | None = None,
) -> None:
    """``work`` for every block, or span of them, on the threads of the plan; ``then`` for every result in turn."""
    at = plan.problem.traits
    with products_on_one_thread() if plan.small else nullcontext():
        each(work, tasks, at if plan.shared else at._replace(calling=False), plan.threads, then)


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

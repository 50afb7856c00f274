"""Cases of the normalizations."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle, product
from typing import Any

from arrayconv.cases.case import Case, Shape

_FIRST: dict[str, Any] = {"data_format": "channels_first"}
_SIZES: dict[int, Shape] = {0: (), 1: (7,), 2: (4, 3), 3: (3, 2, 4), 4: (2, 3, 2, 2)}


def _shape(n: int, space: Shape, channels: int, fmt: dict[str, Any]) -> Shape:
    return (n, channels, *space) if fmt else (n, *space, channels)


def _parameters(size: Shape) -> tuple[tuple[Shape | None, Shape | None], ...]:
    """Return scale and shift: both, none, either."""
    return ((size, size), (None, None), (size, None), (None, size))


def _batch_norm() -> Iterator[Case]:
    eps: Iterator[dict[str, Any]] = cycle(({}, {"eps": 1e-3}, {"eps": 0.5}))
    for ndim, fmt, (gamma, beta) in product((0, 1, 2, 3, 4), ({}, _FIRST), _parameters((3,))):
        x = _shape(5, _SIZES[ndim], 3, fmt)
        yield Case("batch_norm", (x, gamma, beta), (), {**fmt, **next(eps)})
    yield Case("batch_norm", ((1, 4, 3, 2), (2,), (2,)))
    yield Case("batch_norm", ((4, 1, 1, 1), (1,), (1,)))
    yield Case("batch_norm", ((4, 3, 2, 3), (1, 1, 1, 3), (3,)))


def _batch_norm_inference() -> Iterator[Case]:
    draws = ("normal", "normal", "normal", "normal", "positive")
    eps: Iterator[dict[str, Any]] = cycle(({}, {"eps": 1e-3}, {"eps": 0}))
    for ndim, fmt, (gamma, beta) in product((0, 1, 2, 3, 4), ({}, _FIRST), _parameters((3,))):
        x = _shape(2, _SIZES[ndim], 3, fmt)
        config = {**fmt, **next(eps)}
        yield Case("batch_norm_inference", (x, gamma, beta, (3,), (3,)), (), config, {}, draws)
    course = (1, 1, 1, 2)
    yield Case("batch_norm_inference", ((2, 3, 2, 2), None, None, course, course), draws=draws)
    yield Case("batch_norm_inference", ((0, 3, 2), (2,), (2,), (2,), (2,)), draws=draws)


def _layer_norm() -> Iterator[Case]:
    for shape in ((4, 6), (2, 5, 4), (2, 3, 4, 3), (2, 2, 3, 2, 4)):
        for gamma, beta in _parameters(shape[-1:]):
            yield Case("layer_norm", (shape, gamma, beta))
    chosen: tuple[Any, ...] = (
        1,
        (-1,),
        (1, 2),
        (-1, 2),
        (1, 2, 3),
        (1, 3),
        (3, 1),
        0,
        (0, 2),
        (-3,),
    )
    eps: Iterator[dict[str, Any]] = cycle(({}, {"eps": 1e-3}))
    for axes in chosen:
        shape = (3, 4, 2, 5)
        named = axes if isinstance(axes, tuple) else (axes,)
        size = tuple(shape[axis] for axis in sorted(axis % 4 for axis in named))
        for gamma, beta in _parameters(size)[:2]:
            yield Case("layer_norm", (shape, gamma, beta), (), {"axes": axes, **next(eps)})
    yield Case("layer_norm", ((2, 3, 4), (1, 1, 4), (1, 4)))
    yield Case("layer_norm", ((0, 4), (4,), (4,)))


def _group_norm() -> Iterator[Case]:
    eps: Iterator[dict[str, Any]] = cycle(({}, {"eps": 1e-3}, {"eps": 0.5}))
    for ndim, groups, fmt in product((0, 1, 2, 3, 4), (1, 2, 3, 6), ({}, _FIRST)):
        if ndim or groups < 6:
            shapes = (_shape(2, _SIZES[ndim], 6, fmt), (6,), (6,))
            yield Case("group_norm", shapes, (), {"groups": groups, **fmt, **next(eps)})
    for fmt, (gamma, beta) in product(({}, _FIRST), _parameters((4,))[1:]):
        yield Case("group_norm", (_shape(2, (3, 2), 4, fmt), gamma, beta), (), {"groups": 2, **fmt})
    yield Case("group_norm", ((0, 3, 4), (4,), (4,)), (), {"groups": 2})


def _instance_norm() -> Iterator[Case]:
    eps: Iterator[dict[str, Any]] = cycle(({}, {"eps": 1e-3}, {"eps": 0.5}))
    for ndim, fmt, (gamma, beta) in product((1, 2, 3, 4), ({}, _FIRST), _parameters((3,))):
        shapes = (_shape(2, _SIZES[ndim], 3, fmt), gamma, beta)
        yield Case("instance_norm", shapes, (), {**fmt, **next(eps)})
    yield Case("instance_norm", ((0, 3, 4), (4,), (4,)))


def families() -> Iterator[Case]:
    """Yield the cases of every normalization."""
    yield from _batch_norm()
    yield from _batch_norm_inference()
    yield from _layer_norm()
    yield from _group_norm()
    yield from _instance_norm()

"""Checks of a layer's methods: the arguments in their signatures, and what they return.

A graph compares shapes itself and calls these checks only on a mismatch. A wrong shape raises an error; a
length that a lazy library does not know yet passes.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any, NamedTuple

from arrayconv.models.checks import Shape
from arrayconv.namespace import Array


class Reads(NamedTuple):
    """The arguments that the two functions of a layer class take: keyword-only ones, and ``"x"`` for inputs."""

    forward: frozenset[str]
    backward: frozenset[str]


def named(kind: type, method: str, lead: int, known: tuple[str, ...]) -> frozenset[str]:
    """The keyword-only arguments of ``method``, and ``"x"`` if it takes more than ``lead`` positional ones.

    ``lead`` counts ``self``.

    Raises
    ------
    TypeError
        If a keyword-only argument is not among ``known``, or one of ``known`` is positional.
    """
    given = inspect.signature(getattr(kind, method)).parameters
    if list(given)[1:] == ["args", "kwargs"]:
        # the one of Layer itself, which only raises
        return frozenset()
    after = {n for n, p in given.items() if p.kind in (p.KEYWORD_ONLY, p.VAR_KEYWORD)}
    for name in given:
        if name in after and name not in known:
            raise TypeError(
                f"{kind.__name__}: {method} names {name!r}; it may name {', '.join(known)}"
            )
        if name not in after and name in known:
            raise TypeError(f"{kind.__name__}: {method} must name {name!r} after *")
    return frozenset(after | {"x"} if len(given) - len(after) > lead else after)


def arguments(kind: type, common: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the constructor's arguments; if it has ``**``, with those of the base class's constructor."""
    given = inspect.signature(kind).parameters.values()
    names = [p.name for p in given if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if any(p.kind is p.VAR_KEYWORD for p in given):
        names += getattr(kind, "fields", ())
    return tuple(name for name in dict.fromkeys(names) if name not in common)


def checked_forward(
    layer: Any, returned: Any, batch: int, shape: Shape
) -> tuple[Array, dict[str, Array]]:
    """``(y, updates)`` from what ``forward`` returned: ``y`` or ``(y, updates)``.

    Raises
    ------
    TypeError
        If it is neither, or a value is not an array.
    ValueError
        If a shape is wrong, or an update is not for one of the layer's untrained weights.
    """
    y = returned
    updates: dict[str, Array] = {}
    if isinstance(returned, tuple):
        if len(returned) != 2 or not isinstance(returned[1], dict):
            raise TypeError(
                f"{layer.label}: forward must return y, or (y, updates) with a dict of new values of untrained "
                f"weights, got {_described(returned)}"
            )
        y, updates = returned
    _check_shape(layer, "forward", "the output", y, (batch, *shape))
    for name, value in updates.items():
        spec = layer.specs.get(name)
        if spec is None or spec.trainable:
            untrained = _names(n for n, s in layer.specs.items() if not s.trainable)
            raise ValueError(
                f"{layer.label}: forward returned a new value of {name!r}, and may return those of its untrained "
                f"weights ({untrained})"
            )
        _check_shape(layer, "forward", f"the new {name!r}", value, spec.shape)
    return y, updates


def split_backward(layer: Any, returned: Any, inputs: int) -> tuple[Sequence[Any], dict[str, Any]]:
    """The gradients of the inputs, one each, and those of the weights by name, from what ``backward`` returned.

    Raises
    ------
    TypeError
        If it is not ``dx``, or for a layer with weights ``(dx, {weight: gradient})``.
    ValueError
        If there are not as many gradients as inputs.
    """
    dws: dict[str, Any] = {}
    if layer.specs:
        pair = isinstance(returned, tuple) and len(returned) == 2
        if not pair or not isinstance(returned[1], dict):
            raise TypeError(
                f"{layer.label}: backward must return (dx, dws) with a dict of the gradients of its weights "
                f"({_names(layer.specs)}), got {_described(returned)}"
            )
        returned, dws = returned
    if inputs == 1:
        if isinstance(returned, tuple):
            raise TypeError(
                f"{layer.label}: backward must return the gradient of its one input"
                + (" before the dict" if layer.specs else ", as it has no weights")
                + f", got {_described(returned)}"
            )
        return (returned,), dws
    if not isinstance(returned, tuple) or len(returned) != inputs:
        raise ValueError(
            f"{layer.label}: backward must return a tuple of one gradient for each of its {inputs} inputs, got "
            f"{_described(returned)}"
        )
    return returned, dws


def check_input_gradient(layer: Any, dx: Any, wanted: tuple[int, ...], number: int | None) -> None:
    """Raise unless ``dx`` is an array of shape ``wanted``; ``number`` is that of the input if there are several."""
    what = "the gradient of the input" + ("" if number is None else f" {number}")
    _check_shape(layer, "backward", what, dx, wanted)


def check_weight_gradients(layer: Any, dws: dict[str, Any], trained: frozenset[str]) -> None:
    """Raise unless ``dws`` has a gradient of the right shape for each of ``trained``, and no unknown names."""
    for name, dw in dws.items():
        if name not in layer.specs and dw is not None:
            raise ValueError(
                f"{layer.label}: backward returned a gradient of {name!r}, and the layer's weights are "
                f"{_names(layer.specs)}"
            )
        if name in trained:
            what = f"the gradient of {name!r}"
            _check_shape(layer, "backward", what, dw, layer.specs[name].shape)
    for name in layer.specs:
        if name in trained and name not in dws:
            raise ValueError(
                f"{layer.label}: backward returned no gradient of {name!r}, which would never be trained; declare it "
                "as WeightSpec(shape, initializer, trainable=False) if that is meant"
            )


def _check_shape(layer: Any, method: str, what: str, value: Any, wanted: tuple[int, ...]) -> None:
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        raise TypeError(
            f"{layer.label}: {method} must return {what} as an array, got {_described(value)}"
        )
    shape = tuple(value.shape)
    # Dask's unknown lengths are NaN, which does not equal itself
    if len(shape) != len(wanted) or any(
        n != m and n == n and m == m for n, m in zip(shape, wanted, strict=True)
    ):
        raise ValueError(
            f"{layer.label}: {method} must return {what} in the shape {wanted}, got {shape}"
        )


def _names(names: Any) -> str:
    return ", ".join(map(repr, names)) or "none"


def _described(value: Any) -> str:
    if isinstance(value, tuple):
        return f"a tuple of {len(value)}"
    if hasattr(value, "shape"):
        return f"an array of shape {tuple(value.shape)}"
    return "None" if value is None else f"a {type(value).__name__}"

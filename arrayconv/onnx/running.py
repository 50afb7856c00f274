"""Running the steps of a graph, forward and backward.

A value is an array of the caller's library; constants, shapes and what is computed from them alone stay NumPy
arrays, "on the host", so that shapes stay known under a compiler.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arrayconv.namespace import Array, Namespace, array_namespace, is_floating, placement, to_numpy
from arrayconv.onnx.graph import Graph, Step


class Place(NamedTuple):
    """Where a network runs: the namespace of a library, and an array on the device."""

    xp: Namespace
    like: Array

    def array(self, value: NDArray[Any]) -> Array:
        """A NumPy array moved there."""
        # torch warns if it shares read-only memory
        return self.xp.asarray(
            value if value.flags.writeable else value.copy(), **placement(self.like)
        )


class Trace(NamedTuple):
    """A record of a step for the backward pass: its arguments and its result."""

    step: Step
    args: list[Any]
    result: Any


def on_host(step: Step, args: Sequence[Any]) -> list[NDArray[Any]]:
    """The outputs of a step whose arguments are all NumPy arrays."""
    result = _call(step, _filled(step, args))
    values = result if isinstance(result, tuple) else (result,)
    return [np.asarray(value) for value in values]


def _filled(step: Step, args: Sequence[Any]) -> list[Any]:
    """The arguments, with those that are static for the operator, such as shapes, as plain numbers."""
    operator = step.operator
    if not operator.static:
        return list(args)
    names = operator.parameters
    return [
        plain(a, step, names[i]) if i < len(names) and names[i] in operator.static else a
        for i, a in enumerate(args)
    ]


def plain(value: Any, step: Step, name: str) -> Any:
    """A static argument as a Python number, or as a tuple of numbers."""
    if value is None:
        return None
    try:
        host = value if isinstance(value, np.ndarray) else to_numpy(value)
    except Exception as error:
        raise TypeError(
            f"{step.title}: {name} determines a shape and must be known when the network is traced; give it as a NumPy "
            f"array ({type(error).__name__})"
        ) from None
    return host.item() if host.ndim == 0 else tuple(host.reshape(-1).tolist())


def _call(step: Step, args: Sequence[Any]) -> Any:
    try:
        return step.operator.function(*args, **step.attributes)
    except Exception as error:
        error.add_note(f"in {step.title}")
        raise


def forward(
    graph: Graph,
    values: dict[str, Any],
    place: Place,
    placed: Callable[[str], Array],
    deaths: Sequence[Sequence[str]] = (),
    trace: list[Trace] | None = None,
    kept: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Run every step, adding its outputs to ``values``.

    ``placed(name)`` is a constant moved to ``place``. ``deaths`` are the values to drop after each step. Records for
    `backward` are appended to ``trace``, and the values that ``kept`` names are stored in it.
    """
    constants = graph.constants
    home = isinstance(place.like, np.ndarray)
    for number, step in enumerate(graph.steps):
        args = [values.get(name, constants.get(name)) for name in step.inputs]
        filled = _filled(step, args)
        host = not home and all(
            isinstance(values.get(name, constants.get(name)), np.ndarray) for name in step.arrays()
        )
        for i, name in enumerate(step.inputs):
            if name and isinstance(filled[i], np.ndarray) and not host:
                if name not in values:
                    filled[i] = placed(name)
                elif not home:
                    filled[i] = place.array(filled[i])
        result = _call(step, filled)
        outputs = result if isinstance(result, tuple) else (result,)
        for name, value in zip(step.outputs, outputs, strict=False):
            if name:
                # NumPy returns scalars for arrays without axes
                values[name] = np.asarray(value) if isinstance(value, np.generic) else value
        if trace is not None:
            trace.append(Trace(step, filled, result))
        if kept is not None:
            kept |= {name: values[name] for name in step.outputs if name in kept}
        if deaths:
            for name in deaths[number]:
                values.pop(name, None)
    return values


def backward(
    trace: Sequence[Trace], gradients: dict[str, Array], wanted: Collection[str]
) -> dict[str, Array]:
    """Run the recorded steps backward; ``gradients`` holds those of the outputs and gets those of other values."""
    active = set(wanted)
    for step, *_ in trace:
        if active.intersection(step.arrays()):
            active.update(step.outputs)
    for step, args, result in reversed(trace):
        operator = step.operator
        upstream = [gradients.get(name) for name in step.outputs]
        asked = [name in active and floating(a) for name, a in zip(step.inputs, args, strict=True)]
        if operator.vjp is None or not any(asked) or all(g is None for g in upstream):
            continue
        keywords = dict(step.attributes)
        if "y" in operator.vjp_keywords:
            keywords["y"] = result
        if "wrt" in operator.vjp_keywords:
            names = operator.parameters
            keywords["wrt"] = tuple(names[i] for i, want in enumerate(asked) if want)
        dy: Any = upstream[0]
        if isinstance(result, tuple):
            dy = tuple(map(_or_zeros, [*upstream, *[None] * len(result)], result))
        try:
            found = operator.vjp(dy, *args, **keywords)
        except Exception as error:
            error.add_note(f"in the gradient of {step.title}")
            raise
        found = found if isinstance(found, tuple) else (found,)
        for name, want, g in zip(step.inputs, asked, found, strict=False):
            if want and g is not None:
                gradients[name] = gradients[name] + g if name in gradients else g
    return gradients


def floating(value: Any) -> bool:
    if not hasattr(value, "dtype"):
        return False
    return is_floating(array_namespace("node", value=value), value.dtype)


def _or_zeros(g: Array | None, y: Array) -> Array | None:
    if g is not None or not floating(y):
        return g
    return array_namespace("node", y=y).zeros_like(y)


def deaths(graph: Graph) -> list[list[str]]:
    """For each step, the values that no later step and no output needs."""
    keep = {spec.name for spec in graph.outputs}
    last: dict[str, int] = {}
    for number, step in enumerate(graph.steps):
        for name in (*step.inputs, *step.outputs):
            last[name] = number
    dying: list[list[str]] = [[] for _ in graph.steps]
    for name, number in last.items():
        if name and name not in keep and name not in graph.constants:
            dying[number].append(name)
    return dying

"""A network as plain data: inputs, outputs, constants, and steps in order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from arrayconv.onnx.table import NEWEST, Operator, find

Size = int | str | None


class Spec(NamedTuple):
    """An input or an output of a network.

    Attributes
    ----------
    name : str
        Its name in the file.
    shape : tuple of (int, str or None), or None
        An int for a fixed size, the name of a free one, None for an unknown one; None if even the rank is unknown.
    dtype : numpy.dtype
        The dtype that the file declares.
    """

    name: str
    shape: tuple[Size, ...] | None
    dtype: np.dtype[Any]


@dataclass(frozen=True, eq=False)
class Step:
    """One node of a graph: an operator, its attributes, and the names of its inputs and outputs.

    An optional input or output that is left out has the name ``""``.
    """

    operator: Operator
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    @property
    def title(self) -> str:
        return f"{self.operator.name} (node {self.name!r})"

    def arrays(self) -> list[str]:
        """The names of the inputs that the function takes as arrays, not as plain numbers."""
        names = self.operator.parameters
        static = self.operator.static
        return [
            value
            for i, value in enumerate(self.inputs)
            if value and not (i < len(names) and names[i] in static)
        ]


@dataclass(frozen=True, eq=False)
class Graph:
    """The steps of a network in topological order.

    ``constants`` are NumPy arrays by name, ``weights`` the names of those that can be trained, ``shapes`` the
    shapes of values as far as shape inference found them.
    """

    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    constants: dict[str, NDArray[Any]] = field(repr=False)
    weights: tuple[str, ...] = field(repr=False)
    steps: tuple[Step, ...] = field(repr=False)
    shapes: dict[str, tuple[Size, ...]] = field(repr=False)


def known(shape: tuple[Size, ...] | None) -> tuple[int, ...] | None:
    """The shape if all its sizes are numbers, else None."""
    if shape is None or not all(isinstance(n, int) for n in shape):
        return None
    return tuple(n for n in shape if isinstance(n, int))


def live(graph: Graph) -> Graph:
    """The graph without the steps and constants that no output needs."""
    needed = {spec.name for spec in graph.outputs}
    steps = []
    for step in reversed(graph.steps):
        if needed.intersection(step.outputs):
            steps.append(step)
            needed.update(step.inputs)
    return Graph(
        graph.inputs,
        graph.outputs,
        {name: value for name, value in graph.constants.items() if name in needed},
        tuple(name for name in graph.weights if name in needed),
        tuple(reversed(steps)),
        graph.shapes,
    )


def in_floats(graph: Graph, declared: np.dtype[Any], given: np.dtype[Any]) -> Graph:
    """The graph with the floating dtype ``given`` in place of the ``declared`` one."""

    def cast(value: Any) -> Any:
        if isinstance(value, np.dtype):
            return given if value == declared else value
        same = isinstance(value, np.ndarray) and value.dtype == declared
        return value.astype(given) if same else value

    return replace(
        graph,
        constants={name: cast(value) for name, value in graph.constants.items()},
        steps=tuple(
            replace(step, attributes={k: cast(v) for k, v in step.attributes.items()})
            for step in graph.steps
        ),
    )


def new_step(operator: str, inputs: tuple[str, ...], output: str, **attributes: Any) -> Step:
    line = find("", operator, NEWEST)
    assert line is not None
    return Step(line, output, inputs, (output,), attributes)

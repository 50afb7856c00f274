"""Converting a graph to channels last where its operators support it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from arrayconv.onnx.graph import Graph, Step, new_step
from arrayconv.onnx.operators.shared import data_format


def channels_last(graph: Graph) -> Graph:
    """Convert a graph to channels last from the first image operator to whatever needs ONNX's channels first.

    Transpositions are inserted where the layout changes.
    """
    return _Layouts(graph).graph()


class _Layouts:
    """The conversion in progress: which values exist in which layout so far."""

    def __init__(self, graph: Graph) -> None:
        self.old = graph
        self.constants = dict(graph.constants)
        self.ranks = {name: len(shape) for name, shape in graph.shapes.items()}
        self.steps: list[Step] = []
        # for each value of the file, the names of its channels_first and channels_last versions
        self.first = {spec.name: spec.name for spec in graph.inputs}
        self.last: dict[str, str] = {}

    def graph(self) -> Graph:
        for step in self.old.steps:
            if not (self._turned(step) or self._moved(step)):
                inputs = tuple(self._first(name) if name else name for name in step.inputs)
                self.steps.append(replace(step, inputs=inputs))
                self.first |= {name: name for name in step.outputs}
        for spec in self.old.outputs:
            if self._first(spec.name) != spec.name:
                self.steps.append(new_step("Identity", (self._first(spec.name),), spec.name))
        return replace(self.old, constants=self.constants, steps=tuple(self.steps))

    def _rank(self, name: str) -> int | None:
        if name in self.constants:
            return self.constants[name].ndim
        return self.ranks.get(name)

    def _first(self, name: str) -> str:
        if name in self.constants or name in self.first or name not in self.last:
            return self.first.get(name, name)
        ndim = self._rank(name)
        assert ndim is not None
        order = (0, ndim - 1, *range(1, ndim - 1))
        self.steps.append(new_step("Transpose", (self.last[name],), name, perm=order))
        self.first[name] = name
        return name

    def _last(self, name: str, ndim: int) -> str:
        if name in self.last:
            return self.last[name]
        moved = f"{name}@last"
        if name in self.constants:
            value = self.constants[name]
            if value.size == 1:
                return name
            value = value.reshape((1,) * (ndim - value.ndim) + value.shape)
            self.constants[moved] = np.ascontiguousarray(np.moveaxis(value, 1, -1))
        else:
            order = (0, *range(2, ndim), 1)
            self.steps.append(new_step("Transpose", (self._first(name),), moved, perm=order))
        self.last[name] = moved
        return moved

    def _turned(self, step: Step) -> bool:
        """Whether a step only transposes between the two layouts; then note its output as a version of its input."""
        if step.operator.name != "Transpose" or step.operator.domain:
            return False
        x, y, perm = step.inputs[0], step.outputs[0], step.attributes.get("perm")
        ndim = self._rank(x)
        if perm is None or ndim is None or ndim < 3:
            return False
        if x in self.last and perm == (0, *range(2, ndim), 1):
            self.first[y] = self.last[x]
            return True
        if x not in self.constants and perm == (0, ndim - 1, *range(1, ndim - 1)):
            self.last[y] = self._first(x)
            return True
        return False

    def _moved(self, step: Step) -> bool:
        """Convert a step to channels last, if it can be and its input is so or it is an image operator.

        Returns whether it was converted.
        """
        change = step.operator.channels_last
        if change is None:
            return False
        images = change is data_format
        names = step.arrays()[:1] if images else step.arrays()
        ranks = [self._rank(name) for name in names if not self._small(name)]
        ndim = max((rank or 0 for rank in ranks), default=0)
        values = [name for name in names if name not in self.constants]
        if ndim < 3 or any(self._rank(name) != ndim for name in values if not self._small(name)):
            return False
        if not any(name in self.last for name in values) and not images:
            return False
        # further outputs such as statistics may have other axes
        others = step.outputs[1:] and any(self._rank(name) != ndim for name in step.outputs if name)
        attributes = change(step.attributes, ndim)
        if attributes is None or others:
            return False
        new = {name: self._last(name, ndim) for name in names if not self._small(name)}
        inputs = tuple(new.get(name) or self._first(name) for name in step.inputs)
        outputs = tuple(f"{name}@last" if name else name for name in step.outputs)
        self.steps.append(replace(step, inputs=inputs, outputs=outputs, attributes=attributes))
        self.last |= {name: f"{name}@last" for name in step.outputs if name}
        self.ranks |= dict.fromkeys(step.outputs, ndim)
        return True

    def _small(self, name: str) -> bool:
        """Whether a value is a single number, for which the layout does not matter."""
        if name in self.constants:
            return self.constants[name].size == 1 and self.constants[name].ndim < 2
        return self._rank(name) == 0

"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from arrayconv.models import checks
from arrayconv.models.graph import Graph
from arrayconv.models.layers.base import Layer, Node
from arrayconv.models.layers.input import InputLayer
from arrayconv.models.model import Model
from arrayconv.models.topology import name_layers


class Sequential(Model):
    """A model whose layers each feed the next.

    With an `Input`, or ``input_shape`` on the first layer, it has its weights at once; otherwise `build`
    or the first data gives them.

    Parameters
    ----------
    layers : iterable of Layer or Model, optional
        May begin with ``Input(shape)``. A model among them adds its layers, which stay shared.
    name : str, optional

    Raises
    ------
    TypeError
        What is not a layer.
    ValueError
        Layers that do not fit, two layers of one name.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> model = models.Sequential([models.Dense(3, activation="relu"), models.Dense(1)])
    >>> model.add(models.Activation("sigmoid"))
    >>> model(np.ones((2, 4))).shape
    (2, 1)
    """

    def __init__(
        self, layers: Iterable[Layer | Model | Node] | None = None, name: str | None = None
    ) -> None:
        self.name = "sequential" if name is None else checks.name("Sequential", name)
        self._single_output = True
        self._graph: Graph | None = None
        self._input: Node | None = None
        self._end: Node | None = None
        self._stack: list[Layer] = []
        if isinstance(layers, Layer | Node):
            raise TypeError(f"{self.label}: layers must be a list of layers, got {layers!r}")
        for layer in layers or ():
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Put a layer at the end.

        Parameters
        ----------
        layer : Layer, Model, or the node of ``Input(shape)``

        Raises
        ------
        TypeError
            What is not a layer.
        ValueError
            A layer that does not fit; the model is then unchanged.
        """
        if isinstance(layer, Model):
            for inner in layer.chain():
                self.add(inner)
            return
        if isinstance(layer, Node) and isinstance(layer.layer, InputLayer):
            layer = layer.layer
        if not isinstance(layer, Layer):
            made = f"; {layer.__name__}() makes one" if isinstance(layer, type) else ""
            raise TypeError(f"{self.label}: add expects a layer, got {layer!r}{made}")
        if isinstance(layer, InputLayer):
            if self._stack or self._input is not None:
                raise ValueError(f"{self.label}: an Input must come first, and only once")
            self._input = self._end = layer.node()
        else:
            name_layers(self.label, [*self._stack, layer])
            if not self._stack and self._input is None and layer.input_shape is not None:
                self._input = self._end = InputLayer(layer.input_shape).node()
            if self._end is not None:
                self._end = layer(self._end)
            self._stack.append(layer)
        if self._input is not None and self._end is not None and self._stack:
            self._set_graph(Graph([self._input], [self._end], self.label))

    def build(self, input_shapes: Any) -> None:
        """Give the model its input's shape, without the batch axis, and so its weights.

        Raises
        ------
        ValueError
            A shape that does not fit the layers, another shape than the model has, no layers.
        """
        if not self._stack:
            raise ValueError(f"{self.label}: has no layers yet; add one first")
        if self.built:
            super().build(input_shapes)
            return
        shapes = checks.shapes(self.label, input_shapes)
        if len(shapes) != 1:
            raise ValueError(f"{self.label}: takes one input, got {len(shapes)}")
        end = start = InputLayer(shapes[0]).node()
        for layer in self._stack:
            end = layer(end)
        self._input, self._end = start, end
        self._set_graph(Graph([start], [end], self.label))

    @property
    def layers(self) -> list[Layer]:
        """The layers in their order, without the input."""
        return list(self._stack)

    def chain(self) -> list[Layer]:
        return self.layers

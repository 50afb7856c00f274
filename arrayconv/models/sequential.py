"""Layers one after the other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from arrayconv.models import checks
from arrayconv.models.config import chain_config
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
        self._graph: Graph | None = None
        self._input: Node | None = None
        self._end: Node | None = None
        self._stack: list[Layer] = []
        if isinstance(layers, Layer | Node):
            raise TypeError(f"{self.label}: layers must be a list of layers, got {layers!r}")
        self.append(layers or ())
        self.draw()

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
        self.append([layer])
        self.draw()

    def pop(self) -> Layer:
        """Take the last layer away.

        Returns
        -------
        Layer
            The one taken, with its weights.

        Raises
        ------
        ValueError
            A model without layers.

        Examples
        --------
        >>> from arrayconv import models
        >>> model = models.Sequential([models.Flatten(input_shape=(2, 2)), models.Dense(3)])
        >>> model.pop().name
        'dense'
        >>> model.output_shape
        (None, 4)
        """
        if not self._stack:
            raise ValueError(f"{self.label}: has no layer to take away")
        layer = self._stack.pop()
        self._graph = None
        if self._input is not None and self._end is not None:
            layer.nodes.remove(self._end)
            self._end = self._end.inputs[0]
            if self._stack:
                self._graph = Graph([self._input], [self._end], self.label)
        return layer

    def append(self, layers: Iterable[Any]) -> None:
        """Put layers at the end, without values for their weights; in vain, none of them is there."""
        stack, start, end = list(self._stack), self._input, self._end
        for layer in [inner for given in layers for inner in self._flat(given)]:
            if isinstance(layer, InputLayer):
                if stack or start is not None:
                    raise ValueError(f"{self.label}: an Input must come first, and only once")
                start = end = layer.node()
                continue
            if not layer.name:
                # before the next one is met, which may have the name that this one gets
                name_layers(self.label, [*stack, layer])
            if not stack and start is None and layer.input_shape is not None:
                start = end = InputLayer(layer.input_shape).node()
            end = end if end is None else layer(end)
            stack.append(layer)
        name_layers(self.label, stack)
        self._stack, self._input, self._end = stack, start, end
        if start is not None and end is not None and stack:
            self._graph = Graph([start], [end], self.label)

    def _flat(self, layer: Any) -> list[Layer]:
        """The layers that ``layer`` stands for."""
        if isinstance(layer, Model):
            return layer.chain()
        if isinstance(layer, Node) and isinstance(layer.layer, InputLayer):
            layer = layer.layer
        if not isinstance(layer, Layer):
            made = f"; {layer.__name__}() makes one" if isinstance(layer, type) else ""
            raise TypeError(f"{self.label}: add expects a layer, got {layer!r}{made}")
        return [layer]

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
        self._graph = Graph([start], [end], self.label)
        self.draw()

    @property
    def layers(self) -> list[Layer]:
        """The layers in their order, without the input."""
        return list(self._stack)

    def chain(self) -> list[Layer]:
        return self.layers

    def config(self) -> dict[str, Any]:
        start = None if self._input is None else self._input.layer
        chain = chain_config(start, self._stack, self._names())
        return {"class": "Sequential", "name": self.name, **chain}

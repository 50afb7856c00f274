"""Sequential models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

from arrayconv.models import checks
from arrayconv.models.config import chain_config, layers_from_config
from arrayconv.models.graph import Graph
from arrayconv.models.layers.base import Layer, Node
from arrayconv.models.layers.input import InputLayer
from arrayconv.models.model import Model
from arrayconv.models.topology import name_layers


class Sequential(Model):
    """A model whose layers form a chain: each takes the output of the one before.

    Its weights are made at once if it starts with an `Input` or its first layer has an ``input_shape``;
    otherwise by `build`, or when it first gets data.

    Parameters
    ----------
    layers : iterable of Layer or Model, optional
        May begin with ``Input(shape)``. A model in it stands for its layers, which both models then share.
    name : str, optional

    Raises
    ------
    TypeError
        If an item is not a layer.
    ValueError
        If a layer does not fit the output of the one before, or two layers have the same name.

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
        self._graph: Graph | None = None
        self._input: Node | None = None
        self._end: Node | None = None
        self._stack: list[Layer] = []
        if isinstance(layers, Layer | Node):
            raise TypeError(f"Sequential: layers must be a list of layers, got {layers!r}")
        self.name = "sequential" if name is None else checks.name("Sequential", name)
        self.append(layers or ())
        self.draw()

    def add(self, layer: Any) -> None:
        """Add a layer at the end.

        Parameters
        ----------
        layer : Layer, Model, or the node of ``Input(shape)``

        Raises
        ------
        TypeError
            If it is not a layer.
        ValueError
            If it does not fit the last layer's output, or its name is taken; the model is then unchanged.
        """
        self.append([layer])
        self.draw()

    def pop(self) -> Layer:
        """Remove the last layer.

        Returns
        -------
        Layer
            The removed layer, with its weights.

        Raises
        ------
        ValueError
            If the model has no layers.

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
        """Add layers at the end without drawing their weights; if one does not fit, none is added."""
        stack, start, end = list(self._stack), self._input, self._end
        for layer in [inner for given in layers for inner in self._flat(given)]:
            if isinstance(layer, InputLayer):
                if stack or start is not None:
                    raise ValueError(f"{self.label}: an Input must come first, and only once")
                start = end = layer.node()
                continue
            if not layer.name:
                # now, so that a clash with the given name of a later layer is noticed
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
        """The layers of a model, or a layer alone."""
        if isinstance(layer, Model):
            return layer.chain()
        if isinstance(layer, Node) and isinstance(layer.layer, InputLayer):
            layer = layer.layer
        if not isinstance(layer, Layer):
            made = f"; {layer.__name__}() makes one" if isinstance(layer, type) else ""
            raise TypeError(f"{self.label}: add expects a layer, got {layer!r}{made}")
        return [layer]

    def build(self, input_shapes: Any) -> None:
        """Set the input shape, without the batch axis, and make the weights.

        Raises
        ------
        ValueError
            If the shape does not fit the layers, the model has another already, or there are no layers.
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
        """The layers in order, without the `Input`."""
        return list(self._stack)

    def chain(self) -> list[Layer]:
        return self.layers

    @classmethod
    def undrawn(cls, config: Mapping[str, Any]) -> Self:
        layers = layers_from_config(config)
        model = cls(name=config["name"])
        model.append(layers)
        return model

    def get_config(self) -> dict[str, Any]:
        start = None if self._input is None else self._input.layer
        chain = chain_config(start, self._stack, self._names())
        return {"class": "Sequential", "name": self.name, **chain}

"""Where data enters a graph."""

from __future__ import annotations

from typing import Any

from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import LAYERS, Layer, Node


class InputLayer(Layer):
    """The layer behind `Input`: it has a shape and computes nothing.

    Parameters
    ----------
    shape : sequence of int
    """

    def __init__(self, shape: Any = None, **common: Any) -> None:
        super().__init__(**common)
        # Keras's older name of the same
        self.shape: Shape = checks.shape("Input", self.input_shape if shape is None else shape)

    @property
    def label(self) -> str:
        return f"Input {self.name!r}" if self.name else "Input"

    def node(self) -> Node:
        """The one node of this layer."""
        if not self.nodes:
            self.built = True
            self.nodes.append(Node(self, (), self.shape))
        return self.nodes[0]


# it has no forward, by which the others are known
LAYERS["InputLayer"] = InputLayer
# What Keras's Input takes and this does not.
_REFUSED = {
    "batch_shape": "give shape, without the batch axis",
    "batch_size": "a batch may be of any size",
    "dtype": "the dtype of the data decides",
}


def Input(shape: Any = None, name: str | None = None, **unknown: Any) -> Node:
    """A place where data enters a model.

    Parameters
    ----------
    shape : sequence of int
        One sample's shape, without the batch axis.
    name : str, optional
        The key for inputs given as a dict.

    Returns
    -------
    Node

    Raises
    ------
    TypeError
        An argument of Keras's that is not here.
    ValueError
        If ``shape`` is not a sequence of positive ints.

    Examples
    --------
    >>> from arrayconv import models
    >>> models.Input(shape=(28, 28, 1))
    Node(Input, shape=(N, 28, 28, 1))
    """
    checks.refuse("Input", unknown, ("shape", "name"), _REFUSED)
    return InputLayer(shape, name=name).node()

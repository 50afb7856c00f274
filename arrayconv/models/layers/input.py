"""Inputs of a graph."""

from __future__ import annotations

from typing import Any

from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import LAYERS, Layer, Node


class InputLayer(Layer):
    """The layer of an `Input` node, which holds its shape and computes nothing.

    Parameters
    ----------
    shape : sequence of int
        The shape of a sample, without the batch axis.
    """

    def __init__(self, shape: Any = None, **common: Any) -> None:
        super().__init__(**common)
        # input_shape is Keras's older name of it
        self.shape: Shape = checks.shape("Input", self.input_shape if shape is None else shape)

    @property
    def label(self) -> str:
        return f"Input {self.name!r}" if self.name else "Input"

    def node(self) -> Node:
        """The single node of this layer, made at the first call."""
        if not self.nodes:
            self.built = True
            self.nodes.append(Node(self, (), self.shape))
        return self.nodes[0]


# it has no forward, so the base class does not register it
LAYERS["InputLayer"] = InputLayer
# Arguments of Keras's Input that this one does not take.
_REFUSED = {
    "batch_shape": "give shape, without the batch axis",
    "batch_size": "a batch may be of any size",
    "dtype": "the dtype of the data decides",
}


def Input(shape: Any = None, name: str | None = None, **unknown: Any) -> Node:
    """Make an input of a model: the node that its first layers are called on.

    Parameters
    ----------
    shape : sequence of int
        The shape of a sample, without the batch axis.
    name : str, optional
        The key of this input when data are given as a dict.

    Returns
    -------
    Node

    Raises
    ------
    TypeError
        If an argument of Keras's ``Input`` is not supported here.
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

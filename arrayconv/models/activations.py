"""Names of Keras's module ``keras.activations``: functions of arrays and nodes, each also a layer's ``activation``.

They are those that `arrayconv.models.layers.Activation` knows by name; options are given by name:
``leaky_relu(x, negative_slope=0.1)``. An array may have any axes: none of them is the batch.
"""

from collections.abc import Callable
from typing import Any

from arrayconv.models import checks
from arrayconv.models.layers.activation import FUNCTIONS

__all__ = ["get"]


def get(identifier: Any) -> Callable[..., Any]:
    """The function of this name; ``linear`` for ``None``, and what is callable itself.

    Raises
    ------
    ValueError
        If the name is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models import activations
    >>> activations.get("relu")(np.asarray([[-1.0, 2.0]]))
    array([[0., 2.]])
    """
    if callable(identifier):
        found: Callable[..., Any] = identifier
        return found
    name = "linear" if identifier is None else identifier
    return checks.choice("activations.get", "identifier", name, FUNCTIONS)


def __dir__() -> list[str]:
    return sorted({*globals(), *FUNCTIONS})


def __getattr__(name: str) -> Any:
    if name in FUNCTIONS:
        return FUNCTIONS[name]
    hint = "a layer takes an activation of your own as a pair (f, f_vjp)"
    raise checks.absent(__name__, name, hint)

"""The weights of a layer: declaring, drawing, moving, reading and replacing them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from arrayconv.models import checks
from arrayconv.models.arrays import moved
from arrayconv.models.checks import Shape, listed
from arrayconv.models.initializers import Initializer
from arrayconv.models.regularizers import Regularizer
from arrayconv.namespace import Array, to_numpy

# The weights of one layer, by their names.
Weights = Mapping[str, Array]


class WeightSpec(NamedTuple):
    """The declaration of a weight, which `Layer.build` returns by name.

    Attributes
    ----------
    shape : tuple of int
    initializer : str or Initializer
        The initial values.
    trainable : bool
        Whether ``backward`` returns a gradient for it, with which ``fit`` trains it. An untrained weight, such as
        a moving average, may be updated by ``forward``.
    regularizer : str or Regularizer, optional
        A penalty on the weight, added to the loss.
    """

    shape: Shape
    initializer: Initializer | str = "glorot_uniform"
    trainable: bool = True
    regularizer: Regularizer | str | None = None


def looked_up(label: str, declared: Any) -> dict[str, WeightSpec]:
    """The specs that `build` returned, checked, with names of initializers and regularizers replaced by objects."""
    wanted = f"{label}: build must return a dict of name to WeightSpec, got"
    if not isinstance(declared, dict):
        raise TypeError(f"{wanted} {declared!r}")
    found = {}
    for name, spec in declared.items():
        if not isinstance(spec, WeightSpec):
            raise TypeError(f"{wanted} {name!r}: {spec!r}")
        found[name] = spec._replace(
            shape=checks.shape(f"{label}: {name}", spec.shape),
            initializer=Initializer.of(label, f"the initializer of {name!r}", spec.initializer),
            regularizer=_regularizer(label, f"the regularizer of {name!r}", spec.regularizer),
        )
    return found


@checks.part_of("Layer")
class Weighted:
    """The part of `Layer` that handles weights.

    Attributes
    ----------
    specs : dict of str to WeightSpec
        The declared weights.
    weights : dict of str to array
        In the order of ``specs``.
    built : bool
        Whether the shapes of the weights are known.
    """

    name = ""

    def __init__(self) -> None:
        self.specs: dict[str, WeightSpec] = {}
        # the same dict as `_as_drawn` until the weights are moved or replaced
        self.weights: dict[str, Array] = {}
        self._as_drawn = self.weights
        self.built = False
        self.trainable = True

    @property
    def label(self) -> str:
        """The layer's name in error messages."""
        kind = type(self).__name__
        return f"{kind} {self.name!r}" if self.name else kind

    def _keep(self, weight: str, initializer: Any, regularizer: Any = None) -> None:
        """Set the attributes ``<weight>_initializer`` and ``<weight>_regularizer``, with names looked up."""
        first, last = f"{weight}_initializer", f"{weight}_regularizer"
        setattr(self, first, Initializer.of(self.label, first, initializer))
        setattr(self, last, _regularizer(self.label, last, regularizer))

    def _spec(self, weight: str, shape: Shape, trainable: bool = True) -> WeightSpec:
        """The spec of a weight with the initializer and the regularizer that `_keep` has set."""
        initializer = getattr(self, f"{weight}_initializer")
        return WeightSpec(shape, initializer, trainable, getattr(self, f"{weight}_regularizer"))

    def draw(self, position: int) -> None:
        """Draw initial weights if there are none; ``position`` is the layer's index in its model."""
        if not self.weights:
            self.weights = self._as_drawn = {
                name: Initializer.of(self.label, name, spec.initializer)(spec.shape, position, i)
                for i, (name, spec) in enumerate(self.specs.items())
            }

    @property
    def placed(self) -> bool:
        """Whether the weights belong to a library and device; initial ones, NumPy's float64, move to the first data."""
        return self.weights is not self._as_drawn

    def to(self, like: Array) -> None:
        """Move the weights to the library, device and dtype of a floating array."""
        self.weights = {name: moved(w, like) for name, w in self.weights.items()}

    def weights_beside(self, like: Array) -> dict[str, Array]:
        """The weights in the library, on the device and in the floating dtype of ``like``.

        The layer keeps its own where they are; only initial ones, which have no place yet, move for good.
        """
        if not self.placed:
            self.to(like)
        return {name: moved(w, like) for name, w in self.weights.items()}

    def _drawn(self, op: str) -> dict[str, Array]:
        if len(self.weights) < len(self.specs) or not self.built:
            raise ValueError(
                f"{self.label}: {op} needs weights, and it has none yet: put the layer in a model whose "
                "input shape is known, or call it on an array"
            )
        return self.weights

    @property
    def trainable_variables(self) -> list[Array]:
        """The weights that ``fit`` changes, in Keras's order."""
        return [
            w for name, w in self.weights.items() if self.trainable and self.specs[name].trainable
        ]

    @property
    def non_trainable_variables(self) -> list[Array]:
        """The weights that ``fit`` does not train, such as moving averages, in Keras's order."""
        return [
            w
            for name, w in self.weights.items()
            if not (self.trainable and self.specs[name].trainable)
        ]

    # Keras has both names
    trainable_weights = trainable_variables
    non_trainable_weights = non_trainable_variables

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """The weights as NumPy arrays, in Keras's order."""
        return [to_numpy(w) for w in self._drawn("get_weights").values()]

    def set_weights(self, weights: Any) -> None:
        """Replace the weights by arrays in the order of `get_weights`.

        Raises
        ------
        ValueError
            If the number of arrays or a shape differs, or there are no weights yet; the layer is then unchanged.
        """
        self.weights = self.fitted(list(weights))

    def fitted(self, values: list[Any]) -> dict[str, Array]:
        """``values`` as a dict of weights: checked, and moved to where the present ones are."""
        have = self._drawn("set_weights")
        if len(values) != len(have):
            wanted = listed(self.specs) or "it has no weights"
            raise ValueError(
                f"{self.label}: set_weights expects {len(have)} arrays ({wanted}), got {len(values)}"
            )
        new = {}
        for (name, old), value in zip(have.items(), values, strict=True):
            value = to_numpy(value)
            if value.shape != tuple(old.shape):
                raise ValueError(
                    f"{self.label}: {name} has the shape {tuple(old.shape)}, got {value.shape}"
                )
            own = value.dtype.kind == "f" and not self.placed
            new[name] = value if own else moved(value, old)
        return new

    def count_params(self) -> int:
        """The number of elements of all weights, trained or not."""
        if not self.built:
            raise ValueError(f"{self.label}: count_params needs an input shape; build it first")
        return sum(math.prod(spec.shape) for spec in self.specs.values())


def _regularizer(label: str, argument: str, value: Any) -> Regularizer | None:
    return None if value is None else Regularizer.of(label, argument, value)

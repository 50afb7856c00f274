"""The weights of a layer: declared, drawn, moved, read and replaced."""

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
    """A weight before it has values, as `Layer.build` declares it.

    Attributes
    ----------
    shape : tuple of int
    initializer : str or Initializer
        A name is looked up when the layer is built.
    trainable : bool
        Whether ``backward`` returns a gradient for it and ``fit`` changes it by that; a weight that is not
        trainable may be given a new value by ``forward``.
    regularizer : str or Regularizer, optional
        What the weight adds to the loss.
    """

    shape: Shape
    initializer: Initializer | str = "glorot_uniform"
    trainable: bool = True
    regularizer: Regularizer | str | None = None


def looked_up(label: str, declared: Any) -> dict[str, WeightSpec]:
    """What `build` returned, the names of initializers and regularizers replaced by what they stand for."""
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
    """What a layer knows of its weights.

    Attributes
    ----------
    specs : dict of str to WeightSpec
        What the layer declared, its names of initializers and regularizers looked up.
    weights : dict of str to array
        In the order of ``specs``.
    built : bool
        Whether the shapes are known.
    """

    name = ""

    def __init__(self) -> None:
        self.specs: dict[str, WeightSpec] = {}
        # the same object as long as nobody has given the weights other values or another place
        self.weights: dict[str, Array] = {}
        self._as_drawn = self.weights
        self.built = False
        self.trainable = True

    @property
    def label(self) -> str:
        """How errors call this layer."""
        kind = type(self).__name__
        return f"{kind} {self.name!r}" if self.name else kind

    def _keep(self, weight: str, initializer: Any, regularizer: Any = None) -> None:
        """Keep the constructor's ``<weight>_initializer`` and ``<weight>_regularizer``, looked up."""
        first, last = f"{weight}_initializer", f"{weight}_regularizer"
        setattr(self, first, Initializer.of(self.label, first, initializer))
        setattr(self, last, _regularizer(self.label, last, regularizer))

    def _spec(self, weight: str, shape: Shape, trainable: bool = True) -> WeightSpec:
        """A weight with the initializer and the regularizer that `_keep` kept."""
        initializer = getattr(self, f"{weight}_initializer")
        return WeightSpec(shape, initializer, trainable, getattr(self, f"{weight}_regularizer"))

    def draw(self, position: int) -> None:
        """Give the weights their first values, unless they have some; ``position`` is the layer's in its model."""
        if not self.weights:
            self.weights = self._as_drawn = {
                name: Initializer.of(self.label, name, spec.initializer)(spec.shape, position, i)
                for i, (name, spec) in enumerate(self.specs.items())
            }

    @property
    def placed(self) -> bool:
        """Whether the weights have a place: first values, NumPy's float64, follow the first data."""
        return self.weights is not self._as_drawn

    def to(self, like: Array) -> None:
        """Move the weights to the library, device and floating dtype of the array ``like``."""
        self.weights = {name: moved(w, like) for name, w in self.weights.items()}

    def weights_beside(self, like: Array) -> dict[str, Array]:
        """The weights in the library, on the device and in the floating dtype of ``like``; the layer keeps its own.

        First values alone move there for good.
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
        """The other weights."""
        return [
            w
            for name, w in self.weights.items()
            if not (self.trainable and self.specs[name].trainable)
        ]

    # Keras has two names for each
    trainable_weights = trainable_variables
    non_trainable_weights = non_trainable_variables

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """The weights as NumPy arrays, in Keras's order."""
        return [to_numpy(w) for w in self._drawn("get_weights").values()]

    def set_weights(self, weights: Any) -> None:
        """Replace the weights by NumPy arrays in the order of `get_weights`.

        Raises
        ------
        ValueError
            Another number of arrays, or another shape; the layer is then unchanged.
        """
        self.weights = self.fitted(list(weights))

    def fitted(self, values: list[Any]) -> dict[str, Array]:
        """``values`` as this layer's weights: checked, and where the present ones are."""
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

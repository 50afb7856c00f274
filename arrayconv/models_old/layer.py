"""What a layer is: its weights, its two functions, and the nodes that calling it makes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np

from arrayconv.models_old.arrays import beside, holds_arrays, moved
from arrayconv.models_old.initializers import Initializer
from arrayconv.models_old.names import suggestion
from arrayconv.models_old.parameters import Parameters, WeightSpec
from arrayconv.models_old.returned import checked_forward
from arrayconv.models_old.shapes import Shape, checked_flag, checked_name, checked_shape
from arrayconv.namespace import Array, array_namespace, is_floating

Weights = Mapping[str, Array]
# The output, and new values of weights that are not trained.
Forward = tuple[Array, dict[str, Array]]
# The gradients of the inputs, and of the weights.
Backward = tuple[tuple[Array | None, ...], dict[str, Array]]

__all__ = [
    "LAYERS",
    "Backward",
    "Forward",
    "Layer",
    "Node",
    "Stage",
    "WeightSpec",
    "Weights",
]

# The arguments that every layer takes.
_COMMON = ("name", "trainable", "input_shape")
# Every subclass of Layer by its name, so that a saved model finds the user's own layers too.
LAYERS: dict[str, type[Layer]] = {}


class Stage(Protocol):
    """One step of a layer: a pure function of its weights and inputs, and that function's vjp.

    ``uses`` says what ``backward`` reads of ``"x"``, the inputs, and ``"y"``, the output; what it does
    not read comes as ``None`` and is freed during the forward pass.
    """

    uses: tuple[str, ...]

    def forward(
        self, w: Weights, *x: Array, training: bool = False, mask: Array | None = None
    ) -> Forward: ...

    def backward(
        self,
        dy: Array,
        w: Weights,
        *x: Array,
        y: Array,
        training: bool = False,
        mask: Array | None = None,
        need: bool = True,
    ) -> Backward: ...


@dataclass(frozen=True, eq=False)
class Node:
    """What a layer called on other nodes gives: a place in a graph, with a shape (no batch axis) and no values."""

    layer: Layer
    inputs: tuple[Node, ...]
    shape: Shape

    def __repr__(self) -> str:
        return f"Node({self.layer.label}, shape=(N, {', '.join(map(str, self.shape))}))"


class Layer(Parameters):
    """A layer: weights that `build` declares, `forward`, and `backward` by hand-written vjps.

    A layer of your own gives ``plan``, ``forward`` and ``backward``, and keeps the arguments of its
    constructor as attributes of their names, which `config` reads.

    Parameters
    ----------
    name : str, optional
        Unique in a model and without ``/``; made from the class's name if not given.
    trainable : bool
        Whether ``fit`` changes the weights.
    input_shape : sequence of int, optional
        The shape of one input without the batch axis: lets a `Sequential` that starts with this layer
        build at once.

    Raises
    ------
    TypeError
        An argument that the layer does not have.
    ValueError
        A name or an input shape that cannot be one.
    """

    # How many inputs a call takes; None for two and more.
    arity: ClassVar[int | None] = 1
    # The names of the constructor's arguments, each an attribute too; its signature tells them.
    fields: ClassVar[tuple[str, ...]] = ()
    uses: tuple[str, ...] = ("x", "y")
    # The share of cells that a layer with `noise` drops.
    rate: float = 0.0

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        LAYERS[cls.__name__] = cls
        if "__init__" in vars(cls) and "fields" not in vars(cls):
            cls.fields = _arguments(cls)

    def __init__(self, **common: Any) -> None:
        super().__init__()
        self.name: str = ""
        # whether the name was made up, so that a model with another layer of that name may call it otherwise
        self.named_by_class = False
        for key in common:
            if key not in _COMMON:
                takes = (*self.fields, *_COMMON)
                raise TypeError(
                    f"{type(self).__name__}: unknown argument {key!r}{suggestion(key, takes)} "
                    f"(it takes {', '.join(takes)})"
                )
        name = common.get("name")
        if name is not None:
            self.name = checked_name(type(self).__name__, name)
        self.trainable = checked_flag(self.label, "trainable", common.get("trainable", True))
        shape = common.get("input_shape")
        self.input_shape = None if shape is None else checked_shape(self.label, shape)
        self.nodes: list[Node] = []

    @property
    def label(self) -> str:
        """How errors call this layer."""
        kind = type(self).__name__
        return f"{kind} {self.name!r}" if self.name else kind

    @property
    def stages(self) -> tuple[Stage, ...]:
        """The steps that a graph runs in place of `forward`, one feeding the next."""
        return (self,)

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        """The shape of the output and the weights, for inputs of ``shapes`` (no batch axes)."""
        raise NotImplementedError(f"{type(self).__name__} has no plan")

    def build(self, *shapes: Shape) -> Shape:
        """Check the inputs' shapes, declare the weights and return the output's shape (no batch axes).

        A layer that is shared is built once per call; its weights must come out the same.

        Raises
        ------
        ValueError
            Inputs that the layer cannot take, or that need other weights than it has.
        """
        self.check_arity(len(shapes))
        output, specs = self.plan(*shapes)
        if self.built:
            have = {name: spec.shape for name, spec in self.specs.items()}
            want = {name: spec.shape for name, spec in specs.items()}
            if have != want:
                raise ValueError(
                    f"{self.label}: was built with weights {have}, and an input of shape "
                    f"{_shapes(shapes)} needs {want}"
                )
        else:
            self.specs = specs
            self.built = True
        return output

    def noise(self, *shapes: Shape) -> Shape | None:
        """The shape (no batch axis) of the random mask that training needs, or ``None``."""
        return None

    def forward(
        self, w: Weights, *x: Array, training: bool = False, mask: Array | None = None
    ) -> Forward:
        """The output, and new values of the weights that are not trained (moving averages)."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def backward(
        self,
        dy: Array,
        w: Weights,
        *x: Array,
        y: Array,
        training: bool = False,
        mask: Array | None = None,
        need: bool = True,
    ) -> Backward:
        """The gradients of the inputs (``None`` without ``need``) and of the trainable weights."""
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def config(self) -> dict[str, Any]:
        """The constructor's arguments, ready for JSON."""
        config: dict[str, Any] = {"name": self.name} if self.name else {}
        if not self.trainable:
            config["trainable"] = False
        if self.input_shape is not None:
            config["input_shape"] = list(self.input_shape)
        for field in self.fields:
            if not hasattr(self, field):
                raise AttributeError(
                    f"{self.label}: config needs every argument of the constructor as an attribute, and there is "
                    f"no {field!r}"
                )
            value = getattr(self, field)
            if isinstance(value, Initializer):
                value = value.config()
            config[field] = _plain(value)
        return config

    def check_arity(self, count: int) -> None:
        """Raise ``ValueError`` unless the layer takes ``count`` inputs."""
        if self.arity is None and count < 2:
            raise ValueError(
                f"{self.label}: needs a list of two or more inputs, got {count}; "
                f"call it as {type(self).__name__}()([a, b])"
            )
        if self.arity is not None and count != self.arity:
            raise ValueError(f"{self.label}: takes {self.arity} input, got {count}")

    def __call__(self, x: Any, training: bool = False) -> Any:
        """Join nodes to a graph, or compute at once on arrays.

        Parameters
        ----------
        x : Node, array, or list of them
        training : bool
            For arrays: as in ``fit``, or as in ``predict``.

        Returns
        -------
        Node or array
        """
        given = tuple(x) if isinstance(x, list | tuple) else (x,)
        if holds_arrays(given):
            return self._compute(given, training)
        for item in given:
            if not isinstance(item, Node):
                raise TypeError(
                    f"{self.label}: must be called on an array or on what another layer or Input gave, "
                    f"got {_shown(item)}"
                )
        node = Node(self, given, self.build(*(item.shape for item in given)))
        self.nodes.append(node)
        return node

    def _compute(self, x: tuple[Array, ...], training: bool) -> Array:
        xp = array_namespace(self.label, **{f"input {i}": a for i, a in enumerate(x)})
        shape = self.build(*(tuple(a.shape[1:]) for a in x))
        self.draw(0)
        like = next((a for a in x if is_floating(xp, a.dtype)), None)
        if like is None:
            like = xp.astype(x[0][:0, ...], xp.float32)
        x = tuple(xp.astype(a, like.dtype) for a in x)
        noise = self.noise(*(tuple(a.shape[1:]) for a in x)) if training else None
        mask = None
        if noise is not None:
            keep = np.random.default_rng().random((x[0].shape[0], *noise)) >= self.rate
            mask = beside(xp, keep, like)
        returned = self.forward(self.weights_beside(like), *x, training=training, mask=mask)
        y, updates = checked_forward(self, returned, x[0].shape[0], shape)
        kept = {name: moved(value, self.weights[name]) for name, value in updates.items()}
        self.weights = {**self.weights, **kept}
        return y

    @property
    def input(self) -> Any:
        """The node, or the list of nodes, that the layer was called on."""
        inputs = self._node("input").inputs
        return inputs[0] if len(inputs) == 1 else list(inputs)

    @property
    def output(self) -> Node:
        """The node that calling the layer made."""
        return self._node("output")

    def _node(self, what: str) -> Node:
        if len(self.nodes) != 1:
            raise ValueError(
                f"{self.label}: has one {what} for each of its calls, and it was called {len(self.nodes)} times"
            )
        return self.nodes[0]

    def __repr__(self) -> str:
        given = ", ".join(f"{key}={value!r}" for key, value in self.config().items())
        return f"{type(self).__name__}({given})"


LAYERS["Layer"] = Layer


def _arguments(kind: type[Layer]) -> tuple[str, ...]:
    """What the constructor takes by name, and through ``**`` what that of the class above takes."""
    given = inspect.signature(kind).parameters.values()
    names = [p.name for p in given if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    if any(p.kind is p.VAR_KEYWORD for p in given):
        names += kind.fields
    return tuple(name for name in dict.fromkeys(names) if name not in _COMMON)


def _shapes(shapes: tuple[Shape, ...]) -> str:
    return ", ".join(map(str, shapes))


def _shown(value: Any) -> str:
    return f"the {value.label} itself" if isinstance(value, Layer) else f"{value!r}"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value

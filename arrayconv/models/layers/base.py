"""The base class of layers: weights, forward and backward functions, and calls that make nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np

from arrayconv.models import checks
from arrayconv.models.arrays import check_batch, common_dtype, drawn_beside, holds_arrays, moved
from arrayconv.models.checks import Shape
from arrayconv.models.layers.node import Node
from arrayconv.models.layers.registry import LAYERS, plain, register
from arrayconv.models.layers.returned import Reads, arguments, checked_forward, named
from arrayconv.models.layers.weights import Weighted, Weights, WeightSpec, looked_up
from arrayconv.namespace import Array, array_namespace, cast

__all__ = ["COMMON", "LAYERS", "Layer", "Node", "WeightSpec", "Weights"]

# The arguments that every layer takes.
COMMON = ("name", "trainable", "input_shape")
# Arguments of Keras's layers that these do not take, and what to do instead.
_REFUSED = {
    "alpha": "it is negative_slope, as in Keras 3",
    "activity_regularizer": "only weights are regularized",
    "data_format": "leave it out: the axes keep the order that they have in the input",
    "dtype": "the dtype of the data decides",
    "input_dim": "write input_shape=(input_dim,)",
    **{
        f"{w}_constraint": "weights are not constrained"
        for w in ("beta", "bias", "gamma", "kernel")
    },
}


class Layer(Weighted):
    """Base class of layers: `build` declares the weights, `forward` computes, `backward` is its gradient.

    A layer of your own defines ``forward`` and ``backward``, `build` if it has weights, and `output_shape` if
    that differs from the input's. Its constructor keeps each argument as an attribute of the same name, which
    `get_config` reads. The two functions may take more as keyword-only arguments, after ``*``; what neither of
    them takes is neither kept nor computed:

    ==============  ============  =====================================================================
    ``training``    both          whether the pass is in training; a constant under compilation
    ``noise``       both          what `noise` drew, an array where ``x`` is; ``None`` unless training
    ``y``           ``backward``  the output of ``forward``
    ``wrt``         ``backward``  which gradients are wanted, of ``"x"``, ``"w"`` and ``"b"``, as in
                                  `arrayconv.conv_vjp`
    ==============  ============  =====================================================================

    ``backward`` gets the inputs ``x`` if its signature has them. Both are pure functions of their arguments
    and must store nothing on the layer.

    Parameters
    ----------
    name : str, optional
        Unique in a model and without ``/``; made from the class's name if not given.
    trainable : bool
        Whether ``fit`` changes the weights.
    input_shape : sequence of int, optional
        The shape of a sample, without the batch axis; a `Sequential` that starts with this layer is then
        built at once.

    Attributes
    ----------
    specs, weights : dict of str to WeightSpec, of str to array
        What `build` declared, and the values, in the same order.
    built : bool
        Whether the input shape is known.
    nodes : list of Node
        One for each call on nodes.
    activation : Layer or None
        A layer without weights that is applied to the output of ``forward``.

    Raises
    ------
    TypeError
        An unknown argument; on defining a class, a method with an unknown keyword-only argument.
    ValueError
        An invalid name or input shape.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> class Scale(models.Layer):
    ...     def build(self, shape):
    ...         return {"s": models.WeightSpec((shape[-1],), "ones")}
    ...     def forward(self, w, x):
    ...         return x * w["s"]
    ...     def backward(self, dy, w, x):
    ...         return dy * w["s"], {"s": (dy * x).sum(0)}
    >>> Scale()(np.ones((2, 3))).shape
    (2, 3)
    """

    # How many inputs a call takes; None for a list of two or more.
    arity: ClassVar[int | None] = 1
    # How many spatial axes the input must have, for classes such as Conv2D.
    rank: ClassVar[int | None] = None
    # The names of the constructor's arguments, from its signature; each is an attribute too.
    fields: ClassVar[tuple[str, ...]] = ()
    reads: ClassVar[Reads] = Reads(frozenset(), frozenset())
    activation: Layer | None = None
    # The seed of this layer's noise, instead of the model's.
    seed: int | None = None
    # Of an activation that was given by name: that name.
    spelled: str = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        # abstract classes, without forward or with a leading underscore, are left out
        if cls.forward is not Layer.forward and cls.__name__[0] != "_":
            register(cls)
        cls.reads = Reads(
            named(cls, "forward", 2, ("training", "noise")),
            named(cls, "backward", 3, ("y", "training", "noise", "wrt")),
        )
        if "__init__" in vars(cls) and "fields" not in vars(cls):
            cls.fields = arguments(cls, COMMON)

    def __init__(
        self,
        *positional: Any,
        name: str | None = None,
        trainable: bool = True,
        input_shape: Any = None,
        **unknown: Any,
    ) -> None:
        super().__init__()
        if positional:
            raise TypeError(f"{self.label}: takes no further argument, got {positional[0]!r}")
        checks.refuse(type(self).__name__, unknown, (*self.fields, *COMMON), _REFUSED)
        if name is not None:
            self.name = checks.name(type(self).__name__, name)
        # whether the name was made from the class, so that a model may rename the layer to keep names unique
        self.named_by_class = False
        self.trainable = checks.flag(self.label, "trainable", trainable)
        self.input_shape = None if input_shape is None else checks.shape(self.label, input_shape)
        self.nodes: list[Node] = []

    def build(self, *args: Any, **kwargs: Any) -> dict[str, WeightSpec]:
        """``build(*shapes)``: a dict of `WeightSpec` for inputs of these shapes, without batch axes; default ``{}``.

        Raises
        ------
        ValueError
            If the layer cannot take inputs of these shapes.
        """
        return {}

    def output_shape(self, *args: Any, **kwargs: Any) -> Shape:
        """``output_shape(*shapes)``: the output's shape, without batch axes; by default that of the first input."""
        return tuple(args[0])

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """``forward(w, *x)``: the output ``y``, or ``(y, {untrained weight: new value})``.

        Parameters
        ----------
        w : dict of str to array
            The layer's weights.
        *x : array, shape (N, ...)
            The inputs, of one library, device and floating dtype.
        training, noise
            If the signature has them after ``*``.
        """
        hint = "; Keras's call(x) is forward(w, x) here" if hasattr(self, "call") else ""
        raise NotImplementedError(f"{type(self).__name__} has no forward{hint}")

    def backward(self, *args: Any, **kwargs: Any) -> Any:
        """``backward(dy, w, *x)``: ``dx``, or for a layer with weights ``(dx, {weight: gradient})``.

        For several inputs ``dx`` is a tuple, one gradient each. A gradient that ``wrt`` leaves out may be
        ``None``, and so may that of a weight that this layer does not have.

        Parameters
        ----------
        dy : array
            The gradient with respect to the output.
        w : dict of str to array
            As in `forward`.
        *x : array
            The inputs, if the signature has them; they are then kept from the forward pass.
        y, training, noise, wrt
            If the signature has them after ``*``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no backward")

    def noise(self, rng: np.random.Generator, *shapes: Shape) -> np.ndarray[Any, Any] | None:
        """Random values for a training pass, for inputs of ``shapes`` with batch axes, or ``None``.

        Called only if ``forward`` takes ``noise``; its first axis must be the batch.
        """
        return None

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as plain data that JSON can hold."""
        return {name: plain(value) for name, value in self._given().items()}

    def _given(self) -> dict[str, Any]:
        """The constructor's arguments."""
        given: dict[str, Any] = {"name": self.name} if self.name else {}
        if not self.trainable:
            given["trainable"] = False
        if self.input_shape is not None:
            given["input_shape"] = self.input_shape
        for field in self.fields:
            if not hasattr(self, field):
                raise AttributeError(
                    f"{self.label}: get_config needs every argument of the constructor as an attribute, and there is "
                    f"no {field!r}"
                )
            given[field] = getattr(self, field)
        return given

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The layer that `get_config` described, without weights."""
        return cls(**config)

    def declare(self, *shapes: Shape) -> Shape:
        """Check the inputs' shapes, keep the weights that `build` declares, and return the output's shape.

        All shapes are without batch axes. A shared layer is declared at each call, with the same weights.

        Raises
        ------
        TypeError
            A weight that is not a `WeightSpec`.
        ValueError
            Inputs that the layer cannot take, or that need weights of other shapes than it has.
        """
        self._check_inputs(shapes)
        specs = looked_up(self.label, self.build(*shapes))
        have = {name: spec.shape for name, spec in self.specs.items()}
        want = {name: spec.shape for name, spec in specs.items()}
        if self.built and have != want:
            raise ValueError(
                f"{self.label}: was built with weights {have}, and an input of shape "
                f"{', '.join(map(str, shapes))} needs {want}"
            )
        output = tuple(self.output_shape(*shapes))
        if self.activation is not None and self.activation.declare(output) != output:
            raise ValueError(f"{self.label}: activation must keep the shape of its input")
        if self.activation is not None and self.activation.specs:
            raise ValueError(
                f"{self.label}: activation must be a layer without weights, got {self.activation.label}; "
                "put it into the model as a layer of its own"
            )
        if not self.built:
            self.specs, self.built = specs, True
        return output

    def _check_inputs(self, shapes: tuple[Shape, ...]) -> None:
        if self.arity is None and len(shapes) < 2:
            raise ValueError(
                f"{self.label}: needs a list of two or more inputs, got {len(shapes)}; "
                f"call it as {type(self).__name__}()([a, b])"
            )
        if self.arity is not None and len(shapes) != self.arity:
            wanted = "1 input" if self.arity == 1 else f"a list of {self.arity} inputs"
            raise ValueError(f"{self.label}: takes {wanted}, got {len(shapes)}")
        if self.rank is not None and len(shapes[0]) != self.rank + 1:
            raise ValueError(
                f"{self.label}: expects an input of {self.rank} spatial axes and channels, got "
                f"{checks.batched(shapes[0])}"
                + ("; x[..., None] adds the axis of one channel" * (len(shapes[0]) == self.rank))
            )

    def __call__(self, x: Any, training: bool = False) -> Any:
        """Add the layer to a graph if called on nodes; compute at once if called on arrays.

        Parameters
        ----------
        x : Node, array, or list of them
        training : bool
            For arrays: whether to compute as in ``fit`` or as in ``predict``.

        Returns
        -------
        Node or array
        """
        given = tuple(x) if isinstance(x, list | tuple) else (x,)
        if holds_arrays(given):
            return self._compute(given, training)
        for item in given:
            if not isinstance(item, Node):
                shown = f"the {item.label} itself" if isinstance(item, Layer) else repr(item)
                raise TypeError(
                    f"{self.label}: must be called on an array or on what another layer or Input gave, got {shown}"
                )
        node = Node(self, given, self.declare(*(item.sample for item in given)))
        self.nodes.append(node)
        return node

    def _compute(self, x: tuple[Array, ...], training: bool) -> Array:
        xp = array_namespace(self.label, **{f"input {i}": a for i, a in enumerate(x)})
        check_batch(self.label, x)
        shape = self.declare(*(tuple(a.shape[1:]) for a in x))
        self.draw(0)
        dtype = common_dtype(self.label, xp, x, xp.float32)
        x = tuple(cast(xp, a, dtype) for a in x)
        y, updates = self._run(self.weights_beside(x[0]), x, shape, training)
        kept = {name: moved(value, self.weights[name]) for name, value in updates.items()}
        self.weights = {**self.weights, **kept}
        return y if self.activation is None else self.activation._run({}, (y,), shape, training)[0]

    def _run(
        self, w: Weights, x: tuple[Array, ...], shape: Shape, training: bool
    ) -> tuple[Array, dict[str, Array]]:
        given: dict[str, Any] = {"training": training} if "training" in self.reads.forward else {}
        if "noise" in self.reads.forward:
            shapes = [tuple(a.shape) for a in x]
            drawn = self.noise(np.random.default_rng(self.seed), *shapes) if training else None
            xp = array_namespace(self.label, x=x[0])
            given["noise"] = None if drawn is None else drawn_beside(xp, drawn, x[0])
        return checked_forward(self, self.forward(w, *x, **given), x[0].shape[0], shape)

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
        # an activation that is a pair of functions has no config
        given = ", ".join(
            f"{key}={value if isinstance(value, Layer) and not value.spelled else plain(value)!r}"
            for key, value in self._given().items()
        )
        return f"{type(self).__name__}({given})"

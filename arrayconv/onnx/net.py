"""Loaded networks: called like functions, differentiated by hand-written vjps."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace as replaced
from typing import Any, TypeAlias

import numpy as np
import onnx

from arrayconv.backends import find_backend
from arrayconv.namespace import Array, array_namespace, is_floating, is_lazy, placement
from arrayconv.onnx import operators as _operators  # noqa: F401  (fills the table)
from arrayconv.onnx.building import build
from arrayconv.onnx.calling import Floats, arguments, bound, check, floats_of, text
from arrayconv.onnx.faster import faster, of_shapes
from arrayconv.onnx.graph import Graph, Spec, in_floats, live
from arrayconv.onnx.operators.shared import data_format, elementwise
from arrayconv.onnx.program import Program
from arrayconv.onnx.reading import read
from arrayconv.onnx.running import Place, backward, deaths, forward

Source: TypeAlias = "str | os.PathLike[str] | bytes | onnx.ModelProto"


def load(source: Source) -> Net:
    """Load a network from an ONNX file, to run on the arrays of any library.

    The ``onnx`` package parses and checks the file and infers shapes. Constant parts of the graph are computed
    while loading. No code in a file is executed, and weights in external files are read from the folder of the
    model only.

    Parameters
    ----------
    source : path, bytes or onnx.ModelProto
        The network; a path if weights are in external files.

    Returns
    -------
    Net
        Callable on arrays in the file's layout, in general channels first.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If ``source`` is none of the three.
    ValueError
        If the file is not ONNX, is truncated or invalid, or has an opset newer than those supported; if external
        weights are missing, too short, or outside the folder; if an element type is not supported, such as strings
        and bfloat16; if operators are not supported, all of which are listed with their nodes.

    Examples
    --------
    >>> import numpy as np
    >>> import onnx.parser
    >>> import arrayconv as ac
    >>> model = onnx.parser.parse_model('''
    ...     <ir_version: 8, opset_import: ["": 17]>
    ...     tiny (float[N, 2] x) => (float[N, 2] y)
    ...     <float[2] b = {1, -3}> { s = Add(x, b)
    ...                              y = Relu(s) }''')
    >>> net = ac.onnx.load(model)
    >>> net(np.asarray([[1.0, 2.0]], np.float32))
    array([[2., 0.]], dtype=float32)
    >>> net.vjp(np.ones((1, 2), np.float32), np.asarray([[1.0, 2.0]], np.float32))
    array([[1., 0.]], dtype=float32)
    """
    model, folder = read(source)
    title = str(source) if isinstance(source, str | os.PathLike) else model.graph.name or "model"
    return Net(build(model, folder, title), title)


class Net:
    """A network from an ONNX file, made by `load`.

    ``net(x)`` takes arrays of any library, by position in the order of ``inputs`` or by name, and returns one
    array, or a tuple in the order of ``outputs``. It computes in the library, on the device and in the floating dtype
    of the inputs, whatever dtype the file declares. Integer inputs may be NumPy arrays even if the others are not;
    under a compiler such as ``jax.jit``, which can trace a net, those that determine shapes must be.

    Attributes
    ----------
    inputs, outputs : tuple of Spec
        Names, shapes and dtypes.
    weights : dict of str to array
        The floating constants of the network, by the names in the file.

    Examples
    --------
    See `load`.
    """

    def __init__(
        self, graph: Graph, title: str, weights: Mapping[str, Array] | None = None, home: Any = None
    ) -> None:
        self._title = title
        self._graph = graph
        self._given = dict(weights or {})
        self._home = home
        self._programs: dict[tuple[str, bool], Program] = {}
        # values not in here determine shapes only, or are not used
        self._arrays = {name for step in graph.steps for name in step.arrays()}

    @property
    def inputs(self) -> tuple[Spec, ...]:
        return self._graph.inputs

    @property
    def outputs(self) -> tuple[Spec, ...]:
        return self._graph.outputs

    @property
    def weights(self) -> dict[str, Array]:
        constants = self._graph.constants
        return {name: self._given.get(name, constants.get(name)) for name in self._graph.weights}

    def __call__(self, *args: Array, **named: Array) -> Any:
        values, place, floats = self._started(args, named)
        program = self._program(floats, fast=not self._given)
        shapes = tuple(tuple(values[spec.name].shape) for spec in self.inputs)
        # lazy and traced arrays are computed only once with the same graph, so specializing it does not pay
        fresh = not is_lazy(place.like) and shapes not in program.settled
        program = program.settled.get(shapes, program)
        kept: dict[str, Any] = dict.fromkeys(of_shapes(program.graph)) if fresh else {}
        placed = self._constants(program, place)
        values = forward(program.graph, values, place, placed, program.deaths, kept=kept)
        if kept:
            program.settle(shapes, kept)
        found = tuple(_output(program, values, spec.name, place) for spec in self.outputs)
        return found[0] if len(found) == 1 else found

    def vjp(
        self, dy: Any, *args: Array, wrt: str | Collection[str] = "inputs", **named: Array
    ) -> Any:
        """The gradients of ``sum(dy * net(...))``.

        Parameters
        ----------
        dy : array, or tuple of arrays
            The upstream gradient, in the shape of the output; for several outputs one each, None for zeros.
        *args, **named : array
            The inputs, as in a call.
        wrt : {"inputs", "weights"} or collection of str
            What to differentiate with respect to: all inputs, all weights, or values by their names in the file,
            including intermediate ones.

        Returns
        -------
        array, tuple or dict
            For "inputs" one array, or for several inputs a tuple, with None for those that are not floating.
            Otherwise a dict by name. Zeros if the outputs do not depend on a value.

        Raises
        ------
        TypeError, ValueError
            If the inputs do not fit, ``dy`` does not have the shape of the output, or a name is unknown.
        """
        values, place, floats = self._started(args, named)
        program = self._program(floats, fast=wrt == "inputs" and not self._given)
        placed = self._constants(program, place)
        trace: list[Any] = []
        values = forward(program.graph, values, place, placed, trace=trace)
        outputs = [_output(program, values, spec.name, place) for spec in self.outputs]
        gradients = self._upstream(dy, outputs)
        names = self._wanted(wrt, values)
        found = backward(trace, gradients, names)
        result = {
            name: found[name]
            if name in found
            else _zeros(values[name] if name in values else placed(name))
            for name in names
        }
        if wrt != "inputs":
            return result
        return next(iter(result.values())) if len(result) == 1 else tuple(result.values())

    def to(self, backend: str) -> Net:
        """The same network on another library or device: its weights are moved there now, NumPy inputs in each call.

        Parameters
        ----------
        backend : str
            A name that `arrayconv.backends` knows: ``"numpy"``, ``"torch-cpu"``, ``"jax-gpu"``, ``"cupy"``, ...;
            ``"jax"`` and ``"torch"`` mean the CPU.

        Returns
        -------
        Net

        Raises
        ------
        ValueError
            If the name is unknown.
        BackendError
            If the library or device cannot be used here.
        """
        name = f"{backend}-cpu" if backend in ("jax", "torch") else backend
        net = Net(self._graph, self._title, self._given, find_backend(name))
        if not net._given:
            # now, not in a call that may be traced
            program = net._program(None, fast=True)
            like = net._home.asarray(np.zeros((), np.float32))
            place = Place(array_namespace("to", like=like), like)
            there = {name: place.array(value) for name, value in program.graph.constants.items()}
            where = None if is_lazy(like) else placement(like)
            program.placed = ((place.xp, where), there)
        return net

    def replace(self, weights: Mapping[str, Array]) -> Net:
        """The same network with other weights, for training or to differentiate with respect to them.

        Parameters
        ----------
        weights : mapping of str to array
            New values by the names in ``weights``, in the library of the inputs or NumPy arrays; JAX's traced arrays
            too. Weights that are left out stay as they are.

        Returns
        -------
        Net

        Raises
        ------
        ValueError
            If there is no weight of a name, or the shape differs.
        """
        for name, value in weights.items():
            if name not in self._graph.weights:
                raise ValueError(f"replace: there is no weight {name!r}")
            shape = self._graph.constants[name].shape
            if tuple(value.shape) != shape:
                raise ValueError(
                    f"replace: weight {name!r} has shape {shape}, got {tuple(value.shape)}"
                )
        return Net(self._graph, self._title, self._given | dict(weights), self._home)

    def cut(self, *names: str) -> Net:
        """The part of the network that computes these intermediate values.

        Parameters
        ----------
        *names : str
            Names of values in the file, as `summary` and `values` list them.

        Returns
        -------
        Net
            Its outputs are the named values.

        Raises
        ------
        ValueError
            If no step computes a value of that name.
        """
        made = set(self.values())
        for name in names:
            if name not in made:
                raise ValueError(f"cut: no step gives a value {name!r}")
        kinds = {spec.name: spec.dtype for spec in self.outputs}
        outputs = tuple(
            Spec(name, self._graph.shapes.get(name), kinds.get(name, np.dtype(np.float32)))
            for name in names
        )
        return Net(
            live(replaced(self._graph, outputs=outputs)), self._title, self._given, self._home
        )

    def values(self, operator: str | None = None) -> tuple[str, ...]:
        """The names of the values that the steps compute, in order.

        Parameters
        ----------
        operator : str, optional
            Only the results of this operator, such as ``"Conv"``.

        Returns
        -------
        tuple of str
            Names for `cut` and for ``wrt`` of `vjp`.
        """
        return tuple(
            name
            for step in self._graph.steps
            if operator in (None, step.operator.name)
            for name in step.outputs
            if name
        )

    def activated(self, name: str) -> str:
        """The name of a value after the batch norms and activations that follow it.

        Parameters
        ----------
        name : str
            A value, in general the result of a convolution.

        Returns
        -------
        str
            ``name`` itself if another operator follows, or several steps use the value.
        """
        while True:
            after = [step for step in self._graph.steps if name in step.inputs]
            plain = after and after[0].operator.channels_last in (elementwise, data_format)
            alone = len(after) == 1 and len(after[0].arrays()) in (1, 5)
            if not (plain and alone) or "Pool" in after[0].operator.name:
                return name
            name = after[0].outputs[0]

    def summary(self) -> str:
        """A table of the steps: operator, name of the result, its shape if known, and number of weights.

        Returns
        -------
        str
        """
        constants, trained = self._graph.constants, set(self._graph.weights)
        rows = [("operator", "gives", "shape", "weights")]
        rows += [(f"input: {s.dtype}", s.name, text(s.shape), "") for s in self.inputs]
        seen: set[str] = set()
        for step in self._graph.steps:
            own = [n for n in step.inputs if n in trained and n not in seen]
            seen.update(own)
            count = sum(constants[name].size for name in own)
            shape = text(self._graph.shapes.get(step.outputs[0]))
            rows.append((step.operator.name, step.outputs[0], shape, f"{count:,}" if count else ""))
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [
            "  ".join(
                (
                    *(c.ljust(w) for c, w in zip(row[:3], widths[:3], strict=True)),
                    row[3].rjust(widths[3]),
                )
            )
            for row in rows
        ]
        total = sum(constants[name].size for name in trained)
        return "\n".join(
            [
                *(line.rstrip() for line in lines),
                f"{total:,} weights, {len(self._graph.steps)} steps",
            ]
        )

    def __repr__(self) -> str:
        def listed(specs: tuple[Spec, ...]) -> str:
            return ", ".join(f"{s.name}: {s.dtype} {text(s.shape)}" for s in specs)

        return f"Net({self._title}: {listed(self.inputs)} -> {listed(self.outputs)})"

    def _started(
        self, args: tuple[Array, ...], named: dict[str, Array]
    ) -> tuple[dict[str, Any], Place, Floats]:
        given = bound(self._title, self.inputs, args, named)
        home = self._home
        if home is not None:
            given = {
                k: home.asarray(v) if isinstance(v, np.ndarray) else v for k, v in given.items()
            }
        arrays = given | self._given
        others = {k: v for k, v in arrays.items() if not isinstance(v, np.ndarray)}
        xp = array_namespace(self._title, **arguments(others or arrays)) if arrays else np
        for spec in self.inputs:
            alone = not others or spec.name not in self._arrays
            check(self._title, spec, given[spec.name], alone)
        values = dict(given)
        like = next(iter(others.values()), None)
        floats: Floats = None
        for spec in self.inputs:
            x = given[spec.name]
            if spec.dtype.kind == "f" and spec.name in self._arrays:
                like = x
                floats = floats_of(spec.dtype, x)
                break
        if like is None:
            like = next(iter(arrays.values()), np.zeros(()))
        for name, value in self._given.items():
            moved = isinstance(value, np.ndarray) and bool(others)
            values[name] = xp.asarray(value, **placement(like)) if moved else value
        return values, Place(xp, like), floats

    def _program(self, floats: Floats, *, fast: bool) -> Program:
        """The graph in a floating dtype, optimized if ``fast``, else as it is in the file."""
        key = ("" if floats is None else floats[1].name, fast)
        if key not in self._programs:
            graph = self._graph if floats is None else in_floats(self._graph, *floats)
            graph = faster(graph) if fast else graph
            self._programs[key] = Program(graph, deaths(graph))
        return self._programs[key]

    def _constants(self, program: Program, place: Place) -> Callable[[str], Array]:
        """A function that moves a constant to where the inputs are, and caches it unless the arrays are lazy."""
        lazy = is_lazy(place.like)
        kept: dict[str, Array] = {}
        key = (place.xp, None if lazy else placement(place.like))
        if program.placed is not None and program.placed[0] == key:
            kept = program.placed[1]
        elif not lazy:
            program.placed = (key, kept)

        def placed(name: str) -> Array:
            if name in kept:
                return kept[name]
            value = place.array(program.graph.constants[name])
            if not lazy:
                # an array made during a trace must not outlive it
                kept[name] = value
            return value

        return placed

    def _upstream(self, dy: Any, outputs: list[Array]) -> dict[str, Array]:
        given = dy if isinstance(dy, tuple | list) else (dy,)
        if len(given) != len(outputs):
            raise ValueError(
                f"{self._title}: dy expects one array for each of {len(outputs)} outputs, got {len(given)}"
            )
        gradients = {}
        for g, y, spec in zip(given, outputs, self.outputs, strict=True):
            if g is None:
                continue
            if tuple(g.shape) != tuple(y.shape):
                raise ValueError(
                    f"{self._title}: dy of {spec.name!r} must have its shape, {tuple(y.shape)}, got {tuple(g.shape)}"
                )
            if self._home is not None and isinstance(g, np.ndarray):
                g = self._home.asarray(g)
            array_namespace(self._title, dy=g, y=y)
            gradients[spec.name] = g
        return gradients

    def _wanted(self, wrt: str | Collection[str], values: dict[str, Any]) -> tuple[str, ...]:
        if wrt == "inputs":
            return tuple(spec.name for spec in self.inputs)
        if wrt == "weights":
            return self._graph.weights
        if isinstance(wrt, str):
            raise ValueError(
                f"{self._title}: wrt is 'inputs', 'weights' or a collection of names, got {wrt!r}"
            )
        for name in wrt:
            if name not in values and name not in self._graph.weights:
                raise ValueError(f"{self._title}: wrt names no value of the network: {name!r}")
        return tuple(wrt)


def _output(program: Program, values: dict[str, Any], name: str, place: Place) -> Array:
    value = values[name] if name in values else program.graph.constants[name]
    foreign = isinstance(value, np.ndarray) and not isinstance(place.like, np.ndarray)
    return place.array(value) if foreign else value


def _zeros(x: Array) -> Array | None:
    """Zeros like a floating array, the gradient with respect to a value without influence; else None."""
    xp = array_namespace("net", x=x)
    return xp.zeros_like(x) if is_floating(xp, x.dtype) else None

"""Loading weights of PyTorch: a ``state_dict``, in memory or in a safetensors file."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.models.checks import Shape, choice, listed
from arrayconv.models.config import Described
from arrayconv.models.files.matching import Part, Wanted, assign, paired
from arrayconv.models.files.tensors import read_tensors
from arrayconv.models.graph import Graph
from arrayconv.models.layers import Concatenate, Dense, DepthwiseConv, Flatten, Layer, Node
from arrayconv.namespace import to_numpy

_NAMES = {
    "kernel": "weight",
    "bias": "bias",
    "alpha": "weight",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
_ADVICE = "say it with names={'layer here': 'module there', ...}"


def load_torch_weights(
    model: Described,
    source: str | os.PathLike[str] | Mapping[str, Any],
    *,
    names: Mapping[str, str] | None = None,
) -> None:
    """Load the weights of a PyTorch module of the same architecture.

    Kernels are transposed from ``(out, in, *K)`` to ``(*K, in, out)``, and those of linear layers, transposed
    and depthwise convolutions likewise. If a channels_last model has a `Flatten` before a `Dense`, the rows of
    its kernel are reordered, since PyTorch flattens channels_first.

    Parameters
    ----------
    model : Model
        Its input shape must be known.
    source : path or mapping of str to array
        What ``safetensors.torch.save_file(module.state_dict(), path)`` wrote, or the ``state_dict``
        itself.
    names : mapping of str to str, optional
        Names of layers here to names of modules there, such as ``{"conv": "features.0"}``. Other layers are
        matched by the shapes of their weights and, among equal shapes, by order: that of the ``state_dict``;
        for a file, which is sorted by name, that of the numbers in the names.

    Raises
    ------
    OSError
        If there is no such file.
    TypeError
        If ``source`` is a module itself.
    ValueError
        If the file is truncated, of another kind, or a pickle. If the architecture differs: the message lists
        the layers and the weights that have no counterpart. The model is then unchanged.

    Notes
    -----
    Only weights are read. To match the defaults of ``torch.nn.BatchNorm2d``, ``eps=1e-5`` and ``momentum=0.1``, write
    ``BatchNormalization(epsilon=1e-5, momentum=0.9)``; the defaults here are Keras's, 1e-3 and 0.99.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> model = models.Sequential([models.Dense(1, input_shape=(2,))])
    >>> state = {"fc.weight": np.asarray([[1.0, 10.0]]), "fc.bias": np.asarray([0.5])}
    >>> models.load_torch_weights(model, state)
    >>> model(np.asarray([[2.0, 3.0]]))
    array([[32.5]])
    """
    if hasattr(source, "state_dict"):
        raise TypeError(
            "load_torch_weights: source must be a state_dict or a file of one, got a module; "
            "give module.state_dict()"
        )
    if isinstance(source, Mapping):
        path, tensors = "the state_dict", {key: to_numpy(value) for key, value in source.items()}
        keys = list(tensors)
    else:
        path = str(source)
        refuse_pickles(source)
        tensors, _ = read_tensors(source)
        for key, value in tensors.items():
            if value.dtype.kind != "f" and not key.endswith("num_batches_tracked"):
                raise ValueError(
                    f"{path}: {key} is of type {value.dtype}, and weights must be floating"
                )
        keys = sorted(tensors, key=_natural)
    modules: dict[str, dict[str, NDArray[Any]]] = {}
    for key in keys:
        module, _, weight = key.rpartition(".")
        if weight != "num_batches_tracked":
            modules.setdefault(module, {})[weight] = tensors[key]
    parts = [
        Part(
            module or "the module itself",
            frozenset((weight, array.shape) for weight, array in held.items()),
            (place,),
            () if isinstance(source, Mapping) else re.sub(r"\d+", "#", module),
            held,
        )
        for place, (module, held) in enumerate(modules.items())
    ]
    graph, names = model.graph, dict(names or {})
    wanted = []
    for layer in graph.layers:
        if layer.specs:
            shapes = {_NAMES[name]: shape for name, shape in _shapes(layer).items()}
            text = ", ".join(f"{name} {shape}" for name, shape in shapes.items())
            wanted.append(Wanted(layer, graph.names[layer], frozenset(shapes.items()), text))
    layers, by_name = {w.name: w for w in wanted}, {part.name: part for part in parts}
    for own, module in names.items():
        want = choice("load_torch_weights", "a layer in names", own, layers)
        part = choice("load_torch_weights", f"names[{own!r}]", module, by_name)
        if part.signature != want.signature:
            raise ValueError(
                f"load_torch_weights: {want.layer.label} needs {want.text}, and {module} has {listed(part.arrays)}"
            )
    orders = _feature_orders(graph)
    values = {}
    for layer, part in paired(path, wanted, parts, names, _ADVICE):
        for name in layer.specs:
            value = _turned(layer, name, part.arrays[_NAMES[name]])
            if layer in orders:
                # the first axis of a kernel and of every vector counts the features
                value = value if name == "bias" else value[orders[layer]]
            values[graph.names[layer], name] = value
    assign(graph, values)


def refuse_pickles(path: str | os.PathLike[str]) -> None:
    """Raise ``ValueError`` for a file that torch has pickled, since unpickling runs code."""
    if Path(path).suffix in (".pt", ".pth", ".bin", ".ckpt"):
        raise ValueError(
            f"{path}: pickles are not read, since they run code; in torch, write "
            "safetensors.torch.save_file(torch.load(path), 'weights.safetensors')"
        )


def _natural(name: str) -> tuple[Any, ...]:
    # runs of digits, which re.split puts at the odd places, compare as numbers; int() refuses very long ones
    return tuple(int(p) if i % 2 else p for i, p in enumerate(re.split(r"([0-9]{1,99})", name)))


def _shapes(layer: Layer) -> dict[str, Shape]:
    """The shapes that torch gives the weights of a layer."""
    unknown = set(layer.specs) - set(_NAMES)
    if unknown:
        raise ValueError(
            f"load_torch_weights: torch has no layer with weights as those of {layer.label} "
            f"({', '.join(layer.specs)}); a SeparableConv is a DepthwiseConv and a Conv of kernel_size 1 there"
        )
    shapes: dict[str, Shape] = {}
    for name, spec in layer.specs.items():
        if name == "alpha":
            # a slope per channel has axes of length 1 here
            shapes[name] = (math.prod(spec.shape),)
        elif name != "kernel":
            shapes[name] = spec.shape
        else:
            *window, a, b = spec.shape
            shapes[name] = (
                (a * b, 1, *window) if isinstance(layer, DepthwiseConv) else (b, a, *window)
            )
    return shapes


def _turned(layer: Layer, name: str, value: NDArray[Any]) -> NDArray[Any]:
    if name != "kernel":
        return value.reshape(layer.specs[name].shape)
    if isinstance(layer, DepthwiseConv):
        channels, times = layer.specs[name].shape[-2:]
        # (C * m, 1, *K) -> (C, m, *K) -> (*K, C, m)
        value = value.reshape(channels, times, *value.shape[2:])
        return np.moveaxis(value, (0, 1), (-2, -1))
    # (out, in, *K) -> (*K, in, out), or of a transposed convolution (in, out, *K) -> (*K, out, in)
    return np.moveaxis(value, (0, 1), (-1, -2))


def _feature_orders(graph: Graph) -> dict[Layer, NDArray[np.int64]]:
    """For each layer that reads flattened maps, the index in torch's channels_first order of each of its features.

    Raises
    ------
    ValueError
        If a layer other than `Concatenate` joins features whose orders differ.
    """
    orders: dict[Node, NDArray[np.int64]] = {}
    layers: dict[Layer, NDArray[np.int64]] = {}
    formats: dict[Node, str] = {}
    for node in graph.nodes:
        above = [formats[parent] for parent in node.inputs] or ["channels_last"]
        formats[node] = getattr(node.layer, "data_format", above[0])
        given = [orders.get(parent) for parent in node.inputs]
        if isinstance(node.layer, Flatten) and len(node.inputs[0].sample) > 1:
            if formats[node] == "channels_first":
                continue
            *size, channels = node.inputs[0].sample
            # (C, *S) -> (*S, C): feature i here is feature order[i] there
            there = np.arange(math.prod(node.sample)).reshape(channels, *size)
            orders[node] = np.moveaxis(there, 0, -1).reshape(-1)
        elif any(order is not None for order in given):
            known = [
                np.arange(parent.sample[0]) if order is None else order
                for order, parent in zip(given, node.inputs, strict=True)
            ]
            if node.layer.specs:
                layers[node.layer] = known[0]
            if isinstance(node.layer, Concatenate):
                starts = np.cumsum([0, *(len(order) for order in known[:-1])])
                orders[node] = np.concatenate(
                    [order + start for order, start in zip(known, starts, strict=True)]
                )
            elif not isinstance(node.layer, Dense):
                if any(not np.array_equal(order, known[0]) for order in known):
                    raise ValueError(
                        f"load_torch_weights: {node.layer.label} joins features that torch flattens in "
                        "different orders"
                    )
                orders[node] = known[0]
    return layers

"""Writing a model of `arrayconv.models` as an ONNX file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper

from arrayconv.namespace import Array, to_numpy
from arrayconv.onnx.saving_graph import Config, Value, Writer
from arrayconv.onnx.saving_layers import LAYERS

OPSET, IR = 20, 9


def save(model: Any, path: str | os.PathLike[str], example: Array | Sequence[Array]) -> None:
    """Write a model of `arrayconv.models` as an ONNX file, for inference with any batch size.

    Parameters
    ----------
    model : arrayconv.models.Model
        Written as it predicts: dropout does nothing, and batch norms use their moving averages.
    path : path
        The file to write.
    example : array, or sequence of arrays
        An example of the input, or of each input. Apart from the batch axis, its shape is fixed in the file.

    Raises
    ------
    OSError
        If the file cannot be written.
    TypeError
        If ``model`` is not a model.
    ValueError
        If a layer has no counterpart in ONNX operators here, or ``example`` does not fit the model.

    Notes
    -----
    Inputs and outputs keep the model's layout, in general channels last; the nodes between them are channels
    first, with transpositions at both ends. Weights are written in float32, operators in opset 20.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> from arrayconv import models
    >>> model = models.Sequential([models.Conv(2, 3), models.Flatten(), models.Dense(4)])
    >>> x = np.ones((1, 5, 5, 3), np.float32)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     ac.onnx.save(model, f"{folder}/net.onnx", x)
    ...     net = ac.onnx.load(f"{folder}/net.onnx")
    >>> bool(np.allclose(net(x), model(x), atol=1e-5))
    True
    """
    if not callable(getattr(model, "get_config", None)):
        raise TypeError(f"save: model must be one of arrayconv.models, got {type(model).__name__}")
    examples: list[Any] = list(example) if isinstance(example, list | tuple) else [example]
    # the call builds a model whose input shape was not known
    model(example)
    config = model.get_config()
    writer = _Model({name: to_numpy(w) for name, w in model.weights.items()})
    ends = writer.graph(config, [tuple(x.shape) for x in examples])
    graph = helper.make_graph(
        writer.nodes, str(config["name"]), writer.inputs, ends, writer.constants
    )
    opsets = [helper.make_opsetid("", OPSET)]
    written = helper.make_model(
        graph, producer_name="arrayconv", ir_version=IR, opset_imports=opsets
    )
    onnx.checker.check_model(written, full_check=True)
    Path(path).write_bytes(written.SerializeToString())


class _Model(Writer):
    """The graph of a model, whose layers it writes one after the other."""

    def graph(
        self, config: dict[str, Any], shapes: list[tuple[int, ...]]
    ) -> list[onnx.ValueInfoProto]:
        layers, names = config["layers"], []
        if config["class"] == "Sequential":
            layers = [{"class": "InputLayer", "name": "input"}, *layers]
            plan: list[Any] = [[i, [i - 1] if i else []] for i in range(len(layers))]
            starts, ends = [0], [len(layers) - 1]
        else:
            plan, starts = config["nodes"], list(config["inputs"])
            ends = config["outputs"]
            if isinstance(ends, Mapping):
                names, ends = list(map(str, ends)), list(ends.values())
            ends = [ends] if isinstance(ends, int) else list(ends)
        values: dict[int, Value] = {}
        for place, shape in zip(starts, shapes, strict=True):
            name = str(layers[plan[place][0]]["name"])
            kind = helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", *shape[1:]])
            self.inputs.append(kind)
            values[place] = Value(name, len(shape), False)
        for place, (number, parents) in enumerate(plan):
            if place not in values:
                values[place] = self.layer(layers[number], [values[p] for p in parents])
        results = []
        for number, place in enumerate(ends):
            last = self.order(values[place], False)
            name = f"output_{number}" if len(ends) > 1 else "output"
            name = names[number] if names else name
            self.nodes.append(helper.make_node("Identity", [last.name], [name]))
            free = [None] * (last.ndim - 1)
            results.append(
                helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", *free])
            )
        return results

    def layer(self, config: Config, values: list[Value]) -> Value:
        from arrayconv.models.layers import registry

        # Conv2D and MaxPooling2D as Conv and MaxPool; the rank follows from the input
        kind = re.sub("[123]D", "", config["class"]).replace("Pooling", "Pool")
        known = registry.LAYERS.get(config["class"])
        # a user's class may be called Dense2D
        write = LAYERS.get(kind) if known is not None and registry.is_own(known) else None
        if write is None:
            return self.activated(values[0], config)
        y = write(self, config, values)
        given = config.get("activation")
        if isinstance(given, str):
            from arrayconv.models.layers.activation import as_activation

            named = as_activation("save", given)
            given = named and {"class": type(named).__name__, **named.get_config()}
        return self.activated(y, {**given, "name": config["name"]}) if given else y

    def activated(self, x: Value, config: Config) -> Value:
        kind = config["class"]
        if kind == "SiLU":
            # ONNX has Swish only from opset 24 on
            y = self.node("Mul", [x.name, self.node("Sigmoid", [x.name])])
            return x._replace(name=y)
        if kind == "ReLU":
            return self.rectified(x, config)
        if kind not in ACTIVATIONS:
            raise ValueError(
                f"save: layer {config['name']!r} is a {kind}, which is not written as ONNX operators"
            )
        operator, attributes = ACTIVATIONS[kind]
        if "axis" in attributes(config):
            x = self.order(x, False)
        return x._replace(name=self.node(operator, [x.name], **attributes(config)))

    def rectified(self, x: Value, config: Config) -> Value:
        top, slope = config["max_value"], config["negative_slope"]
        if config["threshold"] or (slope and top is not None):
            raise ValueError(
                f"save: layer {config['name']!r} is a ReLU with a threshold, or with a slope and a largest value, "
                "which is not written as ONNX operators"
            )
        if slope:
            return x._replace(name=self.node("LeakyRelu", [x.name], alpha=float(slope)))
        if top is None:
            return x._replace(name=self.node("Relu", [x.name]))
        ends = [
            self.constant(np.asarray(end, np.float32), f"{config['name']}/{name}")
            for name, end in (("min_value", 0.0), ("max_value", top))
        ]
        return x._replace(name=self.node("Clip", [x.name, *ends]))


Attributes = Callable[[Config], dict[str, Any]]
ACTIVATIONS: dict[str, tuple[str, Attributes]] = {
    "ELU": ("Elu", lambda c: {"alpha": float(c["alpha"])}),
    "GELU": ("Gelu", lambda c: {"approximate": "tanh" if c["approximate"] else "none"}),
    "HardSigmoid": ("HardSigmoid", lambda c: {"alpha": 1 / 6}),
    "HardSwish": ("HardSwish", lambda c: {}),
    "LeakyReLU": ("LeakyRelu", lambda c: {"alpha": float(c["negative_slope"])}),
    "LogSoftmax": ("LogSoftmax", lambda c: {"axis": -1}),
    "SELU": ("Selu", lambda c: {}),
    "Sigmoid": ("Sigmoid", lambda c: {}),
    "Softmax": ("Softmax", lambda c: {"axis": int(c["axis"])}),
    "Softplus": ("Softplus", lambda c: {}),
    "Tanh": ("Tanh", lambda c: {}),
}

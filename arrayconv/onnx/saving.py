"""Writing a model of `arrayconv.models` as an ONNX file."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from arrayconv.namespace import Array, to_numpy
from arrayconv.window import pad_pairs, per_axis

OPSET, IR = 20, 9
Config = Mapping[str, Any]


class Value(NamedTuple):
    """A value by its name; ``first`` says whether its layout is channels first, as ONNX's operators expect."""

    name: str
    ndim: int
    first: bool


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
    writer = _Writer({name: to_numpy(w) for name, w in model.weights.items()})
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


class _Writer:
    """The graph being written, to which each layer adds its nodes."""

    def __init__(self, weights: Mapping[str, NDArray[Any]]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.turned: dict[tuple[str, bool], Value] = {}
        self.count = 0

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
        # Conv2D and MaxPooling2D as Conv and MaxPool; the rank follows from the input
        kind = re.sub("[123]D", "", config["class"]).replace("Pooling", "Pool")
        write = LAYERS.get(kind)
        if write is None:
            return self.activated(values[0], config)
        y = write(self, config, values)
        name = config.get("activation")
        if name is None or name == "linear":
            return y
        if isinstance(name, Mapping):
            return self.activated(y, {**name, "name": config["name"]})
        if name not in NAMES:
            raise ValueError(
                f"save: layer {config['name']!r} has activation {name!r}, which is not written as ONNX operators"
            )
        limit = {"max_value": 6.0} if name == "relu6" else {}
        return self.activated(y, {"class": NAMES[name], "name": config["name"], **limit})

    def node(self, operator: str, inputs: Sequence[str], **attributes: Any) -> str:
        self.count += 1
        name = f"{operator.lower()}_{self.count}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, value: NDArray[Any], name: str) -> str:
        name = (
            name if all(t.name != name for t in self.constants) else f"{name}:{len(self.constants)}"
        )
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(self, config: Config, name: str) -> NDArray[Any] | None:
        found = self.weights.get(f"{config['name']}/{name}")
        return None if found is None else found.astype(np.float32)

    def order(self, value: Value, first: bool) -> Value:
        """The value in channels_first layout, or in channels_last, transposed if needed."""
        if value.ndim < 3 or value.first == first:
            return value._replace(first=first)
        key = value.name, first
        if key not in self.turned:
            last = (0, *range(2, value.ndim), 1)
            perm = (0, value.ndim - 1, *range(1, value.ndim - 1)) if first else last
            self.turned[key] = Value(
                self.node("Transpose", [value.name], perm=perm), value.ndim, first
            )
            self.turned[self.turned[key].name, value.first] = value
        return self.turned[key]

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
        top, slope = config.get("max_value"), config.get("negative_slope", 0.0)
        if config.get("threshold") or (slope and top is not None):
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


def _images(writer: _Writer, config: Config, values: list[Value]) -> Value:
    """The layer's input in ONNX's channels_first layout, whatever the layer's ``data_format``."""
    (x,) = values
    if config["data_format"] == "channels_first":
        return writer.order(x, False)._replace(first=True)
    return writer.order(x, True)


def _given_back(config: Config, y: Value) -> Value:
    # the layers after a channels_first one take its output as it is, without a transposition
    return y._replace(first=config["data_format"] != "channels_first")


PADDINGS = {"valid": "VALID", "same": "SAME_UPPER", "same_lower": "SAME_LOWER"}


def _window(config: Config, kernel: Sequence[int], strides: Any) -> dict[str, Any]:
    ndim = len(kernel)
    dilation = per_axis("save", "dilation_rate", config.get("dilation_rate", 1), ndim)
    window = {
        "kernel_shape": list(kernel),
        "strides": list(per_axis("save", "strides", strides, ndim)),
        "dilations": list(dilation),
    }
    padding = config["padding"]
    if padding == "causal":
        return window | {"pads": [dilation[0] * (kernel[0] - 1), 0]}
    if isinstance(padding, str):
        return window | {"auto_pad": PADDINGS[padding]}
    return window | {"pads": _pads(padding, ndim)}


def _pads(padding: Any, ndim: int) -> list[int]:
    pairs: Any = pad_pairs("save", _tuples(padding), ndim)
    return [before for before, _ in pairs] + [after for _, after in pairs]


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _convolved(
    writer: _Writer, config: Config, x: Value, w: NDArray[Any], b: Any, groups: int, name: str
) -> Value:
    # (*K, I, O) -> (O, I, *K)
    kernel = w.transpose((w.ndim - 1, w.ndim - 2, *range(w.ndim - 2)))
    inputs = [x.name, writer.constant(kernel, f"{config['name']}/{name}")]
    if b is not None:
        inputs.append(writer.constant(b, f"{config['name']}/bias"))
    window = _window(config, w.shape[:-2], config["strides"])
    return x._replace(name=writer.node("Conv", inputs, group=groups, **window))


def _conv(writer: _Writer, config: Config, values: list[Value]) -> Value:
    x, w = _images(writer, config, values), writer.weight(config, "kernel")
    b = writer.weight(config, "bias")
    assert w is not None
    return _given_back(config, _convolved(writer, config, x, w, b, config["groups"], "kernel"))


def _depthwise(writer: _Writer, config: Config, values: list[Value]) -> Value:
    separable = config["class"].startswith("SeparableConv")
    name = "depthwise_kernel" if separable else "kernel"
    x, w = _images(writer, config, values), writer.weight(config, name)
    b = writer.weight(config, "bias")
    assert w is not None
    grouped = w.reshape((*w.shape[:-2], 1, w.shape[-2] * w.shape[-1]))
    y = _convolved(writer, config, x, grouped, None if separable else b, w.shape[-2], name)
    if separable:
        point = writer.weight(config, "pointwise_kernel")
        assert point is not None
        plain = {**config, "padding": "valid", "strides": 1, "dilation_rate": 1}
        y = _convolved(writer, plain, y, point, b, 1, "pointwise_kernel")
    return _given_back(config, y)


def _conv_transpose(writer: _Writer, config: Config, values: list[Value]) -> Value:
    x, w = _images(writer, config, values), writer.weight(config, "kernel")
    b = writer.weight(config, "bias")
    assert w is not None
    ndim = w.ndim - 2
    strides = per_axis("save", "strides", config["strides"], ndim)
    dilation = per_axis("save", "dilation_rate", config["dilation_rate"], ndim)
    asked: tuple[int | None, ...] = (None,) * ndim
    if config["output_padding"] is not None:
        asked = per_axis("save", "output_padding", config["output_padding"], ndim, least=0)
    pairs, added = [], []
    for k, s, d, more in zip(w.shape[:ndim], strides, dilation, asked, strict=True):
        extent = d * (k - 1) + 1
        # as `ConvTranspose` computes Keras's output size: last is the length that the last window adds
        if config["padding"] == "valid":
            before, last = 0, max(extent, s) if more is None else extent + more
        else:
            last = s if more is None else extent % 2 + more
            before = max(0, extent - 1 - (last + extent - 1) // 2)
        after = extent - last - before
        pairs.append((before, max(0, after)))
        added.append(max(0, -after))
    # (*K, O, I) -> (I, O, *K)
    kernel = w.transpose((w.ndim - 1, w.ndim - 2, *range(ndim)))
    inputs = [x.name, writer.constant(kernel, f"{config['name']}/kernel")]
    if b is not None:
        inputs.append(writer.constant(b, f"{config['name']}/bias"))
    window = {
        "kernel_shape": list(w.shape[:ndim]),
        "strides": list(strides),
        "dilations": list(dilation),
        "pads": [a for a, _ in pairs] + [b for _, b in pairs],
        "output_padding": added,
        "group": config.get("groups", 1),
    }
    return _given_back(config, x._replace(name=writer.node("ConvTranspose", inputs, **window)))


def _pool(operator: str) -> Callable[[_Writer, Config, list[Value]], Value]:
    def write(writer: _Writer, config: Config, values: list[Value]) -> Value:
        x = _images(writer, config, values)
        kernel = per_axis("save", "pool_size", config["pool_size"], x.ndim - 2)
        strides = kernel if config["strides"] is None else config["strides"]
        name = writer.node(operator, [x.name], **_window(config, kernel, strides))
        return _given_back(config, x._replace(name=name))

    return write


def _global_pool(operator: str) -> Callable[[_Writer, Config, list[Value]], Value]:
    def write(writer: _Writer, config: Config, values: list[Value]) -> Value:
        x = _images(writer, config, values)
        y = x._replace(name=writer.node(operator, [x.name]))
        if config["keepdims"]:
            return _given_back(config, y)
        return Value(writer.node("Flatten", [y.name]), 2, False)

    return write


def _padded(writer: _Writer, config: Config, values: list[Value]) -> Value:
    x = _images(writer, config, values)
    ndim, padding = x.ndim - 2, _tuples(config["padding"])
    pair = ndim == 1 and isinstance(padding, tuple) and len(padding) == 2
    pads = _pads((padding,) if pair else padding, ndim)
    widths = np.asarray([0, 0, *pads[:ndim], 0, 0, *pads[ndim:]], np.int64)
    name = writer.node("Pad", [x.name, writer.constant(widths, f"{config['name']}/pads")])
    return _given_back(config, x._replace(name=name))


def _enlarged(writer: _Writer, config: Config, values: list[Value]) -> Value:
    x = _images(writer, config, values)
    factors = per_axis("save", "size", config["size"], x.ndim - 2)
    scales = writer.constant(np.asarray([1, 1, *factors], np.float32), f"{config['name']}/scales")
    nearest = {
        "mode": "nearest",
        "nearest_mode": "floor",
        "coordinate_transformation_mode": "asymmetric",
    }
    linear = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    how = nearest if config["interpolation"] == "nearest" else linear
    return _given_back(config, x._replace(name=writer.node("Resize", [x.name, "", scales], **how)))


def _dense(writer: _Writer, config: Config, values: list[Value]) -> Value:
    x = writer.order(values[0], False)
    w, b = writer.weight(config, "kernel"), writer.weight(config, "bias")
    assert w is not None
    y = writer.node("MatMul", [x.name, writer.constant(w, f"{config['name']}/kernel")])
    if b is not None:
        y = writer.node("Add", [y, writer.constant(b, f"{config['name']}/bias")])
    return x._replace(name=y)


def _batch_norm(writer: _Writer, config: Config, values: list[Value]) -> Value:
    (x,) = values
    last = config["axis"] % x.ndim == x.ndim - 1
    x = writer.order(x, True) if last else writer.order(x, False)
    mean, var = writer.weight(config, "moving_mean"), writer.weight(config, "moving_variance")
    assert mean is not None
    assert var is not None
    parts = {"gamma": np.ones_like(mean), "beta": np.zeros_like(mean), "moving_mean": mean}
    parts |= {"moving_variance": var}
    inputs = [x.name]
    for name, default in parts.items():
        found = writer.weight(config, name)
        value = default if found is None else found
        inputs.append(writer.constant(value, f"{config['name']}/{name}"))
    epsilon = float(config["epsilon"])
    return x._replace(name=writer.node("BatchNormalization", inputs, epsilon=epsilon))


def _layer_norm(writer: _Writer, config: Config, values: list[Value]) -> Value:
    x = writer.order(values[0], False)
    axis = config["axis"]
    axes = sorted(a % x.ndim for a in (axis if isinstance(axis, list | tuple) else (axis,)))
    if axes != list(range(axes[0], x.ndim)):
        raise ValueError(
            f"save: layer {config['name']!r} normalizes axes {axes}; ONNX normalizes all axes from one to the last"
        )
    gamma, beta = writer.weight(config, "gamma"), writer.weight(config, "beta")
    if gamma is None:
        raise ValueError(
            f"save: layer {config['name']!r} has no scale gamma, which ONNX's operator requires"
        )
    inputs = [x.name, writer.constant(gamma, f"{config['name']}/gamma")]
    if beta is not None:
        inputs.append(writer.constant(beta, f"{config['name']}/beta"))
    epsilon = float(config["epsilon"])
    y = writer.node("LayerNormalization", inputs, axis=axes[0], epsilon=epsilon)
    return x._replace(name=y)


def _prelu(writer: _Writer, config: Config, values: list[Value]) -> Value:
    x, alpha = writer.order(values[0], False), writer.weight(config, "alpha")
    assert alpha is not None
    slope = writer.constant(alpha[None], f"{config['name']}/alpha")
    return x._replace(name=writer.node("PRelu", [x.name, slope]))


def _add(writer: _Writer, config: Config, values: list[Value]) -> Value:
    first = all(v.first for v in values)
    named = [writer.order(v, first) for v in values]
    return named[0]._replace(name=writer.node("Sum", [v.name for v in named]))


def _concatenate(writer: _Writer, config: Config, values: list[Value]) -> Value:
    ndim = values[0].ndim
    axis = config["axis"] % ndim
    channels = ndim > 2 and axis == ndim - 1 and all(v.first for v in values)
    named = [writer.order(v, channels) for v in values]
    y = writer.node("Concat", [v.name for v in named], axis=1 if channels else axis)
    return named[0]._replace(name=y)


def _flatten(writer: _Writer, config: Config, values: list[Value]) -> Value:
    return Value(writer.node("Flatten", [writer.order(values[0], False).name]), 2, False)


def _nothing(writer: _Writer, config: Config, values: list[Value]) -> Value:
    return values[0]


LAYERS: dict[str, Callable[[_Writer, Config, list[Value]], Value]] = {
    "Activation": _nothing,
    "Add": _add,
    "AveragePool": _pool("AveragePool"),
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Dense": _dense,
    "DepthwiseConv": _depthwise,
    "Dropout": _nothing,
    "Flatten": _flatten,
    "GlobalAveragePool": _global_pool("GlobalAveragePool"),
    "GlobalMaxPool": _global_pool("GlobalMaxPool"),
    "LayerNormalization": _layer_norm,
    "MaxPool": _pool("MaxPool"),
    "PReLU": _prelu,
    "SeparableConv": _depthwise,
    "UpSampling": _enlarged,
    "ZeroPadding": _padded,
}
Attributes = Callable[[Config], dict[str, Any]]
ACTIVATIONS: dict[str, tuple[str, Attributes]] = {
    "ELU": ("Elu", lambda c: {"alpha": float(c.get("alpha", 1.0))}),
    "GELU": ("Gelu", lambda c: {"approximate": "tanh" if c.get("approximate") else "none"}),
    "HardSigmoid": ("HardSigmoid", lambda c: {"alpha": 1 / 6}),
    "HardSwish": ("HardSwish", lambda c: {}),
    "LeakyReLU": ("LeakyRelu", lambda c: {"alpha": float(c.get("negative_slope", 0.2))}),
    "LogSoftmax": ("LogSoftmax", lambda c: {"axis": -1}),
    "SELU": ("Selu", lambda c: {}),
    "Sigmoid": ("Sigmoid", lambda c: {}),
    "Softmax": ("Softmax", lambda c: {"axis": int(c.get("axis", -1))}),
    "Softplus": ("Softplus", lambda c: {}),
    "Tanh": ("Tanh", lambda c: {}),
}
NAMES = {
    "elu": "ELU",
    "gelu": "GELU",
    "hard_sigmoid": "HardSigmoid",
    "hard_silu": "HardSwish",
    "hard_swish": "HardSwish",
    "leaky_relu": "LeakyReLU",
    "log_softmax": "LogSoftmax",
    "relu": "ReLU",
    "relu6": "ReLU",
    "selu": "SELU",
    "sigmoid": "Sigmoid",
    "silu": "SiLU",
    "softmax": "Softmax",
    "softplus": "Softplus",
    "swish": "SiLU",
    "tanh": "Tanh",
}

"""How each layer of `arrayconv.models` is written as ONNX operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.onnx.saving_graph import Config, Value, Writer
from arrayconv.window import pad_pairs, per_axis


def _images(writer: Writer, config: Config, values: list[Value]) -> Value:
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
    given = _tuples(padding)
    pair = ndim == 1 and isinstance(given, tuple) and len(given) == 2
    pairs: Any = pad_pairs("save", (given,) if pair else given, ndim)
    return [before for before, _ in pairs] + [after for _, after in pairs]


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


def _convolved(
    writer: Writer, config: Config, x: Value, w: NDArray[Any], b: Any, groups: int, name: str
) -> Value:
    # (*K, I, O) -> (O, I, *K)
    kernel = w.transpose((w.ndim - 1, w.ndim - 2, *range(w.ndim - 2)))
    inputs = [x.name, writer.constant(kernel, f"{config['name']}/{name}")]
    if b is not None:
        inputs.append(writer.constant(b, f"{config['name']}/bias"))
    window = _window(config, w.shape[:-2], config["strides"])
    return x._replace(name=writer.node("Conv", inputs, group=groups, **window))


def _conv(writer: Writer, config: Config, values: list[Value]) -> Value:
    x, w = _images(writer, config, values), writer.weight(config, "kernel")
    b = writer.weight(config, "bias")
    assert w is not None
    return _given_back(config, _convolved(writer, config, x, w, b, config["groups"], "kernel"))


def _depthwise(writer: Writer, config: Config, values: list[Value]) -> Value:
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


def _conv_transpose(writer: Writer, config: Config, values: list[Value]) -> Value:
    from arrayconv.models.config import layer_from_config

    x, w = _images(writer, config, values), writer.weight(config, "kernel")
    b = writer.weight(config, "bias")
    assert w is not None
    ndim = w.ndim - 2
    # (*K, O, I) -> (I, O, *K)
    kernel = w.transpose((w.ndim - 1, w.ndim - 2, *range(ndim)))
    inputs = [x.name, writer.constant(kernel, f"{config['name']}/kernel")]
    if b is not None:
        inputs.append(writer.constant(b, f"{config['name']}/bias"))
    layer: Any = layer_from_config(config)
    cut = layer.cropped(w.shape[:ndim])
    window = _window({**config, **cut}, w.shape[:ndim], config["strides"])
    name = writer.node("ConvTranspose", inputs, **window, output_padding=cut["output_padding"])
    return _given_back(config, x._replace(name=name))


def _pool(operator: str) -> Callable[[Writer, Config, list[Value]], Value]:
    def write(writer: Writer, config: Config, values: list[Value]) -> Value:
        x = _images(writer, config, values)
        kernel = per_axis("save", "pool_size", config["pool_size"], x.ndim - 2)
        strides = kernel if config["strides"] is None else config["strides"]
        name = writer.node(operator, [x.name], **_window(config, kernel, strides))
        return _given_back(config, x._replace(name=name))

    return write


def _global_pool(operator: str) -> Callable[[Writer, Config, list[Value]], Value]:
    def write(writer: Writer, config: Config, values: list[Value]) -> Value:
        x = _images(writer, config, values)
        y = x._replace(name=writer.node(operator, [x.name]))
        if config["keepdims"]:
            return _given_back(config, y)
        return Value(writer.node("Flatten", [y.name]), 2, False)

    return write


def _padded(writer: Writer, config: Config, values: list[Value]) -> Value:
    x = _images(writer, config, values)
    ndim, pads = x.ndim - 2, _pads(config["padding"], x.ndim - 2)
    widths = np.asarray([0, 0, *pads[:ndim], 0, 0, *pads[ndim:]], np.int64)
    name = writer.node("Pad", [x.name, writer.constant(widths, f"{config['name']}/pads")])
    return _given_back(config, x._replace(name=name))


def _enlarged(writer: Writer, config: Config, values: list[Value]) -> Value:
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


def _dense(writer: Writer, config: Config, values: list[Value]) -> Value:
    x = writer.order(values[0], False)
    w, b = writer.weight(config, "kernel"), writer.weight(config, "bias")
    assert w is not None
    y = writer.node("MatMul", [x.name, writer.constant(w, f"{config['name']}/kernel")])
    if b is not None:
        y = writer.node("Add", [y, writer.constant(b, f"{config['name']}/bias")])
    return x._replace(name=y)


def _batch_norm(writer: Writer, config: Config, values: list[Value]) -> Value:
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


def _layer_norm(writer: Writer, config: Config, values: list[Value]) -> Value:
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


def _prelu(writer: Writer, config: Config, values: list[Value]) -> Value:
    x, alpha = writer.order(values[0], False), writer.weight(config, "alpha")
    assert alpha is not None
    slope = writer.constant(alpha[None], f"{config['name']}/alpha")
    return x._replace(name=writer.node("PRelu", [x.name, slope]))


def _joined(operator: str) -> Callable[[Writer, Config, list[Value]], Value]:
    def write(writer: Writer, config: Config, values: list[Value]) -> Value:
        first = all(v.first for v in values)
        named = [writer.order(v, first) for v in values]
        names = [v.name for v in named]
        if operator in ("Mul", "Sub"):
            # of two inputs only
            name = reduce(lambda a, b: writer.node(operator, [a, b]), names)
        else:
            name = writer.node(operator, names)
        return named[0]._replace(name=name)

    return write


def _concatenate(writer: Writer, config: Config, values: list[Value]) -> Value:
    ndim = values[0].ndim
    axis = config["axis"] % ndim
    channels = ndim > 2 and axis == ndim - 1 and all(v.first for v in values)
    named = [writer.order(v, channels) for v in values]
    y = writer.node("Concat", [v.name for v in named], axis=1 if channels else axis)
    return named[0]._replace(name=y)


def _flatten(writer: Writer, config: Config, values: list[Value]) -> Value:
    return Value(writer.node("Flatten", [writer.order(values[0], False).name]), 2, False)


def _reshaped(writer: Writer, config: Config, values: list[Value]) -> Value:
    target = config["target_shape"]
    # 0 keeps the length of the batch
    shape = writer.constant(np.asarray([0, *target], np.int64), f"{config['name']}/shape")
    name = writer.node("Reshape", [writer.order(values[0], False).name, shape])
    return Value(name, len(target) + 1, False)


def _permuted(writer: Writer, config: Config, values: list[Value]) -> Value:
    x = writer.order(values[0], False)
    return x._replace(name=writer.node("Transpose", [x.name], perm=[0, *config["dims"]]))


def _cropped(writer: Writer, config: Config, values: list[Value]) -> Value:
    x = _images(writer, config, values)
    pads, ndim = _pads(config["cropping"], x.ndim - 2), x.ndim - 2
    # an end past the last cell is the last cell
    ends = [-after or 2**31 - 1 for after in pads[ndim:]]
    parts = {"starts": pads[:ndim], "ends": ends, "axes": range(2, x.ndim)}
    inputs = [
        writer.constant(np.asarray(part, np.int64), f"{config['name']}/{name}")
        for name, part in parts.items()
    ]
    return _given_back(config, x._replace(name=writer.node("Slice", [x.name, *inputs])))


def _with_numbers(
    writer: Writer, config: Config, x: Value, *steps: tuple[str, str, NDArray[Any]]
) -> Value:
    """One operator after the other, each with a constant as its second input."""
    for operator, part, numbers in steps:
        constant = writer.constant(numbers, f"{config['name']}/{part}")
        x = x._replace(name=writer.node(operator, [x.name, constant]))
    return x


def _scaled(writer: Writer, config: Config, values: list[Value]) -> Value:
    scale, offset = (np.asarray(config[part], np.float32) for part in ("scale", "offset"))
    x = writer.order(values[0], False)
    return _with_numbers(writer, config, x, ("Mul", "scale", scale), ("Add", "offset", offset))


def _normalized(writer: Writer, config: Config, values: list[Value]) -> Value:
    x, axis = writer.order(values[0], False), config["axis"]
    axes = (
        {a % x.ndim for a in (axis if isinstance(axis, list | tuple) else [axis])} if axis else ()
    )
    parts = []
    for part in ("mean", "variance"):
        found = writer.weight(config, part)
        numbers = np.asarray(config[part], np.float32) if found is None else found
        # (*axes) -> the input's axes, of length 1 where all share a number
        lengths = iter(numbers.shape)
        parts.append(numbers.reshape([next(lengths, 1) if i in axes else 1 for i in range(x.ndim)]))
    mean, deviation = parts[0], np.maximum(np.sqrt(parts[1]), np.float32(1e-7))
    steps = [("Sub", "mean", mean), ("Div", "deviation", deviation)]
    if config["invert"]:
        steps = [("Mul", "deviation", deviation), ("Add", "mean", mean)]
    return _with_numbers(writer, config, x, *steps)


def _nothing(writer: Writer, config: Config, values: list[Value]) -> Value:
    return values[0]


LAYERS: dict[str, Callable[[Writer, Config, list[Value]], Value]] = {
    "Activation": _nothing,
    "Add": _joined("Sum"),
    "Average": _joined("Mean"),
    "AveragePool": _pool("AveragePool"),
    "BatchNormalization": _batch_norm,
    "Concatenate": _concatenate,
    "Conv": _conv,
    "Cropping": _cropped,
    "ConvTranspose": _conv_transpose,
    "Dense": _dense,
    "DepthwiseConv": _depthwise,
    "Dropout": _nothing,
    "Flatten": _flatten,
    "GlobalAveragePool": _global_pool("GlobalAveragePool"),
    "GlobalMaxPool": _global_pool("GlobalMaxPool"),
    "Identity": _nothing,
    "LayerNormalization": _layer_norm,
    "MaxPool": _pool("MaxPool"),
    "Maximum": _joined("Max"),
    "Minimum": _joined("Min"),
    "Multiply": _joined("Mul"),
    "Normalization": _normalized,
    "PReLU": _prelu,
    "Permute": _permuted,
    "Rescaling": _scaled,
    "Reshape": _reshaped,
    "SeparableConv": _depthwise,
    "SpatialDropout": _nothing,
    "Subtract": _joined("Sub"),
    "UpSampling": _enlarged,
    "ZeroPadding": _padded,
}

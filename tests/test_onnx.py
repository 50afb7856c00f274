"""The node tests published inside the `onnx` package, and onnxruntime as a second opinion.

ONNX is channels-first throughout: `x` is (N, C, *S), a convolution's weight
(C_out, C_in / groups, *K), a transposed one's (C_in, C_out / groups, *K).
"""

import importlib
import math
from pathlib import Path

import numpy as np
import pytest

import arrayconv as ac

onnx = pytest.importorskip("onnx")
node_cases = pytest.importorskip("onnx.backend.test.case.node")

FIRST = {"data_format": "channels_first"}
MODULES = "conv convtranspose maxpool averagepool globalaveragepool globalmaxpool pad col2im relu"
OUT_OF_SCOPE = {
    "test_relu_expanded_ver18": "Relu written out in other ONNX operators, none of them ours",
}
# The second output, the position of each maximum, is nothing that `max_pool` returns.
WITH_INDICES = {
    "test_maxpool_with_argmax_2d_precomputed_pads",
    "test_maxpool_with_argmax_2d_precomputed_strides",
}
# Expected values that are published with four digits.
ROUNDED = {"test_averagepool_2d_ceil_last_window_starts_on_pad"}


def attributes(node):
    found = {}
    for a in node.attribute:
        value = onnx.helper.get_attribute_value(a)
        found[a.name] = value.decode() if isinstance(value, bytes) else value
    return found


def pairs(pads):
    """[b1, b2, e1, e2] -> ((b1, e1), (b2, e2))."""
    n = len(pads) // 2
    return tuple(zip(pads[:n], pads[n:], strict=True))


def window_config(attrs, rank):
    auto = attrs.get("auto_pad", "NOTSET")
    named = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}
    return {
        "stride": tuple(attrs.get("strides", [1] * rank)),
        "dilation": tuple(attrs.get("dilations", [1] * rank)),
        "padding": named.get(auto) or pairs(attrs.get("pads", [0] * 2 * rank)),
    }


def run_conv(attrs, x, w, b=None):
    w = np.moveaxis(w, (0, 1), (-1, -2))  # (O, I, *K) -> (*K, I, O)
    config = window_config(attrs, x.ndim - 2)
    return ac.conv(x, w, b, groups=attrs.get("group", 1), **config, **FIRST)


def run_conv_transpose(attrs, x, w, b=None):
    rank = x.ndim - 2
    groups = attrs.get("group", 1)
    c_in, c_out = w.shape[:2]
    w = np.moveaxis(w, (0, 1), (-1, -2))  # (I, O / groups, *K) -> (*K, O / groups, I)
    assert w.shape[-2:] == (c_out, c_in)
    config = window_config(attrs, rank)
    output_padding = tuple(attrs.get("output_padding", [0] * rank))
    if "output_shape" in attrs:
        sizes = zip(
            x.shape[2:],
            w.shape[:rank],
            config["stride"],
            config["dilation"],
            attrs["output_shape"],
            strict=True,
        )
        missing = tuple(o - ((n - 1) * s + d * (k - 1) + 1) for n, k, s, d, o in sizes)
        assert min(missing) >= 0, "these cases only ever enlarge the output"
        output_padding = missing
    if isinstance(config["padding"], str):
        assert not any(output_padding)
    else:
        config["output_padding"] = output_padding
    return ac.conv_transpose(x, w, b, groups=groups, **config, **FIRST)


def run_max_pool(attrs, x):
    config = window_config(attrs, x.ndim - 2)
    ceil = bool(attrs.get("ceil_mode", 0))
    return ac.max_pool(x, tuple(attrs["kernel_shape"]), ceil_mode=ceil, **config, **FIRST)


def run_average_pool(attrs, x):
    return ac.avg_pool(
        x,
        tuple(attrs["kernel_shape"]),
        ceil_mode=bool(attrs.get("ceil_mode", 0)),
        count_include_pad=bool(attrs.get("count_include_pad", 0)),
        **window_config(attrs, x.ndim - 2),
        **FIRST,
    )


def run_pad(attrs, x, pads=None, value=None, axes=None):
    pads = attrs["pads"] if pads is None else pads.tolist()
    value = attrs.get("value", 0.0) if value is None else value.item()
    padding = [(0, 0)] * x.ndim
    axes = range(x.ndim) if axes is None else axes.tolist()
    for axis, both in zip(axes, pairs(pads), strict=True):
        padding[axis] = both
    config = {"mode": attrs.get("mode", "constant"), "value": value}
    if padding[:2] == [(0, 0), (0, 0)]:
        return ac.pad(x, tuple(padding[2:]), **config, **FIRST)
    # ONNX pads batch and channels too: let every axis be a spatial one.
    return ac.pad(x[None, ..., None], tuple(padding), **config)[0, ..., 0]


def run_col2im(attrs, columns, image_shape, block_shape):
    image, block = tuple(image_shape.tolist()), tuple(block_shape.tolist())
    n, ck, cells = columns.shape
    k = math.prod(block)
    columns = columns.reshape(n, ck // k, k, cells)  # (N, C, K, L)
    columns = columns.transpose(0, 3, 2, 1).reshape(n * cells, ck)  # -> (N * L, K * C)
    config = window_config(attrs, len(block))
    stride = config.pop("stride")
    return ac.col2im(columns, (n, ck // k, *image), block, stride, **config, **FIRST)


RUN = {
    "Conv": run_conv,
    "ConvTranspose": run_conv_transpose,
    "MaxPool": run_max_pool,
    "AveragePool": run_average_pool,
    "GlobalAveragePool": lambda attrs, x: ac.global_avg_pool(x, keepdims=True, **FIRST),
    "GlobalMaxPool": lambda attrs, x: ac.global_max_pool(x, keepdims=True, **FIRST),
    "Pad": run_pad,
    "Col2Im": run_col2im,
    "Relu": lambda attrs, x: ac.relu(x),
    # Reshapes that the converted 1-d pooling cases wrap around a 2-d one.
    "Unsqueeze": lambda attrs, x: np.expand_dims(x, tuple(attrs["axes"])),
    "Squeeze": lambda attrs, x: np.squeeze(x, tuple(attrs["axes"])),
}


def run_graph(graph, inputs):
    values = {t.name: onnx.numpy_helper.to_array(t) for t in graph.initializer}
    free = [i.name for i in graph.input if i.name not in values]
    values.update(zip(free, inputs, strict=True))
    for node in graph.node:
        arguments = [values[name] if name else None for name in node.input]
        values[node.output[0]] = RUN[node.op_type](attributes(node), *arguments)
    return values[graph.output[0].name]


def published():
    for module in MODULES.split():
        # Importing a case module is what registers its cases.
        importlib.import_module(f"onnx.backend.test.case.node.{module}")
    return [c for c in node_cases._NodeTestCases if c.name not in OUT_OF_SCOPE]


def converted():
    data = Path(onnx.__file__).parent / "backend" / "test" / "data"
    cases = []
    for folder in sorted(data.glob("pytorch-*/*")):
        model = onnx.load(folder / "model.onnx")
        operators = {n.op_type for n in model.graph.node}
        if operators <= RUN.keys() and operators - {"Squeeze", "Unsqueeze"}:
            cases.append(pytest.param(folder, model.graph, id=folder.name))
    return cases


def tensor(path):
    return onnx.numpy_helper.to_array(onnx.load_tensor(path))


@pytest.mark.parametrize("case", published(), ids=lambda c: c.name)
def test_published_node_case(case):
    [(inputs, outputs)] = case.data_sets
    if case.name not in WITH_INDICES:
        assert len(outputs) == 1, "a second output is neither compared nor listed"
    result = run_graph(case.model.graph, inputs)
    assert result.dtype == outputs[0].dtype
    rtol = case.rtol if case.name in ROUNDED else 1e-5
    np.testing.assert_allclose(result, outputs[0], rtol=rtol, atol=1e-6)


@pytest.mark.parametrize(("folder", "graph"), converted())
def test_case_converted_from_pytorch(folder, graph):
    data = folder / "test_data_set_0"
    inputs = [tensor(p) for p in sorted(data.glob("input_*.pb"))]
    result = run_graph(graph, inputs)
    expected = tensor(data / "output_0.pb")
    assert result.dtype == expected.dtype
    largest = np.max(np.abs(expected))
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6 * largest)


def test_no_published_case_is_lost():
    # A release of onnx may add cases, and a broken collection must not pass as an empty one.
    assert len(published()) >= 60
    assert len(converted()) >= 40


BIGGER = {
    "conv": (
        "Conv",
        (4, 12, 33, 29),
        (18, 6, 3, 5),
        {"group": 2, "strides": [2, 1], "pads": [1, 2, 0, 3]},
    ),
    "depthwise": ("Conv", (2, 16, 30, 31), (32, 1, 3, 3), {"group": 16, "dilations": [2, 3]}),
    "conv3d": (
        "Conv",
        (2, 5, 9, 11, 10),
        (6, 5, 3, 2, 4),
        {"auto_pad": "SAME_UPPER", "strides": [2, 2, 1]},
    ),
    "transpose": (
        "ConvTranspose",
        (3, 8, 13, 14),
        (8, 5, 4, 3),
        {"group": 2, "strides": [3, 2], "pads": [1, 0, 2, 1], "output_padding": [2, 1]},
    ),
    "max": (
        "MaxPool",
        (3, 7, 33, 35),
        None,
        {"kernel_shape": [3, 5], "strides": [2, 3], "pads": [1, 2, 0, 1]},
    ),
    "max ceil": (
        "MaxPool",
        (3, 7, 34, 35),
        None,
        {"kernel_shape": [3, 4], "strides": [2, 3], "ceil_mode": 1},
    ),
    "average": (
        "AveragePool",
        (3, 7, 33, 35),
        None,
        {"kernel_shape": [4, 5], "strides": [2, 3], "pads": [1, 2, 3, 1], "count_include_pad": 1},
    ),
    "average apart": (
        "AveragePool",
        (3, 7, 33, 35),
        None,
        {"kernel_shape": [4, 5], "strides": [2, 3], "pads": [1, 2, 3, 1], "dilations": [2, 1]},
    ),
}


@pytest.mark.parametrize("name", BIGGER)
def test_against_onnxruntime(name):
    runtime = pytest.importorskip("onnxruntime")
    operator, x_shape, w_shape, attrs = BIGGER[name]
    rng = np.random.default_rng(5)
    feed = {"x": rng.standard_normal(x_shape).astype(np.float32)}
    if w_shape is not None:
        c_out = w_shape[0] if operator == "Conv" else w_shape[1] * attrs["group"]
        feed["w"] = rng.standard_normal(w_shape).astype(np.float32)
        feed["b"] = rng.standard_normal(c_out).astype(np.float32)
    float32 = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node(operator, list(feed), ["y"], **attrs)],
        name.replace(" ", "_"),
        [onnx.helper.make_tensor_value_info(k, float32, v.shape) for k, v in feed.items()],
        [onnx.helper.make_tensor_value_info("y", float32, None)],
    )
    model = onnx.helper.make_model(
        graph, ir_version=10, opset_imports=[onnx.helper.make_opsetid("", 19)]
    )
    session = runtime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    [expected] = session.run(None, feed)
    result = run_graph(graph, list(feed.values()))
    largest = np.max(np.abs(expected))
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-6 * largest)

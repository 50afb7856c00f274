"""Files that are broken, foreign or hostile, and calls that are wrong: each a clear error, and nothing is executed."""

import os
from contextlib import suppress

import numpy as np
import pytest

import arrayconv as ac

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402
from onnx.parser import parse_model  # noqa: E402

HEAD = '<ir_version: 8, opset_import: ["": 17, "com.example": 1]>'


def model(body, signature="(float[N, 3] x) => (float[N, 3] y)"):
    return parse_model(f"{HEAD} net {signature} {body}")


TINY = "<float[3] b = {1, 2, 3}> { y = Add(x, b) }"


def with_external(folder, *, location="net.bin", data=None, **entries):
    """A model of one weight outside its file, with the entries given."""
    weight = onnx.numpy_helper.from_array(np.arange(3, dtype=np.float32), "b")
    found = model("{ y = Add(x, b) }", "(float[N, 3] x, float[3] b) => (float[N, 3] y)")
    del found.graph.input[1]
    if data is not None:
        (folder / "net.bin").write_bytes(data)
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=str(value))
    found.graph.initializer.append(weight)
    (folder / "net.onnx").write_bytes(found.SerializeToString())
    return folder / "net.onnx"


GOOD = np.arange(3, dtype=np.float32).tobytes()


def test_external_data_is_read(tmp_path):
    path = with_external(tmp_path, data=b"1234" + GOOD, offset=4, length=12)
    net = ac.onnx.load(path)
    assert np.array_equal(net(np.zeros((1, 3), np.float32)), [[0, 1, 2]])
    assert np.array_equal(ac.onnx.load(str(path)).weights["b"], [0, 1, 2])


@pytest.mark.parametrize(
    "entries, message",
    [
        ({"location": "../secret.bin"}, "not a plain file in the model's folder"),
        ({"location": "{tmp}/secret.bin"}, "not a plain file in the model's folder"),
        ({"location": "link.bin"}, "not a plain file in the model's folder"),
        ({"location": ""}, "not a plain file in the model's folder"),
        ({"location": "other.bin"}, "there is no such file"),
        ({"length": 4}, "takes 12 bytes"),
        ({"offset": 4}, "takes 12 bytes"),
        ({"offset": -4, "length": 12}, "takes 12 bytes"),
        ({"offset": "x"}, "offset or length that is not a number"),
    ],
)
def test_external_data_is_not_believed(tmp_path, entries, message):
    (tmp_path / "secret.bin").write_bytes(GOOD)
    folder = tmp_path / "net"
    folder.mkdir()
    os.symlink(tmp_path / "secret.bin", folder / "link.bin")
    entries = {k: str(v).format(tmp=tmp_path) for k, v in entries.items()}
    path = with_external(folder, data=GOOD, **entries)
    with pytest.raises(ValueError, match=message):
        ac.onnx.load(path)


def test_external_data_of_bytes(tmp_path):
    path = with_external(tmp_path, data=GOOD)
    with pytest.raises(ValueError, match="load the model by its path"):
        ac.onnx.load(path.read_bytes())


def test_no_model(tmp_path):
    whole = model(TINY).SerializeToString()
    for name, data in {
        "empty": b"",
        "picture": b"\x89PNG\r\n\x1a\n" + bytes(100),
        "text": b"import os\n",
        "pickle": b"\x80\x04\x95cos\nsystem\n(S'true'\ntR.",
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(ValueError, match="ONNX model"):
            ac.onnx.load(path)
    for cut in range(1, len(whole), 7):
        with pytest.raises(ValueError, match="bytes: "):
            ac.onnx.load(whole[:cut])
    with pytest.raises(FileNotFoundError, match="no such file"):
        ac.onnx.load(tmp_path / "none.onnx")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        ac.onnx.load(tmp_path)
    with pytest.raises(TypeError, match="expected a path, bytes or an onnx.ModelProto, got int"):
        ac.onnx.load(3)


def test_any_byte_may_be_wrong():
    """A flipped byte is a ValueError, or a network that still loads: never another error."""
    whole = bytearray(model(TINY).SerializeToString())
    for i in range(len(whole)):
        for flip in (0xFF, 0x01):
            broken = bytearray(whole)
            broken[i] ^= flip
            with suppress(ValueError):
                ac.onnx.load(bytes(broken))


def test_a_newer_opset():
    found = model(TINY)
    found.opset_import[0].version = ac.onnx.table.NEWEST + 1
    with pytest.raises(ValueError, match=f"opset {ac.onnx.table.NEWEST + 1} is newer than"):
        ac.onnx.load(found)


def test_missing_operators_are_all_listed():
    found = model(
        "<int64[1] k = {1}> { a = Det(x) p = com.example.Magic(x) q = com.example.Magic(p)"
        ' e = Einsum <equation = "ij->i"> (x) v, i = MaxPool <kernel_shape = [1]> (x) y = Relu(q) }',
        "(float[N, 3, 3] x) => (float[N, 3, 3] y)",
    )
    with pytest.raises(ValueError) as caught:
        ac.onnx.load(found)
    text = str(caught.value)
    assert "Det: 'a'" in text
    assert "Magic (domain 'com.example'): 'p', 'q'" in text
    assert "Einsum (the array API standard has no einsum): 'e'" in text
    assert "MaxPool (only its first output): 'v'" in text
    assert "register(name, function, vjp)" in text


def test_an_operator_of_ones_own():
    def magic(x, *, times=1.0):
        return x * times

    def magic_vjp(dy, x, *, times=1.0):
        return dy * times

    ac.onnx.register("Magic3", magic, magic_vjp, domain="com.example")
    net = ac.onnx.load(model("{ y = com.example.Magic3 <times = 3.0> (x) }"))
    x = np.ones((2, 3), np.float32)
    assert np.array_equal(net(x), 3 * x)
    assert np.array_equal(net.vjp(x, x), 3 * x)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"function": 3}, TypeError, "function must be callable"),
        ({"function": abs, "vjp": 3}, TypeError, "vjp must be callable"),
        (
            {"function": lambda x: x, "since": 5, "until": 4},
            ValueError,
            "until=4 is before since=5",
        ),
        ({"function": lambda x: x, "static": ("k",)}, ValueError, "static names inputs"),
    ],
)
def test_what_cannot_be_registered(arguments, error, message):
    with pytest.raises(error, match=message):
        ac.onnx.register("Wrong", **arguments)


def test_wrong_calls():
    net = ac.onnx.load(model(TINY))
    x = np.zeros((2, 3), np.float32)
    for call, error, message in (
        (lambda: net(), TypeError, "no array was given for 'x'"),
        (lambda: net(x, x), TypeError, "expected the inputs x, got 2"),
        (lambda: net(z=x), TypeError, "there is no input 'z'"),
        (lambda: net(x, x=x), TypeError, "given twice"),
        (lambda: net([[1.0]]), TypeError, "must be an array"),
        (lambda: net(x.astype(int)), TypeError, "must have dtype float32"),
        (lambda: net(x[:, :2]), ValueError, r"must have shape \(N, 3\), got \(2, 2\)"),
        (lambda: net(x[0]), ValueError, r"must have shape \(N, 3\), got \(3,\)"),
        (lambda: net.vjp(x[:1], x), ValueError, "dy of 'y' must have its shape"),
        (lambda: net.vjp((x, x), x), ValueError, "one array for each of 1 outputs"),
        (lambda: net.vjp(x, x, wrt="b"), ValueError, "collection of names"),
        (lambda: net.vjp(x, x, wrt=["c"]), ValueError, "no value of the network"),
        (lambda: net.replace({"c": x}), ValueError, "there is no weight 'c'"),
        (lambda: net.replace({"b": x}), ValueError, r"weight 'b' has shape \(3,\)"),
        (lambda: net.cut("c"), ValueError, "no step gives a value 'c'"),
        (lambda: net.to("tpu"), ValueError, "tpu"),
    ):
        with pytest.raises(error, match=message):
            call()


def test_two_libraries_meet():
    torch = pytest.importorskip("torch")
    net = ac.onnx.load(model("{ y = Add(a, b) }", "(float[3] a, float[3] b) => (float[3] y)"))
    with pytest.raises(TypeError, match="beside arrays of another library"):
        net(torch.zeros(3), np.zeros(3, np.float32))


def test_a_shape_that_is_traced():
    jax = pytest.importorskip("jax")
    net = ac.onnx.load(
        model("{ y = Reshape(x, s) }", "(float[4] x, int64[2] s) => (float[a, b] y)")
    )
    x = jax.numpy.ones(4)
    assert jax.jit(lambda x: net(x, s=np.asarray([2, 2])))(x).shape == (2, 2)
    with pytest.raises(TypeError, match=r"Reshape \(node 'y'\): shape determines a shape"):
        jax.jit(net)(x, jax.numpy.asarray([2, 2]))


def test_errors_of_a_step_name_its_node():
    net = ac.onnx.load(
        model("{ y = Reshape(x, s) }", "(float[4] x, int64[2] s) => (float[a, b] y)")
    )
    with pytest.raises(ValueError) as caught:
        net(np.ones(4, np.float32), np.asarray([3, 3]))
    assert "in Reshape (node 'y')" in caught.value.__notes__


def test_what_only_grows_at_load_is_not_computed():
    """A few bytes that ask for terabytes load in no time, and fail when they are run."""
    body = (
        "<int64[3] s = {100000, 100000, 1000}, float[1] v = {1}>"
        " { big = Expand(v, s) c = ReduceSum <keepdims = 0> (big) y = Add(x, c) }"
    )
    net = ac.onnx.load(model(body))
    assert net.inputs[0].shape == ("N", 3)


def test_types_that_arrays_lack():
    with pytest.raises(ValueError, match="BFLOAT16 are not supported"):
        ac.onnx.load(model("{ y = Relu(x) }", "(bfloat16[N] x) => (bfloat16[N] y)"))
    tensor = helper.make_tensor("b", TensorProto.STRING, [1], [b"a"])
    found = model("{ y = Identity(b) }", "(float[1] x) => (string[1] y)")
    found.graph.initializer.append(tensor)
    with pytest.raises(ValueError, match="STRING are not supported"):
        ac.onnx.load(found)


def test_summary_cut_and_replace():
    net = ac.onnx.load(model("<float[3] b = {1, 2, 3}> { a = Add(x, b) y = Relu(a) }"))
    assert "Add" in net.summary()
    assert net.summary().endswith("3 weights, 2 steps")
    assert "x: float32 (N, 3) -> y: float32 (N, 3)" in repr(net)
    x = -np.ones((1, 3), np.float32)
    assert np.array_equal(net.cut("a")(x), [[0, 1, 2]])
    other = net.replace({"b": np.zeros(3, np.float32)})
    assert np.array_equal(other(x), [[0, 0, 0]])
    assert np.array_equal(net(x), [[0, 1, 2]])
    gradients = other.vjp(x, x, wrt=["a", "b"])
    assert set(gradients) == {"a", "b"}
    assert np.array_equal(net.vjp(x, x, wrt="weights")["b"], [0, -1, -1])


def test_to_moves_weights_and_inputs():
    torch = pytest.importorskip("torch")
    net = ac.onnx.load(model(TINY)).to("torch")
    y = net(np.zeros((1, 3), np.float32))
    assert isinstance(y, torch.Tensor)
    assert isinstance(
        net.vjp(np.ones((1, 3), np.float32), np.zeros((1, 3), np.float32)), torch.Tensor
    )

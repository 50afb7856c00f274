"""The node tests published inside the `onnx` package: every case of every operator in the table, on every library."""

import functools
import re
import warnings

import numpy as np
import pytest

import arrayconv as ac

onnx = pytest.importorskip("onnx")
node_cases = pytest.importorskip("onnx.backend.test.case.node")


@functools.cache
def published():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {case.name: case for case in node_cases.collect_testcases("")}


def in_the_table(case):
    """Whether all of a case's operators are, constants (which need no operator) apart."""
    versions = {o.domain: o.version for o in case.model.opset_import}
    nodes = [n for n in case.model.graph.node if n.op_type != "Constant"]
    lines = [ac.onnx.table.find(n.domain, n.op_type, versions[n.domain]) for n in nodes]
    return None not in lines


RANDOM = "its random numbers are those of one seed of one library"
OUT_OF_SCOPE = {
    "test_maxpool_with_argmax_2d_precomputed_pads": "the position of each maximum",
    "test_maxpool_with_argmax_2d_precomputed_strides": "the position of each maximum",
    "test_training_dropout": RANDOM,
    "test_training_dropout_default": RANDOM,
    "test_training_dropout_default_mask": RANDOM,
    "test_training_dropout_mask": RANDOM,
}
# Types that arrays of the standard have not: what has them is refused when it is loaded.
ALIEN = re.compile("BFLOAT16|FLOAT8|FLOAT4|INT4|INT2|bf16|bfloat16|string|_sequence|_opt$")


def names(*, alien):
    table = [name for name, case in published().items() if in_the_table(case)]
    return [name for name in table if bool(ALIEN.search(name)) == alien]


@pytest.mark.parametrize("name", names(alien=True))
def test_other_types_are_refused(name):
    with pytest.raises(ValueError, match="not supported|is not a tensor"):
        ac.onnx.load(published()[name].model)


def arrays(values):
    return [
        onnx.numpy_helper.to_array(v) if isinstance(v, onnx.TensorProto) else np.asarray(v)
        for v in values
    ]


def deciding(net):
    """The inputs that decide shapes: NumPy arrays where a library computes later, or traces."""
    found = set()
    for step in reversed(net._graph.steps):
        if step.operator.name in ("Shape", "Size"):
            continue
        shapes = found.intersection(step.outputs) or step.operator.name == "Range"
        found.update(step.inputs if shapes else set(step.inputs) - set(step.arrays()))
    return found


# Missing in the libraries themselves.
LACKING = {
    # the emulated device sorts nothing, and g++'s remainder of infinities is another than CUDA's
    "cupy-emulated": re.compile("top_k|fmod_0"),
    "strict": re.compile("float16|FLOAT16|fp16"),
    "torch": re.compile("uint(16|32|64)"),
}
LARGE = 10  # nodes of a function written out, which only NumPy runs without --full


def node_tests(*, large):
    """Names of the cases in scope whose functions are written out in many nodes, or are not."""
    table = [name for name in names(alien=False) if name not in OUT_OF_SCOPE]
    return [n for n in table if (len(published()[n].model.graph.node) > LARGE) == large]


def computes(xp, name):
    return xp not in LACKING or not LACKING[xp].search(name)


def agrees(xp, name):
    case = published()[name]
    net = ac.onnx.load(case.model)
    shapes = deciding(net)
    for inputs, outputs in case.data_sets:
        given = {
            spec.name: a if spec.name in shapes else xp.array(a)
            for spec, a in zip(net.inputs, arrays(inputs), strict=True)
        }
        found = net(**given)
        found = found if isinstance(found, tuple) else (found,)
        for got, want in zip(found, arrays(outputs), strict=True):
            got = xp.to_numpy(got)
            assert (got.shape, got.dtype) == (want.shape, want.dtype)
            half = want.dtype == np.float16
            np.testing.assert_allclose(got, want, rtol=case.rtol, atol=1e-3 if half else case.atol)


# NumPy warns of logarithms of 0 and remainders by it, whose results are IEEE's.
ieee = pytest.mark.filterwarnings("ignore::RuntimeWarning")


@ieee
@pytest.mark.where(lambda xp, name: computes(xp, name))
@pytest.mark.parametrize("name", node_tests(large=False))
def test_node(xp, name):
    agrees(xp, name)


@ieee
@pytest.mark.backends("numpy")
@pytest.mark.parametrize("name", node_tests(large=True))
def test_large_node(xp, name):
    agrees(xp, name)


@ieee
@pytest.mark.full
@pytest.mark.where(lambda xp, name: xp != "numpy" and computes(xp, name))
@pytest.mark.parametrize("name", node_tests(large=True))
def test_large_node_elsewhere(xp, name):
    agrees(xp, name)

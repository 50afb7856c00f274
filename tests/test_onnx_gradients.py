"""The gradient of every operator against `jax.vjp` of its forward pass, in float64, over the published node tests."""

import collections

import numpy as np
import pytest
from conftest import strict_jax
from test_onnx_nodes import OUT_OF_SCOPE, arrays, deciding, names, published

import arrayconv as ac

jax = pytest.importorskip("jax")
pytest.importorskip("onnx")

KINK = "the case lies on a kink, where JAX has another convention"
OFF = {
    "test_elu_example": KINK,
    "test_l1normalization_axis_last": KINK,
    "test_l2normalization_axis_0": "JAX's derivative of the square root is NaN where all cells are 0",
    "test_leakyrelu_example": KINK,
    "test_maxpool_3d_dilations": "equal maxima, of which JAX shares the gradient out",
    "test_maxpool_3d_dilations_use_ref_impl": "equal maxima, of which JAX shares the gradient out",
    "test_mod_float_edge_cases_fmod_0_float16": KINK,
    "test_mod_float_edge_cases_fmod_0_float32": KINK,
    "test_mod_float_edge_cases_fmod_0_float64": KINK,
    "test_selu_example": KINK,
}
FEW = 6  # cases of an operator that run without --full
# Their other outputs serve averages and reports, and are not differentiated.
FIRST = ("BatchNormalization", "LayerNormalization")


def cases():
    """The cases of one node with floating inputs and outputs, more than a few of an operator with --full alone."""
    seen = collections.Counter()
    for name in names(alien=False):
        case = published()[name]
        given, found = (arrays(values) for values in case.data_sets[0])
        floats = all(any(a.dtype.kind == "f" for a in values) for values in (given, found))
        scope = name not in OUT_OF_SCOPE and name not in OFF
        operator = case.model.graph.node[0].op_type
        # the inputs of a range decide its shape
        if floats and scope and len(case.model.graph.node) == 1 and operator != "Range":
            marks = [pytest.mark.full] if seen[operator] >= FEW else []
            yield pytest.param(name, id=name, marks=marks)
            seen[operator] += 1


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", list(cases()))
def test_vjp_is_jaxs(name):
    net = ac.onnx.load(published()[name].model)
    shapes = deciding(net)
    inputs = dict(
        zip([s.name for s in net.inputs], arrays(published()[name].data_sets[0][0]), strict=True)
    )
    inputs = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for k, v in inputs.items()}
    wanted = [k for k, v in inputs.items() if v.dtype.kind == "f" and k not in shapes]
    y = net(**inputs)
    several = isinstance(y, tuple)
    rng = np.random.default_rng(0)
    dy = [
        rng.standard_normal(v.shape).astype(v.dtype) if v.dtype.kind == "f" else None
        for v in (y if several else (y,))
    ]
    if {step.operator.name for step in net._graph.steps} & set(FIRST):
        dy[1:] = [None] * len(dy[1:])
    assert wanted
    found = net.vjp(tuple(dy), wrt=wanted, **inputs)

    with strict_jax():
        fixed = {
            k: v if k in shapes else jax.numpy.asarray(v)
            for k, v in inputs.items()
            if k not in wanted
        }

        def forward(*xs):
            out = net(**dict(zip(wanted, xs, strict=True)), **fixed)
            out = out if isinstance(out, tuple) else (out,)
            return [v for v, g in zip(out, dy, strict=True) if g is not None]

        _, pull = jax.vjp(forward, *(jax.numpy.asarray(inputs[k]) for k in wanted))
        expected = pull([jax.numpy.asarray(g) for g in dy if g is not None])
    for k, want in zip(wanted, expected, strict=True):
        want = np.asarray(want)
        assert found[k].shape == want.shape
        scale = max(1.0, np.max(np.abs(want), initial=0))
        np.testing.assert_allclose(found[k], want, rtol=1e-9, atol=1e-9 * scale, err_msg=k)

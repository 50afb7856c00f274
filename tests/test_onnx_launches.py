"""Every operator of ONNX and its gradient on CuPy's own wheel: as on NumPy, and the host waits for nothing."""

import numpy as np
import pytest
from cupy_emulated import recording
from test_onnx_gradients import FIRST, cases
from test_onnx_nodes import arrays, computes, deciding, published

import arrayconv as ac

pytestmark = pytest.mark.backends("cupy-emulated")


def one_of_each():
    """A case of every operator that has a gradient."""
    each = {}
    for param in cases():
        (name,) = param.values
        if computes("cupy-emulated", name):
            each.setdefault(published()[name].model.graph.node[0].op_type, param.id)
    return sorted(each.values())


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", one_of_each())
def test_no_operator_waits_for_the_device(xp, name):
    net = ac.onnx.load(published()[name].model)
    shapes = deciding(net)
    names, given = [s.name for s in net.inputs], arrays(published()[name].data_sets[0][0])
    inputs = dict(zip(names, given, strict=True))
    there = {k: v if k in shapes else xp.array(v) for k, v in inputs.items()}
    wanted = [k for k, v in inputs.items() if v.dtype.kind == "f" and k not in shapes]
    y = net(**inputs)
    y = y if isinstance(y, tuple) else (y,)
    rng = np.random.default_rng(0)
    dy = [rng.standard_normal(v.shape).astype(v.dtype) if v.dtype.kind == "f" else None for v in y]
    if {step.operator.name for step in net._graph.steps} & set(FIRST):
        dy[1:] = [None] * len(dy[1:])
    expected = net.vjp(tuple(dy), wrt=wanted, **inputs)
    dy = tuple(None if g is None else xp.array(g) for g in dy)
    with recording() as record:
        net(**there)
        found = net.vjp(dy, wrt=wanted, **there)
    assert record.synchronisations == 0
    for k in wanted:
        want = expected[k]
        scale = np.max(np.abs(want), initial=1e-3)
        tolerance = 1e-3 if want.dtype == np.float16 else 2e-5
        np.testing.assert_allclose(
            xp.to_numpy(found[k]), want, rtol=tolerance, atol=tolerance * scale, err_msg=k
        )

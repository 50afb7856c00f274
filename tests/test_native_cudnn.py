"""cuDNN for CuPy arrays: values by a stand-in on the emulated device, and the descriptions by the real frontend."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import stand_in_cudnn

import arrayconv as ac
from arrayconv.cases import cases, sample
from arrayconv.engine import native_cudnn
from arrayconv.engine.native_cudnn import Problem, declines, refused
from arrayconv.window import Window

emulated = pytest.mark.backends("cupy-emulated")
CONVOLUTIONS = [case for case in sample(cases()) if case.op in ("conv", "conv_transpose")]
SQUARE = Window((6, 6), (3, 3), (1, 1), (1, 1), ((1, 1), (1, 1)), (6, 6))
PLAIN = Problem("fprop", "float32", 2, 4, 8, 1, SQUARE, False, False, 2**26)


@pytest.fixture
def cudnn(monkeypatch):
    """Put the stand-in in the place of cuDNN, and cuDNN behind ``options(engine="native")``."""
    monkeypatch.setitem(sys.modules, "cudnn", stand_in_cudnn)
    monkeypatch.setattr(native_cudnn, "_handles", native_cudnn._Handles())
    for cached in (native_cudnn._installed, native_cudnn._graph):
        cached.cache_clear()
    stand_in_cudnn.built.clear()
    stand_in_cudnn.streams.clear()
    yield stand_in_cudnn
    for cached in (native_cudnn._installed, native_cudnn._graph):
        cached.cache_clear()


@emulated
@pytest.mark.parametrize("case", CONVOLUTIONS, ids=lambda case: case.id)
def test_values(xp, cudnn, case):
    arrays = case.arrays()
    f, vjp = getattr(ac, case.op), getattr(ac, f"{case.op}_vjp")
    y = f(*arrays, **case.config)
    dy = np.random.default_rng(0).standard_normal(y.shape)
    there = tuple(None if a is None else xp.array(a) for a in arrays)
    with ac.options(engine="native"):
        got = (f(*there, **case.config), *vjp(xp.array(dy), *there, **case.config))
    expected = (y, *vjp(dy, *arrays, **case.config))
    for ours, true in zip(got, expected, strict=True):
        assert (ours is None) == (true is None)
        if true is not None:
            atol = 1e-12 * np.max(np.abs(true), initial=1e-300)
            np.testing.assert_allclose(xp.to_numpy(ours), true, rtol=0, atol=atol)


@emulated
def test_what_runs_and_what_is_kept(xp, cudnn):
    x, w = xp.array(np.ones((2, 6, 6, 4))), xp.array(np.ones((3, 3, 4, 8)))
    stream = xp.namespace.cuda.Stream()
    with ac.options(engine="native", workspace=12345):
        with stream:
            ac.conv(x, w, padding=1)
        ac.conv(x + 1, w, padding=1)
    # the same problem is one graph, and each call has the stream that was current
    (graph,) = cudnn.built
    assert cudnn.streams == [(7, stream.ptr), (7, 0)]
    assert graph.workspace == 12345
    assert graph.config["sm_version"] == 90
    assert graph.config["compute_data_type"] == np.float64
    # plans are refused among those that were made, before one of them is built
    steps = ["create_execution_plans", "deselect_numeric_notes", "check_support", "build_plans"]
    assert graph.steps == ["validate", "build_operation_graph", *steps]
    with ac.options(engine="native"):
        ac.conv(x[:1, ...], w, padding=1)
    assert len(cudnn.built) == 2


@emulated
def test_arrays_that_do_not_start_where_cudnn_wants(xp, cudnn):
    flat = np.random.default_rng(0).standard_normal(1 + 2 * 6 * 6 * 3).astype(np.float32)
    w = np.random.default_rng(1).standard_normal((3, 3, 3, 4)).astype(np.float32)
    there = xp.array(flat)[1:].reshape(2, 6, 6, 3)
    assert there.data.ptr % 16
    with ac.options(engine="native"):
        y = ac.conv(there, xp.array(w))
        across = ac.conv(
            xp.namespace.moveaxis(there, -1, 1), xp.array(w), data_format="channels_first"
        )
    want = ac.conv(flat[1:].reshape(2, 6, 6, 3), w)
    np.testing.assert_allclose(xp.to_numpy(y), want, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(xp.to_numpy(across), np.moveaxis(want, -1, 1), rtol=1e-4, atol=1e-5)


@emulated
def test_each_thread_has_a_handle(xp, cudnn, monkeypatch):
    handles = iter(range(1, 9))
    monkeypatch.setattr(cudnn, "create_handle", lambda: next(handles))
    x, w = xp.array(np.ones((1, 4, 4, 1))), xp.array(np.ones((3, 3, 1, 1)))

    def run():
        with ac.options(engine="native"):
            ac.conv(x, w)
            ac.conv(x, w)

    run()
    other = threading.Thread(target=run)
    other.start()
    other.join()
    assert [handle for handle, _ in cudnn.streams] == [1, 1, 2, 2]
    assert [graph.handle for graph in cudnn.built] == [1, 2]


@emulated
@pytest.mark.parametrize("missing", ["engine", "package", "library"])
def test_what_is_missing_is_computed_portably_and_said(xp, cudnn, monkeypatch, caplog, missing):
    def no_library():
        raise RuntimeError("Unable to find symbol cudnnGetVersion")

    if missing == "engine":
        monkeypatch.setattr(cudnn.pygraph, "refuses", True)
    elif missing == "package":
        monkeypatch.setitem(sys.modules, "cudnn", None)
    else:
        monkeypatch.setattr(cudnn, "backend_version", no_library)
    x, w = np.arange(32.0).reshape(1, 4, 4, 2), np.arange(18.0).reshape(3, 3, 2, 1)
    with ac.options(engine="native"), caplog.at_level(logging.INFO, logger="arrayconv"):
        got = ac.conv(xp.array(x), xp.array(w))
    np.testing.assert_allclose(xp.to_numpy(got), ac.conv(x, w), rtol=1e-13)
    said = {"engine": "no engine", "package": "cudnn", "library": "cudnnGetVersion"}
    assert said[missing] in caplog.text


@emulated
def test_tf32_is_read_as_cupy_reads_it(xp, cudnn, monkeypatch):
    x, w = xp.array(np.ones((1, 4, 4, 1), np.float32)), xp.array(np.ones((3, 3, 1, 1), np.float32))
    for value in ("0", "1"):
        monkeypatch.setenv("CUPY_TF32", value)
        with ac.options(engine="native"):
            ac.conv(x, w)
    full, tf32 = (graph.notes for graph in cudnn.built)
    assert full - tf32 == {"TENSOR_CORE"}
    assert tf32 < full


def test_engines_that_are_never_asked():
    never = {"DOWN_CONVERT_INPUTS", "NONDETERMINISTIC", "REDUCED_PRECISION_REDUCTION"}
    assert set(refused(PLAIN)) >= never | {"TENSOR_CORE", "FFT", "WINOGRAD", "WINOGRAD_TILE_4x4"}
    assert set(refused(PLAIN._replace(fast=True, tf32=True))) == never
    # a half type is what tensor cores multiply exactly
    assert "TENSOR_CORE" not in refused(PLAIN._replace(dtype="float16"))


def replaced(**changes):
    return Window(**{name: getattr(SQUARE, name) for name in SQUARE.__dataclass_fields__} | changes)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({}, None),
        ({"dtype": "float64"}, None),
        ({"dtype": "bfloat16"}, None),
        ({"dtype": "int32"}, "no int32"),
        ({"dtype": "float32 with float64"}, "no float32 with float64"),
        ({"batch": 0}, "empty"),
        ({"batch": 2**27}, "more than 2147483647 elements"),
        ({"window": replaced(padding=((-1, 0), (1, 1)), output=(3, 6))}, "leave out"),
        ({"window": replaced(output=(5, 6))}, "not all that fit"),
        (
            {"window": Window((3,) * 4, (1,) * 4, (1,) * 4, (1,) * 4, ((0, 0),) * 4, (3,) * 4)},
            "at most 3 spatial axes, not 4",
        ),
    ],
)
def test_declines(changes, reason):
    said = declines(PLAIN._replace(**changes))
    assert said is None if reason is None else reason in said


LIBRARY = r"""
#include <stddef.h>
size_t cudnnGetVersion(void) { return 92800; }
int cudnnCreate(void** handle) { *handle = (void*)1; return 0; }
int cudnnDestroy(void* handle) { return 0; }
"""
DESCRIBED = """
import json, sys
from arrayconv.engine.native_cudnn import describe, Problem, refused
from arrayconv.window import Window
import cudnn
problem = eval(sys.stdin.read())
[getattr(cudnn.numerical_note, name) for name in refused(problem)]
for method in ("build_operation_graph", "create_execution_plans", "deselect_numeric_notes", "check_support",
               "deselect_workspace_greater_than", "build_plans", "get_workspace_size", "execute"):
    assert callable(getattr(cudnn.pygraph, method)), method
assert issubclass(cudnn.cudnnGraphNotSupportedError, Exception)
assert cudnn.heur_mode.A != cudnn.heur_mode.FALLBACK
assert "handle: int, stream: int" in cudnn.set_stream.__doc__ and cudnn.create_handle.__doc__
print(describe(problem, handle=1, sm_version=90))
"""
UNEVEN = Window((7, 9), (3, 2), (2, 1), (1, 2), ((0, 1), (2, 0)), (3, 9))
LINE = Window((9,), (3,), (2,), (1,), ((1, 1),), (5,))


@pytest.mark.parametrize("window", [UNEVEN, LINE], ids=["plane", "line"])
@pytest.mark.parametrize("kind", ["fprop", "dgrad", "wgrad"])
def test_the_real_frontend_takes_the_description(tmp_path, kind, window):
    """Without cuDNN itself: the frontend needs a few of its symbols, and then validates and prints the graph."""
    pytest.importorskip("cudnn")
    made = ["gcc", "-shared", "-fPIC", "-o", str(tmp_path / "libcudnn.so.9"), "-x", "c", "-"]
    subprocess.run(made, input=LIBRARY, text=True, check=True)
    problem = PLAIN._replace(kind=kind, window=window, groups=2)
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBED],
        input=repr(problem),
        capture_output=True,
        text=True,
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    graph = json.loads(done.stdout)
    (node,) = graph["nodes"]
    line = window is LINE
    assert (
        node["tag"] == {"fprop": "CONV_FPROP", "dgrad": "CONV_DGRAD", "wgrad": "CONV_WGRAD"}[kind]
    )
    assert node["math_mode"] == "CROSS_CORRELATION"
    assert node["pre_padding"] == ([0, 1] if line else [0, 2])
    assert node["post_padding"] == ([0, 1] if line else [1, 0])
    assert node["stride"] == ([1, 2] if line else [2, 1])
    assert node["dilation"] == ([1, 1] if line else [1, 2])
    assert node["compute_data_type"] == "FLOAT"
    # channels last in memory, second in cuDNN's order
    image = ([2, 4, 1, 9], [36, 1, 36, 4]) if line else ([2, 4, 7, 9], [252, 1, 36, 4])
    weights = ([8, 2, 1, 3], [6, 1, 6, 2]) if line else ([8, 2, 3, 2], [12, 1, 4, 2])
    response = ([2, 8, 1, 5], [40, 1, 40, 8]) if line else ([2, 8, 3, 9], [216, 1, 72, 8])
    order = {"fprop": (image, weights, response), "dgrad": (response, weights, image)}
    expected = order.get(kind, (image, response, weights))
    for uid, (dim, stride) in enumerate(expected, start=1):
        tensor = graph["tensors"][str(uid)]
        assert (tensor["dim"], tensor["stride"], tensor["data_type"]) == (dim, stride, "FLOAT")

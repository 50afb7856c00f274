"""What is found on this machine, and what is said of what is not."""

import importlib
import sys
import types

import numpy as np
import pytest
from conftest import missing

from arrayconv import backends
from arrayconv.backends import NAMES, Backend, BackendError, find_backend, find_backends


def hide(monkeypatch, module):
    """Make `module` look as if it were not installed."""
    monkeypatch.setitem(sys.modules, module, None)


def test_every_name_is_usable_or_says_why():
    found = {name: what for name, _, what in find_backends()}
    assert tuple(found) == NAMES
    assert isinstance(found["numpy"], Backend)
    for name, what in found.items():
        if isinstance(what, BackendError):
            assert "\n" not in str(what)
            assert str(what)
            assert "install" in what.install
        else:
            assert what.name == name


@pytest.mark.parametrize("name", NAMES)
def test_usable_backend_computes(name):
    try:
        backend = find_backend(name)
    except BackendError as reason:
        missing(f"{name}: {reason}")
    from arrayconv import to_numpy

    host = np.asarray([1.0, 2.5])
    with backend.exact():
        x = backend.asarray(host)
        (y,) = backend.finish((backend.jit(lambda a: a + a)(x),))
        got = to_numpy(y)
    np.testing.assert_array_equal(got, [2.0, 5.0])
    assert got.dtype == np.float64
    host[0] = 7.0
    np.testing.assert_array_equal(to_numpy(x), [1.0, 2.5])


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [
        ("jax-cpu", "jax", "arrayconv[jax]"),
        ("jax-gpu", "jax", "arrayconv[jax]"),
        ("torch-cpu", "torch", "arrayconv[torch]"),
        ("strict", "array_api_strict", "arrayconv[test]"),
        ("cupy", "cupy", "arrayconv[cupy13]"),
        ("dask", "dask", "arrayconv[dask]"),
        ("dpnp", "dpnp", "pip install dpnp"),
    ],
)
def test_missing_library_names_its_extra(monkeypatch, name, module, extra):
    hide(monkeypatch, module)
    monkeypatch.delitem(sys.modules, "dask.array", raising=False)
    with pytest.raises(BackendError, match="not installed") as caught:
        find_backend(name)
    assert extra in caught.value.install


def test_broken_library_is_told_from_a_missing_one(monkeypatch):
    def broken(name):
        raise OSError("libsomething.so: cannot open shared object file\nmore")

    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(BackendError, match=r"importing it fails: OSError: libsomething.so") as got:
        find_backend("jax-cpu")
    assert "\n" not in str(got.value)
    assert isinstance({n: b for n, _, b in find_backends()}["numpy"], Backend)


@pytest.mark.parametrize("answer", [False, OSError("driver too old")])
def test_cupy_without_a_usable_gpu(monkeypatch, answer):
    def is_available():
        if isinstance(answer, Exception):
            raise answer
        return answer

    fake = types.SimpleNamespace(cuda=types.SimpleNamespace(is_available=is_available))
    monkeypatch.setitem(sys.modules, "cupy", fake)
    reason = "no usable CUDA device" if answer is False else "CUDA fails: OSError: driver too old"
    with pytest.raises(BackendError, match=reason) as caught:
        find_backend("cupy")
    assert "arrayconv[cupy13]" in caught.value.install


def test_unknown_name():
    with pytest.raises(ValueError, match="unknown name 'tpu'; expected one of numpy, "):
        find_backend("tpu")


def test_torch_settings_are_put_back():
    pytest.importorskip("torch")
    matmul = types.SimpleNamespace(allow_tf32=True)
    fake = types.SimpleNamespace(
        backends=types.SimpleNamespace(cuda=types.SimpleNamespace(matmul=matmul))
    )
    with backends.Backend("torch-gpu", "PyTorch", "gpu", "0", fake).exact():
        assert matmul.allow_tf32 is False
    assert matmul.allow_tf32 is True

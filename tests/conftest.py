"""One fixture, `xp`, runs a test on every array library chosen with ``--backend``."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass, field
from typing import Any, NoReturn
from unittest import mock

import numpy as np
import pytest
from poison import poison

# JAX otherwise takes three quarters of a GPU that the other libraries share.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

CPU = ("numpy", "strict", "jax", "torch", "dask")
GPU = ("cupy", "jax-gpu", "torch-gpu")
BACKENDS = (*CPU, *GPU, "cupy-emulated", "dpnp")
MODULES = {
    "numpy": "numpy",
    "strict": "array_api_strict",
    "jax": "jax",
    "torch": "torch",
    "dask": "dask.array",
    "cupy": "cupy",
    "jax-gpu": "jax",
    "torch-gpu": "torch",
    "cupy-emulated": "cupy",
    "dpnp": "dpnp",
}


class UnusableError(Exception):
    """Why a backend cannot run on this machine."""


def _frozen(a: Any) -> np.ndarray:
    a = np.array(a)
    a.flags.writeable = False
    return a


@dataclass(frozen=True)
class Backend:
    """An array library, and one of its devices, as the tests use it."""

    name: str
    namespace: Any
    make: Callable[[np.ndarray], Any] = field(repr=False)

    def array(self, a: Any, *, batch: bool = False) -> Any:
        """Return `a` (anything NumPy reads) as an array here; `batch` lets Dask chunk axis 0."""
        a = np.asarray(a)
        if batch and self.name == "dask":
            chunks = (max(1, a.shape[0] // 2), *(-1 for _ in a.shape[1:]))
            return self.namespace.from_array(a, chunks=chunks)
        return self.make(a)

    def to_numpy(self, x: Any) -> np.ndarray:
        """Return `x` as a NumPy array, computing what is lazy."""
        import arrayconv as ac

        with self.computing():
            return ac.to_numpy(x)

    def computing(self) -> AbstractContextManager[Any]:
        """Return a context in which what is lazy may be computed, as reports and checks do."""
        if self.name != "dask":
            return nullcontext()
        import dask

        return dask.config.set(scheduler="synchronous")


def _strict(xp: Any) -> Backend:
    device = xp.Device("device1")
    return Backend("strict", xp, lambda a: xp.asarray(np.array(a), device=device))


def _jax(name: str, kind: str) -> Backend:
    import jax

    try:
        device = jax.devices(kind)[0]
    except RuntimeError as error:
        raise UnusableError(f"JAX has no {kind} device here: {error}") from error
    return Backend(name, jax.numpy, lambda a: jax.device_put(np.array(a), device))


def _torch(name: str, kind: str) -> Backend:
    import torch

    if kind == "cuda" and not torch.cuda.is_available():
        raise UnusableError("torch finds no CUDA device here")
    return Backend(name, torch, lambda a: torch.asarray(np.array(a), device=kind))


def _cupy(name: str, xp: Any) -> Backend:
    if not xp.cuda.is_available():
        raise UnusableError("CuPy finds no CUDA device here")
    return Backend(name, xp, xp.asarray)


def _dask(xp: Any) -> Backend:
    return Backend("dask", xp, lambda a: xp.from_array(a, chunks=-1))


def _backend(name: str) -> Backend:
    """Return the backend called `name`, or raise `UnusableError` with the reason."""
    try:
        xp = importlib.import_module(MODULES[name])
    except ImportError as error:
        raise UnusableError(f"{MODULES[name]} cannot be imported: {error}") from error
    if name == "numpy":
        return Backend(name, xp, _frozen)
    if name == "strict":
        return _strict(xp)
    if xp.__name__ == "jax":
        return _jax(name, "cpu" if name == "jax" else "gpu")
    if xp.__name__ == "torch":
        return _torch(name, "cpu" if name == "torch" else "cuda")
    if xp.__name__ == "cupy":
        return _cupy(name, xp)
    if name == "dask":
        return _dask(xp)
    return Backend(name, xp, xp.asarray)


def _no_compute(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("an operation computed a Dask array")


def _rules(backend: Backend, stack: ExitStack) -> None:
    """Enter the strictest mode of a library, float64 included, for the length of a test."""
    if backend.name == "dask":
        import dask

        stack.enter_context(dask.config.set(scheduler=_no_compute))
    elif backend.name == "strict":
        flags = {"boolean_indexing": False, "data_dependent_shapes": False}
        stack.enter_context(backend.namespace.ArrayAPIStrictFlags(**flags))
        stack.enter_context(_unhashable(backend.namespace.Device))
    elif backend.name.startswith("jax"):
        stack.enter_context(strict_jax())
    elif backend.name == "torch-gpu":
        backend.namespace.backends.cuda.matmul.allow_tf32 = False
        backend.namespace.backends.cudnn.allow_tf32 = False
    elif backend.name.startswith("cupy"):
        os.environ["CUPY_TF32"] = "0"


def _unhashable(device: type) -> AbstractContextManager[Any]:
    """Let nothing of arrayconv hash a device: the standard promises `==` alone, and CuPy's refuse."""
    known = device.__hash__

    def by_others(self: object) -> int:
        if sys._getframe(1).f_globals["__name__"].startswith("arrayconv"):
            raise TypeError("arrayconv hashed a device")
        return known(self)

    return mock.patch.object(device, "__hash__", by_others)


def strict_jax(*, x64: bool = True) -> ExitStack:
    """Return a context with JAX's strict promotions, full products and, or not, 64-bit types."""
    import jax

    stack = ExitStack()
    stack.enter_context(jax.numpy_dtype_promotion("strict"))
    stack.enter_context(jax.numpy_rank_promotion("raise"))
    stack.enter_context(jax.default_matmul_precision("float32"))
    stack.enter_context(jax.enable_x64(x64))
    return stack


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("arrayconv")
    group.addoption(
        "--backend",
        action="append",
        metavar="NAME",
        help=f"array library to test, repeatable or comma separated, out of {', '.join(BACKENDS)};"
        " by default every CPU library that can be imported",
    )
    group.addoption("--full", action="store_true", help="run the whole case table on every library")


def chosen(config: pytest.Config) -> list[str]:
    """Return the names of the backends that this run asks for."""
    asked = config.getoption("--backend")
    if asked:
        names = [name.strip() for given in asked for name in given.split(",") if name.strip()]
        unknown = sorted(set(names) - set(BACKENDS))
        if unknown:
            raise pytest.UsageError(
                f"--backend: unknown {', '.join(unknown)}; expected one of {', '.join(BACKENDS)}"
            )
        return list(dict.fromkeys(names))
    # A library that is there but broken is kept, so that its tests fail or skip aloud.
    return [name for name in CPU if importlib.util.find_spec(MODULES[name].split(".")[0])]


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "backends(*names): of the chosen libraries, only these")
    config.addinivalue_line("markers", "full: minutes long, so only with --full")
    config.addinivalue_line("markers", "where(says): only with parameters of which `says` is true")
    if "cupy-emulated" in chosen(config):
        _emulate(config)
    poison()


def _emulate(config: pytest.Config) -> None:
    """Put the emulated device in the place of CUDA, for the length of the process."""
    from cupy_emulated.installation import install

    if "cupy" in chosen(config):
        raise pytest.UsageError("--backend: cupy and cupy-emulated need a process each")
    try:
        install()
    except (AttributeError, RuntimeError) as error:
        raise pytest.UsageError(str(error)) from error


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which libraries run, and for each of the others why not."""
    lines = []
    for name in chosen(config):
        try:
            _backend(name)
            lines.append(f"backend {name}: usable")
        except UnusableError as reason:
            lines.append(f"backend {name}: its tests are skipped, {reason}")
    return lines


def applies(config: pytest.Config, item: pytest.Item) -> bool:
    """Say whether this run has a test; one that does not apply is left out, for a skip is a failure."""
    # the run that includes NumPy has the tests that no library changes
    if "numpy" not in chosen(config) and "xp" not in getattr(item, "fixturenames", ()):
        return False
    if item.get_closest_marker("full") and not config.getoption("--full"):
        return False
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    if "xp" in parameters and parameters["xp"] is None:
        return False
    for mark in item.iter_markers("where"):
        (says,) = mark.args
        if not says(*(parameters[name] for name in inspect.signature(says).parameters)):
            return False
    return True


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    others = [item for item in items if not applies(config, item)]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in set(others)]


MISSING = "missing: "


def missing(what: object) -> NoReturn:
    """Skip a test for want of a library or a device: of `pytest.skip`, the one use that does not fail."""
    pytest.skip(f"{MISSING}{what}")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Turn a skip into a failure, unless a library or a device is missing."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        # the second is pytest.importorskip's
        if not reason.startswith((MISSING, "could not import ")):
            report.outcome = "failed"
            report.longrepr = f"{item.nodeid} skips, and no library or device is missing: {reason}"
    return report


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = chosen(metafunc.config)
    for mark in metafunc.definition.iter_markers("backends"):
        names = [name for name in names if name in mark.args]
    if "xp" in metafunc.fixturenames:
        # of no names pytest would make a test that skips
        metafunc.parametrize("xp", names or [None], indirect=True, scope="function")
    if "sampled_case" in metafunc.fixturenames:
        from arrayconv.cases import cases, sample

        table = cases() if metafunc.config.getoption("--full") else sample(cases())
        metafunc.parametrize("sampled_case", table, ids=lambda case: case.id)


@pytest.fixture(autouse=True)
def poisoned() -> None:
    """Poison what has been imported since the last test."""
    poison()


@pytest.fixture
def xp(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Return a `Backend` of each chosen library, in its strictest mode and with float64."""
    try:
        backend = _backend(request.param)
    except UnusableError as reason:
        missing(f"backend {request.param}: {reason}")
    poison()
    with ExitStack() as stack:
        _rules(backend, stack)
        yield backend

"""One session per array library and kind of hardware; ``nox`` alone runs those that need no GPU.

All CPU sessions share one environment, ``.nox/cpu``, made once; each GPU session uses the interpreter
that runs nox where that has the library already, and else an environment of its own.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.stop_on_first_error = True
nox.options.error_on_external_run = False

ROOT = Path(__file__).parent
# The registry's other builds of torch for Linux bring gigabytes of CUDA libraries.
CPU_TORCH = "torch==2.13.0"
# Without the extra's CUDA libraries, and the version that tests/cupy_emulated knows.
EMULATED_CUPY = "cupy-cuda13x==14.2.0"


def environment(session: nox.Session, name: str, *requirements: str) -> Path:
    """Return the interpreter of ``.nox/<name>``, installed when its requirements have changed."""
    place = ROOT / ".nox" / name
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = place / "installed"
    wanted = "\n".join((sys.version, str(ROOT), *requirements)).encode()
    key = hashlib.sha256(wanted + (ROOT / "pyproject.toml").read_bytes()).hexdigest()
    if not (python.exists() and stamp.exists() and stamp.read_text() == key):
        session.run(sys.executable, "-m", "venv", "--clear", str(place))
        session.run(str(python), "-m", "pip", "install", "--quiet", *requirements)
        stamp.write_text(key)
    return python


def cpu(session: nox.Session) -> str:
    """Return the interpreter that all sessions without a GPU share."""
    tools = ("mypy", "ruff")
    # macOS has no build of either
    cupy, cudnn = ((), "") if sys.platform == "darwin" else ((EMULATED_CUPY,), ",cudnn")
    extras = ("-e", f"{ROOT}[test,jax,dask,docs{cudnn}]")
    return str(environment(session, "cpu", CPU_TORCH, *cupy, *extras, *tools))


def test(session: nox.Session, python: str, backend: str, *spread: str, **env: str) -> None:
    """Run the tests of one library; pytest fails where it finds none to run."""
    session.run(python, "-m", "pytest", "--backend", backend, *spread, *session.posargs, env=env)


def on_cpu(session: nox.Session, backend: str, module: str) -> None:
    python = cpu(session)
    # a library that cannot be imported must fail here, not be skipped test by test
    session.run(python, "-c", f"import {module}", silent=True)
    # one process a core, and in each one thread: pools of threads that wait for each other are slower
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    xla = "--xla_cpu_multi_thread_eigen=false"
    spread = ("-n", "auto", "--maxprocesses", "4")
    test(session, python, backend, *spread, JAX_PLATFORMS="cpu", XLA_FLAGS=xla, **one)


@nox.session(venv_backend="none", tags=["cpu"])
def numpy(session: nox.Session) -> None:
    """NumPy: the whole table of cases, and every test that needs no particular library."""
    on_cpu(session, "numpy", "numpy")


@nox.session(venv_backend="none", tags=["cpu"])
def strict(session: nox.Session) -> None:
    """array-api-strict: nothing but the standard, on a device that is not the CPU."""
    on_cpu(session, "strict", "array_api_strict")


@nox.session(name="jax-cpu", venv_backend="none", tags=["cpu"])
def jax_cpu(session: nox.Session) -> None:
    """JAX on the CPU, eager and compiled."""
    on_cpu(session, "jax", "jax")


@nox.session(name="torch-cpu", venv_backend="none", tags=["cpu"])
def torch_cpu(session: nox.Session) -> None:
    """PyTorch on the CPU."""
    on_cpu(session, "torch", "torch")


@nox.session(venv_backend="none", tags=["cpu"])
def dask(session: nox.Session) -> None:
    """Dask, chunked along the batch; in `test_chunks.py` along space too."""
    on_cpu(session, "dask", "dask.array")


@nox.session(name="cupy-emulated", venv_backend="none", tags=["cpu"])
def cupy_emulated(session: nox.Session) -> None:
    """CuPy's own wheel on an emulated device: its values, launches and synchronisations."""
    if sys.platform != "linux" or shutil.which("g++") is None:
        session.skip("the emulated device compiles CuPy's kernels by g++, on Linux")
    on_cpu(session, "cupy-emulated", "cupy")


@nox.session(venv_backend="none")
def doctest(session: nox.Session) -> None:
    """The examples in the docstrings."""
    session.run(cpu(session), "-m", "pytest", "--doctest-modules", "arrayconv", *session.posargs)


@nox.session(venv_backend="none")
def notebooks(session: nox.Session) -> None:
    """The notebooks, executed: nothing fails, and nothing printed has changed."""
    env = {"JAX_PLATFORMS": "cpu"}
    session.run(cpu(session), "notebooks/build.py", "--check", *session.posargs, env=env)


@nox.session(name="notebooks-tensorflow", venv_backend="none", default=False)
def notebooks_tensorflow(session: nox.Session) -> None:
    """The cells about TensorFlow, in an environment of their own (600 MB more); ``-- 08`` writes what they print."""
    needs = "tensorflow", CPU_TORCH, "keras>=3.10", "-e", f"{ROOT}[notebooks]"
    python = environment(session, "tensorflow", *needs)
    arguments = session.posargs or ["--check", "08"]
    session.run(str(python), "notebooks/build.py", *arguments, env={"JAX_PLATFORMS": "cpu"})


@nox.session(venv_backend="none")
def docs(session: nox.Session) -> None:
    """The documentation, warnings as errors, and the examples in it."""
    python, site = cpu(session), "docs/_build/html"
    session.run(python, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", "docs", site)
    session.run(python, "-m", "pytest", "--doctest-glob=*.md", "docs")


@nox.session(venv_backend="none")
def wheel(session: nox.Session) -> None:
    """A wheel in an empty environment with what the README installs: its commands and its blocks."""
    place = ROOT / ".nox" / "wheel"
    shutil.rmtree(place, ignore_errors=True)
    session.run(
        sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(place), str(ROOT)
    )
    (built,) = place.glob("*.whl")
    # those of the README's first command
    extras = re.search(r'"\.(\[.+?\])"', (ROOT / "README.md").read_text())[1]
    python = environment(session, "wheel/venv", f"{built}{extras}")
    session.run(str(python), str(ROOT / "tests" / "readme.py"), env={"JAX_PLATFORMS": "cpu"})


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Style, and who may import whom."""
    python = cpu(session)
    session.run(python, "-m", "ruff", "check", ".")
    session.run(python, "-m", "ruff", "format", "--check", ".")


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Type annotations."""
    session.run(cpu(session), "-m", "mypy")


@nox.session(venv_backend="none", default=False)
def planted(session: nox.Session) -> None:
    """Faults planted in a copy of the package, one at a time: each must turn a test red (hours)."""
    session.run(cpu(session), "tests/planted.py", *session.posargs)


@nox.session(venv_backend="none", default=False)
def fuzz(session: nox.Session) -> None:
    """Drawn configurations at length: the examples of each test, then what pytest takes, as in ``-- 20000 -k conv``."""
    count, *rest = session.posargs or ["2000"]
    if not count.isdecimal():
        session.error("the first argument is the number of examples, as in: nox -s fuzz -- 20000")
    if not any(argument.startswith("--hypothesis-seed") for argument in rest):
        rest += [f"--hypothesis-seed={secrets.randbelow(2**32)}"]
    session.log(f"to repeat this run: nox -s fuzz -- {count} {' '.join(rest)}")
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    env = {"ARRAYCONV_EXAMPLES": count, "JAX_PLATFORMS": "cpu", **one}
    drawn = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("tests/test_drawn*.py"))
    session.run(cpu(session), "-m", "pytest", "-n", "auto", *drawn, *rest, env=env)


@nox.session(venv_backend="none", default=False)
def bench(session: nox.Session) -> None:
    """The benchmarks; arguments follow ``--``."""
    session.run(cpu(session), "-m", "benchmarks", *session.posargs)


@nox.session(venv_backend="none", default=False)
def dpnp(session: nox.Session) -> None:
    """dpnp on the CPU through OpenCL: a second library that refuses NumPy (2.9 GB)."""
    python = environment(session, "dpnp", "dpnp", "-e", f"{ROOT}[test,jax]")
    driver = next((ROOT / ".nox" / "dpnp").rglob("libintelocl.so"), None)
    test(session, str(python), "dpnp", **({"OCL_ICD_FILENAMES": str(driver)} if driver else {}))


def cuda_major(session: nox.Session) -> int:
    """Return the CUDA version of the driver; skip the session where no GPU can be used."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        session.skip("no NVIDIA driver on this machine, so no GPU to test on")
    count, version = ctypes.c_int(), ctypes.c_int()
    if status := driver.cuInit(0):
        session.skip(f"the NVIDIA driver does not start (CUDA error {status})")
    driver.cuDeviceGetCount(ctypes.byref(count))
    driver.cuDriverGetVersion(ctypes.byref(version))
    if not count.value:
        session.skip("the NVIDIA driver finds no GPU")
    return version.value // 1000


def on_gpu(session: nox.Session, backend: str, module: str, requirement: str) -> None:
    # a GPU machine often has a library built for it, and may reach no registry
    needs = (
        f"import {module}, array_api_compat, array_api_extra, array_api_strict, pytest, hypothesis"
    )
    python = sys.executable
    if subprocess.run([python, "-c", needs], capture_output=True, check=False).returncode:
        own = environment(session, f"{backend}-own", "-e", f"{ROOT}[{requirement}]")
        python = str(own)
    session.run(python, "-c", f"import {module}", silent=True)
    test(session, python, backend, XLA_PYTHON_CLIENT_PREALLOCATE="false")


@nox.session(venv_backend="none", tags=["gpu"], default=False)
def cupy(session: nox.Session) -> None:
    """CuPy on a GPU."""
    major = cuda_major(session)
    on_gpu(session, "cupy", "cupy", f"test,jax,cupy{12 if major < 13 else 13}")


@nox.session(name="jax-gpu", venv_backend="none", tags=["gpu"], default=False)
def jax_gpu(session: nox.Session) -> None:
    """JAX on a GPU."""
    major = cuda_major(session)
    on_gpu(session, "jax-gpu", "jax", f"test,jax-cuda{12 if major < 13 else 13}")


@nox.session(name="torch-gpu", venv_backend="none", tags=["gpu"], default=False)
def torch_gpu(session: nox.Session) -> None:
    """PyTorch on a GPU."""
    cuda_major(session)
    on_gpu(session, "torch-gpu", "torch", "test,jax,torch")

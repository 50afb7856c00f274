"""From CUDA source to a shared library: the kernels that CuPy writes, compiled by g++ against ``include/``."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# Ignored by git, and kept between runs: compiling is most of a first run.
CACHE = HERE.parents[1] / ".nox" / "cupy-emulated"
FLAGS = ("-O1", "-shared", "-fPIC", "-std=c++17", "-w", "-fpermissive")

_BOUNDS = r"(?:__launch_bounds__\([^)]*\)\s*)?"
_KERNEL = re.compile(rf"__global__\s+{_BOUNDS}void\s+(\w+)\s*\(")
_TEMPLATE = re.compile(r"template\s*<[^>]*>\s*(?:extern \"C\"\s*)?__global__")
# Shared memory whose size the launch gives.
_EXTERN_SHARED = re.compile(
    r"extern\s+__shared__\s+(?:__align__\(\d+\)\s*)?([\w:<> ]+?)\s+(\w+)\[\]\s*;"
)
_MOST_SHARED = 16384
_FROM_INPUT = ("-x", "c++", "-")


def compiled(source: str, expressions: Iterable[str] = ()) -> tuple[Path, dict[str, str]]:
    """Return the library of a source, and the symbol of each template instance in ``expressions``."""
    symbols = {expression: f"instance{i}" for i, expression in enumerate(expressions)}
    synchronises = re.search("__sync|__shfl", source) is not None
    named = {name: name for name in _KERNEL.findall(_TEMPLATE.sub("", source))}
    entries = [
        _entry(symbol, expression, synchronises)
        for expression, symbol in {**named, **symbols}.items()
    ]
    source = _EXTERN_SHARED.sub(rf"__shared__ \1 \2[{_MOST_SHARED}];", source)
    text = "\n".join((source, *entries))
    headers = _headers()
    path = headers / f"{hashlib.sha256(text.encode()).hexdigest()[:24]}.so"
    if not path.exists():
        # the precompiled header is found before the one that it was made from
        find = (f"-I{headers}", "-include", "emulated.h")
        _compile(path, *find, *_FROM_INPUT, text=text)
    return path, symbols


def empty_library(soname: str) -> Path:
    """Return a library without a function, under a name that CuPy's modules are linked against."""
    CACHE.mkdir(parents=True, exist_ok=True)
    path = CACHE / soname
    if not path.exists():
        _compile(path, f"-Wl,-soname,{soname}", *_FROM_INPUT)
    return path


def _entry(symbol: str, expression: str, synchronises: bool) -> str:
    fibres = "true" if synchronises else "false"
    return (
        f'extern "C" void run_{symbol}(const unsigned* d, void** p) '
        f"{{ emulated::grid(d, [](void** a) {{ emulated::call({expression}, a); }}, p, {fibres}); }}\n"
        f'extern "C" unsigned long long bytes_{symbol}(void** p) '
        f"{{ return emulated::bytes({expression}, p); }}"
    )


@cache
def _headers() -> Path:
    """Return the folder of this compiler and these headers: the headers precompiled, and the kernels."""
    version = subprocess.run(["g++", "--version"], capture_output=True, text=True, check=True)
    key = hashlib.sha256(version.stdout.encode())
    key.update(" ".join(FLAGS).encode())
    for header in sorted(path for path in (HERE / "include").rglob("*") if path.is_file()):
        key.update(header.read_bytes())
    folder = CACHE / key.hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    precompiled = folder / "emulated.h.gch"
    if not precompiled.exists():
        _compile(precompiled, "-x", "c++-header", str(HERE / "include" / "emulated.h"))
    return folder


def _compile(path: Path, *arguments: str, text: str = "") -> None:
    cupys = Path(importlib.util.find_spec("cupy").origin).parent / "_core" / "include"
    # several test processes may compile the same kernel
    written = path.with_suffix(f".{os.getpid()}.tmp")
    command = ["g++", *FLAGS, *arguments, f"-I{HERE / 'include'}", f"-I{cupys}", "-o", str(written)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(
            f"g++ does not compile a kernel of CuPy's:\n{done.stderr[:4000]}\n{text}"
        )
    os.replace(written, path)


def compile_module(source: str, options: tuple[str, ...] = (), *args: Any, **config: Any) -> Any:
    """In the place of ``cupy.cuda.compiler._compile_module_with_cache``."""
    from cupy.cuda import function

    expressions = config.get("name_expressions") or ()
    path, symbols = compiled(source, expressions)
    module = function.Module()
    module.load(str(path).encode())
    if expressions:
        module._set_mapping(symbols)
    return module

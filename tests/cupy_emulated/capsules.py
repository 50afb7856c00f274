"""Functions of ours in the place of those that CuPy's compiled modules call in one another.

A Cython module publishes its C functions in ``__pyx_capi__``: a capsule each, which holds a pointer
and is named by the signature. Other modules read the pointers once, when they are imported; a
capsule that was replaced before that is what they call.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

_python = ctypes.pythonapi
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
_python.PyCapsule_GetName.restype = ctypes.c_char_p
_python.PyCapsule_GetName.argtypes = [ctypes.py_object]
_python.Py_IncRef.argtypes = [ctypes.py_object]

_TYPES = {
    "PyObject *": ctypes.py_object,
    "PY_LONG_LONG": ctypes.c_longlong,
    "cudaMemcpyKind": ctypes.c_int,
    "double": ctypes.c_double,
    "float": ctypes.c_float,
    "int": ctypes.c_int,
    "intptr_t": ctypes.c_ssize_t,
    "long long": ctypes.c_longlong,
    "size_t": ctypes.c_size_t,
    "uintmax_t": ctypes.c_size_t,
    "unsigned int": ctypes.c_uint,
}
# What Cython adds to the arguments of a function that Python can call too: never for us.
_ADDED = {"__pyx_skip_dispatch": ctypes.c_int, "__pyx_opt_args": ctypes.c_void_p}


def replace(module: ModuleType, functions: Mapping[str, Callable[..., Any]]) -> None:
    """Put functions in the place of a module's, for Cython and for Python; the others raise when called.

    Raises
    ------
    AttributeError
        If the module has no function of that name: it is not the version that this was written for.
    """
    capsules = module.__pyx_capi__
    for name in functions:
        if name not in capsules and not hasattr(module, name):
            raise AttributeError(f"{module.__name__} has no function {name}")
    for name, capsule in list(capsules.items()):
        signature = _python.PyCapsule_GetName(capsule).decode()
        # data, and the functions of this table that CuPy defines in terms of the others, stay
        if "(" in signature and (name in functions or _expressible(signature)):
            function = functions.get(name) or _missing(f"{module.__name__}.{name}")
            capsules[name] = _capsule(signature, function)
    for name, function in functions.items():
        if hasattr(module, name):
            setattr(module, name, function)


def _split(signature: str) -> tuple[str, list[str]]:
    result, _, arguments = signature.partition("(")
    listed = [argument.strip() for argument in arguments.rstrip(")").split(",")]
    return result.strip(), [] if listed == ["void"] else listed


def _expressible(signature: str) -> bool:
    result, arguments = _split(signature)
    plain = [a for a in arguments if not any(added in a for added in _ADDED)]
    return result in _TYPES and all(a in _TYPES for a in plain)


def _capsule(signature: str, function: Callable[..., Any]) -> Any:
    result, arguments = _split(signature)
    kinds: list[Any] = []
    given = 0
    for argument in arguments:
        added = next((kind for name, kind in _ADDED.items() if name in argument), None)
        # what is not listed is an enumeration of CUDA's
        kinds.append(added or _TYPES.get(argument, ctypes.c_int))
        given += added is None
    made = ctypes.PYFUNCTYPE(_TYPES[result], *kinds)(lambda *values: function(*values[:given]))
    name = ctypes.create_string_buffer(signature.encode())
    # CuPy frees its last arrays when the interpreter has taken down what it can
    for kept in (made, name):
        _python.Py_IncRef(kept)
    return _python.PyCapsule_New(ctypes.cast(made, ctypes.c_void_p).value, name, None)


def _missing(name: str) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        raise NotImplementedError(f"the emulated CUDA has no {name}")

    return function

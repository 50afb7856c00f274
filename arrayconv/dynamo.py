"""How ``torch.compile`` takes an operation: as one call, whose array operations are recorded by running it.

Dynamo, which reads a function's bytecode, cannot follow settings of a thread or caches of plans. It is told to put the
call into its graph and leave it to the tracer behind it, which runs the operation on tensors without values, as
``jax.jit`` does. That has to be said before Dynamo meets the operation, and importing Dynamo takes seconds: so it is
said right after somebody else has imported it.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from arrayconv.engine.settings import Settings, current, options

_DYNAMO = "torch._dynamo"


def keep_whole(operations: Sequence[Callable[..., Any]]) -> None:
    """Have ``torch.compile`` take each operation as one call, wherever it meets it."""
    if _DYNAMO in sys.modules:
        _tell(operations)
    else:
        sys.meta_path.insert(0, _AfterDynamo(operations))


class _AfterDynamo:
    """Finds no module itself; lets the one that finds Dynamo tell it of the operations after its import."""

    def __init__(self, operations: Sequence[Callable[..., Any]]) -> None:
        self._operations = operations

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name != _DYNAMO:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            loader.exec_module = self._then_tell(loader.exec_module)
        return spec

    def _then_tell(self, execute: Callable[[ModuleType], None]) -> Callable[[ModuleType], None]:
        def exec_module(module: ModuleType) -> None:
            execute(module)
            _tell(self._operations)

        return exec_module


def _tell(operations: Sequence[Callable[..., Any]]) -> None:
    import torch
    from torch._dynamo.eval_frame import set_code_exec_strategy
    from torch._dynamo.types import FrameAction, FrameExecStrategy

    unread = FrameExecStrategy(FrameAction.SKIP, FrameAction.SKIP)
    settings = torch.compiler.assume_constant_result(_settings)
    for f in operations:
        whole = torch.compiler.allow_in_graph(_under(f))
        torch.compiler.substitute_in_graph(f, skip_signature_check=True)(_met(f, settings, whole))
        # where Dynamo has given up the caller, the operation is run and not read either
        for function in (f, whole):
            set_code_exec_strategy(function.__code__, unread)


def _met(f: Callable[..., Any], settings: Callable[[], Any], whole: Any) -> Any:
    """What Dynamo reads in the place of ``f``: the settings now, handed to a call that it does not read."""

    def met(*args: Any, **config: Any) -> Any:
        return whole(settings(), *args, **config)

    return met


def _settings() -> tuple[Any, ...]:
    return tuple(current())


def _under(f: Callable[..., Any]) -> Any:
    @wraps(f)
    def under(settings: tuple[Any, ...], *args: Any, **config: Any) -> Any:
        with options(**Settings(*settings)._asdict()):
            return f(*map(_settled, args), **{name: _settled(x) for name, x in config.items()})

    return under


def _settled(value: Any) -> Any:
    """``value`` with ints for the symbols that a tracer has put for sizes; a program per shape is compiled."""
    import torch

    if isinstance(value, torch.Tensor):
        return value.reshape([int(n) for n in value.shape])
    if isinstance(value, torch.SymInt):
        return int(value)
    if isinstance(value, tuple | list):
        return tuple(map(_settled, value))
    return value

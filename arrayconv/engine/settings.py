"""The settings a plan reads: ``options``, per thread and task, over a process default."""

from __future__ import annotations

from contextvars import ContextVar
from types import TracebackType
from typing import Any, NamedTuple, Self

from arrayconv.arguments import choice, integer

ENGINES = ("portable", "native")
PRECISIONS = ("default", "fast")
# What temporary arrays may take where nothing is said.
WORKSPACE, ACCELERATOR_WORKSPACE = 64 * 2**20, 512 * 2**20


class Settings(NamedTuple):
    """One value per option."""

    engine: str = "portable"
    precision: str = "default"
    strategy: str | None = None
    workspace: int | None = None
    threads: int | None = None

    def room(self, accelerator: bool) -> int:
        """Bytes that temporary arrays may take; an accelerator's blocks are larger, since each costs launches."""
        if self.workspace is not None:
            return self.workspace
        return ACCELERATOR_WORKSPACE if accelerator else WORKSPACE


_KEEP: Any = object()
_default = Settings()
# The settings of every open block, the innermost last. They lie with the thread or task and not with the object that
# opened the block, for which one ``options`` may be entered in many of them at once.
_blocks: ContextVar[tuple[Settings, ...]] = ContextVar("arrayconv_options", default=())


def current() -> Settings:
    """The settings in force here."""
    blocks = _blocks.get()
    return blocks[-1] if blocks else _default


class options:  # noqa: N801 (a context manager, named as a function)
    """How convolutions are computed, inside a ``with`` block or, by ``as_default``, in the whole process.

    What is not given stays as it is outside the block. Settings belong to the thread or task that
    entered them (``contextvars``), so one object may serve several at once; under ``jax.jit`` they
    are read while the function is traced.

    Parameters
    ----------
    engine : {"portable", "native"}
        ``"native"`` uses the library's own convolution (``jax.lax``, ``torch.nn.functional``) where
        there is one that does exactly what is asked, and the portable code elsewhere; on NumPy
        arrays PyTorch's, where that is installed, without a copy of them. Where a
        stride is above 1, XLA puts zeros between the windows of an input gradient and multiplies
        them: there a NaN or an infinite weight reaches cells that it never meets.
    precision : {"default", "fast"}
        ``"fast"`` allows two more strategies where they are faster on a CPU: ``winograd`` for kernels
        of 3 (in float32 two to ten times the rounding error) and ``fft`` for large ones (its error
        is relative to the largest values around). Both spread NaN and inf from the windows that
        contain them to all windows of a tile: 4 along each axis for ``winograd``, up to all for
        ``fft``.
    strategy : str or None
        The name of one strategy (``arrayconv.engine.STRATEGIES``), to be used for every
        convolution; ``None`` lets the plan choose. A strategy that cannot do exactly what is asked
        raises ``ValueError``, as ``"winograd"`` and ``"fft"`` always do unless ``precision`` is
        ``"fast"``.
    workspace : int or None
        Bytes that a convolution's temporary arrays may take beyond its input and output, where
        arrays can be written in place; ``None``, the default, is 64 MiB on a CPU and 512 MiB on an
        accelerator. One row of windows of one image is the least it works on.
    threads : int or None
        Threads that share a convolution of NumPy arrays; other libraries have their own. ``None``,
        the default, is the cores that the process may use, or fewer where ``OMP_NUM_THREADS``,
        ``OPENBLAS_NUM_THREADS`` or ``MKL_NUM_THREADS`` says so. The bits of a result do not depend
        on it.

    Raises
    ------
    TypeError
        If the workspace or the threads are no int.
    ValueError
        If a name is unknown, or the workspace or the threads not positive.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x, w = np.ones((1, 5, 5, 1)), np.ones((3, 3, 1, 1))
    >>> with ac.options(strategy="taps", workspace=2**20):
    ...     float(ac.conv(x, w)[0, 0, 0, 0])
    9.0
    """

    def __init__(
        self,
        *,
        engine: str = _KEEP,
        precision: str = _KEEP,
        strategy: str | None = _KEEP,
        workspace: int | None = _KEEP,
        threads: int | None = _KEEP,
    ) -> None:
        given = {
            "engine": engine,
            "precision": precision,
            "strategy": strategy,
            "workspace": workspace,
            "threads": threads,
        }
        self._changes: dict[str, Any] = {
            name: value for name, value in given.items() if value is not _KEEP
        }
        _check(self._changes)

    def __enter__(self) -> Self:
        _blocks.set((*_blocks.get(), current()._replace(**self._changes)))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _blocks.set(_blocks.get()[:-1])

    def as_default(self) -> None:
        """Make these the process default, in every thread, outside ``with`` blocks."""
        global _default
        _default = _default._replace(**self._changes)


def _check(changes: dict[str, Any]) -> None:
    from arrayconv.engine import STRATEGIES

    known = {"engine": ENGINES, "precision": PRECISIONS, "strategy": (None, *STRATEGIES)}
    for name, choices in known.items():
        if name in changes:
            choice("options", name, changes[name], choices)
    for name in ("workspace", "threads"):
        if changes.get(name) is not None:
            changes[name] = integer("options", name, changes[name], least=1)

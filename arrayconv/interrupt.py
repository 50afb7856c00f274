"""Ctrl-C of a command: the process ends where it stands, without an exception.

Python's own answer, an exception in whatever line runs just then, is at its worst in a program that calls array
libraries: they call back into Python while they compile, where an exception is lost, or ends in a crash, and the
threads that they leave running crash once the interpreter takes itself apart.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import NoReturn

STATUS = 130

_undone: dict[object, Callable[[], object]] = {}
_postponed = False
_noted = False


def install() -> None:
    """Let Ctrl-C end this process with one line and status 130; called once, by the process's main thread."""
    # what was started in the background, or by nohup, is not to be interrupted
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupted)


def postpone() -> None:
    """From here on note the first Ctrl-C, for `check`; a second one ends the process all the same."""
    global _postponed
    _postponed = True


def check() -> None:
    """Raise `KeyboardInterrupt` if a Ctrl-C has been noted."""
    if _noted:
        raise KeyboardInterrupt


def finish(status: int) -> int:
    """The exit status of a process whose work is done, and which nothing interrupts any more."""
    if signal.getsignal(signal.SIGINT) is _interrupted:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if _noted and status != STATUS:
        stop()
    return status


@contextmanager
def held_back() -> Iterator[None]:
    """Let a Ctrl-C wait for the end of the block; a process started in it is not reached by any."""
    # Windows has no such mask
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def undoing(undo: Callable[[], object]) -> Iterator[None]:
    """Call ``undo`` at the end of the block, also where Ctrl-C ends the process within it."""
    key = object()
    _undone[key] = undo
    try:
        yield
    finally:
        undo()
        del _undone[key]


def stop() -> NoReturn:
    """End the process as Ctrl-C does: nothing half written stays, and what was printed is not lost."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for undo in list(_undone.values()):
        with suppress(Exception):
            undo()
    with suppress(Exception):
        # a terminal has shown ^C, or a bar, on the line
        os.write(2, b"\n" * os.isatty(2) + b"arrayconv: interrupted\n")
    # whoever does not read what is still to be printed can be interrupted again
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with suppress(Exception):
        sys.stdout.flush()
    # not sys.exit: threads of the array libraries may still be at work
    os._exit(STATUS)


def _interrupted(number: int, frame: object) -> None:
    global _noted
    if _postponed and not _noted:
        _noted = True
    else:
        stop()

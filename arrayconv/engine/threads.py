"""Work shared among a few threads, for arrays whose library computes on the thread that calls it.

NumPy copies, adds and compares on one core, but releases the interpreter meanwhile: blocks that write to cells of
their own may run side by side. What a block is never depends on how many threads there are, and products inside it
run on its own thread alone, so the bits of a result are the same for every number of them.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from functools import lru_cache
from itertools import chain, islice
from typing import Any, Generic, TypeVar

from arrayconv.engine.settings import Settings, current
from arrayconv.namespace import Traits

T = TypeVar("T")
# What a user sets who wants fewer cores taken.
VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")

# A signal's handler may come between, and computes too.
_lock = threading.RLock()
_pool: ThreadPoolExecutor | None = None
# Threads that the pool may have; it begins one only where none is idle.
_MOST = max(8, os.cpu_count() or 1)


class _Here(threading.local):
    helping = False  # whether this thread works on somebody else's tasks
    starting = False  # whether it asks for helpers just now
    sharing = False  # whether it works on tasks of its own that others may take


class _Holder:
    """Somebody who keeps products on one thread; one that an interrupt tore away is not counted any more."""


_here = _Here()
_holders: weakref.WeakSet[_Holder] = weakref.WeakSet()
# How many threads the products had before the first of them.
_before: list[tuple[Any, int]] = []


def count(settings: Settings) -> int:
    """How many threads may work: what the options say, else the cores that the process may use."""
    return _usable() if settings.threads is None else settings.threads


@lru_cache
def _usable() -> int:
    # macOS and Windows tell no affinity
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    asked = (os.environ.get(name, "").partition(",")[0].strip() for name in VARIABLES)
    return min(cores, *(int(n) for n in asked if n.isdecimal() and int(n) > 0), cores)


def each(
    work: Callable[[T], Any],
    tasks: Iterable[T],
    at: Traits,
    threads: int | None = None,
    then: Callable[[Any], None] | None = None,
) -> None:
    """Call ``work`` with every task: on this thread and on others, where the arrays of ``work`` are computed so.

    ``threads`` is how many in all, at most; by default those of the options. ``then`` takes the
    results in the order of the tasks, one at a time. The first error ends it all and is raised here.
    A thread of the pool that is busy elsewhere is not waited for.
    """
    remaining = iter(tasks)
    some = list(islice(remaining, 2))
    shared = _Shared(work, chain(some, remaining), then)
    if len(some) < 2 or not at.calling:
        # one product alone has the threads of its library
        shared.run()
        return
    with products_on_one_thread():
        before, _here.sharing = _here.sharing, True
        try:
            _start(shared, (count(current()) if threads is None else threads) - 1)
            shared.run()
        except BaseException:
            shared.stop()
            raise
        finally:
            _here.sharing = before
            shared.close()
    if shared.error is not None:
        raise shared.error


def inside_shared_work() -> bool:
    """Whether this thread works on a task of ``each`` that is one of several."""
    return _here.helping or _here.sharing


class _Shared(Generic[T]):
    """Tasks that threads take one by one, and the turn in which their results are taken."""

    def __init__(
        self, work: Callable[[T], Any], tasks: Iterable[T], then: Callable[[Any], None] | None
    ) -> None:
        self._work, self._then = work, then
        self._tasks: Iterator[tuple[int, T]] = enumerate(tasks)
        self._taking = threading.Lock()
        self._turn, self._next = threading.Condition(), 0
        self._stopped, self._closed, self._helping = False, False, 0
        self.error: BaseException | None = None

    def run(self) -> None:
        """Take tasks until none is left."""
        while (taken := self._take()) is not None:
            number, task = taken
            result = self._work(task)
            if self._then is not None:
                with self._turn:
                    while self._next != number and not self._stopped:
                        self._turn.wait()
                    if self._stopped:
                        return
                    self._then(result)
                    self._next += 1
                    self._turn.notify_all()
            # not to be there beside the next one
            del result

    def stop(self) -> None:
        """Let nobody begin another task, or wait for one that failed."""
        with self._turn:
            self._stopped = True
            self._turn.notify_all()

    def help(self) -> None:
        """``run``, on a thread of the pool, unless it comes too late."""
        with self._turn:
            if self._closed:
                return
            self._helping += 1
        _here.helping = True
        try:
            self.run()
        except BaseException as error:
            self.error = error
            self.stop()
        finally:
            _here.helping = False
            with self._turn:
                self._helping -= 1
                self._turn.notify_all()

    def close(self) -> None:
        """Let nobody begin to help any more, and wait for those who do."""
        with self._turn:
            self._closed = True
            while self._helping:
                self._turn.wait()

    def _take(self) -> tuple[int, T] | None:
        with self._taking:
            return None if self._stopped else next(self._tasks, None)


def _start(shared: _Shared[Any], helpers: int) -> None:
    """Ask the pool for helpers; whoever does not come is not missed."""
    global _pool
    # what helps is part of something larger, for which all others work, and a signal's handler may not wait for locks
    if helpers < 1 or _here.helping or _here.starting:
        return
    _here.starting = True
    try:
        with _lock:
            if _pool is None:
                _pool = ThreadPoolExecutor(_MOST, "arrayconv", initializer=_begin)
            pool = _pool
        for _ in range(helpers):
            # the options and NumPy's errstate belong to the context
            pool.submit(copy_context().run, shared.help)
    except RuntimeError:
        # the interpreter is about to end, or no thread is to be had
        pass
    finally:
        _here.starting = False


@contextmanager
def products_on_one_thread() -> Iterator[None]:
    """While it is open, matrix products use the thread that asks for them and no other.

    Most libraries have one number for the whole process: there this holds for other threads too.
    """
    mine = [(blas, blas.get_num_threads()) for blas in _blas() if _is_by_thread(blas)]
    others = [blas for blas in _blas() if not _is_by_thread(blas)]
    holder = _Holder()
    try:
        with _lock:
            if not _before:
                _before[:] = [(blas, blas.get_num_threads()) for blas in others]
            _holders.add(holder)
            _set((blas, 1) for blas in others)
        _set((blas, 1) for blas, _ in mine)
        yield
    finally:
        _set(mine)
        with _lock:
            _holders.discard(holder)
            if not _holders:
                _set(tuple(_before))
                _before.clear()


@lru_cache
def _blas() -> list[Any]:
    import threadpoolctl

    # its own context manager takes ten times as long as the calls
    found: list[Any] = threadpoolctl.ThreadpoolController().select(user_api="blas").lib_controllers
    return found


def _is_by_thread(blas: Any) -> bool:
    """Whether each thread has a number of its own."""
    return blas.internal_api == "mkl" or getattr(blas, "threading_layer", None) == "openmp"


def _set(numbers: Iterable[tuple[Any, int]]) -> None:
    for blas, number in numbers:
        # else only the thread that set it first may do so again
        if hasattr(blas, "clear_controlling_thread"):
            blas.clear_controlling_thread(force=True)
        blas.set_num_threads(number)
        if hasattr(blas, "clear_controlling_thread"):
            blas.clear_controlling_thread(force=True)


def _begin() -> None:
    """On a new thread of the pool."""
    _set((blas, 1) for blas in _blas() if _is_by_thread(blas))


def _forget() -> None:
    """In a forked child: its parent's threads are not there, and may have held the lock."""
    global _pool, _lock
    _pool, _lock = None, threading.RLock()
    _set(tuple(_before))
    _before.clear()
    _holders.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

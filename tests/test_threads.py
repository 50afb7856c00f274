"""Blocks shared among threads: the same bits whatever their number, and no harm to anything around."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import threadpoolctl

import arrayconv as ac
from arrayconv.engine import plan, threads
from arrayconv.engine.threads import each
from arrayconv.namespace import Traits, traits

pytestmark = pytest.mark.backends("numpy")

CALLING = Traits(mutable=True, accelerator=False, calling=True)


def rng():
    return np.random.default_rng(0)


def bits(call):
    return [a.tobytes() for a in call() if a is not None]


def convolution(shape, kernel, features, **config):
    x = rng().standard_normal(shape).astype("float32")
    w = rng().standard_normal((*kernel, shape[-1] // config.get("groups", 1), features))
    w = w.astype("float32")
    y = ac.conv(x, w, **config)

    def call():
        return [ac.conv(x, w, **config), *ac.conv_vjp(y, x, w, **config)]

    return call


def transposed():
    x = rng().standard_normal((4, 40, 40, 8)).astype("float32")
    w = rng().standard_normal((3, 3, 4, 8)).astype("float32")
    y = ac.conv_transpose(x, w, stride=2)
    return lambda: [ac.conv_transpose(x, w, stride=2), *ac.conv_transpose_vjp(y, x, w, stride=2)]


def fully_connected():
    x, w = rng().standard_normal((400, 300)), rng().standard_normal((300, 500))
    return lambda: [ac.dense(x, w), *ac.dense_vjp(x @ w, x, w)]


CALLS = {
    "deep": convolution((8, 40, 40, 32), (3, 3), 48, padding=1),
    "few channels": convolution((4, 90, 90, 3), (7, 7), 16, stride=2, padding=3),
    "depthwise": convolution((4, 60, 60, 32), (3, 3), 32, padding=1, groups=32),
    "grouped": convolution((4, 60, 60, 32), (3, 3), 32, padding=1, groups=4),
    "one axis": convolution((8, 4000, 16), (9,), 32),
    "volume": convolution((2, 20, 20, 20, 8), (3, 3, 3), 16, padding="same"),
    "transposed": transposed(),
    "one small image": convolution((1, 9, 9, 256), (3, 3), 256, padding=1),
    "no windows": fully_connected(),
}


@pytest.fixture
def many_blocks(monkeypatch):
    monkeypatch.setattr(plan, "BLOCK_BYTES", 2**18)
    monkeypatch.setattr(plan, "WINDOWS_PER_FEATURE_SHARED", 0)
    plan.make_plan.cache_clear()
    yield
    plan.make_plan.cache_clear()


@pytest.mark.parametrize("name", CALLS)
def test_the_bits_do_not_depend_on_how_many_threads_there_are(name, many_blocks):
    with ac.options(threads=1):
        alone = bits(CALLS[name])
    for number in (2, 5):
        with ac.options(threads=number):
            assert bits(CALLS[name]) == alone


@pytest.mark.parametrize("name", CALLS)
def test_the_work_is_shared(name, many_blocks, monkeypatch):
    seen = set()
    take = threads._Shared._take

    def noted(shared):
        seen.add(threading.get_ident())
        # long enough for another thread to begin
        time.sleep(0.002)
        return take(shared)

    monkeypatch.setattr(threads._Shared, "_take", noted)
    with ac.options(threads=2):
        CALLS[name]()
    assert len(seen) > 1
    seen.clear()
    with ac.options(threads=1):
        CALLS[name]()
    assert seen == {threading.get_ident()}


@pytest.mark.parametrize(
    "shape", [(700, 300, 300), (300, 300, 701), (49, 900, 1283), (1, 5000, 5000)]
)
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_large_product_in_parts(shape, order, monkeypatch):
    from arrayconv.engine import products

    rows, depth, columns = shape
    a = np.asarray(rng().standard_normal((rows, depth)), order=order)
    b = np.asarray(rng().standard_normal((depth, columns)), order=order)
    parts = []

    def noted(work, tasks, at, *rest):
        tasks = list(tasks)
        parts.append(len(tasks))
        each(work, tasks, at, *rest)

    monkeypatch.setattr(products, "each", noted)
    # einsum adds up without any BLAS
    np.testing.assert_allclose(products.product(np, a, b), np.einsum("ij,jk", a, b), atol=1e-9)
    assert parts == [min(8, 2 * rows * depth * columns // products.SMALL_PRODUCT)]


def test_tasks_run_side_by_side_and_their_results_come_in_order():
    together, results = threading.Barrier(3, timeout=30), []

    def work(task):
        if task < 3:
            together.wait()
        # the later, the sooner done
        time.sleep(0.001 * (9 - task))
        return task

    each(work, iter(range(9)), CALLING, 3, results.append)
    assert results == list(range(9))


def test_the_workspace_holds_for_all_threads_together():
    x, w = np.ones((64, 56, 56, 16), "float32"), np.ones((3, 3, 16, 16), "float32")
    for number in (1, 2, 64):
        with ac.options(threads=number):
            (found,) = ac.explain(ac.conv, x, w)
            assert 1 <= found.threads <= number
            assert found.memory <= 64 * 2**20
            assert (f", {found.threads} at a time" in str(found)) == (number > 1)
    with ac.options(workspace=1, threads=64):
        (found,) = ac.explain(ac.conv, x, w)
    assert found.threads == 1


@pytest.mark.parametrize("bad", [0, 7])
def test_an_error_of_any_task_ends_all_and_is_raised(bad):
    done = []

    def work(task):
        if task == bad:
            raise LookupError(task)
        time.sleep(0.001)
        done.append(task)

    with pytest.raises(LookupError, match=str(bad)):
        each(work, range(1000), CALLING, 3)
    assert len(done) < 900
    with pytest.raises(LookupError, match=str(bad)):
        each(work, range(1000), CALLING, 3, lambda result: None)


def test_an_error_of_what_takes_the_results_is_raised():
    def fail(result):
        raise LookupError(result)

    with pytest.raises(LookupError, match="0"):
        each(lambda task: task, range(100), CALLING, 3, fail)


def test_the_context_of_the_caller_holds_in_every_thread():
    together, seen = threading.Barrier(2, timeout=30), []

    def work(task):
        together.wait()
        seen.append((np.geterr()["over"], threads.count(threads.current())))

    with np.errstate(over="raise"), ac.options(threads=2):
        each(work, range(2), CALLING)
    assert seen == [("raise", 2)] * 2
    x = np.full((16, 100, 100, 8), 1e38, "float32")
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        ac.conv(x, np.ones((3, 3, 8, 8), "float32"))


def blas():
    """How many threads NumPy's products have."""
    found = threadpoolctl.threadpool_info()
    path = Path(np.__file__).parent
    return {
        pool["num_threads"]
        for pool in found
        if pool["user_api"] == "blas" and str(path) in pool["filepath"]
    }


def test_tasks_within_tasks_and_callers_in_many_threads_do_not_wait_for_each_other():
    def outer(task):
        each(lambda inner: time.sleep(0.001), range(3), CALLING, 4)

    each(outer, range(8), CALLING, 4)
    call = CALLS["deep"]
    expected = bits(call)
    before = blas()
    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(lambda _: bits(call), range(16)))
    assert blas() == before


def test_products_within_tasks_stay_on_their_thread_and_others_get_theirs_back():
    inside = []
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        each(lambda task: inside.append(blas()), range(4), CALLING, 2)
        with pytest.raises(LookupError):
            each(lambda task: {}[task], range(4), CALLING, 2)
        assert blas() == {2}
    assert inside == [{1}] * 4
    # a single task is left to the library
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        each(lambda task: inside.append(blas()), range(1), CALLING, 2)
    assert inside[-1] == {2}


class ByThread:
    """A library of products in which each thread sets a number of its own, as MKL does."""

    internal_api = "mkl"

    def __init__(self):
        self.numbers = threading.local()

    def get_num_threads(self):
        return getattr(self.numbers, "here", 8)

    def set_num_threads(self, number):
        self.numbers.here = number


def test_a_library_whose_threads_have_numbers_of_their_own(monkeypatch):
    library, seen, together = ByThread(), [], threading.Barrier(3, timeout=30)
    monkeypatch.setattr(threads, "_blas", lambda: [library])
    monkeypatch.setattr(threads, "_pool", None)

    def work(task):
        together.wait()
        seen.append(library.get_num_threads())

    each(work, range(3), CALLING, 3)
    assert seen == [1, 1, 1]
    assert library.get_num_threads() == 8


def test_libraries_with_threads_of_their_own_are_left_alone(xp):
    torch = pytest.importorskip("torch")
    seen = set()
    each(
        lambda task: seen.add(threading.get_ident()),
        range(50),
        traits(torch, torch.ones(1)),
        4,
    )
    assert seen == {threading.get_ident()}


def run(code, **env):
    """Run a program of its own, of which a warning is an error, and return what it prints."""
    import os

    program = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(
        program, capture_output=True, text=True, timeout=120, env={**os.environ, **env}
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout.split()


BUSY = """
import numpy as np, arrayconv as ac
x, w = np.ones((32, 56, 56, 16), "float32"), np.ones((3, 3, 16, 16), "float32")
def call():
    with ac.options(threads=3):
        return float(ac.conv(x, w)[-1, -1, -1, -1])
"""


def test_nothing_begins_before_there_is_work_for_it():
    code = BUSY + (
        "import sys, threading\nac.conv(x[:1, :9, :9], w)\n"
        "print(threading.active_count(), 'threadpoolctl' in sys.modules)\n"
        "call(); print(threading.active_count() > 1)"
    )
    assert run(code) == ["1", "False", "True"]


def test_a_forked_process_has_threads_of_its_own():
    code = BUSY + (
        "import os, warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"
        "print(call(), flush=True)\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    print(call(), flush=True); os._exit(0)\n"
        "print(os.waitpid(child, 0)[1], call())"
    )
    if not hasattr(sys.modules["os"], "fork"):
        pytest.skip("missing: a fork")
    assert run(code) == ["144.0", "144.0", "0", "144.0"]


def test_at_the_end_of_the_interpreter_the_caller_works_alone():
    code = BUSY + "import atexit; atexit.register(lambda: print(call())); print(call())"
    assert run(code) == ["144.0", "144.0"]
    code = BUSY + (
        "import threading, time\n"
        "def late():\n    threading.main_thread().join(); print(call())\n"
        "threading.Thread(target=late).start(); call()"
    )
    assert run(code) == ["144.0"]


@pytest.mark.parametrize("name", threads.VARIABLES)
@pytest.mark.parametrize(("given", "most"), [("1", 1), ("1,2", 1), ("0", 64), ("all", 64)])
def test_variables_are_upper_limits(name, given, most):
    code = (
        "from arrayconv.engine import settings, threads; print(threads.count(settings.current()))"
    )
    (found,) = run(code, **{name: given})
    assert 1 <= int(found) <= most


@pytest.mark.parametrize(("wrong", "error"), [(0, ValueError), (2.5, TypeError), ("2", TypeError)])
def test_the_number_of_threads_is_checked(wrong, error):
    with pytest.raises(error, match="options: threads"):
        ac.options(threads=wrong)


def test_a_thread_that_cannot_be_had_is_done_without(monkeypatch):
    monkeypatch.setattr(threads, "_pool", None)
    start, started = threading.Thread.start, []

    def refused(thread):
        started.append(thread)
        if len(started) > 1:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    done = []

    def work(task):
        time.sleep(0.001)
        done.append(task)

    for _ in range(5):
        done.clear()
        each(work, range(40), CALLING, 4)
        # what has begun is waited for
        assert sorted(done) == list(range(40))
    assert len(started) > 1


SIGNALLED = (
    BUSY
    + """
import signal, time
x, w = x[:1, :32, :32], w
def call():
    return float(ac.conv(x, w)[-1, -1, -1, -1])
"""
)


def test_a_handler_of_signals_may_compute_too():
    code = SIGNALLED + (
        "count = [0]; call()\n"
        "def handle(*_):\n"
        "    count[0] += 1; call(); signal.setitimer(signal.ITIMER_REAL, 0.0007)\n"
        "signal.signal(signal.SIGALRM, handle); signal.setitimer(signal.ITIMER_REAL, 0.001)\n"
        "end = time.monotonic() + 3\n"
        "while time.monotonic() < end: call()\n"
        "signal.setitimer(signal.ITIMER_REAL, 0); print(count[0] > 100, call())"
    )
    if not hasattr(signal, "setitimer"):
        pytest.skip("missing: a timer that sends signals")
    assert run(code) == ["True", "144.0"]


def test_interrupts_leave_the_products_their_threads():
    code = SIGNALLED + (
        "import random, threadpoolctl\n"
        "def handle(*_): raise KeyboardInterrupt\n"
        "signal.signal(signal.SIGALRM, handle)\n"
        "def blas(): return [b.get_num_threads() for b in __import__('arrayconv').engine.threads._blas()]\n"
        "call(); before = blas()\n"
        "end = time.monotonic() + 3\n"
        "while time.monotonic() < end:\n"
        "    try:\n"
        "        signal.setitimer(signal.ITIMER_REAL, 0.0005 + random.random() * 0.002)\n"
        "        while True: call()\n"
        "    except KeyboardInterrupt: pass\n"
        "call(); print(blas() == before)"
    )
    if not hasattr(signal, "setitimer"):
        pytest.skip("missing: a timer that sends signals")
    assert run(code) == ["True"]

"""A process that reads hostile files, one a line, and says what came of each: what a crash, a hang or an endless
allocation of it would take down is only this process.

Run as a program it is that process; `Reader` starts it and asks it.
"""

import contextlib
import ctypes
import io
import json
import os
import resource
import select
import struct
import subprocess
import sys
import time
from pathlib import Path

MEBI = 2**20
# What may not happen while a file is read. Python itself reports these; `Watch` sees what C libraries open.
FORBIDDEN = (
    "compile",
    "exec",
    "import",
    "marshal.",
    "os.exec",
    "os.posix_spawn",
    "os.system",
    "pickle.",
    "shutil.",
    "socket.",
    "subprocess.",
    "ctypes.",
)


def main():
    """Read requests from standard input, and answer each with one line."""
    import numpy as np

    import arrayconv as ac
    from arrayconv import data, models
    from arrayconv.cli import main as cli

    # the first work for several threads looks for the libraries of matrix products
    ac.conv(np.ones((8, 128, 128, 8), "float32"), np.ones((3, 3, 8, 8), "float32"))
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    events, watching = [], [""]

    def hook(event, arguments):
        if not watching[0]:
            return
        if event.startswith(FORBIDDEN):
            events.append(f"{event} {str(arguments)[:200]}")
        elif event in ("open", "os.listdir", "os.scandir"):
            where = arguments[0]
            inside = isinstance(where, int) or str(where).startswith(watching[0])
            if not inside:
                events.append(f"{event} {where}")

    sys.addaudithook(hook)
    jobs = {
        "load": lambda path: models.load(path),
        "load_weights": lambda path: load_weights(models, path),
        "open_h5": lambda path: open_h5(data, path),
        "open_folder": lambda path: open_folder(data, path),
        "filter": lambda path: run_filter(cli, path),
        "probe": probe,
    }
    for line in sys.stdin:
        job, path = json.loads(line)
        before = memory("VmRSS:")
        with contextlib.suppress(OSError):
            # 5 puts the peak back to what is held now
            Path("/proc/self/clear_refs").write_text("5")
        now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + 2048 * MEBI, resource.RLIM_INFINITY))
        start, answer = time.process_time(), {"error": None, "message": ""}
        events.clear()
        watching[0] = str(Path(path).parent)
        try:
            jobs[job](Path(path))
        except BaseException as error:
            answer = {"error": type(error).__name__, "message": str(error)}
            answer["kind"] = isinstance(error, ValueError | OSError)
            answer["memory_error"] = out_of_memory(error)
        watching[0] = ""
        resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
        answer |= {
            "seconds": time.process_time() - start,
            "mebi": (memory("VmHWM:") - before) / MEBI,
            "events": list(events),
        }
        answers.write(json.dumps(answer) + "\n")


def memory(field):
    """Bytes that this process holds, or held at most."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def out_of_memory(error):
    """Whether an allocation failed somewhere below, even if the library made another error of it."""
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


def probe(path):
    """Do what no reading may, so that a test can see that it is noticed."""
    content = (path.parent.parent / "elsewhere" / "secret").read_bytes()
    exec("1", {})
    content += b"1" * (100 * MEBI)
    # longer than any reading
    while time.process_time() < 0.5:
        pass
    try:
        bytearray(2**45)
    except MemoryError as error:
        raise KeyError(len(content)) from error


def network(models):
    """Return the model that the drawn weights are for."""
    return models.Sequential(
        [
            models.Input((6, 6, 2)),
            models.Conv(3, 3, activation="relu"),
            models.BatchNormalization(),
            models.Flatten(),
            models.Dense(2, activation="softmax"),
        ],
        name="net",
    )


def load_weights(models, path):
    model = network(models)
    before = [w.tobytes() for w in model.get_weights()]
    try:
        model.load_weights(path)
    except (ValueError, OSError):
        if [w.tobytes() for w in model.get_weights()] != before:
            raise AssertionError("the model has changed") from None
        raise


def open_h5(data, path):
    found = data.open_h5(path)
    for x, y in ((found.x_train, found.y_train), (found.x_test, found.y_test)):
        if not 0 <= y.min() <= y.max() < len(found.classes):
            raise AssertionError(f"labels {y.min()}..{y.max()} of {len(found.classes)} classes")
        for i in (0, -1):
            x[i]


def open_folder(data, path):
    found = data.open_folder(path, size=(8, 8))
    for x in (found.x_train, found.x_test):
        x[:]


def run_filter(cli, path):
    told = io.StringIO()
    with contextlib.redirect_stderr(told), contextlib.redirect_stdout(io.StringIO()):
        status = cli(["filter", str(path), "--kernel", "sobel", "--out", f"{path}.out.png"])
    Path(f"{path}.out.png").unlink(missing_ok=True)
    if status:
        # what the command prints is all that its user sees
        raise ValueError(told.getvalue())


class Reader:
    """Starts the process, and asks it."""

    def __init__(self, whole):
        # jobs and whole files: read at every start, so that what reading them imports is there
        self._whole, self._process = whole, None

    def __call__(self, job, path, limit=30.0):
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "ignore", __file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "OPENBLAS_NUM_THREADS": "1",
                    "PYTHONPATH": str(Path(__file__).parents[1]),
                },
            )
            for each in self._whole:
                if (answer := self(*each))["error"] is not None:
                    raise AssertionError(f"{each}: {answer}")
        self._process.stdin.write(json.dumps([job, str(path)]) + "\n")
        self._process.stdin.flush()
        ready, _, _ = select.select([self._process.stdout], [], [], limit)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self._process.kill()
            self._process.stdin.close()
            self._process.stdout.close()
            status = self._process.wait()
            what = f"died with status {status}" if ready else f"took more than {limit} seconds"
            raise AssertionError(f"{job} of {path}: the process {what}")
        return json.loads(line)

    def close(self):
        if self._process is not None and self._process.poll() is None:
            self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait()


class Watch:
    """Sees every opening of a file in a folder, by whatever library or process."""

    def __init__(self, folder):
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        # IN_OPEN
        if self._fd < 0 or libc.inotify_add_watch(self._fd, os.fsencode(folder), 0x20) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def opened(self):
        """Return the names of what was opened since the last call."""
        names = []
        with contextlib.suppress(BlockingIOError):
            while held := os.read(self._fd, 65536):
                while held:
                    (size,) = struct.unpack_from("12xI", held)
                    names.append(held[16 : 16 + size].rstrip(b"\0").decode())
                    held = held[16 + size :]
        return names

    def close(self):
        os.close(self._fd)


if __name__ == "__main__":
    main()

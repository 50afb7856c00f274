"""The progress display: a bar in a terminal, an updated line in a notebook, one line per epoch elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from arrayconv.data.sharding import first_process

# Seconds between two updates of the shown numbers, each of which makes an accelerator synchronize.
_INTERVAL = 0.25


class Progress:
    """The progress display of one call of ``fit``, ``evaluate`` or ``predict``.

    Each epoch ends with a line on standard output. While it runs, with ``verbose`` 1 or "auto", there is a bar on
    standard error if that is a terminal and tqdm is installed, or in a notebook a line that is updated.

    Parameters
    ----------
    label : str
        The name of the method, for error messages.
    verbose : {"auto", 0, 1, 2}
        0 shows nothing, 2 only the lines.

    Raises
    ------
    ValueError
        For any other value.
    """

    def __init__(self, label: str, verbose: Any) -> None:
        if verbose not in ("auto", 0, 1, 2):
            raise ValueError(f"{label}: verbose must be 'auto', 0, 1 or 2, got {verbose!r}")
        self._verbose, self._steps = verbose, 0
        # a bar in a terminal, a line in a notebook
        self._bar: Any = None
        self._handle: Any = None

    def begin(self, title: str, total: int | None) -> None:
        """Begin an epoch of ``total`` batches, ``None`` if unknown."""
        self._title, self._total, self._steps = title, total, 0
        self._start = self._shown = time.perf_counter()
        if self._verbose not in ("auto", 1) or not first_process():
            return
        ipython = sys.modules.get("IPython")
        if ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None:
            import IPython.display

            show: Any = IPython.display.display
            self._handle = show({"text/plain": title}, raw=True, display_id=True)
        elif sys.stderr is not None and sys.stderr.isatty():
            try:
                import tqdm
            except ImportError:
                return
            # the line that ends the epoch replaces the bar
            self._bar = tqdm.tqdm(
                total=total, desc=title, leave=False, dynamic_ncols=True, unit="batch"
            )

    @contextmanager
    def of(self, title: str, total: int | None) -> Iterator[None]:
        """A context that calls `begin` on entry and `close` on exit."""
        self.begin(title, total)
        try:
            yield
        finally:
            self.close()

    def step(self, logs: Callable[..., Mapping[str, float]], *args: Any) -> None:
        """Count a batch; ``logs(*args)``, which fetches the current numbers, is called only when they are shown."""
        self._steps += 1
        if self._bar is None and self._handle is None:
            return
        now = time.perf_counter()
        if now - self._shown >= _INTERVAL:
            self._shown = now
            numbers = _listed(logs(*args))
            if self._bar is not None:
                self._bar.set_postfix_str(numbers, refresh=False)
            else:
                of = "" if self._total is None else f"/{self._total}"
                self._show(f"{self._title}: batch {self._steps}{of}, {numbers}")
        if self._bar is not None:
            self._bar.update()

    def end(self, logs: Mapping[str, float]) -> None:
        """End an epoch and print its line."""
        seconds = time.perf_counter() - self._start
        line = f"{self._title}: {self._steps} batches, {_duration(seconds)}, {_listed(logs)}"
        line = line.removesuffix(", ")
        if self._handle is not None:
            self._show(line)
            self._handle = None
            return
        self.close()
        if self._verbose != 0:
            say(line)

    def close(self) -> None:
        """Remove the bar, if there is one."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _show(self, line: str) -> None:
        self._handle.update({"text/plain": line}, raw=True)


def say(text: object) -> None:
    """Print a line; of several JAX processes, only the first does."""
    if first_process():
        # flushed, so that ``tail -f`` on a log shows each line at once
        print(text, flush=True)


def _listed(logs: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {_number(float(np.mean(value)))}" for name, value in logs.items())


def _number(value: float) -> str:
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e4 or value == 0 else f"{value:.4e}"


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"

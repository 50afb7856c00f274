"""CuPy's own wheel on a CPU, and a count of what it asked of the device; see README.md beside this file."""

from __future__ import annotations

from cupy_emulated.record import Launch, Record, recording

__all__ = ["Launch", "Record", "recording"]

"""What a program asked of the emulated device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple


class Launch(NamedTuple):
    """One kernel or product.

    ``bytes`` are those of the arrays it was given, each once: the least that moves. ``compute`` is
    cuBLAS's compute type, for a product alone.
    """

    name: str
    blocks: int
    bytes: int
    compute: int | None = None


# A program may keep small arrays that it has computed, of indices for example: these must be right whoever counts.
SMALL = 2**20


@dataclass
class Record:
    """Launches in their order, and how often the host waited for the device."""

    compute: bool = True
    launches: list[Launch] = field(default_factory=list)
    synchronisations: int = 0

    def note(self, launch: Launch) -> bool:
        """Note a launch; return whether it is to be computed."""
        self.launches.append(launch)
        return self.compute or launch.bytes <= SMALL

    @property
    def bytes(self) -> int:
        """Bytes of all launches."""
        return sum(launch.bytes for launch in self.launches)

    @property
    def products(self) -> list[Launch]:
        """The launches that are products of matrices."""
        return [launch for launch in self.launches if launch.compute is not None]

    def __str__(self) -> str:
        lines = [
            f"{len(self.launches)} launches, {self.bytes / 1e6:.1f} MB, "
            f"{self.synchronisations} synchronisations"
        ]
        lines += [
            f"  {launch.name}: {launch.blocks} blocks, {launch.bytes / 1e6:.1f} MB"
            for launch in self.launches
        ]
        return "\n".join(lines)


_records = [Record()]


def current() -> Record:
    """Return the record that is being written."""
    return _records[-1]


@contextmanager
def recording(*, compute: bool = True) -> Iterator[Record]:
    """Record what the block asks of the device; without ``compute`` nothing large is computed, so any size is quick."""
    # the bare record, which nobody reads, must not grow for the length of a test run
    _records[0].launches.clear()
    _records.append(Record(compute))
    try:
        yield _records[-1]
    finally:
        _records.pop()

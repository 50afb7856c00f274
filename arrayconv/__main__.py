"""``python -m arrayconv``, and the command ``arrayconv``."""

from __future__ import annotations

import sys

from arrayconv import interrupt


def main() -> int:
    """Run the command that the process was started with, and return its exit status."""
    # before the commands are imported, which takes most of the time of a short one
    interrupt.install()
    from arrayconv.cli import main as run

    return interrupt.finish(run())


if __name__ == "__main__":
    sys.exit(main())

"""The README's blocks; as a program, its commands and every block that needs no GPU, each from nothing."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    """Return the code blocks of a language, in the order of the page."""
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def extras() -> str:
    """Return the extras that the first command installs, as ``train,jax``."""
    (found,) = re.findall(r'"\.\[(.+?)\]"', blocks("sh")[0])
    return found


def commands() -> list[list[str]]:
    """Return the arguments of every ``arrayconv`` that the shell blocks call."""
    found = re.findall(r"\.venv/bin/arrayconv ([^\n&]+)", "\n".join(blocks("sh")))
    return [shlex.split(arguments) for arguments in found]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for arguments in commands():
            print("arrayconv", *arguments, flush=True)
            subprocess.run([sys.executable, "-m", "arrayconv", *arguments], cwd=folder, check=True)
        for block in blocks("python"):
            if "import cupy" not in block:
                print(block, flush=True)
                subprocess.run([sys.executable, "-c", block], cwd=folder, check=True)
        where = "import arrayconv; print(arrayconv.__file__)"
        found = subprocess.check_output([sys.executable, "-c", where], cwd=folder, text=True)
        if not Path(found.strip()).is_relative_to(sys.prefix):
            sys.exit(f"not the installed arrayconv ran, but {found}")


if __name__ == "__main__":
    main()

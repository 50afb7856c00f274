"""Execute the notebooks: ``python notebooks/build.py [--check] [01 ...]``.

Each ``NN_name.py`` is the source of ``NN_name.ipynb``. Without ``--check`` the executed notebooks are
written; with it nothing is written, and a committed notebook that differs from its source, fails, or
prints something else is an error. Cells tagged ``varies`` (times, versions) may print anything. Cells
tagged ``tensorflow`` run where TensorFlow is installed (``nox -s notebooks-tensorflow``); elsewhere they
keep what they printed there.
"""

import argparse
import importlib
import importlib.util
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
import numpy as np
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

FOLDER = Path(__file__).parent
NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")


def execute(source, committed):
    """Return the notebook of a source, executed, with nothing in it that depends on the machine."""
    notebook = jupytext.read(source)
    resources = {"metadata": {"path": str(FOLDER)}}
    settings = {"timeout": 600, "kernel_name": "python3", "coalesce_streams": True}
    left_out = "skip-execution" if importlib.util.find_spec("tensorflow") else "tensorflow"
    client = NotebookClient(notebook, resources=resources, skip_cells_with_tag=left_out, **settings)
    client.execute()
    keep_outputs(notebook, committed, left_out)
    language = {"name": "python", "pygments_lexer": "ipython3"}
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata = {"kernelspec": kernel, "language_info": language}
    notebook.metadata["jupytext"] = {"formats": "ipynb,py:percent"}
    for number, cell in enumerate(notebook.cells):
        if "tensorflow" in cell.metadata.get("tags", ()):
            # TensorFlow's notes on the machine are no part of a lesson
            cell.outputs = [out for out in cell.outputs if out.get("name") != "stderr"]
        cell.id = f"cell-{number}"
        cell.metadata = {k: v for k, v in cell.metadata.items() if k == "tags"}
    return nbformat.from_dict(notebook)


def keep_outputs(notebook, committed, tag):
    """Give the cells that were left out the outputs that the committed notebook has of them."""
    kept = (
        {c.source: c.outputs for c in committed.cells if c.cell_type == "code"} if committed else {}
    )
    for cell in notebook.cells:
        if tag in cell.metadata.get("tags", ()):
            if cell.source not in kept:
                first = cell.source.partition("\n")[0]
                raise LookupError(f"{first!r} never ran: nox -s notebooks-tensorflow runs it")
            cell.outputs = kept[cell.source]


def printed(cell):
    """Return the text of a cell's outputs."""
    parts = []
    for output in cell.get("outputs", ()):
        if output.output_type == "stream":
            parts.append(output.text)
        elif "image/png" not in output.get("data", {}):
            parts.append(output.get("data", {}).get("text/plain", ""))
    return "".join(parts)


def same(one, other):
    """Whether two texts agree, their numbers up to rounding."""
    if "".join(NUMBER.sub("#", one).split()) != "".join(NUMBER.sub("#", other).split()):
        return False
    pairs = zip(NUMBER.findall(one), NUMBER.findall(other), strict=True)
    return all(np.isclose(float(a), float(b), rtol=1e-5, atol=1e-8) for a, b in pairs)


def differences(new, old):
    """Yield a line for every cell that is not what was committed."""
    if [c.source for c in new.cells] != [c.source for c in old.cells]:
        yield "the source has changed: run notebooks/build.py and commit both files"
        return
    for fresh, kept in zip(new.cells, old.cells, strict=True):
        first = fresh.source.partition("\n")[0]
        if "varies" in fresh.metadata.get("tags", ()):
            continue
        if not same(printed(fresh), printed(kept)):
            yield f"{first!r} printed\n{printed(fresh)}\nand was committed with\n{printed(kept)}"
        pictures = [
            sum("image/png" in output.get("data", {}) for output in cell.get("outputs", ()))
            for cell in (fresh, kept)
        ]
        if pictures[0] != pictures[1]:
            yield f"{first!r} drew {pictures[0]} pictures and was committed with {pictures[1]}"


def build(sources, check):
    """Execute notebooks and write or check them; return how many things were wrong."""
    wrong = 0
    for source in sources:
        target, start = source.with_suffix(".ipynb"), time.perf_counter()
        committed = nbformat.read(target, as_version=4) if target.exists() else None
        try:
            notebook = execute(source, committed)
        except (CellExecutionError, LookupError) as error:
            print(f"{source.name}: {error}", file=sys.stderr)
            wrong += 1
            continue
        took = f"{source.stem}: {time.perf_counter() - start:.0f} s"
        if not check:
            nbformat.write(notebook, target)
            print(f"{took}, {target.stat().st_size // 1000} kB")
            continue
        if committed is None:
            found = ["it was never executed: run notebooks/build.py and commit the result"]
        else:
            found = list(differences(notebook, committed))
        for line in found:
            print(f"{source.name}: {line}", file=sys.stderr)
        print(f"{took}, {'as committed' if not found else f'{len(found)} differences'}")
        wrong += len(found)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare, and write nothing")
    parser.add_argument("numbers", nargs="*", help="only these, such as 01 05")
    options = parser.parse_args()
    sources = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
    chosen = [s for s in sources if not options.numbers or s.name[:2] in options.numbers]
    if not chosen:
        parser.error(f"no notebook is called {' '.join(options.numbers)}")
    # the kernel must write no colours into a traceback, and no progress bars of a terminal
    os.environ["NO_COLOR"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        # matplotlib keeps a list of fonts per user, and says so in a lesson where that list is stale
        os.environ["MPLCONFIGDIR"] = folder
        importlib.import_module("matplotlib.font_manager")
        return 1 if build(chosen, options.check) else 0


if __name__ == "__main__":
    sys.exit(main())

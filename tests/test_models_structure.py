"""How `models` is built: who imports whom, and how long it is."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

from arrayconv import models

FOLDER = Path(models.__file__).parent
FILES = {
    ".".join(("arrayconv", *p.relative_to(FOLDER.parent).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): p
    for p in FOLDER.rglob("*.py")
}
# What makes and holds models; nothing else may know the class.
ABOVE = {"model", "sequential", "build", "networks", "models", "saving", "verify"}


def imports(path):
    """Return the modules of `models` that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if name in FILES else node.module for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found & set(FILES)


def test_no_circle_of_imports():
    graph = {name: imports(path) for name, path in FILES.items()}
    # a package that names another module of its own does not wait for itself
    order = list(TopologicalSorter({n: m - {n} for n, m in graph.items()}).static_order())
    assert order.index("arrayconv.models.layers.base") < order.index("arrayconv.models.graph")


def test_nothing_below_the_model_imports_it():
    for name, path in FILES.items():
        if name == "arrayconv.models" or name.split(".")[2] in ABOVE:
            continue
        above = {m for m in imports(path) if m.split(".")[2:3] and m.split(".")[2] in ABOVE}
        assert not above, f"{name} imports {', '.join(above)}"


def test_files_are_short():
    lengths = {n: len(p.read_text(encoding="utf-8").splitlines()) for n, p in FILES.items()}
    assert {name: length for name, length in lengths.items() if length > 350} == {}

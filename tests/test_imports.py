"""Who imports whom, and when."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import arrayconv as ac

PACKAGE = Path(ac.__file__).parent
FILES = sorted(p for p in PACKAGE.rglob("*.py"))
LIBRARIES = {"numpy", "jax", "torch", "cupy", "dask", "array_api_strict", "dpnp", "ndonnx"}
CORE = {"arguments", "window", "namespace", "engine", "ops", "course"}
# A room imports from the rooms before it, and from itself.
ROOMS = [
    {"arguments"},
    {"interrupt"},
    {"window"},
    {"namespace"},
    {"engine"},
    {"ops", "dynamo"},
    {"course", "filters", "cases"},
    {"verify", "autodiff"},
    {"data"},
    {"models"},
    {"backends"},
    {"onnx"},
    {"demo", "lessons"},
    {"cli"},
]
LEVEL = {room: i for i, rooms in enumerate(ROOMS) for room in rooms}


def name_of(path):
    parts = list(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path):
    """Yield every imported module of a file, and whether it is imported when the file is."""

    def walk(node, at_top):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test):
                continue
            inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            if isinstance(child, ast.Import):
                yield from ((alias.name, at_top) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{path}: a relative import"
                # `from arrayconv.engine import windows` may name a module.
                yield from ((f"{child.module}.{a.name}", at_top) for a in child.names)
            yield from walk(child, at_top and not inside)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")), True)


def room(module):
    return [*module.split("."), ""][1]


@pytest.mark.parametrize(
    "path", [p for p in FILES if p.parent != PACKAGE or p.stem[0] != "_"], ids=name_of
)
def test_imports_go_down(path):
    name = name_of(path)
    for module, at_top in imports(path):
        top = module.split(".")[0]
        if top == "arrayconv":
            target = room(module)
            # `import arrayconv` is what a user of the operations writes: above the core alone.
            below = target not in LEVEL or LEVEL[target] < LEVEL[room(name)]
            assert target == room(name) or below, f"{name} imports {module}"
            if target not in LEVEL:
                assert room(name) not in CORE, f"{name} imports {module}"
        elif room(name) in ("arguments", "window"):
            assert top in sys.stdlib_module_names, f"{name} imports {module}"
        elif top in ("array_api_compat", "array_api_extra"):
            assert name == "arrayconv.namespace", f"{name} imports {module}"
        elif top in LIBRARIES and room(name) in CORE:
            assert not at_top, f"{name} imports {module} when it is imported"
            assert name in ("arrayconv.namespace", "arrayconv.engine.native"), name
        elif top in LIBRARIES - {"numpy"}:
            assert not at_top, f"{name} imports {module} when it is imported"


@pytest.mark.parametrize(
    "path", [p for p in FILES if "ops" in p.relative_to(PACKAGE).parts], ids=name_of
)
def test_families_of_operations_do_not_import_each_other(path):
    family = [*name_of(path).split("."), ""][2]
    for module, _ in imports(path):
        if module.startswith("arrayconv.ops."):
            other = module.split(".")[2]
            allowed = {family, "layout"} | ({"activation"} if family == "loss" else set())
            assert other in allowed, f"{path.name} imports {module}"


# What is a library's own has a file of its own.
NATIVE = {"chunks", "native", "native_cudnn"}
OPERATIONS = [
    p
    for p in FILES
    if {"engine", "ops"} & set(p.relative_to(PACKAGE).parts) and p.stem not in NATIVE
]


@pytest.mark.parametrize("path", OPERATIONS, ids=name_of)
def test_operations_do_not_ask_which_library(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name)}
    named |= {n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute)}
    asked = {n for n in named if n in LIBRARIES or n in ("library", "__name__")}
    asked |= {
        n for n in named if n.startswith("is_") and n.removeprefix("is_").split("_")[0] in LIBRARIES
    }
    # `explain` names the function it was given.
    assert not asked - ({"__name__"} if path.stem == "explain" else set())


def fresh(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_loads_no_array_library():
    loaded = fresh(
        "import sys, arrayconv, numpy; arrayconv.relu(numpy.ones(2));"
        "print(*sorted({m.split('.')[0] for m in sys.modules}))"
    ).split()
    assert not set(loaded) & (LIBRARIES - {"numpy"} | {"matplotlib", "PIL", "tqdm"})


@pytest.mark.parametrize(
    "name", ["autodiff", "backends", "cases", "cli", "demo", "filters", "models", "onnx", "verify"]
)
def test_submodules_are_loaded_on_first_use(name):
    out = fresh(
        f"import sys, arrayconv as ac; before = 'arrayconv.{name}' in sys.modules;"
        f"print(before, ac.{name}.__name__, {name!r} in dir(ac),"
        " sorted({'jax', 'torch', 'cupy', 'matplotlib'} & set(sys.modules)))"
    )
    assert out.strip() == f"False arrayconv.{name} True []"

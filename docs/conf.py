"""The documentation: ``sphinx-build -W docs docs/_build/html``, or ``nox -s docs``."""

import base64
import importlib
import inspect
import json
import re
import shutil
from importlib.resources import files
from pathlib import Path

import arrayconv as ac

HERE = Path(__file__).parent

project = "arrayconv"
author = "the arrayconv authors"
copyright = author
version = release = ac.__version__

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
# The committed outputs are shown; ``nox -s notebooks`` keeps them true.
nb_execution_mode = "off"
numpydoc_show_class_members = False
# What is copied can be run: neither prompts nor what they answered.
copybutton_prompt_text = r">>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .go"
copybutton_selector = ":not(.output) > div.highlight pre"
autosummary_generate = True
autodoc_typehints = "none"

html_theme = "pydata_sphinx_theme"
html_title = "arrayconv"
html_static_path = ["_static"]
html_css_files = ["phone.css"]
html_show_sourcelink = False
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    # one function has no contents to list, and its examples need the width
    "secondary_sidebar_items": {"reference/api/*": []},
}

# MathJax comes with the pages, so that they can be read without a network.
html_static_path.append(str(files("sphinx-mathjax-offline") / "static"))
mathjax_path = "mathjax/tex-chtml.js"

# The operations' families in the order of a network; what is not here follows.
ORDER = (
    "padding",
    "convolution",
    "pooling",
    "columns",
    "activation",
    "dense",
    "normalization",
    "resize",
    "loss",
)
# The picture of each notebook that the first page shows, counted from 0.
GALLERY = {"01": -1, "02": -1, "03": -1, "04": 0, "05": -1, "06": 0, "07": 0, "08": 0, "09": 3}
# What a notebook reads from the folder it is in.
FILES = {"06": "benchmarks/results/cpu.json", "09": "notebooks/digits.onnx"}
# One page of the reference for each room; the operations are split into families.
MODULES = (
    "filters",
    "verify",
    "autodiff",
    "models.networks",
    "data",
    "onnx",
    "backends",
    "cases",
    "demo",
)
# The rooms of `models`, in the order in which a program meets them.
ROOMS = {
    "Models": ("model", "sequential", "build", "files"),
    "Layers": ("layers",),
    "Losses": ("losses",),
    "Metrics": ("metrics",),
    "Optimizers and schedules": ("optimizers",),
    "Callbacks": ("callbacks", "training"),
    "Initializers and seeds": ("initializers",),
    "Regularizers": ("regularizers",),
    "Pictures and labels": ("display", "utils"),
}


def rooms():
    """Return what `models` offers by the folder or file that it is in, under the name a program uses."""
    from arrayconv import models

    found = {heading: [] for heading in ROOMS}
    place = {part: heading for heading, parts in ROOMS.items() for part in parts}
    public = {getattr(models, name): f"models.{name}" for name in names(models)}
    for room in ("callbacks", "layers", "losses", "metrics", "optimizers", "regularizers", "utils"):
        for name in names(module := getattr(models, room)):
            # Conv2D is Conv for one rank, and described there
            if getattr(module, name).__dict__.get("rank") is None:
                public.setdefault(getattr(module, name), f"models.{room}.{name}")
    for thing, name in sorted(public.items(), key=lambda item: item[1].rpartition(".")[2].lower()):
        found[place[thing.__module__.split(".")[2]]].append(f"arrayconv.{name}")
    return found


def families():
    """Return the public functions by the first line of the docstring of the file or folder they are in."""
    found = {}
    for name in sorted(ac.__all__, key=place):
        parts = getattr(ac, name).__module__.split(".")
        module = importlib.import_module(".".join(parts[:3] if parts[1] == "ops" else parts[:2]))
        settings = parts[1] in ("engine", "namespace")
        heading = "Settings, plans and conversion" if settings else first_line(module)
        found.setdefault(heading, []).append(f"arrayconv.{name}")
    return found


def place(name):
    """Return where a function stands in the reference: its family's place, its name, and its vjp after it."""
    family = getattr(ac, name).__module__.split(".")[2:3]
    index = ORDER.index(family[0]) if family and family[0] in ORDER else len(ORDER)
    return index, name.removesuffix("_vjp"), name


def first_line(module):
    return inspect.getdoc(module).partition("\n")[0].rstrip(".:")


def names(module):
    """Return the public functions and classes of a module."""
    own = [
        name
        for name in vars(module)
        if getattr(vars(module)[name], "__module__", "") == module.__name__
    ]
    listed = getattr(module, "__all__", [name for name in own if not name.startswith("_")])
    return [
        name
        for name in listed
        if inspect.isroutine(getattr(module, name)) or inspect.isclass(getattr(module, name))
    ]


def page(title, groups):
    """Return a page with a table of links for each group of names."""
    lines = [f"# {title}", ""]
    for heading, names in groups.items():
        lines += [f"## {heading}", ""] if heading else []
        lines += ["```{eval-rst}", ".. autosummary::", "   :toctree: api", "   :nosignatures:", ""]
        lines += [f"   ~{name}" for name in names] + ["```", ""]
    return "\n".join(lines)


def write(path, content):
    # an unchanged file keeps its time, and Sphinx need not read it again
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def write_reference():
    # the page of a function that is gone would be in no table
    shutil.rmtree(HERE / "reference" / "api", ignore_errors=True)
    pages = {"operations": page("Operations", families())}
    for path in MODULES:
        module = importlib.import_module(f"arrayconv.{path}")
        public = [f"{module.__name__}.{name}" for name in names(module)]
        pages[path] = page(f"`{module.__name__}`: {first_line(module)}", {"": public})
    pages["models"] = page("`arrayconv.models`: networks that train", rooms())
    listed = "\n".join(pages)
    pages["index"] = (
        "# Reference\n\nEvery public function and class. An operation's page gives shapes, the size formula, every "
        f"error, the source, and an example that the tests run.\n\n```{{toctree}}\n:maxdepth: 2\n\n{listed}\n```\n"
    )
    for name, text in pages.items():
        write(HERE / "reference" / f"{name}.md", text.encode())


def copy_notebooks():
    """Copy the notebooks, with where to get each as a file, and the picture of each for the first page."""
    for path in sorted((HERE.parent / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        drawn = [
            output["data"]["image/png"]
            for cell in notebook["cells"]
            for output in cell.get("outputs", ())
            if "image/png" in output.get("data", {})
        ]
        write(
            HERE / "tutorial" / f"{path.stem[:2]}.png",
            base64.b64decode(drawn[GALLERY[path.stem[:2]]]),
        )
        beside = f"{{download}}`Download this notebook <../../notebooks/{path.name}>`"
        if path.stem[:2] in FILES:
            beside += f" and {{download}}`the file that it reads <../../{FILES[path.stem[:2]]}>`"
        cell = {"id": "download", "cell_type": "markdown", "metadata": {}, "source": beside + "."}
        notebook["cells"].insert(1, cell)
        write(HERE / "tutorial" / path.name, json.dumps(notebook).encode())


def escape_stars(app, what, name, obj, options, lines):
    """Keep ``(N, *S, C)`` from being read as emphasis; code stays as it is."""
    star = re.compile(r"(`+)[^`]*\1|(?<![\w*\\])\*(?=[A-Za-z])")
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>>", "...")):
            lines[i] = star.sub(lambda found: found[0] if found[1] else r"\*", line)


def setup(app):
    write_reference()
    copy_notebooks()
    # before numpydoc, which makes its own emphasis
    app.connect("autodoc-process-docstring", escape_stars, priority=1)

"""The notebooks run from top to bottom, what they assert is true on every library, and their pictures are labelled."""

from __future__ import annotations

import importlib.util
import re
import warnings
from contextlib import ExitStack
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("[0-9][0-9]_*.py"))
# What a notebook needs beside its array library.
NEEDS = {
    "05_verify_with_jax": ("jax",),
    "07_train_a_network": ("skimage", "sklearn"),
    "09_a_network_that_somebody_else_trained": ("mlxtend", "onnx"),
}


@pytest.fixture
def shown(monkeypatch):
    """The pictures of a notebook, each looked at when it is shown."""
    pytest.importorskip("matplotlib").use("agg")
    import matplotlib.pyplot as plt

    pictures = []

    def look(*args, **kwargs):
        for number in plt.get_fignums():
            figure = plt.figure(number)
            figure.canvas.draw()
            for axes in figure.axes:
                named = axes.get_title() or (axes.get_xlabel() and axes.get_ylabel())
                assert named or axes.get_label() == "<colorbar>", (
                    f"picture {len(pictures)} has axes without a name"
                )
                if axes.lines:
                    assert axes.get_xlabel(), (
                        f"picture {len(pictures)} has a curve over an axis without a name"
                    )
                    assert axes.get_ylabel() or axes.get_shared_y_axes().get_siblings(axes)[1:]
            pictures.append(figure)
        plt.close("all")

    monkeypatch.setattr(plt, "show", look)
    # the notebooks' style is not that of the tests after them
    with plt.rc_context():
        yield pictures
    plt.close("all")


# A question's cell begins with what stands for the answer; the folded cell after it has one.
EXERCISE = re.compile(
    r"^# %%\n(?P<dots>[^%]*?\.\.\.)\n\n(?P<check>(?:(?!# %%).*\n)*)"
    r"# %% \[markdown\]\n# <details><summary>Answer</summary>\n#\n# ```python\n(?P<answer>(?:# .*\n)+?)# ```$",
    re.MULTILINE,
)


def solved(source):
    """Return a notebook with its own answers in place of the dots, and how many it had."""

    def answer(found):
        return f"# %%\n{re.sub('^# ', '', found['answer'], flags=re.MULTILINE)}\n{found['check']}"

    return EXERCISE.subn(answer, source)


def run(path, library, monkeypatch):
    """Run a notebook as a reader would, who has changed its first line and answered its questions."""
    source, _ = solved(path.read_text(encoding="utf-8"))
    if not importlib.util.find_spec("tensorflow"):
        # their outputs are kept, from where it is installed
        source = re.sub(
            r'^# %% tags=\["tensorflow"\]\n(?:(?!# %%).*\n)*', "", source, flags=re.MULTILINE
        )
    line = "import numpy as xp\n"
    assert source.count(line) == 1, "a notebook picks its library in one line"
    source = source.replace(line, f"import {library} as xp\n")
    monkeypatch.chdir(path.parent)
    monkeypatch.syspath_prepend(path.parent)
    with warnings.catch_warnings():
        # other libraries, called by a notebook, may announce changes of theirs
        warnings.simplefilter("default")
        exec(compile(source, str(path), "exec"), {"__name__": path.stem})


def check(path, xp, shown, monkeypatch, capsys):
    for module in NEEDS.get(path.stem, ()):
        pytest.importorskip(module)
    with as_readers_have_it(xp):
        run(path, {"jax": "jax.numpy"}.get(xp.name, xp.name), monkeypatch)
    printed = capsys.readouterr().out
    assert printed.count("Right.\n") == len(EXERCISE.findall(path.read_text(encoding="utf-8")))
    assert shown


def as_readers_have_it(xp):
    """Leave the strict rules of the tests for a library's own defaults."""
    stack = ExitStack()
    if xp.name == "jax":
        import jax

        stack.enter_context(jax.enable_x64(False))
        stack.enter_context(jax.numpy_dtype_promotion("standard"))
        stack.enter_context(jax.numpy_rank_promotion("allow"))
    return stack


@pytest.mark.backends("numpy", "jax", "torch")
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_on_every_library(path, xp, shown, monkeypatch, capsys):
    check(path, xp, shown, monkeypatch, capsys)


def test_there_are_notebooks():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{n:02}" for n in range(1, 10)]
    for path in NOTEBOOKS:
        assert path.with_suffix(".ipynb").exists(), f"{path.name} was never executed"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_each_lesson_ends_with_exercises(path):
    source = path.read_text(encoding="utf-8")
    _, exercises = source.split("# ## Exercises\n")
    assert len(EXERCISE.findall(source)) == exercises.count("<summary>Answer</summary>") >= 3
    assert exercises.count("\ncheck(") == exercises.count("<summary>Answer</summary>")

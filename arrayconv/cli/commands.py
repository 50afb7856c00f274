"""The commands: each function takes the parsed arguments and returns the exit status."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import arrayconv as ac
from arrayconv import interrupt
from arrayconv.backends import NAMES, Backend, BackendError, find_backend, find_backends
from arrayconv.demo import Row, measure, photograph, prepare, read_image, run, write_image
from arrayconv.demo.images import check_image_name, check_output, levels, read_levels, writing
from arrayconv.demo.picture import check_picture, draw
from arrayconv.filters import KERNELS, Kernel, apply_filter

SIDE = 512
PICTURE = "arrayconv-demo.png"
# Seconds that a check takes on a current CPU core, to estimate the duration.
CHECK = 0.07
# The number of pixels that are filtered at once.
BAND = 2**17


def demo(args: argparse.Namespace) -> int:
    """Run the network on every backend, print the table, and write picture and JSON."""
    out = args.out or PICTURE
    check_picture(out)
    # an old picture under the default name may be overwritten without --force
    refuse_existing("--out", out, args.force or (args.out is None and not _same(out, args.image)))
    if args.json is not None:
        check_output(args.json)
        refuse_existing("--json", args.json, args.force)
        if Path(args.json).resolve() == Path(out).resolve():
            raise ValueError(f"--json {args.json}: the picture is written there; name another file")
    image = read_image(args.image or photograph(), side=SIDE)
    network = prepare(image)
    chosen = chosen_backends(args.backend)
    rows = []
    with Bar(2 * len(chosen), "demo") as bar:
        for row in run(network, chosen):
            rows.append(row)
            bar.update()
    head = ("library", "device", "dtype", "forward ms", "backward ms", "from NumPy", "from jax.vjp")
    print(table(head, map(_cells, rows), left=3))
    if all(row.gradient_difference is None for row in rows):
        print('jax.vjp: not compared, JAX is not usable: pip install "arrayconv[jax]"')
    print(
        f"{network.undecided:.1%} of the pooling windows have no clear maximum and are left out of "
        "the gradient."
    )
    _, results = measure(find_backend("numpy"), network, "float32", repeats=1)
    draw(out, network, results)
    print(f"picture: {out}")
    if args.json is not None:
        report = {
            "arrayconv": ac.__version__,
            "image": str(args.image or photograph().name),
            "shape": network.x.shape,
            "undecided": network.undecided,
            "rows": [asdict(row) for row in rows],
        }
        with writing(args.json) as draft:
            draft.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        print(f"table as JSON: {args.json}")
    failed = [row for row in rows if row.error]
    for row in failed:
        print(f"arrayconv: {row.backend} {row.dtype} failed: {row.error}", file=sys.stderr)
    return 1 if failed else 0


def refuse_existing(option: str, path: str, force: bool) -> None:
    """Raise ``ValueError`` if the file exists and ``--force`` was not given."""
    if Path(path).exists() and not force:
        raise ValueError(f"{option} {path}: this file is there already; --force overwrites it")


def _same(path: str, image: str | None) -> bool:
    return image is not None and Path(path).resolve() == Path(image).resolve()


def _cells(row: Row) -> tuple[str, ...]:
    def number(value: float | None, form: str) -> str:
        return "-" if value is None else "0" if value == 0 else format(value, form)

    return (
        f"{row.library} {row.version}",
        row.device,
        row.dtype,
        "failed" if row.error else number(row.forward_ms, ".2f"),
        number(row.backward_ms, ".2f"),
        number(row.difference, ".1e"),
        number(row.gradient_difference, ".1e"),
    )


def check(args: argparse.Namespace) -> int:
    """Verify every case on every backend, and print the worst errors."""
    from arrayconv.cases import cases, sample
    from arrayconv.verify import check_case

    chosen = chosen_backends(args.backend)
    known = cases()
    few = set(known if args.full else sample(known))
    # case by case, since JAX's gradients of a case are cached for the next library
    checks = [
        (case, backend)
        for case in known
        for backend in chosen
        if (backend.name == "numpy" or case in few)
        # Dask's own max and reshape are wrong for empty arrays
        and not (backend.name == "dask" and any(0 in shape for shape in case.shapes if shape))
    ]
    libraries = ", ".join(backend.name for backend in chosen)
    print(f"{len(checks)} checks on {libraries}: {_duration(CHECK * len(checks))}\n", flush=True)
    worst: dict[tuple[str, str], float] = {}
    failures: list[str] = []
    with Bar(len(checks), "check") as bar:
        for case, backend in checks:
            key = case.op, backend.name
            try:
                with backend.exact():
                    off = check_case(case, backend.xp, backend.place)
            except Exception as error:
                failures.append(f"{backend.name}: {case.id}: {error}")
                off = np.inf
            worst[key] = max(worst.get(key, 0.0), off)
            bar.update()
    names = [backend.name for backend in chosen]
    ops = dict.fromkeys(case.op for case in known)
    rows = (
        (op, *("FAILED" if np.isinf(worst[op, n]) else f"{worst[op, n]:.1e}" for n in names))
        for op in ops
    )
    print(table(("worst error", *names), rows, left=1))
    for failure in failures:
        print(f"arrayconv: {failure}", file=sys.stderr)
    print(f"{len(checks) - len(failures)} checks passed, {len(failures)} failed")
    return 1 if failures else 0


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(5, 5 * round(seconds / 5))} seconds"
    return f"about {round(seconds / 60)} minutes"


def backends(args: argparse.Namespace) -> int:
    """List what is usable here, and why the rest is not."""
    usable, others = [], []
    for name, library, found in find_backends():
        if isinstance(found, Backend):
            usable.append((name, f"{library} {found.version}", found.device))
        else:
            others.append((name, f"{library}: {found}"))
            others.append(("", found.install))
    print(table(("usable", "library", "device"), usable, left=3))
    print()
    print(table(("not usable", "why, and what makes it usable"), others, left=2))
    return 0


def filter_image(args: argparse.Namespace) -> int:
    """Apply one filter to an image file, and write the result."""
    check_image_name(args.out)
    refuse_existing("--out", args.out, args.force)
    image = read_levels(args.image)
    kernel = KERNELS[args.kernel]()
    scale, shift = 1.0, 0.0
    if abs(kernel.sum()) < 1e-9:
        # results of both signs: grey is zero, and the largest absolute value black or white
        strongest = max(float(np.max(np.abs(y))) for _, y in _filtered(image, kernel))
        scale, shift = 0.5 / (strongest or 1.0), 0.5
    out = np.empty_like(image)
    for rows, y in _filtered(image, kernel):
        out[rows] = levels(shift + scale * y)
    height, width = image.shape[:2]
    del image
    write_image(args.out, out)
    print(f"{args.kernel}: {args.out}, {width} x {height} pixels")
    return 0


def _filtered(image: NDArray[np.uint8], kernel: Kernel) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield the filtered image band by band, so that floats of a large image need little memory."""
    height, width = image.shape[:2]
    before, after = (kernel.shape[0] - 1) // 2, kernel.shape[0] // 2
    # indices of the rows, extended beyond the borders as apply_filter does
    near = np.pad(np.arange(height), (before, after), mode="symmetric")
    count = max(1, BAND // width)
    for top in range(0, height, count):
        stop = min(height, top + count)
        band = image[near[top : stop + before + after]].astype(np.float32) / np.float32(255)
        yield slice(top, stop), apply_filter(band, kernel)[before : before + stop - top]


def plan(args: argparse.Namespace) -> int:
    """Print the engine's plan for the given shapes."""
    f = getattr(ac, ("conv_transpose" if args.transpose else "conv") + "_vjp" * args.backward)
    config: dict[str, Any] = {
        name: getattr(args, name)
        for name in ("stride", "padding", "dilation", "groups", "data_format")
    }
    shapes = [args.x, args.w]
    if args.backward:
        # an empty batch gives the shape of the upstream gradient at no cost
        nothing, weights = (
            np.broadcast_to(np.float32(0), shape) for shape in ((0, *args.x[1:]), args.w)
        )
        forward = ac.conv_transpose if args.transpose else ac.conv
        y = forward(nothing, weights, **config)
        shapes.insert(0, (args.x[0], *y.shape[1:]))
    print(ac.explain(f, *shapes, **config))
    return 0


def bench(args: argparse.Namespace) -> int:
    """Run the benchmarks in another process, since they set numbers of threads before NumPy is imported."""
    root = Path(ac.__file__).parents[1]
    if not (root / "benchmarks" / "__main__.py").exists():
        print(
            "arrayconv bench: the benchmarks are not installed; run it from a clone of the repository",
            file=sys.stderr,
        )
        return 2
    # `bench -- --quick` as well as `bench --quick`
    arguments = args.arguments[args.arguments[:1] == ["--"] :]
    # PYTHONPATH and not cwd, so that relative paths in the arguments stay valid
    path = os.pathsep.join(filter(None, (str(root), os.environ.get("PYTHONPATH"))))
    with interrupt.held_back():
        # Ctrl-C must not reach it directly: its traceback would follow our one line
        run = subprocess.Popen(
            [sys.executable, "-m", "benchmarks", *arguments], env={**os.environ, "PYTHONPATH": path}
        )
    with interrupt.undoing(run.kill):
        return run.wait()


class Bar:
    """A progress bar on standard error, where tqdm is installed."""

    def __init__(self, total: int, what: str) -> None:
        try:
            from tqdm import tqdm
        except ImportError:
            self._bar = None
        else:
            # disable=None: no bar if standard error is not a terminal
            self._bar = tqdm(total=total, desc=what, leave=False, file=sys.stderr, disable=None)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def update(self, count: int = 1) -> None:
        if self._bar is not None:
            self._bar.update(count)


def chosen_backends(asked: list[str] | None) -> list[Backend]:
    """Return the backends asked for, each of which must be usable; by default all usable ones."""
    if not asked:
        return [found for _, _, found in find_backends() if isinstance(found, Backend)]
    backends = {}
    for name in asked:
        names = [known for known in NAMES if known in (name, f"{name}-cpu", f"{name}-gpu")]
        if not names:
            raise ValueError(f"--backend: unknown name {name!r}; expected {', '.join(NAMES)}")
        found = [(known, library, b) for known, library, b in find_backends(names)]
        usable = [b for _, _, b in found if isinstance(b, Backend)]
        if not usable:
            _, library, error = found[0]
            assert isinstance(error, BackendError)
            raise ValueError(f"--backend {name}: {library}: {error}; {error.install}")
        backends.update({b.name: b for b in usable})
    return list(backends.values())


def table(head: Sequence[str], rows: Iterable[Sequence[str]], left: int) -> str:
    """Return a table as text; the first ``left`` columns are aligned left, the others right."""
    lines = [head, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in (lines[0], ["-" * width for width in widths], *lines[1:])
    )

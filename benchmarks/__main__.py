"""Run the benchmark: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import machine

SECTIONS = (
    "conv-forward",
    "conv-backward",
    "pool-forward",
    "pool-backward",
    "parts",
    "strategies",
    "tiny",
    "memory",
    "scaling",
    "train",
    "onnx",
    "devices",
    "gpu",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print the page, write what was asked for; 1 if a contender could not be timed."""
    options = _options(arguments)
    machine.settle(options.threads)
    # everything below imports NumPy, whose threads had to be set first
    from benchmarks.report import markdown

    run = measured(options)
    page = markdown(run)
    print(page)
    if options.json:
        Path(options.json).write_text(json.dumps(run, indent=1) + "\n")
    if options.markdown:
        Path(options.markdown).write_text(page)
    if options.plot:
        from benchmarks.plots import plot

        plot(run, options.plot)
    return 1 if run["failures"] else 0


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Run the sections asked for and return their rows with the machine's facts."""
    from benchmarks import devices, extras, onnx, parts, sections, strategies, train
    from benchmarks.cases import CONVS, POOLS

    _limit_threads(options.threads)
    results = sections.Results()
    convs = [case for case in CONVS if options.only in case.name]
    pools = [case for case in POOLS if options.only in case.name]
    timing = {"rounds": 2 if options.quick else 5}
    few = {"rounds": 1 if options.quick else 2, "budget": 0.05}
    chosen = options.sections
    facts = machine.facts(options.threads)
    with machine.Watch() as watch:
        for direction in ("forward", "backward"):
            if f"conv-{direction}" in chosen:
                sections.convolutions(results, convs, direction == "backward", **timing)
            if f"pool-{direction}" in chosen:
                sections.pools(results, pools, direction == "backward", **timing)
        if "parts" in chosen:
            parts.parts(results, convs)
        if "strategies" in chosen:
            strategies.strategies(results, convs, **few)
        if "tiny" in chosen:
            extras.tiny(results, **timing)
        if "memory" in chosen:
            extras.memory(results, [] if options.quick else convs, pools)
        if "scaling" in chosen:
            extras.scaling(results, options.quick, **few)
        if "train" in chosen:
            train.train(results, **timing)
        if "onnx" in chosen:
            onnx.networks(results, options.only, options.threads, **timing)
        if "devices" in chosen:
            devices.devices(results)
    facts |= {"others": watch.others, "load after": machine.load()}
    run: dict[str, Any] = {"facts": facts, "rows": results.rows, "failures": results.failures}
    if "gpu" in chosen:
        from benchmarks import gpu

        run["gpu"] = gpu.run_modes(options.only, options.quick)
    return run


def _limit_threads(threads: int) -> None:
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(threads)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument(
        "sections",
        nargs="*",
        metavar="SECTION",
        help=f"what to measure, everything if none is given: {', '.join(SECTIONS)}",
    )
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="cases whose name has TEXT in it"
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds, memory of few cases")
    parser.add_argument("--threads", type=int, default=2, help="threads of every pool (2)")
    parser.add_argument("--json", metavar="FILE", help="write every number")
    parser.add_argument("--markdown", metavar="FILE", help="write the page that is printed")
    parser.add_argument("--plot", metavar="FILE", help="write the picture (needs matplotlib)")
    options = parser.parse_args(arguments)
    unknown = set(options.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    if options.threads < 1:
        parser.error(f"--threads must be positive, got {options.threads}")
    options.sections = options.sections or list(SECTIONS)
    return options


if __name__ == "__main__":
    sys.exit(main())

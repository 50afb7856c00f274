"""The commands: ``arrayconv demo``, ``check``, ``train`` and the others."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import arrayconv as ac
from arrayconv import interrupt
from arrayconv.backends import NAMES
from arrayconv.cli import commands, predict, run, train
from arrayconv.filters import KERNELS

__all__ = ["main"]

DEMO = """\
Pads a photograph (its own, or IMAGE), convolves it with ten filters, applies ReLU and max pooling,
and computes the gradients back to the image: with the same code on every array library installed
here, on CPU and GPU, in float32 and float64.

Prints one table. Times are medians in milliseconds, after a warm-up; for JAX, of the compiled
function. Differences are relative to the largest element: the forward results are compared with
NumPy's, the gradients with jax.vjp of the forward pass in float64."""

CHECK = """\
Tests every operation with every option on the array libraries installed here: each result is
compared with NumPy's, and each hand-written gradient, element by element, with jax.vjp in float64
(without JAX, with central differences). NumPy runs all test cases, the other libraries a sample
that has every option of every operation.

Prints the largest error of every operation on every library, relative to the largest element. The
exit status is 1 if a check fails."""

PLAN = """\
Prints how a convolution of these shapes would be computed: the strategy and why it is chosen, the
blocks it works in, the temporary memory, and the number of operations. Shapes are written
8,56,56,64: X is (N, *S, C), and W is (*K, C_in / groups, C_out)."""

PLAN_EXAMPLES = """\
examples:
  arrayconv plan 8,56,56,64 3,3,64,64 --padding same
  arrayconv plan 8,56,56,64 3,3,1,64 --groups 64 --stride 2 --padding 1 --backward"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Parameters
    ----------
    argv : sequence of str, optional
        The command-line arguments; by default those of the process.

    Returns
    -------
    int
        0 for success, 1 if a check failed, 2 for a wrong argument or file, 130 after Ctrl-C. (Started as the
        command ``arrayconv``, Ctrl-C ends the process itself.)

    Examples
    --------
    >>> from arrayconv.cli import main
    >>> main(["plan", "1,8,8,3"])
    2
    """
    # otherwise JAX allocates three quarters of the memory of a GPU that other libraries use too
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    try:
        args = _parser().parse_args(argv)
        status: int = args.command(args)
        sys.stdout.flush()
        return status
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 2
    except BrokenPipeError:
        # the reader has closed the pipe, as in `arrayconv backends | head -1`
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, FloatingPointError, OSError) as error:
        # a mistake in an argument or a file; any other exception is a bug here and keeps its traceback
        print(f"arrayconv: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\n" * sys.stderr.isatty() + "arrayconv: interrupted", file=sys.stderr)
        return interrupt.STATUS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="arrayconv",
        description="Padding, convolution, pooling and their gradients on any array library.",
    )
    parser.add_argument("--version", action="version", version=f"arrayconv {ac.__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(
        name: str, run: Callable[[argparse.Namespace], int], text: str, more: str, epilog: str = ""
    ) -> argparse.ArgumentParser:
        sub = subparsers.add_parser(
            name,
            help=text,
            description=more,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(command=run)
        return sub

    demo = command("demo", commands.demo, "run a small network and its gradients on a photo", DEMO)
    demo.add_argument("image", nargs="?", metavar="IMAGE", help="an image file to use instead")
    _add_backend(demo)
    demo.add_argument(
        "--out",
        metavar="FILE",
        help=f"where to draw input, filters, maps and gradient (default: {commands.PICTURE}, which "
        "the next demo overwrites)",
    )
    demo.add_argument("--json", metavar="FILE", help="also write the table as JSON")
    _add_force(demo)

    check = command("check", commands.check, "verify every operation on every library here", CHECK)
    _add_backend(check)
    check.add_argument(
        "--full", action="store_true", help="run all test cases on every library (many minutes)"
    )

    command(
        "backends",
        commands.backends,
        "list the array libraries and devices that are usable here",
        "Lists the array libraries and devices that are usable here and, for each that is not, why\n"
        "and what to install.",
    )

    one = command(
        "filter",
        commands.filter_image,
        "apply one filter to an image file",
        "Applies one filter to every channel of an image, and writes an image of the same size.\n"
        "For filters with positive and negative results (sobel, prewitt, edge, laplacian), grey is\n"
        "zero, and the largest absolute value is black or white.",
    )
    one.add_argument("image", metavar="IMAGE", help="the image file to read")
    one.add_argument(
        "--kernel", required=True, choices=list(KERNELS), metavar="NAME", help=", ".join(KERNELS)
    )
    one.add_argument(
        "--out", required=True, metavar="FILE", help="where to write; the suffix sets the format"
    )
    _add_force(one)

    plan = command(
        "plan", commands.plan, "show how a convolution would be computed", PLAN, PLAN_EXAMPLES
    )
    for name, meaning in (("x", "shape of the input"), ("w", "shape of the weights")):
        plan.add_argument(name, type=_ints, metavar=name.upper(), help=meaning)
    steps = ("stride", "step between windows"), ("dilation", "step between cells of the kernel")
    for name, meaning in steps:
        plan.add_argument(f"--{name}", type=_one_or_more, default=1, metavar="N[,N]", help=meaning)
    plan.add_argument(
        "--padding",
        type=_padding,
        default=0,
        metavar="P",
        help="cells on each side, one number or one per axis (1 or 1,2), or valid, same, same_lower, causal",
    )
    plan.add_argument("--groups", type=int, default=1, metavar="G", help="groups of channels")
    plan.add_argument(
        "--data-format", choices=("channels_last", "channels_first"), default="channels_last"
    )
    plan.add_argument("--transpose", action="store_true", help="plan conv_transpose instead")
    plan.add_argument("--backward", action="store_true", help="plan the gradients instead")

    training = command(
        "train", train.train, "train a network on images", train.TRAIN, train.EXAMPLES
    )
    train.add_arguments(training)
    _add_force(training)

    predict.add_arguments(
        command(
            "predict",
            predict.predict,
            "classify images with a trained network",
            predict.PREDICT,
            predict.EXAMPLES,
        )
    )

    run.add_arguments(
        command("run", run.run, "run an ONNX network on a photograph", run.RUN, run.EXAMPLES)
    )

    bench = command(
        "bench", commands.bench, "time arrayconv against PyTorch, JAX and matrix products", ""
    )
    # options that follow, --help included, are passed on, not parsed here
    bench.prefix_chars = "\0"
    bench.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser


def _add_force(command: argparse.ArgumentParser) -> None:
    command.add_argument("--force", action="store_true", help="overwrite existing files")


def _add_backend(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--backend",
        action="append",
        metavar="NAME",
        help="use only this library (may be repeated): "
        + ", ".join(NAMES)
        + "; jax and torch stand for all their devices",
    )


def _ints(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"expected ints such as 8,56,56,64, got {text!r}"
        ) from None


def _one_or_more(text: str) -> int | tuple[int, ...]:
    values = _ints(text)
    return values[0] if len(values) == 1 else values


def _padding(text: str) -> Any:
    return text if text.isidentifier() else _one_or_more(text)

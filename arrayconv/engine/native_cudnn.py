"""Opt-in, as ``native``: the same three functions on CuPy arrays, by cuDNN through the graphs of its frontend.

A graph is one convolution or one of its adjoints, built for one problem and kept. It may use tensor
cores on float32 only where CuPy's own products may (``CUPY_TF32``), and never an engine that sums in
another order from run to run or in less than float32; Winograd and FFT need ``precision="fast"``, as
elsewhere. Each function returns ``None`` where cuDNN is missing or has no such engine; the logger
``arrayconv`` says why.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
from functools import lru_cache
from typing import Any, NamedTuple

from arrayconv.engine.settings import current
from arrayconv.namespace import Array, Namespace
from arrayconv.window import Window

_log = logging.getLogger("arrayconv")

# How cuDNN names a dtype, and the one it computes in.
TYPES = {
    "float16": ("HALF", "FLOAT"),
    "bfloat16": ("BFLOAT16", "FLOAT"),
    "float32": ("FLOAT", "FLOAT"),
    "float64": ("DOUBLE", "DOUBLE"),
}
NEVER = ("DOWN_CONVERT_INPUTS", "NONDETERMINISTIC", "REDUCED_PRECISION_REDUCTION")
FAST = ("FFT", "WINOGRAD", "WINOGRAD_TILE_4x4", "WINOGRAD_TILE_6x6", "WINOGRAD_TILE_13x13")
# cuDNN counts elements in 32 bits here and there.
MOST_ELEMENTS = 2**31 - 1
# Bytes: what cuDNN assumes of a pointer.
ALIGNMENT = 16
# Numbers of the three arrays of a graph.
FIRST, SECOND, RESULT = 1, 2, 3


class Problem(NamedTuple):
    """One graph, as plain numbers."""

    kind: str  # "fprop", "dgrad" or "wgrad"
    dtype: str
    batch: int
    channels: int
    features: int
    groups: int
    window: Window
    tf32: bool
    fast: bool
    workspace: int

    @property
    def image(self) -> tuple[int, ...]:
        """Shape of the input, ``(N, *size, C)``."""
        return (self.batch, *_spatial(self.window.size), self.channels)

    @property
    def weights(self) -> tuple[int, ...]:
        """Shape of the weights as cuDNN reads them fastest, ``(O, *kernel, C / groups)``."""
        return (self.features, *_spatial(self.window.kernel), self.channels // self.groups)

    @property
    def response(self) -> tuple[int, ...]:
        """Shape of the output, ``(N, *output, O)``."""
        return (self.batch, *_spatial(self.window.output), self.features)


def correlate(xp: Namespace, x: Array, w: Array, window: Window, groups: int) -> Array | None:
    """As ``engine.correlate``, or ``None``."""
    problem = _problem("fprop", x, w, window, groups, x.shape[-1], w.shape[-1])
    shape = (x.shape[0], *window.output, w.shape[-1])
    # (*K, C, O) -> (O, *K, C)
    return _run(problem, x, w.transpose(-1, *range(w.ndim - 1)), shape)


def correlate_input_vjp(
    xp: Namespace, dy: Array, w: Array, window: Window, groups: int
) -> Array | None:
    """As ``engine.correlate_input_vjp``, or ``None``."""
    channels = groups * w.shape[-2]
    problem = _problem("dgrad", dy, w, window, groups, channels, w.shape[-1])
    shape = (dy.shape[0], *window.size, channels)
    return _run(problem, dy, w.transpose(-1, *range(w.ndim - 1)), shape)


def correlate_weight_vjp(
    xp: Namespace, x: Array, dy: Array, window: Window, groups: int
) -> Array | None:
    """As ``engine.correlate_weight_vjp``, or ``None``."""
    channels, features = x.shape[-1], dy.shape[-1]
    problem = _problem("wgrad", x, dy, window, groups, channels, features)
    dw = _run(problem, x, dy, (features, *window.kernel, channels // groups))
    if dw is None:
        return None
    # (O, *K, C) -> (*K, C, O)
    return _contiguous(dw.transpose(*range(1, dw.ndim), 0))


def declines(problem: Problem) -> str | None:
    """``None``, or why cuDNN is not asked."""
    window = problem.window
    if problem.dtype not in TYPES:
        return f"it has no {problem.dtype}"
    if len(window.size) > 3:
        return f"it has at most 3 spatial axes, not {len(window.size)}"
    if any(width < 0 for pair in window.padding for width in pair):
        return "it cannot leave out cells"
    if _outputs(window) != window.output:
        return "the windows are not all that fit"
    sizes = [math.prod(shape) for shape in (problem.image, problem.weights, problem.response)]
    if min(sizes) == 0:
        return "an array is empty"
    if max(sizes) > MOST_ELEMENTS:
        return f"an array has more than {MOST_ELEMENTS} elements"
    return None


def refused(problem: Problem) -> tuple[str, ...]:
    """The notes of engines that must not run."""
    notes = NEVER if problem.fast else NEVER + FAST
    return (*notes, "TENSOR_CORE") if problem.dtype == "float32" and not problem.tf32 else notes


def _problem(
    kind: str, a: Array, b: Array, window: Window, groups: int, channels: int, features: int
) -> Problem:
    settings = current()
    dtype = a.dtype.name if a.dtype == b.dtype else f"{a.dtype.name} with {b.dtype.name}"
    # as CuPy reads it
    tf32 = dtype == "float32" and int(os.environ.get("CUPY_TF32", "0")) > 0
    fast = settings.precision == "fast"
    return Problem(
        kind,
        dtype,
        a.shape[0],
        channels,
        features,
        groups,
        window,
        tf32,
        fast,
        settings.room(accelerator=True),
    )


def _run(problem: Problem, first: Array, second: Array, shape: tuple[int, ...]) -> Array | None:
    if not _installed() or _said(problem, declines(problem)):
        return None
    cupy = sys.modules["cupy"]
    import cudnn

    with first.device as device:
        handle = _handles.of(device.id)
        graph = _graph(problem, handle, int(device.compute_capability))
        if graph is None:
            return None
        first, second = _contiguous(first), _contiguous(second)
        result = cupy.empty(shape, dtype=first.dtype)
        workspace = cupy.empty(max(1, graph.get_workspace_size()), dtype=cupy.uint8)
        cudnn.set_stream(handle=handle, stream=cupy.cuda.get_current_stream().ptr)
        pointers = {FIRST: first.data.ptr, SECOND: second.data.ptr, RESULT: result.data.ptr}
        # what is freed here is reused in the order of the stream
        graph.execute(pointers, workspace.data.ptr, handle=handle)
    return result


@lru_cache(maxsize=256)
def _graph(problem: Problem, handle: int, capability: int) -> Any:
    """The graph of a problem, ready to run with a handle; ``None`` where no engine may."""
    import cudnn

    try:
        graph = describe(problem, handle=handle, sm_version=capability)
        graph.build_operation_graph()
        graph.create_execution_plans([cudnn.heur_mode.A, cudnn.heur_mode.FALLBACK])
        # plans are refused among those that were made
        graph.deselect_numeric_notes([getattr(cudnn.numerical_note, n) for n in refused(problem)])
        graph.deselect_workspace_greater_than(problem.workspace)
        graph.check_support()
        graph.build_plans()
    except (cudnn.cudnnGraphNotSupportedError, RuntimeError) as error:
        _said(problem, str(error))
        return None
    return graph


def describe(problem: Problem, **device: Any) -> Any:
    """The graph of a problem as the frontend has it, before cuDNN is asked for engines."""
    import cudnn

    stored, computed = (getattr(cudnn.data_type, name) for name in TYPES[problem.dtype])
    graph = cudnn.pygraph(
        name=problem.kind,
        io_data_type=stored,
        intermediate_data_type=computed,
        compute_data_type=computed,
        **device,
    )
    image, weights, response = problem.image, problem.weights, problem.response
    shapes = {
        "fprop": (("image", image), ("weight", weights), ("", response)),
        "dgrad": (("loss", response), ("filter", weights), ("", image)),
        "wgrad": (("image", image), ("loss", response), ("", weights)),
    }
    *given, (_, wanted) = shapes[problem.kind]
    operands = {
        name: graph.tensor(**_layout(shape), data_type=stored, name=name, uid=uid)
        for uid, (name, shape) in zip((FIRST, SECOND), given, strict=True)
    }
    window = problem.window
    padding = _spatial(window.padding, (0, 0))
    result = getattr(graph, f"conv_{problem.kind}")(
        **operands,
        pre_padding=[before for before, _ in padding],
        post_padding=[after for _, after in padding],
        stride=list(_spatial(window.stride)),
        dilation=list(_spatial(window.dilation)),
    )
    layout = _layout(wanted)
    result.set_output(True).set_data_type(stored)
    result.set_dim(layout["dim"]).set_stride(layout["stride"]).set_uid(RESULT)
    graph.validate()
    return graph


def _layout(shape: tuple[int, ...]) -> dict[str, list[int]]:
    """A packed array of ``(first, *spatial, last)`` as cuDNN has it, ``(first, last, *spatial)`` by strides."""
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    order = (0, len(shape) - 1, *range(1, len(shape) - 1))
    return {"dim": [shape[a] for a in order], "stride": [strides[a] for a in order]}


def _spatial(values: tuple[Any, ...], one: Any = 1) -> tuple[Any, ...]:
    """One entry per spatial axis; cuDNN has at least two."""
    return values if len(values) > 1 else (one, *values)


def _outputs(window: Window) -> tuple[int, ...]:
    """The number of windows that cuDNN finds."""
    return tuple(
        (n + before + after - e) // s + 1
        for n, (before, after), e, s in zip(
            window.size, window.padding, window.extent, window.stride, strict=True
        )
    )


def _contiguous(x: Array) -> Array:
    x = sys.modules["cupy"].ascontiguousarray(x)
    return x if x.data.ptr % ALIGNMENT == 0 else x.copy()


def _said(problem: Problem, reason: str | None) -> bool:
    if reason is not None:
        _log.info("cuDNN declines %s: %s", problem, reason)
    return reason is not None


@lru_cache
def _installed() -> bool:
    """Whether the frontend is there, and finds cuDNN."""
    try:
        import cudnn

        _log.info("cuDNN %s, frontend %s", cudnn.backend_version(), cudnn.__version__)
    except (ImportError, RuntimeError) as error:
        _log.info("no cuDNN for CuPy: %s", error)
        return False
    # cuDNN looks for cuBLAS by its name alone, which is found once CuPy has loaded it
    sys.modules["cupy"].cuda.get_cublas_handle()
    return True


class _Handles(threading.local):
    """cuDNN's handles, one per thread and device, since a call sets a handle's stream."""

    def __init__(self) -> None:
        self._made: dict[int, int] = {}

    def of(self, device: int) -> int:
        if device not in self._made:
            import cudnn

            self._made[device] = cudnn.create_handle()
        return self._made[device]


_handles = _Handles()

"""PyTorch's own kernels, in both of its memory layouts, and arrayconv on its tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch.nn import functional

import arrayconv as ac
from benchmarks import ours
from benchmarks.cases import Conv, Data, Pool
from benchmarks.timing import Contender

POOL = "torch"
LAYOUTS = {2: torch.channels_last, 3: torch.channels_last_3d}


def library(device: str = "cpu", dtype: torch.dtype = torch.float32) -> ours.Library:
    """Return how arrayconv meets tensors of a device and dtype, channels last and contiguous."""
    return ours.Library("torch", POOL, lambda x: torch.from_numpy(x).to(device, dtype))


def conv(
    case: Conv,
    data: Data,
    backward: bool,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> list[Contender]:
    """Return ``torch.nn.functional.conv*``, or its backward kernel, in each memory layout."""
    rank = len(case.size)
    forward = (functional.conv1d, functional.conv2d, functional.conv3d)[rank - 1]
    found = []
    for layout, arrange in _layouts(rank).items():
        x, dy = (arrange(_channels_first(a, device, dtype)) for a in (data.x, data.dy))
        # (*K, C/groups, O) -> (O, C/groups, *K)
        w = torch.from_numpy(data.w).to(device, dtype).permute(rank + 1, rank, *range(rank))
        w = arrange(w)

        def values(x: Any = x, w: Any = w) -> Any:
            return forward(x, w, None, case.stride, case.padding, 1, case.groups)

        def gradients(dy: Any = dy, x: Any = x, w: Any = w) -> Any:
            return torch.ops.aten.convolution_backward(
                dy, x, w, None, [case.stride] * rank, [case.padding] * rank, [1] * rank,
                False, [0] * rank, case.groups, [True, True, False],
            )[:2]  # fmt: skip

        read = _read_gradients if backward else _read
        call = gradients if backward else values
        found.append(Contender(f"torch {layout}", POOL, call, read))
    return found


def pool(case: Pool, data: Data, backward: bool, *, device: str = "cpu") -> list[Contender]:
    """Return torch's pool; its max-pool backward is given the forward pass's indices."""
    window, stride, padding = [case.window] * 2, [case.stride] * 2, [case.padding] * 2
    found = []
    for layout, arrange in _layouts(2).items():
        x, dy = (arrange(_channels_first(a, device, torch.float32)) for a in (data.x, data.dy))
        call: Callable[[], Any]
        if case.kind == "avg" and backward:

            def call(dy: Any = dy, x: Any = x) -> Any:
                return torch.ops.aten.avg_pool2d_backward(
                    dy, x, window, stride, padding, False, False, None
                )
        elif case.kind == "avg":

            def call(x: Any = x) -> Any:
                return functional.avg_pool2d(x, window, stride, padding, False, False)
        elif backward:
            _, indices = functional.max_pool2d(x, window, stride, padding, return_indices=True)

            def call(dy: Any = dy, x: Any = x, indices: Any = indices) -> Any:
                return torch.ops.aten.max_pool2d_with_indices_backward(
                    dy, x, window, stride, padding, [1, 1], False, indices
                )
        else:

            def call(x: Any = x) -> Any:
                return functional.max_pool2d(x, window, stride, padding)

        found.append(Contender(f"torch {layout}", POOL, call, _read))
    return found


def _layouts(rank: int) -> dict[str, Callable[[torch.Tensor], torch.Tensor]]:
    arrange: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
        "contiguous": lambda t: t.contiguous()
    }
    if rank in LAYOUTS:
        arrange["channels_last"] = lambda t: t.contiguous(memory_format=LAYOUTS[rank])
    return arrange


def _channels_first(x: np.ndarray, device: str, dtype: torch.dtype) -> torch.Tensor:
    # (N, *S, C) -> (N, C, *S)
    return torch.from_numpy(x).to(device, dtype).permute(0, x.ndim - 1, *range(1, x.ndim - 1))


def _read(y: torch.Tensor) -> tuple[np.ndarray, ...]:
    # (N, C, *S) -> (N, *S, C)
    return (ac.to_numpy(y.permute(0, *range(2, y.ndim), 1)),)


def _read_gradients(pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[np.ndarray, ...]:
    dx, dw = pair
    # (O, C/groups, *K) -> (*K, C/groups, O)
    return (*_read(dx), ac.to_numpy(dw.permute(*range(2, dw.ndim), 1, 0)))

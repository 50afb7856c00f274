"""Opt-in: the same three functions by the library's own kernels, found by the namespace's name.

Each function returns ``None`` where there is no native kernel that computes exactly what is asked;
the portable code then does. ``jax.lax`` serves every window; torch one to three spatial axes, of
NumPy's arrays too where it is installed: it computes on their memory.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from arrayconv.engine import native_cudnn
from arrayconv.engine.windows import reach
from arrayconv.namespace import (
    Array,
    Namespace,
    accumulator,
    array_namespace,
    cast,
    is_lazy,
    library,
    traits,
)
from arrayconv.window import Window


def correlate(
    xp: Namespace, x: Array, w: Array, window: Window, groups: int, b: Array | None = None
) -> Array | None:
    """As ``engine.correlate``, or ``None``; ``b`` has as many axes as ``x``."""
    return _call(0, xp, x, w, window, groups, b)


def correlate_input_vjp(
    xp: Namespace, dy: Array, w: Array, window: Window, groups: int, b: Array | None = None
) -> Array | None:
    """As ``engine.correlate_input_vjp``, or ``None``; ``b`` has as many axes as ``dy``."""
    return _call(1, xp, dy, w, window, groups, b)


def correlate_weight_vjp(
    xp: Namespace, x: Array, dy: Array, window: Window, groups: int
) -> Array | None:
    """As ``engine.correlate_weight_vjp``, or ``None``."""
    return _call(2, xp, x, dy, window, groups)


def _call(
    which: int,
    xp: Namespace,
    a: Array,
    b: Array,
    window: Window,
    groups: int,
    bias: Array | None = None,
) -> Array | None:
    kernels = _KERNELS.get(library(xp))
    if kernels is None or 0 in a.shape or 0 in b.shape:
        return None
    dtype = a.dtype
    if not traits(xp, a).accelerator:
        # XLA's kernels for CPUs multiply NaN of a group with zeros that stand for the others
        if groups > 1 and library(xp) == "jax.numpy":
            return None
        # kernels for CPUs add up half types in half
        wide = accumulator(xp, dtype)
        a, b = cast(xp, a, wide), cast(xp, b, wide)
    result = kernels[which](xp, a, b, window, groups)
    if result is None:
        return None
    if bias is not None:
        # in the product's type, for a half sum would round twice
        result = result + cast(xp, bias, result.dtype)
    return cast(xp, result, dtype)


def _jax_correlate(xp: Namespace, x: Array, w: Array, window: Window, groups: int) -> Array:
    lax = sys.modules["jax"].lax
    axes = "".join(chr(ord("0") + axis) for axis in range(len(window.size)))
    return lax.conv_general_dilated(
        x,
        w,
        window_strides=window.stride,
        padding=window.reach,
        rhs_dilation=window.dilation,
        dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        feature_group_count=groups,
        precision=lax.Precision.HIGHEST,
    )


def _jax_input_vjp(xp: Namespace, dy: Array, w: Array, window: Window, groups: int) -> Array:
    jax = sys.modules["jax"]
    shape = (dy.shape[0], *window.size, w.shape[-2] * groups)
    x = jax.ShapeDtypeStruct(shape, dy.dtype)
    (dx,) = jax.linear_transpose(lambda x: _jax_correlate(xp, x, w, window, groups), x)(dy)
    return dx


def _jax_weight_vjp(xp: Namespace, x: Array, dy: Array, window: Window, groups: int) -> Array:
    jax = sys.modules["jax"]
    shape = (*window.kernel, x.shape[-1] // groups, dy.shape[-1])
    w = jax.ShapeDtypeStruct(shape, dy.dtype)
    (dw,) = jax.linear_transpose(lambda w: _jax_correlate(xp, x, w, window, groups), w)(dy)
    return dw


def _torch_convolution(window: Window) -> Callable[..., Any] | None:
    functional = sys.modules["torch"].nn.functional
    kinds = (functional.conv1d, functional.conv2d, functional.conv3d)
    return kinds[len(window.size) - 1] if len(window.size) <= len(kinds) else None


def _torch_correlate(
    xp: Namespace, x: Array, w: Array, window: Window, groups: int
) -> Array | None:
    convolution = _torch_convolution(window)
    if convolution is None:
        return None
    last = x.ndim - 1
    # torch pads symmetrically only, so the reach is padded first, crops included
    padded = reach(xp, x, window, lead=1, mutable=False)
    # (N, *S, C) -> (N, C, *S) and (*K, C, O) -> (O, C, *K); some of its kernels fail where weights are a view
    y = convolution(
        padded.permute(0, last, *range(1, last)),
        w.permute(last, last - 1, *range(last - 1)).contiguous(),
        stride=window.stride,
        dilation=window.dilation,
        groups=groups,
    )
    return y.permute(0, *range(2, last + 1), 1)


def _torch_adjoint(
    function: Callable[[Array], Array | None], shape: tuple[int, ...], dy: Array
) -> Array | None:
    if is_lazy(dy):
        # inside torch.func its result would be constant, and zero under vmap
        return None
    torch = sys.modules["torch"]
    with torch.inference_mode(False), torch.enable_grad():
        point = torch.zeros(shape, dtype=dy.dtype, device=dy.device, requires_grad=True)
        value = function(point)
        if value is None:
            return None
        # windows may lie in the padding altogether
        return (
            torch.autograd.grad(value, point, _constant(dy))[0]
            if value.requires_grad
            else point.detach()
        )


def _constant(x: Array) -> Array:
    # autograd keeps no tensor of inference mode
    return x.clone() if x.is_inference() else x.detach()


def _torch_input_vjp(
    xp: Namespace, dy: Array, w: Array, window: Window, groups: int
) -> Array | None:
    shape = (dy.shape[0], *window.size, w.shape[-2] * groups)
    return _torch_adjoint(
        lambda x: _torch_correlate(xp, x, _constant(w), window, groups), shape, dy
    )


def _torch_weight_vjp(
    xp: Namespace, x: Array, dy: Array, window: Window, groups: int
) -> Array | None:
    shape = (*window.kernel, x.shape[-1] // groups, dy.shape[-1])
    return _torch_adjoint(
        lambda w: _torch_correlate(xp, _constant(x), w, window, groups), shape, dy
    )


_Kernel = Callable[[Namespace, Array, Array, Window, int], Array | None]


def _by_torch(kernel: _Kernel) -> _Kernel:
    """A kernel of torch's on NumPy's arrays."""

    def compute(xp: Namespace, a: Array, b: Array, window: Window, groups: int) -> Array | None:
        torch = _torch()
        if torch is None or a.dtype.name not in ("float32", "float64") or not a.dtype.isnative:
            return None
        first, second = (torch.from_numpy(p if _lends(p) else p.copy()) for p in (a, b))
        result = kernel(array_namespace("conv", x=first), first, second, window, groups)
        return None if result is None else result.numpy()

    return compute


def _lends(a: Array) -> bool:
    """Whether a tensor can lie on an array's memory: it can be written, and its steps are whole elements forward."""
    return bool(a.flags.writeable) and all(s >= 0 and s % a.itemsize == 0 for s in a.strides)


@lru_cache
def _torch() -> Any:
    # it takes seconds to import, and only who asks for native kernels wants it
    return importlib.import_module("torch") if importlib.util.find_spec("torch") else None


_KERNELS: dict[str, tuple[_Kernel, _Kernel, _Kernel]] = {
    "cupy": (
        native_cudnn.correlate,
        native_cudnn.correlate_input_vjp,
        native_cudnn.correlate_weight_vjp,
    ),
    "jax.numpy": (_jax_correlate, _jax_input_vjp, _jax_weight_vjp),
    "numpy": (
        _by_torch(_torch_correlate),
        _by_torch(_torch_input_vjp),
        _by_torch(_torch_weight_vjp),
    ),
    "torch": (_torch_correlate, _torch_input_vjp, _torch_weight_vjp),
}

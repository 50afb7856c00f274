"""How a convolution would be computed: ``explain``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from typing import Any

from arrayconv import engine
from arrayconv.arguments import check_keywords
from arrayconv.engine.plan import Plan
from arrayconv.engine.settings import current
from arrayconv.namespace import Array, array_namespace, stand_in
from arrayconv.ops.convolution.arguments import (
    ARGUMENTS,
    check_conv,
    check_transpose,
    result_shape,
)
from arrayconv.ops.convolution.conv import conv, conv_vjp
from arrayconv.ops.convolution.conv_transpose import conv_transpose, conv_transpose_vjp
from arrayconv.ops.layout import check_gradient, check_wrt


class Explanation(tuple[Plan, ...]):
    """The plans of one call, one per correlation; prints as a report."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(map(str, self))

    __repr__ = __str__


def explain(f: Callable[..., Any], *arrays: Any, **config: Any) -> Explanation:
    """Say how a convolution would be computed, without computing it.

    Parameters
    ----------
    f : function
        ``conv``, ``conv_transpose``, ``conv_vjp`` or ``conv_transpose_vjp``.
    *arrays : arrays or tuples of int
        The array arguments of ``f``, or their shapes (taken as NumPy arrays of float32).
    **config
        The keyword arguments of ``f``.

    Returns
    -------
    Explanation
        A tuple of plans, one per correlation, each with its ``strategy``, ``reason``, ``blocks``,
        ``memory`` (bytes of temporaries), ``flops`` and ``bytes``; it prints as a report.

    Raises
    ------
    TypeError, ValueError
        If ``f`` is not computed by the engine, or refuses the arguments.

    Examples
    --------
    >>> import arrayconv as ac
    >>> plans = ac.explain(ac.conv, (8, 56, 56, 64), (3, 3, 64, 64), padding=1)
    >>> plans[0].flops
    1849688064
    """
    plans = _CORRELATIONS.get(f)
    if plans is None:
        raise ValueError(
            f"explain: {getattr(f, '__name__', f)!r} makes no convolution plan; explain conv, "
            "conv_transpose or their vjps"
        )
    if current().engine == "native":
        raise ValueError(
            "explain: with engine='native' there is no plan: a kernel of the library's decides, or "
            "PyTorch's for NumPy arrays; explain with engine='portable'"
        )
    standing = [stand_in(tuple(a)) if isinstance(a, tuple | list) else a for a in arrays]
    signature = inspect.signature(f)
    check_keywords(f.__name__, signature.parameters, config)
    call = signature.bind(*standing, **config)
    call.apply_defaults()
    return Explanation(_plans(f.__name__, plans, **call.arguments))


# What each computes: a function of the engine, the array it is about, and the gradient that it gives.
_CORRELATIONS: dict[Callable[..., Any], tuple[tuple[str, str, str | None], ...]] = {
    conv: (("correlate", "x", None),),
    conv_vjp: (("input_vjp", "dy", "x"), ("weight_vjp", "x", "w")),
    conv_transpose: (("input_vjp", "x", None),),
    conv_transpose_vjp: (("correlate", "dy", "x"), ("weight_vjp", "dy", "w")),
}


def _plans(
    op: str,
    correlations: tuple[tuple[str, str, str | None], ...],
    *,
    x: Array,
    w: Array,
    b: Array | None,
    groups: int,
    data_format: str,
    dy: Array | None = None,
    wrt: Collection[str] = ARGUMENTS,
    flip_kernel: bool,
    **geometry: Any,
) -> Iterator[Plan]:
    arrays = {"x": x, "w": w, "b": b} | ({} if dy is None else {"dy": dy})
    xp = array_namespace(op, **arrays)
    check_wrt(op, wrt, ARGUMENTS)
    arguments = {
        **geometry,
        "groups": groups,
        "flip_kernel": flip_kernel,
        "data_format": data_format,
    }
    if "output_padding" in geometry:
        window = check_transpose(op, x, w, b, **arguments)
        size, features = window.size, w.shape[-2] * groups
    else:
        window = check_conv(op, x, w, b, **arguments)
        size, features = window.output, w.shape[-1]
    if dy is not None:
        check_gradient(op, dy, result_shape(x.shape[0], size, features, data_format))
    dtype = xp.result_type(*(a for a in arrays.values() if a is not None))
    for kind, name, gradient in correlations:
        if gradient is None or gradient in wrt:
            like = {"x": x, "dy": dy}[name]
            yield engine.plan_for(
                kind, xp, like, window, groups, w.shape[-2], w.shape[-1] // groups, dtype
            )

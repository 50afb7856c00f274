"""What the engine would do: ``explain``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from arrayconv import engine
from arrayconv.engine.plan import Plan
from arrayconv.namespace import stand_in


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
    ValueError
        If ``f`` is not computed by the engine.

    Examples
    --------
    >>> import arrayconv as ac
    >>> plans = ac.explain(ac.conv, (8, 56, 56, 64), (3, 3, 64, 64), padding=1)
    >>> plans[0].flops
    1849688064
    """
    notes: list[Plan] = []
    standing = [stand_in(tuple(a)) if isinstance(a, tuple | list) else a for a in arrays]
    token = engine.plans_only.set(notes)
    try:
        f(*standing, **config)
    finally:
        engine.plans_only.reset(token)
    if not notes:
        raise ValueError(
            f"explain: {getattr(f, '__name__', f)!r} makes no convolution plan here; explain conv, "
            "conv_transpose or their vjps, with engine='portable' and a batch that is not empty"
        )
    return Explanation(notes)

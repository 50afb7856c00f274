"""Checking a case of `arrayconv.cases` on an array library."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import arrayconv
from arrayconv.cases import Case
from arrayconv.verify.checks import check_directional
from arrayconv.verify.compare import worst_element, worst_gradient
from arrayconv.verify.oracle import jax_gradients, need_jax, term_sizes
from arrayconv.verify.pair import Host, first, host, make_pair, upstream, x64


def check_case(case: Case, xp: Any, device: Any = None) -> float:
    """Check one of the cases in `arrayconv.cases` on an array library.

    The result is compared with NumPy's, and every gradient with ``jax.vjp``, or without JAX with central
    differences.

    Parameters
    ----------
    case : Case
        One of `arrayconv.cases.cases`.
    xp : namespace
        ``numpy``, ``jax.numpy``, ``torch``, ``cupy``, ``array_api_strict``, ...
    device : device, optional
        A device of the library; by default its own default.

    Returns
    -------
    float
        The largest error, relative to the largest element of the result or the gradient.

    Raises
    ------
    GradientMismatch
        If the result or a gradient is wrong.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.cases import cases
    >>> from arrayconv.verify import check_case
    >>> check_case(cases()[0], np) < 1e-6
    True
    """
    f = getattr(arrayconv, case.op)
    here = (*case.arrays(), *case.args)
    pair = make_pair(f, len(here), None, case.config, case.vjp_config)
    place = {} if device is None else {"device": device}
    with x64():
        there = tuple(
            # a copy, since torch shares the memory of what it is given
            xp.asarray(a.copy(), **place) if isinstance(a, np.ndarray) else a
            for a in here
        )
        y = pair.forward(there)
        result = worst_element(
            pair, here, "result", host(first(y)), host(first(pair.forward(here))), 1e-10
        )
        try:
            want = _case_gradients(case)
        except ImportError:
            checked = check_directional(f, *there, vjp_config=case.vjp_config, **case.config)
            return max(result, checked)
        y = host(first(y))
        dy = upstream(y, 0)
        got = pair.backward(dy, there)
        terms = cache(lambda: term_sizes(pair, here, y, dy))
        return max(result, worst_gradient(pair, here, got, want, 1e-10, terms))


@cache
def _case_gradients(case: Case) -> tuple[Host | None, ...]:
    """Return JAX's gradients of a case, cached since they serve all libraries."""
    need_jax("check_case")
    here = (*case.arrays(), *case.args)
    pair = make_pair(getattr(arrayconv, case.op), len(here), None, case.config, {})
    return jax_gradients(pair, here, upstream(pair.forward(here), 0))

"""The three checks of a derivative."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from arrayconv.verify.compare import (
    ROUNDINGS,
    GradientMismatch,
    gradients,
    same_kind,
    worst_gradient,
)
from arrayconv.verify.oracle import jax_gradients, need_jax, term_sizes
from arrayconv.verify.pair import (
    Array,
    Host,
    Pair,
    beside,
    first,
    float64,
    host,
    is_floating,
    largest,
    make_pair,
    upstream,
    within_one,
    x64,
)


def check_vjp(
    f: Callable[..., Any],
    *args: Any,
    vjp: Callable[..., Any] | None = None,
    vjp_config: Mapping[str, Any] | None = None,
    rtol: float = 1e-10,
    seed: int = 0,
    **config: Any,
) -> float:
    """Compare a vjp, element by element, with ``jax.vjp`` of the forward pass.

    Parameters
    ----------
    f : callable
        ``f(*args, **config)``, written against the array API standard. Where it returns a tuple,
        its first entry is differentiated.
    *args : array or object
        What `f` takes. Floating arrays, of any library, are cast to float64 and differentiated;
        integer and boolean arrays, None, numbers and tuples are passed through.
    vjp : callable, optional
        ``vjp(dy, *args, **config, **vjp_config)``, returning one array or a tuple in the order of
        `args`. By default the function called ``<name of f>_vjp`` beside `f`.
    vjp_config : dict, optional
        Keywords of the vjp alone, such as ``{"ties": "split"}``. An argument left out of ``wrt``
        may come back as None.
    rtol : float
        Largest error allowed, as a share of the largest element of that gradient, beside rounding.
    seed : int
        Seed of the upstream gradient, which is drawn at random.
    **config : object
        Keywords of both functions.

    Returns
    -------
    float
        The largest error, as a share of the largest element of its gradient.

    Raises
    ------
    GradientMismatch
        If an element is off, or a shape, or a dtype.
    ImportError
        If JAX is not installed.
    TypeError
        If `f` runs on its own library alone, as NumPy's functions do; `check_directional` serves it.

    Notes
    -----
    An error is measured against the largest element of the gradient, since an element that is zero
    by cancellation has no digits to compare. Where all of them are (the gradient of a normalization
    over two values, of a saturated softmax, at a minimum), it is measured against the rounding of
    the terms that cancel: 64 units in the last place of what single precision shows them to be. At
    kinks and ties the two may rightly differ.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x, w = np.ones((1, 5, 5, 2)), np.ones((3, 3, 2, 4))
    >>> ac.verify.check_vjp(ac.conv, x, w, stride=2, padding="same") < 1e-10
    True

    A pair of one's own:

    >>> def cube(x):
    ...     return x * x * x
    >>> def cube_vjp(dy, x):
    ...     return 2 * x * x * dy
    >>> try:
    ...     ac.verify.check_vjp(cube, np.asarray([1.0, 2.0]), vjp=cube_vjp)
    ... except ac.verify.GradientMismatch as mismatch:
    ...     print(mismatch.argument, mismatch.index)
    x (1,)
    """
    jax = need_jax("check_vjp")
    pair = make_pair(f, len(args), vjp, config, vjp_config)
    with jax.enable_x64(True):
        there = tuple(float64(a) for a in args)
        here = tuple(host(a) for a in there)
        y = host(first(pair.forward(there)))
        dy = upstream(y, seed)
        want = jax_gradients(pair, here, dy)
        got = pair.backward(dy, there)
        return worst_gradient(
            pair, here, got, want, rtol, cache(lambda: term_sizes(pair, here, y, dy))
        )


def check_adjoint(
    f: Callable[..., Any],
    x: Array,
    *args: Any,
    adjoint: Callable[[Array], Array] | None = None,
    rtol: float = 1e-12,
    seed: int = 0,
    **config: Any,
) -> float:
    """Compare ``<f(x), y>`` with ``<x, adjoint(y)>`` for a map that is linear in `x`.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **config)``, linear in `x`.
    x : array
        Where to compare; cast to float64, as are the floating arrays among `args`.
    *args : array or object
        Further arguments of `f`.
    adjoint : callable, optional
        ``adjoint(y)``. By default the vjp beside `f`: that of a linear map is its adjoint.
    rtol : float
        Largest difference allowed, as a share of the product of the norms.
    seed : int
        Seed of `y`, which is drawn at random.
    **config : object
        Keywords of `f`.

    Returns
    -------
    float
        The difference, as a share of the product of the norms.

    Raises
    ------
    GradientMismatch
        If the inner products, or the shapes of `x` and ``adjoint(y)``, differ.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x, w = np.ones((1, 6, 2)), np.ones((3, 2, 4))
    >>> def back(y):
    ...     return ac.conv_transpose(y, w, padding=1)
    >>> ac.verify.check_adjoint(ac.conv, x, w, adjoint=back, padding=1) <= 1e-12
    True
    """
    pair = make_pair(f, 1 + len(args), None, config, None)
    with x64():
        there = (float64(x), *(float64(a) for a in args))
        here = tuple(host(a) for a in there)
        ax = host(first(pair.forward(there)))
        y = upstream(ax, seed)
        back = pair.backward(y, there)[0] if adjoint is None else adjoint(beside(y, there[0]))
        ay = host(back)
    same_kind(pair, here, 0, ay, here[0], "the adjoint")
    left, right = float(np.sum(ax * y)), float(np.sum(here[0] * ay))
    scale = max(norm(ax) * norm(y), norm(here[0]) * norm(ay)) or 1.0
    error = abs(left - right) / scale
    if not error <= rtol:
        what = (
            f"<f({pair.names[0]}), y> is {left!r}, and <{pair.names[0]}, adjoint(y)> is {right!r}:"
            f" an error of {error:.1e}, {rtol:.0e} is allowed"
        )
        raise GradientMismatch(pair.names[0], pair.text(here), what, got=right, want=left)
    return error


def check_directional(
    f: Callable[..., Any],
    *args: Any,
    vjp: Callable[..., Any] | None = None,
    vjp_config: Mapping[str, Any] | None = None,
    rtol: float = 1e-6,
    directions: int = 3,
    seed: int = 0,
    **config: Any,
) -> float:
    """Compare a vjp with central differences along random directions, on any array library.

    Weaker than `check_vjp`, which sees every element, but it needs no JAX and runs `f` where its
    arrays are.

    Parameters
    ----------
    f, *args, vjp, vjp_config, **config
        As for `check_vjp`.
    rtol : float
        Largest error allowed, as a share of the product of the norms, beside what the difference
        itself may be off by.
    directions : int
        How many directions to try for each argument.
    seed : int
        Seed of the directions and of the upstream gradient.

    Returns
    -------
    float
        The largest error, as a share of the product of the norms.

    Raises
    ------
    GradientMismatch
        If a directional derivative, a shape or a dtype is off.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> ac.verify.check_directional(ac.avg_pool, np.ones((1, 6, 6, 1)), 2) < 1e-6
    True
    """
    pair = make_pair(f, len(args), vjp, config, vjp_config)
    worst = 0.0
    with x64():
        there = tuple(float64(a) for a in args)
        here = tuple(host(a) for a in there)
        dy = upstream(pair.forward(there), seed)
        got = pair.backward(dy, there)
        for i, dx in gradients(pair, here, got):
            same_kind(pair, here, i, dx, here[i], "the argument")
            rng = np.random.default_rng([seed, i])
            for _ in range(directions if here[i].size else 0):
                v = rng.standard_normal(here[i].shape)
                jv = _difference(pair, there, i, v)
                try:
                    error = _compare_along(pair, here, i, v, jv, dx, dy, rtol)
                except GradientMismatch:
                    doubt = _doubt(pair, there, i, v, jv, dy)
                    error = _compare_along(pair, here, i, v, jv, dx, dy, rtol, doubt)
                worst = max(worst, error)
    return worst


def _difference(pair: Pair, there: tuple[Any, ...], i: int, v: Host, part: float = 1.0) -> Host:
    """Return the central difference of the result along `v` in argument `i`, over a part of the step."""
    x = host(there[i])
    step = part * _step(x)
    ends = []
    for sign in (1, -1):
        moved = beside(x + sign * step * v, there[i])
        ends.append(host(first(pair.forward((*there[:i], moved, *there[i + 1 :])))))
    difference: Host = (ends[0] - ends[1]) / (2 * step)
    return difference


def _step(x: Host) -> float:
    return 1e-5 * max(1.0, largest(x))


def _doubt(pair: Pair, there: tuple[Any, ...], i: int, v: Host, jv: Host, dy: Host) -> float:
    """Return how far a central difference may be off: by what other steps say, and by rounding of results.

    A saturated function shows the size of its results where its arguments are no larger than 1.
    """
    others = [_difference(pair, there, i, v, part) for part in (0.5, 0.7)]
    with np.errstate(invalid="ignore"):
        off = max(abs(float(np.sum(dy * (jv - other)))) for other in others)
    small = tuple(beside(within_one(host(a)), a) if is_floating(a) else a for a in there)
    sizes = [norm(host(first(pair.forward(point)))) for point in (there, small)]
    rounding = ROUNDINGS * norm(dy) * max(sizes) / _step(host(there[i]))
    return sum(part for part in (4 * off, rounding) if np.isfinite(part))


def _compare_along(
    pair: Pair,
    here: tuple[Any, ...],
    i: int,
    v: Host,
    jv: Host,
    dx: Host,
    dy: Host,
    rtol: float,
    doubt: float = 0.0,
) -> float:
    want, got = float(np.sum(dy * jv)), float(np.sum(dx * v))
    scale = max(norm(dy) * norm(jv), norm(dx) * norm(v)) or 1.0
    if rtol > 0:
        scale += doubt / rtol
    error = abs(got - want) / scale
    if not error <= rtol:
        name = pair.names[i]
        what = (
            f"along a random direction v of {name}, <d{name}, v> is {got!r}, and central"
            f" differences say {want!r}: an error of {error:.1e}, {rtol:.0e} is allowed"
        )
        raise GradientMismatch(name, pair.text(here), what, got=got, want=want)
    return error


def norm(a: Host) -> float:
    return float(np.sqrt(np.sum(a * a)))

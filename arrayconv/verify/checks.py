"""The three checks of a function's derivative."""

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
    """Compare a vjp, element by element, with ``jax.vjp`` of the forward function.

    Parameters
    ----------
    f : callable
        ``f(*args, **config)``, written against the array API standard. If it returns a tuple, the first entry
        is differentiated.
    *args : array or object
        The arguments of ``f``. Floating arrays, of any library, are cast to float64 and differentiated;
        integer and boolean arrays, None, numbers and tuples are passed on.
    vjp : callable, optional
        ``vjp(dy, *args, **config, **vjp_config)``, which returns one array, or a tuple in the order of
        ``args``. By default the function called ``<name of f>_vjp`` in the module of ``f``.
    vjp_config : dict, optional
        Keywords of the vjp alone, such as ``{"ties": "split"}``. For an argument that ``wrt`` leaves out, the
        vjp may return None.
    rtol : float
        The largest error allowed, relative to the largest element of the gradient, in addition to rounding.
    seed : int
        The seed of the upstream gradient, which is random.
    **config : object
        Keywords of both functions.

    Returns
    -------
    float
        The largest error, relative to the largest element of its gradient.

    Raises
    ------
    GradientMismatch
        If an element, a shape or a dtype is wrong.
    ImportError
        If JAX is not installed.
    TypeError
        If ``f`` does not run on JAX arrays, for instance since it calls NumPy; use `check_directional` then.
    ValueError
        If ``vjp`` is not given and there is none in the module of ``f``.

    Notes
    -----
    Errors are relative to the largest element of the gradient and not to each element, since an element may be
    0 only up to rounding, by cancellation. If that holds for all elements (as in a saturated softmax, or at a
    minimum), an error is accepted up to 64 roundings of the terms that cancel, whose size is estimated by
    repeating the computation in float32. At kinks and ties the two gradients may differ, and both be right.

    Examples
    --------
    >>> import numpy as np
    >>> import arrayconv as ac
    >>> x, w = np.ones((1, 5, 5, 2)), np.ones((3, 3, 2, 4))
    >>> ac.verify.check_vjp(ac.conv, x, w, stride=2, padding="same") < 1e-10
    True

    A wrong vjp of your own function:

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
    """Compare the inner products ``<f(x), y>`` and ``<x, adjoint(y)>`` for a function that is linear in ``x``.

    Parameters
    ----------
    f : callable
        ``f(x, *args, **config)``, linear in ``x``.
    x : array
        Where to compare; cast to float64, as are the floating arrays among ``args``.
    *args : array or object
        Further arguments of ``f``.
    adjoint : callable, optional
        ``adjoint(y)``. By default the vjp with respect to ``x`` of the function called ``<name of f>_vjp`` in the
        module of ``f``: for a linear function it is the adjoint.
    rtol : float
        The largest difference allowed, relative to the product of the norms.
    seed : int
        The seed of ``y``, which is random.
    **config : object
        Keywords of ``f``.

    Returns
    -------
    float
        The difference, relative to the product of the norms.

    Raises
    ------
    GradientMismatch
        If the inner products differ, or the shapes or dtypes of ``x`` and ``adjoint(y)`` do.
    ValueError
        If ``adjoint`` is not given and there is no vjp in the module of ``f``.

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

    Less strict than `check_vjp`, which compares every element, but it does not need JAX and runs ``f`` in the
    library of its arguments.

    Parameters
    ----------
    f, *args, vjp, vjp_config, **config
        As for `check_vjp`.
    rtol : float
        The largest error allowed, relative to the product of the norms, in addition to the estimated error of
        the central difference.
    directions : int
        The number of random directions for each argument.
    seed : int
        The seed of the directions and of the upstream gradient.

    Returns
    -------
    float
        The largest error, relative to the product of the norms.

    Raises
    ------
    GradientMismatch
        If a directional derivative, a shape or a dtype is wrong.
    ValueError
        If ``vjp`` is not given and there is none in the module of ``f``.

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
    """Return the central difference of the result along `v` in argument `i`, with the step scaled by `part`."""
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
    """Estimate the error of a central difference: from differences with other steps, and from rounding of results.

    The size of the results is also taken at arguments scaled down to 1, where a function is not saturated.
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

"""JAX: a ``jax.custom_vjp``."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from numbers import Integral
from typing import Any

from arrayconv.autodiff.call import Call, first, is_array, is_scalar, library, make_pair
from arrayconv.namespace import Array, array_namespace


def to_jax(f: Callable[..., Any], vjp: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """A function of JAX arrays that computes `f` and whose derivative is its vjp.

    Parameters
    ----------
    f : callable
        One of the operations, or ``f(*arrays, **config)`` of one's own. Where it returns a tuple,
        the first entry is differentiated and the others are constants to JAX
        (``jax.lax.stop_gradient``).
    vjp : callable, optional
        ``vjp(dy, *arrays, **config)``, returning one gradient or a tuple of them in the order of
        the arguments, None for those that are no floating arrays. By default the function called
        ``<name of f>_vjp`` beside `f`. For keywords that only the vjp has, bind them:
        ``functools.partial(ac.max_pool_vjp, ties="split")``. Keywords ``y`` and ``wrt`` of a vjp
        are filled in: with the result of `f`, and (`to_torch`) the names of the gradients wanted.

    Returns
    -------
    callable
        Called like `f`. Arrays given by position, or by the name of a positional argument, are
        differentiable where they are floating; labels, masks and None are passed through, and
        NumPy arrays and its floating scalars become JAX's. Everything else is static: under
        ``jax.jit`` bind it, or name it in ``static_argnames``. Works under ``jit``, ``grad``,
        ``vjp``, ``vmap`` and ``shard_map`` (the gradient of a replicated array is summed over the
        devices), and more than once (the code of the vjp is differentiated then); not in forward
        mode (``jax.jvp``).

    Raises
    ------
    ImportError
        If JAX is not installed.
    TypeError
        If `f` or `vjp` is not a function. When called: for an array in a keyword-only argument, an
        array of another library or arguments that `f` does not take, and if the vjp gives no
        gradient for a floating array.
    ValueError
        If no vjp of `f` is found. When called: if a gradient has not the shape of its array.

    Notes
    -----
    `options` count as they are when the function is called, for the backward pass too.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> import arrayconv as ac
    >>> conv = ac.autodiff.to_jax(ac.conv)
    >>> def loss(w, x):
    ...     return jnp.sum(conv(x, w, stride=2) ** 2)
    >>> x, w = jnp.ones((1, 4, 4, 1)), jnp.ones((2, 2, 1, 1))
    >>> jax.jit(jax.grad(loss))(w, x)[:, :, 0, 0]
    Array([[32., 32.],
           [32., 32.]], dtype=float32)

    A pair of one's own:

    >>> cube = ac.autodiff.to_jax(lambda x: x * x * x, vjp=lambda dy, x: 3 * x * x * dy)
    >>> float(jax.grad(cube)(2.0))
    12.0
    """
    import jax

    pair = make_pair("to_jax", f, vjp)

    def run(call: Call, *arrays: Array) -> Any:
        # what jax.grad was called with may arrive as a Python number
        return call.forward([*map(jax.numpy.asarray, arrays)])

    def forward(call: Call, *arrays: Array) -> tuple[Any, tuple[Array, ...]]:
        arrays = tuple(map(jax.numpy.asarray, arrays))
        result = call.forward(arrays)
        return result, call.saved(arrays, result)

    def backward(call: Call, saved: tuple[Array, ...], dy: Any) -> tuple[Array | None, ...]:
        found = call.backward(first(dy), saved)
        return tuple(
            None if dx is None else _spread_as(x, dx)
            for dx, x in zip(found, saved[: len(found)], strict=True)
        )

    core = jax.custom_vjp(run, nondiff_argnums=(0,))
    core.defvjp(forward, backward)

    def as_jax(name: str, value: Any) -> Array | None:
        # a tracer of any transformation is a jax.Array too
        if isinstance(value, jax.Array):
            return value
        # NumPy's integers are configuration, such as a window, and its floats are data
        if not is_array(value) and (not is_scalar(value) or isinstance(value, Integral)):
            return None
        if library(value) not in ("numpy", "jax"):
            raise TypeError(
                f"{pair.title}: {name} must be an array of JAX or NumPy, got one of {library(value)}"
            )
        # JAX would drop a mask
        array_namespace(pair.title, **{name: value})
        return jax.numpy.asarray(value)

    @wraps(f)
    def differentiable(*args: Any, **config: Any) -> Any:
        call, arrays = pair.call(args, config, as_jax)
        return core(call, *arrays)

    return differentiable


def _spread_as(x: Array, dx: Array) -> Array:
    """The gradient over the mesh axes that ``x`` varies over: of a replicated array, the sum of all devices'.

    Only ``shard_map`` has such axes; with ``check_vma=False`` it tracks none, and sums by itself.
    """
    import jax

    wanted, there = (_varying_over(jax.typeof(a)) for a in (x, dx))
    if there - wanted:
        dx = jax.lax.psum(dx, tuple(sorted(there - wanted)))
    if wanted - there:
        axes = tuple(sorted(wanted - there))
        # older versions have no pcast
        cast = getattr(jax.lax, "pcast", None)
        dx = cast(dx, axes, to="varying") if cast else jax.lax.pvary(dx, axes)
    return dx


def _varying_over(kind: Any) -> frozenset[str]:
    """The mesh axes that an array of this JAX type varies over, called ``vma`` up to JAX 0.9."""
    manual = getattr(kind, "manual_axis_type", None)
    found: frozenset[str] = getattr(kind, "vma", frozenset()) if manual is None else manual.varying
    return found

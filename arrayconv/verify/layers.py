"""Checks of the hand-written gradients of layers and losses."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from inspect import Parameter, Signature
from typing import Any

import numpy as np

from arrayconv.namespace import array_namespace
from arrayconv.verify.checks import check_directional, check_vjp
from arrayconv.verify.pair import Array, Host, beside, first, host


def check_layer(layer: Any, *shapes: tuple[int, ...], batch: int = 3, seed: int = 0) -> float:
    """Compare a layer's ``backward`` with JAX's gradients of ``forward``, for every weight and input.

    Without JAX, or if ``forward`` calls NumPy, it compares with central differences along random directions.
    A layer whose functions take ``training`` or ``noise`` is checked for training and for prediction. The layer
    itself is not changed: the check uses a copy with other weights.

    Parameters
    ----------
    layer : arrayconv.models.Layer
    *shapes : tuple of int
        The shape of each input, without the batch axis.
    batch : int
        The number of samples.
    seed : int
        The seed of the inputs, the noise and the upstream gradient.

    Returns
    -------
    float
        The largest error, relative to the largest element of its gradient; with central differences as
        `check_directional` returns it.

    Raises
    ------
    GradientMismatch
        If a gradient or its shape is wrong; the message names it and the worst element.
    TypeError, ValueError
        If ``forward`` or ``backward`` returns something else than a layer must, or the layer cannot take inputs of
        these shapes.

    Examples
    --------
    >>> import arrayconv as ac
    >>> from arrayconv import models
    >>> class Scale(models.Layer):
    ...     def build(self, shape):
    ...         return {"s": models.WeightSpec((shape[-1],), "ones")}
    ...     def forward(self, w, x):
    ...         return x * w["s"]
    ...     def backward(self, dy, w, x):
    ...         return dy * w["s"], {"s": (dy * x).sum(0)}
    >>> ac.verify.check_layer(Scale(), (4,)) < 1e-10
    True
    """
    if isinstance(layer, type) or not hasattr(layer, "reads"):
        made = f"; {layer.__name__}() makes one" if isinstance(layer, type) else ""
        raise TypeError(f"check_layer: layer must be a Layer, got {layer!r}{made}")
    if not shapes:
        raise ValueError(
            f"check_layer: give the shape of each input of {layer.label}, such as (8, 8, 3)"
        )
    layer, given, rng = copy.copy(layer), layer, np.random.default_rng(seed)
    x = [rng.standard_normal((batch, *shape)) for shape in shapes]
    reads = given.reads.forward | given.reads.backward
    modes = (False, True) if {"training", "noise"} & reads else (False,)
    for training in modes:
        # a call says what is wrong with what forward returns
        layer(x if len(x) > 1 else x[0], training=training)
    # moved away from special values such as 0 and 1, upwards so that positive ones stay positive
    weights = {
        name: host(w).astype(np.float64) + 0.1 * np.abs(rng.standard_normal(w.shape))
        for name, w in layer.weights.items()
    }
    worst = 0.0
    for training in modes:
        noise = None
        if training and "noise" in reads:
            noise = layer.noise(rng, *(a.shape for a in x))
        mode = {"training": training} if len(modes) > 1 else {}
        worst = max(worst, _checked(layer, weights, x, noise, mode, seed))
    if layer.activation is not None:
        shape = tuple(layer.output_shape(*shapes))
        worst = max(worst, check_layer(layer.activation, shape, batch=batch, seed=seed))
    return worst


def _checked(
    layer: Any,
    weights: Mapping[str, Host],
    x: list[Host],
    noise: Host | None,
    mode: dict[str, bool],
    seed: int,
) -> float:
    trained = [name for name, spec in layer.specs.items() if spec.trainable]
    inputs = ["x"] if len(x) == 1 else [f"x{i}" for i in range(len(x))]

    def arguments(arrays: tuple[Array, ...]) -> tuple[dict[str, Array], tuple[Array, ...], Any]:
        w = {name: beside(a, arrays[-1]) for name, a in weights.items() if name not in trained}
        w.update(zip(trained, arrays, strict=False))
        w = {name: w[name] for name in weights}
        return w, arrays[len(trained) :], None if noise is None else beside(noise, arrays[-1])

    def forward(*arrays: Array, training: bool = False) -> Array:
        w, x, drawn = arguments(arrays)
        known = {"training": training, "noise": drawn}
        return first(layer.forward(w, *x, **_named(layer.reads.forward, known)))

    def backward(dy: Array, *arrays: Array, training: bool = False) -> tuple[Array, ...]:
        w, x, drawn = arguments(arrays)
        known: dict[str, Any] = {"training": training, "noise": drawn, "wrt": ("x", "w", "b")}
        if "y" in layer.reads.backward:
            known["y"] = forward(*arrays, training=training)
        own = x if "x" in layer.reads.backward else ()
        returned = layer.backward(dy, w, *own, **_named(layer.reads.backward, known))
        return _flat(layer, returned, trained, len(x))

    return _compare(
        layer.label, forward, backward, [*trained, *inputs], [*(weights[n] for n in trained), *x],
        mode, seed,
    )  # fmt: skip


def _named(names: frozenset[str], known: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in known.items() if name in names}


def _flat(layer: Any, returned: Any, trained: list[str], inputs: int) -> tuple[Array, ...]:
    """The gradients of the trained weights, then those of the inputs."""
    dxs, dws = returned, {}
    if layer.specs:
        pair = isinstance(returned, tuple) and len(returned) == 2
        if not pair or not isinstance(returned[1], dict):
            raise TypeError(
                f"{layer.label}: backward must return (dx, dws) with a dict of the gradients of its weights, got "
                f"{type(returned).__name__}"
            )
        dxs, dws = returned
    missing = [name for name in trained if dws.get(name) is None]
    unknown = [name for name in dws if name not in layer.specs]
    if missing or unknown:
        raise ValueError(
            f"{layer.label}: backward returned gradients of {sorted(dws)}, and the weights that are trained are "
            f"{trained}"
        )
    if inputs == 1:
        dxs = (dxs,)
    if not isinstance(dxs, tuple) or len(dxs) != inputs:
        raise ValueError(f"{layer.label}: backward must return a tuple of {inputs} dx, one each")
    for dx in (*(dws[name] for name in trained), *dxs):
        if not hasattr(dx, "shape"):
            raise TypeError(f"{layer.label}: backward must return arrays, got {dx!r}")
    return (*(dws[name] for name in trained), *dxs)


def check_loss(loss: Any, y_true: Any = None, y_pred: Any = None, *, seed: int = 0) -> float:
    """Compare the gradient of a loss with JAX's, or with central differences where `check_layer` does.

    Parameters
    ----------
    loss : arrayconv.models.Loss, or pair of callables
        A loss, or ``(f, f_vjp)`` as ``compile`` takes it.
    y_true, y_pred : array, shape (N, ...), optional
        Where to compare; by default five samples of four random probabilities that sum to 1.
    seed : int
        The seed of these and of the upstream gradient.

    Returns
    -------
    float
        The largest error, as `check_layer` returns it.

    Raises
    ------
    GradientMismatch
        If the gradient or its shape is wrong.
    TypeError
        If ``loss`` is neither a loss nor a pair.
    ValueError
        If the loss's values do not have shape (N,).

    Examples
    --------
    >>> import arrayconv as ac
    >>> def half(y, p):
    ...     return ((p - y) ** 2).sum(-1) / 2
    >>> def half_vjp(dy, y, p):
    ...     return dy[:, None] * (p - y)
    >>> ac.verify.check_loss((half, half_vjp)) < 1e-10
    True
    """
    if not isinstance(loss, tuple) and not hasattr(loss, "gradient"):
        raise TypeError(f"check_loss: loss must be a Loss or a pair (f, f_vjp), got {loss!r}")
    values, gradient = loss if isinstance(loss, tuple) else (loss.values, loss.gradient)
    drawn = np.random.default_rng(seed).uniform(0.1, 1.0, (2, 5, 4))
    drawn /= drawn.sum(-1, keepdims=True)
    truth = host(drawn[0] if y_true is None else y_true)
    at = host(drawn[1] if y_pred is None else y_pred).astype(np.float64)
    if hasattr(loss, "targets"):
        truth = host(loss.targets(array_namespace("check_loss", y_pred=at), truth, at))
    name = getattr(values, "__name__", "loss") if isinstance(loss, tuple) else loss.name

    def forward(y_pred: Array) -> Array:
        y = values(beside(truth, y_pred), y_pred)
        if y.shape != y_pred.shape[:1]:
            raise ValueError(
                f"{name}: must give a value for each sample, shape {y_pred.shape[:1]}, got {y.shape}"
            )
        return y

    def backward(dy: Array, y_pred: Array) -> Array:
        return gradient(dy, beside(truth, y_pred), y_pred)

    return _compare(name, forward, backward, ["y_pred"], [at], {}, seed)


def _compare(
    label: str,
    forward: Callable[..., Array],
    backward: Callable[..., Any],
    names: list[str],
    arrays: list[Host],
    mode: dict[str, bool],
    seed: int,
) -> float:
    forward.__name__ = label
    forward.__signature__ = Signature(  # type: ignore[attr-defined]
        [Parameter(name, Parameter.POSITIONAL_ONLY) for name in names]
    )
    given: dict[str, Any] = {"vjp": backward, "seed": seed, **mode}
    try:
        import jax
    except ImportError:
        return check_directional(forward, *arrays, **given)
    try:
        return check_vjp(forward, *arrays, **given)
    except TypeError as error:
        # only if forward calls NumPy, which fails on JAX's tracers
        if not isinstance(error.__cause__, jax.errors.TracerArrayConversionError):
            raise
        return check_directional(forward, *arrays, **given)

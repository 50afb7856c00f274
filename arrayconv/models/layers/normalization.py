"""Normalization layers, and fixed scaling of the data."""

from __future__ import annotations

from typing import Any

import numpy as np

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.arrays import moved
from arrayconv.models.checks import Shape
from arrayconv.models.layers.base import Layer, Weights, WeightSpec
from arrayconv.namespace import Array, array_namespace, cast, to_numpy


class BatchNormalization(Layer):
    """Normalize each channel to mean 0 and variance 1, then scale by ``gamma`` and shift by ``beta``.

    In training the mean and the biased variance are those of the batch, and update the moving averages:
    ``moving = momentum * moving + (1 - momentum) * batch``. Otherwise, and if the layer is not trainable, the
    moving averages are used.

    Parameters
    ----------
    axis : int
        The axis of the channels: the last, or 1 for channels_first.
    momentum : float
        Weight of the old moving average, in [0, 1]; PyTorch's momentum is 1 minus this.
    epsilon : float
        Added to the variance; 1e-3, as in Keras.
    center, scale : bool
        Whether to shift by ``beta``, and whether to scale by ``gamma``.
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer : str or Initializer
        Initial weights, each of shape (C,).
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
        Penalties on the weights, added to the loss.

    Raises
    ------
    TypeError, ValueError
        A momentum or epsilon that is not a number or out of range; once the input shape is known, another axis.

    Notes
    -----
    S. Ioffe and C. Szegedy, "Batch normalization", arXiv:1502.03167, algorithms 1 and 2.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> layer = models.BatchNormalization()
    >>> y = layer(np.asarray([[1.0], [3.0]]), training=True)
    >>> y.round(2)
    array([[-1.],
           [ 1.]])
    >>> [round(float(w[0]), 3) for w in layer.get_weights()]
    [1.0, 0.0, 0.02, 1.0]
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        label = self.label
        self.axis = axis
        self.momentum = checks.number(label, "momentum", momentum)
        if not 0 <= self.momentum <= 1:
            raise ValueError(f"{label}: momentum must lie in [0, 1], got {momentum!r}")
        self.epsilon = checks.number(label, "epsilon", epsilon, above=0)
        self.center = checks.flag(label, "center", center)
        self.scale = checks.flag(label, "scale", scale)
        self._keep("beta", beta_initializer, beta_regularizer)
        self._keep("gamma", gamma_initializer, gamma_regularizer)
        self._keep("moving_mean", moving_mean_initializer)
        self._keep("moving_variance", moving_variance_initializer)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        axis = checks.axis(self.label, self.axis, shape)
        if axis not in (1, len(shape)):
            raise ValueError(
                f"{self.label}: axis must be -1 (channels last) or 1 (channels first), got {self.axis}"
            )
        channels = (shape[axis - 1],)
        return {
            **_scale_and_offset(self, channels),
            "moving_mean": self._spec("moving_mean", channels, trainable=False),
            "moving_variance": self._spec("moving_variance", channels, trainable=False),
        }

    def _options(self, x: Array) -> dict[str, Any]:
        last = self.axis % x.ndim == x.ndim - 1
        layout = "channels_last" if last else "channels_first"
        return {"eps": self.epsilon, "data_format": layout}

    def forward(self, w: Weights, x: Array, *, training: bool) -> Any:
        gamma, beta, options = w.get("gamma"), w.get("beta"), self._options(x)
        mean, variance = w["moving_mean"], w["moving_variance"]
        if not (training and self.trainable):
            return ac.batch_norm_inference(x, gamma, beta, mean, variance, **options)
        y, batch_mean, batch_variance = ac.batch_norm(x, gamma, beta, **options)
        return y, {
            "moving_mean": _blend(mean, batch_mean, self.momentum),
            "moving_variance": _blend(variance, batch_variance, self.momentum),
        }

    def backward(self, dy: Array, w: Weights, x: Array, *, training: bool) -> Any:
        gamma, beta, options = w.get("gamma"), w.get("beta"), self._options(x)
        if training and self.trainable:
            dx, dgamma, dbeta = ac.batch_norm_vjp(dy, x, gamma, beta, **options)
        else:
            mean, variance = w["moving_mean"], w["moving_variance"]
            dx, dgamma, dbeta, *_ = ac.batch_norm_inference_vjp(
                dy, x, gamma, beta, mean, variance, **options
            )
        return dx, {"gamma": dgamma, "beta": dbeta}


class LayerNormalization(Layer):
    """Normalize over ``axis`` to mean 0 and variance 1, then scale and shift: `arrayconv.layer_norm`.

    Parameters
    ----------
    axis : int or sequence of int
        The axes to normalize over, which ``gamma`` and ``beta`` have too; the batch is axis 0.
    epsilon, center, scale
        As for `BatchNormalization`, and so are the initializers and regularizers of ``beta`` and ``gamma``.

    Raises
    ------
    ValueError
        An epsilon that is not positive; once the input shape is known, an axis that it does not have.

    Notes
    -----
    J. Ba, J. Kiros and G. Hinton, "Layer normalization", arXiv:1607.06450, equation 4.
    """

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        label = self.label
        self.axis = checks.as_tuple(axis)
        self.epsilon = checks.number(label, "epsilon", epsilon, above=0)
        self.center = checks.flag(label, "center", center)
        self.scale = checks.flag(label, "scale", scale)
        self._keep("beta", beta_initializer, beta_regularizer)
        self._keep("gamma", gamma_initializer, gamma_regularizer)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        axes = _axes_of(self.label, self.axis, shape)
        return _scale_and_offset(self, tuple(shape[axis - 1] for axis in axes))

    def _options(self, x: Array) -> dict[str, Any]:
        axes = _axes_of(self.label, self.axis, tuple(x.shape[1:]))
        return {"axes": axes, "eps": self.epsilon}

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.layer_norm(x, w.get("gamma"), w.get("beta"), **self._options(x))

    def backward(self, dy: Array, w: Weights, x: Array) -> Any:
        dx, dgamma, dbeta = ac.layer_norm_vjp(
            dy, x, w.get("gamma"), w.get("beta"), **self._options(x)
        )
        return (dx, {"gamma": dgamma, "beta": dbeta}) if w else dx


class Rescaling(Layer):
    """``x * scale + offset``: ``Rescaling(1 / 255)`` maps pixels to [0, 1].

    Parameters
    ----------
    scale, offset : float or sequence of float
        One number, or one per channel of channels_last data.

    Raises
    ------
    TypeError, ValueError
        What is not a number; once the input shape is known, a sequence not as long as the last axis.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models import layers
    >>> layers.Rescaling(1 / 2, offset=-1)(np.asarray([[0.0, 4.0]]))
    array([[-1.,  1.]])
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **common: Any) -> None:
        super().__init__(**common)
        for argument, given in (("scale", scale), ("offset", offset)):
            for value in given if isinstance(given, list | tuple) else (given,):
                checks.number(self.label, argument, value)
        self.scale, self.offset = checks.as_tuple(scale), checks.as_tuple(offset)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        for given in (self.scale, self.offset):
            if isinstance(given, tuple) and shape[-1:] != (len(given),):
                raise ValueError(f"{self.label}: {len(given)} numbers do not fit {shape}")
        return {}

    def forward(self, w: Weights, x: Array) -> Array:
        return x * _beside(self.scale, x) + _beside(self.offset, x)

    def backward(self, dy: Array, w: Weights) -> Array:
        return dy * _beside(self.scale, dy)


class Normalization(Layer):
    """``(x - mean) / sqrt(variance)`` with a fixed mean and variance, given or computed by `adapt`.

    Parameters
    ----------
    axis : int or sequence of int, optional
        The axes along which each index has its own mean, by default the last; ``None`` for one mean of all.
    mean, variance : float or nested sequence of float, optional
        In the shape of ``axis``, or broadcast to it; if not given, call `adapt`.
    invert : bool
        Whether to undo the normalization: ``x * sqrt(variance) + mean``.

    Raises
    ------
    ValueError
        If only one of ``mean`` and ``variance`` is given; once the input shape is known, if they do not fit it.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.models import layers
    >>> layer = layers.Normalization()
    >>> layer.adapt(np.asarray([[1.0], [3.0]]))
    >>> layer(np.asarray([[5.0]]))
    array([[3.]])
    """

    def __init__(
        self,
        axis: Any = -1,
        mean: Any = None,
        variance: Any = None,
        invert: bool = False,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        if (mean is None) != (variance is None):
            raise ValueError(f"{self.label}: mean and variance are given together or not at all")
        self.axis = checks.as_tuple(axis)
        self.mean: Any = None if mean is None else np.asarray(mean, dtype=float).tolist()
        self.variance: Any = None if mean is None else np.asarray(variance, dtype=float).tolist()
        self.invert = checks.flag(self.label, "invert", invert)

    def _axes(self, shape: Shape) -> tuple[int, ...]:
        return () if self.axis in (None, ()) else _axes_of(self.label, self.axis, shape)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        kept = tuple(shape[axis - 1] for axis in self._axes(shape))
        if self.mean is not None:
            for name in ("mean", "variance"):
                given = getattr(self, name)
                if not checks.broadcasts(given, kept):
                    raise ValueError(
                        f"{self.label}: {name} must be a number or of shape {kept}, got shape {np.shape(given)}"
                    )
            return {}
        starts = {"mean": (kept, "zeros"), "variance": (kept, "ones"), "count": ((), "zeros")}
        return {name: WeightSpec(*given, trainable=False) for name, given in starts.items()}

    def adapt(self, data: Array) -> None:
        """Set the mean and the variance to those of an array of samples, shape (N, ...)."""
        values = np.asarray(to_numpy(data), dtype=np.float64)
        self.declare(values.shape[1:])
        self.draw(0)
        kept = self._axes(values.shape[1:])
        axes = tuple(i for i in range(values.ndim) if i not in kept)
        mean = values.mean(axes)
        self.set_weights([mean, values.var(axes), values.size / mean.size])

    def _numbers(self, w: Weights, x: Array) -> tuple[Array, Array]:
        axes = self._axes(tuple(x.shape[1:]))
        lengths = tuple(n for i, n in enumerate(x.shape) if i in axes)
        shape = tuple(n if i in axes else 1 for i, n in enumerate(x.shape))
        xp = array_namespace(self.label, x=x)
        if w:
            mean, variance = (xp.reshape(w[name], shape) for name in ("mean", "variance"))
        else:
            mean, variance = (
                moved(np.broadcast_to(numbers, lengths).reshape(shape), x)
                for numbers in (self.mean, self.variance)
            )
        deviation = xp.sqrt(variance)
        # as in Keras, against division by 0
        return mean, xp.maximum(deviation, xp.full_like(deviation, 1e-7))

    def forward(self, w: Weights, x: Array) -> Array:
        mean, deviation = self._numbers(w, x)
        return x * deviation + mean if self.invert else (x - mean) / deviation

    def backward(self, dy: Array, w: Weights) -> Any:
        deviation = self._numbers(w, dy)[1]
        dx = dy * deviation if self.invert else dy / deviation
        return (dx, {}) if w else dx


def _axes_of(label: str, axis: Any, shape: Shape) -> tuple[int, ...]:
    """One axis or several as a sorted tuple of ints of at least 1; repeated ones are refused."""
    given = axis if isinstance(axis, tuple) else (axis,)
    axes = sorted(checks.axis(label, a, shape) for a in given)
    if not axes or len(set(axes)) < len(axes):
        raise ValueError(f"{label}: axis must name each axis once, got {axis!r}")
    return tuple(axes)


def _scale_and_offset(layer: Any, shape: Shape) -> dict[str, WeightSpec]:
    used = {"gamma": layer.scale, "beta": layer.center}
    return {name: layer._spec(name, shape) for name, is_used in used.items() if is_used}


def _blend(moving: Array, batch: Array, momentum: float) -> Array:
    batch = cast(array_namespace("batch_norm", batch=batch), batch, moving.dtype)
    return moving * momentum + batch * (1 - momentum)


def _beside(numbers: Any, x: Array) -> Any:
    if not isinstance(numbers, tuple):
        return numbers
    # (C) -> (1, ..., 1, C), since JAX may be set to refuse rank promotion
    return moved(np.asarray(numbers).reshape((1,) * (x.ndim - 1) + (-1,)), x)

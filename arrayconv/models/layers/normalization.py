"""Normalizations as layers."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.models import checks
from arrayconv.models.checks import Shape
from arrayconv.models.initializers import initializer
from arrayconv.models.layers.base import Layer, Weights, WeightSpec
from arrayconv.models.regularizers import regularizer
from arrayconv.namespace import Array, array_namespace, cast


class BatchNormalization(Layer):
    """Each channel to mean 0 and variance 1 over the batch, then scaled and shifted.

    In training the statistics are the batch's, and the moving averages follow them,
    ``moving = momentum * moving + (1 - momentum) * batch``, with the biased variance; otherwise, and when
    the layer is not trainable, the moving averages serve.

    Parameters
    ----------
    axis : int
        The axis of the channels: the last, or 1 for channels_first.
    momentum : float
        Weight of the past in the moving averages, in [0, 1].
    epsilon : float
        Added to the variance; 1e-3, as in Keras.
    center, scale : bool
        Whether there is an offset ``beta`` and a factor ``gamma``.
    beta_initializer, gamma_initializer, moving_mean_initializer, moving_variance_initializer : str or Initializer
        How the weights start.
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
        What the weights add to the loss.

    Raises
    ------
    ValueError
        A momentum or an epsilon out of range; once the input's shape is known, an axis that it lacks.

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
        self.epsilon = checked_epsilon(label, epsilon)
        self.center = checks.flag(label, "center", center)
        self.scale = checks.flag(label, "scale", scale)
        self.beta_initializer = initializer(label, "beta_initializer", beta_initializer)
        self.gamma_initializer = initializer(label, "gamma_initializer", gamma_initializer)
        self.moving_mean_initializer = initializer(
            label, "moving_mean_initializer", moving_mean_initializer
        )
        self.moving_variance_initializer = initializer(
            label, "moving_variance_initializer", moving_variance_initializer
        )
        self.beta_regularizer = regularizer(label, "beta_regularizer", beta_regularizer)
        self.gamma_regularizer = regularizer(label, "gamma_regularizer", gamma_regularizer)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        axis = checks.axis(self.label, self.axis, shape)
        if axis not in (1, len(shape)):
            raise ValueError(
                f"{self.label}: axis must be -1 (channels last) or 1 (channels first), got {self.axis}"
            )
        channels = (shape[axis - 1],)
        return {
            **scale_and_offset(self, channels),
            "moving_mean": WeightSpec(channels, self.moving_mean_initializer, False),
            "moving_variance": WeightSpec(channels, self.moving_variance_initializer, False),
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
    """Each sample to mean 0 and variance 1 along ``axis``, then scaled and shifted: `arrayconv.layer_norm`.

    Parameters
    ----------
    axis : int or sequence of int
        Where the statistics are taken, and the axes of ``gamma`` and ``beta``; the batch is axis 0.
    epsilon : float
        Added to the variance; 1e-3, as in Keras.
    center, scale : bool
        Whether there is an offset ``beta`` and a factor ``gamma``.
    beta_initializer, gamma_initializer : str or Initializer
        How the weights start.
    beta_regularizer, gamma_regularizer : str or Regularizer, optional
        What the weights add to the loss.

    Raises
    ------
    ValueError
        An epsilon that is not positive; once the input's shape is known, an axis that it lacks.

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
        self.epsilon = checked_epsilon(label, epsilon)
        self.center = checks.flag(label, "center", center)
        self.scale = checks.flag(label, "scale", scale)
        self.beta_initializer = initializer(label, "beta_initializer", beta_initializer)
        self.gamma_initializer = initializer(label, "gamma_initializer", gamma_initializer)
        self.beta_regularizer = regularizer(label, "beta_regularizer", beta_regularizer)
        self.gamma_regularizer = regularizer(label, "gamma_regularizer", gamma_regularizer)

    def build(self, shape: Shape) -> dict[str, WeightSpec]:
        axes = checked_axes(self.label, self.axis, shape)
        return scale_and_offset(self, tuple(shape[axis - 1] for axis in axes))

    def _options(self, x: Array) -> dict[str, Any]:
        axes = checked_axes(self.label, self.axis, tuple(x.shape[1:]))
        return {"axes": axes, "eps": self.epsilon}

    def forward(self, w: Weights, x: Array) -> Array:
        return ac.layer_norm(x, w.get("gamma"), w.get("beta"), **self._options(x))

    def backward(self, dy: Array, w: Weights, x: Array) -> Any:
        dx, dgamma, dbeta = ac.layer_norm_vjp(
            dy, x, w.get("gamma"), w.get("beta"), **self._options(x)
        )
        return (dx, {"gamma": dgamma, "beta": dbeta}) if w else dx


def checked_axes(label: str, axis: Any, shape: Shape) -> tuple[int, ...]:
    """One axis or several as ascending ints from 1 on, each named once."""
    given = axis if isinstance(axis, tuple) else (axis,)
    axes = sorted(checks.axis(label, a, shape) for a in given)
    if not axes or len(set(axes)) < len(axes):
        raise ValueError(f"{label}: axis must name each axis once, got {axis!r}")
    return tuple(axes)


def checked_epsilon(label: str, epsilon: Any) -> float:
    """A positive number."""
    value = checks.number(label, "epsilon", epsilon)
    if not value > 0:
        raise ValueError(f"{label}: epsilon must be greater than 0, got {epsilon!r}")
    return value


def scale_and_offset(layer: Any, shape: Shape) -> dict[str, WeightSpec]:
    """``gamma`` and ``beta`` of a normalization, where it has them."""
    specs = {}
    if layer.scale:
        specs["gamma"] = WeightSpec(
            shape, layer.gamma_initializer, regularizer=layer.gamma_regularizer
        )
    if layer.center:
        specs["beta"] = WeightSpec(
            shape, layer.beta_initializer, regularizer=layer.beta_regularizer
        )
    return specs


def _blend(moving: Array, batch: Array, momentum: float) -> Array:
    batch = cast(array_namespace("batch_norm", batch=batch), batch, moving.dtype)
    return moving * momentum + batch * (1 - momentum)

"""Normalizations as layers."""

from __future__ import annotations

from typing import Any

import arrayconv as ac
from arrayconv.models_old.initializers import initializer
from arrayconv.models_old.layer import Backward, Forward, Layer, Weights, WeightSpec
from arrayconv.models_old.shapes import Shape, checked_axis, checked_flag, checked_number
from arrayconv.namespace import Array, array_namespace


class _Normalization(Layer):
    """What the normalizations share: epsilon, and a scale and an offset."""

    uses = ("x",)

    def __init__(
        self,
        epsilon: float,
        center: bool,
        scale: bool,
        beta_initializer: Any,
        gamma_initializer: Any,
        **common: Any,
    ) -> None:
        super().__init__(**common)
        self.epsilon = checked_number(self.label, "epsilon", epsilon)
        if not self.epsilon > 0:
            raise ValueError(f"{self.label}: epsilon must be greater than 0, got {epsilon!r}")
        self.center = checked_flag(self.label, "center", center)
        self.scale = checked_flag(self.label, "scale", scale)
        self.beta_initializer = initializer(self.label, "beta_initializer", beta_initializer)
        self.gamma_initializer = initializer(self.label, "gamma_initializer", gamma_initializer)

    def _affine(self, shape: Shape) -> dict[str, WeightSpec]:
        specs = {}
        if self.scale:
            specs["gamma"] = WeightSpec(shape, self.gamma_initializer)
        if self.center:
            specs["beta"] = WeightSpec(shape, self.beta_initializer)
        return specs

    def _gradients(self, w: Weights, dgamma: Array | None, dbeta: Array | None) -> dict[str, Array]:
        found = {"gamma": dgamma, "beta": dbeta}
        return {name: g for name, g in found.items() if name in w and g is not None}


class BatchNormalization(_Normalization):
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
        **common: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, beta_initializer, gamma_initializer, **common)
        self.axis = axis
        self.momentum = checked_number(self.label, "momentum", momentum)
        if not 0 <= self.momentum <= 1:
            raise ValueError(f"{self.label}: momentum must lie in [0, 1], got {momentum!r}")
        self.moving_mean_initializer = initializer(
            self.label, "moving_mean_initializer", moving_mean_initializer
        )
        self.moving_variance_initializer = initializer(
            self.label, "moving_variance_initializer", moving_variance_initializer
        )

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        (shape,) = shapes
        axis = checked_axis(self.label, self.axis, shape)
        if axis not in (1, len(shape)):
            raise ValueError(
                f"{self.label}: axis must be -1 (channels last) or 1 (channels first), got {self.axis}"
            )
        channels = (shape[axis - 1],)
        return shape, {
            **self._affine(channels),
            "moving_mean": WeightSpec(channels, self.moving_mean_initializer, False),
            "moving_variance": WeightSpec(channels, self.moving_variance_initializer, False),
        }

    def _options(self, x: Array) -> dict[str, Any]:
        last = self.axis % x.ndim == x.ndim - 1
        layout = "channels_last" if last else "channels_first"
        return {"eps": self.epsilon, "data_format": layout}

    def forward(
        self, w: Weights, *x: Array, training: bool = False, mask: Array | None = None
    ) -> Forward:
        gamma, beta, options = w.get("gamma"), w.get("beta"), self._options(x[0])
        mean, variance = w["moving_mean"], w["moving_variance"]
        if not (training and self.trainable):
            return ac.batch_norm_inference(x[0], gamma, beta, mean, variance, **options), {}
        y, batch_mean, batch_variance = ac.batch_norm(x[0], gamma, beta, **options)
        m = self.momentum
        return y, {
            "moving_mean": _blend(mean, batch_mean, m),
            "moving_variance": _blend(variance, batch_variance, m),
        }

    def backward(
        self,
        dy: Array,
        w: Weights,
        *x: Array,
        y: Array,
        training: bool = False,
        mask: Array | None = None,
        need: bool = True,
    ) -> Backward:
        gamma, beta, options = w.get("gamma"), w.get("beta"), self._options(x[0])
        if training and self.trainable:
            dx, dgamma, dbeta = ac.batch_norm_vjp(dy, x[0], gamma, beta, **options)
        else:
            mean, variance = w["moving_mean"], w["moving_variance"]
            dx, dgamma, dbeta, *_ = ac.batch_norm_inference_vjp(
                dy, x[0], gamma, beta, mean, variance, **options
            )
        return (dx if need else None,), self._gradients(w, dgamma, dbeta)


class LayerNormalization(_Normalization):
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
        **common: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, beta_initializer, gamma_initializer, **common)
        self.axis = tuple(axis) if isinstance(axis, list | tuple) else axis

    def _axes(self, shape: Shape) -> tuple[int, ...]:
        given = self.axis if isinstance(self.axis, tuple) else (self.axis,)
        axes = sorted(checked_axis(self.label, axis, shape) for axis in given)
        if not axes or len(set(axes)) < len(axes):
            raise ValueError(f"{self.label}: axis must name each axis once, got {self.axis!r}")
        return tuple(axes)

    def plan(self, *shapes: Shape) -> tuple[Shape, dict[str, WeightSpec]]:
        (shape,) = shapes
        return shape, self._affine(tuple(shape[axis - 1] for axis in self._axes(shape)))

    def forward(
        self, w: Weights, *x: Array, training: bool = False, mask: Array | None = None
    ) -> Forward:
        axes = self._axes(tuple(x[0].shape[1:]))
        return ac.layer_norm(x[0], w.get("gamma"), w.get("beta"), axes=axes, eps=self.epsilon), {}

    def backward(
        self,
        dy: Array,
        w: Weights,
        *x: Array,
        y: Array,
        training: bool = False,
        mask: Array | None = None,
        need: bool = True,
    ) -> Backward:
        axes = self._axes(tuple(x[0].shape[1:]))
        dx, dgamma, dbeta = ac.layer_norm_vjp(
            dy, x[0], w.get("gamma"), w.get("beta"), axes=axes, eps=self.epsilon
        )
        return (dx if need else None,), self._gradients(w, dgamma, dbeta)


def _blend(moving: Array, batch: Array, momentum: float) -> Array:
    batch = array_namespace("batch_norm", batch=batch).astype(batch, moving.dtype)
    return moving * momentum + batch * (1 - momentum)

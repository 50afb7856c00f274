"""`verify.check_layer` and `check_loss`: every layer and loss of ours passes, and each mistake is named."""

import sys

import numpy as np
import pytest
from test_models_layers import CASES, RANKS, case_id

from arrayconv import models, verify
from arrayconv.models import layers, losses


class Scale(models.Layer):
    """Right, but for what a test puts in place of its gradients."""

    def __init__(self, wrong=None, **common):
        super().__init__(**common)
        self.wrong = wrong or (lambda dx, ds: (dx, {"s": ds}))

    def build(self, shape):
        return {"s": models.WeightSpec((shape[-1],), "ones")}

    def forward(self, w, x):
        return x * w["s"]

    def backward(self, dy, w, x):
        return self.wrong(dy * w["s"], (dy * x).sum(0))


@pytest.fixture(params=["jax", "differences"])
def oracle(request, monkeypatch):
    if request.param == "jax":
        pytest.importorskip("jax")
        return 1e-10
    monkeypatch.setitem(sys.modules, "jax", None)
    return 1e-6


# one configuration of each class
FIRST = list({case[0]: case for case in reversed(CASES)}.values())


@pytest.mark.parametrize("case", FIRST, ids=case_id)
def test_our_layers_pass(case):
    pytest.importorskip("jax")
    kind, _, arguments, shape, *_ = case
    shapes = shape if isinstance(shape, list) else [RANKS.get(shape, shape)]
    assert verify.check_layer(kind(**arguments), *shapes) < 1e-10


def test_noise_and_training_are_checked_too(oracle):
    assert verify.check_layer(layers.Dropout(0.4), (6,)) < oracle
    assert verify.check_layer(layers.BatchNormalization(), (4, 3)) < oracle
    assert verify.check_layer(layers.Dense(3, activation="gelu"), (4,)) < oracle


class Half(models.Layer):
    """Dropout that forgets its noise on the way back, in training alone."""

    def noise(self, rng, shape):
        return rng.random(shape) > 0.5

    def forward(self, w, x, *, noise):
        return x if noise is None else x * noise

    def backward(self, dy, w):
        return dy


def test_a_gradient_that_forgets_the_noise_is_found(oracle):
    with pytest.raises(verify.GradientMismatch, match=r"^Half\(x: \(3, 6\), training=True\)"):
        verify.check_layer(Half(), (6,))


MISTAKES = [
    (lambda dx, ds: (2 * dx, {"s": ds}), verify.GradientMismatch, r"Scale 'mine'\(s: \(4,\), x: "),
    (lambda dx, ds: (dx, {"s": -ds}), verify.GradientMismatch, "ds"),
    (lambda dx, ds: (dx, {"s": ds.sum()}), verify.GradientMismatch, r"ds is \(\) float64, and .* \(4"),
    (lambda dx, ds: (ds, {"s": ds}), verify.GradientMismatch, r"dx is \(4,\) float64, and .* \(3, 4"),
    (lambda dx, ds: (dx, {}), ValueError, r"gradients of \[\], .* \['s'\]"),
    (lambda dx, ds: (dx, {"s": ds, "t": ds}), ValueError, r"gradients of \['s', 't'\], .* \['s'\]"),
    (lambda dx, ds: (dx, {"s": 1.0}), TypeError, "must return arrays, got 1.0"),
    (lambda dx, ds: dx, TypeError, r"Scale 'mine': backward must return \(dx, dws\)"),
    (lambda dx, ds: ((dx, dx), {"s": ds}), TypeError, "must return arrays"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "kind", "message"), MISTAKES, ids=[m for *_, m in MISTAKES])
def test_mistakes_are_named(wrong, kind, message, oracle):
    with pytest.raises(kind, match=message):
        verify.check_layer(Scale(wrong, name="mine"), (4,))


def test_the_layer_keeps_its_weights():
    layer = Scale()
    layer(np.ones((1, 4)))
    before = layer.weights
    verify.check_layer(layer, (4,))
    assert layer.weights is before
    np.testing.assert_array_equal(before["s"], np.ones(4))


def test_a_forward_in_numpy_is_compared_with_differences():
    class Sine(models.Layer):
        def forward(self, w, x):
            return np.sin(x)

        def backward(self, dy, w, x):
            return self.factor * dy * np.cos(x)

    Sine.factor = 1
    assert verify.check_layer(Sine(), (4,)) < 1e-6
    Sine.factor = 2
    with pytest.raises(verify.GradientMismatch, match="central differences say"):
        verify.check_layer(Sine(), (4,))


@pytest.mark.parametrize("name", sorted(set(losses.LOSSES)))
def test_our_losses_pass(name, oracle):
    labels = np.asarray([0, 3, 1, 1, 2]) if name.startswith("sparse") else None
    assert verify.check_loss(losses.LOSSES[name](), labels) < oracle


def test_a_wrong_loss_is_named(oracle):
    def cube(y, p):
        return ((p - y) ** 3).sum(-1)

    with pytest.raises(verify.GradientMismatch, match=r"^cube\(y_pred: \(5, 4\)\): "):
        verify.check_loss((cube, lambda dy, y, p: dy[:, None] * 2 * (p - y) ** 2))
    with pytest.raises(ValueError, match=r"half: must give a value for each sample, shape \(5,\)"):
        verify.check_loss(losses.Pair(lambda y, p: p.sum(), lambda dy, y, p: p, "half"))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: verify.check_layer(models.Flatten, (3,)),
            r"must be a Layer, .*Flatten\(\) makes one",
        ),
        (lambda: verify.check_layer(models.Flatten()), "give the shape of each input of Flatten"),
        (lambda: verify.check_loss("mse"), "must be a Loss or a pair"),
    ],
)
def test_what_cannot_be_checked(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call()

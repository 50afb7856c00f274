"""Metrics made of several sums, and metrics that weigh their samples, against Keras 3."""

import csv
import json

import numpy as np
import pytest
from reference_keras import keras_in

from arrayconv import models
from arrayconv.namespace import array_namespace

RNG = np.random.default_rng(11)
YES = RNG.integers(0, 2, (60, 1))
# on the thresholds too, and past both ends
SCORES = np.clip(0.4 * YES + 0.8 * RNG.random((60, 1)) - 0.1, 0, 1).round(2)
CLASSES = np.eye(3)[RNG.integers(0, 3, 60)]
P = RNG.dirichlet(np.ones(3), 60) + 0.3 * CLASSES
WEIGHT = RNG.random(60) + 0.1


CASES = [
    ("AUC", {}, YES, SCORES),
    ("AUC", {"curve": "pr"}, YES, SCORES),
    ("AUC", {"num_thresholds": 5}, YES, SCORES),
    ("AUC", {"num_thresholds": 7, "curve": "PR"}, CLASSES, P / P.sum(-1, keepdims=True)),
    *(
        ("AUC", {"num_thresholds": 9, "curve": curve, "summation_method": method}, YES, SCORES)
        for curve in ("ROC", "PR")
        for method in ("minoring", "majoring")
    ),
    ("F1Score", {}, CLASSES, P),
    ("F1Score", {"average": "macro"}, CLASSES, P),
    ("F1Score", {"average": "micro"}, CLASSES, P),
    ("F1Score", {"average": "weighted"}, CLASSES, P),
    ("F1Score", {"average": "macro", "threshold": 0.45}, CLASSES, P),
    ("Precision", {}, YES, SCORES),
    ("Recall", {}, YES, SCORES),
    ("BinaryAccuracy", {}, YES, SCORES),
    ("CategoricalAccuracy", {}, CLASSES, P),
    ("SparseCategoricalAccuracy", {}, CLASSES.argmax(-1), P),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, CLASSES.argmax(-1), P),
]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_scores_over_batches(xp, case, weighted):
    name, arguments, y, p = case
    metric = getattr(models.metrics, name)(**arguments)
    with keras_in("float64") as keras:
        theirs = getattr(keras.metrics, name)(**arguments)
        total = 0.0
        for part in (slice(0, 25), slice(25, 60)):
            weight = WEIGHT[part] if weighted else None
            theirs.update_state(y[part], p[part], sample_weight=weight)
            given = None if weight is None else xp.array(weight)
            q = xp.array(p[part])
            sums = metric.sums(array_namespace("", q=q), xp.array(y[part]), q, given)
            numbers = [np.atleast_1d(n if isinstance(n, int) else xp.to_numpy(n)) for n in sums]
            total = total + np.concatenate(numbers)
        assert total.shape == (metric.size(p.shape[1:]),)
        got, want = metric.result(total), np.asarray(theirs.result())
        assert np.shape(got) == want.shape
        np.testing.assert_allclose(got, want, rtol=1e-6)


def test_an_empty_epoch_scores_nothing():
    found = models.metrics.AUC, models.metrics.F1Score
    for metric in (found[0](), found[0](curve="PR"), found[1]("macro"), found[1]()):
        assert np.all(metric(np.zeros((4, 2)), np.zeros((4, 2))) == 0)


def test_weighted_metrics_of_a_fit():
    with keras_in("float64") as keras:
        found = []
        for m in (keras, models):
            model = m.Sequential([m.Input((3,)), m.layers.Dense(3, activation="softmax")])
            model.set_weights([np.eye(3), np.zeros(3)])
            model.compile(
                "sgd",
                "categorical_crossentropy",
                metrics=["accuracy", m.metrics.F1Score(average="macro")],
                weighted_metrics=["accuracy", "mae"],
            )
            how = {"sample_weight": WEIGHT, "shuffle": False, "verbose": 0, "batch_size": 20}
            history = model.fit(P, CLASSES, epochs=2, **how).history
            numbers = model.evaluate(P, CLASSES, sample_weight=WEIGHT, verbose=0, return_dict=True)
            found += [history, numbers]
    theirs, their_numbers, ours, our_numbers = found
    assert set(ours) == set(theirs) == {"loss", "accuracy", "f1_score", "weighted_accuracy", "mae"}
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-6, err_msg=name)
    assert our_numbers == pytest.approx(their_numbers, rel=1e-6)


def test_a_score_by_class_in_a_fit(tmp_path, capsys):
    found = []
    with keras_in("float64") as keras:
        for m in (keras, models):
            model = m.Sequential([m.Input((3,)), m.layers.Dense(3, activation="softmax")])
            model.set_weights([np.eye(3), np.zeros(3)])
            model.compile("sgd", "categorical_crossentropy", metrics=[m.metrics.F1Score()])
            how = {"shuffle": False, "verbose": 2, "validation_data": (P, CLASSES)}
            log = m.callbacks.CSVLogger(str(tmp_path / m.__name__))
            history = model.fit(P, CLASSES, epochs=2, callbacks=[log], **how)
            found.append((history.history, model.evaluate(P, CLASSES, verbose=0)))
    (theirs, their_numbers), (ours, our_numbers) = found
    assert set(ours) == set(theirs)
    for name, values in theirs.items():
        np.testing.assert_allclose(ours[name], values, rtol=1e-6, err_msg=name)
    np.testing.assert_allclose(our_numbers[1], their_numbers[1], rtol=1e-6)
    # both show the mean
    mean = f"{ours['val_f1_score'][-1].mean():.4f}"
    shown = capsys.readouterr().out
    assert f"val_f1_score: {mean}" in shown
    assert f"val_f1_score {mean}" in shown
    assert f"val_f1_score={float(mean):.4g}" in repr(history)
    rows = list(csv.DictReader((tmp_path / "arrayconv.models").read_text().splitlines()))
    assert json.loads(rows[1]["f1_score"]) == ours["f1_score"][1].tolist()
    stop = models.callbacks.EarlyStopping("val_f1_score", mode="max")
    with pytest.raises(ValueError, match="monitor='val_f1_score' has a number for each class"):
        model.fit(P, CLASSES, callbacks=[stop], **how)
    for field in ("{val_f1_score:.2f}", "{val_f1_score[0]:.2f}"):
        each = models.callbacks.ModelCheckpoint(str(tmp_path / f"{field}.keras"))
        with pytest.raises(ValueError, match="field='val_f1_score' has a number for each class"):
            model.fit(P, CLASSES, callbacks=[each], **how)
        assert model.history.epoch == []


@pytest.mark.parametrize("library", ["jax.numpy", "torch"])
def test_scores_of_a_fit_in_other_libraries(library):
    xp = pytest.importorskip(library)
    found = []
    for array in (np.asarray, xp.asarray):
        models.set_seed(0)
        model = models.Sequential([models.Dense(3, activation="softmax")])
        metrics = [models.metrics.AUC(20), models.metrics.F1Score("weighted")]
        model.compile("nadam", "huber", metrics=metrics, weighted_metrics=["accuracy"])
        x, y = array(P.astype("float32")), array(CLASSES.astype("float32"))
        found.append(model.fit(x, y, epochs=2, sample_weight=WEIGHT, verbose=0).history)
    for name, values in found[0].items():
        np.testing.assert_allclose(found[1][name], values, rtol=1e-4, err_msg=name)


def test_what_cannot_be_weighed():
    class Largest(models.Metric):
        def ratio(self, xp, y_true, y_pred):
            return xp.max(y_pred), 1

    model = models.Sequential([models.Dense(1, input_shape=(1,))])
    with pytest.raises(TypeError, match="weighted_metrics: 'metric' has no values to weigh"):
        model.compile("sgd", "mse", weighted_metrics=[Largest()])
    model.compile("sgd", "mse", weighted_metrics=[lambda y, p: (y - p).mean()])
    with pytest.raises(ValueError, match=r"'?<lambda>'?: a weighted metric needs a number per sam"):
        model.fit(SCORES, YES, sample_weight=WEIGHT, verbose=0)
    with pytest.raises(ValueError, match="F1Score: average must be one of None, 'macro', 'micro'"):
        models.metrics.F1Score("mean")
    with pytest.raises(ValueError, match="AUC: summation_method must be one of interpolation, maj"):
        models.metrics.AUC(summation_method="mid")
    with pytest.raises(ValueError, match="AUC: curve must be one of PR, ROC, pr, roc, got 'AP'"):
        models.metrics.AUC(curve="AP")

"""Scores of yes and no: precision, recall, the F score and the area under a curve."""

from __future__ import annotations

from arrayconv.models.metrics.metric import Metric, Terms
from arrayconv.models.targets import aligned
from arrayconv.namespace import Array, Namespace


class Precision(Metric):
    """Of the outputs above ``threshold``, the share whose target is 1.

    Parameters
    ----------
    name : str, optional
    threshold : float

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.Precision()(np.asarray([1, 0, 1]), np.asarray([[0.9], [0.8], [0.1]])))
    0.5
    """

    name, best = "precision", "max"

    def __init__(self, name: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(name)
        self.threshold = threshold

    def terms(self, xp: Namespace, y_true: Array, y_pred: Array) -> Terms:
        found, wanted = y_pred > self.threshold, aligned(self.name, xp, y_true, y_pred) > 0.5
        asked = self._among(found, wanted)
        return found & wanted, asked

    def _among(self, found: Array, wanted: Array) -> Array:
        return found


class Recall(Precision):
    """Of the targets that are 1, the share whose output is above ``threshold``.

    Parameters
    ----------
    name : str, optional
    threshold : float

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv import models
    >>> float(models.Recall()(np.asarray([1, 0, 1]), np.asarray([[0.9], [0.8], [0.1]])))
    0.5
    """

    name = "recall"

    def _among(self, found: Array, wanted: Array) -> Array:
        return wanted

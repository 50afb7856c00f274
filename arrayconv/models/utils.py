"""Names of Keras's module ``keras.utils``: one-hot labels, seeds and pictures of models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.models import checks
from arrayconv.models.display import plot_model
from arrayconv.models.initializers import set_seed as set_random_seed

__all__ = ["plot_model", "set_random_seed", "to_categorical"]

_FOLDER = "arrayconv.data.open_folder reads a folder of images"
_BATCHES = "fit takes any iterable of batches (x, y)"
_ELSEWHERE = {
    "PyDataset": _BATCHES,
    "Sequence": _BATCHES,
    "clear_session": "leave it out: there is no session",
    "image_dataset_from_directory": _FOLDER,
    "img_to_array": _FOLDER,
    "load_img": _FOLDER,
    "register_keras_serializable": "leave it out: classes of your own are found by their names",
}


def __getattr__(name: str) -> Any:
    raise checks.absent(__name__, name, _ELSEWHERE.get(name, ""))


def to_categorical(x: Any, num_classes: int | None = None) -> NDArray[np.float32]:
    """One-hot encode labels: 1 at the index of the label, 0 elsewhere.

    Parameters
    ----------
    x : array_like of int, shape (N,), (N, 1) or (N, ...)
        A last axis of length 1 is dropped.
    num_classes : int, optional
        By default the largest label plus one.

    Returns
    -------
    ndarray of float32, shape (N, ..., num_classes)

    Raises
    ------
    TypeError
        If the labels are not whole numbers.
    ValueError
        If a label is outside ``[0, num_classes)``.

    Examples
    --------
    >>> from arrayconv import models
    >>> models.utils.to_categorical([0, 2], 3)
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    labels = np.asarray(x)
    whole = labels.astype(np.int64) if labels.dtype.kind in "biuf" else None
    if whole is None or not np.array_equal(whole, labels):
        raise TypeError(f"to_categorical: x must hold whole numbers, got {labels.dtype}")
    if whole.ndim > 1 and whole.shape[-1] == 1:
        whole = whole[..., 0]
    least, most = (int(whole.min()), int(whole.max())) if whole.size else (0, 0)
    count = most + 1 if num_classes is None else num_classes
    count = checks.count("to_categorical", "num_classes", count)
    if least < 0 or most >= count:
        raise ValueError(f"to_categorical: x must lie in 0..{count - 1}, got {least}..{most}")
    return np.eye(count, dtype=np.float32)[whole]

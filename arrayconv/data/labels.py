"""One-hot encoding."""

from __future__ import annotations

from arrayconv.data.rows import whole
from arrayconv.namespace import Array, DType, array_namespace, placement


def one_hot(labels: Array, classes: int, *, dtype: DType = None) -> Array:
    """One-hot encode class labels: 1 at the index of the label, 0 elsewhere.

    Parameters
    ----------
    labels : array of integers, shape (...)
        In ``[0, classes)``, of any library. Their values are checked, so this computes Dask arrays and cannot be
        traced; under ``jax.jit``, use the sparse losses instead.
    classes : int
        The number of classes.
    dtype : dtype, optional
        The dtype of the result, by default the library's float32.

    Returns
    -------
    array, shape (..., classes)

    Raises
    ------
    TypeError
        If ``labels`` is not an array of integers, or ``classes`` not an int.
    ValueError
        If ``classes`` is not positive, or a label is out of range.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.data import one_hot
    >>> one_hot(np.asarray([0, 2]), 3)
    array([[1., 0., 0.],
           [0., 0., 1.]], dtype=float32)
    """
    xp = array_namespace("one_hot", labels=labels)
    classes = whole("one_hot", "classes", classes, least=1)
    if not xp.isdtype(labels.dtype, "integral"):
        raise TypeError(
            f"one_hot: labels must be integers, got {labels.dtype}; cast them first, for example "
            "xp.astype(labels, xp.int32)"
        )
    if 0 not in labels.shape:
        low, high = int(xp.min(labels)), int(xp.max(labels))
        if low < 0 or high >= classes:
            raise ValueError(
                f"one_hot: labels must lie between 0 and {classes - 1} for {classes} classes, "
                f"got {low if low < 0 else high}"
            )
    # int32, since the number of classes may be too large for the labels' dtype
    wide = xp.astype(labels, xp.int32)
    known = xp.arange(classes, dtype=xp.int32, **placement(labels))
    known = xp.reshape(known, (*(1 for _ in labels.shape), classes))
    return xp.astype(xp.expand_dims(wide, axis=-1) == known, xp.float32 if dtype is None else dtype)

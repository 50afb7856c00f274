"""What a batch of training costs in Python beside the arithmetic: calls of our functions, counted."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

import arrayconv
from arrayconv import models
from arrayconv.models import layers

PACKAGE = str(Path(arrayconv.__file__).parent)
# 459 on Python 3.11, where a comprehension is a call too
MOST = 470


def calls(batches: int) -> int:
    """Return how many calls of the package's functions an epoch of so many batches makes."""
    model = models.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(8, 3, activation="relu"),
            layers.MaxPool2D(2),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    x = np.ones((4 * batches, 8, 8, 1), np.float32)
    y = np.arange(4 * batches) % 10
    # what is found out once is not of a batch
    model.fit(x, y, batch_size=4, verbose=0)
    found = 0

    def count(frame: FrameType, event: str, _: Any) -> None:
        nonlocal found
        found += event == "call" and frame.f_code.co_filename.startswith(PACKAGE)

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        model.fit(x, y, batch_size=4, verbose=0)
    finally:
        sys.setprofile(before)
    return found


def test_a_batch_of_training_makes_few_calls():
    assert (calls(4) - calls(2)) / 2 <= MOST

"""Saving a model in one safetensors file: the weights as tensors, the structure as JSON in the metadata."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from arrayconv.data.sharding import first_process
from arrayconv.models import checks
from arrayconv.models.config import Described
from arrayconv.models.files.keras_arrays import load_keras_weights, save_keras
from arrayconv.models.files.matching import assign
from arrayconv.models.files.tensors import read_tensors, write_tensors
from arrayconv.models.files.torch import load_torch_weights, refuse_pickles
from arrayconv.models.graph import Graph
from arrayconv.models.optimizers.optimizer import Slots
from arrayconv.namespace import to_numpy

# The prefix of the optimizer's arrays: ``optimizer:momentum:dense/kernel``.
_SLOT = "optimizer:"
KERAS = (".h5", ".hdf5", ".keras")


def save(model: Described, path: str | os.PathLike[str]) -> None:
    """Write a model's structure, weights and, if compiled, training state to one file.

    The file holds no code. It is written under a temporary name and renamed when it is complete and on the
    disk, so a process killed meanwhile leaves the old file, and readers never see half a file. Of several
    JAX processes, only the first writes.

    Parameters
    ----------
    model : Model
        Its input shape must be known.
    path : path
        Ends in ``.safetensors`` for everything; in ``.keras`` for architecture and weights, which Keras's
        ``load_model`` reads; or in ``.weights.h5`` for weights only, which Keras's ``load_weights`` reads.

    Raises
    ------
    OSError
        If it cannot be written.
    ValueError
        If ``path`` ends otherwise, the model's input shape is not known yet, or its structure is too long for a file
        with so few weights; for Keras's formats, if Keras does not have one of the layers.

    Notes
    -----
    In a ``.safetensors`` file the arrays are called ``layer/weight``, and those of the optimizer
    ``optimizer:slot:layer/weight``. The metadata have ``format`` and, as JSON, ``model`` and, for a compiled model,
    ``training``: the arguments of `compile`, the steps and epochs done and the seed, from which `fit` continues after
    `load` as if it had never stopped.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np
    >>> from arrayconv import models
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "small.safetensors"
    >>> model = models.Sequential([models.Dense(2, input_shape=(3,))])
    >>> model.save(path)
    >>> x = np.ones((1, 3))
    >>> bool(np.all(models.load(path)(x) == model(x)))
    True
    """
    checks.model_path("save", path)
    if not first_process():
        return
    if Path(path).suffix in KERAS:
        save_keras(model, path)
        return
    folder = Path(path).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"save: {os.fspath(path)}: there is no folder {folder}")
    tensors = {name: to_numpy(w) for name, w in model.weights.items()}
    metadata = {"format": "arrayconv", "model": json.dumps(model.get_config())}
    if (trainer := model._trainer) is not None:
        metadata["training"] = json.dumps(trainer.config())
        for slot, values in trainer.slots.items():
            for (layer, name), value in values.items():
                tensors[f"{_SLOT}{slot}:{layer}/{name}"] = to_numpy(value)
    write_tensors(path, tensors, metadata)


def load_weights(model: Described, path: str | os.PathLike[str]) -> None:
    """Load the weights of a model of the same architecture from a file.

    Parameters
    ----------
    model : Model
        Its input shape must be known. Its weights keep their array library, device and dtype.
    path : path
        A file that `save` wrote; a ``.weights.h5`` or ``.keras`` file of Keras 3 (`load_keras_weights`); or
        a ``state_dict`` of PyTorch in a safetensors file (`load_torch_weights`).

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If the file is truncated, of another kind, or of another architecture: every difference is
        listed, and the model is unchanged.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from arrayconv import models
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "wide.safetensors"
    >>> models.Sequential([models.Dense(3, input_shape=(3,))]).save(path)
    >>> models.Sequential([models.Dense(2, input_shape=(3,))]).load_weights(path)
    Traceback (most recent call last):
    ValueError: ...: its weights are not those of this model: dense/kernel is (3, 3) in the file and (3, 2) here; ...
    """
    if Path(path).suffix in KERAS:
        load_keras_weights(model, path)
        return
    refuse_pickles(path)
    tensors, metadata = read_tensors(path)
    if metadata.get("format") == "arrayconv" or set(tensors) == set(model.weights):
        take_slots(path, model.graph, tensors)
        names = model.graph.weight_names
        assign(model.graph, {(layer, name): tensors[f"{layer}/{name}"] for layer, name in names})
    else:
        load_torch_weights(model, path)


def take_slots(path: Any, graph: Graph, tensors: dict[str, NDArray[Any]]) -> Slots:
    """Remove the optimizer's arrays from ``tensors`` and return them; check that the rest are the graph's weights.

    Raises
    ------
    ValueError
        An optimizer's array that does not fit its weight; other arrays that are not the graph's weights, with
        every difference listed.
    """
    shapes = {
        f"{own}/{name}": spec.shape
        for layer, own in graph.names.items()
        for name, spec in layer.specs.items()
    }
    slots: Slots = {}
    for full in [name for name in tensors if name.startswith(_SLOT) and name not in shapes]:
        value = tensors.pop(full)
        slot, _, of = full.removeprefix(_SLOT).partition(":")
        if value.dtype.kind != "f" or shapes.get(of) != value.shape:
            raise ValueError(f"{full} {value.shape} belongs to no weight of this model")
        layer, _, name = of.rpartition("/")
        slots.setdefault(slot, {})[layer, name] = value
    differences = []
    for name, shape in shapes.items():
        if name not in tensors:
            differences.append(f"the file has no {name} {shape}")
        elif tensors[name].shape != shape:
            differences.append(f"{name} is {tensors[name].shape} in the file and {shape} here")
        elif tensors[name].dtype.kind != "f":
            differences.append(f"{name} is of type {tensors[name].dtype} in the file, not floating")
    differences += [
        f"the model has no {name} {value.shape}"
        for name, value in tensors.items()
        if name not in shapes
    ]
    if differences:
        raise ValueError(
            f"{path}: its weights are not those of this model: {'; '.join(differences)}"
        )
    return slots

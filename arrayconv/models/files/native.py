"""Models in files: one safetensors file with the weights, and the structure as JSON in its metadata."""

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

# What the names of the optimizer's arrays begin with: ``optimizer:momentum:dense/kernel``.
_SLOT = "optimizer:"
KERAS = (".h5", ".hdf5", ".keras")


def save(model: Described, path: str | os.PathLike[str]) -> None:
    """Write a model, structure and weights, to one file.

    Nothing in it is code. It is written under a name of its own and renamed when it is whole and on
    the disk: a process killed while it writes leaves the file that was there, whoever reads meanwhile
    reads a whole file, and of several threads that save to one path the last one counts. Of several
    processes that JAX has joined, the first alone writes.

    Parameters
    ----------
    model : Model
        With its input shape known.
    path : path
        Ends in ``.safetensors``; or in ``.keras`` for a file that Keras opens, architecture and weights, not how
        the model was compiled; or in ``.weights.h5`` for one of weights alone, which Keras's ``load_weights`` reads.

    Raises
    ------
    OSError
        If it cannot be written.
    ValueError
        If ``path`` ends otherwise, the model has no weights yet, its structure is too long, or Keras does not have
        one of its layers.

    Notes
    -----
    The arrays are called ``layer/weight``, and those of the optimizer ``optimizer:slot:layer/weight``; the
    metadata hold ``format`` and, as JSON, ``model`` and, of a compiled one, ``training``: the arguments of `compile`,
    the steps and epochs done and the seed, so that `fit` goes on after `load` as if it had never stopped.

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
    metadata = {"format": "arrayconv", "model": json.dumps(model.config())}
    if (trainer := model._trainer) is not None:
        metadata["training"] = json.dumps(trainer.config())
        for slot, values in trainer.slots.items():
            for (layer, name), value in values.items():
                tensors[f"{_SLOT}{slot}:{layer}/{name}"] = to_numpy(value)
    write_tensors(path, tensors, metadata)


def load_weights(model: Described, path: str | os.PathLike[str]) -> None:
    """Read the weights of a model of the same architecture from a file.

    Parameters
    ----------
    model : Model
        With its input shape known. It keeps its array library, device and dtype.
    path : path
        A file of `save`; a ``.weights.h5`` or ``.keras`` of Keras 3 (`load_keras_weights`); or
        a ``state_dict`` of PyTorch in a safetensors file (`load_torch_weights`).

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If the file is truncated, of no such kind, or of another architecture: every difference is
        listed, and the model is unchanged.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> from arrayconv import models
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "wide.safetensors"
    >>> models.Sequential([models.Dense(3, input_shape=(3,))]).save(path)
    >>> models.Sequential([models.Dense(2, input_shape=(3,))]).load_weights(path)
    Traceback (most recent call last):
    ValueError: ...: its weights are not of this model: dense/kernel is (3, 3) there and (3, 2) here; ...
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
    """Take the optimizer's arrays out of those of a file, and check that the others are the graph's weights.

    Raises
    ------
    ValueError
        An array of the optimizer that is not like a weight; with every difference between the other arrays and
        the weights.
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
            raise ValueError(f"{full} {value.shape} is of no weight here")
        layer, _, name = of.rpartition("/")
        slots.setdefault(slot, {})[layer, name] = value
    differences = []
    for name, shape in shapes.items():
        if name not in tensors:
            differences.append(f"there is no {name} {shape}")
        elif tensors[name].shape != shape:
            differences.append(f"{name} is {tensors[name].shape} there and {shape} here")
        elif tensors[name].dtype.kind != "f":
            differences.append(f"{name} is of type {tensors[name].dtype} there, no floating one")
    differences += [
        f"there is {name} {value.shape}" for name, value in tensors.items() if name not in shapes
    ]
    if differences:
        raise ValueError(f"{path}: its weights are not of this model: {'; '.join(differences)}")
    return slots

"""Making a model from a config, from a file or from another model."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arrayconv.models import checks
from arrayconv.models.files.keras_arrays import read, values_for
from arrayconv.models.files.keras_config import LONGEST, Reader
from arrayconv.models.files.native import KERAS, take_slots
from arrayconv.models.files.tensors import read_tensors
from arrayconv.models.files.torch import refuse_pickles
from arrayconv.models.model import Model
from arrayconv.models.sequential import Sequential
from arrayconv.models.training.trainer import Trainer

# An argument of Keras that load has no need of.
_FOUND = {"custom_objects": "leave it out: classes of your own are found by their names"}


def from_config(config: Mapping[str, Any]) -> Model:
    """Make a model from the config of another, ``model.get_config()``, with newly drawn weights.

    Parameters
    ----------
    config : mapping
        What `Model.get_config` returned, also after a round trip through JSON.

    Returns
    -------
    Model or Sequential

    Raises
    ------
    ValueError
        If a class is unknown or a key is missing.
    TypeError
        If a layer does not take one of its arguments.

    Examples
    --------
    >>> from arrayconv import models
    >>> model = models.Sequential([models.Dense(3, input_shape=(4,))], name="small")
    >>> models.from_config(model.get_config())
    <Sequential 'small'>
    """
    model = _undrawn(config)
    model.draw()
    return model


def clone_model(model: Model) -> Model:
    """Make a model with the same layers and layer names, and with newly drawn weights.

    Parameters
    ----------
    model : Model

    Returns
    -------
    Model or Sequential
        Not compiled.

    Examples
    --------
    >>> from arrayconv import models
    >>> model = models.Sequential([models.Dense(1, kernel_initializer="ones", input_shape=(1,))])
    >>> model.set_weights([[[2.0]], [0.0]])
    >>> [float(w.sum()) for w in models.clone_model(model).get_weights()]
    [1.0, 0.0]
    """
    return from_config(model.get_config())


def _undrawn(config: Mapping[str, Any]) -> Model:
    """The model of `from_config`, with its weights declared but not drawn."""
    kind = config.get("class") if isinstance(config, Mapping) else None
    known: dict[str, type[Model]] = {"Model": Model, "Sequential": Sequential}
    return checks.choice("from_config", "class", kind, known).undrawn(config)


def load(path: str | os.PathLike[str], compile: bool = True, **unknown: Any) -> Model:
    """Make a model from a file that `save` wrote, or from a ``.keras`` file of Keras 3.

    Parameters
    ----------
    path : path
    compile : bool
        Whether to restore the optimizer, the loss and the metrics, so that ``fit`` continues the training. A loss
        or a metric of your own is not in the file: `compile` the model again, and ``fit`` continues all the same.
        A ``.keras`` file gives a model that is not compiled.

    Returns
    -------
    Model or Sequential
        With NumPy weights of the dtype they were saved in. Define or import layers of your own first.

    Raises
    ------
    OSError
        If there is no such file.
    TypeError
        An argument of Keras that is not supported here.
    ValueError
        If the file is truncated, is of another kind, or its structure and weights do not agree. No memory is
        allocated for weights that the structure declares and the file does not have.

    Examples
    --------
    See `save`.
    """
    checks.known("load", unknown, _FOUND, load)
    if Path(path).suffix == ".keras":
        return _load_keras(Path(path))
    if Path(path).suffix in KERAS:
        raise ValueError(f"{path}: it holds weights alone; build the model and use load_weights")
    refuse_pickles(path)
    tensors, metadata = read_tensors(path)
    if metadata.get("format") != "arrayconv":
        raise ValueError(
            f"{path}: this safetensors file holds no structure; build the model and use load_weights"
        )
    try:
        model = _undrawn(_structure(metadata["model"]))
        slots = take_slots(path, model.graph, tensors)
        training = json.loads(metadata.get("training", "null")) if compile else None
        if training is not None and training["missing"]:
            model._left = training, slots
        elif training is not None:
            model._trainer = Trainer.from_config(training, model.graph.output_names)
            model._trainer.go_on(training, slots)
    except Exception as error:
        # the constructors of layers, your own among them, may raise anything on arguments that nobody checked
        raise ValueError(
            f"{path}: its structure is damaged or of another version: {error}"
        ) from error
    model.weights = dict(tensors)
    return model


def _load_keras(path: Path) -> Model:
    found = read(path)
    try:
        described = Reader(found.config)
        model = _undrawn(described.config)
        places = {names: place for place, names in found.names.items()}
        names = {own: places.get(theirs, "") for own, theirs in described.paths.items()}
        values = values_for(path, model.graph, found.parts, names)
    except Exception as error:
        raise ValueError(f"{path}: this model cannot be read: {error}") from error
    model.weights = {f"{layer}/{name}": value for (layer, name), value in values.items()}
    return model


def _structure(text: str) -> Any:
    """Parse the config in a file, and refuse one that would take unbounded time or memory to build."""
    config = json.loads(text)
    for key in ("layers", "nodes"):
        if len(config.get(key, ())) > LONGEST:
            raise ValueError(f"it has more than {LONGEST} {key}")
    if not all("name" in layer for layer in config["layers"]):
        raise ValueError("it has layers without a name")
    return config

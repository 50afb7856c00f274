"""The makers of models: from plain data, from files, from other models."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from arrayconv.models.checks import choice
from arrayconv.models.config import layers_from_config, nodes_from_config
from arrayconv.models.files.keras_arrays import read, values_for
from arrayconv.models.files.keras_config import LONGEST, Reader
from arrayconv.models.files.native import KERAS, take_slots
from arrayconv.models.files.tensors import read_tensors
from arrayconv.models.files.torch import refuse_pickles
from arrayconv.models.model import Model
from arrayconv.models.sequential import Sequential
from arrayconv.models.training.trainer import Trainer


def from_config(config: Mapping[str, Any]) -> Model:
    """Make the model that ``model.config()`` described, with new weights.

    Parameters
    ----------
    config : mapping
        As `Model.config` gives it; plain data, so that it may have been through JSON.

    Returns
    -------
    Model or Sequential

    Raises
    ------
    ValueError
        A class or an argument that does not exist here, a key that is missing.

    Examples
    --------
    >>> from arrayconv import models
    >>> model = models.Sequential([models.Dense(3, input_shape=(4,))], name="small")
    >>> models.from_config(model.config())
    <Sequential 'small'>
    """
    model = _undrawn(config)
    model.draw()
    return model


def clone_model(model: Model) -> Model:
    """Make a model of the same layers under the same names, with new weights of its own.

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
    return from_config(model.config())


def _undrawn(config: Mapping[str, Any]) -> Model:
    """The model of `from_config`, its weights declared and without values."""
    kind = config.get("class") if isinstance(config, Mapping) else None
    needed = {
        "Model": ("name", "layers", "nodes", "inputs", "outputs"),
        "Sequential": ("name", "input", "layers"),
    }
    for key in choice("from_config", "class", kind, needed):
        if key not in config:
            raise ValueError(f"from_config: the {kind} config has no {key!r}")
    if kind == "Model":
        return Model.undrawn(*nodes_from_config(config), config["name"])
    model = Sequential(name=config["name"])
    model.append(layers_from_config(config))
    return model


def load(path: str | os.PathLike[str], compile: bool = True) -> Model:
    """Make the model that a file of `save` holds, or a ``.keras`` file of Keras.

    Parameters
    ----------
    path : path
    compile : bool
        Whether to take over how it was trained. Where the file cannot say it all, since a loss or a metric is a
        function or a class of your own, `compile` the model again, and it goes on from there.

    Returns
    -------
    Model or Sequential
        In the dtype it was saved in, on NumPy until data say otherwise. Layers of your own must have
        been defined.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If it is truncated, no such file, or its structure and weights do not agree. Nothing is made
        from the structure that the file has no weights for.

    Examples
    --------
    See `save`.
    """
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
    """The config in a file, once it is known to be one that can be made in bounded time and memory."""
    config = json.loads(text)
    for key in ("layers", "nodes"):
        if len(config.get(key, ())) > LONGEST:
            raise ValueError(f"it has more than {LONGEST} {key}")
    if not all("name" in layer for layer in config["layers"]):
        raise ValueError("it has layers without a name")
    return config

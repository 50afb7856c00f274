"""Weights of Keras 3: ``.weights.h5`` and ``.keras``."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from arrayconv.data.rows import needs
from arrayconv.models_old.names import is_class_name
from arrayconv.models_old.pairing import Part, Wanted, assign, paired
from arrayconv.models_old.tensor_file import widened

if TYPE_CHECKING:
    from arrayconv.models_old.model import Model

_ADVICE = "read the .keras file, which does, or give the layers here the names they have there"


def load_keras_weights(model: Model, path: str | os.PathLike[str]) -> None:
    """Read the weights of a Keras 3 model of the same architecture.

    Layers that you named are found by their name; the others by their kind and shapes, in the order
    of the model, which is Keras's for sequential and functional models. Models inside the Keras model
    count as the layers they hold. The model keeps its array library, device and dtype.

    Parameters
    ----------
    model : Model
        With its input shape known.
    path : path
        What ``keras_model.save_weights("x.weights.h5")`` or ``keras_model.save("x.keras")`` wrote.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If the file is truncated, not of this kind, or of another architecture: every layer without
        weights and all weights without a layer are listed, and the model is unchanged.

    Notes
    -----
    Weights alone are read: ``epsilon``, ``padding`` and the like are the model's own.

    Examples
    --------
    >>> import tempfile, pathlib, h5py, numpy as np
    >>> from arrayconv import models_old as models
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "small.weights.h5"
    >>> with h5py.File(path, "w") as file:
    ...     file["layers/dense/vars/0"] = np.eye(2)
    ...     file["layers/dense/vars/1"] = np.asarray([5.0, 7.0])
    >>> model = models.Sequential([models.Dense(2, input_shape=(2,))])
    >>> models.load_keras_weights(model, path)
    >>> model(np.ones((1, 2)))
    array([[6., 8.]])
    """
    parts, names = _parts(Path(path))
    called = model.graph.names
    wanted = [
        Wanted(
            layer,
            called[layer],
            (type(layer).__name__.lower(), tuple(spec.shape for spec in layer.specs.values())),
            ", ".join(f"{name} {spec.shape}" for name, spec in layer.specs.items()),
        )
        for layer in model.layers
        if layer.specs
    ]
    for want in wanted:
        # a name made from the class says nothing, since Keras goes on counting from model to model
        if is_class_name(type(want.layer), want.name):
            names.pop(want.name, None)
    values = {}
    for layer, part in paired(path, wanted, parts, names, _ADVICE):
        for name, array in zip(layer.specs, part.arrays.values(), strict=True):
            values[f"{called[layer]}/{name}"] = array
    assign(model, values)


def _parts(path: Path) -> tuple[list[Part], dict[str, str]]:
    """The weights of every layer, and where those of a layer's name are."""
    h5py = needs("h5py", "reading weights of Keras")
    content: Any = io.BytesIO(path.read_bytes())
    order: list[tuple[str, ...]] = []
    if path.suffix == ".keras":
        try:
            with zipfile.ZipFile(content) as archive:
                order = list(_order(json.loads(archive.read("config.json"))))
                content = io.BytesIO(archive.read("model.weights.h5"))
        except (zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: this is no whole .keras file ({error})") from None
    try:
        with h5py.File(content, "r") as file:
            if "layers" not in file:
                old = "layer_names" in file.attrs or "model_weights" in file
                raise ValueError(
                    f"{path}: this is the older h5 format; save_weights('x.weights.h5') of Keras 3 writes the "
                    "one that is read here"
                    if old
                    else f"{path}: it has no group 'layers', so it holds no weights of Keras 3"
                )
            if not isinstance(file["layers"], h5py.Group):
                raise _strange(path, "'layers' is no group")
            return _leaves(h5py, path, file["layers"], order)
    except OSError as error:
        raise ValueError(f"{path}: this is no whole h5 file ({error})") from None


def _order(config: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The names of the layers in their order, each after those of the models that hold it."""
    for layer in config["config"]["layers"]:
        name = (*above, layer["config"]["name"])
        yield name
        if "layers" in layer["config"]:
            yield from _order(layer, name)


def _leaves(
    h5py: Any, path: Path, top: Any, order: list[tuple[str, ...]]
) -> tuple[list[Part], dict[str, str]]:
    parts = []
    found: dict[str, list[str]] = {}
    for group, names in _walk(h5py, path, top, ()):
        held = group["vars"]
        for key, dataset in held.items():
            if not key.isdecimal() or not isinstance(dataset, h5py.Dataset):
                raise _strange(path, f"{held.name}/{key} is no array with a number")
        arrays = {key: _values(path, held[key]) for key in sorted(held, key=int)}
        at = group.name.removeprefix("/layers/")
        steps = [
            re.fullmatch(r"(.*?)(?:_(\d+))?", step) for step in at.split("/") if step != "layers"
        ]
        bases = tuple(step[1] for step in steps if step)
        kind = re.sub(r"[123]d|_", "", bases[-1])
        shapes = tuple(array.shape for array in arrays.values())
        place: tuple[Any, ...] = tuple((step[1], int(step[2] or 0)) for step in steps if step)
        stem: tuple[str, ...] = bases
        if names in order:
            place, stem = (order.index(names),), ()
        parts.append(Part(at, (kind, shapes), place, stem, arrays))
        found.setdefault(names[-1], []).append(at)
    return parts, {name: places[0] for name, places in found.items() if len(places) == 1}


def _walk(
    h5py: Any, path: Path, top: Any, above: tuple[str, ...]
) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Every group below that holds the weights of a layer, with the layers' names."""
    for key, group in top.items():
        if not isinstance(group, h5py.Group) or key.startswith("seed_generator"):
            continue
        held = group.get("vars")
        if held is not None and not isinstance(held, h5py.Group):
            raise _strange(path, f"{held.name} is no group")
        names = (*above, str(held.attrs.get("name", "")) if held is not None else "")
        if held is not None and len(held):
            yield group, names
        for inner in group:
            if inner not in ("vars", "seed_generator"):
                # a model inside keeps its layers in a group of that name, a wrapper keeps its one as it is
                below = group[inner] if inner == "layers" else {inner: group[inner]}
                if inner == "layers" and not isinstance(below, h5py.Group):
                    raise _strange(path, f"{group.name}/layers is no group")
                yield from _walk(h5py, path, below, names)


def _strange(path: Path, reason: str) -> ValueError:
    return ValueError(f"{path}: this is no weights file of Keras 3 ({reason})")


def _values(path: Path, dataset: Any) -> NDArray[Any]:
    values: NDArray[Any] = np.asarray(dataset)
    kind = str(dataset.attrs.get("dtype", values.dtype))
    if kind == "bfloat16" and values.dtype.itemsize == 2:
        return widened(values.view("<u2"))
    if values.dtype.kind not in "fiu":
        raise ValueError(f"{path}: {dataset.name} is of type {kind}, which NumPy has not")
    return values

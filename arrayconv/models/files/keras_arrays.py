"""Reading and writing Keras 3's files: ``.weights.h5`` and ``.keras``."""

from __future__ import annotations

import io
import json
import os
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from arrayconv.data.files import array_limit, read_whole, text_limit, writing
from arrayconv.data.hdf5 import Contents
from arrayconv.data.rows import DataError, needs
from arrayconv.models.checks import listed
from arrayconv.models.config import Described
from arrayconv.models.files.keras_config import theirs
from arrayconv.models.files.matching import Part, Wanted, assign, paired
from arrayconv.models.files.tensors import widened
from arrayconv.models.graph import Graph
from arrayconv.models.topology import is_class_name
from arrayconv.namespace import to_numpy

_ADVICE = "read the .keras file, which does, or give the layers here the names they have there"

# The signature of an entry in a zip archive's central directory, and the most entries that are accepted.
_ENTRY, _ENTRIES = b"PK\x01\x02", 10_000


def load_keras_weights(model: Described, path: str | os.PathLike[str]) -> None:
    """Load the weights of a Keras 3 model of the same architecture.

    Layers that you named are matched by name. The others are matched by class and weight shapes, in the
    order of the layers, which is the same here as in Keras. A model nested in the Keras model counts as
    the layers it holds. The weights keep their array library, device and dtype.

    Parameters
    ----------
    model : Model
        Its input shape must be known.
    path : path
        What ``keras_model.save_weights("x.weights.h5")`` or ``keras_model.save("x.keras")`` wrote.

    Raises
    ------
    OSError
        If there is no such file.
    ValueError
        If the file is truncated, of another kind, refers to other files, or is compressed so strongly that it
        would unpack to far more than its size. If the architecture differs: the message lists the layers
        and the weights that have no counterpart. The model is then unchanged.

    Notes
    -----
    Only weights are read: ``epsilon``, ``padding`` and the like stay as this model has them.

    Examples
    --------
    >>> import tempfile, pathlib, h5py, numpy as np
    >>> from arrayconv import models
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "small.weights.h5"
    >>> with h5py.File(path, "w") as file:
    ...     file["layers/dense/vars/0"] = np.eye(2)
    ...     file["layers/dense/vars/1"] = np.asarray([5.0, 7.0])
    >>> model = models.Sequential([models.Dense(2, input_shape=(2,))])
    >>> models.load_keras_weights(model, path)
    >>> model(np.ones((1, 2)))
    array([[6., 8.]])
    """
    found, graph = read(Path(path)), model.graph
    times = Counter(names[-1] for names in found.names.values())
    names = {names[-1]: at for at, names in found.names.items() if times[names[-1]] == 1}
    for layer, name in graph.names.items():
        # a name made from the class identifies nothing: Keras numbers layers across all models of a process
        if is_class_name(type(layer), name):
            names.pop(name, None)
    assign(graph, values_for(path, graph, found.parts, names))


class Found(NamedTuple):
    """The content of a Keras file."""

    parts: list[Part]
    # for each part the path of its layer: the names of the models that contain it, then its own
    names: dict[str, tuple[str, ...]]
    config: Any


def values_for(
    path: Any, graph: Graph, parts: list[Part], names: Mapping[str, str]
) -> dict[tuple[str, str], NDArray[Any]]:
    """The value of each weight of a graph; ``names`` maps names of its layers to names of parts."""
    called = graph.names
    wanted = [
        Wanted(
            layer,
            called[layer],
            (_kind(type(layer).__name__), tuple(spec.shape for spec in layer.specs.values())),
            listed(layer.specs),
        )
        for layer in graph.layers
        if layer.specs
    ]
    return {
        (called[layer], name): array
        for layer, part in paired(path, wanted, parts, names, _ADVICE)
        for name, array in zip(layer.specs, part.arrays.values(), strict=True)
    }


def read(path: Path) -> Found:
    """The weights of every layer in a file, and the model's config if the file has one."""
    h5py = needs("h5py", "reading weights of Keras")
    content = read_whole(path)
    config: Any = None
    order: list[tuple[str, ...]] = []
    if path.suffix == ".keras":
        try:
            content, config = _unpacked(content)
            order = [*_order(config)]
        except Exception as error:
            # zipfile and its decoders may raise anything on a damaged archive
            raise ValueError(f"{path}: this is not a complete .keras file ({error})") from error
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            contents = Contents(path, len(content))
            layers = contents.child(file, "layers")
            if layers is None:
                reason = "it has no group 'layers', so it holds no weights of Keras 3"
                if "layer_names" in file.attrs or "model_weights" in file:
                    reason = (
                        "this is the older h5 format; save_weights('x.weights.h5') of Keras 3 writes the one that "
                        "is read here"
                    )
                raise DataError(f"{path}: {reason}")
            if not isinstance(layers, h5py.Group):
                raise _strange(path, "'layers' is not a group")
            return Found(*_leaves(contents, layers, order), config)
    except DataError:
        raise
    except Exception as error:
        # h5py may raise anything on a damaged file
        raise ValueError(f"{path}: this is not a complete h5 file ({error})") from error


def _unpacked(content: bytes) -> tuple[bytes, Any]:
    """The weights in a ``.keras`` archive, and its config."""
    # zipfile makes an object of each entry before anyone can count them
    if content.count(_ENTRY) > _ENTRIES:
        raise ValueError(f"it has more than {_ENTRIES} entries")
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        held = []
        for name, limit in (
            ("config.json", text_limit(len(content))),
            ("model.weights.h5", array_limit(len(content))),
        ):
            entry = archive.getinfo(name)
            if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise ValueError(f"{name} is packed in a way that Keras does not use")
            if entry.file_size > limit:
                raise ValueError(f"{name} would take {entry.file_size} bytes, more than {limit}")
            # read() without a length would unpack all there is, whatever size the directory states
            with archive.open(entry) as packed:
                held.append(packed.read(entry.file_size))
    return held[1], json.loads(held[0])


def _order(config: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of each layer, in order: the names of the models that contain it, then its own."""
    for layer in config["config"]["layers"]:
        name = (*above, layer["config"]["name"])
        yield name
        if "layers" in layer["config"]:
            yield from _order(layer, name)


def _leaves(
    contents: Contents, top: Any, order: list[tuple[str, ...]]
) -> tuple[list[Part], dict[str, tuple[str, ...]]]:
    h5py, path = contents.h5py, contents.path
    places = {names: i for i, names in reversed(list(enumerate(order)))}
    parts, called = [], {}
    for group, held, names in _walk(contents, top, ()):
        arrays = {}
        for key in held:
            dataset = contents.child(held, key)
            if not key.isdecimal() or not isinstance(dataset, h5py.Dataset):
                raise _strange(path, f"{held.name}/{key} is not a numbered array")
            arrays[key] = _values(contents, dataset)
        arrays = {key: arrays[key] for key in sorted(arrays, key=int)}
        at = group.name.removeprefix("/layers/")
        steps = re.findall(r"([^/]+?)(?:_(\d+))?(?:/|$)", at)
        place: tuple[Any, ...] = tuple((b, int(n or 0)) for b, n in steps if b + n != "layers")
        stem = tuple(base for base, _ in place)
        signature = _kind(stem[-1]), tuple(array.shape for array in arrays.values())
        if names in places:
            place, stem = (places[names],), ()
        parts.append(Part(at, signature, place, stem, arrays))
        called[at] = names
    return parts, called


def _kind(name: str) -> str:
    """A class's name without rank, case and underscores: ``conv`` for ``Conv2D`` and for ``conv2d``."""
    return re.sub(r"[123]d|_", "", name.lower())


def _walk(
    contents: Contents, top: Any, above: tuple[str, ...]
) -> Iterator[tuple[Any, Any, tuple[str, ...]]]:
    """For every layer below ``top`` with weights: its group, the group of its weights, and its path."""
    h5py, path = contents.h5py, contents.path
    for key in top:
        if key == "vars" or key.startswith("seed_generator"):
            continue
        group = contents.child(top, key)
        if not isinstance(group, h5py.Group):
            if key == "layers":
                raise _strange(path, f"{top.name}/layers is not a group")
            continue
        # a nested model has its layers in a group "layers"; a wrapper has its one layer without such a group
        if key == "layers":
            yield from _walk(contents, group, above)
            continue
        held = contents.child(group, "vars")
        if held is not None and not isinstance(held, h5py.Group):
            raise _strange(path, f"{held.name} is not a group")
        names = (*above, contents.attribute(held, "name") if held is not None else "")
        if held is not None and len(held):
            yield group, held, names
        yield from _walk(contents, group, names)


def _strange(path: Path, reason: str) -> DataError:
    return DataError(f"{path}: this is not a weights file of Keras 3 ({reason})")


def _values(contents: Contents, dataset: Any) -> NDArray[Any]:
    values = contents.read(dataset, "fiuV")
    kind = contents.attribute(dataset, "dtype") or str(values.dtype)
    if kind == "bfloat16" and values.dtype.itemsize == 2:
        return widened(values.view("<u2"))
    if values.dtype.kind in "iu" and values.ndim == 0:
        # how many samples a Normalization has seen
        return values.astype("f4")
    if values.dtype.kind != "f":
        raise DataError(
            f"{contents.path}: {dataset.name} is of type {kind}, and weights must be floating"
        )
    return values


def save_keras(model: Described, path: str | os.PathLike[str]) -> None:
    """Write a file for Keras: ``.keras`` with architecture and weights, or ``.weights.h5`` with weights only."""
    h5py = needs("h5py", "writing weights for Keras")
    graph = model.graph
    config = theirs(model.name, model.get_config(), graph)
    names = {item["config"]["name"]: item["class_name"] for item in config["config"]["layers"]}
    counts: dict[str, int] = {}
    held = io.BytesIO()
    with h5py.File(held, "w") as file:
        file.create_group("vars")
        for layer in graph.layers:
            # Keras numbers the layers of each class in order, whatever their names
            key = re.sub(
                r"(?<=.)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", names[graph.names[layer]]
            )
            key = key.lower()
            number = counts[key] = counts.get(key, -1) + 1
            group = file.create_group(
                f"layers/{key}_{number}/vars" if number else f"layers/{key}/vars"
            )
            group.attrs["name"] = graph.names[layer]
            for i, name in enumerate(layer.specs):
                group[str(i)] = to_numpy(layer.weights[name])
    members: dict[str, str | bytes] = {
        "metadata.json": json.dumps({"keras_version": "3.0.0", "date_saved": ""}),
        "config.json": json.dumps(config),
        "model.weights.h5": held.getvalue(),
    }
    with writing(path) as draft:
        if Path(path).suffix == ".h5":
            draft.write_bytes(held.getvalue())
            return
        with zipfile.ZipFile(draft, "w") as archive:
            for name, content in members.items():
                archive.writestr(name, content)

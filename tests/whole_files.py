"""Whole files of every kind that is read: what hostile ones are made from."""

import io
import json
import tempfile
import zipfile
from pathlib import Path

import drawn_files as drawn
import drawn_pictures
import h5py
import hostile_reader
import numpy as np

from arrayconv import models


def ours():
    """Return a file of ours with the network of `hostile_reader`."""
    model = hostile_reader.network(models)
    return drawn.packed(weights(), {"format": "arrayconv", "model": json.dumps(model.get_config())})


def ours_for_keras():
    """Return the same network in a ``.keras`` file of ours."""
    with tempfile.TemporaryDirectory() as folder:
        hostile_reader.network(models).save(path := Path(folder) / "k.keras")
        return drawn.Content(path.read_bytes())


def weights():
    return drawn.Weights({name: np.ones(shape) for name, shape in drawn.SHAPES.items()})


def torch_file():
    """Return a state_dict of the same network in a safetensors file."""
    w = weights()
    held = {
        "0.weight": np.ones((3, 2, 3, 3)),
        "0.bias": w["conv/bias"],
        "1.weight": w["batch_normalization/gamma"],
        "1.bias": w["batch_normalization/beta"],
        "1.running_mean": w["batch_normalization/moving_mean"],
        "1.running_var": w["batch_normalization/moving_variance"],
        "1.num_batches_tracked": np.asarray(3),
        "3.weight": np.ones((2, 48)),
        "3.bias": w["dense/bias"],
    }
    return drawn.packed(held, {})


def keras_h5():
    """Return the same network's weights as Keras 3 writes them."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for name in ("conv2d", "batch_normalization", "dense"):
            held = file.create_group(f"layers/{name}/vars")
            held.attrs["name"] = name
            ours = name.replace("2d", "")
            arrays = [w for key, w in weights().items() if key.startswith(ours)]
            for i, value in enumerate(arrays):
                held[str(i)] = value.astype(np.float32)
        file.create_group("layers/flatten/vars").attrs["name"] = "flatten"
        file.create_group("optimizer/vars")
    return drawn.Content(buffer.getvalue())


CONFIG = {
    "config": {
        "layers": [
            {"config": {"name": name}}
            for name in ("conv2d", "batch_normalization", "flatten", "dense")
        ]
    }
}


def keras_file(method=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(CONFIG))
        archive.writestr("model.weights.h5", keras_h5())
    return drawn.Content(buffer.getvalue())


def course_h5(**changes):
    """Return a data set of the course's layout; ``changes`` replace what it holds."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for part in ("train", "test"):
            file[f"{part}_set_x"] = np.zeros((6, 4, 4, 3), dtype=np.uint8)
            file[f"{part}_set_y"] = np.arange(6) % 2
        file["list_classes"] = np.asarray([b"a", b"b"])
        for key, value in changes.items():
            del file[key]
            if callable(value):
                value(file, key)
            else:
                file[key] = value
    return drawn.Content(buffer.getvalue())


def whole_files():
    return [
        ("load", "m.safetensors", ours()),
        ("load", "k.keras", ours_for_keras()),
        ("load_weights", "m.safetensors", ours()),
        ("load_weights", "t.safetensors", torch_file()),
        ("load_weights", "m.weights.h5", keras_h5()),
        ("load_weights", "m.keras", keras_file()),
        ("load_weights", "packed.keras", keras_file(zipfile.ZIP_DEFLATED)),
        ("open_h5", "d.h5", course_h5()),
        *(
            ("filter", f"p{suffix}", content)
            for suffix, content in drawn_pictures.pictures().items()
        ),
    ]

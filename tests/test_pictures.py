"""Pictures in files: pixels of more than 8 bits, drafts of several threads, and the filter command's bands."""

import threading
import zlib

import numpy as np
import pytest

pytest.importorskip("PIL.Image")
pytest.importorskip("h5py")

from drawn_pictures import png
from PIL import Image

from arrayconv import data
from arrayconv.cli import commands, main
from arrayconv.data import DataError
from arrayconv.demo import read_image, write_image
from arrayconv.filters import KERNELS, apply_filter


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
    got = grey(tmp_path, "png", png(3, 2, depth=16, color=2, data=zlib.compress(rows)))
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


def test_pictures_saved_to_one_path_by_threads(tmp_path):
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


@pytest.mark.parametrize("kernel", ["sobel", "gaussian", "sobel-y"])
def test_a_filter_in_bands_is_the_filter_of_the_whole(tmp_path, monkeypatch, kernel):
    monkeypatch.setattr(commands, "BAND", 60)
    path, out = tmp_path / "in.png", tmp_path / "out.png"
    write_image(path, np.random.default_rng(0).random((23, 20, 3)))
    assert main(["filter", str(path), "--kernel", kernel, "--out", str(out)]) == 0
    want = apply_filter(read_image(path), kernel)
    if abs(KERNELS[kernel]().sum()) < 1e-9:
        want = 0.5 + 0.5 * want / np.abs(want).max()
    np.testing.assert_allclose(read_image(out), np.clip(want, 0, 1), atol=0.5 / 255 + 1e-5)

"""The filters against scipy.ndimage and by their definitions, on every library."""

import numpy as np
import pytest

from arrayconv.filters import KERNELS, apply_filter, blur, gaussian, prewitt, sobel

SCIPY_MODE = {
    "symmetric": "reflect",
    "reflect": "mirror",
    "edge": "nearest",
    "wrap": "wrap",
    "constant": "constant",
}
rng = np.random.default_rng(0)


def assert_near(got, want):
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mode", SCIPY_MODE)
@pytest.mark.parametrize("name", KERNELS)
def test_filter_is_that_of_scipy(name, mode):
    ndimage = pytest.importorskip("scipy.ndimage")
    image = rng.random((9, 7))
    want = ndimage.correlate(image, KERNELS[name](), mode=SCIPY_MODE[mode])
    assert_near(apply_filter(image, name, mode=mode), want)


@pytest.mark.parametrize("axis", [0, 1])
def test_derivatives_are_those_of_scipy(axis):
    ndimage = pytest.importorskip("scipy.ndimage")
    image = rng.random((6, 8))
    assert_near(apply_filter(image, sobel(axis)), ndimage.sobel(image, axis))
    assert_near(apply_filter(image, prewitt(axis)), ndimage.prewitt(image, axis))


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (2, 3), (4, 1)])
def test_kernel_of_any_size_keeps_its_centre(size):
    kernel = rng.random(size)
    image = rng.random((5, 6))
    padded = np.pad(image, [((n - 1) // 2, n // 2) for n in size], mode="symmetric")
    want = np.empty_like(image)
    for i, j in np.ndindex(image.shape):
        want[i, j] = np.sum(padded[i : i + size[0], j : j + size[1]] * kernel)
    assert_near(apply_filter(image, kernel), want)


@pytest.mark.parametrize("shape", [(6, 5), (6, 5, 3), (2, 6, 5, 3), (0, 6, 5, 3)])
# Dask's own reshape is wrong for empty arrays
@pytest.mark.where(lambda xp, shape: xp != "dask" or 0 not in shape)
def test_every_channel_is_filtered_alone_on_every_library(xp, shape):
    image = rng.random(shape)
    got = apply_filter(xp.array(image), "emboss")
    assert type(got) is type(xp.array(image))
    want = np.empty(shape)
    planes = image.reshape((-1, 6, 5, shape[2] if len(shape) == 3 else 3 if len(shape) == 4 else 1))
    for n, c in np.ndindex(planes.shape[0], planes.shape[3]):
        padded = np.pad(planes[n, :, :, c], 1, mode="symmetric")
        for i, j in np.ndindex(6, 5):
            value = np.sum(padded[i : i + 3, j : j + 3] * KERNELS["emboss"]())
            want.reshape(planes.shape)[n, i, j, c] = value
    assert_near(xp.to_numpy(got), want)


def test_types_are_kept_and_integers_cast(xp):
    half = xp.array(np.ones((4, 4), dtype=np.float32))
    assert xp.to_numpy(apply_filter(half, "gaussian")).dtype == np.float32
    whole = apply_filter(xp.array(np.full((4, 4), 200, dtype=np.uint8)), "blur")
    np.testing.assert_allclose(xp.to_numpy(whole), 200.0, rtol=1e-6)
    assert whole.dtype == xp.namespace.asarray(0.5).dtype


def test_kernel_of_the_images_own_library(xp):
    image = rng.random((5, 5, 3))
    got = apply_filter(xp.array(image), xp.array(sobel()))
    assert_near(xp.to_numpy(got), apply_filter(image, "sobel"))


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_blurs_add_up_to_one(size):
    for kernel in (blur(size), gaussian(size, sigma=0.7)):
        assert kernel.shape == (size, size)
        np.testing.assert_allclose(kernel.sum(), 1.0, rtol=1e-14)
    ratio = gaussian(3, sigma=0.7)[1, 1] / gaussian(3, sigma=0.7)[1, 0]
    np.testing.assert_allclose(ratio, np.exp(0.5 / 0.49), rtol=1e-14)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sobel(2), "sobel: axis must be 0 or 1, got 2"),
        (lambda: prewitt(-1), "prewitt: axis must be 0 or 1, got -1"),
        (lambda: blur(0), "blur: size must be an int of at least 1, got 0"),
        (lambda: gaussian(2.0), "gaussian: size must be an int of at least 1, got 2.0"),
        (lambda: gaussian(3, sigma=0.0), "gaussian: sigma must be greater than 0"),
        (lambda: gaussian(3, sigma=float("nan")), "gaussian: sigma must be greater than 0"),
        (lambda: apply_filter(np.ones(3), "blur"), r"apply_filter: image .* got \(3,\)"),
        (lambda: apply_filter(np.ones((3, 3)), "blurr"), "unknown kernel 'blurr'; .*laplacian"),
        (lambda: apply_filter(np.ones((3, 3)), np.ones(3)), r"kernel must have 2 axes, got \(3,\)"),
        (lambda: apply_filter(np.ones((3, 3)), "blur", mode="mirror"), "mirror"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_list_is_no_image():
    with pytest.raises(TypeError, match="apply_filter: image must be an array"):
        apply_filter([[1.0]], "blur")

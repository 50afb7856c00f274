"""Classic image filters as small NumPy kernels, and `apply_filter`, which runs them on any array library.

The kernels are the textbook ones (R. C. Gonzalez and R. E. Woods, *Digital Image Processing*, 4th
edition, chapter 3; Sobel and Prewitt: chapter 10) and are applied as correlations, as `arrayconv.conv`
and deep learning do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import arrayconv as ac
from arrayconv.namespace import array_namespace, default_float, is_floating, placement

__all__ = [
    "KERNELS",
    "apply_filter",
    "blur",
    "edge",
    "emboss",
    "gaussian",
    "laplacian",
    "prewitt",
    "sharpen",
    "sobel",
]

Kernel = NDArray[np.float64]


def sobel(axis: int = 1) -> Kernel:
    """Return the Sobel kernel, a derivative along ``axis`` smoothed by (1, 2, 1) across it.

    Parameters
    ----------
    axis : {0, 1}
        0 for the change from row to row, 1 for the change from column to column.

    Returns
    -------
    numpy.ndarray, shape (3, 3)

    Raises
    ------
    ValueError
        If ``axis`` is neither 0 nor 1.

    Examples
    --------
    >>> from arrayconv.filters import sobel
    >>> sobel()
    array([[-1.,  0.,  1.],
           [-2.,  0.,  2.],
           [-1.,  0.,  1.]])
    """
    return _derivative("sobel", axis, np.asarray([1.0, 2.0, 1.0]))


def prewitt(axis: int = 1) -> Kernel:
    """Return the Prewitt kernel, a derivative along ``axis`` summed evenly across it.

    Parameters
    ----------
    axis : {0, 1}
        0 for the change from row to row, 1 for the change from column to column.

    Returns
    -------
    numpy.ndarray, shape (3, 3)

    Raises
    ------
    ValueError
        If ``axis`` is neither 0 nor 1.

    Examples
    --------
    >>> from arrayconv.filters import prewitt
    >>> prewitt(axis=0)
    array([[-1., -1., -1.],
           [ 0.,  0.,  0.],
           [ 1.,  1.,  1.]])
    """
    return _derivative("prewitt", axis, np.ones(3))


def _derivative(name: str, axis: int, across: NDArray[np.float64]) -> Kernel:
    if axis not in (0, 1):
        raise ValueError(f"{name}: axis must be 0 or 1, got {axis!r}")
    kernel = np.outer(across, [-1.0, 0.0, 1.0])
    return kernel if axis == 1 else kernel.T


def blur(size: int = 3) -> Kernel:
    """Return the box blur, the mean of ``size`` x ``size`` cells.

    Parameters
    ----------
    size : int
        Cells along each axis, at least 1.

    Returns
    -------
    numpy.ndarray, shape (size, size)

    Raises
    ------
    ValueError
        If ``size`` is not a positive int.

    Examples
    --------
    >>> from arrayconv.filters import blur
    >>> blur(2)
    array([[0.25, 0.25],
           [0.25, 0.25]])
    """
    _check_size("blur", size)
    return np.full((size, size), 1.0 / size**2)


def gaussian(size: int = 5, sigma: float = 1.0) -> Kernel:
    """Return a Gaussian blur of ``size`` x ``size`` cells, its weights adding up to 1.

    Parameters
    ----------
    size : int
        Cells along each axis, at least 1; about ``6 * sigma`` holds nearly all of the bell.
    sigma : float
        Standard deviation in cells, greater than 0.

    Returns
    -------
    numpy.ndarray, shape (size, size)

    Raises
    ------
    ValueError
        If ``size`` is not a positive int, or ``sigma`` not a positive number.

    Examples
    --------
    >>> from arrayconv.filters import gaussian
    >>> gaussian(3).round(3)
    array([[0.075, 0.124, 0.075],
           [0.124, 0.204, 0.124],
           [0.075, 0.124, 0.075]])
    """
    _check_size("gaussian", size)
    if not 0.0 < sigma < float("inf"):
        raise ValueError(f"gaussian: sigma must be greater than 0 and finite, got {sigma!r}")
    offsets = np.arange(size) - (size - 1) / 2
    bell = np.exp(-0.5 * (offsets / sigma) ** 2)
    bell /= bell.sum()
    return np.outer(bell, bell)


def _check_size(name: str, size: int) -> None:
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ValueError(f"{name}: size must be an int of at least 1, got {size!r}")


def sharpen() -> Kernel:
    """Return the sharpening kernel, the image minus its `laplacian`.

    Returns
    -------
    numpy.ndarray, shape (3, 3)

    Examples
    --------
    >>> from arrayconv.filters import sharpen
    >>> sharpen()
    array([[ 0., -1.,  0.],
           [-1.,  5., -1.],
           [ 0., -1.,  0.]])
    """
    return np.asarray([[0.0, -1.0, 0.0], [-1.0, 5.0, -1.0], [0.0, -1.0, 0.0]])


def emboss() -> Kernel:
    """Return the emboss kernel, the image lit from its top left corner.

    Returns
    -------
    numpy.ndarray, shape (3, 3)

    Examples
    --------
    >>> from arrayconv.filters import emboss
    >>> emboss()
    array([[-2., -1.,  0.],
           [-1.,  1.,  1.],
           [ 0.,  1.,  2.]])
    """
    return np.asarray([[-2.0, -1.0, 0.0], [-1.0, 1.0, 1.0], [0.0, 1.0, 2.0]])


def edge() -> Kernel:
    """Return the edge kernel, 8 times a cell minus its 8 neighbours.

    Returns
    -------
    numpy.ndarray, shape (3, 3)

    Examples
    --------
    >>> from arrayconv.filters import edge
    >>> edge()
    array([[-1., -1., -1.],
           [-1.,  8., -1.],
           [-1., -1., -1.]])
    """
    return np.asarray([[-1.0, -1.0, -1.0], [-1.0, 8.0, -1.0], [-1.0, -1.0, -1.0]])


def laplacian() -> Kernel:
    """Return the Laplacian, the sum of the second differences along both axes.

    Returns
    -------
    numpy.ndarray, shape (3, 3)

    Examples
    --------
    >>> from arrayconv.filters import laplacian
    >>> laplacian()
    array([[ 0.,  1.,  0.],
           [ 1., -4.,  1.],
           [ 0.,  1.,  0.]])
    """
    return np.asarray([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])


KERNELS: dict[str, Callable[[], Kernel]] = {
    "sobel": sobel,
    "sobel-y": lambda: sobel(axis=0),
    "prewitt": prewitt,
    "prewitt-y": lambda: prewitt(axis=0),
    "blur": blur,
    "gaussian": gaussian,
    "sharpen": sharpen,
    "emboss": emboss,
    "edge": edge,
    "laplacian": laplacian,
}


def apply_filter(image: Any, kernel: str | Kernel, *, mode: str = "symmetric") -> Any:
    """Correlate every channel of an image with one kernel.

    Parameters
    ----------
    image : array, shape (H, W), (H, W, C) or (N, H, W, C)
        Of any array library. Integers are cast to the library's default floating dtype.
    kernel : str or array, shape (h, w)
        A name out of `KERNELS`, a NumPy kernel, or one of the image's own library.
    mode : {"symmetric", "reflect", "edge", "wrap", "constant"}
        What lies beyond the borders of the image, as in ``numpy.pad``.

    Returns
    -------
    array
        Of the image's shape, library and floating dtype. Values may leave the image's range.

    Raises
    ------
    ValueError
        If the name is unknown, or the image or the kernel has the wrong number of axes.
    TypeError
        If the image is not an array.

    Examples
    --------
    >>> import numpy as np
    >>> from arrayconv.filters import apply_filter
    >>> ramp = np.asarray([[0.0, 1.0, 2.0, 3.0]] * 3)
    >>> apply_filter(ramp, "sobel")
    array([[4., 8., 8., 4.],
           [4., 8., 8., 4.],
           [4., 8., 8., 4.]])
    """
    xp = array_namespace("apply_filter", image=image)
    if image.ndim not in (2, 3, 4):
        raise ValueError(
            "apply_filter: image must have the shape (H, W), (H, W, C) or (N, H, W, C), "
            f"got {tuple(image.shape)}"
        )
    if isinstance(kernel, str):
        if kernel not in KERNELS:
            raise ValueError(
                f"apply_filter: unknown kernel {kernel!r}; expected one of {', '.join(KERNELS)}"
            )
        kernel = KERNELS[kernel]()
    if kernel.ndim != 2:
        raise ValueError(f"apply_filter: kernel must have 2 axes, got {tuple(kernel.shape)}")
    x = image if is_floating(xp, image.dtype) else xp.astype(image, default_float(xp))
    batch = image.shape[0] if image.ndim == 4 else 1
    height, width = image.shape[-3:-1] if image.ndim > 2 else image.shape
    channels = image.shape[-1] if image.ndim > 2 else 1
    x = xp.reshape(x, (batch, height, width, channels))
    w = kernel
    array_namespace("apply_filter", kernel=kernel)
    if isinstance(kernel, np.ndarray):
        w = xp.asarray(kernel.tolist(), dtype=x.dtype, **placement(x))
    # (h, w) -> (h, w, 1, C): each channel is a group of its own
    w = xp.tile(w[:, :, None, None], (1, 1, 1, channels))
    around = tuple(((size - 1) // 2, size // 2) for size in kernel.shape)
    y = ac.conv(ac.pad(x, around, mode=mode), w, groups=channels)
    return xp.reshape(y, image.shape)

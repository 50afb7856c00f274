"""The network of the demo, forward and backward, timed and compared on every backend."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

import arrayconv as ac
from arrayconv.backends import Backend, BackendError, find_backend
from arrayconv.demo.images import Image
from arrayconv.filters import KERNELS

DTYPES = ("float32", "float64")
POOL = 2
LEAST_SIDE = 16
ENOUGH_SECONDS = 2.0
# Nearer than this to a tie or to zero, float32 and float64 may disagree on the winner.
MARGIN = 1e-4

Arrays = dict[str, Any]
Host = NDArray[Any]


@dataclass(frozen=True)
class Network:
    """What goes into the demo: one image, the filter bank and the upstream gradient.

    Parameters
    ----------
    x : numpy.ndarray, shape (1, H, W, 3)
        The image.
    w : numpy.ndarray, shape (5, 5, 3, F)
        The filter bank.
    b : numpy.ndarray, shape (F,)
        The biases.
    dy : numpy.ndarray, shape (1, H // 2, W // 2, F)
        The gradient with respect to the pooled maps.
    undecided : float
        Share of the pooled cells whose upstream gradient is zero because their window has no
        clear winner, where no two ways of taking the derivative need agree.
    """

    x: Host
    w: Host
    b: Host
    dy: Host
    undecided: float


@dataclass(frozen=True)
class Row:
    """One library on one device with one dtype; times in milliseconds, None for what is unknown.

    ``difference`` is the largest of any forward result from NumPy's of the same dtype, and
    ``gradient_difference`` that of any gradient from ``jax.vjp`` of the forward pass in float64;
    both as a share of the largest element compared with.
    """

    backend: str
    library: str
    version: str
    device: str
    dtype: str
    forward_ms: float | None = None
    backward_ms: float | None = None
    difference: float | None = None
    gradient_difference: float | None = None
    error: str | None = None


def filter_bank() -> Host:
    """Return the kernels of `arrayconv.filters` as weights, shape (5, 5, 3, F), float64."""
    bank = np.zeros((5, 5, 3, len(KERNELS)))
    for f, make in enumerate(KERNELS.values()):
        kernel = make()
        cut = (5 - kernel.shape[0]) // 2
        # the mean of the three channels, scaled so that all maps have a similar range
        scaled = kernel / np.abs(kernel).sum() / 3
        bank[cut : cut + kernel.shape[0], cut : cut + kernel.shape[1], :, f] = scaled[:, :, None]
    return bank


def forward(x: Any, w: Any, b: Any) -> Arrays:
    """Pad, convolve, rectify and pool; every step is kept for the picture."""
    padded = ac.pad(x, 2, mode="reflect")
    maps = ac.conv(padded, w, b)
    active = ac.relu(maps)
    return {"padded": padded, "maps": maps, "active": active, "pooled": ac.max_pool(active, POOL)}


def backward(dy: Any, x: Any, w: Any, b: Any, kept: Arrays) -> Arrays:
    """Take the gradients with respect to image, weights and biases, by the hand-written rules."""
    d_active = ac.max_pool_vjp(dy, kept["active"], POOL, y=kept["pooled"])
    d_maps = ac.relu_vjp(d_active, kept["maps"])
    d_padded, dw, db = ac.conv_vjp(d_maps, kept["padded"], w, b)
    return {"dx": ac.pad_vjp(d_padded, x, 2, mode="reflect"), "dw": dw, "db": db}


def prepare(image: Image) -> Network:
    """Make the network for an image, its loss being half the sum of the squared pooled maps.

    Parameters
    ----------
    image : numpy.ndarray, shape (H, W, 3)

    Returns
    -------
    Network

    Raises
    ------
    ValueError
        If the image is smaller than 16 pixels along an axis.
    """
    if min(image.shape[:2]) < LEAST_SIDE:
        raise ValueError(
            f"demo: the image must have at least {LEAST_SIDE} x {LEAST_SIDE} pixels, "
            f"got {image.shape[1]} x {image.shape[0]}"
        )
    x = np.asarray(image, dtype=np.float64)[None]
    # an odd row or column at the end would never reach a pooling window
    x = x[:, : x.shape[1] // POOL * POOL, : x.shape[2] // POOL * POOL]
    w = filter_bank()
    b = np.full(w.shape[-1], -0.01)
    kept = forward(x, w, b)
    n, height, width, features = kept["pooled"].shape
    # (N, H, W, F) -> (N, h, 2, w, 2, F) -> (N, h, w, F, 4)
    cells = kept["active"].reshape(n, height, POOL, width, POOL, features)
    cells = cells.transpose(0, 1, 3, 5, 2, 4).reshape(n, height, width, features, POOL * POOL)
    second, best = np.moveaxis(np.partition(cells, -2)[..., -2:], -1, 0)
    active = best > 0
    clear = (best > MARGIN) & (best - second > MARGIN)
    dy = np.where(clear, kept["pooled"], 0.0)
    return Network(x, w, b, dy, float(np.mean(active & ~clear)))


def jax_gradients(network: Network) -> Arrays | None:
    """Return the gradients by ``jax.vjp`` of the forward pass in float64, None without JAX."""
    try:
        oracle = find_backend("jax-cpu")
    except BackendError:
        return None
    import jax

    with oracle.exact(), jax.default_device(oracle.place):

        def back(dy: Any, *arrays: Any) -> Any:
            return jax.vjp(lambda *a: forward(*a)["pooled"], *arrays)[1](dy)

        host = (network.dy, network.x, network.w, network.b)
        found = jax.jit(back)(*map(oracle.asarray, host))
    return dict(zip(("dx", "dw", "db"), map(ac.to_numpy, found), strict=True))


def measure(backend: Backend, network: Network, dtype: str, repeats: int = 5) -> tuple[Row, Arrays]:
    """Run and time the network once on one backend.

    Parameters
    ----------
    backend : Backend
    network : Network
    dtype : {"float32", "float64"}
    repeats : int
        Timed runs after one that warms up, fewer where they are slow; medians are reported.

    Returns
    -------
    tuple of (Row, dict)
        The row without its comparisons, and all results as NumPy arrays.
    """
    with backend.exact():
        dy, x, w, b = (
            backend.asarray(np.asarray(a, dtype=dtype))
            for a in (network.dy, network.x, network.w, network.b)
        )

        def ahead(*arrays: Any) -> tuple[Any, ...]:
            return tuple(forward(*arrays).values())

        def back(dy: Any, x: Any, w: Any, b: Any, *kept: Any) -> tuple[Any, ...]:
            named = dict(zip(("padded", "maps", "active", "pooled"), kept, strict=True))
            return tuple(backward(dy, x, w, b, named).values())

        kept, forward_ms = _timed(backend, backend.jit(ahead), (x, w, b), repeats)
        gradients, backward_ms = _timed(backend, backend.jit(back), (dy, x, w, b, *kept), repeats)
        found = [ac.to_numpy(a) for a in (*kept, *gradients)]
    names = ("padded", "maps", "active", "pooled", "dx", "dw", "db")
    results = dict(zip(names, found, strict=True))
    kind = str(results["dx"].dtype)
    row = Row(
        backend.name,
        backend.library,
        backend.version,
        backend.device,
        kind,
        forward_ms,
        backward_ms,
    )
    return row, results


def _timed(
    backend: Backend, f: Callable[..., tuple[Any, ...]], arrays: tuple[Any, ...], repeats: int
) -> tuple[tuple[Any, ...], float]:
    y = backend.finish(f(*arrays))
    times: list[float] = []
    while len(times) < repeats and sum(times) < ENOUGH_SECONDS:
        start = time.perf_counter()
        y = backend.finish(f(*arrays))
        times.append(time.perf_counter() - start)
    return y, 1e3 * median(times)


def run(network: Network, backends: Iterable[Backend]) -> Iterator[Row]:
    """Measure every backend with every dtype, and compare with NumPy and ``jax.vjp``.

    Parameters
    ----------
    network : Network
    backends : iterable of Backend

    Yields
    ------
    Row
        With ``error`` set where a library failed.
    """
    truth = jax_gradients(network)
    numpy = find_backend("numpy")
    want = {dtype: measure(numpy, network, dtype, repeats=1)[1] for dtype in DTYPES}
    for backend in backends:
        for dtype in DTYPES:
            try:
                row, got = measure(backend, network, dtype)
            except Exception as error:
                # one library's failure is a line of the table, not the end of the others
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                about = (backend.name, backend.library, backend.version, backend.device, dtype)
                yield Row(*about, error=reason)
                continue
            steps = ("padded", "maps", "active", "pooled")
            difference = max(_distance(got[k], want[dtype][k]) for k in steps)
            gradient = None if truth is None else max(_distance(got[k], truth[k]) for k in truth)
            yield Row(**{**vars(row), "difference": difference, "gradient_difference": gradient})


def _distance(a: Host, b: Host) -> float:
    if a.shape != b.shape:
        raise ValueError(f"demo: a result has the shape {a.shape}, expected {b.shape}")
    largest = float(np.max(np.abs(b), initial=0.0))
    return float(np.max(np.abs(a.astype(np.float64) - b), initial=0.0)) / (largest or 1.0)

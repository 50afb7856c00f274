"""Filter and pool what no memory holds, in two processes of 400 MiB each: an array of images, and one large image.

Run it with ``python examples/larger_than_memory.py FOLDER``; it needs Dask, its distributed scheduler and zarr, and
writes 500 MiB. The functions are those for NumPy arrays; each chunk is a task, and the edges of its neighbours
are all that a task needs beside it.
"""

import sys
import time
from pathlib import Path

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

import arrayconv as ac
from arrayconv import filters


def images(count, size, chunk):
    """Return the features of so many images of ``size`` x ``size`` pixels, ``chunk`` of them at a time."""
    rng = np.random.default_rng(0)
    x = da.random.default_rng(0).random(
        (count, size, size, 16), dtype="float32", chunks=(chunk, -1, -1, -1)
    )
    w, b = rng.standard_normal((3, 3, 16, 4)).astype("float32"), np.zeros(4, "float32")
    y = ac.relu(ac.conv(x, da.from_array(w), da.from_array(b), padding="same"))
    return x, ac.max_pool(y, 2)


def picture(size, chunk):
    """Return an image of ``size`` x ``size`` pixels, smoothed and made half as large, in chunks along both axes."""
    x = da.random.default_rng(1).random(
        (1, size, size, 1), dtype="float32", chunks=(1, chunk, chunk, 1)
    )
    w = filters.gaussian(5, 1.0).astype("float32")[:, :, None, None]
    return x, ac.avg_pool(ac.conv(x, da.from_array(w), padding="same"), 2)


def main(folder, count=4096, size=20_000, chunk=2_000, memory="400MiB"):
    """Write both to zarr files in ``folder``, and say how long it took."""
    cluster = LocalCluster(
        n_workers=2, threads_per_worker=1, memory_limit=memory, dashboard_address=None
    )
    with cluster, Client(cluster):
        jobs = {"images": images(count, 128, 16), "picture": picture(size, chunk)}
        for name, (x, y) in jobs.items():
            start = time.perf_counter()
            y.to_zarr(Path(folder) / f"{name}.zarr", overwrite=True)
            seconds = time.perf_counter() - start
            print(
                f"{name}: {x.shape}, {x.nbytes / 2**30:.2f} GiB in {x.npartitions} chunks, "
                f"to {y.shape}: {seconds:.0f} s"
            )


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))

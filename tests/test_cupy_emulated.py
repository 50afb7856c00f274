"""The emulated device itself: it computes what CUDA would, counts what was asked, and refuses what it does not know."""

from __future__ import annotations

import importlib.metadata
import re
import sys

import numpy as np
import pytest

if sys.platform != "linux":
    pytest.skip("the emulated device is Linux's", allow_module_level=True)

from cupy_emulated import installation, recording
from cupy_emulated.compiler import compiled

emulated = pytest.mark.backends("cupy-emulated")
FULL, TF32 = 68, 77  # CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32


@pytest.mark.parametrize("found", ["14.1.0", "15.0.0", None])
def test_another_version_is_refused(found, monkeypatch):
    def version(name):
        assert name == "cupy-cuda13x"
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    with pytest.raises(
        RuntimeError, match=rf"knows cupy-cuda13x 14\.2\.0, found {found or 'none'}"
    ):
        installation.install()


def test_cupy_that_has_bound_cuda_is_refused(monkeypatch):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: installation.VERSION)
    monkeypatch.setitem(sys.modules, "cupy_backends", object())
    with pytest.raises(RuntimeError, match="CuPy is imported already"):
        installation.install()


@emulated
def test_elementwise_kernels_and_their_bytes(xp):
    cupy = xp.namespace
    a = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    there, row = cupy.asarray(a), cupy.asarray(a[0])
    with recording() as record:
        result = there[:, ::2] * row[::2]
    (launch,) = record.launches
    # the row is repeated, not read three times
    assert launch.bytes == 4 * (6 + 2 + 6)
    assert record.synchronisations == 0
    np.testing.assert_array_equal(xp.to_numpy(result), a[:, ::2] * a[0, ::2])
    windows = cupy.lib.stride_tricks.as_strided(there, (3, 3, 2), (16, 4, 4))
    with recording() as record:
        result = -windows
    (launch,) = record.launches
    # nor are the cells that windows share
    assert launch.bytes == 4 * (12 + 18)
    want = np.lib.stride_tricks.sliding_window_view(a, 2, axis=1)
    np.testing.assert_array_equal(xp.to_numpy(result), -want)


@emulated
@pytest.mark.parametrize("axis", [0, 1, (0, 1), None])
@pytest.mark.parametrize("name", ["sum", "max", "argmax"])
@pytest.mark.where(lambda name, axis: name != "argmax" or not isinstance(axis, tuple))
def test_reductions_whose_threads_wait_for_each_other(xp, name, axis):
    a = np.random.default_rng(0).standard_normal((70, 130, 3))
    there = xp.array(a)
    with recording() as record:
        result = getattr(there, name)(axis=axis)
    assert [launch.name for launch in record.launches] == [f"cupy_{name}"]
    np.testing.assert_allclose(xp.to_numpy(result), getattr(a, name)(axis=axis), rtol=1e-12)


@emulated
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("transposed", [(False, False), (True, False), (False, True), (True, True)])
def test_products(xp, dtype, transposed):
    rng = np.random.default_rng(0)
    a, b = (np.round(4 * rng.standard_normal(shape)) for shape in ((3, 5), (5, 2)))
    if dtype == "bfloat16":
        dtype = pytest.importorskip("ml_dtypes").bfloat16
    left, right = (
        xp.array(np.ascontiguousarray(m.T) if flip else m).astype(dtype)
        for m, flip in zip((a, b), transposed, strict=True)
    )
    left, right = left.T if transposed[0] else left, right.T if transposed[1] else right
    with recording() as record:
        got = left @ right
    (product,) = record.products
    # transposed operands are flags and no copies
    assert [launch.name for launch in record.launches] == ["gemmEx"] == [product.name]
    size = np.dtype(dtype).itemsize
    assert product.bytes == size * (15 + 10 + 6)
    np.testing.assert_array_equal(xp.to_numpy(got.astype("complex128")), a @ b)


@emulated
def test_products_of_stacks(xp):
    rng = np.random.default_rng(0)
    a, b, one = (rng.standard_normal(shape) for shape in ((4, 3, 5), (4, 5, 2), (5, 2)))
    for right in (b, one):
        with recording() as record:
            got = xp.array(a) @ xp.array(right)
        assert len(record.products) == 1
        np.testing.assert_allclose(xp.to_numpy(got), a @ right, rtol=1e-13)


@emulated
def test_the_compute_type_is_seen(xp):
    from cupy._core import _routines_linalg as linalg

    kind = np.dtype(np.float32)
    a, before = xp.array(np.ones((4, 4), np.float32)), linalg.get_compute_type(kind)
    try:
        for asked, seen in ((linalg.COMPUTE_TYPE_TF32, TF32), (linalg.COMPUTE_TYPE_FP32, FULL)):
            linalg.set_compute_type(kind, asked)
            with recording() as record:
                a @ a
            assert [product.compute for product in record.products] == [seen]
    finally:
        linalg.set_compute_type(kind, before)


@emulated
def test_memory_that_nothing_wrote_is_nan(xp):
    assert np.isnan(xp.to_numpy(xp.namespace.empty((3, 4)))).all()
    # memory that was used and freed too
    used = xp.array(np.ones(100))
    del used
    assert np.isnan(xp.to_numpy(xp.namespace.empty(100))).all()


@emulated
def test_looking_at_a_value_waits(xp):
    one = xp.array(np.ones(()))
    for look in (float, bool, xp.namespace.asnumpy):
        with recording() as record:
            look(one)
        assert record.synchronisations == 1


@emulated
def test_counting_alone_computes_nothing(xp):
    big = xp.namespace.empty((50_000, 1000), dtype=xp.namespace.float32)
    with recording(compute=False) as record:
        big @ big.T
        big + 1
    # so large that computing it would be noticed
    assert record.bytes == 4 * (2 * 50_000_000 + 2_500_000_000) + 4 * 100_000_000
    assert "gemmEx" in str(record)
    # what is small may be kept, and is computed
    with recording(compute=False):
        indices = xp.namespace.arange(1000) + 1
    np.testing.assert_array_equal(xp.to_numpy(indices), np.arange(1, 1001))


@emulated
def test_two_devices(xp):
    cuda = xp.namespace.cuda
    assert cuda.runtime.getDeviceCount() == 2
    with cuda.Device(1):
        a = xp.array(np.arange(3.0))
    assert a.device.id == 1
    assert cuda.Device().id == 0


@emulated
def test_what_is_not_emulated_says_so(xp, recwarn):
    from cupy_backends.cuda.libs import cublas
    from cupy_emulated.capsules import replace

    with pytest.raises(AttributeError, match=r"cublas has no function fly"):
        replace(cublas, {"fly": print})
    with pytest.raises(RuntimeError, match=r"g\+\+ does not compile a kernel"):
        compiled('extern "C" __global__ void broken(int n) { missing(n); }')


@emulated
def test_kernels_with_shared_memory_and_barriers(xp):
    """A kernel of our own: each block reverses its cells through shared memory."""
    kernel = xp.namespace.RawKernel(
        r"""
        extern "C" __global__ void reversed(const int* x, int* y) {
          extern __shared__ int cells[];
          int t = threadIdx.x, n = blockDim.x;
          cells[t] = x[blockIdx.x * n + t];
          __syncthreads();
          y[blockIdx.x * n + t] = cells[n - 1 - t];
        }
        """,
        "reversed",
    )
    x = np.arange(96, dtype=np.int32)
    y = xp.namespace.empty(96, dtype=np.int32)
    with recording() as record:
        kernel((3,), (32,), (xp.array(x), y), shared_mem=4 * 32)
    assert record.launches[-1].blocks == 3
    np.testing.assert_array_equal(xp.to_numpy(y), x.reshape(3, 32)[:, ::-1].ravel())
    assert re.search(r"reversed: 3 blocks", str(record))


@emulated
@pytest.mark.parametrize("threads", [32, 96, 70])
def test_warps_that_exchange_values_while_the_block_waits(xp, threads):
    """The sum of a block, as CUDA's guide has it: each warp by shuffles, then the first warp over all."""
    kernel = xp.namespace.RawKernel(
        r"""
        extern "C" __global__ void summed(const double* x, double* y) {
          __shared__ double warps[32];
          int t = threadIdx.x, n = blockDim.x;
          double v = x[blockIdx.x * n + t];
          for (int k = 1; k < 32; k *= 2) {
            double other = __shfl_down_sync(0xffffffff, v, k);
            if (t % 32 + k < 32 && t + k < n) v += other;
          }
          if (t % 32 == 0) warps[t / 32] = v;
          __syncthreads();
          if (t < 32) {
            v = t < (n + 31) / 32 ? warps[t] : 0;
            for (int k = 16; k; k /= 2) v += __shfl_xor_sync(0xffffffff, v, k);
            if (t == 0) warps[0] = v;
          }
          __syncthreads();
          y[blockIdx.x * n + t] = warps[0];
        }
        """,
        "summed",
    )
    x = np.random.default_rng(0).standard_normal((3, threads))
    y = xp.namespace.empty((3, threads))
    kernel((3,), (threads,), (xp.array(x), y))
    sums = np.broadcast_to(x.sum(1, keepdims=True), x.shape)
    np.testing.assert_allclose(xp.to_numpy(y), sums, rtol=1e-13)


@emulated
def test_running_sums_and_boolean_indices(xp):
    x = np.random.default_rng(0).standard_normal(5000)
    there = xp.array(x)
    np.testing.assert_allclose(xp.to_numpy(xp.namespace.cumsum(there)), x.cumsum(), rtol=1e-10)
    np.testing.assert_array_equal(xp.to_numpy(there[there > 0]), x[x > 0])

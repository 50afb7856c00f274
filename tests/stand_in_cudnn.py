"""cuDNN's frontend as far as arrayconv uses it, computing by loops over the cells of the window, on host memory.

Tensors are read and written by the dimensions and strides that they were described with, so that a wrong
description gives wrong numbers.
"""

import ctypes
from itertools import product
from types import SimpleNamespace

import numpy as np

__version__ = "stand-in"
data_type = SimpleNamespace(
    FLOAT=np.dtype(np.float32), DOUBLE=np.dtype(np.float64), HALF=np.dtype(np.float16)
)
heur_mode = SimpleNamespace(A="A", FALLBACK="FALLBACK")
_NOTES = (
    "DOWN_CONVERT_INPUTS FFT NONDETERMINISTIC REDUCED_PRECISION_REDUCTION TENSOR_CORE WINOGRAD "
    "WINOGRAD_TILE_13x13 WINOGRAD_TILE_4x4 WINOGRAD_TILE_6x6"
)
numerical_note = SimpleNamespace(**{name: name for name in _NOTES.split()})


class cudnnGraphNotSupportedError(Exception):  # noqa: N801 (cuDNN's own name)
    pass


built = []  # every graph, in order
streams = []  # every (handle, stream)


def backend_version():
    return 0


def create_handle():
    return 7


def set_stream(handle, stream):
    streams.append((handle, stream))


class Tensor:
    def __init__(self, dim=None, stride=None, data_type=None, name="", uid=-1):
        self.dim, self.stride, self.type, self.uid = dim, stride, data_type, uid

    def set_output(self, output):
        return self

    def set_data_type(self, data_type):
        self.type = data_type
        return self

    def set_dim(self, dim):
        self.dim = dim
        return self

    def set_stride(self, stride):
        self.stride = stride
        return self

    def set_uid(self, uid):
        self.uid = uid
        return self

    def at(self, pointer):
        """Return the memory at a pointer as this tensor."""
        assert pointer % 16 == 0
        size = self.type.itemsize
        cells = 1 + sum((n - 1) * step for n, step in zip(self.dim, self.stride, strict=True))
        flat = np.frombuffer((ctypes.c_char * (cells * size)).from_address(pointer), self.type)
        strides = [size * step for step in self.stride]
        return np.lib.stride_tricks.as_strided(flat, self.dim, strides)


class pygraph:  # noqa: N801 (cuDNN's own name)
    refuses = False  # as a device without an engine for it

    def __init__(self, *, io_data_type, handle, **config):
        self.config, self.handle, self.tensors, self.steps = config, handle, [], []
        built.append(self)

    def tensor(self, dim, stride, data_type, name, uid):
        self.tensors.append(Tensor(dim, stride, data_type, name, uid))
        return self.tensors[-1]

    def _convolution(self, kind, first, second, **geometry):
        self.kind, self.operands, self.geometry, self.result = (
            kind,
            (first, second),
            geometry,
            Tensor(),
        )
        return self.result

    def conv_fprop(self, image, weight, **geometry):
        return self._convolution("fprop", image, weight, **geometry)

    def conv_dgrad(self, loss, filter, **geometry):
        return self._convolution("dgrad", loss, filter, **geometry)

    def conv_wgrad(self, image, loss, **geometry):
        return self._convolution("wgrad", image, loss, **geometry)

    def validate(self):
        self.steps.append("validate")

    def build_operation_graph(self):
        self.steps.append("build_operation_graph")

    def create_execution_plans(self, modes):
        self.steps.append("create_execution_plans")

    def deselect_numeric_notes(self, notes):
        self.steps.append("deselect_numeric_notes")
        self.notes = set(notes)

    def deselect_workspace_greater_than(self, workspace):
        self.workspace = workspace

    def check_support(self):
        self.steps.append("check_support")
        if pygraph.refuses:
            raise cudnnGraphNotSupportedError("no engine")

    def build_plans(self):
        self.steps.append("build_plans")

    def get_workspace_size(self):
        return 0

    def execute(self, pointers, workspace, handle):
        assert handle == self.handle
        first, second = (tensor.at(pointers[tensor.uid]) for tensor in self.operands)
        result = self.result.at(pointers[self.result.uid])
        result[...] = 0
        image, weights, response = {
            "fprop": (first, second, result),
            "dgrad": (result, second, first),
            "wgrad": (first, result, second),
        }[self.kind]
        # a padded copy of the image, whose inside dgrad writes back
        pads = zip(self.geometry["pre_padding"], self.geometry["post_padding"], strict=True)
        pads = ((0, 0), (0, 0), *pads)
        padded = np.pad(image.astype(np.float64), pads)
        channels, features = weights.shape[1], weights.shape[0]
        groups = image.shape[1] // channels
        per = features // groups
        for tap in product(*map(range, weights.shape[2:])):
            cells = tuple(
                slice(d * k, d * k + s * (o - 1) + 1, s)
                for k, d, s, o in zip(
                    tap,
                    self.geometry["dilation"],
                    self.geometry["stride"],
                    response.shape[2:],
                    strict=True,
                )
            )
            for g in range(groups):
                x = padded[(slice(None), slice(g * channels, (g + 1) * channels), *cells)]
                y = response[:, g * per : (g + 1) * per]
                w = weights[(slice(g * per, (g + 1) * per), slice(None), *tap)]
                if self.kind == "fprop":
                    y += np.einsum("nc...,oc->no...", x, w)
                elif self.kind == "dgrad":
                    x += np.einsum("no...,oc->nc...", y, w)
                else:
                    over = (0, *range(2, x.ndim))
                    w += np.tensordot(y, x, axes=(over, over))
        if self.kind == "dgrad":
            inside = tuple(slice(a, a + n) for (a, _), n in zip(pads, image.shape, strict=True))
            image[...] = padded[inside]

"""Running networks from ONNX files on the arrays of any library, with gradients; writing models as ONNX files."""

from __future__ import annotations

try:
    import onnx as _onnx  # noqa: F401
except ImportError as error:
    raise ImportError(
        'arrayconv.onnx reads files with the onnx package: pip install "arrayconv[onnx]"'
    ) from error

from arrayconv.onnx.explaining import class_activation, saliency
from arrayconv.onnx.graph import Spec
from arrayconv.onnx.net import Net, load
from arrayconv.onnx.saving import save
from arrayconv.onnx.table import Operator, operators, register

__all__ = [
    "Net",
    "Operator",
    "Spec",
    "class_activation",
    "load",
    "operators",
    "register",
    "saliency",
    "save",
]

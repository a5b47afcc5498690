"""A look into ONNX files without the onnx package: is everything inside the file?

ONNX is a Protocol Buffers message. Walking its wire format takes a page of code and no dependency, and it must be done
before ONNX Runtime sees the file: a tensor with external data would make the runtime open a file the bundle names.

References:
    Wire format: https://protobuf.dev/programming-guides/encoding. Field numbers: onnx/onnx.proto3 of ONNX.
"""

from __future__ import annotations

from binsight.bundle.wire import BYTES, read_fields
from binsight.errors import BundleError

__all__ = ["refuse_external_data"]

_MAX_DEPTH = 32

# Message type → field number → message type of that field: every path that leads to a tensor.
_CHILDREN: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "TrainingInfo", 25: "Function"},
    "TrainingInfo": {1: "Graph", 2: "Graph"},
    "Graph": {1: "Node", 5: "Tensor", 15: "SparseTensor"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "SparseTensor", 23: "SparseTensor"},
    "SparseTensor": {1: "Tensor", 2: "Tensor"},
    "Tensor": {},
}
_TENSOR_EXTERNAL_DATA, _TENSOR_DATA_LOCATION = 13, 14
_MODEL_GRAPH = 7


def refuse_external_data(model: bytes) -> None:
    """Make sure that an ONNX file is self-contained.

    Args:
        model: the content of a `.onnx` file.

    Raises:
        BundleError: it is not ONNX, or a tensor refers to data in another file.
    """
    view = memoryview(model)
    if not any(number == _MODEL_GRAPH for number, _, _ in read_fields(view)):
        raise BundleError("not an ONNX model: it has no graph")
    _walk(view, "Model", 0)


def _walk(message: memoryview, kind: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise BundleError(f"not an ONNX model: nested deeper than {_MAX_DEPTH}")
    children = _CHILDREN[kind]
    for number, wire_type, payload in read_fields(message):
        if kind == "Tensor" and number == _TENSOR_EXTERNAL_DATA:
            raise BundleError("refers to data in another file; export the model with its weights inside")
        if kind == "Tensor" and number == _TENSOR_DATA_LOCATION and any(payload):
            raise BundleError("says its weights are in another file; export the model with its weights inside")
        if number in children and wire_type == BYTES:
            _walk(payload, children[number], depth + 1)

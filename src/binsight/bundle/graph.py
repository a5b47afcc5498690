"""A look into ONNX files without the onnx package: is everything inside the file?

ONNX is a Protocol Buffers message. Walking its wire format takes a page of code and no dependency, and it must be done
before ONNX Runtime sees the file: a tensor with external data would make the runtime open a file the bundle names.

References:
    Wire format: https://protobuf.dev/programming-guides/encoding. Field numbers: onnx/onnx.proto3 of ONNX.
"""

from __future__ import annotations

from collections.abc import Iterator

from binsight.errors import BundleError

__all__ = ["refuse_external_data"]

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}
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
_MAX_TAG = 0xFFFFFFFF


def refuse_external_data(model: bytes) -> None:
    """Make sure that an ONNX file is self-contained.

    Args:
        model: the content of a `.onnx` file.

    Raises:
        BundleError: it is not ONNX, or a tensor refers to data in another file.
    """
    view = memoryview(model)
    if not any(number == _MODEL_GRAPH for number, _, _ in _fields(view)):
        raise BundleError("not an ONNX model: it has no graph")
    _walk(view, "Model", 0)


def _walk(message: memoryview, kind: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise BundleError(f"not an ONNX model: nested deeper than {_MAX_DEPTH}")
    children = _CHILDREN[kind]
    for number, wire_type, payload in _fields(message):
        if kind == "Tensor" and number == _TENSOR_EXTERNAL_DATA:
            raise BundleError("refers to data in another file; export the model with its weights inside")
        if kind == "Tensor" and number == _TENSOR_DATA_LOCATION and any(payload):
            raise BundleError("says its weights are in another file; export the model with its weights inside")
        if number in children and wire_type == _BYTES:
            _walk(payload, children[number], depth + 1)


def _fields(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Each field as `(number, wire type, payload)`; a varint's payload is its bytes as written."""
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        if tag > _MAX_TAG:
            # Other parsers drop the upper bits: to them such a field has another number, to us it would be unknown.
            raise BundleError("not an ONNX model: a field number is too large")
        wire_type, start = tag & 7, position
        if wire_type == _VARINT:
            _, position = _varint(message, position)
        elif wire_type == _BYTES:
            length, start = _varint(message, position)
            position = start + length
        elif wire_type in _FIXED_SIZES:
            position += _FIXED_SIZES[wire_type]
        else:
            raise BundleError(f"not an ONNX model: unknown wire type {wire_type}")
        if position > len(message):
            raise BundleError("not an ONNX model, or cut short: a field reaches beyond the end")
        yield tag >> 3, wire_type, message[start:position]


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """The number at `position`, and where the next field begins."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise BundleError("not an ONNX model, or cut short: a number ends early")
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise BundleError("not an ONNX model: a number is too long")

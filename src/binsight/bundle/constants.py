"""Read and replace the constants of an ONNX graph, such as the weights of its heads, without the onnx package.

Only what is asked for is decoded; every other byte of the file stays as it is.

References:
    Wire format: https://protobuf.dev/programming-guides/encoding. Field numbers: onnx/onnx.proto3 of ONNX.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from binsight.bundle.wire import BYTES, encode_field, encode_number, read_fields, read_number
from binsight.errors import BundleError

__all__ = ["read_constants", "replace_constants"]

_MODEL_GRAPH = 7
_GRAPH_INITIALIZER, _GRAPH_OUTPUT = 5, 12
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_FLOATS, _TENSOR_NAME, _TENSOR_RAW = 1, 2, 4, 8, 9
_VALUE_NAME, _VALUE_TYPE = 1, 2
_TYPE_TENSOR, _TENSOR_SHAPE, _SHAPE_DIM, _DIM_VALUE = 1, 2, 1, 1
_FLOAT, _FLOAT16 = 1, 10
_DTYPES = {_FLOAT: "<f4", _FLOAT16: "<f2"}


def read_constants(model: bytes, names: Collection[str]) -> dict[str, NDArray[np.float32]]:
    """The values of some constants of type float or float16, as float32; those that the graph does not have are absent.

    Raises:
        BundleError: the file is not ONNX, or a constant's type or size is not that of such numbers.
    """
    return {name: _values(tensor, name) for tensor in _tensors(model) if (name := _name(tensor)) in names}


def replace_constants(
    model: bytes, values: Mapping[str, NDArray[np.floating]], *, last_axis: Mapping[str, int] | None = None
) -> bytes:
    """The same model with other values, of type float, in some of its constants.

    Args:
        model: the content of a `.onnx` file.
        values: name of a constant → its new values, of any shape that the graph can compute with.
        last_axis: name of an output → the size of its last axis from now on.

    Raises:
        BundleError: the file is not ONNX, or the graph has no such constant or output.
    """
    edit = _Edit(values, last_axis or {})
    result = b"".join(edit.model(memoryview(model)))
    if edit.missing:
        raise BundleError(f"the network has no {', '.join(sorted(edit.missing))}")
    return result


class _Edit:
    """One pass over a model that copies it but for what is to be another."""

    def __init__(self, values: Mapping[str, NDArray[np.floating]], last_axis: Mapping[str, int]) -> None:
        self._values, self._last_axis = values, last_axis
        self.missing = {*values, *last_axis}

    def model(self, model: memoryview) -> Iterator[bytes]:
        for number, wire_type, payload in read_fields(model):
            if number == _MODEL_GRAPH and wire_type == BYTES:
                yield encode_field(number, wire_type, b"".join(self._graph(payload)))
            else:
                yield encode_field(number, wire_type, payload)

    def _graph(self, graph: memoryview) -> Iterator[bytes]:
        for number, wire_type, payload in read_fields(graph):
            name = _name(payload) if number == _GRAPH_INITIALIZER else ""
            output = _text(payload, _VALUE_NAME) if number == _GRAPH_OUTPUT else ""
            if name in self._values:
                self.missing.discard(name)
                yield encode_field(number, wire_type, _encode_tensor(name, self._values[name]))
            elif output in self._last_axis:
                self.missing.discard(output)
                yield encode_field(number, wire_type, _with_last_axis(payload, self._last_axis[output]))
            else:
                yield encode_field(number, wire_type, payload)


def _tensors(model: bytes) -> Iterator[memoryview]:
    for number, wire_type, graph in read_fields(memoryview(model)):
        if number == _MODEL_GRAPH and wire_type == BYTES:
            for inner, inner_type, tensor in read_fields(graph):
                if inner == _GRAPH_INITIALIZER and inner_type == BYTES:
                    yield tensor


def _name(tensor: memoryview) -> str:
    return _text(tensor, _TENSOR_NAME)


def _text(message: memoryview, field: int) -> str:
    found = b""
    for number, wire_type, payload in read_fields(message):
        if number == field and wire_type == BYTES:
            found = bytes(payload)
    return found.decode("utf-8", "replace")


def _shape(tensor: memoryview) -> tuple[int, ...]:
    sizes: list[int] = []
    for number, wire_type, payload in read_fields(tensor):
        if number == _TENSOR_DIMS:
            # A list of numbers comes packed into one field, or as a field for each.
            sizes += _numbers(payload) if wire_type == BYTES else [read_number(payload, 0)[0]]
    return tuple(sizes)


def _numbers(packed: memoryview) -> Iterator[int]:
    position = 0
    while position < len(packed):
        number, position = read_number(packed, position)
        yield number


def _values(tensor: memoryview, name: str) -> NDArray[np.float32]:
    kind, data = 0, b""
    for number, wire_type, payload in read_fields(tensor):
        if number == _TENSOR_TYPE:
            kind = read_number(payload, 0)[0]
        elif number in (_TENSOR_RAW, _TENSOR_FLOATS):
            data += bytes(payload) if wire_type == BYTES or number == _TENSOR_FLOATS else b""
    if kind not in _DTYPES:
        raise BundleError(f"the constant {name} is of a type that is not float")
    shape, dtype = _shape(tensor), np.dtype(_DTYPES[kind])
    if len(data) != dtype.itemsize * int(np.prod(shape, dtype=np.int64)):
        raise BundleError(f"the constant {name} is not of the size it states")
    return np.frombuffer(data, dtype).astype(np.float32).reshape(shape)


def _encode_tensor(name: str, values: NDArray[np.floating]) -> bytes:
    data = np.ascontiguousarray(values, dtype="<f4")
    parts = [encode_field(_TENSOR_DIMS, BYTES, b"".join(map(encode_number, data.shape)))] if data.ndim else []
    parts.append(encode_field(_TENSOR_TYPE, 0, encode_number(_FLOAT)))
    parts.append(encode_field(_TENSOR_NAME, BYTES, name.encode()))
    return b"".join([*parts, encode_field(_TENSOR_RAW, BYTES, data.tobytes())])


def _with_last_axis(value: memoryview, size: int) -> bytes:
    """A description of an output whose last axis has another size: value > type > tensor > shape > dimension."""
    return _edit_path(value, (_VALUE_TYPE, _TYPE_TENSOR, _TENSOR_SHAPE), size)


def _edit_path(message: memoryview, path: tuple[int, ...], size: int) -> bytes:
    fields = list(read_fields(message))
    last = max((i for i, (number, _, _) in enumerate(fields) if number == (path or (_SHAPE_DIM,))[0]), default=-1)
    parts = []
    for i, (number, wire_type, payload) in enumerate(fields):
        if i != last:
            parts.append(encode_field(number, wire_type, payload))
        elif path:
            parts.append(encode_field(number, wire_type, _edit_path(payload, path[1:], size)))
        else:
            parts.append(encode_field(number, BYTES, encode_field(_DIM_VALUE, 0, encode_number(size))))
    return b"".join(parts)

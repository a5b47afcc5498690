"""Tensors of the Open Inference Protocol to NumPy arrays and back, in JSON and in binary.

References:
    Binary tensors: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import base64
import binascii
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from binsight.serving.problems import ProblemError
from binsight.serving.v2_schemas import InferAnswer, InferInput, InferOutput, InferRequest

__all__ = ["BINARY_HEADER", "pack_answer", "read_tensor", "split_body"]

BINARY_HEADER = "Inference-Header-Content-Length"
_LENGTH = struct.Struct("<I")


def split_body(body: bytes, header: str | None) -> tuple[bytes, bytes]:
    """The JSON part of a request and the binary tensors behind it, where the header says that there are any.

    Raises:
        ProblemError: the header is no length inside the body.
    """
    if header is None:
        return body, b""
    if not header.isascii() or not header.isdigit() or len(header) > 10 or int(header) > len(body):
        raise ProblemError("bad_request", f"{BINARY_HEADER} must be a number up to the length of the body")
    return body[: int(header)], body[int(header) :]


def read_tensor(tensor: InferInput, binary: bytes) -> NDArray[Any]:
    """An input as an array: uint8, or objects of type bytes.

    Raises:
        ProblemError: its data do not fit its shape or type.
    """
    count = math.prod(tensor.shape)
    if count < 1:
        raise ProblemError("no_file", "the input tensor is empty")
    if tensor.data is None:
        values = _from_binary(tensor, binary, count)
    elif tensor.datatype == "UINT8":
        values = _numbers(tensor.data)
    else:
        values = _decoded(tensor.data)
    if values.size != count:
        raise ProblemError("bad_request", f"shape {tensor.shape} needs {count} values, got {values.size}")
    return values.reshape(tensor.shape)


def pack_answer(
    answer: InferAnswer, message: InferRequest, tensors: Mapping[str, NDArray[Any]]
) -> tuple[InferAnswer, bytes]:
    """The answer with its outputs, and the bytes of those that were wanted in binary."""
    every = bool(message.parameters.get("binary_data_output", False))
    binary = {wish.name: bool(wish.parameters.get("binary_data", every)) for wish in message.outputs}
    outputs, tail = [], []
    for name, values in tensors.items():
        members: dict[str, Any] = {
            "name": name,
            "shape": list(values.shape),
            "datatype": "BYTES" if values.dtype == object else "FP32",
        }
        if binary.get(name, every):
            data = _to_binary(values)
            tail.append(data)
            members["parameters"] = {"binary_data_size": len(data)}
        else:
            members["data"] = values.reshape(-1).tolist()
        outputs.append(InferOutput(**members))
    members = {"model_name": answer.model_name, "model_version": answer.model_version, "outputs": outputs}
    if message.id is not None:
        members["id"] = message.id
    return InferAnswer(**members), b"".join(tail)


def _numbers(data: list[Any]) -> NDArray[np.uint8]:
    try:
        values = np.asarray(data)
    except (ValueError, OverflowError):
        values = np.asarray("ragged")
    if values.dtype.kind not in "iu" or values.size == 0 or values.min() < 0 or values.max() > 255:
        raise ProblemError("bad_request", "UINT8 data must be whole numbers from 0 to 255, evenly nested")
    return values.astype(np.uint8)


def _decoded(data: list[Any]) -> NDArray[Any]:
    values = np.empty(len(data), object)
    for position, text in enumerate(data):
        try:
            values[position] = base64.b64decode(text, validate=True) if isinstance(text, str) else None
        except (binascii.Error, ValueError):
            values[position] = None
        if values[position] is None:
            raise ProblemError("bad_request", f"photo {position}: BYTES in JSON must be base64")
    return values


def _from_binary(tensor: InferInput, binary: bytes, count: int) -> NDArray[Any]:
    size = tensor.parameters.get("binary_data_size")
    if size != len(binary) or isinstance(size, bool):
        raise ProblemError("bad_request", f"expected data, or {len(binary)} as binary_data_size")
    if tensor.datatype == "UINT8":
        return np.frombuffer(binary, np.uint8)
    items: list[bytes] = []
    position = 0
    while position + _LENGTH.size <= len(binary) and len(items) < count:
        (length,) = _LENGTH.unpack_from(binary, position)
        position += _LENGTH.size
        items.append(binary[position : position + length])
        position += length
    if position != len(binary):
        raise ProblemError("bad_request", "BYTES in binary must be 4 bytes of length, then the item, for each")
    values = np.empty(len(items), object)
    values[:] = items
    return values


def _to_binary(values: NDArray[Any]) -> bytes:
    if values.dtype != object:
        return np.ascontiguousarray(values, "<f4").tobytes()
    items = [str(item).encode() for item in values.reshape(-1)]
    return b"".join(_LENGTH.pack(len(item)) + item for item in items)

"""Tensors of the Open Inference Protocol to NumPy arrays and back, in JSON and in binary.

References:
    Binary tensors: https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping
from itertools import islice
from typing import Any

import msgspec
import numpy as np
from msgspec import Raw
from numpy.typing import NDArray
from pydantic import ValidationError

from binsight.serving.json_bodies import decode_base64, decode_json, decode_numbers
from binsight.serving.problems import ProblemError, validation_problem
from binsight.serving.v2_schemas import InferAnswer, InferInput, InferOutput, InferRequest

__all__ = ["BINARY_HEADER", "pack_answer", "read_photos", "read_pixels", "read_request", "split_body"]

BINARY_HEADER = "Inference-Header-Content-Length"
_LENGTH = struct.Struct("<I")
# For names, shapes, parameters and wanted outputs, of which there may be few.
_MAX_ENVELOPE = 1 << 16
# Commas in a photo that is sent as a data URL.
_IN_DATA_URLS = 1
_NOTHING = Raw(b"")
# The messages of the protocol with all members unread; those that it does not know are passed over.
_Input: Any = msgspec.defstruct("_Input", [(name, Raw, _NOTHING) for name in InferInput.model_fields])
_Request: Any = msgspec.defstruct(
    "_Request",
    [("inputs", tuple[_Input]), *((name, Raw, _NOTHING) for name in InferRequest.model_fields if name != "inputs")],
)


def split_body(body: bytes, header: str | None) -> tuple[memoryview, memoryview]:
    """The JSON part of a request and the binary tensors behind it, where the header says that there are any.

    Raises:
        ProblemError: the header is no length inside the body.
    """
    view = memoryview(body)
    if header is None:
        return view, view[:0]
    if not header.isascii() or not header.isdigit() or len(header) > 10 or int(header) > len(body):
        raise ProblemError("bad_request", f"{BINARY_HEADER} must be a number up to the length of the body")
    return view[: int(header)], view[int(header) :]


def read_request(text: memoryview) -> tuple[InferRequest, Raw]:
    """A request without the data of its input, and those, unread.

    Raises:
        ProblemError: 400, it is not what the protocol says, or has much beside its data.
    """
    request = decode_json(text, _Request)
    tensor = request.inputs[0]
    if len(text) - len(memoryview(tensor.data)) > _MAX_ENVELOPE:
        raise ProblemError("bad_request", f"expected at most {_MAX_ENVELOPE:,} bytes beside the data of the input")
    members = [*_members(request, "inputs"), b'"inputs":[{%b}]' % b",".join(_members(tensor, "data"))]
    try:
        return InferRequest.model_validate_json(b"{%b}" % b",".join(members)), tensor.data
    except ValidationError as error:
        raise validation_problem(error, "bad_request") from None


def read_pixels(tensor: InferInput, data: Raw, binary: memoryview) -> NDArray[np.uint8]:
    """An input of numbers, of the shape it says.

    Raises:
        ProblemError: 400, its data do not fit its shape.
    """
    if _is_given(data):
        return decode_numbers(data, tensor.shape)
    _check_binary(tensor, binary)
    if len(binary) != math.prod(tensor.shape):
        raise ProblemError("bad_request", f"shape {tensor.shape} does not fit {len(binary):,} bytes")
    return np.frombuffer(binary, np.uint8).reshape(tensor.shape)


def read_photos(tensor: InferInput, data: Raw, binary: memoryview, *, limit: int) -> list[bytes]:
    """An input of files, each up to `limit` bytes.

    Raises:
        ProblemError: 400, its data do not fit its shape; 413, one is too large.
    """
    count = tensor.shape[0]
    if not _is_given(data):
        _check_binary(tensor, binary)
        photos = _split(binary, count)
    elif next(islice(re.finditer(rb",", memoryview(data)), count - 1 + _IN_DATA_URLS * count, None), None):
        photos = []  # more than were announced: not even to be counted
    else:
        texts = decode_json(memoryview(data), list[Raw])
        photos = [decode_base64(text, f"photo {n}", limit=limit) for n, text in enumerate(texts)]
    if len(photos) != count:
        raise ProblemError("bad_request", f"shape {tensor.shape} needs {count} values")
    return photos


def pack_answer(message: InferRequest, tensors: Mapping[str, NDArray[Any]], **about: Any) -> tuple[InferAnswer, bytes]:
    """The answer with its outputs and what else there is `about` it, and the bytes of those wanted in binary."""
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
    if message.id is not None:
        about["id"] = message.id
    return InferAnswer(**about, outputs=outputs), b"".join(tail)


def _members(struct: msgspec.Struct, left_out: str) -> list[bytes]:
    values = msgspec.structs.asdict(struct).items()
    return [b'"%b":%b' % (name.encode(), bytes(raw)) for name, raw in values if name != left_out and bytes(raw)]


def _is_given(data: Raw) -> bool:
    return bytes(memoryview(data)[:4]) not in {b"", b"null"}


def _check_binary(tensor: InferInput, binary: memoryview) -> None:
    size = tensor.parameters.get("binary_data_size")
    if size != len(binary) or isinstance(size, bool):
        raise ProblemError("bad_request", f"expected data, or {len(binary)} as binary_data_size")


def _split(binary: memoryview, count: int) -> list[bytes]:
    items: list[bytes] = []
    position = 0
    while position + _LENGTH.size <= len(binary) and len(items) < count:
        (length,) = _LENGTH.unpack_from(binary, position)
        position += _LENGTH.size
        items.append(bytes(binary[position : position + length]))
        position += length
    if position != len(binary):
        raise ProblemError("bad_request", "BYTES in binary must be 4 bytes of length, then the item, for each")
    return items


def _to_binary(values: NDArray[Any]) -> bytes:
    if values.dtype != object:
        return np.ascontiguousarray(values, "<f4").tobytes()
    items = [str(item).encode() for item in values.reshape(-1)]
    return b"".join(_LENGTH.pack(len(item)) + item for item in items)
